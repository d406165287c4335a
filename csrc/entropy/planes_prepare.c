#include "cpu/cpu.h"
#include "entropy/planes.h"
#include "entropy/planes_work.h"

enum {
    SAMPLED = 49152,    /* symbols that the tables are fitted on, about */
    SPLIT_LEAST = 49152 /* symbols of a block from which on classes are tried */
};

/* Counts the leading lanes of one row. Neighbouring lanes use four tables in
 * turn: equal symbols would else wait for each other's increment. */
static void count_row(struct planes_work *w, const uint8_t *row, size_t width, int lanes, int bits)
{
    uint8_t *const codes = w->codes;
    if (bits == 2) { /* code and symbol share a byte */
        for (size_t i = 0; i < width * LWFC_LANES; i++) {
            codes[i] = (uint8_t)(codes[i] << 2 | row[i]);
        }
        for (size_t x = 0; x < width; x++) {
            const uint8_t *code = codes + x * LWFC_LANES;
            int i = 0;
            for (; i + 4 <= lanes; i += 4) {
                w->part[0][code[i]]++;
                w->part[1][code[i + 1]]++;
                w->part[2][code[i + 2]]++;
                w->part[3][code[i + 3]]++;
            }
            for (; i < lanes; i++) {
                w->part[0][code[i]]++;
            }
        }
        return;
    }
    for (size_t x = 0; x < width; x++) {
        const uint8_t *code = codes + x * LWFC_LANES;
        const uint8_t *symbol = row + x * LWFC_LANES;
        for (int i = 0; i < lanes; i++) {
            w->part[i & 3][code[i] << bits | symbol[i]]++;
        }
    }
}

/* Statistics of about SAMPLED symbols: rows at a fixed distance, shifted from
 * group to group so that all heights are seen. */
static void count_rows(const struct lwfc_lanes_kernels *k, struct planes_work *w, int levels,
                       size_t every, size_t from, size_t to, struct lwfc_planes_counts *counts)
{
    const struct planes_layout *l = &w->layout;
    const uint32_t codes = (uint32_t)lwfc_planes_left_codes(levels) * 16;
    const int bits = levels <= 4 ? 2 : levels <= 8 ? 3 : 4;
    for (int i = 0; i < 4; i++) {
        memset(w->part[i], 0, ((size_t)codes << bits) * sizeof(uint32_t));
    }
    for (size_t group = from; group < to; group++) {
        uint8_t *run = w->columns + group * l->rows * l->width * LWFC_LANES;
        for (size_t y = group * 3 % every; y < l->rows; y += every) {
            const struct lwfc_lanes_row r = row_at(l, w, run, group, y);
            k->contexts(w->codes, r.above[0], r.row[0], l->width, levels);
            count_row(w, r.row[0], l->width, r.lanes[0], bits);
        }
    }
    uint32_t *const count = &counts->count[0][0][0];
    for (uint32_t i = 0; i < codes; i++) {
        for (uint32_t s = 0; s < (uint32_t)levels; s++) {
            const uint32_t j = i << bits | s;
            count[i * 16 + s] = w->part[0][j] + w->part[1][j] + w->part[2][j] + w->part[3][j];
        }
    }
}

/* Lanes by the payload to expect, so that the states stay a small part of it. A
 * sample of pieces: single symbols far apart would each wait for memory. */
static int choose_layout(const uint8_t *symbols, size_t n)
{
    enum { SAMPLES = 1024, PIECE = 16 };
    const size_t piece = n <= SAMPLES ? n - 1 : PIECE;
    const size_t count = n <= SAMPLES ? 1 : SAMPLES / PIECE;
    const size_t step = n <= SAMPLES ? 0 : (n - 1 - PIECE) / (count - 1);
    size_t changes = 0;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *s = symbols + i * step;
        for (size_t j = 0; j < piece; j++) {
            changes += s[j + 1] != s[j];
        }
    }
    /* About 3 bits for each change of symbol from left to right. */
    const size_t bytes = (size_t)((uint64_t)n * changes * 3 / (8 * piece * count));
    return bytes >= 6144 ? 6 : bytes >= 2560 ? 2 : bytes >= 1024 ? 1 : 0;
}

/* Puts the more active half of the planes, in whole turns, into class 0: those
 * with the largest sums of symbols, by a count of the sums. */
