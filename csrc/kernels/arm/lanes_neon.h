/* Rows of 32 lanes for NEON; same bits as the scalar functions of lanes.c. */
#ifndef LWFC_KERNELS_ARM_LANES_NEON_H
#define LWFC_KERNELS_ARM_LANES_NEON_H

#include "kernels/arm/lanes_step_neon.h"
#include "kernels/lanes.h"

static const uint8_t zero_lanes[LWFC_LANES] = {0};

static void gather_neon(uint8_t *columns, const uint8_t *const *runs, int lanes, size_t n)
{
    if (n < 16) {
        gather_scalar(columns, runs, lanes, n);
        return;
    }
    for (int h = 0; h < 2; h++) {
        const uint8_t *from[16];
        size_t step[16];
        for (int i = 0; i < 16; i++) {
            const int used = i + 16 * h < lanes;
            from[i] = used ? runs[i + 16 * h] : zero_lanes;
            step[i] = (size_t)used;
        }
        for (size_t done = 0; done < n;) {
            const size_t at = done + 16 <= n ? done : n - 16;
            uint8x16_t t[16];
            for (int i = 0; i < 16; i++) {
                t[i] = vld1q_u8(from[i] + at * step[i]);
            }
            lanes_transpose_neon(t);
            for (size_t i = 0; i < 16; i++) {
                vst1q_u8(columns + (at + i) * LWFC_LANES + 16 * h, t[i]);
            }
            done = at + 16;
        }
    }
}

static void scatter_neon(uint8_t *const *runs, const uint8_t *columns, int lanes, size_t n)
{
    if (n < 16) {
        scatter_scalar(runs, columns, lanes, n);
        return;
    }
    for (int h = 0; h < 2; h++) {
        /* Local pointers, which the stores cannot alias; idle lanes go to a sink. */
        uint8_t sink[16];
        uint8_t *to[16];
        size_t step[16];
        for (int i = 0; i < 16; i++) {
            const int used = i + 16 * h < lanes;
            to[i] = used ? runs[i + 16 * h] : sink;
            step[i] = (size_t)used;
        }
        for (size_t done = 0; done < n;) {
            const size_t at = done + 16 <= n ? done : n - 16;
            uint8x16_t t[16];
            for (size_t i = 0; i < 16; i++) {
                t[i] = vld1q_u8(columns + (at + i) * LWFC_LANES + 16 * h);
            }
            lanes_transpose_neon(t);
            for (int i = 0; i < 16; i++) {
                vst1q_u8(to[i] + at * step[i], t[i]);
            }
            done = at + 16;
        }
    }
}

static uint32_t sum_neon(const uint8_t *symbols, size_t n)
{
    uint32x4_t sums = vdupq_n_u32(0);
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        sums = vpadalq_u16(sums, vpaddlq_u8(vld1q_u8(symbols + i)));
    }
    return vaddvq_u32(sums) + sum_scalar(symbols + i, n - i);
}

LWFC_INLINE uint8x16_t left_code_neon(uint8x16_t left, uint8x16_t left2, int levels)
{
    return levels == 2 ? vaddq_u8(left, vaddq_u8(left2, left2)) : left;
}

/* The sum above column x, for the 16 lanes at `above`. */
LWFC_INLINE uint8x16_t sum_above_neon(const uint8_t *above, size_t x, size_t width, int levels)
{
    const uint8_t *p = above + x * LWFC_LANES;
    const uint8x16_t up = vld1q_u8(p);
    const uint8x16_t up_left = vld1q_u8(x ? p - LWFC_LANES : zero_lanes);
    const uint8x16_t up_right = vld1q_u8(x + 1 < width ? p + LWFC_LANES : zero_lanes);
    const uint8x16_t two = vaddq_u8(up, up);
    if (levels == 2) {
        return vaddq_u8(vaddq_u8(two, two), vaddq_u8(vaddq_u8(up_left, up_left), up_right));
    }
    const uint8x16_t sum = vaddq_u8(two, vaddq_u8(up_left, up_right));
    return levels <= 4 ? sum : levels <= 8 ? vshrq_n_u8(sum, 1) : vshrq_n_u8(sum, 2);
}

static void contexts_neon(uint8_t *codes, const uint8_t *above, const uint8_t *row, size_t width,
                          int levels)
{
    for (size_t h = 0; h < LWFC_LANES; h += 16) {
        uint8x16_t left = vdupq_n_u8(0);
        uint8x16_t left2 = left;
        for (size_t x = 0; x < width; x++) {
            const uint8x16_t code = left_code_neon(left, left2, levels);
            const uint8x16_t sum = sum_above_neon(above + h, x, width, levels);
            vst1q_u8(codes + x * LWFC_LANES + h, vaddq_u8(vshlq_n_u8(code, 4), sum));
            left2 = left;
            left = vld1q_u8(row + x * LWFC_LANES + h);
        }
    }
}

