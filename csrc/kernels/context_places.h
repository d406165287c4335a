/* What every SIMD variant of the context coder's scores does lane by lane or
 * place by place: where references look, and the offset of a row. */
#ifndef LWFC_KERNELS_CONTEXT_PLACES_H
#define LWFC_KERNELS_CONTEXT_PLACES_H

#include "kernels/context_kernels.h"

enum {
    LWFC_CONTEXT_REFERENCES = LWFC_LANES * 256 /* most of a group, in whole fours */
};

/* How far the symbols that each reference of a group sees lie from the sample's
 * symbol at the position. */
LWFC_INLINE void lwfc_context_offsets(ptrdiff_t *offset, size_t n, size_t width,
                                      const struct lwfc_context_group *group,
                                      const struct lwfc_context_reference *list)
{
    ptrdiff_t step[LWFC_CONTEXT_PLACES];
    for (uint32_t place = 0; place < LWFC_CONTEXT_PLACES; place++) {
        step[place] = lwfc_context_step(place, width);
    }
    for (uint32_t j = group->first[0]; j < group->first[LWFC_LANES]; j++) {
        offset[j - group->first[0]] = (ptrdiff_t)(list[j].channel * n) + step[list[j].place];
    }
}

/* The positions of a block whose symbol of each place lies in the plane. */
struct lwfc_context_inside {
    int from[LWFC_CONTEXT_PLACES], to[LWFC_CONTEXT_PLACES];
};

/* For the `count` positions from i on; returns whether any place leaves the plane. */
LWFC_INLINE int lwfc_context_leaves(struct lwfc_context_inside *in, size_t i, int count, size_t n,
                                    size_t width)
{
    int leaves = 0;
    for (uint32_t place = 0; place < LWFC_CONTEXT_PLACES; place++) {
        const ptrdiff_t from = -(ptrdiff_t)i - lwfc_context_step(place, width);
        const ptrdiff_t to = from + (ptrdiff_t)n;
        in->from[place] = (int)(from < 0 ? 0 : from > count ? count : from);
        in->to[place] = (int)(to < 0 ? 0 : to > count ? count : to);
        leaves |= in->from[place] > 0 || in->to[place] < count;
    }
    return leaves;
}

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
