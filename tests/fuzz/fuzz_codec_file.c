/* Any bytes as a codec file, its checksum repaired; what is accepted then codes
 * a small tensor and decodes it, and decodes damaged bytes. */
#include "base/bytes.h"
#include "base/crc32c.h"
#include "lwfc.h"

#include <stdlib.h>
#include <string.h>

enum { SIDE = 9, CHANNELS_MAX = 64 };

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
    static float x[CHANNELS_MAX * SIDE * SIDE], y[CHANNELS_MAX * SIDE * SIDE];
    for (int i = 0; i < CHANNELS_MAX * SIDE * SIDE; i++) {
        x[i] = (float)(i * 7 % 23) / 6.0f - 0.5f;
    }
    const int64_t plane = SIDE * SIDE;
    const struct lwfc_tensor tx = {x, LWFC_TYPE_FLOAT32, 4, {1, channels, SIDE, SIDE},
                                   {4 * channels * plane, 4 * plane, 4 * SIDE, 4}};
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
        const uint32_t crc = lwfc_crc32c(0, data, at);
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
