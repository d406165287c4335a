#include "entropy/groups.h"
#include "entropy/groups_record.h"

/* The states of one stream; words are written downwards, from the last to the first. */
struct writer {
    uint32_t states[LWFC_GROUPS_LANES];
    uint8_t *p;
};

LWFC_INLINE uint32_t emit(struct writer *w, uint32_t x, uint32_t frequency)
{
    const int full = x >> 20 >= frequency; /* without a branch: it would often be wrong */
    lwfc_store_u16(w->p - 2, (uint16_t)x);
    w->p -= 2 * full;
    return x >> (16 * full);
}

LWFC_INLINE void put(struct writer *w, uint32_t lane, const struct lwfc_groups_record *r)
{
    const uint32_t x = emit(w, w->states[lane], r->frequency);
    const uint32_t quotient = (uint32_t)(x * r->reciprocal >> LWFC_GROUPS_RECIPROCAL);
    w->states[lane] = x + quotient * (LWFC_GROUPS_SLOTS - r->frequency) + r->start;
}

static void put_bits(struct writer *w, uint32_t lane, uint32_t bits, int n)
{
    const int rest = LWFC_GROUPS_BITS - n;
    const uint32_t x = n > 0 ? emit(w, w->states[lane], 1u << rest) : w->states[lane];
    w->states[lane] = x >> rest << LWFC_GROUPS_BITS | bits << rest | (x & ((1u << rest) - 1));
}

static void put_escape(struct writer *w, uint32_t lane, int32_t v, int32_t top)
{
    const uint32_t magnitude = (uint32_t)((v < 0 ? -v : v) - top);
    int n = 0;
    while (magnitude >> n > 1) {
        n++;
    }
    const uint32_t rest = magnitude - (1u << n);
    if (n > 8) {
        put_bits(w, lane, rest >> 8, n - 8);
    }
    put_bits(w, lane, rest & 255, n < 8 ? n : 8);
    put_bits(w, lane, (uint32_t)n << 1 | (v < 0), 5);
}

static const struct lwfc_groups_record *find(const struct lwfc_groups_model *m, size_t at,
                                             int32_t v)
{
    const struct lwfc_groups_record *of_class =
        m->records + (size_t)m->classes[at] * (LWFC_GROUPS_ESCAPE + 1);
    const int32_t top = m->tables.tops[at];
    return of_class + (v > top || v < -top ? LWFC_GROUPS_ESCAPE : LWFC_GROUPS_TOP + v);
}

LWFC_INLINE void put_group(const struct lwfc_groups_model *m, struct writer *w,
                           const int16_t *symbols, size_t g, uint32_t row, const uint32_t lanes)
{
    const size_t at = g * LWFC_GROUP;
    const uint32_t first = LWFC_GROUP * row;
    for (uint32_t j = m->tables.counts[g]; j-- > 0;) {
        const int32_t v = symbols[j], top = m->tables.tops[at + j];
        if (v > top || v < -top) {
            put_escape(w, (first + j) % lanes, v, top);
        }
    }
    for (uint32_t j = m->tables.counts[g]; j-- > 0;) {
        put(w, (first + j) % lanes, find(m, at + j, symbols[j]));
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

size_t lwfc_groups_bound(const struct lwfc_groups_model *m, size_t blocks)
{
    const size_t block = 2 * (size_t)m->tables.groups * (1 + 4 * LWFC_GROUP);
    const size_t states = 4 * LWFC_GROUPS_LANES + 2; /* and a word that may be written in vain */
    return block != 0 && blocks > (SIZE_MAX - states) / block ? SIZE_MAX : blocks * block + states;
}

/* The rows of all blocks, and about how many bytes their symbols take: what the
 * number of lanes, which is part of the stream, is chosen by. */
static uint32_t survey(const struct lwfc_groups_model *m, const int16_t *symbols, size_t blocks,
                       size_t *nbytes)
{
    const size_t groups = blocks * m->tables.groups;
    size_t loud = 0, nonzero = 0;
    for (size_t g = 0; g < groups; g++, symbols += LWFC_GROUP) {
        if (lwfc_groups_loud(symbols)) {
            loud++;
            for (int j = 0; j < LWFC_GROUP; j++) {
                nonzero += symbols[j] != 0;
            }
        }
    }
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

uint8_t *lwfc_groups_encode(const struct lwfc_groups_model *m, const int16_t *symbols,
                            size_t blocks, uint8_t *out, size_t bound, int *lane_code)
{
    size_t nbytes;
    const uint32_t rows = survey(m, symbols, blocks, &nbytes);
    *lane_code = choose_lanes(nbytes);
    const int lanes = lwfc_groups_lane_counts[*lane_code];
    struct writer w = {.p = out + bound - 4 * (size_t)lanes};
    for (int i = 0; i < lanes; i++) {
        w.states[i] = lanes == 1 ? 1 : LWFC_GROUPS_STATE;
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
    /* Behind the words the states, lane 0 last and without leading zeros: so that no
     * stream ends in a zero byte. They end at the buffer's end. */
    uint8_t states[4 * LWFC_GROUPS_LANES], *s = states;
    for (int i = lanes - 1; i > 0; i--, s += 4) {
        lwfc_store_u32(s, w.states[i]);
    }
    for (uint32_t x = w.states[0]; x != 0; x >>= 8) {
        *s++ = (uint8_t)x;
    }
    const size_t unused = 4 * (size_t)lanes - (size_t)(s - states);
    const size_t words = (size_t)(out + bound - 4 * (size_t)lanes - w.p);
    memmove(w.p + unused, w.p, words);
    memcpy(w.p + unused + words, states, (size_t)(s - states));
    return w.p + unused;
}
