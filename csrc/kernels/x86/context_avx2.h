/* The loops of context.h for AVX2; same bits as the scalar ones. */
#ifndef LWFC_KERNELS_X86_CONTEXT_AVX2_H
#define LWFC_KERNELS_X86_CONTEXT_AVX2_H

#include "kernels/context_levels.h"
#include "kernels/x86/lanes_step_avx2.h"

#include <immintrin.h>

enum {
    CONTEXT_BLOCK = 4 /* vectors of positions per pass over the references of a lane */
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

/* Scores of one lane at 32 * vectors positions. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void context_lane_avx2(int8_t *out, const uint8_t *sample, size_t n,
                                   const struct lwfc_context_reference *r, size_t count,
                                   int vectors)
{
    __m256i sum[CONTEXT_BLOCK];
    for (int v = 0; v < vectors; v++) {
        sum[v] = _mm256_setzero_si256();
    }
    for (size_t j = 0; j < count; j++) {
        const __m256i table =
            _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)r[j].table));
        const uint8_t *plane = sample + r[j].channel * n;
        for (int v = 0; v < vectors; v++) {
            const __m256i s = _mm256_loadu_si256((const __m256i *)(plane + 32 * v));
            sum[v] = _mm256_adds_epi8(sum[v], _mm256_shuffle_epi8(table, s));
        }
    }
    for (int v = 0; v < vectors; v++) {
        _mm256_storeu_si256((__m256i *)(out + 32 * v), sum[v]);
    }
}

enum {
    CONTEXT_STRIDE = 32 * CONTEXT_BLOCK
};

/* Scores of 32 * vectors positions. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void context_block_avx2(int8_t *score, const uint8_t *sample, size_t n,
                                    const struct lwfc_context_group *group,
                                    const struct lwfc_context_reference *list, int vectors)
{
    int8_t rows[LWFC_LANES * CONTEXT_STRIDE];
    for (size_t lane = 0; lane < LWFC_LANES; lane++) {
        context_lane_avx2(rows + lane * CONTEXT_STRIDE, sample, n, list + group->first[lane],
                          group->first[lane + 1] - group->first[lane], vectors);
    }
    for (size_t v = 0; v < (size_t)vectors; v++) {
        context_transpose_avx2(score + 32 * v * LWFC_LANES, rows + 32 * v, CONTEXT_STRIDE);
    }
}

LWFC_TARGET("avx2,bmi2")
static void context_references_avx2(int8_t *score, const uint8_t *sample, size_t n,
                                    const struct lwfc_context_group *group,
                                    const struct lwfc_context_reference *list)
{
    for (size_t i = 0; i < n; i += CONTEXT_STRIDE) {
        int8_t *const to = score + i * LWFC_LANES;
        const size_t left = n - i;
        if (left > 96) {
            context_block_avx2(to, sample + i, n, group, list, CONTEXT_BLOCK);
        } else if (left > 64) {
            context_block_avx2(to, sample + i, n, group, list, 3);
        } else if (left > 32) {
            context_block_avx2(to, sample + i, n, group, list, 2);
        } else {
            context_block_avx2(to, sample + i, n, group, list, 1);
        }
    }
}

/* The score of one column; weight and offset in the order of unpacked halves. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void context_column_avx2(int8_t *score, __m256i up, __m256i up_left, __m256i up_right,
                                     __m256i up_up, const __m256i weight[6],
                                     const __m256i offset[2], __m128i shift, __m128i unshift)
{
    const __m256i zero = _mm256_setzero_si256();
    const __m256i s = _mm256_loadu_si256((const __m256i *)score);
    const __m256i any = _mm256_min_epu8(up, _mm256_set1_epi8(1));
    __m256i lo = _mm256_add_epi16(offset[0],
                                  _mm256_sra_epi16(_mm256_unpacklo_epi8(zero, s), unshift));
    __m256i hi = _mm256_add_epi16(offset[1],
                                  _mm256_sra_epi16(_mm256_unpackhi_epi8(zero, s), unshift));
    lo = _mm256_add_epi16(lo, _mm256_maddubs_epi16(_mm256_unpacklo_epi8(up, up_left), weight[0]));
    hi = _mm256_add_epi16(hi, _mm256_maddubs_epi16(_mm256_unpackhi_epi8(up, up_left), weight[1]));
    lo = _mm256_add_epi16(
        lo, _mm256_maddubs_epi16(_mm256_unpacklo_epi8(up_right, up_up), weight[2]));
    hi = _mm256_add_epi16(
        hi, _mm256_maddubs_epi16(_mm256_unpackhi_epi8(up_right, up_up), weight[3]));
    lo = _mm256_add_epi16(lo, _mm256_maddubs_epi16(_mm256_unpacklo_epi8(any, zero), weight[4]));
    hi = _mm256_add_epi16(hi, _mm256_maddubs_epi16(_mm256_unpackhi_epi8(any, zero), weight[5]));
    _mm256_storeu_si256((__m256i *)score, _mm256_packs_epi16(_mm256_sra_epi16(lo, shift),
                                                            _mm256_sra_epi16(hi, shift)));
}

LWFC_TARGET("avx2,bmi2")
static void context_above_avx2(int8_t *score, const uint8_t *symbols, size_t width,
                               const struct lwfc_context_group *group,
                               const struct lwfc_context_scale *scale)
{
    const __m128i shift = _mm_cvtsi32_si128(scale->shift);
    const __m128i unshift = _mm_cvtsi32_si128(8 - scale->shift);
    const __m256i zero = _mm256_setzero_si256();
    const uint8_t *const row1 = symbols - width * LWFC_LANES;
    const uint8_t *const row2 = row1 - width * LWFC_LANES;
    __m256i weight[6];
    for (int i = 0; i < 3; i++) {
        const __m256i a = _mm256_loadu_si256((const __m256i *)group->above[2 * i]);
        const __m256i b = _mm256_loadu_si256((const __m256i *)group->above[2 * i + 1]);
        weight[2 * i] = _mm256_unpacklo_epi8(a, b);
        weight[2 * i + 1] = _mm256_unpackhi_epi8(a, b);
    }
    const __m256i o0 = _mm256_loadu_si256((const __m256i *)group->offset);
    const __m256i o1 = _mm256_loadu_si256((const __m256i *)(group->offset + 16));
    const __m256i offset[2] = {_mm256_permute2x128_si256(o0, o1, 0x20),
                               _mm256_permute2x128_si256(o0, o1, 0x31)};
    __m256i left = zero;
    __m256i up = _mm256_loadu_si256((const __m256i *)row1);
    for (size_t x = 0; x < width; x++) {
        const size_t at = x * LWFC_LANES;
        /* Past the last column stands the current row: not known yet. */
        const __m256i right = x + 1 < width
                                  ? _mm256_loadu_si256((const __m256i *)(row1 + at + LWFC_LANES))
                                  : zero;
        context_column_avx2(score + at, up, left, right,
                            _mm256_loadu_si256((const __m256i *)(row2 + at)), weight, offset,
                            shift, unshift);
        left = up;
        up = right;
    }
}

