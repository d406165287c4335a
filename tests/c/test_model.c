/* The model without Python: known values, identities, hostile arguments. */
#include "lwfc_model.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static int failures;

static void check(int good, const char *what, double got, double want)
{
    if (!good) {
        failures++;
        printf("%s: got %.17g, want %.17g\n", what, got, want);
    }
}

static void check_near(const char *what, double got, double want, double tolerance)
{
    check(fabs(got - want) <= tolerance, what, got, want);
}

static uint64_t state = 1;

static double uniform(double lo, double hi)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return lo + (hi - lo) * (double)(state >> 11) / 9007199254740992.0;
}

static void test_paper(void)
{
    struct lwfc_activation m;
    double lo = 0.0, hi, clipping, quantisation;
    check(lwfc_activation_fit(1.1235656, 4.9280124, 0.5, 0.1, INFINITY, &m) == 0, "fit", 0, 0);
    check_near("lambda", m.rate, 0.7716595, 5e-8);
    check_near("mu", m.location, -1.4350621, 5e-8);
    check_near("K_2", lwfc_model_range_constant(2), 2.0, 1e-14);
    check_near("K_16", lwfc_model_range_constant(16), 6.09804, 6e-6);
    lwfc_activation_range(&m, 4, 0, &lo, &hi);
    check_near("cmax", hi, 9.036, 6e-4);
    lwfc_activation_error(&m, lo, hi, 4, &clipping, &quantisation);
    check_near("e_quant", quantisation, 0.32421, 6e-6);
    check_near("e_clip", clipping, 0.20130, 6e-6);
    lwfc_activation_range(&m, 4, 1, &lo, &hi);
    check_near("joint cmin", lo, 0.053, 6e-4);
    check_near("joint cmax", hi, 9.089, 6e-4);
    check_near("ACIQ", lwfc_model_aciq(lwfc_activation_deviation(&m), 4, 1), 6.022, 6e-4);
}

/* Random models: the fit inverts the moments, cells and both errors add up. */
static void test_random(void)
{
    static const double slopes[] = {0.0, 0.01, 0.1, 0.5, 1.0};
    for (int i = 0; i < 3000; i++) {
        const double rate = exp(uniform(-3.0, 3.0));
        const struct lwfc_activation m = {
            rate, uniform(-5.0, 5.0) / rate, exp(uniform(-1.0, 0.5)), slopes[i % 5],
            i % 2 ? INFINITY : uniform(0.5, 8.0) / rate,
        };
        const double mean = lwfc_activation_mean(&m);
        const double variance = lwfc_activation_variance(&m);
        const double sd = sqrt(variance);
        struct lwfc_activation fitted;
        if (mean > 0.0 && (isinf(m.cap) || mean < 0.999 * m.cap)) {
            const int status = lwfc_activation_fit(mean, variance, m.skew, m.slope, m.cap, &fitted);
            check(status == 0, "fit status", status, 0);
            if (status == 0) {
                check_near("fit mean", lwfc_activation_mean(&fitted), mean, 1e-11 * sd);
                check_near("fit variance", lwfc_activation_variance(&fitted), variance,
                           1e-9 * variance);
            }
        }
        const int levels = 2 + i % 255;
        const double lo = uniform(-1.0, 1.0) * sd;
        const double hi = lo + uniform(0.1, 6.0) * sd;
        double clipping, quantisation, p[LWFC_MODEL_LEVELS_MAX], sum = 0.0;
        lwfc_activation_error(&m, lo, hi, levels, &clipping, &quantisation);
        check_near("identity", lwfc_activation_total_error(&m, lo, hi, levels),
                   clipping + quantisation, 1e-10 * (variance + mean * mean));
        lwfc_activation_cells(&m, lo, hi, levels, p);
        for (int j = 0; j < levels; j++) {
            sum += p[j];
        }
        check_near("cells", sum, 1.0, 1e-13);
    }
}

