#include "codec/view.h"

#include "base/attributes.h"
#include "kernels/lanes.h"

#include <math.h>
#include <string.h>

enum {
    CHUNK = 2048,       /* floats converted at a time: they stay in the first-level cache */
    LARGE = 8 << 20,    /* bytes: few caches keep that until it is read */
    /* A channels-last tile of symbols: wide, because its floats are read position by
     * position, and long enough for the transposes. */
    TILE_POSITIONS = 64,
    TILE_CHANNELS = 8 * LWFC_LANES,
    PATCH_POSITIONS = 16, /* a cache line of floats */
    PATCH_CHANNELS = 256
};

/* `a` with more axes behind its own. */
static struct lwfc_axes axes_add(struct lwfc_axes a, const struct lwfc_tensor *t, int begin,
                                  int end)
{
    for (int i = begin; i < end; i++) {
        if (t->shape[i] == 1) {
            continue;
        }
        /* An axis whose stride spans the next one merges with it. */
        if (a.count > 0 && a.strides[a.count - 1] == t->strides[i] * (ptrdiff_t)t->shape[i]) {
            a.sizes[a.count - 1] *= t->shape[i];
            a.strides[a.count - 1] = (ptrdiff_t)t->strides[i];
        } else {
            a.sizes[a.count] = t->shape[i];
            a.strides[a.count++] = (ptrdiff_t)t->strides[i];
        }
    }
    return a;
}

static ptrdiff_t axes_offset(const struct lwfc_axes *a, int64_t index)
{
    if (LWFC_LIKELY(a->count <= 1)) {
        return a->count == 0 ? 0 : a->strides[0] * (ptrdiff_t)index;
    }
    ptrdiff_t offset = 0;
    for (int i = a->count - 1; i >= 0; i--) {
        offset += a->strides[i] * (ptrdiff_t)(index % a->sizes[i]);
        index /= a->sizes[i];
    }
    return offset;
}

/* The stride of an axis that may have one element only, hence any stride. */
static ptrdiff_t single_stride(const struct lwfc_axes *a, ptrdiff_t otherwise)
{
    return a->count == 0 ? otherwise : a->count == 1 ? a->strides[0] : 0;
}

void lwfc_view_make(const struct lwfc_tensor *t, const struct lwfc_geometry *g, struct lwfc_view *v)
{
    memset(v, 0, sizeof *v);
    v->data = t->data;
    v->dtype = (enum lwfc_dtype)t->dtype;
    v->geometry = *g;
    if (g->nblocks == 0) {
        return; /* nothing is ever visited, and there may be no axis to ask for a stride */
    }
    const ptrdiff_t item = (ptrdiff_t)lwfc_dtype_nbytes(v->dtype);
    const int last = g->spatial_end - 1;
    const struct lwfc_axes none = {0};
    v->samples = axes_add(none, t, 0, g->sample_end);
    v->samples = axes_add(v->samples, t, g->frame_begin, g->spatial_begin);
    v->rows =
        axes_add(none, t, g->spatial_begin, last > g->spatial_begin ? last : g->spatial_begin);
    v->column_stride = g->width == 1 ? item : (ptrdiff_t)t->strides[last];
    v->row_stride = single_stride(&v->rows, v->column_stride * (ptrdiff_t)g->width);
    v->planes_even = v->row_stride == v->column_stride * (ptrdiff_t)g->width;
    const ptrdiff_t plane = v->row_stride * (ptrdiff_t)g->height;
    v->channel_stride = g->channels == 1 ? plane : (ptrdiff_t)t->strides[g->channel_axis];
    v->sample_stride = single_stride(&v->samples, v->channel_stride * (ptrdiff_t)g->channels);
    v->flat = v->column_stride == item && v->planes_even && v->channel_stride == plane &&
              v->sample_stride == v->channel_stride * (ptrdiff_t)g->channels;
    v->large = v->flat && lwfc_geometry_values(g) > LARGE / item;
    v->channels_last = !v->flat && g->channels >= 8 && v->channel_stride == item;
}

/* Equally spaced elements of one channel. */
struct run {
    char *data;
    ptrdiff_t stride;
    size_t count;
    size_t symbol; /* where its first element stands in the block */
    size_t group;
};

