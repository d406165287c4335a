/* The forward way of the transform's kernels over vectors, the second part of transform_lanes.h,
 * which includes it. Included several times. */

/* Adjacent channels of a position: vectors over channels. */
TARGET LWFC_INLINE void KERNEL(take_last)(const struct lwfc_rows_in *f, int height, int width,
                                          int channels, uint32_t *d)
{
    const V unit = v_set1(1u << f->bits);
    for (int y = 0; y < height; y++) {
        const float *in = f->in + y * f->row;
        const int16_t *mean = f->mean + y * f->mean_row;
        for (int x = 0; x < width; x += 2, d += LWFC_STRIP) {
            for (int i = 0; i < LWFC_STRIP; i += LANES) {
                V even = v_set1(0), odd = even;
                if (i < channels) {
                    even = v_taken(f_load(in + i, channels - i), v_mean(mean + i, unit), f);
                }
                if (i < channels && x + 1 < width) {
                    odd = v_taken(f_load(in + f->column + i, channels - i),
                                  v_mean(mean + f->mean_column + i, unit), f);
                }
                v_store(d + i, v_shifted_pair(even, odd, 0));
            }
            in += 2 * f->column;
            mean += 2 * f->mean_column;
        }
    }
}

/* A row of places of two channels; the last vector overlaps the one before. */
TARGET LWFC_INLINE void KERNEL(take_row)(const struct lwfc_rows_in *f, const float *in,
                                         ptrdiff_t next, const int16_t *mean, ptrdiff_t next_mean,
                                         int width, int16_t *line, ptrdiff_t next_line)
{
    const ptrdiff_t last = width < 8 ? 0 : width - 8;
    for (ptrdiff_t x = 0;; x += 8) {
        x = x < last ? x : last;
        v_take_two(in + x, in + x + next, width, mean + x, mean + x + next_mean, f, line + x,
                   line + x + next_line);
        if (x == last) {
            break;
        }
    }
    if (width % 2) {
        line[width] = line[width + next_line] = 0;
    }
}

/* Adjacent places of a channel: vectors over places. */
TARGET LWFC_INLINE void KERNEL(take_first)(const struct lwfc_rows_in *f, int height, int width,
                                           int channels, uint32_t *d)
{
    enum { LINE = LWFC_SIDE_MAX + 8 };
    const int pairs = (width + 1) / 2;
    int16_t lines[LWFC_STRIP * LINE];
    memset(lines + channels * LINE, 0, (size_t)((LWFC_STRIP - channels) * LINE) * sizeof *lines);
    for (int y = 0; y < height; y++, d += pairs * LWFC_STRIP) {
        const float *in = f->in + y * f->row;
        const int16_t *mean = f->mean + y * f->mean_row;
        int c = 0;
        for (; c + 2 <= channels; c += 2) {
            KERNEL(take_row)(f, in, f->channel, mean, f->mean_channel, width, lines + c * LINE,
                             LINE);
            in += 2 * f->channel;
            mean += 2 * f->mean_channel;
        }
        if (c < channels) { /* with itself */
            KERNEL(take_row)(f, in, 0, mean, 0, width, lines + c * LINE, 0);
        }
        v_turned(lines, LINE * sizeof *lines, pairs, d);
    }
}

TARGET static void KERNEL(take)(const struct lwfc_rows_in *from, int height, int width,
                                int channels, uint32_t *d)
{
    struct lwfc_rows_in local = *from; /* nothing written is part of it */
    if (local.column != 1) {
        KERNEL(take_last)(&local, height, width, channels, d);
    } else if (local.is_narrow) {
        local.is_narrow = 1; /* known while compiling: no vector asks */
        KERNEL(take_first)(&local, height, width, channels, d);
    } else {
        local.is_narrow = 0;
        KERNEL(take_first)(&local, height, width, channels, d);
    }
}

/* Two places of a line of n and those opposite to them, counted from its other end. */
TARGET LWFC_INLINE void KERNEL(fold_pair)(const uint32_t *line, int n, int p, uint32_t here,
                                          uint32_t there, uint32_t *even, uint32_t *odd)
{
    const uint32_t *end = line + ((n + 1) / 2 - 1 - p) * LWFC_STRIP;
    const V last = v_load(end);
    const V opposite = n % 2 ? v_joined(last, v_load(end - LWFC_STRIP)) : v_swapped(last);
    const V x = v_and(v_load(line + p * LWFC_STRIP), v_set1(here));
    const V y = v_and(opposite, v_set1(there));
    v_store(even + p * LWFC_STRIP, v_add16(x, y));
    v_store(odd + p * LWFC_STRIP, v_sub16(x, y));
}

