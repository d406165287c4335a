#include "entropy/planes_fit.h"

#include <string.h>

enum { SCALE = 4096 };

/* SCALE * log2(1 + i / 64) */
static const uint16_t log2_table[65] = {
    0, 92, 182, 271, 358, 445, 530, 613, 696, 778, 858, 937, 1016,
    1093, 1169, 1244, 1319, 1392, 1465, 1536, 1607, 1677, 1746, 1814, 1882, 1949,
    2015, 2080, 2145, 2208, 2272, 2334, 2396, 2457, 2518, 2578, 2637, 2696, 2754,
    2812, 2869, 2926, 2982, 3037, 3092, 3146, 3200, 3254, 3307, 3359, 3412, 3463,
    3514, 3565, 3615, 3665, 3715, 3764, 3812, 3861, 3908, 3956, 4003, 4050, 4096
};

static int leading_zeros(uint32_t x)
{
#if defined(__GNUC__)
    return __builtin_clz(x);
#else
    int n = 0;
    while (!(x >> 31)) {
        x <<= 1;
        n++;
    }
    return n;
#endif
}

/* SCALE * log2(x) of x >= 1, within 1. */
static uint32_t log2_scaled(uint32_t x)
{
    const int zeros = leading_zeros(x);
    const int e = 31 - zeros;
    const uint32_t frac = x << zeros & 0x7fffffffu;
    const uint32_t i = frac >> 25;
    const uint32_t t = frac >> 13 & 0xfffu;
    const uint32_t step = log2_table[i + 1] - (uint32_t)log2_table[i];
    return (uint32_t)e * SCALE + log2_table[i] + (step * t >> 12);
}

/* SCALE * the bits that an ideal code of these counts takes. */
static int64_t bits_of(const uint32_t *counts, int levels)
{
    uint64_t total = 0;
    int64_t bits = 0;
    for (int k = 0; k < levels; k++) {
        if (counts[k]) {
            total += counts[k];
            bits -= (int64_t)counts[k] * log2_scaled(counts[k]);
        }
    }
    return total ? bits + (int64_t)total * log2_scaled((uint32_t)total) : 0;
}

/* The bits lost by giving two sets of symbols one table. */
static int64_t merge_loss(const uint32_t *a, const uint32_t *b, int levels)
{
    uint32_t sum[16];
    for (int k = 0; k < levels; k++) {
        sum[k] = a[k] + b[k];
    }
    return bits_of(sum, levels) - bits_of(a, levels) - bits_of(b, levels);
}

static void add_counts(uint32_t *to, const uint32_t *from, int levels)
{
    for (int k = 0; k < levels; k++) {
        to[k] += from[k];
    }
}

/* Merges neighbours among `n` codes along one axis of the counts, least loss
 * first, until `keep` are left; returns the cuts between them (bit i - 1: code i
 * starts a new class). The counts of a class gather in its first code. */
static uint16_t merge_axis(struct lwfc_planes_counts *c, int levels, int n, int keep, int other,
                           int axis)
{
    uint32_t *const base = &c->count[0][0][0];
    const size_t step = axis == 0 ? 256 : 16;
    const size_t across = axis == 0 ? 16 : 256;
    int first[16];
    int64_t loss[16];
    for (int i = 0; i < n; i++) {
        first[i] = i;
        loss[i] = -1;
    }
    int left = n;
    while (left > keep) {
        int best = 1;
        for (int i = 1; i < left; i++) {
            if (loss[i] < 0) {
                loss[i] = 0;
                for (int j = 0; j < other; j++) {
                    const uint32_t *row = base + (size_t)j * across;
                    loss[i] += merge_loss(row + (size_t)first[i - 1] * step,
                                          row + (size_t)first[i] * step, levels);
                }
                loss[i] = loss[i] < 0 ? 0 : loss[i];
            }
            best = loss[i] < loss[best] ? i : best;
        }
        for (int j = 0; j < other; j++) {
            uint32_t *row = base + (size_t)j * across;
            add_counts(row + (size_t)first[best - 1] * step, row + (size_t)first[best] * step,
                       levels);
        }
        left--;
        for (int i = best; i < left; i++) {
            first[i] = first[i + 1];
            loss[i] = loss[i + 1];
        }
        loss[best - 1] = -1;
        loss[best] = -1;
    }
    uint16_t cuts = 0;
    for (int i = 1; i < left; i++) {
        cuts = (uint16_t)(cuts | 1u << (first[i] - 1));
    }
    return cuts;
}

/* Drops the tables whose bytes cost more than sharing the parent's. */
static uint32_t merge_contexts(uint32_t (*sets)[16], int levels, uint32_t used, int64_t price)
{
    int root[LWFC_LANES_CONTEXTS];
    int64_t loss[LWFC_LANES_CONTEXTS];
    uint32_t own = used;
    for (int i = 0; i < LWFC_LANES_CONTEXTS; i++) {
        root[i] = i;
        loss[i] = -1;
    }
    for (;;) {
        int best = 0;
        for (int i = 1; i < LWFC_LANES_CONTEXTS; i++) {
            if (own >> i & 1) {
                if (loss[i] < 0) {
                    loss[i] = merge_loss(sets[i], sets[root[lwfc_planes_parent(i)]], levels);
                    loss[i] = loss[i] < 0 ? 0 : loss[i];
                }
                best = !best || loss[i] < loss[best] ? i : best;
            }
        }
        if (!best || loss[best] >= price) {
            return own;
        }
        const int to = root[lwfc_planes_parent(best)];
        add_counts(sets[to], sets[best], levels);
        own &= ~(1u << best);
        for (int i = 0; i < LWFC_LANES_CONTEXTS; i++) {
            root[i] = root[i] == best ? to : root[i];
        }
        for (int i = 1; i < LWFC_LANES_CONTEXTS; i++) {
            if (root[i] == to || root[lwfc_planes_parent(i)] == to) {
                loss[i] = -1;
            }
        }
    }
}

