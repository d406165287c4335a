#include "kernels/groups_kernels.h"

#include "cpu/cpu.h"
#include "kernels/groups_put.h"

int lwfc_groups_refill(struct lwfc_groups_reader *r)
{
    if (r->in_tail) {
        return -1;
    }
    const size_t rest = (size_t)(r->end - r->position);
    memcpy(r->tail, r->position, rest);
    memset(r->tail + rest, 0, sizeof r->tail - rest);
    r->in_tail = 1;
    r->position = r->tail;
    r->limit = r->end = r->tail + rest;
    return 0;
}

/* One state reads words only while there are some: it begins below 2^16. */
LWFC_INLINE uint32_t renormalize(uint32_t x, const uint8_t **p, const uint8_t *end)
{
    if (x < LWFC_GROUPS_STATE && (end == NULL || *p < end)) {
        x = x << 16 | lwfc_load_u16(*p);
        *p += 2;
    }
    return x;
}

LWFC_INLINE uint32_t take_bits(uint32_t *x, const uint8_t **p, const uint8_t *end, int n)
{
    const uint32_t slot = *x & (LWFC_GROUPS_SLOTS - 1);
    const int rest = LWFC_GROUPS_BITS - n;
    *x = renormalize((*x >> LWFC_GROUPS_BITS << rest) + (slot & ((1u << rest) - 1)), p, end);
    return slot >> rest;
}

int32_t lwfc_groups_escape(uint32_t *x, const uint8_t **p, const uint8_t *end, int32_t top,
                           int32_t limit)
{
    const uint32_t head = take_bits(x, p, end, 5);
    const int n = (int)(head >> 1);
    uint32_t magnitude = 1u << n;
    magnitude |= take_bits(x, p, end, n < 8 ? n : 8);
    if (n > 8) {
        magnitude |= take_bits(x, p, end, n - 8) << 8;
    }
    const int32_t v = top + (int32_t)magnitude;
    return v > limit ? 0 : (head & 1) ? -v : v;
}

/* Reads on in the copy with zeros behind where the words end within a row. */
LWFC_INLINE int check(struct lwfc_groups_reader *r, const uint8_t **p)
{
    if (*p > r->limit) {
        r->position = *p;
        if (lwfc_groups_refill(r) != 0) {
            return -1;
        }
        *p = r->position;
    }
    return 0;
}

/* One symbol of a state; returns its place in a table. */
LWFC_INLINE uint32_t take_symbol(uint32_t *x, const struct lwfc_groups_tables *t, size_t at,
                                 const uint8_t **p, const uint8_t *end)
{
    const uint32_t slot = *x & (LWFC_GROUPS_SLOTS - 1), zeros = t->zeros[at];
    if (LWFC_LIKELY(slot < zeros)) { /* nothing to look up */
        *x = renormalize(zeros * (*x >> LWFC_GROUPS_BITS) + slot, p, end);
        return LWFC_GROUPS_TOP;
    }
    const uint32_t e = t->slots[t->first[at] + slot];
    *x = renormalize((e & 8191) * (*x >> LWFC_GROUPS_BITS) + (e >> 13 & 4095), p, end);
    return e >> 25;
}

LWFC_INLINE int take_flag(uint32_t *x, uint32_t silent, const uint8_t **p, const uint8_t *end)
{
    const uint32_t slot = *x & (LWFC_GROUPS_SLOTS - 1), high = *x >> LWFC_GROUPS_BITS;
    const int loud = slot >= silent;
    *x = renormalize(loud ? (LWFC_GROUPS_SLOTS - silent) * high + slot - silent
                          : silent * high + slot,
                     p, end);
    return loud;
}

/* Elements of a row to walk. A single state, which may be below 2^16 with words left, must not be
 * stepped by elements that are not there. */
LWFC_INLINE uint32_t present(uint32_t count, uint32_t lanes)
{
    return lanes > 1 || count > LWFC_GROUP ? LWFC_GROUP : count;
}

/* Inlined with constant lanes. One lane knows its end, others go by the limit. States are copied
 * so that they stay in registers where there are few. */
