#include "model/law.h"

#include <math.h>

/* out[k] = integral of s^k exp(-rate s) over 0 <= s < width, without the
 * cancellation of the textbook antiderivative at small rate * width. Derived:
 * g_k = int_0^1 u^k e^{-zu} du = e^{-z}/(k+1) (1 + z/(k+2) (1 + z/(k+3) (...))),
 * all terms positive, and by parts k g_{k-1} = z g_k + e^{-z}. */
static void decay_moments(double rate, double width, double out[3])
{
    const double z = rate * width;
    if (z > 745.0) { /* exp(-z) is 0; also width = inf */
        out[0] = 1.0 / rate;
        out[1] = out[0] / rate;
        out[2] = 2.0 * out[1] / rate;
        return;
    }
    double g0, g1, g2;
    const double e = exp(-z);
    if (z < 2.0) {
        double term = 1.0 / 3.0;
        double sum = term;
        for (int k = 4; term > 1e-18; k++) {
            term *= z / k;
            sum += term;
        }
        g2 = e * sum;
        g1 = 0.5 * (z * g2 + e);
        g0 = z * g1 + e;
    } else {
        g0 = (1.0 - e) / z;
        g1 = (g0 - e) / z;
        g2 = (2.0 * g1 - e) / z;
    }
    out[0] = width * g0;
    out[1] = width * width * g1;
    out[2] = width * width * width * g2;
}

/* Adds the moments of scale * x + offset over a stretch on one side of mu. It
 * starts at its densest end, `start`, and runs `width` in `direction`. */
static void add_stretch(double density, double rate, double start, double width, double direction,
                        double scale, double offset, double out[3])
{
    double g[3];
    decay_moments(rate, width, g);
    const double at = scale * start + offset;
    const double slant = direction * scale;
    out[0] += density * g[0];
    out[1] += density * (at * g[0] + slant * g[1]);
    out[2] += density * (at * at * g[0] + 2.0 * at * slant * g[1] + slant * slant * g[2]);
}

static void add_interval(const struct lwfc_law *law, double from, double to, double scale,
                         double offset, double out[3])
{
    if (!(from < to)) {
        return;
    }
    if (from < law->mu) {
        const double start = fmin(to, law->mu);
        add_stretch(law->peak * exp(law->phi * (start - law->mu)), law->phi, start, start - from,
                    -1.0, scale, offset, out);
    }
    if (to > law->mu) {
        const double start = fmax(from, law->mu);
        add_stretch(law->peak * exp(-law->theta * (start - law->mu)), law->theta, start,
                    to - start, 1.0, scale, offset, out);
    }
}

void lwfc_law_integrate(const struct lwfc_law *law, double lo, double hi, double centre,
                        double out[3])
{
    out[0] = out[1] = out[2] = 0.0;
    if (law->slope > 0.0) {
        add_interval(law, lo / law->slope, fmin(hi / law->slope, 0.0), law->slope, -centre, out);
    } else if (lo <= 0.0 && 0.0 < hi) {
        add_interval(law, -INFINITY, 0.0, 0.0, -centre, out);
    }
    add_interval(law, fmax(lo, 0.0), fmin(hi, law->cap), 1.0, -centre, out);
    if (lo <= law->cap && law->cap < hi) {
        add_interval(law, law->cap, INFINITY, 0.0, law->cap - centre, out);
    }
}

/* Mean and variance without a cap (section 3 of the paper, derived anew).
 * Y = a X + (1-a) X+ below, Y = X + (1-a) X- above: the variance as a sum of
 * variances and a covariance does not cancel, as E[Y^2] - E[Y]^2 would. */
static void make_moments(struct lwfc_law *law)
{
    const double a = law->slope;
    const double b = 1.0 - a;
    const double ex = law->mean_x;
    const double vx = 1.0 / (law->theta * law->theta) + 1.0 / (law->phi * law->phi);
    if (law->mu <= 0.0) {
        const double positive = law->above * exp(law->theta * law->mu); /* P(X > 0) */
        const double m = positive / law->theta;                         /* E[X+] */
        const double covariance = m * (2.0 / law->theta - ex);
        law->mean = a * ex + b * m;
        law->variance = a * a * vx + 2.0 * a * b * covariance
                      + b * b * m * (2.0 - positive) / law->theta;
    } else {
        const double negative = law->below * exp(-law->phi * law->mu); /* P(X < 0) */
        const double m = negative / law->phi;                          /* E[X-] */
        const double covariance = -m * (2.0 / law->phi + ex);
        law->mean = ex + b * m;
        law->variance = vx + 2.0 * b * covariance + b * b * m * (2.0 - negative) / law->phi;
    }
}

void lwfc_law_make(const struct lwfc_activation *model, struct lwfc_law *law)
{
    const double k = model->skew;
    law->theta = model->rate * k;
    law->phi = model->rate / k;
    law->peak = model->rate / (k + 1.0 / k);
    law->above = 1.0 / (1.0 + k * k);
    law->below = k * k / (1.0 + k * k);
    law->mu = model->location;
    law->mean_x = law->mu + 1.0 / law->theta - 1.0 / law->phi;
    law->slope = model->slope;
    law->cap = INFINITY;
    law->loss_cap = 0.0;
    if (isinf(model->cap)) {
        make_moments(law);
        return;
    }
    struct lwfc_law_tail tail;
    lwfc_law_measure_tail(law, model->cap, &tail); /* cap > 0: needs no mean */
    law->cap = model->cap;
    law->loss_cap = tail.loss;
    double moments[3];
    lwfc_law_integrate(law, -INFINITY, INFINITY, 0.0, moments);
    law->mean = moments[1];
    lwfc_law_integrate(law, -INFINITY, INFINITY, law->mean, moments);
    law->variance = moments[2];
}

void lwfc_law_measure_tail(const struct lwfc_law *law, double t, struct lwfc_law_tail *tail)
{
    tail->loss = tail->survival = tail->density = 0.0;
    if (t >= law->cap) {
        return;
    }
    if (t < 0.0 && law->slope == 0.0) {
        tail->loss = law->mean - t;
        tail->survival = 1.0;
        return;
    }
    const double scale = t < 0.0 ? law->slope : 1.0;
    const double z = t / scale - law->mu;
    const double e = z >= 0.0 ? exp(-law->theta * z) : exp(law->phi * z);
    const double right = law->above / law->theta;
    const double left = law->below / law->phi;
    tail->density = law->peak * e / scale;
    tail->survival = z >= 0.0 ? law->above * e : 1.0 - law->below * e;
    if (t >= 0.0) {
        tail->loss = z >= 0.0 ? right * e : law->mean_x - t + left * e;
        tail->loss -= law->loss_cap;
    } else { /* E[Y] - t + E[max(t - Y, 0)] */
        const double under = z < 0.0 ? left * e : t / scale - law->mean_x + right * e;
        tail->loss = law->mean - t + scale * under;
    }
}

double lwfc_law_map(const struct lwfc_law *law, double x)
{
    return fmin(x < 0.0 ? law->slope * x : x, law->cap);
}