LWFC_INLINE lanes32 live_neon(int lanes)
{
    static const uint8_t count[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const uint8x16_t lane = vld1q_u8(count);
    const uint8x16_t end = vdupq_n_u8((uint8_t)lanes);
    const lanes32 live = {{vcltq_u8(lane, end), vcltq_u8(vaddq_u8(lane, vdupq_n_u8(16)), end)}};
    return live;
}

LWFC_INLINE const uint8_t *decode_body(uint16_t (*states)[LWFC_LANES],
                                       const struct lwfc_lanes_model *model,
                                       const struct lwfc_lanes_row *r, const uint8_t *in,
                                       int levels, int chains, int partial)
{
    const uint8x16_t left_map = vld1q_u8(model->left);
    const uint8x16_t up_map = vld1q_u8(model->up);
    struct lanes_neon s[LWFC_LANES_CHAINS];
    lanes32 live[LWFC_LANES_CHAINS], left[LWFC_LANES_CHAINS], left2[LWFC_LANES_CHAINS];
    for (int c = 0; c < chains; c++) {
        s[c] = lanes_load_neon(states[c]);
        live[c] = live_neon(r->lanes[c]);
        left[c] = left2[c] = lanes32_fill(0);
    }
    for (size_t x = 0; x < r->width; x++) {
        for (int c = 0; c < chains; c++) {
            lanes32 context;
            for (int h = 0; h < 2; h++) {
                const uint8x16_t sum =
                    sum_above_neon(r->above[c] + 16 * h, x, r->width, levels);
                const uint8x16_t code = left_code_neon(left[c].val[h], left2[c].val[h], levels);
                context.val[h] =
                    vaddq_u8(vqtbl1q_u8(up_map, sum), vqtbl1q_u8(left_map, code));
            }
            struct lanes_search v = lanes_search_start(&s[c]);
            for (int k = 0; k < levels - 1; k++) {
                const lanes32 table = lanes32_load(model->threshold[k]);
                lanes_search_add(&v, &s[c], 0, vqtbl2q_u8(table, context.val[0]));
                lanes_search_add(&v, &s[c], 1, vqtbl2q_u8(table, context.val[1]));
            }
            left2[c] = left[c];
            left[c] = lanes_decode_neon(&s[c], &v, &in, partial ? &live[c] : NULL);
            lanes32_store(r->row[c] + x * LWFC_LANES, left[c]);
        }
    }
    for (int c = 0; c < chains; c++) {
        lanes_store_neon(states[c], s[c]);
    }
    return in;
}

/* Column x of a row. An index of 255 is in no table and leaves the byte as it
 * is, so each symbol's tables fill in the lanes that hold it. */
LWFC_INLINE struct lanes_interval interval_make(const struct lwfc_lanes_model *model,
                                                const uint8_t *above, const uint8_t *row,
                                                size_t x, size_t width, int levels)
{
    struct lanes_interval v = {.start = lanes32_fill(0), .freq = lanes32_fill(0)};
    lanes32 recip_low = lanes32_fill(0), recip_high = lanes32_fill(0);
    const uint8_t *p = row + x * LWFC_LANES;
    lanes32 context;
    const lanes32 symbol = lanes32_load(p);
    const lanes32 left = lanes32_load(x >= 1 ? p - LWFC_LANES : zero_lanes);
    const lanes32 left2 = lanes32_load(x >= 2 ? p - 2 * LWFC_LANES : zero_lanes);
    for (int h = 0; h < 2; h++) {
        const uint8x16_t sum = sum_above_neon(above + 16 * h, x, width, levels);
        const uint8x16_t code = left_code_neon(left.val[h], left2.val[h], levels);
        context.val[h] = vaddq_u8(vqtbl1q_u8(vld1q_u8(model->up), sum),
                                  vqtbl1q_u8(vld1q_u8(model->left), code));
    }
    for (int k = 0; k < levels; k++) {
        const lanes32 start = lanes32_load(model->start[k]);
        const lanes32 freq = lanes32_load(model->freq[k]);
        const lanes32 low = lanes32_load(model->recip_low[k]);
        const lanes32 high = lanes32_load(model->recip_high[k]);
        for (int h = 0; h < 2; h++) {
            const uint8x16_t here = vceqq_u8(symbol.val[h], vdupq_n_u8((uint8_t)k));
            const uint8x16_t index = vornq_u8(context.val[h], here);
            v.start.val[h] = vqtbx2q_u8(v.start.val[h], start, index);
            v.freq.val[h] = vqtbx2q_u8(v.freq.val[h], freq, index);
            recip_low.val[h] = vqtbx2q_u8(recip_low.val[h], low, index);
            recip_high.val[h] = vqtbx2q_u8(recip_high.val[h], high, index);
        }
    }
    for (int h = 0; h < 2; h++) {
        v.recip[2 * h] = vreinterpretq_u16_u8(vzip1q_u8(recip_low.val[h], recip_high.val[h]));
        v.recip[2 * h + 1] = vreinterpretq_u16_u8(vzip2q_u8(recip_low.val[h], recip_high.val[h]));
    }
    return v;
}

LWFC_INLINE uint8_t *encode_body(uint16_t (*states)[LWFC_LANES],
                                 const struct lwfc_lanes_model *model,
                                 const struct lwfc_lanes_row *r, uint8_t *out, int levels,
                                 int chains, int partial)
{
    struct lanes_neon s[LWFC_LANES_CHAINS];
    lanes32 live[LWFC_LANES_CHAINS];
    for (int c = 0; c < chains; c++) {
        s[c] = lanes_load_neon(states[c]);
        live[c] = live_neon(r->lanes[c]);
    }
    for (size_t x = r->width; x-- > 0;) {
        for (int c = chains; c-- > 0;) {
            const struct lanes_interval v =
                interval_make(model, r->above[c], r->row[c], x, r->width, levels);
            lanes_encode_neon(&s[c], &v, &out, partial ? &live[c] : NULL);
        }
    }
    for (int c = 0; c < chains; c++) {
        lanes_store_neon(states[c], s[c]);
    }
    return out;
}

/* One loop per kind of row: two full groups, two of which one has idle lanes,
 * one group. */
#define LANES_KINDS(VERB, AT, LEVELS)                                                      \
    if (r->chains == 1) {                                                                  \
        return VERB##_body(states, model, r, AT, LEVELS, 1, 1);                            \
    }                                                                                      \
    if (r->lanes[0] < LWFC_LANES || r->lanes[1] < LWFC_LANES) {                            \
        return VERB##_body(states, model, r, AT, LEVELS, 2, 1);                            \
    }                                                                                      \
    return VERB##_body(states, model, r, AT, LEVELS, 2, 0)

/* Few levels get their own loops, with nothing left to decide in them. */
#define LANES_FUNCTION(TYPE, VERB, NAME, LEVELS)                                           \
    static TYPE VERB##_##NAME(uint16_t (*states)[LWFC_LANES],                              \
                              const struct lwfc_lanes_model *model,                        \
                              const struct lwfc_lanes_row *r, TYPE at)                     \
    {                                                                                      \
        LANES_KINDS(VERB, at, LEVELS);                                                     \
    }

