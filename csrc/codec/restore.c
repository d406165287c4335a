#include "codec/restore.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "cpu/cpu.h"
#include "kernels/quantize.h"
#include "kernels/restore_kernels.h"

#include <math.h>
#include <string.h>

enum {
    VERSION = 1,
    HEADER_BYTES = 16,
    BIAS_MAX = 1 << 30,
    SHIFT_MAX = 30,
    LEVELS_MAX = 256
};

/* Takes `want` bytes off the front of what is left; NULL when there are fewer. */
static const uint8_t *take(const uint8_t **p, size_t *left, size_t want)
{
    if (want > *left) {
        return NULL;
    }
    const uint8_t *at = *p;
    *p += want;
    *left -= want;
    return at;
}

static int check_values(const struct lwfc_restore *r)
{
    const size_t levels = (size_t)r->levels;
    for (size_t s = 0; s < levels; s++) {
        const float low = lwfc_load_f32(r->limits + 4 * s);
        const float high = lwfc_load_f32(r->limits + 4 * (levels + s));
        if (r->values[s] > LWFC_RESTORE_VALUE_MAX || !(low <= high)) {
            return -1;
        }
    }
    const size_t entries = (size_t)r->channels * levels * 3;
    for (size_t i = 0; i < entries; i++) {
        if (!isfinite(lwfc_load_f32(r->tables + 4 * i))) {
            return -1;
        }
    }
    for (size_t i = 0; i < (size_t)r->rank; i++) {
        const int32_t bias = (int32_t)lwfc_load_u32(r->bias + 4 * i);
        if (bias > BIAS_MAX || bias < -BIAS_MAX || r->shift[i] > SHIFT_MAX) {
            return -1;
        }
    }
    return 0;
}

/* The fixed fields at the front; -1 when one is out of its range. */
static int read_header(const uint8_t *head, struct lwfc_restore *r)
{
    const uint32_t channels = lwfc_load_u32(head + 4);
    r->kind = head[1];
    r->rank = lwfc_load_u16(head + 2);
    r->levels = lwfc_load_u16(head + 8);
    r->strength = lwfc_load_u16(head + 10);
    const int linear = r->kind == LWFC_RESTORE_LINEAR;
    if (head[0] != VERSION || (r->kind != LWFC_RESTORE_LOCAL && !linear) ||
        lwfc_load_u32(head + 12) != 0) {
        return -1;
    }
    if (channels < 1 || channels > LWFC_RESTORE_CHANNELS_MAX || r->levels < 2 ||
        r->levels > LEVELS_MAX || r->strength > LWFC_RESTORE_STRENGTH_ONE) {
        return -1;
    }
    if (r->rank % 4 != 0 || r->rank > LWFC_RESTORE_RANK_MAX || (r->rank != 0 && !linear)) {
        return -1;
    }
    r->channels = (int32_t)channels;
    r->quads = linear ? (channels + 1U) / 2U : 0;
    return 0;
}

int lwfc_restore_read(const uint8_t *blob, size_t n, struct lwfc_restore *out)
{
    struct lwfc_restore r = {0};
    const uint8_t *p = blob;
    size_t left = n;
    const uint8_t *head = take(&p, &left, HEADER_BYTES);
    if (head == NULL || read_header(head, &r) != 0) {
        return -1;
    }
    const size_t channels = (size_t)r.channels;
    const size_t levels = (size_t)r.levels;
    const size_t rank = (size_t)r.rank;
    r.values = take(&p, &left, levels);
    r.limits = take(&p, &left, 8 * levels);
    r.own = take(&p, &left, 6 * channels);
    r.tables = take(&p, &left, 12 * channels * levels);
    r.first = take(&p, &left, (rank != 0 ? rank : channels) * 4 * r.quads);
    r.bias = take(&p, &left, 4 * rank);
    r.shift = take(&p, &left, rank);
    r.second = take(&p, &left, channels * rank);
    if (left != 0 || r.values == NULL || r.limits == NULL || r.own == NULL || r.tables == NULL ||
        r.first == NULL || r.bias == NULL || r.shift == NULL || r.second == NULL ||
        check_values(&r) != 0) {
        return -1;
    }
    *out = r;
    return 0;
}

