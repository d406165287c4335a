/* The AVX-512 that csrc uses, in plain C on top of AVX2, so that its kernels are
 * tested on any machine: stands before the compiler's header (`make test-avx512`).
 * Written from Intel's descriptions of the instructions. */
#ifndef LWFC_TESTS_AVX512_H
#define LWFC_TESTS_AVX512_H

#include_next <immintrin.h>

#include "base/attributes.h"
#include "base/bytes.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct emulated_512 {
    uint8_t byte[64];
};

#define __m512i struct emulated_512
#define __m512 struct emulated_512

/* Values of type V by lanes of type T; `each` sees lanes x and y, and their number i. */
#define LANES_OF(V, T) (sizeof(V) / sizeof(T))
#define MAP2(V, T, p, q, each)                                                                    \
    __extension__({                                                                               \
        const V p_ = (p), q_ = (q);                                                               \
        V r_;                                                                                     \
        T a_[LANES_OF(V, T)], b_[LANES_OF(V, T)];                                                 \
        memcpy(a_, &p_, sizeof a_);                                                               \
        memcpy(b_, &q_, sizeof b_);                                                               \
        for (size_t i = 0; i < LANES_OF(V, T); i++) {                                             \
            const T x = a_[i], y = b_[i];                                                         \
            (void)x, (void)y;                                                                     \
            a_[i] = (T)(each);                                                                    \
        }                                                                                         \
        memcpy(&r_, a_, sizeof r_);                                                               \
        r_;                                                                                       \
    })
#define MAP(V, T, p, each) MAP2(V, T, p, p, each)
/* A mask of the lanes for which `test` holds. */
#define TEST2(V, T, p, q, test)                                                                   \
    __extension__({                                                                               \
        const V p_ = (p), q_ = (q);                                                               \
        T a_[LANES_OF(V, T)], b_[LANES_OF(V, T)];                                                 \
        uint64_t mask_ = 0;                                                                       \
        memcpy(a_, &p_, sizeof a_);                                                               \
        memcpy(b_, &q_, sizeof b_);                                                               \
        for (size_t i = 0; i < LANES_OF(V, T); i++) {                                             \
            const T x = a_[i], y = b_[i];                                                         \
            mask_ |= (uint64_t)(test) << i;                                                       \
        }                                                                                         \
        mask_;                                                                                    \
    })
/* q where the mask is set, else p. */
#define WHERE(V, T, p, mask, q)                                                                   \
    __extension__({                                                                               \
        const uint64_t where_ = (mask);                                                           \
        MAP2(V, T, p, q, where_ >> i & 1 ? y : x);                                                \
    })
/* The lanes of p in the mask, moved down, then zeros; and back, over src. */
#define COMPRESS(V, T, mask, p)                                                                   \
    __extension__({                                                                               \
        const uint64_t where_ = (mask);                                                           \
        const V from_ = (p);                                                                      \
        T f_[LANES_OF(V, T)], t_[LANES_OF(V, T)] = {0};                                           \
        size_t n_ = 0;                                                                            \
        V to_;                                                                                    \
        memcpy(f_, &from_, sizeof f_);                                                            \
        for (size_t i = 0; i < LANES_OF(V, T); i++) {                                             \
            if (where_ >> i & 1) {                                                                \
                t_[n_++] = f_[i];                                                                 \
            }                                                                                     \
        }                                                                                         \
        memcpy(&to_, t_, sizeof to_);                                                             \
        to_;                                                                                      \
    })
#define EXPAND(V, T, src, mask, p)                                                                \
    __extension__({                                                                               \
        const uint64_t where_ = (mask);                                                           \
        const V from_ = (p);                                                                      \
        V to_ = (src);                                                                            \
        T f_[LANES_OF(V, T)], t_[LANES_OF(V, T)];                                                 \
        size_t n_ = 0;                                                                            \
        memcpy(f_, &from_, sizeof f_);                                                            \
        memcpy(t_, &to_, sizeof t_);                                                              \
        for (size_t i = 0; i < LANES_OF(V, T); i++) {                                             \
            if (where_ >> i & 1) {                                                                \
                t_[i] = f_[n_++];                                                                 \
            }                                                                                     \
        }                                                                                         \
        memcpy(&to_, t_, sizeof to_);                                                             \
        to_;                                                                                      \
    })
