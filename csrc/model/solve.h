/* Safeguarded root of one function of one variable. */
#ifndef LWFC_MODEL_SOLVE_H
#define LWFC_MODEL_SOLVE_H

typedef double lwfc_root_function(double x, const void *context);

/* A root between a and b to the last digits of x (plus `absolute`), given
 * function values of opposite sign at both ends; NAN if they are not. */
double lwfc_root_find(lwfc_root_function *function, const void *context, double a, double b,
                      double absolute);

#endif
