#include "transform/transform.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum {
    BATCH_VALUES = 1 << 16, /* coefficients of a batch of blocks: they stay in a core's cache */
    LINES = 64              /* of a call that makes coefficients */
};

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static int strips_of(const struct lwfc_transform *t)
{
    return t->padded / LWFC_STRIP;
}

/* Blocks that the forward way takes at a time. */
static size_t batch_of(const struct lwfc_transform *t)
{
    const size_t fit = BATCH_VALUES / ((size_t)t->frequencies * (size_t)t->padded);
    return fit > (size_t)t->blocks ? (size_t)t->blocks : larger(fit, 1);
}

/* Bytes of one strip before and between the two passes of the forward way, in pairs. */
static size_t forward_nbytes(const struct lwfc_transform *t)
{
    const int h = t->block_height, w = t->block_width;
    return (size_t)(w * t->side_y.pairs + h * t->side_x.pairs) * LWFC_STRIP * sizeof(uint32_t);
}

/* Numbers of one strip before the two passes of the inverse way. */
static size_t inverse_values(const struct lwfc_transform *t)
{
    return (size_t)(t->block_width * 4 * t->side_y.quads) * LWFC_STRIP;
}

size_t lwfc_transform_workspace(const struct lwfc_transform *t)
{
    const size_t batch =
        batch_of(t) * (size_t)t->frequencies * (size_t)t->padded * sizeof(int16_t);
    const size_t between =
        (size_t)(t->block_height * t->side_x.pairs) * LWFC_STRIP * sizeof(uint32_t);
    return larger(forward_nbytes(t) + batch,
                  inverse_values(t) * LWFC_STRIPS * sizeof(int16_t) + between);
}

/* Where a block's means lie: of its places, or the same for every block. */
static size_t mean_place(const struct lwfc_transform *t, int y, int x)
{
    return t->mean_is_map ? (size_t)y * (size_t)t->width + (size_t)x : 0;
}

static void block_place(const struct lwfc_transform *t, int block, int *y, int *x)
{
    const int across = t->width / t->block_width;
    *y = block / across * t->block_height;
    *x = block % across * t->block_width;
}

static void forward_block(const struct lwfc_transform *t,
                          const struct lwfc_transform_kernels *kernels,
                          const struct lwfc_transform_tile *tile, int block, uint32_t *pairs,
                          int16_t *x, size_t stride)
{
    int top, left;
    block_place(t, block, &top, &left);
    const ptrdiff_t mean_width = t->mean_is_map ? t->width : t->block_width;
    const ptrdiff_t mean_places =
        mean_width * (t->mean_is_map ? t->height : t->block_height);
    const int is_last = tile->channel == 1;
    struct lwfc_rows_in from = {.in = tile->data + top * tile->row + left * tile->column,
                                .channel = tile->channel,
                                .row = tile->row,
                                .column = tile->column,
                                .mean_channel = is_last ? 1 : mean_places,
                                .mean_row = is_last ? mean_width * t->padded : mean_width,
                                .mean_column = is_last ? t->padded : 1,
                                .scale = t->scale_in,
                                .lo = t->clip_lo,
                                .hi = t->clip_hi,
                                .bits = t->bits[0],
                                .is_narrow = t->is_narrow};
    const size_t at = mean_place(t, top, left);
    from.mean = is_last ? t->mean_last + at * (size_t)t->padded : t->mean_planar + at;
    uint32_t *between = pairs + t->block_height * t->side_x.pairs * LWFC_STRIP;
    for (int c = 0; c < t->channels; c += LWFC_STRIP) {
        const int channels = t->channels - c < LWFC_STRIP ? t->channels - c : LWFC_STRIP;
        kernels->take(&from, t->block_height, t->block_width, channels, pairs);
        kernels->forward_rows(pairs, &t->side_x, t->block_height, t->live_v,
                              t->side_x.bits + t->bits[0] - t->bits[1], between);
        kernels->forward_columns(between, &t->side_y, t->block_width, t->live_u, t->live_v,
                                 t->side_y.bits + t->bits[1] - t->bits[2], x + c, stride);
        from.in += LWFC_STRIP * from.channel;
        from.mean += LWFC_STRIP * from.mean_channel;
    }
}

/* Coefficients of `count` blocks from their frequencies x[frequency][batch][padded channels]. */
static void analyze(const struct lwfc_transform *t, const struct lwfc_transform_kernels *kernels,
                    const int16_t *x, size_t batch, size_t count, int16_t *coefficients)
{
    const size_t symbols = (size_t)t->model.tables.groups * LWFC_GROUP;
    const size_t padded = (size_t)t->padded;
    struct lwfc_analysis_line lines[LINES];
    struct lwfc_analysis a = {.lines = lines, .channels = (size_t)t->channels, .padded = padded};
    for (int i = 0, end; i < t->live; i = end) {
        const uint64_t key = t->order[i] >> 16;
        const struct lwfc_transform_matrix *m = &t->matrices[key >> 16];
        const size_t room = (key & 0xFFFF) * LWFC_GROUP;
        a.rows = m->analysis;
        a.scales = m->scales;
        a.limit = (float)m->limit;
        a.columns = (size_t)m->columns < room ? m->columns : (int)room;
        for (end = i; end < t->live && t->order[end] >> 16 == key; end++) {
            const size_t f = t->order[end] & 0xFFFF;
            int16_t *q = coefficients + (size_t)t->groups[f] * LWFC_GROUP;
            for (size_t b = 0; b < count; b++, q += symbols) {
                lines[a.count++] = (struct lwfc_analysis_line){x + (f * batch + b) * padded, q};
                if (a.count == LINES) {
                    kernels->analyze(&a);
                    a.count = 0;
                }
            }
        }
        kernels->analyze(&a);
        a.count = 0;
        for (int k = i; k < end; k++) {
            const size_t f = t->order[k] & 0xFFFF, used = t->columns[f];
            if (used < room && used < (size_t)m->columns) { /* more than this frequency has */
                int16_t *q = coefficients + (size_t)t->groups[f] * LWFC_GROUP;
                for (size_t b = 0; b < count; b++, q += symbols) {
                    memset(q + used, 0, (room - used) * sizeof(int16_t));
                }
            }
        }
    }
}

