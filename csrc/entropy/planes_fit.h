/* Context tables of the plane coder, fitted on the block itself in integers.
 *
 * The finest statistics (left code, sum above, symbol) are merged along both
 * axes to 4 x 8 contexts, and tables that do not earn their bytes are dropped:
 * such a context inherits the table of its parent. */
#ifndef LWFC_ENTROPY_PLANES_FIT_H
#define LWFC_ENTROPY_PLANES_FIT_H

#include "kernels/lanes.h"

#include <stddef.h>
#include <stdint.h>

struct lwfc_planes_counts {
    uint32_t count[16][16][16]; /* [left code][sum above][symbol] */
};

/* left_cuts, up_cuts: bit i - 1 is set when code i starts a new class.
 * own: the contexts 8 * class + level that have a table of their own. */
struct lwfc_planes_tables {
    uint16_t left_cuts;
    uint16_t up_cuts;
    uint32_t own;
    struct lwfc_lanes_model model;
};

/* Destroys the counts, which may be taken from a part of the `symbols`. */
void lwfc_planes_fit(struct lwfc_planes_counts *counts, int levels, size_t symbols,
                     struct lwfc_planes_tables *tables);

/* How many left codes and sums there are, both <= 16. */
int lwfc_planes_left_codes(int levels);
int lwfc_planes_sums(int levels);

/* The context whose table context > 0 inherits: one level lower, or the lowest
 * level of the class before. */
int lwfc_planes_parent(int context);

/* Maps of the model from the cuts; `own` becomes the set of contexts in use.
 * -1: too many classes. */
int lwfc_planes_maps(int levels, struct lwfc_planes_tables *tables);

/* Fills the thresholds of contexts without a table of their own. */
void lwfc_planes_inherit(int levels, struct lwfc_planes_tables *tables);

#endif
