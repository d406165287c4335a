/* Scores from references and from the rows above, for AVX2; same bits as the
 * scalar ones of context_kernels.c. */
#ifndef LWFC_KERNELS_X86_CONTEXT_SCORES_AVX2_H
#define LWFC_KERNELS_X86_CONTEXT_SCORES_AVX2_H

#include "kernels/context_places.h"

#include <immintrin.h>
#include <string.h>

enum {
    CONTEXT_BLOCK = 4, /* vectors of positions per pass over the references of a lane */
    CONTEXT_STRIDE = 32 * CONTEXT_BLOCK
};

/* out[32 j] = byte j of 32 rows, rows `stride` bytes apart. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void context_transpose_avx2(int8_t *out, const int8_t *rows, size_t stride)
{
    for (int half = 0; half < 2; half++) {
        __m256i a[16];
        __m256i b[16];
        for (size_t i = 0; i < 16; i++) {
            const int8_t *p = rows + i * stride + 16 * half;
            a[i] = _mm256_inserti128_si256(
                _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)p)),
                _mm_loadu_si128((const __m128i *)(p + 16 * stride)), 1);
        }
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
        for (int i = 0; i < 16; i++) {
            _mm256_storeu_si256((__m256i *)(out + (16 * half + i) * LWFC_LANES), a[i]);
        }
    }
}

/* Which symbols of each place lie in the plane, for a block of positions. */
struct context_places_avx2 {
    __m256i inside[LWFC_CONTEXT_PLACES][CONTEXT_BLOCK];
};