struct context_link_avx2 {
    __m256i low, high, most;
    __m128i coarse;
};

LWFC_TARGET("avx2,bmi2")
LWFC_INLINE struct context_link_avx2 context_link_avx2(const struct lwfc_context_scale *scale)
{
    const struct context_link_avx2 l = {
        _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)scale->link)),
        _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(scale->link + 16))),
        _mm256_set1_epi8((char)((32 << scale->coarse) - 1)), _mm_cvtsi32_si128(scale->coarse)};
    return l;
}

/* C_k of every lane from the sum of all but the biases. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void context_starts_avx2(__m256i *c, __m256i sum, const struct lwfc_context_group *g,
                                     const struct context_link_avx2 *link, int levels)
{
    for (int k = 0; k < levels - 1; k++) {
        const __m256i v =
            _mm256_adds_epi8(sum, _mm256_loadu_si256((const __m256i *)g->bias[k]));
        const __m256i negative = _mm256_cmpgt_epi8(_mm256_setzero_si256(), v);
        const __m256i size = _mm256_min_epu8(_mm256_abs_epi8(v), link->most);
        const __m256i index =
            _mm256_and_si256(_mm256_srl_epi16(size, link->coarse), _mm256_set1_epi8(31));
        /* Shuffles give 0 where the top bit is set: index 16.. in the first
         * half, below 16 in the second. */
        const __m256i start = _mm256_or_si256(
            _mm256_shuffle_epi8(link->low, _mm256_add_epi8(index, _mm256_set1_epi8(112))),
            _mm256_shuffle_epi8(link->high, _mm256_sub_epi8(index, _mm256_set1_epi8(16))));
        const __m256i turned =
            _mm256_sub_epi8(_mm256_xor_si256(start, negative), negative);
        c[k] = _mm256_add_epi8(turned, _mm256_set1_epi8((char)k));
    }
}

