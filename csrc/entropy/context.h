/* The calibrated context coder: byte-state rANS in 32 lanes, each lane a
 * channel, thresholds from a model both sides hold (context_model.h).
 *
 * Bytes: flags (bit 0: a mask of silent channels follows, one bit per slot, 1 =
 * all its symbols are 0), start states, stream. Order of coding: samples (in
 * pairs if the block has two chains), groups of slots, rows, columns, chains,
 * lanes. Blocks under LWFC_CONTEXT_SINGLE symbols use one wider state instead of
 * 32 lanes, for 3 bytes of start state. Whether coding pays is for the caller to
 * see: encode and compare. */
#ifndef LWFC_ENTROPY_CONTEXT_H
#define LWFC_ENTROPY_CONTEXT_H

#include "base/block.h"
#include "entropy/context_model.h"

enum {
    LWFC_CONTEXT_SINGLE = 16384, /* fewer symbols than this: one state */
    LWFC_CONTEXT_PAIRED = 131072 /* at least this many and two samples: two chains */
};

/* 1 if the model fits blocks of this many channels and levels, else 0. */
int lwfc_context_applies(const struct lwfc_context_model *model, const struct lwfc_block *block,
                         int levels);

size_t lwfc_context_bound(const struct lwfc_block *block, int levels);
size_t lwfc_context_workspace(const struct lwfc_block *block,
                              const struct lwfc_context_model *model);

/* Bytes written; 0 when they do not fit or the model does not apply. */
size_t lwfc_context_encode(const uint8_t *symbols, const struct lwfc_block *block, int levels,
                           const struct lwfc_context_model *model, uint8_t *out, size_t capacity,
                           void *workspace);

/* 0, or -1: inconsistent bytes, or a model that does not apply. */
int lwfc_context_decode(const uint8_t *in, size_t nbytes, const struct lwfc_block *block,
                        int levels, const struct lwfc_context_model *model, uint8_t *symbols,
                        void *workspace);

#endif
