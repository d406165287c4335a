#include "model/solve.h"

#include <float.h>
#include <math.h>

enum { STEPS_MAX = 400 };

/* Chandrupatla (1997): inverse quadratic interpolation where the three last
 * points make it safe, bisection elsewhere, so at worst as slow as bisection. */
double lwfc_root_find(lwfc_root_function *function, const void *context, double a, double b,
                      double absolute)
{
    double fa = function(a, context);
    double fb = function(b, context);
    if (fa == 0.0) {
        return a;
    }
    if (fb == 0.0) {
        return b;
    }
    if (!((fa < 0.0) != (fb < 0.0)) || isnan(fa) || isnan(fb)) {
        return NAN;
    }
    double step = 0.5;
    double best = a;
    for (int i = 0; i < STEPS_MAX; i++) {
        const double x = a + step * (b - a);
        const double fx = function(x, context);
        double c = b;
        double fc = fb;
        if ((fx < 0.0) == (fa < 0.0)) {
            c = a;
            fc = fa;
        } else {
            b = a;
            fb = fa;
        }
        a = x;
        fa = fx;
        best = fabs(fa) < fabs(fb) ? a : b;
        const double limit = (DBL_EPSILON * fabs(best) + absolute) / fabs(b - a);
        if (fa == 0.0 || !(limit <= 0.5)) {
            break;
        }
        const double xi = (a - b) / (c - b);
        const double phi = (fa - fb) / (fc - fb);
        step = 0.5;
        if (phi * phi < xi && (1.0 - phi) * (1.0 - phi) < 1.0 - xi) {
            step = fa / (fb - fa) * fc / (fb - fc)
                 + (c - a) / (b - a) * fa / (fc - fa) * fb / (fc - fb);
        }
        step = fmin(fmax(step, limit), 1.0 - limit);
    }
    return best;
}
