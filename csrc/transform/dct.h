/* The orthonormal DCT-II in integers:
 * table[k][i] = rint(2^t s_k cos(pi (2i + 1) k / (2n))), s_0 = sqrt(1/n), else sqrt(2/n).
 * Specified in FORMAT.md, "Transform". */
#ifndef LWFC_TRANSFORM_DCT_H
#define LWFC_TRANSFORM_DCT_H

#include <stdint.h>

enum { LWFC_DCT_MAX = 64 };

/* t: the most fraction bits with which a sum of products with int16, a mean and
 * the rounding stay within 32 bits. 1 <= n <= LWFC_DCT_MAX. */
int lwfc_dct_bits(int n);

/* table[n][n]. */
void lwfc_dct_table(int n, int16_t *table);

#endif
