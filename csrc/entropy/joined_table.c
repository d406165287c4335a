#include "entropy/joined_table.h"

#include "kernels/joined_kernels.h"

#include <string.h>

enum { TOTAL = LWFC_JOINED_SLOTS, RARE_SHIFT = 14 };

void lwfc_joined_bits_write(struct lwfc_joined_bits *b, uint32_t value, int count)
{
    b->hold |= (uint64_t)value << b->held;
    b->held += count;
    while (b->held >= 8) {
        *b->out++ = (uint8_t)b->hold;
        b->hold >>= 8;
        b->held -= 8;
    }
}

uint8_t *lwfc_joined_bits_finish(struct lwfc_joined_bits *b)
{
    if (b->held > 0) {
        *b->out++ = (uint8_t)b->hold;
    }
    b->hold = 0;
    b->held = 0;
    return b->out;
}

uint32_t lwfc_joined_bits_read(struct lwfc_joined_bits *b, int count)
{
    while (b->held < count) {
        if (b->in == b->end) {
            b->failed = 1;
            return 0;
        }
        b->hold |= (uint64_t)*b->in++ << b->held;
        b->held += 8;
    }
    const uint32_t value = (uint32_t)(b->hold & ((UINT64_C(1) << count) - 1));
    b->hold >>= count;
    b->held -= count;
    return value;
}

int lwfc_joined_bits_close(struct lwfc_joined_bits *b, const uint8_t **position)
{
    *position = b->in;
    return b->failed || b->hold != 0 || b->held >= 8 ? -1 : 0;
}

/* Of 1 <= v < 2^16. */
static int floor_log2(uint32_t v)
{
#if defined(__GNUC__) || defined(__clang__)
    return 31 - __builtin_clz(v);
#else
    int n = 0;
    for (int step = 8; step > 0; step >>= 1) {
        const int up = v >> step != 0 ? step : 0;
        v >>= up;
        n += up;
    }
    return n;
#endif
}

/* Elias gamma: n zeros, a one, then the n bits of v below its leading one. */
static void write_gamma(struct lwfc_joined_bits *b, uint32_t v)
{
    const int n = floor_log2(v);
    lwfc_joined_bits_write(b, UINT32_C(1) << n, n + 1);
    lwfc_joined_bits_write(b, v - (UINT32_C(1) << n), n);
}

/* 1..8191, or 0: inconsistent. */
static uint32_t read_gamma(struct lwfc_joined_bits *b)
{
    int n = 0;
    while (lwfc_joined_bits_read(b, 1) == 0) {
        if (++n > 12 || b->failed) {
            return 0;
        }
    }
    const uint32_t low = lwfc_joined_bits_read(b, n);
    return b->failed ? 0 : (UINT32_C(1) << n) + low;
}

/* A number f is gamma(f + 1); a run of zeros is gamma(1), gamma(length). What
 * follows after the sum has reached 4096 is zero and not written. */
static void write_numbers(struct lwfc_joined_bits *b, const uint16_t *numbers, int count)
{
    uint32_t sum = 0;
    int i = 0;
    while (sum < TOTAL && i < count) {
        write_gamma(b, numbers[i] + UINT32_C(1));
        sum += numbers[i];
        int run = 1;
        if (numbers[i] == 0) {
            while (numbers[i + run] == 0) { /* ends: the sum is not reached yet */
                run++;
            }
            write_gamma(b, (uint32_t)run);
        }
        i += run;
    }
}

static int read_numbers(struct lwfc_joined_bits *b, uint16_t *numbers, int count)
{
    memset(numbers, 0, (size_t)count * sizeof *numbers);
    uint32_t sum = 0;
    int i = 0;
    while (sum < TOTAL) {
        const uint32_t v = read_gamma(b);
        const uint32_t run = v == 1 ? read_gamma(b) : 1;
        if (v == 0 || run == 0 || run > (uint32_t)(count - i)) {
            return -1;
        }
        if (v > TOTAL) { /* a frequency of 4096 has no code */
            return -1;
        }
        numbers[i] = (uint16_t)(v - 1);
        sum += v - 1;
        i += (int)run;
        if (i == count && sum < TOTAL) {
            return -1;
        }
    }
    return sum == TOTAL ? 0 : -1;
}

/* Moves the sum to 4096 at the expense of the largest frequencies. */
static void settle(uint16_t *frequency, int count)
{
    int32_t excess = -TOTAL;
    for (int i = 0; i < count; i++) {
        excess += frequency[i];
    }
    while (excess != 0) {
        int top = 0;
        for (int i = 1; i < count; i++) {
            top = frequency[i] > frequency[top] ? i : top;
        }
        const int32_t half = frequency[top] >> 1;
        const int32_t take = excess < half ? excess : half;
        frequency[top] = (uint16_t)(frequency[top] - take);
        excess -= take;
    }
}

/* No frequency may be 4096: a value that has it all gives 1 to a neighbour. */
static void share(uint16_t *frequency, int count)
{
    for (int i = 0; i < count; i++) {
        if (frequency[i] == TOTAL) {
            frequency[i]--;
            frequency[i == 0 ? 1 : 0]++;
            return;
        }
    }
}

static uint16_t scaled(uint32_t part, uint32_t total)
{
    const uint64_t f = ((uint64_t)part * TOTAL + total / 2) / total;
    return (uint16_t)(f > 0 ? f : 1);
}

