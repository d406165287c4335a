/* Rows of 32 lanes for AVX2; same bits as the scalar functions of lanes.c. */
#ifndef LWFC_KERNELS_X86_LANES_AVX2_H
#define LWFC_KERNELS_X86_LANES_AVX2_H

#include "kernels/lanes.h"
#include "kernels/x86/lanes_step_avx2.h"

#include <string.h>

enum { DECODE_COLUMNS = 64, ENCODE_COLUMNS = 32 }; /* per pass over a part of the row */

static const uint8_t zero_lanes[LWFC_LANES] = {0};

LWFC_TARGET("avx2,bmi2")
LWFC_INLINE __m256i column_load(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void column_store(uint8_t *p, __m256i v)
{
    _mm256_storeu_si256((__m256i *)p, v);
}

/* 16 x 16 bytes in each half: t[i] byte j <-> t[j] byte i. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void transpose_halves(__m256i t[16])
{
    __m256i u[16];
    for (int stage = 0; stage < 4; stage++) {
        for (int i = 0; i < 8; i++) {
            u[2 * i] = _mm256_unpacklo_epi8(t[i], t[i + 8]);
            u[2 * i + 1] = _mm256_unpackhi_epi8(t[i], t[i + 8]);
        }
        memcpy(t, u, sizeof u);
    }
}

LWFC_TARGET("avx2,bmi2")
static void gather_avx2(uint8_t *columns, const uint8_t *const *runs, int lanes, size_t n)
{
    const uint8_t *from[LWFC_LANES];
    size_t step[LWFC_LANES];
    if (n < 16) {
        for (size_t i = 0; i < n; i++) {
            for (int lane = 0; lane < LWFC_LANES; lane++) {
                columns[i * LWFC_LANES + (size_t)lane] = lane < lanes ? runs[lane][i] : 0;
            }
        }
        return;
    }
    for (int i = 0; i < LWFC_LANES; i++) {
        from[i] = i < lanes ? runs[i] : zero_lanes;
        step[i] = i < lanes;
    }
    for (size_t done = 0; done < n;) {
        const size_t at = done + 16 <= n ? done : n - 16;
        __m256i t[16];
        for (int i = 0; i < 16; i++) {
            t[i] = lanes_halves_avx2(from[i] + at * step[i], from[i + 16] + at * step[i + 16]);
        }
        transpose_halves(t);
        for (size_t i = 0; i < 16; i++) {
            column_store(columns + (at + i) * LWFC_LANES, t[i]);
        }
        done = at + 16;
    }
}

LWFC_TARGET("avx2,bmi2")
static void scatter_avx2(uint8_t *const *runs, const uint8_t *columns, int lanes, size_t n)
{
    if (n < 16) {
        for (int lane = 0; lane < lanes; lane++) {
            for (size_t i = 0; i < n; i++) {
                runs[lane][i] = columns[i * LWFC_LANES + (size_t)lane];
            }
        }
        return;
    }
    /* Local pointers, which the stores cannot alias; idle lanes go to a sink. */
    uint8_t sink[16];
    uint8_t *to[LWFC_LANES];
    size_t step[LWFC_LANES];
    for (int i = 0; i < LWFC_LANES; i++) {
        to[i] = i < lanes ? runs[i] : sink;
        step[i] = i < lanes;
    }
    for (size_t done = 0; done < n;) {
        const size_t at = done + 16 <= n ? done : n - 16;
        __m256i t[16];
        for (size_t i = 0; i < 16; i++) {
            t[i] = column_load(columns + (at + i) * LWFC_LANES);
        }
        transpose_halves(t);
        for (int i = 0; i < 16; i++) {
            _mm_storeu_si128((__m128i *)(to[i] + at * step[i]), _mm256_castsi256_si128(t[i]));
            _mm_storeu_si128((__m128i *)(to[i + 16] + at * step[i + 16]),
                             _mm256_extracti128_si256(t[i], 1));
        }
        done = at + 16;
    }
}

LWFC_TARGET("avx2,bmi2")
static uint32_t sum_avx2(const uint8_t *symbols, size_t n)
{
    __m256i sums = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + LWFC_LANES <= n; i += LWFC_LANES) {
        sums = _mm256_add_epi64(sums,
                                _mm256_sad_epu8(column_load(symbols + i), _mm256_setzero_si256()));
    }
    uint64_t part[4];
    _mm256_storeu_si256((__m256i *)part, sums);
    uint32_t sum = (uint32_t)(part[0] + part[1] + part[2] + part[3]);
    for (; i < n; i++) {
        sum += symbols[i];
    }
    return sum;
}

