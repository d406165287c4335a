/* The transform's kernels over vectors of LANES 32-bit numbers, for every SIMD variant:
 * each defines what `v_` and `f_` functions do, KERNEL(name) and TARGET, and includes this.
 * Included several times. */

enum { KERNEL(vectors) = LWFC_STRIP / LANES }; /* of a strip */

#define VECTORS KERNEL(vectors)

TARGET LWFC_INLINE void KERNEL(synthesize_strips)(const struct lwfc_synthesis *s, const int strips,
                                                  int odd, uint32_t *x, size_t stride)
{
    V sum[LWFC_STRIPS * VECTORS];
    for (int i = 0; i < strips * VECTORS; i++) {
        sum[i] = v_set1(0);
    }
    for (uint32_t e = 0; e < s->count; e++) {
        const int16_t *column = s->columns + (s->entries[e] >> 16) * s->stride;
        const V q = v_set1(s->entries[e] & 0xFFFF);
        for (int i = 0; i < strips * VECTORS; i++) {
            sum[i] = v_add_product(sum[i], column + i * LANES, q);
        }
    }
    for (int i = 0; i < strips * VECTORS; i++) {
        uint32_t *at = x + (size_t)(i / VECTORS) * stride + i % VECTORS * LANES;
        const V v = v_rounded(sum[i], s->shift), old = v_load(at);
        v_store(at, odd ? v_pair(old, v) : v_with_low(old, v));
    }
}

TARGET static void KERNEL(synthesize)(const struct lwfc_synthesis *s, int strips, int odd,
                                      uint32_t *x, size_t stride)
{
    switch (strips) {
    case 1:
        KERNEL(synthesize_strips)(s, 1, odd, x, stride);
        break;
    case 2:
        KERNEL(synthesize_strips)(s, 2, odd, x, stride);
        break;
    case 3:
        KERNEL(synthesize_strips)(s, 3, odd, x, stride);
        break;
    default:
        KERNEL(synthesize_strips)(s, LWFC_STRIPS, odd, x, stride);
    }
}

/* sums[k] of `count` pairs of lines a and b with table[k * step + i * table_stride],
 * k < n; b may be NULL. The constant n keeps the sums in registers. */
TARGET LWFC_INLINE void KERNEL(sum_lines)(const uint32_t *a, const uint32_t *b, int count,
                                          const uint32_t *table, int step, int table_stride,
                                          const int n, V *of_a, V *of_b)
{
    for (int k = 0; k < n; k++) {
        of_a[k] = of_b[k] = v_set1(0);
    }
    for (int i = 0; i < count; i++) {
        const V x = v_load(a + i * LWFC_STRIP);
        const V y = b != NULL ? v_load(b + i * LWFC_STRIP) : v_set1(0);
        for (int k = 0; k < n; k++) {
            const V t = v_set1(table[k * step + i * table_stride]);
            of_a[k] = v_dot(of_a[k], x, t);
            of_b[k] = v_dot(of_b[k], y, t);
        }
    }
}

TARGET LWFC_INLINE void KERNEL(columns_of)(const uint32_t *a, const uint32_t *b, int up,
                                           const struct lwfc_side *height, int y, const int n,
                                           uint32_t *z, int z_stride)
{
    V even[4], odd[4];
    KERNEL(sum_lines)(a, b, up, height->over_k + y, 1, height->padded, n, even, odd);
    for (int k = 0; k < n; k++) {
        v_store(z + (y + k) * z_stride * LWFC_STRIP,
                v_pair(v_rounded(even[k], height->bits), v_rounded(odd[k], height->bits)));
    }
}

TARGET static void KERNEL(columns)(const uint32_t *x, const struct lwfc_side *height, int x_stride,
                                   int up, int vp, int width, uint32_t *z, int z_stride)
{
    for (int p = 0; p < vp; p++) {
        for (int i = 0; i < LWFC_STRIP; i += LANES) {
            const uint32_t *a = x + 2 * p * x_stride * LWFC_STRIP + i;
            const uint32_t *b = 2 * p + 1 < width ? a + x_stride * LWFC_STRIP : NULL;
            uint32_t *out = z + p * LWFC_STRIP + i;
            int y = 0;
            for (; y + 4 <= height->n; y += 4) {
                KERNEL(columns_of)(a, b, up, height, y, 4, out, z_stride);
            }
            for (; y < height->n; y++) {
                KERNEL(columns_of)(a, b, up, height, y, 1, out, z_stride);
            }
        }
    }
}

TARGET LWFC_INLINE F KERNEL(finish)(V sum, const struct lwfc_rows_out *to)
{
    const F v = f_scaled(sum, to->scale);
    return to->clamp ? f_limited(v, to->lo, to->hi) : v;
}

