#include "kernels/transform_kernels.h"

#include "base/attributes.h"
#include "cpu/cpu.h"

#include <math.h>
#include <string.h>

LWFC_INLINE int32_t low(uint32_t pair)
{
    return (int16_t)(uint16_t)pair;
}

LWFC_INLINE int32_t high(uint32_t pair)
{
    return (int16_t)(uint16_t)(pair >> 16);
}

LWFC_INLINE int32_t dot(uint32_t a, uint32_t b)
{
    return low(a) * low(b) + high(a) * high(b);
}

LWFC_INLINE uint32_t pair_of(int32_t even, int32_t odd)
{
    return (uint32_t)(uint16_t)even | (uint32_t)(uint16_t)odd << 16;
}

LWFC_INLINE int32_t sat(int32_t v)
{
    return v > 32767 ? 32767 : v < -32767 ? -32767 : v;
}

/* Rounds down, as every supported compiler's >> does. */
LWFC_INLINE int32_t shifted(int32_t sum, int shift)
{
    return sat((sum + ((1 << shift) >> 1)) >> shift);
}

/* sums[c] of `count` pairs of a line, [..][16], times those of a table. */
LWFC_INLINE void sum_line(const uint32_t *line, int count, const uint32_t *table, int padded,
                          int32_t *sums)
{
    memset(sums, 0, LWFC_STRIP * sizeof *sums);
    for (int i = 0; i < count; i++) {
        for (int c = 0; c < LWFC_STRIP; c++) {
            sums[c] += dot(line[i * LWFC_STRIP + c], table[i * padded]);
        }
    }
}

static void synthesize(const struct lwfc_synthesis *s, int strips, int16_t *x, size_t stride)
{
    for (int strip = 0; strip < strips; strip++, x += stride) {
        int32_t sums[LWFC_STRIP] = {0};
        for (uint32_t i = 0; i < s->count; i++) {
            const int16_t *column =
                s->columns + (s->entries[i] >> 16) * s->stride + strip * LWFC_STRIP;
            for (int c = 0; c < LWFC_STRIP; c++) {
                sums[c] += column[c] * low(s->entries[i]);
            }
        }
        for (int c = 0; c < LWFC_STRIP; c++) {
            x[c] = (int16_t)shifted(sums[c], s->shift);
        }
    }
}

static int32_t column_at(const int16_t *x, const struct lwfc_side *height, int quads, int y)
{
    int32_t sum = 0;
    for (int u = 0; u < 4 * quads && u < height->n; u++) {
        const uint32_t pair = height->over_k[u / 2 * height->padded + y];
        sum += x[u * LWFC_STRIP] * (u % 2 ? high(pair) : low(pair));
    }
    return shifted(sum, height->bits);
}

static void columns(const int16_t *x, const struct lwfc_side *height, int quads, int vp, int width,
                    uint32_t *z)
{
    const int line = 4 * quads * LWFC_STRIP;
    for (int p = 0; p < vp; p++, x += 2 * line) {
        for (int y = 0; y < height->n; y++, z += LWFC_STRIP) {
            for (int c = 0; c < LWFC_STRIP; c++) {
                const int32_t even = column_at(x + c, height, quads, y);
                const int has_odd = 2 * p + 1 < width;
                z[c] = pair_of(even, has_odd ? column_at(x + line + c, height, quads, y) : 0);
            }
        }
    }
}

static void rows(const uint32_t *z, const struct lwfc_side *width, int vp, int height, int channels,
                 const struct lwfc_rows_out *to)
{
    for (int c = 0; c < channels; c++) {
        for (int y = 0; y < height; y++) {
            float *out = to->out + c * to->channel + y * to->row;
            const int16_t *mean = to->mean + c * to->mean_channel + y * to->mean_row;
            for (int x = 0; x < width->n; x++) {
                int32_t sum = mean[x * to->mean_column] * (1 << width->bits);
                for (int p = 0; p < vp; p++) {
                    sum += dot(z[(p * height + y) * LWFC_STRIP + c],
                               width->over_k[p * width->padded + x]);
                }
                float v = (float)sum * to->scale;
                if (to->clamp) {
                    v = v < to->lo ? to->lo : v > to->hi ? to->hi : v;
                }
                out[x * to->column] = v;
            }
        }
    }
}

LWFC_INLINE int32_t take_one(const struct lwfc_rows_in *f, float x, int32_t mean)
{
    if (x != x) {
        return 0;
    }
    const float clipped = x < f->lo ? f->lo : x > f->hi ? f->hi : x;
    return sat((int32_t)lrintf(clipped * f->scale) - mean * (1 << f->bits));
}

