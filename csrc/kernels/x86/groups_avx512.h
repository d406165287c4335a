/* The group coder's rows with AVX-512. Included by groups_kernels.c. */
#ifndef LWFC_KERNELS_X86_GROUPS_AVX512_H
#define LWFC_KERNELS_X86_GROUPS_AVX512_H

#include <immintrin.h>

#define TARGET LWFC_TARGET("avx2,bmi2,popcnt,avx512f,avx512bw,avx512vl")
#define KERNEL(name) name##_avx512
#define ROW __m512i

TARGET LWFC_INLINE ROW row_load_avx512(const uint32_t *p)
{
    return _mm512_loadu_si512(p);
}

TARGET LWFC_INLINE void row_store_avx512(uint32_t *p, ROW row)
{
    _mm512_storeu_si512(p, row);
}

/* frequency * (x >> 12) + offset, with a word more where that is below 2^16. */
TARGET LWFC_INLINE ROW row_step_avx512(ROW x, ROW frequency, ROW offset, const uint8_t **p)
{
    const ROW y = _mm512_add_epi32(
        _mm512_mullo_epi32(frequency, _mm512_srli_epi32(x, LWFC_GROUPS_BITS)), offset);
    const __mmask16 low = _mm512_cmplt_epu32_mask(y, _mm512_set1_epi32(LWFC_GROUPS_STATE));
    const ROW words = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)*p));
    *p += 2 * _mm_popcnt_u32(low);
    return _mm512_mask_or_epi32(y, low, _mm512_slli_epi32(y, 16),
                                _mm512_maskz_expand_epi32(low, words));
}

TARGET LWFC_INLINE uint32_t row_flags_avx512(ROW *x, const uint32_t *silent, const uint8_t **p)
{
    const ROW size = _mm512_loadu_si512(silent);
    const ROW slot = _mm512_and_si512(*x, _mm512_set1_epi32(LWFC_GROUPS_SLOTS - 1));
    const __mmask16 loud = _mm512_cmpge_epu32_mask(slot, size);
    const ROW frequency =
        _mm512_mask_sub_epi32(size, loud, _mm512_set1_epi32(LWFC_GROUPS_SLOTS), size);
    *x = row_step_avx512(*x, frequency, _mm512_mask_sub_epi32(slot, loud, slot, size), p);
    return loud;
}

/* Returns which symbols are escapes. */
TARGET LWFC_INLINE uint32_t row_symbols_avx512(ROW *x, const uint32_t *first,
                                               const uint32_t *slots, const uint8_t **p,
                                               ROW *values)
{
    const ROW slot = _mm512_and_si512(*x, _mm512_set1_epi32(LWFC_GROUPS_SLOTS - 1));
    const ROW e =
        _mm512_i32gather_epi32(_mm512_add_epi32(_mm512_loadu_si512(first), slot), slots, 4);
    const ROW offset =
        _mm512_and_si512(_mm512_srli_epi32(e, 13), _mm512_set1_epi32(LWFC_GROUPS_SLOTS - 1));
    *x = row_step_avx512(*x, _mm512_and_si512(e, _mm512_set1_epi32(8191)), offset, p);
    const ROW symbol = _mm512_srli_epi32(e, 25);
    *values = _mm512_sub_epi32(symbol, _mm512_set1_epi32(LWFC_GROUPS_TOP));
    return _mm512_cmpge_epu32_mask(symbol, _mm512_set1_epi32(LWFC_GROUPS_ESCAPE));
}

/* Entries of what is not 0; returns how many. May write 16. */
TARGET LWFC_INLINE uint32_t row_append_avx512(uint32_t *out, ROW values, uint32_t column)
{
    const ROW lane = _mm512_set_epi32(15 << 16, 14 << 16, 13 << 16, 12 << 16, 11 << 16, 10 << 16,
                                      9 << 16, 8 << 16, 7 << 16, 6 << 16, 5 << 16, 4 << 16,
                                      3 << 16, 2 << 16, 1 << 16, 0);
    const __mmask16 some = _mm512_test_epi32_mask(values, values);
    const ROW places = _mm512_add_epi32(lane, _mm512_set1_epi32((int)column));
    const ROW e =
        _mm512_or_si512(places, _mm512_and_si512(values, _mm512_set1_epi32(0xFFFF)));
    _mm512_storeu_si512(out, _mm512_maskz_compress_epi32(some, e));
    return (uint32_t)_mm_popcnt_u32(some);
}

/* Where the steps of 16 symbols stand; returns which are escapes. `first` is 32 times that
 * of the smallest symbol. */
