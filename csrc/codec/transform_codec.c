#include "codec/transform_codec.h"

#include "base/memory.h"
#include "cpu/cpu.h"

enum lwfc_status lwfc_transform_fits(const struct lwfc_transform *t, const struct lwfc_geometry *g)
{
    if (g->nblocks == 0) {
        return LWFC_OK;
    }
    const int whole = g->height == t->height && g->width == t->width;
    const int tiled = t->is_free && g->height % t->height == 0 && g->width % t->width == 0;
    return g->channels == t->channels && (whole || tiled) ? LWFC_OK : LWFC_ERROR_INNER;
}

void lwfc_transform_split(const struct lwfc_transform *t, int64_t *shape, int64_t *strides,
                          int *rank, int *channel_axis)
{
    if (*rank == 2 && *channel_axis == 1 && t->is_free && t->height == 1 && t->width == 1) {
        shape[2] = shape[1];
        shape[1] = 1;
        if (strides != NULL) {
            strides[2] = strides[1];
            strides[1] = strides[0];
        }
        *rank = 3;
        *channel_axis = 2;
    }
}

size_t lwfc_transform_samples(const struct lwfc_transform *t, const struct lwfc_region *r)
{
    return (size_t)r->extent.samples * ((size_t)r->extent.height / (size_t)t->height) *
           ((size_t)r->extent.width / (size_t)t->width);
}

static size_t coefficients_of(const struct lwfc_transform *t, size_t blocks)
{
    return blocks * t->model.tables.groups * LWFC_GROUP;
}

/* 1 if the tensor's floats can be read and written where they are. */
static int is_direct(const struct lwfc_view *v)
{
    const ptrdiff_t item = sizeof(float);
    return v->dtype == LWFC_FLOAT32 && (uintptr_t)v->data % sizeof(float) == 0 &&
           (v->column_stride == item || v->channel_stride == item) && v->rows.count <= 1 &&
           (v->column_stride | v->channel_stride | v->row_stride | v->sample_stride) % item == 0 &&
           v->samples.count <= 1;
}

/* One sample's floats: in the tensor, or in a block of floats in the tensor's order. */
static struct lwfc_transform_tile tile_at(const struct lwfc_transform *t, const struct lwfc_view *v,
                                          const struct lwfc_region *r, float *values, size_t sample)
{
    const size_t across = (size_t)r->extent.width / (size_t)t->width;
    const size_t tiles = across * ((size_t)r->extent.height / (size_t)t->height);
    const size_t index = sample / tiles, tile = sample % tiles;
    struct lwfc_transform_tile to = {.largest = lwfc_dtype_largest(v->dtype)};
    if (is_direct(v)) {
        const ptrdiff_t item = sizeof(float);
        to.channel = v->channel_stride / item;
        to.row = v->row_stride / item;
        to.column = v->column_stride / item;
        to.data = (float *)(void *)v->data +
                  v->sample_stride / item * (ptrdiff_t)((size_t)r->sample + index);
    } else if (v->channels_last) {
        to.channel = 1;
        to.column = r->extent.channels;
        to.row = to.column * r->extent.width;
        to.data = values + index * (size_t)to.row * (size_t)r->extent.height;
    } else {
        to.column = 1;
        to.row = r->extent.width;
        to.channel = to.row * r->extent.height;
        to.data = values + index * (size_t)to.channel * (size_t)r->extent.channels;
    }
    to.data += (ptrdiff_t)(tile / across) * t->height * to.row +
               (ptrdiff_t)(tile % across) * t->width * to.column;
    return to;
}

struct lwfc_scratch_sizes lwfc_transform_sizes(const struct lwfc_transform *t,
                                               const struct lwfc_plan *plan,
                                               enum lwfc_transform_use use)
{
    const struct lwfc_geometry *g = &plan->view.geometry;
    const struct lwfc_block largest = {(int32_t)g->samples_step, (int32_t)g->channels_step,
                                       (int32_t)g->rows_step, (int32_t)g->columns_step};
    const struct lwfc_region region = {0, 0, 0, 0, largest};
    const size_t blocks =
        g->nblocks > 0 ? lwfc_transform_samples(t, &region) * (size_t)t->blocks : 0;
    struct lwfc_scratch_sizes s = {0};
    if (use != LWFC_TRANSFORM_DECODE) {
        s.symbols = lwfc_size_mul(coefficients_of(t, 1) * sizeof(int16_t), blocks);
    }
    if (use == LWFC_TRANSFORM_ENCODE) {
        s.coded = lwfc_groups_bound(&t->model, blocks);
    }
    if (!is_direct(&plan->view) || use == LWFC_TRANSFORM_SIMULATE) {
        s.values = lwfc_block_size(&largest) * sizeof(float);
    }
    s.workspace = (lwfc_transform_workspace(t) + 127) / 64 * 64 + lwfc_groups_list_nbytes(&t->model);
    return s;
}