static int64_t run_count(const struct lwfc_view *v, const struct lwfc_region *r, int by_channel)
{
    if (v->flat && !by_channel) {
        return 1;
    }
    const int64_t planes = (int64_t)r->extent.samples * r->extent.channels;
    return v->planes_even ? planes : planes * r->extent.height;
}

static struct run run_at(const struct lwfc_view *v, const struct lwfc_region *r, int by_channel,
                         int64_t i)
{
    const struct lwfc_block *e = &r->extent;
    struct run run;
    int64_t row = 0, plane = i;
    run.count = (size_t)e->height * (size_t)e->width;
    if (v->flat && !by_channel) {
        run.count = lwfc_block_size(e);
    } else if (!v->planes_even) {
        row = i % e->height;
        plane = i / e->height;
        run.count = (size_t)e->width;
    }
    const int64_t channel = r->channel + plane % e->channels;
    const int64_t sample = r->sample + plane / e->channels;
    run.stride = v->column_stride;
    run.symbol = (size_t)((plane * e->height + row) * e->width);
    run.group = (size_t)channel;
    run.data = v->data + axes_offset(&v->samples, sample) +
               v->channel_stride * (ptrdiff_t)channel + axes_offset(&v->rows, r->row + row) +
               v->column_stride * (ptrdiff_t)r->column;
    return run;
}

static int is_plain(const struct lwfc_view *v, const struct run *run)
{
    return v->dtype == LWFC_FLOAT32 && run->stride == (ptrdiff_t)sizeof(float);
}

static int quantize_run(const struct lwfc_view *v, const struct run *run,
                        const struct lwfc_tables *t, const struct lwfc_passes *p,
                        int reject_nonfinite, uint8_t *symbols)
{
    const float *thresholds =
        t->thresholds + (t->groups > 1 ? run->group * (size_t)(t->levels - 1) : 0);
    const uint8_t zero = t->zeros[t->groups > 1 ? run->group : 0];
    const int look = reject_nonfinite || zero > 0; /* the kernels give NaN symbol 0 */
    const int plain = is_plain(v, run);
    const size_t step = plain && !look ? run->count : CHUNK;
    float chunk[CHUNK];
    for (size_t i = 0; i < run->count; i += step) {
        const size_t n = run->count - i < step ? run->count - i : step;
        const char *at = run->data + run->stride * (ptrdiff_t)i;
        const float *x = (const float *)(const void *)at;
        if (!plain) {
            p->convert->load(at, run->stride, v->dtype, n, chunk);
            x = chunk;
        }
        const int found = look && p->quantize->has_nonfinite(x, n);
        if (found && reject_nonfinite) {
            return 1;
        }
        p->quantize->quantize(x, n, thresholds, t->levels - 1, symbols + i);
        for (size_t j = 0; found && j < n; j++) {
            symbols[i + j] = isnan(x[j]) ? zero : symbols[i + j];
        }
    }
    return 0;
}

static void dequantize_run(const struct lwfc_view *v, const struct run *run,
                           const struct lwfc_tables *t, const struct lwfc_passes *p,
                           const uint8_t *symbols)
{
    const float *values = t->values + (t->groups > 1 ? run->group * (size_t)t->levels : 0);
    if (is_plain(v, run)) {
        (v->large ? p->quantize->dequantize_stream : p->quantize->dequantize)(
            symbols, run->count, values, t->levels, (float *)(void *)run->data);
        return;
    }
    float chunk[CHUNK];
    for (size_t i = 0; i < run->count; i += CHUNK) {
        const size_t n = run->count - i < CHUNK ? run->count - i : CHUNK;
        p->quantize->dequantize(symbols + i, n, values, t->levels, chunk);
        p->convert->store(chunk, n, v->dtype, run->stride, run->data + run->stride * (ptrdiff_t)i);
    }
}

/* A tile of a channels-last region: up to TILE_POSITIONS positions of one row,
 * whose channels are adjacent in memory, by up to TILE_CHANNELS channels. */
struct tile {
    struct run channels; /* the first position's */
    int positions;
    size_t plane; /* symbols between channels */
};

