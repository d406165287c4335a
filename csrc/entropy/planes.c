#include "entropy/planes.h"

#include "base/bytes.h"
#include "cpu/cpu.h"
#include "entropy/planes_fit.h"
#include "entropy/planes_layout.h"

enum {
    LEVELS_MOST = 16,
    CONSTANT = 0x80,   /* layout bit: all symbols are equal */
    HEADER_MOST = 512, /* layout, cuts, 32 tables of 15 bytes */
    STATES_MOST = LWFC_LANES_CHAINS * LWFC_LANES * 2,
    SAMPLED = 32768 /* symbols that the tables are fitted on, about */
};

/* Scratch of either direction. columns: all groups (encoder) or the groups of
 * one turn (decoder); pad: the last bytes of the stream with zeros behind. */
struct planes_work {
    int code; /* the layout byte */
    struct planes_layout layout;
    struct lwfc_planes_tables tables;
    struct lwfc_planes_counts counts;
    uint32_t part[4][4096];
    uint16_t states[LWFC_LANES_CHAINS][LWFC_LANES];
    uint8_t *zeros;
    uint8_t *codes;
    uint8_t *tail;
    uint8_t *pad;
    uint8_t *columns;
};

/* Sizes that cover every layout of the block. */
static size_t row_most(const struct lwfc_block *b)
{
    const size_t width = (size_t)b->width < 64 ? 64 : (size_t)b->width;
    return width * LWFC_LANES;
}

static size_t columns_most(const struct lwfc_block *b)
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

size_t lwfc_planes_bound(const struct lwfc_block *block, int levels)
{
    (void)levels;
    return HEADER_MOST + STATES_MOST + lwfc_block_size(block) + 4 * row_most(block) + 64;
}

size_t lwfc_planes_workspace(const struct lwfc_block *block, int levels)
{
    (void)levels;
    const size_t row = row_most(block) + 64;
    return sizeof(struct planes_work) + 7 * row + 64 + columns_most(block) + 512;
}

static struct planes_work *work_make(void *workspace, const struct lwfc_block *b)
{
    struct planes_work *w = workspace;
    const size_t row = row_most(b) + 64;
    uint8_t *p = (uint8_t *)workspace + (sizeof *w + 63) / 64 * 64;
    w->zeros = p;
    w->codes = p + row;
    w->tail = p + 2 * row;
    w->pad = p + 3 * row;
    w->columns = p + 7 * row;
    memset(w->zeros, 0, row);
    return w;
}