enum lwfc_status lwfc_transform_coefficients(const struct lwfc_codec *codec,
                                             const struct lwfc_plan *plan,
                                             const struct lwfc_region *region,
                                             struct lwfc_scratch *scratch)
{
    const struct lwfc_transform *t = codec->transform;
    const struct lwfc_view *view = &plan->view;
    const struct lwfc_transform_kernels *kernels =
        lwfc_transform_kernels_for(lwfc_cpu_features());
    if (codec->options.nan == LWFC_NAN_RAISE &&
        lwfc_view_has_nonfinite(view, region, &plan->passes)) {
        return LWFC_ERROR_NONFINITE;
    }
    if (!is_direct(view)) {
        lwfc_view_load_values(view, region, &plan->passes, scratch->values);
    }
    int16_t *coefficients = (int16_t *)(void *)scratch->symbols;
    const size_t samples = lwfc_transform_samples(t, region);
    for (size_t i = 0; i < samples; i++) {
        const struct lwfc_transform_tile tile =
            tile_at(t, view, region, scratch->values, i);
        lwfc_transform_forward(t, kernels, &tile, coefficients, scratch->workspace);
        coefficients += coefficients_of(t, (size_t)t->blocks);
    }
    return LWFC_OK;
}

enum lwfc_status lwfc_transform_encode(const struct lwfc_codec *codec,
                                       const struct lwfc_plan *plan,
                                       const struct lwfc_region *region,
                                       struct lwfc_scratch *scratch, uint8_t **data,
                                       size_t *nbytes, int *lane_code)
{
    const struct lwfc_transform *t = codec->transform;
    const enum lwfc_status status = lwfc_transform_coefficients(codec, plan, region, scratch);
    if (status != LWFC_OK) {
        return status;
    }
    const size_t blocks = lwfc_transform_samples(t, region) * (size_t)t->blocks;
    const size_t bound = lwfc_groups_bound(&t->model, blocks);
    *data = lwfc_groups_encode(&t->model, (const int16_t *)(const void *)scratch->symbols, blocks,
                               scratch->coded, bound, lane_code);
    *nbytes = (size_t)(scratch->coded + bound - *data);
    return LWFC_OK;
}

static struct lwfc_groups_list list_in(const struct lwfc_transform *t,
                                       const struct lwfc_scratch *scratch)
{
    struct lwfc_groups_list list;
    lwfc_groups_list_place(&t->model, &list,
                           (uint8_t *)scratch->workspace +
                               (lwfc_transform_workspace(t) + 127) / 64 * 64);
    return list;
}

enum lwfc_status lwfc_transform_decode(const struct lwfc_codec *codec,
                                       const struct lwfc_plan *plan,
                                       const struct lwfc_region *region,
                                       struct lwfc_scratch *scratch, const uint8_t *data,
                                       size_t nbytes, int lane_code)
{
    const struct lwfc_transform *t = codec->transform;
    const struct lwfc_view *view = &plan->view;
    const uint32_t features = lwfc_cpu_features();
    const struct lwfc_transform_kernels *kernels = lwfc_transform_kernels_for(features);
    const struct lwfc_groups_kernels *groups = lwfc_groups_kernels_for(features);
    struct lwfc_groups_list list = list_in(t, scratch);
    struct lwfc_groups_reader reader;
    if (lwfc_groups_open(data, nbytes, lane_code, &reader) != 0) {
        return LWFC_ERROR_PAYLOAD;
    }
    const size_t samples = lwfc_transform_samples(t, region);
    for (size_t i = 0; i < samples; i++) {
        const struct lwfc_transform_tile tile =
            tile_at(t, view, region, scratch->values, i);
        for (int block = 0; block < t->blocks; block++) {
            if (groups->decode(&reader, &t->model.tables, &list) != 0) {
                return LWFC_ERROR_PAYLOAD;
            }
            lwfc_transform_inverse(t, kernels, &list, block, &tile, scratch->workspace);
        }
    }
    if (lwfc_groups_close(&reader) != 0) {
        return LWFC_ERROR_PAYLOAD;
    }
    if (!is_direct(view)) {
        lwfc_view_store_values(view, region, &plan->passes, scratch->values);
    }
    return LWFC_OK;
}

void lwfc_transform_reconstruct(const struct lwfc_codec *codec, const struct lwfc_plan *plan,
                                const struct lwfc_region *region, struct lwfc_scratch *scratch)
{
    const struct lwfc_transform *t = codec->transform;
    const struct lwfc_view *view = &plan->view;
    const struct lwfc_transform_kernels *kernels =
        lwfc_transform_kernels_for(lwfc_cpu_features());
    struct lwfc_groups_list list = list_in(t, scratch);
    const int16_t *coefficients = (const int16_t *)(const void *)scratch->symbols;
    const size_t samples = lwfc_transform_samples(t, region);
    for (size_t i = 0; i < samples; i++) {
        const struct lwfc_transform_tile tile =
            tile_at(t, view, region, scratch->values, i);
        for (int block = 0; block < t->blocks; block++) {
            lwfc_groups_list_make(&t->model, coefficients, &list);
            lwfc_transform_inverse(t, kernels, &list, block, &tile, scratch->workspace);
            coefficients += coefficients_of(t, 1);
        }
    }
    if (!is_direct(view)) {
        lwfc_view_store_values(view, region, &plan->passes, scratch->values);
    }
}
