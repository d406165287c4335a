/* AVX2 + F16C variants of convert.c for adjacent elements. Included by it;
 * strided rows and tails go to the scalar code. */
#ifndef LWFC_KERNELS_X86_CONVERT_AVX2_H
#define LWFC_KERNELS_X86_CONVERT_AVX2_H

#include <immintrin.h>

LWFC_TARGET("avx2,f16c")
static void load_avx2(const void *in, ptrdiff_t stride, enum lwfc_dtype dtype, size_t n, float *out)
{
    size_t i = 0;
    if (stride == (ptrdiff_t)lwfc_dtype_nbytes(dtype)) {
        const char *p = in;
        if (dtype == LWFC_FLOAT16) {
            for (; i + 8 <= n; i += 8) {
                const __m128i h = _mm_loadu_si128((const __m128i *)(p + 2 * i));
                _mm256_storeu_ps(out + i, _mm256_cvtph_ps(h));
            }
        } else if (dtype == LWFC_BFLOAT16) {
            for (; i + 8 <= n; i += 8) {
                const __m128i h = _mm_loadu_si128((const __m128i *)(p + 2 * i));
                _mm256_storeu_si256((__m256i *)(out + i),
                                    _mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
            }
        } else if (dtype == LWFC_FLOAT64) {
            for (; i + 4 <= n; i += 4) {
                const __m256d d = _mm256_loadu_pd((const double *)(const void *)(p + 8 * i));
                _mm_storeu_ps(out + i, _mm256_cvtpd_ps(d));
            }
        } else {
            memcpy(out, p, n * sizeof *out);
            i = n;
        }
    }
    load_scalar((const char *)in + (ptrdiff_t)i * stride, stride, dtype, n - i, out + i);
}

LWFC_TARGET("avx2,f16c")
static void store_avx2(const float *in, size_t n, enum lwfc_dtype dtype, ptrdiff_t stride,
                       void *out)
{
    size_t i = 0;
    if (stride == (ptrdiff_t)lwfc_dtype_nbytes(dtype)) {
        if (dtype == LWFC_FLOAT16) {
            for (; i + 8 <= n; i += 8) {
                const __m128i h = _mm256_cvtps_ph(_mm256_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT);
                _mm_storeu_si128((__m128i *)((char *)out + 2 * i), h);
            }
        } else if (dtype == LWFC_FLOAT32) {
            memcpy(out, in, n * sizeof *in);
            i = n;
        }
    }
    store_scalar(in + i, n - i, dtype, stride, (char *)out + (ptrdiff_t)i * stride);
}

static const struct lwfc_convert_kernels avx2_kernels = {load_avx2, store_avx2};

#endif
