/* AVX2 variants of kernels/restore_kernels.c, included by it. 16 positions are two
 * vectors; a quad times four weights is one vpmaddubsw, which cannot saturate
 * while bytes stay within 127. */
#ifndef LWFC_KERNELS_X86_RESTORE_AVX2_H
#define LWFC_KERNELS_X86_RESTORE_AVX2_H

#include <immintrin.h>

LWFC_TARGET("avx2")
LWFC_INLINE __m128i load_16(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

LWFC_TARGET("avx2")
LWFC_INLINE __m256i load_32(const void *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

/* Four channels' bytes of 16 positions become one tile's quad. */
LWFC_TARGET("avx2")
LWFC_INLINE void store_quad(__m128i a, __m128i b, __m128i c, __m128i d, uint8_t *to)
{
    __m128i *out = (__m128i *)(void *)to;
    const __m128i ab[2] = {_mm_unpacklo_epi8(a, b), _mm_unpackhi_epi8(a, b)};
    const __m128i cd[2] = {_mm_unpacklo_epi8(c, d), _mm_unpackhi_epi8(c, d)};
    for (int h = 0; h < 2; h++) {
        _mm_storeu_si128(out + 2 * h, _mm_unpacklo_epi16(ab[h], cd[h]));
        _mm_storeu_si128(out + 2 * h + 1, _mm_unpackhi_epi16(ab[h], cd[h]));
    }
}

/* Up to 16 bytes, then zeros. */
LWFC_TARGET("avx2")
LWFC_INLINE __m128i load_part(const uint8_t *p, size_t n)
{
    uint8_t part[16] = {0};
    memcpy(part, p, n);
    return load_16(part);
}

LWFC_TARGET("avx2")
static void tile_avx2(const uint8_t *values, size_t channels, size_t positions, uint8_t *tiles)
{
    const size_t quads = (channels + 3) / 4;
    for (size_t p = 0; p < positions; p += LWFC_RESTORE_TILE) {
        const size_t n = positions - p < LWFC_RESTORE_TILE ? positions - p : LWFC_RESTORE_TILE;
        for (size_t q = 0; q < quads; q++, tiles += LWFC_RESTORE_TILE * 4) {
            const uint8_t *from = values + 4 * q * positions + p;
            const size_t left = channels - 4 * q;
            if (n == LWFC_RESTORE_TILE && left >= 4) {
                store_quad(load_16(from), load_16(from + positions), load_16(from + 2 * positions),
                           load_16(from + 3 * positions), tiles);
                continue;
            }
            __m128i lanes[4];
            for (size_t k = 0; k < 4; k++) {
                lanes[k] = k < left ? load_part(from + k * positions, n) : _mm_setzero_si128();
            }
            store_quad(lanes[0], lanes[1], lanes[2], lanes[3], tiles);
        }
    }
}

/* One tile, `rows` outputs (a constant at every call). `run` quads add up in 16 bits. */
LWFC_TARGET("avx2")
LWFC_INLINE void dot_tile(const uint8_t *from, size_t quads, size_t run,
                          const uint8_t *const *weights, const int rows, int32_t *const *sums,
                          size_t at)
{
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i acc[4][2];
    for (int r = 0; r < rows; r++) {
        acc[r][0] = acc[r][1] = _mm256_setzero_si256();
    }
    for (size_t first = 0; first < quads; first += run) {
        const size_t end = quads - first < run ? quads : first + run;
        __m256i part[4][2];
        for (int r = 0; r < rows; r++) {
            part[r][0] = part[r][1] = _mm256_setzero_si256();
        }
        for (size_t q = first; q < end; q++) {
            const __m256i f0 = load_32(from + q * LWFC_RESTORE_TILE * 4);
            const __m256i f1 = load_32(from + q * LWFC_RESTORE_TILE * 4 + 32);
            for (int r = 0; r < rows; r++) {
                int32_t group;
                memcpy(&group, weights[r] + 4 * q, sizeof group);
                const __m256i w = _mm256_set1_epi32(group);
                part[r][0] = _mm256_add_epi16(part[r][0], _mm256_maddubs_epi16(f0, w));
                part[r][1] = _mm256_add_epi16(part[r][1], _mm256_maddubs_epi16(f1, w));
            }
        }
        for (int r = 0; r < rows; r++) {
            for (int h = 0; h < 2; h++) {
                acc[r][h] = _mm256_add_epi32(acc[r][h], _mm256_madd_epi16(part[r][h], ones));
            }
        }
    }
    for (int r = 0; r < rows; r++) {
        __m256i *to = (__m256i *)(void *)(sums[r] + at);
        _mm256_storeu_si256(to, acc[r][0]);
        _mm256_storeu_si256(to + 1, acc[r][1]);
    }
}

/* The same where no two products add up in 16 bits. */
LWFC_TARGET("avx2")
LWFC_INLINE void dot_tile_large(const uint8_t *from, size_t quads, const uint8_t *const *weights,
                                const int rows, int32_t *const *sums, size_t at)
{
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i acc[4][2];
    for (int r = 0; r < rows; r++) {
        acc[r][0] = acc[r][1] = _mm256_setzero_si256();
    }
    for (size_t q = 0; q < quads; q++) {
        const __m256i f0 = load_32(from + q * LWFC_RESTORE_TILE * 4);
        const __m256i f1 = load_32(from + q * LWFC_RESTORE_TILE * 4 + 32);
        for (int r = 0; r < rows; r++) {
            int32_t group;
            memcpy(&group, weights[r] + 4 * q, sizeof group);
            const __m256i w = _mm256_set1_epi32(group);
            acc[r][0] = _mm256_add_epi32(
                acc[r][0], _mm256_madd_epi16(_mm256_maddubs_epi16(f0, w), ones));
            acc[r][1] = _mm256_add_epi32(
                acc[r][1], _mm256_madd_epi16(_mm256_maddubs_epi16(f1, w), ones));
        }
    }
    for (int r = 0; r < rows; r++) {
        __m256i *to = (__m256i *)(void *)(sums[r] + at);
        _mm256_storeu_si256(to, acc[r][0]);
        _mm256_storeu_si256(to + 1, acc[r][1]);
    }
}

LWFC_TARGET("avx2")
static void dot_avx2(const uint8_t *tiles, size_t count, size_t quads, int most,
                     const uint8_t *const *weights, int rows, int32_t *const *sums)
{
    const size_t tile_nbytes = quads * LWFC_RESTORE_TILE * 4;
    const size_t run = 32767U / (2U * 128U * (unsigned)(most > 0 ? most : 1));
    for (size_t t = 0; t < count; t++) {
        const uint8_t *from = tiles + t * tile_nbytes;
        const size_t at = t * LWFC_RESTORE_TILE;
        for (int r = 0; r < rows; r += 4) {
            const int some = rows - r < 4 ? rows - r : 4;
            if (run > 1 && some == 4) {
                dot_tile(from, quads, run, weights + r, 4, sums + r, at);
            } else if (some == 4) {
                dot_tile_large(from, quads, weights + r, 4, sums + r, at);
            } else {
                for (int i = r; i < r + some; i++) {
                    dot_tile_large(from, quads, weights + i, 1, sums + i, at);
                }
            }
        }
    }
}

/* 3x3 sums of 8 positions. */
LWFC_TARGET("avx2")
LWFC_INLINE __m256i box_8(const struct lwfc_restore_map *map, const int32_t *near, size_t p)
{
    const int32_t *const mid = near + p;
    const int32_t *const up = mid - map->width;
    const int32_t *const down = mid + map->width;
    __m256i column[3];
    for (ptrdiff_t i = 0; i < 3; i++) {
        column[i] = _mm256_add_epi32(_mm256_add_epi32(load_32(up + i - 1), load_32(mid + i - 1)),
                                     load_32(down + i - 1));
    }
    const void *const left = map->left + p;
    const void *const right = map->right + p;
    const __m256i has_left = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)left));
    const __m256i has_right = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)right));
    return _mm256_add_epi32(column[1], _mm256_add_epi32(_mm256_and_si256(column[0], has_left),
                                                        _mm256_and_si256(column[2], has_right)));
}

