#include "base/memory.h"
#include "codec/blocks.h"
#include "codec/trace.h"
#include "codec/transform_codec.h"
#include "cpu/cpu.h"
#include "transform/dct.h"

#include <float.h>
#include <string.h>

int lwfc_trace_layout(const struct lwfc_codec *codec, struct lwfc_transform_layout *layout)
{
    const struct lwfc_transform *t = codec->transform;
    if (t == NULL) {
        return -1;
    }
    *layout = (struct lwfc_transform_layout){
        t->channels, t->height,       t->width,               t->block_height, t->block_width,
        t->blocks,   t->coefficients, t->model.tables.groups, t->matrix_count};
    return 0;
}

int32_t lwfc_trace_limit(const struct lwfc_codec *codec, int matrix)
{
    return codec->transform->matrices[matrix].limit;
}

int lwfc_trace_dct(int n, int16_t *table)
{
    if (n < 1 || n > LWFC_DCT_MAX) {
        return -1;
    }
    lwfc_dct_table(n, table);
    return lwfc_dct_bits(n);
}

enum lwfc_status lwfc_trace_samples(const struct lwfc_codec *codec, const struct lwfc_tensor *x,
                                    int64_t *samples)
{
    struct lwfc_plan plan;
    const enum lwfc_status status = lwfc_codec_plan(codec, x, 1, &plan);
    if (status != LWFC_OK) {
        return status;
    }
    const struct lwfc_geometry *g = &plan.view.geometry;
    const struct lwfc_transform *t = codec->transform;
    *samples = g->samples * (g->height / t->height) * (g->width / t->width);
    return LWFC_OK;
}

/* What the threads of one trace share. */
struct job {
    const struct lwfc_codec *codec;
    struct lwfc_plan plan;
    int16_t *coefficients;
};

/* Between the groups' full rows and the coefficients alone. */
static void pack(const struct lwfc_transform *t, const int16_t *rows, int16_t *out)
{
    const struct lwfc_groups_tables *tables = &t->model.tables;
    for (uint32_t g = 0; g < tables->groups; g++) {
        memcpy(out, rows + (size_t)g * LWFC_GROUP, tables->counts[g] * sizeof *out);
        out += tables->counts[g];
    }
}

static enum lwfc_status unpack(const struct lwfc_transform *t, const int16_t *in, int16_t *rows)
{
    const struct lwfc_groups_tables *tables = &t->model.tables;
    for (uint32_t g = 0; g < tables->groups; g++, rows += LWFC_GROUP) {
        memset(rows, 0, LWFC_GROUP * sizeof *rows);
        for (int j = 0; j < tables->counts[g]; j++, in++) {
            if (*in > tables->limits[g] || *in < -(int)tables->limits[g]) {
                return LWFC_ERROR_ARGUMENT;
            }
            rows[j] = *in;
        }
    }
    return LWFC_OK;
}

static enum lwfc_status trace_block(void *context, int64_t block, struct lwfc_scratch *scratch)
{
    const struct job *job = context;
    const struct lwfc_transform *t = job->codec->transform;
    struct lwfc_region region = lwfc_geometry_region(&job->plan.view.geometry, block);
    const enum lwfc_status status =
        lwfc_transform_coefficients(job->codec, &job->plan, &region, scratch);
    if (status != LWFC_OK) {
        return status;
    }
    const size_t blocks = lwfc_transform_samples(t, &region) * (size_t)t->blocks;
    const size_t before = blocks / (size_t)region.extent.samples * (size_t)region.sample;
    const int16_t *rows = (const int16_t *)(const void *)scratch->symbols;
    for (size_t i = 0; i < blocks; i++) {
        pack(t, rows + i * t->model.tables.groups * LWFC_GROUP,
             job->coefficients + (before + i) * t->coefficients);
    }
    return LWFC_OK;
}

enum lwfc_status lwfc_trace_coefficients(const struct lwfc_codec *codec,
                                         const struct lwfc_tensor *x, int num_threads,
                                         int16_t *coefficients)
{
    struct job job = {.codec = codec, .coefficients = coefficients};
    const enum lwfc_status status = lwfc_codec_plan(codec, x, num_threads, &job.plan);
    if (status != LWFC_OK) {
        return status;
    }
    const struct lwfc_scratch_sizes sizes =
        lwfc_transform_sizes(codec->transform, &job.plan, LWFC_TRANSFORM_SIMULATE);
    return lwfc_blocks_run_sized(&sizes, &job.plan, trace_block, &job);
}

enum lwfc_status lwfc_trace_reconstruct(const struct lwfc_codec *codec,
                                        const int16_t *coefficients, int64_t samples, float *out)
{
    const struct lwfc_transform *t = codec->transform;
    const struct lwfc_transform_kernels *kernels =
        lwfc_transform_kernels_for(lwfc_cpu_features());
    const size_t group = LWFC_GROUP * sizeof(int16_t);
    const size_t rows = ((size_t)t->model.tables.groups * group + 127) / 64 * 64;
    const size_t list_nbytes = (lwfc_groups_list_nbytes(&t->model) + 63) / 64 * 64;
    uint8_t *memory = lwfc_alloc(rows + list_nbytes + lwfc_transform_workspace(t));
    if (memory == NULL) {
        return LWFC_ERROR_MEMORY;
    }
    struct lwfc_groups_list list;
    lwfc_groups_list_place(&t->model, &list, memory + rows);
    struct lwfc_transform_tile tile = {out, (ptrdiff_t)t->height * t->width, t->width, 1,
                                       FLT_MAX};
    enum lwfc_status status = LWFC_OK;
    for (int64_t i = 0; i < samples && status == LWFC_OK; i++) {
        for (int block = 0; block < t->blocks && status == LWFC_OK; block++) {
            status = unpack(t, coefficients, (int16_t *)(void *)memory);
            coefficients += t->coefficients;
            if (status == LWFC_OK) {
                lwfc_groups_list_make(&t->model, (const int16_t *)(const void *)memory, &list);
                lwfc_transform_inverse(t, kernels, &list, block, &tile,
                                       memory + rows + list_nbytes);
            }
        }
        tile.data += tile.channel * t->channels;
    }
    lwfc_free(memory);
    return status;
}
