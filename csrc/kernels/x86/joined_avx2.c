#include "base/attributes.h"
#include "kernels/x86/joined_x86.h" /* outside: no file may be empty */

#if LWFC_X86 && defined(__x86_64__)

#include "base/bytes.h"
#include "kernels/lanes_tables.h"
#include "kernels/x86/joined_loads.h"

#include <immintrin.h>

#define TARGET LWFC_TARGET("avx2,bmi2")

TARGET static __m256i load(const void *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

TARGET static void store(void *p, __m256i v)
{
    _mm256_storeu_si256((__m256i *)p, v);
}

/* Two successive symbols in each 16-bit lane, as a + levels * b. */
TARGET static size_t pack_pairs(const uint8_t *symbols, size_t count, int levels, uint8_t *joined)
{
    const __m256i weights = _mm256_set1_epi16((short)(1 | levels << 8));
    size_t j = 0;
    for (; j + 32 <= count; j += 32) {
        const __m256i a = _mm256_maddubs_epi16(load(symbols + 2 * j), weights);
        const __m256i b = _mm256_maddubs_epi16(load(symbols + 2 * j + 32), weights);
        store(joined + j, _mm256_permute4x64_epi64(_mm256_packus_epi16(a, b), 0xD8));
    }
    return j;
}

TARGET static size_t pack_quads(const uint8_t *symbols, size_t count, uint8_t *joined)
{
    const __m256i pairs = _mm256_set1_epi16(1 | 4 << 8);
    const __m256i quads = _mm256_set1_epi32(1 | 16 << 16);
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    size_t j = 0;
    for (; j + 32 <= count; j += 32) {
        __m256i v[4];
        for (int i = 0; i < 4; i++) {
            const __m256i s = load(symbols + 4 * j + 32 * (size_t)i);
            v[i] = _mm256_madd_epi16(_mm256_maddubs_epi16(s, pairs), quads);
        }
        const __m256i bytes = _mm256_packus_epi16(_mm256_packus_epi32(v[0], v[1]),
                                                  _mm256_packus_epi32(v[2], v[3]));
        store(joined + j, _mm256_permutevar8x32_epi32(bytes, order));
    }
    return j;
}

TARGET static size_t pack_bits(const uint8_t *symbols, size_t count, uint8_t *joined)
{
    size_t j = 0;
    for (; j + 4 <= count; j += 4) {
        const __m256i top = _mm256_slli_epi16(load(symbols + 8 * j), 7);
        const uint32_t bits = (uint32_t)_mm256_movemask_epi8(top);
        memcpy(joined + j, &bits, 4);
    }
    return j;
}

/* Groups of three bytes are spread to four. */
TARGET static size_t pack_triples(const uint8_t *symbols, size_t count, int levels,
                                  uint8_t *joined)
{
    const __m256i spread = _mm256_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1,
                                            0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1);
    const __m256i pairs = _mm256_set1_epi16((short)(1 | levels << 8));
    const __m256i quads = _mm256_set1_epi32(1 | (levels * levels) << 16);
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    size_t j = 0;
    for (; j + 32 <= count; j += 32) {
        __m256i v[4];
        for (int i = 0; i < 4; i++) {
            const uint8_t *const p = symbols + 3 * j + 24 * (size_t)i;
            const __m128i low = _mm_loadu_si128((const __m128i *)p);
            const __m128i high = _mm_loadu_si128((const __m128i *)(p + 12));
            const __m256i s = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
            v[i] = _mm256_madd_epi16(
                _mm256_maddubs_epi16(_mm256_shuffle_epi8(s, spread), pairs), quads);
        }
        const __m256i bytes = _mm256_packus_epi16(_mm256_packus_epi32(v[0], v[1]),
                                                  _mm256_packus_epi32(v[2], v[3]));
        store(joined + j, _mm256_permutevar8x32_epi32(bytes, order));
    }
    return j;
}

