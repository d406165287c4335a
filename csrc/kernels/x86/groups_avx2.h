/* The group coder's rows with AVX2, two vectors of eight. Included by groups_kernels.c. */
#ifndef LWFC_KERNELS_X86_GROUPS_AVX2_H
#define LWFC_KERNELS_X86_GROUPS_AVX2_H

#include <immintrin.h>

#define TARGET LWFC_TARGET("avx2,bmi2,popcnt")
#define KERNEL(name) name##_avx2

struct row_avx2 {
    __m256i half[2];
};
#define ROW struct row_avx2

TARGET LWFC_INLINE ROW row_load_avx2(const uint32_t *p)
{
    const __m256i *in = (const __m256i *)(const void *)p;
    return (ROW){{_mm256_loadu_si256(in), _mm256_loadu_si256(in + 1)}};
}

TARGET LWFC_INLINE void row_store_avx2(uint32_t *p, ROW row)
{
    _mm256_storeu_si256((__m256i *)(void *)p, row.half[0]);
    _mm256_storeu_si256((__m256i *)(void *)p + 1, row.half[1]);
}

TARGET LWFC_INLINE uint32_t lanes_avx2(__m256i mask)
{
    return (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(mask));
}

/* For each lane set in `lanes` how many are set below it. */
TARGET LWFC_INLINE __m256i ranks_avx2(uint32_t lanes)
{
    const uint64_t wide = _pdep_u64(lanes, 0x0101010101010101u) * 0xFF;
    return _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)_pdep_u64(0x0706050403020100u, wide)));
}

/* frequency * (x >> 12) + offset, with a word more where that is below 2^16. */
TARGET LWFC_INLINE __m256i step_avx2(__m256i x, __m256i frequency, __m256i offset,
                                     const uint8_t **p)
{
    const __m256i y = _mm256_add_epi32(
        _mm256_mullo_epi32(frequency, _mm256_srli_epi32(x, LWFC_GROUPS_BITS)), offset);
    const __m256i low = _mm256_cmpeq_epi32(_mm256_srli_epi32(y, 16), _mm256_setzero_si256());
    const uint32_t lanes = lanes_avx2(low);
    const __m256i words =
        _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)*p));
    *p += 2 * _mm_popcnt_u32(lanes);
    const __m256i more = _mm256_or_si256(_mm256_slli_epi32(y, 16),
                                         _mm256_permutevar8x32_epi32(words, ranks_avx2(lanes)));
    return _mm256_blendv_epi8(y, more, low);
}

TARGET LWFC_INLINE uint32_t row_flags_avx2(ROW *x, const uint32_t *silent, const uint8_t **p)
{
    const __m256i all = _mm256_set1_epi32(LWFC_GROUPS_SLOTS);
    uint32_t bits = 0;
    for (int i = 0; i < 2; i++) {
        const __m256i size =
            _mm256_loadu_si256((const __m256i *)(const void *)(silent + 8 * i));
        const __m256i slot =
            _mm256_and_si256(x->half[i], _mm256_set1_epi32(LWFC_GROUPS_SLOTS - 1));
        const __m256i quiet = _mm256_cmpgt_epi32(size, slot);
        const __m256i frequency = _mm256_blendv_epi8(_mm256_sub_epi32(all, size), size, quiet);
        const __m256i offset = _mm256_sub_epi32(slot, _mm256_andnot_si256(quiet, size));
        x->half[i] = step_avx2(x->half[i], frequency, offset, p);
        bits |= (lanes_avx2(quiet) ^ 0xFF) << (8 * i);
    }
    return bits;
}

/* Returns which symbols are escapes. */
TARGET LWFC_INLINE uint32_t row_symbols_avx2(ROW *x, const uint32_t *first, const uint32_t *slots,
                                             const uint8_t **p, ROW *values)
{
    const __m256i low = _mm256_set1_epi32(LWFC_GROUPS_SLOTS - 1);
    uint32_t escapes = 0;
    __m256i e[2];
    for (int i = 0; i < 2; i++) {
        const __m256i at = _mm256_loadu_si256((const __m256i *)(const void *)(first + 8 * i));
        e[i] = _mm256_i32gather_epi32((const int *)(const void *)slots,
                                      _mm256_add_epi32(at, _mm256_and_si256(x->half[i], low)), 4);
    }
    for (int i = 0; i < 2; i++) {
        x->half[i] = step_avx2(x->half[i], _mm256_and_si256(e[i], _mm256_set1_epi32(8191)),
                               _mm256_and_si256(_mm256_srli_epi32(e[i], 13), low), p);
        const __m256i symbol = _mm256_srli_epi32(e[i], 25);
        values->half[i] = _mm256_sub_epi32(symbol, _mm256_set1_epi32(LWFC_GROUPS_TOP));
        escapes |= lanes_avx2(_mm256_cmpeq_epi32(symbol, _mm256_set1_epi32(LWFC_GROUPS_ESCAPE)))
                   << (8 * i);
    }
    return escapes;
}