/* The block at i; returns whether any place leaves the plane. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE int context_places_avx2(struct context_places_avx2 *p, size_t i, size_t n,
                                    size_t width)
{
    __m256i j = _mm256_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18,
                                 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31);
    struct lwfc_context_inside in;
    if (!lwfc_context_leaves(&in, i, CONTEXT_STRIDE, n, width)) {
        return 0;
    }
    for (int v = 0; v < CONTEXT_BLOCK; v++) {
        for (uint32_t place = 0; place < LWFC_CONTEXT_PLACES; place++) {
            p->inside[place][v] = _mm256_andnot_si256(
                _mm256_cmpgt_epi8(j, _mm256_set1_epi8((char)(in.to[place] - 1))),
                _mm256_cmpgt_epi8(j, _mm256_set1_epi8((char)(in.from[place] - 1))));
        }
        j = _mm256_add_epi8(j, _mm256_set1_epi8(32));
    }
    return 1;
}

/* Adds what four references of a lane add, at 32 * vectors positions. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void context_four_avx2(__m256i *sum, const uint8_t *block, const ptrdiff_t *offset,
                                   const struct lwfc_context_reference *r,
                                   const struct context_places_avx2 *p, int edge, int score,
                                   int vectors)
{
    __m256i table[4];
    for (int k = 0; k < 4; k++) {
        table[k] =
            _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)r[k].table[score]));
    }
    for (int v = 0; v < vectors; v++) {
        __m256i t[4];
        for (int k = 0; k < 4; k++) {
            t[k] = _mm256_loadu_si256((const __m256i *)(block + offset[k] + 32 * v));
            if (edge) {
                t[k] = _mm256_and_si256(t[k], p->inside[r[k].place][v]);
            }
            t[k] = _mm256_shuffle_epi8(table[k], t[k]);
        }
        sum[v] = _mm256_adds_epi8(sum[v], _mm256_add_epi8(_mm256_add_epi8(t[0], t[1]),
                                                          _mm256_add_epi8(t[2], t[3])));
    }
}

/* Scores of one lane at 32 * vectors positions. edge: some places leave the
 * plane there; the position itself never does where its score matters. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void context_lane_avx2(int8_t *out, const uint8_t *block, const ptrdiff_t *offset,
                                   const struct lwfc_context_reference *r, size_t count,
                                   const struct context_places_avx2 *p, int edge, int score,
                                   int vectors)
{
    __m256i sum[CONTEXT_BLOCK];
    for (int v = 0; v < vectors; v++) {
        sum[v] = _mm256_setzero_si256();
    }
    for (size_t j = 0; j < count; j += 4) {
        if (edge && (r[j].place | r[j + 1].place | r[j + 2].place | r[j + 3].place)) {
            context_four_avx2(sum, block, offset + j, r + j, p, 1, score, vectors);
        } else {
            context_four_avx2(sum, block, offset + j, r + j, p, 0, score, vectors);
        }
    }
    for (int v = 0; v < vectors; v++) {
        _mm256_storeu_si256((__m256i *)(out + 32 * v), sum[v]);
    }
}

/* Scores of 32 * vectors positions. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void context_block_avx2(int8_t *to, const uint8_t *block, const ptrdiff_t *offset,
                                    const struct lwfc_context_group *group,
                                    const struct lwfc_context_reference *list,
                                    const struct context_places_avx2 *p, int edge, int score,
                                    int vectors)
{
    int8_t rows[LWFC_LANES * CONTEXT_STRIDE];
    for (size_t lane = 0; lane < LWFC_LANES; lane++) {
        const uint32_t first = group->first[lane];
        context_lane_avx2(rows + lane * CONTEXT_STRIDE, block, offset + first - group->first[0],
                          list + first, group->first[lane + 1] - first, p, edge, score, vectors);
    }
    for (size_t v = 0; v < (size_t)vectors; v++) {
        context_transpose_avx2(to + 32 * v * LWFC_LANES, rows + 32 * v, CONTEXT_STRIDE);
    }
}

LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void context_all_references_avx2(int8_t *const *score, const uint8_t *sample, size_t n,
                                             size_t width, const struct lwfc_context_group *group,
                                             const struct lwfc_context_reference *list,
                                             const struct lwfc_context_scale *scale)
{
    ptrdiff_t offset[LWFC_CONTEXT_REFERENCES];
    lwfc_context_offsets(offset, n, width, group, list);
    for (size_t i = 0; i < n; i += CONTEXT_STRIDE) {
        struct context_places_avx2 p;
        const int edge = context_places_avx2(&p, i, n, width);
        const uint8_t *const block = sample + i;
        for (int s = 0; s < scale->scores; s++) {
            int8_t *const to = score[s] + i * LWFC_LANES;
            if (!edge) {
                context_block_avx2(to, block, offset, group, list, &p, 0, s, CONTEXT_BLOCK);
            } else if (n - i > 96) {
                context_block_avx2(to, block, offset, group, list, &p, 1, s, CONTEXT_BLOCK);
            } else if (n - i > 64) {
                context_block_avx2(to, block, offset, group, list, &p, 1, s, 3);
            } else if (n - i > 32) {
                context_block_avx2(to, block, offset, group, list, &p, 1, s, 2);
            } else {
                context_block_avx2(to, block, offset, group, list, &p, 1, s, 1);
            }
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
LWFC_INLINE void context_column_avx2(int8_t *score, const __m256i *near, int count,
                                     const struct context_row_avx2 *row)
{
    const __m256i zero = _mm256_setzero_si256();
    const __m256i s = _mm256_loadu_si256((const __m256i *)score);
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
    _mm256_storeu_si256((__m256i *)score, _mm256_packs_epi16(_mm256_sra_epi16(lo, row->shift),
                                                             _mm256_sra_epi16(hi, row->shift)));
}

LWFC_TARGET("avx2,bmi2")
LWFC_INLINE struct context_row_avx2
context_row_avx2(const struct lwfc_context_weights *w, const uint32_t *sums,
                 const uint8_t *prior, size_t width, size_t y, int shift)
{
    struct context_row_avx2 row;
    for (int i = 0; i < LWFC_CONTEXT_ABOVE; i += 2) {
        const __m256i a = _mm256_loadu_si256((const __m256i *)w->above[i]);
        const __m256i b = _mm256_loadu_si256((const __m256i *)w->above[i + 1]);
        row.weight[i] = _mm256_unpacklo_epi8(a, b);
        row.weight[i + 1] = _mm256_unpackhi_epi8(a, b);
    }
    const __m256i o0 = context_offset_avx2(w, sums, prior, width, y, 0);
    const __m256i o1 = context_offset_avx2(w, sums, prior, width, y, 1);
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
        context_column_avx2(score + at, near, count, &row);
        left = up;
        up = right;
    }
}

LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void context_all_above_avx2(int8_t *const *score, const uint8_t *symbols, size_t width,
                                        size_t y, uint32_t sums[LWFC_LANES],
                                        const struct lwfc_context_group *group,
                                        const struct lwfc_context_scale *scale)
{
    const uint8_t *const row1 = symbols - width * LWFC_LANES;
    if (y == 0) {
        memset(sums, 0, LWFC_LANES * sizeof *sums);
    } else {
        context_sums_avx2(sums, row1, width);
    }
    for (int s = 0; s < scale->scores; s++) {
        const struct context_row_avx2 row =
            context_row_avx2(&group->score[s], sums, group->prior, width, y, scale->shift);
        const uint8_t *const row2 = row1 - width * LWFC_LANES;
        if (scale->levels == 2) {
            context_score_above_avx2(score[s], row1, row2, width, 4, &row);
        } else {
            context_score_above_avx2(score[s], row1, row2, width, LWFC_CONTEXT_ABOVE, &row);
        }
    }
}

/* Both, compiled for any instruction set that has AVX2. */
#define CONTEXT_SCORES_AVX2(target, isa)                                                         \
    target static void context_references_##isa(                                                 \
        int8_t *const *score, const uint8_t *sample, size_t n, size_t width,                     \
        const struct lwfc_context_group *group, const struct lwfc_context_reference *list,       \
        const struct lwfc_context_scale *scale)                                                  \
    {                                                                                            \
        context_all_references_avx2(score, sample, n, width, group, list, scale);                \
    }                                                                                            \
    target static void context_above_##isa(                                                      \
        int8_t *const *score, const uint8_t *symbols, size_t width, size_t y,                    \
        uint32_t sums[LWFC_LANES], const struct lwfc_context_group *group,                       \
        const struct lwfc_context_scale *scale)                                                  \
    {                                                                                            \
        context_all_above_avx2(score, symbols, width, y, sums, group, scale);                    \
    }

CONTEXT_SCORES_AVX2(LWFC_TARGET("avx2,bmi2"), avx2)

#endif