LWFC_INLINE int decode_lanes(struct lwfc_groups_reader *r, const struct lwfc_groups_tables *t,
                             struct lwfc_groups_list *list, const uint32_t lanes)
{
    const uint8_t *p = r->position;
    const uint8_t *const end = lanes == 1 ? r->end : NULL;
    const uint32_t step = lanes < LWFC_GROUP ? lanes : LWFC_GROUP; /* lanes of a row */
    uint32_t row = r->row;
    for (uint32_t g = 0; g < t->groups; g += LWFC_GROUP, row++) {
        if (lanes > 1 && check(r, &p) != 0) {
            return -1;
        }
        uint32_t *const states = r->states + LWFC_GROUP * row % lanes;
        uint32_t x[LWFC_GROUP], bits = 0;
        memcpy(x, states, step * sizeof *x);
        const uint32_t n = present(t->groups - g, lanes);
        for (uint32_t j = 0; j < n; j += step) {
            for (uint32_t k = 0; k < step; k++) { /* behind the last group all is one flag 0 */
                bits |= (uint32_t)take_flag(&x[k], t->silent[g + j + k], &p, end) << (j + k);
            }
        }
        memcpy(states, x, step * sizeof *x);
        list->flags[g / LWFC_GROUP] = (uint16_t)bits;
    }
    uint32_t count = 0, entries = 0, line = UINT32_MAX;
    for (uint32_t g = 0; g < t->groups; g++) {
        if (!(list->flags[g / LWFC_GROUP] >> g % LWFC_GROUP & 1)) {
            continue;
        }
        if (lanes > 1 && check(r, &p) != 0) {
            return -1;
        }
        if (t->lines[g] != line) {
            line = t->lines[g];
            list->lines[count] = (uint16_t)line;
            list->starts[count++] = entries;
        }
        uint32_t *const states = r->states + LWFC_GROUP * row % lanes;
        const size_t at = (size_t)LWFC_GROUP * g;
        uint32_t x[LWFC_GROUP], escapes[LWFC_GROUP], escape_count = 0;
        memcpy(x, states, step * sizeof *x);
        const uint32_t before = entries, column = t->columns[g];
        const uint32_t n = present(t->counts[g], lanes);
        for (uint32_t j = 0; j < n; j += step) {
            for (uint32_t k = 0; k < step; k++) { /* behind the count all is one symbol 0 */
                const uint32_t symbol = take_symbol(&x[k], t, at + j + k, &p, end);
                if (LWFC_UNLIKELY(symbol != LWFC_GROUPS_TOP)) {
                    const int32_t v = (int32_t)symbol - LWFC_GROUPS_TOP;
                    escapes[escape_count] = entries;
                    escape_count += symbol == LWFC_GROUPS_ESCAPE;
                    list->entries[entries++] = (column + j + k) << 16 | (uint16_t)v;
                }
            }
        }
        memcpy(states, x, step * sizeof *x);
        for (uint32_t i = 0; i < escape_count; i++) {
            uint32_t *const entry = &list->entries[escapes[i]];
            const uint32_t j = (*entry >> 16) - column;
            const int32_t v =
                lwfc_groups_escape(&states[j % step], &p, end, t->tops[at + j], t->limits[g]);
            if (v == 0) {
                return -1;
            }
            *entry = (column + j) << 16 | (uint16_t)v;
        }
        if (entries == before) {
            return -1; /* a silent group is flagged as one */
        }
        row++;
    }
    list->starts[count] = entries;
    list->count = count;
    r->position = p;
    r->row = row;
    return 0;
}

static int decode(struct lwfc_groups_reader *r, const struct lwfc_groups_tables *t,
                  struct lwfc_groups_list *list)
{
    switch (r->lanes) {
    case 1:
        return decode_lanes(r, t, list, 1);
    case 4:
        return decode_lanes(r, t, list, 4);
    case 16:
        return decode_lanes(r, t, list, 16);
    default:
        return decode_lanes(r, t, list, 64);
    }
}

static size_t loud(const int16_t *symbols, size_t groups, size_t *nonzero)
{
    size_t count = 0;
    for (size_t g = 0; g < groups; g++, symbols += LWFC_GROUP) {
        if (lwfc_groups_loud(symbols)) {
            count++;
            for (int j = 0; j < LWFC_GROUP; j++) {
                *nonzero += symbols[j] != 0;
            }
        }
    }
    return count;
}

static const struct lwfc_groups_kernels scalar_kernels = {decode, NULL, loud};

#if LWFC_X86 && defined(__x86_64__)
#include "kernels/x86/groups_avx2.h"
#include "kernels/x86/groups_avx512.h"
#endif

const struct lwfc_groups_kernels *lwfc_groups_kernels_for(uint32_t features)
{
#if LWFC_X86 && defined(__x86_64__)
    if (features & LWFC_CPU_AVX512) {
        return &avx512_kernels;
    }
    if (features & LWFC_CPU_AVX2) {
        return &avx2_kernels;
    }
#endif
    (void)features;
    return &scalar_kernels;
}
