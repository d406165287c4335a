/* Scores from references and from the rows above, for AVX2; same bits as the
 * scalar ones of context_kernels.c. */
#ifndef LWFC_KERNELS_X86_CONTEXT_SCORES_AVX2_H
#define LWFC_KERNELS_X86_CONTEXT_SCORES_AVX2_H

#include "kernels/context_simd.h"
#include "kernels/x86/lanes_step_avx2.h"

#include <immintrin.h>
#include <string.h>

enum {
    CONTEXT_BLOCK = 2, /* vectors of a fold per pass over the references of a lane */
    CONTEXT_STRIDE = 32 * CONTEXT_BLOCK,
    CONTEXT_HALF = LWFC_LANES / 2 /* groups of at most so many lanes: two columns a vector */
};

LWFC_TARGET("avx2,bmi2")
static void context_fold_avx2(uint8_t *to, const uint8_t *low, const uint8_t *high, size_t n,
                              int bits)
{
    const __m128i count = _mm_cvtsi32_si128(bits);
    if (n < 32) {
        fold_scalar(to, low, high, n, bits);
        return;
    }
    /* The last vector may lie over the one before. */
    for (size_t done = 0; done < n;) {
        const size_t at = done + 32 <= n ? done : n - 32;
        __m256i v = _mm256_sll_epi16(_mm256_loadu_si256((const __m256i *)(high + at)), count);
        if (low) {
            v = _mm256_or_si256(v, _mm256_loadu_si256((const __m256i *)(low + at)));
        }
        _mm256_storeu_si256((__m256i *)(to + at), v);
        done = at + 32;
    }
}

/* Transposes the 16 x 16 bytes of the rows' lower halves, and those of their upper ones. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void context_turn_rows_avx2(__m256i a[16])
{
    __m256i b[16];
    /* Each round pairs rows i and i + 8; four rounds move a row's number
     * into the byte's place. */
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 8; i++) {
            b[2 * i] = _mm256_unpacklo_epi8(a[i], a[i + 8]);
            b[2 * i + 1] = _mm256_unpackhi_epi8(a[i], a[i + 8]);
        }
        for (int i = 0; i < 8; i++) {
            a[2 * i] = _mm256_unpacklo_epi8(b[i], b[i + 8]);
            a[2 * i + 1] = _mm256_unpackhi_epi8(b[i], b[i + 8]);
        }
    }
}

/* The upper half to out2, then the lower one to out, which may be the same. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void context_store_halves_avx2(void *out, void *out2, __m256i v)
{
    _mm_storeu_si128((__m128i *)out2, _mm256_extracti128_si256(v, 1));
    _mm_storeu_si128((__m128i *)out, _mm256_castsi256_si128(v));
}

/* out[32 j + i] = byte j < 32 of row i < lanes, rows `stride` bytes apart. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void context_transpose_avx2(int8_t *out, const int8_t *rows, size_t stride, int lanes)
{
    __m256i a[16];
    if (lanes == CONTEXT_HALF) {
        for (size_t i = 0; i < 16; i++) {
            a[i] = _mm256_loadu_si256((const __m256i *)(rows + i * stride));
        }
        context_turn_rows_avx2(a);
        for (size_t i = 0; i < 16; i++) {
            context_store_halves_avx2(out + i * LWFC_LANES, out + (16 + i) * LWFC_LANES, a[i]);
        }
        return;
    }
    for (size_t half = 0; half < 2; half++) {
        for (size_t i = 0; i < 16; i++) {
            const int8_t *p = rows + i * stride + 16 * half;
            a[i] = lanes_halves_avx2(p, p + 16 * stride);
        }
        context_turn_rows_avx2(a);
        for (size_t i = 0; i < 16; i++) {
            _mm256_storeu_si256((__m256i *)(out + (16 * half + i) * LWFC_LANES), a[i]);
        }
    }
}

/* lwfc_context_entries of a number of levels. */
struct context_entries_avx2 {
    __m256i low, high;
};

LWFC_TARGET("avx2,bmi2")
LWFC_INLINE struct context_entries_avx2 context_entries_avx2(int levels)
{
    const uint8_t (*const e)[16] = lwfc_context_entries[levels > 2];
    const struct context_entries_avx2 entry = {
        _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)e[0])),
        _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)e[1]))};
    return entry;
}

