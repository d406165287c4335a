#include "kernels/context_kernels.h"

#include "cpu/cpu.h"
#include "kernels/context_simd.h"

static int saturate(int v)
{
    return v < -128 ? -128 : v > 127 ? 127 : v;
}

static void fold_scalar(uint8_t *to, const uint8_t *low, const uint8_t *high, size_t n, int bits)
{
    for (size_t i = 0; i < n; i++) {
        to[i] = (uint8_t)((low ? low[i] : 0) | high[i] << bits);
    }
}

/* The symbol at position i of a folded plane. */
static unsigned unfold(const uint8_t *fold, size_t i, size_t half, int levels)
{
    const int bits = lwfc_context_fold_bits(levels);
    const int byte = i < half ? fold[i] : fold[i - half] >> bits;
    return (unsigned)byte & ((1u << bits) - 1);
}

/* What four references add. */
static int four(const int8_t *table, const uint8_t *folds, const uint32_t *offset, size_t i,
                size_t half, int levels)
{
    unsigned s[4];
    unsigned sum = 0;
    for (int k = 0; k < 4; k++) {
        s[k] = unfold(folds + offset[k], i, half, levels);
    }
    if (levels == 2) {
        sum = (unsigned)table[s[0] + 2 * s[1]] + (unsigned)table[4 + s[2] + 2 * s[3]];
    } else {
        for (unsigned k = 0; k < 4; k++) {
            sum += (unsigned)table[(levels <= 4 ? 4 : 16) * k + s[k]];
        }
    }
    /* Modulo 256: only the sum of four fits a signed byte. */
    return (int)((sum + 128) & 255) - 128;
}

static void references_scalar(int8_t *const *score, const uint8_t *folds, size_t half,
                              const uint32_t *offset, const int8_t *table,
                              const struct lwfc_context_group *group,
                              const struct lwfc_context_scale *scale)
{
    const size_t each = lwfc_context_four_nbytes(scale->levels);
    for (size_t lane = 0; lane < LWFC_LANES; lane++) {
        for (size_t i = 0; i < 2 * half; i++) {
            int sum[LWFC_CONTEXT_SCORES] = {0, 0};
            for (size_t j = group->first[lane]; j < group->first[lane + 1]; j += 4) {
                for (size_t s = 0; s < (size_t)scale->scores; s++) {
                    const int8_t *const t = table + (j / 4 * (size_t)scale->scores + s) * each;
                    sum[s] = saturate(sum[s] +
                                      four(t, folds, offset + j, i, half, scale->levels));
                }
            }
            for (int s = 0; s < scale->scores; s++) {
                score[s][i * LWFC_LANES + lane] = (int8_t)sum[s];
            }
        }
    }
}

/* A symbol of a row, 0 beyond its ends. */
static int row_symbol(const uint8_t *row, size_t lane, size_t x, ptrdiff_t step, size_t width)
{
    const ptrdiff_t at = (ptrdiff_t)x + step;
    return at >= 0 && at < (ptrdiff_t)width ? row[(size_t)at * LWFC_LANES + lane] : 0;
}

static void above_scalar(int8_t *const *score, const uint8_t *symbols, size_t width, size_t y,
                         uint32_t sums[LWFC_LANES], const struct lwfc_context_group *group,
                         const struct lwfc_context_scale *scale)
{
    const uint8_t *const row1 = symbols - width * LWFC_LANES;
    const uint8_t *const row2 = row1 - width * LWFC_LANES;
    for (size_t lane = 0; lane < LWFC_LANES; lane++) {
        sums[lane] = y == 0 ? 0 : sums[lane];
        for (size_t x = 0; x < width && y > 0; x++) {
            sums[lane] += row1[x * LWFC_LANES + lane];
        }
        for (int s = 0; s < scale->scores; s++) {
            const struct lwfc_context_weights *const w = &group->score[s];
            const int offset =
                lwfc_context_row_offset(w, lane, sums[lane], group->prior[lane], width, y);
            for (size_t x = 0; x < width; x++) {
                const int up = row_symbol(row1, lane, x, 0, width);
                const int near[LWFC_CONTEXT_ABOVE] = {
                    up, row_symbol(row2, lane, x, 0, width), row_symbol(row1, lane, x, -1, width),
                    row_symbol(row1, lane, x, 1, width), up > 0, 0};
                int8_t *const to = &score[s][x * LWFC_LANES + lane];
                int sum = offset + *to * (1 << scale->shift);
                for (int i = 0; i < LWFC_CONTEXT_ABOVE; i++) {
                    sum += w->above[i][lane] * near[i];
                }
                /* The sum fits 16 bits. */
                const int shifted = (int)((uint32_t)(sum + (1 << 24)) >> scale->shift);
                *to = (int8_t)saturate(shifted - (1 << (24 - scale->shift)));
            }
        }
    }
}

/* A score with what the symbols to the left add. */
static int with_left(const struct lwfc_context_weights *w, size_t lane, int score, int left,
                     int left2)
{
    const int near = left > 0 ? w->left[left - 1][lane] : 0;
    const int far = left2 > 0 ? w->left2[left2 - 1][lane] : 0;
    return saturate(saturate(score + far) + near);
}

