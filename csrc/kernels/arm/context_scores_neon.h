/* Scores from references and from the rows above, for NEON; same bits as the
 * scalar ones of context_kernels.c. */
#ifndef LWFC_KERNELS_ARM_CONTEXT_SCORES_NEON_H
#define LWFC_KERNELS_ARM_CONTEXT_SCORES_NEON_H

#include "kernels/arm/lanes32_neon.h"
#include "kernels/context_places.h"

enum {
    CONTEXT_BLOCK = 4, /* vectors of 16 positions per pass over the references of a lane */
    CONTEXT_STRIDE = 16 * CONTEXT_BLOCK
};

/* Which symbols of each place lie in the plane, for a block of positions. */
struct context_places_neon {
    uint8x16_t inside[LWFC_CONTEXT_PLACES][CONTEXT_BLOCK];
};

/* The block at i; returns whether any place leaves the plane. */
LWFC_INLINE int context_places_neon(struct context_places_neon *p, size_t i, size_t n,
                                    size_t width)
{
    static const uint8_t bytes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    uint8x16_t j = vld1q_u8(bytes);
    struct lwfc_context_inside in;
    if (!lwfc_context_leaves(&in, i, CONTEXT_STRIDE, n, width)) {
        return 0;
    }
    for (int v = 0; v < CONTEXT_BLOCK; v++) {
        for (uint32_t place = 0; place < LWFC_CONTEXT_PLACES; place++) {
            p->inside[place][v] = vandq_u8(vcgeq_u8(j, vdupq_n_u8((uint8_t)in.from[place])),
                                           vcltq_u8(j, vdupq_n_u8((uint8_t)in.to[place])));
        }
        j = vaddq_u8(j, vdupq_n_u8(16));
    }
    return 1;
}

/* What one reference adds at vector v of the block. */
LWFC_INLINE int8x16_t context_added_neon(const struct lwfc_context_reference *r, int score,
                                         const uint8_t *plane, const struct context_places_neon *p,
                                         int edge, int v)
{
    uint8x16_t s = vld1q_u8(plane + 16 * v);
    if (edge) {
        s = vandq_u8(s, p->inside[r->place][v]);
    }
    return vqtbl1q_s8(vld1q_s8(r->table[score]), s);
}

/* Scores of one lane at 16 * vectors positions. */
LWFC_INLINE void context_lane_neon(int8_t *out, const uint8_t *block, const ptrdiff_t *offset,
                                   const struct lwfc_context_reference *r, size_t count,
                                   const struct context_places_neon *p, int edge, int score,
                                   int vectors)
{
    int8x16_t sum[CONTEXT_BLOCK];
    for (int v = 0; v < vectors; v++) {
        sum[v] = vdupq_n_s8(0);
    }
    for (size_t j = 0; j < count; j += 4) {
        for (int v = 0; v < vectors; v++) {
            int8x16_t t[4];
            for (size_t k = 0; k < 4; k++) {
                t[k] = context_added_neon(&r[j + k], score, block + offset[j + k], p, edge, v);
            }
            /* Only the running sum may leave a signed byte. */
            sum[v] = vqaddq_s8(sum[v], vaddq_s8(vaddq_s8(t[0], t[1]), vaddq_s8(t[2], t[3])));
        }
    }
    for (int v = 0; v < vectors; v++) {
        vst1q_s8(out + 16 * v, sum[v]);
    }
}

/* Scores of 16 * vectors positions. */
LWFC_INLINE void context_block_neon(int8_t *to, const uint8_t *block, const ptrdiff_t *offset,
                                    const struct lwfc_context_group *group,
                                    const struct lwfc_context_reference *list,
                                    const struct context_places_neon *p, int edge, int score,
                                    int vectors)
{
    int8_t rows[LWFC_LANES * CONTEXT_STRIDE];
    for (size_t lane = 0; lane < LWFC_LANES; lane++) {
        const uint32_t first = group->first[lane];
        context_lane_neon(rows + lane * CONTEXT_STRIDE, block, offset + first - group->first[0],
                          list + first, group->first[lane + 1] - first, p, edge, score, vectors);
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
            vst1q_s8(to + (position + i) * LWFC_LANES + h, vreinterpretq_s8_u8(t[i]));
        }
    }
}

static void context_references_neon(int8_t *const *score, const uint8_t *sample, size_t n,
                                    size_t width, const struct lwfc_context_group *group,
                                    const struct lwfc_context_reference *list,
                                    const struct lwfc_context_scale *scale)
{
    ptrdiff_t offset[LWFC_CONTEXT_REFERENCES];
    lwfc_context_offsets(offset, n, width, group, list);
    for (size_t i = 0; i < n; i += CONTEXT_STRIDE) {
        struct context_places_neon p;
        const int edge = context_places_neon(&p, i, n, width);
        const uint8_t *const block = sample + i;
        for (int s = 0; s < scale->scores; s++) {
            int8_t *const to = score[s] + i * LWFC_LANES;
            if (!edge) {
                context_block_neon(to, block, offset, group, list, &p, 0, s, CONTEXT_BLOCK);
            } else if (n - i > 32) {
                context_block_neon(to, block, offset, group, list, &p, 1, s, CONTEXT_BLOCK);
            } else if (n - i > 16) {
                context_block_neon(to, block, offset, group, list, &p, 1, s, 2);
            } else {
                context_block_neon(to, block, offset, group, list, &p, 1, s, 1);
            }
        }
    }
}

