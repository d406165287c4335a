#include "entropy/context_model.h"

#include "base/bytes.h"

enum {
    VERSION = 1,
    HEAD = 8 + 32,
    RECORD_LEAST = 14, /* with its entry in `order` */
    OFFSET_MOST = 8192
};

/* A position in the blob; at > n marks a read past the end. */
struct cursor {
    const uint8_t *blob;
    size_t n;
    size_t at;
};

/* The next `count` bytes, or NULL past the end. */
static const uint8_t *take(struct cursor *c, size_t count)
{
    if (count > c->n - c->at) {
        return NULL;
    }
    const uint8_t *const p = c->blob + c->at;
    c->at += count;
    return p;
}

static size_t round64(size_t n)
{
    return (n + 63) / 64 * 64;
}

static size_t groups_of(size_t channels, size_t lanes)
{
    return (channels + lanes - 1) / lanes;
}

/* 2: each group is there alone and as a pair. */
static size_t copies_of(size_t lanes)
{
    return lanes <= LWFC_CONTEXT_PAIR_LANES ? 2 : 1;
}

/* A reference takes at least five bytes of the blob; fours are filled up. */
static size_t references_most(size_t n, size_t channels, size_t lanes)
{
    return copies_of(lanes) * (n / 5 + 4 + 3 * channels) / 4 * 4;
}

size_t lwfc_context_model_workspace(const uint8_t *blob, size_t n)
{
    if (n < HEAD) {
        return 0;
    }
    const size_t channels = lwfc_load_u16(blob + 6);
    const size_t lanes = blob[3];
    /* What cannot be a model shall not be allocated for. */
    if (lanes < 8 || n < HEAD + RECORD_LEAST * channels) {
        return 0;
    }
    const size_t references = references_most(n, channels, lanes);
    return round64(2 * channels) +
           round64(copies_of(lanes) * groups_of(channels, lanes) *
                   sizeof(struct lwfc_context_group)) +
           round64(references * sizeof(struct lwfc_context_reference)) +
           round64(references / 4 * LWFC_CONTEXT_SCORES * lwfc_context_four_nbytes(blob[1]));
}

static int8_t as_signed(uint8_t v)
{
    return (int8_t)(v < 128 ? v : v - 256);
}

static int read_head(struct cursor *c, struct lwfc_context_model *m)
{
    const uint8_t *const p = take(c, HEAD);
    if (!p || p[0] != VERSION || p[1] < 2 || p[1] > LWFC_CONTEXT_LEVELS || p[2] < 1 ||
        p[2] > (p[1] > 2 ? LWFC_CONTEXT_SCORES : 1) || p[4] > 4 || p[5] > 2) {
        return -1;
    }
    if (p[3] != 8 && p[3] != 16 && p[3] != LWFC_LANES) {
        return -1;
    }
    m->scale.levels = p[1];
    m->scale.scores = p[2];
    m->lanes = p[3];
    m->scale.shift = p[4];
    m->scale.coarse = p[5];
    m->channels = lwfc_load_u16(p + 6);
    m->groups = (int)groups_of((size_t)m->channels, (size_t)m->lanes);
    const uint8_t *const link = p + HEAD - 32;
    for (int i = 0; i < 32; i++) {
        /* Falling entries keep the thresholds in order. */
        if (link[i] < m->scale.levels - 1 || link[i] > 128 || (i > 0 && link[i] > link[i - 1])) {
            return -1;
        }
        m->scale.link[i] = link[i];
    }
    return m->channels > 0 ? 0 : -1;
}

static int read_order(struct cursor *c, uint16_t *order, int channels)
{
    const uint8_t *const p = take(c, 2 * (size_t)channels);
    uint8_t seen[65536 / 8] = {0};
    if (!p) {
        return -1;
    }
    for (int i = 0; i < channels; i++) {
        const unsigned v = lwfc_load_u16(p + 2 * i);
        if ((int)v >= channels || (seen[v / 8] >> v % 8 & 1)) {
            return -1;
        }
        seen[v / 8] = (uint8_t)(seen[v / 8] | 1 << v % 8);
        order[i] = (uint16_t)v;
    }
    return 0;
}

/* A table given by its increments; all entries must fit a signed byte. */
static int read_left(struct cursor *c, int8_t (*out)[LWFC_LANES], int lane, int count)
{
    const uint8_t *const p = take(c, (size_t)count);
    int sum = 0;
    for (int k = 0; p && k < count && k < LWFC_CONTEXT_LEVELS - 1; k++) {
        sum += as_signed(p[k]);
        if (sum < -128 || sum > 127) {
            return -1;
        }
        out[k][lane] = (int8_t)sum;
    }
    return p ? 0 : -1;
}

/* What symbols 0, 1, ... of a reference add to each score. */
struct reference_tables {
    int8_t score[LWFC_CONTEXT_SCORES][LWFC_CONTEXT_LEVELS];
};