/* Lane i is lane `index` (of x = index vector's lane) of the n lanes of p, then q. */
#define PERMUTE(V, T, p, index, q, n)                                                             \
    __extension__({                                                                               \
        const V first_ = (p), second_ = (q);                                                      \
        T both_[2 * LANES_OF(V, T)];                                                              \
        memcpy(both_, &first_, sizeof first_);                                                    \
        memcpy(both_ + LANES_OF(V, T), &second_, sizeof second_);                                 \
        MAP(V, T, index, both_[x % (n)]);                                                         \
    })
#define FILL(V, T, value)                                                                         \
    __extension__({                                                                               \
        const T v_ = (T)(value);                                                                  \
        V zero_;                                                                                  \
        memset(&zero_, 0, sizeof zero_);                                                          \
        MAP(V, T, zero_, v_);                                                                     \
    })
#define LOAD(V, from)                                                                             \
    __extension__({                                                                               \
        V v_;                                                                                     \
        memcpy(&v_, from, sizeof v_);                                                             \
        v_;                                                                                       \
    })
/* In each 128 bits: half 0 or 1 of p's and q's bytes, alternating. */
#define UNPACK_8(p, q, half)                                                                      \
    __extension__({                                                                               \
        const __m512i l_ = (p), h_ = (q);                                                         \
        MAP(__m512i, uint8_t, l_,                                                                 \
            (i % 2 ? h_ : l_).byte[i / 16 * 16 + 8 * (half) + i % 16 / 2]);                       \
    })

#define _mm256_cmpgt_epi8_mask(p, q) ((__mmask32)TEST2(__m256i, int8_t, p, q, x > y))
#define _mm256_cmple_epu8_mask(p, q) ((__mmask32)TEST2(__m256i, uint8_t, p, q, x <= y))
#define _mm256_cmplt_epu32_mask(p, q) ((__mmask8)TEST2(__m256i, uint32_t, p, q, x < y))
#define _mm256_mask_cmple_epu8_mask(k, p, q) ((k) & _mm256_cmple_epu8_mask(p, q))
#define _mm256_mask_expand_epi8(src, k, p) EXPAND(__m256i, uint8_t, src, k, p)
#define _mm256_mask_loadu_epi8(src, k, p) WHERE(__m256i, uint8_t, src, k, LOAD(__m256i, p))
#define _mm256_mask_mov_epi8(src, k, p) WHERE(__m256i, uint8_t, src, k, p)
#define _mm256_mask_slli_epi32(src, k, p, n) WHERE(__m256i, uint32_t, src, k, _mm256_slli_epi32(p, n))
#define _mm256_mask_sub_epi8(src, k, p, q) WHERE(__m256i, uint8_t, src, k, _mm256_sub_epi8(p, q))
#define _mm256_testn_epi8_mask(p, q) ((__mmask32)TEST2(__m256i, uint8_t, p, q, (x & y) == 0))
#define _mm256_mask_testn_epi8_mask(k, p, q) ((k) & _mm256_testn_epi8_mask(p, q))
#define _mm256_maskz_mov_epi8(k, p) WHERE(__m256i, uint8_t, _mm256_setzero_si256(), k, p)
#define _mm256_movepi8_mask(p) ((__mmask32)TEST2(__m256i, uint8_t, p, p, (x & y) >> 7))
#define _mm256_permutexvar_epi8(index, p) PERMUTE(__m256i, uint8_t, p, index, p, 32)
#define _mm_maskz_expand_epi16(k, p) EXPAND(__m128i, uint16_t, _mm_setzero_si128(), k, p)

#define _mm512_setzero_si512() FILL(__m512i, uint8_t, 0)
#define _mm512_set1_epi8(v) FILL(__m512i, uint8_t, v)
#define _mm512_set1_epi16(v) FILL(__m512i, uint16_t, v)
#define _mm512_set1_epi32(v) FILL(__m512i, uint32_t, v)
#define _mm512_set1_epi64(v) FILL(__m512i, uint64_t, v)
#define _mm512_maskz_set1_epi8(k, v)                                                              \
    WHERE(__m512i, uint8_t, _mm512_setzero_si512(), k, _mm512_set1_epi8(v))
#define _mm512_set_epi16(...)                                                                     \
    __extension__({                                                                               \
        const short list_[32] = {__VA_ARGS__};                                                    \
        MAP(__m512i, uint16_t, _mm512_setzero_si512(), list_[31 - i]);                            \
    })
