#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/memory.h"
#include "codec/block_codec.h"
#include "codec/blocks.h"
#include "codec/order.h"
#include "codec/symbols.h"
#include "codec/transform_codec.h"
#include "container/header.h"

#include <string.h>

/* What the threads of one encode share. */
struct job {
    const struct lwfc_codec *codec;
    struct lwfc_plan plan;
    struct lwfc_extent *extents; /* each block's bytes, allocated */
    const uint8_t *symbols;      /* the caller's, or NULL */
    int is_compact;
    int lane_code; /* of a compact stream's block */
};

/* Fills scratch->symbols. */
static enum lwfc_status find_symbols(const struct job *job, const struct lwfc_region *region,
                                     struct lwfc_scratch *scratch)
{
    if (job->symbols == NULL) {
        return lwfc_symbols_make(job->codec, &job->plan, region, scratch);
    }
    return lwfc_order_gather(&job->plan.view.geometry, region, job->symbols,
                             job->plan.tables.levels, scratch->symbols) == 0
               ? LWFC_OK
               : LWFC_ERROR_ARGUMENT;
}

static enum lwfc_status encode_block(void *context, int64_t block, struct lwfc_scratch *scratch)
{
    const struct job *job = context;
    const struct lwfc_geometry *geometry = &job->plan.view.geometry;
    const struct lwfc_region region = lwfc_geometry_region(geometry, block);
    const enum lwfc_status status = find_symbols(job, &region, scratch);
    if (status != LWFC_OK) {
        return status;
    }
    const size_t nbytes = lwfc_block_encode(job->codec, scratch->symbols, &region.extent,
                                            scratch->coded, scratch->workspace);
    uint8_t *own = lwfc_alloc(nbytes);
    if (own == NULL) {
        return LWFC_ERROR_MEMORY;
    }
    memcpy(own, scratch->coded, nbytes);
    /* The outer checksum covers the only block of a stream. */
    const uint32_t crc = geometry->nblocks > 1 ? lwfc_crc32c(0, own, nbytes) : 0;
    job->extents[block] = (struct lwfc_extent){own, nbytes, crc};
    return LWFC_OK;
}

/* The same of a transform; the compact header says what the method byte would. */
static enum lwfc_status transform_block(void *context, int64_t block,
                                        struct lwfc_scratch *scratch)
{
    struct job *job = context;
    const struct lwfc_geometry *geometry = &job->plan.view.geometry;
    const struct lwfc_region region = lwfc_geometry_region(geometry, block);
    uint8_t *coded;
    size_t nbytes;
    int lane_code;
    const enum lwfc_status status = lwfc_transform_encode(job->codec, &job->plan, &region, scratch,
                                                          &coded, &nbytes, &lane_code);
    if (status != LWFC_OK) {
        return status;
    }
    const size_t method = job->is_compact ? 0 : 1;
    uint8_t *own = lwfc_alloc(method + nbytes);
    if (own == NULL) {
        return LWFC_ERROR_MEMORY;
    }
    own[0] = (uint8_t)(LWFC_METHOD_TRANSFORM + lane_code);
    memcpy(own + method, coded, nbytes);
    if (job->is_compact) {
        job->lane_code = lane_code; /* the only block writes it */
    }
    nbytes += method;
    const uint32_t crc = geometry->nblocks > 1 ? lwfc_crc32c(0, own, nbytes) : 0;
    job->extents[block] = (struct lwfc_extent){own, nbytes, crc};
    return LWFC_OK;
}

/* Streams of one block of floats that have the codec's usual shape. */
static int is_compact(const struct lwfc_codec *codec, const struct lwfc_tensor *x, int64_t nblocks)
{
    const struct lwfc_codec_options *o = &codec->options;
    int same = codec->transform != NULL && nblocks == 1 && o->inner_rank > 0 &&
               x->rank == o->inner_rank + 1 && x->dtype <= LWFC_TYPE_FLOAT64;
    for (int i = 1; same && i < x->rank; i++) {
        same = x->shape[i] == o->inner_shape[i - 1];
    }
    return same;
}

static void describe(const struct lwfc_codec *codec, const struct lwfc_tensor *x,
                     struct lwfc_header *h)
{
    const struct lwfc_codec_options *o = &codec->options;
    memset(h, 0, sizeof *h);
    h->bound = o->bound;
    h->transform = codec->transform != NULL ? LWFC_TRANSFORM_DCT_KLT : LWFC_TRANSFORM_NONE;
    h->coder = o->coder;
    h->dtype = x->dtype;
    h->rank = x->rank;
    h->channel_axis = lwfc_codec_channel_axis(codec, x);
    h->digest_tag = (uint32_t)codec->digest;
    h->levels = o->levels;
    const int uniform = codec->uniform && codec->values[x->dtype] == o->values;
    h->values_kind = uniform ? LWFC_VALUES_UNIFORM : LWFC_VALUES_TABLE;
    h->groups = o->groups;
    h->inner_known = o->bound && o->inner_rank > 0 && x->rank == o->inner_rank + 1;
    for (int i = 0; i < x->rank; i++) {
        h->shape[i] = x->shape[i];
        h->inner_known = h->inner_known && (i == 0 || x->shape[i] == o->inner_shape[i - 1]);
    }
}

