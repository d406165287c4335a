/* The serial loops of context_kernels.h for AVX-512 with VBMI2; same bits as the
 * scalar ones. Masks replace blends, permutations look up the link and the
 * reciprocals, expand and compress deal and gather the stream's bytes. A column
 * of a chain stays 32 lanes wide (cores that halve wide registers gain nothing),
 * but the encoder's divisions take both chains at once. */
#ifndef LWFC_KERNELS_X86_CONTEXT_AVX512_H
#define LWFC_KERNELS_X86_CONTEXT_AVX512_H

#include "kernels/x86/context_avx2.h"

#define CONTEXT_AVX512                                                                          \
    LWFC_TARGET("avx2,bmi2,avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2")

CONTEXT_SCORES_AVX2(CONTEXT_AVX512, avx512)

/* above[k]: the lanes whose symbol is above k. */
CONTEXT_AVX512
LWFC_INLINE void context_masks_avx512(__mmask32 *above, __m256i symbol, int levels)
{
    for (int k = 0; k < levels - 1; k++) {
        above[k] = _mm256_cmpgt_epi8_mask(symbol, _mm256_set1_epi8((char)k));
    }
}

struct context_link_avx512 {
    __m256i table, most;
    __m128i coarse;
};

CONTEXT_AVX512
LWFC_INLINE struct context_link_avx512 context_link_avx512(const struct lwfc_context_scale *scale)
{
    const struct context_link_avx512 l = {_mm256_loadu_si256((const __m256i *)scale->link),
                                          _mm256_set1_epi8((char)((32 << scale->coarse) - 1)),
                                          _mm_cvtsi32_si128(scale->coarse)};
    return l;
}

/* The link of a score, turned by its sign: C_{k+1} is k more. */
CONTEXT_AVX512
LWFC_INLINE __m256i context_turn_avx512(__m256i v, const struct context_link_avx512 *link)
{
    const __m256i size = _mm256_min_epu8(_mm256_abs_epi8(v), link->most);
    /* Bits shifted in from the next byte lie above the five that count. */
    const __m256i start =
        _mm256_permutexvar_epi8(_mm256_srl_epi16(size, link->coarse), link->table);
    return _mm256_mask_sub_epi8(start, _mm256_movepi8_mask(v), _mm256_setzero_si256(), start);
}

CONTEXT_AVX512
LWFC_INLINE void context_starts_avx512(__m256i *c, const struct context_sum_avx2 *sum,
                                       const struct lwfc_context_group *g,
                                       const struct context_link_avx512 *link, int levels,
                                       int scores)
{
    __m256i before = _mm256_set1_epi8(127);
    for (int k = 0; k < levels - 1; k++) {
        const __m256i v = context_biased_avx2(sum, g, k, &before, levels, scores, LWFC_LANES);
        const __m256i turned = context_turn_avx512(v, link);
        c[k] = k > 0 ? _mm256_add_epi8(turned, _mm256_set1_epi8((char)k)) : turned;
    }
}

CONTEXT_AVX512
LWFC_INLINE __m256i context_table_avx512(const __mmask32 *above, const int8_t (*table)[LWFC_LANES],
                                         int levels)
{
    __m256i v = _mm256_setzero_si256();
    for (int k = 0; k < levels - 1; k++) {
        v = _mm256_mask_loadu_epi8(v, above[k], table[k]);
    }
    return v;
}

/* What symbols one column back, then two, add to the scores. */
CONTEXT_AVX512
LWFC_INLINE void context_near_avx512(struct context_sum_avx2 *sum, const __mmask32 *above,
                                     const struct lwfc_context_group *g, int levels, int scores)
{
    for (int s = 0; s < scores; s++) {
        sum->score[s] = context_table_avx512(above, g->score[s].left, levels);
    }
}

CONTEXT_AVX512
LWFC_INLINE void context_far_avx512(struct context_sum_avx2 *sum, const __mmask32 *above,
                                    const struct lwfc_context_group *g, int levels, int scores)
{
    for (int s = 0; s < scores; s++) {
        sum->score[s] = context_table_avx512(above, g->score[s].left2, levels);
    }
}

