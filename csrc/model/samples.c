/* Ranges from samples: ACIQ's constant, and the least squared error by running
 * sums, where one error costs levels - 1 binary searches. */
#include "lwfc_model.h"

#include <math.h>

enum { STARTS = 33, WIDTHS = 97, WIDTHS_ALONE = 385, STEPS_MAX = 400 };

/* alpha / b = w with w e^w = 12 N^2 for a half range, 3 N^2 for a full one:
 * Banner, Nahshan, Soudry, "Post-training 4-bit quantization of convolution
 * networks for rapid deployment" (2019), for N levels. Newton on w + log w. */
double lwfc_model_aciq(double deviation, int levels, int half)
{
    if (!(deviation >= 0.0) || levels < 2 || levels > LWFC_MODEL_LEVELS_MAX) {
        return NAN;
    }
    const double target = log((half ? 12.0 : 3.0) * levels * levels);
    double w = target - log(target);
    for (int i = 0; i < 8; i++) {
        w -= (w + log(w) - target) * w / (w + 1.0);
    }
    return deviation * w;
}

/* Neumaier's compensated sum: prefix differences keep the digits of short
 * stretches far down a long array. */
static void sum_running(const double *x, size_t count, int squared, double *out)
{
    double sum = 0.0;
    double lost = 0.0;
    out[0] = 0.0;
    for (size_t i = 0; i < count; i++) {
        const double v = squared ? x[i] * x[i] : x[i];
        const double next = sum + v;
        lost += fabs(sum) >= fabs(v) ? (sum - next) + v : (v - next) + sum;
        sum = next;
        out[i + 1] = sum + lost;
    }
}

void lwfc_samples_sum(const double *sorted, size_t count, double *sums, double *squares)
{
    sum_running(sorted, count, 0, sums);
    sum_running(sorted, count, 1, squares);
}

/* The first index whose sample is above t. */
static size_t count_not_above(const struct lwfc_samples *s, double t)
{
    size_t first = 0;
    size_t length = s->count;
    while (length > 0) {
        const size_t half = length / 2;
        if (s->sorted[first + half] <= t) {
            first += half + 1;
            length -= half + 1;
        } else {
            length = half;
        }
    }
    return first;
}

/* The stop-loss identity, which holds for any distribution (section 4 of the
 * paper, derived anew). */
double lwfc_samples_error(const struct lwfc_samples *s, double lo, double hi, int levels)
{
    const double step = (hi - lo) / (levels - 1);
    const double n = (double)s->count;
    double losses = 0.0;
    for (int i = 1; i < levels; i++) {
        const double t = lo + (i - 0.5) * step;
        const size_t below = count_not_above(s, t);
        losses += s->sums[s->count] - s->sums[below] - (double)(s->count - below) * t;
    }
    const double moment = s->squares[s->count] - 2.0 * lo * s->sums[s->count] + n * lo * lo;
    return (moment - 2.0 * step * losses) / n;
}

static double scan_width(const struct lwfc_samples *s, int levels, double lo, int count,
                         double *best_hi)
{
    const double span = s->sorted[s->count - 1] - lo;
    const double ratio = pow(1e3 * 1.5, 1.0 / (count - 1));
    double best = INFINITY;
    double width = 1e-3 * span;
    for (int i = 0; i < count; i++) {
        const double e = lwfc_samples_error(s, lo, lo + width, levels);
        if (e < best) {
            best = e;
            *best_hi = lo + width;
        }
        width *= ratio;
    }
    return best;
}

/* Compass search: the error has kinks wherever a threshold meets a sample, so
 * derivatives are of no use. */
static void descend(const struct lwfc_samples *s, int levels, int free_lo, double *lo, double *hi,
                    double best)
{
    static const double moves[6][2] = {{0, 1}, {0, -1}, {1, 0}, {-1, 0}, {1, 1}, {-1, -1}};
    double step = 0.05 * (*hi - *lo);
    const double enough = 1e-9 * (*hi - *lo);
    for (int i = 0; i < STEPS_MAX && step > enough; i++) {
        int moved = 0;
        for (int k = 0; k < (free_lo ? 6 : 2) && !moved; k++) {
            const double from = *lo + step * moves[k][0];
            const double to = *hi + step * moves[k][1];
            if (from < to) {
                const double e = lwfc_samples_error(s, from, to, levels);
                if (e < best) {
                    best = e;
                    *lo = from;
                    *hi = to;
                    moved = 1;
                }
            }
        }
        if (!moved) {
            step *= 0.5;
        }
    }
}

int lwfc_samples_range(const struct lwfc_samples *s, int levels, int free_lo, double *lo,
                       double *hi)
{
    if (levels < 2 || levels > LWFC_MODEL_LEVELS_MAX || s->count == 0
        || (!free_lo && !isfinite(*lo))) {
        return LWFC_MODEL_ARGUMENT;
    }
    const double first = s->sorted[0];
    const double last = s->sorted[s->count - 1];
    if (!(free_lo ? first < last : *lo < last)) {
        return LWFC_MODEL_NO_FIT;
    }
    double best = INFINITY;
    if (!free_lo) {
        best = scan_width(s, levels, *lo, WIDTHS_ALONE, hi);
    } else {
        const double mean = s->sums[s->count] / (double)s->count;
        for (int i = 0; i < STARTS; i++) {
            /* Denser near the mean: the law may have a long lower tail. */
            const double share = (double)(STARTS - i) / STARTS;
            const double start = mean - (mean - first) * share * share;
            double end = last;
            const double e = scan_width(s, levels, start, WIDTHS, &end);
            if (e < best) {
                best = e;
                *lo = start;
                *hi = end;
            }
        }
    }
    if (!(best < INFINITY)) {
        return LWFC_MODEL_NO_FIT;
    }
    descend(s, levels, free_lo, lo, hi, best);
    return LWFC_MODEL_OK;
}
