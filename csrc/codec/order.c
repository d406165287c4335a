#include "codec/order.h"

#include <stddef.h>
#include <string.h>

/* Where the rows of a region stand in the array. */
struct order {
    ptrdiff_t sample, frame, channel, position; /* strides */
    ptrdiff_t frames, width;                    /* of a sample; positions of a whole row */
};

static struct order order_of(const struct lwfc_geometry *g)
{
    const int channels_follow = g->channel_axis >= 0 && g->spatial_begin < g->channel_axis;
    const ptrdiff_t plane = (ptrdiff_t)(g->height * g->width), frames = (ptrdiff_t)g->frames;
    return (struct order){.sample = plane * (ptrdiff_t)g->channels * frames,
                          .frame = plane,
                          .channel = channels_follow ? 1 : plane * frames,
                          .frames = frames,
                          .position = channels_follow ? (ptrdiff_t)g->channels : 1,
                          .width = (ptrdiff_t)g->width};
}

static ptrdiff_t row_offset(const struct order *o, const struct lwfc_region *r, int32_t sample,
                            int32_t channel, int32_t row)
{
    const ptrdiff_t number = (ptrdiff_t)(r->sample + sample);
    return number / o->frames * o->sample + number % o->frames * o->frame +
           (ptrdiff_t)(r->channel + channel) * o->channel +
           ((ptrdiff_t)(r->row + row) * o->width + (ptrdiff_t)r->column) * o->position;
}

/* How many rows of a channel are one run of the array: all of them, or one. */
static int32_t rows_together(const struct order *o, const struct lwfc_region *r)
{
    return o->position == 1 && r->extent.width == o->width ? r->extent.height : 1;
}

static uint8_t largest_of(const uint8_t *symbols, size_t n)
{
    uint8_t largest = 0;
    for (size_t i = 0; i < n; i++) {
        largest = symbols[i] > largest ? symbols[i] : largest;
    }
    return largest;
}

/* n symbols, `from_step` apart, to places `to_step` apart. */
static void copy_run(const uint8_t *from, ptrdiff_t from_step, uint8_t *to, ptrdiff_t to_step,
                     size_t n)
{
    if (from_step == 1 && to_step == 1) {
        memcpy(to, from, n);
        return;
    }
    for (ptrdiff_t x = 0; x < (ptrdiff_t)n; x++) {
        to[x * to_step] = from[x * from_step];
    }
}

int lwfc_order_gather(const struct lwfc_geometry *geometry, const struct lwfc_region *region,
                      const uint8_t *array, int levels, uint8_t *block)
{
    const struct order o = order_of(geometry);
    const int32_t rows = rows_together(&o, region);
    const size_t n = (size_t)rows * (size_t)region->extent.width;
    uint8_t *to = block;
    for (int32_t s = 0; s < region->extent.samples; s++) {
        for (int32_t c = 0; c < region->extent.channels; c++) {
            for (int32_t y = 0; y < region->extent.height; y += rows, to += n) {
                copy_run(array + row_offset(&o, region, s, c, y), o.position, to, 1, n);
            }
        }
    }
    return largest_of(block, (size_t)(to - block)) < levels ? 0 : -1;
}

void lwfc_order_scatter(const struct lwfc_geometry *geometry, const struct lwfc_region *region,
                        const uint8_t *block, uint8_t *array)
{
    const struct order o = order_of(geometry);
    const int32_t rows = rows_together(&o, region);
    const size_t n = (size_t)rows * (size_t)region->extent.width;
    for (int32_t s = 0; s < region->extent.samples; s++) {
        for (int32_t c = 0; c < region->extent.channels; c++) {
            for (int32_t y = 0; y < region->extent.height; y += rows, block += n) {
                copy_run(block, 1, array + row_offset(&o, region, s, c, y), o.position, n);
            }
        }
    }
}
