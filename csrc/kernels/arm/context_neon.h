/* The serial loops of context_kernels.h for NEON; same bits as the scalar ones. */
#ifndef LWFC_KERNELS_ARM_CONTEXT_NEON_H
#define LWFC_KERNELS_ARM_CONTEXT_NEON_H

#include "kernels/arm/context_scores_neon.h"
#include "kernels/arm/lanes_step_neon.h"
#include "kernels/context_levels.h"

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

/* Both scores of one column, or what symbols add to them. */
struct context_sum_neon {
    lanes32 score[LWFC_CONTEXT_SCORES];
};

/* The 16 lanes of half h on the way through their thresholds. */
struct context_half_neon {
    int8x16_t sum, spread, before;
};

LWFC_INLINE struct context_half_neon context_half_neon(const struct context_sum_neon *sum, int h,
                                                       int scores)
{
    const struct context_half_neon s = {
        vreinterpretq_s8_u8(sum->score[0].val[h]),
        scores == 2 ? vreinterpretq_s8_u8(sum->score[1].val[h]) : vdupq_n_s8(0), vdupq_n_s8(127)};
    return s;
}

/* C_{k+1} of half h; k rises from 0. */
LWFC_INLINE uint8x16_t context_start_neon(struct context_half_neon *s,
                                          const struct lwfc_context_group *g,
                                          const struct context_link_neon *link, int k, int h,
                                          int levels, int scores)
{
    int8x16_t v = vqaddq_s8(s->sum, vld1q_s8(g->bias[k] + 16 * h));
    if (scores == 2) {
        const int side = lwfc_context_side(k, levels);
        v = side > 0 ? vqaddq_s8(v, s->spread) : side < 0 ? vqsubq_s8(v, s->spread) : v;
        v = vminq_s8(v, s->before);
        s->before = v;
    }
    const uint8x16_t negative = vcltzq_s8(v);
    const uint8x16_t size = vminq_u8(vreinterpretq_u8_s8(vabsq_s8(v)), link->most);
    const uint8x16_t start = vqtbl2q_u8(link->table, vshlq_u8(size, link->coarse));
    return vaddq_u8(vsubq_u8(veorq_u8(start, negative), negative), vdupq_n_u8((uint8_t)k));
}

/* What a symbol adds to the scores one and two columns on. */
LWFC_INLINE void context_after_neon(struct context_sum_neon *near, struct context_sum_neon *far,
                                    lanes32 symbol, const struct lwfc_context_group *g,
                                    int levels, int scores)
{
    for (int s = 0; s < scores; s++) {
        near->score[s] = lanes32_fill(0);
        far->score[s] = lanes32_fill(0);
    }
    for (int k = 0; k < levels - 1; k++) {
        for (int h = 0; h < 2; h++) {
            const uint8x16_t m = vcgtq_u8(symbol.val[h], vdupq_n_u8((uint8_t)k));
            for (int s = 0; s < scores; s++) {
                const lanes32 one = lanes32_load((const uint8_t *)g->score[s].left[k]);
                const lanes32 two = lanes32_load((const uint8_t *)g->score[s].left2[k]);
                uint8x16_t *const to1 = &near->score[s].val[h];
                uint8x16_t *const to2 = &far->score[s].val[h];
                *to1 = vbslq_u8(m, one.val[h], *to1);
                *to2 = vbslq_u8(m, two.val[h], *to2);
            }
        }
    }
}

LWFC_INLINE void context_add_neon(struct context_sum_neon *sum, const int8_t *const *score,
                                  size_t at, const struct context_sum_neon *far,
                                  const struct context_sum_neon *near, int scores)
{
    for (int s = 0; s < scores; s++) {
        for (int h = 0; h < 2; h++) {
            const int8x16_t v =
                vqaddq_s8(vld1q_s8(score[s] + at + 16 * h),
                          vreinterpretq_s8_u8(far->score[s].val[h]));
            sum->score[s].val[h] = vreinterpretq_u8_s8(
                vqaddq_s8(v, vreinterpretq_s8_u8(near->score[s].val[h])));
        }
    }
}