#define _mm512_loadu_si512(p) LOAD(__m512i, p)
#define _mm512_storeu_si512(to, p)                                                                \
    __extension__({                                                                               \
        const __m512i v_ = (p);                                                                   \
        memcpy(to, &v_, sizeof v_);                                                               \
    })
/* Only the lanes in the mask are written. */
#define MASK_STORE(T, to, k, p)                                                                   \
    __extension__({                                                                               \
        const __m512i v_ = (p);                                                                   \
        const uint64_t where_ = (k);                                                              \
        uint8_t *const out_ = (uint8_t *)(to);                                                    \
        for (size_t i = 0; i < LANES_OF(__m512i, T); i++) {                                       \
            if (where_ >> i & 1) {                                                                \
                memcpy(out_ + i * sizeof(T), v_.byte + i * sizeof(T), sizeof(T));                 \
            }                                                                                     \
        }                                                                                         \
    })
#define _mm512_mask_storeu_epi8(to, k, p) MASK_STORE(uint8_t, to, k, p)
#define _mm512_mask_storeu_epi16(to, k, p) MASK_STORE(uint16_t, to, k, p)
#define _mm512_mask_storeu_ps(to, k, p) MASK_STORE(float, to, k, p)
#define _mm512_loadu_ps(p) LOAD(__m512i, p)
#define _mm512_storeu_ps(to, p) _mm512_storeu_si512(to, p)
#define _mm512_castps_si512(p) (p)
#define _mm512_castsi512_ps(p) (p)
#define _mm512_castsi256_si512(p) _mm512_inserti64x4(_mm512_setzero_si512(), p, 0)
#define _mm512_castsi512_si256(p) _mm512_extracti64x4_epi64(p, 0)
#define _mm512_inserti64x4(p, q, half)                                                            \
    __extension__({                                                                               \
        __m512i to_ = (p);                                                                        \
        const __m256i part_ = (q);                                                                \
        memcpy(to_.byte + 32 * (half), &part_, 32);                                               \
        to_;                                                                                      \
    })
#define _mm512_extracti64x4_epi64(p, half)                                                        \
    __extension__({                                                                               \
        const __m512i from_ = (p);                                                                \
        LOAD(__m256i, from_.byte + 32 * (half));                                                  \
    })
#define _mm512_broadcast_i32x4(p)                                                                 \
    __extension__({                                                                               \
        const __m128i part_ = (p);                                                                \
        uint32_t four_[4];                                                                        \
        memcpy(four_, &part_, sizeof four_);                                                      \
        MAP(__m512i, uint32_t, _mm512_setzero_si512(), four_[i % 4]);                             \
    })
#define _mm512_cvtepu8_epi32(p)                                                                   \
    __extension__({                                                                               \
        const __m128i part_ = (p);                                                                \
        uint8_t bytes_[16];                                                                       \
        memcpy(bytes_, &part_, sizeof bytes_);                                                    \
        MAP(__m512i, uint32_t, _mm512_setzero_si512(), bytes_[i]);                                \
    })

