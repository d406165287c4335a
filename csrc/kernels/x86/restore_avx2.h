/* AVX2 variants of kernels/restore_kernels.c, included by it. 16 positions are two
 * vectors; a quad times four weights is one vpmaddubsw, which cannot saturate
 * while level values stay within LWFC_RESTORE_VALUE_MAX. */
#ifndef LWFC_KERNELS_X86_RESTORE_AVX2_H
#define LWFC_KERNELS_X86_RESTORE_AVX2_H

#include <immintrin.h>

LWFC_TARGET("avx2")
static void pair_avx2(const uint8_t *plane_a, const uint8_t *plane_b, int32_t height,
                      int32_t width, uint8_t *features, size_t tile_stride)
{
    const size_t w = (size_t)width;
    const size_t pitch = w + 2;
    uint8_t quads[64];
    size_t p = 0;
    for (int32_t y = 0; y < height; y++) {
        const uint8_t *row[2] = {plane_a + (size_t)y * pitch, plane_b + (size_t)y * pitch};
        for (size_t x = 0; x < w; x += 16) {
            __m128i value_sum[2][2];
            for (int k = 0; k < 2; k++) {
                const uint8_t *at = row[k] + x;
                __m128i sum = _mm_setzero_si128();
                for (size_t i = 0; i < 3; i++) {
                    for (size_t j = 0; j < 3; j++) {
                        const void *from = at + i * pitch + j;
                        sum = _mm_add_epi8(sum, _mm_loadu_si128((const __m128i *)from));
                    }
                }
                const void *center = at + pitch + 1;
                const __m128i own = _mm_loadu_si128((const __m128i *)center);
                value_sum[k][0] = _mm_unpacklo_epi8(own, sum);
                value_sum[k][1] = _mm_unpackhi_epi8(own, sum);
            }
            __m128i *to = (__m128i *)(void *)quads;
            for (int h = 0; h < 2; h++) {
                _mm_storeu_si128(to + 2 * h, _mm_unpacklo_epi16(value_sum[0][h], value_sum[1][h]));
                _mm_storeu_si128(to + 2 * h + 1,
                                 _mm_unpackhi_epi16(value_sum[0][h], value_sum[1][h]));
            }
            /* up to 16 quads, which lie in at most two tiles */
            const size_t n = w - x < 16 ? w - x : 16;
            const size_t room = LWFC_RESTORE_TILE - p % LWFC_RESTORE_TILE;
            const size_t here = n < room ? n : room;
            uint8_t *tile = features + p / LWFC_RESTORE_TILE * tile_stride;
            memcpy(tile + p % LWFC_RESTORE_TILE * 4, quads, 4 * here);
            if (n > here) {
                memcpy(tile + tile_stride, quads + 4 * here, 4 * (n - here));
            }
            p += n;
        }
    }
    if (p % LWFC_RESTORE_TILE != 0) {
        memset(features + p / LWFC_RESTORE_TILE * tile_stride + p % LWFC_RESTORE_TILE * 4, 0,
               4 * (LWFC_RESTORE_TILE - p % LWFC_RESTORE_TILE));
    }
}

/* One tile, `rows` outputs (a constant at every call). */
LWFC_TARGET("avx2")
LWFC_INLINE void dot_tile(const uint8_t *tile, size_t quads, const uint8_t *weights, size_t stride,
                          const int rows, int32_t *sums, size_t sum_stride)
{
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i acc[4][2];
    for (int r = 0; r < rows; r++) {
        acc[r][0] = acc[r][1] = _mm256_setzero_si256();
    }
    for (size_t q = 0; q < quads; q++) {
        const __m256i *f = (const __m256i *)(const void *)(tile + q * LWFC_RESTORE_TILE * 4);
        const __m256i f0 = _mm256_loadu_si256(f);
        const __m256i f1 = _mm256_loadu_si256(f + 1);
        for (int r = 0; r < rows; r++) {
            int32_t group;
            memcpy(&group, weights + (size_t)r * stride + 4 * q, sizeof group);
            const __m256i w = _mm256_set1_epi32(group);
            acc[r][0] = _mm256_add_epi32(
                acc[r][0], _mm256_madd_epi16(_mm256_maddubs_epi16(f0, w), ones));
            acc[r][1] = _mm256_add_epi32(
                acc[r][1], _mm256_madd_epi16(_mm256_maddubs_epi16(f1, w), ones));
        }
    }
    for (int r = 0; r < rows; r++) {
        __m256i *to = (__m256i *)(void *)(sums + (size_t)r * sum_stride);
        _mm256_storeu_si256(to, acc[r][0]);
        _mm256_storeu_si256(to + 1, acc[r][1]);
    }
}

LWFC_TARGET("avx2")
static void dot_avx2(const uint8_t *features, size_t tiles, size_t quads, const uint8_t *weights,
                     size_t weight_stride, int rows, int32_t *sums, size_t sum_stride)
{
    const size_t tile_bytes = quads * LWFC_RESTORE_TILE * 4;
    int r = 0;
    for (; r + 4 <= rows; r += 4) {
        for (size_t t = 0; t < tiles; t++) {
            dot_tile(features + t * tile_bytes, quads, weights + (size_t)r * weight_stride,
                     weight_stride, 4, sums + (size_t)r * sum_stride + t * LWFC_RESTORE_TILE,
                     sum_stride);
        }
    }
    for (; r < rows; r++) {
        for (size_t t = 0; t < tiles; t++) {
            dot_tile(features + t * tile_bytes, quads, weights + (size_t)r * weight_stride,
                     weight_stride, 1, sums + (size_t)r * sum_stride + t * LWFC_RESTORE_TILE,
                     sum_stride);
        }
    }
}

