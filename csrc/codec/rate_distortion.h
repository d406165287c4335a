/* Rate-distortion pass: trades squared error for bits before entropy coding.
 *
 * Symbols are visited in the order of coding. A symbol k is replaced by a
 * cheaper one of k - 2 .. k + 1 if that lowers (x - value)^2 + rate_weight *
 * bits, bits being what the context model charges given the symbols already
 * chosen, or, without a model, what the block's own histogram does. Costs are
 * integers, errors doubles in a fixed order: the same choice on every CPU. */
#ifndef LWFC_CODEC_RATE_DISTORTION_H
#define LWFC_CODEC_RATE_DISTORTION_H

#include "base/block.h"
#include "entropy/context_model.h"

/* Bytes of scratch; model may be NULL. */
size_t lwfc_rate_distortion_workspace(const struct lwfc_block *block,
                                      const struct lwfc_context_model *model);

/* x: block values, C order. values: `levels` floats, or that many per channel if
 * per_channel. rate_weight: squared error per bit, >= 0. symbols: quantized on
 * entry, chosen on return. A model that does not apply to the block counts as
 * none. x, symbols and workspace come from lwfc_alloc. Not-a-numbers keep their
 * symbol. */
void lwfc_rate_distortion(const float *x, const struct lwfc_block *block, int levels,
                          const float *values, int per_channel,
                          const struct lwfc_context_model *model, double rate_weight,
                          uint8_t *symbols, void *workspace);

#endif
