#include "container/codec_file.h"

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/memory.h"
#include "container/geometry.h"

#include <math.h>
#include <string.h>

static const uint8_t magic[4] = {0xC5, 'L', 'C', 1}; /* the last byte is the version */

enum {
    FIXED_NBYTES = 24, /* magic .. groups */
    DIMENSION_NBYTES = 8,
    BLOB_COUNT = 4,
    FLAG_BOUND = 1,
    FLAG_NAN_RAISE = 2,
    FLAG_TRANSFORM = 8
};

/* 64-bit Fowler-Noll-Vo hash, variant 1a: identity, not protection. */
static uint64_t hash_bytes(const uint8_t *data, size_t nbytes)
{
    uint64_t hash = 0xCBF29CE484222325u;
    for (size_t i = 0; i < nbytes; i++) {
        hash = (hash ^ data[i]) * 0x100000001B3u;
    }
    return hash;
}

/* A float of the caller's tables, and one of a file's. */
static float native_f32(const uint8_t *p)
{
    float v;
    memcpy(&v, p, sizeof v);
    return v;
}

static float stored_f32(const uint8_t *p)
{
    return lwfc_load_f32(p);
}

typedef float load_f32(const uint8_t *p);

static int ascending(const float *v, size_t n, load_f32 *load)
{
    const uint8_t *p = (const uint8_t *)v;
    for (size_t i = 0; i < n; i++, p += sizeof *v) {
        const float x = load(p);
        if (!isfinite(x) || (i > 0 && !(load(p - sizeof *v) <= x))) {
            return 0;
        }
    }
    return 1;
}

/* A transform is in place of the quantizer, its models and their choices. */
static int is_plain_transform(const struct lwfc_codec_options *o)
{
    return o->levels == 0 && o->groups == 0 && o->coder == LWFC_CODER_RANS && o->bound &&
           o->rate_weight == 0 && o->context_nbytes == 0 && o->restore_nbytes == 0;
}

static enum lwfc_status options_check(const struct lwfc_codec_options *o, load_f32 *load)
{
    if (o->transform_nbytes > 0) {
        if (!is_plain_transform(o)) {
            return LWFC_ERROR_ARGUMENT;
        }
    } else if (o->levels < 2 || o->levels > LWFC_LEVELS_MAX || o->groups < 1 ||
               o->groups > (size_t)1 << 24) {
        return LWFC_ERROR_LEVELS;
    }
    if (o->coder < LWFC_CODER_RAW || o->coder > LWFC_CODER_CONTEXT) {
        return LWFC_ERROR_CODER;
    }
    if ((o->channel_axis != LWFC_AXIS_AUTO &&
         (o->channel_axis < -LWFC_RANK_MAX || o->channel_axis >= LWFC_RANK_MAX)) ||
        o->inner_rank < 0 || o->inner_rank >= LWFC_RANK_MAX) {
        return LWFC_ERROR_SHAPE;
    }
    for (int i = 0; i < o->inner_rank; i++) {
        if (o->inner_shape[i] < 0) {
            return LWFC_ERROR_SHAPE;
        }
    }
    if (!isfinite(o->rate_weight) || o->rate_weight < 0 || (o->bound & ~1) || (o->nan & ~1)) {
        return LWFC_ERROR_ARGUMENT;
    }
    if (!o->bound && (o->coder == LWFC_CODER_CONTEXT || o->restore_nbytes > 0)) {
        return LWFC_ERROR_ARGUMENT; /* such streams do not decode on their own */
    }
    if ((o->coder == LWFC_CODER_CONTEXT) != (o->context_nbytes > 0)) {
        return LWFC_ERROR_ARGUMENT;
    }
    const size_t levels = (size_t)o->levels;
    for (size_t g = 0; g < o->groups; g++) {
        if (!ascending(o->thresholds + g * (levels - 1), levels - 1, load) ||
            !ascending(o->values + g * levels, levels, load)) {
            return LWFC_ERROR_LEVELS;
        }
    }
    return LWFC_OK;
}

enum lwfc_status lwfc_codec_options_check(const struct lwfc_codec_options *o)
{
    return options_check(o, native_f32);
}

static size_t tables_nbytes(size_t groups, int levels)
{
    return levels > 0 ? lwfc_size_mul(groups, (size_t)(2 * levels - 1) * sizeof(float)) : 0;
}

size_t lwfc_codec_file_bound(const struct lwfc_codec_options *o)
{
    size_t n = FIXED_NBYTES + (size_t)o->inner_rank * DIMENSION_NBYTES + BLOB_COUNT * 4 + 4;
    n = lwfc_size_add(n, tables_nbytes(o->groups, o->levels));
    n = lwfc_size_add(n, o->context_nbytes);
    n = lwfc_size_add(n, o->restore_nbytes);
    n = lwfc_size_add(n, o->transform_nbytes);
    return lwfc_size_add(n, o->metadata_nbytes);
}

static uint8_t *put_blob(uint8_t *p, const uint8_t *blob, size_t nbytes)
{
    lwfc_store_u32(p, (uint32_t)nbytes);
    if (nbytes > 0) {
        memcpy(p + 4, blob, nbytes);
    }
    return p + 4 + nbytes;
}