/* Entries of what is not 0; returns how many. May write 16. */
TARGET LWFC_INLINE uint32_t row_append_avx2(uint32_t *out, ROW values, uint32_t column)
{
    const __m256i lane = _mm256_setr_epi32(0, 1 << 16, 2 << 16, 3 << 16, 4 << 16, 5 << 16, 6 << 16,
                                           7 << 16);
    uint32_t count = 0;
    for (int i = 0; i < 2; i++) {
        const __m256i v = values.half[i];
        const __m256i places =
            _mm256_add_epi32(lane, _mm256_set1_epi32((int)(column + ((uint32_t)i << 19))));
        const __m256i e =
            _mm256_or_si256(places, _mm256_and_si256(v, _mm256_set1_epi32(0xFFFF)));
        const uint32_t some = 0xFF ^ lanes_avx2(_mm256_cmpeq_epi32(v, _mm256_setzero_si256()));
        const uint64_t wide = _pdep_u64(some, 0x0101010101010101u) * 0xFF;
        const __m256i order = _mm256_cvtepu8_epi32(
            _mm_cvtsi64_si128((long long)_pext_u64(0x0706050403020100u, wide)));
        _mm256_storeu_si256((__m256i *)(void *)(out + count),
                            _mm256_permutevar8x32_epi32(e, order));
        count += (uint32_t)_mm_popcnt_u32(some);
    }
    return count;
}

/* Where the steps of 16 symbols stand; returns which are escapes. `first` is 32 times that
 * of the smallest symbol. */
TARGET LWFC_INLINE uint32_t row_indices_avx2(const int16_t *symbols, const uint8_t *tops,
                                             const uint32_t *first, ROW *at)
{
    const __m256i escape = _mm256_set1_epi32(LWFC_GROUPS_ESCAPE - LWFC_GROUPS_TOP);
    uint32_t escapes = 0;
    for (int i = 0; i < 2; i++) {
        const __m256i v = _mm256_cvtepi16_epi32(
            _mm_loadu_si128((const __m128i *)(const void *)(symbols + 8 * i)));
        const __m256i top = _mm256_cvtepu8_epi32(
            _mm_loadl_epi64((const __m128i *)(const void *)(tops + 8 * i)));
        const __m256i beyond = _mm256_cmpgt_epi32(_mm256_abs_epi32(v), top);
        const __m256i begin = _mm256_srli_epi32(
            _mm256_loadu_si256((const __m256i *)(const void *)(first + 8 * i)), 5);
        at->half[i] = _mm256_add_epi32(_mm256_add_epi32(begin, _mm256_set1_epi32(LWFC_GROUPS_TOP)),
                                       _mm256_blendv_epi8(v, escape, beyond));
        escapes |= lanes_avx2(beyond) << (8 * i);
    }
    return escapes;
}

