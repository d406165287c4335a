/* Float values to symbols, back, and their moments.
 *
 * symbol = how many of the ascending thresholds are <= x. Comparisons only,
 * so every CPU and compiler agrees; a NaN is above no threshold and gives 0.
 * The scalar functions in quantize.c are the definition. */
#ifndef LWFC_KERNELS_QUANTIZE_H
#define LWFC_KERNELS_QUANTIZE_H

#include <stddef.h>
#include <stdint.h>

/* What one pass over values tells; made for one fixed-size block, and merged
 * in block order by lwfc_moments_merge, hence equal for every thread count. */
struct lwfc_moments {
    uint64_t count;     /* finite values */
    uint64_t nonfinite; /* NaN and infinities, left out of all other fields */
    uint64_t zeros;
    double min, max; /* +inf, -inf when count is 0 */
    double sum, sum_squares, sum_magnitudes;
};

enum {
    /* Elements per block of moments: small enough that a block sum in doubles
     * loses nothing that matters, large enough to hide the merge. */
    LWFC_MOMENTS_BLOCK = 4096,
    LWFC_MOMENTS_LANES = 8
};

struct lwfc_quantize_kernels {
    /* n symbols from n floats and `count` (1..255) ascending thresholds. */
    void (*quantize)(const float *x, size_t n, const float *thresholds, int count, uint8_t *symbols);
    /* y[i] = values[symbols[i]]; every symbol is below `levels`. */
    void (*dequantize)(const uint8_t *symbols, size_t n, const float *values, int levels, float *y);
    /* The same, past the caches: for tensors too large to stay in them. */
    void (*dequantize_stream)(const uint8_t *symbols, size_t n, const float *values, int levels,
                              float *y);
    /* Moments of at most LWFC_MOMENTS_BLOCK floats: element i is added to lane
     * i % LWFC_MOMENTS_LANES, the lanes are added in order. */
    void (*moments)(const float *x, size_t n, struct lwfc_moments *out);
    /* 1 if any value is NaN or infinite. */
    int (*has_nonfinite)(const float *x, size_t n);
};

const struct lwfc_quantize_kernels *lwfc_quantize_kernels_for(uint32_t features);

void lwfc_moments_init(struct lwfc_moments *m);
void lwfc_moments_merge(struct lwfc_moments *into, const struct lwfc_moments *next);

#endif
