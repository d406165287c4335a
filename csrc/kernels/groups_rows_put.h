/* Encoding with 16 and 64 lanes of the group coder, a row at a time and from the last to the
 * first, for the SIMD variants behind groups_rows.h. Included several times. */

/* The symbols of one group behind its escapes. */
TARGET LWFC_INLINE uint8_t *KERNEL(put_group)(const struct lwfc_groups_tables *t,
                                              const struct lwfc_groups_steps *s, uint32_t g,
                                              const int16_t *symbols, uint32_t *states, uint8_t *p)
{
    const uint8_t *tops = t->tops + LWFC_GROUP * g;
    const uint32_t present = (1u << t->counts[g]) - 1;
    ROW at;
    uint32_t escapes =
        row_indices(symbols, tops, t->first + LWFC_GROUP * g, &at) & present;
    for (uint32_t j = LWFC_GROUP; LWFC_UNLIKELY(escapes != 0) && j-- > 0;) {
        if (escapes >> j & 1) {
            lwfc_groups_put_escape(&states[j], symbols[j], tops[j], &p);
        }
    }
    row_store(states, row_put_symbols(row_load(states), s->symbols, at, present, &p));
    return p;
}

TARGET LWFC_INLINE uint8_t *KERNEL(encode_rows)(const struct lwfc_groups_tables *t,
                                                const struct lwfc_groups_steps *s,
                                                const int16_t *symbols, uint32_t *rows,
                                                const uint32_t lanes, uint32_t *states, uint8_t *p)
{
    uint32_t row = *rows;
    for (uint32_t g = t->groups; g-- > 0;) {
        const int16_t *group = symbols + (size_t)g * LWFC_GROUP;
        if (lwfc_groups_loud(group)) {
            row--;
            p = KERNEL(put_group)(t, s, g, group, states + LWFC_GROUP * row % lanes, p);
        }
    }
    for (uint32_t end = (t->groups + LWFC_GROUP - 1) / LWFC_GROUP; end-- > 0;) {
        const uint32_t first = end * LWFC_GROUP, left = t->groups - first;
        const uint32_t n = left < LWFC_GROUP ? left : LWFC_GROUP;
        uint32_t loud = 0;
        for (uint32_t j = 0; j < n; j++) {
            loud |= (uint32_t)lwfc_groups_loud(symbols + (size_t)(first + j) * LWFC_GROUP) << j;
        }
        row--;
        uint32_t *at = states + LWFC_GROUP * row % lanes;
        row_store(at, row_put_flags(row_load(at), s, first, loud, (1u << n) - 1, &p));
    }
    *rows = row;
    return p;
}

TARGET static uint8_t *KERNEL(encode)(const struct lwfc_groups_tables *t,
                                      const struct lwfc_groups_steps *s, const int16_t *symbols,
                                      uint32_t *row, int lanes, uint32_t *states, uint8_t *p)
{
    return lanes == LWFC_GROUPS_LANES
               ? KERNEL(encode_rows)(t, s, symbols, row, LWFC_GROUPS_LANES, states, p)
               : KERNEL(encode_rows)(t, s, symbols, row, LWFC_GROUP, states, p);
}
