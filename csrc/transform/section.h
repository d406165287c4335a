/* The section of a codec file: where its parts lie, and its packed form. Specified
 * in FORMAT.md, "Transform". */
#ifndef LWFC_TRANSFORM_SECTION_H
#define LWFC_TRANSFORM_SECTION_H

#include "lwfc_status.h"
#include "transform/transform.h"

enum {
    LWFC_SECTION_HEAD = 38, /* bytes: version .. number of matrices */
    LWFC_SECTION_FREQUENCIES = LWFC_SIDE_MAX * LWFC_SIDE_MAX
};

/* What the sizes of a section's parts depend on. */
struct lwfc_section_sizes {
    size_t means, coefficients;
    uint32_t groups;
    uint16_t matrix_columns[LWFC_SECTION_FREQUENCIES]; /* of each matrix */
};

/* Reads the head, the index and the columns, which begin a section; returns their
 * bytes, or 0: they end early or break a rule. */
size_t lwfc_section_begin(const uint8_t *section, size_t nbytes, struct lwfc_transform *transform,
                          struct lwfc_section_sizes *sizes);
/* Bytes of a matrix record of so many columns. */
size_t lwfc_section_matrix(const struct lwfc_transform *transform, size_t columns);
/* Bytes of the number of classes and their tables; 0: they end early or break a rule. */
size_t lwfc_section_tables(const uint8_t *tables, size_t nbytes,
                           const struct lwfc_section_sizes *sizes);

/* Between a section and its packed form; the result belongs to the caller, who
 * releases it by lwfc_free. LWFC_ERROR_CODEC_FILE: the bytes are neither. Only what
 * sizes depend on is checked. */
enum lwfc_status lwfc_section_pack(const uint8_t *section, size_t nbytes, uint8_t **packed,
                                   size_t *packed_nbytes);
enum lwfc_status lwfc_section_unpack(const uint8_t *packed, size_t nbytes, uint8_t **section,
                                     size_t *section_nbytes);

#endif
