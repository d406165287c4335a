#include "base/attributes.h"
#include "kernels/x86/joined_x86.h" /* outside: no file may be empty */

#if LWFC_X86 && defined(__x86_64__)

#include "base/bytes.h"
#include "kernels/x86/joined_loads.h"

#include <immintrin.h>

#define TARGET LWFC_TARGET("avx2,bmi2,avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2")

TARGET static void pack(const uint8_t *symbols, size_t count, int levels, int k, uint8_t *joined)
{
    if (k != 8) {
        lwfc_joined_avx2.pack(symbols, count, levels, k, joined);
        return;
    }
    size_t j = 0;
    for (; j + 8 <= count; j += 8) {
        const __m512i s = _mm512_loadu_si512(symbols + 8 * j);
        const uint64_t bits = _mm512_test_epi8_mask(s, s);
        memcpy(joined + j, &bits, 8);
    }
    lwfc_joined_scalar.pack(symbols + 8 * j, count - j, levels, k, joined + j);
}

TARGET static void unpack(const uint8_t *joined, size_t count, int levels, int k,
                          const uint8_t *digits, uint8_t *symbols)
{
    size_t j = 0;
    if (k == 8) {
        for (; j + 8 <= count; j += 8) {
            uint64_t bits;
            memcpy(&bits, joined + j, 8);
            _mm512_storeu_si512(symbols + 8 * j, _mm512_maskz_set1_epi8(bits, 1));
        }
    } else if (k == 4 && levels == 4) {
        const __m512i crumbs = _mm512_set1_epi64(0x2624222006040200);
        for (; j + 16 <= count; j += 16) {
            const __m512i v =
                _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(joined + j)));
            const __m512i c = _mm512_multishift_epi64_epi8(crumbs, v);
            _mm512_storeu_si512(symbols + 4 * j, _mm512_and_si512(c, _mm512_set1_epi8(3)));
        }
    }
    lwfc_joined_avx2.unpack(joined + j, count - j, levels, k, digits, symbols + j * (size_t)k);
}

struct fields {
    __m512i reciprocal, bits, frequency;
};