/* A float table indexed by symbols: in one register up to 8 levels. */
LWFC_TARGET("avx2")
LWFC_INLINE __m256 pick(const float *table, __m256 small, int is_small, __m256i index)
{
    return is_small ? _mm256_permutevar8x32_ps(small, index)
                    : _mm256_i32gather_ps(table, index, 4);
}

struct finish_avx2_tables {
    __m256 offset, slope, low, high, centroid, strength;
    __m256i own_hv, own_d;
};

LWFC_TARGET("avx2")
LWFC_INLINE __m256 load_small(const float *table, int32_t levels)
{
    float padded[8] = {0};
    memcpy(padded, table, sizeof padded[0] * (size_t)(levels < 8 ? levels : 8));
    return _mm256_loadu_ps(padded);
}

/* 8 positions: symbols and (left+right, up+down) byte pairs in the low 16
 * bytes of hv, diagonals in the low 8 of d. */
LWFC_TARGET("avx2")
LWFC_INLINE __m256 finish_8(const struct lwfc_restore_channel *c,
                            const struct finish_avx2_tables *t, const uint8_t *symbols, __m128i hv,
                            __m128i d, const int32_t *sums)
{
    const int is_small = c->levels <= 8;
    const __m256i index =
        _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)symbols));
    __m256i sum = _mm256_loadu_si256((const __m256i *)(const void *)sums);
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_cvtepu8_epi16(hv), t->own_hv));
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_cvtepu8_epi32(d), t->own_d));
    __m256 v = _mm256_mul_ps(pick(c->slope, t->slope, is_small, index), _mm256_cvtepi32_ps(sum));
    v = _mm256_add_ps(pick(c->offset, t->offset, is_small, index), v);
    /* operand order: equal values keep v, as in the scalar compare */
    v = _mm256_max_ps(pick(c->low, t->low, is_small, index), v);
    v = _mm256_min_ps(pick(c->high, t->high, is_small, index), v);
    if (c->strength != 1.0F) {
        const __m256 centroid = pick(c->centroid, t->centroid, is_small, index);
        const __m256 step = _mm256_mul_ps(t->strength, _mm256_sub_ps(v, centroid));
        v = _mm256_add_ps(centroid, step);
    }
    return v;
}

LWFC_TARGET("avx2")
LWFC_INLINE __m128i load_16(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

LWFC_TARGET("avx2")
static void finish_avx2(const struct lwfc_restore_channel *channel, const uint8_t *symbols,
                        const uint8_t *plane, const int32_t *sums, int32_t height, int32_t width,
                        float *out)
{
    const int32_t levels = channel->levels;
    const struct finish_avx2_tables t = {
        .offset = load_small(channel->offset, levels),
        .slope = load_small(channel->slope, levels),
        .low = load_small(channel->low, levels),
        .high = load_small(channel->high, levels),
        .centroid = load_small(channel->centroid, levels),
        .strength = _mm256_set1_ps(channel->strength),
        .own_hv = _mm256_set1_epi32((int32_t)((uint32_t)(uint16_t)channel->own[0] |
                                              (uint32_t)(uint16_t)channel->own[1] << 16)),
        .own_d = _mm256_set1_epi32((int32_t)(uint16_t)channel->own[2]),
    };
    const size_t w = (size_t)width;
    const size_t pitch = w + 2;
    const size_t positions = (size_t)height * w;
    for (int32_t y = 0; y < height; y++) {
        for (size_t x = 0; x < w; x += 16) {
            const uint8_t *up = plane + (size_t)y * pitch + x;
            const uint8_t *mid = up + pitch;
            const uint8_t *low = mid + pitch;
            const size_t p = (size_t)y * w + x;
            const __m128i h = _mm_add_epi8(load_16(mid), load_16(mid + 2));
            const __m128i v = _mm_add_epi8(load_16(up + 1), load_16(low + 1));
            const __m128i d = _mm_add_epi8(_mm_add_epi8(load_16(up), load_16(up + 2)),
                                           _mm_add_epi8(load_16(low), load_16(low + 2)));
            uint8_t index[16] = {0};
            int32_t sum[16] = {0};
            float buffer[16];
            const uint8_t *from = symbols + p;
            const int32_t *sum_from = sums + p;
            float *to = out + p;
            /* A row's surplus lands where the next row will be written; the
             * last vectors of the plane go through a buffer. */
            const size_t left = positions - p;
            if (left < 16) {
                memcpy(index, from, left);
                memcpy(sum, sum_from, left * sizeof sum[0]);
                from = index;
                sum_from = sum;
                to = buffer;
            }
            _mm256_storeu_ps(to, finish_8(channel, &t, from, _mm_unpacklo_epi8(h, v), d, sum_from));
            _mm256_storeu_ps(to + 8, finish_8(channel, &t, from + 8, _mm_unpackhi_epi8(h, v),
                                              _mm_srli_si128(d, 8), sum_from + 8));
            if (left < 16) {
                memcpy(out + p, buffer, left * sizeof buffer[0]);
            }
        }
    }
}

#endif
