/* Order-0 coder of joined symbols: k successive symbols of a block make one
 * byte (levels^k <= 256), and the bytes are coded by static rANS with up to
 * 32 interleaved lanes. The fastest coder; it sees no neighbours but those in
 * the same byte. Works for 2 <= levels <= 256.
 *
 * The stream is self-contained; the frequencies are those of single symbols
 * (the bytes then follow by multiplication) or of the bytes themselves,
 * whichever is shorter. */
#ifndef LWFC_ENTROPY_JOINED_H
#define LWFC_ENTROPY_JOINED_H

#include "base/block.h"

/* The most bytes that encode writes. */
size_t lwfc_joined_bound(const struct lwfc_block *block, int levels);
/* Bytes of scratch for encode, decode and estimate. */
size_t lwfc_joined_workspace(const struct lwfc_block *block, int levels);

/* Returns the bytes written, or 0: capacity is too small. The block is taken
 * as a plain vector; symbols, out and workspace come from lwfc_alloc. */
size_t lwfc_joined_encode(const uint8_t *symbols, const struct lwfc_block *block, int levels,
                          uint8_t *out, size_t capacity, void *workspace);
/* 0, or -1: the bytes are not those of such a block. */
int lwfc_joined_decode(const uint8_t *in, size_t nbytes, const struct lwfc_block *block,
                       int levels, uint8_t *symbols, void *workspace);

/* About the bytes that encode would write, from a sample of a large block. */
size_t lwfc_joined_estimate(const uint8_t *symbols, const struct lwfc_block *block, int levels,
                            void *workspace);

#endif
