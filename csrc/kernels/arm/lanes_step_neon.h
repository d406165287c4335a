/* One step of the 32-lane rANS core for NEON; same bits as lanes_step.h.
 *
 * The states are two bytes a lane, high and low, each in a pair of vectors. A
 * decoding step is lanes_search_start, lanes_search_add for each threshold, and
 * lanes_decode_neon. `live` is NULL (all lanes take part) or a byte mask; dead
 * lanes keep their state, read and write nothing and give symbol 0. */
#ifndef LWFC_KERNELS_ARM_LANES_STEP_NEON_H
#define LWFC_KERNELS_ARM_LANES_STEP_NEON_H

#include "kernels/arm/lanes32_neon.h"
#include "kernels/lanes_tables.h"

struct lanes_neon {
    lanes32 hi, lo;
};

LWFC_INLINE struct lanes_neon lanes_load_neon(const uint16_t states[LWFC_LANES])
{
    struct lanes_neon s;
    for (int h = 0; h < 2; h++) {
        const uint8x16_t a = vreinterpretq_u8_u16(vld1q_u16(states + 16 * h));
        const uint8x16_t b = vreinterpretq_u8_u16(vld1q_u16(states + 16 * h + 8));
        s.lo.val[h] = vuzp1q_u8(a, b);
        s.hi.val[h] = vuzp2q_u8(a, b);
    }
    return s;
}

LWFC_INLINE void lanes_store_neon(uint16_t states[LWFC_LANES], struct lanes_neon s)
{
    for (int h = 0; h < 2; h++) {
        const uint8x16_t a = vzip1q_u8(s.lo.val[h], s.hi.val[h]);
        const uint8x16_t b = vzip2q_u8(s.lo.val[h], s.hi.val[h]);
        vst1q_u16(states + 16 * h, vreinterpretq_u16_u8(a));
        vst1q_u16(states + 16 * h + 8, vreinterpretq_u16_u8(b));
    }
}

/* Which lanes a byte mask names, eight bits an octet of lanes, and in byte i of
 * `ends` how many lanes the octets 0..i hold. */
struct lanes_octets {
    uint32_t bits, ends;
};

LWFC_INLINE struct lanes_octets lanes_octets(lanes32 mask)
{
    const uint8x16_t bit = vreinterpretq_u8_u64(vdupq_n_u64(UINT64_C(0x8040201008040201)));
    uint8x16_t v = vpaddq_u8(vandq_u8(mask.val[0], bit), vandq_u8(mask.val[1], bit));
    v = vpaddq_u8(v, v);
    v = vpaddq_u8(v, v);
    const uint32_t counts = vgetq_lane_u32(vreinterpretq_u32_u8(vcntq_u8(v)), 0);
    const struct lanes_octets o = {vgetq_lane_u32(vreinterpretq_u32_u8(v), 0),
                                   counts * 0x01010101u};
    return o;
}

/* Rows of a table of lanes_tables.h for the octets 2 h and 2 h + 1. */
LWFC_INLINE uint8x16_t lanes_shuffle_neon(const uint64_t *table, uint32_t bits, int h)
{
    const uint8x16_t octet = vcombine_u8(vdup_n_u8(0), vdup_n_u8(8));
    return vorrq_u8(vcombine_u8(vcreate_u8(table[bits >> (16 * h) & 255u]),
                                vcreate_u8(table[bits >> (16 * h + 8) & 255u])),
                    octet);
}

/* The next stream bytes, dealt to the lanes of the mask; zero elsewhere. Reads
 * up to 32 bytes from `in` whatever the mask. */
LWFC_INLINE lanes32 lanes_deal_neon(const uint8_t *in, struct lanes_octets o)
{
    const uint8_t *p1 = in + (o.ends & 255u);
    const uint8_t *p2 = in + (o.ends >> 8 & 255u);
    const uint8_t *p3 = in + (o.ends >> 16 & 255u);
    const lanes32 v = {
        {vqtbl1q_u8(vcombine_u8(vld1_u8(in), vld1_u8(p1)), lanes_shuffle_neon(lanes_expand, o.bits, 0)),
         vqtbl1q_u8(vcombine_u8(vld1_u8(p2), vld1_u8(p3)), lanes_shuffle_neon(lanes_expand, o.bits, 1))}};
    return v;
}

