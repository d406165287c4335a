/* AVX2 variants of quantize.c. Included by it; tails go to the scalar code. */
#ifndef LWFC_KERNELS_X86_QUANTIZE_AVX2_H
#define LWFC_KERNELS_X86_QUANTIZE_AVX2_H

#include <immintrin.h>

/* 32 symbols: how many of `count` broadcast thresholds each float reaches.
 * A true comparison is -1, so subtracting counts. packs works within 128-bit
 * halves; the last permutation puts the eight groups of four in order. */
LWFC_TARGET("avx2")
LWFC_INLINE __m256i count32_avx2(const float *x, const __m256 *t, int count)
{
    __m256i s[4];
    for (int g = 0; g < 4; g++) {
        const __m256 v = _mm256_loadu_ps(x + 8 * g);
        __m256i sum = _mm256_setzero_si256();
        for (int k = 0; k < count; k++) {
            sum = _mm256_sub_epi32(sum, _mm256_castps_si256(_mm256_cmp_ps(t[k], v, _CMP_LE_OQ)));
        }
        s[g] = sum;
    }
    const __m256i low = _mm256_packs_epi32(s[0], s[1]);
    const __m256i high = _mm256_packs_epi32(s[2], s[3]);
    return _mm256_permutevar8x32_epi32(_mm256_packus_epi16(low, high),
                                       _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

/* A constant count lets the compiler keep the thresholds in registers. */
#define COUNT_LOOP(COUNT)                                                                    \
    for (; i + 32 <= n; i += 32) {                                                           \
        _mm256_storeu_si256((__m256i *)(symbols + i), count32_avx2(x + i, t, COUNT));        \
    }                                                                                        \
    break

LWFC_TARGET("avx2")
static size_t quantize_counting_avx2(const float *x, size_t n, const float *thresholds, int count,
                                     uint8_t *symbols)
{
    size_t i = 0;
    __m256 t[COUNTING_LIMIT];
    for (int k = 0; k < count; k++) {
        t[k] = _mm256_set1_ps(thresholds[k]);
    }
    switch (count) {
    case 1: COUNT_LOOP(1);
    case 2: COUNT_LOOP(2);
    case 3: COUNT_LOOP(3);
    case 4: COUNT_LOOP(4);
    case 5: COUNT_LOOP(5);
    case 6: COUNT_LOOP(6);
    case 7: COUNT_LOOP(7);
    default: COUNT_LOOP(count);
    }
    return i;
}
#undef COUNT_LOOP

/* Thresholds about equally far apart: a straight line through them tells the
 * symbol or one less, and a comparison with one threshold which. */
struct line_avx2 {
    __m256 first, scale, last; /* last: the number of thresholds */
};

/* The line at x, in 0..count. It never falls as x rises, whatever is rounded; a
 * NaN gives 0, since max then takes its second operand. */
LWFC_TARGET("avx2")
LWFC_INLINE __m256i guess_avx2(__m256 x, const struct line_avx2 *line)
{
    const __m256 p = _mm256_mul_ps(_mm256_sub_ps(x, line->first), line->scale);
    const __m256 up = _mm256_max_ps(_mm256_add_ps(p, _mm256_set1_ps(0.5f)), _mm256_setzero_ps());
    return _mm256_cvttps_epi32(_mm256_min_ps(up, line->last));
}

/* 1 if the line is right for every float. It is when, for each k, it gives k or
 * more at threshold k and k or less just below: it rises in between. `table` is
 * padded with NaN to a multiple of eight. */
LWFC_TARGET("avx2")
static int line_fits_avx2(const float *table, int count, struct line_avx2 *line)
{
    const float scale = (float)(count - 1) / (table[count - 1] - table[0]);
    if (!(scale > 0.0f && scale <= FLT_MAX)) {
        return 0;
    }
    line->first = _mm256_set1_ps(table[0]);
    line->scale = _mm256_set1_ps(scale);
    line->last = _mm256_set1_ps((float)count);
    __m256i bad = _mm256_setzero_si256();
    for (int k = 0; k < count; k += 8) {
        const __m256 t = _mm256_loadu_ps(table + k);
        const __m256i index = _mm256_add_epi32(_mm256_set1_epi32(k),
                                               _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
        /* The next float below: one less in the bits of a positive number, one more
         * in those of a negative one; below either zero is the least negative. */
        const __m256i bits = _mm256_castps_si256(t);
        const __m256i toward = _mm256_or_si256(_mm256_srai_epi32(bits, 31), _mm256_set1_epi32(1));
        const __m256 zero = _mm256_cmp_ps(t, _mm256_setzero_ps(), _CMP_EQ_OQ);
        const __m256 below = _mm256_blendv_ps(
            _mm256_castsi256_ps(_mm256_sub_epi32(bits, toward)),
            _mm256_castsi256_ps(_mm256_set1_epi32((int)0x80000001u)), zero);
        const __m256i low = _mm256_cmpgt_epi32(index, guess_avx2(t, line));
        const __m256i high = _mm256_cmpgt_epi32(guess_avx2(below, line), index);
        const __m256i valid = _mm256_cmpgt_epi32(_mm256_set1_epi32(count), index);
        bad = _mm256_or_si256(bad, _mm256_and_si256(valid, _mm256_or_si256(low, high)));
    }
    return _mm256_testz_si256(bad, bad);
}

LWFC_TARGET("avx2")
LWFC_INLINE __m256i line8_avx2(const float *x, const float *table, const struct line_avx2 *line)
{
    const __m256 v = _mm256_loadu_ps(x);
    const __m256i guess = guess_avx2(v, line);
    const __m256 t = _mm256_i32gather_ps(table, guess, 4);
    return _mm256_sub_epi32(guess, _mm256_castps_si256(_mm256_cmp_ps(t, v, _CMP_LE_OQ)));
}

/* As line8_avx2, with a table of 16 thresholds in two registers. */
LWFC_TARGET("avx2")
LWFC_INLINE __m256i short_line8_avx2(const float *x, __m256 low, __m256 high,
                                     const struct line_avx2 *line)
{
    const __m256 v = _mm256_loadu_ps(x);
    const __m256i guess = guess_avx2(v, line);
    const __m256 t = _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, guess),
                                      _mm256_permutevar8x32_ps(high, guess),
                                      _mm256_castsi256_ps(_mm256_slli_epi32(guess, 28)));
    return _mm256_sub_epi32(guess, _mm256_castps_si256(_mm256_cmp_ps(t, v, _CMP_LE_OQ)));
}

LWFC_TARGET("avx2")
LWFC_INLINE void store32_avx2(const __m256i s[4], uint8_t *symbols)
{
    const __m256i packed = _mm256_packus_epi16(_mm256_packs_epi32(s[0], s[1]),
                                               _mm256_packs_epi32(s[2], s[3]));
    _mm256_storeu_si256((__m256i *)symbols, _mm256_permutevar8x32_epi32(
                                                packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)));
}

