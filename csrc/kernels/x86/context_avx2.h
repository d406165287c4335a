/* The serial loops of context_kernels.h for AVX2; same bits as the scalar ones. */
#ifndef LWFC_KERNELS_X86_CONTEXT_AVX2_H
#define LWFC_KERNELS_X86_CONTEXT_AVX2_H

#include "kernels/context_levels.h"
#include "kernels/x86/context_half_avx2.h"

LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void context_thresholds_as_avx2(uint8_t (*threshold)[LWFC_LANES],
                                            const int8_t *const *score, const uint8_t *left,
                                            const uint8_t *left2,
                                            const struct lwfc_context_group *group,
                                            const struct lwfc_context_scale *scale, int levels,
                                            int scores)
{
    const struct context_link_avx2 link = context_link_avx2(scale);
    __m256i c[LWFC_CONTEXT_LEVELS - 1], above[LWFC_CONTEXT_LEVELS - 1];
    struct context_sum_avx2 near, far, unused;
    struct context_sum_avx2 sum = {{_mm256_setzero_si256(), _mm256_setzero_si256()}};
    context_masks_avx2(above, _mm256_loadu_si256((const __m256i *)left), levels);
    context_after_avx2(&near, &unused, above, group, levels, scores, LWFC_LANES);
    context_masks_avx2(above, _mm256_loadu_si256((const __m256i *)left2), levels);
    context_after_avx2(&unused, &far, above, group, levels, scores, LWFC_LANES);
    context_add_avx2(&sum, score, 0, &far, &near, scores);
    context_starts_avx2(c, &sum, group, &link, levels, scores);
    for (int k = 0; k < levels - 1; k++) {
        _mm256_storeu_si256((__m256i *)threshold[k], c[k]);
    }
}

#define CONTEXT_THRESHOLDS_AVX2(levels, scores)                                                 \
    context_thresholds_as_avx2(threshold, score, left, left2, group, scale, levels, scores)

LWFC_TARGET("avx2,bmi2")
static void context_thresholds_avx2(uint8_t (*threshold)[LWFC_LANES], const int8_t *const *score,
                                    const uint8_t *left, const uint8_t *left2,
                                    const struct lwfc_context_group *group,
                                    const struct lwfc_context_scale *scale)
{
    const int levels = scale->levels;
    if (levels == 2) {
        CONTEXT_THRESHOLDS_AVX2(2, 1);
    } else if (levels <= 4 && scale->scores == 1) {
        levels == 3 ? CONTEXT_THRESHOLDS_AVX2(3, 1) : CONTEXT_THRESHOLDS_AVX2(4, 1);
    } else if (levels <= 4) {
        levels == 3 ? CONTEXT_THRESHOLDS_AVX2(3, 2) : CONTEXT_THRESHOLDS_AVX2(4, 2);
    } else {
        CONTEXT_THRESHOLDS_AVX2(levels, scale->scores);
    }
}