/* Adjacent channels of a position: vectors over channels. */
TARGET static void KERNEL(rows_last)(const uint32_t *z, int z_stride, const struct lwfc_side *width,
                                     int vp, int height, int channels,
                                     const struct lwfc_rows_out *to)
{
    for (int y = 0; y < height; y++, z += z_stride * LWFC_STRIP) {
        for (int i = 0; i < channels; i += LANES) {
            float *out = to->out + y * to->row + i;
            const int16_t *mean = to->mean + y * to->mean_row + i;
            for (int x = 0; x < width->n; x++) {
                V sum = v_mean(mean + x * to->mean_column, width->bits);
                for (int p = 0; p < vp; p++) {
                    sum = v_dot(sum, v_load(z + p * LWFC_STRIP + i),
                                v_set1(width->over_k[p * width->padded + x]));
                }
                f_store(out + x * to->column, KERNEL(finish)(sum, to), channels - i);
            }
        }
    }
}

/* `n` rows of one channel and `count` columns from x on. */
TARGET LWFC_INLINE void KERNEL(rows_of)(const uint32_t *z, int z_stride,
                                        const struct lwfc_side *width, int vp, int x, int count,
                                        const int n, float *out, const int16_t *mean,
                                        const struct lwfc_rows_out *to)
{
    V sum[4];
    for (int k = 0; k < n; k++) {
        sum[k] = v_mean(mean + k * to->mean_row, width->bits);
    }
    for (int p = 0; p < vp; p++) {
        const V t = v_load(width->over_k + p * width->padded + x);
        for (int k = 0; k < n; k++) {
            sum[k] = v_dot(sum[k], t, v_set1(z[(k * z_stride + p) * LWFC_STRIP]));
        }
    }
    for (int k = 0; k < n; k++) {
        f_store(out + k * to->row, KERNEL(finish)(sum[k], to), count);
    }
}

TARGET static void KERNEL(rows)(const uint32_t *z, int z_stride, const struct lwfc_side *width,
                                int vp, int height, int channels, const struct lwfc_rows_out *to)
{
    if (to->column != 1) {
        KERNEL(rows_last)(z, z_stride, width, vp, height, channels, to);
        return;
    }
    for (int from = 0; from < width->n; from += LANES) {
        /* The last vector overlaps the one before. */
        const int x = from + LANES > width->n && from > 0 ? width->n - LANES : from;
        for (int c = 0; c < channels; c++) {
            const uint32_t *line = z + c;
            float *out = to->out + c * to->channel + x;
            const int16_t *mean = to->mean + c * to->mean_channel + x;
            int y = 0;
            for (; y + 4 <= height; y += 4) {
                KERNEL(rows_of)(line + y * z_stride * LWFC_STRIP, z_stride, width, vp, x, width->n,
                                4, out + y * to->row, mean + y * to->mean_row, to);
            }
            for (; y < height; y++) {
                KERNEL(rows_of)(line + y * z_stride * LWFC_STRIP, z_stride, width, vp, x, width->n,
                                1, out + y * to->row, mean + y * to->mean_row, to);
            }
        }
    }
}

TARGET LWFC_INLINE V KERNEL(taken)(const float *in, int count, const int16_t *mean,
                                   const struct lwfc_rows_in *f)
{
    return v_taken(f_load(in, count), v_mean(mean, f->bits), f->lo, f->hi,
                   f->scale);
}

TARGET static void KERNEL(take_last)(const struct lwfc_rows_in *f, int height, int width,
                                     int channels, uint32_t *d)
{
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x += 2, d += LWFC_STRIP) {
            const float *in = f->in + y * f->row + x * f->column;
            const int16_t *mean = f->mean + y * f->mean_row + x * f->mean_column;
            for (int i = 0; i < LWFC_STRIP; i += LANES) {
                V even = v_set1(0), odd = even;
                if (i < channels) {
                    even = KERNEL(taken)(in + i, channels - i, mean + i, f);
                    if (x + 1 < width) {
                        odd = KERNEL(taken)(in + f->column + i, channels - i,
                                            mean + f->mean_column + i, f);
                    }
                }
                v_store(d + i, v_pair(even, odd));
            }
        }
    }
}

TARGET static void KERNEL(take)(const struct lwfc_rows_in *f, int height, int width, int channels,
                                uint32_t *d)
{
    if (f->column != 1) {
        KERNEL(take_last)(f, height, width, channels, d);
        return;
    }
    const int pairs = (width + 1) / 2;
    int16_t lines[LWFC_STRIP][LWFC_SIDE_MAX + 16];
    if (channels < LWFC_STRIP) {
        memset(lines[channels], 0, (size_t)(LWFC_STRIP - channels) * sizeof lines[0]);
    }
    for (int y = 0; y < height; y++, d += pairs * LWFC_STRIP) {
        for (int c = 0; c < channels; c++) {
            const float *in = f->in + c * f->channel + y * f->row;
            const int16_t *mean = f->mean + c * f->mean_channel + y * f->mean_row;
            for (int x = 0; x < width; x += LANES) {
                v_store_low(lines[c] + x, KERNEL(taken)(in + x, width - x, mean + x, f));
            }
            lines[c][width] = 0;
        }
        v_turned(lines[0], sizeof lines[0], pairs, d);
    }
}