void lwfc_transform_forward(const struct lwfc_transform *t,
                            const struct lwfc_transform_kernels *kernels,
                            const struct lwfc_transform_tile *tile, int16_t *coefficients,
                            void *workspace)
{
    const size_t batch = batch_of(t), padded = (size_t)t->padded;
    const size_t symbols = (size_t)t->model.tables.groups * LWFC_GROUP;
    uint32_t *pairs = workspace;
    int16_t *x = (int16_t *)(void *)((uint8_t *)workspace + forward_nbytes(t));
    for (size_t first = 0; first < (size_t)t->blocks; first += batch) {
        const size_t left = (size_t)t->blocks - first, count = left < batch ? left : batch;
        for (size_t b = 0; b < count; b++) {
            forward_block(t, kernels, tile, (int)(first + b), pairs, x + b * padded,
                          batch * padded);
        }
        analyze(t, kernels, x, batch, count, coefficients + first * symbols);
    }
}

/* Where in its row a frequency is; asked for rising ones, which finds the row without dividing. */
static int column_of(int line, int width, int *row)
{
    while (line >= (*row + 1) * width) {
        ++*row;
    }
    return line - *row * width;
}

/* The box of frequencies that have something: fours of u, and pairs of v. */
static void find_box(const struct lwfc_transform *t, const struct lwfc_groups_list *list,
                     int *quads, int *vp)
{
    *quads = *vp = 1;
    int u = 0;
    for (uint32_t i = 0; i < list->count; i++) {
        const int v = column_of(list->lines[i], t->block_width, &u);
        *quads = u / 4 + 1 > *quads ? u / 4 + 1 : *quads;
        *vp = v / 2 + 1 > *vp ? v / 2 + 1 : *vp;
    }
}

/* Finite element types and the codec limit what is written. */
static void limit_values(const struct lwfc_transform *t, float largest, struct lwfc_rows_out *to)
{
    to->clamp = t->clamp || largest < FLT_MAX;
    to->lo = t->clamp ? fminf(fmaxf(t->clamp_lo, -largest), largest) : -largest;
    to->hi = t->clamp ? fminf(fmaxf(t->clamp_hi, -largest), largest) : largest;
}

void lwfc_transform_inverse(const struct lwfc_transform *t,
                            const struct lwfc_transform_kernels *kernels,
                            const struct lwfc_groups_list *list, int block,
                            const struct lwfc_transform_tile *tile, void *workspace)
{
    int top, left, quads, vp;
    block_place(t, block, &top, &left);
    find_box(t, list, &quads, &vp);
    const int is_last = tile->channel == 1, width = t->block_width;
    const ptrdiff_t mean_width = t->mean_is_map ? t->width : t->block_width;
    const ptrdiff_t mean_places =
        mean_width * (t->mean_is_map ? t->height : t->block_height);
    struct lwfc_rows_out to = {.out = tile->data + top * tile->row + left * tile->column,
                               .channel = tile->channel,
                               .row = tile->row,
                               .column = tile->column,
                               .mean_channel = is_last ? 1 : mean_places,
                               .mean_row = is_last ? mean_width * t->padded : mean_width,
                               .mean_column = is_last ? t->padded : 1,
                               .scale = t->scale_out};
    limit_values(t, tile->largest, &to);
    const size_t at = mean_place(t, top, left);
    to.mean = is_last ? t->mean_last + at * (size_t)t->padded : t->mean_planar + at;
    const int live = 2 * vp < width ? 2 * vp : width, line = 4 * quads * LWFC_STRIP;
    const size_t stride = (size_t)(live * line); /* the box of one strip: columns of lines */
    int16_t *x = workspace;
    uint32_t *z = (uint32_t *)(void *)(x + inverse_values(t) * LWFC_STRIPS);
    for (int strip = 0; strip < strips_of(t); strip += LWFC_STRIPS) {
        const int rest = strips_of(t) - strip, strips = rest < LWFC_STRIPS ? rest : LWFC_STRIPS;
        memset(x, 0, (size_t)strips * stride * sizeof *x);
        int u = 0;
        for (uint32_t i = 0; i < list->count; i++) {
            const int v = column_of(list->lines[i], width, &u);
            const struct lwfc_transform_matrix *m = &t->matrices[t->index[list->lines[i]]];
            const struct lwfc_synthesis s = {.columns = m->synthesis + strip * LWFC_STRIP,
                                             .stride = (size_t)t->padded,
                                             .entries = list->entries + list->starts[i],
                                             .count = list->starts[i + 1] - list->starts[i],
                                             .shift = m->shift};
            kernels->synthesize(&s, strips, x + v * line + u * LWFC_STRIP, stride);
        }
        for (int i = 0; i < strips; i++) {
            const int left_over = t->channels - (strip + i) * LWFC_STRIP;
            kernels->columns(x + (size_t)i * stride, &t->side_y, quads, vp, width, z);
            kernels->rows(z, &t->side_x, vp, t->block_height,
                          left_over < LWFC_STRIP ? left_over : LWFC_STRIP, &to);
            to.out += LWFC_STRIP * to.channel;
            to.mean += LWFC_STRIP * to.mean_channel;
        }
    }
}
