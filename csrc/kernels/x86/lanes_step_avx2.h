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

/* The next stream bytes, dealt to the lanes whose bit is set in `mask`; zero
 * elsewhere. Reads up to 32 bytes from `in` whatever the mask. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE __m256i lanes_deal_avx2(const uint8_t *in, uint32_t mask)
{
    const uint8_t *p1 = in + _mm_popcnt_u32(mask & 0xffu);
    const uint8_t *p2 = in + _mm_popcnt_u32(mask & 0xffffu);
    const uint8_t *p3 = in + _mm_popcnt_u32(mask & 0xffffffu);
    const __m128i a = _mm_castps_si128(_mm_loadh_pi(
        _mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)in)), (const __m64 *)p1));
    const __m128i b = _mm_castps_si128(_mm_loadh_pi(
        _mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)p2)), (const __m64 *)p3));
    const uint64_t *t = lanes_expand;
    const __m128i i0 = _mm_castps_si128(_mm_loadh_pi(
        _mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)&t[mask & 0xffu])),
        (const __m64 *)&t[mask >> 8 & 0xffu]));
    const __m128i i1 = _mm_castps_si128(_mm_loadh_pi(
        _mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)&t[mask >> 16 & 0xffu])),
        (const __m64 *)&t[mask >> 24]));
    const __m256i index = _mm256_or_si256(
        _mm256_inserti128_si256(_mm256_castsi128_si256(i0), i1, 1),
        _mm256_set_epi64x(0x0808080808080808, 0, 0x0808080808080808, 0));
    return _mm256_shuffle_epi8(_mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1), index);
}

/* c[k] holds C_{k+1} of every lane. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE __m256i lanes_decode_avx2(struct lanes_avx2 *s, const __m256i *c, int levels,
                                      const uint8_t **in, const __m256i *live)
{
    const __m256i even = _mm256_set1_epi16(255);
    const __m256i slot = s->lo;
    /* Thresholds above the slot wrap to values above the slot: the minimum of
     * the differences is the offset in the symbol, the maximum marks its end. */
    __m256i least = slot;
    __m256i most = slot;
    __m256i symbol = _mm256_setzero_si256();
    for (int k = 0; k < levels - 1; k++) {
        const __m256i d = _mm256_sub_epi8(slot, c[k]);
        const __m256i low = _mm256_min_epu8(slot, d);
        symbol = _mm256_sub_epi8(symbol, _mm256_cmpeq_epi8(low, d));
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
    const uint32_t mask = (uint32_t)_mm256_movemask_epi8(empty);
    const __m256i bytes = lanes_deal_avx2(*in, mask);
    *in += _mm_popcnt_u32(mask);
    /* hi is zero where a byte is read, and so are bytes where none is. */
    const __m256i next_hi = _mm256_or_si256(hi, _mm256_and_si256(empty, lo));
    const __m256i next_lo = _mm256_or_si256(_mm256_andnot_si256(empty, lo), bytes);
    if (live) {
        s->hi = _mm256_blendv_epi8(s->hi, next_hi, *live);
        s->lo = _mm256_blendv_epi8(s->lo, next_lo, *live);
        return _mm256_and_si256(symbol, *live);
    }
    s->hi = next_hi;
    s->lo = next_lo;
    return symbol;
}

/* 65536 / freq, rounded, to within 2^-10 and below 65536, as 16-bit lanes: recip[0] of the
 * even bytes, recip[1] of the odd ones. The encoder corrects its quotient both
 * ways, so any rounding (and any CPU's estimate) gives the same stream. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void lanes_reciprocal_avx2(__m256i freq, __m256i recip[2])
{
    const __m256 one = _mm256_set1_ps(65505.0f); /* freq 1 must not reach 65536 */
    const __m256i low = _mm256_set1_epi32(255);
    __m256i r[4];
    for (int i = 0; i < 4; i++) {
        const __m256i f = _mm256_and_si256(_mm256_srli_epi32(freq, 8 * i), low);
        r[i] = _mm256_cvtps_epi32(_mm256_mul_ps(one, _mm256_rcp_ps(_mm256_cvtepi32_ps(f))));
    }
    recip[0] = _mm256_or_si256(r[0], _mm256_slli_epi32(r[2], 16));
    recip[1] = _mm256_or_si256(r[1], _mm256_slli_epi32(r[3], 16));
}

