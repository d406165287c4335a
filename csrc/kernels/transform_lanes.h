/* The transform's kernels over vectors of LANES 32-bit numbers, for every SIMD variant:
 * each defines what `v_` and `f_` functions do, KERNEL(name) and TARGET, and includes this.
 * Included several times. */

enum { KERNEL(vectors) = LWFC_STRIP / LANES }; /* of a strip */

#define VECTORS KERNEL(vectors)

/* What sums begin with that a shift rounds. */
TARGET LWFC_INLINE V KERNEL(half)(int shift)
{
    return v_set1((1u << shift) >> 1);
}
#define v_half KERNEL(half)

TARGET LWFC_INLINE void KERNEL(synthesize_strips)(const struct lwfc_synthesis *s, const int strips,
                                                  int odd, uint32_t *x, size_t stride)
{
    V sum[LWFC_STRIPS * VECTORS];
    for (int i = 0; i < strips * VECTORS; i++) {
        sum[i] = v_half(s->shift);
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
        const V v = v_shifted(sum[i], s->shift), old = v_load(at);
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

/* To out[k * out_row] as pairs the sums of `count` pairs of lines a and b with
 * table[k * step + i * table_stride], k < n; b may be NULL. The constant n keeps the sums in
 * registers. */
TARGET LWFC_INLINE void KERNEL(join_sums)(const uint32_t *a, const uint32_t *b, int count,
                                          const uint32_t *table, ptrdiff_t step,
                                          ptrdiff_t table_stride, int shift, const int n,
                                          uint32_t *out, ptrdiff_t out_row)
{
    V of_a[4], of_b[4];
    for (int k = 0; k < n; k++) {
        of_a[k] = of_b[k] = v_half(shift);
    }
    for (; count > 0; count--, a += LWFC_STRIP, table += table_stride) {
        const V x = v_load(a);
        const V y = b != NULL ? v_load(b) : v_set1(0);
        for (int k = 0; k < n; k++) {
            const V t = v_set1(table[k * step]);
            of_a[k] = v_dot(of_a[k], x, t);
            of_b[k] = v_dot(of_b[k], y, t);
        }
        b += b != NULL ? LWFC_STRIP : 0;
    }
    for (int k = 0; k < n; k++) {
        v_store(out + k * out_row, v_joined(of_a[k], of_b[k], shift));
    }
}

TARGET static void KERNEL(columns)(const uint32_t *x, const struct lwfc_side *height, int x_stride,
                                   int up, int vp, int width, uint32_t *z, int z_stride)
{
    const struct lwfc_side side = *height; /* what is stored may not change it */
    const ptrdiff_t z_row = (ptrdiff_t)z_stride * LWFC_STRIP, column = x_stride * LWFC_STRIP;
    for (int p = 0; p < vp; p++) {
        for (int i = 0; i < LWFC_STRIP; i += LANES) {
            const uint32_t *a = x + 2 * p * column + i;
            const uint32_t *b = 2 * p + 1 < width ? a + column : NULL;
            uint32_t *out = z + p * LWFC_STRIP + i;
            int y = 0;
            for (; y + 4 <= side.n; y += 4, out += 4 * z_row) {
                KERNEL(join_sums)(a, b, up, side.over_k + y, 1, side.padded, side.bits, 4, out,
                                  z_row);
            }
            for (; y < side.n; y++, out += z_row) {
                KERNEL(join_sums)(a, b, up, side.over_k + y, 1, side.padded, side.bits, 1, out,
                                  z_row);
            }
        }
    }
}

TARGET LWFC_INLINE F KERNEL(finish)(V sum, const struct lwfc_rows_out *to, const int clamp)
{
    const F v = f_scaled(sum, to->scale);
    return clamp ? f_limited(v, to->lo, to->hi) : v;
}

/* Adjacent channels of a position: vectors over channels. */
TARGET LWFC_INLINE void KERNEL(rows_last)(const uint32_t *z, ptrdiff_t z_row,
                                          const struct lwfc_side *width, int vp, int height,
                                          int channels, const struct lwfc_rows_out *to,
                                          const int clamp)
{
    for (int y = 0; y < height; y++, z += z_row) {
        for (int i = 0; i < channels; i += LANES) {
            float *out = to->out + y * to->row + i;
            const int16_t *mean = to->mean + y * to->mean_row + i;
            for (int x = 0; x < width->n; x++) {
                const uint32_t *table = width->over_k + x, *line = z + i;
                V sum = v_mean(mean, width->bits);
                for (int p = 0; p < vp; p++, table += width->padded, line += LWFC_STRIP) {
                    sum = v_dot(sum, v_load(line), v_set1(*table));
                }
                f_store(out, KERNEL(finish)(sum, to, clamp), channels - i);
                out += to->column;
                mean += to->mean_column;
            }
        }
    }
}

/* `n` rows of one channel in vectors at column 0 and, if there are two, at `second`; `count`
 * columns of the last one. */
TARGET LWFC_INLINE void KERNEL(rows_of)(const uint32_t *z, ptrdiff_t z_row, const uint32_t *table,
                                        ptrdiff_t table_row, ptrdiff_t second, int bits, int vp,
                                        int count, float *out, const int16_t *mean,
                                        const struct lwfc_rows_out *to, const int n,
                                        const int vectors, const int clamp)
{
    V sum[4][2];
    for (int k = 0; k < n; k++) {
        for (int j = 0; j < vectors; j++) {
            sum[k][j] = v_mean(mean + k * to->mean_row + j * second, bits);
        }
    }
    for (; vp > 0; vp--, z += LWFC_STRIP, table += table_row) {
        for (int k = 0; k < n; k++) {
            const V v = v_set1(z[k * z_row]);
            for (int j = 0; j < vectors; j++) {
                sum[k][j] = v_dot(sum[k][j], v_load(table + j * second), v);
            }
        }
    }
    for (int k = 0; k < n; k++) {
        for (int j = 0; j < vectors; j++) {
            f_store(out + k * to->row + j * second, KERNEL(finish)(sum[k][j], to, clamp),
                    j + 1 < vectors ? LANES : count);
        }
    }
}

/* All rows of the channels, one or two vectors of columns from x on. */
TARGET LWFC_INLINE void KERNEL(rows_from)(const uint32_t *z, ptrdiff_t z_row,
                                          const struct lwfc_side *width, int x, ptrdiff_t second,
                                          int vp, int height, int channels, int count,
                                          const struct lwfc_rows_out *to, const int vectors,
                                          const int clamp)
{
    const uint32_t *table = width->over_k + x;
    for (int c = 0; c < channels; c++) {
        const uint32_t *line = z + c;
        float *out = to->out + c * to->channel + x;
        const int16_t *mean = to->mean + c * to->mean_channel + x;
        int y = 0;
        for (; y + 4 <= height; y += 4) {
            KERNEL(rows_of)(line, z_row, table, width->padded, second, width->bits, vp, count, out,
                            mean, to, 4, vectors, clamp);
            line += 4 * z_row;
            out += 4 * to->row;
            mean += 4 * to->mean_row;
        }
        for (; y < height; y++) {
            KERNEL(rows_of)(line, z_row, table, width->padded, second, width->bits, vp, count, out,
                            mean, to, 1, vectors, clamp);
            line += z_row;
            out += to->row;
            mean += to->mean_row;
        }
    }
}

TARGET LWFC_INLINE void KERNEL(rows_clamped)(const uint32_t *z, int z_stride,
                                             const struct lwfc_side *width, int vp, int height,
                                             int channels, const struct lwfc_rows_out *to,
                                             const int clamp)
{
    const struct lwfc_side side = *width; /* what is stored may not change these */
    const struct lwfc_rows_out o = *to;
    const ptrdiff_t z_row = (ptrdiff_t)z_stride * LWFC_STRIP;
    if (o.column != 1) {
        KERNEL(rows_last)(z, z_row, &side, vp, height, channels, &o, clamp);
        return;
    }
    int x = 0;
    for (; x + LANES < side.n; x += 2 * LANES) {
        /* The last vector overlaps the one before. */
        const int second = x + 2 * LANES <= side.n ? LANES : side.n - LANES - x;
        KERNEL(rows_from)(z, z_row, &side, x, second, vp, height, channels, LANES, &o, 2, clamp);
    }
    if (x < side.n) {
        const int last = x > 0 ? side.n - LANES : 0;
        KERNEL(rows_from)(z, z_row, &side, last, 0, vp, height, channels, side.n, &o, 1, clamp);
    }
}

TARGET static void KERNEL(rows)(const uint32_t *z, int z_stride, const struct lwfc_side *width,
                                int vp, int height, int channels, const struct lwfc_rows_out *to)
{
    if (to->clamp) {
        KERNEL(rows_clamped)(z, z_stride, width, vp, height, channels, to, 1);
    } else {
        KERNEL(rows_clamped)(z, z_stride, width, vp, height, channels, to, 0);
    }
}

TARGET LWFC_INLINE V KERNEL(taken)(const float *in, int count, const int16_t *mean,
                                   const struct lwfc_rows_in *f)
{
    return v_taken(f_load(in, count), v_mean(mean, f->bits), f->lo, f->hi,
                   f->scale);
}

TARGET LWFC_INLINE void KERNEL(take_last)(const struct lwfc_rows_in *f, int height, int width,
                                          int channels, uint32_t *d)
{
    for (int y = 0; y < height; y++) {
        const float *in = f->in + y * f->row;
        const int16_t *mean = f->mean + y * f->mean_row;
        for (int x = 0; x < width; x += 2, d += LWFC_STRIP) {
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
            in += 2 * f->column;
            mean += 2 * f->mean_column;
        }
    }
}

TARGET static void KERNEL(take)(const struct lwfc_rows_in *from, int height, int width,
                                int channels, uint32_t *d)
{
    const struct lwfc_rows_in f = *from; /* what is stored may not change it */
    if (f.column != 1) {
        KERNEL(take_last)(&f, height, width, channels, d);
        return;
    }
    const int pairs = (width + 1) / 2;
    int16_t lines[LWFC_STRIP][LWFC_SIDE_MAX + 16];
    if (channels < LWFC_STRIP) {
        memset(lines[channels], 0, (size_t)(LWFC_STRIP - channels) * sizeof lines[0]);
    }
    for (int y = 0; y < height; y++, d += pairs * LWFC_STRIP) {
        const float *in = f.in + y * f.row;
        const int16_t *mean = f.mean + y * f.mean_row;
        for (int c = 0; c < channels; c++, in += f.channel, mean += f.mean_channel) {
            for (int x = 0; x < width; x += LANES) {
                v_store_low(lines[c] + x, KERNEL(taken)(in + x, width - x, mean + x, &f));
            }
            lines[c][width] = 0;
        }
        v_turned(lines[0], sizeof lines[0], pairs, d);
    }
}

TARGET static void KERNEL(forward_rows)(const uint32_t *d, const struct lwfc_side *width,
                                        int height, int live, int shift, uint32_t *r)
{
    const struct lwfc_side side = *width;
    const int pairs = (height + 1) / 2;
    const ptrdiff_t line = side.pairs * LWFC_STRIP, r_row = pairs * LWFC_STRIP;
    for (int yp = 0; yp < pairs; yp++) {
        for (int i = 0; i < LWFC_STRIP; i += LANES) {
            const uint32_t *a = d + 2 * yp * line + i, *table = side.over_i;
            const uint32_t *b = 2 * yp + 1 < height ? a + line : NULL;
            uint32_t *out = r + yp * LWFC_STRIP + i;
            int v = 0;
            for (; v + 4 <= live; v += 4, out += 4 * r_row, table += 4 * side.pairs) {
                KERNEL(join_sums)(a, b, side.pairs, table, side.pairs, 1, shift, 4, out, r_row);
            }
            for (; v < live; v++, out += r_row, table += side.pairs) {
                KERNEL(join_sums)(a, b, side.pairs, table, side.pairs, 1, shift, 1, out, r_row);
            }
        }
    }
}

/* `n` frequencies u of one column of frequencies. */
TARGET LWFC_INLINE void KERNEL(forward_columns_of)(const uint32_t *line, const uint32_t *table,
                                                   int pairs, int shift, const int n, int16_t *x,
                                                   size_t step)
{
    V sum[4];
    for (int k = 0; k < n; k++) {
        sum[k] = v_half(shift);
    }
    for (int p = 0; p < pairs; p++, line += LWFC_STRIP) {
        const V a = v_load(line);
        for (int k = 0; k < n; k++) {
            sum[k] = v_dot(sum[k], a, v_set1(table[k * (ptrdiff_t)pairs + p]));
        }
    }
    for (int k = 0; k < n; k++) {
        v_store_low(x + (size_t)k * step, v_shifted(sum[k], shift));
    }
}

TARGET static void KERNEL(forward_columns)(const uint32_t *r, const struct lwfc_side *height,
                                           int width, int live_u, int live_v, int shift,
                                           int16_t *x, size_t stride)
{
    const int pairs = height->pairs;
    const size_t step = (size_t)width * stride; /* from one u to the next */
    for (int v = 0; v < live_v; v++) {
        for (int i = 0; i < LWFC_STRIP; i += LANES) {
            const uint32_t *line = r + v * pairs * LWFC_STRIP + i, *table = height->over_i;
            int16_t *out = x + (size_t)v * stride + i;
            int u = 0;
            for (; u + 4 <= live_u; u += 4, out += 4 * step, table += 4 * pairs) {
                KERNEL(forward_columns_of)(line, table, pairs, shift, 4, out, step);
            }
            for (; u < live_u; u++, out += step, table += pairs) {
                KERNEL(forward_columns_of)(line, table, pairs, shift, 1, out, step);
            }
        }
    }
}

/* Coefficients of one group of rows for n blocks. */
TARGET LWFC_INLINE void KERNEL(analyze_blocks)(const uint32_t *rows, const int16_t *x,
                                               size_t padded, const float *scales, float limit,
                                               int16_t *q, size_t stride, const int n)
{
    V sum[4][VECTORS];
    for (int k = 0; k < n; k++) {
        for (int i = 0; i < VECTORS; i++) {
            sum[k][i] = v_set1(0);
        }
    }
    for (size_t c = 0; c < padded; c += 2, rows += LWFC_STRIP) {
        for (int k = 0; k < n; k++) {
            uint32_t pair;
            memcpy(&pair, x + (size_t)k * padded + c, sizeof pair);
            for (int i = 0; i < VECTORS; i++) {
                sum[k][i] = v_dot(sum[k][i], v_load(rows + i * LANES), v_set1(pair));
            }
        }
    }
    for (int k = 0; k < n; k++) {
        for (int i = 0; i < VECTORS; i++) {
            v_store_low(q + (size_t)k * stride + i * LANES,
                        v_quantized(sum[k][i], scales + i * LANES, limit));
        }
    }
}

TARGET static void KERNEL(analyze)(const struct lwfc_analysis *analysis)
{
    const struct lwfc_analysis a = *analysis;
    const uint32_t *rows = a.rows;
    for (int group = 0; group < a.groups; group++, rows += a.padded / 2 * LWFC_STRIP) {
        const float *scales = a.scales + group * LWFC_STRIP;
        const int16_t *x = a.x;
        int16_t *q = a.q + group * LWFC_STRIP;
        size_t b = 0;
        for (; b + 4 <= a.blocks; b += 4, x += 4 * a.padded, q += 4 * a.stride) {
            KERNEL(analyze_blocks)(rows, x, a.padded, scales, a.limit, q, a.stride, 4);
        }
        for (; b < a.blocks; b++, x += a.padded, q += a.stride) {
            KERNEL(analyze_blocks)(rows, x, a.padded, scales, a.limit, q, a.stride, 1);
        }
    }
}

#undef VECTORS
#undef v_half
