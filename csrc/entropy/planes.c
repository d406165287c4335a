#include "entropy/planes.h"

#include "base/bytes.h"
#include "cpu/cpu.h"
#include "entropy/planes_work.h"

enum {
    TABLES_MOST = 512, /* cuts and 32 tables of 15 bytes */
    STATES_MOST = LWFC_LANES_CHAINS * LWFC_LANES * 2
};

static size_t header_most(const struct lwfc_block *b)
{
    return 1 + classes_size(b) + 2 * TABLES_MOST + STATES_MOST;
}

size_t lwfc_planes_bound(const struct lwfc_block *block, int levels)
{
    (void)levels;
    return header_most(block) + lwfc_block_size(block) + 4 * row_most(block) + 64;
}

size_t lwfc_planes_workspace(const struct lwfc_block *block, int levels)
{
    const size_t row = row_most(block) + 64;
    return sizeof(struct planes_work) + 64 + 7 * row + columns_most(block) +
           40 * classes_size(block) + lwfc_planes_bound(block, levels) + 512;
}

static struct lwfc_lanes_row tail_row(const struct planes_layout *l, struct planes_work *w)
{
    struct lwfc_lanes_row r = {.width = l->tail, .chains = 1};
    r.row[0] = w->tail;
    r.above[0] = w->zeros;
    r.lanes[0] = (int)l->planes;
    return r;
}

/* The inverse of group_gather. */
static void group_scatter(const struct lwfc_lanes_kernels *k, const struct planes_work *w,
                          size_t group, uint8_t *symbols, const uint8_t *columns)
{
    const struct planes_layout *l = &w->layout;
    uint8_t *runs[LWFC_LANES] = {0};
    const int lanes = planes_layout_lanes(l, group, 0);
    const int full = l->rows > l->last_rows ? planes_layout_lanes(l, group, l->rows - 1) : lanes;
    const size_t first = group * (size_t)l->lanes;
    for (int i = 0; i < lanes; i++) {
        runs[i] = symbols + planes_layout_offset(l, w->order, first + (size_t)i);
    }
    const size_t shared = (full < lanes ? l->last_rows : l->rows) * l->width;
    k->scatter(runs, columns, lanes, shared);
    for (int i = 0; i < full; i++) {
        runs[i] += shared;
    }
    k->scatter(runs, columns + shared * LWFC_LANES, full, l->rows * l->width - shared);
}

static void start_states(struct planes_work *w)
{
    for (int c = 0; c < LWFC_LANES_CHAINS; c++) {
        for (int i = 0; i < LWFC_LANES; i++) {
            w->states[c][i] = LWFC_LANE_START;
        }
    }
}

/* The tables of the turn that starts with `group`. */
static const struct lwfc_lanes_model *model_at(const struct planes_work *w, size_t group)
{
    return &w->tables[group * (size_t)w->layout.lanes >= w->first].model;
}

/* Codes all rows backwards from `top` down; the lowest byte written. */
static uint8_t *encode_rows(struct planes_work *w, const uint8_t *symbols, uint8_t *top)
{
    const struct lwfc_lanes_kernels *k = lwfc_lanes_kernels_for(lwfc_cpu_features());
    const struct planes_layout *l = &w->layout;
    if (l->tail) {
        const struct lwfc_lanes_row r = tail_row(l, w);
        const uint8_t *runs[LWFC_LANES] = {0};
        for (int i = 0; i < r.lanes[0]; i++) {
            runs[i] = symbols + (size_t)(i + 1) * l->plane - l->tail;
        }
        k->gather(w->tail, runs, r.lanes[0], l->tail);
        top = k->encode(w->states, &w->tables[0].model, &r, top);
    }
    const size_t run = l->rows * l->width * LWFC_LANES;
    for (size_t turn = planes_ceil(l->groups, (size_t)l->chains); turn-- > 0;) {
        const size_t g = turn * (size_t)l->chains;
        for (size_t y = l->rows; y-- > 0;) {
            const struct lwfc_lanes_row r = row_at(l, w, w->columns + g * run, g, y);
            top = k->encode(w->states, model_at(w, g), &r, top);
        }
    }
    return top;
}

size_t lwfc_planes_finish(const uint8_t *symbols, const struct lwfc_block *block, int levels,
                          uint8_t *out, size_t capacity, void *workspace)
{
    struct planes_work *w = workspace;
    if (w->code & PLANES_CONSTANT) {
        if (capacity < 1) {
            return 0;
        }
        *out = (uint8_t)w->code;
        return 1;
    }
    const struct planes_layout *l = &w->layout;
    const int sets = w->code & PLANES_SPLIT ? 2 : 1;
    for (int i = 0; i < sets; i++) {
        lwfc_lanes_intervals(&w->tables[i].model);
    }
    start_states(w);
    /* Into the workspace, which has room for the widest row at any size. */
    uint8_t *const top = w->stream + lwfc_planes_bound(block, levels);
    const uint8_t *const p = encode_rows(w, symbols, top);

    uint8_t head[1 + 2 * TABLES_MOST + STATES_MOST];
    uint8_t *s = head;
    for (int i = 0; i < sets; i++) {
        s = lwfc_planes_write(s, &w->tables[i]);
    }
    for (int c = 0; c < l->chains; c++) {
        for (int i = 0; i < l->lanes; i++, s += 2) {
            lwfc_store_u16(s, w->states[c][i]);
        }
    }
    const size_t classes = sets == 2 ? classes_size(block) : 0;
    const size_t head_size = (size_t)(s - head);
    const size_t nbytes = 1 + classes + head_size + (size_t)(top - p);
    if (nbytes > capacity) {
        return 0;
    }
    out[0] = (uint8_t)w->code;
    memcpy(out + 1, w->classes, classes);
    memcpy(out + 1 + classes, head, head_size);
    memcpy(out + 1 + classes + head_size, p, (size_t)(top - p));
    return nbytes;
}

