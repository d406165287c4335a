/* The kernels of fit_kernels.h in plain loops that compilers turn into vectors: the
 * includer defines TARGET and KERNEL(name). Included several times. */

/* Adds to sums the products of two columns with four. */
TARGET LWFC_INLINE void KERNEL(tile)(const int16_t *a0, const int16_t *b0, size_t stride, int rows,
                                     double *sum, int count)
{
    const int16_t *a1 = a0 + stride;
    const int16_t *b1 = b0 + stride, *b2 = b1 + stride, *b3 = b2 + stride;
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0, t0 = 0, t1 = 0, t2 = 0, t3 = 0;
    for (int r = 0; r < rows; r++) {
        s0 += a0[r] * b0[r];
        s1 += a0[r] * b1[r];
        s2 += a0[r] * b2[r];
        s3 += a0[r] * b3[r];
        t0 += a1[r] * b0[r];
        t1 += a1[r] * b1[r];
        t2 += a1[r] * b2[r];
        t3 += a1[r] * b3[r];
    }
    sum[0] += s0;
    sum[1] += s1;
    sum[2] += s2;
    sum[3] += s3;
    sum[count] += t0;
    sum[count + 1] += t1;
    sum[count + 2] += t2;
    sum[count + 3] += t3;
}

/* Adds to sums the products of a column with some. */
TARGET LWFC_INLINE void KERNEL(line)(const int16_t *a, const int16_t *b, size_t stride, int rows,
                                     int some, double *sum)
{
    if (some == 4) {
        const int16_t *b1 = b + stride, *b2 = b1 + stride, *b3 = b2 + stride;
        int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
        for (int r = 0; r < rows; r++) {
            s0 += a[r] * b[r];
            s1 += a[r] * b1[r];
            s2 += a[r] * b2[r];
            s3 += a[r] * b3[r];
        }
        sum[0] += s0;
        sum[1] += s1;
        sum[2] += s2;
        sum[3] += s3;
        return;
    }
    for (int k = 0; k < some; k++, b += stride) {
        int32_t s = 0;
        for (int r = 0; r < rows; r++) {
            s += a[r] * b[r];
        }
        sum[k] += s;
    }
}

/* Four columns of b at a time meet all of a, which the first cache holds meanwhile. */
TARGET static void KERNEL(dots)(const int16_t *a, int left, const int16_t *b, int count,
                                int triangle, size_t stride, size_t blocks, double *sums)
{
    for (int i = 0; i < left * count; i++) {
        sums[i] = 0;
    }
    for (size_t at = 0; at < blocks * LWFC_FIT_BLOCK; at += DEPTH) {
        const size_t ahead = blocks * LWFC_FIT_BLOCK - at;
        const int rows = ahead < DEPTH ? (int)ahead : DEPTH;
        for (int k = 0; k < count; k += 4) {
            const int16_t *bk = b + (size_t)k * stride + at;
            const int some = count - k < 4 ? count - k : 4;
            const int end = triangle && k + some < left ? k + some : left;
            int j = 0;
            for (; some == 4 && j + 2 <= end; j += 2) {
                KERNEL(tile)(a + (size_t)j * stride + at, bk, stride, rows, sums + j * count + k,
                             count);
            }
            for (; j < end; j++) {
                KERNEL(line)(a + (size_t)j * stride + at, bk, stride, rows, some,
                             sums + j * count + k);
            }
        }
    }
}

