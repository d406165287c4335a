#include "codec/trace.h"

#include "codec/blocks.h"
#include "codec/order.h"
#include "codec/symbols.h"

/* What the threads of one trace share. */
struct job {
    const struct lwfc_codec *codec;
    struct lwfc_plan plan;
    uint8_t *symbols;
};

static enum lwfc_status trace_block(void *context, int64_t block, struct lwfc_scratch *scratch)
{
    const struct job *job = context;
    const struct lwfc_region region = lwfc_geometry_region(&job->plan.view.geometry, block);
    const enum lwfc_status status = lwfc_symbols_make(job->codec, &job->plan, &region, scratch);
    if (status == LWFC_OK) {
        lwfc_order_scatter(&job->plan.view.geometry, &region, scratch->symbols, job->symbols);
    }
    return status;
}

enum lwfc_status lwfc_trace_symbols(const struct lwfc_codec *codec, const struct lwfc_tensor *x,
                                    int num_threads, uint8_t *symbols)
{
    struct job job = {.codec = codec, .symbols = symbols};
    const enum lwfc_status status = lwfc_codec_plan(codec, x, num_threads, &job.plan);
    return status == LWFC_OK ? lwfc_blocks_run(codec, &job.plan, trace_block, &job) : status;
}
