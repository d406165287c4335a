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

/* The offsets of references [from, to), to a sample whose folds begin at `start`. A
 * sample's take fewer than 2^32 bytes: symbols are at most 2^30. */
static void fill_offsets(const struct lwfc_context_folds *f,
                         const struct lwfc_context_model *m, size_t from, size_t to, size_t width,
                         size_t start)
{
    const uint32_t first = (uint32_t)(start + f->margin);
    const uint32_t stride = (uint32_t)f->stride;
    const uint32_t row = (uint32_t)width;
    uint32_t *const offset = f->offset;
    for (size_t i = from; i < to; i++) {
        const struct lwfc_context_reference r = m->reference[i];
        offset[i] = first + r.slot * stride + (uint32_t)r.down * row + (uint32_t)r.right;
    }
}

struct lwfc_context_folds lwfc_context_folds_make(const struct lwfc_context_model *model,
                                                  size_t height, size_t width, int samples,
                                                  uint8_t *memory)
{
    struct lwfc_context_folds f = layout(model, height, width);
    f.kernels = lwfc_context_kernels_for(lwfc_cpu_features());
    f.offset = (uint32_t *)memory;
    f.slots = memory + model->references * sizeof *f.offset;
    for (int i = 0; i < model->groups; i++) {
        const uint32_t *const own = model->group[i].first;
        fill_offsets(&f, model, own[0], own[LWFC_LANES], width, 0);
        if (samples > 1 && model->pair != NULL) {
            const uint32_t *const both = model->pair[i].first;
            fill_offsets(&f, model, both[LWFC_CONTEXT_PAIR_LANES], both[LWFC_LANES], width,
                         f.count * f.stride);
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
