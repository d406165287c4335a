/* One step of the 32-lane rANS core for AVX2; same bits as lanes_step.h.
 *
 * The states are two byte vectors, so every compare, minimum and table look-up
 * handles all lanes at once. `levels` must be a compile-time constant at the
 * call. `live` is NULL (all lanes take part) or a byte mask; dead lanes keep
 * their state, read and write nothing and give symbol 0. */
#ifndef LWFC_KERNELS_X86_LANES_STEP_AVX2_H
#define LWFC_KERNELS_X86_LANES_STEP_AVX2_H

#include "kernels/lanes_step.h"
#include "kernels/lanes_tables.h"

#include <immintrin.h>

struct lanes_avx2 {
    __m256i hi, lo;
};

LWFC_TARGET("avx2,bmi2")
LWFC_INLINE struct lanes_avx2 lanes_load_avx2(const uint16_t states[LWFC_LANES])
{
    const __m256i byte = _mm256_set1_epi16(255);
    const __m256i a = _mm256_loadu_si256((const __m256i *)states);
    const __m256i b = _mm256_loadu_si256((const __m256i *)(states + 16));
    const __m256i lo = _mm256_packus_epi16(_mm256_and_si256(a, byte), _mm256_and_si256(b, byte));
    const __m256i hi = _mm256_packus_epi16(_mm256_srli_epi16(a, 8), _mm256_srli_epi16(b, 8));
    const struct lanes_avx2 s = {_mm256_permute4x64_epi64(hi, 0xD8),
                                 _mm256_permute4x64_epi64(lo, 0xD8)};
    return s;
}

LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void lanes_store_avx2(uint16_t states[LWFC_LANES], struct lanes_avx2 s)
{
    const __m256i lo = _mm256_permute4x64_epi64(s.lo, 0xD8);
    const __m256i hi = _mm256_permute4x64_epi64(s.hi, 0xD8);
    _mm256_storeu_si256((__m256i *)states, _mm256_unpacklo_epi8(lo, hi));
    _mm256_storeu_si256((__m256i *)(states + 16), _mm256_unpackhi_epi8(lo, hi));
}

