/* Context tables of the plane coder, fitted on the block itself in integers.
 * The decoder takes them as sent, so nothing here binds the format.
 *
 * The finest statistics (left code, sum above, symbol) are merged along both
 * axes to 4 x 8 contexts, and tables that do not earn their bytes are dropped:
 * such a context inherits the table of its parent. */
#ifndef LWFC_ENTROPY_PLANES_FIT_H
#define LWFC_ENTROPY_PLANES_FIT_H

#include "entropy/planes_tables.h"

#include <stddef.h>
#include <stdint.h>

struct lwfc_planes_counts {
    uint32_t count[16][16][16]; /* [left code][sum above][symbol] */
};

/* Destroys the counts, which may be taken from a part of the `symbols`. Returns
 * about the bytes that tables and symbols will take. */
size_t lwfc_planes_fit(struct lwfc_planes_counts *counts, int levels, size_t symbols,
                       struct lwfc_planes_tables *tables);

/* Bytes that `symbols` symbols save, about and without tables, when the two
 * sets of counts have tables of their own. */
size_t lwfc_planes_gain(const struct lwfc_planes_counts *a, const struct lwfc_planes_counts *b,
                        int levels, size_t symbols);

#endif
