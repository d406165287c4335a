/* AVX-512 VNNI variant of `dot` in kernels/restore_kernels.c, included by it: 16
 * positions are one vector, a quad times four weights one instruction. */
#ifndef LWFC_KERNELS_X86_RESTORE_AVX512_H
#define LWFC_KERNELS_X86_RESTORE_AVX512_H

#include <immintrin.h>

#define VNNI "avx512f,avx512bw,avx512vnni"

/* One tile, `rows` outputs (a constant at every call). */
LWFC_TARGET(VNNI)
LWFC_INLINE void dot_tile_vnni(const uint8_t *tile, size_t quads, const uint8_t *weights,
                               size_t stride, const int rows, int32_t *sums, size_t sum_stride)
{
    __m512i acc[LWFC_RESTORE_ROWS];
    for (int r = 0; r < rows; r++) {
        acc[r] = _mm512_setzero_si512();
    }
    for (size_t q = 0; q < quads; q++) {
        const __m512i f = _mm512_loadu_si512(tile + q * LWFC_RESTORE_TILE * 4);
        for (int r = 0; r < rows; r++) {
            int32_t group;
            memcpy(&group, weights + (size_t)r * stride + 4 * q, sizeof group);
            acc[r] = _mm512_dpbusd_epi32(acc[r], f, _mm512_set1_epi32(group));
        }
    }
    for (int r = 0; r < rows; r++) {
        _mm512_storeu_si512(sums + (size_t)r * sum_stride, acc[r]);
    }
}

LWFC_TARGET(VNNI)
static void dot_vnni(const uint8_t *features, size_t tiles, size_t quads, const uint8_t *weights,
                     size_t weight_stride, int rows, int32_t *sums, size_t sum_stride)
{
    for (size_t t = 0; t < tiles; t++) {
        const uint8_t *tile = features + t * quads * LWFC_RESTORE_TILE * 4;
        int32_t *to = sums + t * LWFC_RESTORE_TILE;
        if (rows == LWFC_RESTORE_ROWS) {
            dot_tile_vnni(tile, quads, weights, weight_stride, LWFC_RESTORE_ROWS, to, sum_stride);
            continue;
        }
        for (int r = 0; r < rows; r++) {
            dot_tile_vnni(tile, quads, weights + (size_t)r * weight_stride, weight_stride, 1,
                          to + (size_t)r * sum_stride, sum_stride);
        }
    }
}

#undef VNNI

#endif
