/* Scratch of the context coder and the walk over a block: the samples and the
 * group of slots coded at a time, their columns and scores.
 *
 * A block of several samples has two chains, one sample each. If groups have few
 * lanes both samples lie in the lanes of one column, the second one's in its upper
 * half: kernels then see one chain, and the bytes come in the same order. */
#ifndef LWFC_ENTROPY_CONTEXT_WORK_H
#define LWFC_ENTROPY_CONTEXT_WORK_H

#include "entropy/context.h"
#include "entropy/context_folds.h"
#include "kernels/lanes.h"

enum {
    CONTEXT_PIECE_MOST = LWFC_CONTEXT_PIECE * LWFC_LANES * LWFC_CONTEXT_CHAINS + 64,
    CONTEXT_SINGLE_LEAST = 1 << 15 /* the single state lies in [this, 256 * this) */
};

/* Either direction's view of the block. columns[c] begins with two rows of
 * zeros; symbols of one group of sample c lie behind them, 32 bytes a position. */
struct context_work {
    const struct lwfc_context_kernels *kernels;
    const struct lwfc_lanes_kernels *lanes;
    const struct lwfc_context_model *model;
    size_t plane, width, height;
    int single;
    int samples; /* of a turn */
    int paired;  /* both lie in chain 0 */
    uint32_t state;
    uint16_t states[LWFC_CONTEXT_CHAINS][LWFC_LANES];
    uint8_t *columns[LWFC_CONTEXT_CHAINS];
    int8_t *score[LWFC_CONTEXT_CHAINS][LWFC_CONTEXT_SCORES];
    uint32_t sums[LWFC_CONTEXT_CHAINS][LWFC_LANES]; /* of the rows above, see kernels->above */
    struct lwfc_context_folds folds;
    uint8_t *folded[LWFC_CONTEXT_CHAINS]; /* the folds of each chain's sample */
    uint8_t *live; /* per group and lane: 0xff, or 0 if silent or idle */
    uint8_t *idle; /* if paired: a plane of zeros, for lanes without a channel */
    uint8_t tail[2 * CONTEXT_PIECE_MOST + 64];
};

/* The samples and the group being coded. */
struct context_turn {
    const struct lwfc_context_group *model;
    int first;
    int samples;
    int chains; /* fewer than samples: these are a pair */
    int group;
    int lanes;  /* slots in use */
    int coded;  /* lanes that are not silent */
    uint8_t live[LWFC_LANES];
};

/* All lanes in use are live, all states at their start. */
struct context_work *lwfc_context_work_make(void *workspace, const struct lwfc_block *b,
                                            const struct lwfc_context_model *model);

/* The entry of `live` of a slot. */
size_t lwfc_context_live_at(const struct context_work *w, int slot);
void lwfc_context_all_live(struct context_work *w);

/* Turns of a block, in order of coding: samples outside, groups inside. */
int lwfc_context_turns(const struct context_work *w, const struct lwfc_block *b);
struct context_turn lwfc_context_turn_at(const struct context_work *w, const struct lwfc_block *b,
                                         int index);

/* Between the planes of a turn's channels and the columns of a chain. */
void lwfc_context_gather(const struct context_work *w, const struct lwfc_block *b,
                         const struct context_turn *t, int chain, const uint8_t *symbols);
void lwfc_context_scatter(const struct context_work *w, const struct lwfc_block *b,
                          const struct context_turn *t, int chain, uint8_t *symbols);

/* Folds the turn's channels, of all its samples, for the references of later groups. */
void lwfc_context_fold_turn(const struct context_work *w, const struct lwfc_block *b,
                            const struct context_turn *t, const uint8_t *symbols);

/* Scores from other channels, for a whole plane; then, row by row from the first
 * one on, from the rows above y. */
void lwfc_context_references(const struct context_work *w, const struct context_turn *t,
                             int chain);
void lwfc_context_above(struct context_work *w, const struct context_turn *t, int chain, size_t y);

/* The states of a sample of the turn. */
LWFC_INLINE uint16_t *lwfc_context_states(struct context_work *w, int sample)
{
    return w->paired ? w->states[0] + sample * LWFC_CONTEXT_PAIR_LANES : w->states[sample];
}

/* The piece of row y that begins in column x. */
LWFC_INLINE struct lwfc_context_piece
lwfc_context_piece_at(const struct context_work *w, const struct context_turn *t, size_t y,
                      size_t x)
{
    const size_t at = (y * w->width + x) * LWFC_LANES;
    const size_t left = w->width - x;
    struct lwfc_context_piece p = {.live = t->coded < LWFC_LANES ? t->live : NULL,
                                   .chains = t->chains};
    p.width = left < LWFC_CONTEXT_PIECE ? (int)left : LWFC_CONTEXT_PIECE;
    /* Only 0, 1 and "2 or more" make a difference. */
    p.start = x > 0 ? 2 : 0;
    for (int c = 0; c < t->chains; c++) {
        for (int i = 0; i < w->model->scale.scores; i++) {
            p.score[i][c] = w->score[c][i] + at;
        }
        p.symbols[c] = w->columns[c] + at;
    }
    return p;
}

/* A piece through the one state of small blocks (context_single.c), like the
 * kernels' decode and encode. */
const uint8_t *lwfc_context_single_decode(struct context_work *w, const struct context_turn *t,
                                          const struct lwfc_context_piece *p, const uint8_t *in);
uint8_t *lwfc_context_single_encode(struct context_work *w, const struct context_turn *t,
                                    const struct lwfc_context_piece *p, uint8_t *out);

#endif
