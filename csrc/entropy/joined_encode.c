#include "entropy/joined.h"

#include "base/bytes.h"
#include "cpu/cpu.h"
#include "entropy/joined_layout.h"
#include "entropy/joined_table.h"
#include "kernels/joined_kernels.h"

enum {
    SAMPLE_PIECES = 128, /* of a large block, for the estimate */
    SAMPLE_PIECE = 128   /* joined values each */
};

struct plan {
    enum lwfc_joined_layout layout;
    int k;
    uint64_t header; /* bits of the table */
    uint64_t bits;   /* of all but the states, estimated */
    uint16_t marginal[16];
    struct lwfc_joined_table table;
};

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

/* The counts of single symbols: takes off the lowest digit k times. */
static void count_symbols(const uint32_t *counts, int levels, int k, uint32_t *symbols)
{
    uint32_t rest[256];
    int values = lwfc_joined_power(levels, k);
    memcpy(rest, counts, (size_t)values * sizeof *rest);
    memset(symbols, 0, 16 * sizeof *symbols);
    while (values > 1) {
        values /= levels;
        for (int high = 0; high < values; high++) {
            uint32_t sum = 0;
            for (int low = 0; low < levels; low++) {
                const uint32_t n = rest[high * levels + low];
                symbols[low] += n;
                sum += n;
            }
            rest[high] = sum;
        }
    }
}

/* Chooses between the layouts for `total` values with s->counts. */
static void make_plan(struct lwfc_joined_scratch *s, int levels, int k, size_t total,
                      struct plan *plan)
{
    const int values = lwfc_joined_power(levels, k);
    struct lwfc_joined_bits b = {.out = s->header};
    plan->k = k;
    plan->layout = LWFC_JOINED_EXPLICIT;
    lwfc_joined_table_fit(s->counts, values, (uint32_t)total, &plan->table);
    lwfc_joined_table_write(&b, &plan->table);
    plan->header = 8 * (uint64_t)(lwfc_joined_bits_finish(&b) - s->header);
    plan->bits = plan->header + lwfc_joined_table_cost(&plan->table, s->counts);
    if (k == 1) {
        return;
    }
    uint32_t symbols[16];
    count_symbols(s->counts, levels, k, symbols);
    uint16_t marginal[16];
    struct lwfc_joined_table table;
    lwfc_joined_table_fit_marginal(symbols, levels, (uint32_t)total * (uint32_t)k, marginal);
    if (lwfc_joined_table_product(marginal, levels, k, &table)) {
        return;
    }
    const uint64_t cost = lwfc_joined_table_cost(&table, s->counts);
    b.out = s->header;
    lwfc_joined_marginal_write(&b, marginal, levels);
    const uint64_t header = 8 * (uint64_t)(lwfc_joined_bits_finish(&b) - s->header);
    if (cost < UINT64_MAX && header + cost < plan->bits) {
        plan->layout = LWFC_JOINED_PRODUCT;
        plan->header = header;
        plan->bits = header + cost;
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

/* Writes the planned stream of `count` joined values; 0: over capacity. */
static size_t write_stream(const struct lwfc_joined_kernels *kernels, struct lwfc_joined_scratch *s,
                           const struct plan *plan, int levels, size_t count, uint8_t *joined,
                           uint8_t *out, size_t capacity)
{
    uint8_t *const escaped = joined + count + LWFC_JOINED_SLACK;
    const size_t rare = mark_rare(&plan->table, s->counts, s->rare);
    const size_t escapes = rare > 0 ? kernels->collect(joined, count, s->rare, escaped) : 0;
    uint8_t *const end = escaped + escapes + 2 * LWFC_JOINED_SLACK + 2 * count;
    const int lanes = lwfc_joined_lanes(count);
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
    if (plan->layout == LWFC_JOINED_PRODUCT) {
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

size_t lwfc_joined_encode(const uint8_t *symbols, const struct lwfc_block *block, int levels,
                          uint8_t *out, size_t capacity, void *workspace)
{
    const struct lwfc_joined_kernels *const kernels = lwfc_joined_kernels_for(lwfc_cpu_features());
    const size_t size = lwfc_block_size(block);
    const int k_max = lwfc_joined_longest(levels);
    const size_t stored = lwfc_joined_count(size, k_max);
    struct lwfc_joined_scratch *const s = workspace;
    if (is_constant(symbols, size)) {
        if (capacity < 2) {
            return 0;
        }
        out[0] = LWFC_JOINED_CONSTANT;
        out[1] = symbols[0];
        return 2;
    }
    struct plan best = {.bits = UINT64_MAX};
    int k = k_max;
    for (; k >= 1; k = shorter(k)) {
        const size_t count = lwfc_joined_count(size, k);
        struct plan plan;
        join(kernels, symbols, size, levels, k, s->bytes);
        kernels->histogram(s->bytes, count, s->parts, s->counts);
        make_plan(s, levels, k, count, &plan);
        const int better = plan.bits < best.bits;
        if (better) {
            best = plan;
        }
        if (size > LWFC_JOINED_SMALL_BLOCK || k == 1 || !better) {
            break;
        }
    }
    const size_t limit = capacity < stored ? capacity : stored;
    if (best.bits < 8 * (uint64_t)stored) {
        const size_t count = lwfc_joined_count(size, best.k);
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
    out[0] = (uint8_t)(LWFC_JOINED_STORED | (k_max - 1) << 2);
    memcpy(out + 1, s->bytes, stored);
    return 1 + stored;
}

size_t lwfc_joined_estimate(const uint8_t *symbols, const struct lwfc_block *block, int levels,
                            void *workspace)
{
    const struct lwfc_joined_kernels *const kernels = lwfc_joined_kernels_for(lwfc_cpu_features());
    const size_t size = lwfc_block_size(block);
    const int k = lwfc_joined_longest(levels);
    const size_t total = lwfc_joined_count(size, k);
    struct lwfc_joined_scratch *const s = workspace;
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
    struct plan plan;
    make_plan(s, levels, k, count, &plan);
    const uint64_t bits = plan.header + (plan.bits - plan.header) * total / count +
                          27 * (uint64_t)lwfc_joined_lanes(total);
    return bits / 8 + 3 < total ? (size_t)(bits / 8) + 3 : 1 + total;
}
