/* The transform's kernels with NEON, four lanes. Included by transform_kernels.c. */
#ifndef LWFC_KERNELS_ARM_TRANSFORM_NEON_H
#define LWFC_KERNELS_ARM_TRANSFORM_NEON_H

#include <arm_neon.h>

#define TARGET
#define KERNEL(name) name##_neon
#define V int32x4_t
#define F float32x4_t
enum { LANES_NEON = 4 };
#define LANES LANES_NEON

LWFC_INLINE V neon_set1(uint32_t v)
{
    return vreinterpretq_s32_u32(vdupq_n_u32(v));
}

LWFC_INLINE V neon_load(const uint32_t *p)
{
    return vreinterpretq_s32_u32(vld1q_u32(p));
}

LWFC_INLINE void neon_store(uint32_t *p, V v)
{
    vst1q_u32(p, vreinterpretq_u32_s32(v));
}

LWFC_INLINE V neon_low(V pair)
{
    return vshrq_n_s32(vshlq_n_s32(pair, 16), 16);
}

LWFC_INLINE V neon_dot(V sum, V a, V b)
{
    sum = vmlaq_s32(sum, neon_low(a), neon_low(b));
    return vmlaq_s32(sum, vshrq_n_s32(a, 16), vshrq_n_s32(b, 16));
}

/* q in the low halves, nothing in the high ones. */
LWFC_INLINE V neon_add_product(V sum, const int16_t *column, V q)
{
    return vmlal_s16(sum, vld1_s16(column), vmovn_s32(q));
}

LWFC_INLINE V neon_saturated(V v)
{
    return vmaxq_s32(vminq_s32(v, vdupq_n_s32(32767)), vdupq_n_s32(-32767));
}

LWFC_INLINE V neon_rounded(V sum, int shift)
{
    const V half = vdupq_n_s32((1 << shift) >> 1);
    return neon_saturated(vshlq_s32(vaddq_s32(sum, half), vdupq_n_s32(-shift)));
}

LWFC_INLINE V neon_with_low(V pair, V even)
{
    return vbslq_s32(vdupq_n_u32(0xFFFF), even, pair);
}

LWFC_INLINE V neon_pair(V even, V odd)
{
    return neon_with_low(vshlq_n_s32(odd, 16), even);
}

/* int16 times 2^bits. */
LWFC_INLINE V neon_mean(const int16_t *p, int bits)
{
    return vshlq_s32(vmovl_s16(vld1_s16(p)), vdupq_n_s32(bits));
}

LWFC_INLINE void neon_store_low(int16_t *p, V v)
{
    vst1_s16(p, vmovn_s32(v));
}

LWFC_INLINE F neon_scaled(V sum, float scale)
{
    return vmulq_n_f32(vcvtq_f32_s32(sum), scale);
}

LWFC_INLINE F neon_limited(F v, float lo, float hi)
{
    const F low = vdupq_n_f32(lo), high = vdupq_n_f32(hi);
    v = vbslq_f32(vcltq_f32(v, low), low, v);
    return vbslq_f32(vcgtq_f32(v, high), high, v);
}

LWFC_INLINE void neon_store_floats(float *p, F v, int count)
{
    if (count >= LANES_NEON) {
        vst1q_f32(p, v);
        return;
    }
    float all[4];
    vst1q_f32(all, v);
    memcpy(p, all, (size_t)count * sizeof *p);
}

LWFC_INLINE F neon_load_floats(const float *p, int count)
{
    if (count >= LANES_NEON) {
        return vld1q_f32(p);
    }
    float all[4] = {0};
    memcpy(all, p, (size_t)count * sizeof *p);
    return vld1q_f32(all);
}

LWFC_INLINE V neon_taken(F x, V mean, float lo, float hi, float scale)
{
    const uint32x4_t number = vceqq_f32(x, x);
    const V whole = vcvtnq_s32_f32(vmulq_n_f32(neon_limited(x, lo, hi), scale));
    const V v = neon_saturated(vsubq_s32(whole, mean));
    return vandq_s32(v, vreinterpretq_s32_u32(number));
}

LWFC_INLINE V neon_quantized(V sum, const float *scales, float limit)
{
    const F v = vmulq_f32(vcvtq_f32_s32(sum), vld1q_f32(scales));
    return vcvtnq_s32_f32(neon_limited(v, -limit, limit));
}

/* 16 lines of pairs, `nbytes` apart, to 16 numbers for each pair. */
LWFC_INLINE void neon_turned(const int16_t *lines, size_t nbytes, int pairs, uint32_t *out)
{
    const char *in = (const char *)lines;
    for (int c = 0; c < LWFC_STRIP; c++, in += nbytes) {
        for (int p = 0; p < pairs; p++) {
            memcpy(out + p * LWFC_STRIP + c, in + 4 * p, 4);
        }
    }
}

#define v_set1 neon_set1
#define v_load neon_load
#define v_store neon_store
#define v_dot neon_dot
#define v_add_product neon_add_product
#define v_rounded neon_rounded
#define v_pair neon_pair
#define v_with_low neon_with_low
#define v_mean neon_mean
#define v_store_low neon_store_low
#define v_taken neon_taken
#define v_quantized neon_quantized
#define v_turned neon_turned
#define f_scaled neon_scaled
#define f_limited neon_limited
#define f_store neon_store_floats
#define f_load neon_load_floats
#include "kernels/transform_lanes.h"
#include "kernels/transform_lanes_end.h"

static const struct lwfc_transform_kernels neon_kernels = {
    synthesize_neon,   columns_neon,         rows_neon,   take_neon,
    forward_rows_neon, forward_columns_neon, analyze_neon};

#endif
