#include "entropy/groups.h"
#include "cpu/cpu.h"
#include "entropy/groups_record.h"
#include "kernels/groups_put.h"

/* The states of one stream; words are written downwards, from the last to the first. */
struct writer {
    uint32_t states[LWFC_GROUPS_LANES];
    uint8_t *p;
};

LWFC_INLINE void put(struct writer *w, uint32_t lane, const struct lwfc_groups_record *r)
{
    const uint32_t x = lwfc_groups_emit(w->states[lane], r->frequency, &w->p);
    const uint32_t quotient = (uint32_t)(x * r->reciprocal >> LWFC_GROUPS_RECIPROCAL);
    w->states[lane] = x + quotient * (LWFC_GROUPS_SLOTS - r->frequency) + r->start;
}

LWFC_INLINE void put_group(const struct lwfc_groups_model *m, struct writer *w,
                           const int16_t *symbols, size_t g, uint32_t row, const uint32_t lanes)
{
    const size_t at = g * LWFC_GROUP;
    const uint32_t first = LWFC_GROUP * row;
    const uint8_t *const tops = m->tables.tops + at;
    uint32_t index[LWFC_GROUP];
    int escapes = 0;
    for (int j = 0; j < LWFC_GROUP; j++) { /* all 16: it becomes vectors */
        const int32_t v = symbols[j], top = tops[j];
        const int beyond = v > top || v < -top;
        index[j] = (uint32_t)(m->classes[at + (size_t)j] * (LWFC_GROUPS_ESCAPE + 1) +
                              (beyond ? LWFC_GROUPS_ESCAPE : LWFC_GROUPS_TOP + v));
        escapes |= beyond;
    }
    for (uint32_t j = m->tables.counts[g]; escapes && j-- > 0;) {
        if (symbols[j] > tops[j] || symbols[j] < -tops[j]) {
            lwfc_groups_put_escape(&w->states[(first + j) % lanes], symbols[j], tops[j], &w->p);
        }
    }
    for (uint32_t j = m->tables.counts[g]; j-- > 0;) {
        put(w, (first + j) % lanes, &m->records[index[j]]);
    }
}

LWFC_INLINE void put_blocks(const struct lwfc_groups_model *m, struct writer *w,
                            const int16_t *symbols, size_t blocks, uint32_t row,
                            const uint32_t lanes)
{
    const uint32_t groups = m->tables.groups;
    const uint32_t rows = (groups + LWFC_GROUP - 1) / LWFC_GROUP;
    while (blocks-- > 0) {
        const int16_t *block = symbols + blocks * groups * LWFC_GROUP;
        for (uint32_t g = groups; g-- > 0;) {
            if (lwfc_groups_loud(block + (size_t)g * LWFC_GROUP)) {
                put_group(m, w, block + (size_t)g * LWFC_GROUP, g, --row, lanes);
            }
        }
        row -= rows;
        for (uint32_t g = groups; g-- > 0;) {
            const int loud = lwfc_groups_loud(block + (size_t)g * LWFC_GROUP);
            put(w, (LWFC_GROUP * row + g) % lanes, &m->flags[2 * (size_t)g + (size_t)loud]);
        }
    }
}

static void put_rows(const struct lwfc_groups_model *m, const struct lwfc_groups_kernels *kernels,
                     struct writer *w, const int16_t *symbols, size_t blocks, uint32_t row, int lanes)
{
    while (blocks-- > 0) {
        const int16_t *block = symbols + blocks * m->tables.groups * LWFC_GROUP;
        w->p = kernels->encode(&m->tables, &m->steps, block, &row, lanes, w->states, w->p);
    }
}

size_t lwfc_groups_bound(const struct lwfc_groups_model *m, size_t blocks)
{
    const size_t block = 2 * (size_t)m->tables.groups * (1 + 4 * LWFC_GROUP);
    const size_t states = 4 * LWFC_GROUPS_LANES + 16; /* and a vector that is written in vain */
    return block != 0 && blocks > (SIZE_MAX - states) / block ? SIZE_MAX : blocks * block + states;
}

/* The rows of all blocks, and about how many bytes their symbols take: what the
 * number of lanes, which is part of the stream, is chosen by. */
static uint32_t survey(const struct lwfc_groups_model *m, const struct lwfc_groups_kernels *kernels,
                       const int16_t *symbols, size_t blocks, size_t *nbytes)
{
    size_t nonzero = 0;
    const size_t loud = kernels->loud(symbols, blocks * m->tables.groups, &nonzero);
    *nbytes = (6 * loud + 7 * nonzero) / 8;
    return (uint32_t)(blocks * ((m->tables.groups + LWFC_GROUP - 1) / LWFC_GROUP) + loud);
}

/* A lane costs three bytes: as many as take about one and a half per cent. */
static int choose_lanes(size_t nbytes)
{
    int code = LWFC_GROUPS_LANE_CODES - 1;
    while (code > 0 && nbytes < 200 * (size_t)lwfc_groups_lane_counts[code]) {
        code--;
    }
    return code;
}

/* Behind the words the states, lane 0 last and without leading zeros: so that no stream ends in
 * a zero byte. They end at the buffer's end; returns where the bytes begin. */
static uint8_t *finish(const struct writer *w, int lanes, uint8_t *end)
{
    uint8_t states[4 * LWFC_GROUPS_LANES], *s = states;
    for (int i = lanes - 1; i > 0; i--, s += 4) {
        lwfc_store_u32(s, w->states[i]);
    }
    for (uint32_t x = w->states[0]; x != 0; x >>= 8) {
        *s++ = (uint8_t)x;
    }
    const size_t nbytes = (size_t)(s - states), unused = 4 * (size_t)lanes - nbytes;
    memmove(w->p + unused, w->p, (size_t)(end - 4 * lanes - w->p));
    memcpy(end - nbytes, states, nbytes);
    return w->p + unused;
}

uint8_t *lwfc_groups_encode(const struct lwfc_groups_model *m, const int16_t *symbols,
                            size_t blocks, uint8_t *out, size_t bound, int *lane_code)
{
    const struct lwfc_groups_kernels *kernels = lwfc_groups_kernels_for(lwfc_cpu_features());
    size_t nbytes;
    const uint32_t rows = survey(m, kernels, symbols, blocks, &nbytes);
    *lane_code = choose_lanes(nbytes);
    const int lanes = lwfc_groups_lane_counts[*lane_code];
    struct writer w = {.p = out + bound - 4 * (size_t)lanes};
    for (int i = 0; i < lanes; i++) {
        w.states[i] = lanes == 1 ? 1 : LWFC_GROUPS_STATE;
    }
    if (lanes >= LWFC_GROUP && kernels->encode != NULL) {
        put_rows(m, kernels, &w, symbols, blocks, rows, lanes);
        return finish(&w, lanes, out + bound);
    }
    switch (lanes) {
    case 1:
        put_blocks(m, &w, symbols, blocks, rows, 1);
        break;
    case 4:
        put_blocks(m, &w, symbols, blocks, rows, 4);
        break;
    case 16:
        put_blocks(m, &w, symbols, blocks, rows, 16);
        break;
    default:
        put_blocks(m, &w, symbols, blocks, rows, LWFC_GROUPS_LANES);
    }
    return finish(&w, lanes, out + bound);
}
