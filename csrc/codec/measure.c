#include "codec/measure.h"

#include "base/memory.h"
#include "codec/scratch.h"
#include "par/par.h"

struct job {
    struct lwfc_plan plan;
    struct lwfc_scratch *scratch;
    struct lwfc_moments *moments; /* each block's */
};

static void measure_block(void *context, int64_t block, int worker)
{
    struct job *job = context;
    const struct lwfc_region region = lwfc_geometry_region(&job->plan.view.geometry, block);
    const float *values = lwfc_view_floats(&job->plan.view, &region);
    if (values == NULL) {
        lwfc_view_load(&job->plan.view, &region, &job->plan.passes, job->scratch[worker].values);
        values = job->scratch[worker].values;
    }
    struct lwfc_moments *total = &job->moments[block];
    lwfc_moments_init(total);
    const size_t n = lwfc_block_size(&region.extent);
    for (size_t i = 0; i < n; i += LWFC_MOMENTS_BLOCK) {
        struct lwfc_moments part;
        job->plan.passes.quantize->moments(
            values + i, n - i < LWFC_MOMENTS_BLOCK ? n - i : LWFC_MOMENTS_BLOCK, &part);
        lwfc_moments_merge(total, &part);
    }
}

enum lwfc_status lwfc_measure(const struct lwfc_tensor *x, int num_threads,
                              struct lwfc_moments *moments)
{
    struct job job = {0};
    enum lwfc_status status = lwfc_plan_make(x, LWFC_AXIS_AUTO, 0, num_threads, &job.plan);
    lwfc_moments_init(moments);
    if (status != LWFC_OK) {
        return status;
    }
    const int64_t nblocks = job.plan.view.geometry.nblocks;
    const struct lwfc_scratch_sizes sizes = {.values = LWFC_BLOCK_SYMBOLS * sizeof(float)};
    job.scratch = lwfc_scratch_make(job.plan.width, &sizes);
    job.moments = lwfc_alloc(lwfc_size_mul((size_t)nblocks, sizeof *job.moments));
    if (job.scratch == NULL || job.moments == NULL) {
        status = LWFC_ERROR_MEMORY;
    } else {
        lwfc_parallel_for(nblocks, job.plan.width, measure_block, &job);
        for (int64_t i = 0; i < nblocks; i++) {
            lwfc_moments_merge(moments, &job.moments[i]);
        }
    }
    lwfc_scratch_release(job.scratch);
    lwfc_free(job.moments);
    return status;
}
