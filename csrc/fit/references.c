/* The choice of what a channel's model refers to. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cpu/cpu.h"
#include "fit/columns.h"
#include "par/par.h"

enum {
    CANDIDATES = 192, /* channels that references are chosen from */
    SCREENED = 2048,  /* rows for covariances with a channel's own neighbours, */
    AROUND = 24576,   /* and with what lies around the channels chosen: fewer cost bits */
    LOCAL = LWFC_FIT_LOCAL
};

static const float VARIANCE = 2e-3F; /* least that counts, and what is added to all */

/* Candidates with their covariances: `own` (LOCAL + 1) squared of the basis, whose last is
 * the target; `cross` [LOCAL + 1][count] with the candidates; variance [count]. */
struct pursuit {
    int count, most;
    size_t rows;
    double own[(LOCAL + 1) * (LOCAL + 1)];
    float *cross, *solved, *variance, *residual, *directions, *column;
    int32_t *chosen;
    /* Fills column[count] with the covariances of candidate j. */
    void (*row)(const void *context, int j, float *column);
    const void *context;
};

struct task {
    const struct lwfc_fit_rows *rows;
    const struct lwfc_fit_kernels *kernels;
    const float *covariance;
    const int32_t *channels, *earlier;
    int64_t earlier_count;
    int most;
    size_t stride;
    const struct lwfc_fit_references *references;
    char *memory;
    size_t worker_bytes;
};

/* What one thread works with. */
struct worker {
    const struct task *task;
    struct pursuit pursuit;
    int16_t *x; /* columns: LOCAL, the target, the candidates */
    double *mean, *sums;
    int32_t *candidates, *near;
    float *strength;
};

/* In place of `own` the lower Cholesky factor of its first LOCAL rows, then `solved` from
 * `cross` by it. */
static void project(struct pursuit *p)
{
    const int n = LOCAL + 1;
    for (int j = 0; j < LOCAL; j++) {
        p->own[j * n + j] += 1e-4;
        for (int i = j; i < n; i++) {
            double sum = p->own[i * n + j];
            for (int k = 0; k < j; k++) {
                sum -= p->own[i * n + k] * p->own[j * n + k];
            }
            p->own[i * n + j] = i == j ? sqrt(fmax(sum, 1e-9)) : sum / p->own[j * n + j];
        }
    }
    /* With own = L L' the projected part of a candidate is the square of L^-1 cross. */
    for (int j = 0; j < LOCAL; j++) {
        float *to = p->solved + j * p->count;
        memcpy(to, p->cross + j * p->count, (size_t)p->count * sizeof *to);
        for (int k = 0; k < j; k++) {
            const float factor = (float)p->own[j * n + k];
            for (int c = 0; c < p->count; c++) {
                to[c] -= factor * p->solved[k * p->count + c];
            }
        }
        const float factor = (float)(1.0 / p->own[j * n + j]);
        for (int c = 0; c < p->count; c++) {
            to[c] *= factor;
        }
    }
    memcpy(p->residual, p->cross + LOCAL * p->count, (size_t)p->count * sizeof *p->residual);
    for (int j = 0; j < LOCAL; j++) {
        const float *from = p->solved + j * p->count;
        const float factor = (float)p->own[LOCAL * n + j];
        for (int c = 0; c < p->count; c++) {
            p->residual[c] -= factor * from[c];
            p->variance[c] -= from[c] * from[c];
        }
    }
}

