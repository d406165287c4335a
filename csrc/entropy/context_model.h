/* The calibrated model of the context coder: checks a blob of untrusted bytes
 * and lays it out for the kernels.
 *
 * Blob: version 1, levels, scores, lanes, shift, coarse, channels (u16), link (32 bytes),
 * order (channels * u16: the channel in each slot), then one record per slot:
 * bias (levels - 1 * i8), prior (u8); per score offset (i16), activity, above
 * (5 * i8, 4 if levels = 2), left and left2 (levels - 1 * i8 each); count of references (u8) and
 * per reference the slot it names (u16, in an earlier group), place (u8), and per
 * score base, first and (levels > 2) slope (i8). Little-endian.
 *
 * Slots form groups of `lanes` (8, 16 or 32: small groups leave lanes idle, but
 * more slots with references); the first group takes what is left over and is
 * the one without references. */
#ifndef LWFC_ENTROPY_CONTEXT_MODEL_H
#define LWFC_ENTROPY_CONTEXT_MODEL_H

#include "kernels/context_kernels.h"

/* One reference of a lane: the channel in `slot`, so many columns and rows on, in
 * raster order. */
struct lwfc_context_reference {
    uint16_t slot;
    int8_t right, down;
};

/* Groups of at most so many lanes lie in pairs: the same channels of two samples, in
 * the halves of the lanes. */
#define LWFC_CONTEXT_PAIR_LANES (LWFC_LANES / 2)

struct lwfc_context_model {
    struct lwfc_context_scale scale;
    int channels;
    int lanes; /* of a group, at most */
    int groups;
    const uint16_t *order; /* channel of each slot */
    const struct lwfc_context_group *group;
    const struct lwfc_context_group *pair; /* each group in a pair; NULL: too many lanes */
    const struct lwfc_context_reference *reference;
    const int8_t *table; /* per four references and score, see the kernels */
    size_t references;
};

/* The first slot of a group, and the number of its slots. */
LWFC_INLINE int lwfc_context_first_slot(const struct lwfc_context_model *m, int group)
{
    return group == 0 ? 0 : m->channels - (m->groups - group) * m->lanes;
}

LWFC_INLINE int lwfc_context_lanes(const struct lwfc_context_model *m, int group)
{
    return lwfc_context_first_slot(m, group + 1) - lwfc_context_first_slot(m, group);
}

/* Bytes that a model read from this blob takes; 0: no such blob. */
size_t lwfc_context_model_workspace(const uint8_t *blob, size_t n);

/* 0, or -1: inconsistent bytes. The model points into `workspace` (from
 * lwfc_alloc, of the size above), not into the blob. */
int lwfc_context_model_read(const uint8_t *blob, size_t n, struct lwfc_context_model *model,
                            void *workspace);

#endif
