/* Context coder of 2..16 levels with its tables in the block: byte-state rANS
 * in 32 lanes, each lane a channel plane or a stripe of one, contexts from the
 * symbols to the left and above.
 *
 * Bytes: layout, classes, tables, start states, stream. Layout bit 7: all symbols
 * equal the low four bits, nothing follows. Else bits 0-1: 8, 16 or 32 lanes per
 * group; bit 2: two groups advance in turn; bit 3: the planes form two classes
 * (a bit each follows) with tables of their own. */
#ifndef LWFC_ENTROPY_PLANES_H
#define LWFC_ENTROPY_PLANES_H

#include "base/block.h"

size_t lwfc_planes_bound(const struct lwfc_block *block, int levels);
size_t lwfc_planes_workspace(const struct lwfc_block *block, int levels);

/* Bytes written; 0 when they do not fit or levels is not in 2..16. */
size_t lwfc_planes_encode(const uint8_t *symbols, const struct lwfc_block *block, int levels,
                          uint8_t *out, size_t capacity, void *workspace);

/* The two halves of encode, for 2..16 levels. prepare chooses the layout, fits
 * the tables and returns about the bytes that finish will write; the workspace
 * must stay as it is in between. */
size_t lwfc_planes_prepare(const uint8_t *symbols, const struct lwfc_block *block, int levels,
                           void *workspace);
size_t lwfc_planes_finish(const uint8_t *symbols, const struct lwfc_block *block, int levels,
                          uint8_t *out, size_t capacity, void *workspace);

/* 0, or -1: inconsistent bytes. */
int lwfc_planes_decode(const uint8_t *in, size_t nbytes, const struct lwfc_block *block, int levels,
                       uint8_t *symbols, void *workspace);

#endif
