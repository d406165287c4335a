/* Scores, thresholds and intervals of a column for AVX2; same bits as the scalar ones of
 * context_kernels.c. */
#ifndef LWFC_KERNELS_X86_CONTEXT_INTERVAL_AVX2_H
#define LWFC_KERNELS_X86_CONTEXT_INTERVAL_AVX2_H

#include "kernels/x86/context_scores_avx2.h"
#include "kernels/x86/lanes_step_avx2.h"

#include <immintrin.h>

/* low: the link's first half; high: what turns it into the second by xor. */
struct context_link_avx2 {
    __m256i low, high, most;
    __m128i coarse;
};

LWFC_TARGET("avx2,bmi2")
LWFC_INLINE struct context_link_avx2 context_link_avx2(const struct lwfc_context_scale *scale)
{
    const __m128i low = _mm_loadu_si128((const __m128i *)scale->link);
    const __m128i high = _mm_loadu_si128((const __m128i *)(scale->link + 16));
    const struct context_link_avx2 l = {
        _mm256_broadcastsi128_si256(low),
        _mm256_broadcastsi128_si256(_mm_xor_si128(low, high)),
        _mm256_set1_epi8((char)((32 << scale->coarse) - 1)), _mm_cvtsi32_si128(scale->coarse)};
    return l;
}

/* Both scores of one column, or what symbols add to them. */
struct context_sum_avx2 {
    __m256i score[LWFC_CONTEXT_SCORES];
};

/* The score at threshold k; *before: at the one before, which it may not pass. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE __m256i context_biased_avx2(const struct context_sum_avx2 *sum,
                                        const struct lwfc_context_group *g, int k,
                                        __m256i *before, int levels, int scores, int lanes)
{
    __m256i v = _mm256_adds_epi8(sum->score[0], context_lanes_avx2(g->bias[k], lanes));
    if (scores == 2) {
        const int side = lwfc_context_side(k, levels);
        v = side > 0   ? _mm256_adds_epi8(v, sum->score[1])
            : side < 0 ? _mm256_subs_epi8(v, sum->score[1])
                       : v;
        v = _mm256_min_epi8(v, *before);
        *before = v;
    }
    return v;
}

/* The link of a score, turned by its sign: C_{k+1} is k more. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE __m256i context_turn_avx2(__m256i v, const struct context_link_avx2 *link)
{
    const __m256i size = _mm256_min_epu8(_mm256_abs_epi8(v), link->most);
    const __m256i index =
        _mm256_and_si256(_mm256_srl_epi16(size, link->coarse), _mm256_set1_epi8(31));
    /* The first shuffle ignores bit 4; the second gives 0 where the top bit is
     * set, below 16. */
    const __m256i start = _mm256_xor_si256(
        _mm256_shuffle_epi8(link->low, index),
        _mm256_shuffle_epi8(link->high, _mm256_sub_epi8(index, _mm256_set1_epi8(16))));
    /* The sign of 0 would clear it. */
    return _mm256_sign_epi8(start, _mm256_or_si256(v, _mm256_set1_epi8(1)));
}

/* C_k of every lane from the sum of all but the biases. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void context_starts_avx2(__m256i *c, const struct context_sum_avx2 *sum,
                                     const struct lwfc_context_group *g,
                                     const struct context_link_avx2 *link, int levels, int scores)
{
    __m256i before = _mm256_set1_epi8(127);
    for (int k = 0; k < levels - 1; k++) {
        const __m256i v = context_biased_avx2(sum, g, k, &before, levels, scores, LWFC_LANES);
        c[k] = _mm256_add_epi8(context_turn_avx2(v, link), _mm256_set1_epi8((char)k));
    }
}

/* above[k]: the mask of the lanes whose symbol is above k. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void context_masks_avx2(__m256i *above, __m256i symbol, int levels)
{
    for (int k = 0; k < levels - 1; k++) {
        above[k] = _mm256_cmpgt_epi8(symbol, _mm256_set1_epi8((char)k));
    }
}

/* The entry of a table for the symbol; lanes: 32, or 16 of two columns. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE __m256i context_table_avx2(const __m256i *above, const int8_t (*table)[LWFC_LANES],
                                       int levels, int lanes)
{
    __m256i v = _mm256_setzero_si256();
    for (int k = 0; k < levels - 1; k++) {
        const __m256i entry = context_lanes_avx2(table[k], lanes);
        v = k > 0 ? _mm256_blendv_epi8(v, entry, above[k]) : _mm256_and_si256(entry, above[k]);
    }
    return v;
}

/* What a symbol adds to the scores one and two columns on. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void context_after_avx2(struct context_sum_avx2 *near, struct context_sum_avx2 *far,
                                    const __m256i *above, const struct lwfc_context_group *g,
                                    int levels, int scores, int lanes)
{
    for (int s = 0; s < scores; s++) {
        near->score[s] = context_table_avx2(above, g->score[s].left, levels, lanes);
        far->score[s] = context_table_avx2(above, g->score[s].left2, levels, lanes);
    }
}

LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void context_add_avx2(struct context_sum_avx2 *sum, const int8_t *const *score,
                                  size_t at, const struct context_sum_avx2 *far,
                                  const struct context_sum_avx2 *near, int scores)
{
    for (int s = 0; s < scores; s++) {
        const __m256i v = _mm256_loadu_si256((const __m256i *)(score[s] + at));
        sum->score[s] = _mm256_adds_epi8(_mm256_adds_epi8(v, far->score[s]), near->score[s]);
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

/* Start and frequency of the symbols: the thresholds on either side of each. */
struct context_interval_avx2 {
    __m256i start, freq;
};

LWFC_TARGET("avx2,bmi2")
LWFC_INLINE struct context_interval_avx2
context_interval_avx2(__m256i symbol, const __m256i *above, const struct context_sum_avx2 *sum,
                      const struct lwfc_context_group *g, const struct context_link_avx2 *link,
                      int levels, int scores, int lanes)
{
    __m256i before = _mm256_set1_epi8(127);
    __m256i lower = context_biased_avx2(sum, g, 0, &before, levels, scores, lanes);
    __m256i upper = lower;
    for (int k = 1; k < levels - 1; k++) {
        const __m256i v = context_biased_avx2(sum, g, k, &before, levels, scores, lanes);
        lower = _mm256_blendv_epi8(lower, v, above[k]);
        upper = _mm256_blendv_epi8(upper, v, above[k - 1]);
    }
    lower = context_turn_avx2(lower, link);
    upper = context_turn_avx2(upper, link);
    if (levels > 2) {
        lower = _mm256_add_epi8(lower, _mm256_add_epi8(symbol, _mm256_set1_epi8(-1)));
        upper = _mm256_add_epi8(upper, symbol);
    }
    const __m256i start = _mm256_and_si256(above[0], lower);
    /* The last symbol ends at 256, wrapped. */
    const struct context_interval_avx2 v = {
        start, _mm256_sub_epi8(_mm256_andnot_si256(above[levels - 2], upper), start)};
    return v;
}

#endif
