/* The serial loops of context.h for AVX-512 with VBMI2; same bits as the scalar
 * ones. 32 lanes as before: masks replace blends, one permutation looks up the
 * link, expand and compress deal and gather the stream's bytes. */
#ifndef LWFC_KERNELS_X86_CONTEXT_AVX512_H
#define LWFC_KERNELS_X86_CONTEXT_AVX512_H

#include "kernels/x86/context_avx2.h"

#define CONTEXT_AVX512                                                                          \
    LWFC_TARGET("avx2,bmi2,avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2")

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

CONTEXT_AVX512
LWFC_INLINE void context_starts_avx512(__m256i *c, __m256i sum,
                                       const struct lwfc_context_group *g,
                                       const struct context_link_avx512 *link, int levels)
{
    for (int k = 0; k < levels - 1; k++) {
        const __m256i v =
            _mm256_adds_epi8(sum, _mm256_loadu_si256((const __m256i *)g->bias[k]));
        const __m256i size = _mm256_min_epu8(_mm256_abs_epi8(v), link->most);
        /* Bits shifted in from the next byte lie above the five that count. */
        const __m256i start =
            _mm256_permutexvar_epi8(_mm256_srl_epi16(size, link->coarse), link->table);
        const __m256i turned = _mm256_mask_sub_epi8(start, _mm256_movepi8_mask(v),
                                                    _mm256_setzero_si256(), start);
        c[k] = k > 0 ? _mm256_add_epi8(turned, _mm256_set1_epi8((char)k)) : turned;
    }
}

/* What a symbol adds to the score one and two columns on. */
CONTEXT_AVX512
LWFC_INLINE void context_after_avx512(__m256i *near, __m256i *far, __m256i symbol,
                                      const struct lwfc_context_group *g, int levels)
{
    *near = _mm256_setzero_si256();
    *far = _mm256_setzero_si256();
    for (int k = 0; k < levels - 1; k++) {
        const __mmask32 m = _mm256_cmpgt_epi8_mask(symbol, _mm256_set1_epi8((char)k));
        *near = _mm256_mask_add_epi8(*near, m, *near,
                                     _mm256_loadu_si256((const __m256i *)g->left[k]));
        *far = _mm256_mask_add_epi8(*far, m, *far,
                                    _mm256_loadu_si256((const __m256i *)g->left2[k]));
    }
}

