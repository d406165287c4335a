/* Sums behind restoration's few numbers a channel and symbol. Channels are independent, so any
 * number of threads gives the same result. */
#ifndef LWFC_FIT_MOMENTS_H
#define LWFC_FIT_MOMENTS_H

#include <stdint.h>

/* Rows are positions of samples, all arrays [count][channels]: the symbol, what its own
 * channel's neighbours add up to (beside it, above and below, on the diagonals), a score from
 * other channels, and the value. */
struct lwfc_fit_values {
    const uint8_t *symbols;   /* below `levels` */
    const uint8_t *around[3];
    const float *score;       /* NULL: 0 */
    const float *values;
    int64_t channels, count;
    int levels;
};

enum { LWFC_FIT_ALL = 21, LWFC_FIT_SCORED = 5 };

/* Adds to sums [channels][levels][LWFC_FIT_ALL] the products, lower triangle by rows, of
 * 1, score, three sums around, value. */
void lwfc_fit_moments(const struct lwfc_fit_values *rows, int num_threads, double *sums);

/* Adds to sums [channels][levels][LWFC_FIT_SCORED] how many, score, value, score * score and
 * score * value, the score with own [channels][3] times the sums around. */
void lwfc_fit_scored(const struct lwfc_fit_values *rows, const float *own, int num_threads,
                     double *sums);

/* Sets errors [channels] to the summed squares of value less estimate, which is
 * offset + slope * (score + own . around), both [channels][levels], within the symbol's
 * low..high [levels]. */
void lwfc_fit_errors(const struct lwfc_fit_values *rows, const float *own, const float *offset,
                     const float *slope, const float *low, const float *high, int num_threads,
                     double *errors);

/* Values and their symbols, arrays [samples][channels][positions]; of each channel and symbol,
 * arrays [channels][levels], how many values there are, their sum, the least and the largest
 * (INFINITY and -INFINITY where there are none). */
struct lwfc_fit_cells {
    const float *values;
    const uint8_t *symbols; /* below `levels` */
    int64_t samples, channels, positions;
    int levels;
    double *counts, *sums;
    float *low, *high;
};

void lwfc_fit_cells(const struct lwfc_fit_cells *cells, int num_threads);

#endif