#define _mm512_add_epi8(p, q) MAP2(__m512i, uint8_t, p, q, x + y)
#define _mm512_add_epi16(p, q) MAP2(__m512i, uint16_t, p, q, x + y)
#define _mm512_add_epi32(p, q) MAP2(__m512i, uint32_t, p, q, x + y)
#define _mm512_max_epi32(p, q) MAP2(__m512i, int32_t, p, q, x > y ? x : y)
#define _mm512_min_epi32(p, q) MAP2(__m512i, int32_t, p, q, x < y ? x : y)
#define _mm512_or_si512(p, q) MAP2(__m512i, uint64_t, p, q, x | y)
#define _mm512_sub_epi16(p, q) MAP2(__m512i, uint16_t, p, q, x - y)
#define _mm512_max_epi16(p, q) MAP2(__m512i, int16_t, p, q, x > y ? x : y)
#define _mm512_abs_epi16(p) MAP(__m512i, int16_t, p, x < 0 ? -x : x)
#define _mm512_sub_epi32(p, q) MAP2(__m512i, uint32_t, p, q, x - y)
#define _mm512_and_si512(p, q) MAP2(__m512i, uint64_t, p, q, x & y)
#define _mm512_mullo_epi16(p, q) MAP2(__m512i, uint16_t, p, q, (uint32_t)x * y)
#define _mm512_mullo_epi32(p, q) MAP2(__m512i, uint32_t, p, q, x * y)
#define _mm512_mulhi_epu16(p, q) MAP2(__m512i, uint16_t, p, q, (uint32_t)x * y >> 16)
#define _mm512_mul_epu32(p, q) MAP2(__m512i, uint64_t, p, q, (uint64_t)(uint32_t)x * (uint32_t)y)
#define _mm512_slli_epi16(p, n) MAP(__m512i, uint16_t, p, x << (n))
#define _mm512_srli_epi16(p, n) MAP(__m512i, uint16_t, p, x >> (n))
#define _mm512_srli_epi32(p, n) MAP(__m512i, uint32_t, p, x >> (n))
#define _mm512_srli_epi64(p, n) MAP(__m512i, uint64_t, p, x >> (n))
#define _mm512_srlv_epi32(p, q) MAP2(__m512i, uint32_t, p, q, y < 32 ? x >> y : 0)
#define _mm512_srl_epi32(p, n) _mm512_srli_epi32(p, _mm_cvtsi128_si32(n))
#define _mm512_sll_epi32(p, n) MAP(__m512i, uint32_t, p, x << _mm_cvtsi128_si32(n))
#define _mm512_mul_ps(p, q) MAP2(__m512i, float, p, q, x * y)
#define _mm512_add_ps(p, q) MAP2(__m512i, float, p, q, x + y)
#define _mm512_max_ps(p, q) MAP2(__m512i, float, p, q, x > y ? x : y)
#define _mm512_min_ps(p, q) MAP2(__m512i, float, p, q, x < y ? x : y)
#define _mm512_cvtepi32_ps(p)                                                                     \
    __extension__({                                                                               \
        const __m512i from_ = (p);                                                                \
        int32_t whole_[16];                                                                       \
        memcpy(whole_, &from_, sizeof whole_);                                                    \
        MAP(__m512i, float, from_, (float)whole_[i]);                                             \
    })
#define _mm512_permutexvar_ps(index, p) PERMUTE(__m512i, uint32_t, p, index, p, 16)
/* src + signed 16-bit lanes of p times those of q, in pairs. */
#define _mm512_dpwssd_epi32(src, p, q)                                                            \
    __extension__({                                                                               \
        const __m512i a_ = (p), b_ = (q);                                                         \
        int16_t l_[32], h_[32];                                                                   \
        memcpy(l_, &a_, sizeof l_);                                                               \
        memcpy(h_, &b_, sizeof h_);                                                               \
        MAP(__m512i, uint32_t, src,                                                               \
            x + (uint32_t)(l_[2 * i] * h_[2 * i]) + (uint32_t)(l_[2 * i + 1] * h_[2 * i + 1]));   \
    })
#define _mm512_madd_epi16(p, q) _mm512_dpwssd_epi32(_mm512_setzero_si512(), p, q)
/* src + unsigned bytes of p times signed bytes of q, in fours. */
#define _mm512_dpbusd_epi32(src, p, q)                                                            \
    __extension__({                                                                               \
        const __m512i u_ = (p), s_ = (q);                                                         \
        int32_t dot_[16] = {0};                                                                   \
        for (size_t j_ = 0; j_ < 64; j_++) {                                                      \
            dot_[j_ / 4] += u_.byte[j_] * (int8_t)s_.byte[j_];                                    \
        }                                                                                         \
        MAP(__m512i, uint32_t, src, x + (uint32_t)dot_[i]);                                       \
    })
#define _mm512_packus_epi16(p, q)                                                                 \
    __extension__({                                                                               \
        const __m512i l_ = (p), h_ = (q);                                                         \
        int16_t wide_[2][32];                                                                     \
        memcpy(wide_[0], &l_, sizeof l_);                                                         \
        memcpy(wide_[1], &h_, sizeof h_);                                                         \
        MAP(__m512i, uint8_t, l_,                                                                 \
            __extension__({                                                                       \
                const int v_ = wide_[i % 16 / 8][i / 16 * 8 + i % 8];                             \
                v_ < 0 ? 0 : v_ > 255 ? 255 : v_;                                                 \
            }));                                                                                  \
    })
