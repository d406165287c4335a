/* Status codes of every fallible function. The values are pinned for ever. */
#ifndef LWFC_INCLUDE_STATUS_H
#define LWFC_INCLUDE_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

enum lwfc_status {
    LWFC_OK = 0,

    /* The caller's parameters. */
    LWFC_ERROR_ARGUMENT = 1, /* a parameter is outside its documented range */
    LWFC_ERROR_CAPACITY = 2, /* the output buffer is too small */
    LWFC_ERROR_NONFINITE = 3, /* NaN or infinity met under the policy "raise" */
    LWFC_ERROR_CHANNELS = 4, /* per-channel codec, tensor with other channels */
    LWFC_ERROR_MISMATCH = 5, /* the output's shape or dtype is not the stream's */
    LWFC_ERROR_INNER = 6, /* a transform codec, and a tensor of another inner shape */

    /* The machine. */
    LWFC_ERROR_MEMORY = 10,

    /* The bytes: what is wrong with a stream or a codec file. */
    LWFC_ERROR_MAGIC = 20,     /* not an lwfc stream or codec file */
    LWFC_ERROR_VERSION = 21,   /* written by a newer format version */
    LWFC_ERROR_CODER = 22,     /* unknown coder or block method */
    LWFC_ERROR_TRANSFORM = 23, /* unknown transform id */
    LWFC_ERROR_DTYPE = 24,     /* unknown element type */
    LWFC_ERROR_SHAPE = 25,     /* rank, dimension or product out of range */
    LWFC_ERROR_LEVELS = 26,    /* level count or value table out of range */
    LWFC_ERROR_RESERVED = 27,  /* a reserved bit is set */
    LWFC_ERROR_TRUNCATED = 28, /* the bytes end too early */
    LWFC_ERROR_TRAILING = 29,  /* bytes follow the end of the stream */
    LWFC_ERROR_CHECKSUM = 30,  /* the CRC-32C does not match: damaged bytes */
    LWFC_ERROR_PAYLOAD = 31,   /* a block's coded symbols are inconsistent */
    LWFC_ERROR_CODEC_MISSING = 32, /* a bound stream, and no codec was given */
    LWFC_ERROR_CODEC_DIGEST = 33,  /* a bound stream, and another codec was given */
    LWFC_ERROR_TOO_LARGE = 34, /* the decoded tensor would pass the caller's limit */
    LWFC_ERROR_CODEC_FILE = 35 /* a section of the codec file is inconsistent */
};

/* One English sentence for a status, without a final period. Never NULL. */
const char *lwfc_status_text(enum lwfc_status status);

#ifdef __cplusplus
}
#endif
#endif