/* What a symbol adds to the score one and two columns on. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void context_after_avx2(__m256i *near, __m256i *far, __m256i symbol,
                                    const struct lwfc_context_group *g, int levels)
{
    *near = _mm256_setzero_si256();
    *far = _mm256_setzero_si256();
    for (int k = 0; k < levels - 1; k++) {
        const __m256i m = _mm256_cmpgt_epi8(symbol, _mm256_set1_epi8((char)k));
        const __m256i a = _mm256_loadu_si256((const __m256i *)g->left[k]);
        const __m256i b = _mm256_loadu_si256((const __m256i *)g->left2[k]);
        *near = _mm256_add_epi8(*near, _mm256_and_si256(m, a));
        *far = _mm256_add_epi8(*far, _mm256_and_si256(m, b));
    }
}

LWFC_TARGET("avx2,bmi2")
LWFC_INLINE __m256i context_sum_avx2(const int8_t *score, __m256i far, __m256i near)
{
    const __m256i s = _mm256_loadu_si256((const __m256i *)score);
    return _mm256_adds_epi8(_mm256_adds_epi8(s, far), near);
}

LWFC_TARGET("avx2,bmi2")
static void context_thresholds_avx2(uint8_t (*threshold)[LWFC_LANES], const int8_t *score,
                                    const uint8_t *left, const uint8_t *left2,
                                    const struct lwfc_context_group *group,
                                    const struct lwfc_context_scale *scale)
{
    const struct context_link_avx2 link = context_link_avx2(scale);
    __m256i c[LWFC_CONTEXT_LEVELS - 1];
    __m256i near, far, unused;
    context_after_avx2(&near, &unused, _mm256_loadu_si256((const __m256i *)left), group,
                       scale->levels);
    context_after_avx2(&unused, &far, _mm256_loadu_si256((const __m256i *)left2), group,
                       scale->levels);
    context_starts_avx2(c, context_sum_avx2(score, far, near), group, &link, scale->levels);
    for (int k = 0; k < scale->levels - 1; k++) {
        _mm256_storeu_si256((__m256i *)threshold[k], c[k]);
    }
}

/* The symbols `back` columns before column x of the piece. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE __m256i context_left_avx2(const struct lwfc_context_piece *p, int chain, int x,
                                      int back)
{
    if (p->start + x < back) {
        return _mm256_setzero_si256();
    }
    return _mm256_loadu_si256(
        (const __m256i *)(p->symbols[chain] + (ptrdiff_t)(x - back) * LWFC_LANES));
}

LWFC_TARGET("avx2,bmi2")
LWFC_INLINE const uint8_t *context_decode_as_avx2(uint16_t (*states)[LWFC_LANES],
                                                  const struct lwfc_context_piece *piece,
                                                  const struct lwfc_context_group *group,
                                                  const struct lwfc_context_scale *scale,
                                                  const uint8_t *in, int levels, int chains,
                                                  const __m256i *live)
{
    const struct context_link_avx2 link = context_link_avx2(scale);
    struct lanes_avx2 s[LWFC_CONTEXT_CHAINS];
    __m256i near[LWFC_CONTEXT_CHAINS];
    __m256i far[LWFC_CONTEXT_CHAINS];
    __m256i later[LWFC_CONTEXT_CHAINS];
    const int width = piece->width;
    for (int c = 0; c < chains; c++) {
        __m256i unused;
        s[c] = lanes_load_avx2(states[c]);
        context_after_avx2(&unused, &far[c], context_left_avx2(piece, c, 0, 2), group, levels);
        context_after_avx2(&near[c], &later[c], context_left_avx2(piece, c, 0, 1), group, levels);
    }
    for (int x = 0; x < width; x++) {
        for (int c = 0; c < chains; c++) {
            const size_t at = (size_t)x * LWFC_LANES;
            __m256i start[LWFC_CONTEXT_LEVELS - 1];
            context_starts_avx2(start, context_sum_avx2(piece->score[c] + at, far[c], near[c]),
                                group, &link, levels);
            const __m256i symbol = lanes_decode_avx2(&s[c], start, levels, &in, live);
            _mm256_storeu_si256((__m256i *)(piece->symbols[c] + at), symbol);
            far[c] = later[c];
            context_after_avx2(&near[c], &later[c], symbol, group, levels);
        }
    }
    for (int c = 0; c < chains; c++) {
        lanes_store_avx2(states[c], s[c]);
    }
    return in;
}

LWFC_TARGET("avx2,bmi2")
LWFC_INLINE uint8_t *context_encode_as_avx2(uint16_t (*states)[LWFC_LANES],
                                            const struct lwfc_context_piece *piece,
                                            const struct lwfc_context_group *group,
                                            const struct lwfc_context_scale *scale, uint8_t *out,
                                            int levels, int chains, const __m256i *live)
{
    const struct context_link_avx2 link = context_link_avx2(scale);
    struct lanes_avx2 s[LWFC_CONTEXT_CHAINS];
    __m256i near[LWFC_CONTEXT_CHAINS];
    for (int c = 0; c < chains; c++) {
        __m256i unused;
        s[c] = lanes_load_avx2(states[c]);
        context_after_avx2(&near[c], &unused, context_left_avx2(piece, c, piece->width - 1, 1),
                           group, levels);
    }
    for (int x = piece->width - 1; x >= 0; x--) {
        for (int c = chains - 1; c >= 0; c--) {
            const size_t at = (size_t)x * LWFC_LANES;
            const __m256i symbol =
                _mm256_loadu_si256((const __m256i *)(piece->symbols[c] + at));
            __m256i threshold[LWFC_CONTEXT_LEVELS - 1];
            __m256i next, far;
            context_after_avx2(&next, &far, context_left_avx2(piece, c, x, 2), group, levels);
            context_starts_avx2(threshold,
                                context_sum_avx2(piece->score[c] + at, far, near[c]), group,
                                &link, levels);
            near[c] = next;
            __m256i start = _mm256_setzero_si256();
            __m256i last = _mm256_set1_epi8(-1);
            for (int k = 0; k < levels - 1; k++) {
                const __m256i m = _mm256_cmpgt_epi8(symbol, _mm256_set1_epi8((char)k));
                const __m256i before = _mm256_add_epi8(threshold[k], _mm256_set1_epi8(-1));
                start = _mm256_max_epu8(start, _mm256_and_si256(m, threshold[k]));
                last = _mm256_min_epu8(last, _mm256_or_si256(m, before));
            }
            const __m256i freq =
                _mm256_add_epi8(_mm256_sub_epi8(last, start), _mm256_set1_epi8(1));
            __m256i recip[2];
            lanes_reciprocal_avx2(freq, recip);
            lanes_encode_avx2(&s[c], start, freq, recip, &out, live);
        }
    }
    for (int c = 0; c < chains; c++) {
        lanes_store_avx2(states[c], s[c]);
    }
    return out;
}

/* One compiled loop per number of chains and whether lanes are idle; few levels
 * get their own, so that their thresholds stay in registers. */