LANES_FUNCTION(const uint8_t *, decode, 2, 2)
LANES_FUNCTION(const uint8_t *, decode, 3, 3)
LANES_FUNCTION(const uint8_t *, decode, 4, 4)
LANES_FUNCTION(const uint8_t *, decode, any, model->levels)
LANES_FUNCTION(uint8_t *, encode, 2, 2)
LANES_FUNCTION(uint8_t *, encode, 3, 3)
LANES_FUNCTION(uint8_t *, encode, 4, 4)
LANES_FUNCTION(uint8_t *, encode, any, model->levels)

static const uint8_t *decode_neon(uint16_t (*states)[LWFC_LANES],
                                  const struct lwfc_lanes_model *model,
                                  const struct lwfc_lanes_row *r, const uint8_t *in)
{
    switch (model->levels) {
    case 2:
        return decode_2(states, model, r, in);
    case 3:
        return decode_3(states, model, r, in);
    case 4:
        return decode_4(states, model, r, in);
    default:
        return decode_any(states, model, r, in);
    }
}

static uint8_t *encode_neon(uint16_t (*states)[LWFC_LANES], const struct lwfc_lanes_model *model,
                            const struct lwfc_lanes_row *r, uint8_t *out)
{
    switch (model->levels) {
    case 2:
        return encode_2(states, model, r, out);
    case 3:
        return encode_3(states, model, r, out);
    case 4:
        return encode_4(states, model, r, out);
    default:
        return encode_any(states, model, r, out);
    }
}

#endif