LWFC_TARGET("avx2")
static size_t quantize_line_avx2(const float *x, size_t n, const float *table, int count,
                                 const struct line_avx2 *line, uint8_t *symbols)
{
    size_t i = 0;
    __m256i s[4];
    if (count < 16) {
        const __m256 low = _mm256_loadu_ps(table);
        const __m256 high = _mm256_loadu_ps(table + 8);
        for (; i + 32 <= n; i += 32) {
            for (int g = 0; g < 4; g++) {
                s[g] = short_line8_avx2(x + i + 8 * g, low, high, line);
            }
            store32_avx2(s, symbols + i);
        }
        return i;
    }
    for (; i + 32 <= n; i += 32) {
        for (int g = 0; g < 4; g++) {
            s[g] = line8_avx2(x + i + 8 * g, table, line);
        }
        store32_avx2(s, symbols + i);
    }
    return i;
}

/* Binary search in eight lanes. */
LWFC_TARGET("avx2")
static size_t quantize_search_avx2(const float *x, size_t n, const float *table, uint8_t *symbols)
{
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        __m256i below[4];
        for (int g = 0; g < 4; g++) {
            below[g] = _mm256_setzero_si256();
        }
        for (int half = 128; half > 0; half >>= 1) {
            for (int g = 0; g < 4; g++) { /* four at a time: each waits long for its gather */
                const __m256i probe = _mm256_add_epi32(below[g], _mm256_set1_epi32(half - 1));
                const __m256 t = _mm256_i32gather_ps(table, probe, 4);
                const __m256 reached = _mm256_cmp_ps(t, _mm256_loadu_ps(x + i + 8 * g), _CMP_LE_OQ);
                below[g] = _mm256_add_epi32(
                    below[g], _mm256_and_si256(_mm256_castps_si256(reached), _mm256_set1_epi32(half)));
            }
        }
        store32_avx2(below, symbols + i);
    }
    return i;
}

