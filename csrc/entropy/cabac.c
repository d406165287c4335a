#include "entropy/cabac.h"

#include "base/attributes.h"

enum {
    WINDOW = 256,    /* bins an estimate remembers, at most */
    RANGE_BITS = 24, /* the range is renormalised to at least 2^24 */
    MAX_CONTEXTS = 255
};

/* P(bin = 1) in 1/65536. It never leaves [255, 65281]: a step towards an end
 * is the distance to it, divided by at most WINDOW, rounded down. So both
 * halves of the range are never empty, whatever bytes arrive. */
struct context {
    uint32_t one;
    uint32_t step; /* 65536 / (bins seen + 2) */
    uint32_t seen;
};

static void contexts_init(struct context *contexts, int count)
{
    for (int k = 0; k < count; k++) {
        contexts[k] = (struct context){32768, 32768, 0};
    }
}

LWFC_INLINE void context_update(struct context *c, int bin)
{
    if (bin) {
        c->one += ((65536 - c->one) * c->step) >> 16;
    } else {
        c->one -= (c->one * c->step) >> 16;
    }
    if (c->seen < WINDOW - 2) {
        c->seen++;
        c->step = 65536 / (c->seen + 2);
    }
}

struct encoder {
    uint64_t low; /* the interval is [low, low + range); bit 32 is a carry */
    uint32_t range;
    uint8_t *out;
    size_t nbytes, capacity;
    int overflow; /* sticky; nothing is written past capacity */
};

static void put_byte(struct encoder *e, uint32_t byte)
{
    if (e->nbytes < e->capacity) {
        e->out[e->nbytes++] = (uint8_t)byte;
    } else {
        e->overflow = 1;
    }
}

/* The interval never passes 1, so a carry always meets a byte below 0xFF. */
static void carry(struct encoder *e)
{
    size_t i = e->nbytes;
    while (i > 0 && ++e->out[--i] == 0) {
    }
    e->low &= 0xFFFFFFFFu;
}

LWFC_INLINE void encode_bin(struct encoder *e, struct context *c, int bin)
{
    const uint32_t bound = (uint32_t)(((uint64_t)e->range * c->one) >> 16);
    if (bin) {
        e->range = bound;
    } else {
        e->low += bound;
        e->range -= bound;
    }
    context_update(c, bin);
    while (e->range < (1u << RANGE_BITS)) {
        if (e->low >> 32) {
            carry(e);
        }
        put_byte(e, (uint32_t)(e->low >> 24));
        e->low = (e->low << 8) & 0xFFFFFFFFu;
        e->range <<= 8;
    }
}

/* Ends with the number of the interval that has the fewest digits; the decoder
 * reads zeros behind the end. */
static size_t encoder_finish(struct encoder *e)
{
    for (int digits = 0; digits <= 4; digits++) {
        const uint64_t below = digits == 4 ? 0 : 0xFFFFFFFFu >> (8 * digits);
        const uint64_t number = (e->low + below) & ~below;
        if (number < e->low + e->range) {
            e->low = number;
            break;
        }
    }
    if (e->low >> 32) {
        carry(e);
    }
    for (int shift = 24; shift >= 0; shift -= 8) {
        if (e->low & (((uint64_t)1 << (shift + 8)) - 1)) {
            put_byte(e, (uint32_t)(e->low >> shift));
        }
    }
    while (e->nbytes > 0 && e->out[e->nbytes - 1] == 0) {
        e->nbytes--;
    }
    return e->overflow ? 0 : e->nbytes;
}

size_t lwfc_cabac_bound(const struct lwfc_block *block, int levels)
{
    /* A bin costs at most log2(65536 / 255) < 8.01 bits. */
    return lwfc_block_size(block) * (size_t)(levels - 1) * 9 / 8 + 16;
}

size_t lwfc_cabac_encode(const uint8_t *symbols, const struct lwfc_block *block, int levels,
                         uint8_t *out, size_t capacity)
{
    struct context contexts[MAX_CONTEXTS];
    contexts_init(contexts, levels - 1);
    struct encoder e = {0, 0xFFFFFFFFu, out, 0, capacity, 0};
    const size_t n = lwfc_block_size(block);
    for (size_t i = 0; i < n && !e.overflow; i++) {
        const int symbol = symbols[i];
        for (int k = 0; k < symbol; k++) {
            encode_bin(&e, &contexts[k], 1);
        }
        if (symbol < levels - 1) {
            encode_bin(&e, &contexts[symbol], 0);
        }
    }
    return encoder_finish(&e);
}

struct decoder {
    uint32_t code; /* the number read so far, less the interval's low end */
    uint32_t range;
    const uint8_t *in;
    size_t position, nbytes; /* position runs past nbytes over virtual zeros */
};

LWFC_INLINE uint32_t get_byte(struct decoder *d)
{
    const uint32_t byte = d->position < d->nbytes ? d->in[d->position] : 0;
    d->position++;
    return byte;
}

LWFC_INLINE int decode_bin(struct decoder *d, struct context *c)
{
    const uint32_t bound = (uint32_t)(((uint64_t)d->range * c->one) >> 16);
    const int bin = d->code < bound;
    if (bin) {
        d->range = bound;
    } else {
        d->code -= bound;
        d->range -= bound;
    }
    context_update(c, bin);
    while (d->range < (1u << RANGE_BITS)) {
        d->code = d->code << 8 | get_byte(d);
        d->range <<= 8;
    }
    return bin;
}

int lwfc_cabac_decode(const uint8_t *in, size_t nbytes, const struct lwfc_block *block, int levels,
                      uint8_t *symbols)
{
    if (nbytes > 0 && in[nbytes - 1] == 0) {
        return -1;
    }
    struct context contexts[MAX_CONTEXTS];
    contexts_init(contexts, levels - 1);
    struct decoder d = {0, 0xFFFFFFFFu, in, 0, nbytes};
    for (int i = 0; i < 4; i++) {
        d.code = d.code << 8 | get_byte(&d);
    }
    if (d.code >= d.range) {
        return -1; /* below from here on, whatever follows */
    }
    const size_t n = lwfc_block_size(block);
    for (size_t i = 0; i < n; i++) {
        int symbol = 0;
        while (symbol < levels - 1 && decode_bin(&d, &contexts[symbol])) {
            symbol++;
        }
        symbols[i] = (uint8_t)symbol;
    }
    return d.position >= nbytes ? 0 : -1;
}
