/* A codec as a file: canonical sections, so that equal codecs are equal bytes.
 * Specified in FORMAT.md, "Codec files". */
#ifndef LWFC_CONTAINER_CODEC_FILE_H
#define LWFC_CONTAINER_CODEC_FILE_H

#include "lwfc.h"

/* Bytes that lwfc_codec_file_write needs; SIZE_MAX if the sizes overflow. */
size_t lwfc_codec_file_bound(const struct lwfc_codec_options *options);

/* Writes valid options (see lwfc_codec_options_check); returns the bytes written. */
size_t lwfc_codec_file_write(const struct lwfc_codec_options *options, uint8_t *out);

/* Checks a file completely. Arrays and blobs of `options` point into `data`, so
 * the floats need not be aligned: read them with lwfc_load_f32. *digest names
 * all sections but the metadata. */
enum lwfc_status lwfc_codec_file_read(const uint8_t *data, size_t nbytes,
                                      struct lwfc_codec_options *options, uint64_t *digest);

/* Ranges of all scalars, order of the tables. */
enum lwfc_status lwfc_codec_options_check(const struct lwfc_codec_options *options);

#endif
