/* The inner loops of fitting the context model: sums of products of 16-bit columns,
 * which are exact, and the logistic link in float32.
 *
 * A column has one number a row; rows come in blocks of 256, the last filled up with
 * zeros. No sum of floats depends on the width of a vector, so every variant gives
 * the same bits. */
#ifndef LWFC_KERNELS_FIT_KERNELS_H
#define LWFC_KERNELS_FIT_KERNELS_H

#include <stddef.h>
#include <stdint.h>

enum {
    LWFC_FIT_BLOCK = 256,
    LWFC_FIT_WIDEST = 255, /* largest feature */
    LWFC_FIT_LARGEST = 8191 /* largest magnitude of what features are multiplied with */
};

/* Rows of an ordinal model: P(q >= k) = sigmoid(score + sides[k] * spread + edges[k]). */
struct lwfc_fit_link {
    const int32_t *q;    /* symbols */
    const float *score;  /* within +-25 after clamping */
    const float *spread; /* NULL: none */
    const float *edges;  /* levels + 1, falling; the outer ones are certain */
    const float *sides;  /* levels + 1 */
    int levels;
    float least;   /* probability below which a symbol's does not count */
    float *upper;  /* P(q >= its symbol), */
    float *lower;  /* P(q > its symbol), */
    float *slope;  /* g / (1 - g), g the ratio of their odds, */
    float *loss;   /* and the logarithm of the difference of both */
};

struct lwfc_fit_kernels {
    /* sums[j * count + k] = sum over rows of a[j] * b[k], b in 0..255; columns are `stride`
     * apart. With `triangle` those for k >= j only. */
    void (*dots)(const int16_t *a, int left, const int16_t *b, int count, int triangle,
                 size_t stride, size_t blocks, double *sums);
    /* out = sum over k of weights[k] * x[k], k rising. */
    void (*scores)(const int16_t *x, size_t stride, int count, const float *weights,
                   size_t blocks, float *out);
    /* Fills the four outputs; returns the number of rows whose thresholds cross. */
    int (*link)(const struct lwfc_fit_link *link, size_t blocks);
};

/* The fastest kernels that `features` (cpu/cpu.h) allow. */
const struct lwfc_fit_kernels *lwfc_fit_kernels_for(uint32_t features);

#endif