/* lanes_decode_avx2 with masks. */
CONTEXT_AVX512
LWFC_INLINE void context_step_avx512(struct lanes_avx2 *s, __mmask32 *above, const __m256i *c,
                                     int levels, const uint8_t **in, const __mmask32 *live)
{
    const __m256i even = _mm256_set1_epi16(255);
    const __m256i slot = s->lo;
    __m256i least = slot;
    __m256i most = slot;
    for (int k = 0; k < levels - 1; k++) {
        const __m256i d = _mm256_sub_epi8(slot, c[k]);
        least = _mm256_min_epu8(least, d);
        most = _mm256_max_epu8(most, d);
        above[k] = live ? _mm256_mask_cmple_epu8_mask(*live, d, slot)
                        : _mm256_cmple_epu8_mask(d, slot);
    }
    const __m256i freq = _mm256_sub_epi8(least, most);
    const __m256i x0 = _mm256_add_epi16(
        _mm256_mullo_epi16(_mm256_and_si256(freq, even), _mm256_and_si256(s->hi, even)),
        _mm256_and_si256(least, even));
    const __m256i x1 = _mm256_add_epi16(
        _mm256_mullo_epi16(_mm256_srli_epi16(freq, 8), _mm256_srli_epi16(s->hi, 8)),
        _mm256_srli_epi16(least, 8));
    const __mmask32 odd = 0xaaaaaaaau;
    const __m256i hi = _mm256_mask_mov_epi8(_mm256_srli_epi16(x0, 8), odd, x1);
    const __m256i lo = _mm256_mask_mov_epi8(x0, odd, _mm256_slli_epi16(x1, 8));
    const __mmask32 empty = live ? _mm256_mask_testn_epi8_mask(*live, hi, hi)
                                 : _mm256_testn_epi8_mask(hi, hi);
    const __m256i bytes = _mm256_loadu_si256((const __m256i *)*in);
    *in += _mm_popcnt_u32(empty);
    const __m256i next_hi = _mm256_mask_mov_epi8(hi, empty, lo);
    const __m256i next_lo = _mm256_mask_expand_epi8(lo, empty, bytes);
    s->hi = live ? _mm256_mask_mov_epi8(s->hi, *live, next_hi) : next_hi;
    s->lo = live ? _mm256_mask_mov_epi8(s->lo, *live, next_lo) : next_lo;
}

CONTEXT_AVX512
LWFC_INLINE __m256i context_symbols_avx512(const __mmask32 *above, int levels)
{
    __m256i symbol = _mm256_maskz_mov_epi8(above[0], _mm256_set1_epi8(1));
    for (int k = 1; k < levels - 1; k++) {
        symbol = _mm256_mask_mov_epi8(symbol, above[k], _mm256_set1_epi8((char)(k + 1)));
    }
    return symbol;
}

CONTEXT_AVX512
LWFC_INLINE const uint8_t *context_decode_as_avx512(uint16_t (*states)[LWFC_LANES],
                                                    const struct lwfc_context_piece *piece,
                                                    const struct lwfc_context_group *group,
                                                    const struct lwfc_context_scale *scale,
                                                    const uint8_t *in, int levels, int scores,
                                                    int chains, const __mmask32 *live)
{
    const struct context_link_avx512 link = context_link_avx512(scale);
    struct lanes_avx2 s[LWFC_CONTEXT_CHAINS];
    __mmask32 left[LWFC_CONTEXT_CHAINS][LWFC_CONTEXT_LEVELS - 1];
    struct context_sum_avx2 far[LWFC_CONTEXT_CHAINS];
    const int8_t *score[LWFC_CONTEXT_CHAINS][LWFC_CONTEXT_SCORES];
    const int width = piece->width;
    for (int c = 0; c < chains; c++) {
        s[c] = lanes_load_avx2(states[c]);
        context_masks_avx512(left[c], context_left_avx2(piece, c, 0, 2), levels);
        context_far_avx512(&far[c], left[c], group, levels, scores);
        context_masks_avx512(left[c], context_left_avx2(piece, c, 0, 1), levels);
        for (int i = 0; i < scores; i++) {
            score[c][i] = piece->score[i][c];
        }
    }
    for (int x = 0; x < width; x++) {
        for (int c = 0; c < chains; c++) {
            const size_t at = (size_t)x * LWFC_LANES;
            __m256i start[LWFC_CONTEXT_LEVELS - 1];
            struct context_sum_avx2 sum, near;
            context_near_avx512(&near, left[c], group, levels, scores);
            context_add_avx2(&sum, score[c], at, &far[c], &near, scores);
            context_far_avx512(&far[c], left[c], group, levels, scores);
            context_starts_avx512(start, &sum, group, &link, levels, scores);
            context_step_avx512(&s[c], left[c], start, levels, &in, live);
            _mm256_storeu_si256((__m256i *)(piece->symbols[c] + at),
                                context_symbols_avx512(left[c], levels));
        }
    }
    for (int c = 0; c < chains; c++) {
        lanes_store_avx2(states[c], s[c]);
    }
    return in;
}

