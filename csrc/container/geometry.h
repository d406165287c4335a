/* Where a tensor's samples, channels and rows are, and how it is cut into
 * blocks. Depends on shape, channel axis and coder only, so encoder and
 * decoder agree. Specified in FORMAT.md, "Blocks". */
#ifndef LWFC_CONTAINER_GEOMETRY_H
#define LWFC_CONTAINER_GEOMETRY_H

#include "base/block.h"

#include <stdint.h>

enum {
    /* Symbols in a block, at most, unless samples are kept whole. 2^18: a block's
     * own statistics cost under 1 % of it, and its symbols and workspace stay in a
     * core's cache. */
    LWFC_BLOCK_SYMBOLS = 1 << 18,
    /* Whole samples up to this size share a block in pairs: two chains for the
     * context coder to interleave. */
    LWFC_PAIR_SYMBOLS = 1 << 22,
    /* A context-coded sample is never cut, but may not pass this. */
    LWFC_SAMPLE_SYMBOLS = 1 << 30
};

/* Added to a resolved channel axis (0..6): the plane is the last two of the other axes, whatever
 * their number, and all before these count samples. FORMAT.md calls such tensors frames. */
enum { LWFC_AXIS_FRAMES = 8 };

/* The tensor as [samples][channels][height][width]. */
struct lwfc_geometry {
    int64_t samples, channels, height, width;
    /* Which axes make up each: samples are axes 0..sample_end-1, and frames behind the
     * channel axis; either this precedes its spatial axes, or follows them as the last. */
    int channel_axis; /* 0..rank-1, or -1: none */
    int sample_end, frame_begin, spatial_begin, spatial_end; /* frames end where the plane begins */
    int64_t frames; /* in samples, those behind the channel axis; fastest */

    /* The cut: whole samples, or channels of one sample, or rows of one
     * channel, or columns of one row; the first that fits. */
    int64_t samples_step, channels_step, rows_step, columns_step;
    int64_t nblocks;
};

/* Part of a tensor that one block covers. */
struct lwfc_region {
    int64_t sample, channel, row, column; /* where it starts */
    struct lwfc_block extent;
};

/* Resolves LWFC_AXIS_AUTO (see lwfc.h) and negative axes for `rank`; axes with
 * LWFC_AXIS_FRAMES stay. -1: the tensor has no channels; -2: out of range. */
int lwfc_channel_axis_resolve(int channel_axis, int rank);

/* A resolved axis without LWFC_AXIS_FRAMES. */
int lwfc_channel_axis_plain(int channel_axis);

/* 0, or -1: the element count passes 2^62 or a dimension is negative.
 * `channel_axis` is resolved. */
int lwfc_geometry_make(const int64_t *shape, int rank, int channel_axis, int whole_samples,
                       struct lwfc_geometry *geometry);

int64_t lwfc_geometry_values(const struct lwfc_geometry *geometry);

struct lwfc_region lwfc_geometry_region(const struct lwfc_geometry *geometry, int64_t block);

#endif