/* Fills `chosen`; returns how many. */
static int pursue(struct pursuit *p)
{
    const double total = p->own[(LOCAL + 1) * (LOCAL + 1) - 1];
    const float least = (float)(4.0 * total / (double)p->rows);
    const int n = p->count;
    project(p);
    int found = 0;
    for (; found < p->most && found < n; found++) {
        int best = -1;
        float most = least;
        for (int c = 0; c < n; c++) {
            const float v = p->variance[c];
            const float score = v > VARIANCE ? p->residual[c] * p->residual[c] / (v + VARIANCE) : -1;
            if (score > most || (best < 0 && score == most)) {
                best = c;
                most = score;
            }
        }
        if (best < 0) {
            break;
        }
        p->chosen[found] = best;
        p->row(p->context, best, p->column);
        for (int j = 0; j < LOCAL + found; j++) {
            const float *from =
                j < LOCAL ? p->solved + j * n : p->directions + (j - LOCAL) * n;
            const float factor = from[best];
            for (int c = 0; c < n; c++) {
                p->column[c] -= factor * from[c];
            }
        }
        const float scale = 1.0F / sqrtf(p->variance[best]);
        const float reach = p->residual[best] * scale;
        float *direction = p->directions + found * n;
        for (int c = 0; c < n; c++) {
            direction[c] = p->column[c] * scale;
            p->residual[c] -= direction[c] * reach;
            p->variance[c] -= direction[c] * direction[c];
        }
        p->variance[best] = 0.0F;
    }
    return found;
}

/* Covariances of the basis, and with `count` columns behind it, on the first rows of x. */
static void correlate(struct worker *w, const struct task *task, size_t rows, int count)
{
    struct pursuit *p = &w->pursuit;
    const int all = LOCAL + 1 + count;
    const size_t blocks = lwfc_fit_padded(rows) / LWFC_FIT_BLOCK;
    for (int j = 0; j < all; j++) {
        const int16_t *column = w->x + (size_t)j * task->stride;
        int32_t sum = 0;
        for (size_t i = 0; i < rows; i++) {
            sum += column[i];
        }
        w->mean[j] = (double)sum / (double)rows;
    }
    task->kernels->dots(w->x, LOCAL + 1, w->x, all, 0, task->stride, blocks, w->sums);
    for (int i = 0; i < LOCAL + 1; i++) {
        const double unit = i == LWFC_FIT_ACTIVITY ? 1.0 / 16 : 1.0;
        for (int j = 0; j < all; j++) {
            const double other = j == LWFC_FIT_ACTIVITY ? 1.0 / 16 : 1.0;
            const double c = unit * other *
                             (w->sums[i * all + j] / (double)rows - w->mean[i] * w->mean[j]);
            if (j <= LOCAL) {
                p->own[i * (LOCAL + 1) + j] = c;
            } else {
                p->cross[i * count + j - LOCAL - 1] = (float)c;
            }
        }
    }
}

static void row_of_channels(const void *context, int j, float *column)
{
    const struct worker *w = context;
    const float *row = w->task->covariance +
                       (size_t)w->candidates[j] * (size_t)w->task->rows->channels;
    for (int c = 0; c < w->pursuit.count; c++) {
        column[c] = row[w->candidates[c]];
    }
}

static void row_of_columns(const void *context, int j, float *column)
{
    const struct worker *w = context;
    const struct pursuit *p = &w->pursuit;
    const int16_t *first = w->x + (LOCAL + 1) * w->task->stride;
    const double rows = (double)p->rows;
    w->task->kernels->dots(first + (size_t)j * w->task->stride, 1, first, p->count, 0,
                            w->task->stride, lwfc_fit_padded(p->rows) / LWFC_FIT_BLOCK, w->sums);
    for (int c = 0; c < p->count; c++) {
        column[c] = (float)(w->sums[c] / rows - w->mean[LOCAL + 1 + j] * w->mean[LOCAL + 1 + c]);
    }
}

/* Weakest first: a heap of the strongest, whose root is the one to beat. */
static void sift(int32_t *heap, const float *strength, int count, int at)
{
    for (int child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && strength[heap[child + 1]] < strength[heap[child]]) {
            child++;
        }
        if (strength[heap[at]] <= strength[heap[child]]) {
            break;
        }
        const int32_t other = heap[at];
        heap[at] = heap[child];
        heap[child] = other;
    }
}

