/* Element types of tensors to and from float32.
 *
 * float16, bfloat16 and integers round to nearest, ties to even; integers take
 * the nearest they have of what is beyond them. float64 is rounded to float32
 * on the way in: all arithmetic here is float32's. */
#ifndef LWFC_KERNELS_CONVERT_H
#define LWFC_KERNELS_CONVERT_H

#include <stddef.h>
#include <stdint.h>

/* Pinned: these numbers are in the stream. */
enum lwfc_dtype {
    LWFC_FLOAT32 = 0,
    LWFC_FLOAT16 = 1,
    LWFC_BFLOAT16 = 2,
    LWFC_FLOAT64 = 3,
    LWFC_INT8 = 5, /* 4 is none */
    LWFC_UINT8 = 6,
    LWFC_DTYPE_COUNT = 7
};

/* Whether a number stands for an element type. */
int lwfc_dtype_known(int dtype);

/* Bytes of one element. */
size_t lwfc_dtype_nbytes(enum lwfc_dtype dtype);

/* The largest finite element that float32 holds; what is larger rounds to it or to infinity. */
float lwfc_dtype_largest(enum lwfc_dtype dtype);

struct lwfc_convert_kernels {
    /* n elements of `dtype` at `in`, `stride` bytes apart, to floats. */
    void (*load)(const void *in, ptrdiff_t stride, enum lwfc_dtype dtype, size_t n, float *out);
    void (*store)(const float *in, size_t n, enum lwfc_dtype dtype, ptrdiff_t stride, void *out);
};

const struct lwfc_convert_kernels *lwfc_convert_kernels_for(uint32_t features);

#endif
