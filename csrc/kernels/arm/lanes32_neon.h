/* 32 bytes, one a lane, as a pair of NEON vectors. */
#ifndef LWFC_KERNELS_ARM_LANES32_NEON_H
#define LWFC_KERNELS_ARM_LANES32_NEON_H

#include "kernels/lanes_step.h"

#include <arm_neon.h>
#include <string.h>

typedef uint8x16x2_t lanes32;

LWFC_INLINE lanes32 lanes32_load(const uint8_t *p)
{
    const lanes32 v = {{vld1q_u8(p), vld1q_u8(p + 16)}};
    return v;
}

LWFC_INLINE void lanes32_store(uint8_t *p, lanes32 v)
{
    vst1q_u8(p, v.val[0]);
    vst1q_u8(p + 16, v.val[1]);
}

LWFC_INLINE lanes32 lanes32_fill(uint8_t byte)
{
    const lanes32 v = {{vdupq_n_u8(byte), vdupq_n_u8(byte)}};
    return v;
}

/* 16 x 16 bytes: t[i] byte j <-> t[j] byte i. */
LWFC_INLINE void lanes_transpose_neon(uint8x16_t t[16])
{
    uint8x16_t u[16];
    for (int stage = 0; stage < 4; stage++) {
        for (int i = 0; i < 8; i++) {
            u[2 * i] = vzip1q_u8(t[i], t[i + 8]);
            u[2 * i + 1] = vzip2q_u8(t[i], t[i + 8]);
        }
        memcpy(t, u, sizeof u);
    }
}

#endif
