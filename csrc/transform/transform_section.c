/* The section of a codec file: every field is checked before anything depends on it. */
#include "base/bytes.h"
#include "base/memory.h"
#include "transform/dct.h"
#include "transform/section.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    VERSION = 1,
    FLAG_CLAMP = 1,
    FLAG_MEAN_MAP = 2,
    FLAG_FREE = 4,
    EXPONENT_MAX = 8,
    ANALYSIS_SUM = 65535 /* times 32767 it stays below 2^31 */
};

/* Where the section's parts begin. */
struct outline {
    const uint8_t *index, *columns, *matrices, *mean, *classes, *of_columns, *silent;
    int class_count;
    struct lwfc_section_sizes sizes;
};

/* A cursor that never passes the end; `p` is NULL once it would have. */
struct cursor {
    const uint8_t *p, *end;
};

static const uint8_t *skip(struct cursor *c, size_t nbytes)
{
    const uint8_t *at = c->p;
    c->p = at != NULL && (size_t)(c->end - at) >= nbytes ? at + nbytes : NULL;
    return c->p != NULL ? at : NULL;
}

static int in_order(float lo, float hi)
{
    return isfinite(lo) && isfinite(hi) && lo <= hi;
}

static int read_fixed(const uint8_t *p, struct lwfc_transform *t)
{
    const int flags = p[1];
    if (p[0] != VERSION || (flags & ~(FLAG_CLAMP | FLAG_MEAN_MAP | FLAG_FREE)) || p[15] != 0) {
        return -1;
    }
    t->clamp = (flags & FLAG_CLAMP) != 0;
    t->mean_is_map = (flags & FLAG_MEAN_MAP) != 0;
    t->is_free = (flags & FLAG_FREE) != 0;
    t->height = lwfc_load_u16(p + 2);
    t->width = lwfc_load_u16(p + 4);
    const uint32_t channels = lwfc_load_u32(p + 6);
    t->block_height = p[10];
    t->block_width = p[11];
    if (t->height == 0 || t->width == 0 || channels == 0 || channels > UINT16_MAX ||
        t->block_height == 0 || t->block_height > LWFC_SIDE_MAX || t->block_width == 0 ||
        t->block_width > LWFC_SIDE_MAX || t->height % t->block_height != 0 ||
        t->width % t->block_width != 0) {
        return -1;
    }
    t->channels = (int)channels;
    t->frequencies = t->block_height * t->block_width;
    const uint64_t places = (uint64_t)t->height * (uint64_t)t->width;
    if ((uint64_t)t->frequencies * channels > 1u << 24 || places * channels > 1u << 30) {
        return -1;
    }
    t->blocks = (int)(places / (uint64_t)t->frequencies);
    t->padded = (t->channels + LWFC_STRIP - 1) / LWFC_STRIP * LWFC_STRIP;
    for (int i = 0; i < 3; i++) {
        t->bits[i] = p[12 + i];
        if (t->bits[i] > EXPONENT_MAX || (i > 0 && t->bits[i] > t->bits[i - 1])) {
            return -1;
        }
    }
    const float unit = lwfc_load_f32(p + 16);
    t->clip_lo = lwfc_load_f32(p + 20);
    t->clip_hi = lwfc_load_f32(p + 24);
    t->clamp_lo = lwfc_load_f32(p + 28);
    t->clamp_hi = lwfc_load_f32(p + 32);
    t->matrix_count = lwfc_load_u16(p + 36);
    if (!(unit >= 0x1p-100f && unit <= 0x1p100f) || !in_order(t->clip_lo, t->clip_hi) ||
        !in_order(t->clamp_lo, t->clamp_hi) || t->matrix_count == 0 ||
        t->matrix_count > t->frequencies ||
        (!t->clamp && (lwfc_load_u32(p + 28) | lwfc_load_u32(p + 32)) != 0)) {
        return -1;
    }
    t->scale_in = (float)(1 << t->bits[0]) / unit;
    t->scale_out = ldexpf(unit, -lwfc_dct_bits(t->block_width));
    const float reach = 0x1p30f;
    return fabsf(t->clip_lo * t->scale_in) <= reach && fabsf(t->clip_hi * t->scale_in) <= reach
               ? 0
               : -1;
}

