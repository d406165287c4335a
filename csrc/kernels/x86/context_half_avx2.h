/* The context coder's encoder for groups of at most 16 lanes and one chain: intervals
 * are found for two columns at a time, and all states are one vector of 16-bit lanes. */
#ifndef LWFC_KERNELS_X86_CONTEXT_HALF_AVX2_H
#define LWFC_KERNELS_X86_CONTEXT_HALF_AVX2_H

#include "kernels/x86/context_interval_avx2.h"

/* Start and frequency of the symbols of each column. */
struct context_half_intervals_avx2 {
    uint8_t start[(LWFC_CONTEXT_PIECE + 1) * CONTEXT_HALF];
    uint8_t freq[(LWFC_CONTEXT_PIECE + 1) * CONTEXT_HALF];
};

/* The upper half of a, then the lower half of b. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE __m256i context_between_avx2(__m256i a, __m256i b)
{
    return _mm256_permute2x128_si256(a, b, 0x21);
}

LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void context_half_intervals_avx2(struct context_half_intervals_avx2 *to,
                                             const struct lwfc_context_piece *piece,
                                             const struct lwfc_context_group *group,
                                             const struct context_link_avx2 *link, int levels,
                                             int scores)
{
    struct context_sum_avx2 near, far; /* from the two columns before */
    __m256i above[LWFC_CONTEXT_LEVELS - 1];
    const __m128i left2 = _mm256_castsi256_si128(context_left_avx2(piece, 0, 0, 2));
    const __m128i left = _mm256_castsi256_si128(context_left_avx2(piece, 0, 0, 1));
    context_masks_avx2(above, _mm256_set_m128i(left, left2), levels);
    context_after_avx2(&near, &far, above, group, levels, scores, CONTEXT_HALF);
    for (int x = 0; x < piece->width; x += 2) {
        const size_t at = (size_t)x * LWFC_LANES;
        const size_t second = at + (x + 1 < piece->width ? LWFC_LANES : 0);
        const __m256i symbol =
            lanes_halves_avx2(piece->symbols[0] + at, piece->symbols[0] + second);
        struct context_sum_avx2 sum, next_near, next_far;
        context_masks_avx2(above, symbol, levels);
        context_after_avx2(&next_near, &next_far, above, group, levels, scores, CONTEXT_HALF);
        for (int i = 0; i < scores; i++) {
            const int8_t *const score = piece->score[i][0];
            sum.score[i] = _mm256_adds_epi8(
                _mm256_adds_epi8(lanes_halves_avx2(score + at, score + second), far.score[i]),
                context_between_avx2(near.score[i], next_near.score[i]));
            near.score[i] = next_near.score[i];
            far.score[i] = next_far.score[i];
        }
        const struct context_interval_avx2 v = context_interval_avx2(
            symbol, above, &sum, group, link, levels, scores, CONTEXT_HALF);
        _mm256_storeu_si256((__m256i *)(to->start + x * CONTEXT_HALF), v.start);
        _mm256_storeu_si256((__m256i *)(to->freq + x * CONTEXT_HALF), v.freq);
    }
}

/* Writes the bytes of the set lanes in rising order just below *out. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void context_half_emit_avx2(__m128i bytes, uint32_t mask, uint8_t **out)
{
    const __m128i index = _mm_or_si128(
        _mm_unpacklo_epi64(
            _mm_loadl_epi64((const __m128i *)&lanes_compact[mask & 0xffu]),
            _mm_loadl_epi64((const __m128i *)&lanes_compact[mask >> 8])),
        _mm_set_epi64x(0x0808080808080808, 0));
    const __m128i packed = _mm_shuffle_epi8(bytes, index);
    uint8_t *const p = *out;
    _mm_storeh_pi((__m64 *)(p - 8), _mm_castsi128_ps(packed));
    _mm_storel_epi64((__m128i *)(p - 8 - _mm_popcnt_u32(mask >> 8)), packed);
    *out = p - _mm_popcnt_u32(mask);
}

/* The lower bytes of 16-bit lanes below 256, or of masks. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE __m128i context_narrow_avx2(__m256i v)
{
    return _mm_packus_epi16(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
}

/* lanes_encode_avx2 of 16 lanes. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE __m256i context_half_step_avx2(__m256i state, __m256i start, __m256i freq,
                                           uint8_t **out, const __m256i *live)
{
    const __m256i zero = _mm256_setzero_si256();
    const __m256i byte = _mm256_set1_epi16(255);
    const __m256i recip =
        _mm256_packus_epi32(lanes_invert_avx2(_mm256_unpacklo_epi16(freq, zero)),
                            lanes_invert_avx2(_mm256_unpackhi_epi16(freq, zero)));
    __m256i full =
        _mm256_cmpeq_epi16(_mm256_max_epu16(state, _mm256_slli_epi16(freq, 8)), state);
    if (live) {
        full = _mm256_and_si256(full, *live);
    }
    const __m128i emitted = context_narrow_avx2(_mm256_and_si256(full, byte));
    context_half_emit_avx2(context_narrow_avx2(_mm256_and_si256(state, byte)),
                           (uint32_t)_mm_movemask_epi8(emitted), out);
    const __m256i x = _mm256_blendv_epi8(state, _mm256_srli_epi16(state, 8), full);
    __m256i rest;
    const __m256i q = lanes_divide_avx2(&rest, x, freq, recip);
    /* A remainder below freq wraps to more than itself. */
    const __m256i least = _mm256_min_epu16(rest, _mm256_sub_epi16(rest, freq));
    const __m256i more = _mm256_cmpgt_epi16(rest, least);
    const __m256i next = _mm256_add_epi16(_mm256_slli_epi16(_mm256_sub_epi16(q, more), 8),
                                          _mm256_add_epi16(least, start));
    return live ? _mm256_blendv_epi8(state, next, *live) : next;
}

LWFC_TARGET("avx2,bmi2")
LWFC_INLINE uint8_t *context_half_encode_as_avx2(uint16_t (*states)[LWFC_LANES],
                                                 const struct lwfc_context_piece *piece,
                                                 const struct lwfc_context_group *group,
                                                 const struct lwfc_context_scale *scale,
                                                 uint8_t *out, int levels, int scores,
                                                 const __m256i *live)
{
    const struct context_link_avx2 link = context_link_avx2(scale);
    struct context_half_intervals_avx2 interval;
    context_half_intervals_avx2(&interval, piece, group, &link, levels, scores);
    __m256i state = _mm256_loadu_si256((const __m256i *)states[0]);
    for (int x = piece->width - 1; x >= 0; x--) {
        const size_t at = (size_t)x * CONTEXT_HALF;
        const __m128i start = _mm_loadu_si128((const __m128i *)(interval.start + at));
        const __m128i freq = _mm_loadu_si128((const __m128i *)(interval.freq + at));
        state = context_half_step_avx2(state, _mm256_cvtepu8_epi16(start),
                                       _mm256_cvtepu8_epi16(freq), &out, live);
    }
    _mm256_storeu_si256((__m256i *)states[0], state);
    return out;
}

#endif
