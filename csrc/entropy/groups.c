#include "entropy/groups.h"

#include "base/memory.h"
#include "entropy/groups_record.h"
#include "kernels/groups_put.h"

const uint8_t lwfc_groups_lane_counts[LWFC_GROUPS_LANE_CODES] = {1, 4, 16, LWFC_GROUPS_LANES};

static size_t rows_of(uint32_t groups)
{
    return (groups + LWFC_GROUP - 1) / LWFC_GROUP;
}

static size_t lay_out(uint32_t groups, int classes, struct lwfc_groups_model *m, void *memory)
{
    struct lwfc_placer p = {memory, 0};
    const size_t n = groups, symbols = n * LWFC_GROUP;
    struct lwfc_groups_tables *t = &m->tables;
    t->groups = groups;
    t->silent = lwfc_place(&p, rows_of(groups) * LWFC_GROUP, sizeof *t->silent);
    t->first = lwfc_place(&p, symbols, sizeof *t->first);
    /* One table more, of symbols that are not there: all of it is one symbol 0. */
    t->slots = lwfc_place(&p, ((size_t)classes + 1) * LWFC_GROUPS_SLOTS, sizeof *t->slots);
    t->zeros = lwfc_place(&p, symbols, sizeof *t->zeros);
    t->tops = lwfc_place(&p, symbols, sizeof *t->tops);
    t->counts = lwfc_place(&p, n, sizeof *t->counts);
    t->limits = lwfc_place(&p, n, sizeof *t->limits);
    t->lines = lwfc_place(&p, n, sizeof *t->lines);
    t->columns = lwfc_place(&p, n, sizeof *t->columns);
    m->classes = lwfc_place(&p, symbols, sizeof *m->classes);
    m->records = lwfc_place(&p, (size_t)classes * (LWFC_GROUPS_ESCAPE + 1), sizeof *m->records);
    m->flags = lwfc_place(&p, 2 * n, sizeof *m->flags);
    m->steps.symbols = lwfc_place(&p, ((size_t)classes + 1) * (LWFC_GROUPS_ESCAPE + 1),
                                  sizeof *m->steps.symbols);
    for (int i = 0; i < 4; i++) {
        m->steps.flags[i / 2][i % 2] =
            lwfc_place(&p, rows_of(groups) * LWFC_GROUP, sizeof(uint32_t));
    }
    m->class_tops = lwfc_place(&p, (size_t)classes, sizeof *m->class_tops);
    m->absent = (uint32_t)classes;
    return p.used;
}

size_t lwfc_groups_model_nbytes(uint32_t groups, int classes)
{
    struct lwfc_groups_model m;
    return lay_out(groups, classes, &m, NULL);
}

/* The arrays are constant to everyone but this file. */
#define FILL(type, member) ((type *)(uintptr_t)(member))

void lwfc_groups_model_place(uint32_t groups, int classes, struct lwfc_groups_model *m,
                             void *memory)
{
    lay_out(groups, classes, m, memory);
    uint32_t *silent = FILL(uint32_t, m->tables.silent);
    for (size_t g = groups; g < rows_of(groups) * LWFC_GROUP; g++) {
        silent[g] = LWFC_GROUPS_SLOTS;
        for (int i = 0; i < 4; i++) {
            FILL(uint32_t, m->steps.flags[i / 2][i % 2])[g] = 0;
        }
    }
    uint32_t *slots = FILL(uint32_t, m->tables.slots) + m->absent * LWFC_GROUPS_SLOTS;
    for (uint32_t i = 0; i < LWFC_GROUPS_SLOTS; i++) {
        slots[i] = LWFC_GROUPS_SLOTS | i << 13 | (uint32_t)LWFC_GROUPS_TOP << 25;
    }
    struct lwfc_groups_step *absent = FILL(struct lwfc_groups_step, m->steps.symbols) +
                                      m->absent * (LWFC_GROUPS_ESCAPE + 1);
    memset(absent, 0, (LWFC_GROUPS_ESCAPE + 1) * sizeof *absent);
}

static struct lwfc_groups_record record_of(uint32_t frequency, uint32_t start)
{
    const uint64_t one = UINT64_C(1) << LWFC_GROUPS_RECIPROCAL;
    return (struct lwfc_groups_record){(one + frequency - 1) / frequency, frequency, start};
}