size_t lwfc_section_begin(const uint8_t *section, size_t nbytes, struct lwfc_transform *t,
                          struct lwfc_section_sizes *sizes)
{
    if (nbytes < LWFC_SECTION_HEAD || read_fixed(section, t) != 0 ||
        (nbytes - LWFC_SECTION_HEAD) / 4 < (size_t)t->frequencies) {
        return 0;
    }
    const uint8_t *index = section + LWFC_SECTION_HEAD;
    const uint8_t *live = index + 2 * t->frequencies;
    memset(sizes, 0, sizeof *sizes);
    for (int f = 0; f < t->frequencies; f++) {
        const uint16_t matrix = lwfc_load_u16(index + 2 * f);
        const uint16_t columns = lwfc_load_u16(live + 2 * f);
        if (matrix >= t->matrix_count || columns > t->channels) {
            return 0;
        }
        if (columns > sizes->matrix_columns[matrix]) {
            sizes->matrix_columns[matrix] = columns;
        }
        sizes->coefficients += columns;
        sizes->groups += (columns + LWFC_GROUP - 1u) / LWFC_GROUP;
    }
    sizes->means = (size_t)t->channels *
                   (t->mean_is_map ? (size_t)t->height * (size_t)t->width : 1);
    return LWFC_SECTION_HEAD + 4 * (size_t)t->frequencies;
}

size_t lwfc_section_matrix(const struct lwfc_transform *t, size_t columns)
{
    return 1 + columns * (1 + 4 + 2 * (size_t)t->channels);
}

size_t lwfc_section_tables(const uint8_t *tables, size_t nbytes,
                           const struct lwfc_section_sizes *sizes)
{
    struct cursor c = {tables, tables + nbytes};
    const uint8_t *count = skip(&c, 1);
    if (count == NULL || *count > LWFC_GROUPS_CLASSES || (*count == 0) != (sizes->groups == 0)) {
        return 0;
    }
    for (int i = 0; i < *count; i++) {
        const uint8_t *head = skip(&c, 3);
        if (head == NULL || head[0] > LWFC_GROUPS_TOP) {
            return 0;
        }
        skip(&c, 2 * (size_t)head[0]);
    }
    return c.p != NULL ? (size_t)(c.p - tables) : 0;
}

static int read_outline(const uint8_t *section, size_t nbytes, struct lwfc_transform *t,
                        struct outline *o)
{
    struct cursor c = {section, section + nbytes};
    const size_t begin = lwfc_section_begin(section, nbytes, t, &o->sizes);
    if (begin == 0) {
        return -1;
    }
    o->index = section + LWFC_SECTION_HEAD;
    o->columns = o->index + 2 * t->frequencies;
    o->matrices = section + begin;
    skip(&c, begin);
    for (int m = 0; m < t->matrix_count; m++) {
        skip(&c, lwfc_section_matrix(t, o->sizes.matrix_columns[m]));
    }
    o->mean = skip(&c, 2 * o->sizes.means);
    if (c.p == NULL) {
        return -1;
    }
    const size_t tables = lwfc_section_tables(c.p, (size_t)(c.end - c.p), &o->sizes);
    if (tables == 0) {
        return -1;
    }
    o->class_count = c.p[0];
    o->classes = c.p + 1;
    skip(&c, tables);
    o->of_columns = skip(&c, o->sizes.coefficients);
    o->silent = skip(&c, 2 * (size_t)o->sizes.groups);
    return o->silent != NULL && c.p == c.end ? 0 : -1;
}

static size_t groups_of(size_t columns)
{
    return (columns + LWFC_GROUP - 1) / LWFC_GROUP;
}

