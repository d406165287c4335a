/* The edge's first half: a region's values to the symbols that are coded; and
 * the cloud's last: symbols to values. */
#ifndef LWFC_CODEC_SYMBOLS_H
#define LWFC_CODEC_SYMBOLS_H

#include "codec/scratch.h"

/* Fills scratch->symbols: quantized, then moved by the rate-distortion pass if
 * the codec has a rate weight. LWFC_ERROR_NONFINITE under the policy "raise". */
enum lwfc_status lwfc_symbols_make(const struct lwfc_codec *codec, const struct lwfc_plan *plan,
                                   const struct lwfc_region *region, struct lwfc_scratch *scratch);

/* Writes the values of scratch->symbols into the region of plan's tensor:
 * looked up, or restored if the codec (may be NULL) has weights. */
void lwfc_symbols_restore(const struct lwfc_codec *codec, const struct lwfc_plan *plan,
                          const struct lwfc_region *region, struct lwfc_scratch *scratch);

#endif