/* half: only the first 16 lanes are in use. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE const uint8_t *context_decode_as_avx2(uint16_t (*states)[LWFC_LANES],
                                                  const struct lwfc_context_piece *piece,
                                                  const struct lwfc_context_group *group,
                                                  const struct lwfc_context_scale *scale,
                                                  const uint8_t *in, int levels, int scores,
                                                  int chains, const __m256i *live, int half)
{
    const struct context_link_avx2 link = context_link_avx2(scale);
    struct lanes_avx2 s[LWFC_CONTEXT_CHAINS];
    struct context_sum_avx2 sum[LWFC_CONTEXT_CHAINS], far[LWFC_CONTEXT_CHAINS];
    const int8_t *score[LWFC_CONTEXT_CHAINS][LWFC_CONTEXT_SCORES];
    __m256i above[LWFC_CONTEXT_LEVELS - 1];
    const int width = piece->width;
    for (int c = 0; c < chains; c++) {
        struct context_sum_avx2 near, far2, unused;
        s[c] = lanes_load_avx2(states[c]);
        context_masks_avx2(above, context_left_avx2(piece, c, 0, 2), levels);
        context_after_avx2(&unused, &far2, above, group, levels, scores, LWFC_LANES);
        context_masks_avx2(above, context_left_avx2(piece, c, 0, 1), levels);
        context_after_avx2(&near, &far[c], above, group, levels, scores, LWFC_LANES);
        for (int i = 0; i < scores; i++) {
            score[c][i] = piece->score[i][c];
        }
        context_add_avx2(&sum[c], score[c], 0, &far2, &near, scores);
    }
    for (int x = 0; x < width; x++) {
#pragma GCC unroll 2
        for (int c = 0; c < chains; c++) {
            const size_t at = (size_t)x * LWFC_LANES;
            __m256i start[LWFC_CONTEXT_LEVELS - 1];
            struct context_sum_avx2 near, later;
            context_starts_avx2(start, &sum[c], group, &link, levels, scores);
            lanes_decode_avx2(&s[c], above, start, levels, &in, live, half);
            const __m256i symbol = lanes_symbols_avx2(above, levels);
            _mm256_storeu_si256(
                (__m256i *)(piece->symbols[c] + at),
                half ? _mm256_zextsi128_si256(_mm256_castsi256_si128(symbol)) : symbol);
            context_after_avx2(&near, &later, above, group, levels, scores, LWFC_LANES);
            context_add_avx2(&sum[c], score[c], at + LWFC_LANES, &far[c], &near, scores);
            for (int i = 0; i < scores; i++) { /* whole structs would be copied in halves */
                far[c].score[i] = later.score[i];
            }
        }
    }
    for (int c = 0; c < chains; c++) {
        if (half) {
            lanes_store_half_avx2(states[c], s[c]);
        } else {
            lanes_store_avx2(states[c], s[c]);
        }
    }
    return in;
}