static int read_matrix(const uint8_t *p, int columns, struct lwfc_transform *t,
                       struct lwfc_placer *memory, struct lwfc_transform_matrix *m)
{
    const int channels = t->channels, padded = t->padded;
    const uint8_t *exponents = p + 1, *mantissas = exponents + columns;
    const uint8_t *scales = mantissas + (size_t)columns * (size_t)channels;
    const uint8_t *rows = scales + 4 * (size_t)columns;
    const size_t size = (size_t)columns * (size_t)padded, groups = groups_of((size_t)columns);
    int16_t *synthesis = lwfc_place(memory, size, sizeof *synthesis);
    uint32_t *analysis =
        lwfc_place(memory, groups * LWFC_GROUP * (size_t)padded / 2, sizeof *analysis);
    float *row_scales = lwfc_place(memory, groups * LWFC_GROUP, sizeof *row_scales);
    memset(synthesis, 0, size * sizeof *synthesis);
    memset(analysis, 0, groups * LWFC_GROUP * (size_t)padded / 2 * sizeof *analysis);
    memset(row_scales, 0, groups * LWFC_GROUP * sizeof *row_scales);
    *m = (struct lwfc_transform_matrix){synthesis, analysis, row_scales, columns, p[0], 32767};
    int bad = p[0] > EXPONENT_MAX;
    for (int k = 0; k < columns; k++) {
        const int exponent = exponents[k];
        if (exponent > EXPONENT_MAX) {
            return -1;
        }
        int16_t *column = synthesis + (size_t)k * (size_t)padded;
        uint32_t *row = analysis + (size_t)(k / LWFC_GROUP) * (size_t)padded / 2 * LWFC_GROUP +
                        k % LWFC_GROUP;
        int32_t sum = 0;
        for (int c = 0; c < channels; c++) {
            const size_t at = (size_t)k * (size_t)channels + (size_t)c;
            const int a = (int8_t)mantissas[at], b = (int8_t)rows[at];
            bad |= a == -128 || b == -128;
            column[c] = (int16_t)(a * (1 << exponent));
            row[c / 2 * LWFC_GROUP] |= (uint32_t)(uint16_t)b << (c % 2 * 16);
            sum += b < 0 ? -b : b;
        }
        row_scales[k] = lwfc_load_f32(scales + 4 * k);
        bad |= sum > ANALYSIS_SUM || !(isfinite(row_scales[k]) && row_scales[k] >= 0);
    }
    int64_t largest = 0;
    for (int c = 0; c < channels; c++) {
        int64_t sum = 0;
        for (int k = 0; k < columns; k++) {
            const int a = synthesis[(size_t)k * (size_t)padded + (size_t)c];
            sum += a < 0 ? -a : a;
        }
        largest = sum > largest ? sum : largest;
    }
    const int64_t limit = largest > 0 ? ((1 << 30) - 1) / largest : 32767;
    m->limit = limit < 32767 ? (int32_t)limit : 32767;
    return bad ? -1 : 0;
}

static int read_mean(const uint8_t *p, struct lwfc_transform *t, struct lwfc_placer *memory)
{
    const int height = t->mean_is_map ? t->height : t->block_height;
    const int width = t->mean_is_map ? t->width : t->block_width;
    const size_t places = (size_t)height * (size_t)width;
    int16_t *planar = lwfc_place(memory, places * (size_t)t->channels, sizeof *planar);
    int16_t *last = lwfc_place(memory, places * (size_t)t->padded, sizeof *last);
    memset(last, 0, places * (size_t)t->padded * sizeof *last);
    int32_t largest = 0;
    for (size_t c = 0; c < (size_t)t->channels; c++) {
        for (size_t i = 0; i < places; i++) {
            const size_t at = t->mean_is_map ? c * places + i : c;
            const int16_t v = (int16_t)lwfc_load_u16(p + 2 * at);
            if (v == INT16_MIN) {
                return -1;
            }
            largest = abs(v) > largest ? abs(v) : largest;
            planar[c * places + i] = last[i * (size_t)t->padded + c] = v;
        }
    }
    t->is_narrow = fabsf(t->clip_lo * t->scale_in) <= 32767 &&
                   fabsf(t->clip_hi * t->scale_in) <= 32767 && largest << t->bits[0] <= 32767;
    t->mean_planar = planar;
    t->mean_last = last;
    return 0;
}

