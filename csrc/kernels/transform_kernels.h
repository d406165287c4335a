/* Kernels of the transform profile: integer channel synthesis and inverse DCT of
 * one block, and the forward way. Specified in FORMAT.md, "Transform".
 *
 * Channels are walked in strips of 16, the last one padded with zeros. Between
 * stages values lie as pairs: two int16 in a 32-bit number, the even one low, so
 * that products of pairs with pairs add up in place; [..][16] of them, one for
 * each channel of a strip. transform_kernels.c is the definition; every variant
 * gives the same bits. `sat` is to -32767 .. 32767, shifts round down. */
#ifndef LWFC_KERNELS_TRANSFORM_KERNELS_H
#define LWFC_KERNELS_TRANSFORM_KERNELS_H

#include <stddef.h>
#include <stdint.h>

enum {
    LWFC_STRIP = 16,
    LWFC_SIDE_MAX = 64,
    LWFC_STRIPS = 4 /* strips that one call of a decoding kernel takes at most */
};

/* One side's integer DCT, T[k][i] of n x n, as pairs in lines of `padded`; 0 where none is. */
struct lwfc_side {
    int n, bits;
    const uint32_t *over_k; /* [pair of k][i]: T[2p][i] low, T[2p+1][i] high */
    const uint32_t *over_i; /* [pair of i][k]: T[k][2p] low, T[k][2p+1] high */
    /* [2 quads][i]: T[4q][i] and T[4q+2][i], then T[4q+1][i] and T[4q+3][i]: the even rows of T
     * are the same from either end, the odd ones change their sign. */
    const uint32_t *mirrored;
    int pairs;  /* (n + 1) / 2 */
    int quads;  /* (n + 3) / 4 */
    int padded; /* n up to a multiple of 16 */
};

/* One frequency's nonzero coefficients into its channels:
 * sat((sum of columns[k][c] * q + half) >> shift). */
struct lwfc_synthesis {
    const int16_t *columns;  /* [column][padded channels], at the first strip's first channel */
    size_t stride;           /* padded channels */
    const uint32_t *entries; /* column << 16 | q & 0xFFFF */
    uint32_t count; /* >= 1 */
    int shift;
};

/* Rows of floats, one after the other for each channel or one for each position. */
struct lwfc_rows_out {
    float *out;
    ptrdiff_t channel, row, column; /* strides in floats; of one of channel and column it is 1 */
    const int16_t *mean;
    ptrdiff_t mean_channel, mean_row, mean_column;
    float scale;
    int clamp;
    float lo, hi;
};

/* Where floats come from, and how they become integers:
 * sat(rint(clip(x) * scale) - (mean << bits)), 0 for NaN. */
struct lwfc_rows_in {
    const float *in;
    ptrdiff_t channel, row, column; /* strides in floats */
    const int16_t *mean;
    ptrdiff_t mean_channel, mean_row, mean_column;
    float scale, lo, hi;
    int bits;
    int is_narrow; /* clip(x) * scale and mean << bits stay within 32767 */
};

/* Channels of one frequency of one block, and where its coefficients go: whole groups. */
struct lwfc_analysis_line {
    const int16_t *x;
    int16_t *q;
};

/* Coefficients of all lines that one matrix makes:
 * q = rint(clamp(f32(sum of rows[k][c] * x[c]) * scales[k])). */
struct lwfc_analysis {
    const struct lwfc_analysis_line *lines;
    int count;
    size_t channels, padded;
    const uint32_t *rows; /* [group of 16 k][pair of padded c][16]: pairs of channels */
    const float *scales;  /* to whole groups, 0 behind the last */
    int columns;          /* >= 1; coefficients behind them, to whole groups, are 0 */
    float limit;
};

struct lwfc_transform_kernels {
    /* x[strip][16], `stride` numbers between strips. */
    void (*synthesize)(const struct lwfc_synthesis *s, int strips, int16_t *x, size_t stride);
    /* z[pair of v][y][16] from x[v][u][16] of one strip, u < 4 quads, v < 2 vp and < width;
     * quads and vp are at least 1. */
    void (*columns)(const int16_t *x, const struct lwfc_side *height, int quads, int vp,
                    int width, uint32_t *z);
    /* Floats of one strip's first `channels` channels from z and `vp` pairs of v. */
    void (*rows)(const uint32_t *z, const struct lwfc_side *width, int vp, int height,
                 int channels, const struct lwfc_rows_out *to);
    /* d[y][pair of x][16] of one strip's first `channels` channels; the rest is 0. */
    void (*take)(const struct lwfc_rows_in *from, int height, int width, int channels,
                 uint32_t *d);
    /* r[v][pair of y][16] from d, v < live: sat((.. + half) >> shift). */
    void (*forward_rows)(const uint32_t *d, const struct lwfc_side *width, int height, int live,
                         int shift, uint32_t *r);
    /* x[(u * width + v) * stride + 0..15] from r, u < live_u, v < live_v. */
    void (*forward_columns)(const uint32_t *r, const struct lwfc_side *height, int width,
                            int live_u, int live_v, int shift, int16_t *x, size_t stride);
    void (*analyze)(const struct lwfc_analysis *a);
};

const struct lwfc_transform_kernels *lwfc_transform_kernels_for(uint32_t features);

#endif
