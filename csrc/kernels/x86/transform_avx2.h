/* The transform's kernels with AVX2, eight lanes. Included by transform_kernels.c. */
#ifndef LWFC_KERNELS_X86_TRANSFORM_AVX2_H
#define LWFC_KERNELS_X86_TRANSFORM_AVX2_H

#include <immintrin.h>

#define TARGET LWFC_TARGET("avx2,fma")
#define KERNEL(name) name##_avx2
#define V __m256i
#define F __m256
enum { LANES_AVX2 = 8 };
#define LANES LANES_AVX2

TARGET LWFC_INLINE V avx2_set1(uint32_t v)
{
    return _mm256_set1_epi32((int)v);
}

TARGET LWFC_INLINE V avx2_load(const uint32_t *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

TARGET LWFC_INLINE void avx2_store(uint32_t *p, V v)
{
    _mm256_storeu_si256((__m256i *)p, v);
}

TARGET LWFC_INLINE V avx2_dot(V sum, V a, V b)
{
    return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
}

TARGET LWFC_INLINE V avx2_widened(const int16_t *p)
{
    return _mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i *)p));
}

/* q in the low halves, nothing in the high ones. */
TARGET LWFC_INLINE V avx2_add_product(V sum, const int16_t *column, V q)
{
    return avx2_dot(sum, avx2_widened(column), q);
}

TARGET LWFC_INLINE V avx2_saturated(V v)
{
    return _mm256_max_epi32(_mm256_min_epi32(v, _mm256_set1_epi32(32767)),
                            _mm256_set1_epi32(-32767));
}

TARGET LWFC_INLINE V avx2_rounded(V sum, int shift)
{
    const V half = _mm256_set1_epi32((1 << shift) >> 1);
    return avx2_saturated(_mm256_sra_epi32(_mm256_add_epi32(sum, half), _mm_cvtsi32_si128(shift)));
}

TARGET LWFC_INLINE V avx2_pair(V even, V odd)
{
    return _mm256_blend_epi16(even, _mm256_slli_epi32(odd, 16), 0xAA);
}

TARGET LWFC_INLINE V avx2_with_low(V pair, V even)
{
    return _mm256_blend_epi16(even, pair, 0xAA);
}

/* int16 times 2^bits, below 2^15: a product of pairs whose high halves are 0. */
TARGET LWFC_INLINE V avx2_mean(const int16_t *p, int bits)
{
    const V v = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
    return _mm256_madd_epi16(v, _mm256_set1_epi32(1 << bits));
}

TARGET LWFC_INLINE void avx2_store_low(int16_t *p, V v)
{
    const V packed = _mm256_permute4x64_epi64(_mm256_packs_epi32(v, v), 0x08);
    _mm_storeu_si128((__m128i *)p, _mm256_castsi256_si128(packed));
}

TARGET LWFC_INLINE F avx2_scaled(V sum, float scale)
{
    return _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_set1_ps(scale));
}

/* Of equal zeros the value's own sign stays: the second operand. */
TARGET LWFC_INLINE F avx2_limited(F v, float lo, float hi)
{
    return _mm256_min_ps(_mm256_set1_ps(hi), _mm256_max_ps(_mm256_set1_ps(lo), v));
}

TARGET LWFC_INLINE void avx2_store_floats(float *p, F v, int count)
{
    if (count >= LANES_AVX2) {
        _mm256_storeu_ps(p, v);
        return;
    }
    __m128 part = _mm256_castps256_ps128(v);
    if (count & 4) {
        _mm_storeu_ps(p, part);
        part = _mm256_extractf128_ps(v, 1);
        p += 4;
    }
    if (count & 2) {
        _mm_storel_pi((__m64 *)(void *)p, part);
        part = _mm_movehl_ps(part, part);
        p += 2;
    }
    if (count & 1) {
        _mm_store_ss(p, part);
    }
}

TARGET LWFC_INLINE F avx2_load_floats(const float *p, int count)
{
    if (count >= LANES_AVX2) {
        return _mm256_loadu_ps(p);
    }
    const V lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_maskload_ps(p, _mm256_cmpgt_epi32(_mm256_set1_epi32(count), lane));
}

TARGET LWFC_INLINE V avx2_taken(F x, V mean, float lo, float hi, float scale)
{
    const V number = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_ORD_Q));
    const F scaled = _mm256_mul_ps(avx2_limited(x, lo, hi), _mm256_set1_ps(scale));
    const V v = avx2_saturated(_mm256_sub_epi32(_mm256_cvtps_epi32(scaled), mean));
    return _mm256_and_si256(v, number);
}

TARGET LWFC_INLINE V avx2_quantized(V sum, const float *scales, float limit)
{
    const F v = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_loadu_ps(scales));
    return _mm256_cvtps_epi32(avx2_limited(v, -limit, limit));
}

/* 16 lines of pairs, `nbytes` apart, to 16 numbers for each pair. */
TARGET LWFC_INLINE void avx2_turned(const int16_t *lines, size_t nbytes, int pairs, uint32_t *out)
{
    const char *in = (const char *)lines;
    for (int c = 0; c < LWFC_STRIP; c += 4, in += 4 * nbytes, out += 4) {
        for (int p = 0; p < pairs; p += 4) {
            const __m128i a = _mm_loadu_si128((const __m128i *)(in + 4 * p));
            const __m128i b = _mm_loadu_si128((const __m128i *)(in + nbytes + 4 * p));
            const __m128i e = _mm_loadu_si128((const __m128i *)(in + 2 * nbytes + 4 * p));
            const __m128i f = _mm_loadu_si128((const __m128i *)(in + 3 * nbytes + 4 * p));
            const __m128i ab = _mm_unpacklo_epi32(a, b), ef = _mm_unpacklo_epi32(e, f);
            const __m128i ab_high = _mm_unpackhi_epi32(a, b), ef_high = _mm_unpackhi_epi32(e, f);
            const __m128i rows[] = {
                _mm_unpacklo_epi64(ab, ef), _mm_unpackhi_epi64(ab, ef),
                _mm_unpacklo_epi64(ab_high, ef_high), _mm_unpackhi_epi64(ab_high, ef_high)};
            for (int k = 0; k < 4 && p + k < pairs; k++) {
                _mm_storeu_si128((__m128i *)(out + (p + k) * LWFC_STRIP), rows[k]);
            }
        }
    }
}

#define v_set1 avx2_set1
#define v_load avx2_load
#define v_store avx2_store
#define v_dot avx2_dot
#define v_add_product avx2_add_product
#define v_rounded avx2_rounded
#define v_pair avx2_pair
#define v_with_low avx2_with_low
#define v_mean avx2_mean
#define v_store_low avx2_store_low
#define v_taken avx2_taken
#define v_quantized avx2_quantized
#define v_turned avx2_turned
#define f_scaled avx2_scaled
#define f_limited avx2_limited
#define f_store avx2_store_floats
#define f_load avx2_load_floats
#include "kernels/transform_lanes.h"
#include "kernels/transform_lanes_end.h"

static const struct lwfc_transform_kernels avx2_kernels = {
    synthesize_avx2,   columns_avx2,         rows_avx2,   take_avx2,
    forward_rows_avx2, forward_columns_avx2, analyze_avx2};

#endif
