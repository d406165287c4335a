/* The serial loops' choice by level count, once for every SIMD variant: few
 * levels get a loop of their own, in which the compiler knows their number.
 *
 * LWFC_CONTEXT_LEVELS(define, isa): `define(type, verb, name, levels)` defines
 * context_<verb>_<name>_<isa>; this instantiates it and defines
 * context_decode_<isa> and context_encode_<isa>. */
#ifndef LWFC_KERNELS_CONTEXT_LEVELS_H
#define LWFC_KERNELS_CONTEXT_LEVELS_H

#include "kernels/context_kernels.h"

#define LWFC_CONTEXT_LEVELS(define, isa)                    \
    LWFC_CONTEXT_VERB(const uint8_t *, decode, define, isa) \
    LWFC_CONTEXT_VERB(uint8_t *, encode, define, isa)

#define LWFC_CONTEXT_VERB(type, verb, define, isa)                                                \
    define(type, verb, 2, 2)                                                                      \
    define(type, verb, 3, 3)                                                                      \
    define(type, verb, 4, 4)                                                                      \
    define(type, verb, any, scale->levels)                                                        \
    static type context_##verb##_##isa(                                                           \
        uint16_t (*states)[LWFC_LANES], const struct lwfc_context_piece *piece,                   \
        const struct lwfc_context_group *group, const struct lwfc_context_scale *scale, type at)  \
    {                                                                                             \
        switch (scale->levels) {                                                                  \
        case 2:                                                                                   \
            return context_##verb##_2_##isa(states, piece, group, scale, at);                     \
        case 3:                                                                                   \
            return context_##verb##_3_##isa(states, piece, group, scale, at);                     \
        case 4:                                                                                   \
            return context_##verb##_4_##isa(states, piece, group, scale, at);                     \
        default:                                                                                  \
            return context_##verb##_any_##isa(states, piece, group, scale, at);                   \
        }                                                                                         \
    }

#endif
