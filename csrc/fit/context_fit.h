/* Fitting the context coder's model: which symbols a channel's model looks at, and the
 * weights of what it sees. Channels are independent, so any number of threads gives the
 * same result. */
#ifndef LWFC_FIT_CONTEXT_FIT_H
#define LWFC_FIT_CONTEXT_FIT_H

#include <stdint.h>

#include "lwfc_status.h"

enum {
    LWFC_FIT_PLANES = 10,     /* own: left, left-left, up, up-up, up-left, up-right; */
                              /* around in raster order: right, down, left */
    LWFC_FIT_PLACES = 5,      /* of a reference: the same position, right, down, left, up */
    LWFC_FIT_LOCAL = 12,      /* features of a channel's own neighbours: */
    LWFC_FIT_ACTIVITY = 11,   /* the last is the mean of the rows above in sixteenths */
    LWFC_FIT_LEVELS_MAX = 16,
    LWFC_FIT_REFERENCES_MAX = 255
};

/* Calibration rows: positions of samples, in an order whose beginnings are fair samples.
 * Of each channel and row the symbol, and what is around it. */
struct lwfc_fit_rows {
    const uint8_t *planes;  /* [LWFC_FIT_PLANES][channels][count], the symbols first */
    const uint16_t *above;  /* [channels][count]: mean of the rows above, in 1/256 */
    const float *decay;     /* [count]: share of the channel's mean to add to it */
    const double *mean;     /* [channels]: mean symbol */
    int64_t channels, count;
    int levels;
};

/* References of some channels: [channel][most], the first count[channel] are used. A slot is
 * an index into the coding order. */
struct lwfc_fit_references {
    int32_t *slots;
    uint8_t *places;
    int32_t *count;
};

/* Chooses at most `most` references for each of `count` channels from the channels
 * `earlier`, by orthogonal matching pursuit (Pati et al., 1993): channels at the same place
 * first, then places around these. covariance [channels][channels]: of the symbols. */
enum lwfc_status lwfc_fit_choose(const struct lwfc_fit_rows *rows, const float *covariance,
                                 const int32_t *channels, int64_t count, const int32_t *earlier,
                                 int64_t earlier_count, int most, int num_threads,
                                 const struct lwfc_fit_references *references);

/* Models of some channels. Features are LWFC_FIT_LOCAL of its own neighbours, then the symbols
 * referred to (as many as `most`), and with more than two levels whether each is above 0. Thresholds:
 * P(q >= k + 1) = sigmoid(w . (x - mean) + biases[k] + sides[k] * v . (x - mean)), v only
 * where a spread is fitted; sides are 1 in the lower half, -1 in the upper, else 0. */
struct lwfc_fit_model {
    double *weights; /* [channel][1 or 2][LWFC_FIT_LOCAL + most + most], zeros where unused */
    double *biases;  /* [channel][levels - 1], falling */
    double *mean;    /* [channel][LWFC_FIT_LOCAL + 2 * most] */
    double *bits;    /* [channel]: code length of the `held` rows */
};

/* Rows to fit on and to measure; NULL: all, and none. */
struct lwfc_fit_split {
    const int32_t *seen, *held;
    int64_t seen_count, held_count;
};

/* Newton's method on the penalised log-likelihood of cumulative logits (McCullagh,
 * "Regression models for ordinal data", 1980) for each of `count` channels. */
enum lwfc_status lwfc_fit_channels(const struct lwfc_fit_rows *rows, const int32_t *channels,
                                   int64_t count, const int32_t *order,
                                   const struct lwfc_fit_references *references, int most,
                                   int spread, const struct lwfc_fit_split *split,
                                   int num_threads, const struct lwfc_fit_model *models);

#endif
