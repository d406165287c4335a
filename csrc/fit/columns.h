/* Calibration rows of one channel as columns of 16-bit features. */
#ifndef LWFC_FIT_COLUMNS_H
#define LWFC_FIT_COLUMNS_H

#include <stddef.h>
#include <stdint.h>

#include "fit/context_fit.h"
#include "kernels/fit_kernels.h"

static inline size_t lwfc_fit_blocks(size_t rows)
{
    return (rows + LWFC_FIT_BLOCK - 1) / LWFC_FIT_BLOCK;
}

/* The rows of a column with its last block filled up. */
static inline size_t lwfc_fit_padded(size_t rows)
{
    return lwfc_fit_blocks(rows) * LWFC_FIT_BLOCK;
}

/* x[i] = plane[pick[i]], or plane[i] without `pick`; the block's rest is 0. */
void lwfc_fit_copy(const uint8_t *plane, const int32_t *pick, size_t count, int16_t *x);

/* The channel's own features: all but the activity, `stride` apart, and that. */
void lwfc_fit_local(const struct lwfc_fit_rows *rows, int32_t channel, const int32_t *pick,
                    size_t count, int16_t *x, size_t stride, int16_t *activity);

/* The plane that a reference to a channel reads. */
const uint8_t *lwfc_fit_plane(const struct lwfc_fit_rows *rows, int32_t channel, int place);

#endif