TARGET LWFC_INLINE void KERNEL(forward_rows_of)(const uint32_t *a, const uint32_t *b,
                                                const struct lwfc_side *width, int v, const int n,
                                                int shift, uint32_t *r, int r_stride)
{
    V even[4], odd[4];
    KERNEL(sum_lines)(a, b, width->pairs, width->over_i + v * width->pairs, width->pairs, 1, n,
                      even, odd);
    for (int k = 0; k < n; k++) {
        v_store(r + k * r_stride * LWFC_STRIP,
                v_pair(v_rounded(even[k], shift), v_rounded(odd[k], shift)));
    }
}

TARGET static void KERNEL(forward_rows)(const uint32_t *d, const struct lwfc_side *width,
                                        int height, int live, int shift, uint32_t *r)
{
    const int pairs = (height + 1) / 2;
    for (int yp = 0; yp < pairs; yp++) {
        for (int i = 0; i < LWFC_STRIP; i += LANES) {
            const uint32_t *a = d + 2 * yp * width->pairs * LWFC_STRIP + i;
            const uint32_t *b = 2 * yp + 1 < height ? a + width->pairs * LWFC_STRIP : NULL;
            uint32_t *out = r + yp * LWFC_STRIP + i;
            int v = 0;
            for (; v + 4 <= live; v += 4) {
                KERNEL(forward_rows_of)(a, b, width, v, 4, shift, out + v * pairs * LWFC_STRIP,
                                        pairs);
            }
            for (; v < live; v++) {
                KERNEL(forward_rows_of)(a, b, width, v, 1, shift, out + v * pairs * LWFC_STRIP,
                                        pairs);
            }
        }
    }
}

TARGET static void KERNEL(forward_columns)(const uint32_t *r, const struct lwfc_side *height,
                                           int width, int live_u, int live_v, int shift,
                                           int16_t *x, size_t stride)
{
    const int pairs = height->pairs;
    for (int v = 0; v < live_v; v++) {
        for (int i = 0; i < LWFC_STRIP; i += LANES) {
            const uint32_t *line = r + v * pairs * LWFC_STRIP + i;
            for (int u = 0; u < live_u; u += 4) {
                const int n = live_u - u < 4 ? live_u - u : 4;
                const uint32_t *table[4]; /* past the live rows the last one again */
                V sum[4];
                for (int k = 0; k < 4; k++) {
                    table[k] = height->over_i + (u + (k < n ? k : n - 1)) * pairs;
                    sum[k] = v_set1(0);
                }
                for (int p = 0; p < pairs; p++) {
                    const V a = v_load(line + p * LWFC_STRIP);
                    for (int k = 0; k < 4; k++) {
                        sum[k] = v_dot(sum[k], a, v_set1(table[k][p]));
                    }
                }
                for (int k = 0; k < n; k++) {
                    v_store_low(x + (size_t)((u + k) * width + v) * stride + i,
                                v_rounded(sum[k], shift));
                }
            }
        }
    }
}

/* Coefficients of one group of rows for n blocks from block b on. */
TARGET LWFC_INLINE void KERNEL(analyze_blocks)(const struct lwfc_analysis *a, size_t b, int group,
                                               const int n)
{
    const size_t pairs = a->padded / 2;
    const uint32_t *rows = a->rows + (size_t)group * pairs * LWFC_STRIP;
    const int16_t *x = a->x + b * a->padded;
    for (int i = 0; i < LWFC_STRIP; i += LANES) {
        V sum[4];
        for (int k = 0; k < n; k++) {
            sum[k] = v_set1(0);
        }
        for (size_t p = 0; p < pairs; p++) {
            const V row = v_load(rows + p * LWFC_STRIP + i);
            for (int k = 0; k < n; k++) {
                uint32_t pair;
                memcpy(&pair, x + (size_t)k * a->padded + 2 * p, sizeof pair);
                sum[k] = v_dot(sum[k], row, v_set1(pair));
            }
        }
        for (int k = 0; k < n; k++) {
            v_store_low(a->q + (b + (size_t)k) * a->stride + group * LWFC_STRIP + i,
                        v_quantized(sum[k], a->scales + group * LWFC_STRIP + i, a->limit));
        }
    }
}

TARGET static void KERNEL(analyze)(const struct lwfc_analysis *a)
{
    for (int group = 0; group < a->groups; group++) {
        size_t b = 0;
        for (; b + 4 <= a->blocks; b += 4) {
            KERNEL(analyze_blocks)(a, b, group, 4);
        }
        for (; b < a->blocks; b++) {
            KERNEL(analyze_blocks)(a, b, group, 1);
        }
    }
}

#undef VECTORS
