#include "codec/restore.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "cpu/cpu.h"
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
    size_t tiles;
    size_t features;
    size_t latents;
    size_t sums;
    size_t planes;
    size_t total;
};

static size_t round_64(size_t n)
{
    return lwfc_size_add(n, 63) / 64 * 64;
}

static struct parts cut(const struct lwfc_restore *r, const struct lwfc_block *b)
{
    struct parts c;
    const size_t positions = (size_t)b->height * (size_t)b->width;
    c.tiles = (positions + LWFC_RESTORE_TILE - 1) / LWFC_RESTORE_TILE;
    const size_t plane = lwfc_size_mul((size_t)b->height + 2, (size_t)b->width + 2);
    const size_t rows = r->kind == LWFC_RESTORE_LINEAR ? LWFC_RESTORE_ROWS : 1;
    c.features = lwfc_size_mul(c.tiles, r->quads * LWFC_RESTORE_TILE * 4);
    c.latents = lwfc_size_mul(c.tiles, (size_t)r->rank * LWFC_RESTORE_TILE);
    c.sums = lwfc_size_mul(c.tiles, rows * LWFC_RESTORE_TILE * sizeof(int32_t));
    /* the slack lets vectors run past the end of a plane */
    c.planes = round_64(lwfc_size_add(plane, 64));
    c.total = lwfc_size_add(lwfc_size_add(c.features, c.latents),
                            lwfc_size_add(c.sums, lwfc_size_mul(c.planes, 2)));
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
    const uint8_t *symbols;
    int32_t height;
    int32_t width;
    size_t tiles;
    const uint8_t *values; /* NULL: symbols are their own values */
    uint8_t *features;
    uint8_t *latents;
    int32_t *sums;
    uint8_t *plane[2];
};

static void pad_channel(struct job *job, size_t channel, uint8_t *plane)
{
    const size_t positions = (size_t)job->height * (size_t)job->width;
    job->kernels->pad(job->symbols + channel * positions, job->height, job->width, job->values,
                      plane);
}

static void make_features(struct job *job)
{
    const size_t channels = (size_t)job->r->channels;
    const size_t tile_stride = job->r->quads * LWFC_RESTORE_TILE * 4;
    for (size_t c = 0; c < channels; c += 2) {
        pad_channel(job, c, job->plane[0]);
        if (c + 1 < channels) {
            pad_channel(job, c + 1, job->plane[1]);
        } else {
            memset(job->plane[1], 0, ((size_t)job->height + 2) * ((size_t)job->width + 2));
        }
        job->kernels->pair(job->plane[0], job->plane[1], job->height, job->width,
                           job->features + c / 2 * LWFC_RESTORE_TILE * 4, tile_stride);
    }
}

static void make_latents(struct job *job)
{
    const struct lwfc_restore *r = job->r;
    const size_t rank = (size_t)r->rank;
    const size_t sum_stride = job->tiles * LWFC_RESTORE_TILE;
    for (size_t first = 0; first < rank; first += LWFC_RESTORE_ROWS) {
        const size_t rows = rank - first < LWFC_RESTORE_ROWS ? rank - first : LWFC_RESTORE_ROWS;
        job->kernels->dot(job->features, job->tiles, r->quads, r->first + first * 4 * r->quads,
                          4 * r->quads, (int)rows, job->sums, sum_stride);
        for (size_t i = 0; i < rows; i++) {
            const size_t k = first + i;
            job->kernels->latent(job->sums + i * sum_stride, job->tiles,
                                 (int32_t)lwfc_load_u32(r->bias + 4 * k), r->shift[k],
                                 job->latents + k / 4 * LWFC_RESTORE_TILE * 4 + k % 4,
                                 rank * LWFC_RESTORE_TILE);
        }
    }
}

static void finish_channel(struct job *job, size_t c, const int32_t *sums, float *out)
{
    const struct lwfc_restore *r = job->r;
    const size_t levels = (size_t)r->levels;
    const size_t positions = (size_t)job->height * (size_t)job->width;
    float offset[LEVELS_MAX], slope[LEVELS_MAX], centroid[LEVELS_MAX];
    float low[LEVELS_MAX], high[LEVELS_MAX];
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
    pad_channel(job, c, job->plane[0]);
    job->kernels->finish(&channel, job->symbols + c * positions, job->plane[0], sums, job->height,
                         job->width, out + c * positions);
}

void lwfc_restore_apply(const struct lwfc_restore *restore, const uint8_t *symbols,
                        const struct lwfc_block *one_sample, float *out, void *workspace)
{
    const struct lwfc_restore *r = restore;
    const struct parts c = cut(r, one_sample);
    uint8_t *at = workspace;
    struct job job = {
        .r = r,
        .kernels = lwfc_restore_kernels_for(lwfc_cpu_features()),
        .symbols = symbols,
        .height = one_sample->height,
        .width = one_sample->width,
        .tiles = c.tiles,
        .features = at,
        .latents = at + c.features,
        .sums = (int32_t *)(void *)(at + c.features + c.latents),
        .plane = {at + c.features + c.latents + c.sums,
                  at + c.features + c.latents + c.sums + c.planes},
    };
    for (int32_t s = 0; s < r->levels; s++) {
        if (r->values[s] != s) {
            job.values = r->values;
        }
    }
    const size_t channels = (size_t)r->channels;
    const size_t sum_stride = c.tiles * LWFC_RESTORE_TILE;
    if (r->kind == LWFC_RESTORE_LOCAL) {
        memset(job.sums, 0, c.sums);
        for (size_t k = 0; k < channels; k++) {
            finish_channel(&job, k, job.sums, out);
        }
        return;
    }
    make_features(&job);
    const uint8_t *features = job.features;
    const uint8_t *weights = r->first;
    size_t quads = r->quads;
    if (r->rank != 0) {
        make_latents(&job);
        features = job.latents;
        weights = r->second;
        quads = (size_t)r->rank / 4;
    }
    for (size_t first = 0; first < channels; first += LWFC_RESTORE_ROWS) {
        const size_t left = channels - first;
        const size_t rows = left < LWFC_RESTORE_ROWS ? left : LWFC_RESTORE_ROWS;
        job.kernels->dot(features, c.tiles, quads, weights + first * 4 * quads, 4 * quads,
                         (int)rows, job.sums, sum_stride);
        for (size_t i = 0; i < rows; i++) {
            finish_channel(&job, first + i, job.sums + i * sum_stride, out);
        }
    }
}
