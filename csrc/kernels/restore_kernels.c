#include "kernels/restore_kernels.h"

#include "base/attributes.h"
#include "cpu/cpu.h"

#include <string.h>

static void pad(const uint8_t *symbols, int32_t height, int32_t width, const uint8_t *values,
                uint8_t *plane)
{
    const size_t w = (size_t)width;
    const size_t pitch = w + 2;
    memset(plane, 0, pitch);
    for (int32_t y = 0; y < height; y++) {
        uint8_t *row = plane + ((size_t)y + 1) * pitch;
        const uint8_t *from = symbols + (size_t)y * w;
        row[0] = 0;
        if (values == NULL) {
            memcpy(row + 1, from, w);
        } else {
            for (size_t x = 0; x < w; x++) {
                row[x + 1] = values[from[x]];
            }
        }
        row[w + 1] = 0;
    }
    memset(plane + ((size_t)height + 1) * pitch, 0, pitch);
}

/* `row` points at the value above and left of the wanted one. */
LWFC_INLINE uint8_t sum_3x3(const uint8_t *row, size_t pitch)
{
    const uint8_t *mid = row + pitch;
    const uint8_t *low = mid + pitch;
    return (uint8_t)(row[0] + row[1] + row[2] + mid[0] + mid[1] + mid[2] + low[0] + low[1] +
                     low[2]);
}

static void pair(const uint8_t *plane_a, const uint8_t *plane_b, int32_t height, int32_t width,
                 uint8_t *features, size_t tile_stride)
{
    const size_t w = (size_t)width;
    const size_t pitch = w + 2;
    size_t p = 0;
    for (int32_t y = 0; y < height; y++) {
        const uint8_t *a = plane_a + (size_t)y * pitch;
        const uint8_t *b = plane_b + (size_t)y * pitch;
        for (size_t x = 0; x < w; x++, p++) {
            uint8_t *quad = features + p / LWFC_RESTORE_TILE * tile_stride +
                            p % LWFC_RESTORE_TILE * 4;
            quad[0] = a[x + pitch + 1];
            quad[1] = sum_3x3(a + x, pitch);
            quad[2] = b[x + pitch + 1];
            quad[3] = sum_3x3(b + x, pitch);
        }
    }
    for (; p % LWFC_RESTORE_TILE != 0; p++) {
        memset(features + p / LWFC_RESTORE_TILE * tile_stride + p % LWFC_RESTORE_TILE * 4, 0, 4);
    }
}

static void dot(const uint8_t *features, size_t tiles, size_t quads, const uint8_t *weights,
                size_t weight_stride, int rows, int32_t *sums, size_t sum_stride)
{
    for (size_t t = 0; t < tiles; t++) {
        const uint8_t *tile = features + t * quads * LWFC_RESTORE_TILE * 4;
        for (int r = 0; r < rows; r++) {
            const uint8_t *row = weights + (size_t)r * weight_stride;
            int32_t acc[LWFC_RESTORE_TILE] = {0};
            for (size_t q = 0; q < quads; q++) {
                const uint8_t *f = tile + q * LWFC_RESTORE_TILE * 4;
                for (int i = 0; i < LWFC_RESTORE_TILE; i++) {
                    for (int k = 0; k < 4; k++) {
                        acc[i] += f[4 * i + k] * (int8_t)row[4 * q + (size_t)k];
                    }
                }
            }
            memcpy(sums + (size_t)r * sum_stride + t * LWFC_RESTORE_TILE, acc, sizeof acc);
        }
    }
}

static void latent(const int32_t *sums, size_t tiles, int32_t bias, int shift, uint8_t *features,
                   size_t tile_stride)
{
    for (size_t t = 0; t < tiles; t++) {
        for (size_t i = 0; i < LWFC_RESTORE_TILE; i++) {
            const int32_t v = sums[t * LWFC_RESTORE_TILE + i] + bias;
            const int32_t u = v < 0 ? 0 : v >> shift;
            features[t * tile_stride + 4 * i] =
                (uint8_t)(u > LWFC_RESTORE_LATENT_MAX ? LWFC_RESTORE_LATENT_MAX : u);
        }
    }
}

static void finish(const struct lwfc_restore_channel *channel, const uint8_t *symbols,
                   const uint8_t *plane, const int32_t *sums, int32_t height, int32_t width,
                   float *out)
{
    const size_t w = (size_t)width;
    const size_t pitch = w + 2;
    size_t p = 0;
    for (int32_t y = 0; y < height; y++) {
        const uint8_t *up = plane + (size_t)y * pitch;
        const uint8_t *mid = up + pitch;
        const uint8_t *low = mid + pitch;
        for (size_t x = 0; x < w; x++, p++) {
            const uint8_t s = symbols[p];
            const int32_t sum = sums[p] + channel->own[0] * (mid[x] + mid[x + 2]) +
                                channel->own[1] * (up[x + 1] + low[x + 1]) +
                                channel->own[2] * (up[x] + up[x + 2] + low[x] + low[x + 2]);
            const float product = channel->slope[s] * (float)sum;
            float v = channel->offset[s] + product;
            v = v < channel->low[s] ? channel->low[s] : v;
            v = v > channel->high[s] ? channel->high[s] : v;
            if (channel->strength != 1.0F) {
                const float step = channel->strength * (v - channel->centroid[s]);
                v = channel->centroid[s] + step;
            }
            out[p] = v;
        }
    }
}

#if LWFC_X86
#include "kernels/x86/restore_avx2.h"
#include "kernels/x86/restore_avx512.h"
#endif

const struct lwfc_restore_kernels *lwfc_restore_kernels_for(uint32_t features)
{
    static const struct lwfc_restore_kernels scalar = {pad, pair, dot, latent, finish};
#if LWFC_X86
    static const struct lwfc_restore_kernels avx2 = {pad, pair_avx2, dot_avx2, latent,
                                                     finish_avx2};
    static const struct lwfc_restore_kernels vnni = {pad, pair_avx2, dot_vnni, latent,
                                                     finish_avx2};
    /* byte dot products are not part of the AVX-512 level */
    if ((features & LWFC_CPU_AVX512) != 0 && __builtin_cpu_supports("avx512vnni")) {
        return &vnni;
    }
    if ((features & LWFC_CPU_AVX2) != 0) {
        return &avx2;
    }
#endif
    (void)features;
    return &scalar;
}
