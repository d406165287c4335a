/* The fit of each channel's model. */
#include <string.h>

#include "base/memory.h"
#include "cpu/cpu.h"
#include "fit/columns.h"
#include "fit/ordinal.h"
#include "par/par.h"

struct task {
    const struct lwfc_fit_rows *rows;
    const int32_t *channels, *order;
    const struct lwfc_fit_references *references;
    const struct lwfc_fit_split *split;
    const struct lwfc_fit_model *models;
    const struct lwfc_fit_kernels *kernels;
    int most, spread;
    size_t stride;
    char *memory;
    size_t worker_bytes;
};

/* Columns of the features of channel number `block`. */
static void take_columns(struct lwfc_ordinal *o, const struct task *task, int64_t block,
                         const int32_t *pick, size_t count)
{
    const struct lwfc_fit_rows *rows = task->rows;
    const int n = task->references->count[block];
    int16_t *x = o->x;
    lwfc_fit_local(rows, task->channels[block], pick, count, x, o->stride,
                   x + (size_t)(o->features - 1) * o->stride);
    x += LWFC_FIT_ACTIVITY * o->stride;
    for (int i = 0; i < n; i++, x += o->stride) {
        const int64_t at = block * task->most + i;
        const int32_t channel = task->order[task->references->slots[at]];
        lwfc_fit_copy(lwfc_fit_plane(rows, channel, task->references->places[at]), pick, count, x);
        if (rows->levels > 2) {
            int16_t *above = x + (size_t)n * o->stride;
            for (size_t r = 0; r < lwfc_fit_padded(count); r++) {
                above[r] = x[r] > 0;
            }
        }
    }
    const uint8_t *symbols = lwfc_fit_plane(rows, task->channels[block], 0);
    for (size_t r = 0; r < lwfc_fit_padded(count); r++) {
        o->q[r] = r < count ? symbols[pick != NULL ? (size_t)pick[r] : r] : 0;
    }
}

/* Where the weight of column j stands in the model, but for the activity's. */
static int place_of(int j, int references, int most)
{
    if (j < LWFC_FIT_ACTIVITY) {
        return j;
    }
    return j < LWFC_FIT_ACTIVITY + references ? j + 1 : j + 1 - references + most;
}

/* Weights in units of the features as the model's reader sees them, thresholds at their mean. */
static void write_model(const struct lwfc_ordinal *o, const struct task *task, int64_t block,
                        size_t rows)
{
    const int d = o->features, width = LWFC_FIT_LOCAL + 2 * task->most;
    const int n = task->references->count[block];
    double *weights = task->models->weights + block * o->scores * width;
    double *mean = task->models->mean + block * width;
    double *biases = task->models->biases + block * (o->levels - 1);
    double middle[2] = {0};
    memset(weights, 0, (size_t)(o->scores * width) * sizeof *weights);
    memset(mean, 0, (size_t)width * sizeof *mean);
    for (int j = 0; j < d; j++) {
        const int16_t *x = o->x + (size_t)j * o->stride;
        const double unit = j == d - 1 ? 16.0 : 1.0;
        int64_t sum = 0;
        for (size_t r = 0; r < rows; r++) {
            sum += x[r];
        }
        const int to = j == d - 1 ? LWFC_FIT_ACTIVITY : place_of(j, n, task->most);
        mean[to] = (double)sum / (double)rows / unit;
        for (int i = 0; i < o->scores; i++) {
            weights[i * width + to] = o->theta[i * d + j] * unit;
            middle[i] += weights[i * width + to] * mean[to];
        }
    }
    for (int k = 0; k + 1 < o->levels; k++) {
        biases[k] = o->theta[o->scores * d + k] + middle[0] +
                    lwfc_ordinal_side(k, o->levels) * middle[1];
    }
}

static void fit_channel(void *context, int64_t block, int number)
{
    const struct task *task = context;
    const struct lwfc_fit_split *split = task->split;
    const int both = task->rows->levels > 2 ? 2 : 1;
    struct lwfc_ordinal o = {
        .kernels = task->kernels,
        .features = LWFC_FIT_LOCAL + both * task->references->count[block],
        .scores = task->spread ? 2 : 1,
        .levels = task->rows->levels,
        .stride = task->stride};
    lwfc_ordinal_memory(&o, task->memory + (size_t)number * task->worker_bytes);
    const int32_t *seen = split != NULL ? split->seen : NULL;
    const size_t rows = (size_t)(split != NULL ? split->seen_count : task->rows->count);
    take_columns(&o, task, block, seen, rows);
    lwfc_ordinal_fit(&o, rows);
    write_model(&o, task, block, rows);
    task->models->bits[block] = 0.0;
    if (split != NULL) {
        take_columns(&o, task, block, split->held, (size_t)split->held_count);
        task->models->bits[block] = lwfc_ordinal_bits(&o, (size_t)split->held_count);
    }
}

enum lwfc_status lwfc_fit_channels(const struct lwfc_fit_rows *rows, const int32_t *channels,
                                   int64_t count, const int32_t *order,
                                   const struct lwfc_fit_references *references, int most,
                                   int spread, const struct lwfc_fit_split *split,
                                   int num_threads, const struct lwfc_fit_model *models)
{
    struct task task = {.rows = rows,
                        .channels = channels,
                        .order = order,
                        .references = references,
                        .split = split,
                        .models = models,
                        .kernels = lwfc_fit_kernels_for(lwfc_cpu_features()),
                        .most = most,
                        .spread = spread,
                        .stride = lwfc_fit_padded((size_t)rows->count)};
    struct lwfc_ordinal measured = {.features = LWFC_FIT_LOCAL + 2 * most, .stride = task.stride};
    const int64_t values = count * rows->count * measured.features;
    const int width = lwfc_parallel_width(count, values, num_threads);
    task.worker_bytes = lwfc_ordinal_memory(&measured, NULL);
    task.memory = lwfc_alloc(lwfc_size_mul((size_t)width, task.worker_bytes));
    if (task.memory == NULL) {
        return LWFC_ERROR_MEMORY;
    }
    lwfc_parallel_for(count, width, fit_channel, &task);
    lwfc_free(task.memory);
    return LWFC_OK;
}
