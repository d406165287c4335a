#include "codec/codec.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "codec/transform_codec.h"
#include "container/codec_file.h"
#include "cpu/cpu.h"
#include "par/par.h"
#include "transform/section.h"

#include <string.h>

static size_t threshold_count(const struct lwfc_codec_options *o)
{
    return o->groups * (size_t)(o->levels - 1);
}

static size_t value_count(const struct lwfc_codec_options *o)
{
    return o->groups * (size_t)o->levels;
}

static int is_uniform(const struct lwfc_codec_options *o)
{
    float thresholds[LWFC_LEVELS_MAX], values[LWFC_LEVELS_MAX];
    for (size_t g = 0; g < o->groups; g++) {
        const float *v = o->values + g * (size_t)o->levels;
        if (lwfc_quantizer_uniform(v[0], v[o->levels - 1], o->levels, thresholds, values) !=
                LWFC_OK ||
            memcmp(v, values, (size_t)o->levels * sizeof *v) != 0) {
            return 0;
        }
    }
    return 1;
}

/* Floats in the file are little-endian bytes; the tables are this machine's. */
static enum lwfc_status load_tables(struct lwfc_codec *codec)
{
    struct lwfc_codec_options *o = &codec->options;
    const size_t count = threshold_count(o) + value_count(o);
    codec->tables = lwfc_alloc(count * sizeof(float) + o->groups);
    if (codec->tables == NULL) {
        return LWFC_ERROR_MEMORY;
    }
    const uint8_t *stored = (const uint8_t *)o->thresholds;
    for (size_t i = 0; i < count; i++) {
        codec->tables[i] = lwfc_load_f32(stored + 4 * i);
    }
    o->thresholds = codec->tables;
    o->values = codec->tables + threshold_count(o);
    codec->zeros = (uint8_t *)(codec->tables + count);
    for (size_t g = 0; g < o->groups; g++) {
        codec->zeros[g] = (uint8_t)lwfc_quantizer_zero(o->values + g * (size_t)o->levels, o->levels);
    }
    codec->uniform = is_uniform(o);
    return LWFC_OK;
}

static float limited(float value, float largest)
{
    return value > largest ? largest : value < -largest ? -largest : value;
}

static enum lwfc_status load_values(struct lwfc_codec *codec, enum lwfc_dtype dtype)
{
    const float *const values = codec->options.values;
    const size_t count = value_count(&codec->options);
    const float largest = lwfc_dtype_largest(dtype);
    float *copy = NULL;
    for (size_t i = 0; i < count && copy == NULL; i++) {
        if (limited(values[i], largest) != values[i]) {
            copy = lwfc_alloc(count * sizeof *copy);
            if (copy == NULL) {
                return LWFC_ERROR_MEMORY;
            }
        }
    }
    for (size_t i = 0; copy != NULL && i < count; i++) {
        copy[i] = limited(values[i], largest);
    }
    codec->values[dtype] = copy != NULL ? copy : values;
    return LWFC_OK;
}

/* The models inside the blobs, which must be of this quantizer. */
static enum lwfc_status load_models(struct lwfc_codec *codec)
{
    const struct lwfc_codec_options *o = &codec->options;
    if (o->context_nbytes > 0) {
        const size_t nbytes = lwfc_context_model_workspace(o->context, o->context_nbytes);
        if (nbytes == 0) {
            return LWFC_ERROR_CODEC_FILE;
        }
        codec->context_memory = lwfc_alloc(nbytes);
        if (codec->context_memory == NULL) {
            return LWFC_ERROR_MEMORY;
        }
        if (lwfc_context_model_read(o->context, o->context_nbytes, &codec->context,
                                    codec->context_memory) != 0 ||
            codec->context.scale.levels != o->levels) {
            return LWFC_ERROR_CODEC_FILE;
        }
    }
    if (o->restore_nbytes > 0 &&
        (lwfc_restore_read(o->restore, o->restore_nbytes, &codec->restore) != 0 ||
         codec->restore.levels != o->levels)) {
        return LWFC_ERROR_CODEC_FILE;
    }
    return LWFC_OK;
}

/* 1 if the usual shape is one that the transform takes. A channel axis that is also
 * the first leaves the batch's place to the channels: then nothing is known. */
