#include "codec/trace.h"

#include "codec/blocks.h"
#include "codec/symbols.h"

/* What the threads of one trace share. */
struct job {
    const struct lwfc_codec *codec;
    struct lwfc_plan plan;
    uint8_t *symbols;
};

/* Scatters a block's symbols into an array of the tensor's shape in C order. */
static void scatter(const struct job *job, const struct lwfc_region *r, const uint8_t *in)
{
    const struct lwfc_geometry *g = &job->plan.view.geometry;
    const int channels_follow = g->channel_axis >= 0 && g->spatial_begin < g->channel_axis;
    const ptrdiff_t plane = (ptrdiff_t)(g->height * g->width);
    const ptrdiff_t position_stride = channels_follow ? (ptrdiff_t)g->channels : 1;
    const ptrdiff_t channel_stride = channels_follow ? 1 : plane;
    for (int32_t s = 0; s < r->extent.samples; s++) {
        for (int32_t c = 0; c < r->extent.channels; c++) {
            for (int32_t y = 0; y < r->extent.height; y++) {
                const ptrdiff_t row = (ptrdiff_t)((r->row + y) * g->width + r->column);
                uint8_t *out = job->symbols +
                               (ptrdiff_t)(r->sample + s) * plane * (ptrdiff_t)g->channels +
                               (ptrdiff_t)(r->channel + c) * channel_stride +
                               row * position_stride;
                for (int32_t x = 0; x < r->extent.width; x++, out += position_stride) {
                    *out = *in++;
                }
            }
        }
    }
}

static enum lwfc_status trace_block(void *context, int64_t block, struct lwfc_scratch *scratch)
{
    const struct job *job = context;
    const struct lwfc_region region = lwfc_geometry_region(&job->plan.view.geometry, block);
    const enum lwfc_status status = lwfc_symbols_make(job->codec, &job->plan, &region, scratch);
    if (status == LWFC_OK) {
        scatter(job, &region, scratch->symbols);
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
