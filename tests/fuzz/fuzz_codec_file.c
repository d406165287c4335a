/* Any bytes as a codec file, its checksum repaired; what is accepted then codes
 * a small tensor and decodes it, and decodes damaged bytes. */
#include "base/bytes.h"
#include "base/crc32c.h"
#include "codec/trace.h"
#include "lwfc.h"

#include <stdlib.h>
#include <string.h>

enum { SIDE = 9, CHANNELS_MAX = 64, VALUES = CHANNELS_MAX * SIDE * SIDE };

static void use(const struct lwfc_codec *codec)
{
    struct lwfc_codec_options o;
    lwfc_codec_describe(codec, &o);
    int64_t channels = o.groups > 1 ? (int64_t)o.groups : 3;
    if (o.inner_rank == 3 && o.inner_shape[0] > 0) {
        channels = o.inner_shape[0];
    }
    if (channels > CHANNELS_MAX) {
        return;
    }
    static float x[VALUES], y[VALUES];
    for (int i = 0; i < VALUES; i++) {
        x[i] = (float)(i * 7 % 23) / 6.0f - 0.5f;
    }
    int64_t height = SIDE, width = SIDE;
    struct lwfc_transform_layout layout;
    if (lwfc_trace_layout(codec, &layout) == 0) {
        channels = layout.channels;
        height = layout.height;
        width = layout.width;
        if (channels * height * width > VALUES) {
            return;
        }
    }
    const int64_t plane = height * width;
    const struct lwfc_tensor tx = {x, LWFC_TYPE_FLOAT32, 4, {1, channels, height, width},
                                   {4 * channels * plane, 4 * plane, 4 * width, 4}};
    struct lwfc_tensor ty = tx;
    ty.data = y;
    uint8_t *data;
    size_t nbytes;
    if (lwfc_encode(codec, &tx, 1, &data, &nbytes) != LWFC_OK) {
        return;
    }
    if (lwfc_decode(data, nbytes, codec, &ty, 1) != LWFC_OK) {
        abort(); /* what a codec encodes, it decodes */
    }
    struct lwfc_info info;
    if (lwfc_inspect(data, nbytes, codec, &info) == LWFC_OK && info.nblocks == 1) {
        const size_t at = info.header_nbytes - 4;
        data[info.header_nbytes + (nbytes - info.header_nbytes) / 2] ^= 0x5A;
        uint8_t digest[8];
        lwfc_store_u64(digest, lwfc_codec_digest(codec));
        const uint32_t seed = info.compact ? lwfc_crc32c(0, digest, sizeof digest) : 0;
        const uint32_t crc = lwfc_crc32c(seed, data, at);
        lwfc_store_u32(data + at, lwfc_crc32c(crc, data + at + 4, nbytes - at - 4));
        (void)lwfc_decode(data, nbytes, codec, &ty, 1);
    }
    lwfc_free_bytes(data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    if (nbytes < 8) {
        return 0;
    }
    uint8_t *copy = malloc(nbytes);
    memcpy(copy, data, nbytes);
    lwfc_store_u32(copy + nbytes - 4, lwfc_crc32c(0, copy, nbytes - 4));
    struct lwfc_codec *codec;
    if (lwfc_codec_read(copy, nbytes, &codec) == LWFC_OK) {
        use(codec);
        lwfc_codec_release(codec);
    }
    free(copy);
    return 0;
}