static int inner_shape_fits(const struct lwfc_codec *codec)
{
    const struct lwfc_codec_options *o = &codec->options;
    int rank = o->inner_rank + 1;
    int axis = lwfc_channel_axis_resolve(o->channel_axis, rank);
    if (o->inner_rank == 0 || axis == 0) {
        return 1;
    }
    int64_t shape[LWFC_RANK_MAX] = {1};
    memcpy(shape + 1, o->inner_shape, (size_t)o->inner_rank * sizeof *shape);
    lwfc_transform_split(codec->transform, shape, NULL, &rank, &axis);
    struct lwfc_geometry g;
    return axis >= -1 && lwfc_geometry_make(shape, rank, axis, 1, &g) == 0 &&
           lwfc_transform_fits(codec->transform, &g) == LWFC_OK;
}

static enum lwfc_status load_transform(struct lwfc_codec *codec)
{
    struct lwfc_codec_options *o = &codec->options;
    if (o->transform_nbytes == 0) {
        return LWFC_OK;
    }
    const enum lwfc_status status = lwfc_section_unpack(o->transform, o->transform_nbytes,
                                                        &codec->section, &o->transform_nbytes);
    if (status != LWFC_OK) {
        return status;
    }
    o->transform = codec->section;
    const size_t nbytes = lwfc_transform_nbytes(o->transform, o->transform_nbytes);
    if (nbytes == 0) {
        return LWFC_ERROR_CODEC_FILE;
    }
    const size_t own = (sizeof(struct lwfc_transform) + 63) / 64 * 64;
    codec->transform_memory = lwfc_alloc(lwfc_size_add(nbytes, own));
    if (codec->transform_memory == NULL) {
        return LWFC_ERROR_MEMORY;
    }
    struct lwfc_transform *transform = codec->transform_memory;
    if (lwfc_transform_read(o->transform, o->transform_nbytes, transform,
                            (uint8_t *)codec->transform_memory + own) != 0) {
        return LWFC_ERROR_CODEC_FILE;
    }
    codec->transform = transform;
    return inner_shape_fits(codec) ? LWFC_OK : LWFC_ERROR_CODEC_FILE;
}

/* Takes ownership of `file`. */
static enum lwfc_status codec_open(uint8_t *file, size_t nbytes, struct lwfc_codec **out)
{
    struct lwfc_codec *codec = lwfc_alloc(sizeof *codec);
    if (codec == NULL) {
        lwfc_free(file);
        return LWFC_ERROR_MEMORY;
    }
    memset(codec, 0, sizeof *codec);
    codec->file = file;
    codec->file_nbytes = nbytes;
    enum lwfc_status status = lwfc_codec_file_read(file, nbytes, &codec->options, &codec->digest);
    if (status == LWFC_OK) {
        status = load_tables(codec);
    }
    for (int dtype = 0; status == LWFC_OK && dtype < LWFC_DTYPE_COUNT; dtype++) {
        status = load_values(codec, (enum lwfc_dtype)dtype);
    }
    if (status == LWFC_OK) {
        status = load_models(codec);
    }
    if (status == LWFC_OK) {
        status = load_transform(codec);
    }
    if (status != LWFC_OK) {
        lwfc_codec_release(codec);
        codec = NULL;
    }
    *out = codec;
    return status;
}

enum lwfc_status lwfc_codec_make(const struct lwfc_codec_options *options,
                                 struct lwfc_codec **codec)
{
    *codec = NULL;
    if (options->struct_size != sizeof *options) {
        return LWFC_ERROR_ARGUMENT;
    }
    const enum lwfc_status status = lwfc_codec_options_check(options);
    if (status != LWFC_OK) {
        return status;
    }
    struct lwfc_codec_options stored = *options;
    uint8_t *packed = NULL;
    if (options->transform_nbytes > 0) {
        const enum lwfc_status packing =
            lwfc_section_pack(options->transform, options->transform_nbytes, &packed,
                              &stored.transform_nbytes);
        if (packing != LWFC_OK) {
            return packing;
        }
        stored.transform = packed;
    }
    uint8_t *file = lwfc_alloc(lwfc_codec_file_bound(&stored));
    const size_t nbytes = file != NULL ? lwfc_codec_file_write(&stored, file) : 0;
    lwfc_free(packed);
    return file != NULL ? codec_open(file, nbytes, codec) : LWFC_ERROR_MEMORY;
}

