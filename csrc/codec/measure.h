/* Moments of a whole tensor. */
#ifndef LWFC_CODEC_MEASURE_H
#define LWFC_CODEC_MEASURE_H

#include "kernels/quantize.h"
#include "lwfc.h"

/* One pass; the sums are merged in an order that depends on the shape only, so
 * they are equal for every CPU, memory layout and num_threads. */
enum lwfc_status lwfc_measure(const struct lwfc_tensor *x, int num_threads,
                              struct lwfc_moments *moments);

#endif