#define _mm512_unpacklo_epi8(p, q) UNPACK_8(p, q, 0)
#define _mm512_unpackhi_epi8(p, q) UNPACK_8(p, q, 1)
#define _mm512_shuffle_epi8(p, index)                                                             \
    __extension__({                                                                               \
        const __m512i t_ = (p);                                                                   \
        MAP(__m512i, uint8_t, index, x & 128 ? 0 : t_.byte[i / 16 * 16 + x % 16]);                \
    })
#define _mm512_shuffle_ps(p, q, n)                                                                \
    __extension__({                                                                               \
        const __m512i l_ = (p), h_ = (q);                                                         \
        uint32_t in_[2][16];                                                                      \
        memcpy(in_[0], &l_, sizeof l_);                                                           \
        memcpy(in_[1], &h_, sizeof h_);                                                           \
        MAP(__m512i, uint32_t, l_, in_[i % 4 / 2][i / 4 * 4 + ((n) >> i % 4 * 2 & 3)]);           \
    })
/* Byte j of 64 bits: the 8 bits of q's 64 from bit p's byte j on, around the end. */
#define _mm512_multishift_epi64_epi8(p, q)                                                        \
    __extension__({                                                                               \
        const __m512i by_ = (p), of_ = (q);                                                       \
        uint64_t word_[8];                                                                        \
        memcpy(word_, &of_, sizeof of_);                                                          \
        MAP(__m512i, uint8_t, by_, word_[i / 8] >> x % 64 | word_[i / 8] << (64 - x % 64) % 64);  \
    })
#define _mm512_permutex2var_epi8(p, index, q) PERMUTE(__m512i, uint8_t, p, index, q, 128)
#define _mm512_permutex2var_epi16(p, index, q) PERMUTE(__m512i, uint16_t, p, index, q, 64)

#define _mm512_cmpge_epu8_mask(p, q) ((__mmask64)TEST2(__m512i, uint8_t, p, q, x >= y))
#define _mm512_cmpge_epu16_mask(p, q) ((__mmask32)TEST2(__m512i, uint16_t, p, q, x >= y))
#define _mm512_cmpge_epu32_mask(p, q) ((__mmask16)TEST2(__m512i, uint32_t, p, q, x >= y))
#define _mm512_mask_cmpge_epu8_mask(k, p, q) ((k) & _mm512_cmpge_epu8_mask(p, q))
#define _mm512_test_epi8_mask(p, q) ((__mmask64)TEST2(__m512i, uint8_t, p, q, (x & y) != 0))
#define _mm512_movepi8_mask(p) ((__mmask64)TEST2(__m512i, uint8_t, p, p, (x & y) >> 7))
#define _mm512_kunpackw(p, q) ((__mmask32)(((p) & 0xffffu) << 16 | ((q) & 0xffffu)))
#define _mm512_mask_mov_epi8(src, k, p) WHERE(__m512i, uint8_t, src, k, p)
#define _mm512_mask_mov_epi32(src, k, p) WHERE(__m512i, uint32_t, src, k, p)
#define _mm512_maskz_mov_epi8(k, p) WHERE(__m512i, uint8_t, _mm512_setzero_si512(), k, p)
#define _mm512_mask_add_epi8(src, k, p, q) WHERE(__m512i, uint8_t, src, k, _mm512_add_epi8(p, q))
#define _mm512_mask_add_epi32(src, k, p, q) WHERE(__m512i, uint32_t, src, k, _mm512_add_epi32(p, q))
#define _mm512_mask_add_epi16(src, k, p, q) WHERE(__m512i, uint16_t, src, k, _mm512_add_epi16(p, q))
#define _mm512_mask_sub_epi16(src, k, p, q) WHERE(__m512i, uint16_t, src, k, _mm512_sub_epi16(p, q))
#define _mm512_mask_srli_epi32(src, k, p, n)                                                      \
    WHERE(__m512i, uint32_t, src, k, _mm512_srli_epi32(p, n))
#define _mm512_maskz_compress_epi8(k, p) COMPRESS(__m512i, uint8_t, k, p)
#define _mm512_maskz_compress_epi16(k, p) COMPRESS(__m512i, uint16_t, k, p)