static int ascending(const void *a, const void *b)
{
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* The strongest candidates in the order of `earlier`; returns their number. */
static int screen(struct worker *w, const struct task *task, int32_t channel)
{
    const size_t channels = (size_t)task->rows->channels;
    const float *row = task->covariance + (size_t)channel * channels;
    const int64_t n = task->earlier_count;
    const int count = n < CANDIDATES ? (int)n : CANDIDATES;
    for (int64_t i = 0; i < n; i++) {
        const size_t j = (size_t)task->earlier[i];
        w->strength[i] = row[j] * row[j] / (task->covariance[j * channels + j] + VARIANCE);
    }
    for (int i = 0; i < count; i++) {
        w->near[i] = i;
    }
    if (n > CANDIDATES) {
        for (int i = count / 2; i >= 0; i--) {
            sift(w->near, w->strength, count, i);
        }
        for (int64_t i = count; i < n; i++) {
            if (w->strength[i] > w->strength[w->near[0]]) {
                w->near[0] = (int32_t)i;
                sift(w->near, w->strength, count, 0);
            }
        }
        qsort(w->near, (size_t)count, sizeof *w->near, ascending);
    }
    for (int i = 0; i < count; i++) {
        w->candidates[i] = task->earlier[w->near[i]];
    }
    return count;
}

/* Candidates' symbols as columns behind the target. */
static void candidate_columns(struct worker *w, const struct task *task, int place, int first,
                              int count, size_t rows)
{
    for (int i = 0; i < count; i++) {
        lwfc_fit_copy(lwfc_fit_plane(task->rows, w->candidates[i], place), NULL, rows,
                      w->x + (size_t)(LOCAL + 1 + first + i) * task->stride);
    }
}

/* The channels at the same place to look around, as w->candidates, by rising slot. */
static int choose_channels(struct worker *w, const struct task *task, int32_t channel, size_t rows)
{
    struct pursuit *p = &w->pursuit;
    const float *covariances = task->covariance + (size_t)channel * (size_t)task->rows->channels;
    p->count = screen(w, task, channel);
    candidate_columns(w, task, 0, 0, p->count, rows);
    correlate(w, task, rows, p->count);
    p->own[(LOCAL + 1) * (LOCAL + 1) - 1] = covariances[channel];
    for (int c = 0; c < p->count; c++) {
        const size_t j = (size_t)w->candidates[c];
        p->cross[LOCAL * p->count + c] = covariances[j];
        p->variance[c] = task->covariance[j * (size_t)task->rows->channels + j];
    }
    p->row = row_of_channels;
    p->rows = (size_t)task->rows->count;
    const int found = pursue(p);
    qsort(p->chosen, (size_t)found, sizeof *p->chosen, ascending);
    for (int i = 0; i < found; i++) {
        w->near[i] = w->near[p->chosen[i]];
        w->candidates[i] = w->candidates[p->chosen[i]];
    }
    return found;
}

/* The places around `near` channels; w->pursuit.chosen are place * near + channel. */
static int choose_places(struct worker *w, const struct task *task, int near, size_t rows)
{
    struct pursuit *p = &w->pursuit;
    p->count = LWFC_FIT_PLACES * near;
    for (int place = 0; place < LWFC_FIT_PLACES; place++) {
        candidate_columns(w, task, place, place * near, near, rows);
    }
    correlate(w, task, rows, p->count);
    for (int c = 0; c < p->count; c++) {
        const int16_t *column = w->x + (size_t)(LOCAL + 1 + c) * task->stride;
        int32_t squares = 0; /* of symbols */
        for (size_t i = 0; i < rows; i++) {
            squares += column[i] * column[i];
        }
        const double mean = w->mean[LOCAL + 1 + c];
        p->variance[c] = (float)((double)squares / (double)rows - mean * mean);
    }
    p->row = row_of_columns;
    p->rows = rows;
    const int found = pursue(p);
    qsort(p->chosen, (size_t)found, sizeof *p->chosen, ascending);
    return found;
}

static size_t columns_max(int most)
{
    const int around = LWFC_FIT_PLACES * most;
    return LOCAL + 1 + (size_t)(around > CANDIDATES ? around : CANDIDATES);
}

/* Lays out a worker's memory; with base NULL only the size counts. */
static size_t lay_out(struct worker *w, const struct task *task, void *base)
{
    const size_t n = columns_max(task->most), most = (size_t)task->most;
    const size_t earlier = (size_t)task->earlier_count;
    struct pursuit *p = &w->pursuit;
    struct lwfc_placer placer = {base, 0};
    w->x = lwfc_place(&placer, n * task->stride, sizeof *w->x);
    w->mean = lwfc_place(&placer, n, sizeof *w->mean);
    w->sums = lwfc_place(&placer, (LOCAL + 1) * n, sizeof *w->sums);
    w->strength = lwfc_place(&placer, earlier, sizeof *w->strength);
    w->near = lwfc_place(&placer, n, sizeof *w->near);
    w->candidates = lwfc_place(&placer, n, sizeof *w->candidates);
    p->chosen = lwfc_place(&placer, n, sizeof *p->chosen);
    p->cross = lwfc_place(&placer, (LOCAL + 1) * n, sizeof *p->cross);
    p->solved = lwfc_place(&placer, LOCAL * n, sizeof *p->solved);
    p->variance = lwfc_place(&placer, n, sizeof *p->variance);
    p->residual = lwfc_place(&placer, n, sizeof *p->residual);
    p->column = lwfc_place(&placer, n, sizeof *p->column);
    p->directions = lwfc_place(&placer, most * n, sizeof *p->directions);
    return placer.used;
}

static size_t least_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void choose(void *context, int64_t block, int number)
{
    const struct task *task = context;
    const struct lwfc_fit_references *out = task->references;
    const size_t count = (size_t)task->rows->count;
    const int32_t channel = task->channels[block];
    struct worker w = {.task = task};
    lay_out(&w, task, task->memory + (size_t)number * task->worker_bytes);
    w.pursuit.context = &w;
    w.pursuit.most = task->most;
    out->count[block] = 0;
    if (!(task->covariance[(size_t)channel * (size_t)(task->rows->channels + 1)] > 0.0F)) {
        return;
    }
    size_t rows = least_of(count, AROUND);
    lwfc_fit_local(task->rows, channel, NULL, rows, w.x, task->stride,
                   w.x + LWFC_FIT_ACTIVITY * task->stride);
    lwfc_fit_copy(lwfc_fit_plane(task->rows, channel, 0), NULL, rows, w.x + LOCAL * task->stride);
    const int near = choose_channels(&w, task, channel, least_of(count, SCREENED));
    const int found = near > 0 ? choose_places(&w, task, near, rows) : 0;
    for (int i = 0; i < found; i++) {
        const int64_t to = block * task->most + i;
        out->slots[to] = w.near[w.pursuit.chosen[i] % near];
        out->places[to] = (uint8_t)(w.pursuit.chosen[i] / near);
    }
    out->count[block] = found;
}

enum lwfc_status lwfc_fit_choose(const struct lwfc_fit_rows *rows, const float *covariance,
                                 const int32_t *channels, int64_t count, const int32_t *earlier,
                                 int64_t earlier_count, int most, int num_threads,
                                 const struct lwfc_fit_references *references)
{
    struct task task = {.rows = rows,
                        .kernels = lwfc_fit_kernels_for(lwfc_cpu_features()),
                        .covariance = covariance,
                        .channels = channels,
                        .earlier = earlier,
                        .earlier_count = earlier_count,
                        .most = most,
                        .stride = lwfc_fit_padded(least_of((size_t)rows->count, AROUND)),
                        .references = references};
    if (earlier_count == 0 || most == 0) {
        memset(references->count, 0, (size_t)count * sizeof *references->count);
        return LWFC_OK;
    }
    const int64_t values = count * rows->count * most; /* those of each step */
    const int width = lwfc_parallel_width(count, values, num_threads);
    struct worker measured = {.task = &task};
    task.worker_bytes = lay_out(&measured, &task, NULL);
    task.memory = lwfc_alloc(lwfc_size_mul((size_t)width, task.worker_bytes));
    if (task.memory == NULL) {
        return LWFC_ERROR_MEMORY;
    }
    lwfc_parallel_for(count, width, choose, &task);
    lwfc_free(task.memory);
    return LWFC_OK;
}