static void lane_thresholds(uint8_t *threshold, int stride, size_t lane,
                            const int8_t *const *score, int left, int left2,
                            const struct lwfc_context_group *group,
                            const struct lwfc_context_scale *scale)
{
    int sum[LWFC_CONTEXT_SCORES] = {0, 0};
    for (int s = 0; s < scale->scores; s++) {
        sum[s] = with_left(&group->score[s], lane, score[s][lane], left, left2);
    }
    const int most = (32 << scale->coarse) - 1;
    int before = 127;
    for (int k = 0; k < scale->levels - 1; k++) {
        int v = saturate(sum[0] + group->bias[k][lane]);
        v = saturate(v + lwfc_context_side(k, scale->levels) * sum[1]);
        v = v < before ? v : before;
        before = v;
        const int size = v < 0 ? -v : v;
        const int start = scale->link[(size < most ? size : most) >> scale->coarse];
        threshold[k * stride] = (uint8_t)((v < 0 ? 256 - start : start) + k);
    }
}

static void thresholds_scalar(uint8_t (*threshold)[LWFC_LANES], const int8_t *const *score,
                              const uint8_t *left, const uint8_t *left2,
                              const struct lwfc_context_group *group,
                              const struct lwfc_context_scale *scale)
{
    for (size_t lane = 0; lane < LWFC_LANES; lane++) {
        lane_thresholds(&threshold[0][lane], LWFC_LANES, lane, score, left[lane], left2[lane],
                        group, scale);
    }
}

/* Thresholds of one lane at column x of a chain. */
static void piece_thresholds(uint8_t threshold[LWFC_CONTEXT_LEVELS],
                             const struct lwfc_context_piece *p, int chain, int x, size_t lane,
                             const struct lwfc_context_group *group,
                             const struct lwfc_context_scale *scale)
{
    const uint8_t *const at = p->symbols[chain] + (size_t)x * LWFC_LANES + lane;
    const int column = p->start + x;
    const int8_t *score[LWFC_CONTEXT_SCORES] = {NULL, NULL};
    for (int s = 0; s < scale->scores; s++) {
        score[s] = p->score[s][chain] + (size_t)x * LWFC_LANES;
    }
    lane_thresholds(threshold, 1, lane, score, column >= 1 ? at[-LWFC_LANES] : 0,
                    column >= 2 ? at[-2 * LWFC_LANES] : 0, group, scale);
}

static const uint8_t *decode_scalar(uint16_t (*states)[LWFC_LANES],
                                    const struct lwfc_context_piece *piece,
                                    const struct lwfc_context_group *group,
                                    const struct lwfc_context_scale *scale, const uint8_t *in)
{
    uint8_t threshold[LWFC_CONTEXT_LEVELS];
    for (int x = 0; x < piece->width; x++) {
        for (int c = 0; c < piece->chains; c++) {
            uint8_t *const column = piece->symbols[c] + (size_t)x * LWFC_LANES;
            for (size_t lane = 0; lane < LWFC_LANES; lane++) {
                column[lane] = 0;
                if (!piece->live || piece->live[lane]) {
                    piece_thresholds(threshold, piece, c, x, lane, group, scale);
                    column[lane] = (uint8_t)lwfc_lane_decode(&states[c][lane], threshold, 1,
                                                             scale->levels, &in);
                }
            }
        }
    }
    return in;
}

static uint8_t *encode_scalar(uint16_t (*states)[LWFC_LANES],
                              const struct lwfc_context_piece *piece,
                              const struct lwfc_context_group *group,
                              const struct lwfc_context_scale *scale, uint8_t *out)
{
    uint8_t threshold[LWFC_CONTEXT_LEVELS];
    for (int x = piece->width - 1; x >= 0; x--) {
        for (int c = piece->chains - 1; c >= 0; c--) {
            for (size_t lane = LWFC_LANES; lane-- > 0;) {
                if (!piece->live || piece->live[lane]) {
                    piece_thresholds(threshold, piece, c, x, lane, group, scale);
                    const int s = piece->symbols[c][(size_t)x * LWFC_LANES + lane];
                    const unsigned start = s > 0 ? threshold[s - 1] : 0;
                    const unsigned end = s + 1 < scale->levels ? threshold[s] : 256;
                    lwfc_lane_encode(&states[c][lane], start, end - start, &out);
                }
            }
        }
    }
    return out;
}

static const struct lwfc_context_kernels scalar_kernels = {
    fold_scalar, references_scalar, above_scalar, thresholds_scalar, decode_scalar, encode_scalar};

#if LWFC_X86
#include "kernels/x86/context_avx2.h"
#include "kernels/x86/context_avx512.h"

static const struct lwfc_context_kernels avx2_kernels = {
    context_fold_avx2, context_references_avx2, context_above_avx2, context_thresholds_avx2,
    context_decode_avx2, context_encode_avx2};

static const struct lwfc_context_kernels avx512_kernels = {
    context_fold_avx2, context_references_avx512, context_above_avx512, context_thresholds_avx2,
    context_decode_avx512, context_encode_avx512};
#elif LWFC_NEON
#include "kernels/arm/context_neon.h"

static const struct lwfc_context_kernels neon_kernels = {
    context_fold_neon, context_references_neon, context_above_neon, context_thresholds_neon,
    context_decode_neon, context_encode_neon};
#endif

const struct lwfc_context_kernels *lwfc_context_kernels_for(uint32_t features)
{
#if LWFC_X86
    if (features & LWFC_CPU_AVX512) {
        return &avx512_kernels;
    }
    if (features & LWFC_CPU_AVX2) {
        return &avx2_kernels;
    }
#elif LWFC_NEON
    if (features & LWFC_CPU_NEON) {
        return &neon_kernels;
    }
#endif
    (void)features;
    return &scalar_kernels;
}