/* What comparisons with the thresholds tell so far. Thresholds above the slot
 * wrap to differences above the slot: the least difference is the offset in
 * the symbol, the greatest marks its end. */
struct lanes_search {
    lanes32 least, most, symbol;
};

LWFC_INLINE struct lanes_search lanes_search_start(const struct lanes_neon *s)
{
    const struct lanes_search v = {s->lo, s->lo, lanes32_fill(0)};
    return v;
}

/* The next threshold of the 16 lanes of half h. */
LWFC_INLINE void lanes_search_add(struct lanes_search *v, const struct lanes_neon *s, int h,
                                  uint8x16_t threshold)
{
    const uint8x16_t slot = s->lo.val[h];
    const uint8x16_t d = vsubq_u8(slot, threshold);
    v->symbol.val[h] = vsubq_u8(v->symbol.val[h], vcgeq_u8(slot, threshold));
    v->least.val[h] = vminq_u8(v->least.val[h], d);
    v->most.val[h] = vmaxq_u8(v->most.val[h], d);
}

/* Moves the states on after the search; returns the symbols. */
LWFC_INLINE lanes32 lanes_decode_neon(struct lanes_neon *s, const struct lanes_search *v,
                                      const uint8_t **in, const lanes32 *live)
{
    lanes32 hi, lo, empty, symbol = v->symbol;
    for (int h = 0; h < 2; h++) {
        const uint8x16_t offset = v->least.val[h];
        const uint8x16_t freq = vsubq_u8(offset, v->most.val[h]);
        const uint16x8_t x0 = vmlal_u8(vmovl_u8(vget_low_u8(offset)), vget_low_u8(freq),
                                       vget_low_u8(s->hi.val[h]));
        const uint16x8_t x1 = vmlal_high_u8(vmovl_high_u8(offset), freq, s->hi.val[h]);
        lo.val[h] = vuzp1q_u8(vreinterpretq_u8_u16(x0), vreinterpretq_u8_u16(x1));
        hi.val[h] = vuzp2q_u8(vreinterpretq_u8_u16(x0), vreinterpretq_u8_u16(x1));
        empty.val[h] = vceqzq_u8(hi.val[h]);
        if (live) {
            empty.val[h] = vandq_u8(empty.val[h], live->val[h]);
        }
    }
    const struct lanes_octets octets = lanes_octets(empty);
    const lanes32 bytes = lanes_deal_neon(*in, octets);
    *in += octets.ends >> 24;
    for (int h = 0; h < 2; h++) {
        /* hi is zero where a byte is read, and so are bytes where none is. */
        const uint8x16_t next_hi = vorrq_u8(hi.val[h], vandq_u8(empty.val[h], lo.val[h]));
        const uint8x16_t next_lo = vorrq_u8(vbicq_u8(lo.val[h], empty.val[h]), bytes.val[h]);
        if (live) {
            s->hi.val[h] = vbslq_u8(live->val[h], next_hi, s->hi.val[h]);
            s->lo.val[h] = vbslq_u8(live->val[h], next_lo, s->lo.val[h]);
            symbol.val[h] = vandq_u8(symbol.val[h], live->val[h]);
        } else {
            s->hi.val[h] = next_hi;
            s->lo.val[h] = next_lo;
        }
    }
    return symbol;
}