/* How a workspace is cut; every part starts on a 64-byte boundary. */
struct parts {
    size_t count; /* tiles */
    size_t margin; /* zeros before and behind a plane, elements */
    size_t values, plane, edges, tiles, latents, weights, sums, total; /* bytes */
};

static size_t round_64(size_t n)
{
    return lwfc_size_add(n, 63) / 64 * 64;
}

static int plain_values(const struct lwfc_restore *r)
{
    for (int32_t s = 0; s < r->levels; s++) {
        if (r->values[s] != s) {
            return 0;
        }
    }
    return 1;
}

static struct parts cut(const struct lwfc_restore *r, const struct lwfc_block *b)
{
    struct parts c;
    const size_t positions = (size_t)b->height * (size_t)b->width;
    const int linear = r->kind == LWFC_RESTORE_LINEAR;
    c.count = (positions + LWFC_RESTORE_TILE - 1) / LWFC_RESTORE_TILE;
    c.margin = round_64((size_t)b->width + 1);
    /* the slack lets vectors run past the end of a plane */
    c.values = plain_values(r) ? 0 : round_64(lwfc_size_mul((size_t)r->channels, positions)) + 64;
    c.plane = 2 * c.margin + round_64(positions) + 64;
    c.edges = round_64(positions) + 64;
    c.tiles = linear ? lwfc_size_mul(c.count, (r->quads + 1) / 2 * LWFC_RESTORE_TILE * 4) : 0;
    c.latents = lwfc_size_mul(c.count, (size_t)r->rank * LWFC_RESTORE_TILE);
    c.weights = linear ? LWFC_RESTORE_ROWS * round_64(2 * r->quads + 2) : 0;
    /* sums of positions, and of neighbourhoods with margins around them */
    const size_t sums = c.count * LWFC_RESTORE_TILE;
    c.sums = linear ? sizeof(int32_t) * ((LWFC_RESTORE_ROWS + 4) * sums + 8 * c.margin) : 0;
    c.total = lwfc_size_add(lwfc_size_add(c.tiles, c.latents), lwfc_size_add(c.weights, c.sums));
    c.total = lwfc_size_add(lwfc_size_add(c.total, c.values), c.plane + 2 * c.edges);
    return c;
}

size_t lwfc_restore_workspace(const struct lwfc_restore *restore,
                              const struct lwfc_block *one_sample)
{
    return cut(restore, one_sample).total;
}

/* Everything one call of `apply` works with. */
struct job {
    const struct lwfc_restore *r;
    const struct lwfc_restore_kernels *kernels;
    const struct lwfc_quantize_kernels *quantize;
    struct lwfc_restore_map map;
    const uint8_t *symbols;
    const uint8_t *values; /* of the symbols */
    float *out;
    size_t count, quads, weights_stride;
    int most; /* the largest value */
    uint8_t *plane;
    uint8_t *tiles, *latents, *weights;
    int32_t *sums[LWFC_RESTORE_ROWS];
    int32_t *near[4];
};

static void make_edges(uint8_t *left, uint8_t *right, size_t positions, size_t width)
{
    memset(left, 0xff, positions);
    memset(right, 0xff, positions);
    for (size_t p = 0; p < positions; p += width) {
        left[p] = 0;
        right[p + width - 1] = 0;
    }
}

static struct job begin(const struct lwfc_restore *r, const uint8_t *symbols,
                        const struct lwfc_block *b, float *out, void *workspace)
{
    const struct parts c = cut(r, b);
    const size_t positions = (size_t)b->height * (size_t)b->width;
    uint8_t *at = workspace;
    struct job job = {
        .r = r,
        .kernels = lwfc_restore_kernels_for(lwfc_cpu_features()),
        .quantize = lwfc_quantize_kernels_for(lwfc_cpu_features()),
        .symbols = symbols,
        .values = symbols,
        .out = out,
        .count = c.count,
        .quads = (r->quads + 1) / 2,
        .weights_stride = c.weights / LWFC_RESTORE_ROWS,
    };
    for (int32_t s = 0; s < r->levels; s++) {
        job.most = r->values[s] > job.most ? r->values[s] : job.most;
    }
    if (c.values != 0) {
        for (size_t i = 0; i < (size_t)r->channels * positions; i++) {
            at[i] = r->values[symbols[i]];
        }
        job.values = at;
        at += c.values;
    }
    memset(at, 0, c.plane);
    job.plane = at + c.margin;
    at += c.plane;
    make_edges(at, at + c.edges, positions, (size_t)b->width);
    job.map = (struct lwfc_restore_map){positions, (size_t)b->width, at, at + c.edges};
    at += 2 * c.edges;
    job.tiles = at;
    job.latents = job.tiles + c.tiles;
    job.weights = job.latents + c.latents;
    int32_t *sums = (int32_t *)(void *)(job.weights + c.weights);
    const size_t each = c.count * LWFC_RESTORE_TILE;
    if (c.sums != 0) {
        for (int i = 0; i < LWFC_RESTORE_ROWS; i++, sums += each) {
            job.sums[i] = sums;
        }
        for (int i = 0; i < 4; i++, sums += each + 2 * c.margin) {
            memset(sums, 0, c.margin * sizeof *sums);
            memset(sums + c.margin + each, 0, c.margin * sizeof *sums);
            job.near[i] = sums + c.margin;
        }
    }
    return job;
}

