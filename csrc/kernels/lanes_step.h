/* One step of the 32-lane rANS core, per lane and without SIMD: the definition
 * that the vector forms reproduce bit for bit.
 *
 * A lane is a 16-bit state in [256, 65536); its low byte is the slot, so
 * probabilities have 8 bits. Thresholds C_1 < ... < C_{levels-1} in 1..255 cut
 * the slots into symbols; symbol k owns [C_k, C_{k+1}) with C_0 = 0 and
 * C_levels = 256. All lanes share one byte stream: within a step the lanes read
 * in rising order, at most one byte each. The encoder runs backwards and writes
 * downwards. Lanes start (and decoding must end) at LWFC_LANE_START. */
#ifndef LWFC_KERNELS_LANES_STEP_H
#define LWFC_KERNELS_LANES_STEP_H

#include "base/attributes.h"

#include <stdint.h>

#define LWFC_LANES 32
#define LWFC_LANE_START 256

/* Decodes one symbol and moves *in past the byte read, if any. thresholds[k]
 * is C_{k+1}; entries lie `stride` bytes apart. The result is always < levels,
 * whatever the state and the thresholds are. */
LWFC_INLINE int lwfc_lane_decode(uint16_t *state, const uint8_t *thresholds, int stride,
                                 int levels, const uint8_t **in)
{
    const unsigned slot = *state & 255u;
    unsigned start = 0;
    unsigned end = 256;
    int symbol = 0;
    for (int k = 0; k < levels - 1; k++) {
        const unsigned c = thresholds[k * stride];
        if (c > slot) {
            end = c;
            break;
        }
        start = c;
        symbol = k + 1;
    }
    unsigned x = (end - start) * (*state >> 8) + slot - start;
    if (x < 256) {
        x = x << 8 | *(*in)++;
    }
    *state = (uint16_t)x;
    return symbol;
}

/* Encodes the symbol that owns [start, start + freq), 1 <= freq <= 255. */
LWFC_INLINE void lwfc_lane_encode(uint16_t *state, unsigned start, unsigned freq, uint8_t **out)
{
    unsigned x = *state;
    if (x >> 8 >= freq) {
        *--*out = (uint8_t)x;
        x >>= 8;
    }
    *state = (uint16_t)((x / freq) << 8 | (start + x % freq));
}

#endif
