/* Any bytes as the payload of a transform's stream, whose header and checksum are made right. */
#include "../c/random_transform.h"
#include "base/crc32c.h"
#include "lwfc.h"

#include <stdlib.h>
#include <string.h>

enum { CODECS = 3, CHANNELS = 20, SIDE = 6, SECTION = 1 << 16 };

static struct lwfc_codec *codecs[CODECS];

static void make_codecs(void)
{
    static uint8_t section[SECTION];
    for (int i = 0; i < CODECS; i++) {
        const struct random_section s = {.flags = 2,
                                         .height = SIDE,
                                         .width = SIDE,
                                         .channels = CHANNELS,
                                         .block_height = i == 1 ? 3 : SIDE,
                                         .block_width = i == 1 ? 2 : SIDE,
                                         .matrices = 3,
                                         .most_columns = CHANNELS,
                                         .loud = i == 2};
        const struct lwfc_codec_options o = {.struct_size = sizeof o,
                                             .coder = LWFC_CODER_RANS,
                                             .channel_axis = 1,
                                             .bound = 1,
                                             .inner_rank = 3,
                                             .inner_shape = {CHANNELS, SIDE, SIDE},
                                             .transform = section,
                                             .transform_nbytes = make_section(section, &s)};
        if (lwfc_codec_make(&o, &codecs[i]) != LWFC_OK) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes);

/* The first byte is the codec and the lanes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
    if (nbytes < 1) {
        return 0;
    }
    if (codecs[0] == NULL) {
        make_codecs();
    }
    const struct lwfc_codec *codec = codecs[data[0] / 4 % CODECS];
    uint8_t digest[8];
    lwfc_store_u64(digest, lwfc_codec_digest(codec));
    uint8_t *stream = malloc(nbytes + 6);
    stream[0] = (uint8_t)(0xA0 | (data[0] & 3));
    memcpy(stream + 1, digest, 2);
    memcpy(stream + 7, data + 1, nbytes - 1);
    uint32_t crc = lwfc_crc32c(lwfc_crc32c(0, digest, sizeof digest), stream, 3);
    crc = lwfc_crc32c(crc, data + 1, nbytes - 1);
    lwfc_store_u32(stream + 3, crc);
    float y[CHANNELS * SIDE * SIDE];
    const struct lwfc_tensor out = {
        y, LWFC_TYPE_FLOAT32, 4, {1, CHANNELS, SIDE, SIDE},
        {4 * CHANNELS * SIDE * SIDE, 4 * SIDE * SIDE, 4 * SIDE, 4}};
    volatile float seen = 0;
    if (lwfc_decode(stream, nbytes + 6, codec, &out, 1) == LWFC_OK) {
        for (int i = 0; i < CHANNELS * SIDE * SIDE; i++) {
            seen += y[i];
        }
    }
    free(stream);
    return 0;
}
