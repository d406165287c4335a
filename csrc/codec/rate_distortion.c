#include "codec/rate_distortion.h"

#include "cpu/cpu.h"
#include "entropy/context.h"
#include "entropy/context_folds.h"
#include "kernels/lanes.h"

#include <string.h>

enum {
    BIT = 256 /* costs are in 1/256 bit */
};

/* Cost of a symbol of frequency f of 256. */
static const uint16_t costs[257] = {
    2304, 2048, 1792, 1642, 1536, 1454, 1386, 1329, 1280, 1236, 1198, 1162,
    1130, 1101, 1073, 1048, 1024, 1002, 980, 961, 942, 924, 906, 890,
    874, 859, 845, 831, 817, 804, 792, 780, 768, 757, 746, 735,
    724, 714, 705, 695, 686, 676, 668, 659, 650, 642, 634, 626,
    618, 611, 603, 596, 589, 582, 575, 568, 561, 555, 548, 542,
    536, 530, 524, 518, 512, 506, 501, 495, 490, 484, 479, 474,
    468, 463, 458, 453, 449, 444, 439, 434, 430, 425, 420, 416,
    412, 407, 403, 399, 394, 390, 386, 382, 378, 374, 370, 366,
    362, 358, 355, 351, 347, 343, 340, 336, 333, 329, 326, 322,
    319, 315, 312, 309, 305, 302, 299, 296, 292, 289, 286, 283,
    280, 277, 274, 271, 268, 265, 262, 259, 256, 253, 250, 247,
    245, 242, 239, 236, 234, 231, 228, 226, 223, 220, 218, 215,
    212, 210, 207, 205, 202, 200, 197, 195, 193, 190, 188, 185,
    183, 181, 178, 176, 174, 171, 169, 167, 164, 162, 160, 158,
    156, 153, 151, 149, 147, 145, 143, 140, 138, 136, 134, 132,
    130, 128, 126, 124, 122, 120, 118, 116, 114, 112, 110, 108,
    106, 104, 102, 101, 99, 97, 95, 93, 91, 89, 87, 86,
    84, 82, 80, 78, 77, 75, 73, 71, 70, 68, 66, 64,
    63, 61, 59, 58, 56, 54, 53, 51, 49, 48, 46, 44,
    43, 41, 40, 38, 36, 35, 33, 32, 30, 28, 27, 25,
    24, 22, 21, 19, 18, 16, 15, 13, 12, 10, 9, 7,
    6, 4, 3, 1, 0
};

size_t lwfc_rate_distortion_workspace(const struct lwfc_block *block,
                                      const struct lwfc_context_model *model)
{
    if (!model || model->channels != block->channels) {
        return 0;
    }
    const size_t height = (size_t)block->height;
    const size_t width = (size_t)block->width;
    return (height + 2) * width * LWFC_LANES +
           LWFC_CONTEXT_SCORES * lwfc_context_score_nbytes(height * width) +
           lwfc_context_folds_nbytes(model, height, width, 1);
}

/* The best symbol near k; cost[s] in 1/BIT bit. */
static int choose(float x, int k, const uint16_t *cost, int levels, const float *values,
                  double weight)
{
    const double error = (double)x - (double)values[k];
    double best = error * error + weight * cost[k];
    int chosen = k;
    const int last = k + 1 < levels ? k + 1 : levels - 1;
    for (int s = k >= 2 ? k - 2 : 0; s <= last; s++) {
        if (cost[s] < cost[k]) {
            const double e = (double)x - (double)values[s];
            const double total = e * e + weight * cost[s];
            if (total < best) {
                best = total;
                chosen = s;
            }
        }
    }
    return chosen;
}

/* 256 * log2(n), rounded down, for n >= 1. */
static uint32_t log2_scaled(uint64_t n)
{
    uint32_t whole = 0;
    while (n >> whole > 1) {
        whole++;
    }
    uint64_t m = whole <= 31 ? n << (31 - whole) : n >> (whole - 31);
    uint32_t bits = whole;
    for (int i = 0; i < 8; i++) {
        m = m * m >> 31;
        bits <<= 1;
        if (m >> 32) {
            m >>= 1;
            bits |= 1;
        }
    }
    return bits;
}

static void choose_by_histogram(const float *x, const struct lwfc_block *b, int levels,
                                const float *values, int per_channel, double weight,
                                uint8_t *symbols)
{
    const size_t plane = (size_t)b->height * (size_t)b->width;
    const size_t planes = (size_t)b->samples * (size_t)b->channels;
    uint64_t count[256] = {0};
    uint16_t cost[256];
    for (size_t i = 0; i < planes * plane; i++) {
        count[symbols[i]]++;
    }
    for (int s = 0; s < levels; s++) {
        cost[s] = (uint16_t)(log2_scaled(planes * plane + 1) - log2_scaled(count[s] + 1));
    }
    for (size_t p = 0; p < planes; p++) {
        const size_t channel = p % (size_t)b->channels;
        const float *const v = values + (per_channel ? channel * (size_t)levels : 0);
        for (size_t i = p * plane; i < (p + 1) * plane; i++) {
            symbols[i] = (uint8_t)choose(x[i], symbols[i], cost, levels, v, weight);
        }
    }
}

/* One sample and group of channels under the context model. */
struct turn {
    const struct lwfc_context_model *model;
    const struct lwfc_context_kernels *kernels;
    const struct lwfc_context_group *group;
    const float *x[LWFC_LANES];
    const float *values[LWFC_LANES];
    int lanes;
    size_t width, height;
    double weight;
    uint8_t *columns;
    int8_t *score[LWFC_CONTEXT_SCORES];
};

