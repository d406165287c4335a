/* What the encoder would code, before entropy coding. */
#ifndef LWFC_CODEC_TRACE_H
#define LWFC_CODEC_TRACE_H

#include "lwfc.h"

/* The symbols of x, after the rate-distortion pass, as bytes in x's C order. */
enum lwfc_status lwfc_trace_symbols(const struct lwfc_codec *codec, const struct lwfc_tensor *x,
                                    int num_threads, uint8_t *symbols);

/* What a codec's transform makes of a tensor. */
struct lwfc_transform_layout {
    int channels, height, width, block_height, block_width; /* of a sample, and of a block */
    int blocks;            /* of a sample */
    uint32_t coefficients; /* of a block */
    uint32_t groups;
    int matrices;
};

/* -1: the codec has no transform. */
int lwfc_trace_layout(const struct lwfc_codec *codec, struct lwfc_transform_layout *layout);

/* The largest magnitude of coefficients of a matrix. */
int32_t lwfc_trace_limit(const struct lwfc_codec *codec, int matrix);

/* How many samples a tensor is; LWFC_ERROR_INNER if it does not fit. */
enum lwfc_status lwfc_trace_samples(const struct lwfc_codec *codec, const struct lwfc_tensor *x,
                                    int64_t *samples);

/* The coefficients of x, [sample][block][coefficient]. */
enum lwfc_status lwfc_trace_coefficients(const struct lwfc_codec *codec,
                                         const struct lwfc_tensor *x, int num_threads,
                                         int16_t *coefficients);

/* Floats [sample][channel][y][x] from coefficients; LWFC_ERROR_ARGUMENT if one is above
 * its matrix's limit. */
enum lwfc_status lwfc_trace_reconstruct(const struct lwfc_codec *codec,
                                        const int16_t *coefficients, int64_t samples, float *out);

/* The integer DCT of n = 1 .. 64, [k][i], and its fraction bits; -1: another n. */
int lwfc_trace_dct(int n, int16_t *table);

#endif
