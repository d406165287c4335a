/* A strided tensor seen as blocks: runs of equally spaced elements that share
 * a channel, and the passes between them and a block's symbols or floats. */
#ifndef LWFC_CODEC_VIEW_H
#define LWFC_CODEC_VIEW_H

#include "container/geometry.h"
#include "kernels/convert.h"
#include "kernels/lanes.h"
#include "kernels/quantize.h"
#include "lwfc.h"

/* Several axes walked as one, C order. */
struct lwfc_axes {
    int count;
    int64_t sizes[LWFC_RANK_MAX];
    ptrdiff_t strides[LWFC_RANK_MAX];
};

struct lwfc_view {
    char *data;
    enum lwfc_dtype dtype;
    struct lwfc_geometry geometry;
    struct lwfc_axes samples, rows;
    ptrdiff_t channel_stride, column_stride, row_stride, sample_stride;
    int flat;          /* elements lie in C order without gaps */
    int large;         /* flat, and more than caches hold */
    int planes_even;   /* one stride walks a whole plane */
    int channels_last; /* a position's channels are adjacent */
};

/* Quantizer tables; group = channel when groups > 1. */
struct lwfc_tables {
    int levels;
    size_t groups;
    const float *thresholds;
    const float *values;
    const uint8_t *zeros; /* each group's symbol for NaN; NULL where nothing is quantized */
};

struct lwfc_passes {
    const struct lwfc_quantize_kernels *quantize;
    const struct lwfc_convert_kernels *convert;
    const struct lwfc_lanes_kernels *lanes; /* for their transposes */
};

/* Describes `tensor` under `geometry`, which was made from its shape. */
void lwfc_view_make(const struct lwfc_tensor *tensor, const struct lwfc_geometry *geometry,
                    struct lwfc_view *view);

/* Symbols of a region, C order. Returns 1 if `reject_nonfinite` and a value is
 * NaN or infinite, else 0. */
int lwfc_view_quantize(const struct lwfc_view *view, const struct lwfc_region *region,
                       const struct lwfc_tables *tables, const struct lwfc_passes *passes,
                       int reject_nonfinite, uint8_t *symbols);

void lwfc_view_dequantize(const struct lwfc_view *view, const struct lwfc_region *region,
                          const struct lwfc_tables *tables, const struct lwfc_passes *passes,
                          const uint8_t *symbols);

/* Where a region's values lie as float32 in C order anyway; NULL if they do not. */
float *lwfc_view_floats(const struct lwfc_view *view, const struct lwfc_region *region);

/* 1 if one of a region's values is NaN or infinite. */
int lwfc_view_has_nonfinite(const struct lwfc_view *view, const struct lwfc_region *region,
                            const struct lwfc_passes *passes);

/* A region's values as float32 in the order of memory: C order, or where channels
 * lie last [samples][rows][columns][channels]. */
void lwfc_view_load_values(const struct lwfc_view *view, const struct lwfc_region *region,
                           const struct lwfc_passes *passes, float *out);
void lwfc_view_store_values(const struct lwfc_view *view, const struct lwfc_region *region,
                            const struct lwfc_passes *passes, const float *in);

/* A region's values as float32 in C order, and back. */
void lwfc_view_load(const struct lwfc_view *view, const struct lwfc_region *region,
                    const struct lwfc_passes *passes, float *out);
void lwfc_view_store(const struct lwfc_view *view, const struct lwfc_region *region,
                     const struct lwfc_passes *passes, const float *in);

#endif
