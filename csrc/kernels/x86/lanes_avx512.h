/* Rows of 32 lanes with the byte permutes, expands and compresses of VBMI and
 * VBMI2; same bits as the scalar functions of lanes.c. */
#ifndef LWFC_KERNELS_X86_LANES_AVX512_H
#define LWFC_KERNELS_X86_LANES_AVX512_H

#include "kernels/x86/lanes_avx2.h"

#define LANES_AVX512                                                                               \
    LWFC_TARGET("avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,avx2,bmi2,popcnt")

/* lanes_decode_avx2, the stream bytes dealt by one expand. */
LANES_AVX512
LWFC_INLINE __m256i lanes_decode_avx512(struct lanes_avx2 *s, const __m256i *c, int levels,
                                        const uint8_t **in, __mmask32 live, int partial)
{
    const __m256i even = _mm256_set1_epi16(255);
    const __m256i slot = s->lo;
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
    const __m256i hi = _mm256_mask_mov_epi8(_mm256_srli_epi16(x0, 8), 0xaaaaaaaau, x1);
    const __m256i lo = _mm256_mask_mov_epi8(x0, 0xaaaaaaaau, _mm256_slli_epi16(x1, 8));
    const __mmask32 empty =
        partial ? _mm256_mask_testn_epi8_mask(live, hi, hi) : _mm256_testn_epi8_mask(hi, hi);
    const __m256i next_hi = _mm256_mask_mov_epi8(hi, empty, lo);
    const __m256i next_lo =
        _mm256_mask_expand_epi8(lo, empty, _mm256_loadu_si256((const __m256i *)*in));
    *in += _mm_popcnt_u32(empty);
    s->hi = partial ? _mm256_mask_mov_epi8(s->hi, live, next_hi) : next_hi;
    s->lo = partial ? _mm256_mask_mov_epi8(s->lo, live, next_lo) : next_lo;
    return partial ? _mm256_maskz_mov_epi8(live, symbol) : symbol;
}

LANES_AVX512
LWFC_INLINE const uint8_t *decode_body_avx512(uint16_t (*states)[LWFC_LANES],
                                              const struct lwfc_lanes_model *model,
                                              const struct lwfc_lanes_row *r, const uint8_t *in,
                                              int levels, int chains, int partial)
{
    struct lanes_avx2 s[2];
    __mmask32 live[2];
    __m256i left[2], left2[2], table[15];
    uint8_t level[2][DECODE_COLUMNS * LWFC_LANES];
    const __m256i left_map = table_avx2(model->left);
    const __m256i up_map = table_avx2(model->up);
    for (int k = 0; k < levels - 1; k++) {
        table[k] = column_load(model->threshold[k]);
    }
    for (int c = 0; c < chains; c++) {
        s[c] = lanes_load_avx2(states[c]);
        live[c] = (__mmask32)((1ull << r->lanes[c]) - 1);
        left[c] = _mm256_setzero_si256();
        left2[c] = left[c];
    }
    const size_t width = r->width;
    for (size_t x0 = 0; x0 < width; x0 += DECODE_COLUMNS) {
        const size_t n = width - x0 < DECODE_COLUMNS ? width - x0 : DECODE_COLUMNS;
        for (int c = 0; c < chains; c++) {
            for (size_t x = 0; x < n; x++) {
                const __m256i sum = sum_above_avx2(r->above[c], x0 + x, width, levels);
                column_store(level[c] + x * LWFC_LANES, _mm256_shuffle_epi8(up_map, sum));
            }
        }
        for (size_t x = 0; x < n; x++) {
            for (int c = 0; c < chains; c++) {
                __m256i t[15];
                const __m256i code = left_code_avx2(left[c], left2[c], levels);
                const __m256i context = _mm256_add_epi8(column_load(level[c] + x * LWFC_LANES),
                                                        _mm256_shuffle_epi8(left_map, code));
                for (int k = 0; k < levels - 1; k++) {
                    t[k] = _mm256_permutexvar_epi8(context, table[k]);
                }
                left2[c] = left[c];
                left[c] = lanes_decode_avx512(&s[c], t, levels, &in, live[c], partial);
                column_store(r->row[c] + (x0 + x) * LWFC_LANES, left[c]);
            }
        }
    }
    for (int c = 0; c < chains; c++) {
        lanes_store_avx2(states[c], s[c]);
    }
    return in;
}

/* x -> quotient << 8 | start + remainder. recip is rounded down, so that the
 * quotient is never too large and at most one too small. */
