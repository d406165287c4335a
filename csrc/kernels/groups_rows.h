/* Decoding 16 and 64 lanes of the group coder, a row at a time, for the SIMD variants: each
 * defines TARGET, KERNEL(name), ROW, 16 numbers of 32 bits, and what the row_ functions do, and
 * includes this. Included several times. */

/* The words end within a row: see lwfc_groups_refill. */
TARGET LWFC_INLINE int KERNEL(check)(struct lwfc_groups_reader *r, const uint8_t **p)
{
    if (LWFC_UNLIKELY(*p > r->limit)) {
        r->position = *p;
        if (lwfc_groups_refill(r) != 0) {
            return -1;
        }
        *p = r->position;
    }
    return 0;
}

/* Replaces the escapes of a row by what stands behind it; -1: one breaks a rule. */
TARGET static int KERNEL(escapes)(const struct lwfc_groups_tables *t, uint32_t g, uint32_t escapes,
                                  uint32_t *states, const uint8_t **p, int32_t *values)
{
    for (uint32_t j = 0; escapes != 0; j++, escapes >>= 1) {
        if (escapes & 1) {
            values[j] = lwfc_groups_escape(&states[j], p, NULL, t->tops[LWFC_GROUP * g + j],
                                           t->limits[g]);
            if (values[j] == 0) {
                return -1;
            }
        }
    }
    return 0;
}

TARGET LWFC_INLINE int KERNEL(decode_rows)(struct lwfc_groups_reader *r,
                                           const struct lwfc_groups_tables *t,
                                           struct lwfc_groups_list *list, const uint32_t lanes)
{
    const uint8_t *p = r->position;
    uint32_t row = r->row, count = 0, entries = 0, line = UINT32_MAX;
    for (uint32_t g = 0; g < t->groups; g += LWFC_GROUP, row++) {
        if (KERNEL(check)(r, &p) != 0) {
            return -1;
        }
        uint32_t *states = r->states + LWFC_GROUP * row % lanes;
        ROW x = row_load(states);
        list->flags[g / LWFC_GROUP] = (uint16_t)row_flags(&x, t->silent + g, &p);
        row_store(states, x);
    }
    for (uint32_t first = 0; first < t->groups; first += LWFC_GROUP) {
        for (uint32_t bits = list->flags[first / LWFC_GROUP]; bits != 0; bits &= bits - 1, row++) {
            const uint32_t g = first + (uint32_t)__builtin_ctz(bits);
            if (KERNEL(check)(r, &p) != 0) {
                return -1;
            }
            if (t->lines[g] != line) {
                line = t->lines[g];
                list->lines[count] = (uint16_t)line;
                list->starts[count++] = entries;
            }
            uint32_t *states = r->states + LWFC_GROUP * row % lanes;
            ROW x = row_load(states), values;
            const uint32_t escapes =
                row_symbols(&x, t->first + LWFC_GROUP * g, t->slots, &p, &values);
            row_store(states, x);
            if (LWFC_UNLIKELY(escapes != 0)) {
                int32_t all[LWFC_GROUP];
                row_store((uint32_t *)all, values);
                if (KERNEL(escapes)(t, g, escapes, states, &p, all) != 0) {
                    return -1;
                }
                values = row_load((const uint32_t *)all);
            }
            const uint32_t before = entries;
            entries += row_append(list->entries + entries, values, (uint32_t)t->columns[g] << 16);
            if (entries == before) {
                return -1;
            }
        }
    }
    list->starts[count] = entries;
    list->count = count;
    r->position = p;
    r->row = row;
    return 0;
}

TARGET static int KERNEL(decode)(struct lwfc_groups_reader *r, const struct lwfc_groups_tables *t,
                                 struct lwfc_groups_list *list)
{
    return r->lanes == LWFC_GROUPS_LANES ? KERNEL(decode_rows)(r, t, list, LWFC_GROUPS_LANES)
           : r->lanes == LWFC_GROUP      ? KERNEL(decode_rows)(r, t, list, LWFC_GROUP)
                                         : decode(r, t, list);
}