/* The intervals of one chain's columns. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void context_intervals_avx2(struct context_interval_avx2 *to,
                                        const struct lwfc_context_piece *piece, int chain,
                                        const struct lwfc_context_group *group,
                                        const struct context_link_avx2 *link, int levels,
                                        int scores)
{
    struct context_sum_avx2 near, far, later, unused;
    const int8_t *score[LWFC_CONTEXT_SCORES];
    __m256i above[LWFC_CONTEXT_LEVELS - 1];
    context_masks_avx2(above, context_left_avx2(piece, chain, 0, 2), levels);
    context_after_avx2(&unused, &far, above, group, levels, scores, LWFC_LANES);
    context_masks_avx2(above, context_left_avx2(piece, chain, 0, 1), levels);
    context_after_avx2(&near, &later, above, group, levels, scores, LWFC_LANES);
    for (int i = 0; i < scores; i++) {
        score[i] = piece->score[i][chain];
    }
    for (int x = 0; x < piece->width; x++) {
        const size_t at = (size_t)x * LWFC_LANES;
        const __m256i symbol = _mm256_loadu_si256((const __m256i *)(piece->symbols[chain] + at));
        struct context_sum_avx2 sum;
        context_add_avx2(&sum, score, at, &far, &near, scores);
        context_masks_avx2(above, symbol, levels);
        to[x] = context_interval_avx2(symbol, above, &sum, group, link, levels, scores,
                                      LWFC_LANES);
        for (int i = 0; i < scores; i++) {
            far.score[i] = later.score[i];
        }
        context_after_avx2(&near, &later, above, group, levels, scores, LWFC_LANES);
    }
}

LWFC_TARGET("avx2,bmi2")
LWFC_INLINE uint8_t *context_encode_as_avx2(uint16_t (*states)[LWFC_LANES],
                                            const struct lwfc_context_piece *piece,
                                            const struct lwfc_context_group *group,
                                            const struct lwfc_context_scale *scale, uint8_t *out,
                                            int levels, int scores, int chains,
                                            const __m256i *live)
{
    const struct context_link_avx2 link = context_link_avx2(scale);
    struct context_interval_avx2 interval[LWFC_CONTEXT_CHAINS][LWFC_CONTEXT_PIECE];
    struct lanes_avx2 s[LWFC_CONTEXT_CHAINS];
    for (int c = 0; c < chains; c++) {
        s[c] = lanes_load_avx2(states[c]);
        context_intervals_avx2(interval[c], piece, c, group, &link, levels, scores);
    }
    for (int x = piece->width - 1; x >= 0; x--) {
#pragma GCC unroll 2
        for (int c = chains - 1; c >= 0; c--) {
            __m256i recip[2];
            lanes_reciprocal_avx2(interval[c][x].freq, recip);
            lanes_encode_avx2(&s[c], interval[c][x].start, interval[c][x].freq, recip, &out,
                              live);
        }
    }
    for (int c = 0; c < chains; c++) {
        lanes_store_avx2(states[c], s[c]);
    }
    return out;
}

/* Groups of at most 16 lanes have ways of their own: for all 16 live, and for some. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE int context_all_live_avx2(__m256i live)
{
    return _mm_movemask_epi8(_mm256_castsi256_si128(live)) == 0xffff;
}

LWFC_TARGET("avx2,bmi2")
LWFC_INLINE const uint8_t *context_half_decode_avx2(uint16_t (*states)[LWFC_LANES],
                                                    const struct lwfc_context_piece *piece,
                                                    const struct lwfc_context_group *group,
                                                    const struct lwfc_context_scale *scale,
                                                    const uint8_t *in, int levels, int scores)
{
    const __m256i live = _mm256_loadu_si256((const __m256i *)piece->live);
    return context_all_live_avx2(live)
               ? context_decode_as_avx2(states, piece, group, scale, in, levels, scores, 1, NULL, 1)
               : context_decode_as_avx2(states, piece, group, scale, in, levels, scores, 1, &live,
                                        1);
}

LWFC_TARGET("avx2,bmi2")
LWFC_INLINE uint8_t *context_half_encode_avx2(uint16_t (*states)[LWFC_LANES],
                                              const struct lwfc_context_piece *piece,
                                              const struct lwfc_context_group *group,
                                              const struct lwfc_context_scale *scale,
                                              uint8_t *out, int levels, int scores)
{
    const __m256i live = _mm256_loadu_si256((const __m256i *)piece->live);
    const __m256i wide = _mm256_cvtepi8_epi16(_mm256_castsi256_si128(live));
    return context_half_encode_as_avx2(states, piece, group, scale, out, levels, scores,
                                       context_all_live_avx2(live) ? NULL : &wide);
}

#define CONTEXT_RUN_AVX2_decode(levels, scores, chains, live)                                   \
    context_decode_as_avx2(states, piece, group, scale, at, levels, scores, chains, live, 0)
#define CONTEXT_RUN_AVX2_encode(levels, scores, chains, live)                                   \
    context_encode_as_avx2(states, piece, group, scale, at, levels, scores, chains, live)

#define CONTEXT_FUNCTION_AVX2(type, verb, name, levels, scores)                                 \
    LWFC_TARGET("avx2,bmi2")                                                                    \
    static type context_##verb##_##name##_avx2(                                                 \
        uint16_t (*states)[LWFC_LANES], const struct lwfc_context_piece *piece,                 \
        const struct lwfc_context_group *group, const struct lwfc_context_scale *scale, type at) \
    {                                                                                           \
        if (group->lanes <= CONTEXT_HALF && piece->chains == 1) {                               \
            return context_half_##verb##_avx2(states, piece, group, scale, at, levels, scores); \
        }                                                                                       \
        if (piece->live) {                                                                      \
            const __m256i live = _mm256_loadu_si256((const __m256i *)piece->live);              \
            return piece->chains == 2 ? CONTEXT_RUN_AVX2_##verb(levels, scores, 2, &live)       \
                                      : CONTEXT_RUN_AVX2_##verb(levels, scores, 1, &live);      \
        }                                                                                       \
        return piece->chains == 2 ? CONTEXT_RUN_AVX2_##verb(levels, scores, 2, NULL)            \
                                  : CONTEXT_RUN_AVX2_##verb(levels, scores, 1, NULL);           \
    }

LWFC_CONTEXT_LEVELS(CONTEXT_FUNCTION_AVX2, avx2)

#endif
