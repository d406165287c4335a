/* The x86 variants of kernels/joined_kernels.h. */
#ifndef LWFC_KERNELS_X86_JOINED_X86_H
#define LWFC_KERNELS_X86_JOINED_X86_H

#include "kernels/joined_kernels.h"

extern const struct lwfc_joined_kernels lwfc_joined_avx2;
extern const struct lwfc_joined_kernels lwfc_joined_avx512;

#endif
