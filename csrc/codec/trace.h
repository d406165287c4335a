/* What the encoder would code, before entropy coding. */
#ifndef LWFC_CODEC_TRACE_H
#define LWFC_CODEC_TRACE_H

#include "lwfc.h"

/* The symbols of x, after the rate-distortion pass, as bytes in x's C order. */
enum lwfc_status lwfc_trace_symbols(const struct lwfc_codec *codec, const struct lwfc_tensor *x,
                                    int num_threads, uint8_t *symbols);

#endif