/* The symbols of a tile as the transposes take them: [channels / LWFC_LANES]
 * [positions][LWFC_LANES]. */
typedef uint8_t tile_columns[TILE_CHANNELS / LWFC_LANES][TILE_POSITIONS][LWFC_LANES];

typedef int tile_fn(const struct lwfc_view *v, const struct tile *tile,
                    const struct lwfc_tables *t, const struct lwfc_passes *p, int reject_nonfinite,
                    uint8_t *symbols);

static int for_each_tile(const struct lwfc_view *v, const struct lwfc_region *r,
                         const struct lwfc_tables *t, const struct lwfc_passes *p,
                         int reject_nonfinite, uint8_t *symbols, tile_fn *fn)
{
    const struct lwfc_block *e = &r->extent;
    struct lwfc_region first_channel = *r;
    first_channel.extent.channels = 1;
    struct lwfc_view by_rows = *v;
    by_rows.planes_even = 0;
    struct tile tile = {.plane = (size_t)e->height * (size_t)e->width};
    for (int64_t i = 0; i < (int64_t)e->samples * e->height; i++) {
        const struct run row = run_at(&by_rows, &first_channel, 1, i);
        const size_t sample = (size_t)(i / e->height) * (size_t)e->channels * tile.plane;
        for (int32_t x = 0; x < e->width; x += TILE_POSITIONS) {
            tile.positions = e->width - x < TILE_POSITIONS ? e->width - x : TILE_POSITIONS;
            for (int32_t c = 0; c < e->channels; c += TILE_CHANNELS) {
                const int32_t left = e->channels - c;
                tile.channels = (struct run){
                    .data = row.data + row.stride * x + v->channel_stride * c,
                    .stride = v->channel_stride,
                    .count = (size_t)(left < TILE_CHANNELS ? left : TILE_CHANNELS),
                    .symbol = sample + (size_t)c * tile.plane +
                              (size_t)(i % e->height) * (size_t)e->width + (size_t)x};
                if (fn(v, &tile, t, p, reject_nonfinite, symbols)) {
                    return 1;
                }
            }
        }
    }
    return 0;
}

/* Where the channels from `first` on have their symbols; returns how many, at
 * most LWFC_LANES. */
static int tile_rows(const struct tile *tile, size_t first, uint8_t *symbols,
                     uint8_t *rows[LWFC_LANES])
{
    const size_t left = tile->channels.count - first;
    const int count = left < LWFC_LANES ? (int)left : LWFC_LANES;
    for (int i = 0; i < count; i++) {
        rows[i] = symbols + tile->channels.symbol + (first + (size_t)i) * tile->plane;
    }
    return count;
}

static int quantize_tile(const struct lwfc_view *v, const struct tile *tile,
                         const struct lwfc_tables *t, const struct lwfc_passes *p,
                         int reject_nonfinite, uint8_t *symbols)
{
    tile_columns columns;
    uint8_t line[TILE_CHANNELS] = {0};
    uint8_t *rows[LWFC_LANES];
    struct run run = tile->channels;
    for (int x = 0; x < tile->positions; x++, run.data += v->column_stride) {
        if (quantize_run(v, &run, t, p, reject_nonfinite, line)) {
            return 1;
        }
        for (size_t c = 0; c < run.count; c += LWFC_LANES) {
            memcpy(columns[c / LWFC_LANES][x], line + c, LWFC_LANES);
        }
    }
    for (size_t c = 0; c < run.count; c += LWFC_LANES) {
        const int count = tile_rows(tile, c, symbols, rows);
        p->lanes->scatter(rows, columns[c / LWFC_LANES][0], count, (size_t)tile->positions);
    }
    return 0;
}

