/* Arithmetic of restoration: estimates of floats from decoded symbols.
 *
 * A symbol counts as its level value, a byte up to 25 (LWFC_RESTORE_VALUE_MAX).
 * Inputs of dot products lie in tiles of 16 positions, [tile][quad][16][4]: a quad
 * is four bytes of one position (four channels, or four latents), so that one
 * 32-bit weight group meets them in one byte dot product. Sums over 3x3
 * neighbourhoods are taken after the products, whose number does not grow by
 * them. All sums are int32 and exact; the only floats are in `finish`, one
 * multiply and one add per element. */
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

/* A plane's positions in C order, and which have a neighbour: bytes 0xff, or 0 in
 * the first (left) or last (right) column. They and whole vectors behind the last
 * position can be read. */
struct lwfc_restore_map {
    size_t positions, width;
    const uint8_t *left;
    const uint8_t *right;
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
    /* Tiles of quads of channels; `values` [channels][positions] are level values.
     * Channels and positions that are not there count as zeros. */
    void (*tile)(const uint8_t *values, size_t channels, size_t positions, uint8_t *tiles);
    /* sums[row][position] = dot product of the position's quads with the signed
     * bytes weights[row]; rows <= LWFC_RESTORE_ROWS, no byte of a tile above `most`. */
    void (*dot)(const uint8_t *tiles, size_t count, size_t quads, int most,
                const uint8_t *const *weights, int rows, int32_t *const *sums);
    /* Adds to `sums` the 3x3 sums of `near`, whole tiles of it; before and behind
     * these stand width + 1 zeros. */
    void (*box)(const struct lwfc_restore_map *map, const int32_t *near, int32_t *sums);
    /* One quad of every tile: clamp((sum + bias[k]) >> shift[k], 0, 127), k < 4, where
     * the sum is sums[k], and the 3x3 sum of near[k] if `near` is not NULL. */
    void (*latents)(const struct lwfc_restore_map *map, const int32_t *const *sums,
                    const int32_t *const *near, const int32_t *bias, const int *shift,
                    uint8_t *tiles, size_t tile_stride);
    /* Floats of one channel from `sums` (NULL: zeros) and its own neighbours in
     * `plane`, level values with width + 1 zeros before and behind. */
    void (*finish)(const struct lwfc_restore_channel *channel, const struct lwfc_restore_map *map,
                   const uint8_t *symbols, const uint8_t *plane, const int32_t *sums, float *out);
};

/* The best variants for these CPU features; every variant gives the same bits. */
const struct lwfc_restore_kernels *lwfc_restore_kernels_for(uint32_t features);

#endif
