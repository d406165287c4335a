/* Encoding with the group coder, element by element: what its definition and the SIMD variants
 * share. Words are written downwards, from the last to the first. */
#ifndef LWFC_KERNELS_GROUPS_PUT_H
#define LWFC_KERNELS_GROUPS_PUT_H

#include "kernels/groups_kernels.h"

/* Puts a state's low half where x / frequency would not fit 20 bits. */
LWFC_INLINE uint32_t lwfc_groups_emit(uint32_t x, uint32_t frequency, uint8_t **p)
{
    const int full = x >> 20 >= frequency; /* without a branch: it would often be wrong */
    lwfc_store_u16(*p - 2, (uint16_t)x);
    *p -= 2 * full;
    return x >> (16 * full);
}

LWFC_INLINE void lwfc_groups_put_bits(uint32_t *state, uint32_t bits, int n, uint8_t **p)
{
    const int rest = LWFC_GROUPS_BITS - n;
    const uint32_t x = n > 0 ? lwfc_groups_emit(*state, 1u << rest, p) : *state;
    *state = x >> rest << LWFC_GROUPS_BITS | bits << rest | (x & ((1u << rest) - 1));
}

/* What stands behind an escape. */
LWFC_INLINE void lwfc_groups_put_escape(uint32_t *state, int32_t v, int32_t top, uint8_t **p)
{
    const uint32_t magnitude = (uint32_t)((v < 0 ? -v : v) - top);
    int n = 0;
    while (magnitude >> n > 1) {
        n++;
    }
    const uint32_t rest = magnitude - (1u << n);
    if (n > 8) {
        lwfc_groups_put_bits(state, rest >> 8, n - 8, p);
    }
    lwfc_groups_put_bits(state, rest & 255, n < 8 ? n : 8, p);
    lwfc_groups_put_bits(state, (uint32_t)n << 1 | (v < 0), 5, p);
}

/* 1 if one of a group's symbols is not 0. */
LWFC_INLINE int lwfc_groups_loud(const int16_t *symbols)
{
    uint64_t words[4];
    memcpy(words, symbols, sizeof words);
    return (words[0] | words[1] | words[2] | words[3]) != 0;
}

#endif
