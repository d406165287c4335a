#include "base/crc32c.h"
#include "base/memory.h"
#include "codec/block_codec.h"
#include "codec/blocks.h"
#include "codec/order.h"
#include "codec/symbols.h"
#include "codec/transform_codec.h"
#include "container/header.h"
#include "par/par.h"

#include <string.h>

/* What the threads of one decode share. */
struct job {
    const struct lwfc_codec *codec; /* NULL for self-contained streams */
    struct lwfc_plan plan;
    struct lwfc_extent *extents;
    float *values; /* of a self-contained stream */
    uint8_t *symbols; /* where they are wanted instead of values, or NULL */
    uint8_t *gathered; /* the symbols of all blocks, until samples are restored */
    const struct lwfc_header *header;
};

/* A block's symbols, to scratch->symbols. */
static enum lwfc_status decode_symbols(const struct job *job, int64_t block,
                                       const struct lwfc_region *region,
                                       struct lwfc_scratch *scratch)
{
    const struct lwfc_extent *extent = &job->extents[block];
    if (job->plan.view.geometry.nblocks > 1 &&
        lwfc_crc32c(0, extent->data, extent->nbytes) != extent->crc) {
        return LWFC_ERROR_CHECKSUM;
    }
    return lwfc_block_decode(job->codec, extent->data, extent->nbytes, &region->extent,
                             job->plan.tables.levels, scratch->symbols, scratch->workspace);
}

static enum lwfc_status decode_block(void *context, int64_t block, struct lwfc_scratch *scratch)
{
    const struct job *job = context;
    const struct lwfc_geometry *geometry = &job->plan.view.geometry;
    const struct lwfc_region region = lwfc_geometry_region(geometry, block);
    const enum lwfc_status status = decode_symbols(job, block, &region, scratch);
    if (status == LWFC_OK && job->symbols != NULL) {
        lwfc_order_scatter(geometry, &region, scratch->symbols, job->symbols);
    } else if (status == LWFC_OK) {
        lwfc_symbols_restore(job->codec, &job->plan, &region, scratch);
    }
    return status;
}

static enum lwfc_status gather_block(void *context, int64_t block, struct lwfc_scratch *scratch)
{
    const struct job *job = context;
    const struct lwfc_region region = lwfc_geometry_region(&job->plan.view.geometry, block);
    const size_t size = lwfc_block_size(&region.extent);
    const size_t sample = size / (size_t)region.extent.samples;
    const enum lwfc_status status = decode_symbols(job, block, &region, scratch);
    if (status == LWFC_OK) {
        memcpy(job->gathered + (size_t)region.sample * sample, scratch->symbols, size);
    }
    return status;
}

static enum lwfc_status restore_sample(void *context, int64_t index, struct lwfc_scratch *scratch)
{
    const struct job *job = context;
    const struct lwfc_region region = lwfc_geometry_region(&job->plan.view.geometry, index);
    struct lwfc_scratch own = *scratch;
    own.symbols = job->gathered + (size_t)index * lwfc_block_size(&region.extent);
    lwfc_symbols_restore(job->codec, &job->plan, &region, &own);
    return LWFC_OK;
}

/* Whether blocks are too few to keep the threads busy with their restoration, which
 * takes longest: samples are more. */
static int restores_apart(const struct job *job, int num_threads)
{
    const struct lwfc_geometry *const g = &job->plan.view.geometry;
    const int width = lwfc_parallel_width(g->samples, lwfc_geometry_values(g), num_threads);
    return job->symbols == NULL && job->codec != NULL && job->codec->options.restore_nbytes > 0 &&
           width > 1 && g->nblocks < g->samples && g->nblocks < 4 * width;
}

/* All symbols first, then each sample's restoration by itself. */
static enum lwfc_status decode_apart(struct job *job, int num_threads)
{
    struct lwfc_geometry *const g = &job->plan.view.geometry;
    const int64_t values = lwfc_geometry_values(g);
    job->gathered = lwfc_alloc((size_t)values + 64); /* vectors read past the end */
    if (job->gathered == NULL) {
        return LWFC_ERROR_MEMORY;
    }
    enum lwfc_status status = lwfc_blocks_run(job->codec, &job->plan, gather_block, job);
    if (status == LWFC_OK) {
        g->samples_step = 1;
        g->nblocks = g->samples;
        job->plan.width = lwfc_parallel_width(g->nblocks, values, num_threads);
        status = lwfc_blocks_run(job->codec, &job->plan, restore_sample, job);
    }
    lwfc_free(job->gathered);
    return status;
}