/* Weights of a position and of its neighbourhood, which alternate in the blob, apart. */
static int split(const uint8_t *row, size_t channels, size_t padded, uint8_t *own, uint8_t *near)
{
    int any = 0;
    for (size_t c = 0; c < channels; c++) {
        own[c] = row[2 * c];
        near[c] = row[2 * c + 1];
        any |= near[c];
    }
    memset(own + channels, 0, padded - channels);
    memset(near + channels, 0, padded - channels);
    return any != 0;
}

/* Products of up to four rows of `first` with every position, into job->sums: those
 * of the position, and into job->near those whose 3x3 sum belongs to it. Returns
 * whether any of these differ from 0. */
static int multiply(struct job *job, const size_t *row, size_t rows)
{
    const size_t stride = job->weights_stride;
    const uint8_t *weights[LWFC_RESTORE_ROWS];
    int32_t *sums[LWFC_RESTORE_ROWS];
    int any = 0;
    for (size_t i = 0; i < rows; i++) {
        uint8_t *own = job->weights + i * stride;
        uint8_t *near = job->weights + (rows + i) * stride;
        any |= split(job->r->first + row[i] * 4 * job->r->quads, (size_t)job->r->channels,
                     4 * job->quads, own, near);
        weights[i] = own;
        weights[rows + i] = near;
        sums[i] = job->sums[i];
        sums[rows + i] = job->near[i];
    }
    job->kernels->dot(job->tiles, job->count, job->quads, job->most, weights,
                      (int)(any ? 2 * rows : rows), sums);
    return any;
}

static void make_latents(struct job *job)
{
    const struct lwfc_restore *r = job->r;
    const size_t rank = (size_t)r->rank;
    const int32_t *const sums[4] = {job->sums[0], job->sums[1], job->sums[2], job->sums[3]};
    const int32_t *const near[4] = {job->near[0], job->near[1], job->near[2], job->near[3]};
    for (size_t first = 0; first < rank; first += 4) {
        int32_t bias[4];
        int shift[4];
        size_t row[4];
        for (size_t i = 0; i < 4; i++) {
            row[i] = first + i;
            bias[i] = (int32_t)lwfc_load_u32(r->bias + 4 * row[i]);
            shift[i] = r->shift[row[i]];
        }
        const int any = multiply(job, row, 4);
        job->kernels->latents(&job->map, sums, any ? near : NULL, bias, shift,
                              job->latents + first * LWFC_RESTORE_TILE, rank * LWFC_RESTORE_TILE);
    }
}

/* The floats of a channel's symbols if they do not depend on sums; 0 if they do. */
static int constant_channel(const struct lwfc_restore_channel *c, float table[LEVELS_MAX])
{
    for (int32_t s = 0; s < c->levels; s++) {
        /* -0 may become +0 by a sum's sign */
        if (c->slope[s] != 0.0F || (c->offset[s] == 0.0F && signbit(c->offset[s]))) {
            return 0;
        }
        float x = c->offset[s];
        x = x < c->low[s] ? c->low[s] : x;
        x = x > c->high[s] ? c->high[s] : x;
        if (c->strength != 1.0F) {
            const float step = c->strength * (x - c->centroid[s]);
            x = c->centroid[s] + step;
        }
        table[s] = x;
    }
    return 1;
}