LWFC_TARGET("avx2")
static void quantize_avx2(const float *x, size_t n, const float *thresholds, int count,
                          uint8_t *symbols)
{
    size_t i = 0;
    if (count <= 7) {
        i = quantize_counting_avx2(x, n, thresholds, count, symbols);
    } else if (n >= 32) {
        /* NaN pads the table: it is reached by nothing, not even by +inf. */
        float table[256];
        struct line_avx2 line;
        memcpy(table, thresholds, (size_t)count * sizeof *table);
        for (int k = count; k < 256; k++) {
            table[k] = NAN;
        }
        if (line_fits_avx2(table, count, &line)) {
            i = quantize_line_avx2(x, n, table, count, &line, symbols);
        } else if (count <= COUNTING_LIMIT) {
            i = quantize_counting_avx2(x, n, thresholds, count, symbols);
        } else {
            i = quantize_search_avx2(x, n, table, symbols);
        }
    }
    quantize_scalar(x + i, n - i, thresholds, count, symbols + i);
}

/* Up to eight levels; returns how many are done. stream: y is aligned to 32 bytes,
 * and written past the caches. */
LWFC_TARGET("avx2")
LWFC_INLINE size_t dequantize8_avx2(const uint8_t *symbols, size_t n, const float *values,
                                    int levels, float *y, int stream)
{
    float padded[8] = {0};
    size_t i = 0;
    memcpy(padded, values, (size_t)levels * sizeof *values);
    const __m256 table = _mm256_loadu_ps(padded);
    for (; i + 8 <= n; i += 8) {
        const __m256i s = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(symbols + i)));
        const __m256 v = _mm256_permutevar8x32_ps(table, s);
        if (stream) {
            _mm256_stream_ps(y + i, v);
        } else {
            _mm256_storeu_ps(y + i, v);
        }
    }
    return i;
}

LWFC_TARGET("avx2")
static void dequantize_avx2(const uint8_t *symbols, size_t n, const float *values, int levels,
                            float *y)
{
    size_t i = 0;
    if (levels <= 8) {
        i = dequantize8_avx2(symbols, n, values, levels, y, 0);
    } else if (levels <= 16) {
        float padded[16] = {0};
        memcpy(padded, values, (size_t)levels * sizeof *values);
        const __m256 low = _mm256_loadu_ps(padded);
        const __m256 high = _mm256_loadu_ps(padded + 8);
        for (; i + 8 <= n; i += 8) {
            const __m256i s = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(symbols + i)));
            const __m256 pick_high = _mm256_castsi256_ps(_mm256_slli_epi32(s, 28));
            _mm256_storeu_ps(y + i, _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, s),
                                                     _mm256_permutevar8x32_ps(high, s), pick_high));
        }
    }
    dequantize_scalar(symbols + i, n - i, values, levels, y + i);
}

LWFC_TARGET("avx2")
static void dequantize_stream_avx2(const uint8_t *symbols, size_t n, const float *values,
                                   int levels, float *y)
{
    const size_t unaligned = (uintptr_t)y % 32;
    if (levels > 8 || unaligned % sizeof *y != 0 || n < 8) {
        dequantize_avx2(symbols, n, values, levels, y);
        return;
    }
    const size_t head = unaligned ? (32 - unaligned) / sizeof *y : 0;
    dequantize_scalar(symbols, head, values, levels, y);
    const size_t done =
        head + dequantize8_avx2(symbols + head, n - head, values, levels, y + head, 1);
    _mm_sfence();
    dequantize_scalar(symbols + done, n - done, values, levels, y + done);
}