/* x -> quotient << 8 | start + remainder, for 16-bit lanes with freq <= 255. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE __m256i lanes_divide_avx2(__m256i x, __m256i freq, __m256i recip, __m256i start)
{
    const __m256i q0 = _mm256_mulhi_epu16(x, recip);
    const __m256i r0 = _mm256_sub_epi16(x, _mm256_mullo_epi16(q0, freq));
    /* r0 lies in [-freq, 2 freq): a signed shift is -1 where q0 is too large. */
    const __m256i down = _mm256_srai_epi16(r0, 15);
    const __m256i r1 = _mm256_add_epi16(r0, _mm256_and_si256(down, freq));
    const __m256i keep = _mm256_cmpgt_epi16(freq, r1);
    const __m256i r2 = _mm256_sub_epi16(r1, _mm256_andnot_si256(keep, freq));
    /* q0 + down + (keep ? 0 : 1), with keep = -1 or 0 */
    const __m256i q = _mm256_add_epi16(_mm256_add_epi16(q0, down),
                                       _mm256_add_epi16(keep, _mm256_set1_epi16(1)));
    return _mm256_add_epi16(_mm256_slli_epi16(q, 8), _mm256_add_epi16(r2, start));
}

/* Writes the bytes of the set lanes in rising order just below *out. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void lanes_emit_avx2(__m256i bytes, uint32_t mask, uint8_t **out)
{
    const uint64_t *t = lanes_compact;
    const __m128i i0 = _mm_castps_si128(_mm_loadh_pi(
        _mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)&t[mask & 0xffu])),
        (const __m64 *)&t[mask >> 8 & 0xffu]));
    const __m128i i1 = _mm_castps_si128(_mm_loadh_pi(
        _mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)&t[mask >> 16 & 0xffu])),
        (const __m64 *)&t[mask >> 24]));
    const __m256i index = _mm256_or_si256(
        _mm256_inserti128_si256(_mm256_castsi128_si256(i0), i1, 1),
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
    const __m256i even = _mm256_set1_epi16(255);
    __m256i full = _mm256_cmpeq_epi8(_mm256_max_epu8(s->hi, freq), s->hi);
    if (live) {
        full = _mm256_and_si256(full, *live);
    }
    lanes_emit_avx2(s->lo, (uint32_t)_mm256_movemask_epi8(full), out);
    const __m256i lo = _mm256_blendv_epi8(s->lo, s->hi, full);
    const __m256i hi = _mm256_andnot_si256(full, s->hi);
    const __m256i x0 = _mm256_or_si256(_mm256_and_si256(lo, even), _mm256_slli_epi16(hi, 8));
    const __m256i x1 = _mm256_or_si256(_mm256_srli_epi16(lo, 8), _mm256_andnot_si256(even, hi));
    const __m256i y0 = lanes_divide_avx2(x0, _mm256_and_si256(freq, even), recip[0],
                                         _mm256_and_si256(start, even));
    const __m256i y1 = lanes_divide_avx2(x1, _mm256_srli_epi16(freq, 8), recip[1],
                                         _mm256_srli_epi16(start, 8));
    const __m256i next_hi = _mm256_or_si256(_mm256_srli_epi16(y0, 8),
                                            _mm256_andnot_si256(even, y1));
    const __m256i next_lo = _mm256_or_si256(_mm256_and_si256(y0, even), _mm256_slli_epi16(y1, 8));
    if (live) {
        s->hi = _mm256_blendv_epi8(s->hi, next_hi, *live);
        s->lo = _mm256_blendv_epi8(s->lo, next_lo, *live);
        return;
    }
    s->hi = next_hi;
    s->lo = next_lo;
}

#endif
