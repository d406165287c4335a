/* The transform's kernels with AVX2, eight lanes. Included by transform_kernels.c. */
#ifndef LWFC_KERNELS_X86_TRANSFORM_AVX2_H
#define LWFC_KERNELS_X86_TRANSFORM_AVX2_H

#include <immintrin.h>

/* Sums in a vector of this type stay where they are; in an __m256i, gcc 12 copies them at each
 * round of a loop. */
typedef uint32_t u32x8 __attribute__((vector_size(32)));

#define TARGET LWFC_TARGET("avx2,fma")
#define KERNEL(name) name##_avx2
#define V u32x8
#define F __m256
enum { LANES_AVX2 = 8 };
#define LANES LANES_AVX2

TARGET LWFC_INLINE V avx2_set1(uint32_t v)
{
    return (V)_mm256_set1_epi32((int)v);
}

TARGET LWFC_INLINE V avx2_load(const uint32_t *p)
{
    return (V)_mm256_loadu_si256((const __m256i *)(const void *)p);
}

TARGET LWFC_INLINE void avx2_store(uint32_t *p, V v)
{
    _mm256_storeu_si256((__m256i *)(void *)p, (__m256i)v);
}

TARGET LWFC_INLINE V avx2_dot(V sum, V a, V b)
{
    return sum + (V)_mm256_madd_epi16((__m256i)a, (__m256i)b);
}

/* A strip's products of `pair` with columns a and b: channels 0-3 and 8-11, then the others. */
TARGET LWFC_INLINE void avx2_add_products(V *sum, const int16_t *a, const int16_t *b, uint32_t pair)
{
    const __m256i from_a = _mm256_loadu_si256((const __m256i *)(const void *)a);
    const __m256i from_b = _mm256_loadu_si256((const __m256i *)(const void *)b);
    const V q = avx2_set1(pair);
    sum[0] = avx2_dot(sum[0], (V)_mm256_unpacklo_epi16(from_a, from_b), q);
    sum[1] = avx2_dot(sum[1], (V)_mm256_unpackhi_epi16(from_a, from_b), q);
}

TARGET LWFC_INLINE V avx2_add(V a, V b)
{
    return a + b;
}

TARGET LWFC_INLINE V avx2_sub(V a, V b)
{
    return a - b;
}

TARGET LWFC_INLINE V avx2_and(V a, V b)
{
    return a & b;
}

TARGET LWFC_INLINE V avx2_add16(V a, V b)
{
    return (V)_mm256_add_epi16((__m256i)a, (__m256i)b);
}

TARGET LWFC_INLINE V avx2_sub16(V a, V b)
{
    return (V)_mm256_sub_epi16((__m256i)a, (__m256i)b);
}

/* The halves of each number change places. */
TARGET LWFC_INLINE V avx2_swapped(V a)
{
    const __m256i order = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));
    return (V)_mm256_shuffle_epi8((__m256i)a, order);
}

/* The low halves of one and the high halves of the other. */
TARGET LWFC_INLINE V avx2_joined(V low, V high)
{
    return (V)_mm256_blend_epi16((__m256i)low, (__m256i)high, 0xAA);
}

/* The larger magnitudes of halves, and whether all are below 2^14. */
TARGET LWFC_INLINE V avx2_widest(V widest, V a)
{
    return (V)_mm256_max_epi16((__m256i)widest, _mm256_abs_epi16((__m256i)a));
}

TARGET LWFC_INLINE int avx2_is_narrow(V widest)
{
    return _mm256_testz_si256((__m256i)widest, _mm256_set1_epi16(1 << 14));
}

/* What a sum that will be shifted begins with. */
TARGET LWFC_INLINE V avx2_half(int shift)
{
    return avx2_set1((1u << shift) >> 1);
}

/* Saturated: in each half of the vector those of `low`, then those of `high`. */
TARGET LWFC_INLINE __m256i avx2_packed(V low, V high, int shift)
{
    const __m128i count = _mm_cvtsi32_si128(shift);
    const __m256i both = _mm256_packs_epi32(_mm256_sra_epi32((__m256i)low, count),
                                            _mm256_sra_epi32((__m256i)high, count));
    return _mm256_max_epi16(both, _mm256_set1_epi16(-32767));
}

TARGET LWFC_INLINE V avx2_shifted_pair(V even, V odd, int shift)
{
    const __m256i order = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15));
    return (V)_mm256_shuffle_epi8(avx2_packed(even, odd, shift), order);
}

TARGET LWFC_INLINE void avx2_store_strip(int16_t *p, const V *sum, int shift)
{
    const __m256i both = avx2_packed(sum[0], sum[1], shift);
    _mm256_storeu_si256((__m256i *)(void *)p, _mm256_permute4x64_epi64(both, 0xD8));
}

TARGET LWFC_INLINE void avx2_store_products(int16_t *p, const V *sum, int shift)
{
    _mm256_storeu_si256((__m256i *)(void *)p, avx2_packed(sum[0], sum[1], shift));
}