/* Adds to sum[0] and sum[1], halves of a fold, what four references add. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void context_four_avx2(__m256i (*sum)[2], const uint8_t *folds, const uint32_t *offset,
                                   const int8_t *table, const struct context_entries_avx2 *entry,
                                   int levels, int vectors)
{
    const __m256i nibble = _mm256_set1_epi8(15);
    __m256i low[CONTEXT_BLOCK], high[CONTEXT_BLOCK];
    for (int k = 0; k < 4; k += levels == 2 ? 2 : 1) {
        __m256i of_low, of_high;
        if (levels > 4) {
            of_low = _mm256_broadcastsi128_si256(
                _mm_loadu_si128((const __m128i *)(table + 16 * k)));
            of_high = of_low;
        } else {
            int bytes;
            memcpy(&bytes, table + (levels == 2 ? 2 : 4) * k, sizeof bytes);
            const __m256i four = _mm256_set1_epi32(bytes);
            of_low = levels == 2 ? _mm256_shuffle_epi8(four, entry->low) : four;
            of_high = _mm256_shuffle_epi8(four, entry->high);
        }
        for (int v = 0; v < vectors; v++) {
            __m256i index = _mm256_loadu_si256((const __m256i *)(folds + offset[k] + 32 * v));
            __m256i index2 = index;
            if (levels == 2) {
                const __m256i second =
                    _mm256_loadu_si256((const __m256i *)(folds + offset[k + 1] + 32 * v));
                index = _mm256_or_si256(index, _mm256_slli_epi16(second, 2));
                index2 = index;
            } else if (levels > 4) {
                index2 = _mm256_and_si256(_mm256_srli_epi16(index, 4), nibble);
                index = _mm256_and_si256(index, nibble);
            }
            const __m256i a = _mm256_shuffle_epi8(of_low, index);
            const __m256i b = _mm256_shuffle_epi8(of_high, index2);
            low[v] = k > 0 ? _mm256_add_epi8(low[v], a) : a;
            high[v] = k > 0 ? _mm256_add_epi8(high[v], b) : b;
            /* Adds what it has before the next look-up: gcc would spill instead. */
            __asm__("" : "+x"(low[v]), "+x"(high[v]));
        }
    }
    for (int v = 0; v < vectors; v++) {
        sum[v][0] = _mm256_adds_epi8(sum[v][0], low[v]);
        sum[v][1] = _mm256_adds_epi8(sum[v][1], high[v]);
    }
}

