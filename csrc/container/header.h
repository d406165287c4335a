/* The stream's header and block index to and from bytes; all checks of a
 * stream but those of a block's payload. Specified in FORMAT.md. */
#ifndef LWFC_CONTAINER_HEADER_H
#define LWFC_CONTAINER_HEADER_H

#include "container/geometry.h"
#include "lwfc.h"

enum {
    LWFC_STREAM_VERSION = 1,
    /* How the value tables of a self-contained stream are stored. */
    LWFC_VALUES_UNIFORM = 0, /* the two ends; the rest by lwfc_quantizer_uniform */
    LWFC_VALUES_TABLE = 1,
    LWFC_INDEX_ENTRY_MAX = 14, /* bytes of one block's index entry */
    LWFC_HEADER_FIXED_MAX = 32 /* bytes before dimensions and values, generously */
};

struct lwfc_header {
    int bound, coder, dtype, rank, transform;
    int compact;         /* rank, -1 without its codec, is the codec's inner rank and one more */
    int lane_code;       /* compact: of the only block */
    int channel_axis; /* resolved, with LWFC_AXIS_FRAMES or without; -1: none */
    int inner_known;  /* bound: axes 1.. are the codec's inner shape */
    uint32_t digest_tag; /* compact: 16 bits */
    int levels; /* 0 in a bound stream */
    int values_kind;
    size_t groups;
    int64_t shape[LWFC_RANK_MAX]; /* reading, without the codec: -1 where only it knows */
    const uint8_t *values;        /* the stored value tables, within the stream */
    size_t nbytes;                /* up to the block index */
};

/* 1 if `header` is of a stream bound to a codec with this digest. */
int lwfc_header_is_of(const struct lwfc_header *header, uint64_t digest);

/* What the checksum of a stream starts with: a compact one carries only part of its
 * codec's digest, so all of it is summed up first. 0: nothing. */
uint32_t lwfc_header_seed(const struct lwfc_header *header, uint64_t digest);

/* Bytes that lwfc_header_write needs, at most. */
size_t lwfc_header_bound(const struct lwfc_header *header);

/* Writes `header`, its value tables taken from `values` (groups x levels), and
 * returns the bytes written. */
size_t lwfc_header_write(const struct lwfc_header *header, const float *values, uint8_t *out);

/* Reads a header from [data, data + nbytes); allocates nothing. inner_shape and
 * inner_rank are the codec's (rank 0: none). */
enum lwfc_status lwfc_header_read(const uint8_t *data, size_t nbytes, const int64_t *inner_shape,
                                  int inner_rank, struct lwfc_header *header);

/* Expands the value tables: groups x levels floats. */
void lwfc_header_values(const struct lwfc_header *header, float *values);

/* One block's bytes. */
struct lwfc_extent {
    const uint8_t *data;
    size_t nbytes;
    uint32_t crc; /* of data, when there are several blocks */
};

/* The index of nblocks > 1 blocks: length varint and CRC-32C of each. Returns the
 * bytes written. */
size_t lwfc_index_write(const struct lwfc_extent *extents, int64_t nblocks, uint8_t *out);

/* Checks the stream's outer checksum, which starts with `seed`, and cuts it into
 * nblocks extents; `extents` has room for them (see lwfc_index_plausible). *header_nbytes is everything
 * but the blocks. Each block's own CRC is still to be checked. */
enum lwfc_status lwfc_index_read(const uint8_t *data, size_t nbytes, size_t start, uint32_t seed,
                                 int64_t nblocks, struct lwfc_extent *extents,
                                 size_t *header_nbytes);

/* 0 if `nblocks` blocks cannot be in nbytes bytes: ask before allocating. */
int lwfc_index_plausible(int64_t nblocks, size_t nbytes);

#endif