LWFC_TARGET("avx2,bmi2")
LWFC_INLINE __m256i left_code_avx2(__m256i left, __m256i left2, int levels)
{
    return levels == 2 ? _mm256_add_epi8(left, _mm256_add_epi8(left2, left2)) : left;
}

/* The sum above column x. */
LWFC_TARGET("avx2,bmi2")
LWFC_INLINE __m256i sum_above_avx2(const uint8_t *above, size_t x, size_t width, int levels)
{
    const uint8_t *p = above + x * LWFC_LANES;
    const __m256i up = column_load(p);
    const __m256i up_left = column_load(x ? p - LWFC_LANES : zero_lanes);
    const __m256i up_right = column_load(x + 1 < width ? p + LWFC_LANES : zero_lanes);
    if (levels == 2) {
        const __m256i two = _mm256_add_epi8(up, up);
        return _mm256_add_epi8(_mm256_add_epi8(two, two),
                               _mm256_add_epi8(_mm256_add_epi8(up_left, up_left), up_right));
    }
    const __m256i sum =
        _mm256_add_epi8(_mm256_add_epi8(up, up), _mm256_add_epi8(up_left, up_right));
    if (levels <= 4) {
        return sum;
    }
    const __m256i low = _mm256_set1_epi8(15);
    return _mm256_and_si256(levels <= 8 ? _mm256_srli_epi16(sum, 1) : _mm256_srli_epi16(sum, 2),
                            low);
}

LWFC_TARGET("avx2,bmi2")
static void contexts_avx2(uint8_t *codes, const uint8_t *above, const uint8_t *row, size_t width,
                          int levels)
{
    __m256i left = _mm256_setzero_si256();
    __m256i left2 = left;
    for (size_t x = 0; x < width; x++) {
        const __m256i code = left_code_avx2(left, left2, levels);
        const __m256i sum = sum_above_avx2(above, x, width, levels);
        column_store(codes + x * LWFC_LANES, _mm256_add_epi8(_mm256_slli_epi16(code, 4), sum));
        left2 = left;
        left = column_load(row + x * LWFC_LANES);
    }
}

/* The model in registers: each table of 32 entries as two shuffles. */
struct model_avx2 {
    __m256i left, up;
    __m256i low[15], high[15];
};

LWFC_TARGET("avx2,bmi2")
LWFC_INLINE __m256i table_avx2(const uint8_t *p)
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)p));
}

LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void model_load_avx2(struct model_avx2 *m, const struct lwfc_lanes_model *model,
                                 int levels)
{
    m->left = table_avx2(model->left);
    m->up = table_avx2(model->up);
    for (int k = 0; k < levels - 1; k++) {
        m->low[k] = table_avx2(model->threshold[k]);
        m->high[k] = table_avx2(model->threshold[k] + 16);
    }
}

LWFC_TARGET("avx2,bmi2")
LWFC_INLINE void thresholds_avx2(const struct model_avx2 *m, __m256i context, int levels,
                                 __m256i *c)
{
    /* A shuffle gives zero where the high bit is set: 16 and up for the first
     * index, below 16 for the second. */
    const __m256i i0 = _mm256_adds_epu8(context, _mm256_set1_epi8(112));
    const __m256i i1 = _mm256_sub_epi8(context, _mm256_set1_epi8(16));
    for (int k = 0; k < levels - 1; k++) {
        c[k] = _mm256_or_si256(_mm256_shuffle_epi8(m->low[k], i0),
                               _mm256_shuffle_epi8(m->high[k], i1));
    }
}

LWFC_TARGET("avx2,bmi2")
LWFC_INLINE __m256i live_avx2(int lanes)
{
    const __m256i lane = _mm256_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
                                          17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30,
                                          31);
    return _mm256_cmpgt_epi8(_mm256_set1_epi8((char)lanes), lane);
}

