#include "entropy/context_folds.h"

#include "cpu/cpu.h"

#include <string.h>

/* Vectors of the kernels run past the end of a fold by less than this. */
enum { OVERRUN = 64 };

static struct lwfc_context_folds layout(const struct lwfc_context_model *m, size_t height,
                                        size_t width)
{
    struct lwfc_context_folds f = {.plane = height * width, .margin = (width + 31) / 32 * 32};
    f.half = (f.plane + 1) / 2;
    f.stride = f.margin + f.half + width + OVERRUN;
    f.count = (size_t)lwfc_context_first_slot(m, m->groups - 1);
    f.bits = lwfc_context_fold_bits(m->scale.levels);
    return f;
}

size_t lwfc_context_folds_nbytes(const struct lwfc_context_model *model, size_t height,
                                 size_t width, int samples)
{
    const struct lwfc_context_folds f = layout(model, height, width);
    return model->references * sizeof *f.offset +
           (size_t)samples * f.count * f.stride;
}

struct lwfc_context_folds lwfc_context_folds_make(const struct lwfc_context_model *model,
                                                  size_t height, size_t width, int samples,
                                                  uint8_t *memory)
{
    struct lwfc_context_folds f = layout(model, height, width);
    f.kernels = lwfc_context_kernels_for(lwfc_cpu_features());
    f.offset = (uint32_t *)memory;
    f.slots = memory + model->references * sizeof *f.offset;
    /* A sample's folds take fewer than 2^32 bytes: symbols are at most 2^30. */
    const uint32_t stride = (uint32_t)f.stride;
    const uint32_t first = (uint32_t)f.margin;
    const uint32_t row = (uint32_t)width;
    const uint32_t sample = (uint32_t)(f.count * f.stride);
    for (size_t i = 0; i < model->references; i++) {
        const struct lwfc_context_reference r = model->reference[i];
        if (r.sample < samples) {
            f.offset[i] = first + r.sample * sample + r.slot * stride + (uint32_t)r.down * row +
                          (uint32_t)r.right;
        }
    }
    return f;
}

void lwfc_context_fold(const struct lwfc_context_folds *folds, uint8_t *slots, size_t slot,
                       const uint8_t *plane)
{
    if (slot >= folds->count) {
        return;
    }
    const size_t n = folds->plane;
    uint8_t *const fold = slots + slot * folds->stride;
    uint8_t *const at = fold + folds->margin;
    const size_t room = folds->stride - folds->margin;
    const size_t before = folds->margin < folds->half ? folds->margin : folds->half;
    const size_t filled = n < room ? n : room;
    const size_t both = n - folds->half;
    memset(fold, 0, folds->margin - before);
    folds->kernels->fold(at - before, NULL, plane + folds->half - before, before, folds->bits);
    folds->kernels->fold(at, plane, plane + folds->half, both, folds->bits);
    memcpy(at + both, plane + both, filled - both);
    memset(at + filled, 0, room - filled);
}