static enum lwfc_status transform_block(void *context, int64_t block,
                                        struct lwfc_scratch *scratch)
{
    const struct job *job = context;
    const struct lwfc_geometry *geometry = &job->plan.view.geometry;
    const struct lwfc_region region = lwfc_geometry_region(geometry, block);
    const struct lwfc_extent *extent = &job->extents[block];
    if (geometry->nblocks > 1 && lwfc_crc32c(0, extent->data, extent->nbytes) != extent->crc) {
        return LWFC_ERROR_CHECKSUM;
    }
    if (job->header->compact) {
        return lwfc_transform_decode(job->codec, &job->plan, &region, scratch, extent->data,
                                     extent->nbytes, job->header->lane_code);
    }
    if (extent->nbytes < 1) {
        return LWFC_ERROR_TRUNCATED;
    }
    const int lane_code = extent->data[0] - LWFC_METHOD_TRANSFORM;
    if (lane_code < 0 || lane_code >= LWFC_GROUPS_LANE_CODES) {
        return LWFC_ERROR_CODER;
    }
    return lwfc_transform_decode(job->codec, &job->plan, &region, scratch, extent->data + 1,
                                 extent->nbytes - 1, lane_code);
}

/* The header, and the codec that the stream is bound to or NULL. */
static enum lwfc_status read_header(const uint8_t *data, size_t nbytes,
                                    const struct lwfc_codec **codec, struct lwfc_header *header)
{
    static const int64_t no_shape[1];
    const int64_t *inner_shape = *codec != NULL ? (*codec)->options.inner_shape : no_shape;
    const int inner_rank = *codec != NULL ? (*codec)->options.inner_rank : 0;
    const enum lwfc_status status =
        lwfc_header_read(data, nbytes, inner_shape, inner_rank, header);
    if (status != LWFC_OK) {
        /* Another codec's inner shape may not fit; say what is really wrong. */
        const int foreign = header->bound && *codec != NULL &&
                            !lwfc_header_is_of(header, (*codec)->digest);
        return foreign && status == LWFC_ERROR_SHAPE ? LWFC_ERROR_CODEC_DIGEST : status;
    }
    if (!header->bound) {
        *codec = NULL;
        return LWFC_OK;
    }
    if (*codec == NULL) {
        return LWFC_OK;
    }
    if (!lwfc_header_is_of(header, (*codec)->digest)) {
        return LWFC_ERROR_CODEC_DIGEST;
    }
    if (header->transform != ((*codec)->transform != NULL)) {
        return LWFC_ERROR_TRANSFORM;
    }
    if (header->coder != (*codec)->options.coder) {
        return LWFC_ERROR_CODER;
    }
    if (header->compact) {
        if (header->rank < 0) {
            return LWFC_ERROR_SHAPE; /* this codec writes no compact streams */
        }
        header->channel_axis =
            lwfc_channel_axis_resolve((*codec)->options.channel_axis, header->rank);
    }
    return LWFC_OK;
}

static int cuts_whole_samples(const struct lwfc_header *header, const struct lwfc_codec *codec)
{
    return codec != NULL ? lwfc_codec_whole_samples(codec) : header->coder == LWFC_CODER_CONTEXT;
}

static uint32_t seed_of(const struct lwfc_header *header, const struct lwfc_codec *codec)
{
    return codec != NULL ? lwfc_header_seed(header, codec->digest) : 0;
}

/* The geometry of a stream whose codec, if it needs one, is there. */
static enum lwfc_status find_geometry(const struct lwfc_header *h, const struct lwfc_codec *codec,
                                      struct lwfc_geometry *geometry)
{
    int64_t shape[LWFC_RANK_MAX];
    int rank = h->rank, axis = h->channel_axis;
    memcpy(shape, h->shape, sizeof shape);
    if (codec != NULL && codec->transform != NULL) {
        lwfc_transform_split(codec->transform, shape, NULL, &rank, &axis);
    }
    return axis < -1 || lwfc_geometry_make(shape, rank, axis, cuts_whole_samples(h, codec),
                                           geometry) != 0
               ? LWFC_ERROR_SHAPE
               : LWFC_OK;
}

enum lwfc_status lwfc_inspect(const uint8_t *data, size_t nbytes, const struct lwfc_codec *codec,
                              struct lwfc_info *info)
{
    struct lwfc_header h;
    const enum lwfc_status status = read_header(data, nbytes, &codec, &h);
    if (status != LWFC_OK) {
        return status;
    }
    *info = (struct lwfc_info){.version = LWFC_STREAM_VERSION,
                               .bound = h.bound,
                               .coder = h.coder,
                               .dtype = h.dtype,
                               .rank = h.rank,
                               .channel_axis = lwfc_channel_axis_plain(h.channel_axis),
                               .levels = codec != NULL ? codec->options.levels : h.levels,
                               .transform = h.transform,
                               .compact = h.compact,
                               .digest_tag = h.digest_tag,
                               .header_nbytes = h.nbytes,
                               .nblocks = -1,
                               .raw_nblocks = -1};
    for (int i = 0; i < h.rank; i++) {
        info->shape[i] = h.shape[i];
    }
    if (h.bound && codec == NULL) {
        return LWFC_OK; /* how it is cut into blocks is known to the codec */
    }
    struct lwfc_geometry geometry;
    if ((h.inner_known && codec->options.inner_rank == 0) ||
        find_geometry(&h, codec, &geometry) != LWFC_OK || (h.compact && geometry.nblocks != 1)) {
        return LWFC_ERROR_SHAPE;
    }
    if (!lwfc_index_plausible(geometry.nblocks, nbytes)) {
        return LWFC_ERROR_TRUNCATED;
    }
    info->nblocks = geometry.nblocks;
    struct lwfc_extent *extents =
        lwfc_alloc(lwfc_size_mul((size_t)geometry.nblocks, sizeof *extents));
    if (extents == NULL) {
        return LWFC_ERROR_MEMORY;
    }
    const enum lwfc_status index_status =
        lwfc_index_read(data, nbytes, h.nbytes, seed_of(&h, codec), geometry.nblocks, extents,
                        &info->header_nbytes);
    if (index_status == LWFC_OK) {
        info->raw_nblocks = 0; /* a transform has no such blocks */
        for (int64_t i = 0; i < geometry.nblocks && h.transform == 0; i++) {
            info->raw_nblocks += extents[i].nbytes > 0 && extents[i].data[0] == LWFC_CODER_RAW;
        }
    }
    lwfc_free(extents);
    return index_status;
}

