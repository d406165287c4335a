/* The loops of context_kernels.c for NEON; same bits as the scalar ones. */
#ifndef LWFC_KERNELS_ARM_CONTEXT_NEON_H
#define LWFC_KERNELS_ARM_CONTEXT_NEON_H

#include "kernels/arm/lanes_step_neon.h"
#include "kernels/context_levels.h"

enum {
    CONTEXT_BLOCK = 4, /* vectors of 16 positions per pass over the references of a lane */
    CONTEXT_STRIDE = 16 * CONTEXT_BLOCK
};

/* Scores of one lane at 16 * vectors positions. */
LWFC_INLINE void context_lane_neon(int8_t *out, const uint8_t *sample, size_t n,
                                   const struct lwfc_context_reference *r, size_t count,
                                   int vectors)
{
    int8x16_t sum[CONTEXT_BLOCK];
    for (int v = 0; v < vectors; v++) {
        sum[v] = vdupq_n_s8(0);
    }
    for (size_t j = 0; j < count; j++) {
        const int8x16_t table = vld1q_s8(r[j].table);
        const uint8_t *plane = sample + r[j].channel * n;
        for (int v = 0; v < vectors; v++) {
            sum[v] = vqaddq_s8(sum[v], vqtbl1q_s8(table, vld1q_u8(plane + 16 * v)));
        }
    }
    for (int v = 0; v < vectors; v++) {
        vst1q_s8(out + 16 * v, sum[v]);
    }
}

/* Scores of 16 * vectors positions. */
LWFC_INLINE void context_block_neon(int8_t *score, const uint8_t *sample, size_t n,
                                    const struct lwfc_context_group *group,
                                    const struct lwfc_context_reference *list, int vectors)
{
    int8_t rows[LWFC_LANES * CONTEXT_STRIDE];
    for (size_t lane = 0; lane < LWFC_LANES; lane++) {
        context_lane_neon(rows + lane * CONTEXT_STRIDE, sample, n, list + group->first[lane],
                          group->first[lane + 1] - group->first[lane], vectors);
    }
    for (size_t tile = 0; tile < 2 * (size_t)vectors; tile++) {
        const size_t h = tile % 2 * 16;
        const size_t position = tile / 2 * 16;
        uint8x16_t t[16];
        for (size_t i = 0; i < 16; i++) {
            t[i] = vreinterpretq_u8_s8(vld1q_s8(rows + (h + i) * CONTEXT_STRIDE + position));
        }
        lanes_transpose_neon(t);
        for (size_t i = 0; i < 16; i++) {
            vst1q_s8(score + (position + i) * LWFC_LANES + h, vreinterpretq_s8_u8(t[i]));
        }
    }
}

static void context_references_neon(int8_t *score, const uint8_t *sample, size_t n,
                                    const struct lwfc_context_group *group,
                                    const struct lwfc_context_reference *list)
{
    for (size_t i = 0; i < n; i += CONTEXT_STRIDE) {
        int8_t *const to = score + i * LWFC_LANES;
        if (n - i > CONTEXT_STRIDE / 2) {
            context_block_neon(to, sample + i, n, group, list, CONTEXT_BLOCK);
        } else {
            context_block_neon(to, sample + i, n, group, list, CONTEXT_BLOCK / 2);
        }
    }
}

/* What eight lanes of a column get from the rows above; sums fit 16 bits. */
LWFC_INLINE int8x8_t context_above8_neon(int8x8_t score, const int8x8_t symbol[5],
                                         const int8x8_t weight[5], int16x8_t offset,
                                         int16x8_t shift)
{
    int16x8_t sum = vaddq_s16(offset, vshlq_s16(vmovl_s8(score), shift));
    for (int i = 0; i < 5; i++) {
        sum = vmlal_s8(sum, symbol[i], weight[i]);
    }
    return vqmovn_s16(vshlq_s16(sum, vnegq_s16(shift)));
}

