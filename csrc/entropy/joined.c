#include "entropy/joined.h"

#include "base/attributes.h"
#include "base/bytes.h"
#include "cpu/cpu.h"
#include "entropy/joined_table.h"
#include "kernels/joined.h"

/* The first byte of a stream is layout | (k - 1) << 2. */
enum layout { STORED, CONSTANT, PRODUCT, EXPLICIT };

enum {
    LANES = LWFC_JOINED_LANES,
    AHEAD = LWFC_JOINED_AHEAD,
    SLACK = 64,
    CHUNK = 2048,            /* joined values decoded at a time, a multiple of LANES */
    SMALL_BLOCK = 1 << 16,   /* up to here the encoder tries several k */
    SAMPLE_PIECES = 16,      /* of a large block, for the estimate */
    SAMPLE_PIECE = 1 << 11,  /* joined values each */
    HEADER_MOST = 1024       /* bytes of layout, table, escape count and states */
};

struct scratch {
    uint32_t table[LWFC_JOINED_SLOTS];
    struct lwfc_joined_record records[256];
    uint32_t counts[256];
    uint32_t parts[4 * 256];
    uint32_t states[LANES];
    uint8_t digits[256 * 8];
    uint8_t rare[256];
    uint8_t chunk[CHUNK + SLACK];
    uint8_t tail[2 * AHEAD + SLACK];
    uint8_t header[HEADER_MOST];
    uint8_t bytes[]; /* encode: joined values, escaped values, words */
};

struct plan {
    enum layout layout;
    int k;
    uint64_t bits; /* estimated, without the constant parts */
    uint16_t marginal[16];
    struct lwfc_joined_table table;
};

