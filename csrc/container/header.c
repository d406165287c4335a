#include "container/header.h"

#include "base/bytes.h"
#include "base/crc32c.h"
#include "container/geometry.h"

#include <math.h>
#include <string.h>

static const uint8_t magic[2] = {0xC5, 'L'};

/* The first byte of a compact stream: COMPACT | batch << 4 | dtype << 2 | lane code. */
enum { COMPACT = 0xA0, COMPACT_MASK = 0xE0, COMPACT_BATCH_BIT = 0x10 };

enum { COMPACT_REST_LEAST = 5 /* a checksum, and a state */ };

enum { INNER_KNOWN_BIT = 0x80, PER_CHANNEL_BIT = 0x02, VALUES_KIND_BIT = 0x01 };

/* Seven bits a byte, least significant first, the high bit says "more". */
static size_t varint_write(uint64_t v, uint8_t *out)
{
    size_t n = 0;
    for (; v >= 128; v >>= 7) {
        out[n++] = (uint8_t)(v | 128);
    }
    out[n++] = (uint8_t)v;
    return n;
}

/* A cursor over untrusted bytes; the first failure sticks. */
struct reader {
    const uint8_t *p, *end;
    enum lwfc_status status;
};

static const uint8_t *take_bytes(struct reader *r, size_t n)
{
    static const uint8_t nothing[16];
    if (r->status != LWFC_OK || (size_t)(r->end - r->p) < n) {
        r->status = r->status != LWFC_OK ? r->status : LWFC_ERROR_TRUNCATED;
        return n <= sizeof nothing ? nothing : NULL;
    }
    const uint8_t *p = r->p;
    r->p += n;
    return p;
}

static void fail(struct reader *r, enum lwfc_status status)
{
    if (r->status == LWFC_OK) {
        r->status = status;
    }
}

/* At most nine bytes, and no longer than needed. */
static int64_t take_varint(struct reader *r)
{
    uint64_t v = 0;
    for (int shift = 0; shift < 63; shift += 7) {
        const uint8_t byte = *take_bytes(r, 1);
        v |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) {
            if (byte == 0 && shift > 0) {
                fail(r, LWFC_ERROR_SHAPE);
            }
            return (int64_t)v;
        }
    }
    fail(r, LWFC_ERROR_SHAPE);
    return 0;
}

size_t lwfc_header_bound(const struct lwfc_header *h)
{
    return LWFC_HEADER_FIXED_MAX + 9 * LWFC_RANK_MAX +
           (h->bound ? 0 : h->groups * (size_t)h->levels * sizeof(float) + 8 * h->groups);
}

static size_t stored_per_group(const struct lwfc_header *h)
{
    return h->values_kind == LWFC_VALUES_UNIFORM ? 2 : (size_t)h->levels;
}

int lwfc_header_is_of(const struct lwfc_header *h, uint64_t digest)
{
    return h->digest_tag == (h->compact ? digest & 0xFFFF : digest & 0xFFFFFFFF);
}

uint32_t lwfc_header_seed(const struct lwfc_header *h, uint64_t digest)
{
    uint8_t bytes[8];
    lwfc_store_u64(bytes, digest);
    return h->compact ? lwfc_crc32c(0, bytes, sizeof bytes) : 0;
}

static size_t compact_write(const struct lwfc_header *h, uint8_t *out)
{
    const int batch = h->shape[0] != 1;
    out[0] = (uint8_t)(COMPACT | (batch ? COMPACT_BATCH_BIT : 0) | h->dtype << 2 | h->lane_code);
    lwfc_store_u16(out + 1, (uint16_t)h->digest_tag);
    return 3 + (batch ? varint_write((uint64_t)h->shape[0], out + 3) : 0);
}

size_t lwfc_header_write(const struct lwfc_header *h, const float *values, uint8_t *out)
{
    if (h->compact) {
        return compact_write(h, out);
    }
    uint8_t *p = out;
    *p++ = magic[0];
    *p++ = magic[1];
    *p++ = (uint8_t)(LWFC_STREAM_VERSION << 5 | h->bound << 4 | h->coder);
    *p++ = (uint8_t)((h->inner_known ? INNER_KNOWN_BIT : 0) | h->dtype << 4 | h->rank);
    *p++ = (uint8_t)((h->channel_axis + 1) << 4 | h->transform);
    if (h->bound) {
        lwfc_store_u32(p, h->digest_tag);
        p += 4;
    } else {
        *p++ = (uint8_t)(h->levels - 1);
        *p++ = (uint8_t)((h->groups > 1 ? PER_CHANNEL_BIT : 0) | h->values_kind);
    }
    const int stored_rank = h->inner_known ? 1 : h->rank;
    for (int i = 0; i < stored_rank; i++) {
        p += varint_write((uint64_t)h->shape[i], p);
    }
    if (!h->bound) {
        for (size_t g = 0; g < h->groups; g++, values += h->levels) {
            for (size_t k = 0; k < stored_per_group(h); k++, p += 4) {
                const int is_uniform = h->values_kind == LWFC_VALUES_UNIFORM;
                lwfc_store_f32(p, values[is_uniform && k == 1 ? (size_t)h->levels - 1 : k]);
            }
        }
    }
    return (size_t)(p - out);
}