/* The scores from position i on. */
static void scores_at(const struct turn *t, size_t i, int8_t *score[LWFC_CONTEXT_SCORES])
{
    for (int s = 0; s < LWFC_CONTEXT_SCORES; s++) {
        score[s] = t->score[s] + i * LWFC_LANES;
    }
}

static void choose_column(const struct turn *t, size_t y, size_t column)
{
    static const uint8_t zeros[LWFC_LANES];
    uint8_t threshold[LWFC_CONTEXT_LEVELS][LWFC_LANES];
    uint16_t cost[LWFC_CONTEXT_LEVELS];
    const int levels = t->model->scale.levels;
    const size_t i = y * t->width + column;
    uint8_t *const at = t->columns + i * LWFC_LANES;
    int8_t *score[LWFC_CONTEXT_SCORES];
    scores_at(t, i, score);
    t->kernels->thresholds(threshold, (const int8_t *const *)score,
                           column >= 1 ? at - LWFC_LANES : zeros,
                           column >= 2 ? at - 2 * LWFC_LANES : zeros, t->group,
                           &t->model->scale);
    for (int lane = 0; lane < t->lanes; lane++) {
        const int k = at[lane];
        const int below = k > 0 ? threshold[k - 1][lane] : 0;
        /* No symbol is cheaper than one that has half of the frequencies. */
        if ((k + 1 < levels ? threshold[k][lane] : 256) - below >= 128) {
            continue;
        }
        const int last = k + 1 < levels ? k + 1 : levels - 1;
        int s = k >= 2 ? k - 2 : 0;
        int start = s > 0 ? threshold[s - 1][lane] : 0;
        for (; s <= last; s++) {
            const int end = s + 1 < levels ? threshold[s][lane] : 256;
            cost[s] = costs[end - start];
            start = end;
        }
        at[lane] = (uint8_t)choose(t->x[lane][i], k, cost, levels, t->values[lane], t->weight);
    }
}

static void choose_turn(const struct turn *t)
{
    uint32_t sums[LWFC_LANES];
    for (size_t y = 0; y < t->height; y++) {
        int8_t *score[LWFC_CONTEXT_SCORES];
        scores_at(t, y * t->width, score);
        t->kernels->above(score, t->columns + y * t->width * LWFC_LANES, t->width, y, sums,
                          t->group, &t->model->scale);
        for (size_t column = 0; column < t->width; column++) {
            choose_column(t, y, column);
        }
    }
}

static void choose_by_context(const float *x, const struct lwfc_block *b, const float *values,
                              int per_channel, const struct lwfc_context_model *model,
                              double weight, uint8_t *symbols, void *workspace)
{
    const struct lwfc_lanes_kernels *const lanes = lwfc_lanes_kernels_for(lwfc_cpu_features());
    const size_t width = (size_t)b->width;
    const size_t plane = (size_t)b->height * width;
    struct turn t = {.model = model,
                     .kernels = lwfc_context_kernels_for(lwfc_cpu_features()),
                     .width = width,
                     .height = (size_t)b->height,
                     .weight = weight};
    t.columns = (uint8_t *)workspace + 2 * width * LWFC_LANES;
    t.score[0] = (int8_t *)t.columns + plane * LWFC_LANES;
    t.score[1] = t.score[0] + lwfc_context_score_nbytes(plane);
    const struct lwfc_context_folds folds = lwfc_context_folds_make(
        model, t.height, width, 1, (uint8_t *)t.score[1] + lwfc_context_score_nbytes(plane));
    memset(workspace, 0, 2 * width * LWFC_LANES);
    for (int i = 0; i < b->samples * model->groups; i++) {
        const size_t sample = (size_t)(i / model->groups) * (size_t)b->channels * plane;
        const int slot = lwfc_context_first_slot(model, i % model->groups);
        uint8_t *runs[LWFC_LANES];
        const uint8_t *from[LWFC_LANES];
        t.group = &model->group[i % model->groups];
        t.lanes = lwfc_context_lanes(model, i % model->groups);
        for (int lane = 0; lane < t.lanes; lane++) {
            const size_t channel = model->order[slot + lane];
            runs[lane] = symbols + sample + channel * plane;
            from[lane] = runs[lane];
            t.x[lane] = x + sample + channel * plane;
            t.values[lane] = values + (per_channel ? channel * (size_t)model->scale.levels : 0);
        }
        lanes->gather(t.columns, from, t.lanes, plane);
        t.kernels->references(t.score, folds.slots, folds.half, folds.offset, model->table,
                              t.group, &model->scale);
        choose_turn(&t);
        lanes->scatter(runs, t.columns, t.lanes, plane);
        for (int lane = 0; lane < t.lanes; lane++) {
            lwfc_context_fold(&folds, folds.slots, (size_t)(slot + lane), runs[lane]);
        }
    }
}

void lwfc_rate_distortion(const float *x, const struct lwfc_block *block, int levels,
                          const float *values, int per_channel,
                          const struct lwfc_context_model *model, double rate_weight,
                          uint8_t *symbols, void *workspace)
{
    const double weight = rate_weight / BIT;
    if (model && lwfc_context_applies(model, block, levels)) {
        choose_by_context(x, block, values, per_channel, model, weight, symbols, workspace);
    } else {
        choose_by_histogram(x, block, levels, values, per_channel, weight, symbols);
    }
}
