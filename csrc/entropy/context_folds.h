/* What references look at: the planes of earlier channels, folded in half.
 *
 * Byte j of a folded plane of n symbols holds the symbols at j and, in the bits
 * above, at j + half, half = (n + 1) / 2: half the memory to read, and two scores
 * for a load. Symbols outside of the plane are 0 and lie in the fold like others,
 * so that references one row away need no care at the edges. */
#ifndef LWFC_ENTROPY_CONTEXT_FOLDS_H
#define LWFC_ENTROPY_CONTEXT_FOLDS_H

#include "entropy/context_model.h"

struct lwfc_context_folds {
    const struct lwfc_context_kernels *kernels;
    size_t plane; /* symbols of a channel */
    size_t half;
    size_t margin; /* bytes in front of a fold's byte 0 */
    size_t stride; /* from fold to fold */
    size_t count;  /* slots that later groups may refer to: the first ones */
    int bits;      /* of a symbol */
    uint8_t *slots;   /* the folds, one per slot */
    uint32_t *offset; /* per reference: from `slots` to what it sees at position 0 */
};

/* Bytes of the folds of `samples` samples, and of the offsets they share. */
size_t lwfc_context_folds_nbytes(const struct lwfc_context_model *model, size_t height,
                                 size_t width, int samples);

/* Lays them out at `memory`, aligned to 4; sample i's folds begin at slots +
 * i * count * stride. */
struct lwfc_context_folds lwfc_context_folds_make(const struct lwfc_context_model *model,
                                                  size_t height, size_t width, int samples,
                                                  uint8_t *memory);

/* Folds a plane of the slot, if any group refers to it; slots: a sample's folds. */
void lwfc_context_fold(const struct lwfc_context_folds *folds, uint8_t *slots, size_t slot,
                       const uint8_t *plane);

#endif