/* Scores of 32 * vectors positions of both halves. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void context_block_avx2(int8_t *score, size_t half, const uint8_t *folds,
                                    const uint32_t *offset, const int8_t *table, size_t step,
                                    const struct lwfc_context_group *group,
                                    const struct context_entries_avx2 *entry, int levels,
                                    int vectors, int lanes)
{
    int8_t rows[2][LWFC_LANES * CONTEXT_STRIDE];
    for (size_t lane = 0; lane < (size_t)lanes; lane++) {
        __m256i sum[CONTEXT_BLOCK][2];
        for (int v = 0; v < vectors; v++) {
            sum[v][0] = _mm256_setzero_si256();
            sum[v][1] = _mm256_setzero_si256();
        }
        for (size_t j = group->first[lane]; j < group->first[lane + 1]; j += 4) {
            context_four_avx2(sum, folds, offset + j, table + j / 4 * step, entry, levels, vectors);
        }
        for (int i = 0; i < 2 * vectors; i++) {
            _mm256_storeu_si256((__m256i *)(rows[i % 2] + lane * CONTEXT_STRIDE + 32 * (i / 2)),
                                sum[i / 2][i % 2]);
        }
    }
    for (int i = 0; i < 2 * vectors; i++) {
        const size_t at = 32 * (size_t)(i / 2) + (i % 2 ? half : 0);
        context_transpose_avx2(score + at * LWFC_LANES, rows[i % 2] + 32 * (i / 2),
                               CONTEXT_STRIDE, lanes);
    }
}

LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void context_plane_avx2(int8_t *score, const uint8_t *folds, size_t half,
                                    const uint32_t *offset, const int8_t *table, size_t step,
                                    const struct lwfc_context_group *group, int levels, int lanes)
{
    const struct context_entries_avx2 entry = context_entries_avx2(levels);
    size_t i = 0;
    for (; i + 32 < half; i += CONTEXT_STRIDE) {
        context_block_avx2(score + i * LWFC_LANES, half, folds + i, offset, table, step, group,
                           &entry, levels, CONTEXT_BLOCK, lanes);
    }
    if (i < half) {
        context_block_avx2(score + i * LWFC_LANES, half, folds + i, offset, table, step, group,
                           &entry, levels, 1, lanes);
    }
}

LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void context_all_references_avx2(int8_t *const *score, const uint8_t *folds,
                                             size_t half, const uint32_t *offset,
                                             const int8_t *table,
                                             const struct lwfc_context_group *group,
                                             const struct lwfc_context_scale *scale, int lanes)
{
    const size_t each = lwfc_context_four_nbytes(scale->levels);
    const size_t step = each * (size_t)scale->scores;
    for (int s = 0; s < scale->scores; s++) {
        const int8_t *const t = table + (size_t)s * each;
        if (scale->levels == 2) {
            context_plane_avx2(score[s], folds, half, offset, t, step, group, 2, lanes);
        } else if (scale->levels <= 4) {
            context_plane_avx2(score[s], folds, half, offset, t, step, group, 4, lanes);
        } else {
            context_plane_avx2(score[s], folds, half, offset, t, step, group, 16, lanes);
        }
    }
}

/* Adds the symbols of a row to the sums. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void context_sums_avx2(uint32_t *sums, const uint8_t *row, size_t width)
{
    for (size_t x = 0; x < width;) {
        __m256i few = _mm256_setzero_si256(); /* 17 symbols of 15 fit a byte */
        for (const size_t end = x + 17 < width ? x + 17 : width; x < end; x++) {
            few = _mm256_add_epi8(few,
                                  _mm256_loadu_si256((const __m256i *)(row + x * LWFC_LANES)));
        }
        uint8_t bytes[LWFC_LANES];
        _mm256_storeu_si256((__m256i *)bytes, few);
        for (size_t i = 0; i < LWFC_LANES; i += 8) {
            __m256i *const to = (__m256i *)(sums + i);
            const __m256i more =
                _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(bytes + i)));
            _mm256_storeu_si256(to, _mm256_add_epi32(_mm256_loadu_si256(to), more));
        }
    }
}

/* lwfc_context_row_offset, lanes h * 16 to h * 16 + 15. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE __m256i context_offset_avx2(const struct lwfc_context_weights *w,
                                        const uint32_t *sums, const uint8_t *prior, size_t width,
                                        size_t y, int h)
{
    const __m256i scale = _mm256_set1_epi32((int)((1u << 24) / (width * (y + 2))));
    const __m256i rows = _mm256_set1_epi32((int)(2 * (uint32_t)width));
    __m256i mean[2];
    for (int i = 0; i < 2; i++) {
        const int at = 16 * h + 8 * i;
        const __m256i p = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(prior + at)));
        const __m256i sum = _mm256_loadu_si256((const __m256i *)(sums + at));
        const __m256i all =
            _mm256_add_epi32(_mm256_slli_epi32(sum, 4), _mm256_mullo_epi32(p, rows));
        mean[i] = _mm256_srli_epi32(_mm256_mullo_epi32(all, scale), 24);
    }
    const __m256i means =
        _mm256_permute4x64_epi64(_mm256_packus_epi32(mean[0], mean[1]), 0xD8);
    const __m256i activity =
        _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(w->activity + 16 * h)));
    return _mm256_add_epi16(_mm256_loadu_si256((const __m256i *)(w->offset + 16 * h)),
                            _mm256_srai_epi16(_mm256_mullo_epi16(activity, means), 3));
}

/* Weights, offsets and symbols of a row's columns as 16-bit lanes, in the order
 * of unpacked halves. */
struct context_row_avx2 {
    __m256i weight[LWFC_CONTEXT_ABOVE];
    __m256i offset[2];
    __m128i shift, unshift;
};