static size_t divide_up(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

static int power(int levels, int k)
{
    int p = 1;
    while (k-- > 0) {
        p *= levels;
    }
    return p;
}

/* The most symbols that fit a byte. */
static int longest(int levels)
{
    int k = 1;
    for (int p = levels * levels; p <= 256; p *= levels) {
        k++;
    }
    return k;
}

/* A lane costs about 19 bits more than it holds: one per 8 kbit or so. */
static int lanes_of(size_t count)
{
    return count < 2048 ? 1 : count < 4096 ? 4 : count < 16384 ? 8 : LANES;
}

/* digits[value * 8 + i] is digit i of a value, 0 where there is none. */
static void make_digits(int levels, int k, uint8_t *digits)
{
    memset(digits, 0, 256 * 8);
    const int values = power(levels, k);
    for (int v = 1; v < values; v++) {
        uint8_t *const d = digits + 8 * v;
        memcpy(d, d - 8, 8);
        int i = 0;
        while (++d[i] == levels && k > 1) {
            d[i++] = 0;
        }
    }
}

/* count symbols to ceil(count / k) values; missing symbols are 0. */
static void join(const struct lwfc_joined_kernels *kernels, const uint8_t *symbols, size_t count,
                 int levels, int k, uint8_t *joined)
{
    const size_t whole = count / (size_t)k;
    kernels->pack(symbols, whole, levels, k, joined);
    int value = 0;
    for (size_t i = count; i-- > whole * (size_t)k;) {
        value = value * levels + symbols[i];
    }
    joined[whole] = (uint8_t)value;
}

/* Chooses between the layouts for `total` values with s->counts; s->digits
 * belong to k. */
static void make_plan(struct scratch *s, int levels, int k, size_t total, struct plan *plan)
{
    const int values = power(levels, k);
    struct lwfc_joined_bits b = {.out = s->header};
    plan->k = k;
    plan->layout = EXPLICIT;
    lwfc_joined_table_fit(s->counts, values, (uint32_t)total, &plan->table);
    lwfc_joined_table_write(&b, &plan->table);
    plan->bits = lwfc_joined_table_cost(&plan->table, s->counts) +
                 8 * (uint64_t)(lwfc_joined_bits_finish(&b) - s->header);
    if (k == 1) {
        return;
    }
    uint32_t symbols[16] = {0};
    for (int v = 0; v < values; v++) {
        for (int i = 0; i < k; i++) {
            symbols[s->digits[8 * v + i]] += s->counts[v];
        }
    }
    uint16_t marginal[16];
    struct lwfc_joined_table table;
    lwfc_joined_table_fit_marginal(symbols, levels, (uint32_t)total * (uint32_t)k, marginal);
    if (lwfc_joined_table_product(marginal, levels, k, &table)) {
        return;
    }
    const uint64_t cost = lwfc_joined_table_cost(&table, s->counts);
    b.out = s->header;
    lwfc_joined_marginal_write(&b, marginal, levels);
    const uint64_t bits = cost + 8 * (uint64_t)(lwfc_joined_bits_finish(&b) - s->header);
    if (cost < UINT64_MAX && bits < plan->bits) {
        plan->layout = PRODUCT;
        plan->bits = bits;
        plan->table = table;
        memcpy(plan->marginal, marginal, sizeof marginal);
    }
}

static void make_records(const struct lwfc_joined_table *table, struct lwfc_joined_record *records)
{
    uint32_t start = 0;
    for (int v = 0; v < table->values; v++) {
        const uint32_t f = table->frequency[v];
        if (f == 0) {
            continue;
        }
        uint32_t shift = 0;
        while (UINT32_C(1) << shift < f) {
            shift++;
        }
        if (f == 1) {
            /* The quotient comes out one too small; the bias makes up for it. */
            records[v].reciprocal = UINT32_MAX;
            records[v].bits = f | (start + LWFC_JOINED_SLOTS - 1) << 12;
        } else {
            records[v].reciprocal = (uint32_t)(((UINT64_C(1) << (shift + 31)) + f - 1) / f);
            records[v].bits = f | start << 12 | (shift - 1) << 25;
        }
        start += f;
    }
    for (int v = 0; v < table->values && table->escape >= 0; v++) {
        if (table->frequency[v] == 0) {
            records[v] = records[table->escape];
        }
    }
}

static size_t mark_rare(const struct lwfc_joined_table *table, const uint32_t *counts,
                        uint8_t *rare)
{
    size_t found = 0;
    memset(rare, 0, 256);
    for (int v = 0; v < table->values && table->escape >= 0; v++) {
        if (table->frequency[v] == 0 || v == table->escape) {
            rare[v] = 1;
            found += counts[v];
        }
    }
    return found;
}

static uint8_t *write_varint(uint8_t *out, size_t v)
{
    while (v >= 128) {
        *out++ = (uint8_t)(v | 128);
        v >>= 7;
    }
    *out++ = (uint8_t)v;
    return out;
}

/* A state is four bits of length, less 16, and the bits below its leading one. */
static uint8_t *write_states(const uint32_t *states, int lanes, uint8_t *out)
{
    struct lwfc_joined_bits b = {.out = out};
    for (int lane = 0; lane < lanes; lane++) {
        int length = 15;
        while (states[lane] >> (length + 1) != 0) {
            length++;
        }
        lwfc_joined_bits_write(&b, (uint32_t)length - 15, 4);
        lwfc_joined_bits_write(&b, states[lane] - (UINT32_C(1) << length), length);
    }
    return lwfc_joined_bits_finish(&b);
}

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

/* Writes the planned stream of `count` joined values; 0: over capacity. */
static size_t write_stream(const struct lwfc_joined_kernels *kernels, struct scratch *s,
                           const struct plan *plan, int levels, size_t count, uint8_t *joined,
                           uint8_t *out, size_t capacity)
{
    uint8_t *const escaped = joined + count + SLACK;
    const size_t rare = mark_rare(&plan->table, s->counts, s->rare);
    const size_t escapes = rare > 0 ? kernels->collect(joined, count, s->rare, escaped) : 0;
    uint8_t *const end = escaped + escapes + 2 * SLACK + 2 * count;
    const int lanes = lanes_of(count);
    const size_t rows = count / (size_t)lanes;
    const int last = (int)(count - rows * (size_t)lanes);
    make_records(&plan->table, s->records);
    for (int lane = 0; lane < lanes; lane++) {
        s->states[lane] = LWFC_JOINED_STATE;
    }
    uint8_t *words = end;
    if (last > 0) {
        words = lwfc_joined_scalar.encode(s->states, s->records, joined + rows * (size_t)lanes, 1,
                                          last, end);
    }
    words = kernels->encode(s->states, s->records, joined, rows, lanes, words);

    uint8_t *h = s->header;
    *h++ = (uint8_t)(plan->layout | (plan->k - 1) << 2);
    struct lwfc_joined_bits b = {.out = h};
    if (plan->layout == PRODUCT) {
        lwfc_joined_marginal_write(&b, plan->marginal, levels);
    } else {
        lwfc_joined_table_write(&b, &plan->table);
    }
    h = lwfc_joined_bits_finish(&b);
    if (plan->table.escape >= 0) {
        h = write_varint(h, escapes);
    }
    const size_t head = (size_t)(h - s->header);
    const size_t states = (size_t)(write_states(s->states, lanes, h) - h);
    const size_t body = (size_t)(end - words);
    if (head + escapes + states + body > capacity) {
        return 0;
    }
    memcpy(out, s->header, head);
    memcpy(out + head, escaped, escapes);
    memcpy(out + head + escapes, h, states);
    memcpy(out + head + escapes + states, words, body);
    return head + escapes + states + body;
}

static int is_constant(const uint8_t *symbols, size_t count)
{
    return memcmp(symbols, symbols + 1, count - 1) == 0;
}

/* The next smaller k worth trying on a small block. */
static int shorter(int k)
{
    return k == 5 ? 3 : k / 2;
}

size_t lwfc_joined_bound(const struct lwfc_block *block, int levels)
{
    return 2 + divide_up(lwfc_block_size(block), (size_t)longest(levels));
}

size_t lwfc_joined_workspace(const struct lwfc_block *block, int levels)
{
    /* Joined values, escapes and words: at most 4 bytes a value. */
    const size_t size = lwfc_block_size(block);
    const size_t k = size <= SMALL_BLOCK ? 1 : (size_t)longest(levels);
    return sizeof(struct scratch) + 4 * divide_up(size, k) + 8 * SLACK;
}

size_t lwfc_joined_encode(const uint8_t *symbols, const struct lwfc_block *block, int levels,
                          uint8_t *out, size_t capacity, void *workspace)
{
    const struct lwfc_joined_kernels *const kernels = lwfc_joined_kernels_for(lwfc_cpu_features());
    const size_t size = lwfc_block_size(block);
    const int k_max = longest(levels);
    const size_t stored = divide_up(size, (size_t)k_max);
    struct scratch *const s = workspace;
    if (is_constant(symbols, size)) {
        if (capacity < 2) {
            return 0;
        }
        out[0] = CONSTANT;
        out[1] = symbols[0];
        return 2;
    }
    struct plan best = {.bits = UINT64_MAX};
    int k = k_max;
    for (; k >= 1; k = shorter(k)) {
        const size_t count = divide_up(size, (size_t)k);
        struct plan plan;
        join(kernels, symbols, size, levels, k, s->bytes);
        kernels->histogram(s->bytes, count, s->parts, s->counts);
        make_digits(levels, k, s->digits);
        make_plan(s, levels, k, count, &plan);
        if (plan.bits < best.bits) {
            best = plan;
        }
        if (size > SMALL_BLOCK || k == 1) {
            break;
        }
    }
    const size_t limit = capacity < stored ? capacity : stored;
    if (best.bits < 8 * (uint64_t)stored) {
        const size_t count = divide_up(size, (size_t)best.k);
        if (best.k != k) {
            join(kernels, symbols, size, levels, best.k, s->bytes);
            kernels->histogram(s->bytes, count, s->parts, s->counts);
        }
        const size_t written = write_stream(kernels, s, &best, levels, count, s->bytes, out, limit);
        if (written > 0) {
            return written;
        }
    }
    if (capacity < 1 + stored) {
        return 0;
    }
    join(kernels, symbols, size, levels, k_max, s->bytes);
    out[0] = (uint8_t)(STORED | (k_max - 1) << 2);
    memcpy(out + 1, s->bytes, stored);
    return 1 + stored;
}

struct reader {
    const struct lwfc_joined_kernels *kernels;
    struct scratch *s;
    const uint8_t *position;
    const uint8_t *end;
    const uint8_t *escaped; /* the next escaped value */
    const uint8_t *escaped_end;
    int escape;
    int lanes;
    int in_tail; /* position is in s->tail, which has AHEAD bytes behind its end */
};

/* Decodes rows of r->lanes values (or one of `lanes`) to joined. */
static int read_rows(struct reader *r, size_t rows, int lanes, uint8_t *joined)
{
    const struct lwfc_joined_kernels *const kernels =
        lanes == r->lanes ? r->kernels : &lwfc_joined_scalar;
    size_t left = rows;
    if (!r->in_tail && r->end - r->position >= AHEAD) {
        r->position = kernels->decode(r->s->states, r->s->table, r->position, r->end - AHEAD,
                                      &left, lanes, joined);
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
static int read_header(struct reader *r, enum layout layout, int levels, int k, size_t count)
{
    struct lwfc_joined_table table;
    struct lwfc_joined_bits b = {.in = r->position, .end = r->end};
    const int values = power(levels, k);
    if (layout == PRODUCT) {
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
    r->lanes = lanes_of(count);
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

static int read_stream(struct reader *r, size_t size, int levels, int k, uint8_t *symbols)
{
    const size_t count = divide_up(size, (size_t)k);
    size_t done = 0;
    while (done < count) {
        uint8_t *const joined = r->s->chunk;
        size_t now = count - done < CHUNK ? count - done : CHUNK;
        const size_t rows = now / (size_t)r->lanes;
        const int last = (int)(now - rows * (size_t)r->lanes);
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
    const enum layout layout = (enum layout)(in[0] & 3);
    const int k = (in[0] >> 2) + 1;
    if (layout == CONSTANT) {
        if (nbytes != 2 || k != 1 || in[1] >= levels) {
            return -1;
        }
        memset(symbols, in[1], size);
        return 0;
    }
    if (k > longest(levels)) {
        return -1;
    }
    struct scratch *const s = workspace;
    const size_t count = divide_up(size, (size_t)k);
    make_digits(levels, k, s->digits);
    if (layout == STORED) {
        if (nbytes - 1 != count || !all_below(in + 1, count, power(levels, k))) {
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

size_t lwfc_joined_estimate(const uint8_t *symbols, const struct lwfc_block *block, int levels,
                            void *workspace)
{
    const struct lwfc_joined_kernels *const kernels = lwfc_joined_kernels_for(lwfc_cpu_features());
    const size_t size = lwfc_block_size(block);
    const int k = longest(levels);
    const size_t total = divide_up(size, (size_t)k);
    struct scratch *const s = workspace;
    size_t count = 0;
    if (total <= 2 * SAMPLE_PIECES * SAMPLE_PIECE) {
        count = total;
        join(kernels, symbols, size, levels, k, s->bytes);
    } else {
        const size_t step = (total - SAMPLE_PIECE) / (SAMPLE_PIECES - 1);
        for (size_t i = 0; i < SAMPLE_PIECES; i++) {
            kernels->pack(symbols + i * step * (size_t)k, SAMPLE_PIECE, levels, k,
                          s->bytes + i * SAMPLE_PIECE);
        }
        count = SAMPLE_PIECES * SAMPLE_PIECE;
    }
    kernels->histogram(s->bytes, count, s->parts, s->counts);
    make_digits(levels, k, s->digits);
    struct plan plan;
    make_plan(s, levels, k, count, &plan);
    const uint64_t scaled = plan.bits / 8 * total / count + 3 + 3 * (uint64_t)lanes_of(total);
    return scaled < total ? (size_t)scaled : 1 + total;
}
