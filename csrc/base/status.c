#include "lwfc_status.h"

const char *lwfc_status_text(enum lwfc_status status)
{
    switch (status) {
    case LWFC_OK:
        return "success";
    case LWFC_ERROR_ARGUMENT:
        return "a parameter is outside its documented range";
    case LWFC_ERROR_CAPACITY:
        return "the output buffer is too small";
    case LWFC_ERROR_NONFINITE:
        return "the tensor holds NaN or infinity";
    case LWFC_ERROR_CHANNELS:
        return "the codec was calibrated per channel, for another number of channels";
    case LWFC_ERROR_MISMATCH:
        return "the output's shape or dtype differs from the stream's";
    case LWFC_ERROR_INNER:
        return "the codec's transform was calibrated for tensors of another inner shape";
    case LWFC_ERROR_MEMORY:
        return "out of memory";
    case LWFC_ERROR_MAGIC:
        return "magic: these bytes are not an lwfc stream or codec file";
    case LWFC_ERROR_VERSION:
        return "version: written by a newer format version; update lwfc";
    case LWFC_ERROR_CODER:
        return "coder: unknown coder id";
    case LWFC_ERROR_TRANSFORM:
        return "transform: unknown transform id";
    case LWFC_ERROR_DTYPE:
        return "dtype: unknown element type";
    case LWFC_ERROR_SHAPE:
        return "shape: rank or dimensions out of range";
    case LWFC_ERROR_LEVELS:
        return "levels: level count or value table out of range";
    case LWFC_ERROR_RESERVED:
        return "flags: a reserved bit is set";
    case LWFC_ERROR_TRUNCATED:
        return "length: the bytes end too early";
    case LWFC_ERROR_TRAILING:
        return "length: bytes follow the end of the stream";
    case LWFC_ERROR_CHECKSUM:
        return "checksum: CRC-32C mismatch, the bytes are damaged";
    case LWFC_ERROR_PAYLOAD:
        return "payload: the coded symbols are inconsistent";
    case LWFC_ERROR_CODEC_MISSING:
        return "digest: the stream is bound to a calibrated codec; decode it with that codec";
    case LWFC_ERROR_CODEC_DIGEST:
        return "digest: the stream is bound to another calibrated codec";
    case LWFC_ERROR_TOO_LARGE:
        return "shape: the decoded tensor would pass max_nbytes";
    case LWFC_ERROR_CODEC_FILE:
        return "section: the codec file is inconsistent";
    }
    return "unknown status";
}
