/* AVX-512 VNNI variants of kernels/restore_kernels.c, included by it: 16 positions
 * are one vector, a quad times four weights one instruction. */
#ifndef LWFC_KERNELS_X86_RESTORE_AVX512_H
#define LWFC_KERNELS_X86_RESTORE_AVX512_H

#include <immintrin.h>

#define VNNI "avx512f,avx512bw,avx512vnni"

/* `count` tiles, `rows` outputs (constants at every call). */
LWFC_TARGET(VNNI)
LWFC_INLINE void dot_tiles_vnni(const uint8_t *from, size_t quads, const int count,
                                const uint8_t *const *weights, const int rows,
                                int32_t *const *sums, size_t at)
{
    const size_t tile_nbytes = quads * LWFC_RESTORE_TILE * 4;
    __m512i acc[LWFC_RESTORE_ROWS][3];
    for (int r = 0; r < rows; r++) {
        for (int t = 0; t < count; t++) {
            acc[r][t] = _mm512_setzero_si512();
        }
    }
    for (size_t q = 0; q < quads; q++) {
        __m512i f[3];
        for (int t = 0; t < count; t++) {
            f[t] = _mm512_loadu_si512(from + (size_t)t * tile_nbytes + q * LWFC_RESTORE_TILE * 4);
        }
        for (int r = 0; r < rows; r++) {
            int32_t group;
            memcpy(&group, weights[r] + 4 * q, sizeof group);
            const __m512i w = _mm512_set1_epi32(group);
            for (int t = 0; t < count; t++) {
                acc[r][t] = _mm512_dpbusd_epi32(acc[r][t], f[t], w);
            }
        }
    }
    for (int r = 0; r < rows; r++) {
        for (int t = 0; t < count; t++) {
            _mm512_storeu_si512(sums[r] + at + t * LWFC_RESTORE_TILE, acc[r][t]);
        }
    }
}

LWFC_TARGET(VNNI)
static void dot_vnni(const uint8_t *tiles, size_t count, size_t quads, int most,
                     const uint8_t *const *weights, int rows, int32_t *const *sums)
{
    (void)most;
    const size_t tile_nbytes = quads * LWFC_RESTORE_TILE * 4;
    for (size_t t = 0; t < count;) {
        const size_t some = count - t < 3 ? 1 : 3;
        const uint8_t *from = tiles + t * tile_nbytes;
        const size_t at = t * LWFC_RESTORE_TILE;
        for (int r = 0; r < rows;) {
            const int left = rows - r;
            if (some == 3 && left >= 8) {
                dot_tiles_vnni(from, quads, 3, weights + r, 8, sums + r, at);
                r += 8;
            } else if (some == 3 && left >= 4) {
                dot_tiles_vnni(from, quads, 3, weights + r, 4, sums + r, at);
                r += 4;
            } else if (some == 3) {
                dot_tiles_vnni(from, quads, 3, weights + r, 1, sums + r, at);
                r += 1;
            } else if (left >= 8) {
                dot_tiles_vnni(from, quads, 1, weights + r, 8, sums + r, at);
                r += 8;
            } else {
                dot_tiles_vnni(from, quads, 1, weights + r, 1, sums + r, at);
                r += 1;
            }
        }
        t += some;
    }
}

/* 3x3 sums of 16 positions; left and right: which have those neighbours. */
LWFC_TARGET(VNNI)
LWFC_INLINE __m512i box_16(const int32_t *mid, size_t width, __mmask16 left, __mmask16 right)
{
    const int32_t *const up = mid - width;
    const int32_t *const down = mid + width;
    __m512i column[3];
    for (ptrdiff_t i = 0; i < 3; i++) {
        column[i] = _mm512_add_epi32(_mm512_loadu_si512(up + i - 1), _mm512_loadu_si512(mid + i - 1));
        column[i] = _mm512_add_epi32(column[i], _mm512_loadu_si512(down + i - 1));
    }
    const __m512i two = _mm512_mask_add_epi32(column[1], left, column[1], column[0]);
    return _mm512_mask_add_epi32(two, right, two, column[2]);
}

LWFC_TARGET(VNNI)
LWFC_INLINE __mmask16 edge_16(const uint8_t *edge)
{
    return (__mmask16)_mm_movemask_epi8(_mm_loadu_si128((const __m128i *)(const void *)edge));
}

LWFC_TARGET(VNNI)
static void box_vnni(const struct lwfc_restore_map *map, const int32_t *near, int32_t *sums)
{
    for (size_t p = 0; p < map->positions; p += LWFC_RESTORE_TILE) {
        const __mmask16 left = edge_16(map->left + p);
        const __mmask16 right = edge_16(map->right + p);
        const __m512i sum = box_16(near + p, map->width, left, right);
        _mm512_storeu_si512(sums + p, _mm512_add_epi32(_mm512_loadu_si512(sums + p), sum));
    }
}