size_t lwfc_codec_file_write(const struct lwfc_codec_options *o, uint8_t *out)
{
    uint64_t rate_bits;
    memcpy(&rate_bits, &o->rate_weight, sizeof rate_bits);
    memcpy(out, magic, sizeof magic);
    out[4] = (uint8_t)(o->levels > 0 ? o->levels - 1 : 0);
    out[5] = (uint8_t)o->coder;
    out[6] = (uint8_t)(int8_t)o->channel_axis;
    out[7] = (uint8_t)((o->bound ? FLAG_BOUND : 0) | (o->nan ? FLAG_NAN_RAISE : 0) |
                       (o->transform_nbytes > 0 ? FLAG_TRANSFORM : 0));
    lwfc_store_u64(out + 8, rate_bits);
    lwfc_store_u32(out + 16, (uint32_t)o->groups);
    lwfc_store_u32(out + 20, (uint32_t)o->inner_rank);
    uint8_t *p = out + FIXED_NBYTES;
    for (int i = 0; i < o->inner_rank; i++, p += DIMENSION_NBYTES) {
        lwfc_store_u64(p, (uint64_t)o->inner_shape[i]);
    }
    const size_t levels = (size_t)o->levels;
    for (size_t i = 0; i < o->groups * (levels - 1); i++, p += 4) {
        lwfc_store_f32(p, o->thresholds[i]);
    }
    for (size_t i = 0; i < o->groups * levels; i++, p += 4) {
        lwfc_store_f32(p, o->values[i]);
    }
    p = put_blob(p, o->context, o->context_nbytes);
    p = put_blob(p, o->restore, o->restore_nbytes);
    if (o->transform_nbytes > 0) {
        p = put_blob(p, o->transform, o->transform_nbytes);
    }
    p = put_blob(p, o->metadata, o->metadata_nbytes);
    lwfc_store_u32(p, lwfc_crc32c(0, out, (size_t)(p - out)));
    return (size_t)(p + 4 - out);
}

/* Points *blob at the next section and moves on; -1 if it does not fit. */
static int take_blob(const uint8_t **p, const uint8_t *end, const uint8_t **blob, size_t *nbytes)
{
    if (end - *p < 4) {
        return -1;
    }
    *nbytes = lwfc_load_u32(*p);
    *p += 4;
    if ((size_t)(end - *p) < *nbytes) {
        return -1;
    }
    *blob = *p;
    *p += *nbytes;
    return 0;
}

enum lwfc_status lwfc_codec_file_read(const uint8_t *data, size_t nbytes,
                                      struct lwfc_codec_options *o, uint64_t *digest)
{
    if (nbytes < sizeof magic || memcmp(data, magic, 3) != 0) {
        return LWFC_ERROR_MAGIC;
    }
    if (data[3] != magic[3]) {
        return LWFC_ERROR_VERSION;
    }
    if (nbytes < FIXED_NBYTES + 4) {
        return LWFC_ERROR_TRUNCATED;
    }
    if (lwfc_crc32c(0, data, nbytes - 4) != lwfc_load_u32(data + nbytes - 4)) {
        return LWFC_ERROR_CHECKSUM;
    }
    memset(o, 0, sizeof *o);
    o->struct_size = sizeof *o;
    o->levels = data[4] + 1;
    o->coder = data[5];
    o->channel_axis = (int8_t)data[6];
    if (data[7] & ~(FLAG_BOUND | FLAG_NAN_RAISE | FLAG_TRANSFORM)) {
        return LWFC_ERROR_RESERVED;
    }
    const int has_transform = (data[7] & FLAG_TRANSFORM) != 0;
    if (has_transform && o->levels == 1) {
        o->levels = 0;
    }
    o->bound = (data[7] & FLAG_BOUND) != 0;
    o->nan = (data[7] & FLAG_NAN_RAISE) != 0;
    const uint64_t rate_bits = lwfc_load_u64(data + 8);
    memcpy(&o->rate_weight, &rate_bits, sizeof rate_bits);
    o->groups = lwfc_load_u32(data + 16);
    if (has_transform && o->groups != 0) {
        return LWFC_ERROR_CODEC_FILE;
    }
    const uint32_t inner_rank = lwfc_load_u32(data + 20);
    if (inner_rank >= LWFC_RANK_MAX) {
        return LWFC_ERROR_SHAPE;
    }
    o->inner_rank = (int)inner_rank;
    const uint8_t *p = data + FIXED_NBYTES;
    const uint8_t *end = data + nbytes - 4;
    const size_t tables = tables_nbytes(o->groups, o->levels);
    const size_t dimensions = inner_rank * (size_t)DIMENSION_NBYTES;
    if ((size_t)(end - p) < dimensions || (size_t)(end - p) - dimensions < tables) {
        return LWFC_ERROR_TRUNCATED;
    }
    for (uint32_t i = 0; i < inner_rank; i++, p += DIMENSION_NBYTES) {
        o->inner_shape[i] = (int64_t)lwfc_load_u64(p);
    }
    o->thresholds = (const float *)(const void *)p;
    p += o->groups * (size_t)(o->levels - 1) * 4;
    o->values = (const float *)(const void *)p;
    p += o->groups * (size_t)o->levels * 4;
    if (take_blob(&p, end, &o->context, &o->context_nbytes) != 0 ||
        take_blob(&p, end, &o->restore, &o->restore_nbytes) != 0 ||
        (has_transform && take_blob(&p, end, &o->transform, &o->transform_nbytes) != 0)) {
        return LWFC_ERROR_TRUNCATED;
    }
    if (has_transform && o->transform_nbytes == 0) {
        return LWFC_ERROR_CODEC_FILE;
    }
    *digest = hash_bytes(data, (size_t)(p - data));
    if (take_blob(&p, end, &o->metadata, &o->metadata_nbytes) != 0) {
        return LWFC_ERROR_TRUNCATED;
    }
    if (p != end) {
        return LWFC_ERROR_TRAILING;
    }
    const enum lwfc_status status = options_check(o, stored_f32);
    return status == LWFC_ERROR_ARGUMENT ? LWFC_ERROR_CODEC_FILE : status;
}