enum lwfc_status lwfc_codec_read(const uint8_t *data, size_t nbytes, struct lwfc_codec **codec)
{
    *codec = NULL;
    uint8_t *file = lwfc_alloc(nbytes);
    if (file == NULL) {
        return LWFC_ERROR_MEMORY;
    }
    if (nbytes > 0) {
        memcpy(file, data, nbytes);
    }
    return codec_open(file, nbytes, codec);
}

const uint8_t *lwfc_codec_write(const struct lwfc_codec *codec, size_t *nbytes)
{
    *nbytes = codec->file_nbytes;
    return codec->file;
}

void lwfc_codec_describe(const struct lwfc_codec *codec, struct lwfc_codec_options *options)
{
    *options = codec->options;
}

uint64_t lwfc_codec_digest(const struct lwfc_codec *codec)
{
    return codec->digest;
}

void lwfc_codec_release(struct lwfc_codec *codec)
{
    if (codec != NULL) {
        for (int dtype = 0; dtype < LWFC_DTYPE_COUNT; dtype++) {
            if (codec->values[dtype] != codec->options.values) {
                lwfc_free((void *)(uintptr_t)codec->values[dtype]);
            }
        }
        lwfc_free(codec->transform_memory);
        lwfc_free(codec->section);
        lwfc_free(codec->context_memory);
        lwfc_free(codec->tables);
        lwfc_free(codec->file);
        lwfc_free(codec);
    }
}

int lwfc_codec_whole_samples(const struct lwfc_codec *codec)
{
    return codec->options.coder == LWFC_CODER_CONTEXT || codec->options.restore_nbytes > 0 ||
           codec->transform != NULL;
}

const struct lwfc_context_model *lwfc_codec_context(const struct lwfc_codec *codec)
{
    return codec->options.coder == LWFC_CODER_CONTEXT ? &codec->context : NULL;
}

int lwfc_codec_needs_values(const struct lwfc_codec *codec)
{
    return codec != NULL && (codec->options.rate_weight > 0 || codec->options.restore_nbytes > 0);
}

enum lwfc_status lwfc_codec_tables(const struct lwfc_codec *codec, const struct lwfc_view *view,
                                   struct lwfc_tables *tables)
{
    const struct lwfc_codec_options *o = &codec->options;
    const struct lwfc_geometry *g = &view->geometry;
    if (codec->transform != NULL) {
        *tables = (struct lwfc_tables){0};
        return lwfc_transform_fits(codec->transform, g);
    }
    const int grouped = o->groups > 1 && (int64_t)o->groups != g->channels;
    const int restored = o->restore_nbytes > 0 && codec->restore.channels != g->channels;
    if (g->nblocks > 0 && (grouped || restored)) {
        return LWFC_ERROR_CHANNELS;
    }
    *tables = (struct lwfc_tables){o->levels, o->groups, o->thresholds, codec->values[view->dtype],
                                   codec->zeros};
    return LWFC_OK;
}

enum lwfc_status lwfc_plan_make(const struct lwfc_tensor *tensor, int channel_axis,
                                int whole_samples, int num_threads, struct lwfc_plan *plan)
{
    struct lwfc_geometry geometry;
    if (tensor->rank < 0 || tensor->rank > LWFC_RANK_MAX || !lwfc_dtype_known(tensor->dtype) ||
        num_threads < 0) {
        return LWFC_ERROR_ARGUMENT;
    }
    const int axis = lwfc_channel_axis_resolve(channel_axis, tensor->rank);
    if (axis < -1 || lwfc_geometry_make(tensor->shape, tensor->rank, axis, whole_samples,
                                        &geometry) != 0) {
        return LWFC_ERROR_SHAPE;
    }
    lwfc_view_make(tensor, &geometry, &plan->view);
    const uint32_t features = lwfc_cpu_features();
    plan->passes.quantize = lwfc_quantize_kernels_for(features);
    plan->passes.convert = lwfc_convert_kernels_for(features);
    plan->passes.lanes = lwfc_lanes_kernels_for(features);
    plan->width =
        lwfc_parallel_width(geometry.nblocks, lwfc_geometry_values(&geometry), num_threads);
    return LWFC_OK;
}

/* 1 if a batch's plane is its last two axes beside the channels, though it has more: each frame
 * of a video has edges of its own. */