LWFC_TARGET("avx2")
static void moments_avx2(const float *x, size_t n, struct lwfc_moments *out)
{
    const __m256 largest = _mm256_set1_ps(FLT_MAX);
    const __m256 magnitude_mask = _mm256_castsi256_ps(_mm256_set1_epi32(0x7FFFFFFF));
    const __m256d sign = _mm256_set1_pd(-0.0);
    __m256d sum[2], squares[2], magnitudes[2];
    for (int h = 0; h < 2; h++) {
        sum[h] = squares[h] = magnitudes[h] = _mm256_setzero_pd();
    }
    __m256 low = _mm256_set1_ps(INFINITY), high = _mm256_set1_ps(-INFINITY);
    uint64_t finite_count = 0, zeros = 0;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const __m256 v = _mm256_loadu_ps(x + i);
        const __m256 finite = _mm256_cmp_ps(_mm256_and_ps(v, magnitude_mask), largest, _CMP_LE_OQ);
        const __m256 zero = _mm256_cmp_ps(v, _mm256_setzero_ps(), _CMP_EQ_OQ);
        const __m256 kept = _mm256_and_ps(v, finite);
        finite_count += (uint64_t)__builtin_popcount((unsigned)_mm256_movemask_ps(finite));
        zeros += (uint64_t)__builtin_popcount((unsigned)_mm256_movemask_ps(zero));
        low = _mm256_min_ps(low, _mm256_blendv_ps(low, v, finite));
        high = _mm256_max_ps(high, _mm256_blendv_ps(high, v, finite));
        for (int h = 0; h < 2; h++) {
            const __m256d d = _mm256_cvtps_pd(h == 0 ? _mm256_castps256_ps128(kept)
                                                     : _mm256_extractf128_ps(kept, 1));
            sum[h] = _mm256_add_pd(sum[h], d);
            squares[h] = _mm256_add_pd(squares[h], _mm256_mul_pd(d, d));
            magnitudes[h] = _mm256_add_pd(magnitudes[h], _mm256_andnot_pd(sign, d));
        }
    }
    struct lane lanes[LWFC_MOMENTS_LANES];
    double buffer[3][LWFC_MOMENTS_LANES];
    float ends[2][8];
    for (int h = 0; h < 2; h++) {
        _mm256_storeu_pd(buffer[0] + 4 * h, sum[h]);
        _mm256_storeu_pd(buffer[1] + 4 * h, squares[h]);
        _mm256_storeu_pd(buffer[2] + 4 * h, magnitudes[h]);
    }
    _mm256_storeu_ps(ends[0], low);
    _mm256_storeu_ps(ends[1], high);
    lwfc_moments_init(out);
    out->count = finite_count;
    out->nonfinite = i - finite_count;
    out->zeros = zeros;
    for (int j = 0; j < LWFC_MOMENTS_LANES; j++) {
        lanes[j] = (struct lane){buffer[0][j], buffer[1][j], buffer[2][j]};
        out->min = ends[0][j] < out->min ? ends[0][j] : out->min;
        out->max = ends[1][j] > out->max ? ends[1][j] : out->max;
    }
    moments_zero_ends(x, i, out);
    for (; i < n; i++) {
        moments_add(lanes, out, i, x[i]);
    }
    moments_finish(lanes, out);
}

LWFC_TARGET("avx2")
static int has_nonfinite_avx2(const float *x, size_t n)
{
    const __m256i exponent = _mm256_set1_epi32(0x7F800000);
    __m256i bad = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const __m256i bits = _mm256_loadu_si256((const __m256i *)(x + i));
        bad = _mm256_or_si256(bad, _mm256_cmpeq_epi32(_mm256_and_si256(bits, exponent), exponent));
    }
    return !_mm256_testz_si256(bad, bad) || has_nonfinite_scalar(x + i, n - i);
}

static const struct lwfc_quantize_kernels avx2_kernels = {
    quantize_avx2, dequantize_avx2, dequantize_stream_avx2, moments_avx2, has_nonfinite_avx2};

#endif