static int dequantize_tile(const struct lwfc_view *v, const struct tile *tile,
                           const struct lwfc_tables *t, const struct lwfc_passes *p,
                           int reject_nonfinite, uint8_t *symbols)
{
    (void)reject_nonfinite;
    tile_columns columns;
    uint8_t line[TILE_CHANNELS];
    uint8_t *rows[LWFC_LANES];
    struct run run = tile->channels;
    for (size_t c = 0; c < run.count; c += LWFC_LANES) {
        const int count = tile_rows(tile, c, symbols, rows);
        p->lanes->gather(columns[c / LWFC_LANES][0], (const uint8_t *const *)rows, count,
                         (size_t)tile->positions);
    }
    for (int x = 0; x < tile->positions; x++, run.data += v->column_stride) {
        for (size_t c = 0; c < run.count; c += LWFC_LANES) {
            memcpy(line + c, columns[c / LWFC_LANES][x], LWFC_LANES);
        }
        dequantize_run(v, &run, t, p, line);
    }
    return 0;
}

int lwfc_view_quantize(const struct lwfc_view *v, const struct lwfc_region *r,
                       const struct lwfc_tables *t, const struct lwfc_passes *p,
                       int reject_nonfinite, uint8_t *symbols)
{
    if (v->channels_last && t->groups == 1) {
        return for_each_tile(v, r, t, p, reject_nonfinite, symbols, quantize_tile);
    }
    const int64_t count = run_count(v, r, t->groups > 1);
    for (int64_t i = 0; i < count; i++) {
        const struct run run = run_at(v, r, t->groups > 1, i);
        if (quantize_run(v, &run, t, p, reject_nonfinite, symbols + run.symbol)) {
            return 1;
        }
    }
    return 0;
}

void lwfc_view_dequantize(const struct lwfc_view *v, const struct lwfc_region *r,
                          const struct lwfc_tables *t, const struct lwfc_passes *p,
                          const uint8_t *symbols)
{
    if (v->channels_last && t->groups == 1) {
        /* The tile pass reads the symbols only. */
        for_each_tile(v, r, t, p, 0, (uint8_t *)(uintptr_t)symbols, dequantize_tile);
        return;
    }
    const int64_t count = run_count(v, r, t->groups > 1);
    for (int64_t i = 0; i < count; i++) {
        const struct run run = run_at(v, r, t->groups > 1, i);
        dequantize_run(v, &run, t, p, symbols + run.symbol);
    }
}

float *lwfc_view_floats(const struct lwfc_view *v, const struct lwfc_region *r)
{
    const struct run run = run_at(v, r, 0, 0);
    return v->flat && is_plain(v, &run) ? (float *)(void *)run.data : NULL;
}

/* The channels of position `i` of a region, in the order of memory. */
static char *position_at(const struct lwfc_view *v, const struct lwfc_region *r, int64_t i)
{
    const int64_t row = i / r->extent.width;
    return v->data + axes_offset(&v->samples, r->sample + row / r->extent.height) +
           axes_offset(&v->rows, r->row + row % r->extent.height) +
           v->column_stride * (ptrdiff_t)(r->column + i % r->extent.width) +
           v->channel_stride * (ptrdiff_t)r->channel;
}

/* Floats of a channels-last region: some positions of a row by some channels, turned
 * between the two orders while they are in the first-level cache. */
typedef void patch_fn(const struct lwfc_view *v, const struct lwfc_passes *p, char *data,
                      int positions, size_t channels, float *planes, size_t plane);

static void load_patch(const struct lwfc_view *v, const struct lwfc_passes *p, char *data,
                       int positions, size_t channels, float *planes, size_t plane)
{
    float lines[PATCH_POSITIONS][PATCH_CHANNELS];
    for (int j = 0; j < positions; j++, data += v->column_stride) {
        p->convert->load(data, v->channel_stride, v->dtype, channels, lines[j]);
    }
    for (size_t c = 0; c < channels; c++) {
        for (int j = 0; j < positions; j++) {
            planes[c * plane + (size_t)j] = lines[j][c];
        }
    }
}

static void store_patch(const struct lwfc_view *v, const struct lwfc_passes *p, char *data,
                        int positions, size_t channels, float *planes, size_t plane)
{
    float lines[PATCH_POSITIONS][PATCH_CHANNELS];
    for (size_t c = 0; c < channels; c++) {
        for (int j = 0; j < positions; j++) {
            lines[j][c] = planes[c * plane + (size_t)j];
        }
    }
    for (int j = 0; j < positions; j++, data += v->column_stride) {
        p->convert->store(lines[j], channels, v->dtype, v->channel_stride, data);
    }
}

