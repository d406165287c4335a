/* Little-endian loads and stores at any address, and the varint of the
 * container. Pure functions of their arguments. */
#ifndef LWFC_BASE_BYTES_H
#define LWFC_BASE_BYTES_H

#include "base/attributes.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

LWFC_INLINE uint16_t lwfc_load_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | (p[1] << 8));
}

LWFC_INLINE uint32_t lwfc_load_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

LWFC_INLINE uint64_t lwfc_load_u64(const uint8_t *p)
{
    return lwfc_load_u32(p) | (uint64_t)lwfc_load_u32(p + 4) << 32;
}

LWFC_INLINE void lwfc_store_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

LWFC_INLINE void lwfc_store_u32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++) {
        p[i] = (uint8_t)(v >> (8 * i));
    }
}

LWFC_INLINE void lwfc_store_u64(uint8_t *p, uint64_t v)
{
    lwfc_store_u32(p, (uint32_t)v);
    lwfc_store_u32(p + 4, (uint32_t)(v >> 32));
}

/* Floats and their IEEE 754 bit patterns, as which they travel. */
LWFC_INLINE float lwfc_float_of(uint32_t bits)
{
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

LWFC_INLINE uint32_t lwfc_bits_of(float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

LWFC_INLINE float lwfc_load_f32(const uint8_t *p)
{
    return lwfc_float_of(lwfc_load_u32(p));
}

LWFC_INLINE void lwfc_store_f32(uint8_t *p, float v)
{
    lwfc_store_u32(p, lwfc_bits_of(v));
}

#endif
