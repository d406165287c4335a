#include "kernels/convert.h"

#include "base/attributes.h"
#include "base/bytes.h"
#include "cpu/cpu.h"

#include <float.h>
#include <string.h>

size_t lwfc_dtype_nbytes(enum lwfc_dtype dtype)
{
    static const size_t nbytes[LWFC_DTYPE_COUNT] = {4, 2, 2, 8, 0, 1, 1};
    return nbytes[dtype];
}

int lwfc_dtype_known(int dtype)
{
    return dtype >= 0 && dtype < LWFC_DTYPE_COUNT && lwfc_dtype_nbytes((enum lwfc_dtype)dtype) > 0;
}

float lwfc_dtype_largest(enum lwfc_dtype dtype)
{
    static const float largest[LWFC_DTYPE_COUNT] = {FLT_MAX, 65504.0F, 0x1.FEp127F, FLT_MAX,
                                                    FLT_MAX, FLT_MAX,  FLT_MAX};
    return largest[dtype];
}

/* Exact. A NaN comes back quiet, as the CPU instruction makes it. */
static float half_to_float(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    const uint32_t exponent = (h >> 10) & 31u;
    const uint32_t mantissa = h & 1023u;
    if (exponent == 31) {
        return lwfc_float_of(sign | 0x7F800000u | (mantissa ? 0x400000u : 0) | mantissa << 13);
    }
    if (exponent == 0) { /* zero or subnormal: mantissa * 2^-24 */
        const float magnitude = (float)mantissa * 0x1p-24f;
        return lwfc_float_of(sign | lwfc_bits_of(magnitude));
    }
    return lwfc_float_of(sign | (exponent + 112) << 23 | mantissa << 13);
}

static uint16_t float_to_half(float f)
{
    const uint32_t bits = lwfc_bits_of(f);
    const uint16_t sign = (uint16_t)((bits >> 16) & 0x8000u);
    const uint32_t magnitude = bits & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u) {
        return (uint16_t)(sign | 0x7E00u | ((magnitude >> 13) & 0x3FFu));
    }
    if (magnitude >= 0x477FF000u) { /* rounds to 2^16 or more */
        return (uint16_t)(sign | 0x7C00u);
    }
    if (magnitude < 0x38800000u) { /* subnormal: adding 0.5 aligns and rounds the mantissa */
        const float shifted = lwfc_float_of(magnitude) + 0.5f;
        return (uint16_t)(sign | (lwfc_bits_of(shifted) - 0x3F000000u));
    }
    const uint32_t odd = (magnitude >> 13) & 1u;
    return (uint16_t)(sign | ((magnitude - 0x38000000u + 0xFFFu + odd) >> 13));
}

static uint16_t float_to_bfloat(float f)
{
    const uint32_t bits = lwfc_bits_of(f);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u) {
        return (uint16_t)((bits >> 16) | 0x40u);
    }
    return (uint16_t)((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

/* The nearest of least .. least + 255, ties to even, as its low eight bits: adding
 * 1.5 * 2^23 leaves no bits below 1, and those of the integer at the bottom. */
static uint8_t float_to_byte(float f, float least)
{
    const float from = f > least ? f : least;
    const float within = from < least + 255.0f ? from : least + 255.0f;
    return (uint8_t)lwfc_bits_of(within + 0x1.8p23f);
}

static void load_bytes(const char *in, ptrdiff_t stride, int is_signed, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++) {
        const uint8_t byte = (uint8_t)in[(ptrdiff_t)i * stride];
        out[i] = is_signed ? (float)(int8_t)byte : (float)byte;
    }
}

static void store_bytes(const float *in, size_t n, float least, ptrdiff_t stride, char *out)
{
    for (size_t i = 0; i < n; i++) {
        out[(ptrdiff_t)i * stride] = (char)float_to_byte(in[i], least);
    }
}

static void load_scalar(const void *in, ptrdiff_t stride, enum lwfc_dtype dtype, size_t n,
                        float *out)
{
    const char *p = in;
    uint16_t half;
    double wide;
    if (dtype == LWFC_INT8 || dtype == LWFC_UINT8) {
        load_bytes(p, stride, dtype == LWFC_INT8, n, out);
        return;
    }
    for (size_t i = 0; i < n; i++, p += stride) {
        switch (dtype) {
        case LWFC_FLOAT16:
            memcpy(&half, p, sizeof half);
            out[i] = half_to_float(half);
            break;
        case LWFC_BFLOAT16:
            memcpy(&half, p, sizeof half);
            out[i] = lwfc_float_of((uint32_t)half << 16);
            break;
        case LWFC_FLOAT64:
            memcpy(&wide, p, sizeof wide);
            out[i] = (float)wide;
            break;
        default:
            memcpy(&out[i], p, sizeof *out);
        }
    }
}

static void store_scalar(const float *in, size_t n, enum lwfc_dtype dtype, ptrdiff_t stride,
                         void *out)
{
    char *p = out;
    uint16_t half;
    double wide;
    if (dtype == LWFC_INT8 || dtype == LWFC_UINT8) {
        store_bytes(in, n, dtype == LWFC_INT8 ? -128.0f : 0.0f, stride, p);
        return;
    }
    for (size_t i = 0; i < n; i++, p += stride) {
        switch (dtype) {
        case LWFC_FLOAT16:
            half = float_to_half(in[i]);
            memcpy(p, &half, sizeof half);
            break;
        case LWFC_BFLOAT16:
            half = float_to_bfloat(in[i]);
            memcpy(p, &half, sizeof half);
            break;
        case LWFC_FLOAT64:
            wide = in[i];
            memcpy(p, &wide, sizeof wide);
            break;
        default:
            memcpy(p, &in[i], sizeof *in);
        }
    }
}

static const struct lwfc_convert_kernels scalar_kernels = {load_scalar, store_scalar};

#if LWFC_X86
#include "kernels/x86/convert_avx2.h"
#endif

const struct lwfc_convert_kernels *lwfc_convert_kernels_for(uint32_t features)
{
#if LWFC_X86
    if (features & LWFC_CPU_AVX2) {
        return &avx2_kernels;
    }
#endif
    (void)features;
    return &scalar_kernels;
}
