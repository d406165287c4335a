#include "lwfc.h"

#include <math.h>

/* Doubles hold every intermediate the same way on each CPU: one product, one
 * quotient and one sum, with contraction off. */
enum lwfc_status lwfc_quantizer_uniform(float lo, float hi, int levels, float *thresholds,
                                        float *values)
{
    if (levels < 2 || levels > LWFC_LEVELS_MAX || !isfinite(lo) || !isfinite(hi) || !(lo <= hi)) {
        return LWFC_ERROR_ARGUMENT;
    }
    const double width = (double)hi - (double)lo;
    const double steps = levels - 1;
    for (int i = 0; i < levels; i++) {
        values[i] = (float)((double)lo + i * width / steps);
        if (i > 0) {
            thresholds[i - 1] = (float)((double)lo + (i - 0.5) * width / steps);
        }
    }
    return LWFC_OK;
}

int lwfc_quantizer_zero(const float *values, int levels)
{
    int zero = 0;
    for (int i = 1; i < levels; i++) {
        zero = fabsf(values[i]) < fabsf(values[zero]) ? i : zero;
    }
    return zero;
}