void lwfc_joined_table_fit(const uint32_t *counts, int values, uint32_t total,
                           struct lwfc_joined_table *table)
{
    uint32_t pooled = 0;
    int kinds = 0;
    int first_zero = -1;
    memset(table, 0, sizeof *table);
    table->values = values;
    for (int i = 0; i < values; i++) {
        const int is_rare = (uint64_t)counts[i] << RARE_SHIFT < total;
        if (is_rare) {
            first_zero = first_zero < 0 ? i : first_zero;
            pooled += counts[i];
            kinds += counts[i] > 0;
        } else {
            table->frequency[i] = scaled(counts[i], total);
        }
    }
    table->escape = kinds > 0 ? first_zero : -1;
    if (kinds > 0) {
        table->frequency[first_zero] = scaled(pooled, total);
    }
    settle(table->frequency, values);
    share(table->frequency, values);
}

void lwfc_joined_table_fit_marginal(const uint32_t *counts, int levels, uint32_t total,
                                    uint16_t *frequency)
{
    for (int i = 0; i < levels; i++) {
        frequency[i] = counts[i] > 0 ? scaled(counts[i], total) : 0;
    }
    settle(frequency, levels);
    share(frequency, levels);
}

int lwfc_joined_table_product(const uint16_t *marginal, int levels, int k,
                              struct lwfc_joined_table *table)
{
    uint32_t weight[256]; /* probability of a value, in units of 2^-32 */
    int values = levels;
    for (int i = 0; i < levels; i++) {
        weight[i] = (uint32_t)marginal[i] << (32 - LWFC_JOINED_BITS);
    }
    for (int digit = 1; digit < k; digit++) {
        for (int high = levels - 1; high >= 0; high--) {
            for (int low = 0; low < values; low++) {
                weight[high * values + low] =
                    (uint32_t)(((uint64_t)weight[low] * marginal[high]) >> LWFC_JOINED_BITS);
            }
        }
        values *= levels;
    }
    uint64_t pooled = 0;
    int first_zero = -1;
    memset(table, 0, sizeof *table);
    table->values = values;
    for (int i = 0; i < values; i++) {
        if (weight[i] < UINT32_C(1) << (32 - RARE_SHIFT)) {
            first_zero = first_zero < 0 ? i : first_zero;
            pooled += weight[i];
        } else {
            const uint32_t f = (uint32_t)(((uint64_t)weight[i] + (1 << 19)) >> 20);
            table->frequency[i] = (uint16_t)(f > 0 ? f : 1);
        }
    }
    table->escape = pooled > 0 ? first_zero : -1;
    if (pooled > 0) {
        const uint64_t f = (pooled + (1 << 19)) >> 20;
        table->frequency[first_zero] = (uint16_t)(f > 0 ? f : 1);
    }
    settle(table->frequency, values);
    for (int i = 0; i < values; i++) {
        if (table->frequency[i] == TOTAL) {
            return -1;
        }
    }
    return 0;
}

void lwfc_joined_table_write(struct lwfc_joined_bits *b, const struct lwfc_joined_table *table)
{
    uint16_t numbers[257];
    memcpy(numbers + 1, table->frequency, (size_t)table->values * sizeof *numbers);
    numbers[0] = 0;
    if (table->escape >= 0) {
        numbers[0] = table->frequency[table->escape];
        numbers[1 + table->escape] = 0;
    }
    write_numbers(b, numbers, table->values + 1);
}

int lwfc_joined_table_read(struct lwfc_joined_bits *b, int values, struct lwfc_joined_table *table)
{
    uint16_t numbers[257];
    memset(table, 0, sizeof *table);
    if (read_numbers(b, numbers, values + 1)) {
        return -1;
    }
    memcpy(table->frequency, numbers + 1, (size_t)values * sizeof *numbers);
    table->values = values;
    table->escape = -1;
    for (int i = 0; i < values && numbers[0] > 0 && table->escape < 0; i++) {
        if (table->frequency[i] == 0) {
            table->escape = i;
            table->frequency[i] = numbers[0];
        }
    }
    return numbers[0] > 0 && table->escape < 0 ? -1 : 0;
}

void lwfc_joined_marginal_write(struct lwfc_joined_bits *b, const uint16_t *marginal, int levels)
{
    write_numbers(b, marginal, levels);
}

int lwfc_joined_marginal_read(struct lwfc_joined_bits *b, uint16_t *marginal, int levels)
{
    return read_numbers(b, marginal, levels);
}

/* log2(v) in 1/256 bits for v < 4096; log2(1 + x) is about x + 0.344 x (1 - x). */
static uint32_t log2_fixed(uint32_t v)
{
    const int n = floor_log2(v);
    const uint32_t x = ((v << 12) >> n) - 4096;
    return (uint32_t)n * 256 + ((x + ((x * (4096 - x)) >> 12) * 88 / 256) >> 4);
}

uint64_t lwfc_joined_table_cost(const struct lwfc_joined_table *table, const uint32_t *counts)
{
    const int escaping = table->escape >= 0;
    const uint32_t rare = escaping
        ? (LWFC_JOINED_BITS + 8) * 256 - log2_fixed(table->frequency[table->escape]) : 0;
    uint64_t cost = 0;
    uint32_t lost = 0;
    for (int i = 0; i < table->values; i++) {
        const uint32_t f = table->frequency[i];
        const int direct = f > 0 && i != table->escape;
        const uint32_t bits = LWFC_JOINED_BITS * 256 - log2_fixed(f > 0 ? f : 1);
        lost |= direct || escaping ? 0 : counts[i];
        cost += (uint64_t)counts[i] * (direct ? bits : rare);
    }
    return lost ? UINT64_MAX : cost >> 8;
}