/* Adds the symbols of a row to the sums. */
LWFC_INLINE void context_sums_neon(uint32_t *sums, const uint8_t *row, size_t width)
{
    for (size_t x = 0; x < width;) {
        lanes32 few = lanes32_fill(0); /* 17 symbols of 15 fit a byte */
        for (const size_t end = x + 17 < width ? x + 17 : width; x < end; x++) {
            const lanes32 symbol = lanes32_load(row + x * LWFC_LANES);
            few.val[0] = vaddq_u8(few.val[0], symbol.val[0]);
            few.val[1] = vaddq_u8(few.val[1], symbol.val[1]);
        }
        uint8_t bytes[LWFC_LANES];
        lanes32_store(bytes, few);
        for (size_t lane = 0; lane < LWFC_LANES; lane++) {
            sums[lane] += bytes[lane];
        }
    }
}

/* lwfc_context_row_offset for all lanes; fits 16 bits. */
LWFC_INLINE void context_offsets_neon(int16_t *offset, const struct lwfc_context_weights *w,
                                      const uint32_t *sums, const uint8_t *prior, size_t width,
                                      size_t y)
{
    for (size_t lane = 0; lane < LWFC_LANES; lane++) {
        offset[lane] =
            (int16_t)lwfc_context_row_offset(w, lane, sums[lane], prior[lane], width, y);
    }
}

/* What 16 lanes of a row need, so that it stays in registers. */
struct context_row_neon {
    int8x16_t weight[LWFC_CONTEXT_ABOVE];
    int16x8_t offset[2], shift;
};

/* Sums fit 16 bits. */
LWFC_INLINE void context_column_neon(int8_t *score, const uint8x16_t *near, int count,
                                     const struct context_row_neon *row)
{
    const int8x16_t s = vld1q_s8(score);
    int16x8_t lo = vaddq_s16(row->offset[0], vshlq_s16(vmovl_s8(vget_low_s8(s)), row->shift));
    int16x8_t hi = vaddq_s16(row->offset[1], vshlq_s16(vmovl_high_s8(s), row->shift));
    for (int i = 0; i < count; i++) {
        const int8x16_t symbol = vreinterpretq_s8_u8(near[i]);
        lo = vmlal_s8(lo, vget_low_s8(symbol), vget_low_s8(row->weight[i]));
        hi = vmlal_high_s8(hi, symbol, row->weight[i]);
    }
    const int16x8_t back = vnegq_s16(row->shift);
    vst1q_s8(score, vqmovn_high_s16(vqmovn_s16(vshlq_s16(lo, back)), vshlq_s16(hi, back)));
}

/* 16 lanes of a row; count: neighbours that matter, 4 or 5. */
LWFC_INLINE void context_score_above_neon(int8_t *score, const uint8_t *row1,
                                          const uint8_t *row2, size_t width, int count,
                                          const struct context_row_neon *from)
{
    const struct context_row_neon row = *from; /* scores may not alias a copy */
    uint8x16_t left = vdupq_n_u8(0);
    uint8x16_t up = vld1q_u8(row1);
    for (size_t x = 0; x < width; x++) {
        const size_t at = x * LWFC_LANES;
        /* Past the last column stands the current row: not known yet. */
        const uint8x16_t right =
            x + 1 < width ? vld1q_u8(row1 + at + LWFC_LANES) : vdupq_n_u8(0);
        const uint8x16_t near[5] = {up, vld1q_u8(row2 + at), left, right,
                                    vminq_u8(up, vdupq_n_u8(1))};
        context_column_neon(score + at, near, count, &row);
        left = up;
        up = right;
    }
}

static void context_above_neon(int8_t *const *score, const uint8_t *symbols, size_t width,
                               size_t y, uint32_t sums[LWFC_LANES],
                               const struct lwfc_context_group *group,
                               const struct lwfc_context_scale *scale)
{
    const uint8_t *const row1 = symbols - width * LWFC_LANES;
    const uint8_t *const row2 = row1 - width * LWFC_LANES;
    if (y == 0) {
        memset(sums, 0, LWFC_LANES * sizeof *sums);
    } else {
        context_sums_neon(sums, row1, width);
    }
    for (int s = 0; s < scale->scores; s++) {
        const struct lwfc_context_weights *const w = &group->score[s];
        int16_t offset[LWFC_LANES];
        context_offsets_neon(offset, w, sums, group->prior, width, y);
        for (size_t h = 0; h < LWFC_LANES; h += 16) {
            struct context_row_neon row = {
                .offset = {vld1q_s16(offset + h), vld1q_s16(offset + h + 8)},
                .shift = vdupq_n_s16((int16_t)scale->shift)};
            for (int i = 0; i < LWFC_CONTEXT_ABOVE; i++) {
                row.weight[i] = vld1q_s8(w->above[i] + h);
            }
            if (scale->levels == 2) {
                context_score_above_neon(score[s] + h, row1 + h, row2 + h, width, 4, &row);
            } else {
                context_score_above_neon(score[s] + h, row1 + h, row2 + h, width, 5, &row);
            }
        }
    }
}

#endif
