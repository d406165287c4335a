/* The codec object, and the steps that encode, decode and simulate share. */
#ifndef LWFC_CODEC_CODEC_H
#define LWFC_CODEC_CODEC_H

#include "codec/restore.h"
#include "codec/view.h"
#include "entropy/context_model.h"
#include "lwfc.h"
#include "transform/transform.h"

struct lwfc_codec {
    struct lwfc_codec_options options; /* blobs point into `file` or, like tables, below */
    uint64_t digest;
    uint8_t *file;
    size_t file_nbytes;
    float *tables; /* thresholds, then values */
    /* Values for each element type: without those that it would turn into
     * infinities. The table's own where all fit, else allocated. */
    const float *values[LWFC_DTYPE_COUNT];
    uint8_t *zeros; /* each group's symbol whose value is nearest 0, behind the tables */
    int uniform;   /* the values follow from their ends */
    struct lwfc_context_model context; /* if options.coder is LWFC_CODER_CONTEXT */
    void *context_memory;
    struct lwfc_restore restore; /* if options.restore_nbytes > 0 */
    const struct lwfc_transform *transform; /* NULL if there is none */
    void *transform_memory;
    uint8_t *section; /* the transform's, unpacked */
};

/* One tensor on its way in or out. */
struct lwfc_plan {
    struct lwfc_view view;
    struct lwfc_passes passes;
    struct lwfc_tables tables;
    int width; /* threads */
};

/* Fills everything but `tables`. `whole_samples` cuts as context-coded streams do. */
enum lwfc_status lwfc_plan_make(const struct lwfc_tensor *tensor, int channel_axis,
                                int whole_samples, int num_threads, struct lwfc_plan *plan);

/* Where the codec has a tensor's channels, resolved, with LWFC_AXIS_FRAMES where the tensor has
 * more than two spatial axes: -1: it has none, -2: out of range. A tensor of just the codec's
 * inner shape is a sample without its first axis. */
int lwfc_codec_channel_axis(const struct lwfc_codec *codec, const struct lwfc_tensor *tensor);

/* The whole plan for a tensor that `codec` codes. */
enum lwfc_status lwfc_codec_plan(const struct lwfc_codec *codec, const struct lwfc_tensor *tensor,
                                 int num_threads, struct lwfc_plan *plan);

/* Every different block shape of a geometry; returns how many (at most 16). */
int lwfc_plan_extents(const struct lwfc_geometry *geometry, struct lwfc_block extents[16]);

/* The tables of a codec for a tensor; LWFC_ERROR_CHANNELS if it has quantizers or
 * weights for each channel and the tensor has another number of channels. */
enum lwfc_status lwfc_codec_tables(const struct lwfc_codec *codec, const struct lwfc_view *view,
                                   struct lwfc_tables *tables);

/* 1 if the codec's streams are cut into whole samples: context coding, restoration
 * and transforms look across all channels. */
int lwfc_codec_whole_samples(const struct lwfc_codec *codec);

/* The codec's context model; NULL if its coder has none. */
const struct lwfc_context_model *lwfc_codec_context(const struct lwfc_codec *codec);

/* 1 if a pass of the codec (may be NULL) works on float blocks. */
int lwfc_codec_needs_values(const struct lwfc_codec *codec);

int lwfc_tensor_matches(const struct lwfc_tensor *tensor, int dtype, int rank,
                        const int64_t *shape);

#endif
