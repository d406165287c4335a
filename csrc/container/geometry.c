#include "container/geometry.h"

#include "lwfc.h"

int lwfc_channel_axis_plain(int channel_axis)
{
    return channel_axis >= LWFC_AXIS_FRAMES ? channel_axis - LWFC_AXIS_FRAMES : channel_axis;
}

int lwfc_channel_axis_resolve(int channel_axis, int rank)
{
    if (channel_axis >= LWFC_AXIS_FRAMES) {
        const int axis = channel_axis - LWFC_AXIS_FRAMES;
        return rank >= 3 && axis < 7 && (axis <= rank - 3 || axis == rank - 1) ? channel_axis : -2;
    }
    if (rank < 2) {
        return channel_axis == LWFC_AXIS_AUTO || (channel_axis >= -rank && channel_axis < rank)
                   ? -1
                   : -2;
    }
    if (channel_axis == LWFC_AXIS_AUTO) {
        return rank >= 4 ? 1 : rank - 1;
    }
    if (channel_axis < -rank || channel_axis >= rank) {
        return -2;
    }
    return channel_axis < 0 ? channel_axis + rank : channel_axis;
}

/* -1: a dimension is negative, or the product of those that are not 0 passes
 * 2^62. */
static int64_t element_count(const int64_t *shape, int rank)
{
    int64_t n = 1;
    int empty = 0;
    for (int i = 0; i < rank; i++) {
        if (shape[i] < 0 || (shape[i] > 0 && n > ((int64_t)1 << 62) / shape[i])) {
            return -1;
        }
        empty |= shape[i] == 0;
        n *= shape[i] > 0 ? shape[i] : 1;
    }
    return empty ? 0 : n;
}

/* Of axes [begin, end); after element_count, no overflow. */
static int64_t product(const int64_t *shape, int begin, int end)
{
    int64_t n = 1;
    for (int i = begin; i < end; i++) {
        n *= shape[i];
    }
    return n;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t pieces(int64_t n, int64_t step)
{
    return n / step + (n % step != 0);
}

static void cut(struct lwfc_geometry *g, int whole_samples)
{
    const int64_t plane = g->height * g->width;
    const int64_t sample = g->channels * plane;
    g->samples_step = 1;
    g->channels_step = g->channels;
    g->rows_step = g->height;
    g->columns_step = g->width;
    if (whole_samples) {
        const int64_t pairs = LWFC_BLOCK_SYMBOLS / sample / 2;
        const int64_t fit = sample > LWFC_PAIR_SYMBOLS ? 1 : pairs > 1 ? 2 * pairs : 2;
        g->samples_step = least(g->samples, fit);
    } else if (sample <= LWFC_BLOCK_SYMBOLS) {
        g->samples_step = least(g->samples, LWFC_BLOCK_SYMBOLS / sample);
    } else if (plane <= LWFC_BLOCK_SYMBOLS) {
        /* Groups of 32 channels keep SIMD lanes full. */
        const int64_t fit = LWFC_BLOCK_SYMBOLS / plane;
        g->channels_step = fit > 32 ? fit / 32 * 32 : fit;
    } else {
        g->channels_step = 1;
        if (g->width <= LWFC_BLOCK_SYMBOLS) {
            g->rows_step = LWFC_BLOCK_SYMBOLS / g->width;
        } else {
            g->rows_step = 1;
            g->columns_step = LWFC_BLOCK_SYMBOLS;
        }
    }
    g->nblocks = pieces(g->samples, g->samples_step) * pieces(g->channels, g->channels_step) *
                 pieces(g->height, g->rows_step) * pieces(g->width, g->columns_step);
}

int lwfc_geometry_make(const int64_t *shape, int rank, int channel_axis, int whole_samples,
                       struct lwfc_geometry *g)
{
    const int64_t total = element_count(shape, rank);
    if (total < 0) {
        return -1;
    }
    const int has_frames = channel_axis >= LWFC_AXIS_FRAMES;
    channel_axis = lwfc_channel_axis_plain(channel_axis);
    g->channel_axis = channel_axis;
    if (channel_axis < 0) {
        g->sample_end = 0;
        g->spatial_begin = 0;
        g->spatial_end = rank;
    } else if (channel_axis < rank - 1) {
        g->sample_end = channel_axis;
        g->spatial_begin = has_frames ? rank - 2 : channel_axis + 1;
        g->spatial_end = rank;
    } else {
        g->sample_end = has_frames ? rank - 3 : rank > 2 ? 1 : 0;
        g->spatial_begin = g->sample_end;
        g->spatial_end = rank - 1;
    }
    g->frame_begin = channel_axis >= 0 && channel_axis < g->spatial_begin ? channel_axis + 1
                                                                          : g->spatial_begin;
    if (total == 0) {
        g->samples = g->channels = g->height = g->width = 0;
        g->frames = 1;
        g->samples_step = g->channels_step = g->rows_step = g->columns_step = 1;
        g->nblocks = 0;
        return 0;
    }
    g->frames = product(shape, g->frame_begin, g->spatial_begin);
    g->samples = product(shape, 0, g->sample_end) * g->frames;
    g->channels = channel_axis < 0 ? 1 : shape[channel_axis];
    const int last = g->spatial_end - 1;
    g->width = g->spatial_end > g->spatial_begin ? shape[last] : 1;
    g->height = g->spatial_end > g->spatial_begin ? product(shape, g->spatial_begin, last) : 1;
    if (whole_samples && total / g->samples > LWFC_SAMPLE_SYMBOLS) {
        return -1;
    }
    cut(g, whole_samples);
    return 0;
}

/* Takes the next digit of a mixed-radix block number: where piece `index` of
 * an axis of n elements starts, and how long it is. */
static int64_t take(int64_t *number, int64_t n, int64_t step, int32_t *extent)
{
    const int64_t count = pieces(n, step);
    const int64_t start = *number % count * step;
    *number /= count;
    *extent = (int32_t)least(step, n - start);
    return start;
}

int64_t lwfc_geometry_values(const struct lwfc_geometry *g)
{
    return g->samples * g->channels * g->height * g->width;
}

struct lwfc_region lwfc_geometry_region(const struct lwfc_geometry *g, int64_t block)
{
    struct lwfc_region r;
    r.column = take(&block, g->width, g->columns_step, &r.extent.width);
    r.row = take(&block, g->height, g->rows_step, &r.extent.height);
    r.channel = take(&block, g->channels, g->channels_step, &r.extent.channels);
    r.sample = take(&block, g->samples, g->samples_step, &r.extent.samples);
    return r;
}