LWFC_TARGET(VNNI)
static void latents_vnni(const struct lwfc_restore_map *map, const int32_t *const *sums,
                         const int32_t *const *near, const int32_t *bias, const int *shift,
                         uint8_t *tiles, size_t tile_stride)
{
    const __m512i most = _mm512_set1_epi32(LWFC_RESTORE_LATENT_MAX);
    for (size_t p = 0; p < map->positions; p += LWFC_RESTORE_TILE) {
        const __mmask16 left = edge_16(map->left + p);
        const __mmask16 right = edge_16(map->right + p);
        __m512i quads = _mm512_setzero_si512();
        for (int k = 0; k < 4; k++) {
            __m512i v =
                _mm512_add_epi32(_mm512_loadu_si512(sums[k] + p), _mm512_set1_epi32(bias[k]));
            if (near != NULL) {
                v = _mm512_add_epi32(v, box_16(near[k] + p, map->width, left, right));
            }
            v = _mm512_max_epi32(v, _mm512_setzero_si512());
            v = _mm512_min_epi32(_mm512_srl_epi32(v, _mm_cvtsi32_si128(shift[k])), most);
            v = _mm512_sll_epi32(v, _mm_cvtsi32_si128(8 * k));
            quads = _mm512_or_si512(quads, v);
        }
        _mm512_storeu_si512(tiles, quads);
        tiles += tile_stride;
    }
}

/* Tables of up to 16 levels in registers; more are gathered. */
struct finish_vnni_tables {
    __m512 offset, slope, low, high;
    __m512i own_h, own_v, own_d;
};

LWFC_TARGET(VNNI)
LWFC_INLINE __m512 load_table(const float *table, int32_t levels)
{
    float padded[16] = {0};
    memcpy(padded, table, sizeof padded[0] * (size_t)levels);
    return _mm512_loadu_ps(padded);
}

/* 16 positions: symbols, sums of neighbours, and `sum`. */
LWFC_TARGET(VNNI)
LWFC_INLINE __m512 finish_16(const struct finish_vnni_tables *t, __m512i index, __m512i h,
                             __m512i v, __m512i d, __m512i sum)
{
    /* pairs of 16 bits, the upper half of each 0 */
    sum = _mm512_dpwssd_epi32(sum, h, t->own_h);
    sum = _mm512_add_epi32(sum, _mm512_dpwssd_epi32(_mm512_madd_epi16(v, t->own_v), d, t->own_d));
    __m512 x = _mm512_mul_ps(_mm512_permutexvar_ps(index, t->slope), _mm512_cvtepi32_ps(sum));
    x = _mm512_add_ps(_mm512_permutexvar_ps(index, t->offset), x);
    /* operand order: equal values keep x, as in the scalar compare */
    x = _mm512_max_ps(_mm512_permutexvar_ps(index, t->low), x);
    return _mm512_min_ps(_mm512_permutexvar_ps(index, t->high), x);
}

LWFC_TARGET(VNNI)
LWFC_INLINE __m512i widen_16(const uint8_t *p)
{
    return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
}

LWFC_TARGET(VNNI)
static void finish_vnni(const struct lwfc_restore_channel *channel,
                        const struct lwfc_restore_map *map, const uint8_t *symbols,
                        const uint8_t *plane, const int32_t *sums, float *out)
{
    const int32_t levels = channel->levels;
    if (levels > 16 || channel->strength != 1.0F) {
        finish_avx2(channel, map, symbols, plane, sums, out);
        return;
    }
    const struct finish_vnni_tables t = {
        .offset = load_table(channel->offset, levels),
        .slope = load_table(channel->slope, levels),
        .low = load_table(channel->low, levels),
        .high = load_table(channel->high, levels),
        .own_h = _mm512_set1_epi32((uint16_t)channel->own[0]),
        .own_v = _mm512_set1_epi32((uint16_t)channel->own[1]),
        .own_d = _mm512_set1_epi32((uint16_t)channel->own[2]),
    };
    for (size_t p = 0; p < map->positions; p += 64) {
        const uint8_t *mid = plane + p;
        const uint8_t *up = mid - map->width;
        const uint8_t *down = mid + map->width;
        const __mmask64 left = _mm512_movepi8_mask(_mm512_loadu_si512(map->left + p));
        const __mmask64 right = _mm512_movepi8_mask(_mm512_loadu_si512(map->right + p));
        uint8_t near[3][64];
        __m512i h = _mm512_maskz_mov_epi8(left, _mm512_loadu_si512(mid - 1));
        h = _mm512_mask_add_epi8(h, right, h, _mm512_loadu_si512(mid + 1));
        __m512i d = _mm512_maskz_mov_epi8(
            left, _mm512_add_epi8(_mm512_loadu_si512(up - 1), _mm512_loadu_si512(down - 1)));
        d = _mm512_mask_add_epi8(
            d, right, d,
            _mm512_add_epi8(_mm512_loadu_si512(up + 1), _mm512_loadu_si512(down + 1)));
        _mm512_storeu_si512(near[0], h);
        _mm512_storeu_si512(near[1],
                            _mm512_add_epi8(_mm512_loadu_si512(up), _mm512_loadu_si512(down)));
        _mm512_storeu_si512(near[2], d);
        for (size_t i = 0; i < 64 && p + i < map->positions; i += 16) {
            const size_t rest = map->positions - p - i;
            const __m512i sum =
                sums != NULL ? _mm512_loadu_si512(sums + p + i) : _mm512_setzero_si512();
            uint8_t part[16] = {0};
            const uint8_t *from = symbols + p + i;
            if (rest < 16) {
                memcpy(part, from, rest);
                from = part;
            }
            const __m512 x = finish_16(&t, widen_16(from), widen_16(near[0] + i),
                                       widen_16(near[1] + i), widen_16(near[2] + i), sum);
            if (rest < 16) {
                _mm512_mask_storeu_ps(out + p + i, (__mmask16)((1U << rest) - 1), x);
            } else {
                _mm512_storeu_ps(out + p + i, x);
            }
        }
    }
}

#undef VNNI

#endif
