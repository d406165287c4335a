#include "fit/moments.h"

#include <math.h>
#include <stddef.h>

#include "par/par.h"

enum { TOGETHER = 64 }; /* channels, whose sums stay in the first cache */

struct task {
    const struct lwfc_fit_values *rows;
    const float *own, *offset, *slope, *low, *high;
    double *out;
};

/* The channels of a block. */
struct span {
    size_t first, count, all;
};

static struct span span_of(const struct lwfc_fit_values *rows, int64_t block)
{
    struct span span = {.first = (size_t)block * TOGETHER, .all = (size_t)rows->channels};
    const size_t left = span.all - span.first;
    span.count = left < TOGETHER ? left : TOGETHER;
    return span;
}

/* Scores of a row's channels, their own neighbours added with three weights for each. */
static void score_row(const struct lwfc_fit_values *rows, const float *own, size_t at,
                      size_t count, float *z)
{
    const uint8_t *h = rows->around[0] + at, *v = rows->around[1] + at, *d = rows->around[2] + at;
    for (size_t c = 0; c < count; c++) {
        z[c] = own[3 * c] * (float)h[c] + own[3 * c + 1] * (float)v[c] +
               own[3 * c + 2] * (float)d[c];
    }
    if (rows->score != NULL) {
        const float *score = rows->score + at;
        for (size_t c = 0; c < count; c++) {
            z[c] += score[c];
        }
    }
}

static void all_products(void *context, int64_t block, int worker)
{
    (void)worker;
    const struct task *task = context;
    const struct lwfc_fit_values *rows = task->rows;
    const struct span span = span_of(rows, block);
    const size_t levels = (size_t)rows->levels;
    double *out = task->out + span.first * levels * LWFC_FIT_ALL;
    for (size_t row = 0; row < (size_t)rows->count; row++) {
        const size_t at = row * span.all + span.first;
        const uint8_t *symbols = rows->symbols + at, *h = rows->around[0] + at;
        const uint8_t *v = rows->around[1] + at, *d = rows->around[2] + at;
        const float *values = rows->values + at;
        for (size_t c = 0; c < span.count; c++) {
            const double z = rows->score != NULL ? rows->score[at + c] : 0.0F;
            const double x[] = {1.0, z, h[c], v[c], d[c], values[c]};
            double *sums = out + (c * levels + symbols[c]) * LWFC_FIT_ALL;
            for (int i = 0; i < 6; i++) {
                for (int j = 0; j <= i; j++) {
                    *sums++ += x[i] * x[j];
                }
            }
        }
    }
}

static void scored_products(void *context, int64_t block, int worker)
{
    (void)worker;
    const struct task *task = context;
    const struct lwfc_fit_values *rows = task->rows;
    const struct span span = span_of(rows, block);
    const size_t levels = (size_t)rows->levels;
    double *out = task->out + span.first * levels * LWFC_FIT_SCORED;
    float z[TOGETHER];
    for (size_t row = 0; row < (size_t)rows->count; row++) {
        const size_t at = row * span.all + span.first;
        const uint8_t *symbols = rows->symbols + at;
        const float *values = rows->values + at;
        score_row(rows, task->own + 3 * span.first, at, span.count, z);
        for (size_t c = 0; c < span.count; c++) {
            const double score = z[c], value = values[c];
            double *sums = out + (c * levels + symbols[c]) * LWFC_FIT_SCORED;
            sums[0] += 1.0;
            sums[1] += score;
            sums[2] += value;
            sums[3] += score * score;
            sums[4] += score * value;
        }
    }
}

static void squares(void *context, int64_t block, int worker)
{
    (void)worker;
    const struct task *task = context;
    const struct lwfc_fit_values *rows = task->rows;
    const struct span span = span_of(rows, block);
    const size_t levels = (size_t)rows->levels;
    const float *offset = task->offset + span.first * levels;
    const float *slope = task->slope + span.first * levels;
    double sums[TOGETHER] = {0};
    float z[TOGETHER];
    for (size_t row = 0; row < (size_t)rows->count; row++) {
        const size_t at = row * span.all + span.first;
        const uint8_t *symbols = rows->symbols + at;
        const float *values = rows->values + at;
        score_row(rows, task->own + 3 * span.first, at, span.count, z);
        for (size_t c = 0; c < span.count; c++) {
            const size_t cell = c * levels + symbols[c];
            const float low = task->low[symbols[c]], high = task->high[symbols[c]];
            float found = offset[cell] + slope[cell] * z[c];
            found = found < low ? low : found;
            found = found > high ? high : found;
            z[c] = found - values[c];
        }
        for (size_t c = 0; c < span.count; c++) {
            sums[c] += (double)z[c] * z[c];
        }
    }
    for (size_t c = 0; c < span.count; c++) {
        task->out[span.first + c] = sums[c];
    }
}

static void run(struct task *task, int num_threads, lwfc_block_fn *fn)
{
    const int64_t blocks = (task->rows->channels + TOGETHER - 1) / TOGETHER;
    const int64_t values = task->rows->count * task->rows->channels;
    lwfc_parallel_for(blocks, lwfc_parallel_width(blocks, values, num_threads), fn, task);
}

void lwfc_fit_moments(const struct lwfc_fit_values *rows, int num_threads, double *sums)
{
    struct task task = {.rows = rows, .out = sums};
    run(&task, num_threads, all_products);
}

void lwfc_fit_scored(const struct lwfc_fit_values *rows, const float *own, int num_threads,
                     double *sums)
{
    struct task task = {.rows = rows, .own = own, .out = sums};
    run(&task, num_threads, scored_products);
}

void lwfc_fit_errors(const struct lwfc_fit_values *rows, const float *own, const float *offset,
                     const float *slope, const float *low, const float *high, int num_threads,
                     double *errors)
{
    struct task task = {.rows = rows, .own = own, .offset = offset, .slope = slope,
                        .low = low, .high = high, .out = errors};
    run(&task, num_threads, squares);
}

static void channel_cells(void *context, int64_t channel, int worker)
{
    (void)worker;
    const struct lwfc_fit_cells *cells = context;
    const size_t levels = (size_t)cells->levels, first = (size_t)channel * levels;
    double *counts = cells->counts + first, *sums = cells->sums + first;
    float *low = cells->low + first, *high = cells->high + first;
    for (size_t k = 0; k < levels; k++) {
        counts[k] = sums[k] = 0.0;
        low[k] = INFINITY;
        high[k] = -INFINITY;
    }
    const size_t count = (size_t)cells->positions;
    for (int64_t sample = 0; sample < cells->samples; sample++) {
        const size_t at = (size_t)(sample * cells->channels + channel) * count;
        const float *values = cells->values + at;
        const uint8_t *symbols = cells->symbols + at;
        for (size_t i = 0; i < count; i++) {
            const size_t k = symbols[i];
            const float x = values[i];
            counts[k] += 1.0;
            sums[k] += x;
            low[k] = x < low[k] ? x : low[k];
            high[k] = x > high[k] ? x : high[k];
        }
    }
}

void lwfc_fit_cells(const struct lwfc_fit_cells *cells, int num_threads)
{
    struct lwfc_fit_cells task = *cells;
    const int64_t values = task.samples * task.channels * task.positions;
    lwfc_parallel_for(task.channels, lwfc_parallel_width(task.channels, values, num_threads),
                      channel_cells, &task);
}