/* Sums of opposite places, which are all that even frequencies need, and their differences, of
 * which odd ones are made. Returns pairs of them; 0: short lines, which gain nothing, and sums
 * that may not fit 16 bits. */
TARGET LWFC_INLINE int KERNEL(fold)(const uint32_t *lines, ptrdiff_t step, const int count, int n,
                                    uint32_t *even, uint32_t *odd, ptrdiff_t folded_step)
{
    if (n < FOLD_MIN) {
        return 0;
    }
    const int pairs = (n + 1) / 2, folded = (pairs + 1) / 2, whole = n / 4;
    V widest = v_set1(0);
    for (int p = 0; p < pairs; p++) {
        for (int k = 0; k < count; k++) {
            widest = v_widest(widest, v_load(lines + k * step + p * LWFC_STRIP));
        }
    }
    if (!v_is_narrow(widest)) {
        return 0;
    }
    for (int k = 0; k < count; k++, lines += step, even += folded_step, odd += folded_step) {
        for (int p = 0; p < whole; p++) {
            KERNEL(fold_pair)(lines, n, p, UINT32_MAX, UINT32_MAX, even, odd);
        }
        if (n % 4 != 0) { /* the middle: half a pair, or a place with none opposite */
            KERNEL(fold_pair)(lines, n, whole, n % 4 == 3 ? UINT32_MAX : 0xFFFF,
                              n % 4 == 1 ? 0 : 0xFFFF, even, odd);
        }
    }
    return folded;
}

/* Four frequencies of `count` lines, the first one even. */
TARGET LWFC_INLINE void KERNEL(four_of)(const uint32_t *even, const uint32_t *odd, ptrdiff_t step,
                                        const int count, int pairs, const uint32_t *table,
                                        int padded, int shift, V *sum)
{
    for (int i = 0; i < 4 * count; i++) {
        sum[i] = v_half(shift);
    }
    for (int p = 0; p < pairs; p++, table += padded, even += LWFC_STRIP, odd += LWFC_STRIP) {
        for (int k = 0; k < 4; k++) {
            const V t = v_set1(table[k]);
            for (int i = 0; i < count; i++) {
                const V x = v_load((k % 2 ? odd : even) + i * step);
                sum[k * count + i] = v_dot(sum[k * count + i], x, t);
            }
        }
    }
}

/* `live` frequencies of two rows of places; without a second one zeros. */
TARGET LWFC_INLINE void KERNEL(forward_rows_of)(const uint32_t *even, const uint32_t *odd,
                                                ptrdiff_t step, int pairs,
                                                const struct lwfc_side *width, int live, int two,
                                                int shift, uint32_t *r, ptrdiff_t r_step)
{
    for (int v = 0; v < live; v += 4) { /* tables go on behind the last row */
        V sum[8];
        KERNEL(four_of)(even, odd, step, 2, pairs, width->over_i + v, width->padded, shift, sum);
        for (int k = 0; k < 4 && v + k < live; k++, r += r_step) {
            v_store(r, v_shifted_pair(sum[2 * k], two ? sum[2 * k + 1] : v_set1(0), shift));
        }
    }
}

TARGET static void KERNEL(forward_rows)(const uint32_t *d, const struct lwfc_side *side,
                                        int height, int live, int shift, uint32_t *r)
{
    const struct lwfc_side local = *side, *width = &local; /* nothing written is part of it */
    const int pairs = (height + 1) / 2, r_step = pairs * LWFC_STRIP;
    uint32_t even[2 * FOLDED], odd[2 * FOLDED];
    for (int yp = 0; yp < pairs; yp++) {
        const int two = 2 * yp + 1 < height;
        const ptrdiff_t step = two * width->pairs * LWFC_STRIP;
        for (int i = 0; i < LWFC_STRIP; i += LANES) {
            const uint32_t *line = d + 2 * yp * width->pairs * LWFC_STRIP + i;
            uint32_t *out = r + yp * LWFC_STRIP + i;
            const int count = KERNEL(fold)(line, step, 2, width->n, even, odd, FOLDED);
            if (count > 0) {
                KERNEL(forward_rows_of)(even, odd, FOLDED, count, width, live, two, shift, out,
                                        r_step);
            } else {
                KERNEL(forward_rows_of)(line, line, step, width->pairs, width, live, two, shift,
                                        out, r_step);
            }
        }
    }
}

