#include "kernels/restore_kernels.h"

#include "base/attributes.h"
#include "cpu/cpu.h"

#include <string.h>

static void tile(const uint8_t *values, size_t channels, size_t positions, uint8_t *tiles)
{
    const size_t quads = (channels + 3) / 4;
    const size_t count = (positions + LWFC_RESTORE_TILE - 1) / LWFC_RESTORE_TILE;
    memset(tiles, 0, count * quads * LWFC_RESTORE_TILE * 4);
    for (size_t c = 0; c < channels; c++) {
        for (size_t p = 0; p < positions; p++) {
            uint8_t *quad = tiles + (p / LWFC_RESTORE_TILE * quads + c / 4) * LWFC_RESTORE_TILE * 4;
            quad[p % LWFC_RESTORE_TILE * 4 + c % 4] = values[c * positions + p];
        }
    }
}

static void dot(const uint8_t *tiles, size_t count, size_t quads, int most,
                const uint8_t *const *weights, int rows, int32_t *const *sums)
{
    (void)most;
    for (int r = 0; r < rows; r++) {
        for (size_t t = 0; t < count; t++) {
            int32_t acc[LWFC_RESTORE_TILE] = {0};
            for (size_t q = 0; q < quads; q++) {
                const uint8_t *f = tiles + (t * quads + q) * LWFC_RESTORE_TILE * 4;
                for (int i = 0; i < LWFC_RESTORE_TILE; i++) {
                    for (int k = 0; k < 4; k++) {
                        acc[i] += f[4 * i + k] * (int8_t)weights[r][4 * q + (size_t)k];
                    }
                }
            }
            memcpy(sums[r] + t * LWFC_RESTORE_TILE, acc, sizeof acc);
        }
    }
}

/* The 3x3 sum at position p. */
LWFC_INLINE int32_t box_at(const struct lwfc_restore_map *map, const int32_t *near, size_t p)
{
    const int32_t *const mid = near + p;
    const int32_t *const up = mid - map->width;
    const int32_t *const down = mid + map->width;
    int32_t sum = up[0] + mid[0] + down[0];
    sum += map->left[p] ? up[-1] + mid[-1] + down[-1] : 0;
    return sum + (map->right[p] ? up[1] + mid[1] + down[1] : 0);
}

static void box(const struct lwfc_restore_map *map, const int32_t *near, int32_t *sums)
{
    for (size_t p = 0; p < map->positions; p++) {
        sums[p] += box_at(map, near, p);
    }
}

static void latents(const struct lwfc_restore_map *map, const int32_t *const *sums,
                    const int32_t *const *near, const int32_t *bias, const int *shift,
                    uint8_t *tiles, size_t tile_stride)
{
    for (size_t p = 0; p < map->positions; p++) {
        uint8_t *quad = tiles + p / LWFC_RESTORE_TILE * tile_stride + p % LWFC_RESTORE_TILE * 4;
        for (int k = 0; k < 4; k++) {
            const int32_t v =
                sums[k][p] + (near != NULL ? box_at(map, near[k], p) : 0) + bias[k];
            const int32_t u = (v < 0 ? 0 : v) >> shift[k];
            quad[k] = (uint8_t)(u > LWFC_RESTORE_LATENT_MAX ? LWFC_RESTORE_LATENT_MAX : u);
        }
    }
}

static void finish(const struct lwfc_restore_channel *channel, const struct lwfc_restore_map *map,
                   const uint8_t *symbols, const uint8_t *plane, const int32_t *sums, float *out)
{
    const uint8_t *const up = plane - map->width;
    const uint8_t *const down = plane + map->width;
    for (size_t p = 0; p < map->positions; p++) {
        const int s = symbols[p];
        const int32_t left = map->left[p] & 1;
        const int32_t right = map->right[p] & 1;
        const int32_t h = left * plane[(ptrdiff_t)p - 1] + right * plane[p + 1];
        const int32_t v = up[p] + down[p];
        const int32_t d = left * (up[(ptrdiff_t)p - 1] + down[(ptrdiff_t)p - 1]) +
                          right * (up[p + 1] + down[p + 1]);
        const int32_t sum = (sums != NULL ? sums[p] : 0) + channel->own[0] * h +
                            channel->own[1] * v + channel->own[2] * d;
        const float product = channel->slope[s] * (float)sum;
        float x = channel->offset[s] + product;
        x = x < channel->low[s] ? channel->low[s] : x;
        x = x > channel->high[s] ? channel->high[s] : x;
        if (channel->strength != 1.0F) {
            const float step = channel->strength * (x - channel->centroid[s]);
            x = channel->centroid[s] + step;
        }
        out[p] = x;
    }
}

#if LWFC_X86
#include "kernels/x86/restore_avx2.h"
#include "kernels/x86/restore_avx512.h"
#endif

const struct lwfc_restore_kernels *lwfc_restore_kernels_for(uint32_t features)
{
    static const struct lwfc_restore_kernels scalar = {tile, dot, box, latents, finish};
#if LWFC_X86
    static const struct lwfc_restore_kernels avx2 = {tile_avx2, dot_avx2, box_avx2, latents_avx2,
                                                     finish_avx2};
    static const struct lwfc_restore_kernels vnni = {tile_avx2, dot_vnni, box_vnni, latents_vnni,
                                                     finish_vnni};
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