/* The groups from `group` on that take part in row y. */
static struct lwfc_lanes_row row_at(const struct planes_layout *l, const struct planes_work *w,
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

static struct lwfc_lanes_row tail_row(const struct planes_layout *l, struct planes_work *w)
{
    struct lwfc_lanes_row r = {.width = l->tail, .chains = 1};
    r.row[0] = w->tail;
    r.above[0] = w->zeros;
    r.lanes[0] = (int)l->planes;
    return r;
}

/* Moves the runs of one group between the symbols and the columns. */
static void group_gather(const struct lwfc_lanes_kernels *k, const struct planes_layout *l,
                         size_t group, const uint8_t *symbols, uint8_t *columns)
{
    const uint8_t *runs[LWFC_LANES];
    const int lanes = planes_layout_lanes(l, group, 0);
    const int full = l->rows > l->last_rows ? planes_layout_lanes(l, group, l->rows - 1) : lanes;
    const size_t first = group * (size_t)l->lanes;
    for (int i = 0; i < lanes; i++) {
        runs[i] = symbols + planes_layout_offset(l, first + (size_t)i);
    }
    const size_t shared = (full < lanes ? l->last_rows : l->rows) * l->width;
    k->gather(columns, runs, lanes, shared);
    for (int i = 0; i < full; i++) {
        runs[i] += shared;
    }
    k->gather(columns + shared * LWFC_LANES, runs, full, l->rows * l->width - shared);
}

static void group_scatter(const struct lwfc_lanes_kernels *k, const struct planes_layout *l,
                          size_t group, uint8_t *symbols, const uint8_t *columns)
{
    uint8_t *runs[LWFC_LANES];
    const int lanes = planes_layout_lanes(l, group, 0);
    const int full = l->rows > l->last_rows ? planes_layout_lanes(l, group, l->rows - 1) : lanes;
    const size_t first = group * (size_t)l->lanes;
    for (int i = 0; i < lanes; i++) {
        runs[i] = symbols + planes_layout_offset(l, first + (size_t)i);
    }
    const size_t shared = (full < lanes ? l->last_rows : l->rows) * l->width;
    k->scatter(runs, columns, lanes, shared);
    for (int i = 0; i < full; i++) {
        runs[i] += shared;
    }
    k->scatter(runs, columns + shared * LWFC_LANES, full, l->rows * l->width - shared);
}

/* Counts the leading lanes of one row. Neighbouring lanes use four tables in
 * turn: equal symbols would else wait for each other's increment. */
static void count_row(struct planes_work *w, const uint8_t *row, size_t width, int lanes,
                      uint32_t levels)
{
    for (size_t x = 0; x < width; x++) {
        const uint8_t *code = w->codes + x * LWFC_LANES;
        const uint8_t *symbol = row + x * LWFC_LANES;
        int i = 0;
        for (; i + 4 <= lanes; i += 4) {
            w->part[0][code[i] * levels + symbol[i]]++;
            w->part[1][code[i + 1] * levels + symbol[i + 1]]++;
            w->part[2][code[i + 2] * levels + symbol[i + 2]]++;
            w->part[3][code[i + 3] * levels + symbol[i + 3]]++;
        }
        for (; i < lanes; i++) {
            w->part[0][code[i] * levels + symbol[i]]++;
        }
    }
}

/* Statistics of about SAMPLED symbols: rows at a fixed distance, shifted from
 * group to group so that all heights are seen. */
static void count_rows(const struct lwfc_lanes_kernels *k, const struct planes_layout *l,
                       struct planes_work *w, int levels, size_t symbols)
{
    const size_t every = symbols / SAMPLED + 1;
    const uint32_t codes = (uint32_t)lwfc_planes_left_codes(levels) * 16;
    for (int i = 0; i < 4; i++) {
        memset(w->part[i], 0, codes * (uint32_t)levels * sizeof(uint32_t));
    }
    for (size_t group = 0; group < l->groups; group++) {
        uint8_t *run = w->columns + group * l->rows * l->width * LWFC_LANES;
        for (size_t y = group * 3 % every; y < l->rows; y += every) {
            const struct lwfc_lanes_row r = row_at(l, w, run, group, y);
            k->contexts(w->codes, r.above[0], r.row[0], l->width, levels);
            count_row(w, r.row[0], l->width, r.lanes[0], (uint32_t)levels);
        }
    }
    uint32_t *const count = &w->counts.count[0][0][0];
    for (uint32_t i = 0; i < codes; i++) {
        for (uint32_t s = 0; s < (uint32_t)levels; s++) {
            const uint32_t j = i * (uint32_t)levels + s;
            count[i * 16 + s] = w->part[0][j] + w->part[1][j] + w->part[2][j] + w->part[3][j];
        }
    }
}

static void start_states(struct planes_work *w)
{
    for (int c = 0; c < LWFC_LANES_CHAINS; c++) {
        for (int i = 0; i < LWFC_LANES; i++) {
            w->states[c][i] = LWFC_LANE_START;
        }
    }
}

/* Lanes by the payload to expect, so that the states stay a small part of it. */
static int choose_layout(const uint8_t *symbols, size_t n)
{
    size_t changes = 0;
    const size_t step = n / 1024 + 1;
    size_t seen = 1;
    for (size_t i = 1; i < n; i += step, seen++) {
        changes += symbols[i] != symbols[i - 1];
    }
    /* About 3 bits for each change of symbol from left to right. */
    const size_t bytes = (size_t)((uint64_t)n * changes * 3 / (8 * seen));
    return bytes >= 6144 ? 6 : bytes >= 2560 ? 2 : bytes >= 1024 ? 1 : 0;
}

size_t lwfc_planes_prepare(const uint8_t *symbols, const struct lwfc_block *block, int levels,
                           void *workspace)
{
    const size_t n = lwfc_block_size(block);
    struct planes_work *w = work_make(workspace, block);
    if (memcmp(symbols, symbols + 1, n - 1) == 0) {
        w->code = CONSTANT | symbols[0];
        return 1;
    }
    const struct lwfc_lanes_kernels *k = lwfc_lanes_kernels_for(lwfc_cpu_features());
    w->code = choose_layout(symbols, n);
    planes_layout_make(&w->layout, block, w->code);
    const struct planes_layout *l = &w->layout;
    for (size_t g = 0; g < l->groups; g++) {
        group_gather(k, l, g, symbols, w->columns + g * l->rows * l->width * LWFC_LANES);
    }
    count_rows(k, l, w, levels, n);
    return lwfc_planes_fit(&w->counts, levels, n, &w->tables) +
           (size_t)(l->lanes * l->chains) * 2;
}

/* Codes all rows backwards from `top` down, not below `low`; the lowest byte
 * written, or NULL when there is no room. */
static uint8_t *encode_rows(struct planes_work *w, const uint8_t *symbols, uint8_t *low,
                            uint8_t *top)
{
    const struct lwfc_lanes_kernels *k = lwfc_lanes_kernels_for(lwfc_cpu_features());
    const struct planes_layout *l = &w->layout;
    const size_t need = (size_t)l->chains * LWFC_LANES * l->width + LWFC_LANES;
    if (l->tail) {
        const struct lwfc_lanes_row r = tail_row(l, w);
        const uint8_t *runs[LWFC_LANES];
        for (int i = 0; i < r.lanes[0]; i++) {
            runs[i] = symbols + (size_t)(i + 1) * l->plane - l->tail;
        }
        k->gather(w->tail, runs, r.lanes[0], l->tail);
        if (top < low || (size_t)(top - low) < need) {
            return NULL;
        }
        top = k->encode(w->states, &w->tables.model, &r, top);
    }
    const size_t run = l->rows * l->width * LWFC_LANES;
    for (size_t turn = planes_ceil(l->groups, (size_t)l->chains); turn-- > 0;) {
        const size_t g = turn * (size_t)l->chains;
        for (size_t y = l->rows; y-- > 0;) {
            const struct lwfc_lanes_row r = row_at(l, w, w->columns + g * run, g, y);
            if (top < low || (size_t)(top - low) < need) {
                return NULL;
            }
            top = k->encode(w->states, &w->tables.model, &r, top);
        }
    }
    return top;
}

size_t lwfc_planes_finish(const uint8_t *symbols, const struct lwfc_block *block, int levels,
                          uint8_t *out, size_t capacity, void *workspace)
{
    struct planes_work *w = workspace;
    if (w->code & CONSTANT) {
        if (capacity < 1) {
            return 0;
        }
        *out = (uint8_t)w->code;
        return 1;
    }
    if (capacity < HEADER_MOST + STATES_MOST) {
        return 0;
    }
    const struct planes_layout *l = &w->layout;
    out[0] = (uint8_t)w->code;
    uint8_t *s = lwfc_planes_write(out + 1, &w->tables);
    uint8_t *const low = s + (size_t)l->chains * (size_t)l->lanes * 2;
    const size_t bound = lwfc_planes_bound(block, levels);
    uint8_t *const top = out + (capacity < bound ? capacity : bound);
    start_states(w);
    lwfc_lanes_intervals(&w->tables.model);
    const uint8_t *const p = encode_rows(w, symbols, low, top);
    if (!p) {
        return 0;
    }
    for (int c = 0; c < l->chains; c++) {
        for (int i = 0; i < l->lanes; i++, s += 2) {
            lwfc_store_u16(s, w->states[c][i]);
        }
    }
    memmove(low, p, (size_t)(top - p));
    return (size_t)(low - out) + (size_t)(top - p);
}

size_t lwfc_planes_encode(const uint8_t *symbols, const struct lwfc_block *block, int levels,
                          uint8_t *out, size_t capacity, void *workspace)
{
    if (levels < 2 || levels > LEVELS_MOST) {
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
            s->at = k->decode(w->states, &w->tables.model, &r, s->at);
            if (s->at > s->end) {
                return NULL;
            }
        }
        for (int c = 0; c < l->chains && g + (size_t)c < l->groups; c++) {
            group_scatter(k, l, g + (size_t)c, symbols, w->columns + (size_t)c * run);
        }
    }
    if (l->tail) {
        const struct lwfc_lanes_row r = tail_row(l, w);
        uint8_t *runs[LWFC_LANES];
        for (int i = 0; i < r.lanes[0]; i++) {
            runs[i] = symbols + (size_t)(i + 1) * l->plane - l->tail;
        }
        source_prepare(s, w->pad, need);
        s->at = k->decode(w->states, &w->tables.model, &r, s->at);
        k->scatter(runs, w->tail, r.lanes[0], l->tail);
    }
    return s->at;
}

int lwfc_planes_decode(const uint8_t *in, size_t nbytes, const struct lwfc_block *block, int levels,
                       uint8_t *symbols, void *workspace)
{
    const size_t n = lwfc_block_size(block);
    if (levels < 2 || levels > LEVELS_MOST || nbytes < 1) {
        return -1;
    }
    if (in[0] & CONSTANT) {
        const int symbol = in[0] & (CONSTANT - 1);
        memset(symbols, symbol < levels ? symbol : 0, n);
        return symbol < levels && nbytes == 1 ? 0 : -1;
    }
    struct planes_work *w = work_make(workspace, block);
    if (in[0] > 7 || planes_layout_make(&w->layout, block, in[0]) != 0) {
        return -1;
    }
    const struct planes_layout *l = &w->layout;
    struct planes_source s = {.at = in + 1, .end = in + nbytes};
    s.at = lwfc_planes_read(s.at, s.end, levels, &w->tables);
    if (!s.at || s.end - s.at < l->chains * l->lanes * 2) {
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