/* Writes the bytes of the named lanes in rising order just below *out. */
LWFC_INLINE void lanes_emit_neon(lanes32 bytes, struct lanes_octets o, uint8_t **out)
{
    const uint8x16_t a = vqtbl1q_u8(bytes.val[0], lanes_shuffle_neon(lanes_compact, o.bits, 0));
    const uint8x16_t b = vqtbl1q_u8(bytes.val[1], lanes_shuffle_neon(lanes_compact, o.bits, 1));
    uint8_t *p = *out - (o.ends >> 24);
    /* Downwards: each octet covers what the one above it wrote too much. */
    vst1_u8(*out - 8, vget_high_u8(b));
    vst1_u8(p + (o.ends >> 16 & 255u) - 8, vget_low_u8(b));
    vst1_u8(p + (o.ends >> 8 & 255u) - 8, vget_high_u8(a));
    vst1_u8(p + (o.ends & 255u) - 8, vget_low_u8(a));
    *out = p;
}

/* What the encoder needs of one column: where the symbol starts, its frequency
 * (1..255) and 65536 / frequency (see lanes_divide_neon) of 8 lanes each. */
struct lanes_interval {
    lanes32 start, freq;
    uint16x8_t recip[4];
};

/* x / freq and x % freq of eight lanes, x < 256 * freq. The reciprocal is too
 * small by less than 1 + 1 / freq, so the first quotient by at most one:
 * x / 65536 * (1 + 1 / freq) < (freq + 1) / 256 <= 1. */
LWFC_INLINE uint16x8_t lanes_divide_neon(uint16x8_t x, uint16x8_t freq, uint16x8_t recip,
                                         uint16x8_t *remainder)
{
    const uint32x4_t p0 = vmull_u16(vget_low_u16(x), vget_low_u16(recip));
    const uint32x4_t p1 = vmull_high_u16(x, recip);
    const uint16x8_t q = vuzp2q_u16(vreinterpretq_u16_u32(p0), vreinterpretq_u16_u32(p1));
    const uint16x8_t r = vmlsq_u16(x, q, freq);
    const uint16x8_t more = vcgeq_u16(r, freq);
    *remainder = vsubq_u16(r, vandq_u16(more, freq));
    return vsubq_u16(q, more);
}

/* Encodes one symbol per lane; writes down to 32 bytes below *out (the last
 * ones are scratch). */
LWFC_INLINE void lanes_encode_neon(struct lanes_neon *s, const struct lanes_interval *v,
                                   uint8_t **out, const lanes32 *live)
{
    lanes32 full;
    for (int h = 0; h < 2; h++) {
        full.val[h] = vcgeq_u8(s->hi.val[h], v->freq.val[h]);
        if (live) {
            full.val[h] = vandq_u8(full.val[h], live->val[h]);
        }
    }
    lanes_emit_neon(s->lo, lanes_octets(full), out);
    for (int h = 0; h < 2; h++) {
        const uint8x16_t lo = vbslq_u8(full.val[h], s->hi.val[h], s->lo.val[h]);
        const uint8x16_t hi = vbicq_u8(s->hi.val[h], full.val[h]);
        const uint8x16_t freq = v->freq.val[h];
        uint16x8_t r0, r1;
        const uint16x8_t q0 = lanes_divide_neon(vreinterpretq_u16_u8(vzip1q_u8(lo, hi)),
                                                vmovl_u8(vget_low_u8(freq)), v->recip[2 * h], &r0);
        const uint16x8_t q1 = lanes_divide_neon(vreinterpretq_u16_u8(vzip2q_u8(lo, hi)),
                                                vmovl_high_u8(freq), v->recip[2 * h + 1], &r1);
        const uint8x16_t next_hi = vuzp1q_u8(vreinterpretq_u8_u16(q0), vreinterpretq_u8_u16(q1));
        const uint8x16_t next_lo =
            vaddq_u8(vuzp1q_u8(vreinterpretq_u8_u16(r0), vreinterpretq_u8_u16(r1)),
                     v->start.val[h]);
        s->hi.val[h] = live ? vbslq_u8(live->val[h], next_hi, s->hi.val[h]) : next_hi;
        s->lo.val[h] = live ? vbslq_u8(live->val[h], next_lo, s->lo.val[h]) : next_lo;
    }
}

#endif
