/* The group coder: symbols that are mostly 0, in groups of 16 with a flag each,
 * coded with tables that encoder and decoder hold already. Specified in
 * FORMAT.md, "Group coder". */
#ifndef LWFC_ENTROPY_GROUPS_H
#define LWFC_ENTROPY_GROUPS_H

#include "kernels/groups_kernels.h"

#include <stddef.h>

enum { LWFC_GROUPS_CLASSES = 32, LWFC_GROUPS_LANE_CODES = 4 };

/* One lane is smallest; more lanes are faster and cost about three bytes each. */
extern const uint8_t lwfc_groups_lane_counts[LWFC_GROUPS_LANE_CODES];

/* A class of symbols: sizes in slots of 2^-12. */
struct lwfc_groups_class {
    int top;                /* 0 .. LWFC_GROUPS_TOP */
    uint32_t escape;        /* >= 1 */
    const uint8_t *numbers; /* top times u16: of +v and of -v, v = 1 .. top */
};

struct lwfc_groups_record; /* how to encode one symbol */

struct lwfc_groups_model {
    struct lwfc_groups_tables tables;
    uint32_t absent;                          /* the number of classes */
    const uint8_t *classes;                   /* [groups][16] */
    const uint8_t *class_tops;                /* [class] */
    const struct lwfc_groups_record *records; /* [class][LWFC_GROUPS_ESCAPE + 1] */
    const struct lwfc_groups_record *flags;   /* [groups][silent, loud] */
    struct lwfc_groups_steps steps;           /* the same for rows */
};

/* A model's parts, for its reader to fill: tables.groups, and every array. */
size_t lwfc_groups_model_nbytes(uint32_t groups, int classes);
void lwfc_groups_model_place(uint32_t groups, int classes, struct lwfc_groups_model *model,
                             void *memory);
/* 0, or -1: the class leaves nothing for 0, or a number is 0. */
int lwfc_groups_model_class(struct lwfc_groups_model *model, int number,
                            const struct lwfc_groups_class *class);
/* Group g of `count` symbols with these classes, `silent` slots for "all zero" and
 * magnitudes up to `limit`, at `column` of `line`. */
void lwfc_groups_model_group(struct lwfc_groups_model *model, uint32_t g, int count,
                             const uint8_t *classes, uint32_t silent, uint16_t limit,
                             uint16_t line, uint16_t column);

/* Memory of a list; place it at the start of lwfc_groups_list_nbytes bytes. */
size_t lwfc_groups_list_nbytes(const struct lwfc_groups_model *model);
void lwfc_groups_list_place(const struct lwfc_groups_model *model, struct lwfc_groups_list *list,
                            void *memory);
/* The list that decoding `symbols`, [groups][16], would give. */
void lwfc_groups_list_make(const struct lwfc_groups_model *model, const int16_t *symbols,
                           struct lwfc_groups_list *list);

/* Bytes that encoding `blocks` blocks needs at most; SIZE_MAX if there is no such number. */
size_t lwfc_groups_bound(const struct lwfc_groups_model *model, size_t blocks);

/* Encodes [blocks][groups][16] symbols, those behind a group's count 0. Fills the
 * end of [out, out + bound); returns where the bytes begin, and the code of the
 * number of lanes. */
uint8_t *lwfc_groups_encode(const struct lwfc_groups_model *model, const int16_t *symbols,
                            size_t blocks, uint8_t *out, size_t bound, int *lane_code);

/* Starts decoding; -1: the bytes break a rule. Then blocks are decoded by a
 * kernel; in the end lwfc_groups_close says whether all was used up. */
int lwfc_groups_open(const uint8_t *in, size_t nbytes, int lane_code,
                     struct lwfc_groups_reader *reader);
int lwfc_groups_close(const struct lwfc_groups_reader *reader);

#endif