static void choose_classes(const struct lwfc_lanes_kernels *k, struct planes_work *w,
                           const uint8_t *symbols)
{
    const struct planes_layout *l = &w->layout;
    const size_t turn = (size_t)(l->lanes * l->chains);
    const size_t wanted = planes_ceil(l->planes / 2, turn) * turn;
    uint32_t *const sums = w->order;
    uint32_t bins[256] = {0};
    for (size_t p = 0; p < l->planes; p++) {
        const uint64_t sum = k->sum(symbols + p * l->plane, l->plane);
        sums[p] = (uint32_t)(sum * 16 / l->plane); /* at most 240 */
        bins[sums[p]]++;
    }
    size_t above = 0;
    uint32_t edge = 255;
    while (above + bins[edge] < wanted) {
        above += bins[edge--];
    }
    memset(w->classes, 0, (l->planes + 7) / 8);
    size_t ties = wanted - above;
    for (size_t p = 0; p < l->planes; p++) {
        const int in_tie = sums[p] == edge && ties > 0;
        if (sums[p] <= edge && !in_tie) {
            w->classes[p / 8] = (uint8_t)(w->classes[p / 8] | 1u << p % 8);
        }
        ties -= (size_t)in_tie;
    }
    w->first = planes_order(w->order, w->classes, l->planes);
}

static void gather_all(const struct lwfc_lanes_kernels *k, struct planes_work *w,
                       const uint8_t *symbols)
{
    const struct planes_layout *l = &w->layout;
    if (l->plane == 1) { /* the planes are in order, their symbols side by side already */
        for (size_t g = 0; g < l->groups; g++) {
            const size_t lanes = (size_t)planes_layout_lanes(l, g, 0);
            memcpy(w->columns + g * LWFC_LANES, symbols + g * (size_t)l->lanes, lanes);
            memset(w->columns + g * LWFC_LANES + lanes, 0, LWFC_LANES - lanes);
        }
        return;
    }
    for (size_t g = 0; g < l->groups; g++) {
        group_gather(k, w, g, symbols, w->columns + g * l->rows * l->width * LWFC_LANES);
    }
}

/* Tries two classes; the bytes expected, or 0 when one table set is better, the
 * counts of which are then in counts[2]. */
static size_t prepare_split(const struct lwfc_lanes_kernels *k, struct planes_work *w,
                            const uint8_t *symbols, int levels, size_t every)
{
    const struct planes_layout *l = &w->layout;
    choose_classes(k, w, symbols);
    gather_all(k, w, symbols);
    const size_t cut = w->first / (size_t)l->lanes;
    count_rows(k, w, levels, every, 0, cut, &w->counts[0]);
    count_rows(k, w, levels, every, cut, l->groups, &w->counts[1]);
    for (int i = 0; i < 16 * lwfc_planes_left_codes(levels); i++) {
        const uint32_t *a = w->counts[0].count[i / 16][i % 16];
        const uint32_t *b = w->counts[1].count[i / 16][i % 16];
        for (int s = 0; s < levels; s++) {
            w->counts[2].count[i / 16][i % 16][s] = a[s] + b[s];
        }
    }
    const size_t all = l->planes * l->plane;
    const size_t first = w->first * l->plane;
    /* The classes, a second set of tables and what it gains by chance. */
    const size_t price = (l->planes + 7) / 8 + 48 * (size_t)(levels - 1);
    if (lwfc_planes_gain(&w->counts[0], &w->counts[1], levels, all) > price) {
        w->code |= PLANES_SPLIT;
        return (l->planes + 7) / 8 +
               lwfc_planes_fit(&w->counts[0], levels, first, &w->tables[0]) +
               lwfc_planes_fit(&w->counts[1], levels, all - first, &w->tables[1]);
    }
    w->first = SIZE_MAX;
    planes_order(w->order, NULL, l->planes);
    gather_all(k, w, symbols);
    return 0;
}

size_t lwfc_planes_prepare(const uint8_t *symbols, const struct lwfc_block *block, int levels,
                           void *workspace)
{
    const size_t n = lwfc_block_size(block);
    struct planes_work *w = work_make(workspace, block);
    if (memcmp(symbols, symbols + 1, n - 1) == 0) {
        w->code = PLANES_CONSTANT | symbols[0];
        return 1;
    }
    const struct lwfc_lanes_kernels *k = lwfc_lanes_kernels_for(lwfc_cpu_features());
    w->code = choose_layout(symbols, n);
    planes_layout_make(&w->layout, block, w->code);
    const struct planes_layout *l = &w->layout;
    const size_t states = (size_t)(l->lanes * l->chains) * 2;
    const size_t every = n / SAMPLED + 1;
    /* A plane of one symbol cannot earn the bit that names its class. */
    if (n >= SPLIT_LEAST && l->plane > 1 && planes_layout_splits(l)) {
        const size_t nbytes = prepare_split(k, w, symbols, levels, every);
        if (nbytes) {
            return nbytes + states;
        }
    } else {
        planes_order(w->order, NULL, l->planes);
        gather_all(k, w, symbols);
        count_rows(k, w, levels, every, 0, l->groups, &w->counts[2]);
    }
    return lwfc_planes_fit(&w->counts[2], levels, n, &w->tables[0]) + states;
}