/* Three levels; groups of five bytes are spread to eight. */
TARGET static size_t pack_fives(const uint8_t *symbols, size_t count, uint8_t *joined)
{
    const __m256i spread = _mm256_setr_epi8(0, 1, 2, 3, 4, -1, -1, -1, 5, 6, 7, 8, 9, -1, -1, -1,
                                            0, 1, 2, 3, 4, -1, -1, -1, 5, 6, 7, 8, 9, -1, -1, -1);
    const __m256i weights = _mm256_set1_epi64x(1 | 3 << 8 | 9 << 16 | 27 << 24 | INT64_C(81) << 32);
    const __m256i ones = _mm256_set1_epi16(1);
    size_t j = 0;
    for (; j + 16 <= count; j += 16) {
        __m256i v[4];
        for (int i = 0; i < 4; i++) {
            const uint8_t *const p = symbols + 5 * j + 10 * (size_t)i;
            const __m128i low = _mm_loadu_si128((const __m128i *)p);
            const __m128i high = _mm_loadu_si128((const __m128i *)(p + 40));
            const __m256i s = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
            v[i] = _mm256_madd_epi16(
                _mm256_maddubs_epi16(_mm256_shuffle_epi8(s, spread), weights), ones);
        }
        const __m256i words = _mm256_packus_epi32(_mm256_hadd_epi32(v[0], v[1]),
                                                  _mm256_hadd_epi32(v[2], v[3]));
        _mm_storeu_si128((__m128i *)(joined + j),
                         _mm_packus_epi16(_mm256_castsi256_si128(words),
                                          _mm256_extracti128_si256(words, 1)));
    }
    return j;
}

TARGET static void pack(const uint8_t *symbols, size_t count, int levels, int k, uint8_t *joined)
{
    size_t done = 0;
    if (k == 2 && levels <= 16) {
        done = pack_pairs(symbols, count, levels, joined);
    } else if (k == 3) {
        done = pack_triples(symbols, count, levels, joined);
    } else if (k == 4 && levels == 4) {
        done = pack_quads(symbols, count, joined);
    } else if (k == 5) {
        done = pack_fives(symbols, count, joined);
    } else if (k == 8) {
        done = pack_bits(symbols, count, joined);
    }
    lwfc_joined_scalar.pack(symbols + done * (size_t)k, count - done, levels, k, joined + done);
}

/* v / d is v * ceil(65536 / d) >> 16 for bytes v and the divisors used here. */
TARGET static size_t unpack_pairs(const uint8_t *joined, size_t count, int levels,
                                  uint8_t *symbols)
{
    const __m256i inverse = _mm256_set1_epi16((short)((65536 + levels - 1) / levels));
    const __m256i base = _mm256_set1_epi16((short)levels);
    size_t j = 0;
    for (; j + 16 <= count; j += 16) {
        const __m256i v =
            _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(joined + j)));
        const __m256i b = _mm256_mulhi_epu16(v, inverse);
        const __m256i a = _mm256_sub_epi16(v, _mm256_mullo_epi16(b, base));
        store(symbols + 2 * j, _mm256_or_si256(a, _mm256_slli_epi16(b, 8)));
    }
    return j;
}

TARGET static size_t unpack_triples(const uint8_t *joined, size_t count, int levels,
                                    uint8_t *symbols)
{
    const int square = levels * levels;
    const __m256i inverse2 = _mm256_set1_epi32((65536 + square - 1) / square);
    const __m256i base2 = _mm256_set1_epi32(square);
    const __m256i inverse = _mm256_set1_epi32((65536 + levels - 1) / levels);
    const __m256i base = _mm256_set1_epi32(levels);
    const __m256i close = _mm256_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1,
                                           0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    size_t j = 0;
    for (; j + 8 <= count; j += 8) {
        const __m256i v =
            _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(joined + j)));
        const __m256i c = _mm256_mulhi_epu16(v, inverse2);
        const __m256i rest = _mm256_sub_epi16(v, _mm256_mullo_epi16(c, base2));
        const __m256i b = _mm256_mulhi_epu16(rest, inverse);
        const __m256i a = _mm256_sub_epi16(rest, _mm256_mullo_epi16(b, base));
        const __m256i abc = _mm256_or_si256(
            a, _mm256_or_si256(_mm256_slli_epi32(b, 8), _mm256_slli_epi32(c, 16)));
        const __m256i bytes = _mm256_shuffle_epi8(abc, close);
        uint8_t *const out = symbols + 3 * j;
        _mm_storeu_si128((__m128i *)out, _mm256_castsi256_si128(bytes));
        _mm_storeu_si128((__m128i *)(out + 12), _mm256_extracti128_si256(bytes, 1));
    }
    return j;
}

TARGET static size_t unpack_quads(const uint8_t *joined, size_t count, uint8_t *symbols)
{
    const __m256i nibble = _mm256_set1_epi32(0x000F000F);
    const __m256i crumb = _mm256_set1_epi32(0x03030303);
    size_t j = 0;
    for (; j + 8 <= count; j += 8) {
        const __m256i v =
            _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(joined + j)));
        const __m256i n = _mm256_and_si256(_mm256_or_si256(v, _mm256_slli_epi32(v, 12)), nibble);
        const __m256i c = _mm256_and_si256(_mm256_or_si256(n, _mm256_slli_epi32(n, 6)), crumb);
        store(symbols + 4 * j, c);
    }
    return j;
}

