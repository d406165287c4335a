/* The serial loops' choice by level count and scores, once for every SIMD
 * variant: few levels get loops of their own, in which the compiler knows them.
 *
 * LWFC_CONTEXT_LEVELS(define, isa): `define(type, verb, name, levels, scores)`
 * defines context_<verb>_<name>_<isa>; this instantiates it and defines
 * context_decode_<isa> and context_encode_<isa>. */
#ifndef LWFC_KERNELS_CONTEXT_LEVELS_H
#define LWFC_KERNELS_CONTEXT_LEVELS_H

#include "kernels/context_kernels.h"

#define LWFC_CONTEXT_LEVELS(define, isa)                    \
    LWFC_CONTEXT_VERB(const uint8_t *, decode, define, isa) \
    LWFC_CONTEXT_VERB(uint8_t *, encode, define, isa)

#define LWFC_CONTEXT_CALL(verb, name, isa)                                                        \
    context_##verb##_##name##_##isa(states, piece, group, scale, at)

/* Two levels have one threshold, and no spread. */
#define LWFC_CONTEXT_VERB(type, verb, define, isa)                                                \
    define(type, verb, 2, 2, 1)                                                                   \
    define(type, verb, 3, 3, 1)                                                                   \
    define(type, verb, 4, 4, 1)                                                                   \
    define(type, verb, any, scale->levels, 1)                                                     \
    define(type, verb, 3_spread, 3, 2)                                                            \
    define(type, verb, 4_spread, 4, 2)                                                            \
    define(type, verb, any_spread, scale->levels, 2)                                              \
    static type context_##verb##_##isa(                                                           \
        uint16_t (*states)[LWFC_LANES], const struct lwfc_context_piece *piece,                   \
        const struct lwfc_context_group *group, const struct lwfc_context_scale *scale, type at)  \
    {                                                                                             \
        const int spread = scale->scores == 2;                                                    \
        switch (scale->levels) {                                                                  \
        case 2:                                                                                   \
            return LWFC_CONTEXT_CALL(verb, 2, isa);                                               \
        case 3:                                                                                   \
            return spread ? LWFC_CONTEXT_CALL(verb, 3_spread, isa)                                \
                          : LWFC_CONTEXT_CALL(verb, 3, isa);                                      \
        case 4:                                                                                   \
            return spread ? LWFC_CONTEXT_CALL(verb, 4_spread, isa)                                \
                          : LWFC_CONTEXT_CALL(verb, 4, isa);                                      \
        default:                                                                                  \
            return spread ? LWFC_CONTEXT_CALL(verb, any_spread, isa)                              \
                          : LWFC_CONTEXT_CALL(verb, any, isa);                                    \
        }                                                                                         \
    }

#endif
