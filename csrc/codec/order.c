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

int lwfc_order_gather(const struct lwfc_geometry *geometry, const struct lwfc_region *region,
                      const uint8_t *array, int levels, uint8_t *block)
{
    const struct order o = order_of(geometry);
    const size_t width = (size_t)region->extent.width;
    int largest = 0;
    for (int32_t s = 0; s < region->extent.samples; s++) {
        for (int32_t c = 0; c < region->extent.channels; c++) {
            for (int32_t y = 0; y < region->extent.height; y++, block += width) {
                const uint8_t *from = array + row_offset(&o, region, s, c, y);
                for (size_t x = 0; x < width; x++) {
                    block[x] = from[(ptrdiff_t)x * o.position];
                    largest = block[x] > largest ? block[x] : largest;
                }
            }
        }
    }
    return largest < levels ? 0 : -1;
}

void lwfc_order_scatter(const struct lwfc_geometry *geometry, const struct lwfc_region *region,
                        const uint8_t *block, uint8_t *array)
{
    const struct order o = order_of(geometry);
    const size_t width = (size_t)region->extent.width;
    for (int32_t s = 0; s < region->extent.samples; s++) {
        for (int32_t c = 0; c < region->extent.channels; c++) {
            for (int32_t y = 0; y < region->extent.height; y++, block += width) {
                uint8_t *to = array + row_offset(&o, region, s, c, y);
                if (o.position == 1) {
                    memcpy(to, block, width);
                    continue;
                }
                for (size_t x = 0; x < width; x++) {
                    to[(ptrdiff_t)x * o.position] = block[x];
                }
            }
        }
    }
}
