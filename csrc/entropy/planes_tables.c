#include "entropy/planes_tables.h"

#include <string.h>

int lwfc_planes_parent(int context)
{
    return (context & (PLANES_STEPS - 1)) ? context - 1 : context - PLANES_STEPS;
}

int lwfc_planes_left_codes(int levels)
{
    return levels == 2 ? 4 : levels;
}

int lwfc_planes_sums(int levels)
{
    return levels == 2 ? 8 : lwfc_lanes_sum(levels - 1, levels - 1, levels - 1, levels) + 1;
}

int lwfc_planes_maps(int levels, struct lwfc_planes_tables *t)
{
    int class = 0;
    int step = 0;
    t->model.levels = levels;
    for (int i = 1; i < lwfc_planes_left_codes(levels); i++) {
        class += t->left_cuts >> (i - 1) & 1;
        t->model.left[i] = (uint8_t)(class * PLANES_STEPS);
    }
    for (int i = 1; i < lwfc_planes_sums(levels); i++) {
        step += t->up_cuts >> (i - 1) & 1;
        t->model.up[i] = (uint8_t)step;
    }
    if (class >= PLANES_CLASSES || step >= PLANES_STEPS) {
        return -1;
    }
    t->own = 0;
    for (int c = 0; c <= class; c++) {
        t->own |= ((2u << step) - 1) << (c * PLANES_STEPS);
    }
    return 0;
}

void lwfc_planes_inherit(int levels, struct lwfc_planes_tables *t)
{
    for (int i = 1; i < LWFC_LANES_CONTEXTS; i++) {
        if (!(t->own >> i & 1)) {
            for (int k = 0; k < levels - 1; k++) {
                t->model.threshold[k][i] = t->model.threshold[k][lwfc_planes_parent(i)];
            }
        }
    }
}

/* Bits go into the header lowest first. */
static uint8_t *put_bits(uint8_t *base, size_t *at, uint32_t bits, int n)
{
    for (int i = 0; i < n; i++, ++*at) {
        if (*at % 8 == 0) {
            base[*at / 8] = 0;
        }
        base[*at / 8] = (uint8_t)(base[*at / 8] | (bits >> i & 1) << *at % 8);
    }
    return base + (*at + 7) / 8;
}

static uint32_t get_bits(const uint8_t *base, size_t *at, int n)
{
    uint32_t bits = 0;
    for (int i = 0; i < n; i++, ++*at) {
        bits |= (uint32_t)(base[*at / 8] >> *at % 8 & 1) << i;
    }
    return bits;
}

uint8_t *lwfc_planes_write(uint8_t *out, const struct lwfc_planes_tables *t)
{
    const int levels = t->model.levels;
    struct lwfc_planes_tables used = *t;
    lwfc_planes_maps(levels, &used);
    size_t at = 0;
    put_bits(out, &at, t->left_cuts, lwfc_planes_left_codes(levels) - 1);
    uint8_t *p = put_bits(out, &at, t->up_cuts, lwfc_planes_sums(levels) - 1);
    for (int i = 1; i < LWFC_LANES_CONTEXTS; i++) {
        if (used.own >> i & 1) {
            p = put_bits(out, &at, t->own >> i & 1, 1);
        }
    }
    for (int i = 0; i < LWFC_LANES_CONTEXTS; i++) {
        if (t->own >> i & 1) {
            for (int k = 0; k < levels - 1; k++) {
                *p++ = t->model.threshold[k][i];
            }
        }
    }
    return p;
}

const uint8_t *lwfc_planes_read(const uint8_t *in, const uint8_t *end, int levels,
                                struct lwfc_planes_tables *t)
{
    const int left = lwfc_planes_left_codes(levels) - 1;
    const int up = lwfc_planes_sums(levels) - 1;
    const int cut_bytes = (left + up + 7) / 8;
    size_t at = 0;
    memset(t, 0, sizeof *t);
    if (end - in < cut_bytes) {
        return NULL;
    }
    t->left_cuts = (uint16_t)get_bits(in, &at, left);
    t->up_cuts = (uint16_t)get_bits(in, &at, up);
    if (lwfc_planes_maps(levels, t) != 0) {
        return NULL;
    }
    int contexts = 0;
    for (int i = 0; i < LWFC_LANES_CONTEXTS; i++) {
        contexts += t->own >> i & 1;
    }
    if (end - in < (left + up + contexts - 1 + 7) / 8) {
        return NULL;
    }
    for (int i = 1; i < LWFC_LANES_CONTEXTS; i++) {
        if ((t->own >> i & 1) && !get_bits(in, &at, 1)) {
            t->own &= ~(1u << i);
        }
    }
    in += (at + 7) / 8;
    for (int i = 0; i < LWFC_LANES_CONTEXTS; i++) {
        if (t->own >> i & 1) {
            if (end - in < levels - 1) {
                return NULL;
            }
            for (int k = 0, last = 0; k < levels - 1; k++, in++) {
                if (*in <= last) {
                    return NULL;
                }
                last = *in;
                t->model.threshold[k][i] = *in;
            }
        }
    }
    lwfc_planes_inherit(levels, t);
    return in;
}