static int read_table(struct cursor *c, int8_t *table, int levels)
{
    const uint8_t *const p = take(c, levels > 2 ? 3 : 2);
    if (!p) {
        return -1;
    }
    const int base = as_signed(p[0]);
    const int first = as_signed(p[1]);
    const int slope = levels > 2 ? as_signed(p[2]) : 0;
    for (int s = 0; s < levels; s++) {
        const int v = base + (s > 0 ? first + (s - 1) * slope : 0);
        if (v < -128 || v > 127) {
            return -1;
        }
        table[s] = (int8_t)v;
    }
    return 0;
}

static int read_reference(struct cursor *c, const struct lwfc_context_model *m,
                          struct lwfc_context_reference *r, struct reference_tables *t, int slots)
{
    static const int8_t places[5][2] = {{0, 0}, {1, 0}, {0, 1}, {-1, 0}, {0, -1}};
    const uint8_t *const p = take(c, 3);
    if (!p || lwfc_load_u16(p) >= slots || p[2] >= sizeof places / sizeof places[0]) {
        return -1;
    }
    r->slot = lwfc_load_u16(p);
    r->right = places[p[2]][0];
    r->down = places[p[2]][1];
    for (int i = 0; i < m->scale.scores; i++) {
        if (read_table(c, t->score[i], m->scale.levels)) {
            return -1;
        }
    }
    return 0;
}

/* Whether all that four references can add to a score fits a signed byte. */
static int four_fit(const struct reference_tables *four, int score, int levels)
{
    int least = 0;
    int most = 0;
    for (int i = 0; i < 4; i++) {
        const int8_t *const table = four[i].score[score];
        /* Tables are straight from symbol 1 on. */
        const int a = table[0], b = table[1], c = table[levels - 1];
        const int low = b < c ? b : c;
        const int high = b < c ? c : b;
        least += a < low ? a : low;
        most += a > high ? a : high;
    }
    return least >= -128 && most <= 127;
}

/* Lays out one score's tables as the kernels want them. */
static void write_four(int8_t *to, const struct reference_tables *four, int score, int levels)
{
    if (levels == 2) {
        for (int i = 0; i < 8; i++) {
            /* Only the sum of four fits a signed byte; two may wrap. */
            const int8_t *const a = four[i / 4 * 2].score[score];
            const int8_t *const b = four[i / 4 * 2 + 1].score[score];
            to[i] = as_signed((uint8_t)(a[i % 2] + b[i / 2 % 2]));
        }
        return;
    }
    const int each = levels <= 4 ? 4 : LWFC_CONTEXT_LEVELS;
    for (int i = 0; i < 4; i++) {
        memcpy(to + i * each, four[i].score[score], (size_t)each);
    }
}

/* Where the next references of a model being read go. */
struct reference_lists {
    struct lwfc_context_reference *reference;
    int8_t *table;
    size_t used;
};

/* Up to four references; the rest of the four add nothing. */
static int read_four(struct cursor *c, const struct lwfc_context_model *m, int slots, int count,
                     struct reference_lists *to)
{
    struct reference_tables four[4];
    struct lwfc_context_reference *const own = to->reference + to->used;
    const size_t nbytes = lwfc_context_four_nbytes(m->scale.levels);
    memset(four, 0, sizeof four);
    for (int i = 0; i < 4; i++) {
        own[i] = own[0];
        if (i < count && read_reference(c, m, &own[i], &four[i], slots)) {
            return -1;
        }
    }
    for (int i = 0; i < m->scale.scores; i++) {
        if (!four_fit(four, i, m->scale.levels)) {
            return -1;
        }
        write_four(to->table, four, i, m->scale.levels);
        to->table += nbytes;
    }
    to->used += 4;
    return 0;
}

static int read_references(struct cursor *c, const struct lwfc_context_model *m, int slots,
                           struct reference_lists *to)
{
    const uint8_t *const count = take(c, 1);
    for (int i = 0; count && i < *count; i += 4) {
        if (read_four(c, m, slots, *count - i, to)) {
            return -1;
        }
    }
    return count ? 0 : -1;
}

static int read_weights(struct cursor *c, struct lwfc_context_weights *w, int lane, int thresholds)
{
    const int above = thresholds > 1 ? 5 : 4;
    const uint8_t *const p = take(c, 3 + (size_t)above);
    if (!p) {
        return -1;
    }
    const int offset = lwfc_load_u16(p);
    w->offset[lane] = (int16_t)(offset < 32768 ? offset : offset - 65536);
    if (w->offset[lane] < -OFFSET_MOST || w->offset[lane] > OFFSET_MOST) {
        return -1;
    }
    w->activity[lane] = as_signed(p[2]);
    for (int i = 0; i < above; i++) {
        w->above[i][lane] = as_signed(p[3 + i]);
    }
    return read_left(c, w->left, lane, thresholds) || read_left(c, w->left2, lane, thresholds)
               ? -1
               : 0;
}