LANES_AVX512
LWFC_INLINE __m512i divide_avx512(__m512i x, __m512i freq, __m512i recip, __m512i start)
{
    const __m512i q = _mm512_mulhi_epu16(x, recip);
    const __m512i r = _mm512_sub_epi16(x, _mm512_mullo_epi16(q, freq));
    const __m512i y = _mm512_add_epi16(_mm512_slli_epi16(q, 8), _mm512_add_epi16(r, start));
    const __mmask32 more = _mm512_cmpge_epu16_mask(r, freq);
    return _mm512_mask_add_epi16(y, more, y, _mm512_sub_epi16(_mm512_set1_epi16(256), freq));
}

/* Column x of both groups, one after the other. */
LANES_AVX512
LWFC_INLINE __m512i pair_load(const uint8_t *const p[2], size_t x, int chains)
{
    const __m256i a = column_load(p[0] + x * LWFC_LANES);
    const __m256i b = chains == 2 ? column_load(p[1] + x * LWFC_LANES) : _mm256_setzero_si256();
    return _mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1);
}

/* Up to 4 levels: 128 intervals, so every value is one look-up for both groups
 * at once; the stream order is that of the lanes of the pair. */
LANES_AVX512
LWFC_INLINE uint8_t *encode_body_avx512(uint16_t (*states)[LWFC_LANES],
                                        const struct lwfc_lanes_model *model,
                                        const struct lwfc_lanes_row *r, uint8_t *out, int levels,
                                        int chains)
{
    const __m512i even = _mm512_set1_epi16(255);
    const __m512i zero = _mm512_setzero_si512();
    const __mmask64 odd = 0xaaaaaaaaaaaaaaaaull;
    const uint8_t *const value[4] = {model->start[0], model->freq[0], model->recip_low[0],
                                     model->recip_high[0]};
    __m512i table[4][2];
    for (int i = 0; i < 4; i++) {
        table[i][0] = _mm512_loadu_si512(value[i]);
        table[i][1] = _mm512_loadu_si512(value[i] + 64);
    }
    const __m512i left_map = _mm512_broadcast_i32x4(_mm_loadu_si128((const void *)model->left));
    const __m512i up_map = _mm512_broadcast_i32x4(_mm_loadu_si128((const void *)model->up));
    struct lanes_avx2 s[2] = {lanes_load_avx2(states[0]), lanes_load_avx2(states[chains - 1])};
    __m512i hi = _mm512_inserti64x4(_mm512_castsi256_si512(s[0].hi), s[1].hi, 1);
    __m512i lo = _mm512_inserti64x4(_mm512_castsi256_si512(s[0].lo), s[1].lo, 1);
    const __mmask64 live = ((1ull << r->lanes[0]) - 1) |
                           (chains == 2 ? ((1ull << r->lanes[1]) - 1) << 32 : 0);
    const uint8_t *const row[2] = {r->row[0], r->row[1]};
    const size_t width = r->width;
    __m512i up_right = zero;
    __m512i up = pair_load(r->above, width - 1, chains);
    __m512i symbol = pair_load(row, width - 1, chains);
    __m512i left = width > 1 ? pair_load(row, width - 2, chains) : zero;
    for (size_t x = width; x-- > 0;) {
        const __m512i up_left = x >= 1 ? pair_load(r->above, x - 1, chains) : zero;
        const __m512i left2 = x >= 2 ? pair_load(row, x - 2, chains) : zero;
        const __m512i two = _mm512_add_epi8(up, up);
        const __m512i sum =
            levels == 2
                ? _mm512_add_epi8(_mm512_add_epi8(two, two),
                                  _mm512_add_epi8(_mm512_add_epi8(up_left, up_left), up_right))
                : _mm512_add_epi8(two, _mm512_add_epi8(up_left, up_right));
        const __m512i code =
            levels == 2 ? _mm512_add_epi8(left, _mm512_add_epi8(left2, left2)) : left;
        const __m512i index = _mm512_add_epi8(
            _mm512_slli_epi16(symbol, 5), _mm512_add_epi8(_mm512_shuffle_epi8(up_map, sum),
                                                          _mm512_shuffle_epi8(left_map, code)));
        const __m512i start = _mm512_permutex2var_epi8(table[0][0], index, table[0][1]);
        const __m512i freq = _mm512_permutex2var_epi8(table[1][0], index, table[1][1]);
        const __m512i low = _mm512_permutex2var_epi8(table[2][0], index, table[2][1]);
        const __m512i high = _mm512_permutex2var_epi8(table[3][0], index, table[3][1]);

        const __mmask64 full = _mm512_mask_cmpge_epu8_mask(live, hi, freq);
        const __m512i bytes = _mm512_maskz_compress_epi8(full, lo);
        const unsigned n = (unsigned)__builtin_popcountll(full);
        out -= n;
        _mm512_mask_storeu_epi8(out, n == 64 ? ~0ull : (1ull << n) - 1, bytes);
        const __m512i kept_lo = _mm512_mask_mov_epi8(lo, full, hi);
        const __m512i kept_hi = _mm512_mask_mov_epi8(hi, full, zero);

        const __m512i x0 = _mm512_mask_mov_epi8(kept_lo, odd, _mm512_slli_epi16(kept_hi, 8));
        const __m512i x1 = _mm512_mask_mov_epi8(_mm512_srli_epi16(kept_lo, 8), odd, kept_hi);
        const __m512i y0 = divide_avx512(x0, _mm512_and_si512(freq, even),
                                         _mm512_mask_mov_epi8(low, odd, _mm512_slli_epi16(high, 8)),
                                         _mm512_and_si512(start, even));
        const __m512i y1 = divide_avx512(x1, _mm512_srli_epi16(freq, 8),
                                         _mm512_mask_mov_epi8(_mm512_srli_epi16(low, 8), odd, high),
                                         _mm512_srli_epi16(start, 8));
        hi = _mm512_mask_mov_epi8(
            hi, live, _mm512_mask_mov_epi8(_mm512_srli_epi16(y0, 8), odd, y1));
        lo = _mm512_mask_mov_epi8(lo, live,
                                  _mm512_mask_mov_epi8(y0, odd, _mm512_slli_epi16(y1, 8)));
        symbol = left;
        left = left2;
        up_right = up;
        up = up_left;
    }
    for (int c = 0; c < chains; c++) {
        s[c].hi = c ? _mm512_extracti64x4_epi64(hi, 1) : _mm512_castsi512_si256(hi);
        s[c].lo = c ? _mm512_extracti64x4_epi64(lo, 1) : _mm512_castsi512_si256(lo);
        lanes_store_avx2(states[c], s[c]);
    }
    return out;
}

