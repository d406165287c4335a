/* The clipping range of least total error: a coarse scan of
 *     E(lo, hi) = Var Y + (E[Y] - lo)^2 - 2 D sum_i E[max(Y - t_i, 0)]
 * for the valleys, there may be several, then in each a damped Newton iteration
 * with the exact first and second derivatives (derived), which never climbs. */
#include "lwfc_model.h"
#include "model/law.h"
#include "model/solve.h"

#include <float.h>
#include <math.h>

enum { STARTS = 33, WIDTHS = 81, WIDTHS_ALONE = 321, CAP_LEVELS = 10, STEPS_MAX = 60 };

struct surface {
    double error;
    double d_lo, d_hi;              /* first derivatives */
    double lo_lo, lo_hi, hi_hi;     /* second derivatives */
};

static void evaluate(const struct lwfc_law *law, double lo, double hi, int levels,
                     struct surface *s)
{
    const double k = 1.0 / (levels - 1);
    const double d = (hi - lo) * k;
    double loss = 0.0, sv = 0.0, sw = 0.0, fvv = 0.0, fvw = 0.0, fww = 0.0;
    for (int i = 1; i < levels; i++) {
        const double w = (i - 0.5) * k; /* t_i = v lo + w hi */
        const double v = 1.0 - w;
        struct lwfc_law_tail tail;
        lwfc_law_measure_tail(law, lo + (i - 0.5) * d, &tail);
        loss += tail.loss;
        sv += tail.survival * v;
        sw += tail.survival * w;
        fvv += tail.density * v * v;
        fvw += tail.density * v * w;
        fww += tail.density * w * w;
    }
    const double bias = law->mean - lo;
    s->error = law->variance + bias * bias - 2.0 * d * loss;
    s->d_lo = -2.0 * bias + 2.0 * k * loss + 2.0 * d * sv;
    s->d_hi = -2.0 * k * loss + 2.0 * d * sw;
    s->lo_lo = 2.0 - 4.0 * k * sv - 2.0 * d * fvv;
    s->lo_hi = 2.0 * k * (sv - sw) - 2.0 * d * fvw;
    s->hi_hi = 4.0 * k * sw - 2.0 * d * fww;
}

static double total_error(const struct lwfc_law *law, double lo, double hi, int levels)
{
    const double d = (hi - lo) / (levels - 1);
    double loss = 0.0;
    for (int i = 1; i < levels; i++) {
        struct lwfc_law_tail tail;
        lwfc_law_measure_tail(law, lo + (i - 0.5) * d, &tail);
        loss += tail.loss;
    }
    const double bias = law->mean - lo;
    return law->variance + bias * bias - 2.0 * d * loss;
}

/* The step that solves (H + damping I) step = -gradient; 0 if that matrix is
 * not positive definite. */
static int newton_step(const struct surface *s, int free_lo, double damping, double *step_lo,
                       double *step_hi)
{
    const double c = s->hi_hi + damping;
    *step_lo = 0.0;
    *step_hi = -s->d_hi / c;
    if (!free_lo) {
        return c > 0.0;
    }
    const double a = s->lo_lo + damping;
    const double b = s->lo_hi;
    const double determinant = a * c - b * b;
    *step_lo = (b * s->d_hi - c * s->d_lo) / determinant;
    *step_hi = (b * s->d_lo - a * s->d_hi) / determinant;
    return a > 0.0 && c > 0.0 && determinant > 1e-14 * a * c;
}

/* The valley below *lo, *hi; the error at its bottom. */
static double descend(const struct lwfc_law *law, int levels, int free_lo, double *lo, double *hi)
{
    const double noise = 4.0 * DBL_EPSILON * (law->variance + law->mean * law->mean);
    struct surface here;
    evaluate(law, *lo, *hi, levels, &here);
    double damping = 0.0;
    for (int i = 0; i < STEPS_MAX && damping < 1e16; i++) {
        double step_lo, step_hi;
        if (newton_step(&here, free_lo, damping, &step_lo, &step_hi)) {
            const double length = fabs(step_lo) + fabs(step_hi);
            const double width = *hi - *lo;
            struct surface there;
            if (length < 1e-15 * (fabs(*lo) + fabs(*hi))) {
                break;
            }
            if (length < 0.5 * width) {
                evaluate(law, *lo + step_lo, *hi + step_hi, levels, &there);
                if (there.error <= here.error + noise) {
                    *lo += step_lo;
                    *hi += step_hi;
                    here = there;
                    damping = damping < 1e-8 ? 0.0 : 0.1 * damping;
                    continue;
                }
            }
        }
        damping = fmax(4.0 * damping, 1e-6);
    }
    return here.error;
}

