/* Arithmetic of restoration: estimates of floats from decoded symbols.
 *
 * A symbol counts as its level value, a byte up to 25 (LWFC_RESTORE_VALUE_MAX).
 * Features lie in tiles of 16 positions, [tile][quad][16][4]: a quad is four
 * feature bytes of one position, so that one 32-bit weight group meets them in
 * one byte dot product. All sums are int32 and exact; the only floats are in
 * `finish`, one multiply and one add per element. */
#ifndef LWFC_KERNELS_RESTORE_KERNELS_H
#define LWFC_KERNELS_RESTORE_KERNELS_H

#include <stddef.h>
#include <stdint.h>

enum {
    LWFC_RESTORE_TILE = 16,
    LWFC_RESTORE_VALUE_MAX = 25, /* 10 * 25 * 128 stays below 2^15: no 16-bit saturation */
    LWFC_RESTORE_ROWS = 8,       /* outputs per call of `dot` */
    LWFC_RESTORE_LATENT_MAX = 127
};

/* One output channel for `finish`; the tables have `levels` entries. */
struct lwfc_restore_channel {
    int32_t own[3];        /* weights of left+right, up+down, the four diagonals */
    const float *offset;   /* estimate = offset[s] + slope[s] * sum, */
    const float *slope;    /* clamped to low[s]..high[s], */
    const float *low;      /* then blended with centroid[s] */
    const float *high;
    const float *centroid;
    float strength; /* 1: the estimate alone; else centroid + strength * (estimate - centroid) */
    int32_t levels;
};

struct lwfc_restore_kernels {
    /* Level values of one channel, with a border of zeros: `plane` has
     * (height + 2) rows of (width + 2) bytes. values NULL: symbols are their
     * own values. */
    void (*pad)(const uint8_t *symbols, int32_t height, int32_t width, const uint8_t *values,
                uint8_t *plane);
    /* The quad (own value, 3x3 sum) of two padded planes into its place of
     * every tile; positions behind the last one become zero. */
    void (*pair)(const uint8_t *plane_a, const uint8_t *plane_b, int32_t height, int32_t width,
                 uint8_t *features, size_t tile_stride);
    /* sums[row][position] = dot product of the position's quads with row
     * `row` of the signed bytes `weights`; rows <= LWFC_RESTORE_ROWS. */
    void (*dot)(const uint8_t *features, size_t tiles, size_t quads, const uint8_t *weights,
                size_t weight_stride, int rows, int32_t *sums, size_t sum_stride);
    /* One byte of a quad per position: clamp((sum + bias) >> shift, 0, 127). */
    void (*latent)(const int32_t *sums, size_t tiles, int32_t bias, int shift, uint8_t *features,
                   size_t tile_stride);
    /* Floats of one channel from `sums` and its own neighbours in `plane`. */
    void (*finish)(const struct lwfc_restore_channel *channel, const uint8_t *symbols,
                   const uint8_t *plane, const int32_t *sums, int32_t height, int32_t width,
                   float *out);
};

/* The best variants for these CPU features; every variant gives the same bits. */
const struct lwfc_restore_kernels *lwfc_restore_kernels_for(uint32_t features);

#endif