/* The first 16 states. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void lanes_store_half_avx2(uint16_t states[LWFC_LANES], struct lanes_avx2 s)
{
    const __m256i lo = _mm256_permute4x64_epi64(s.lo, 0xD8);
    const __m256i hi = _mm256_permute4x64_epi64(s.hi, 0xD8);
    _mm256_storeu_si256((__m256i *)states, _mm256_unpacklo_epi8(lo, hi));
}

/* 16 bytes from p, then 16 from q. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE __m256i lanes_halves_avx2(const void *p, const void *q)
{
    return _mm256_inserti128_si256(
        _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)p)),
        _mm_loadu_si128((const __m128i *)q), 1);
}

/* The next stream bytes, dealt to the lanes whose bit is set in `mask`; zero
 * elsewhere. Reads up to 40 bytes from `in` whatever the mask. Of each 16 bytes
 * loaded the lower 8 count. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE __m256i lanes_deal_avx2(const uint8_t *in, uint32_t mask)
{
    const uint8_t *p1 = in + _mm_popcnt_u32(mask & 0xffu);
    const uint8_t *p2 = in + _mm_popcnt_u32(mask & 0xffffu);
    const uint8_t *p3 = in + _mm_popcnt_u32(mask & 0xffffffu);
    const uint64_t *t = lanes_expand;
    const __m256i a = _mm256_shuffle_epi8(
        lanes_halves_avx2(in, p2), lanes_halves_avx2(&t[mask & 0xffu], &t[mask >> 16 & 0xffu]));
    const __m256i b = _mm256_shuffle_epi8(
        lanes_halves_avx2(p1, p3), lanes_halves_avx2(&t[mask >> 8 & 0xffu], &t[mask >> 24]));
    return _mm256_unpacklo_epi64(a, b);
}

/* The same for 16 lanes. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE __m256i lanes_deal_half_avx2(const uint8_t *in, uint32_t mask)
{
    const __m128i a = _mm_shuffle_epi8(
        _mm_loadl_epi64((const __m128i *)in),
        _mm_loadl_epi64((const __m128i *)&lanes_expand[mask & 0xffu]));
    const __m128i b = _mm_shuffle_epi8(
        _mm_loadl_epi64((const __m128i *)(in + _mm_popcnt_u32(mask & 0xffu))),
        _mm_loadl_epi64((const __m128i *)&lanes_expand[mask >> 8]));
    return _mm256_zextsi128_si256(_mm_unpacklo_epi64(a, b));
}

/* Decodes one symbol per lane. c[k] holds C_{k+1} of every lane; above[k] becomes
 * the mask of the lanes whose symbol is above k. half: lanes from 16 on read
 * nothing, whatever becomes of their states and symbols. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void lanes_decode_avx2(struct lanes_avx2 *s, __m256i *above, const __m256i *c,
                                   int levels, const uint8_t **in, const __m256i *live, int half)
{
    const __m256i even = _mm256_set1_epi16(255);
    const __m256i slot = s->lo;
    /* Thresholds above the slot wrap to values above the slot: the minimum of
     * the differences is the offset in the symbol, the maximum marks its end. */
    __m256i least = slot;
    __m256i most = slot;
    for (int k = 0; k < levels - 1; k++) {
        const __m256i d = _mm256_sub_epi8(slot, c[k]);
        above[k] = _mm256_cmpeq_epi8(_mm256_min_epu8(slot, d), d);
        if (live) {
            above[k] = _mm256_and_si256(above[k], *live);
        }
        least = _mm256_min_epu8(least, d);
        most = _mm256_max_epu8(most, d);
    }
    const __m256i freq = _mm256_sub_epi8(least, most);
    const __m256i x0 = _mm256_add_epi16(
        _mm256_mullo_epi16(_mm256_and_si256(freq, even), _mm256_and_si256(s->hi, even)),
        _mm256_and_si256(least, even));
    const __m256i x1 = _mm256_add_epi16(
        _mm256_mullo_epi16(_mm256_srli_epi16(freq, 8), _mm256_srli_epi16(s->hi, 8)),
        _mm256_srli_epi16(least, 8));
    const __m256i hi = _mm256_or_si256(_mm256_srli_epi16(x0, 8), _mm256_andnot_si256(even, x1));
    const __m256i lo = _mm256_or_si256(_mm256_and_si256(x0, even), _mm256_slli_epi16(x1, 8));
    __m256i empty = _mm256_cmpeq_epi8(hi, _mm256_setzero_si256());
    if (live) {
        empty = _mm256_and_si256(empty, *live);
    }
    const uint32_t mask =
        half ? (uint32_t)_mm_movemask_epi8(_mm256_castsi256_si128(empty))
             : (uint32_t)_mm256_movemask_epi8(empty);
    const __m256i bytes = half ? lanes_deal_half_avx2(*in, mask) : lanes_deal_avx2(*in, mask);
    *in += _mm_popcnt_u32(mask);
    /* hi is zero where a byte is read, and so are bytes where none is. */
    const __m256i next_hi = _mm256_or_si256(hi, _mm256_and_si256(empty, lo));
    const __m256i next_lo = _mm256_or_si256(_mm256_andnot_si256(empty, lo), bytes);
    if (live) {
        s->hi = _mm256_blendv_epi8(s->hi, next_hi, *live);
        s->lo = _mm256_blendv_epi8(s->lo, next_lo, *live);
        return;
    }
    s->hi = next_hi;
    s->lo = next_lo;
}

LWFC_TARGET("avx2,bmi2")
LWFC_INLINE __m256i lanes_symbols_avx2(const __m256i *above, int levels)
{
    __m256i symbol = _mm256_setzero_si256();
    for (int k = 0; k < levels - 1; k++) {
        symbol = _mm256_sub_epi8(symbol, above[k]);
    }
    return symbol;
}

LWFC_TARGET("avx2,bmi2")
LWFC_INLINE __m256i lanes_invert_avx2(__m256i f)
{
    return _mm256_cvttps_epi32(_mm256_div_ps(_mm256_set1_ps(65536.0f), _mm256_cvtepi32_ps(f)));
}