static struct lwfc_groups_step step_of(uint32_t frequency, uint32_t start)
{
    uint32_t shift = 0;
    while (UINT32_C(1) << shift < frequency) {
        shift++;
    }
    return (struct lwfc_groups_step){(uint32_t)((UINT64_C(1) << (31 + shift)) / frequency),
                                     frequency | start << 12 | shift << 24};
}

int lwfc_groups_model_class(struct lwfc_groups_model *m, int number,
                            const struct lwfc_groups_class *c)
{
    uint32_t sizes[LWFC_GROUPS_TOP + 1];
    uint32_t used = c->escape;
    int zero = c->escape == 0;
    for (int v = 1; v <= c->top; v++) {
        sizes[v] = lwfc_load_u16(c->numbers + 2 * (v - 1));
        used += 2 * sizes[v];
        zero |= sizes[v] == 0;
    }
    if (zero || used >= LWFC_GROUPS_SLOTS) {
        return -1;
    }
    sizes[0] = LWFC_GROUPS_SLOTS - used;
    uint32_t *slots = FILL(uint32_t, m->tables.slots) + (size_t)number * LWFC_GROUPS_SLOTS;
    struct lwfc_groups_record *records =
        FILL(struct lwfc_groups_record, m->records) + (size_t)number * (LWFC_GROUPS_ESCAPE + 1);
    struct lwfc_groups_step *steps = FILL(struct lwfc_groups_step, m->steps.symbols) +
                                     (size_t)number * (LWFC_GROUPS_ESCAPE + 1);
    uint32_t start = 0;
    for (int i = 0; i <= 2 * c->top + 1; i++) { /* 0, 1, -1, 2, -2, .., escape */
        const int last = i == 2 * c->top + 1;
        const int v = (i + 1) / 2;
        const uint32_t size = last ? c->escape : sizes[v];
        const int symbol =
            last ? LWFC_GROUPS_ESCAPE : LWFC_GROUPS_TOP + (i % 2 != 0 ? v : -v);
        for (uint32_t k = 0; k < size; k++) {
            slots[start + k] = size | k << 13 | (uint32_t)symbol << 25;
        }
        records[symbol] = record_of(size, start);
        steps[symbol] = step_of(size, start);
        start += size;
    }
    for (int v = c->top + 1; v <= LWFC_GROUPS_TOP; v++) {
        records[LWFC_GROUPS_TOP + v] = records[LWFC_GROUPS_TOP - v] = records[LWFC_GROUPS_ESCAPE];
        steps[LWFC_GROUPS_TOP + v] = steps[LWFC_GROUPS_TOP - v] = steps[LWFC_GROUPS_ESCAPE];
    }
    FILL(uint8_t, m->class_tops)[number] = (uint8_t)c->top;
    return 0;
}

void lwfc_groups_model_group(struct lwfc_groups_model *m, uint32_t g, int count,
                             const uint8_t *classes, uint32_t silent, uint16_t limit,
                             uint16_t line, uint16_t column)
{
    const struct lwfc_groups_tables *t = &m->tables;
    const size_t at = (size_t)g * LWFC_GROUP;
    for (int j = 0; j < LWFC_GROUP; j++) {
        const uint32_t class = j < count ? classes[j] : m->absent;
        FILL(uint32_t, t->first)[at + (size_t)j] = class * LWFC_GROUPS_SLOTS;
        const uint32_t *slots = t->slots + (size_t)class * LWFC_GROUPS_SLOTS;
        FILL(uint16_t, t->zeros)[at + (size_t)j] = (uint16_t)(slots[0] & 8191);
        FILL(uint8_t, t->tops)[at + (size_t)j] = j < count ? m->class_tops[class] : 0;
        FILL(uint8_t, m->classes)[at + (size_t)j] = (uint8_t)(j < count ? class : 0);
    }
    FILL(uint32_t, t->silent)[g] = silent;
    FILL(uint8_t, t->counts)[g] = (uint8_t)count;
    FILL(uint16_t, t->limits)[g] = limit;
    FILL(uint16_t, t->lines)[g] = line;
    FILL(uint16_t, t->columns)[g] = column;
    struct lwfc_groups_record *flags = FILL(struct lwfc_groups_record, m->flags) + 2 * (size_t)g;
    flags[0] = record_of(silent, 0);
    flags[1] = record_of(LWFC_GROUPS_SLOTS - silent, silent);
    for (int loud = 0; loud < 2; loud++) {
        const struct lwfc_groups_step step =
            step_of(loud ? LWFC_GROUPS_SLOTS - silent : silent, loud ? silent : 0);
        FILL(uint32_t, m->steps.flags[loud][0])[g] = step.reciprocal;
        FILL(uint32_t, m->steps.flags[loud][1])[g] = step.bits;
    }
}