/* Pairs of 16 numbers at `even` and at `odd`. */
TARGET LWFC_INLINE void avx2_load_pairs(const int16_t *even, const int16_t *odd, V *pairs)
{
    const __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)even);
    const __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)odd);
    const __m256i a_split = _mm256_permute4x64_epi64(a, 0xD8);
    const __m256i b_split = _mm256_permute4x64_epi64(b, 0xD8);
    pairs[0] = (V)_mm256_unpacklo_epi16(a_split, b_split);
    pairs[1] = (V)_mm256_unpackhi_epi16(a_split, b_split);
}

/* int16 times `unit`, a power of 2 below 2^15: a product of pairs whose high halves are 0. */
TARGET LWFC_INLINE V avx2_mean(const int16_t *p, V unit)
{
    const __m256i v = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
    return (V)_mm256_madd_epi16(v, (__m256i)unit);
}

TARGET LWFC_INLINE void avx2_store_low(int16_t *p, const V *v)
{
    const __m256i both = _mm256_packs_epi32((__m256i)v[0], (__m256i)v[1]);
    _mm256_storeu_si256((__m256i *)(void *)p, _mm256_permute4x64_epi64(both, 0xD8));
}

TARGET LWFC_INLINE F avx2_scaled(V sum, float scale)
{
    return _mm256_mul_ps(_mm256_cvtepi32_ps((__m256i)sum), _mm256_set1_ps(scale));
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
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_maskload_ps(p, _mm256_cmpgt_epi32(_mm256_set1_epi32(count), lane));
}

/* What floats become, not yet saturated. */
TARGET LWFC_INLINE V avx2_taken(F x, V mean, const struct lwfc_rows_in *f)
{
    const V number = (V)_mm256_cmp_ps(x, x, _CMP_ORD_Q);
    const F scaled = _mm256_mul_ps(avx2_limited(x, f->lo, f->hi), _mm256_set1_ps(f->scale));
    return ((V)_mm256_cvtps_epi32(scaled) - mean) & number;
}

TARGET LWFC_INLINE __m256i avx2_rounded(F x, const struct lwfc_rows_in *f)
{
    return _mm256_cvtps_epi32(
        _mm256_mul_ps(avx2_limited(x, f->lo, f->hi), _mm256_set1_ps(f->scale)));
}

TARGET LWFC_INLINE __m256i avx2_two(const int16_t *low, const int16_t *high)
{
    return _mm256_inserti128_si256(
        _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)low)),
        _mm_loadu_si128((const __m128i *)(const void *)high), 1);
}

/* The first `count` floats at `in` and at `next`, at most eight. */
TARGET LWFC_INLINE void avx2_take_two(const float *in, const float *next, int count,
                                      const int16_t *mean, const int16_t *next_mean,
                                      const struct lwfc_rows_in *f, int16_t *out,
                                      int16_t *next_out)
{
    const F x = avx2_load_floats(in, count), y = avx2_load_floats(next, count);
    __m256i v;
    if (f->is_narrow) {
        const __m256i both = _mm256_permute4x64_epi64(
            _mm256_packs_epi32(avx2_rounded(x, f), avx2_rounded(y, f)), 0xD8);
        const __m256i means =
            _mm256_sll_epi16(avx2_two(mean, next_mean), _mm_cvtsi32_si128(f->bits));
        /* Only NaN becomes the lowest number. */
        const __m256i nan = _mm256_cmpeq_epi16(both, _mm256_set1_epi16(INT16_MIN));
        v = _mm256_max_epi16(_mm256_subs_epi16(both, means), _mm256_set1_epi16(-32767));
        v = _mm256_andnot_si256(nan, v);
    } else {
        const V unit = avx2_set1(1u << f->bits);
        v = avx2_packed(avx2_taken(x, avx2_mean(mean, unit), f),
                        avx2_taken(y, avx2_mean(next_mean, unit), f), 0);
        v = _mm256_permute4x64_epi64(v, 0xD8);
    }
    _mm_storeu_si128((__m128i *)(void *)out, _mm256_castsi256_si128(v));
    _mm_storeu_si128((__m128i *)(void *)next_out, _mm256_extracti128_si256(v, 1));
}

TARGET LWFC_INLINE V avx2_quantized(V sum, const float *scales, float limit)
{
    const F v = _mm256_mul_ps(_mm256_cvtepi32_ps((__m256i)sum), _mm256_loadu_ps(scales));
    return (V)_mm256_cvtps_epi32(avx2_limited(v, -limit, limit));
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
#define v_add_products avx2_add_products
#define v_store_products avx2_store_products
#define v_add avx2_add
#define v_sub avx2_sub
#define v_half avx2_half
#define v_and avx2_and
#define v_add16 avx2_add16
#define v_sub16 avx2_sub16
#define v_swapped avx2_swapped
#define v_joined avx2_joined
#define v_widest avx2_widest
#define v_is_narrow avx2_is_narrow
#define v_shifted_pair avx2_shifted_pair
#define v_store_strip avx2_store_strip
#define v_load_pairs avx2_load_pairs
#define v_mean avx2_mean
#define v_store_low avx2_store_low
#define v_taken avx2_taken
#define v_take_two avx2_take_two
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
