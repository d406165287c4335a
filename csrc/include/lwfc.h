/* lwfc: the lightweight feature codec, for C programs.
 *
 * A codec is an immutable value: a quantizer (thresholds and values), an
 * entropy coder, and what calibration added. It may be shared by any number of
 * threads. Tensors are described in place, with any strides. Every function
 * that can fail returns a status; lwfc_status_text explains it. Formats are
 * specified in FORMAT.md; the mathematics that chooses a quantizer is in
 * lwfc_model.h. */
#ifndef LWFC_INCLUDE_LWFC_H
#define LWFC_INCLUDE_LWFC_H

#include "lwfc_status.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { LWFC_RANK_MAX = 8, LWFC_LEVELS_MAX = 256 };

/* Pinned: element types as they stand in a stream. */
enum {
    LWFC_TYPE_FLOAT32 = 0,
    LWFC_TYPE_FLOAT16 = 1,
    LWFC_TYPE_BFLOAT16 = 2,
    LWFC_TYPE_FLOAT64 = 3,
    LWFC_TYPE_INT8 = 5, /* 4 is none */
    LWFC_TYPE_UINT8 = 6
};

/* Pinned: entropy coders as they stand in a stream. */
enum {
    LWFC_CODER_RAW = 0,    /* packed symbols */
    LWFC_CODER_CABAC = 1,  /* the paper's */
    LWFC_CODER_RANS = 2,   /* self-contained and fastest */
    LWFC_CODER_CONTEXT = 3 /* calibrated and smallest; needs a context model */
};

/* Pinned: transforms as they stand in a stream. */
enum {
    LWFC_TRANSFORM_NONE = 0,
    LWFC_TRANSFORM_DCT_KLT = 1 /* calibrated; bound streams of coder RANS */
};

/* NaN: the symbol whose value is nearest 0, or LWFC_ERROR_NONFINITE, for infinities too. */
enum { LWFC_NAN_ZERO = 0, LWFC_NAN_RAISE = 1 };

/* channel_axis: chosen by rank (4 and more: axis 1; 2 and 3: the last axis). */
enum { LWFC_AXIS_AUTO = -128 };

struct lwfc_tensor {
    void *data; /* not written by lwfc_encode */
    int dtype;  /* LWFC_TYPE_... */
    int rank;   /* 0..8 */
    int64_t shape[LWFC_RANK_MAX];
    int64_t strides[LWFC_RANK_MAX]; /* bytes; any sign */
};

/* What a codec is made of; lwfc_codec_make copies all of it. Zero-initialise,
 * set struct_size = sizeof, then the rest. */
struct lwfc_codec_options {
    size_t struct_size;
    int levels;              /* 2..256; 0 with a transform */
    size_t groups;           /* 1, or one quantizer for each channel; 0 with a transform */
    const float *thresholds; /* groups x (levels - 1), ascending in each group */
    const float *values;     /* groups x levels, ascending in each group */
    int coder;               /* LWFC_CODER_... */
    int channel_axis;        /* -rank..rank-1, or LWFC_AXIS_AUTO */
    int bound;               /* 1: streams name the codec instead of carrying its values */
    int inner_rank;          /* the usual shape without axis 0, or 0: saves header bytes */
    int64_t inner_shape[LWFC_RANK_MAX - 1];
    double rate_weight; /* squared error per bit in the rate-distortion pass; 0: none */
    int nan;            /* LWFC_NAN_... */
    const uint8_t *context; /* model of LWFC_CODER_CONTEXT */
    size_t context_nbytes;
    const uint8_t *restore; /* weights of the restoration */
    size_t restore_nbytes;
    const uint8_t *metadata; /* JSON for people; no part of the digest */
    size_t metadata_nbytes;
    const uint8_t *transform; /* the transform's section: in place of levels, tables and models */
    size_t transform_nbytes;
};

struct lwfc_codec;

