/* Table look-ups of the joined coder by single loads, shared by its x86
 * variants. On Zen 3 and Zen 4 they are faster than gather instructions. */
#ifndef LWFC_KERNELS_X86_JOINED_LOADS_H
#define LWFC_KERNELS_X86_JOINED_LOADS_H

#include "base/attributes.h"
#include "kernels/joined_kernels.h"

#include <immintrin.h>

/* The records of v[0], [1] and, in the upper half, [4], [5]. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE __m256i joined_records(const struct lwfc_joined_record *r, const uint8_t *v)
{
    const __m128 a = _mm_loadh_pi(_mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)(r + v[0]))),
                                  (const __m64 *)(r + v[1]));
    const __m128 b = _mm_loadh_pi(_mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)(r + v[4]))),
                                  (const __m64 *)(r + v[5]));
    return _mm256_castps_si256(_mm256_insertf128_ps(_mm256_castps128_ps256(a), b, 1));
}

/* table[slot] of eight slots. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE __m256i joined_look_up(const uint32_t *table, __m256i slot)
{
    const __m128i low = _mm256_castsi256_si128(slot);
    const __m128i high = _mm256_extracti128_si256(slot, 1);
    const uint64_t a = (uint64_t)_mm_cvtsi128_si64(low);
    const uint64_t b = (uint64_t)_mm_extract_epi64(low, 1);
    const uint64_t c = (uint64_t)_mm_cvtsi128_si64(high);
    const uint64_t d = (uint64_t)_mm_extract_epi64(high, 1);
    const __m128i ta = _mm_insert_epi32(_mm_cvtsi32_si128((int)table[(uint32_t)a]),
                                        (int)table[a >> 32], 1);
    const __m128i tb = _mm_insert_epi32(_mm_cvtsi32_si128((int)table[(uint32_t)b]),
                                        (int)table[b >> 32], 1);
    const __m128i tc = _mm_insert_epi32(_mm_cvtsi32_si128((int)table[(uint32_t)c]),
                                        (int)table[c >> 32], 1);
    const __m128i td = _mm_insert_epi32(_mm_cvtsi32_si128((int)table[(uint32_t)d]),
                                        (int)table[d >> 32], 1);
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_unpacklo_epi64(ta, tb)),
                                   _mm_unpacklo_epi64(tc, td), 1);
}

#endif