#define LANES_DECODERS_512(LEVELS)                                                                 \
    LANES_AVX512 static const uint8_t *decode512_##LEVELS(                                         \
        uint16_t (*states)[LWFC_LANES], const struct lwfc_lanes_model *model,                      \
        const struct lwfc_lanes_row *r, const uint8_t *in)                                         \
    {                                                                                              \
        switch (row_kind(r)) {                                                                     \
        case 0:                                                                                    \
            return decode_body_avx512(states, model, r, in, LEVELS, 2, 0);                         \
        case 1:                                                                                    \
            return decode_body_avx512(states, model, r, in, LEVELS, 2, 1);                         \
        default:                                                                                   \
            return decode_body_avx512(states, model, r, in, LEVELS, 1, 1);                         \
        }                                                                                          \
    }

LANES_DECODERS_512(2)
LANES_DECODERS_512(3)
LANES_DECODERS_512(4)
LANES_DECODERS_512(8)

static const uint8_t *decode_avx512(uint16_t (*states)[LWFC_LANES],
                                    const struct lwfc_lanes_model *model,
                                    const struct lwfc_lanes_row *r, const uint8_t *in)
{
    switch (model->levels) {
    case 2:
        return decode512_2(states, model, r, in);
    case 3:
        return decode512_3(states, model, r, in);
    case 4:
        return decode512_4(states, model, r, in);
    case 8:
        return decode512_8(states, model, r, in);
    default:
        return decode_avx2(states, model, r, in);
    }
}

LANES_AVX512
static uint8_t *encode_avx512(uint16_t (*states)[LWFC_LANES], const struct lwfc_lanes_model *model,
                              const struct lwfc_lanes_row *r, uint8_t *out)
{
    if (model->levels > 4) {
        return encode_avx2(states, model, r, out);
    }
    if (model->levels == 2) {
        return r->chains == 2 ? encode_body_avx512(states, model, r, out, 2, 2)
                              : encode_body_avx512(states, model, r, out, 2, 1);
    }
    return r->chains == 2 ? encode_body_avx512(states, model, r, out, 4, 2)
                          : encode_body_avx512(states, model, r, out, 4, 1);
}

#endif
