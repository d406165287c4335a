#include "codec/blocks.h"
#include "codec/symbols.h"
#include "codec/transform_codec.h"

/* What the threads of one simulation share. */
struct job {
    const struct lwfc_codec *codec;
    struct lwfc_plan in, out;
};

static enum lwfc_status simulate_block(void *context, int64_t block, struct lwfc_scratch *scratch)
{
    const struct job *job = context;
    const struct lwfc_region region = lwfc_geometry_region(&job->in.view.geometry, block);
    const enum lwfc_status status = lwfc_symbols_make(job->codec, &job->in, &region, scratch);
    if (status == LWFC_OK) {
        lwfc_symbols_restore(job->codec, &job->out, &region, scratch);
    }
    return status;
}

static enum lwfc_status transform_block(void *context, int64_t block,
                                        struct lwfc_scratch *scratch)
{
    const struct job *job = context;
    const struct lwfc_region region = lwfc_geometry_region(&job->in.view.geometry, block);
    const enum lwfc_status status =
        lwfc_transform_coefficients(job->codec, &job->in, &region, scratch);
    if (status == LWFC_OK) {
        lwfc_transform_reconstruct(job->codec, &job->out, &region, scratch);
    }
    return status;
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
    if (status == LWFC_OK && codec->transform != NULL) {
        const struct lwfc_scratch_sizes sizes =
            lwfc_transform_sizes(codec->transform, &job.in, LWFC_TRANSFORM_SIMULATE);
        return lwfc_blocks_run_sized(&sizes, &job.in, transform_block, &job);
    }
    return status == LWFC_OK ? lwfc_blocks_run(codec, &job.in, simulate_block, &job) : status;
}