LWFC_TARGET("avx2,bmi2")
LWFC_INLINE __m256i context_column_avx2(__m256i s, const __m256i *near, int count,
                                        const struct context_row_avx2 *row)
{
    const __m256i zero = _mm256_setzero_si256();
    __m256i lo = _mm256_add_epi16(
        row->offset[0], _mm256_sra_epi16(_mm256_unpacklo_epi8(zero, s), row->unshift));
    __m256i hi = _mm256_add_epi16(
        row->offset[1], _mm256_sra_epi16(_mm256_unpackhi_epi8(zero, s), row->unshift));
    for (int i = 0; i < count; i += 2) {
        const __m256i a = _mm256_unpacklo_epi8(near[i], near[i + 1]);
        const __m256i b = _mm256_unpackhi_epi8(near[i], near[i + 1]);
        lo = _mm256_add_epi16(lo, _mm256_maddubs_epi16(a, row->weight[i]));
        hi = _mm256_add_epi16(hi, _mm256_maddubs_epi16(b, row->weight[i + 1]));
    }
    return _mm256_packs_epi16(_mm256_sra_epi16(lo, row->shift), _mm256_sra_epi16(hi, row->shift));
}

/* Bytes of all lanes, or the first 16 twice. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE __m256i context_lanes_avx2(const void *p, int lanes)
{
    return lanes == CONTEXT_HALF
               ? _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)p))
               : _mm256_loadu_si256((const __m256i *)p);
}

LWFC_TARGET("avx2,bmi2")
LWFC_INLINE struct context_row_avx2
context_row_avx2(const struct lwfc_context_weights *w, const uint32_t *sums,
                 const uint8_t *prior, size_t width, size_t y, int shift, int lanes)
{
    struct context_row_avx2 row;
    for (int i = 0; i < LWFC_CONTEXT_ABOVE; i += 2) {
        const __m256i a = context_lanes_avx2(w->above[i], lanes);
        const __m256i b = context_lanes_avx2(w->above[i + 1], lanes);
        row.weight[i] = _mm256_unpacklo_epi8(a, b);
        row.weight[i + 1] = _mm256_unpackhi_epi8(a, b);
    }
    const __m256i o0 = context_offset_avx2(w, sums, prior, width, y, 0);
    const __m256i o1 =
        lanes == CONTEXT_HALF ? o0 : context_offset_avx2(w, sums, prior, width, y, 1);
    row.offset[0] = _mm256_permute2x128_si256(o0, o1, 0x20);
    row.offset[1] = _mm256_permute2x128_si256(o0, o1, 0x31);
    row.shift = _mm_cvtsi32_si128(shift);
    row.unshift = _mm_cvtsi32_si128(8 - shift);
    return row;
}

/* count: neighbours that matter, 4 or all 6. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void context_score_above_avx2(int8_t *score, const uint8_t *row1,
                                          const uint8_t *row2, size_t width, int count,
                                          const struct context_row_avx2 *from)
{
    const struct context_row_avx2 row = *from; /* scores may not alias a copy */
    const __m256i zero = _mm256_setzero_si256();
    __m256i left = zero;
    __m256i up = _mm256_loadu_si256((const __m256i *)row1);
    for (size_t x = 0; x < width; x++) {
        const size_t at = x * LWFC_LANES;
        /* Past the last column stands the current row: not known yet. */
        const __m256i right = x + 1 < width
                                  ? _mm256_loadu_si256((const __m256i *)(row1 + at + LWFC_LANES))
                                  : zero;
        const __m256i near[LWFC_CONTEXT_ABOVE] = {
            up, _mm256_loadu_si256((const __m256i *)(row2 + at)), left, right,
            _mm256_min_epu8(up, _mm256_set1_epi8(1)), zero};
        __m256i *const to = (__m256i *)(score + at);
        _mm256_storeu_si256(to, context_column_avx2(_mm256_loadu_si256(to), near, count, &row));
        left = up;
        up = right;
    }
}

