/* Kernels of the joined coder: packing symbols into bytes, and static rANS
 * over those bytes with interleaved lanes that share one stream of words.
 *
 * joined.c is the definition; every variant gives the same bytes. States lie
 * in [2^15, 2^31), words have 16 bits, probabilities 12 bits. */
#ifndef LWFC_KERNELS_JOINED_KERNELS_H
#define LWFC_KERNELS_JOINED_KERNELS_H

#include <stddef.h>
#include <stdint.h>

enum {
    LWFC_JOINED_BITS = 12,
    LWFC_JOINED_SLOTS = 1 << LWFC_JOINED_BITS,
    LWFC_JOINED_LANES = 32,       /* the lanes of a large block */
    LWFC_JOINED_STATE = 1 << 15,  /* lowest state, and the encoder's first */
    /* Bytes behind `limit` that a decoder may read: a whole row and a vector. */
    LWFC_JOINED_AHEAD = 2 * LWFC_JOINED_LANES + 32
};

/* How to encode one joined value: the quotient is
 * (state * reciprocal >> 32) >> shift, and bits packs
 * frequency | bias << 12 | shift << 25. */
struct lwfc_joined_record {
    uint32_t reciprocal;
    uint32_t bits;
};

struct lwfc_joined_kernels {
    /* joined[j] = sum of symbols[j * k + i] * levels^i over i < k. May read
     * 64 bytes behind the symbols. */
    void (*pack)(const uint8_t *symbols, size_t count, int levels, int k, uint8_t *joined);
    /* The inverse, where digits[value * 8 + i] is digit i of a value. May
     * write 64 bytes behind the symbols. */
    void (*unpack)(const uint8_t *joined, size_t count, int levels, int k,
                   const uint8_t *digits, uint8_t *symbols);
    /* counts[256] of the values; scratch holds 8 * 256 numbers. */
    void (*histogram)(const uint8_t *joined, size_t count, uint32_t *scratch, uint32_t *counts);
    /* Appends to out the values v with rare[v] != 0 in order; returns their
     * number. out has room for all and 64 bytes more. */
    size_t (*collect)(const uint8_t *joined, size_t count, const uint8_t *rare, uint8_t *out);
    /* Encodes whole rows of `lanes` values, last to first; words are written
     * downwards from `end`, whose buffer has 64 bytes of slack in front.
     * Returns the first byte written. */
    uint8_t *(*encode)(uint32_t *states, const struct lwfc_joined_record *records,
                       const uint8_t *joined, size_t rows, int lanes, uint8_t *end);
    /* Decodes up to *rows rows, stopping early when the position passes
     * `limit`; takes the rows done from *rows and returns the new position.
     * table[slot] = frequency | offset << 12 | value << 24. */
    const uint8_t *(*decode)(uint32_t *states, const uint32_t *table, const uint8_t *position,
                             const uint8_t *limit, size_t *rows, int lanes, uint8_t *joined);
};

extern const struct lwfc_joined_kernels lwfc_joined_scalar;

/* The fastest kernels that `features` (cpu/cpu.h) allow. */
const struct lwfc_joined_kernels *lwfc_joined_kernels_for(uint32_t features);

#endif
