/* Scores from references and from the rows above, for NEON; same bits as the
 * scalar ones of context_kernels.c. */
#ifndef LWFC_KERNELS_ARM_CONTEXT_SCORES_NEON_H
#define LWFC_KERNELS_ARM_CONTEXT_SCORES_NEON_H

#include "kernels/arm/lanes32_neon.h"
#include "kernels/context_simd.h"

enum {
    CONTEXT_BLOCK = 4, /* vectors of 16 of a fold per pass over the references of a lane */
    CONTEXT_STRIDE = 16 * CONTEXT_BLOCK
};

static void context_fold_neon(uint8_t *to, const uint8_t *low, const uint8_t *high, size_t n,
                              int bits)
{
    const int8x16_t count = vdupq_n_s8((int8_t)bits);
    if (n < 16) {
        fold_scalar(to, low, high, n, bits);
        return;
    }
    /* The last vector may lie over the one before. */
    for (size_t done = 0; done < n;) {
        const size_t at = done + 16 <= n ? done : n - 16;
        const uint8x16_t v = vshlq_u8(vld1q_u8(high + at), count);
        vst1q_u8(to + at, low ? vorrq_u8(v, vld1q_u8(low + at)) : v);
        done = at + 16;
    }
}

/* lwfc_context_entries of a number of levels. */
struct context_entries_neon {
    uint8x16_t low, high;
};

LWFC_INLINE struct context_entries_neon context_entries_neon(int levels)
{
    const uint8_t (*const e)[16] = lwfc_context_entries[levels > 2];
    const struct context_entries_neon entry = {vld1q_u8(e[0]), vld1q_u8(e[1])};
    return entry;
}

/* Adds to sum[0] and sum[1], halves of a fold, what four references add. */
LWFC_INLINE void context_four_neon(int8x16_t (*sum)[2], const uint8_t *folds,
                                   const uint32_t *offset, const int8_t *table,
                                   const struct context_entries_neon *entry, int levels,
                                   int vectors)
{
    int8x16_t low[CONTEXT_BLOCK], high[CONTEXT_BLOCK];
    for (int k = 0; k < 4; k += levels == 2 ? 2 : 1) {
        int8x16_t of_low, of_high;
        if (levels > 4) {
            of_low = vld1q_s8(table + 16 * k);
            of_high = of_low;
        } else {
            int32_t bytes;
            memcpy(&bytes, table + (levels == 2 ? 2 : 4) * k, sizeof bytes);
            const int8x16_t four = vreinterpretq_s8_s32(vdupq_n_s32(bytes));
            of_low = vqtbl1q_s8(four, entry->low);
            of_high = vqtbl1q_s8(four, entry->high);
        }
        for (int v = 0; v < vectors; v++) {
            uint8x16_t index = vld1q_u8(folds + offset[k] + 16 * v);
            uint8x16_t index2 = index;
            if (levels == 2) {
                index = vsliq_n_u8(index, vld1q_u8(folds + offset[k + 1] + 16 * v), 2);
                index2 = index;
            } else if (levels > 4) {
                index2 = vshrq_n_u8(index, 4);
                index = vandq_u8(index, vdupq_n_u8(15));
            }
            const int8x16_t a = vqtbl1q_s8(of_low, index);
            const int8x16_t b = vqtbl1q_s8(of_high, index2);
            low[v] = k > 0 ? vaddq_s8(low[v], a) : a;
            high[v] = k > 0 ? vaddq_s8(high[v], b) : b;
        }
    }
    for (int v = 0; v < vectors; v++) {
        sum[v][0] = vqaddq_s8(sum[v][0], low[v]);
        sum[v][1] = vqaddq_s8(sum[v][1], high[v]);
    }
}

/* Tiles of 16 positions and 16 lanes from rows to columns. */
LWFC_INLINE void context_transpose_neon(int8_t *to, const int8_t *rows, int vectors)
{
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

/* Scores of 16 * vectors positions of both halves. */
LWFC_INLINE void context_block_neon(int8_t *score, size_t half, const uint8_t *folds,
                                    const uint32_t *offset, const int8_t *table, size_t step,
                                    const struct lwfc_context_group *group,
                                    const struct context_entries_neon *entry, int levels,
                                    int vectors)
{
    int8_t rows[2][LWFC_LANES * CONTEXT_STRIDE];
    for (size_t lane = 0; lane < LWFC_LANES; lane++) {
        int8x16_t sum[CONTEXT_BLOCK][2];
        for (int v = 0; v < vectors; v++) {
            sum[v][0] = vdupq_n_s8(0);
            sum[v][1] = vdupq_n_s8(0);
        }
        for (size_t j = group->first[lane]; j < group->first[lane + 1]; j += 4) {
            context_four_neon(sum, folds, offset + j, table + j / 4 * step, entry, levels, vectors);
        }
        for (int i = 0; i < 2 * vectors; i++) {
            vst1q_s8(rows[i % 2] + lane * CONTEXT_STRIDE + 16 * (i / 2), sum[i / 2][i % 2]);
        }
    }
    context_transpose_neon(score, rows[0], vectors);
    context_transpose_neon(score + half * LWFC_LANES, rows[1], vectors);
}

LWFC_INLINE void context_plane_neon(int8_t *score, const uint8_t *folds, size_t half,
                                    const uint32_t *offset, const int8_t *table, size_t step,
                                    const struct lwfc_context_group *group, int levels)
{
    const struct context_entries_neon entry = context_entries_neon(levels);
    size_t i = 0;
    for (; i + 16 < half; i += CONTEXT_STRIDE) {
        context_block_neon(score + i * LWFC_LANES, half, folds + i, offset, table, step, group,
                           &entry, levels, CONTEXT_BLOCK);
    }
    if (i < half) {
        context_block_neon(score + i * LWFC_LANES, half, folds + i, offset, table, step, group,
                           &entry, levels, 1);
    }
}

static void context_references_neon(int8_t *const *score, const uint8_t *folds, size_t half,
                                    const uint32_t *offset, const int8_t *table,
                                    const struct lwfc_context_group *group,
                                    const struct lwfc_context_scale *scale)
{
    const size_t each = lwfc_context_four_nbytes(scale->levels);
    const size_t step = each * (size_t)scale->scores;
    for (int s = 0; s < scale->scores; s++) {
        const int8_t *const t = table + (size_t)s * each;
        if (scale->levels == 2) {
            context_plane_neon(score[s], folds, half, offset, t, step, group, 2);
        } else if (scale->levels <= 4) {
            context_plane_neon(score[s], folds, half, offset, t, step, group, 4);
        } else {
            context_plane_neon(score[s], folds, half, offset, t, step, group, 16);
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
