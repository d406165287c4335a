/* The self-contained fast coder: per block the smaller, by estimate, of the
 * plane coder (contexts, 2..16 levels) and the coder of joined symbols.
 *
 * Bytes: 0 (planes) or 1 (joined), then the bytes of that coder. */
#ifndef LWFC_ENTROPY_RANS_H
#define LWFC_ENTROPY_RANS_H

#include "base/block.h"

size_t lwfc_rans_bound(const struct lwfc_block *block, int levels);
size_t lwfc_rans_workspace(const struct lwfc_block *block, int levels);

/* About the bytes that lwfc_rans_encode would write with its plane coder, for a
 * fraction of its time; SIZE_MAX where neighbours tell too little for that. What
 * it writes without, lwfc_joined_estimate tells. Levels 2..256. */
size_t lwfc_rans_planes_estimate(const uint8_t *symbols, const struct lwfc_block *block,
                                 int levels, void *workspace);

/* Bytes written; 0 when they do not fit or levels is not in 2..256. */
size_t lwfc_rans_encode(const uint8_t *symbols, const struct lwfc_block *block, int levels,
                        uint8_t *out, size_t capacity, void *workspace);

/* 0, or -1: inconsistent bytes. */
int lwfc_rans_decode(const uint8_t *in, size_t nbytes, const struct lwfc_block *block, int levels,
                     uint8_t *symbols, void *workspace);

#endif
