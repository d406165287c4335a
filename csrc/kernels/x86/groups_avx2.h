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

#define row_load row_load_avx2
#define row_store row_store_avx2
#define row_flags row_flags_avx2
#define row_symbols row_symbols_avx2
#define row_append row_append_avx2
#include "kernels/groups_rows.h"
#include "kernels/groups_rows_end.h"

static const struct lwfc_groups_kernels avx2_kernels = {decode_avx2};

#endif