static int read_model(const struct outline *o, struct lwfc_transform *t, uint32_t *first)
{
    const uint8_t *p = o->classes;
    int tops[LWFC_GROUPS_CLASSES];
    for (int i = 0; i < o->class_count; i++) {
        const struct lwfc_groups_class class = {p[0], lwfc_load_u16(p + 1), p + 3};
        if (lwfc_groups_model_class(&t->model, i, &class) != 0) {
            return -1;
        }
        tops[i] = class.top;
        p += 3 + 2 * class.top;
    }
    p = o->of_columns;
    uint32_t g = 0;
    for (int f = 0; f < t->frequencies; f++) {
        const int32_t limit = t->matrices[t->index[f]].limit;
        first[f] = g;
        for (int k = 0; k < t->columns[f]; k += LWFC_GROUP, g++) {
            const int left = t->columns[f] - k, count = left < LWFC_GROUP ? left : LWFC_GROUP;
            const uint32_t silent = lwfc_load_u16(o->silent + 2 * (size_t)g);
            int bad = silent == 0 || silent >= LWFC_GROUPS_SLOTS;
            for (int j = 0; j < count; j++) {
                bad |= p[j] >= o->class_count || tops[p[j]] > limit;
            }
            if (bad) {
                return -1;
            }
            lwfc_groups_model_group(&t->model, g, count, p, silent, (uint16_t)limit, (uint16_t)f,
                                    (uint16_t)k);
            p += count;
        }
    }
    return 0;
}

static struct lwfc_side place_side(int n, struct lwfc_placer *memory)
{
    struct lwfc_side side = {.n = n,
                             .bits = lwfc_dct_bits(n),
                             .pairs = (n + 1) / 2,
                             .quads = (n + 3) / 4,
                             .padded = (n + LWFC_STRIP - 1) / LWFC_STRIP * LWFC_STRIP};
    side.over_k = lwfc_place(memory, (size_t)(side.pairs * side.padded), sizeof *side.over_k);
    side.over_i = lwfc_place(memory, (size_t)(side.pairs * side.padded), sizeof *side.over_i);
    side.mirrored =
        lwfc_place(memory, (size_t)(2 * side.quads * side.padded), sizeof *side.mirrored);
    return side;
}

static struct lwfc_side make_side(int n, struct lwfc_placer *memory)
{
    int16_t table[LWFC_SIDE_MAX * LWFC_SIDE_MAX];
    lwfc_dct_table(n, table);
    const struct lwfc_side side = place_side(n, memory);
    uint32_t *over_k = (uint32_t *)(uintptr_t)side.over_k;
    uint32_t *over_i = (uint32_t *)(uintptr_t)side.over_i;
    uint32_t *mirrored = (uint32_t *)(uintptr_t)side.mirrored;
    memset(over_k, 0, (size_t)(side.pairs * side.padded) * sizeof *over_k);
    memset(over_i, 0, (size_t)(side.pairs * side.padded) * sizeof *over_i);
    memset(mirrored, 0, (size_t)(2 * side.quads * side.padded) * sizeof *mirrored);
    for (int k = 0; k < n; k++) {
        for (int i = 0; i < n; i++) {
            const uint32_t v = (uint16_t)table[k * n + i];
            over_k[k / 2 * side.padded + i] |= v << (k % 2 * 16);
            over_i[i / 2 * side.padded + k] |= v << (i % 2 * 16);
            mirrored[(k / 4 * 2 + k % 2) * side.padded + i] |= v << (k / 2 % 2 * 16);
        }
    }
    return side;
}

