/* The closed forms of struct lwfc_activation: density, moments, errors. */
#include "lwfc_model.h"
#include "model/law.h"

#include <math.h>

int lwfc_activation_valid(const struct lwfc_activation *model)
{
    return model->rate > 0.0 && isfinite(model->rate) && isfinite(model->location)
        && model->skew >= 1e-3 && model->skew <= 1e3 && model->slope >= 0.0
        && model->slope <= 1.0 && model->cap > 0.0;
}

double lwfc_activation_mean(const struct lwfc_activation *model)
{
    struct lwfc_law law;
    lwfc_law_make(model, &law);
    return law.mean;
}

double lwfc_activation_variance(const struct lwfc_activation *model)
{
    struct lwfc_law law;
    lwfc_law_make(model, &law);
    return law.variance;
}

double lwfc_activation_pdf(const struct lwfc_activation *model, double y)
{
    if (isnan(y)) {
        return y;
    }
    struct lwfc_law law;
    struct lwfc_law_tail tail;
    lwfc_law_make(model, &law);
    lwfc_law_measure_tail(&law, y, &tail);
    return tail.density;
}

double lwfc_activation_cdf(const struct lwfc_activation *model, double y)
{
    if (isnan(y)) {
        return y;
    }
    struct lwfc_law law;
    lwfc_law_make(model, &law);
    if (y >= law.cap) {
        return 1.0;
    }
    if (y < 0.0 && law.slope == 0.0) {
        return 0.0;
    }
    const double z = (y < 0.0 ? y / law.slope : y) - law.mu;
    return z < 0.0 ? law.below * exp(law.phi * z) : 1.0 - law.above * exp(-law.theta * z);
}

double lwfc_activation_atom_zero(const struct lwfc_activation *model)
{
    return model->slope == 0.0 ? lwfc_activation_cdf(model, 0.0) : 0.0;
}

double lwfc_activation_atom_cap(const struct lwfc_activation *model)
{
    struct lwfc_law law;
    double moments[3];
    lwfc_law_make(model, &law);
    lwfc_law_integrate(&law, law.cap, INFINITY, 0.0, moments);
    return moments[0];
}

double lwfc_activation_stop_loss(const struct lwfc_activation *model, double t)
{
    struct lwfc_law law;
    struct lwfc_law_tail tail;
    lwfc_law_make(model, &law);
    lwfc_law_measure_tail(&law, t, &tail);
    return tail.loss;
}

double lwfc_activation_deviation(const struct lwfc_activation *model)
{
    struct lwfc_law law;
    struct lwfc_law_tail tail;
    lwfc_law_make(model, &law);
    lwfc_law_measure_tail(&law, law.mean, &tail);
    return 2.0 * tail.loss;
}

static int valid_range(double lo, double hi, int levels)
{
    return isfinite(lo) && isfinite(hi) && lo < hi && levels >= 2
        && levels <= LWFC_MODEL_LEVELS_MAX;
}

/* Lower end of cell i inside the range: lo, then the midpoints, then hi. */
static double cell_edge(double lo, double hi, int levels, int i)
{
    if (i == 0) {
        return lo;
    }
    return i == levels ? hi : lo + (i - 0.5) * (hi - lo) / (levels - 1);
}

int lwfc_activation_error(const struct lwfc_activation *model, double lo, double hi, int levels,
                          double *clipping, double *quantisation)
{
    if (!valid_range(lo, hi, levels)) {
        return LWFC_MODEL_ARGUMENT;
    }
    struct lwfc_law law;
    double moments[3];
    lwfc_law_make(model, &law);
    lwfc_law_integrate(&law, -INFINITY, lo, lo, moments);
    *clipping = moments[2];
    lwfc_law_integrate(&law, hi, INFINITY, hi, moments);
    *clipping += moments[2];
    *quantisation = 0.0;
    for (int i = 0; i < levels; i++) {
        const double value = lo + i * (hi - lo) / (levels - 1);
        lwfc_law_integrate(&law, cell_edge(lo, hi, levels, i), cell_edge(lo, hi, levels, i + 1),
                           value, moments);
        *quantisation += moments[2];
    }
    return LWFC_MODEL_OK;
}

double lwfc_activation_total_error(const struct lwfc_activation *model, double lo, double hi,
                                   int levels)
{
    if (!valid_range(lo, hi, levels)) {
        return NAN;
    }
    struct lwfc_law law;
    lwfc_law_make(model, &law);
    double losses = 0.0;
    for (int i = 1; i < levels; i++) {
        struct lwfc_law_tail tail;
        lwfc_law_measure_tail(&law, cell_edge(lo, hi, levels, i), &tail);
        losses += tail.loss;
    }
    const double bias = law.mean - lo;
    return law.variance + bias * bias - 2.0 * (hi - lo) / (levels - 1) * losses;
}

int lwfc_activation_cells(const struct lwfc_activation *model, double lo, double hi, int levels,
                          double *probabilities)
{
    if (!valid_range(lo, hi, levels)) {
        return LWFC_MODEL_ARGUMENT;
    }
    struct lwfc_law law;
    lwfc_law_make(model, &law);
    for (int i = 0; i < levels; i++) {
        double moments[3];
        const double from = i == 0 ? -INFINITY : cell_edge(lo, hi, levels, i);
        const double to = i == levels - 1 ? INFINITY : cell_edge(lo, hi, levels, i + 1);
        lwfc_law_integrate(&law, from, to, 0.0, moments);
        probabilities[i] = moments[0];
    }
    return LWFC_MODEL_OK;
}
