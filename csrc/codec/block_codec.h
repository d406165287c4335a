/* One block's symbols to bytes and back: a method byte, then its payload. */
#ifndef LWFC_CODEC_BLOCK_CODEC_H
#define LWFC_CODEC_BLOCK_CODEC_H

#include "codec/codec.h"

/* Scratch bytes for coding a block in either direction; `codec` may be NULL. */
size_t lwfc_block_workspace(const struct lwfc_codec *codec, int levels,
                            const struct lwfc_block *extent);

/* Room that lwfc_block_encode needs in `out`. */
size_t lwfc_block_bound(int levels, const struct lwfc_block *extent);

/* Returns the bytes written, at least 1. Falls back to packing when nothing is
 * smaller, so it cannot fail. */
size_t lwfc_block_encode(const struct lwfc_codec *codec, const uint8_t *symbols,
                         const struct lwfc_block *extent, uint8_t *out, void *workspace);

/* `codec` is NULL for self-contained streams. */
enum lwfc_status lwfc_block_decode(const struct lwfc_codec *codec, const uint8_t *in,
                                   size_t nbytes, const struct lwfc_block *extent, int levels,
                                   uint8_t *symbols, void *workspace);

#endif