/* Numbers of type T made of the lanes of p, whose type is S; `each` sees lane x. */
#define CONVERT(V, T, S, p, each)                                                                 \
    __extension__({                                                                               \
        const __typeof__(p) from_ = (p);                                                          \
        S lanes_[sizeof from_ / sizeof(S)];                                                       \
        T made_[sizeof from_ / sizeof(S)];                                                        \
        V to_;                                                                                    \
        memcpy(lanes_, &from_, sizeof lanes_);                                                    \
        for (size_t i = 0; i < sizeof from_ / sizeof(S); i++) {                                   \
            const S x = lanes_[i];                                                                \
            made_[i] = (T)(each);                                                                 \
        }                                                                                         \
        memcpy(&to_, made_, sizeof to_);                                                          \
        to_;                                                                                      \
    })
/* To the nearest integer, as the instruction does with what is none. */
#define NEAREST(x) ((x) >= -0x1p31f && (x) < 0x1p31f ? (int32_t)lrintf(x) : INT32_MIN)
#define SHIFT_BY(T, p, count, each)                                                               \
    __extension__({                                                                               \
        const int by_ = _mm_cvtsi128_si32(count);                                                 \
        MAP(__m512i, T, p, each);                                                                 \
    })
#define _mm512_slli_epi32(p, n) MAP(__m512i, uint32_t, p, x << (n))
#define _mm512_sll_epi32(p, count) SHIFT_BY(uint32_t, p, count, x << by_)
#define _mm512_sra_epi32(p, count) SHIFT_BY(int32_t, p, count, x >> by_)
#define _mm512_max_epi32(p, q) MAP2(__m512i, int32_t, p, q, x > y ? x : y)
#define _mm512_min_epi32(p, q) MAP2(__m512i, int32_t, p, q, x < y ? x : y)
#define _mm512_or_si512(p, q) MAP2(__m512i, uint64_t, p, q, x | y)
#define _mm512_set_epi32(...)                                                                     \
    __extension__({                                                                               \
        const int list_[16] = {__VA_ARGS__};                                                      \
        MAP(__m512i, uint32_t, _mm512_setzero_si512(), list_[15 - i]);                            \
    })
#define _mm512_cvtepi16_epi32(p) CONVERT(__m512i, int32_t, int16_t, p, x)
#define _mm512_cvtepu16_epi32(p) CONVERT(__m512i, uint32_t, uint16_t, p, x)
#define _mm512_cvtepi32_epi16(p) CONVERT(__m256i, uint16_t, uint32_t, p, x)
#define _mm512_cvtepi32_ps(p) CONVERT(__m512, float, int32_t, p, x)
#define _mm512_cvtps_epi32(p) CONVERT(__m512i, int32_t, float, p, NEAREST(x))
/* src + products of two signed halves of p and q. */
#define _mm512_dpwssd_epi32(src, p, q)                                                            \
    __extension__({                                                                               \
        const __m512i dot_ = MAP2(__m512i, uint32_t, p, q,                                        \
                                  (uint32_t)((int16_t)x * (int16_t)y) +                           \
                                      (uint32_t)((int16_t)(x >> 16) * (int16_t)(y >> 16)));       \
        _mm512_add_epi32(src, dot_);                                                              \
    })
#define _mm512_i32gather_epi32(index, base, scale)                                                \
    __extension__({                                                                               \
        const char *const base_ = (const char *)(base);                                           \
        MAP(__m512i, uint32_t, index, lwfc_load_u32((const uint8_t *)base_ + (size_t)x * (scale))); \
    })

#define _mm512_set1_ps(v) FILL(__m512, float, v)
#define _mm512_loadu_ps(p) LOAD(__m512, p)
#define _mm512_mul_ps(p, q) MAP2(__m512, float, p, q, x * y)
#define _mm512_min_ps(p, q) MAP2(__m512, float, p, q, x < y ? x : y)
#define _mm512_max_ps(p, q) MAP2(__m512, float, p, q, x > y ? x : y)
#define _mm512_cmp_ps_mask(p, q, ordered) ((__mmask16)TEST2(__m512, float, p, q, x == x && y == y))
#define _mm512_mask_storeu_ps(to, k, p) MASK_STORE(float, to, k, p)
#define _mm512_maskz_loadu_ps(k, p)                                                               \
    __extension__({                                                                               \
        const float *const from_ = (p);                                                           \
        const uint64_t where_ = (k);                                                              \
        MAP(__m512, float, FILL(__m512, float, 0), where_ >> i & 1 ? from_[i] : 0);               \
    })