static int has_frames(const int64_t *shape, int rank, int axis)
{
    const int last = axis == rank - 1;
    const int spatial = axis < 1 ? 0 : last ? rank - 2 : rank - 1 - axis;
    const int64_t *plane = shape + rank - 2 - last;
    return spatial > 2 && plane[0] > 1 && plane[1] > 1;
}

int lwfc_codec_channel_axis(const struct lwfc_codec *codec, const struct lwfc_tensor *tensor)
{
    const struct lwfc_codec_options *o = &codec->options;
    int sample = tensor->rank == o->inner_rank;
    int64_t shape[LWFC_RANK_MAX + 1] = {1}; /* of the batch that the sample is */
    for (int i = 0; sample && i < o->inner_rank; i++) {
        sample = tensor->shape[i] == o->inner_shape[i];
        shape[i + 1] = tensor->shape[i];
    }
    int axis = lwfc_channel_axis_resolve(o->channel_axis, tensor->rank + sample);
    if (sample && axis <= 0) { /* samples without channels, or of which each is one */
        axis = lwfc_channel_axis_resolve(o->channel_axis, tensor->rank);
        sample = 0;
    }
    if (tensor->rank < 2) { /* a vector has no channels, not even as one sample of vectors */
        return axis < -1 ? axis : -1;
    }
    if (axis < 0 || codec->transform != NULL) {
        return axis - (axis > 0 && sample);
    }
    const int64_t *batch = sample ? shape : tensor->shape;
    const int flat = sample && axis == 3 && tensor->rank == 3; /* rows would count as samples */
    const int frames = flat || has_frames(batch, tensor->rank + sample, axis);
    const int code = axis - sample + (frames ? LWFC_AXIS_FRAMES : 0);
    return lwfc_channel_axis_resolve(code, tensor->rank) == code ? code : axis - sample;
}

enum lwfc_status lwfc_codec_plan(const struct lwfc_codec *codec, const struct lwfc_tensor *tensor,
                                 int num_threads, struct lwfc_plan *plan)
{
    struct lwfc_tensor t = *tensor;
    if (t.rank < 0 || t.rank > LWFC_RANK_MAX) {
        return LWFC_ERROR_ARGUMENT;
    }
    int axis = lwfc_codec_channel_axis(codec, tensor);
    if (axis < -1) {
        return LWFC_ERROR_SHAPE;
    }
    if (codec->transform != NULL && axis > 0) {
        lwfc_transform_split(codec->transform, t.shape, t.strides, &t.rank, &axis);
    }
    const enum lwfc_status status =
        lwfc_plan_make(&t, axis < 0 ? LWFC_AXIS_AUTO : axis, lwfc_codec_whole_samples(codec),
                       num_threads, plan);
    return status == LWFC_OK ? lwfc_codec_tables(codec, &plan->view, &plan->tables)
                             : status;
}

int lwfc_tensor_matches(const struct lwfc_tensor *t, int dtype, int rank, const int64_t *shape)
{
    int same = t->dtype == dtype && t->rank == rank;
    for (int i = 0; same && i < rank; i++) {
        same = t->shape[i] == shape[i];
    }
    return same;
}

/* The sizes that pieces of an axis come in: the step, and the remainder. */
static int piece_sizes(int64_t n, int64_t step, int32_t sizes[2])
{
    int count = 0;
    if (n >= step) {
        sizes[count++] = (int32_t)step;
    }
    if (n % step != 0) {
        sizes[count++] = (int32_t)(n % step);
    }
    return count;
}

int lwfc_plan_extents(const struct lwfc_geometry *g, struct lwfc_block extents[16])
{
    int32_t s[2], c[2], h[2], w[2];
    const int ns = piece_sizes(g->samples, g->samples_step, s);
    const int nc = piece_sizes(g->channels, g->channels_step, c);
    const int nh = piece_sizes(g->height, g->rows_step, h);
    const int nw = piece_sizes(g->width, g->columns_step, w);
    int count = 0;
    for (int i = 0; i < ns * nc * nh * nw; i++) {
        extents[count++] = (struct lwfc_block){s[i / (nc * nh * nw)], c[i / (nh * nw) % nc],
                                               h[i / nw % nh], w[i % nw]};
    }
    return count;
}
