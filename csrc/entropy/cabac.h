/* The paper's entropy coder: truncated unary, one adaptive binary context per
 * bin position, arithmetic coding.
 *
 * Symbol i is i ones and a zero, and the last symbol drops its zero. Bin k has
 * context k. A context's estimate starts as Krichevsky and Trofimov's,
 * (ones + 1/2) / (n + 1), and becomes an exponential window of 256 bins. The
 * coder is a 32-bit range coder with carry; its bytes are big-endian digits of
 * one number, trailing zero bytes left out. Serial by nature: this is the
 * baseline that every figure is measured against. */
#ifndef LWFC_ENTROPY_CABAC_H
#define LWFC_ENTROPY_CABAC_H

#include "base/block.h"

size_t lwfc_cabac_bound(const struct lwfc_block *block, int levels);

/* Bytes written, or 0 when they would pass `capacity`. */
size_t lwfc_cabac_encode(const uint8_t *symbols, const struct lwfc_block *block, int levels,
                         uint8_t *out, size_t capacity);

/* 0, or -1: the bytes are no output of the encoder. */
int lwfc_cabac_decode(const uint8_t *in, size_t nbytes, const struct lwfc_block *block, int levels,
                      uint8_t *symbols);

#endif