TARGET static size_t unpack_bits(const uint8_t *joined, size_t count, uint8_t *symbols)
{
    const __m256i spread = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1,
                                            2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    const __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201u);
    const __m256i one = _mm256_set1_epi8(1);
    size_t j = 0;
    for (; j + 4 <= count; j += 4) {
        int32_t bits;
        memcpy(&bits, joined + j, 4);
        const __m256i v = _mm256_shuffle_epi8(_mm256_set1_epi32(bits), spread);
        store(symbols + 8 * j, _mm256_min_epu8(_mm256_and_si256(v, bit), one));
    }
    return j;
}

TARGET static void unpack(const uint8_t *joined, size_t count, int levels, int k,
                          const uint8_t *digits, uint8_t *symbols)
{
    size_t done = 0;
    if (k == 2 && levels <= 16) {
        done = unpack_pairs(joined, count, levels, symbols);
    } else if (k == 3) {
        done = unpack_triples(joined, count, levels, symbols);
    } else if (k == 4 && levels == 4) {
        done = unpack_quads(joined, count, symbols);
    } else if (k == 8) {
        done = unpack_bits(joined, count, symbols);
    }
    lwfc_joined_scalar.unpack(joined + done, count - done, levels, k, digits,
                              symbols + done * (size_t)k);
}

/* Bit h % 8 of byte l of half h / 8 tells whether 16 h + l is rare. */
TARGET static size_t collect(const uint8_t *joined, size_t count, const uint8_t *rare,
                             uint8_t *out)
{
    uint8_t halves[2][16] = {{0}};
    for (int v = 0; v < 256; v++) {
        halves[v >> 7][v & 15] |= (uint8_t)(rare[v] << (v >> 4 & 7));
    }
    const __m256i low = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)halves[0]));
    const __m256i high = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)halves[1]));
    const __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201u);
    const __m256i nibble = _mm256_set1_epi8(15);
    const __m256i zero = _mm256_setzero_si256();
    size_t found = 0;
    size_t j = 0;
    for (; j + 32 <= count; j += 32) {
        const __m256i v = load(joined + j);
        const __m256i l = _mm256_and_si256(v, nibble);
        const __m256i h = _mm256_and_si256(_mm256_srli_epi16(v, 4), nibble);
        const __m256i set = _mm256_blendv_epi8(_mm256_shuffle_epi8(low, l),
                                               _mm256_shuffle_epi8(high, l), v);
        const __m256i hit = _mm256_and_si256(set, _mm256_shuffle_epi8(bit, h));
        uint32_t mask = ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(hit, zero));
        while (mask != 0) {
            out[found++] = joined[j + (size_t)__builtin_ctz(mask)];
            mask &= mask - 1;
        }
    }
    return found + lwfc_joined_scalar.collect(joined + j, count - j, rare, out + found);
}

TARGET LWFC_INLINE __m256i encode_eight(__m256i x, const struct lwfc_joined_record *records,
                                        const uint8_t *values, uint8_t **p)
{
    const __m256 a = _mm256_castsi256_ps(joined_records(records, values));
    const __m256 b = _mm256_castsi256_ps(joined_records(records, values + 2));
    const __m256i reciprocal = _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0x88));
    const __m256i bits = _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0xDD));
    const __m256i frequency = _mm256_and_si256(bits, _mm256_set1_epi32(0xFFF));
    const __m256i room = _mm256_cmpgt_epi32(frequency, _mm256_srli_epi32(x, 19));
    const uint32_t mask = ~(uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(room)) & 255;
    const __m256i order =
        _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(lanes_compact + mask)));
    const __m256i words = _mm256_permutevar8x32_epi32(
        _mm256_blend_epi16(x, _mm256_setzero_si256(), 0xAA), order);
    _mm_storeu_si128((__m128i *)(*p - 16),
                     _mm_packus_epi32(_mm256_castsi256_si128(words),
                                      _mm256_extracti128_si256(words, 1)));
    *p -= 2 * _mm_popcnt_u32(mask);
    x = _mm256_blendv_epi8(_mm256_srli_epi32(x, 16), x, room);
    const __m256i even = _mm256_srli_epi64(_mm256_mul_epu32(x, reciprocal), 32);
    const __m256i odd =
        _mm256_mul_epu32(_mm256_srli_epi64(x, 32), _mm256_srli_epi64(reciprocal, 32));
    const __m256i q = _mm256_srlv_epi32(_mm256_blend_epi32(even, odd, 0xAA),
                                        _mm256_srli_epi32(bits, 25));
    const __m256i bias = _mm256_and_si256(_mm256_srli_epi32(bits, 12), _mm256_set1_epi32(0x1FFF));
    const __m256i rest = _mm256_sub_epi32(_mm256_set1_epi32(LWFC_JOINED_SLOTS), frequency);
    return _mm256_add_epi32(_mm256_add_epi32(x, bias), _mm256_mullo_epi32(q, rest));
}