/* Frequencies out of 256, each >= 1, of least code length for the counts; returns
 * SCALE * the bits that the counted symbols then take. */
static uint64_t fit_thresholds(const uint32_t *counts, struct lwfc_lanes_model *model, int context)
{
    const int levels = model->levels;
    uint64_t total = 0;
    int freq[16];
    int sum = 0;
    for (int k = 0; k < levels; k++) {
        total += counts[k];
    }
    for (int k = 0; k < levels; k++) {
        freq[k] = total ? (int)(counts[k] * 256ull / total) : 256 / levels;
        freq[k] = freq[k] < 1 ? 1 : freq[k];
        sum += freq[k];
    }
    while (sum != 256) {
        const int d = sum < 256 ? 1 : -1;
        int best = -1;
        int64_t best_gain = 0;
        for (int k = 0; k < levels; k++) {
            if (freq[k] + d < 1) {
                continue;
            }
            const int64_t gain =
                (int64_t)counts[k] * ((int64_t)log2_scaled((uint32_t)(freq[k] + d)) -
                                      (int64_t)log2_scaled((uint32_t)freq[k]));
            if (best < 0 || gain > best_gain) {
                best = k;
                best_gain = gain;
            }
        }
        freq[best] += d;
        sum += d;
    }
    uint64_t bits = 0;
    for (int k = 0, c = 0; k < levels; k++) {
        bits += (uint64_t)counts[k] * (8 * SCALE - log2_scaled((uint32_t)freq[k]));
        c += freq[k];
        if (k < levels - 1) {
            model->threshold[k][context] = (uint8_t)c;
        }
    }
    return bits;
}

size_t lwfc_planes_fit(struct lwfc_planes_counts *counts, int levels, size_t symbols,
                       struct lwfc_planes_tables *t)
{
    const int left_codes = lwfc_planes_left_codes(levels);
    const int sums = lwfc_planes_sums(levels);
    uint64_t total = 0;
    for (int i = 0; i < left_codes; i++) {
        for (int j = 0; j < sums; j++) {
            for (int k = 0; k < levels; k++) {
                total += counts->count[i][j][k];
            }
        }
    }
    memset(t, 0, sizeof *t);
    t->left_cuts = merge_axis(counts, levels, left_codes, PLANES_CLASSES, sums, 0);
    t->up_cuts = merge_axis(counts, levels, sums, PLANES_STEPS, left_codes, 1);
    lwfc_planes_maps(levels, t);
    uint32_t sets[LWFC_LANES_CONTEXTS][16];
    memset(sets, 0, sizeof sets);
    for (int i = 0; i < left_codes; i++) {
        for (int j = 0; j < sums; j++) {
            if ((i == 0 || (t->left_cuts >> (i - 1) & 1)) &&
                (j == 0 || (t->up_cuts >> (j - 1) & 1))) {
                memcpy(sets[t->model.left[i] + t->model.up[j]], counts->count[i][j],
                       (size_t)levels * sizeof(uint32_t));
            }
        }
    }
    const int64_t price = (int64_t)((uint64_t)(levels - 1) * 8 * SCALE * total / (symbols + 1));
    t->own = merge_contexts(sets, levels, t->own, price + 1);
    uint64_t bits = 0;
    size_t bytes = 8;
    for (int i = 0; i < LWFC_LANES_CONTEXTS; i++) {
        if (t->own >> i & 1) {
            bits += fit_thresholds(sets[i], &t->model, i);
            bytes += (size_t)levels - 1;
        }
    }
    lwfc_planes_inherit(levels, t);
    /* 16-bit states cost 0.4 %. Mean first: the product could pass 64 bits. */
    bits += bits / 256;
    return bytes + (size_t)(bits / (total / 1024 + 1) * symbols / (8 * SCALE) / 1024);
}

size_t lwfc_planes_gain(const struct lwfc_planes_counts *a, const struct lwfc_planes_counts *b,
                        int levels, size_t symbols)
{
    uint64_t total = 0;
    int64_t bits = 0;
    for (int i = 0; i < 16 * lwfc_planes_left_codes(levels); i++) {
        const uint32_t *x = a->count[i / 16][i % 16];
        const uint32_t *y = b->count[i / 16][i % 16];
        for (int k = 0; k < levels; k++) {
            total += x[k] + (uint64_t)y[k];
        }
        bits += merge_loss(x, y, levels);
    }
    /* At most 4 bits are saved per symbol, so the quotient stays small. */
    return bits > 0 ? (size_t)((uint64_t)bits / (total / 1024 + 1) * symbols / (8 * SCALE) / 1024)
                    : 0;
}
