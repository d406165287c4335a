#include "fit/columns.h"

enum { SELF, LEFT, LEFT2, UP, UP2, UP_LEFT, UP_RIGHT, AROUND };

static const uint8_t *plane_of(const struct lwfc_fit_rows *rows, int32_t channel, int plane)
{
    return rows->planes + ((size_t)plane * (size_t)rows->channels + (size_t)channel) *
                              (size_t)rows->count;
}

const uint8_t *lwfc_fit_plane(const struct lwfc_fit_rows *rows, int32_t channel, int place)
{
    static const int planes[LWFC_FIT_PLACES] = {SELF, AROUND, AROUND + 1, AROUND + 2, UP};
    return plane_of(rows, channel, planes[place]);
}

void lwfc_fit_copy(const uint8_t *plane, const int32_t *pick, size_t count, int16_t *x)
{
    if (pick != NULL) {
        for (size_t i = 0; i < count; i++) {
            x[i] = plane[pick[i]];
        }
    } else {
        for (size_t i = 0; i < count; i++) {
            x[i] = plane[i];
        }
    }
    for (size_t i = count; i < lwfc_fit_padded(count); i++) {
        x[i] = 0;
    }
}

/* A symbol, whether it is above 0, and whether it is the last. */
static void spread_out(int last, size_t count, int16_t *x, size_t stride)
{
    for (size_t i = 0; i < count; i++) {
        x[stride + i] = x[i] > 0;
        x[2 * stride + i] = x[i] == last;
    }
}

void lwfc_fit_local(const struct lwfc_fit_rows *rows, int32_t channel, const int32_t *pick,
                    size_t count, int16_t *x, size_t stride, int16_t *activity)
{
    static const int planes[] = {LEFT, LEFT2, UP, UP2, UP_LEFT, UP_RIGHT, UP};
    static const int columns[] = {0, 3, 6, 7, 8, 9, 10};
    const size_t padded = lwfc_fit_padded(count);
    for (int i = 0; i < 7; i++) {
        int16_t *column = x + (size_t)columns[i] * stride;
        lwfc_fit_copy(plane_of(rows, channel, planes[i]), pick, count, column);
        if (i < 2) {
            spread_out(rows->levels - 1, padded, column, stride);
        }
    }
    int16_t *up = x + 10 * stride;
    const uint16_t *above = rows->above + (size_t)channel * (size_t)rows->count;
    const float mean = 16.0F * (float)rows->mean[channel];
    for (size_t i = 0; i < padded; i++) {
        up[i] = up[i] > 0;
    }
    for (size_t i = 0; i < count; i++) {
        const size_t row = pick != NULL ? (size_t)pick[i] : i;
        activity[i] = (int16_t)((float)above[row] * (1.0F / 16) + rows->decay[row] * mean);
    }
    for (size_t i = count; i < padded; i++) {
        activity[i] = 0;
    }
}