#define _mm512_cmplt_epu32_mask(p, q) ((__mmask16)TEST2(__m512i, uint32_t, p, q, x < y))
#define _mm512_test_epi32_mask(p, q) ((__mmask16)TEST2(__m512i, uint32_t, p, q, (x & y) != 0))
#define _mm512_mask_mov_epi16(src, k, p) WHERE(__m512i, uint16_t, src, k, p)
#define _mm512_maskz_mov_epi32(k, p) WHERE(__m512i, uint32_t, _mm512_setzero_si512(), k, p)
#define _mm512_mask_or_epi32(src, k, p, q) WHERE(__m512i, uint32_t, src, k, _mm512_or_si512(p, q))
#define _mm512_mask_sub_epi32(src, k, p, q)                                                       \
    WHERE(__m512i, uint32_t, src, k, _mm512_sub_epi32(p, q))
#define _mm512_maskz_expand_epi32(k, p) EXPAND(__m512i, uint32_t, _mm512_setzero_si512(), k, p)
#define _mm512_maskz_compress_epi32(k, p) COMPRESS(__m512i, uint32_t, k, p)
#define _mm512_abs_epi32(p) MAP(__m512i, int32_t, p, x < 0 ? -x : x)
#define _mm512_cmpgt_epi16_mask(p, q) ((__mmask32)TEST2(__m512i, int16_t, p, q, x > y))
#define _mm512_cmpgt_epi32_mask(p, q) ((__mmask16)TEST2(__m512i, int32_t, p, q, x > y))
#define _mm512_slli_epi64(p, n) MAP(__m512i, uint64_t, p, x << (n))
#define _mm512_srli_epi64(p, n) MAP(__m512i, uint64_t, p, x >> (n))
#define _mm512_srlv_epi64(p, q) MAP2(__m512i, uint64_t, p, q, y < 64 ? x >> y : 0)

/* Halves of 256 bits. */
#define PART(V, p, half)                                                                          \
    __extension__({                                                                               \
        const struct emulated_512 whole_ = (p);                                                   \
        LOAD(V, whole_.byte + 32 * (half));                                                       \
    })
#define JOINED(low, high)                                                                         \
    __extension__({                                                                               \
        struct emulated_512 whole_;                                                               \
        memcpy(whole_.byte, &(low), 32);                                                          \
        memcpy(whole_.byte + 32, &(high), 32);                                                    \
        whole_;                                                                                   \
    })
#define _mm512_castps_pd(p) (p)
#define _mm512_castpd_ps(p) (p)
#define _mm512_castps512_ps256(p) PART(__m256, p, 0)
#define _mm512_extractf64x4_pd(p, half) PART(__m256d, p, half)
#define _mm512_castps256_ps512(p)                                                                 \
    __extension__({                                                                               \
        const __m256 low_ = (p);                                                                  \
        JOINED(low_, low_);                                                                       \
    })
#define _mm512_insertf64x4(p, q, half)                                                            \
    __extension__({                                                                               \
        const struct emulated_512 before_ = (p);                                                  \
        const __m256d new_ = (q);                                                                 \
        JOINED(before_.byte[0], new_);                                                            \
    })
#define _mm512_broadcast_i64x4(p)                                                                 \
    __extension__({                                                                               \
        const __m256i both_ = (p);                                                                \
        JOINED(both_, both_);                                                                     \
    })
/* The mask has no more bits than 256 bits have lanes. */
#define _mm256_mask_storeu_ps(to, k, p)                                                           \
    __extension__({                                                                               \
        const __m256 half_ = (p);                                                                 \
        MASK_STORE(float, to, k, JOINED(half_, half_));                                           \
    })
#define _mm256_mask_storeu_epi16(to, k, p)                                                        \
    __extension__({                                                                               \
        const __m256i half_ = (p);                                                                \
        MASK_STORE(uint16_t, to, k, JOINED(half_, half_));                                        \
    })
#define _mm256_maskz_loadu_ps(k, p)                                                               \
    __extension__({                                                                               \
        const float *const from_ = (p);                                                           \
        const uint64_t where_ = (k);                                                              \
        MAP(__m256, float, _mm256_setzero_ps(), where_ >> i & 1 ? from_[i] : 0);                  \
    })

#endif