/* The best valley found so far. */
struct best {
    double error;
    double lo;
    double hi;
};

static void try_start(const struct lwfc_law *law, int levels, int free_lo, double lo, double hi,
                      struct best *best)
{
    const double e = descend(law, levels, free_lo, &lo, &hi);
    /* A symmetric law has mirrored best ranges: take the first, whatever way
     * the last digits of their errors fall. */
    if (e < best->error - 1e-11 * law->variance && isfinite(lo) && isfinite(hi) && lo < hi) {
        *best = (struct best){e, lo, hi};
    }
}

/* Every valley that a geometric grid of widths shows for one lo. Levels need
 * not lie inside the bulk of the law, so the step D, not the width, is bounded. */
static void scan_width(const struct lwfc_law *law, int levels, int free_lo, double lo, double top,
                       int count, struct best *best)
{
    const double ratio = pow(500.0 * 1.5 * (levels - 1), 1.0 / (count - 1));
    double width = 2e-3 * (top - lo);
    double before = INFINITY;
    double here = total_error(law, lo, lo + width, levels);
    for (int i = 0; i < count; i++) {
        const double after = total_error(law, lo, lo + ratio * width, levels);
        if (here <= before && here < after) {
            try_start(law, levels, free_lo, lo, lo + width, best);
        }
        before = here;
        here = after;
        width *= ratio;
    }
    /* An atom at the cap attracts a level, which one is open: narrow valleys. */
    for (int j = levels - 1; isfinite(law->cap) && j > 0 && j >= levels - CAP_LEVELS; j--) {
        try_start(law, levels, free_lo, lo, lo + (law->cap - lo) * (levels - 1) / j, best);
    }
}

static double constant_slope(double u, const void *context)
{
    const double n = *(const double *)context;
    const double decay = exp(-n * u);
    const double sum = -expm1(-n * u);
    return sum + u * n * decay - 0.5 * u * sum / tanh(0.5 * u);
}

/* K_N = (N-1) u, u maximising u (1 - e^{-(N-1) u}) / sinh(u / 2) (section 4 of
 * the paper, derived anew). */
double lwfc_model_range_constant(int levels)
{
    if (levels < 2 || levels > LWFC_MODEL_LEVELS_MAX) {
        return NAN;
    }
    const double n = levels - 1;
    return n * lwfc_root_find(constant_slope, &n, 1e-2 / n, 4.0, 0.0);
}

int lwfc_activation_range(const struct lwfc_activation *model, int levels, int free_lo,
                          double *lo, double *hi)
{
    if (levels < 2 || levels > LWFC_MODEL_LEVELS_MAX || (!free_lo && !isfinite(*lo))) {
        return LWFC_MODEL_ARGUMENT;
    }
    struct lwfc_law law;
    lwfc_law_make(model, &law);
    const double tail_start = fmax(law.mu, 0.0);
    if (!free_lo && *lo >= tail_start && isinf(law.cap)) {
        /* Above tail_start the law has no memory: as for lo = 0. */
        *hi = *lo + lwfc_model_range_constant(levels) / law.theta;
        return *hi > *lo ? LWFC_MODEL_OK : LWFC_MODEL_NO_FIT;
    }
    const double top = lwfc_law_map(&law, tail_start + 20.0 / law.theta);
    const double bottom = lwfc_law_map(&law, law.mu - 20.0 / law.phi);
    if (!free_lo && !(*lo < top)) {
        return LWFC_MODEL_NO_FIT;
    }
    struct best best = {INFINITY, 0.0, 0.0};
    if (!free_lo) {
        scan_width(&law, levels, 0, *lo, top, WIDTHS_ALONE, &best);
    }
    for (int i = 0; free_lo && i < STARTS; i++) {
        scan_width(&law, levels, 1, bottom + i * (law.mean - bottom) / STARTS, top, WIDTHS, &best);
    }
    *lo = free_lo ? best.lo : *lo;
    *hi = best.hi;
    return best.error < INFINITY ? LWFC_MODEL_OK : LWFC_MODEL_NO_FIT;
}