#define CONTEXT_CASES(verb, levels)                                                             \
    if (live) {                                                                                 \
        return piece->chains == 2                                                               \
                   ? context_##verb##_as_avx2(states, piece, group, scale, at, levels, 2, live) \
                   : context_##verb##_as_avx2(states, piece, group, scale, at, levels, 1, live); \
    }                                                                                           \
    return piece->chains == 2                                                                   \
               ? context_##verb##_as_avx2(states, piece, group, scale, at, levels, 2, NULL)     \
               : context_##verb##_as_avx2(states, piece, group, scale, at, levels, 1, NULL);

#define CONTEXT_FUNCTION(type, verb, name, levels)                                              \
    LWFC_TARGET("avx2,bmi2")                                                                    \
    static type context_##verb##_##name##_avx2(                                                 \
        uint16_t (*states)[LWFC_LANES], const struct lwfc_context_piece *piece,                 \
        const struct lwfc_context_group *group, const struct lwfc_context_scale *scale, type at) \
    {                                                                                           \
        __m256i mask;                                                                           \
        const __m256i *live = NULL;                                                             \
        if (piece->live) {                                                                      \
            mask = _mm256_loadu_si256((const __m256i *)piece->live);                            \
            live = &mask;                                                                       \
        }                                                                                       \
        CONTEXT_CASES(verb, levels)                                                             \
    }

LWFC_CONTEXT_LEVELS(CONTEXT_FUNCTION, avx2)

#endif