static void for_each_patch(const struct lwfc_view *v, const struct lwfc_region *r,
                           const struct lwfc_passes *p, float *planes, patch_fn *fn)
{
    const size_t channels = (size_t)r->extent.channels, width = (size_t)r->extent.width;
    const size_t plane = (size_t)r->extent.height * width;
    const int64_t rows = (int64_t)r->extent.samples * r->extent.height;
    for (int64_t i = 0; i < rows; i++) {
        float *row = planes + (size_t)(i / r->extent.height) * channels * plane +
                     (size_t)(i % r->extent.height) * width;
        for (size_t x = 0; x < width; x += PATCH_POSITIONS) {
            const int positions =
                width - x < PATCH_POSITIONS ? (int)(width - x) : PATCH_POSITIONS;
            char *data = position_at(v, r, i * r->extent.width + (int64_t)x);
            for (size_t c = 0; c < channels; c += PATCH_CHANNELS) {
                const size_t n = channels - c < PATCH_CHANNELS ? channels - c : PATCH_CHANNELS;
                fn(v, p, data + v->channel_stride * (ptrdiff_t)c, positions, n,
                   row + c * plane + x, plane);
            }
        }
    }
}

void lwfc_view_load(const struct lwfc_view *v, const struct lwfc_region *r,
                    const struct lwfc_passes *p, float *out)
{
    if (v->channels_last) {
        for_each_patch(v, r, p, out, load_patch);
        return;
    }
    const int64_t count = run_count(v, r, 0);
    for (int64_t i = 0; i < count; i++) {
        const struct run run = run_at(v, r, 0, i);
        p->convert->load(run.data, run.stride, v->dtype, run.count, out + run.symbol);
    }
}

void lwfc_view_store(const struct lwfc_view *v, const struct lwfc_region *r,
                     const struct lwfc_passes *p, const float *in)
{
    if (v->channels_last) {
        for_each_patch(v, r, p, (float *)(uintptr_t)in, store_patch); /* only read */
        return;
    }
    const int64_t count = run_count(v, r, 0);
    for (int64_t i = 0; i < count; i++) {
        const struct run run = run_at(v, r, 0, i);
        p->convert->store(in + run.symbol, run.count, v->dtype, run.stride, run.data);
    }
}

int lwfc_view_has_nonfinite(const struct lwfc_view *v, const struct lwfc_region *r,
                            const struct lwfc_passes *p)
{
    const int64_t count = run_count(v, r, 0);
    float chunk[CHUNK];
    for (int64_t i = 0; i < count; i++) {
        const struct run run = run_at(v, r, 0, i);
        for (size_t k = 0; k < run.count; k += CHUNK) {
            const size_t n = run.count - k < CHUNK ? run.count - k : CHUNK;
            p->convert->load(run.data + run.stride * (ptrdiff_t)k, run.stride, v->dtype, n, chunk);
            if (p->quantize->has_nonfinite(chunk, n)) {
                return 1;
            }
        }
    }
    return 0;
}

void lwfc_view_load_values(const struct lwfc_view *v, const struct lwfc_region *r,
                           const struct lwfc_passes *p, float *out)
{
    if (!v->channels_last) {
        lwfc_view_load(v, r, p, out);
        return;
    }
    const int64_t count = (int64_t)r->extent.samples * r->extent.height * r->extent.width;
    const size_t n = (size_t)r->extent.channels;
    for (int64_t i = 0; i < count; i++, out += n) {
        p->convert->load(position_at(v, r, i), v->channel_stride, v->dtype, n, out);
    }
}

void lwfc_view_store_values(const struct lwfc_view *v, const struct lwfc_region *r,
                            const struct lwfc_passes *p, const float *in)
{
    if (!v->channels_last) {
        lwfc_view_store(v, r, p, in);
        return;
    }
    const int64_t count = (int64_t)r->extent.samples * r->extent.height * r->extent.width;
    const size_t n = (size_t)r->extent.channels;
    for (int64_t i = 0; i < count; i++, in += n) {
        p->convert->store(in, n, v->dtype, v->channel_stride, position_at(v, r, i));
    }
}