/* Eight lanes at a time, so that their weights stay in registers. */
static void context_above_neon(int8_t *score, const uint8_t *symbols, size_t width,
                               const struct lwfc_context_group *group,
                               const struct lwfc_context_scale *scale)
{
    const int16x8_t shift = vdupq_n_s16((int16_t)scale->shift);
    for (size_t lane = 0; lane < LWFC_LANES; lane += 8) {
        const uint8_t *const row1 = symbols - width * LWFC_LANES + lane;
        const uint8_t *const row2 = row1 - width * LWFC_LANES;
        const int16x8_t offset = vld1q_s16(group->offset + lane);
        int8x8_t weight[5];
        for (int i = 0; i < 5; i++) {
            weight[i] = vld1_s8(group->above[i] + lane);
        }
        uint8x8_t left = vdup_n_u8(0);
        uint8x8_t up = vld1_u8(row1);
        for (size_t x = 0; x < width; x++) {
            const size_t at = x * LWFC_LANES;
            /* Past the last column stands the current row: not known yet. */
            const uint8x8_t right =
                x + 1 < width ? vld1_u8(row1 + at + LWFC_LANES) : vdup_n_u8(0);
            const int8x8_t symbol[5] = {
                vreinterpret_s8_u8(up), vreinterpret_s8_u8(left), vreinterpret_s8_u8(right),
                vreinterpret_s8_u8(vld1_u8(row2 + at)),
                vreinterpret_s8_u8(vmin_u8(up, vdup_n_u8(1)))};
            int8_t *const to = score + at + lane;
            vst1_s8(to, context_above8_neon(vld1_s8(to), symbol, weight, offset, shift));
            left = up;
            up = right;
        }
    }
}

struct context_link_neon {
    uint8x16x2_t table;
    uint8x16_t most;
    int8x16_t coarse; /* negative: shifts right */
};

LWFC_INLINE struct context_link_neon context_link_neon(const struct lwfc_context_scale *scale)
{
    const struct context_link_neon l = {
        {{vld1q_u8(scale->link), vld1q_u8(scale->link + 16)}},
        vdupq_n_u8((uint8_t)((32 << scale->coarse) - 1)),
        vdupq_n_s8((int8_t)-scale->coarse)};
    return l;
}

/* C_{k+1} of the 16 lanes of half h from the sum of all but the bias. */
LWFC_INLINE uint8x16_t context_start_neon(int8x16_t sum, const struct lwfc_context_group *g,
                                          const struct context_link_neon *link, int k, int h)
{
    const int8x16_t v = vqaddq_s8(sum, vld1q_s8(g->bias[k] + 16 * h));
    const uint8x16_t negative = vcltzq_s8(v);
    const uint8x16_t size = vminq_u8(vreinterpretq_u8_s8(vabsq_s8(v)), link->most);
    const uint8x16_t start = vqtbl2q_u8(link->table, vshlq_u8(size, link->coarse));
    return vaddq_u8(vsubq_u8(veorq_u8(start, negative), negative), vdupq_n_u8((uint8_t)k));
}

/* What a symbol adds to the score one column on (table: left) or two (left2). */
LWFC_INLINE lanes32 context_after_neon(lanes32 symbol, const int8_t (*table)[LWFC_LANES],
                                       int levels)
{
    lanes32 sum = lanes32_fill(0);
    for (int k = 0; k < levels - 1; k++) {
        const lanes32 increment = lanes32_load((const uint8_t *)table[k]);
        for (int h = 0; h < 2; h++) {
            const uint8x16_t m = vcgtq_u8(symbol.val[h], vdupq_n_u8((uint8_t)k));
            sum.val[h] = vaddq_u8(sum.val[h], vandq_u8(m, increment.val[h]));
        }
    }
    return sum;
}

LWFC_INLINE int8x16_t context_sum_neon(const int8_t *score, const lanes32 *far,
                                       const lanes32 *near, int h)
{
    return vqaddq_s8(vqaddq_s8(vld1q_s8(score + 16 * h), vreinterpretq_s8_u8(far->val[h])),
                     vreinterpretq_s8_u8(near->val[h]));
}

