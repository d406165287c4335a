#include "entropy/joined.h"

#include "base/bytes.h"
#include "cpu/cpu.h"
#include "entropy/joined_layout.h"
#include "entropy/joined_table.h"
#include "kernels/joined_kernels.h"

size_t lwfc_joined_bound(const struct lwfc_block *block, int levels)
{
    return 2 + lwfc_joined_count(lwfc_block_size(block), lwfc_joined_longest(levels));
}

size_t lwfc_joined_workspace(const struct lwfc_block *block, int levels)
{
    /* Joined values, escapes and words: at most 4 bytes a value. */
    const size_t size = lwfc_block_size(block);
    const int k = size <= LWFC_JOINED_SMALL_BLOCK ? 1 : lwfc_joined_longest(levels);
    return sizeof(struct lwfc_joined_scratch) + 4 * lwfc_joined_count(size, k) +
           8 * LWFC_JOINED_SLACK;
}

/* A state is four bits of length, less 16, and the bits below its leading one. */
static int read_states(struct lwfc_joined_bits *b, int lanes, uint32_t *states)
{
    for (int lane = 0; lane < lanes; lane++) {
        const int length = 15 + (int)lwfc_joined_bits_read(b, 4);
        if (length > 30) {
            return -1;
        }
        states[lane] = (UINT32_C(1) << length) + lwfc_joined_bits_read(b, length);
    }
    return 0;
}

struct reader {
    const struct lwfc_joined_kernels *kernels;
    struct lwfc_joined_scratch *s;
    const uint8_t *position;
    const uint8_t *end;
    const uint8_t *escaped; /* the next escaped value */
    const uint8_t *escaped_end;
    int escape;
    int lanes;
    int in_tail; /* position is in s->tail, with enough bytes behind its end */
};

/* Decodes rows of r->lanes values (or one of `lanes`) to joined. */
static int read_rows(struct reader *r, size_t rows, int lanes, uint8_t *joined)
{
    const struct lwfc_joined_kernels *const kernels =
        lanes == r->lanes ? r->kernels : &lwfc_joined_scalar;
    size_t left = rows;
    if (!r->in_tail && r->end - r->position >= LWFC_JOINED_AHEAD) {
        const uint8_t *const limit = r->end - LWFC_JOINED_AHEAD;
        r->position = kernels->decode(r->s->states, r->s->table, r->position, limit, &left, lanes,
                                      joined);
    }
    if (left > 0) {
        if (!r->in_tail) {
            const size_t rest = (size_t)(r->end - r->position);
            memset(r->s->tail, 0, sizeof r->s->tail);
            if (rest > 0) {
                memcpy(r->s->tail, r->position, rest);
            }
            r->position = r->s->tail;
            r->end = r->s->tail + rest;
            r->in_tail = 1;
        }
        joined += (rows - left) * (size_t)lanes;
        r->position = kernels->decode(r->s->states, r->s->table, r->position, r->end, &left,
                                      lanes, joined);
    }
    return left > 0 ? -1 : 0;
}

static int replace_escapes(struct reader *r, uint8_t *joined, size_t count)
{
    uint8_t *p = joined;
    uint8_t *const end = joined + count;
    while ((p = memchr(p, r->escape, (size_t)(end - p))) != NULL) {
        if (r->escaped == r->escaped_end) {
            return -1;
        }
        *p++ = *r->escaped++;
    }
    return 0;
}

/* Splits `count` values into `size` symbols; symbols beyond must be 0. */
static int split(const struct lwfc_joined_kernels *kernels, const uint8_t *joined, size_t size,
                 int levels, int k, const uint8_t *digits, uint8_t *symbols)
{
    const size_t whole = size / (size_t)k;
    const int last = (int)(size - whole * (size_t)k);
    kernels->unpack(joined, whole, levels, k, digits, symbols);
    if (last == 0) {
        return 0;
    }
    const uint8_t *const d = digits + 8 * (size_t)joined[whole];
    int beyond = 0;
    for (int i = 0; i < k; i++) {
        if (i < last) {
            symbols[whole * (size_t)k + (size_t)i] = d[i];
        } else {
            beyond |= d[i];
        }
    }
    return beyond ? -1 : 0;
}

static int all_below(const uint8_t *bytes, size_t count, int values)
{
    uint8_t top = 0;
    for (size_t i = 0; i < count; i++) {
        top = bytes[i] > top ? bytes[i] : top;
    }
    return top < values;
}

