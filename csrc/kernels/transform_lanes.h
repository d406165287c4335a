/* The transform's kernels over vectors of LANES 32-bit numbers, for every SIMD variant:
 * each defines what `v_` and `f_` functions do, KERNEL(name) and TARGET, and includes this.
 * Included several times. */

enum { KERNEL(vectors) = LWFC_STRIP / LANES }; /* of a strip */

#define VECTORS KERNEL(vectors)

TARGET LWFC_INLINE void KERNEL(synthesize_strips)(const struct lwfc_synthesis *s, const int strips,
                                                  int16_t *x, size_t stride)
{
    V sum[LWFC_STRIPS * VECTORS];
    for (int i = 0; i < strips * VECTORS; i++) {
        sum[i] = v_half(s->shift);
    }
    uint32_t e = 0;
    do { /* two at a time, the last one perhaps with 0 times itself */
        const uint32_t first = s->entries[e];
        const uint32_t second = e + 1 < s->count ? s->entries[e + 1] : first & ~0xFFFFu;
        const int16_t *a = s->columns + (first >> 16) * s->stride;
        const int16_t *b = s->columns + (second >> 16) * s->stride;
        for (int i = 0; i < strips; i++) {
            v_add_products(sum + i * VECTORS, a + i * LWFC_STRIP, b + i * LWFC_STRIP,
                           (first & 0xFFFF) | second << 16);
        }
        e += 2;
    } while (e < s->count);
    for (int i = 0; i < strips; i++) {
        v_store_products(x + (size_t)i * stride, sum + i * VECTORS, s->shift);
    }
}

TARGET static void KERNEL(synthesize)(const struct lwfc_synthesis *s, int strips, int16_t *x,
                                      size_t stride)
{
    switch (strips) {
    case 1:
        KERNEL(synthesize_strips)(s, 1, x, stride);
        break;
    case 2:
        KERNEL(synthesize_strips)(s, 2, x, stride);
        break;
    case 3:
        KERNEL(synthesize_strips)(s, 3, x, stride);
        break;
    default:
        KERNEL(synthesize_strips)(s, LWFC_STRIPS, x, stride);
    }
}

/* Two columns' numbers: of even u and of odd ones, which differ in their sign from the other
 * end on. `lines` are [quads][even u, odd u][column]. */
TARGET LWFC_INLINE void KERNEL(columns_of)(const V *lines, int quads,
                                           const struct lwfc_side *height, uint32_t *z)
{
    const V half = v_half(height->bits);
    const int n = height->n, padded = height->padded;
    for (int y = 0; y < (n + 1) / 2; y++) {
        const uint32_t *table = height->mirrored + y;
        V even[2] = {half, half}, odd[2] = {v_set1(0), v_set1(0)};
        int q = 0;
        do {
            const V over_even = v_set1(table[0]), over_odd = v_set1(table[padded]);
            for (int k = 0; k < 2; k++) {
                even[k] = v_dot(even[k], lines[4 * q + k], over_even);
                odd[k] = v_dot(odd[k], lines[4 * q + 2 + k], over_odd);
            }
            table += 2 * padded;
        } while (++q < quads);
        v_store(z + y * LWFC_STRIP,
                v_shifted_pair(v_add(even[0], odd[0]), v_add(even[1], odd[1]), height->bits));
        v_store(z + (n - 1 - y) * LWFC_STRIP,
                v_shifted_pair(v_sub(even[0], odd[0]), v_sub(even[1], odd[1]), height->bits));
    }
}

TARGET static void KERNEL(columns)(const int16_t *x, const struct lwfc_side *side, int quads,
                                   int vp, int width, uint32_t *z)
{
    const struct lwfc_side local = *side, *height = &local; /* nothing written is part of it */
    const int line = 4 * quads * LWFC_STRIP;
    V lines[VECTORS][LWFC_SIDE_MAX];
    for (int p = 0; p < vp; p++, x += 2 * line, z += height->n * LWFC_STRIP) {
        for (int q = 0; q < quads; q++) {
            for (int k = 0; k < 4; k++) { /* even u, odd u, of either column */
                const int16_t *at = x + k % 2 * line + (4 * q + k / 2) * LWFC_STRIP;
                V both[VECTORS] = {v_set1(0)};
                if (2 * p + k % 2 < width) {
                    v_load_pairs(at, at + 2 * LWFC_STRIP, both);
                }
                for (int i = 0; i < VECTORS; i++) {
                    lines[i][4 * q + k] = both[i];
                }
            }
        }
        for (int i = 0; i < VECTORS; i++) {
            KERNEL(columns_of)(lines[i], quads, height, z + i * LANES);
        }
    }
}

/* `n` vectors of floats from their sums, `step` floats apart. */
TARGET LWFC_INLINE void KERNEL(finish)(const V *sum, const int n, float *out, ptrdiff_t step,
                                       int count, const struct lwfc_rows_out *to)
{
    F v[8];
    for (int k = 0; k < n; k++) {
        v[k] = f_scaled(sum[k], to->scale);
    }
    if (to->clamp) {
        for (int k = 0; k < n; k++) {
            v[k] = f_limited(v[k], to->lo, to->hi);
        }
    }
    if (count >= LANES) {
        for (int k = 0; k < n; k++) {
            f_store(out + k * step, v[k], LANES);
        }
    } else {
        for (int k = 0; k < n; k++) {
            f_store(out + k * step, v[k], count);
        }
    }
}

