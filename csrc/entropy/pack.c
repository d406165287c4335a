#include "entropy/pack.h"

static unsigned symbol_nbits(int levels)
{
    unsigned nbits = 1;
    while ((1 << nbits) < levels) {
        nbits++;
    }
    return nbits;
}

size_t lwfc_pack_nbytes(const struct lwfc_block *block, int levels)
{
    return (lwfc_block_size(block) * symbol_nbits(levels) + 7) / 8;
}

void lwfc_pack_encode(const uint8_t *symbols, const struct lwfc_block *block, int levels,
                      uint8_t *out)
{
    const unsigned width = symbol_nbits(levels);
    const size_t n = lwfc_block_size(block);
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < n; i++) {
        bits |= (uint32_t)symbols[i] << held;
        for (held += width; held >= 8; held -= 8, bits >>= 8) {
            *out++ = (uint8_t)bits;
        }
    }
    if (held > 0) {
        *out = (uint8_t)bits;
    }
}

int lwfc_pack_decode(const uint8_t *in, size_t nbytes, const struct lwfc_block *block, int levels,
                     uint8_t *symbols)
{
    if (nbytes != lwfc_pack_nbytes(block, levels)) {
        return -1;
    }
    const unsigned width = symbol_nbits(levels);
    const size_t n = lwfc_block_size(block);
    uint32_t bits = 0;
    unsigned held = 0, largest = 0;
    for (size_t i = 0; i < n; i++) {
        if (held < width) {
            bits |= (uint32_t)*in++ << held;
            held += 8;
        }
        const unsigned symbol = bits & ((1u << width) - 1);
        symbols[i] = (uint8_t)symbol;
        largest = symbol > largest ? symbol : largest;
        bits >>= width;
        held -= width;
    }
    return largest < (unsigned)levels && bits == 0 ? 0 : -1;
}
