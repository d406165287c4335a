/* The transform's kernels with AVX-512 and its dot products, sixteen lanes. Included by
 * transform_kernels.c behind the AVX2 variant, whose rows it takes for narrow blocks. */
#ifndef LWFC_KERNELS_X86_TRANSFORM_AVX512_H
#define LWFC_KERNELS_X86_TRANSFORM_AVX512_H

#include <immintrin.h>

#define TARGET LWFC_TARGET("avx2,fma,bmi2,avx512f,avx512bw,avx512vl,avx512vnni")
#define KERNEL(name) name##_avx512
#define V __m512i
#define F __m512
enum { LANES_AVX512 = 16 };
#define LANES LANES_AVX512

TARGET LWFC_INLINE V avx512_set1(uint32_t v)
{
    return _mm512_set1_epi32((int)v);
}

TARGET LWFC_INLINE V avx512_load(const uint32_t *p)
{
    return _mm512_loadu_si512(p);
}

TARGET LWFC_INLINE void avx512_store(uint32_t *p, V v)
{
    _mm512_storeu_si512(p, v);
}

TARGET LWFC_INLINE V avx512_dot(V sum, V a, V b)
{
    return _mm512_dpwssd_epi32(sum, a, b);
}

TARGET LWFC_INLINE V avx512_widened(const int16_t *p)
{
    return _mm512_cvtepi16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

/* q in the low halves, nothing in the high ones. */
TARGET LWFC_INLINE V avx512_add_product(V sum, const int16_t *column, V q)
{
    return avx512_dot(sum, avx512_widened(column), q);
}

TARGET LWFC_INLINE V avx512_saturated(V v)
{
    return _mm512_max_epi32(_mm512_min_epi32(v, _mm512_set1_epi32(32767)),
                            _mm512_set1_epi32(-32767));
}

TARGET LWFC_INLINE V avx512_rounded(V sum, int shift)
{
    const V half = _mm512_set1_epi32((1 << shift) >> 1);
    return avx512_saturated(_mm512_sra_epi32(_mm512_add_epi32(sum, half), _mm_cvtsi32_si128(shift)));
}

TARGET LWFC_INLINE V avx512_with_low(V pair, V even)
{
    return _mm512_mask_mov_epi16(pair, 0x55555555, even);
}

TARGET LWFC_INLINE V avx512_pair(V even, V odd)
{
    return avx512_with_low(_mm512_slli_epi32(odd, 16), even);
}

TARGET LWFC_INLINE V avx512_scaled_up(V v, int bits)
{
    return _mm512_sll_epi32(v, _mm_cvtsi32_si128(bits));
}

TARGET LWFC_INLINE void avx512_store_low(int16_t *p, V v)
{
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtepi32_epi16(v));
}

TARGET LWFC_INLINE F avx512_scaled(V sum, float scale)
{
    return _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_set1_ps(scale));
}

/* Of equal zeros the value's own sign stays: the second operand. */
TARGET LWFC_INLINE F avx512_limited(F v, float lo, float hi)
{
    return _mm512_min_ps(_mm512_set1_ps(hi), _mm512_max_ps(_mm512_set1_ps(lo), v));
}

TARGET LWFC_INLINE __mmask16 avx512_first(int count)
{
    return (__mmask16)(count >= LANES_AVX512 ? 0xFFFF : (1u << count) - 1);
}

TARGET LWFC_INLINE void avx512_store_floats(float *p, F v, int count)
{
    _mm512_mask_storeu_ps(p, avx512_first(count), v);
}

TARGET LWFC_INLINE F avx512_load_floats(const float *p, int count)
{
    return _mm512_maskz_loadu_ps(avx512_first(count), p);
}

TARGET LWFC_INLINE V avx512_taken(F x, V mean, float lo, float hi, float scale)
{
    const __mmask16 number = _mm512_cmp_ps_mask(x, x, _CMP_ORD_Q);
    const F scaled = _mm512_mul_ps(avx512_limited(x, lo, hi), _mm512_set1_ps(scale));
    const V v = avx512_saturated(_mm512_sub_epi32(_mm512_cvtps_epi32(scaled), mean));
    return _mm512_maskz_mov_epi32(number, v);
}

TARGET LWFC_INLINE V avx512_quantized(V sum, const float *scales, float limit)
{
    const F v = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_loadu_ps(scales));
    return _mm512_cvtps_epi32(avx512_limited(v, -limit, limit));
}

#define v_set1 avx512_set1
#define v_load avx512_load
#define v_store avx512_store
#define v_dot avx512_dot
#define v_widened avx512_widened
#define v_add_product avx512_add_product
#define v_rounded avx512_rounded
#define v_pair avx512_pair
#define v_with_low avx512_with_low
#define v_scaled_up avx512_scaled_up
#define v_store_low avx512_store_low
#define v_taken avx512_taken
#define v_quantized avx512_quantized
#define v_turned avx2_turned
#define f_scaled avx512_scaled
#define f_limited avx512_limited
#define f_store avx512_store_floats
#define f_load avx512_load_floats
#include "kernels/transform_lanes.h"

TARGET static void narrow_rows_avx512(const uint32_t *z, int z_stride,
                                      const struct lwfc_side *width, int vp, int height,
                                      int channels, const struct lwfc_rows_out *to)
{
    const int is_narrow = to->column == 1 && width->n <= LANES_AVX2;
    (is_narrow ? rows_avx2 : rows_avx512)(z, z_stride, width, vp, height, channels, to);
}

#include "kernels/transform_lanes_end.h"

static const struct lwfc_transform_kernels avx512_kernels = {
    synthesize_avx512,   columns_avx512,         narrow_rows_avx512, take_avx512,
    forward_rows_avx512, forward_columns_avx512, analyze_avx512};

#endif
