#include "entropy/context_model.h"

#include "base/bytes.h"

enum {
    VERSION = 1,
    HEAD = 6 + 32,
    ABOVE_STORED = 5
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

static size_t groups_of(size_t channels)
{
    return (channels + LWFC_LANES - 1) / LWFC_LANES;
}

size_t lwfc_context_model_workspace(const uint8_t *blob, size_t n)
{
    if (n < HEAD) {
        return 0;
    }
    const size_t channels = lwfc_load_u16(blob + 4);
    /* A reference takes at least four bytes of the blob. */
    return round64(2 * channels) +
           round64(groups_of(channels) * sizeof(struct lwfc_context_group)) +
           round64((n / 4 + 1) * sizeof(struct lwfc_context_reference));
}

static int8_t as_signed(uint8_t v)
{
    return (int8_t)(v < 128 ? v : v - 256);
}

static int read_head(struct cursor *c, struct lwfc_context_model *m)
{
    const uint8_t *const p = take(c, HEAD);
    if (!p || p[0] != VERSION || p[1] < 2 || p[1] > LWFC_CONTEXT_LEVELS || p[2] > 4 || p[3] > 2) {
        return -1;
    }
    m->scale.levels = p[1];
    m->scale.shift = p[2];
    m->scale.coarse = p[3];
    m->channels = lwfc_load_u16(p + 4);
    m->groups = (int)groups_of((size_t)m->channels);
    for (int i = 0; i < 32; i++) {
        const uint8_t v = p[6 + i];
        /* Falling entries keep the thresholds in order. */
        if (v < m->scale.levels - 1 || v > 128 || (i > 0 && v > p[5 + i])) {
            return -1;
        }
        m->scale.link[i] = v;
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

/* Increments whose partial sums must fit a signed byte. */
static int read_increments(struct cursor *c, int8_t (*out)[LWFC_LANES], int lane, int count)
{
    const uint8_t *const p = take(c, (size_t)count);
    int sum = 0;
    for (int k = 0; p && k < count && k < LWFC_CONTEXT_LEVELS - 1; k++) {
        out[k][lane] = as_signed(p[k]);
        sum += out[k][lane];
        if (sum < -128 || sum > 127) {
            return -1;
        }
    }
    return p ? 0 : -1;
}

static int read_reference(struct cursor *c, struct lwfc_context_reference *r, int levels,
                          int slots, const uint16_t *order)
{
    const uint8_t *const p = take(c, levels > 2 ? 5 : 4);
    if (!p || lwfc_load_u16(p) >= slots) {
        return -1;
    }
    r->channel = order[lwfc_load_u16(p)];
    const int base = as_signed(p[2]);
    const int first = as_signed(p[3]);
    const int slope = levels > 2 ? as_signed(p[4]) : 0;
    for (int s = 0; s < LWFC_CONTEXT_LEVELS; s++) {
        const int v = s >= levels ? 0 : base + (s > 0 ? first + (s - 1) * slope : 0);
        if (v < -128 || v > 127) {
            return -1;
        }
        r->table[s] = (int8_t)v;
    }
    return 0;
}

static int read_lane(struct cursor *c, const struct lwfc_context_model *m,
                     struct lwfc_context_group *g, int lane, int slots,
                     struct lwfc_context_reference *list, uint32_t *used)
{
    const int thresholds = m->scale.levels - 1;
    const uint8_t *const p = take(c, 2 + ABOVE_STORED + (size_t)thresholds);
    if (!p) {
        return -1;
    }
    const int offset = lwfc_load_u16(p);
    g->offset[lane] = (int16_t)(offset < 32768 ? offset : offset - 65536);
    if (g->offset[lane] < -16384 || g->offset[lane] > 16384) {
        return -1;
    }
    for (int i = 0; i < ABOVE_STORED; i++) {
        g->above[i][lane] = as_signed(p[2 + i]);
    }
    for (int k = 0; k < thresholds; k++) {
        g->bias[k][lane] = as_signed(p[2 + ABOVE_STORED + k]);
        if (k > 0 && g->bias[k][lane] > g->bias[k - 1][lane]) {
            return -1;
        }
    }
    if (read_increments(c, g->left, lane, thresholds) ||
        read_increments(c, g->left2, lane, thresholds)) {
        return -1;
    }
    const uint8_t *const count = take(c, 1);
    if (!count) {
        return -1;
    }
    for (int i = 0; i < *count; i++) {
        if (read_reference(c, &list[*used], m->scale.levels, slots, m->order)) {
            return -1;
        }
        ++*used;
    }
    return 0;
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
    p += round64((size_t)model->groups * sizeof *group);
    struct lwfc_context_reference *const list = (struct lwfc_context_reference *)p;
    if (read_order(&c, order, model->channels)) {
        return -1;
    }
    memset(group, 0, (size_t)model->groups * sizeof *group);
    model->order = order;
    model->group = group;
    model->reference = list;
    uint32_t used = 0;
    for (int i = 0; i < model->groups; i++) {
        const int slots = lwfc_context_first_slot(model, i);
        const int lanes = lwfc_context_lanes(model, i);
        for (int lane = 0; lane < LWFC_LANES; lane++) {
            group[i].first[lane] = used;
            if (lane < lanes && read_lane(&c, model, &group[i], lane, slots, list, &used)) {
                return -1;
            }
        }
        group[i].first[LWFC_LANES] = used;
    }
    return c.at == n ? 0 : -1;
}
