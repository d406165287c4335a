/* Hot loops of the context coder: scores of 32 channels (lanes) at a time.
 *
 * A score is a signed byte. For each position of a group of lanes it is the sum
 * of byte tables indexed by the symbols of other channels (references), then of
 * weighted symbols of the rows above and of their mean, then of tables of the
 * two symbols to the left; a bias per threshold and the link table turn it into
 * the thresholds of the rANS step (lanes_step.h). A model may have a second
 * score, the spread, which moves lower and upper thresholds apart. Every order
 * of saturating additions is part of the format. */
#ifndef LWFC_KERNELS_CONTEXT_KERNELS_H
#define LWFC_KERNELS_CONTEXT_KERNELS_H

#include "kernels/lanes_step.h"

#include <stddef.h>
#include <stdint.h>

enum {
    LWFC_CONTEXT_LEVELS = 16, /* most levels */
    LWFC_CONTEXT_ABOVE = 6, /* weights of the rows above, the last one 0 */
    LWFC_CONTEXT_SCORES = 2,
    LWFC_CONTEXT_CHAINS = 2,
    LWFC_CONTEXT_PIECE = 64 /* most columns of a piece of a row */
};

/* One score of 32 channels. above: up, up-up, up-left, up-right, up > 0 (with two
 * levels: 0), 0. Symbol s > 0 to the left adds left[s - 1]. */
struct lwfc_context_weights {
    int16_t offset[LWFC_LANES];
    int8_t activity[LWFC_LANES];
    int8_t above[LWFC_CONTEXT_ABOVE][LWFC_LANES];
    int8_t left[LWFC_CONTEXT_LEVELS - 1][LWFC_LANES];
    int8_t left2[LWFC_CONTEXT_LEVELS - 1][LWFC_LANES];
};

/* The model of 32 channels. prior: the mean symbol, in 1/16. References of lane
 * i are [first[i], first[i + 1]) of the model's, in whole fours. Lanes from `lanes` on
 * are idle: kernels may leave their scores as they are. */
struct lwfc_context_group {
    int lanes;
    struct lwfc_context_weights score[LWFC_CONTEXT_SCORES];
    int8_t bias[LWFC_CONTEXT_LEVELS - 1][LWFC_LANES];
    uint8_t prior[LWFC_LANES];
    uint32_t first[LWFC_LANES + 1];
};

/* What all groups share. The score's magnitude, limited to 32 << coarse, picks
 * an entry of the link; entries lie in levels - 1..128. */
struct lwfc_context_scale {
    int levels;
    int scores; /* 1, or 2: with the spread */
    int shift;  /* fraction bits of the weights of the rows above, 0..4 */
    int coarse; /* 0..2 */
    uint8_t link[32];
};

/* Which way the spread moves threshold k: 1, 0 or -1. */
LWFC_INLINE int lwfc_context_side(int k, int levels)
{
    const int d = levels - 2 - 2 * k;
    return (d > 0) - (d < 0);
}

/* Bits of a symbol in a folded plane (entropy/context_folds.h). */
LWFC_INLINE int lwfc_context_fold_bits(int levels)
{
    return levels == 2 ? 1 : levels <= 4 ? 2 : 4;
}

/* Bytes of the tables of four references for one score; their sum for any symbols
 * fits a signed byte. Two levels: what the symbols (0, 0), (1, 0), (0, 1), (1, 1)
 * of the first two references add, then of the last two. Up to four: what
 * symbols 0..3 of each add. More: the same of symbols 0..15. */
LWFC_INLINE size_t lwfc_context_four_nbytes(int levels)
{
    return levels == 2 ? 8 : levels <= 4 ? 16 : 64;
}

/* Bytes of one score of a plane; kernels write fewer than 64 positions past it. */
LWFC_INLINE size_t lwfc_context_score_nbytes(size_t plane)
{
    return (plane + 64) * LWFC_LANES;
}

/* Part of one row, in one or two chains. score and symbols point at the first
 * column, 32 bytes a column; start: columns of the row to the left of it (their
 * symbols are read). live: NULL, or a mask of the lanes that take part; the
 * others have symbol 0. */
struct lwfc_context_piece {
    const int8_t *score[LWFC_CONTEXT_SCORES][LWFC_CONTEXT_CHAINS];
    uint8_t *symbols[LWFC_CONTEXT_CHAINS];
    const uint8_t *live;
    int chains;
    int width;
    int start;
};

struct lwfc_context_kernels {
    /* to[i] = low[i] | high[i] << bits for i < n; low may be NULL: zeros. */
    void (*fold)(uint8_t *to, const uint8_t *low, const uint8_t *high, size_t n, int bits);
    /* score[s][i * 32 + lane] for the positions i < 2 * half of a sample's folded
     * planes, and some past them, see lwfc_context_score_nbytes. offset: per reference,
     * from `folds` to what it sees at position 0. table: per four references and
     * score lwfc_context_four_nbytes. */
    void (*references)(int8_t *const *score, const uint8_t *folds, size_t half,
                       const uint32_t *offset, const int8_t *table,
                       const struct lwfc_context_group *group,
                       const struct lwfc_context_scale *scale);
    /* Adds offsets and rows above to the scores of row y. symbols: its first
     * column; the two rows above lie just before it. sums: of the symbols of
     * rows 0..y - 2, kept from row to row. */
    void (*above)(int8_t *const *score, const uint8_t *symbols, size_t width, size_t y,
                  uint32_t sums[LWFC_LANES], const struct lwfc_context_group *group,
                  const struct lwfc_context_scale *scale);
    /* threshold[k][lane] = C_{k+1} of one column. */
    void (*thresholds)(uint8_t (*threshold)[LWFC_LANES], const int8_t *const *score,
                       const uint8_t *left, const uint8_t *left2,
                       const struct lwfc_context_group *group,
                       const struct lwfc_context_scale *scale);
    /* Decodes a piece, column by column, chain 0 first, and returns the end of
     * the bytes used. Needs 32 * chains readable bytes per column and 32 more, and
     * scores of a column past the piece, whatever they are. */
    const uint8_t *(*decode)(uint16_t (*states)[LWFC_LANES],
                             const struct lwfc_context_piece *piece,
                             const struct lwfc_context_group *group,
                             const struct lwfc_context_scale *scale, const uint8_t *in);
    /* The inverse, backwards, writing downwards from `out`; returns the new
     * lowest byte. Needs 32 * chains writable bytes per column and 32 more. */
    uint8_t *(*encode)(uint16_t (*states)[LWFC_LANES], const struct lwfc_context_piece *piece,
                       const struct lwfc_context_group *group,
                       const struct lwfc_context_scale *scale, uint8_t *out);
};

const struct lwfc_context_kernels *lwfc_context_kernels_for(uint32_t features);

#endif