/* Makes a codec; release it with lwfc_codec_release. */
enum lwfc_status lwfc_codec_make(const struct lwfc_codec_options *options,
                                 struct lwfc_codec **codec);

/* Reads a codec file; `data` is checked completely and copied. */
enum lwfc_status lwfc_codec_read(const uint8_t *data, size_t nbytes, struct lwfc_codec **codec);

/* The codec's file, owned by the codec. */
const uint8_t *lwfc_codec_write(const struct lwfc_codec *codec, size_t *nbytes);

/* What it was made of; the pointers belong to the codec. */
void lwfc_codec_describe(const struct lwfc_codec *codec, struct lwfc_codec_options *options);

/* Names everything that decoding depends on. */
uint64_t lwfc_codec_digest(const struct lwfc_codec *codec);

void lwfc_codec_release(struct lwfc_codec *codec);

/* The uniform quantizer over [lo, hi], both ends levels:
 * values[i] = lo + i*(hi-lo)/(levels-1), thresholds[i] = lo + (i+1/2)*(hi-lo)/(levels-1),
 * computed in double and rounded to float. (paper, section 5) */
enum lwfc_status lwfc_quantizer_uniform(float lo, float hi, int levels, float *thresholds,
                                        float *values);

/* The symbol whose value is nearest 0, the lower one of two: what NaN becomes. */
int lwfc_quantizer_zero(const float *values, int levels);

/* Codes a tensor; *data is freed with lwfc_free_bytes. The same tensor, codec and
 * version give the same bytes for every CPU and num_threads (0: all cores). */
enum lwfc_status lwfc_encode(const struct lwfc_codec *codec, const struct lwfc_tensor *x,
                             int num_threads, uint8_t **data, size_t *nbytes);
void lwfc_free_bytes(uint8_t *data);

struct lwfc_info {
    int version, bound, coder, dtype, rank, channel_axis, levels, transform;
    int compact;                  /* a small stream, whose rank (-1) only the codec knows */
    uint32_t digest_tag; /* low 32 bits of the codec's digest, when bound; 16 if compact */
    int64_t shape[LWFC_RANK_MAX]; /* -1: known to the codec only */
    size_t header_nbytes;         /* everything but the blocks */
    int64_t nblocks;              /* -1: known to the codec only */
    int64_t raw_nblocks;          /* of these, symbols only packed; -1 likewise */
};

/* Reads a stream's header. `codec` may be NULL; a bound stream then keeps its
 * levels (0) and inner shape (-1) to itself. */
enum lwfc_status lwfc_inspect(const uint8_t *data, size_t nbytes, const struct lwfc_codec *codec,
                              struct lwfc_info *info);

/* Decodes into `out`, whose shape and dtype must be the stream's. `codec` is
 * needed by bound streams and ignored by others. */
enum lwfc_status lwfc_decode(const uint8_t *data, size_t nbytes, const struct lwfc_codec *codec,
                             const struct lwfc_tensor *out, int num_threads);

/* The same two for symbols, for those who quantize and look up values elsewhere, as
 * on an accelerator. `like` describes the tensor that is meant; its data is not
 * touched, and `symbols` are bytes in C order, each below the codec's levels.
 * LWFC_ERROR_ARGUMENT for other symbols, and for codecs with a transform. */
enum lwfc_status lwfc_encode_symbols(const struct lwfc_codec *codec, const struct lwfc_tensor *like,
                                     const uint8_t *symbols, int num_threads, uint8_t **data,
                                     size_t *nbytes);
enum lwfc_status lwfc_decode_symbols(const uint8_t *data, size_t nbytes,
                                     const struct lwfc_codec *codec, const struct lwfc_tensor *like,
                                     int num_threads, uint8_t *symbols);

/* out = decode(encode(x)), without bytes. Shapes and dtypes are equal. */
enum lwfc_status lwfc_simulate(const struct lwfc_codec *codec, const struct lwfc_tensor *x,
                               const struct lwfc_tensor *out, int num_threads);

#ifdef __cplusplus
}
#endif
#endif
