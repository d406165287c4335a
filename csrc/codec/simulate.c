#include "base/memory.h"
#include "codec/symbols.h"
#include "par/par.h"

/* What the threads of one simulation share. */
struct job {
    const struct lwfc_codec *codec;
    struct lwfc_plan in, out;
    struct lwfc_scratch *scratch;
    enum lwfc_status *statuses;
};

static void simulate_block(void *context, int64_t block, int worker)
{
    struct job *job = context;
    struct lwfc_scratch *scratch = &job->scratch[worker];
    const struct lwfc_region region = lwfc_geometry_region(&job->in.view.geometry, block);
    job->statuses[block] = lwfc_symbols_make(job->codec, &job->in, &region, scratch);
    if (job->statuses[block] == LWFC_OK) {
        lwfc_symbols_restore(job->codec, &job->out, &region, scratch);
    }
}

enum lwfc_status lwfc_simulate(const struct lwfc_codec *codec, const struct lwfc_tensor *x,
                               const struct lwfc_tensor *out, int num_threads)
{
    if (!lwfc_tensor_matches(out, x->dtype, x->rank, x->shape)) {
        return LWFC_ERROR_MISMATCH;
    }
    struct job job = {.codec = codec};
    enum lwfc_status status = lwfc_codec_plan(codec, x, num_threads, &job.in);
    if (status == LWFC_OK) {
        status = lwfc_codec_plan(codec, out, num_threads, &job.out);
    }
    if (status != LWFC_OK) {
        return status;
    }
    const struct lwfc_geometry *geometry = &job.in.view.geometry;
    const int64_t nblocks = geometry->nblocks;
    const struct lwfc_scratch_sizes sizes =
        lwfc_scratch_sizes_for(codec, codec->options.levels, geometry);
    job.scratch = lwfc_scratch_make(job.in.width, &sizes);
    job.statuses = lwfc_alloc(lwfc_size_mul((size_t)nblocks, sizeof *job.statuses));
    if (job.scratch == NULL || job.statuses == NULL) {
        status = LWFC_ERROR_MEMORY;
    } else {
        lwfc_parallel_for(nblocks, job.in.width, simulate_block, &job);
        for (int64_t i = 0; i < nblocks && status == LWFC_OK; i++) {
            status = job.statuses[i];
        }
    }
    lwfc_scratch_release(job.scratch);
    lwfc_free(job.statuses);
    return status;
}
