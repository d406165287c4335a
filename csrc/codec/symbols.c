#include "codec/symbols.h"

enum lwfc_status lwfc_symbols_make(const struct lwfc_codec *codec, const struct lwfc_plan *plan,
                                   const struct lwfc_region *region, struct lwfc_scratch *scratch)
{
    const int reject = codec->options.nan == LWFC_NAN_RAISE;
    if (lwfc_view_quantize(&plan->view, region, &plan->tables, &plan->passes, reject,
                           scratch->symbols)) {
        return LWFC_ERROR_NONFINITE;
    }
    return LWFC_OK;
}

void lwfc_symbols_restore(const struct lwfc_codec *codec, const struct lwfc_plan *plan,
                          const struct lwfc_region *region, struct lwfc_scratch *scratch)
{
    (void)codec;
    lwfc_view_dequantize(&plan->view, region, &plan->tables, &plan->passes, scratch->symbols);
}