static void context_thresholds_neon(uint8_t (*threshold)[LWFC_LANES], const int8_t *score,
                                    const uint8_t *left, const uint8_t *left2,
                                    const struct lwfc_context_group *group,
                                    const struct lwfc_context_scale *scale)
{
    const struct context_link_neon link = context_link_neon(scale);
    const lanes32 near = context_after_neon(lanes32_load(left), group->left, scale->levels);
    const lanes32 far = context_after_neon(lanes32_load(left2), group->left2, scale->levels);
    for (int h = 0; h < 2; h++) {
        const int8x16_t sum = context_sum_neon(score, &far, &near, h);
        for (int k = 0; k < scale->levels - 1; k++) {
            vst1q_u8(threshold[k] + 16 * h, context_start_neon(sum, group, &link, k, h));
        }
    }
}

/* The symbols `back` columns before column x of the piece. */
LWFC_INLINE lanes32 context_left_neon(const struct lwfc_context_piece *p, int chain, int x,
                                      int back)
{
    if (p->start + x < back) {
        return lanes32_fill(0);
    }
    return lanes32_load(p->symbols[chain] + (ptrdiff_t)(x - back) * LWFC_LANES);
}

LWFC_INLINE const uint8_t *context_decode_as_neon(uint16_t (*states)[LWFC_LANES],
                                                  const struct lwfc_context_piece *piece,
                                                  const struct lwfc_context_group *group,
                                                  const struct lwfc_context_scale *scale,
                                                  const uint8_t *in, int levels, int chains,
                                                  const lanes32 *live)
{
    const struct context_link_neon link = context_link_neon(scale);
    struct lanes_neon s[LWFC_CONTEXT_CHAINS];
    lanes32 near[LWFC_CONTEXT_CHAINS], far[LWFC_CONTEXT_CHAINS], later[LWFC_CONTEXT_CHAINS];
    for (int c = 0; c < chains; c++) {
        const lanes32 left = context_left_neon(piece, c, 0, 1);
        s[c] = lanes_load_neon(states[c]);
        far[c] = context_after_neon(context_left_neon(piece, c, 0, 2), group->left2, levels);
        near[c] = context_after_neon(left, group->left, levels);
        later[c] = context_after_neon(left, group->left2, levels);
    }
    for (int x = 0; x < piece->width; x++) {
        for (int c = 0; c < chains; c++) {
            const size_t at = (size_t)x * LWFC_LANES;
            struct lanes_search v = lanes_search_start(&s[c]);
            for (int h = 0; h < 2; h++) {
                const int8x16_t sum =
                    context_sum_neon(piece->score[c] + at, &far[c], &near[c], h);
                for (int k = 0; k < levels - 1; k++) {
                    lanes_search_add(&v, &s[c], h, context_start_neon(sum, group, &link, k, h));
                }
            }
            const lanes32 symbol = lanes_decode_neon(&s[c], &v, &in, live);
            lanes32_store(piece->symbols[c] + at, symbol);
            far[c] = later[c];
            near[c] = context_after_neon(symbol, group->left, levels);
            later[c] = context_after_neon(symbol, group->left2, levels);
        }
    }
    for (int c = 0; c < chains; c++) {
        lanes_store_neon(states[c], s[c]);
    }
    return in;
}

/* Reciprocals as lanes_divide_neon wants them: the estimate is right to 8 bits
 * and a step of Newton's errs downwards by the square of that. */
LWFC_INLINE void context_reciprocal_neon(uint8x16_t freq, uint16x8_t recip[2])
{
    for (int i = 0; i < 2; i++) {
        const uint16x8_t f = i == 0 ? vmovl_u8(vget_low_u8(freq)) : vmovl_high_u8(freq);
        const float32x4_t a = vcvtq_f32_u32(vmovl_u16(vget_low_u16(f)));
        const float32x4_t b = vcvtq_f32_u32(vmovl_high_u16(f));
        const float32x4_t ra = vrecpeq_f32(a);
        const float32x4_t rb = vrecpeq_f32(b);
        const float32x4_t scale = vdupq_n_f32(65536.0f);
        recip[i] = vqmovn_high_u32(
            vqmovn_u32(vcvtq_u32_f32(vmulq_f32(vmulq_f32(ra, scale), vrecpsq_f32(a, ra)))),
            vcvtq_u32_f32(vmulq_f32(vmulq_f32(rb, scale), vrecpsq_f32(b, rb))));
    }
}