/* lanes_decode_avx2 with masks. */
CONTEXT_AVX512
LWFC_INLINE __m256i context_step_avx512(struct lanes_avx2 *s, const __m256i *c, int levels,
                                        const uint8_t **in, const __mmask32 *live)
{
    const __m256i even = _mm256_set1_epi16(255);
    const __m256i slot = s->lo;
    __m256i least = slot;
    __m256i most = slot;
    __m256i symbol = _mm256_setzero_si256();
    for (int k = 0; k < levels - 1; k++) {
        const __m256i d = _mm256_sub_epi8(slot, c[k]);
        least = _mm256_min_epu8(least, d);
        most = _mm256_max_epu8(most, d);
        symbol = _mm256_mask_mov_epi8(symbol, _mm256_cmple_epu8_mask(c[k], slot),
                                      _mm256_set1_epi8((char)(k + 1)));
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
    __mmask32 empty = _mm256_testn_epi8_mask(hi, hi);
    if (live) {
        empty &= *live;
    }
    const __m256i bytes = _mm256_loadu_si256((const __m256i *)*in);
    *in += _mm_popcnt_u32(empty);
    const __m256i next_hi = _mm256_mask_mov_epi8(hi, empty, lo);
    const __m256i next_lo = _mm256_mask_expand_epi8(lo, empty, bytes);
    if (live) {
        s->hi = _mm256_mask_mov_epi8(s->hi, *live, next_hi);
        s->lo = _mm256_mask_mov_epi8(s->lo, *live, next_lo);
        return _mm256_maskz_mov_epi8(*live, symbol);
    }
    s->hi = next_hi;
    s->lo = next_lo;
    return symbol;
}

CONTEXT_AVX512
LWFC_INLINE const uint8_t *context_decode_as_avx512(uint16_t (*states)[LWFC_LANES],
                                                    const struct lwfc_context_piece *piece,
                                                    const struct lwfc_context_group *group,
                                                    const struct lwfc_context_scale *scale,
                                                    const uint8_t *in, int levels, int chains,
                                                    const __mmask32 *live)
{
    const struct context_link_avx512 link = context_link_avx512(scale);
    struct lanes_avx2 s[LWFC_CONTEXT_CHAINS];
    __m256i near[LWFC_CONTEXT_CHAINS];
    __m256i far[LWFC_CONTEXT_CHAINS];
    __m256i later[LWFC_CONTEXT_CHAINS];
    const int width = piece->width;
    for (int c = 0; c < chains; c++) {
        __m256i unused;
        s[c] = lanes_load_avx2(states[c]);
        context_after_avx512(&unused, &far[c], context_left_avx2(piece, c, 0, 2), group, levels);
        context_after_avx512(&near[c], &later[c], context_left_avx2(piece, c, 0, 1), group,
                             levels);
    }
    for (int x = 0; x < width; x++) {
        for (int c = 0; c < chains; c++) {
            const size_t at = (size_t)x * LWFC_LANES;
            __m256i start[LWFC_CONTEXT_LEVELS - 1];
            context_starts_avx512(start, context_sum_avx2(piece->score[c] + at, far[c], near[c]),
                                  group, &link, levels);
            const __m256i symbol = context_step_avx512(&s[c], start, levels, &in, live);
            _mm256_storeu_si256((__m256i *)(piece->symbols[c] + at), symbol);
            far[c] = later[c];
            context_after_avx512(&near[c], &later[c], symbol, group, levels);
        }
    }
    for (int c = 0; c < chains; c++) {
        lanes_store_avx2(states[c], s[c]);
    }
    return in;
}

/* 65536 / freq of 16 lanes, see lanes_reciprocal_avx2. */
CONTEXT_AVX512
LWFC_INLINE __m256i context_reciprocal_avx512(__m128i freq)
{
    const __m512 r = _mm512_rcp14_ps(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(freq)));
    return _mm512_cvtusepi32_epi16(
        _mm512_cvttps_epi32(_mm512_mul_ps(r, _mm512_set1_ps(65536.0f))));
}

/* Encodes one symbol per lane, states as 16-bit lanes. */
CONTEXT_AVX512
LWFC_INLINE void context_put_avx512(__m512i *state, __m256i start, __m256i freq, uint8_t **out,
                                    const __mmask32 *live)
{
    const __m512i recip = _mm512_inserti64x4(
        _mm512_castsi256_si512(context_reciprocal_avx512(_mm256_castsi256_si128(freq))),
        context_reciprocal_avx512(_mm256_extracti128_si256(freq, 1)), 1);
    const __m512i one = _mm512_set1_epi16(1);
    const __m512i f = _mm512_cvtepu8_epi16(freq);
    __mmask32 full = _mm512_cmpge_epu16_mask(*state, _mm512_slli_epi16(f, 8));
    if (live) {
        full &= *live;
    }
    const unsigned count = (unsigned)_mm_popcnt_u32(full);
    *out -= count;
    _mm256_mask_storeu_epi8(*out, _bzhi_u32(~0u, count),
                            _mm256_maskz_compress_epi8(full, _mm512_cvtepi16_epi8(*state)));
    const __m512i x = _mm512_mask_srli_epi16(*state, full, *state, 8);
    __m512i q = _mm512_mulhi_epu16(x, recip);
    __m512i r = _mm512_sub_epi16(x, _mm512_mullo_epi16(q, f));
    const __mmask32 below = _mm512_movepi16_mask(r);
    r = _mm512_mask_add_epi16(r, below, r, f);
    q = _mm512_mask_sub_epi16(q, below, q, one);
    const __mmask32 above = _mm512_cmpge_epi16_mask(r, f);
    r = _mm512_mask_sub_epi16(r, above, r, f);
    q = _mm512_mask_add_epi16(q, above, q, one);
    const __m512i next = _mm512_add_epi16(_mm512_slli_epi16(q, 8),
                                          _mm512_add_epi16(r, _mm512_cvtepu8_epi16(start)));
    *state = live ? _mm512_mask_mov_epi16(*state, *live, next) : next;
}

