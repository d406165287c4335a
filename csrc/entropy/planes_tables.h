/* Context tables of the plane coder as the decoder needs them, and their bytes.
 *
 * Bytes: bits, lowest first, of the cuts of the left codes, the cuts of the sums
 * above, and for every context in use but the first whether it has a table of
 * its own; then, at a byte, the thresholds of those that have. */
#ifndef LWFC_ENTROPY_PLANES_TABLES_H
#define LWFC_ENTROPY_PLANES_TABLES_H

#include "kernels/lanes.h"

#include <stddef.h>
#include <stdint.h>

enum { PLANES_CLASSES = 4, PLANES_STEPS = 8 };

/* left_cuts, up_cuts: bit i - 1 is set when code i starts a new class.
 * own: the contexts 8 * class + level that have a table of their own. */
struct lwfc_planes_tables {
    uint16_t left_cuts;
    uint16_t up_cuts;
    uint32_t own;
    struct lwfc_lanes_model model;
};

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

/* Writes the tables (at most 490 bytes) and returns the end. */
uint8_t *lwfc_planes_write(uint8_t *out, const struct lwfc_planes_tables *tables);

/* The byte behind the tables, NULL if they are cut off or inconsistent. */
const uint8_t *lwfc_planes_read(const uint8_t *in, const uint8_t *end, int levels,
                                struct lwfc_planes_tables *tables);

#endif