LWFC_TARGET("avx2,bmi2")
LWFC_INLINE const uint8_t *decode_body(uint16_t (*states)[LWFC_LANES],
                                       const struct lwfc_lanes_model *model,
                                       const struct lwfc_lanes_row *r, const uint8_t *in,
                                       int levels, int chains, int partial)
{
    struct model_avx2 m;
    struct lanes_avx2 s[2];
    __m256i live[2], left[2], left2[2];
    uint8_t level[2][DECODE_COLUMNS * LWFC_LANES];
    model_load_avx2(&m, model, levels);
    for (int c = 0; c < chains; c++) {
        s[c] = lanes_load_avx2(states[c]);
        live[c] = live_avx2(r->lanes[c]);
        left[c] = _mm256_setzero_si256();
        left2[c] = left[c];
    }
    const size_t width = r->width;
    for (size_t x0 = 0; x0 < width; x0 += DECODE_COLUMNS) {
        const size_t n = width - x0 < DECODE_COLUMNS ? width - x0 : DECODE_COLUMNS;
        for (int c = 0; c < chains; c++) {
            for (size_t x = 0; x < n; x++) {
                const __m256i sum = sum_above_avx2(r->above[c], x0 + x, width, levels);
                column_store(level[c] + x * LWFC_LANES, _mm256_shuffle_epi8(m.up, sum));
            }
        }
        for (size_t x = 0; x < n; x++) {
            for (int c = 0; c < chains; c++) {
                __m256i t[15], above[15];
                const __m256i code = left_code_avx2(left[c], left2[c], levels);
                const __m256i context = _mm256_add_epi8(column_load(level[c] + x * LWFC_LANES),
                                                        _mm256_shuffle_epi8(m.left, code));
                thresholds_avx2(&m, context, levels, t);
                left2[c] = left[c];
                lanes_decode_avx2(&s[c], above, t, levels, &in, partial ? &live[c] : NULL, 0);
                left[c] = lanes_symbols_avx2(above, levels);
                column_store(r->row[c] + (x0 + x) * LWFC_LANES, left[c]);
            }
        }
    }
    for (int c = 0; c < chains; c++) {
        lanes_store_avx2(states[c], s[c]);
    }
    return in;
}

/* What the backward pass needs of one column. */
struct interval_avx2 {
    __m256i start, freq, recip[2];
};

LWFC_TARGET("avx2,bmi2")
LWFC_INLINE struct interval_avx2 interval_make(const struct model_avx2 *m, __m256i context,
                                               __m256i symbol, int levels)
{
    __m256i t[15];
    __m256i start = _mm256_setzero_si256();
    __m256i last = _mm256_set1_epi8(-1);
    thresholds_avx2(m, context, levels, t);
    for (int k = 0; k < levels - 1; k++) {
        const __m256i above = _mm256_cmpgt_epi8(symbol, _mm256_set1_epi8((char)k));
        start = _mm256_max_epu8(start, _mm256_and_si256(above, t[k]));
        last = _mm256_min_epu8(
            last, _mm256_or_si256(above, _mm256_add_epi8(t[k], _mm256_set1_epi8(-1))));
    }
    struct interval_avx2 v = {.start = start};
    v.freq = _mm256_sub_epi8(_mm256_sub_epi8(last, start), _mm256_set1_epi8(-1));
    lanes_reciprocal_avx2(v.freq, v.recip);
    return v;
}

LWFC_TARGET("avx2,bmi2")
LWFC_INLINE uint8_t *encode_body(uint16_t (*states)[LWFC_LANES],
                                 const struct lwfc_lanes_model *model,
                                 const struct lwfc_lanes_row *r, uint8_t *out, int levels,
                                 int chains, int partial)
{
    struct model_avx2 m;
    struct lanes_avx2 s[2];
    __m256i live[2];
    struct interval_avx2 v[ENCODE_COLUMNS][2];
    model_load_avx2(&m, model, levels);
    for (int c = 0; c < chains; c++) {
        s[c] = lanes_load_avx2(states[c]);
        live[c] = live_avx2(r->lanes[c]);
    }
    const size_t width = r->width;
    for (size_t end = width; end > 0;) {
        const size_t n = (end - 1) % ENCODE_COLUMNS + 1;
        const size_t x0 = end - n;
        for (int c = 0; c < chains; c++) {
            const uint8_t *row = r->row[c] + x0 * LWFC_LANES;
            __m256i left = column_load(x0 >= 1 ? row - LWFC_LANES : zero_lanes);
            __m256i left2 = column_load(x0 >= 2 ? row - 2 * LWFC_LANES : zero_lanes);
            for (size_t x = 0; x < n; x++) {
                const __m256i sum = sum_above_avx2(r->above[c], x0 + x, width, levels);
                const __m256i code = left_code_avx2(left, left2, levels);
                const __m256i context = _mm256_add_epi8(_mm256_shuffle_epi8(m.up, sum),
                                                        _mm256_shuffle_epi8(m.left, code));
                left2 = left;
                left = column_load(row + x * LWFC_LANES);
                v[x][c] = interval_make(&m, context, left, levels);
            }
        }
        for (size_t x = n; x-- > 0;) {
            for (int c = chains; c-- > 0;) {
                lanes_encode_avx2(&s[c], v[x][c].start, v[x][c].freq, v[x][c].recip, &out,
                                  partial ? &live[c] : NULL);
            }
        }
        end = x0;
    }
    for (int c = 0; c < chains; c++) {
        lanes_store_avx2(states[c], s[c]);
    }
    return out;
}

