/* Rows of 32 lanes through the byte-state rANS core, with the contexts of the
 * plane coder.
 *
 * A lane walks its own run of symbols in raster order, so left and up lie in
 * its own past. Symbols are held as columns[position][lane]. The context of a
 * symbol is (class of the left symbol, level of the row above); the model names
 * both maps and the thresholds. One or two groups of lanes (chains) advance in
 * turn, column by column, on one byte stream. */
#ifndef LWFC_KERNELS_LANES_H
#define LWFC_KERNELS_LANES_H

#include "kernels/lanes_step.h"

#include <stddef.h>
#include <stdint.h>

enum {
    LWFC_LANES_CHAINS = 2,   /* most groups that advance in turn */
    LWFC_LANES_CONTEXTS = 32 /* 4 classes of the left by 8 levels of the row above */
};

/* left: index of the left code (see lwfc_lanes_left) -> 8 * class.
 * up: index of the sum above (see lwfc_lanes_sum) -> level.
 * threshold[k][context]: C_{k+1}, strictly rising in k, 1..255.
 * For the encoder, derived by lwfc_lanes_intervals: start and frequency of each
 * symbol, and the bytes of min(65535, 65536 / frequency). */
struct lwfc_lanes_model {
    int levels;
    uint8_t left[16];
    uint8_t up[16];
    uint8_t threshold[15][LWFC_LANES_CONTEXTS];
    uint8_t start[16][LWFC_LANES_CONTEXTS];
    uint8_t freq[16][LWFC_LANES_CONTEXTS];
    uint8_t recip_low[16][LWFC_LANES_CONTEXTS];
    uint8_t recip_high[16][LWFC_LANES_CONTEXTS];
};

/* Fills the encoder's part of the model; every context needs thresholds. */
void lwfc_lanes_intervals(struct lwfc_lanes_model *model);

/* One row of one or two groups. above and row point to width * 32 bytes;
 * lanes[c] (0..32) leading lanes of group c take part, the others hold 0. */
struct lwfc_lanes_row {
    const uint8_t *above[LWFC_LANES_CHAINS];
    uint8_t *row[LWFC_LANES_CHAINS];
    int lanes[LWFC_LANES_CHAINS];
    int chains;
    size_t width;
};

struct lwfc_lanes_kernels {
    /* columns[i * 32 + lane] = runs[lane][i] for i < n; lanes from `lanes` on
     * are zero. Reads runs[lane][0..n) only. */
    void (*gather)(uint8_t *columns, const uint8_t *const *runs, int lanes, size_t n);
    /* The inverse; writes runs[lane][0..n) for the leading lanes. */
    void (*scatter)(uint8_t *const *runs, const uint8_t *columns, int lanes, size_t n);
    /* Sum of n symbols <= 15, n < 2^28. */
    uint32_t (*sum)(const uint8_t *symbols, size_t n);
    /* codes[x * 32 + lane] = left code * 16 + sum above, of one group. */
    void (*contexts)(uint8_t *codes, const uint8_t *above, const uint8_t *row, size_t width,
                     int levels);
    /* Decodes the row and returns the end of the bytes used. Needs 32 * chains
     * readable bytes per column and 32 more. */
    const uint8_t *(*decode)(uint16_t (*states)[LWFC_LANES], const struct lwfc_lanes_model *model,
                             const struct lwfc_lanes_row *row, const uint8_t *in);
    /* Encodes the row backwards, writing downwards from `out`; returns the new
     * lowest byte. Needs 32 * chains writable bytes per column and 32 more. */
    uint8_t *(*encode)(uint16_t (*states)[LWFC_LANES], const struct lwfc_lanes_model *model,
                       const struct lwfc_lanes_row *row, uint8_t *out);
};

const struct lwfc_lanes_kernels *lwfc_lanes_kernels_for(uint32_t features);

/* Two levels look further: the two symbols to the left and the exact pattern
 * above. Otherwise the left symbol, and a weighted sum shifted into 0..15. */
LWFC_INLINE int lwfc_lanes_left(int left, int left2, int levels)
{
    return levels == 2 ? left + 2 * left2 : left;
}

LWFC_INLINE int lwfc_lanes_sum(int up_left, int up, int up_right, int levels)
{
    if (levels == 2) {
        return 4 * up + 2 * up_left + up_right;
    }
    return (2 * up + up_left + up_right) >> (levels <= 4 ? 0 : levels <= 8 ? 1 : 2);
}

#endif
