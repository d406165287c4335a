/* What the halves of the plane coder share: the workspace and the way from
 * symbols to columns. */
#ifndef LWFC_ENTROPY_PLANES_WORK_H
#define LWFC_ENTROPY_PLANES_WORK_H

#include "entropy/planes_fit.h"
#include "entropy/planes_layout.h"

#include <stdint.h>
#include <string.h>

enum {
    PLANES_LEVELS_MOST = 16,
    PLANES_CONSTANT = 0x80, /* layout bit: all symbols are equal */
    PLANES_SPLIT = 8        /* layout bit: two classes of planes */
};

/* Scratch of either direction. columns: all groups (encoder) or the groups of
 * one turn (decoder); pad: the last bytes of the stream with zeros behind. */
struct planes_work {
    int code; /* the layout byte */
    struct planes_layout layout;
    size_t first; /* planes of class 0, which come first; without classes SIZE_MAX */
    struct lwfc_planes_tables tables[2];
    struct lwfc_planes_counts counts[3];
    uint32_t part[4][4096];
    uint16_t states[LWFC_LANES_CHAINS][LWFC_LANES];
    uint8_t *zeros;
    uint8_t *codes;
    uint8_t *tail;
    uint8_t *pad;
    uint8_t *columns;
    uint8_t *classes; /* a bit per plane */
    uint8_t *stream;  /* filled from its end */
    uint32_t *order;
};

/* Sizes that cover every layout of the block. */
LWFC_INLINE size_t row_most(const struct lwfc_block *b)
{
    const size_t width = (size_t)b->width < 64 ? 64 : (size_t)b->width;
    return width * LWFC_LANES;
}

LWFC_INLINE size_t columns_most(const struct lwfc_block *b)
{
    size_t most = 0;
    for (int code = 0; code < 8; code++) {
        struct planes_layout l;
        if (planes_layout_make(&l, b, code) == 0) {
            const size_t size = l.groups * l.rows * l.width * LWFC_LANES;
            most = size > most ? size : most;
        }
    }
    return most;
}

LWFC_INLINE size_t classes_size(const struct lwfc_block *b)
{
    return ((size_t)b->samples * (size_t)b->channels + 7) / 8;
}

LWFC_INLINE struct planes_work *work_make(void *workspace, const struct lwfc_block *b)
{
    struct planes_work *w = workspace;
    const size_t row = row_most(b) + 64;
    uint8_t *p = (uint8_t *)workspace + (sizeof *w + 63) / 64 * 64;
    w->zeros = p;
    w->codes = p + row;
    w->tail = p + 2 * row;
    w->pad = p + 3 * row;
    w->order = (uint32_t *)(void *)(p + 7 * row);
    w->columns = p + 7 * row + (32 * classes_size(b) + 63) / 64 * 64;
    w->classes = w->columns + columns_most(b) + 64;
    w->stream = w->classes + classes_size(b) + 64;
    w->first = SIZE_MAX;
    memset(w->zeros, 0, row);
    return w;
}

/* The groups from `group` on that take part in row y. */
LWFC_INLINE struct lwfc_lanes_row row_at(const struct planes_layout *l, const struct planes_work *w,
                                    uint8_t *columns, size_t group, size_t y)
{
    struct lwfc_lanes_row r = {.width = l->width};
    const size_t row = l->width * LWFC_LANES;
    while (r.chains < l->chains && group + (size_t)r.chains < l->groups) {
        const int c = r.chains++;
        uint8_t *const run = columns + (size_t)c * l->rows * row;
        r.row[c] = run + y * row;
        r.above[c] = y ? r.row[c] - row : w->zeros;
        r.lanes[c] = planes_layout_lanes(l, group + (size_t)c, y);
    }
    return r;
}

/* Moves the runs of one group from the symbols to its columns. */
LWFC_INLINE void group_gather(const struct lwfc_lanes_kernels *k, const struct planes_work *w,
                         size_t group, const uint8_t *symbols, uint8_t *columns)
{
    const struct planes_layout *l = &w->layout;
    const uint8_t *runs[LWFC_LANES] = {0};
    const int lanes = planes_layout_lanes(l, group, 0);
    const int full = l->rows > l->last_rows ? planes_layout_lanes(l, group, l->rows - 1) : lanes;
    const size_t first = group * (size_t)l->lanes;
    for (int i = 0; i < lanes; i++) {
        runs[i] = symbols + planes_layout_offset(l, w->order, first + (size_t)i);
    }
    const size_t shared = (full < lanes ? l->last_rows : l->rows) * l->width;
    k->gather(columns, runs, lanes, shared);
    for (int i = 0; i < full; i++) {
        runs[i] += shared;
    }
    k->gather(columns + shared * LWFC_LANES, runs, full, l->rows * l->width - shared);
}

#endif
