/* What every SIMD variant of the context coder's scores does alike. */
#ifndef LWFC_KERNELS_CONTEXT_SIMD_H
#define LWFC_KERNELS_CONTEXT_SIMD_H

#include "kernels/context_kernels.h"

/* The entry of a table of four that a byte of a fold picks for its low, then for
 * its high symbol. First for two levels: entry a + 2 b of the symbols a and b of
 * two folds, in bits 0 and 2, then 1 and 3. */
static const uint8_t lwfc_context_entries[2][2][16] = {
    {{0, 1, 0, 1, 2, 3, 2, 3, 0, 1, 0, 1, 2, 3, 2, 3},
     {0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3, 2, 2, 3, 3}},
    {{0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3},
     {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3}}};

/* The offset of row y: the mean of the rows above, drawn towards the prior by
 * two rows' worth, counts in 1/16. Fits 16 bits. */
LWFC_INLINE int lwfc_context_row_offset(const struct lwfc_context_weights *w, size_t lane,
                                        uint32_t sum, uint32_t prior, size_t width, size_t y)
{
    const uint32_t scale = (uint32_t)((1u << 24) / (width * (y + 2)));
    const uint32_t mean = (16 * sum + 2 * (uint32_t)width * prior) * scale >> 24;
    /* The product fits 16 bits; adding 2^16 keeps the shift off negative numbers. */
    const int product = w->activity[lane] * (int)mean;
    return w->offset[lane] + (int)((uint32_t)(product + (1 << 16)) >> 3) - (1 << 13);
}

#endif
