#include "cpu/cpu.h"

#include "base/attributes.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* From lowest to highest; a limit keeps its own and every lower level. */
static const struct {
    const char *name;
    uint32_t features;
} levels[] = {
    {"scalar", 0},
    {"sse42", LWFC_CPU_SSE42},
    {"avx2", LWFC_CPU_SSE42 | LWFC_CPU_AVX2},
    {"avx512", LWFC_CPU_SSE42 | LWFC_CPU_AVX2 | LWFC_CPU_AVX512},
    {"neon", LWFC_CPU_NEON},
};
enum { LEVEL_COUNT = sizeof levels / sizeof levels[0] };

/* Set once resolved: bit 31 tells it from "not yet". */
#define RESOLVED 0x80000000u
static _Atomic uint32_t current;

static uint32_t detect(void)
{
    uint32_t features = 0;
#if LWFC_X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("sse4.2")) {
        features |= LWFC_CPU_SSE42;
    }
    /* Every CPU with AVX2 has F16C; clang's builtin does not know that name. */
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") &&
        __builtin_cpu_supports("fma")) {
        features |= LWFC_CPU_AVX2;
    }
    if ((features & LWFC_CPU_AVX2) && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2") &&
        __builtin_cpu_supports("avx512vnni")) {
        features |= LWFC_CPU_AVX512;
    }
#elif LWFC_NEON
    features |= LWFC_CPU_NEON;
#endif
    return features;
}

static int level_mask(const char *name, uint32_t *mask)
{
    for (int i = 0; i < LEVEL_COUNT; i++) {
        if (strcmp(name, levels[i].name) == 0) {
            *mask = levels[i].features;
            return 0;
        }
    }
    return -1;
}

int lwfc_cpu_limit(const char *name)
{
    uint32_t mask = 0xFFFFu;
    if (name != NULL && level_mask(name, &mask) != 0) {
        return -1;
    }
    atomic_store_explicit(&current, (detect() & mask) | RESOLVED, memory_order_release);
    return 0;
}

uint32_t lwfc_cpu_features(void)
{
    uint32_t features = atomic_load_explicit(&current, memory_order_acquire);
    if (LWFC_UNLIKELY(!(features & RESOLVED))) {
        /* Two threads may both get here; they store the same value. An
         * unknown name must not raise the level: it means scalar. */
        const char *name = getenv("LWFC_CPU");
        if (lwfc_cpu_limit(name) != 0) {
            lwfc_cpu_limit("scalar");
        }
        features = atomic_load_explicit(&current, memory_order_acquire);
    }
    return features & ~RESOLVED;
}

const char *lwfc_cpu_name(uint32_t features)
{
    const char *name = levels[0].name;
    for (int i = 1; i < LEVEL_COUNT; i++) {
        if ((features & levels[i].features) == levels[i].features) {
            name = levels[i].name;
        }
    }
    return name;
}