static void take(const struct lwfc_rows_in *f, int height, int width, int channels, uint32_t *d)
{
    const int pairs = (width + 1) / 2;
    for (int y = 0; y < height; y++) {
        for (int p = 0; p < pairs; p++, d += LWFC_STRIP) {
            for (int c = 0; c < LWFC_STRIP; c++) {
                int32_t v[2] = {0, 0};
                for (int half = 0; half < 2 && 2 * p + half < width && c < channels; half++) {
                    const int x = 2 * p + half;
                    v[half] = take_one(f, f->in[c * f->channel + y * f->row + x * f->column],
                                       f->mean[c * f->mean_channel + y * f->mean_row +
                                               x * f->mean_column]);
                }
                d[c] = pair_of(v[0], v[1]);
            }
        }
    }
}

static void forward_rows(const uint32_t *d, const struct lwfc_side *width, int height, int live,
                         int shift, uint32_t *r)
{
    const int height_pairs = (height + 1) / 2;
    for (int v = 0; v < live; v++) {
        const uint32_t *table = width->over_i + v;
        for (int yp = 0; yp < height_pairs; yp++) {
            const uint32_t *line = d + 2 * yp * width->pairs * LWFC_STRIP;
            int32_t even[LWFC_STRIP], odd[LWFC_STRIP] = {0};
            sum_line(line, width->pairs, table, width->padded, even);
            if (2 * yp + 1 < height) {
                sum_line(line + width->pairs * LWFC_STRIP, width->pairs, table, width->padded,
                         odd);
            }
            for (int c = 0; c < LWFC_STRIP; c++) {
                r[(v * height_pairs + yp) * LWFC_STRIP + c] =
                    pair_of(shifted(even[c], shift), shifted(odd[c], shift));
            }
        }
    }
}

static void forward_columns(const uint32_t *r, const struct lwfc_side *height, int width,
                            int live_u, int live_v, int shift, int16_t *x, size_t stride)
{
    for (int v = 0; v < live_v; v++, r += height->pairs * LWFC_STRIP) {
        for (int u = 0; u < live_u; u++) {
            int16_t *out = x + (size_t)(u * width + v) * stride;
            int32_t sums[LWFC_STRIP];
            sum_line(r, height->pairs, height->over_i + u, height->padded, sums);
            for (int c = 0; c < LWFC_STRIP; c++) {
                out[c] = (int16_t)shifted(sums[c], shift);
            }
        }
    }
}

static void analyze(const struct lwfc_analysis *a)
{
    const size_t pairs = a->padded / 2;
    for (int i = 0; i < a->count; i++) {
        const int16_t *x = a->lines[i].x;
        for (int group = 0; group * LWFC_STRIP < a->columns; group++) {
            const uint32_t *row = a->rows + (size_t)group * pairs * LWFC_STRIP;
            const float *scales = a->scales + group * LWFC_STRIP;
            int16_t *out = a->lines[i].q + group * LWFC_STRIP;
            int32_t sums[LWFC_STRIP] = {0};
            for (size_t p = 0; p < pairs; p++, row += LWFC_STRIP) {
                for (int k = 0; k < LWFC_STRIP; k++) {
                    sums[k] += low(row[k]) * x[2 * p] + high(row[k]) * x[2 * p + 1];
                }
            }
            for (int k = 0; k < LWFC_STRIP; k++) {
                float q = (float)sums[k] * scales[k];
                q = q > a->limit ? a->limit : q < -a->limit ? -a->limit : q;
                out[k] = (int16_t)lrintf(q);
            }
        }
    }
}

static const struct lwfc_transform_kernels scalar_kernels = {
    synthesize, columns, rows, take, forward_rows, forward_columns, analyze};

enum {
    FOLD_MIN = 16,                           /* places of a line that is folded */
    FOLDED = LWFC_SIDE_MAX / 4 * LWFC_STRIP /* numbers of a folded line */
};

#if LWFC_X86
#include "kernels/x86/transform_avx2.h"
#include "kernels/x86/transform_avx512.h"
#elif LWFC_NEON
#include "kernels/arm/transform_neon.h"
#endif

const struct lwfc_transform_kernels *lwfc_transform_kernels_for(uint32_t features)
{
#if LWFC_X86
    if (features & LWFC_CPU_AVX512) {
        return &avx512_kernels;
    }
    if (features & LWFC_CPU_AVX2) {
        return &avx2_kernels;
    }
#elif LWFC_NEON
    if (features & LWFC_CPU_NEON) {
        return &neon_kernels;
    }
#endif
    (void)features;
    return &scalar_kernels;
}