TARGET LWFC_INLINE uint8_t *encode_rows(int groups, uint32_t *states,
                                        const struct lwfc_joined_record *records,
                                        const uint8_t *joined, size_t rows, uint8_t *end)
{
    __m256i x[4];
    uint8_t *p = end;
    for (int i = 0; i < groups; i++) {
        x[i] = load(states + 8 * i);
    }
    while (rows-- > 0) {
        const uint8_t *const row = joined + rows * 8 * (size_t)groups;
        for (int i = groups - 1; i >= 0; i--) {
            x[i] = encode_eight(x[i], records, row + 8 * i, &p);
        }
    }
    for (int i = 0; i < groups; i++) {
        store(states + 8 * i, x[i]);
    }
    return p;
}

TARGET static uint8_t *encode(uint32_t *states, const struct lwfc_joined_record *records,
                              const uint8_t *joined, size_t rows, int lanes, uint8_t *end)
{
    if (lanes == 8) {
        return encode_rows(1, states, records, joined, rows, end);
    }
    if (lanes == LWFC_JOINED_LANES) {
        return encode_rows(4, states, records, joined, rows, end);
    }
    return lwfc_joined_scalar.encode(states, records, joined, rows, lanes, end);
}

/* Returns the table entries, whose top bytes are the values. */
TARGET LWFC_INLINE __m256i decode_eight(__m256i *state, const uint32_t *table, const uint8_t **p)
{
    const __m256i low = _mm256_set1_epi32(0xFFF);
    const __m256i x = *state;
    const __m256i entry = joined_look_up(table, _mm256_and_si256(x, low));
    const __m256i y = _mm256_add_epi32(
        _mm256_mullo_epi32(_mm256_and_si256(entry, low), _mm256_srli_epi32(x, 12)),
        _mm256_and_si256(_mm256_srli_epi32(entry, 12), low));
    const __m256i more = _mm256_cmpgt_epi32(_mm256_set1_epi32(LWFC_JOINED_STATE), y);
    const uint32_t mask = (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(more));
    const __m256i words = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)*p));
    const __m256i order =
        _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(lanes_expand + mask)));
    const __m256i full = _mm256_or_si256(_mm256_slli_epi32(y, 16),
                                         _mm256_permutevar8x32_epi32(words, order));
    *p += 2 * _mm_popcnt_u32(mask);
    *state = _mm256_blendv_epi8(y, full, more);
    return _mm256_srli_epi32(entry, 24);
}

TARGET static const uint8_t *decode(uint32_t *states, const uint32_t *table,
                                    const uint8_t *position, const uint8_t *limit, size_t *rows,
                                    int lanes, uint8_t *joined)
{
    if (lanes != LWFC_JOINED_LANES) {
        return lwfc_joined_scalar.decode(states, table, position, limit, rows, lanes, joined);
    }
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const uint8_t *p = position;
    size_t left = *rows;
    __m256i x[4];
    for (int i = 0; i < 4; i++) {
        x[i] = load(states + 8 * i);
    }
    for (; left > 0 && p <= limit; left--) {
        const __m256i v0 = decode_eight(x, table, &p);
        const __m256i v1 = decode_eight(x + 1, table, &p);
        const __m256i v2 = decode_eight(x + 2, table, &p);
        const __m256i v3 = decode_eight(x + 3, table, &p);
        const __m256i bytes =
            _mm256_packus_epi16(_mm256_packus_epi32(v0, v1), _mm256_packus_epi32(v2, v3));
        store(joined, _mm256_permutevar8x32_epi32(bytes, order));
        joined += LWFC_JOINED_LANES;
    }
    for (int i = 0; i < 4; i++) {
        store(states + 8 * i, x[i]);
    }
    *rows = left;
    return p;
}

static void histogram(const uint8_t *joined, size_t count, uint32_t *scratch, uint32_t *counts)
{
    lwfc_joined_scalar.histogram(joined, count, scratch, counts);
}

const struct lwfc_joined_kernels lwfc_joined_avx2 = {
    pack, unpack, histogram, collect, encode, decode
};

#endif
