/* The offset that the scores of a row share, for the SIMD variants' odd lanes. */
#ifndef LWFC_KERNELS_CONTEXT_ROWS_H
#define LWFC_KERNELS_CONTEXT_ROWS_H

#include "kernels/context_kernels.h"

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