static void finish_channel(struct job *job, size_t c, const int32_t *sums)
{
    const struct lwfc_restore *r = job->r;
    const size_t levels = (size_t)r->levels;
    const size_t positions = job->map.positions;
    float offset[LEVELS_MAX], slope[LEVELS_MAX], centroid[LEVELS_MAX];
    float low[LEVELS_MAX], high[LEVELS_MAX], table[LEVELS_MAX];
    for (size_t s = 0; s < levels; s++) {
        const uint8_t *entry = r->tables + 12 * (c * levels + s);
        offset[s] = lwfc_load_f32(entry);
        slope[s] = lwfc_load_f32(entry + 4);
        centroid[s] = lwfc_load_f32(entry + 8);
        low[s] = lwfc_load_f32(r->limits + 4 * s);
        high[s] = lwfc_load_f32(r->limits + 4 * (levels + s));
    }
    const struct lwfc_restore_channel channel = {
        .own = {(int16_t)lwfc_load_u16(r->own + 6 * c), (int16_t)lwfc_load_u16(r->own + 6 * c + 2),
                (int16_t)lwfc_load_u16(r->own + 6 * c + 4)},
        .offset = offset,
        .slope = slope,
        .low = low,
        .high = high,
        .centroid = centroid,
        .strength = (float)r->strength / LWFC_RESTORE_STRENGTH_ONE,
        .levels = r->levels,
    };
    const uint8_t *symbols = job->symbols + c * positions;
    float *out = job->out + c * positions;
    if (constant_channel(&channel, table)) {
        job->quantize->dequantize(symbols, positions, table, r->levels, out);
        return;
    }
    memcpy(job->plane, job->values + c * positions, positions);
    job->kernels->finish(&channel, &job->map, symbols, job->plane, sums, out);
}

static int any_weight(const uint8_t *row, size_t n)
{
    int any = 0;
    for (size_t i = 0; i < n; i++) {
        any |= row[i];
    }
    return any != 0;
}

/* The channels that wait for a block of products. */
struct waiting {
    size_t channel[LWFC_RESTORE_ROWS];
    size_t count;
};

static void finish_waiting(struct job *job, struct waiting *w)
{
    const size_t rank = (size_t)job->r->rank;
    int any = 0;
    if (w->count == 0) {
        return;
    }
    if (rank == 0) {
        any = multiply(job, w->channel, w->count);
    } else {
        const uint8_t *weights[LWFC_RESTORE_ROWS];
        for (size_t i = 0; i < w->count; i++) {
            weights[i] = job->r->second + w->channel[i] * rank;
        }
        job->kernels->dot(job->latents, job->count, rank / 4, LWFC_RESTORE_LATENT_MAX, weights,
                          (int)w->count, job->sums);
    }
    for (size_t i = 0; i < w->count; i++) {
        if (any) {
            job->kernels->box(&job->map, job->near[i], job->sums[i]);
        }
        finish_channel(job, w->channel[i], job->sums[i]);
    }
    w->count = 0;
}

void lwfc_restore_apply(const struct lwfc_restore *restore, const uint8_t *symbols,
                        const struct lwfc_block *one_sample, float *out, void *workspace)
{
    struct job job = begin(restore, symbols, one_sample, out, workspace);
    const size_t channels = (size_t)restore->channels;
    if (restore->kind == LWFC_RESTORE_LOCAL) {
        for (size_t c = 0; c < channels; c++) {
            finish_channel(&job, c, NULL);
        }
        return;
    }
    job.kernels->tile(job.values, channels, job.map.positions, job.tiles);
    make_latents(&job);
    const size_t rank = (size_t)restore->rank;
    const size_t nbytes = rank != 0 ? rank : 4 * restore->quads;
    const uint8_t *const weights = rank != 0 ? restore->second : restore->first;
    const size_t block = rank != 0 ? LWFC_RESTORE_ROWS : LWFC_RESTORE_ROWS / 2;
    struct waiting waiting = {.count = 0};
    for (size_t c = 0; c < channels; c++) {
        if (!any_weight(weights + c * nbytes, nbytes)) {
            finish_channel(&job, c, NULL);
            continue;
        }
        waiting.channel[waiting.count++] = c;
        if (waiting.count == block) {
            finish_waiting(&job, &waiting);
        }
    }
    finish_waiting(&job, &waiting);
}
