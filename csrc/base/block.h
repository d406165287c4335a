/* The shape of one block of symbols, the unit that codes independently. */
#ifndef LWFC_BASE_BLOCK_H
#define LWFC_BASE_BLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Symbols of a block are bytes in C order [samples][channels][height][width].
 * Tokens x channels is (samples, channels, 1, tokens); a plain vector is
 * (1, 1, 1, n). Every field is >= 1 and the product is at most 2^30. */
struct lwfc_block {
    int32_t samples;
    int32_t channels;
    int32_t height;
    int32_t width;
};

static inline size_t lwfc_block_size(const struct lwfc_block *b)
{
    return (size_t)b->samples * (size_t)b->channels * (size_t)b->height * (size_t)b->width;
}

#endif
