/* The transform profile's side of a codec: tensors as samples, samples to a
 * block's bytes and back. A sample is what the section was calibrated for:
 * a whole sample of the tensor, or any tile of it. */
#ifndef LWFC_CODEC_TRANSFORM_CODEC_H
#define LWFC_CODEC_TRANSFORM_CODEC_H

#include "codec/scratch.h"

enum { LWFC_METHOD_TRANSFORM = 5 }; /* with one lane; the next with 4, 16, 64 */

/* What a run over blocks does, which sizes its scratch. */
enum lwfc_transform_use { LWFC_TRANSFORM_ENCODE, LWFC_TRANSFORM_DECODE, LWFC_TRANSFORM_SIMULATE };

/* LWFC_ERROR_INNER if the tensor's channels or places are not the transform's. */
enum lwfc_status lwfc_transform_fits(const struct lwfc_transform *transform,
                                     const struct lwfc_geometry *geometry);

/* Vectors, positions x channels, are samples of one place each. */
void lwfc_transform_split(const struct lwfc_transform *transform, int64_t *shape,
                          int64_t *strides, int *rank, int *channel_axis);

struct lwfc_scratch_sizes lwfc_transform_sizes(const struct lwfc_transform *transform,
                                               const struct lwfc_plan *plan,
                                               enum lwfc_transform_use use);

/* Coefficients of a region's samples, [sample][block][groups][16], into the scratch. */
enum lwfc_status lwfc_transform_coefficients(const struct lwfc_codec *codec,
                                             const struct lwfc_plan *plan,
                                             const struct lwfc_region *region,
                                             struct lwfc_scratch *scratch);

/* The samples of a region, and their blocks. */
size_t lwfc_transform_samples(const struct lwfc_transform *transform,
                              const struct lwfc_region *region);

/* A region's bytes, within the scratch; without a method byte. */
enum lwfc_status lwfc_transform_encode(const struct lwfc_codec *codec,
                                       const struct lwfc_plan *plan,
                                       const struct lwfc_region *region,
                                       struct lwfc_scratch *scratch, uint8_t **data,
                                       size_t *nbytes, int *lane_code);

enum lwfc_status lwfc_transform_decode(const struct lwfc_codec *codec,
                                       const struct lwfc_plan *plan,
                                       const struct lwfc_region *region,
                                       struct lwfc_scratch *scratch, const uint8_t *data,
                                       size_t nbytes, int lane_code);

/* The region's values from the coefficients in the scratch. */
void lwfc_transform_reconstruct(const struct lwfc_codec *codec, const struct lwfc_plan *plan,
                                const struct lwfc_region *region, struct lwfc_scratch *scratch);

#endif
