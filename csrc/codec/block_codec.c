#include "codec/block_codec.h"

#include "base/memory.h"
#include "entropy/cabac.h"
#include "entropy/context.h"
#include "entropy/joined.h"
#include "entropy/pack.h"
#include "entropy/rans.h"

#include <string.h>

/* Pinned: the first byte of a block. The coders' ids, and one more. */
enum { METHOD_CONSTANT = 4 };

/* Coders may write whole vectors past what they keep; with this much room beyond
 * the packed size a small block is not given up for it. */
enum { CODER_SLACK = 8192 };

/* Symbols of a part that stands for its block; in smaller ones tables weigh. */
enum { PART_LEAST = 16384 };

size_t lwfc_block_workspace(const struct lwfc_codec *codec, int levels,
                            const struct lwfc_block *extent)
{
    size_t nbytes = lwfc_rans_workspace(extent, levels);
    if (codec != NULL && codec->options.coder == LWFC_CODER_CONTEXT &&
        lwfc_context_applies(&codec->context, extent, levels)) {
        const size_t context = lwfc_context_workspace(extent, &codec->context);
        nbytes = context > nbytes ? context : nbytes;
    }
    return nbytes;
}

/* Room for a coder to run past the packed size before it is given up, and for a
 * second coder's try. */
size_t lwfc_block_bound(int levels, const struct lwfc_block *extent)
{
    return 2 * (1 + lwfc_pack_nbytes(extent, levels) + CODER_SLACK);
}

static int is_constant(const uint8_t *symbols, size_t n)
{
    return memcmp(symbols, symbols + 1, n - 1) == 0;
}

/* Whether nbytes times `spare` are no more than rANS would need for the block, by
 * estimates for `part`, whose symbols come first. The plane coder never brought
 * symbols joined without contexts, which are quick to count, down by more than a
 * third on any data seen. */
static int fewer_than_rans(const uint8_t *symbols, const struct lwfc_block *extent,
                           const struct lwfc_block *part, int levels, size_t nbytes, double spare,
                           void *workspace)
{
    const double share = (double)lwfc_block_size(part) / (double)lwfc_block_size(extent);
    const double mine = spare * share * (double)nbytes;
    const double joined = (double)lwfc_joined_estimate(symbols, part, levels, workspace);
    return mine <= 0.6 * joined ||
           (mine <= joined &&
            mine <= (double)lwfc_rans_planes_estimate(symbols, part, levels, workspace));
}

/* 1 if the context coder's nbytes are no more than rANS would need. A model that
 * meets other data than it was calibrated for loses to tables fitted to the
 * block. A quarter of a sample, with a tenth to spare, nearly always tells. */
static int context_wins(const uint8_t *symbols, const struct lwfc_block *extent, int levels,
                        size_t nbytes, void *workspace)
{
    const struct lwfc_block part = {1, (extent->channels + 3) / 4, extent->height, extent->width};
    return (lwfc_block_size(&part) >= PART_LEAST &&
            fewer_than_rans(symbols, extent, &part, levels, nbytes, 1.1, workspace)) ||
           fewer_than_rans(symbols, extent, extent, levels, nbytes, 1.0, workspace);
}

/* Codes with the context model, and with rANS where that may be smaller.
 * Returns the payload's bytes, 0 if neither fits; *method tells which. */
static size_t encode_context(const struct lwfc_codec *codec, const uint8_t *symbols,
                             const struct lwfc_block *extent, uint8_t *out, size_t capacity,
                             void *workspace, uint8_t *method)
{
    const int levels = codec->options.levels;
    size_t n = lwfc_context_encode(symbols, extent, levels, &codec->context, out, capacity,
                                   workspace);
    *method = LWFC_CODER_CONTEXT;
    if (n > 0 && context_wins(symbols, extent, levels, n, workspace)) {
        return n;
    }
    uint8_t *second = out + capacity;
    const size_t m = lwfc_rans_encode(symbols, extent, levels, second, capacity, workspace);
    if (m > 0 && (n == 0 || m < n)) {
        memcpy(out, second, m);
        *method = LWFC_CODER_RANS;
        n = m;
    }
    return n;
}

size_t lwfc_block_encode(const struct lwfc_codec *codec, const uint8_t *symbols,
                         const struct lwfc_block *extent, uint8_t *out, void *workspace)
{
    const int levels = codec->options.levels;
    if (is_constant(symbols, lwfc_block_size(extent))) {
        out[0] = METHOD_CONSTANT;
        out[1] = symbols[0];
        return 2;
    }
    const size_t packed = lwfc_pack_nbytes(extent, levels);
    const size_t capacity = packed + CODER_SLACK;
    size_t n = 0;
    out[0] = (uint8_t)codec->options.coder;
    switch (codec->options.coder) {
    case LWFC_CODER_CABAC:
        n = lwfc_cabac_encode(symbols, extent, levels, out + 1, capacity);
        break;
    case LWFC_CODER_RANS:
        n = lwfc_rans_encode(symbols, extent, levels, out + 1, capacity, workspace);
        break;
    case LWFC_CODER_CONTEXT:
        n = encode_context(codec, symbols, extent, out + 1, capacity, workspace, &out[0]);
        break;
    default:
        break;
    }
    if (n == 0 || n >= packed) {
        out[0] = LWFC_CODER_RAW;
        lwfc_pack_encode(symbols, extent, levels, out + 1);
        n = packed;
    }
    return 1 + n;
}

enum lwfc_status lwfc_block_decode(const struct lwfc_codec *codec, const uint8_t *in, size_t nbytes,
                                   const struct lwfc_block *extent, int levels, uint8_t *symbols,
                                   void *workspace)
{
    if (nbytes < 1) {
        return LWFC_ERROR_TRUNCATED;
    }
    const uint8_t *payload = in + 1;
    const size_t n = nbytes - 1;
    int bad = 0;
    switch (in[0]) {
    case LWFC_CODER_RAW:
        bad = lwfc_pack_decode(payload, n, extent, levels, symbols);
        break;
    case LWFC_CODER_CABAC:
        bad = lwfc_cabac_decode(payload, n, extent, levels, symbols);
        break;
    case LWFC_CODER_RANS:
        bad = lwfc_rans_decode(payload, n, extent, levels, symbols, workspace);
        break;
    case LWFC_CODER_CONTEXT:
        if (codec == NULL || codec->options.coder != LWFC_CODER_CONTEXT) {
            return LWFC_ERROR_CODER;
        }
        bad = lwfc_context_decode(payload, n, extent, levels, &codec->context, symbols, workspace);
        break;
    case METHOD_CONSTANT:
        if (n != 1 || payload[0] >= levels) {
            return LWFC_ERROR_PAYLOAD;
        }
        memset(symbols, payload[0], lwfc_block_size(extent));
        break;
    default:
        return LWFC_ERROR_CODER;
    }
    return bad ? LWFC_ERROR_PAYLOAD : LWFC_OK;
}
