/* Compiler attributes, each under one name. */
#ifndef LWFC_BASE_ATTRIBUTES_H
#define LWFC_BASE_ATTRIBUTES_H

#if defined(__GNUC__) || defined(__clang__)
#define LWFC_INLINE static inline __attribute__((always_inline, unused))
#define LWFC_LIKELY(x) __builtin_expect(!!(x), 1)
#define LWFC_UNLIKELY(x) __builtin_expect(!!(x), 0)
#else
#define LWFC_INLINE static inline
#define LWFC_LIKELY(x) (x)
#define LWFC_UNLIKELY(x) (x)
#endif

/* SIMD variants are compiled by function attribute, so the core builds with
 * one plain compiler line. */
#if (defined(__GNUC__) || defined(__clang__)) && (defined(__x86_64__) || defined(__i386__))
#define LWFC_X86 1
#ifndef LWFC_TARGET /* tests compile everything for one level */
#define LWFC_TARGET(isa) __attribute__((target(isa)))
#endif
#else
#define LWFC_X86 0
#endif

#if defined(__aarch64__) && defined(__ARM_NEON) && !defined(__AARCH64EB__)
#define LWFC_NEON 1
#else
#define LWFC_NEON 0
#endif

#endif