/* 65536 / freq, rounded down (65535 for 1): low bytes by freq, then high bytes. */
#define CONTEXT_RECIPROCAL(f) ((f) > 1 ? 65536 / ((f) + !(f)) : 65535 * (f))
#define CONTEXT_RECIPROCAL_4(f, at)                                                             \
    CONTEXT_RECIPROCAL(f) >> (at) & 255, CONTEXT_RECIPROCAL((f) + 1) >> (at) & 255,             \
        CONTEXT_RECIPROCAL((f) + 2) >> (at) & 255, CONTEXT_RECIPROCAL((f) + 3) >> (at) & 255
#define CONTEXT_RECIPROCAL_16(f, at)                                                            \
    CONTEXT_RECIPROCAL_4(f, at), CONTEXT_RECIPROCAL_4((f) + 4, at),                             \
        CONTEXT_RECIPROCAL_4((f) + 8, at), CONTEXT_RECIPROCAL_4((f) + 12, at)
#define CONTEXT_RECIPROCAL_64(f, at)                                                            \
    CONTEXT_RECIPROCAL_16(f, at), CONTEXT_RECIPROCAL_16((f) + 16, at),                          \
        CONTEXT_RECIPROCAL_16((f) + 32, at), CONTEXT_RECIPROCAL_16((f) + 48, at)
#define CONTEXT_RECIPROCAL_256(at)                                                              \
    {CONTEXT_RECIPROCAL_64(0, at), CONTEXT_RECIPROCAL_64(64, at),                               \
     CONTEXT_RECIPROCAL_64(128, at), CONTEXT_RECIPROCAL_64(192, at)}

static const uint8_t context_reciprocals[2][256] = {CONTEXT_RECIPROCAL_256(0),
                                                    CONTEXT_RECIPROCAL_256(8)};

CONTEXT_AVX512
LWFC_INLINE __m512i context_look_avx512(const uint8_t *table, __m512i freq)
{
    const __m512i low = _mm512_permutex2var_epi8(_mm512_loadu_si512(table), freq,
                                                 _mm512_loadu_si512(table + 64));
    const __m512i high = _mm512_permutex2var_epi8(_mm512_loadu_si512(table + 128), freq,
                                                  _mm512_loadu_si512(table + 192));
    return _mm512_mask_mov_epi8(low, _mm512_movepi8_mask(freq), high);
}

/* Quotient and, in *x, remainder of 32 states by freq. */
CONTEXT_AVX512
LWFC_INLINE __m512i context_divide_avx512(__m512i *x, __m512i freq, __m512i recip)
{
    const __m512i q = _mm512_mulhi_epu16(*x, recip);
    const __m512i r = _mm512_sub_epi16(*x, _mm512_mullo_epi16(q, freq));
    /* Rounded down, q may be one too small. */
    const __mmask32 more = _mm512_cmpge_epu16_mask(r, freq);
    *x = _mm512_mask_sub_epi16(r, more, r, freq);
    return _mm512_mask_sub_epi16(q, more, q, _mm512_set1_epi16(-1));
}

/* Both chains' states: their bytes lie in the order of chains, then lanes. */
struct context_pair_avx512 {
    __m512i hi, lo;
};

