/* Frequency tables of the joined coder: from counts to 12-bit frequencies,
 * their compact coding, and what they cost. Integers only.
 *
 * A table gives each joined value a frequency; the frequencies sum to 4096.
 * Values with frequency 0 that still occur are escaped: the rANS stream holds
 * `escape` (itself such a value) in their place, and a list of bytes their
 * values. */
#ifndef LWFC_ENTROPY_JOINED_TABLE_H
#define LWFC_ENTROPY_JOINED_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct lwfc_joined_table {
    uint16_t frequency[256]; /* each at most 4095; that of `escape` included */
    int values;              /* joined values there are: levels^k */
    int escape;              /* or -1: no value is escaped */
};

/* Bits in little-endian order: the first one is bit 0 of byte 0. */
struct lwfc_joined_bits {
    uint8_t *out;      /* writer */
    const uint8_t *in; /* reader */
    const uint8_t *end;
    uint64_t hold;
    int held;
    int failed; /* the reader has run out of bytes */
};

void lwfc_joined_bits_write(struct lwfc_joined_bits *b, uint32_t value, int count);
/* Pads with zero bits to a byte and returns the end. */
uint8_t *lwfc_joined_bits_finish(struct lwfc_joined_bits *b);
/* count <= 31; 0 when the bytes are used up, and `failed` is set. */
uint32_t lwfc_joined_bits_read(struct lwfc_joined_bits *b, int count);
/* Drops the rest of the current byte (-1 unless zero); *position is the next. */
int lwfc_joined_bits_close(struct lwfc_joined_bits *b, const uint8_t **position);

/* The frequencies of `values` counts that sum to total >= 1, pooling rare
 * values in an escape. */
void lwfc_joined_table_fit(const uint32_t *counts, int values, uint32_t total,
                           struct lwfc_joined_table *table);
/* Like fit, but without an escape: the marginal of single symbols. */
void lwfc_joined_table_fit_marginal(const uint32_t *counts, int levels, uint32_t total,
                                    uint16_t *frequency);
/* The table of k independent symbols. 0, or -1: one value has it all. */
int lwfc_joined_table_product(const uint16_t *marginal, int levels, int k,
                              struct lwfc_joined_table *table);

/* Codes numbers that sum to 4096 (the frequencies of a table as
 * escape's, then those of values 0, 1, ... without it, or a marginal). */
void lwfc_joined_table_write(struct lwfc_joined_bits *b, const struct lwfc_joined_table *table);
int lwfc_joined_table_read(struct lwfc_joined_bits *b, int values, struct lwfc_joined_table *table);
void lwfc_joined_marginal_write(struct lwfc_joined_bits *b, const uint16_t *marginal, int levels);
int lwfc_joined_marginal_read(struct lwfc_joined_bits *b, uint16_t *marginal, int levels);

/* About the bits of coding `counts` with the table, escapes included;
 * UINT64_MAX when it cannot code them. */
uint64_t lwfc_joined_table_cost(const struct lwfc_joined_table *table, const uint32_t *counts);

#endif
