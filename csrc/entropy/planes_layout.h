/* How a block is cut into lanes: which run of symbols each lane walks.
 *
 * Every plane is cut into stripes of whole rows until the lanes are filled;
 * unit u = stripe * planes + plane is one run, and `lanes` consecutive units
 * form a group. Planes of one row (of few long rows) that do not fill the lanes
 * are first folded into short rows; the symbols left over form one last row of `tail` columns,
 * lane p holding those of plane p. */
#ifndef LWFC_ENTROPY_PLANES_LAYOUT_H
#define LWFC_ENTROPY_PLANES_LAYOUT_H

#include "base/attributes.h"
#include "base/block.h"

struct planes_layout {
    int lanes;        /* per group: 8, 16 or 32 */
    int chains;       /* groups that advance in turn: 1 or 2 */
    size_t planes;
    size_t plane;     /* symbols per plane */
    size_t width;
    size_t rows;      /* of a full stripe */
    size_t last_rows; /* of the last stripe */
    size_t stripes;
    size_t tail;
    size_t groups;
};

LWFC_INLINE size_t planes_ceil(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

/* code: the low three bits of the layout byte; -1 when there is no such layout. */
LWFC_INLINE int planes_layout_make(struct planes_layout *l, const struct lwfc_block *b, int code)
{
    if ((code & 3) == 3) {
        return -1;
    }
    l->lanes = 8 << (code & 3);
    l->chains = 1 + (code >> 2);
    l->planes = (size_t)b->samples * (size_t)b->channels;
    l->plane = (size_t)b->height * (size_t)b->width;
    l->width = (size_t)b->width;
    const size_t wanted = (size_t)(l->lanes * l->chains) / l->planes;
    size_t rows = (size_t)b->height;
    size_t most = rows / 4; /* a stripe loses the context above in its first row */
    if (wanted > 1 && (rows == 1 || (rows < 8 && l->plane >= 4096))) {
        l->width = l->plane / 64 < 1 ? 1 : l->plane / 64 > 64 ? 64 : l->plane / 64;
        rows = l->plane / l->width;
        most = rows;
    }
    size_t stripes = wanted < most ? wanted : most;
    stripes = stripes < 1 ? 1 : stripes;
    l->rows = planes_ceil(rows, stripes);
    l->stripes = planes_ceil(rows, l->rows);
    l->last_rows = rows - (l->stripes - 1) * l->rows;
    l->tail = l->plane - rows * l->width;
    l->groups = planes_ceil(l->planes * l->stripes, (size_t)l->lanes);
    return 0;
}

/* Leading lanes of the group that take part in row y. */
LWFC_INLINE int planes_layout_lanes(const struct planes_layout *l, size_t group, size_t y)
{
    const size_t units = l->planes * (y < l->last_rows ? l->stripes : l->stripes - 1);
    const size_t before = group * (size_t)l->lanes;
    if (units <= before) {
        return 0;
    }
    return units - before < (size_t)l->lanes ? (int)(units - before) : l->lanes;
}

/* Offset of the run of unit u; order: see planes_order. */
LWFC_INLINE size_t planes_layout_offset(const struct planes_layout *l, const uint32_t *order,
                                        size_t u)
{
    return order[u % l->planes] * l->plane + u / l->planes * l->rows * l->width;
}

/* Planes may form two classes with tables of their own, when they make at least
 * two turns of uncut planes. */
LWFC_INLINE int planes_layout_splits(const struct planes_layout *l)
{
    return l->stripes == 1 && l->planes > (size_t)(l->lanes * l->chains);
}

/* The planes in order of their class (bit p of `classes`; NULL: all 0), and the
 * number of those of class 0. */
LWFC_INLINE size_t planes_order(uint32_t *order, const uint8_t *classes, size_t planes)
{
    size_t n = 0;
    for (size_t p = 0; p < planes; p++) {
        if (!classes || !(classes[p / 8] >> p % 8 & 1)) {
            order[n++] = (uint32_t)p;
        }
    }
    const size_t first = n;
    for (size_t p = 0; n < planes; p++) {
        if (classes[p / 8] >> p % 8 & 1) {
            order[n++] = (uint32_t)p;
        }
    }
    return first;
}

#endif
