/* How the group coder's encoder holds frequencies: x / frequency is
 * x * reciprocal >> LWFC_GROUPS_RECIPROCAL, exact below frequency << 20. */
#ifndef LWFC_ENTROPY_GROUPS_RECORD_H
#define LWFC_ENTROPY_GROUPS_RECORD_H

#include <stdint.h>

enum { LWFC_GROUPS_RECIPROCAL = 44 };

struct lwfc_groups_record {
    uint64_t reciprocal;
    uint32_t frequency, start;
};

#endif
