/* The kernels of fit_kernels.h in plain loops that compilers turn into vectors: the
 * includer defines TARGET and KERNEL(name). Included several times. */

TARGET static void KERNEL(dots)(const int16_t *a, int left, const int16_t *b, int count,
                                int triangle, size_t stride, size_t blocks, double *sums)
{
    for (int i = 0; i < left * count; i++) {
        sums[i] = 0;
    }
    for (size_t at = 0; at < blocks * LWFC_FIT_BLOCK; at += DEPTH) {
        const size_t ahead = blocks * LWFC_FIT_BLOCK - at;
        const int rows = ahead < DEPTH ? (int)ahead : DEPTH;
        for (int j = 0; j < left; j++) {
            const int16_t *aj = a + (size_t)j * stride + at;
            double *sum = sums + j * count;
            int k = triangle ? j : 0;
            for (; k + 4 <= count; k += 4) {
                const int16_t *b0 = b + (size_t)k * stride + at, *b1 = b0 + stride;
                const int16_t *b2 = b1 + stride, *b3 = b2 + stride;
                int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
                for (int r = 0; r < rows; r++) {
                    s0 += aj[r] * b0[r];
                    s1 += aj[r] * b1[r];
                    s2 += aj[r] * b2[r];
                    s3 += aj[r] * b3[r];
                }
                sum[k] += s0;
                sum[k + 1] += s1;
                sum[k + 2] += s2;
                sum[k + 3] += s3;
            }
            for (; k < count; k++) {
                const int16_t *bk = b + (size_t)k * stride + at;
                int32_t s = 0;
                for (int r = 0; r < rows; r++) {
                    s += aj[r] * bk[r];
                }
                sum[k] += s;
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
