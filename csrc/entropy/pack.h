/* The coder "raw": each symbol in ceil(log2 levels) bits, least significant
 * bit first, the last byte padded with zeros. What is used when no model makes
 * a block smaller. */
#ifndef LWFC_ENTROPY_PACK_H
#define LWFC_ENTROPY_PACK_H

#include "base/block.h"

/* Exactly how many bytes a block packs to. */
size_t lwfc_pack_nbytes(const struct lwfc_block *block, int levels);

void lwfc_pack_encode(const uint8_t *symbols, const struct lwfc_block *block, int levels,
                      uint8_t *out);

/* 0, or -1: wrong size, a symbol that is no level, or padding that is not 0. */
int lwfc_pack_decode(const uint8_t *in, size_t nbytes, const struct lwfc_block *block, int levels,
                     uint8_t *symbols);

#endif