/* 16 lanes of two columns, 0 of those from `count` on. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE __m256i context_pair_avx2(const uint8_t *p, size_t count)
{
    return count >= 2   ? lanes_halves_avx2(p, p + LWFC_LANES)
           : count == 1 ? _mm256_zextsi128_si256(_mm_loadu_si128((const __m128i *)p))
                        : _mm256_setzero_si256();
}

/* The same for 16 lanes, two columns at a time. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void context_half_above_avx2(int8_t *score, const uint8_t *row1, const uint8_t *row2,
                                         size_t width, int count,
                                         const struct context_row_avx2 *from)
{
    const struct context_row_avx2 row = *from;
    __m256i before = _mm256_setzero_si256();
    __m256i up = context_pair_avx2(row1, width);
    for (size_t x = 0; x < width; x += 2) {
        const size_t at = x * LWFC_LANES, left = width - x;
        int8_t *const second = score + at + (left > 1 ? LWFC_LANES : 0);
        const __m256i next =
            context_pair_avx2(row1 + at + 2 * LWFC_LANES, left > 2 ? left - 2 : 0);
        const __m256i near[LWFC_CONTEXT_ABOVE] = {
            up, context_pair_avx2(row2 + at, left), _mm256_permute2x128_si256(before, up, 0x21),
            _mm256_permute2x128_si256(up, next, 0x21),
            _mm256_min_epu8(up, _mm256_set1_epi8(1)), _mm256_setzero_si256()};
        context_store_halves_avx2(
            score + at, second,
            context_column_avx2(lanes_halves_avx2(score + at, second), near, count, &row));
        before = up;
        up = next;
    }
}

LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void context_all_above_avx2(int8_t *const *score, const uint8_t *symbols, size_t width,
                                        size_t y, uint32_t sums[LWFC_LANES],
                                        const struct lwfc_context_group *group,
                                        const struct lwfc_context_scale *scale, int lanes)
{
    const uint8_t *const row1 = symbols - width * LWFC_LANES;
    if (y == 0) {
        memset(sums, 0, LWFC_LANES * sizeof *sums);
    } else {
        context_sums_avx2(sums, row1, width);
    }
    for (int s = 0; s < scale->scores; s++) {
        const struct context_row_avx2 row =
            context_row_avx2(&group->score[s], sums, group->prior, width, y, scale->shift, lanes);
        const uint8_t *const row2 = row1 - width * LWFC_LANES;
        if (lanes == CONTEXT_HALF && scale->levels == 2) {
            context_half_above_avx2(score[s], row1, row2, width, 4, &row);
        } else if (lanes == CONTEXT_HALF) {
            context_half_above_avx2(score[s], row1, row2, width, LWFC_CONTEXT_ABOVE, &row);
        } else if (scale->levels == 2) {
            context_score_above_avx2(score[s], row1, row2, width, 4, &row);
        } else {
            context_score_above_avx2(score[s], row1, row2, width, LWFC_CONTEXT_ABOVE, &row);
        }
    }
}

/* Both, compiled for any instruction set that has AVX2. */
#define CONTEXT_SCORES_AVX2(target, isa)                                                         \
    target static void context_references_##isa(                                                 \
        int8_t *const *score, const uint8_t *folds, size_t half, const uint32_t *offset,           \
        const int8_t *table, const struct lwfc_context_group *group,                             \
        const struct lwfc_context_scale *scale)                                                  \
    {                                                                                            \
        if (group->lanes <= CONTEXT_HALF) {                                                      \
            context_all_references_avx2(score, folds, half, offset, table, group, scale,         \
                                        CONTEXT_HALF);                                           \
        } else {                                                                                 \
            context_all_references_avx2(score, folds, half, offset, table, group, scale,         \
                                        LWFC_LANES);                                             \
        }                                                                                        \
    }                                                                                            \
    target static void context_above_##isa(                                                      \
        int8_t *const *score, const uint8_t *symbols, size_t width, size_t y,                    \
        uint32_t sums[LWFC_LANES], const struct lwfc_context_group *group,                       \
        const struct lwfc_context_scale *scale)                                                  \
    {                                                                                            \
        if (group->lanes <= CONTEXT_HALF) {                                                      \
            context_all_above_avx2(score, symbols, width, y, sums, group, scale, CONTEXT_HALF);  \
        } else {                                                                                 \
            context_all_above_avx2(score, symbols, width, y, sums, group, scale, LWFC_LANES);    \
        }                                                                                        \
    }

CONTEXT_SCORES_AVX2(LWFC_TARGET("avx2,bmi2"), avx2)

#endif