CONTEXT_AVX512
LWFC_INLINE uint8_t *context_encode_as_avx512(uint16_t (*states)[LWFC_LANES],
                                              const struct lwfc_context_piece *piece,
                                              const struct lwfc_context_group *group,
                                              const struct lwfc_context_scale *scale,
                                              uint8_t *out, int levels, int chains,
                                              const __mmask32 *live)
{
    const struct context_link_avx512 link = context_link_avx512(scale);
    __m512i s[LWFC_CONTEXT_CHAINS];
    __m256i near[LWFC_CONTEXT_CHAINS];
    for (int c = 0; c < chains; c++) {
        __m256i unused;
        s[c] = _mm512_loadu_si512(states[c]);
        context_after_avx512(&near[c], &unused, context_left_avx2(piece, c, piece->width - 1, 1),
                             group, levels);
    }
    for (int x = piece->width - 1; x >= 0; x--) {
        for (int c = chains - 1; c >= 0; c--) {
            const size_t at = (size_t)x * LWFC_LANES;
            const __m256i symbol =
                _mm256_loadu_si256((const __m256i *)(piece->symbols[c] + at));
            __m256i threshold[LWFC_CONTEXT_LEVELS - 1];
            __m256i next, far;
            context_after_avx512(&next, &far, context_left_avx2(piece, c, x, 2), group, levels);
            context_starts_avx512(threshold,
                                  context_sum_avx2(piece->score[c] + at, far, near[c]), group,
                                  &link, levels);
            near[c] = next;
            __m256i start = _mm256_setzero_si256();
            __m256i end = _mm256_setzero_si256(); /* 256, wrapped */
            for (int k = 0; k < levels - 1; k++) {
                const __mmask32 m = _mm256_cmpgt_epi8_mask(symbol, _mm256_set1_epi8((char)k));
                start = _mm256_mask_mov_epi8(start, m, threshold[k]);
            }
            for (int k = levels - 2; k >= 0; k--) {
                const __mmask32 m = _mm256_cmple_epi8_mask(symbol, _mm256_set1_epi8((char)k));
                end = _mm256_mask_mov_epi8(end, m, threshold[k]);
            }
            context_put_avx512(&s[c], start, _mm256_sub_epi8(end, start), &out, live);
        }
    }
    for (int c = 0; c < chains; c++) {
        _mm512_storeu_si512(states[c], s[c]);
    }
    return out;
}

#define CONTEXT_RUN_AVX512(verb, levels, chains, live)                                          \
    context_##verb##_as_avx512(states, piece, group, scale, at, levels, chains, live)

#define CONTEXT_FUNCTION_AVX512(type, verb, name, levels)                                       \
    CONTEXT_AVX512                                                                              \
    static type context_##verb##_##name##_avx512(                                               \
        uint16_t (*states)[LWFC_LANES], const struct lwfc_context_piece *piece,                 \
        const struct lwfc_context_group *group, const struct lwfc_context_scale *scale, type at) \
    {                                                                                           \
        if (piece->live) {                                                                      \
            const __mmask32 live =                                                              \
                _mm256_movepi8_mask(_mm256_loadu_si256((const __m256i *)piece->live));          \
            return piece->chains == 2 ? CONTEXT_RUN_AVX512(verb, levels, 2, &live)              \
                                      : CONTEXT_RUN_AVX512(verb, levels, 1, &live);             \
        }                                                                                       \
        return piece->chains == 2 ? CONTEXT_RUN_AVX512(verb, levels, 2, NULL)                   \
                                  : CONTEXT_RUN_AVX512(verb, levels, 1, NULL);                  \
    }

LWFC_CONTEXT_LEVELS(CONTEXT_FUNCTION_AVX512, avx512)

#endif