TARGET LWFC_INLINE __m512i both(__m256i low, __m256i high)
{
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

TARGET LWFC_INLINE struct fields fetch(const struct lwfc_joined_record *records,
                                       const uint8_t *values)
{
    const __m512 a = _mm512_castsi512_ps(both(joined_records(records, values),
                                              joined_records(records, values + 8)));
    const __m512 b = _mm512_castsi512_ps(both(joined_records(records, values + 2),
                                              joined_records(records, values + 10)));
    struct fields f;
    f.reciprocal = _mm512_castps_si512(_mm512_shuffle_ps(a, b, 0x88));
    f.bits = _mm512_castps_si512(_mm512_shuffle_ps(a, b, 0xDD));
    f.frequency = _mm512_and_si512(f.bits, _mm512_set1_epi32(0xFFF));
    return f;
}

TARGET LWFC_INLINE __m512i advance(__m512i x, struct fields f)
{
    const __m512i even = _mm512_srli_epi64(_mm512_mul_epu32(x, f.reciprocal), 32);
    const __m512i odd =
        _mm512_mul_epu32(_mm512_srli_epi64(x, 32), _mm512_srli_epi64(f.reciprocal, 32));
    const __m512i q = _mm512_srlv_epi32(_mm512_mask_mov_epi32(even, 0xAAAA, odd),
                                        _mm512_srli_epi32(f.bits, 25));
    const __m512i bias =
        _mm512_and_si512(_mm512_srli_epi32(f.bits, 12), _mm512_set1_epi32(0x1FFF));
    const __m512i rest = _mm512_sub_epi32(_mm512_set1_epi32(LWFC_JOINED_SLOTS), f.frequency);
    return _mm512_add_epi32(_mm512_add_epi32(x, bias), _mm512_mullo_epi32(q, rest));
}

TARGET static uint8_t *encode(uint32_t *states, const struct lwfc_joined_record *records,
                              const uint8_t *joined, size_t rows, int lanes, uint8_t *end)
{
    if (lanes != LWFC_JOINED_LANES) {
        return lwfc_joined_avx2.encode(states, records, joined, rows, lanes, end);
    }
    uint8_t *p = end;
    __m512i x0 = _mm512_loadu_si512(states);
    __m512i x1 = _mm512_loadu_si512(states + 16);
    const __m512i low_words = _mm512_set_epi16(
        62, 60, 58, 56, 54, 52, 50, 48, 46, 44, 42, 40, 38, 36, 34, 32,
        30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    while (rows-- > 0) {
        const uint8_t *const row = joined + rows * LWFC_JOINED_LANES;
        const struct fields f0 = fetch(records, row);
        const struct fields f1 = fetch(records, row + 16);
        const __mmask16 m0 = _mm512_cmpge_epu32_mask(_mm512_srli_epi32(x0, 19), f0.frequency);
        const __mmask16 m1 = _mm512_cmpge_epu32_mask(_mm512_srli_epi32(x1, 19), f1.frequency);
        const __mmask32 m = _mm512_kunpackw(m1, m0);
        const int emitted = (int)_mm_popcnt_u32(m);
        const __m512i words = _mm512_permutex2var_epi16(x0, low_words, x1);
        p -= 2 * emitted;
        _mm512_mask_storeu_epi16(p, (__mmask32)_bzhi_u64(~UINT64_C(0), (uint32_t)emitted),
                                 _mm512_maskz_compress_epi16(m, words));
        x0 = advance(_mm512_mask_srli_epi32(x0, m0, x0, 16), f0);
        x1 = advance(_mm512_mask_srli_epi32(x1, m1, x1, 16), f1);
    }
    _mm512_storeu_si512(states, x0);
    _mm512_storeu_si512(states + 16, x1);
    return p;
}

/* Four registers of eight lanes: two of sixteen would not hide the latency. */
TARGET LWFC_INLINE __m256i decode_eight(__m256i *state, const uint32_t *table, const uint8_t **p)
{
    const __m256i low = _mm256_set1_epi32(0xFFF);
    const __m256i x = *state;
    const __m256i entry = joined_look_up(table, _mm256_and_si256(x, low));
    const __m256i y = _mm256_add_epi32(
        _mm256_mullo_epi32(_mm256_and_si256(entry, low), _mm256_srli_epi32(x, 12)),
        _mm256_and_si256(_mm256_srli_epi32(entry, 12), low));
    const __mmask8 m = _mm256_cmplt_epu32_mask(y, _mm256_set1_epi32(LWFC_JOINED_STATE));
    const __m128i words = _mm_maskz_expand_epi16(m, _mm_loadu_si128((const __m128i *)*p));
    *p += 2 * _mm_popcnt_u32(m);
    *state = _mm256_or_si256(_mm256_mask_slli_epi32(y, m, y, 16), _mm256_cvtepu16_epi32(words));
    return _mm256_srli_epi32(entry, 24);
}

TARGET static const uint8_t *decode(uint32_t *states, const uint32_t *table,
                                    const uint8_t *position, const uint8_t *limit, size_t *rows,
                                    int lanes, uint8_t *joined)
{
    if (lanes != LWFC_JOINED_LANES) {
        return lwfc_joined_avx2.decode(states, table, position, limit, rows, lanes, joined);
    }
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const uint8_t *p = position;
    size_t left = *rows;
    __m256i x[4];
    for (int i = 0; i < 4; i++) {
        x[i] = _mm256_loadu_si256((const __m256i *)(states + 8 * i));
    }
    for (; left > 0 && p <= limit; left--) {
        const __m256i v0 = decode_eight(x, table, &p);
        const __m256i v1 = decode_eight(x + 1, table, &p);
        const __m256i v2 = decode_eight(x + 2, table, &p);
        const __m256i v3 = decode_eight(x + 3, table, &p);
        const __m256i bytes =
            _mm256_packus_epi16(_mm256_packus_epi32(v0, v1), _mm256_packus_epi32(v2, v3));
        _mm256_storeu_si256((__m256i *)joined, _mm256_permutevar8x32_epi32(bytes, order));
        joined += LWFC_JOINED_LANES;
    }
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_si256((__m256i *)(states + 8 * i), x[i]);
    }
    *rows = left;
    return p;
}

static void histogram(const uint8_t *joined, size_t count, uint32_t *scratch, uint32_t *counts)
{
    lwfc_joined_scalar.histogram(joined, count, scratch, counts);
}

static size_t collect(const uint8_t *joined, size_t count, const uint8_t *rare, uint8_t *out)
{
    return lwfc_joined_avx2.collect(joined, count, rare, out);
}

const struct lwfc_joined_kernels lwfc_joined_avx512 = {
    pack, unpack, histogram, collect, encode, decode
};

#endif