/* Header, index, checksum and blocks into one buffer. */
static enum lwfc_status assemble(const struct job *job, const struct lwfc_tensor *x, uint8_t **data,
                                 size_t *nbytes)
{
    const struct lwfc_extent *extents = job->extents;
    const int64_t nblocks = job->plan.view.geometry.nblocks;
    struct lwfc_header header;
    describe(job->codec, x, &header);
    if (job->is_compact) {
        header.compact = 1;
        header.lane_code = job->lane_code;
        header.digest_tag &= 0xFFFF;
    }
    size_t total = lwfc_header_bound(&header) + 4;
    for (int64_t i = 0; i < nblocks; i++) {
        total = lwfc_size_add(total, extents[i].nbytes + LWFC_INDEX_ENTRY_MAX);
    }
    uint8_t *out = lwfc_alloc(total);
    if (out == NULL) {
        return LWFC_ERROR_MEMORY;
    }
    uint8_t *p = out + lwfc_header_write(&header, job->plan.tables.values, out);
    if (nblocks > 1) {
        p += lwfc_index_write(extents, nblocks, p);
    }
    const uint32_t seed = lwfc_header_seed(&header, job->codec->digest);
    uint32_t crc = lwfc_crc32c(seed, out, (size_t)(p - out));
    if (nblocks == 1) {
        crc = lwfc_crc32c(crc, extents[0].data, extents[0].nbytes);
    }
    lwfc_store_u32(p, crc);
    p += 4;
    for (int64_t i = 0; i < nblocks; i++) {
        memcpy(p, extents[i].data, extents[i].nbytes);
        p += extents[i].nbytes;
    }
    *data = out;
    *nbytes = (size_t)(p - out);
    return LWFC_OK;
}

/* Codes x, or where there are symbols these, as those of a tensor that x describes. */
static enum lwfc_status encode_tensor(const struct lwfc_codec *codec, const struct lwfc_tensor *x,
                                      const uint8_t *symbols, int num_threads, uint8_t **data,
                                      size_t *nbytes)
{
    struct job job = {.codec = codec, .symbols = symbols};
    enum lwfc_status status = lwfc_codec_plan(codec, x, num_threads, &job.plan);
    if (status != LWFC_OK) {
        return status;
    }
    const size_t nblocks = (size_t)job.plan.view.geometry.nblocks;
    job.extents = lwfc_alloc(lwfc_size_mul(nblocks, sizeof *job.extents));
    if (job.extents == NULL) {
        return LWFC_ERROR_MEMORY;
    }
    memset(job.extents, 0, nblocks * sizeof *job.extents);
    job.is_compact = is_compact(codec, x, (int64_t)nblocks);
    if (codec->transform != NULL) {
        const struct lwfc_scratch_sizes sizes =
            lwfc_transform_sizes(codec->transform, &job.plan, LWFC_TRANSFORM_ENCODE);
        status = lwfc_blocks_run_sized(&sizes, &job.plan, transform_block, &job);
    } else {
        status = lwfc_blocks_run(codec, &job.plan, encode_block, &job);
    }
    if (status == LWFC_OK) {
        status = assemble(&job, x, data, nbytes);
    }
    for (size_t i = 0; i < nblocks; i++) {
        lwfc_free((uint8_t *)(uintptr_t)job.extents[i].data);
    }
    lwfc_free(job.extents);
    return status;
}

enum lwfc_status lwfc_encode(const struct lwfc_codec *codec, const struct lwfc_tensor *x,
                             int num_threads, uint8_t **data, size_t *nbytes)
{
    return encode_tensor(codec, x, NULL, num_threads, data, nbytes);
}

enum lwfc_status lwfc_encode_symbols(const struct lwfc_codec *codec, const struct lwfc_tensor *like,
                                     const uint8_t *symbols, int num_threads, uint8_t **data,
                                     size_t *nbytes)
{
    if (codec->transform != NULL) {
        return LWFC_ERROR_ARGUMENT;
    }
    return encode_tensor(codec, like, symbols, num_threads, data, nbytes);
}

void lwfc_free_bytes(uint8_t *data)
{
    lwfc_free(data);
}
