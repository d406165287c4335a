/* The transform's kernels with AVX-512 and its dot products, sixteen lanes. Included by
 * transform_kernels.c behind the AVX2 variant, whose turning it shares. */
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

TARGET LWFC_INLINE void avx512_add_products(V *sum, const int16_t *a, const int16_t *b,
                                             uint32_t pair)
{
    *sum = avx512_dot(*sum, avx512_widened(a), avx512_set1(pair & 0xFFFF));
    *sum = avx512_dot(*sum, avx512_widened(b), avx512_set1(pair >> 16));
}

TARGET LWFC_INLINE V avx512_saturated(V v)
{
    return _mm512_max_epi32(_mm512_min_epi32(v, _mm512_set1_epi32(32767)),
                            _mm512_set1_epi32(-32767));
}

TARGET LWFC_INLINE V avx512_add(V a, V b)
{
    return _mm512_add_epi32(a, b);
}

TARGET LWFC_INLINE V avx512_sub(V a, V b)
{
    return _mm512_sub_epi32(a, b);
}

TARGET LWFC_INLINE V avx512_and(V a, V b)
{
    return _mm512_and_si512(a, b);
}

TARGET LWFC_INLINE V avx512_add16(V a, V b)
{
    return _mm512_add_epi16(a, b);
}

TARGET LWFC_INLINE V avx512_sub16(V a, V b)
{
    return _mm512_sub_epi16(a, b);
}

TARGET LWFC_INLINE V avx512_swapped(V a)
{
    return _mm512_or_si512(_mm512_slli_epi32(a, 16), _mm512_srli_epi32(a, 16));
}

TARGET LWFC_INLINE V avx512_joined(V low, V high)
{
    return _mm512_mask_mov_epi16(high, 0x55555555, low);
}

TARGET LWFC_INLINE V avx512_widest(V widest, V a)
{
    return _mm512_max_epi16(widest, _mm512_abs_epi16(a));
}

TARGET LWFC_INLINE int avx512_is_narrow(V widest)
{
    return _mm512_cmpgt_epi16_mask(widest, _mm512_set1_epi16((1 << 14) - 1)) == 0;
}

/* What a sum that will be shifted begins with. */
TARGET LWFC_INLINE V avx512_half(int shift)
{
    return _mm512_set1_epi32((1 << shift) >> 1);
}

TARGET LWFC_INLINE V avx512_shifted(V sum, int shift)
{
    return avx512_saturated(_mm512_sra_epi32(sum, _mm_cvtsi32_si128(shift)));
}

TARGET LWFC_INLINE V avx512_pair(V even, V odd)
{
    return _mm512_mask_mov_epi16(_mm512_slli_epi32(odd, 16), 0x55555555, even);
}

TARGET LWFC_INLINE V avx512_shifted_pair(V even, V odd, int shift)
{
    return avx512_pair(avx512_shifted(even, shift), avx512_shifted(odd, shift));
}

TARGET LWFC_INLINE void avx512_load_pairs(const int16_t *even, const int16_t *odd, V *pairs)
{
    *pairs = avx512_pair(avx512_widened(even), avx512_widened(odd));
}

/* int16 times `unit`, a power of 2 below 2^15: a product of pairs whose high halves are 0. */
TARGET LWFC_INLINE V avx512_scaled_up(__m256i v, V unit)
{
    return _mm512_madd_epi16(_mm512_cvtepu16_epi32(v), unit);
}

TARGET LWFC_INLINE V avx512_mean(const int16_t *p, V unit)
{
    return avx512_scaled_up(_mm256_loadu_si256((const __m256i *)(const void *)p), unit);
}

TARGET LWFC_INLINE void avx512_store_low(int16_t *p, const V *v)
{
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtepi32_epi16(*v));
}

