#include "codec/scratch.h"

#include "base/memory.h"
#include "codec/block_codec.h"
#include "codec/rate_distortion.h"

static size_t padded(size_t n)
{
    return lwfc_size_add(n, 128) & ~(size_t)63;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

struct lwfc_scratch_sizes lwfc_scratch_sizes_for(const struct lwfc_codec *codec, int levels,
                                                 const struct lwfc_geometry *geometry)
{
    struct lwfc_block extents[16];
    const int count = lwfc_plan_extents(geometry, extents);
    struct lwfc_scratch_sizes s = {0};
    for (int i = 0; i < count; i++) {
        s.symbols = larger(s.symbols, lwfc_block_size(&extents[i]));
        s.coded = larger(s.coded, lwfc_block_bound(levels, &extents[i]));
        s.workspace = larger(s.workspace, lwfc_block_workspace(codec, levels, &extents[i]));
        if (codec != NULL && codec->options.rate_weight > 0) {
            s.workspace = larger(s.workspace, lwfc_rate_distortion_workspace(
                                                  &extents[i], lwfc_codec_context(codec)));
        }
        if (codec != NULL && codec->options.restore_nbytes > 0) {
            struct lwfc_block sample = extents[i];
            sample.samples = 1;
            s.workspace = larger(s.workspace, lwfc_restore_workspace(&codec->restore, &sample));
        }
    }
    if (lwfc_codec_needs_values(codec)) {
        s.values = s.symbols * sizeof(float);
    }
    return s;
}

struct lwfc_scratch *lwfc_scratch_make(int width, const struct lwfc_scratch_sizes *s)
{
    const size_t list = padded((size_t)width * sizeof(struct lwfc_scratch));
    const size_t symbols = padded(s->symbols);
    size_t each = lwfc_size_add(symbols, padded(s->coded));
    each = lwfc_size_add(each, padded(s->values));
    each = lwfc_size_add(each, padded(s->workspace));
    uint8_t *p = lwfc_alloc(lwfc_size_add(list, lwfc_size_mul((size_t)width, each)));
    if (p == NULL) {
        return NULL;
    }
    struct lwfc_scratch *scratch = (struct lwfc_scratch *)(void *)p;
    p += list;
    for (int i = 0; i < width; i++) {
        scratch[i].symbols = p;
        scratch[i].coded = scratch[i].symbols + symbols;
        scratch[i].values = (float *)(void *)(scratch[i].coded + padded(s->coded));
        scratch[i].workspace = (uint8_t *)scratch[i].values + padded(s->values);
        p += each;
    }
    return scratch;
}

void lwfc_scratch_release(struct lwfc_scratch *scratch)
{
    lwfc_free(scratch);
}