size_t lwfc_planes_encode(const uint8_t *symbols, const struct lwfc_block *block, int levels,
                          uint8_t *out, size_t capacity, void *workspace)
{
    if (levels < 2 || levels > PLANES_LEVELS_MOST) {
        return 0;
    }
    lwfc_planes_prepare(symbols, block, levels, workspace);
    return lwfc_planes_finish(symbols, block, levels, out, capacity, workspace);
}

/* The stream of a decoder: from the input while a whole row is surely there,
 * then from a copy with zeros behind. */
struct planes_source {
    const uint8_t *at, *end;
    int padded;
};

static void source_prepare(struct planes_source *s, uint8_t *pad, size_t need)
{
    const size_t left = (size_t)(s->end - s->at);
    if (!s->padded && left < need) {
        memcpy(pad, s->at, left);
        memset(pad + left, 0, need);
        s->at = pad;
        s->end = pad + left;
        s->padded = 1;
    }
}

/* Classes and tables; -1: cut off or inconsistent. */
static int read_header(struct planes_work *w, struct planes_source *s, int code, int levels)
{
    const struct planes_layout *l = &w->layout;
    const size_t turn = (size_t)(l->lanes * l->chains);
    const uint8_t *classes = NULL;
    if (code & PLANES_SPLIT) {
        const size_t size = (l->planes + 7) / 8;
        if (!planes_layout_splits(l) || (size_t)(s->end - s->at) < size) {
            return -1;
        }
        classes = s->at;
        s->at += size;
    }
    const size_t first = planes_order(w->order, classes, l->planes);
    if (classes) {
        w->first = first;
        if (first == 0 || first == l->planes || first % turn != 0) {
            return -1;
        }
    }
    for (int i = 0; i < (classes ? 2 : 1); i++) {
        s->at = lwfc_planes_read(s->at, s->end, levels, &w->tables[i]);
        if (!s->at) {
            return -1;
        }
    }
    return (size_t)(s->end - s->at) < 2 * turn ? -1 : 0;
}

static const uint8_t *decode_rows(struct planes_work *w, struct planes_source *s,
                                  uint8_t *symbols)
{
    const struct lwfc_lanes_kernels *k = lwfc_lanes_kernels_for(lwfc_cpu_features());
    const struct planes_layout *l = &w->layout;
    const size_t need = (size_t)l->chains * LWFC_LANES * l->width + LWFC_LANES;
    const size_t run = l->rows * l->width * LWFC_LANES;
    for (size_t g = 0; g < l->groups; g += (size_t)l->chains) {
        for (size_t y = 0; y < l->rows; y++) {
            const struct lwfc_lanes_row r = row_at(l, w, w->columns, g, y);
            source_prepare(s, w->pad, need);
            s->at = k->decode(w->states, model_at(w, g), &r, s->at);
            if (s->at > s->end) {
                return NULL;
            }
        }
        for (int c = 0; c < l->chains && g + (size_t)c < l->groups; c++) {
            group_scatter(k, w, g + (size_t)c, symbols, w->columns + (size_t)c * run);
        }
    }
    if (l->tail) {
        const struct lwfc_lanes_row r = tail_row(l, w);
        uint8_t *runs[LWFC_LANES] = {0};
        for (int i = 0; i < r.lanes[0]; i++) {
            runs[i] = symbols + (size_t)(i + 1) * l->plane - l->tail;
        }
        source_prepare(s, w->pad, need);
        s->at = k->decode(w->states, &w->tables[0].model, &r, s->at);
        k->scatter(runs, w->tail, r.lanes[0], l->tail);
    }
    return s->at;
}

int lwfc_planes_decode(const uint8_t *in, size_t nbytes, const struct lwfc_block *block, int levels,
                       uint8_t *symbols, void *workspace)
{
    const size_t n = lwfc_block_size(block);
    if (levels < 2 || levels > PLANES_LEVELS_MOST || nbytes < 1) {
        return -1;
    }
    if (in[0] & PLANES_CONSTANT) {
        const int symbol = in[0] & (PLANES_CONSTANT - 1);
        memset(symbols, symbol < levels ? symbol : 0, n);
        return symbol < levels && nbytes == 1 ? 0 : -1;
    }
    struct planes_work *w = work_make(workspace, block);
    if (in[0] > (PLANES_SPLIT | 7) || planes_layout_make(&w->layout, block, in[0] & 7) != 0) {
        return -1;
    }
    const struct planes_layout *l = &w->layout;
    struct planes_source s = {.at = in + 1, .end = in + nbytes};
    if (read_header(w, &s, in[0], levels) != 0) {
        return -1;
    }
    start_states(w);
    for (int c = 0; c < l->chains; c++) {
        for (int i = 0; i < l->lanes; i++, s.at += 2) {
            w->states[c][i] = lwfc_load_u16(s.at);
        }
    }
    if (decode_rows(w, &s, symbols) != s.end) {
        return -1;
    }
    for (int c = 0; c < l->chains; c++) {
        for (int i = 0; i < LWFC_LANES; i++) {
            if (w->states[c][i] != LWFC_LANE_START) {
                return -1;
            }
        }
    }
    return 0;
}