/* Value tables must be finite and rise: a decoder that trusts them is safe, and
 * a bad table is damage. */
static void check_values(struct reader *r, const struct lwfc_header *h)
{
    const size_t per_group = stored_per_group(h);
    for (size_t g = 0; g < h->groups && r->status == LWFC_OK; g++) {
        for (size_t k = 0; k < per_group; k++) {
            const uint8_t *p = h->values + 4 * (g * per_group + k);
            const float v = lwfc_load_f32(p);
            if (!isfinite(v) || (k > 0 && !(lwfc_load_f32(p - 4) <= v))) {
                fail(r, LWFC_ERROR_LEVELS);
            }
        }
    }
}

static void read_self_contained(struct reader *r, struct lwfc_header *h)
{
    h->levels = *take_bytes(r, 1) + 1;
    const int flags = *take_bytes(r, 1);
    if (h->levels < 2) {
        fail(r, LWFC_ERROR_LEVELS);
    }
    if (flags & ~(PER_CHANNEL_BIT | VALUES_KIND_BIT)) {
        fail(r, LWFC_ERROR_RESERVED);
    }
    h->values_kind = flags & VALUES_KIND_BIT;
    h->groups = (flags & PER_CHANNEL_BIT) ? 0 : 1; /* 0: from the shape, below */
}

static void read_shape(struct reader *r, const int64_t *inner_shape, int inner_rank,
                       struct lwfc_header *h)
{
    if (h->inner_known && (!h->bound || h->rank < 1)) {
        fail(r, LWFC_ERROR_RESERVED);
        return;
    }
    if (h->inner_known && inner_rank != 0 && inner_rank != h->rank - 1) {
        fail(r, LWFC_ERROR_SHAPE);
        return;
    }
    for (int i = 0; i < h->rank; i++) {
        if (i == 0 || !h->inner_known) {
            h->shape[i] = take_varint(r);
        } else {
            h->shape[i] = inner_rank > 0 ? inner_shape[i - 1] : -1;
        }
    }
}

/* The channel axis is the codec's, and for its reader to tell. */
static enum lwfc_status compact_read(struct reader *r, const int64_t *inner_shape, int inner_rank,
                                     struct lwfc_header *h)
{
    const int first = *take_bytes(r, 1);
    h->compact = h->bound = h->inner_known = 1;
    h->coder = LWFC_CODER_RANS;
    h->transform = LWFC_TRANSFORM_DCT_KLT;
    h->dtype = first >> 2 & 3;
    h->lane_code = first & 3;
    h->digest_tag = lwfc_load_u16(take_bytes(r, 2));
    h->rank = inner_rank > 0 ? inner_rank + 1 : -1;
    h->channel_axis = -1;
    h->shape[0] = 1;
    if (first & COMPACT_BATCH_BIT) {
        h->shape[0] = take_varint(r);
        if (h->shape[0] < 2) {
            fail(r, LWFC_ERROR_SHAPE);
        }
    }
    if (r->end - r->p < COMPACT_REST_LEAST) {
        fail(r, LWFC_ERROR_TRUNCATED);
    }
    if (inner_rank > 0) {
        memcpy(h->shape + 1, inner_shape, (size_t)inner_rank * sizeof *inner_shape);
    }
    return r->status;
}

