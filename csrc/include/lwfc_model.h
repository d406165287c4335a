/* The activation model: what a leaky-ReLU-like layer's outputs look like, how
 * large the error of clipping and quantising them is, which clipping range is
 * best, and the entropy-constrained quantizer design.
 *
 * Pure functions of doubles. They allocate nothing and keep no state: arrays
 * come from the caller. Formulas follow R. A. Cohen, H. Choi, I. V. Bajic,
 * "Lightweight Compression of Intermediate Neural Network Features for
 * Collaborative Intelligence" (2021); "derived" marks the others. */
#ifndef LWFC_INCLUDE_MODEL_H
#define LWFC_INCLUDE_MODEL_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { LWFC_MODEL_LEVELS_MAX = 256 };

enum lwfc_model_status {
    LWFC_MODEL_OK = 0,
    LWFC_MODEL_ARGUMENT = 1, /* a parameter is outside its documented range */
    LWFC_MODEL_NO_FIT = 2    /* no member of the family has these moments, or no best range */
};

/* X is asymmetric Laplace with mode `location`, decay rate*skew to the right
 * and rate/skew to the left (the paper's lambda, mu, kappa). The activation is
 *     Y = X for X >= 0, slope * X for X < 0, then min(Y, cap).
 * slope 0 is ReLU, 1 the identity; cap is INFINITY where there is none. */
struct lwfc_activation {
    double rate;     /* > 0 */
    double location; /* any sign */
    double skew;     /* 0.001 ... 1000; the paper fixes 0.5 */
    double slope;    /* 0 ... 1 */
    double cap;      /* > 0, or INFINITY */
};

/* The model with this mean and variance of Y; skew, slope and cap are given.
 * Needs variance > 0, and mean > 0 unless slope is 1; under a cap mean < cap,
 * and variance < mean * (cap - mean) for slope 0. */
int lwfc_activation_fit(double mean, double variance, double skew, double slope, double cap,
                        struct lwfc_activation *model);
/* Nonzero if every field is in its range. */
int lwfc_activation_valid(const struct lwfc_activation *model);

/* The functions below need a valid model. */
double lwfc_activation_mean(const struct lwfc_activation *model);
double lwfc_activation_variance(const struct lwfc_activation *model);
/* The density without the atoms; at 0 its limit from the right. */
double lwfc_activation_pdf(const struct lwfc_activation *model, double y);
/* P(Y <= y), atoms included. */
double lwfc_activation_cdf(const struct lwfc_activation *model, double y);
/* The atoms: P(Y = 0), positive for slope 0 only, and P(Y = cap). */
double lwfc_activation_atom_zero(const struct lwfc_activation *model);
double lwfc_activation_atom_cap(const struct lwfc_activation *model);
/* E[max(Y - t, 0)] for any finite t. */
double lwfc_activation_stop_loss(const struct lwfc_activation *model, double t);
/* E|Y - E[Y]|, which ACIQ calls b. */
double lwfc_activation_deviation(const struct lwfc_activation *model);

/* Mean squared errors of the uniform quantizer with `levels` values from lo to
 * hi inclusive: out of the range and inside it. LWFC_MODEL_ARGUMENT unless
 * lo < hi, both finite, and 2 <= levels <= 256. */
int lwfc_activation_error(const struct lwfc_activation *model, double lo, double hi, int levels,
                          double *clipping, double *quantisation);
/* Their sum by the stop-loss identity
 *     E[(Y - lo)^2] - 2 D sum_i E[max(Y - t_i, 0)],  D = (hi - lo) / (levels - 1):
 * one exponential per level. NAN on a bad argument. */
double lwfc_activation_total_error(const struct lwfc_activation *model, double lo, double hi,
                                   int levels);
/* P(t_i <= Y < t_{i+1}) of every cell; the outer cells are unbounded. */
int lwfc_activation_cells(const struct lwfc_activation *model, double lo, double hi, int levels,
                          double *probabilities);

/* K_N: with lo = 0 and location <= 0 the best hi is K_N / (rate * skew),
 * whatever slope and location. NAN unless 2 <= levels <= 256. */
double lwfc_model_range_constant(int levels);
/* The range of least total error. With free_lo 0 *lo is given and stays. */
int lwfc_activation_range(const struct lwfc_activation *model, int levels, int free_lo,
                          double *lo, double *hi);

/* ACIQ's alpha for a Laplace prior with b = E|Y - E[Y]|: the range is
 * [0, alpha] (half) or E[Y] -+ alpha (full). NAN on a bad argument. */
double lwfc_model_aciq(double deviation, int levels, int half);

/* Sorted samples with their running sums, n + 1 of each:
 * sums[i] = y[0] + ... + y[i-1], squares[i] the same of y^2. */
struct lwfc_samples {
    const double *sorted;
    const double *sums;
    const double *squares;
    size_t count;
};

/* Compensated running sums for struct lwfc_samples. */
void lwfc_samples_sum(const double *sorted, size_t count, double *sums, double *squares);
/* Mean squared error of the uniform quantizer on the samples. */
double lwfc_samples_error(const struct lwfc_samples *samples, double lo, double hi, int levels);
/* The range of least squared error on the samples. Needs values above lo. */
int lwfc_samples_range(const struct lwfc_samples *samples, int levels, int free_lo, double *lo,
                       double *hi);

enum lwfc_lengths {
    LWFC_LENGTHS_ENTROPY = 0,        /* -log2 of the cell's probability */
    LWFC_LENGTHS_TRUNCATED_UNARY = 1 /* min(i + 1, levels - 1) */
};

struct lwfc_ecsq_options {
    int levels;
    double lo; /* lo < hi, both within the finite floats */
    double hi;
    double rate_weight; /* squared error per bit, >= 0 */
    int pinned;         /* keep the outer values at lo and hi */
    enum lwfc_lengths lengths;
    double tolerance;   /* stop when the Lagrangian falls by less, relatively */
    int iterations_max; /* >= 1 */
};

struct lwfc_ecsq_design {
    int levels; /* levels that keep a cell, at least 2 */
    float thresholds[LWFC_MODEL_LEVELS_MAX - 1];
    float values[LWFC_MODEL_LEVELS_MAX];
    double probabilities[LWFC_MODEL_LEVELS_MAX];
    double rate;       /* mean code length in bits, of `lengths` over the levels kept */
    double distortion; /* mean squared error against the values before clipping */
    double lagrangian; /* last Lagrangian, on clipped values and all levels */
    int iterations;
};

int lwfc_samples_design(const struct lwfc_samples *samples,
                        const struct lwfc_ecsq_options *options, struct lwfc_ecsq_design *design);
int lwfc_activation_design(const struct lwfc_activation *model,
                           const struct lwfc_ecsq_options *options,
                           struct lwfc_ecsq_design *design);

#ifdef __cplusplus
}
#endif
#endif
