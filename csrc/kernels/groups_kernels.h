/* Kernels of the group coder: static rANS over sparse symbols, in rows of 16.
 *
 * A block is `groups` groups of up to 16 symbols. First come the groups' flags,
 * 16 a row, then each group that is not silent, a row of its own; behind a row
 * its escapes. Element j of row r is coded by the state (16 r + j) % lanes.
 * groups_kernels.c is the definition; every variant gives the same symbols.
 * States lie in [2^16, 2^32), words have 16 bits, probabilities 12 bits. */
#ifndef LWFC_KERNELS_GROUPS_KERNELS_H
#define LWFC_KERNELS_GROUPS_KERNELS_H

#include "base/attributes.h"
#include "base/bytes.h"

enum {
    LWFC_GROUP = 16, /* symbols of a group, and elements of a row */
    LWFC_GROUPS_BITS = 12,
    LWFC_GROUPS_SLOTS = 1 << LWFC_GROUPS_BITS,
    LWFC_GROUPS_STATE = 1 << 16, /* lowest state */
    LWFC_GROUPS_LANES = 64,      /* the most lanes */
    LWFC_GROUPS_TOP = 63,        /* the largest symbol that a table holds */
    LWFC_GROUPS_ESCAPE = 2 * LWFC_GROUPS_TOP + 1,
    /* Bytes that a row reads at most: a word for each element and three for each
     * escape, and a vector. */
    LWFC_GROUPS_AHEAD = 2 * LWFC_GROUP * 4 + 64
};

struct lwfc_groups_tables {
    uint32_t groups;        /* of a block */
    const uint32_t *silent; /* a group's slots of "all zero"; 4096 behind the last, to whole rows */
    const uint32_t *first;  /* [groups][16]: where in `slots` a symbol's table begins */
    const uint32_t *slots;  /* frequency | offset << 13 | (symbol + LWFC_GROUPS_TOP) << 25 */
    const uint16_t *zeros;  /* [groups][16]: a table's slots of 0, its first */
    const uint8_t *tops;    /* [groups][16]: the largest symbol of a table */
    const uint8_t *counts;  /* a group's symbols, 1 .. 16; tables of the others say nothing */
    const uint16_t *limits; /* a group's largest magnitude */
    const uint16_t *lines;  /* the line that a group belongs to, never falling */
    const uint16_t *columns; /* where in its line a group begins */
};

/* How rows are encoded: x / frequency is x * reciprocal >> 31 + shift, or one more;
 * bits are frequency | start << 12 | shift << 24. */
struct lwfc_groups_step {
    uint32_t reciprocal, bits;
};

/* Steps begin for class c at symbol -LWFC_GROUPS_TOP, and at first[] / 32 of the tables. */
struct lwfc_groups_steps {
    const struct lwfc_groups_step *symbols; /* [class, and one that is not there][128] */
    const uint32_t *flags[2][2]; /* [silent, loud][reciprocals, bits], of groups to whole rows */
};

/* The symbols of a block that are not 0, line by line. */
struct lwfc_groups_list {
    uint32_t *entries; /* column << 16 | symbol & 0xFFFF; room for all and 16 more */
    uint32_t *starts;  /* line i has the entries from starts[i] to starts[i + 1] */
    uint16_t *lines;   /* their numbers, rising */
    uint32_t count;    /* lines */
    uint16_t *flags;   /* work memory: one for each row of flags */
};

struct lwfc_groups_reader {
    uint32_t states[LWFC_GROUPS_LANES];
    const uint8_t *position, *limit, *end;
    int lanes;    /* 1, 4, 16 or 64 */
    int in_tail;  /* position is in `tail` */
    uint32_t row; /* rows so far */
    uint8_t tail[2 * LWFC_GROUPS_AHEAD];
};

struct lwfc_groups_kernels {
    /* Decodes the next block; -1: the bytes break a rule. */
    int (*decode)(struct lwfc_groups_reader *reader, const struct lwfc_groups_tables *tables,
                  struct lwfc_groups_list *list);
    /* Encodes [groups][16] symbols of a block whose rows end before *row with 16 or 64 lanes;
     * words go below p, and 16 bytes there may be written in vain. NULL: there is no such kernel. */
    uint8_t *(*encode)(const struct lwfc_groups_tables *tables,
                       const struct lwfc_groups_steps *steps, const int16_t *symbols,
                       uint32_t *row, int lanes, uint32_t *states, uint8_t *p);
    /* Of `groups` groups how many have symbols that are not 0; adds up those to *nonzero. */
    size_t (*loud)(const int16_t *symbols, size_t groups, size_t *nonzero);
};

const struct lwfc_groups_kernels *lwfc_groups_kernels_for(uint32_t features);

/* The words end within a row: go on in a copy with zeros behind. -1: they have
 * ended before. Readers of several lanes start so if fewer than LWFC_GROUPS_AHEAD
 * bytes are left, else with limit = end - LWFC_GROUPS_AHEAD. */
int lwfc_groups_refill(struct lwfc_groups_reader *reader);

/* The magnitude and sign behind an escape; 0: they break a rule. */
int32_t lwfc_groups_escape(uint32_t *state, const uint8_t **position, const uint8_t *end,
                           int32_t top, int32_t limit);

#endif
