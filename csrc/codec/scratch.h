/* The memory each worker thread codes in. */
#ifndef LWFC_CODEC_SCRATCH_H
#define LWFC_CODEC_SCRATCH_H

#include "codec/codec.h"

/* One worker's; each part is aligned to 64 bytes and has 64 bytes of slack. */
struct lwfc_scratch {
    uint8_t *symbols; /* a block's */
    uint8_t *coded;   /* a block's bytes */
    float *values;    /* a block's, only where a pass needs floats */
    void *workspace;  /* the coder's, the rate-distortion pass's and the restoration's */
};

struct lwfc_scratch_sizes {
    size_t symbols, coded, values, workspace;
};

/* Sizes for coding the blocks of `geometry` with `codec`, or without one and
 * with `levels` levels. */
struct lwfc_scratch_sizes lwfc_scratch_sizes_for(const struct lwfc_codec *codec, int levels,
                                                 const struct lwfc_geometry *geometry);

/* `width` of them in one allocation; NULL if there is no memory. */
struct lwfc_scratch *lwfc_scratch_make(int width, const struct lwfc_scratch_sizes *sizes);
void lwfc_scratch_release(struct lwfc_scratch *scratch);

#endif
