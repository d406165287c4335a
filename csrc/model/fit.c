/* Fitting: rate and location from the mean and variance of Y.
 *
 * There is at most one solution. With the mean held, a smaller rate stretches
 * X's quantile function, so two candidate quantile functions cross once; the
 * activation is monotone and keeps that; equal means and one crossing order
 * the two laws convexly, so the variance rises strictly (derived). */
#include "lwfc_model.h"
#include "model/law.h"
#include "model/solve.h"

#include <math.h>

enum { DOUBLINGS_MAX = 200 };

/* With rate 1 and location t the shape is fixed, and mean / deviation of Y is
 * an increasing function of t alone. */
struct shape {
    struct lwfc_activation model;
    double ratio;
};

static double ratio_excess(double t, const void *context)
{
    struct shape shape = *(const struct shape *)context;
    struct lwfc_law law;
    shape.model.location = t;
    lwfc_law_make(&shape.model, &law);
    return law.mean / sqrt(law.variance) - shape.ratio;
}

/* Moves *end by doubling steps until the increasing function has sign(step). */
static int widen(lwfc_root_function *function, const void *context, double step, double *end)
{
    for (int i = 0; i < DOUBLINGS_MAX; i++) {
        const double f = function(*end, context);
        if (step > 0.0 ? f >= 0.0 : f <= 0.0) {
            return LWFC_MODEL_OK;
        }
        if (isnan(f)) {
            break;
        }
        *end += step;
        step *= 2.0;
    }
    return LWFC_MODEL_NO_FIT;
}

static int fit_uncapped(double mean, double variance, struct lwfc_activation *model)
{
    const double k = model->skew;
    const double sd = sqrt(variance);
    if (model->slope == 1.0) { /* Y = X: E[X], Var X inverted */
        model->rate = sqrt(k * k + 1.0 / (k * k)) / sd;
        model->location = mean - (1.0 / k - k) / model->rate;
        return LWFC_MODEL_OK;
    }
    const double ratio = mean / sd;
    const double positive = 2.0 / (1.0 + 1.0 / (ratio * ratio)); /* 2 m^2 / (v + m^2) */
    if (model->slope == 0.0 && positive <= 1.0 / (1.0 + k * k)) {
        /* ReLU with location <= 0 is explicit: theta = 2 m / (v + m^2). */
        const double theta = positive / mean;
        model->rate = theta / k;
        model->location = log(positive * (1.0 + k * k)) / theta;
        return LWFC_MODEL_OK;
    }
    struct shape shape = {*model, ratio};
    shape.model.rate = 1.0;
    double lo = model->slope == 0.0 ? 0.0 : -1.0;
    double hi = 1.0;
    if (widen(ratio_excess, &shape, 1.0, &hi) != LWFC_MODEL_OK
        || (model->slope > 0.0 && widen(ratio_excess, &shape, -1.0, &lo) != LWFC_MODEL_OK)) {
        return LWFC_MODEL_NO_FIT;
    }
    /* For slope 0 the root is above 0, where the explicit branch ends. */
    const double t = ratio_excess(lo, &shape) >= 0.0 ? lo
                                                     : lwfc_root_find(ratio_excess, &shape, lo,
                                                                      hi, 0.0);
    struct lwfc_law law;
    shape.model.location = t;
    lwfc_law_make(&shape.model, &law);
    model->rate = sqrt(law.variance) / sd;
    model->location = t / model->rate;
    return LWFC_MODEL_OK;
}

/* Under a cap the scale does not drop out: solve for the location that gives
 * the mean inside the solve for the rate that gives the variance. The cap is
 * scaled to 1. */
struct capped {
    struct lwfc_activation model;
    double mean;
    double variance;
};

static double mean_excess(double location, const void *context)
{
    const struct capped *capped = context;
    struct lwfc_activation model = capped->model;
    model.location = location;
    struct lwfc_law law;
    lwfc_law_make(&model, &law);
    return law.mean - capped->mean;
}

static double locate_mean(const struct capped *capped)
{
    const double step = 1.0 / capped->model.rate;
    double lo = capped->mean - step;
    double hi = capped->mean + step;
    if (widen(mean_excess, capped, -step, &lo) != LWFC_MODEL_OK
        || widen(mean_excess, capped, step, &hi) != LWFC_MODEL_OK) {
        return NAN;
    }
    return lwfc_root_find(mean_excess, capped, lo, hi, 0.0);
}

/* Rises with the scale 1 / rate; the logarithm evens out the range. */
static double variance_excess(double log_scale, const void *context)
{
    struct capped capped = *(const struct capped *)context;
    struct lwfc_law law;
    double moments[3];
    capped.model.rate = exp(-log_scale);
    capped.model.location = locate_mean(&capped);
    if (isnan(capped.model.location)) {
        return NAN;
    }
    lwfc_law_make(&capped.model, &law);
    lwfc_law_integrate(&law, -INFINITY, INFINITY, capped.mean, moments);
    return moments[2] / capped.variance - 1.0;
}

static int fit_capped(double mean, double variance, struct lwfc_activation *model)
{
    const double cap = model->cap;
    struct capped capped = {*model, mean / cap, variance / cap / cap};
    if (mean >= cap
        || (model->slope == 0.0 && capped.variance >= capped.mean * (1.0 - capped.mean))) {
        return LWFC_MODEL_NO_FIT;
    }
    capped.model.cap = 1.0;
    double lo = 0.5 * log(capped.variance) - 2.0;
    double hi = lo + 2.0;
    if (widen(variance_excess, &capped, -1.0, &lo) != LWFC_MODEL_OK
        || widen(variance_excess, &capped, 1.0, &hi) != LWFC_MODEL_OK) {
        return LWFC_MODEL_NO_FIT;
    }
    const double log_scale = lwfc_root_find(variance_excess, &capped, lo, hi, 1e-15);
    if (isnan(log_scale)) {
        return LWFC_MODEL_NO_FIT;
    }
    capped.model.rate = exp(-log_scale);
    model->rate = capped.model.rate / cap;
    model->location = locate_mean(&capped) * cap;
    return LWFC_MODEL_OK;
}

/* False where doubles cannot hold the answer, such as a mean an ulp below the
 * cap. */
static int has_moments(const struct lwfc_activation *model, double mean, double variance)
{
    struct lwfc_law law;
    lwfc_law_make(model, &law);
    return fabs(law.mean - mean) <= 1e-6 * sqrt(variance)
        && fabs(law.variance - variance) <= 1e-6 * variance;
}

int lwfc_activation_fit(double mean, double variance, double skew, double slope, double cap,
                        struct lwfc_activation *model)
{
    const struct lwfc_activation parameters = {1.0, 0.0, skew, slope, cap};
    if (!lwfc_activation_valid(&parameters)) {
        return LWFC_MODEL_ARGUMENT;
    }
    if (!isfinite(mean) || !isfinite(variance) || !(variance > 0.0)
        || (mean <= 0.0 && slope < 1.0)) {
        return LWFC_MODEL_NO_FIT;
    }
    *model = parameters;
    const int status = isinf(cap) ? fit_uncapped(mean, variance, model)
                                  : fit_capped(mean, variance, model);
    if (status != LWFC_MODEL_OK) {
        return status;
    }
    return lwfc_activation_valid(model) && has_moments(model, mean, variance)
         ? LWFC_MODEL_OK : LWFC_MODEL_NO_FIT;
}