/* One function per number of levels (NAME: 9 to 16 share one) and kind of row. */
#define LANES_CODERS(NAME, LEVELS, KIND, CHAINS, PARTIAL)                                          \
    LWFC_TARGET("avx2,bmi2")                                                                       \
    static const uint8_t *decode_##NAME##_##KIND(uint16_t (*states)[LWFC_LANES],                   \
                                                 const struct lwfc_lanes_model *model,             \
                                                 const struct lwfc_lanes_row *r,                   \
                                                 const uint8_t *in)                                \
    {                                                                                              \
        return decode_body(states, model, r, in, LEVELS, CHAINS, PARTIAL);                         \
    }                                                                                              \
    LWFC_TARGET("avx2,bmi2")                                                                       \
    static uint8_t *encode_##NAME##_##KIND(uint16_t (*states)[LWFC_LANES],                         \
                                           const struct lwfc_lanes_model *model,                   \
                                           const struct lwfc_lanes_row *r, uint8_t *out)           \
    {                                                                                              \
        return encode_body(states, model, r, out, LEVELS, CHAINS, PARTIAL);                        \
    }

#define LANES_CODERS_OF(NAME, LEVELS)                                                              \
    LANES_CODERS(NAME, LEVELS, full, 2, 0)                                                         \
    LANES_CODERS(NAME, LEVELS, partial, 2, 1)                                                      \
    LANES_CODERS(NAME, LEVELS, single, 1, 1)

LANES_CODERS_OF(2, 2)
LANES_CODERS_OF(3, 3)
LANES_CODERS_OF(4, 4)
LANES_CODERS_OF(5, 5)
LANES_CODERS_OF(6, 6)
LANES_CODERS_OF(7, 7)
LANES_CODERS_OF(8, 8)
LANES_CODERS_OF(many, model->levels)

/* Which of the functions of a given number of levels codes this row. */
LWFC_INLINE int row_kind(const struct lwfc_lanes_row *r)
{
    if (r->chains == 1) {
        return 2;
    }
    return r->lanes[0] < LWFC_LANES || r->lanes[1] < LWFC_LANES;
}

#define LANES_TABLE(VERB, NAME)                                                                    \
    {                                                                                              \
        VERB##_##NAME##_full, VERB##_##NAME##_partial, VERB##_##NAME##_single                      \
    }
#define LANES_TABLES(VERB)                                                                         \
    {                                                                                              \
        LANES_TABLE(VERB, 2), LANES_TABLE(VERB, 3), LANES_TABLE(VERB, 4), LANES_TABLE(VERB, 5),    \
            LANES_TABLE(VERB, 6), LANES_TABLE(VERB, 7), LANES_TABLE(VERB, 8),                      \
            LANES_TABLE(VERB, many)                                                                \
    }

static const uint8_t *decode_avx2(uint16_t (*states)[LWFC_LANES],
                                  const struct lwfc_lanes_model *model,
                                  const struct lwfc_lanes_row *r, const uint8_t *in)
{
    static const uint8_t *(*const table[8][3])(
        uint16_t (*)[LWFC_LANES], const struct lwfc_lanes_model *, const struct lwfc_lanes_row *,
        const uint8_t *) = LANES_TABLES(decode);
    return table[model->levels <= 8 ? model->levels - 2 : 7][row_kind(r)](states, model, r, in);
}

static uint8_t *encode_avx2(uint16_t (*states)[LWFC_LANES], const struct lwfc_lanes_model *model,
                            const struct lwfc_lanes_row *r, uint8_t *out)
{
    static uint8_t *(*const table[8][3])(uint16_t (*)[LWFC_LANES], const struct lwfc_lanes_model *,
                                         const struct lwfc_lanes_row *, uint8_t *) =
        LANES_TABLES(encode);
    return table[model->levels <= 8 ? model->levels - 2 : 7][row_kind(r)](states, model, r, out);
}

#endif