size_t lwfc_transform_nbytes(const uint8_t *section, size_t nbytes)
{
    struct lwfc_transform t;
    struct outline o;
    if (read_outline(section, nbytes, &t, &o) != 0) {
        return 0;
    }
    struct lwfc_placer p = {NULL, 0};
    const size_t padded = (size_t)t.padded, frequencies = (size_t)t.frequencies;
    lwfc_place(&p, frequencies, sizeof *t.index);
    lwfc_place(&p, frequencies, sizeof *t.columns);
    lwfc_place(&p, frequencies, sizeof *t.groups);
    lwfc_place(&p, frequencies, sizeof *t.order);
    lwfc_place(&p, (size_t)t.matrix_count, sizeof *t.matrices);
    for (int m = 0; m < t.matrix_count; m++) {
        const size_t columns = o.sizes.matrix_columns[m], rows = groups_of(columns) * LWFC_GROUP;
        lwfc_place(&p, columns * padded, sizeof(int16_t));
        lwfc_place(&p, rows * padded / 2, sizeof(uint32_t));
        lwfc_place(&p, rows, sizeof(float));
    }
    const size_t places =
        t.mean_is_map ? (size_t)t.height * (size_t)t.width : (size_t)t.frequencies;
    lwfc_place(&p, places * (size_t)t.channels, sizeof(int16_t));
    lwfc_place(&p, places * padded, sizeof(int16_t));
    place_side(t.block_height, &p);
    place_side(t.block_width, &p);
    return p.used + lwfc_groups_model_nbytes(o.sizes.groups, o.class_count);
}

static int compare_keys(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

int lwfc_transform_read(const uint8_t *section, size_t nbytes, struct lwfc_transform *t,
                        void *memory)
{
    struct outline o;
    if (read_outline(section, nbytes, t, &o) != 0) {
        return -1;
    }
    struct lwfc_placer p = {memory, 0};
    uint16_t *index = lwfc_place(&p, (size_t)t->frequencies, sizeof *index);
    uint16_t *columns = lwfc_place(&p, (size_t)t->frequencies, sizeof *columns);
    uint32_t *first = lwfc_place(&p, (size_t)t->frequencies, sizeof *first);
    uint64_t *order = lwfc_place(&p, (size_t)t->frequencies, sizeof *order);
    struct lwfc_transform_matrix *matrices =
        lwfc_place(&p, (size_t)t->matrix_count, sizeof *matrices);
    t->live = t->live_u = t->live_v = 0;
    t->coefficients = (uint32_t)o.sizes.coefficients;
    for (int f = 0; f < t->frequencies; f++) {
        index[f] = lwfc_load_u16(o.index + 2 * f);
        columns[f] = lwfc_load_u16(o.columns + 2 * f);
        const int u = f / t->block_width, v = f % t->block_width;
        if (columns[f] > 0) {
            t->live_u = u >= t->live_u ? u + 1 : t->live_u;
            t->live_v = v >= t->live_v ? v + 1 : t->live_v;
            order[t->live++] =
                (uint64_t)index[f] << 32 | groups_of(columns[f]) << 16 | (uint64_t)f;
        }
    }
    qsort(order, (size_t)t->live, sizeof *order, compare_keys);
    t->index = index;
    t->columns = columns;
    t->groups = first;
    t->order = order;
    t->matrices = matrices;
    const uint8_t *record = o.matrices;
    for (int m = 0; m < t->matrix_count; m++) {
        const int count = o.sizes.matrix_columns[m];
        if (read_matrix(record, count, t, &p, &matrices[m]) != 0) {
            return -1;
        }
        record += lwfc_section_matrix(t, (size_t)count);
    }
    if (read_mean(o.mean, t, &p) != 0) {
        return -1;
    }
    t->side_y = make_side(t->block_height, &p);
    t->side_x = make_side(t->block_width, &p);
    lwfc_groups_model_place(o.sizes.groups, o.class_count, &t->model, p.base + p.used);
    return read_model(&o, t, first);
}