/* Adjacent channels of `n` columns: vectors over channels. */
TARGET LWFC_INLINE void KERNEL(rows_last_of)(const uint32_t *z, const struct lwfc_side *width,
                                             const uint32_t *table, int vp, int height, int count,
                                             const int n, float *out, const int16_t *mean,
                                             const struct lwfc_rows_out *to)
{
    const V unit = v_set1(1u << width->bits);
    V sum[8];
    for (int k = 0; k < n; k++) {
        sum[k] = v_mean(mean + k * to->mean_column, unit);
    }
    int p = 0;
    do {
        const V line = v_load(z);
        for (int k = 0; k < n; k++) {
            sum[k] = v_dot(sum[k], line, v_set1(table[k]));
        }
        z += height * LWFC_STRIP;
        table += width->padded;
    } while (++p < vp);
    KERNEL(finish)(sum, n, out, to->column, count, to);
}

/* `n` rows of one channel and `count` columns. */
TARGET LWFC_INLINE void KERNEL(rows_of)(const uint32_t *z, const struct lwfc_side *width,
                                        const uint32_t *table, int vp, int height, int count,
                                        const int n, float *out, const int16_t *mean,
                                        const struct lwfc_rows_out *to)
{
    const V unit = v_set1(1u << width->bits);
    V sum[8];
    for (int k = 0; k < n; k++) {
        sum[k] = v_mean(mean + k * to->mean_row, unit);
    }
    int p = 0;
    do {
        const V t = v_load(table);
        for (int k = 0; k < n; k++) {
            sum[k] = v_dot(sum[k], t, v_set1(z[k * LWFC_STRIP]));
        }
        z += height * LWFC_STRIP;
        table += width->padded;
    } while (++p < vp);
    KERNEL(finish)(sum, n, out, to->row, count, to);
}

/* Where the next piece of a line of n begins, and how long it is: 8, 4 or 1. A last piece of 2
 * or 3 begins earlier and overlaps the one before. */
LWFC_INLINE int KERNEL(piece)(int *at, int n)
{
    const int left = n - *at;
    if (left < 4 && left > 1 && n >= 4) {
        *at = n - 4;
        return 4;
    }
    return left >= 8 ? 8 : left >= 4 ? 4 : 1;
}

TARGET LWFC_INLINE void KERNEL(rows_last)(const uint32_t *z, const struct lwfc_side *width, int vp,
                                          int height, int channels, const struct lwfc_rows_out *to)
{
    for (int y = 0; y < height; y++, z += LWFC_STRIP) {
        for (int i = 0; i < channels; i += LANES) {
            for (int x = 0, n; x < width->n; x += n) {
                n = KERNEL(piece)(&x, width->n);
                const uint32_t *table = width->over_k + x;
                float *out = to->out + y * to->row + x * to->column + i;
                const int16_t *mean = to->mean + y * to->mean_row + x * to->mean_column + i;
                if (n == 8) {
                    KERNEL(rows_last_of)(z + i, width, table, vp, height, channels - i, 8, out,
                                         mean, to);
                } else if (n == 4) {
                    KERNEL(rows_last_of)(z + i, width, table, vp, height, channels - i, 4, out,
                                         mean, to);
                } else {
                    KERNEL(rows_last_of)(z + i, width, table, vp, height, channels - i, 1, out,
                                         mean, to);
                }
            }
        }
    }
}

TARGET static void KERNEL(rows)(const uint32_t *z, const struct lwfc_side *side, int vp,
                                int height, int channels, const struct lwfc_rows_out *rows)
{
    /* Nothing written is part of the copies. */
    const struct lwfc_rows_out local = *rows, *to = &local;
    const struct lwfc_side local_side = *side, *width = &local_side;
    if (to->column != 1) {
        KERNEL(rows_last)(z, width, vp, height, channels, to);
        return;
    }
    for (int from = 0; from < width->n; from += LANES) {
        /* The last vector overlaps the one before. */
        const int x = from + LANES > width->n && from > 0 ? width->n - LANES : from;
        const uint32_t *table = width->over_k + x;
        for (int y = 0, n; y < height; y += n) {
            n = KERNEL(piece)(&y, height);
            const uint32_t *line = z + y * LWFC_STRIP;
            float *out = to->out + y * to->row + x;
            const int16_t *mean = to->mean + y * to->mean_row + x;
            for (int c = 0; c < channels; c++, out += to->channel, mean += to->mean_channel) {
                __asm__("" : "+r"(out)); /* gcc would keep a pointer to each row, in memory */
                if (n == 8) {
                    KERNEL(rows_of)(line + c, width, table, vp, height, width->n, 8, out, mean, to);
                } else if (n == 4) {
                    KERNEL(rows_of)(line + c, width, table, vp, height, width->n, 4, out, mean, to);
                } else {
                    KERNEL(rows_of)(line + c, width, table, vp, height, width->n, 1, out, mean, to);
                }
            }
        }
    }
}

#include "kernels/transform_lanes_forward.h"

#undef VECTORS