LWFC_TARGET("avx2")
static void box_avx2(const struct lwfc_restore_map *map, const int32_t *near, int32_t *sums)
{
    for (size_t p = 0; p < map->positions; p += 8) {
        const __m256i sum = _mm256_add_epi32(load_32(sums + p), box_8(map, near, p));
        _mm256_storeu_si256((__m256i *)(void *)(sums + p), sum);
    }
}

LWFC_TARGET("avx2")
static void latents_avx2(const struct lwfc_restore_map *map, const int32_t *const *sums,
                         const int32_t *const *near, const int32_t *bias, const int *shift,
                         uint8_t *tiles, size_t tile_stride)
{
    const __m256i most = _mm256_set1_epi32(LWFC_RESTORE_LATENT_MAX);
    for (size_t p = 0; p < map->positions; p += 8) {
        __m256i quads = _mm256_setzero_si256();
        for (int k = 0; k < 4; k++) {
            __m256i v = _mm256_add_epi32(load_32(sums[k] + p), _mm256_set1_epi32(bias[k]));
            if (near != NULL) {
                v = _mm256_add_epi32(v, box_8(map, near[k], p));
            }
            v = _mm256_max_epi32(v, _mm256_setzero_si256());
            v = _mm256_min_epi32(_mm256_srl_epi32(v, _mm_cvtsi32_si128(shift[k])), most);
            quads = _mm256_or_si256(quads, _mm256_sll_epi32(v, _mm_cvtsi32_si128(8 * k)));
        }
        uint8_t *to = tiles + p / LWFC_RESTORE_TILE * tile_stride + p % LWFC_RESTORE_TILE * 4;
        _mm256_storeu_si256((__m256i *)(void *)to, quads);
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
                            __m128i d, __m256i sum)
{
    const int is_small = c->levels <= 8;
    const __m256i index =
        _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)symbols));
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
static void finish_avx2(const struct lwfc_restore_channel *channel,
                        const struct lwfc_restore_map *map, const uint8_t *symbols,
                        const uint8_t *plane, const int32_t *sums, float *out)
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
    for (size_t p = 0; p < map->positions; p += 16) {
        const uint8_t *mid = plane + p;
        const uint8_t *up = mid - map->width;
        const uint8_t *down = mid + map->width;
        const __m128i left = load_16(map->left + p);
        const __m128i right = load_16(map->right + p);
        const __m128i h = _mm_add_epi8(_mm_and_si128(left, load_16(mid - 1)),
                                       _mm_and_si128(right, load_16(mid + 1)));
        const __m128i v = _mm_add_epi8(load_16(up), load_16(down));
        const __m128i d = _mm_add_epi8(
            _mm_and_si128(left, _mm_add_epi8(load_16(up - 1), load_16(down - 1))),
            _mm_and_si128(right, _mm_add_epi8(load_16(up + 1), load_16(down + 1))));
        __m256i sum[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
        if (sums != NULL) { /* whole tiles */
            sum[0] = load_32(sums + p);
            sum[1] = load_32(sums + p + 8);
        }
        uint8_t index[16] = {0};
        float buffer[16];
        const uint8_t *from = symbols + p;
        float *to = out + p;
        const size_t rest = map->positions - p;
        if (rest < 16) {
            memcpy(index, from, rest);
            from = index;
            to = buffer;
        }
        _mm256_storeu_ps(to, finish_8(channel, &t, from, _mm_unpacklo_epi8(h, v), d, sum[0]));
        _mm256_storeu_ps(to + 8, finish_8(channel, &t, from + 8, _mm_unpackhi_epi8(h, v),
                                          _mm_srli_si128(d, 8), sum[1]));
        if (rest < 16) {
            memcpy(out + p, buffer, rest * sizeof buffer[0]);
        }
    }
}

#endif
