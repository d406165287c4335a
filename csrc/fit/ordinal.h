/* Ordinal regression of one channel's symbols on columns of features. */
#ifndef LWFC_FIT_ORDINAL_H
#define LWFC_FIT_ORDINAL_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/fit_kernels.h"

/* What is fitted, and memory for it; lwfc_ordinal_memory sets the pointers. */
struct lwfc_ordinal {
    const struct lwfc_fit_kernels *kernels;
    int features, scores, levels; /* the last feature counts in sixteenths */
    size_t stride;    /* of columns, whole blocks */
    int16_t *x;       /* [features][stride] */
    int32_t *q;       /* [stride] symbols */
    double *theta;    /* weights [scores][features], then biases [levels - 1] */
    double *ridge, *step, *tried, *hessian, *sums;
    float *weights, *score, *spread, *upper, *lower, *slope, *loss, *curve;
    int16_t *left, *rounded, *above, *below;
};

/* Bytes that lwfc_ordinal_memory lays out at `base`; NULL only counts them. */
size_t lwfc_ordinal_memory(struct lwfc_ordinal *o, void *base);

/* Fits theta on the first `rows` rows of x and q. */
void lwfc_ordinal_fit(struct lwfc_ordinal *o, size_t rows);

/* Code length in bits of the first `rows` rows; where thresholds cross, a symbol has the
 * coder's least frequency. */
double lwfc_ordinal_bits(struct lwfc_ordinal *o, size_t rows);

/* Which way the spread moves a threshold: 1 in the lower half, -1 in the upper, else 0. */
int lwfc_ordinal_side(int threshold, int levels);

#endif
