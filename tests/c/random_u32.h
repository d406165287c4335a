/* A small random generator, for tests: the same numbers in every run. */
#ifndef LWFC_TESTS_RANDOM_U32_H
#define LWFC_TESTS_RANDOM_U32_H

#include <stdint.h>

static uint32_t seed = 1;

static inline uint32_t random_u32(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
}

static inline int between(int least, int most)
{
    return least + (int)(random_u32() % (uint32_t)(most - least + 1));
}

#endif