CONTEXT_AVX512
LWFC_INLINE __m512i context_join_avx512(__m256i first, __m256i second)
{
    return _mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1);
}

/* Encodes one symbol per lane of both chains. */
CONTEXT_AVX512
LWFC_INLINE void context_put_avx512(struct context_pair_avx512 *s, __m512i start, __m512i freq,
                                    uint8_t **out, const __mmask64 *live)
{
    const __m512i zero = _mm512_setzero_si512();
    const __mmask64 full = live ? _mm512_mask_cmpge_epu8_mask(*live, s->hi, freq)
                                : _mm512_cmpge_epu8_mask(s->hi, freq);
    const unsigned count = (unsigned)_mm_popcnt_u64(full);
    *out -= count;
    _mm512_mask_storeu_epi8(*out, _bzhi_u64(~0ull, count),
                            _mm512_maskz_compress_epi8(full, s->lo));
    const __m512i lo = _mm512_mask_mov_epi8(s->lo, full, s->hi);
    const __m512i hi = _mm512_mask_mov_epi8(s->hi, full, zero);
    const __m512i r_lo = context_look_avx512(context_reciprocals[0], freq);
    const __m512i r_hi = context_look_avx512(context_reciprocals[1], freq);
    __m512i x0 = _mm512_unpacklo_epi8(lo, hi);
    __m512i x1 = _mm512_unpackhi_epi8(lo, hi);
    const __m512i q0 = context_divide_avx512(&x0, _mm512_unpacklo_epi8(freq, zero),
                                             _mm512_unpacklo_epi8(r_lo, r_hi));
    const __m512i q1 = context_divide_avx512(&x1, _mm512_unpackhi_epi8(freq, zero),
                                             _mm512_unpackhi_epi8(r_lo, r_hi));
    const __m512i next_hi = _mm512_packus_epi16(q0, q1);
    const __m512i next_lo = _mm512_add_epi8(_mm512_packus_epi16(x0, x1), start);
    s->hi = live ? _mm512_mask_mov_epi8(s->hi, *live, next_hi) : next_hi;
    s->lo = live ? _mm512_mask_mov_epi8(s->lo, *live, next_lo) : next_lo;
}

/* Start and frequency of the symbols: the thresholds on either side of each. */
CONTEXT_AVX512
LWFC_INLINE void context_interval_avx512(__m256i *start, __m256i *freq, __m256i symbol,
                                         const struct context_sum_avx2 *sum,
                                         const struct lwfc_context_group *g,
                                         const struct context_link_avx512 *link, int levels,
                                         int scores)
{
    __mmask32 above[LWFC_CONTEXT_LEVELS - 1];
    __m256i before = _mm256_set1_epi8(127);
    __m256i lower = context_biased_avx2(sum, g, 0, &before, levels, scores, LWFC_LANES);
    __m256i upper = lower;
    context_masks_avx512(above, symbol, levels);
    for (int k = 1; k < levels - 1; k++) {
        const __m256i v = context_biased_avx2(sum, g, k, &before, levels, scores, LWFC_LANES);
        lower = _mm256_mask_mov_epi8(lower, above[k], v);
        upper = _mm256_mask_mov_epi8(upper, above[k - 1], v);
    }
    lower = context_turn_avx512(lower, link);
    upper = context_turn_avx512(upper, link);
    if (levels > 2) {
        lower = _mm256_add_epi8(lower, _mm256_add_epi8(symbol, _mm256_set1_epi8(-1)));
        upper = _mm256_add_epi8(upper, symbol);
    }
    *start = _mm256_maskz_mov_epi8(above[0], lower);
    /* The last symbol ends at 256, wrapped. */
    *freq = _mm256_sub_epi8(
        _mm256_mask_mov_epi8(upper, above[levels - 2], _mm256_setzero_si256()), *start);
}

