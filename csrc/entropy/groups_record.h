/* How the group coder's encoder holds frequencies: x / frequency is
 * x * reciprocal >> LWFC_GROUPS_RECIPROCAL, exact below frequency << 20. */
#ifndef LWFC_ENTROPY_GROUPS_RECORD_H
#define LWFC_ENTROPY_GROUPS_RECORD_H

#include "kernels/groups_kernels.h"

enum { LWFC_GROUPS_RECIPROCAL = 44 };

struct lwfc_groups_record {
    uint64_t reciprocal;
    uint32_t frequency, start;
};

/* 1 if one of a group's symbols is not 0. */
LWFC_INLINE int lwfc_groups_loud(const int16_t *symbols)
{
    uint64_t words[4];
    memcpy(words, symbols, sizeof words);
    return (words[0] | words[1] | words[2] | words[3]) != 0;
}

#endif