/* The states of the lanes in `present`, with a word less where they would grow too large. */
TARGET LWFC_INLINE __m256i put_avx2(__m256i x, __m256i reciprocal, __m256i bits, uint32_t present,
                                    uint8_t **p)
{
    const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const __m256i is_present =
        _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32((int)present), bit), bit);
    const __m256i low = _mm256_set1_epi32(LWFC_GROUPS_SLOTS - 1);
    const __m256i frequency = _mm256_and_si256(bits, low);
    const __m256i full =
        _mm256_andnot_si256(_mm256_cmpgt_epi32(frequency, _mm256_srli_epi32(x, 20)), is_present);
    /* The words to the upper end of a vector, which ends at *p. */
    const uint32_t lanes = lanes_avx2(full), count = (uint32_t)_mm_popcnt_u32(lanes);
    const uint64_t wide = _pdep_u64(lanes, 0x0101010101010101u) * 0xFF;
    const uint64_t order = _pext_u64(0x0706050403020100u, wide) << ((64 - 8 * count) & 63);
    const __m256i words = _mm256_and_si256(
        _mm256_permutevar8x32_epi32(x, _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)order))),
        _mm256_set1_epi32(0xFFFF));
    const __m128i packed = _mm_packus_epi32(_mm256_castsi256_si128(words),
                                            _mm256_extracti128_si256(words, 1));
    _mm_storeu_si128((__m128i *)(void *)(*p - 16), packed);
    *p -= 2 * count;
    const __m256i y = _mm256_blendv_epi8(x, _mm256_srli_epi32(x, 16), full);
    const __m256i shift = _mm256_srli_epi32(bits, 24);
    /* Products of the even lanes and of the odd ones have 64 bits. */
    const __m256i even = _mm256_srli_epi64(_mm256_mul_epu32(y, reciprocal), 31);
    const __m256i odd = _mm256_srli_epi64(
        _mm256_mul_epu32(_mm256_srli_epi64(y, 32), _mm256_srli_epi64(reciprocal, 32)), 31);
    const __m256i of_even =
        _mm256_srlv_epi64(even, _mm256_and_si256(shift, _mm256_set1_epi64x(0xFF)));
    const __m256i of_odd = _mm256_srlv_epi64(odd, _mm256_srli_epi64(shift, 32));
    const __m256i q = _mm256_blend_epi32(of_even, _mm256_slli_epi64(of_odd, 32), 0xAA);
    const __m256i rest = _mm256_sub_epi32(y, _mm256_mullo_epi32(q, frequency));
    const __m256i less = _mm256_cmpgt_epi32(frequency, rest);
    const __m256i quotient =
        _mm256_add_epi32(q, _mm256_andnot_si256(less, _mm256_set1_epi32(1)));
    const __m256i gain = _mm256_mullo_epi32(
        quotient, _mm256_sub_epi32(_mm256_set1_epi32(LWFC_GROUPS_SLOTS), frequency));
    const __m256i start = _mm256_and_si256(_mm256_srli_epi32(bits, 12), low);
    return _mm256_blendv_epi8(x, _mm256_add_epi32(y, _mm256_add_epi32(gain, start)), is_present);
}

TARGET LWFC_INLINE ROW row_put_symbols_avx2(ROW x, const struct lwfc_groups_step *steps, ROW at,
                                            uint32_t present, uint8_t **p)
{
    for (int i = 1; i >= 0; i--) {
        const __m256i reciprocal =
            _mm256_i32gather_epi32((const int *)(const void *)steps, at.half[i], 8);
        const __m256i bits =
            _mm256_i32gather_epi32((const int *)(const void *)&steps->bits, at.half[i], 8);
        x.half[i] = put_avx2(x.half[i], reciprocal, bits, present >> (8 * i) & 0xFF, p);
    }
    return x;
}

TARGET LWFC_INLINE ROW row_put_flags_avx2(ROW x, const struct lwfc_groups_steps *s, uint32_t first,
                                          uint32_t loud, uint32_t present, uint8_t **p)
{
    const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    for (int i = 1; i >= 0; i--) {
        const __m256i all = _mm256_set1_epi32((int)(loud >> (8 * i)));
        const __m256i is_loud = _mm256_cmpeq_epi32(_mm256_and_si256(all, bit), bit);
        __m256i step[2];
        for (int k = 0; k < 2; k++) {
            const uint32_t at = first + 8 * (uint32_t)i;
            step[k] = _mm256_blendv_epi8(
                _mm256_loadu_si256((const __m256i *)(const void *)(s->flags[0][k] + at)),
                _mm256_loadu_si256((const __m256i *)(const void *)(s->flags[1][k] + at)), is_loud);
        }
        x.half[i] = put_avx2(x.half[i], step[0], step[1], present >> (8 * i) & 0xFF, p);
    }
    return x;
}

TARGET static size_t loud_avx2(const int16_t *symbols, size_t groups, size_t *nonzero)
{
    size_t count = 0, bits = 0;
    for (size_t g = 0; g < groups; g++, symbols += LWFC_GROUP) {
        const __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)symbols);
        const __m256i zero = _mm256_cmpeq_epi16(v, _mm256_setzero_si256());
        const uint32_t some = ~(uint32_t)_mm256_movemask_epi8(zero);
        count += some != 0;
        bits += (size_t)_mm_popcnt_u32(some);
    }
    *nonzero += bits / 2;
    return count;
}

#define row_load row_load_avx2
#define row_store row_store_avx2
#define row_flags row_flags_avx2
#define row_symbols row_symbols_avx2
#define row_append row_append_avx2
#define row_indices row_indices_avx2
#define row_put_symbols row_put_symbols_avx2
#define row_put_flags row_put_flags_avx2
#include "kernels/groups_rows.h"
#include "kernels/groups_rows_put.h"
#include "kernels/groups_rows_end.h"

static const struct lwfc_groups_kernels avx2_kernels = {decode_avx2, encode_avx2, loud_avx2};

#endif
