/* What this CPU can do, as named feature levels.
 *
 * Levels are cumulative clusters, not single bits: a kernel is written for a
 * cluster. LWFC_CPU=scalar|sse42|avx2|avx512|neon in the environment lowers
 * the level for tests; a name this CPU lacks gives the level it has. */
#ifndef LWFC_CPU_CPU_H
#define LWFC_CPU_CPU_H

#include <stdint.h>

enum {
    LWFC_CPU_SSE42 = 1 << 0,
    LWFC_CPU_AVX2 = 1 << 1,   /* AVX2 with BMI2, F16C and FMA */
    LWFC_CPU_AVX512 = 1 << 2, /* F, BW, VL, VBMI, VBMI2 and VNNI */
    LWFC_CPU_NEON = 1 << 3
};

/* The features in use: detected once, lowered by LWFC_CPU or by
 * lwfc_cpu_limit. Safe from any thread. */
uint32_t lwfc_cpu_features(void);

/* The name of the highest level in `features`: "scalar", "avx2", ... */
const char *lwfc_cpu_name(uint32_t features);

/* For tests: use no feature above the named level from now on (NULL: all that
 * are there). Returns 0, or -1 when the name is unknown. */
int lwfc_cpu_limit(const char *name);

#endif
