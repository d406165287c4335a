#include "kernels/groups_kernels.h"

#include "cpu/cpu.h"

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

/* Inlined with constant lanes. One lane knows its end, others go by the limit. */
LWFC_INLINE int decode_lanes(struct lwfc_groups_reader *r, const struct lwfc_groups_tables *t,
                             struct lwfc_groups_list *list, const uint32_t lanes)
{
    const uint8_t *p = r->position;
    const uint8_t *const end = lanes == 1 ? r->end : NULL;
    uint32_t *const states = r->states;
    uint32_t row = r->row;
    for (uint32_t g = 0; g < t->groups; g += LWFC_GROUP, row++) {
        if (lanes > 1 && p > r->limit) {
            r->position = p;
            if (lwfc_groups_refill(r) != 0) {
                return -1;
            }
            p = r->position;
        }
        const uint32_t n = t->groups - g < LWFC_GROUP ? t->groups - g : LWFC_GROUP;
        uint32_t bits = 0;
        for (uint32_t j = 0; j < n; j++) {
            uint32_t *const x = &states[(LWFC_GROUP * row + j) % lanes];
            const uint32_t slot = *x & (LWFC_GROUPS_SLOTS - 1), silent = t->silent[g + j];
            const uint32_t high = *x >> LWFC_GROUPS_BITS;
            const int loud = slot >= silent;
            *x = renormalize(loud ? (LWFC_GROUPS_SLOTS - silent) * high + slot - silent
                                  : silent * high + slot,
                             &p, end);
            bits |= (uint32_t)loud << j;
        }
        list->flags[g / LWFC_GROUP] = (uint16_t)bits;
    }
    uint32_t count = 0, entries = 0, line = UINT32_MAX;
    for (uint32_t g = 0; g < t->groups; g++) {
        if (!(list->flags[g / LWFC_GROUP] >> g % LWFC_GROUP & 1)) {
            continue;
        }
        if (lanes > 1 && p > r->limit) {
            r->position = p;
            if (lwfc_groups_refill(r) != 0) {
                return -1;
            }
            p = r->position;
        }
        if (t->lines[g] != line) {
            line = t->lines[g];
            list->lines[count] = (uint16_t)line;
            list->starts[count++] = entries;
        }
        const uint32_t *const first = t->first + LWFC_GROUP * g;
        const uint16_t *const zeros = t->zeros + LWFC_GROUP * g;
        const uint32_t before = entries, column = t->columns[g];
        int32_t values[LWFC_GROUP];
        uint32_t escapes = 0;
        for (uint32_t j = 0; j < t->counts[g]; j++) {
            uint32_t *const x = &states[(LWFC_GROUP * row + j) % lanes];
            const uint32_t slot = *x & (LWFC_GROUPS_SLOTS - 1);
            if (LWFC_LIKELY(slot < zeros[j])) { /* no look-up to wait for */
                *x = renormalize(zeros[j] * (*x >> LWFC_GROUPS_BITS) + slot, &p, end);
                values[j] = 0;
                continue;
            }
            const uint32_t e = t->slots[first[j] + slot];
            *x = renormalize((e & 8191) * (*x >> LWFC_GROUPS_BITS) + (e >> 13 & 4095), &p, end);
            values[j] = (int32_t)(e >> 25) - LWFC_GROUPS_TOP;
            escapes |= (uint32_t)(e >> 25 == LWFC_GROUPS_ESCAPE) << j;
        }
        for (uint32_t j = 0; escapes >> j != 0; j++) {
            if (escapes >> j & 1) {
                values[j] = lwfc_groups_escape(&states[(LWFC_GROUP * row + j) % lanes], &p, end,
                                               t->tops[LWFC_GROUP * g + j], t->limits[g]);
                if (values[j] == 0) {
                    return -1;
                }
            }
        }
        for (uint32_t j = 0; j < t->counts[g]; j++) {
            list->entries[entries] = (column + j) << 16 | (uint16_t)values[j];
            entries += values[j] != 0;
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

static const struct lwfc_groups_kernels scalar_kernels = {decode};

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