TARGET static void KERNEL(scores)(const int16_t *x, size_t stride, int count,
                                  const float *weights, size_t blocks, float *out)
{
    for (size_t at = 0; at < blocks * LWFC_FIT_BLOCK; at += LWFC_FIT_BLOCK) {
        float sum[LWFC_FIT_BLOCK] = {0};
        int k = 0;
        for (; k + 4 <= count; k += 4) {
            const int16_t *x0 = x + (size_t)k * stride + at, *x1 = x0 + stride;
            const int16_t *x2 = x1 + stride, *x3 = x2 + stride;
            const float w0 = weights[k], w1 = weights[k + 1];
            const float w2 = weights[k + 2], w3 = weights[k + 3];
            for (int r = 0; r < LWFC_FIT_BLOCK; r++) {
                sum[r] += w0 * (float)x0[r] + w1 * (float)x1[r] + w2 * (float)x2[r] +
                          w3 * (float)x3[r];
            }
        }
        for (; k < count; k++) {
            const int16_t *xk = x + (size_t)k * stride + at;
            const float w = weights[k];
            for (int r = 0; r < LWFC_FIT_BLOCK; r++) {
                sum[r] += w * (float)xk[r];
            }
        }
        memcpy(out + at, sum, sizeof sum);
    }
}

/* Loops of one comparison each: with more, compilers branch. */
TARGET LWFC_INLINE void KERNEL(clamp)(const float *x, float most, float *y)
{
    for (int r = 0; r < LWFC_FIT_BLOCK; r++) {
        y[r] = x[r] < -most ? -most : x[r];
    }
    for (int r = 0; r < LWFC_FIT_BLOCK; r++) {
        y[r] = y[r] > most ? most : y[r];
    }
}

TARGET static int KERNEL(link)(const struct lwfc_fit_link *link, size_t blocks)
{
    const float least = link->least;
    int crossings = 0;
    for (size_t at = 0; at < blocks * LWFC_FIT_BLOCK; at += LWFC_FIT_BLOCK) {
        float a[LWFC_FIT_BLOCK], b[LWFC_FIT_BLOCK], s[LWFC_FIT_BLOCK], t[LWFC_FIT_BLOCK];
        float both[LWFC_FIT_BLOCK];
        const int32_t *q = link->q + at;
        for (int k = 0; k < link->levels; k++) {
            const float upper = link->edges[k], lower = link->edges[k + 1];
            const float side = link->sides[k], next = link->sides[k + 1];
            for (int r = 0; r < LWFC_FIT_BLOCK; r++) {
                a[r] = k == 0 || q[r] == k ? upper : a[r];
                b[r] = k == 0 || q[r] == k ? lower : b[r];
                s[r] = k == 0 || q[r] == k ? side : s[r];
                t[r] = k == 0 || q[r] == k ? next : t[r];
            }
        }
        KERNEL(clamp)(link->score + at, FARTHEST, both);
        for (int r = 0; r < LWFC_FIT_BLOCK; r++) {
            a[r] += both[r];
            b[r] += both[r];
        }
        if (link->spread != NULL) {
            KERNEL(clamp)(link->spread + at, FARTHEST, both);
            for (int r = 0; r < LWFC_FIT_BLOCK; r++) {
                a[r] += s[r] * both[r];
                b[r] += t[r] * both[r];
            }
        }
        KERNEL(clamp)(a, CERTAIN, a);
        KERNEL(clamp)(b, CERTAIN, b);
        float *upper = link->upper + at, *lower = link->lower + at;
        float *slope = link->slope + at, *loss = link->loss + at;
        for (int r = 0; r < LWFC_FIT_BLOCK; r++) {
            const float ea = exponential(-a[r]), eb = exponential(-b[r]);
            upper[r] = 1.0F / (1.0F + ea);
            lower[r] = 1.0F / (1.0F + eb);
            a[r] = 1.0F - ea / eb;
            b[r] = upper[r] * (eb * lower[r]) * a[r];
        }
        for (int r = 0; r < LWFC_FIT_BLOCK; r++) {
            crossings += a[r] < NARROWEST;
        }
        for (int r = 0; r < LWFC_FIT_BLOCK; r++) {
            const float apart = a[r] < NARROWEST ? NARROWEST : a[r];
            slope[r] = (1.0F - apart) / apart;
        }
        for (int r = 0; r < LWFC_FIT_BLOCK; r++) {
            loss[r] = logarithm(b[r] < least ? least : b[r]);
        }
    }
    return crossings;
}

#undef TARGET
#undef KERNEL
