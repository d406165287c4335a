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

LWFC_INLINE void neon_add_products(V *sum, const int16_t *a, const int16_t *b, uint32_t pair)
{
    const int16x4_t of_a = vdup_n_s16((int16_t)(uint16_t)pair);
    const int16x4_t of_b = vdup_n_s16((int16_t)(uint16_t)(pair >> 16));
    for (int i = 0; i < LWFC_STRIP / LANES_NEON; i++) {
        sum[i] = vmlal_s16(sum[i], vld1_s16(a + i * LANES_NEON), of_a);
        sum[i] = vmlal_s16(sum[i], vld1_s16(b + i * LANES_NEON), of_b);
    }
}

LWFC_INLINE V neon_saturated(V v)
{
    return vmaxq_s32(vminq_s32(v, vdupq_n_s32(32767)), vdupq_n_s32(-32767));
}

LWFC_INLINE V neon_add(V a, V b)
{
    return vaddq_s32(a, b);
}

LWFC_INLINE V neon_sub(V a, V b)
{
    return vsubq_s32(a, b);
}

LWFC_INLINE V neon_and(V a, V b)
{
    return vandq_s32(a, b);
}

LWFC_INLINE V neon_add16(V a, V b)
{
    return vreinterpretq_s32_s16(vaddq_s16(vreinterpretq_s16_s32(a), vreinterpretq_s16_s32(b)));
}

LWFC_INLINE V neon_sub16(V a, V b)
{
    return vreinterpretq_s32_s16(vsubq_s16(vreinterpretq_s16_s32(a), vreinterpretq_s16_s32(b)));
}

LWFC_INLINE V neon_swapped(V a)
{
    return vreinterpretq_s32_s16(vrev32q_s16(vreinterpretq_s16_s32(a)));
}

LWFC_INLINE V neon_joined(V low, V high)
{
    return vbslq_s32(vdupq_n_u32(0xFFFF), low, high);
}

LWFC_INLINE V neon_widest(V widest, V a)
{
    return vreinterpretq_s32_s16(
        vmaxq_s16(vreinterpretq_s16_s32(widest), vabsq_s16(vreinterpretq_s16_s32(a))));
}

LWFC_INLINE int neon_is_narrow(V widest)
{
    return vmaxvq_s16(vreinterpretq_s16_s32(widest)) < 1 << 14;
}

/* What a sum that will be shifted begins with. */
LWFC_INLINE V neon_half(int shift)
{
    return vdupq_n_s32((1 << shift) >> 1);
}

LWFC_INLINE V neon_shifted(V sum, int shift)
{
    return neon_saturated(vshlq_s32(sum, vdupq_n_s32(-shift)));
}

LWFC_INLINE V neon_pair(V even, V odd)
{
    return vbslq_s32(vdupq_n_u32(0xFFFF), even, vshlq_n_s32(odd, 16));
}

LWFC_INLINE V neon_shifted_pair(V even, V odd, int shift)
{
    return neon_pair(neon_shifted(even, shift), neon_shifted(odd, shift));
}

LWFC_INLINE void neon_store_strip(int16_t *p, const V *sum, int shift)
{
    for (int i = 0; i < LWFC_STRIP / LANES_NEON; i++) {
        vst1_s16(p + i * LANES_NEON, vmovn_s32(neon_shifted(sum[i], shift)));
    }
}

LWFC_INLINE void neon_load_pairs(const int16_t *even, const int16_t *odd, V *pairs)
{
    for (int i = 0; i < LWFC_STRIP / LANES_NEON; i++) {
        pairs[i] = neon_pair(vmovl_s16(vld1_s16(even + i * LANES_NEON)),
                             vmovl_s16(vld1_s16(odd + i * LANES_NEON)));
    }
}

LWFC_INLINE V neon_mean(const int16_t *p, V unit)
{
    return vmulq_s32(vmovl_s16(vld1_s16(p)), unit);
}

LWFC_INLINE void neon_store_low(int16_t *p, const V *v)
{
    for (int i = 0; i < LWFC_STRIP / LANES_NEON; i++) {
        vst1_s16(p + i * LANES_NEON, vmovn_s32(v[i]));
    }
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
    for (int i = 0; i < count; i++) {
        all[i] = p[i];
    }
    return vld1q_f32(all);
}

/* What floats become, not yet saturated. */
LWFC_INLINE V neon_taken(F x, V mean, const struct lwfc_rows_in *f)
{
    const V number = vreinterpretq_s32_u32(vceqq_f32(x, x));
    const V whole = vcvtnq_s32_f32(vmulq_n_f32(neon_limited(x, f->lo, f->hi), f->scale));
    return vandq_s32(vsubq_s32(whole, mean), number);
}

/* The first `count` floats at `in` and at `next`, at most eight. */
LWFC_INLINE void neon_take_two(const float *in, const float *next, int count, const int16_t *mean,
                               const int16_t *next_mean, const struct lwfc_rows_in *f,
                               int16_t *out, int16_t *next_out)
{
    const V unit = neon_set1(1u << f->bits);
    for (int i = 0; i < 8; i += LANES_NEON) {
        const V a = neon_taken(neon_load_floats(in + i, count - i), neon_mean(mean + i, unit), f);
        const V b =
            neon_taken(neon_load_floats(next + i, count - i), neon_mean(next_mean + i, unit), f);
        vst1_s16(out + i, vmovn_s32(neon_saturated(a)));
        vst1_s16(next_out + i, vmovn_s32(neon_saturated(b)));
    }
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
#define v_add_products neon_add_products
#define v_store_products neon_store_strip
#define v_add neon_add
#define v_sub neon_sub
#define v_half neon_half
#define v_and neon_and
#define v_add16 neon_add16
#define v_sub16 neon_sub16
#define v_swapped neon_swapped
#define v_joined neon_joined
#define v_widest neon_widest
#define v_is_narrow neon_is_narrow
#define v_shifted_pair neon_shifted_pair
#define v_store_strip neon_store_strip
#define v_load_pairs neon_load_pairs
#define v_mean neon_mean
#define v_store_low neon_store_low
#define v_taken neon_taken
#define v_take_two neon_take_two
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
