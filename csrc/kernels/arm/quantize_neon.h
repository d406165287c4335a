/* NEON variants of quantize.c. Included by it; tails go to the scalar code. */
#ifndef LWFC_KERNELS_ARM_QUANTIZE_NEON_H
#define LWFC_KERNELS_ARM_QUANTIZE_NEON_H

#include <arm_neon.h>

/* 16 symbols: how many of `count` thresholds each float reaches. A true
 * comparison is -1, so subtracting counts. */
LWFC_INLINE uint8x16_t count16_neon(const float *x, const float32x4_t *t, int count)
{
    uint16x8_t half[2];
    for (int h = 0; h < 2; h++) {
        const float32x4_t a = vld1q_f32(x + 8 * h);
        const float32x4_t b = vld1q_f32(x + 8 * h + 4);
        uint32x4_t sa = vdupq_n_u32(0);
        uint32x4_t sb = sa;
        for (int k = 0; k < count; k++) {
            sa = vsubq_u32(sa, vcleq_f32(t[k], a));
            sb = vsubq_u32(sb, vcleq_f32(t[k], b));
        }
        half[h] = vmovn_high_u32(vmovn_u32(sa), sb);
    }
    return vmovn_high_u16(vmovn_u16(half[0]), half[1]);
}

/* A constant count lets the compiler keep the thresholds in registers. */
#define COUNT_LOOP(COUNT)                                     \
    for (; i + 16 <= n; i += 16) {                            \
        vst1q_u8(symbols + i, count16_neon(x + i, t, COUNT)); \
    }                                                         \
    break

static void quantize_neon(const float *x, size_t n, const float *thresholds, int count,
                          uint8_t *symbols)
{
    size_t i = 0;
    if (count <= COUNTING_LIMIT) {
        float32x4_t t[COUNTING_LIMIT];
        for (int k = 0; k < count; k++) {
            t[k] = vdupq_n_f32(thresholds[k]);
        }
        switch (count) {
        case 1: COUNT_LOOP(1);
        case 2: COUNT_LOOP(2);
        case 3: COUNT_LOOP(3);
        case 4: COUNT_LOOP(4);
        case 5: COUNT_LOOP(5);
        case 6: COUNT_LOOP(6);
        case 7: COUNT_LOOP(7);
        default: COUNT_LOOP(count);
        }
    }
    quantize_scalar(x + i, n - i, thresholds, count, symbols + i);
}
#undef COUNT_LOOP

/* One table for each byte of a float; the store puts the bytes together. */
static void dequantize_neon(const uint8_t *symbols, size_t n, const float *values, int levels,
                            float *y)
{
    size_t i = 0;
    if (levels <= 16) {
        float padded[16] = {0};
        memcpy(padded, values, (size_t)levels * sizeof *values);
        const uint8x16x4_t table = vld4q_u8((const uint8_t *)padded);
        for (; i + 16 <= n; i += 16) {
            const uint8x16_t s = vld1q_u8(symbols + i);
            uint8x16x4_t bytes;
            for (int k = 0; k < 4; k++) {
                bytes.val[k] = vqtbl1q_u8(table.val[k], s);
            }
            vst4q_u8((uint8_t *)(y + i), bytes);
        }
    }
    dequantize_scalar(symbols + i, n - i, values, levels, y + i);
}

/* What eight running lanes hold, in pairs of doubles. */
struct lanes_moments {
    float64x2_t sum[4], squares[4], magnitudes[4];
};

LWFC_INLINE void moments_pair(struct lanes_moments *m, int pair, float64x2_t d)
{
    m->sum[pair] = vaddq_f64(m->sum[pair], d);
    m->squares[pair] = vaddq_f64(m->squares[pair], vmulq_f64(d, d));
    m->magnitudes[pair] = vaddq_f64(m->magnitudes[pair], vabsq_f64(d));
}

static void moments_neon(const float *x, size_t n, struct lwfc_moments *out)
{
    struct lanes_moments m;
    float32x4_t low = vdupq_n_f32(INFINITY), high = vdupq_n_f32(-INFINITY);
    uint32x4_t finite_count = vdupq_n_u32(0), zeros = finite_count;
    for (int pair = 0; pair < 4; pair++) {
        m.sum[pair] = m.squares[pair] = m.magnitudes[pair] = vdupq_n_f64(0.0);
    }
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        for (int h = 0; h < 2; h++) {
            const float32x4_t v = vld1q_f32(x + i + 4 * h);
            const uint32x4_t finite = vcleq_f32(vabsq_f32(v), vdupq_n_f32(FLT_MAX));
            const float32x4_t kept =
                vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(v), finite));
            finite_count = vsubq_u32(finite_count, finite);
            zeros = vsubq_u32(zeros, vceqzq_f32(v));
            low = vbslq_f32(vandq_u32(vcltq_f32(v, low), finite), v, low);
            high = vbslq_f32(vandq_u32(vcgtq_f32(v, high), finite), v, high);
            moments_pair(&m, 2 * h, vcvt_f64_f32(vget_low_f32(kept)));
            moments_pair(&m, 2 * h + 1, vcvt_high_f64_f32(kept));
        }
    }
    struct lane lanes[LWFC_MOMENTS_LANES];
    for (int pair = 0; pair < 4; pair++) {
        lanes[2 * pair] =
            (struct lane){vgetq_lane_f64(m.sum[pair], 0), vgetq_lane_f64(m.squares[pair], 0),
                          vgetq_lane_f64(m.magnitudes[pair], 0)};
        lanes[2 * pair + 1] =
            (struct lane){vgetq_lane_f64(m.sum[pair], 1), vgetq_lane_f64(m.squares[pair], 1),
                          vgetq_lane_f64(m.magnitudes[pair], 1)};
    }
    lwfc_moments_init(out);
    out->count = vaddvq_u32(finite_count);
    out->nonfinite = i - out->count;
    out->zeros = vaddvq_u32(zeros);
    if (out->count > 0) {
        out->min = vminvq_f32(low);
        out->max = vmaxvq_f32(high);
    }
    moments_zero_ends(x, i, out);
    for (; i < n; i++) {
        moments_add(lanes, out, i, x[i]);
    }
    moments_finish(lanes, out);
}

static int has_nonfinite_neon(const float *x, size_t n)
{
    const uint32x4_t exponent = vdupq_n_u32(0x7F800000);
    uint32x4_t bad = vdupq_n_u32(0);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        for (int h = 0; h < 2; h++) {
            const uint32x4_t bits = vreinterpretq_u32_f32(vld1q_f32(x + i + 4 * h));
            bad = vorrq_u32(bad, vceqq_u32(vandq_u32(bits, exponent), exponent));
        }
    }
    return vmaxvq_u32(bad) != 0 || has_nonfinite_scalar(x + i, n - i);
}

static const struct lwfc_quantize_kernels neon_kernels = {
    quantize_neon, dequantize_neon, dequantize_neon, moments_neon, has_nonfinite_neon};

#endif
