/* Restoration: floats estimated from symbols and their decoded neighbours.
 *
 * A restoration blob holds integer weights fitted on calibration features
 * (python/lwfc/restoration.py). `read` checks every field of an untrusted
 * blob, allocates nothing and points into it, so the blob must outlive the
 * struct. `apply` gives the same floats on every CPU; samples are independent,
 * so threads are one call per sample. */
#ifndef LWFC_CODEC_RESTORE_H
#define LWFC_CODEC_RESTORE_H

#include "base/block.h"

#include <stddef.h>
#include <stdint.h>

enum {
    LWFC_RESTORE_LOCAL = 1,  /* the channel's own 3x3 neighbourhood */
    LWFC_RESTORE_LINEAR = 2, /* and all channels at the place and in its 3x3 mean */
    LWFC_RESTORE_CHANNELS_MAX = 16384,
    LWFC_RESTORE_RANK_MAX = 1024,
    LWFC_RESTORE_STRENGTH_ONE = 256
};

struct lwfc_restore {
    int32_t kind;
    int32_t channels;
    int32_t levels;
    int32_t rank;     /* 0: one weight per output and feature */
    int32_t strength; /* 256: the estimate alone, 0: the centroids alone */
    size_t quads;     /* groups of four feature bytes: two channels each */
    const uint8_t *values;
    const uint8_t *limits;
    const uint8_t *own;
    const uint8_t *tables;
    const uint8_t *first;
    const uint8_t *bias;
    const uint8_t *shift;
    const uint8_t *second;
};

/* 0, or -1: not a restoration blob of exactly n bytes. */
int lwfc_restore_read(const uint8_t *blob, size_t n, struct lwfc_restore *out);

/* Scratch bytes `apply` needs for one sample; SIZE_MAX when out of reach. */
size_t lwfc_restore_workspace(const struct lwfc_restore *restore,
                              const struct lwfc_block *one_sample);

/* symbols [channels][height][width], all < levels, to floats of the same shape;
 * one_sample->channels must equal restore->channels. workspace comes from lwfc_alloc,
 * symbols too or are a sample inside such a buffer. */
void lwfc_restore_apply(const struct lwfc_restore *restore, const uint8_t *symbols,
                        const struct lwfc_block *one_sample, float *out, void *workspace);

#endif