static int read_lane(struct cursor *c, const struct lwfc_context_model *m,
                     struct lwfc_context_group *g, int lane)
{
    const int thresholds = m->scale.levels - 1;
    const uint8_t *const p = take(c, (size_t)thresholds + 1);
    if (!p) {
        return -1;
    }
    for (int k = 0; k < thresholds; k++) {
        g->bias[k][lane] = as_signed(p[k]);
        if (k > 0 && g->bias[k][lane] > g->bias[k - 1][lane]) {
            return -1;
        }
    }
    g->prior[lane] = p[thresholds];
    for (int i = 0; i < m->scale.scores; i++) {
        if (read_weights(c, &g->score[i], lane, thresholds)) {
            return -1;
        }
    }
    return 0;
}

static void pair_rows(int8_t (*rows)[LWFC_LANES], int count)
{
    for (int i = 0; i < count; i++) {
        memcpy(rows[i] + LWFC_CONTEXT_PAIR_LANES, rows[i], LWFC_CONTEXT_PAIR_LANES);
    }
}

/* The group for both samples of a pair; its references follow the group's own, which
 * are the latest. */
static void pair_group(struct lwfc_context_group *g, const struct lwfc_context_scale *scale,
                       struct reference_lists *to)
{
    enum { HALF = LWFC_CONTEXT_PAIR_LANES };
    const size_t first = g->first[0], count = to->used - first;
    const size_t nbytes = count / 4 * (size_t)scale->scores *
                          lwfc_context_four_nbytes(scale->levels);
    for (int i = 0; i < LWFC_CONTEXT_SCORES; i++) {
        struct lwfc_context_weights *const w = &g->score[i];
        memcpy(w->offset + HALF, w->offset, HALF * sizeof *w->offset);
        pair_rows(&w->activity, 1);
        pair_rows(w->above, LWFC_CONTEXT_ABOVE);
        pair_rows(w->left, LWFC_CONTEXT_LEVELS - 1);
        pair_rows(w->left2, LWFC_CONTEXT_LEVELS - 1);
    }
    pair_rows(g->bias, LWFC_CONTEXT_LEVELS - 1);
    memcpy(g->prior + HALF, g->prior, HALF);
    g->lanes += HALF;
    for (int lane = HALF; lane <= LWFC_LANES; lane++) {
        g->first[lane] = g->first[lane - HALF] + (uint32_t)count;
    }
    memcpy(to->table, to->table - nbytes, nbytes);
    to->table += nbytes;
    for (size_t i = 0; i < count; i++) {
        to->reference[to->used++] = to->reference[first + i];
    }
}

int lwfc_context_model_read(const uint8_t *blob, size_t n, struct lwfc_context_model *model,
                            void *workspace)
{
    struct cursor c = {blob, n, 0};
    if (read_head(&c, model)) {
        return -1;
    }
    uint8_t *p = workspace;
    uint16_t *const order = (uint16_t *)p;
    p += round64(2 * (size_t)model->channels);
    struct lwfc_context_group *const group = (struct lwfc_context_group *)p;
    struct lwfc_context_group *const pair =
        model->lanes <= LWFC_CONTEXT_PAIR_LANES ? group + model->groups : NULL;
    p += round64(copies_of((size_t)model->lanes) * (size_t)model->groups * sizeof *group);
    struct reference_lists lists = {.reference = (struct lwfc_context_reference *)p};
    p += round64(references_most(n, (size_t)model->channels, (size_t)model->lanes) *
                 sizeof *lists.reference);
    lists.table = (int8_t *)p;
    if (read_order(&c, order, model->channels)) {
        return -1;
    }
    memset(group, 0, (size_t)model->groups * sizeof *group);
    model->order = order;
    model->group = group;
    model->pair = pair;
    model->reference = lists.reference;
    model->table = lists.table;
    for (int i = 0; i < model->groups; i++) {
        const int slots = lwfc_context_first_slot(model, i);
        const int lanes = lwfc_context_lanes(model, i);
        group[i].lanes = lanes;
        for (int lane = 0; lane < LWFC_LANES; lane++) {
            group[i].first[lane] = (uint32_t)lists.used;
            if (lane < lanes && (read_lane(&c, model, &group[i], lane) ||
                                 read_references(&c, model, slots, &lists))) {
                return -1;
            }
        }
        group[i].first[LWFC_LANES] = (uint32_t)lists.used;
        if (pair) {
            pair[i] = group[i];
            pair_group(&pair[i], &model->scale, &lists);
        }
    }
    model->references = lists.used;
    return c.at == n ? 0 : -1;
}