static void test_arguments(void)
{
    const double bad[] = {NAN, INFINITY, -INFINITY, -1.0, 0.0, DBL_MAX, DBL_MIN, -DBL_MAX, 1e-320,
                          1.0, 6.0};
    const int count = sizeof bad / sizeof *bad;
    for (int i = 0; i < count * count * count; i++) {
        const double a = bad[i % count], b = bad[i / count % count], c = bad[i / count / count];
        struct lwfc_activation m;
        double lo, hi, x, y;
        for (int k = 0; k < 4; k++) {
            const double slope = (const double[]){0.0, 0.1, 1.0, 1e-300}[k];
            for (int capped = 0; capped < 2; capped++) {
                if (lwfc_activation_fit(a, b, 0.5, slope, capped ? 6.0 : INFINITY, &m) == 0) {
                    check(lwfc_activation_valid(&m), "valid", a, b);
                    lo = c;
                    (void)lwfc_activation_range(&m, 4, 0, &lo, &hi);
                    (void)lwfc_activation_range(&m, 4, 1, &lo, &hi);
                    (void)lwfc_activation_error(&m, a, c, 4, &x, &y);
                    (void)lwfc_activation_pdf(&m, c);
                    (void)lwfc_activation_cdf(&m, c);
                }
            }
        }
    }
    const struct lwfc_activation m = {1.0, 0.0, 0.5, 0.1, INFINITY};
    double lo = 0.0, hi;
    check(lwfc_activation_range(&m, 1, 0, &lo, &hi) != 0, "one level", 0, 1);
    check(lwfc_activation_range(&m, 257, 0, &lo, &hi) != 0, "257 levels", 0, 1);
    check(isnan(lwfc_model_range_constant(1)), "K_1", 0, NAN);
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void test_samples(void)
{
    enum { N = 5000 };
    static double y[N], sums[N + 1], squares[N + 1];
    for (int round = 0; round < 40; round++) {
        const size_t n = round < 5 ? (size_t)round + 1 : N;
        for (size_t i = 0; i < n; i++) {
            y[i] = -log(1.0 - uniform(0.0, 1.0)) - (round % 3) * 0.3;
            y[i] = y[i] < 0.0 ? 0.1 * y[i] : y[i];
        }
        qsort(y, n, sizeof *y, compare);
        lwfc_samples_sum(y, n, sums, squares);
        const struct lwfc_samples s = {y, sums, squares, n};
        double lo = 0.0, hi = 0.0;
        for (int levels = 2; levels <= 256; levels += 1 + levels / 2) {
            (void)lwfc_samples_range(&s, levels, 0, &lo, &hi);
            (void)lwfc_samples_range(&s, levels, 1, &lo, &hi);
            struct lwfc_ecsq_options options = {levels, -0.1, 4.0, 0.3 * (round % 4), round & 1,
                                                (enum lwfc_lengths)(round / 2 & 1), 0.0, 1};
            struct lwfc_ecsq_design d;
            double before = INFINITY;
            for (; options.iterations_max < 10; options.iterations_max++) {
                check(lwfc_samples_design(&s, &options, &d) == 0, "design", 0, 0);
                check(d.lagrangian <= before * (1.0 + 1e-9) + 1e-15, "Lagrangian", d.lagrangian,
                      before);
                before = d.lagrangian;
                check(d.levels >= 2 && d.levels <= levels, "levels", d.levels, levels);
                for (int i = 1; i < d.levels; i++) {
                    check(d.values[i] > d.values[i - 1], "values", d.values[i], d.values[i - 1]);
                    check(i < 2 || d.thresholds[i - 1] > d.thresholds[i - 2], "thresholds",
                          d.thresholds[i - 1], 0);
                }
            }
        }
    }
}

int main(void)
{
    test_paper();
    test_random();
    test_arguments();
    test_samples();
    printf("model: %s\n", failures == 0 ? "ok" : "FAILED");
    return failures != 0;
}
