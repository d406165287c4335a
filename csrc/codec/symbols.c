#include "codec/symbols.h"

#include "codec/rate_distortion.h"

enum lwfc_status lwfc_symbols_make(const struct lwfc_codec *codec, const struct lwfc_plan *plan,
                                   const struct lwfc_region *region, struct lwfc_scratch *scratch)
{
    const int reject = codec->options.nan == LWFC_NAN_RAISE;
    if (lwfc_view_quantize(&plan->view, region, &plan->tables, &plan->passes, reject,
                           scratch->symbols)) {
        return LWFC_ERROR_NONFINITE;
    }
    if (codec->options.rate_weight > 0) {
        const int per_channel = plan->tables.groups > 1;
        const size_t first =
            per_channel ? (size_t)region->channel * (size_t)plan->tables.levels : 0;
        lwfc_view_load(&plan->view, region, &plan->passes, scratch->values);
        lwfc_rate_distortion(scratch->values, &region->extent, plan->tables.levels,
                             plan->tables.values + first, per_channel, lwfc_codec_context(codec),
                             codec->options.rate_weight, scratch->symbols, scratch->workspace);
    }
    return LWFC_OK;
}

/* No estimate becomes an infinity of a narrow element type. */
static void limit(float *values, size_t n, enum lwfc_dtype dtype)
{
    if (lwfc_dtype_nbytes(dtype) == sizeof(uint16_t)) {
        const float largest = lwfc_dtype_largest(dtype);
        for (size_t i = 0; i < n; i++) {
            const float v = values[i] > largest ? largest : values[i];
            values[i] = v < -largest ? -largest : v;
        }
    }
}

void lwfc_symbols_restore(const struct lwfc_codec *codec, const struct lwfc_plan *plan,
                          const struct lwfc_region *region, struct lwfc_scratch *scratch)
{
    if (codec == NULL || codec->options.restore_nbytes == 0) {
        lwfc_view_dequantize(&plan->view, region, &plan->tables, &plan->passes, scratch->symbols);
        return;
    }
    struct lwfc_block sample = region->extent; /* codecs that restore cut whole samples */
    sample.samples = 1;
    const size_t size = lwfc_block_size(&sample);
    float *const place = lwfc_view_floats(&plan->view, region);
    float *const out = place != NULL ? place : scratch->values;
    for (int32_t i = 0; i < region->extent.samples; i++) {
        lwfc_restore_apply(&codec->restore, scratch->symbols + (size_t)i * size, &sample,
                           out + (size_t)i * size, scratch->workspace);
    }
    if (place == NULL) {
        limit(scratch->values, lwfc_block_size(&region->extent), plan->view.dtype);
        lwfc_view_store(&plan->view, region, &plan->passes, scratch->values);
    }
}