TARGET LWFC_INLINE uint32_t row_indices_avx512(const int16_t *symbols, const uint8_t *tops,
                                               const uint32_t *first, ROW *at)
{
    const ROW v =
        _mm512_cvtepi16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)symbols));
    const ROW top = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)tops));
    const __mmask16 beyond = _mm512_cmpgt_epi32_mask(_mm512_abs_epi32(v), top);
    const ROW symbol = _mm512_mask_mov_epi32(
        v, beyond, _mm512_set1_epi32(LWFC_GROUPS_ESCAPE - LWFC_GROUPS_TOP));
    const ROW zero = _mm512_add_epi32(_mm512_srli_epi32(_mm512_loadu_si512(first), 5),
                                      _mm512_set1_epi32(LWFC_GROUPS_TOP));
    *at = _mm512_add_epi32(zero, symbol);
    return beyond;
}

/* The states of the lanes in `present`, with a word less where they would grow too large. */
TARGET LWFC_INLINE ROW row_put_avx512(ROW x, ROW reciprocal, ROW bits, uint32_t present,
                                      uint8_t **p)
{
    const ROW low = _mm512_set1_epi32(LWFC_GROUPS_SLOTS - 1);
    const ROW frequency = _mm512_and_si512(bits, low);
    const __mmask16 full = (__mmask16)present &
                           _mm512_cmpge_epu32_mask(_mm512_srli_epi32(x, 20), frequency);
    const uint32_t count = (uint32_t)_mm_popcnt_u32(full);
    *p -= 2 * count;
    _mm256_mask_storeu_epi16(*p, (__mmask16)((1u << count) - 1),
                             _mm512_cvtepi32_epi16(_mm512_maskz_compress_epi32(full, x)));
    const ROW y = _mm512_mask_srli_epi32(x, full, x, 16);
    const ROW shift = _mm512_srli_epi32(bits, 24);
    /* Products of the even lanes and of the odd ones have 64 bits. */
    const ROW even = _mm512_srli_epi64(_mm512_mul_epu32(y, reciprocal), 31);
    const ROW odd = _mm512_srli_epi64(
        _mm512_mul_epu32(_mm512_srli_epi64(y, 32), _mm512_srli_epi64(reciprocal, 32)), 31);
    const ROW short_shift = _mm512_and_si512(shift, _mm512_set1_epi64(0xFF));
    const ROW q = _mm512_mask_mov_epi32(
        _mm512_srlv_epi64(even, short_shift), 0xAAAA,
        _mm512_slli_epi64(_mm512_srlv_epi64(odd, _mm512_srli_epi64(shift, 32)), 32));
    const ROW rest = _mm512_sub_epi32(y, _mm512_mullo_epi32(q, frequency));
    const __mmask16 more = _mm512_cmpge_epu32_mask(rest, frequency);
    const ROW quotient = _mm512_mask_add_epi32(q, more, q, _mm512_set1_epi32(1));
    const ROW gain =
        _mm512_mullo_epi32(quotient, _mm512_sub_epi32(_mm512_set1_epi32(LWFC_GROUPS_SLOTS),
                                                      frequency));
    const ROW start = _mm512_and_si512(_mm512_srli_epi32(bits, 12), low);
    return _mm512_mask_add_epi32(x, (__mmask16)present, y, _mm512_add_epi32(gain, start));
}

TARGET LWFC_INLINE ROW row_put_symbols_avx512(ROW x, const struct lwfc_groups_step *steps, ROW at,
                                              uint32_t present, uint8_t **p)
{
    const ROW reciprocal = _mm512_i32gather_epi32(at, steps, 8);
    const ROW bits = _mm512_i32gather_epi32(at, &steps->bits, 8);
    return row_put_avx512(x, reciprocal, bits, present, p);
}

TARGET LWFC_INLINE ROW row_put_flags_avx512(ROW x, const struct lwfc_groups_steps *s,
                                            uint32_t first, uint32_t loud, uint32_t present,
                                            uint8_t **p)
{
    ROW step[2];
    for (int i = 0; i < 2; i++) {
        step[i] = _mm512_mask_mov_epi32(_mm512_loadu_si512(s->flags[0][i] + first),
                                        (__mmask16)loud,
                                        _mm512_loadu_si512(s->flags[1][i] + first));
    }
    return row_put_avx512(x, step[0], step[1], present, p);
}

#define row_load row_load_avx512
#define row_store row_store_avx512
#define row_flags row_flags_avx512
#define row_symbols row_symbols_avx512
#define row_append row_append_avx512
#define row_indices row_indices_avx512
#define row_put_symbols row_put_symbols_avx512
#define row_put_flags row_put_flags_avx512
#include "kernels/groups_rows.h"
#include "kernels/groups_rows_put.h"
#include "kernels/groups_rows_end.h"

static const struct lwfc_groups_kernels avx512_kernels = {decode_avx512, encode_avx512, loud_avx2};

#endif