/* A chain alone leaves the upper half idle. */
CONTEXT_AVX512
LWFC_INLINE uint8_t *context_encode_as_avx512(uint16_t (*states)[LWFC_LANES],
                                              const struct lwfc_context_piece *piece,
                                              const struct lwfc_context_group *group,
                                              const struct lwfc_context_scale *scale,
                                              uint8_t *out, int levels, int scores, int chains,
                                              const __mmask32 *live)
{
    const struct context_link_avx512 link = context_link_avx512(scale);
    const __mmask64 one = live ? *live : 0xffffffffu;
    const __mmask64 both = chains == 2 ? one << 32 | one : one;
    const __mmask64 *const masked = chains == 2 && !live ? NULL : &both;
    struct lanes_avx2 half[LWFC_CONTEXT_CHAINS];
    struct context_sum_avx2 near[LWFC_CONTEXT_CHAINS];
    const int8_t *score[LWFC_CONTEXT_CHAINS][LWFC_CONTEXT_SCORES];
    for (int c = 0; c < chains; c++) {
        __mmask32 left[LWFC_CONTEXT_LEVELS - 1];
        half[c] = lanes_load_avx2(states[c]);
        context_masks_avx512(left, context_left_avx2(piece, c, piece->width, 2), levels);
        context_near_avx512(&near[c], left, group, levels, scores);
        for (int i = 0; i < scores; i++) {
            score[c][i] = piece->score[i][c];
        }
    }
    struct context_pair_avx512 s = {context_join_avx512(half[0].hi, half[chains - 1].hi),
                                    context_join_avx512(half[0].lo, half[chains - 1].lo)};
    for (int x = piece->width - 1; x >= 0; x--) {
        __m256i start[LWFC_CONTEXT_CHAINS];
        __m256i freq[LWFC_CONTEXT_CHAINS];
        for (int c = 0; c < chains; c++) {
            __mmask32 left2[LWFC_CONTEXT_LEVELS - 1];
            struct context_sum_avx2 sum, far;
            context_masks_avx512(left2, context_left_avx2(piece, c, x, 2), levels);
            context_far_avx512(&far, left2, group, levels, scores);
            context_add_avx2(&sum, score[c], (size_t)x * LWFC_LANES, &far, &near[c], scores);
            context_near_avx512(&near[c], left2, group, levels, scores);
            context_interval_avx512(&start[c], &freq[c], context_left_avx2(piece, c, x + 1, 1),
                                    &sum, group, &link, levels, scores);
        }
        context_put_avx512(&s, context_join_avx512(start[0], start[chains - 1]),
                           context_join_avx512(freq[0], freq[chains - 1]), &out, masked);
    }
    for (int c = 0; c < chains; c++) {
        half[c].hi = c ? _mm512_extracti64x4_epi64(s.hi, 1) : _mm512_castsi512_si256(s.hi);
        half[c].lo = c ? _mm512_extracti64x4_epi64(s.lo, 1) : _mm512_castsi512_si256(s.lo);
        lanes_store_avx2(states[c], half[c]);
    }
    return out;
}

#define CONTEXT_RUN_AVX512(verb, levels, scores, chains, live)                                  \
    context_##verb##_as_avx512(states, piece, group, scale, at, levels, scores, chains, live)

#define CONTEXT_FUNCTION_AVX512(type, verb, name, levels, scores)                               \
    CONTEXT_AVX512                                                                              \
    static type context_##verb##_##name##_avx512(                                               \
        uint16_t (*states)[LWFC_LANES], const struct lwfc_context_piece *piece,                 \
        const struct lwfc_context_group *group, const struct lwfc_context_scale *scale, type at) \
    {                                                                                           \
        if (piece->live) {                                                                      \
            const __mmask32 live =                                                              \
                _mm256_movepi8_mask(_mm256_loadu_si256((const __m256i *)piece->live));          \
            return piece->chains == 2 ? CONTEXT_RUN_AVX512(verb, levels, scores, 2, &live)      \
                                      : CONTEXT_RUN_AVX512(verb, levels, scores, 1, &live);     \
        }                                                                                       \
        return piece->chains == 2 ? CONTEXT_RUN_AVX512(verb, levels, scores, 2, NULL)           \
                                  : CONTEXT_RUN_AVX512(verb, levels, scores, 1, NULL);          \
    }

LWFC_CONTEXT_LEVELS(CONTEXT_FUNCTION_AVX512, avx512)

#endif
