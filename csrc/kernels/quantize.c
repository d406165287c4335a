#include "kernels/quantize.h"

#include "base/attributes.h"
#include "cpu/cpu.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* From here on a binary search beats counting, in scalar code. */
enum { COUNTING_LIMIT = 16 };

static void quantize_scalar(const float *x, size_t n, const float *thresholds, int count,
                            uint8_t *symbols)
{
    if (count <= COUNTING_LIMIT) {
        for (size_t i = 0; i < n; i++) {
            int symbol = 0;
            for (int k = 0; k < count; k++) {
                symbol += thresholds[k] <= x[i];
            }
            symbols[i] = (uint8_t)symbol;
        }
        return;
    }
    for (size_t i = 0; i < n; i++) {
        int below = 0; /* thresholds[0..below) are <= x */
        for (int half = 128; half > 0; half >>= 1) {
            if (below + half <= count && thresholds[below + half - 1] <= x[i]) {
                below += half;
            }
        }
        symbols[i] = (uint8_t)below;
    }
}

static void dequantize_scalar(const uint8_t *symbols, size_t n, const float *values, int levels,
                              float *y)
{
    (void)levels;
    for (size_t i = 0; i < n; i++) {
        y[i] = values[symbols[i]];
    }
}

void lwfc_moments_init(struct lwfc_moments *m)
{
    memset(m, 0, sizeof *m);
    m->min = INFINITY;
    m->max = -INFINITY;
}

void lwfc_moments_merge(struct lwfc_moments *into, const struct lwfc_moments *next)
{
    into->count += next->count;
    into->nonfinite += next->nonfinite;
    into->zeros += next->zeros;
    into->min = next->min < into->min ? next->min : into->min;
    into->max = next->max > into->max ? next->max : into->max;
    into->sum += next->sum;
    into->sum_squares += next->sum_squares;
    into->sum_magnitudes += next->sum_magnitudes;
}

/* One lane's running values, in the order every variant keeps. */
struct lane {
    double sum, sum_squares, sum_magnitudes;
};

static void moments_finish(const struct lane *lanes, struct lwfc_moments *out)
{
    for (int j = 0; j < LWFC_MOMENTS_LANES; j++) {
        out->sum += lanes[j].sum;
        out->sum_squares += lanes[j].sum_squares;
        out->sum_magnitudes += lanes[j].sum_magnitudes;
    }
}

/* Adds element `i`; a non-finite value is counted and adds zero, as a masked
 * lane of a vector does. */
static void moments_add(struct lane *lanes, struct lwfc_moments *out, size_t i, float value)
{
    struct lane *lane = &lanes[i % LWFC_MOMENTS_LANES];
    if (!(fabsf(value) <= FLT_MAX)) {
        out->nonfinite++;
        return;
    }
    const double v = value;
    out->count++;
    out->zeros += value == 0.0f;
    out->min = v < out->min ? v : out->min;
    out->max = v > out->max ? v : out->max;
    lane->sum += v;
    lane->sum_squares += v * v;
    lane->sum_magnitudes += fabs(v);
}

/* For variants that find min and max out of order: a zero there has the sign of
 * the first zero. n: how many elements they took out of order. */
LWFC_INLINE void moments_zero_ends(const float *x, size_t n, struct lwfc_moments *out)
{
    if (out->min != 0.0 && out->max != 0.0) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (x[i] == 0.0f) {
            out->min = out->min == 0.0 ? x[i] : out->min;
            out->max = out->max == 0.0 ? x[i] : out->max;
            return;
        }
    }
}

static void moments_scalar(const float *x, size_t n, struct lwfc_moments *out)
{
    struct lane lanes[LWFC_MOMENTS_LANES] = {{0}};
    lwfc_moments_init(out);
    for (size_t i = 0; i < n; i++) {
        moments_add(lanes, out, i, x[i]);
    }
    moments_finish(lanes, out);
}

static int has_nonfinite_scalar(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!(fabsf(x[i]) <= FLT_MAX)) {
            return 1;
        }
    }
    return 0;
}

static const struct lwfc_quantize_kernels scalar_kernels = {
    quantize_scalar, dequantize_scalar, dequantize_scalar, moments_scalar, has_nonfinite_scalar};

#if LWFC_X86
#include "kernels/x86/quantize_avx2.h"
#elif LWFC_NEON
#include "kernels/arm/quantize_neon.h"
#endif

const struct lwfc_quantize_kernels *lwfc_quantize_kernels_for(uint32_t features)
{
#if LWFC_X86
    if (features & LWFC_CPU_AVX2) {
        return &avx2_kernels;
    }
#elif LWFC_NEON
    if (features & LWFC_CPU_NEON) {
        return &neon_kernels;
    }
#endif
    (void)features;
    return &scalar_kernels;
}