TARGET LWFC_INLINE void avx512_store_strip(int16_t *p, const V *sum, int shift)
{
    const V v = avx512_shifted(*sum, shift);
    avx512_store_low(p, &v);
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

/* What floats become, not yet saturated. */
TARGET LWFC_INLINE V avx512_taken(F x, V mean, const struct lwfc_rows_in *f)
{
    const __mmask16 number = _mm512_cmp_ps_mask(x, x, _CMP_ORD_Q);
    const F scaled = _mm512_mul_ps(avx512_limited(x, f->lo, f->hi), _mm512_set1_ps(f->scale));
    return _mm512_maskz_mov_epi32(number, _mm512_sub_epi32(_mm512_cvtps_epi32(scaled), mean));
}

TARGET LWFC_INLINE V avx512_two_means(const int16_t *low, const int16_t *high, V unit)
{
    return avx512_scaled_up(avx2_two(low, high), unit);
}

/* The first `count` floats at `in` and at `next`, at most eight. */
TARGET LWFC_INLINE void avx512_take_two(const float *in, const float *next, int count,
                                        const int16_t *mean, const int16_t *next_mean,
                                        const struct lwfc_rows_in *f, int16_t *out,
                                        int16_t *next_out)
{
    const __mmask8 some = (__mmask8)avx512_first(count < 8 ? count : 8);
    const F x = _mm512_castpd_ps(_mm512_insertf64x4(
        _mm512_castps_pd(_mm512_castps256_ps512(_mm256_maskz_loadu_ps(some, in))),
        _mm256_castps_pd(_mm256_maskz_loadu_ps(some, next)), 1));
    const V means = avx512_two_means(mean, next_mean, avx512_set1(1u << f->bits));
    const __m256i v = _mm512_cvtepi32_epi16(avx512_saturated(avx512_taken(x, means, f)));
    _mm_storeu_si128((__m128i *)(void *)out, _mm256_castsi256_si128(v));
    _mm_storeu_si128((__m128i *)(void *)next_out, _mm256_extracti128_si256(v, 1));
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
#define v_add_products avx512_add_products
#define v_store_products avx512_store_strip
#define v_add avx512_add
#define v_sub avx512_sub
#define v_half avx512_half
#define v_and avx512_and
#define v_add16 avx512_add16
#define v_sub16 avx512_sub16
#define v_swapped avx512_swapped
#define v_joined avx512_joined
#define v_widest avx512_widest
#define v_is_narrow avx512_is_narrow
#define v_shifted_pair avx512_shifted_pair
#define v_store_strip avx512_store_strip
#define v_load_pairs avx512_load_pairs
#define v_mean avx512_mean
#define v_store_low avx512_store_low
#define v_taken avx512_taken
#define v_take_two avx512_take_two
#define v_quantized avx512_quantized
#define v_turned avx2_turned
#define f_scaled avx512_scaled
#define f_limited avx512_limited
#define f_store avx512_store_floats
#define f_load avx512_load_floats
#include "kernels/transform_lanes.h"

/* Blocks of at most eight columns: two rows in a vector. */
enum { HALF = LANES_AVX512 / 2, UPPER = 0xFF00 };

/* One number to the lower half, another one to the upper half. */
TARGET LWFC_INLINE V avx512_halves(uint32_t low, uint32_t high)
{
    return _mm512_mask_mov_epi32(avx512_set1(low), UPPER, avx512_set1(high));
}

TARGET LWFC_INLINE void avx512_store_two(float *low, float *high, F v, int count)
{
    const __m256 upper = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(v), 1));
    if (count == HALF) {
        _mm256_storeu_ps(low, _mm512_castps512_ps256(v));
        _mm256_storeu_ps(high, upper);
    } else {
        const __mmask8 some = (__mmask8)avx512_first(count);
        _mm256_mask_storeu_ps(high, some, upper);
        _mm256_mask_storeu_ps(low, some, _mm512_castps512_ps256(v));
    }
}

/* 2 n rows of one channel; the last one may be the one before it again. */
TARGET LWFC_INLINE void narrow_rows_of(const uint32_t *z, const int *y, int height,
                                       const struct lwfc_side *width, int vp, const int n,
                                       float *out, const int16_t *mean,
                                       const struct lwfc_rows_out *to)
{
    const V unit = avx512_set1(1u << width->bits);
    V sum[4];
    for (int k = 0; k < n; k++) {
        sum[k] = avx512_two_means(mean + y[2 * k] * to->mean_row,
                                  mean + y[2 * k + 1] * to->mean_row, unit);
    }
    for (int p = 0; p < vp; p++, z += height * LWFC_STRIP) {
        const V t = _mm512_broadcast_i64x4(
            _mm256_loadu_si256((const __m256i *)(const void *)(width->over_k + p * width->padded)));
        for (int k = 0; k < n; k++) {
            const V both = avx512_halves(z[y[2 * k] * LWFC_STRIP], z[y[2 * k + 1] * LWFC_STRIP]);
            sum[k] = avx512_dot(sum[k], t, both);
        }
    }
    for (int k = 0; k < n; k++) {
        const F v = avx512_scaled(sum[k], to->scale);
        avx512_store_two(out + y[2 * k] * to->row, out + y[2 * k + 1] * to->row,
                         to->clamp ? avx512_limited(v, to->lo, to->hi) : v, width->n);
    }
}

TARGET static void narrow_rows_avx512(const uint32_t *z, const struct lwfc_side *width, int vp,
                                      int height, int channels, const struct lwfc_rows_out *to)
{
    if (to->column != 1 || width->n > HALF) {
        rows_avx512(z, width, vp, height, channels, to);
        return;
    }
    for (int y = 0; y < height; y += 8) {
        int row[8]; /* past the last row the last one again */
        for (int k = 0; k < 8; k++) {
            row[k] = y + k < height ? y + k : height - 1;
        }
        const int left = height - y;
        for (int c = 0; c < channels; c++) {
            float *out = to->out + c * to->channel;
            const int16_t *mean = to->mean + c * to->mean_channel;
            if (left > 4) {
                narrow_rows_of(z + c, row, height, width, vp, 4, out, mean, to);
            } else if (left > 2) {
                narrow_rows_of(z + c, row, height, width, vp, 2, out, mean, to);
            } else {
                narrow_rows_of(z + c, row, height, width, vp, 1, out, mean, to);
            }
        }
    }
}

#include "kernels/transform_lanes_end.h"

static const struct lwfc_transform_kernels avx512_kernels = {
    synthesize_avx512,   columns_avx512,         narrow_rows_avx512, take_avx512,
    forward_rows_avx512, forward_columns_avx512, analyze_avx512};

#endif
