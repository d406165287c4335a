/* What the two halves of the joined coder share: layouts, scratch memory and
 * the rules that follow from the size of a block. */
#ifndef LWFC_ENTROPY_JOINED_LAYOUT_H
#define LWFC_ENTROPY_JOINED_LAYOUT_H

#include "base/attributes.h"
#include "base/bytes.h"
#include "kernels/joined_kernels.h"

#include <string.h>

/* The first byte of a stream is layout | (k - 1) << 2. */
enum lwfc_joined_layout {
    LWFC_JOINED_STORED,
    LWFC_JOINED_CONSTANT,
    LWFC_JOINED_PRODUCT,
    LWFC_JOINED_EXPLICIT
};

enum {
    LWFC_JOINED_SLACK = 64,
    LWFC_JOINED_CHUNK = 256,            /* values decoded at a time, a multiple of the lanes */
    LWFC_JOINED_SMALL_BLOCK = 1 << 15,  /* up to here the encoder tries several k */
    LWFC_JOINED_HEADER_MOST = 1024      /* bytes of layout, table, escape count and states */
};

struct lwfc_joined_scratch {
    uint32_t table[LWFC_JOINED_SLOTS];
    struct lwfc_joined_record records[256];
    uint32_t counts[256];
    uint32_t parts[8 * 256];
    uint32_t states[LWFC_JOINED_LANES];
    uint8_t digits[256 * 8];
    uint8_t rare[256];
    uint8_t chunk[LWFC_JOINED_CHUNK + LWFC_JOINED_SLACK];
    uint8_t tail[2 * LWFC_JOINED_AHEAD + LWFC_JOINED_SLACK];
    uint8_t header[LWFC_JOINED_HEADER_MOST];
    uint8_t bytes[]; /* encode: joined values, escaped values, words */
};

/* How many joined values `size` symbols make. */
LWFC_INLINE size_t lwfc_joined_count(size_t size, int k)
{
    return (size + (size_t)k - 1) / (size_t)k;
}

LWFC_INLINE int lwfc_joined_power(int levels, int k)
{
    int p = 1;
    while (k-- > 0) {
        p *= levels;
    }
    return p;
}

/* The most symbols that fit a byte. */
LWFC_INLINE int lwfc_joined_longest(int levels)
{
    int k = 1;
    for (int p = levels * levels; p <= 256; p *= levels) {
        k++;
    }
    return k;
}

/* A lane costs about 19 bits more than it holds: one per 8 kbit or so. */
LWFC_INLINE int lwfc_joined_lanes(size_t count)
{
    return count < 2048 ? 1 : count < 4096 ? 4 : count < 16384 ? 8 : LWFC_JOINED_LANES;
}

/* digits[value * 8 + i] is digit i of a value, 0 where there is none. */
LWFC_INLINE void lwfc_joined_digits(int levels, int k, uint8_t *digits)
{
    const int values = lwfc_joined_power(levels, k);
    memset(digits, 0, 256 * 8);
    uint64_t d = 0; /* digit i in byte i */
    for (int v = 1; v < values; v++) {
        int shift = 0;
        d++;
        while ((d >> shift & 255) == (uint64_t)levels) {
            d += (UINT64_C(256) - (uint64_t)levels) << shift;
            shift += 8;
        }
        lwfc_store_u64(digits + 8 * v, d);
    }
}

#endif