/* 65536 / freq, rounded down (65535 for 1), as 16-bit lanes in the order of
 * unpacked halves. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void lanes_reciprocal_avx2(__m256i freq, __m256i recip[2])
{
    const __m256i zero = _mm256_setzero_si256();
    for (int i = 0; i < 2; i++) {
        const __m256i f = i ? _mm256_unpackhi_epi8(freq, zero) : _mm256_unpacklo_epi8(freq, zero);
        recip[i] = _mm256_packus_epi32(lanes_invert_avx2(_mm256_unpacklo_epi16(f, zero)),
                                       lanes_invert_avx2(_mm256_unpackhi_epi16(f, zero)));
    }
}

/* The quotient of 16-bit lanes x < 256 freq, at most one too small; *rest: the
 * remainder for it. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE __m256i lanes_divide_avx2(__m256i *rest, __m256i x, __m256i freq, __m256i recip)
{
    const __m256i q = _mm256_mulhi_epu16(x, recip);
    *rest = _mm256_sub_epi16(x, _mm256_mullo_epi16(q, freq));
    return q;
}

/* Writes the bytes of the set lanes in rising order just below *out. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void lanes_emit_avx2(__m256i bytes, uint32_t mask, uint8_t **out)
{
    const uint64_t *t = lanes_compact;
    const __m256i index = _mm256_or_si256(
        _mm256_unpacklo_epi64(
            lanes_halves_avx2(&t[mask & 0xffu], &t[mask >> 16 & 0xffu]),
            lanes_halves_avx2(&t[mask >> 8 & 0xffu], &t[mask >> 24])),
        _mm256_set_epi64x(0x0808080808080808, 0, 0x0808080808080808, 0));
    const __m256i packed = _mm256_shuffle_epi8(bytes, index);
    const __m128i a = _mm256_castsi256_si128(packed);
    const __m128i b = _mm256_extracti128_si256(packed, 1);
    uint8_t *p = *out;
    _mm_storeh_pi((__m64 *)(p - 8), _mm_castsi128_ps(b));
    _mm_storel_epi64((__m128i *)(p - 8 - _mm_popcnt_u32(mask >> 24)), b);
    _mm_storeh_pi((__m64 *)(p - 8 - _mm_popcnt_u32(mask >> 16)), _mm_castsi128_ps(a));
    _mm_storel_epi64((__m128i *)(p - 8 - _mm_popcnt_u32(mask >> 8)), a);
    *out = p - _mm_popcnt_u32(mask);
}

/* Encodes one symbol per lane; writes down to 32 bytes below *out (the last
 * ones are scratch). recip: lanes_reciprocal_avx2(freq). */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void lanes_encode_avx2(struct lanes_avx2 *s, __m256i start, __m256i freq,
                                   const __m256i recip[2], uint8_t **out, const __m256i *live)
{
    const __m256i zero = _mm256_setzero_si256();
    __m256i full = _mm256_cmpeq_epi8(_mm256_max_epu8(s->hi, freq), s->hi);
    if (live) {
        full = _mm256_and_si256(full, *live);
    }
    lanes_emit_avx2(s->lo, (uint32_t)_mm256_movemask_epi8(full), out);
    const __m256i lo = _mm256_blendv_epi8(s->lo, s->hi, full);
    const __m256i hi = _mm256_andnot_si256(full, s->hi);
    const __m256i f0 = _mm256_unpacklo_epi8(freq, zero);
    const __m256i f1 = _mm256_unpackhi_epi8(freq, zero);
    __m256i r0, r1;
    const __m256i q0 = lanes_divide_avx2(&r0, _mm256_unpacklo_epi8(lo, hi), f0, recip[0]);
    const __m256i q1 = lanes_divide_avx2(&r1, _mm256_unpackhi_epi8(lo, hi), f1, recip[1]);
    /* A remainder below freq wraps to more than itself. */
    const __m256i least0 = _mm256_min_epu16(r0, _mm256_sub_epi16(r0, f0));
    const __m256i least1 = _mm256_min_epu16(r1, _mm256_sub_epi16(r1, f1));
    const __m256i more =
        _mm256_packs_epi16(_mm256_cmpgt_epi16(r0, least0), _mm256_cmpgt_epi16(r1, least1));
    const __m256i next_hi = _mm256_sub_epi8(_mm256_packus_epi16(q0, q1), more);
    const __m256i next_lo = _mm256_add_epi8(_mm256_packus_epi16(least0, least1), start);
    if (live) {
        s->hi = _mm256_blendv_epi8(s->hi, next_hi, *live);
        s->lo = _mm256_blendv_epi8(s->lo, next_lo, *live);
        return;
    }
    s->hi = next_hi;
    s->lo = next_lo;
}

#endif
