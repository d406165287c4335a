/* The public header alone: a quantizer for two-bit symbols, one feature tensor
 * to bytes, and back. Built with: cc -Icsrc/include example.c liblwfc.a -lm */
#include "lwfc.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(call)                                                       \
    do {                                                                  \
        const enum lwfc_status status = (call);                           \
        if (status != LWFC_OK) {                                          \
            fprintf(stderr, "%s: %s\n", #call, lwfc_status_text(status)); \
            return 1;                                                     \
        }                                                                 \
    } while (0)

enum { CHANNELS = 64, SIDE = 28, COUNT = CHANNELS * SIDE * SIDE };

int main(void)
{
    static float feature[COUNT], decoded[COUNT];
    for (int i = 0; i < COUNT; i++) { /* something like a ReLU's output */
        feature[i] = fmaxf(0, sinf((float)(i / 784)) + cosf((float)(i % 28) / 5));
    }
    const struct lwfc_tensor x = {feature, LWFC_TYPE_FLOAT32, 4, {1, CHANNELS, SIDE, SIDE},
                                  {4 * COUNT, 4 * SIDE * SIDE, 4 * SIDE, 4}};
    struct lwfc_tensor y = x;
    y.data = decoded;

    float thresholds[3], values[4];
    CHECK(lwfc_quantizer_uniform(0.0f, 2.0f, 4, thresholds, values));
    struct lwfc_codec_options options = {.struct_size = sizeof options, .levels = 4, .groups = 1};
    options.thresholds = thresholds;
    options.values = values;
    options.coder = LWFC_CODER_RANS;
    options.channel_axis = LWFC_AXIS_AUTO;
    struct lwfc_codec *codec;
    CHECK(lwfc_codec_make(&options, &codec));

    uint8_t *data;
    size_t nbytes;
    CHECK(lwfc_encode(codec, &x, 1, &data, &nbytes));
    CHECK(lwfc_decode(data, nbytes, NULL, &y, 1));
    float worst = 0;
    for (int i = 0; i < COUNT; i++) {
        worst = fmaxf(worst, fabsf(decoded[i] - feature[i]));
    }
    printf("%.3f bits/element, largest error %.3f\n", 8.0 * (double)nbytes / COUNT, worst);
    lwfc_free_bytes(data);
    lwfc_codec_release(codec);
    return worst > 2.0f / 3 / 2 + 1e-6f;
}
