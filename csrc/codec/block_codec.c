#include "codec/block_codec.h"

#include "base/memory.h"
#include "entropy/cabac.h"
#include "entropy/pack.h"

#include <string.h>

/* Pinned: the first byte of a block. The coders' ids, and one more. */
enum { METHOD_CONSTANT = 4 };

size_t lwfc_block_workspace(const struct lwfc_codec *codec, int levels,
                            const struct lwfc_block *extent)
{
    (void)codec;
    (void)levels;
    (void)extent;
    return 0;
}

size_t lwfc_block_bound(int levels, const struct lwfc_block *extent)
{
    return 2 + lwfc_pack_nbytes(extent, levels);
}

static int is_constant(const uint8_t *symbols, size_t n)
{
    return memcmp(symbols, symbols + 1, n - 1) == 0;
}

size_t lwfc_block_encode(const struct lwfc_codec *codec, const uint8_t *symbols,
                         const struct lwfc_block *extent, uint8_t *out, void *workspace)
{
    (void)workspace;
    const int levels = codec->options.levels;
    if (is_constant(symbols, lwfc_block_size(extent))) {
        out[0] = METHOD_CONSTANT;
        out[1] = symbols[0];
        return 2;
    }
    const size_t packed = lwfc_pack_nbytes(extent, levels);
    size_t n = 0;
    if (codec->options.coder == LWFC_CODER_CABAC) {
        n = lwfc_cabac_encode(symbols, extent, levels, out + 1, packed);
    }
    out[0] = (uint8_t)codec->options.coder;
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
    (void)codec;
    (void)workspace;
    if (nbytes < 1) {
        return LWFC_ERROR_TRUNCATED;
    }
    int bad = 0;
    switch (in[0]) {
    case LWFC_CODER_RAW:
        bad = lwfc_pack_decode(in + 1, nbytes - 1, extent, levels, symbols);
        break;
    case LWFC_CODER_CABAC:
        bad = lwfc_cabac_decode(in + 1, nbytes - 1, extent, levels, symbols);
        break;
    case METHOD_CONSTANT:
        if (nbytes != 2 || in[1] >= levels) {
            return LWFC_ERROR_PAYLOAD;
        }
        memset(symbols, in[1], lwfc_block_size(extent));
        break;
    default:
        return LWFC_ERROR_CODER;
    }
    return bad ? LWFC_ERROR_PAYLOAD : LWFC_OK;
}