static void context_thresholds_neon(uint8_t (*threshold)[LWFC_LANES], const int8_t *const *score,
                                    const uint8_t *left, const uint8_t *left2,
                                    const struct lwfc_context_group *group,
                                    const struct lwfc_context_scale *scale)
{
    const struct context_link_neon link = context_link_neon(scale);
    const int levels = scale->levels;
    const int scores = scale->scores;
    struct context_sum_neon near, far, sum, unused;
    context_after_neon(&near, &unused, lanes32_load(left), group, levels, scores);
    context_after_neon(&unused, &far, lanes32_load(left2), group, levels, scores);
    context_add_neon(&sum, score, 0, &far, &near, scores);
    for (int h = 0; h < 2; h++) {
        struct context_half_neon half = context_half_neon(&sum, h, scores);
        for (int k = 0; k < levels - 1; k++) {
            vst1q_u8(threshold[k] + 16 * h,
                     context_start_neon(&half, group, &link, k, h, levels, scores));
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
                                                  const uint8_t *in, int levels, int scores,
                                                  int chains, const lanes32 *live)
{
    const struct context_link_neon link = context_link_neon(scale);
    struct lanes_neon s[LWFC_CONTEXT_CHAINS];
    struct context_sum_neon near[LWFC_CONTEXT_CHAINS];
    struct context_sum_neon far[LWFC_CONTEXT_CHAINS];
    struct context_sum_neon later[LWFC_CONTEXT_CHAINS];
    const int8_t *score[LWFC_CONTEXT_CHAINS][LWFC_CONTEXT_SCORES];
    for (int c = 0; c < chains; c++) {
        struct context_sum_neon unused;
        const lanes32 left2 = context_left_neon(piece, c, 0, 2);
        const lanes32 left = context_left_neon(piece, c, 0, 1);
        s[c] = lanes_load_neon(states[c]);
        context_after_neon(&unused, &far[c], left2, group, levels, scores);
        context_after_neon(&near[c], &later[c], left, group, levels, scores);
        for (int i = 0; i < scores; i++) {
            score[c][i] = piece->score[i][c];
        }
    }
    for (int x = 0; x < piece->width; x++) {
        for (int c = 0; c < chains; c++) {
            const size_t at = (size_t)x * LWFC_LANES;
            struct lanes_search v = lanes_search_start(&s[c]);
            struct context_sum_neon sum;
            context_add_neon(&sum, score[c], at, &far[c], &near[c], scores);
            for (int h = 0; h < 2; h++) {
                struct context_half_neon half = context_half_neon(&sum, h, scores);
                for (int k = 0; k < levels - 1; k++) {
                    lanes_search_add(
                        &v, &s[c], h,
                        context_start_neon(&half, group, &link, k, h, levels, scores));
                }
            }
            const lanes32 symbol = lanes_decode_neon(&s[c], &v, &in, live);
            lanes32_store(piece->symbols[c] + at, symbol);
            far[c] = later[c];
            context_after_neon(&near[c], &later[c], symbol, group, levels, scores);
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
LWFC_INLINE void context_interval_neon(struct lanes_interval *v, uint8x16_t symbol,
                                       const struct context_sum_neon *sum,
                                       const struct lwfc_context_group *group,
                                       const struct context_link_neon *link, int levels,
                                       int scores, int h)
{
    struct context_half_neon half = context_half_neon(sum, h, scores);
    uint8x16_t start = vdupq_n_u8(0);
    uint8x16_t last = vdupq_n_u8(255);
    for (int k = 0; k < levels - 1; k++) {
        const uint8x16_t threshold =
            context_start_neon(&half, group, link, k, h, levels, scores);
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
                                            int levels, int scores, int chains,
                                            const lanes32 *live)
{
    const struct context_link_neon link = context_link_neon(scale);
    struct lanes_neon s[LWFC_CONTEXT_CHAINS];
    struct context_sum_neon near[LWFC_CONTEXT_CHAINS];
    const int8_t *score[LWFC_CONTEXT_CHAINS][LWFC_CONTEXT_SCORES];
    for (int c = 0; c < chains; c++) {
        struct context_sum_neon unused;
        const lanes32 left = context_left_neon(piece, c, piece->width - 1, 1);
        s[c] = lanes_load_neon(states[c]);
        context_after_neon(&near[c], &unused, left, group, levels, scores);
        for (int i = 0; i < scores; i++) {
            score[c][i] = piece->score[i][c];
        }
    }
    for (int x = piece->width - 1; x >= 0; x--) {
        for (int c = chains - 1; c >= 0; c--) {
            const size_t at = (size_t)x * LWFC_LANES;
            const lanes32 symbol = lanes32_load(piece->symbols[c] + at);
            const lanes32 left2 = context_left_neon(piece, c, x, 2);
            struct lanes_interval v;
            struct context_sum_neon sum, next, far;
            context_after_neon(&next, &far, left2, group, levels, scores);
            context_add_neon(&sum, score[c], at, &far, &near[c], scores);
            near[c] = next;
            for (int h = 0; h < 2; h++) {
                context_interval_neon(&v, symbol.val[h], &sum, group, &link, levels, scores, h);
            }
            lanes_encode_neon(&s[c], &v, &out, live);
        }
    }
    for (int c = 0; c < chains; c++) {
        lanes_store_neon(states[c], s[c]);
    }
    return out;
}

#define CONTEXT_RUN_NEON(verb, levels, scores, chains, live)                                    \
    context_##verb##_as_neon(states, piece, group, scale, at, levels, scores, chains, live)

/* One compiled loop per number of chains and whether lanes are idle; few levels
 * get their own, so that their loops unroll. */
#define CONTEXT_FUNCTION_NEON(type, verb, name, levels, scores)                                 \
    static type context_##verb##_##name##_neon(                                                 \
        uint16_t (*states)[LWFC_LANES], const struct lwfc_context_piece *piece,                 \
        const struct lwfc_context_group *group, const struct lwfc_context_scale *scale, type at) \
    {                                                                                           \
        if (piece->live) {                                                                      \
            const lanes32 live = lanes32_load(piece->live);                                     \
            return piece->chains == 2 ? CONTEXT_RUN_NEON(verb, levels, scores, 2, &live)        \
                                      : CONTEXT_RUN_NEON(verb, levels, scores, 1, &live);       \
        }                                                                                       \
        return piece->chains == 2 ? CONTEXT_RUN_NEON(verb, levels, scores, 2, NULL)             \
                                  : CONTEXT_RUN_NEON(verb, levels, scores, 1, NULL);            \
    }

LWFC_CONTEXT_LEVELS(CONTEXT_FUNCTION_NEON, neon)

#endif