/* The part of `symbol` between the thresholds of half h. */
LWFC_INLINE void context_interval_neon(struct lanes_interval *v, uint8x16_t symbol, int8x16_t sum,
                                       const struct lwfc_context_group *group,
                                       const struct context_link_neon *link, int levels, int h)
{
    uint8x16_t start = vdupq_n_u8(0);
    uint8x16_t last = vdupq_n_u8(255);
    for (int k = 0; k < levels - 1; k++) {
        const uint8x16_t threshold = context_start_neon(sum, group, link, k, h);
        const uint8x16_t m = vcgtq_u8(symbol, vdupq_n_u8((uint8_t)k));
        start = vmaxq_u8(start, vandq_u8(m, threshold));
        last = vminq_u8(last, vorrq_u8(m, vsubq_u8(threshold, vdupq_n_u8(1))));
    }
    v->start.val[h] = start;
    v->freq.val[h] = vaddq_u8(vsubq_u8(last, start), vdupq_n_u8(1));
    context_reciprocal_neon(v->freq.val[h], &v->recip[2 * h]);
}

LWFC_INLINE uint8_t *context_encode_as_neon(uint16_t (*states)[LWFC_LANES],
                                            const struct lwfc_context_piece *piece,
                                            const struct lwfc_context_group *group,
                                            const struct lwfc_context_scale *scale, uint8_t *out,
                                            int levels, int chains, const lanes32 *live)
{
    const struct context_link_neon link = context_link_neon(scale);
    struct lanes_neon s[LWFC_CONTEXT_CHAINS];
    for (int c = 0; c < chains; c++) {
        s[c] = lanes_load_neon(states[c]);
    }
    for (int x = piece->width - 1; x >= 0; x--) {
        for (int c = chains - 1; c >= 0; c--) {
            const size_t at = (size_t)x * LWFC_LANES;
            const lanes32 symbol = lanes32_load(piece->symbols[c] + at);
            const lanes32 near =
                context_after_neon(context_left_neon(piece, c, x, 1), group->left, levels);
            const lanes32 far =
                context_after_neon(context_left_neon(piece, c, x, 2), group->left2, levels);
            struct lanes_interval v;
            for (int h = 0; h < 2; h++) {
                const int8x16_t sum = context_sum_neon(piece->score[c] + at, &far, &near, h);
                context_interval_neon(&v, symbol.val[h], sum, group, &link, levels, h);
            }
            lanes_encode_neon(&s[c], &v, &out, live);
        }
    }
    for (int c = 0; c < chains; c++) {
        lanes_store_neon(states[c], s[c]);
    }
    return out;
}

/* One compiled loop per number of chains and whether lanes are idle; few levels
 * get their own, so that their loops unroll. */
#define CONTEXT_FUNCTION(type, verb, name, levels)                                              \
    static type context_##verb##_##name##_neon(                                                 \
        uint16_t (*states)[LWFC_LANES], const struct lwfc_context_piece *piece,                 \
        const struct lwfc_context_group *group, const struct lwfc_context_scale *scale, type at) \
    {                                                                                           \
        if (piece->live) {                                                                      \
            const lanes32 live = lanes32_load(piece->live);                                     \
            return piece->chains == 2 ? context_##verb##_as_neon(states, piece, group, scale,   \
                                                                 at, levels, 2, &live)          \
                                      : context_##verb##_as_neon(states, piece, group, scale,   \
                                                                 at, levels, 1, &live);         \
        }                                                                                       \
        return piece->chains == 2                                                               \
                   ? context_##verb##_as_neon(states, piece, group, scale, at, levels, 2, NULL) \
                   : context_##verb##_as_neon(states, piece, group, scale, at, levels, 1, NULL); \
    }

LWFC_CONTEXT_LEVELS(CONTEXT_FUNCTION, neon)

#endif