static size_t lay_out_list(const struct lwfc_groups_model *m, struct lwfc_groups_list *l,
                           void *memory)
{
    struct lwfc_placer p = {memory, 0};
    const size_t n = m->tables.groups;
    l->entries = lwfc_place(&p, n * LWFC_GROUP + LWFC_GROUP, sizeof *l->entries);
    l->starts = lwfc_place(&p, n + 1, sizeof *l->starts);
    l->lines = lwfc_place(&p, n + 1, sizeof *l->lines);
    l->flags = lwfc_place(&p, rows_of(m->tables.groups), sizeof *l->flags);
    return p.used;
}

size_t lwfc_groups_list_nbytes(const struct lwfc_groups_model *m)
{
    struct lwfc_groups_list l;
    return lay_out_list(m, &l, NULL);
}

void lwfc_groups_list_place(const struct lwfc_groups_model *m, struct lwfc_groups_list *l,
                            void *memory)
{
    lay_out_list(m, l, memory);
    l->count = 0;
    l->starts[0] = 0;
}

void lwfc_groups_list_make(const struct lwfc_groups_model *m, const int16_t *symbols,
                           struct lwfc_groups_list *l)
{
    const struct lwfc_groups_tables *t = &m->tables;
    uint32_t count = 0, entries = 0, line = UINT32_MAX;
    for (uint32_t g = 0; g < t->groups; g++, symbols += LWFC_GROUP) {
        if (!lwfc_groups_loud(symbols)) {
            continue;
        }
        if (t->lines[g] != line) {
            line = t->lines[g];
            l->lines[count] = (uint16_t)line;
            l->starts[count++] = entries;
        }
        for (uint32_t j = 0; j < t->counts[g]; j++) {
            l->entries[entries] = (t->columns[g] + j) << 16 | (uint16_t)symbols[j];
            entries += symbols[j] != 0;
        }
    }
    l->starts[count] = entries;
    l->count = count;
}

/* One lane: words, and the state without its leading zero bytes, which an odd number
 * of bytes tells. Several: words, the states of lanes L-1 .. 1 whole, then lane 0's so. */
int lwfc_groups_open(const uint8_t *in, size_t nbytes, int lane_code, struct lwfc_groups_reader *r)
{
    const int lanes = lwfc_groups_lane_counts[lane_code];
    const size_t others = 4 * ((size_t)lanes - 1);
    size_t own = nbytes % 2 != 0 ? 3 : 4;
    if (lanes == 1 && nbytes < 3) {
        own = nbytes;
    }
    if (own == 0 || nbytes < others + own || in[nbytes - 1] == 0) {
        return -1;
    }
    const uint8_t *p = in + nbytes - own;
    r->states[0] = 0;
    for (size_t i = 0; i < own; i++) {
        r->states[0] |= (uint32_t)p[i] << (8 * i);
    }
    for (int i = 1; i < lanes; i++) {
        p -= 4;
        r->states[i] = lwfc_load_u32(p);
        if (r->states[i] < LWFC_GROUPS_STATE) {
            return -1;
        }
    }
    r->lanes = lanes;
    r->in_tail = 0;
    r->row = 0;
    r->position = in;
    r->end = p;
    if (lanes > 1 && p - in < LWFC_GROUPS_AHEAD) {
        return lwfc_groups_refill(r);
    }
    r->limit = lanes > 1 ? p - LWFC_GROUPS_AHEAD : p;
    return 0;
}

int lwfc_groups_close(const struct lwfc_groups_reader *r)
{
    const uint32_t first = r->lanes == 1 ? 1 : LWFC_GROUPS_STATE;
    int bad = r->position != r->end;
    for (int i = 0; i < r->lanes; i++) {
        bad |= r->states[i] != first;
    }
    return bad ? -1 : 0;
}