TARGET LWFC_INLINE void KERNEL(forward_columns_of)(const uint32_t *even, const uint32_t *odd,
                                                   int pairs, const struct lwfc_side *height,
                                                   int live, int shift, int16_t *x, size_t x_step)
{
    for (int u = 0; u < live; u += 4) {
        V sum[4 * VECTORS];
        KERNEL(four_of)(even, odd, LANES, VECTORS, pairs, height->over_i + u, height->padded, shift,
                        sum);
        for (int k = 0; k < 4 && u + k < live; k++, x += x_step) {
            v_store_strip(x, sum + k * VECTORS, shift);
        }
    }
}

TARGET static void KERNEL(forward_columns)(const uint32_t *r, const struct lwfc_side *side,
                                           int width, int live_u, int live_v, int shift,
                                           int16_t *x, size_t stride)
{
    const struct lwfc_side local = *side, *height = &local; /* nothing written is part of it */
    const size_t step = (size_t)width * stride;
    uint32_t even[FOLDED], odd[FOLDED];
    for (int v = 0; v < live_v; v++, r += height->pairs * LWFC_STRIP, x += stride) {
        const int count = KERNEL(fold)(r, LANES, VECTORS, height->n, even, odd, LANES);
        if (count > 0) {
            KERNEL(forward_columns_of)(even, odd, count, height, live_u, shift, x, step);
        } else {
            KERNEL(forward_columns_of)(r, r, height->pairs, height, live_u, shift, x, step);
        }
    }
}

/* Coefficients of one group of rows for n lines; `vectors` of a group, the others are 0. */
TARGET LWFC_INLINE void KERNEL(analyze_lines)(const struct lwfc_analysis *a,
                                              const struct lwfc_analysis_line *lines, int group,
                                              const int n, const int vectors)
{
    const uint32_t *rows = a->rows + (size_t)group * a->padded / 2 * LWFC_STRIP;
    const float *scales = a->scales + group * LWFC_STRIP;
    V sum[6 * VECTORS];
    for (int i = 0; i < n * vectors; i++) {
        sum[i] = v_set1(0);
    }
    const int16_t *x[6];
    for (int k = 0; k < n; k++) {
        x[k] = lines[k].x;
    }
    for (size_t c = 0; c < a->channels; c += 2, rows += LWFC_STRIP) {
        V row[VECTORS];
        for (int i = 0; i < vectors; i++) {
            row[i] = v_load(rows + i * LANES);
        }
        for (int k = 0; k < n; k++) {
            uint32_t pair;
            memcpy(&pair, x[k] + c, sizeof pair);
            const V both = v_set1(pair);
            for (int i = 0; i < vectors; i++) {
                sum[k * vectors + i] = v_dot(sum[k * vectors + i], row[i], both);
            }
        }
    }
    for (int k = 0; k < n; k++) {
        V q[VECTORS];
        for (int i = 0; i < VECTORS; i++) {
            q[i] = i < vectors
                       ? v_quantized(sum[k * vectors + i], scales + i * LANES, a->limit)
                       : v_set1(0);
        }
        v_store_low(lines[k].q + group * LWFC_STRIP, q);
    }
}

TARGET LWFC_INLINE void KERNEL(analyze_group)(const struct lwfc_analysis *a, int group,
                                              const int vectors)
{
    int i = 0;
    for (; i + 6 <= a->count; i += 6) {
        KERNEL(analyze_lines)(a, a->lines + i, group, 6, vectors);
    }
    if (i + 1 < a->count && a->count >= 4) { /* overlaps those before */
        i = i + 4 < a->count ? i : a->count - 4;
        KERNEL(analyze_lines)(a, a->lines + i, group, 4, vectors);
        i += 4;
    }
    for (; i < a->count; i++) {
        KERNEL(analyze_lines)(a, a->lines + i, group, 1, vectors);
    }
}

TARGET static void KERNEL(analyze)(const struct lwfc_analysis *from)
{
    const struct lwfc_analysis local = *from, *a = &local; /* nothing written is part of it */
    for (int group = 0; group * LWFC_STRIP < a->columns; group++) {
        if (VECTORS > 1 && a->columns - group * LWFC_STRIP <= LWFC_STRIP / 2) {
            KERNEL(analyze_group)(a, group, (VECTORS + 1) / 2);
        } else {
            KERNEL(analyze_group)(a, group, VECTORS);
        }
    }
}