/* Reads everything before the words; fills the slots and states. */
static int read_header(struct reader *r, enum lwfc_joined_layout layout, int levels, int k,
                       size_t count)
{
    struct lwfc_joined_table table;
    struct lwfc_joined_bits b = {.in = r->position, .end = r->end};
    const int values = lwfc_joined_power(levels, k);
    if (layout == LWFC_JOINED_PRODUCT) {
        uint16_t marginal[16];
        if (k == 1 || lwfc_joined_marginal_read(&b, marginal, levels) ||
            lwfc_joined_table_product(marginal, levels, k, &table)) {
            return -1;
        }
    } else if (lwfc_joined_table_read(&b, values, &table)) {
        return -1;
    }
    if (lwfc_joined_bits_close(&b, &r->position)) {
        return -1;
    }
    size_t escapes = 0;
    for (int shift = 0; table.escape >= 0; shift += 7) {
        if (r->position == r->end || shift > 28) {
            return -1;
        }
        const uint8_t byte = *r->position++;
        escapes |= (size_t)(byte & 127) << shift;
        if (byte < 128) {
            break;
        }
    }
    if (escapes > count || escapes > (size_t)(r->end - r->position) ||
        !all_below(r->position, escapes, values)) {
        return -1;
    }
    r->escape = table.escape;
    r->escaped = r->position;
    r->escaped_end = r->position + escapes;
    r->lanes = lwfc_joined_lanes(count);
    b = (struct lwfc_joined_bits){.in = r->escaped_end, .end = r->end};
    if (read_states(&b, r->lanes, r->s->states) || lwfc_joined_bits_close(&b, &r->position)) {
        return -1;
    }
    uint32_t *slot = r->s->table;
    for (int v = 0; v < values; v++) {
        const uint32_t f = table.frequency[v];
        for (uint32_t i = 0; i < f; i++) {
            *slot++ = f | i << 12 | (uint32_t)v << 24;
        }
    }
    return (r->end - r->position) % 2 != 0 ? -1 : 0;
}

/* Fetches cache lines to be written while the lanes decode what goes there;
 * the short bursts of stores otherwise wait for memory. */
static void expect(const uint8_t *symbols, size_t count)
{
#if defined(__GNUC__) || defined(__clang__)
    for (size_t i = 0; i < count; i += 64) {
        __builtin_prefetch(symbols + i, 0, 2);
    }
#else
    (void)symbols;
    (void)count;
#endif
}

static int read_stream(struct reader *r, size_t size, int levels, int k, uint8_t *symbols)
{
    const size_t count = lwfc_joined_count(size, k);
    size_t done = 0;
    while (done < count) {
        uint8_t *const joined = r->s->chunk;
        size_t now = count - done < LWFC_JOINED_CHUNK ? count - done : LWFC_JOINED_CHUNK;
        const size_t rows = now / (size_t)r->lanes;
        const int last = (int)(now - rows * (size_t)r->lanes);
        expect(symbols + done * (size_t)k, now * (size_t)k);
        if (read_rows(r, rows, r->lanes, joined) ||
            (last > 0 && read_rows(r, 1, last, joined + rows * (size_t)r->lanes)) ||
            (r->escape >= 0 && replace_escapes(r, joined, now))) {
            return -1;
        }
        const size_t first = done * (size_t)k;
        const size_t part = size - first < now * (size_t)k ? size - first : now * (size_t)k;
        if (split(r->kernels, joined, part, levels, k, r->s->digits, symbols + first)) {
            return -1;
        }
        done += now;
    }
    for (int lane = 0; lane < r->lanes; lane++) {
        if (r->s->states[lane] != LWFC_JOINED_STATE) {
            return -1;
        }
    }
    return r->position == r->end && r->escaped == r->escaped_end ? 0 : -1;
}

int lwfc_joined_decode(const uint8_t *in, size_t nbytes, const struct lwfc_block *block,
                       int levels, uint8_t *symbols, void *workspace)
{
    const struct lwfc_joined_kernels *const kernels = lwfc_joined_kernels_for(lwfc_cpu_features());
    const size_t size = lwfc_block_size(block);
    if (nbytes < 2) {
        return -1;
    }
    const enum lwfc_joined_layout layout = (enum lwfc_joined_layout)(in[0] & 3);
    const int k = (in[0] >> 2) + 1;
    if (layout == LWFC_JOINED_CONSTANT) {
        if (nbytes != 2 || k != 1 || in[1] >= levels) {
            return -1;
        }
        memset(symbols, in[1], size);
        return 0;
    }
    if (k > lwfc_joined_longest(levels)) {
        return -1;
    }
    struct lwfc_joined_scratch *const s = workspace;
    const size_t count = lwfc_joined_count(size, k);
    lwfc_joined_digits(levels, k, s->digits);
    if (layout == LWFC_JOINED_STORED) {
        if (nbytes - 1 != count || !all_below(in + 1, count, lwfc_joined_power(levels, k))) {
            return -1;
        }
        return split(kernels, in + 1, size, levels, k, s->digits, symbols);
    }
    struct reader reader = {
        .kernels = kernels, .s = s, .position = in + 1, .end = in + nbytes
    };
    if (read_header(&reader, layout, levels, k, count)) {
        return -1;
    }
    return read_stream(&reader, size, levels, k, symbols);
}
