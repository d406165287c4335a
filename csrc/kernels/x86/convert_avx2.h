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
        } else if (dtype == LWFC_INT8 || dtype == LWFC_UINT8) {
            for (; i + 8 <= n; i += 8) {
                const __m128i b = _mm_loadl_epi64((const __m128i *)(p + i));
                _mm256_storeu_ps(out + i,
                                 _mm256_cvtepi32_ps(dtype == LWFC_INT8 ? _mm256_cvtepi8_epi32(b)
                                                                       : _mm256_cvtepu8_epi32(b)));
            }
        } else {
            memcpy(out, p, n * sizeof *out);
            i = n;
        }
    }
    load_scalar((const char *)in + (ptrdiff_t)i * stride, stride, dtype, n - i, out + i);
}

/* Eight floats' bfloat16 patterns in 32 bits each, rounded to even, NaNs made quiet. */
LWFC_TARGET("avx2,f16c")
static __m256i bfloats_avx2(const float *in)
{
    const __m256 x = _mm256_loadu_ps(in);
    const __m256i bits = _mm256_castps_si256(x), high = _mm256_srli_epi32(bits, 16);
    const __m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
    const __m256i half = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF));
    const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, half), 16);
    const __m256i quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    return _mm256_blendv_epi8(rounded, quiet, nan);
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
        } else if (dtype == LWFC_BFLOAT16) {
            for (; i + 16 <= n; i += 16) {
                const __m256i a = bfloats_avx2(in + i), b = bfloats_avx2(in + i + 8);
                const __m256i packed = _mm256_packus_epi32(a, b); /* within halves of 128 bits */
                _mm256_storeu_si256((__m256i *)((char *)out + 2 * i),
                                    _mm256_permute4x64_epi64(packed, 0xD8));
            }
        } else if (dtype == LWFC_FLOAT64) {
            for (; i + 4 <= n; i += 4) {
                _mm256_storeu_pd((double *)(void *)((char *)out + 8 * i),
                                 _mm256_cvtps_pd(_mm_loadu_ps(in + i)));
            }
        } else if (dtype == LWFC_INT8 || dtype == LWFC_UINT8) {
            const __m256 least = _mm256_set1_ps(dtype == LWFC_INT8 ? -128.0f : 0.0f);
            const __m256 most = _mm256_set1_ps(dtype == LWFC_INT8 ? 127.0f : 255.0f);
            const __m256i low_bytes = _mm256_set1_epi32(0x0C080400);
            for (; i + 8 <= n; i += 8) {
                const __m256 f =
                    _mm256_min_ps(_mm256_max_ps(_mm256_loadu_ps(in + i), least), most);
                const __m256i bytes = _mm256_shuffle_epi8(_mm256_cvtps_epi32(f), low_bytes);
                const uint32_t low = (uint32_t)_mm256_extract_epi32(bytes, 0);
                const uint32_t high = (uint32_t)_mm256_extract_epi32(bytes, 4);
                memcpy((char *)out + i, &low, sizeof low);
                memcpy((char *)out + i + 4, &high, sizeof high);
            }
        } else {
            memcpy(out, in, n * sizeof *in);
            i = n;
        }
    }
    store_scalar(in + i, n - i, dtype, stride, (char *)out + (ptrdiff_t)i * stride);
}

static const struct lwfc_convert_kernels avx2_kernels = {load_avx2, store_avx2};

#endif