enum lwfc_status lwfc_header_read(const uint8_t *data, size_t nbytes, const int64_t *inner_shape,
                                  int inner_rank, struct lwfc_header *h)
{
    memset(h, 0, sizeof *h);
    struct reader r = {data, data + nbytes, LWFC_OK};
    if (nbytes > 0 && (data[0] & COMPACT_MASK) == COMPACT) {
        const enum lwfc_status status = compact_read(&r, inner_shape, inner_rank, h);
        h->nbytes = (size_t)(r.p - data);
        return status;
    }
    const uint8_t *start = take_bytes(&r, sizeof magic);
    if (memcmp(start, magic, sizeof magic) != 0) {
        return LWFC_ERROR_MAGIC;
    }
    const int version_byte = *take_bytes(&r, 1);
    const int type_byte = *take_bytes(&r, 1);
    const int axis_byte = *take_bytes(&r, 1);
    if (r.status != LWFC_OK) {
        return r.status;
    }
    if (version_byte >> 5 != LWFC_STREAM_VERSION) {
        return LWFC_ERROR_VERSION;
    }
    h->bound = version_byte >> 4 & 1;
    h->coder = version_byte & 15;
    h->inner_known = (type_byte & INNER_KNOWN_BIT) != 0;
    h->dtype = type_byte >> 4 & 7;
    h->rank = type_byte & 15;
    h->channel_axis = (axis_byte >> 4) - 1;
    if (h->coder > LWFC_CODER_CONTEXT || (h->coder == LWFC_CODER_CONTEXT && !h->bound)) {
        return LWFC_ERROR_CODER;
    }
    h->transform = axis_byte & 15;
    if (h->transform > LWFC_TRANSFORM_DCT_KLT ||
        (h->transform != LWFC_TRANSFORM_NONE && (!h->bound || h->coder != LWFC_CODER_RANS))) {
        return LWFC_ERROR_TRANSFORM;
    }
    if (h->dtype == 4 || h->dtype > LWFC_TYPE_UINT8) { /* 4 is none */
        return LWFC_ERROR_DTYPE;
    }
    if (h->bound) { /* before the shape: another codec explains a shape that does not fit */
        h->digest_tag = lwfc_load_u32(take_bytes(&r, 4));
        if (r.status != LWFC_OK) {
            return r.status;
        }
    }
    if (h->rank > LWFC_RANK_MAX || (h->channel_axis >= 0) != (h->rank >= 2) ||
        (h->rank >= 2 && lwfc_channel_axis_resolve(h->channel_axis, h->rank) < 0)) {
        return LWFC_ERROR_SHAPE;
    }
    if (!h->bound) {
        read_self_contained(&r, h);
    }
    read_shape(&r, inner_shape, inner_rank, h);
    if (!h->bound && r.status == LWFC_OK) {
        if (h->groups == 0) {
            const int axis = lwfc_channel_axis_plain(h->channel_axis);
            if (axis < 0 || h->shape[axis] < 2) {
                return LWFC_ERROR_LEVELS;
            }
            h->groups = (size_t)h->shape[axis];
        }
        const size_t group_nbytes = 4 * stored_per_group(h);
        if (h->groups > (size_t)(r.end - r.p) / group_nbytes) {
            return LWFC_ERROR_TRUNCATED;
        }
        h->values = take_bytes(&r, h->groups * group_nbytes);
        check_values(&r, h);
    }
    h->nbytes = (size_t)(r.p - data);
    return r.status;
}

void lwfc_header_values(const struct lwfc_header *h, float *values)
{
    float thresholds[LWFC_LEVELS_MAX];
    const uint8_t *p = h->values;
    for (size_t g = 0; g < h->groups; g++, values += h->levels) {
        if (h->values_kind == LWFC_VALUES_UNIFORM) {
            lwfc_quantizer_uniform(lwfc_load_f32(p), lwfc_load_f32(p + 4), h->levels, thresholds,
                                   values);
            p += 8;
        } else {
            for (int k = 0; k < h->levels; k++, p += 4) {
                values[k] = lwfc_load_f32(p);
            }
        }
    }
}

size_t lwfc_index_write(const struct lwfc_extent *extents, int64_t nblocks, uint8_t *out)
{
    uint8_t *p = out;
    for (int64_t i = 0; i < nblocks; i++) {
        p += varint_write(extents[i].nbytes, p);
        lwfc_store_u32(p, extents[i].crc);
        p += 4;
    }
    return (size_t)(p - out);
}

int lwfc_index_plausible(int64_t nblocks, size_t nbytes)
{
    /* An index entry is at least five bytes, a block at least one. */
    return nblocks <= 1 || (uint64_t)nblocks <= nbytes / 6;
}

/* One block or none: the checksum stands between header and payload and covers
 * both. Several: it covers header and index, and each block has its own. */
enum lwfc_status lwfc_index_read(const uint8_t *data, size_t nbytes, size_t start, uint32_t seed,
                                 int64_t nblocks, struct lwfc_extent *extents,
                                 size_t *header_nbytes)
{
    struct reader r = {data + start, data + nbytes, LWFC_OK};
    uint64_t total = 0;
    for (int64_t i = 0; nblocks > 1 && i < nblocks && r.status == LWFC_OK; i++) {
        const uint64_t length = (uint64_t)take_varint(&r);
        extents[i].crc = lwfc_load_u32(take_bytes(&r, 4));
        if (length > nbytes || (total += length) > nbytes) {
            fail(&r, LWFC_ERROR_TRUNCATED);
        }
        extents[i].nbytes = (size_t)length;
    }
    const size_t covered = (size_t)(r.p - data);
    const uint32_t stored = lwfc_load_u32(take_bytes(&r, 4));
    if (r.status != LWFC_OK) {
        return r.status;
    }
    const size_t payload = (size_t)(r.end - r.p);
    uint32_t crc = lwfc_crc32c(seed, data, covered);
    if (nblocks <= 1) {
        crc = lwfc_crc32c(crc, r.p, payload);
        total = payload;
    }
    if (crc != stored) {
        return LWFC_ERROR_CHECKSUM;
    }
    if (total > payload || (nblocks == 0 && payload > 0) || total < payload) {
        return total > payload ? LWFC_ERROR_TRUNCATED : LWFC_ERROR_TRAILING;
    }
    *header_nbytes = covered + 4;
    if (nblocks == 1) {
        extents[0].nbytes = payload;
    }
    const uint8_t *p = r.p;
    for (int64_t i = 0; i < nblocks; i++) {
        extents[i].data = p;
        p += extents[i].nbytes;
    }
    return LWFC_OK;
}
