/* The law of Y in the form the computations use: derived constants of an
 * activation model, its partial moments and its upper tail. Everything is done
 * in the domain of X, where the atoms need no case of their own: an interval
 * of X that the activation maps to one value has scale 0. */
#ifndef LWFC_MODEL_LAW_H
#define LWFC_MODEL_LAW_H

#include "lwfc_model.h"

struct lwfc_law {
    double theta;     /* decay of X's density to the right of mu: rate * skew */
    double phi;       /* and to the left: rate / skew */
    double peak;      /* density of X at mu */
    double above;     /* P(X > mu) */
    double below;     /* P(X < mu) */
    double mu;
    double mean_x;
    double slope;
    double cap;
    double loss_cap;  /* E[max(Y - cap, 0)] without the cap */
    double mean;      /* of Y */
    double variance;
};

/* The upper tail at t. */
struct lwfc_law_tail {
    double loss;     /* E[max(Y - t, 0)] */
    double survival; /* P(Y > t) */
    double density;  /* of the continuous part */
};

void lwfc_law_make(const struct lwfc_activation *model, struct lwfc_law *law);
/* out[k] = integral of (y - centre)^k over lo <= y < hi, k = 0, 1, 2, atoms
 * included. lo and hi may be infinite. */
void lwfc_law_integrate(const struct lwfc_law *law, double lo, double hi, double centre,
                        double out[3]);
void lwfc_law_measure_tail(const struct lwfc_law *law, double t, struct lwfc_law_tail *tail);
/* The activation: the value of Y at X = x. */
double lwfc_law_map(const struct lwfc_law *law, double x);

#endif