/* The value tables: the codec's, or the header's in fresh memory. */
static enum lwfc_status find_tables(struct job *job, const struct lwfc_header *h)
{
    if (h->bound) {
        const enum lwfc_status status =
            lwfc_codec_tables(job->codec, &job->plan.view, &job->plan.tables);
        return status == LWFC_OK ? LWFC_OK : LWFC_ERROR_SHAPE; /* the bytes' fault */
    }
    job->values = lwfc_alloc(h->groups * (size_t)h->levels * sizeof *job->values);
    if (job->values == NULL) {
        return LWFC_ERROR_MEMORY;
    }
    lwfc_header_values(h, job->values);
    job->plan.tables = (struct lwfc_tables){h->levels, h->groups, NULL, job->values, NULL};
    return LWFC_OK;
}

/* Decodes into out, or where that is wanted its symbols alone. */
static enum lwfc_status decode_tensor(const uint8_t *data, size_t nbytes,
                                      const struct lwfc_codec *codec,
                                      const struct lwfc_tensor *out, uint8_t *symbols,
                                      int num_threads)
{
    struct lwfc_header h;
    struct job job = {.codec = codec, .symbols = symbols, .header = &h};
    enum lwfc_status status = read_header(data, nbytes, &job.codec, &h);
    if (status != LWFC_OK) {
        return status;
    }
    if (h.bound && codec == NULL) {
        return LWFC_ERROR_CODEC_MISSING;
    }
    if (!lwfc_tensor_matches(out, h.dtype, h.rank, h.shape)) {
        return LWFC_ERROR_MISMATCH;
    }
    if (symbols != NULL && h.transform != LWFC_TRANSFORM_NONE) {
        return LWFC_ERROR_ARGUMENT;
    }
    int axis = h.channel_axis < 0 ? LWFC_AXIS_AUTO : h.channel_axis;
    struct lwfc_tensor tensor = *out;
    if (job.codec != NULL && job.codec->transform != NULL) {
        lwfc_transform_split(job.codec->transform, tensor.shape, tensor.strides, &tensor.rank,
                             &axis);
    }
    status =
        lwfc_plan_make(&tensor, axis, cuts_whole_samples(&h, job.codec), num_threads, &job.plan);
    if (status != LWFC_OK) {
        return status;
    }
    const int64_t nblocks = job.plan.view.geometry.nblocks;
    if (!lwfc_index_plausible(nblocks, nbytes)) {
        return LWFC_ERROR_TRUNCATED;
    }
    job.extents = lwfc_alloc(lwfc_size_mul((size_t)nblocks, sizeof *job.extents));
    status = job.extents != NULL ? find_tables(&job, &h) : LWFC_ERROR_MEMORY;
    if (status == LWFC_OK) {
        size_t header_nbytes;
        status = lwfc_index_read(data, nbytes, h.nbytes, seed_of(&h, job.codec), nblocks,
                                 job.extents, &header_nbytes);
    }
    if (status == LWFC_OK && job.codec != NULL && job.codec->transform != NULL) {
        const struct lwfc_scratch_sizes sizes =
            lwfc_transform_sizes(job.codec->transform, &job.plan, LWFC_TRANSFORM_DECODE);
        status = lwfc_blocks_run_sized(&sizes, &job.plan, transform_block, &job);
    } else if (status == LWFC_OK && restores_apart(&job, num_threads)) {
        status = decode_apart(&job, num_threads);
    } else if (status == LWFC_OK) {
        status = lwfc_blocks_run(job.codec, &job.plan, decode_block, &job);
    }
    lwfc_free(job.values);
    lwfc_free(job.extents);
    return status;
}

enum lwfc_status lwfc_decode(const uint8_t *data, size_t nbytes, const struct lwfc_codec *codec,
                             const struct lwfc_tensor *out, int num_threads)
{
    return decode_tensor(data, nbytes, codec, out, NULL, num_threads);
}

enum lwfc_status lwfc_decode_symbols(const uint8_t *data, size_t nbytes,
                                     const struct lwfc_codec *codec, const struct lwfc_tensor *like,
                                     int num_threads, uint8_t *symbols)
{
    return decode_tensor(data, nbytes, codec, like, symbols, num_threads);
}
