#include "kernels/fit_kernels.h"

#include "base/attributes.h"
#include "base/bytes.h"
#include "cpu/cpu.h"

#include <string.h>

/* Rows that 31 bits hold the sum of: DEPTH * LWFC_FIT_LARGEST * LWFC_FIT_WIDEST < 2^31. */
enum { DEPTH = 1024 };

/* Logits beyond which float32 cannot tell from certain, and the most of one score. */
#define CERTAIN 40.0F
#define FARTHEST 25.0F
#define NARROWEST 1e-6F /* of a symbol's share of what is above its lower threshold */

/* e^x for |x| < 80: 2^n times the Taylor polynomial of what is left, at most log(2) / 2. */
LWFC_INLINE float exponential(float x)
{
    const float nearest = 12582912.0F; /* 3 * 2^22: what is added to it is rounded */
    const float t = x * 1.44269504F + nearest;
    const float n = t - nearest;
    const float f = (x - n * 0.693359375F) + n * 2.12194440e-4F; /* log(2) in two parts */
    float p = 1.0F / 5040;
    p = p * f + 1.0F / 720;
    p = p * f + 1.0F / 120;
    p = p * f + 1.0F / 24;
    p = p * f + 1.0F / 6;
    p = p * f + 0.5F;
    p = p * f + 1.0F;
    p = p * f + 1.0F;
    return p * lwfc_float_of((lwfc_bits_of(t) - lwfc_bits_of(nearest) + 127) << 23);
}

/* log(x), x normal and positive: 2 artanh((m - 1) / (m + 1)) of the mantissa m around 1. */
LWFC_INLINE float logarithm(float x)
{
    const int32_t root = 0x3F3504F3; /* sqrt(1 / 2) */
    const int32_t e = ((int32_t)lwfc_bits_of(x) - root) >> 23;
    const float m = lwfc_float_of(lwfc_bits_of(x) - ((uint32_t)e << 23));
    const float s = (m - 1.0F) / (m + 1.0F), z = s * s;
    const float series = s * (2.0F + z * (2.0F / 3 + z * (2.0F / 5 + z * (2.0F / 7))));
    return series + (float)e * 0.69314718F;
}

#define TARGET
#define KERNEL(name) name
#include "kernels/fit_rows.h"

#if LWFC_X86
#define TARGET LWFC_TARGET("avx2,bmi2")
#define KERNEL(name) name##_avx2
#include "kernels/fit_rows.h"

#define TARGET LWFC_TARGET("avx2,bmi2,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")
#define KERNEL(name) name##_avx512
#include "kernels/fit_rows.h"
#endif

const struct lwfc_fit_kernels *lwfc_fit_kernels_for(uint32_t features)
{
    static const struct lwfc_fit_kernels scalar = {dots, scores, link};
#if LWFC_X86
    static const struct lwfc_fit_kernels avx2 = {dots_avx2, scores_avx2, link_avx2};
    static const struct lwfc_fit_kernels avx512 = {dots_avx512, scores_avx512, link_avx512};
    if ((features & LWFC_CPU_AVX512) != 0) {
        return &avx512;
    }
    if ((features & LWFC_CPU_AVX2) != 0) {
        return &avx2;
    }
#endif
    (void)features;
    return &scalar;
}
