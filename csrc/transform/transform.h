/* The transform profile: a DCT over space and, at each frequency, a matrix over
 * channels, in integers both ways. Specified in FORMAT.md, "Transform". */
#ifndef LWFC_TRANSFORM_TRANSFORM_H
#define LWFC_TRANSFORM_TRANSFORM_H

#include "entropy/groups.h"
#include "kernels/transform_kernels.h"

struct lwfc_transform_matrix {
    const int16_t *synthesis; /* [column][padded channels] */
    const uint32_t *analysis; /* see struct lwfc_analysis */
    const float *scales;
    int columns, shift;
    int32_t limit; /* of a coefficient's magnitude */
};

/* One codec's; immutable. */
struct lwfc_transform {
    int height, width, block_height, block_width; /* places of a sample, and of a block */
    int channels, padded;                         /* padded: to whole strips */
    int frequencies, blocks; /* of a block, of a sample */
    int is_free;             /* a sample is any tile of height x width places */
    int live_u, live_v;      /* beyond them every frequency is silent */
    uint32_t coefficients;   /* of a block */
    int clamp;
    float clip_lo, clip_hi, clamp_lo, clamp_hi;
    float scale_in, scale_out;
    int bits[3]; /* fraction bits of input, first pass and coefficients */
    struct lwfc_side side_y, side_x;
    const uint16_t *index, *columns; /* [frequency]: its matrix, its live columns */
    const uint32_t *groups;          /* [frequency]: its first group */
    /* [live]: matrix << 32 | groups << 16 | frequency, rising; frequencies that have columns. */
    const uint64_t *order;
    int live;
    const struct lwfc_transform_matrix *matrices;
    int matrix_count;
    /* Two layouts, of all places, or of one block if each channel has one mean. */
    int mean_is_map;
    int is_narrow; /* what goes into the forward way: see struct lwfc_rows_in */
    const int16_t *mean_planar; /* [channel][y][x] */
    const int16_t *mean_last;   /* [y][x][padded channels] */
    struct lwfc_groups_model model;
};

/* Memory for the transform in a section; 0: a section's size or a field that sizes
 * depend on breaks a rule. */
size_t lwfc_transform_nbytes(const uint8_t *section, size_t nbytes);
/* Checks the section completely and builds the transform in `memory`; 0, or -1. */
int lwfc_transform_read(const uint8_t *section, size_t nbytes, struct lwfc_transform *transform,
                        void *memory);

/* Where the floats of one sample lie. */
struct lwfc_transform_tile {
    float *data;
    ptrdiff_t channel, row, column; /* strides in floats; one of channel and column is 1 */
    float largest;                  /* a magnitude that no value written may pass */
};

/* Work memory of one thread in either direction. */
size_t lwfc_transform_workspace(const struct lwfc_transform *t);

/* Coefficients [block][groups][16] of a sample, zeros behind a group's columns. */
void lwfc_transform_forward(const struct lwfc_transform *t,
                            const struct lwfc_transform_kernels *kernels,
                            const struct lwfc_transform_tile *tile, int16_t *coefficients,
                            void *workspace);

/* Block `block` of a sample from its coefficients that are not 0. */
void lwfc_transform_inverse(const struct lwfc_transform *t,
                            const struct lwfc_transform_kernels *kernels,
                            const struct lwfc_groups_list *list, int block,
                            const struct lwfc_transform_tile *tile, void *workspace);

#endif
