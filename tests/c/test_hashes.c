/* Streams and decoded values of fixed pseudo-random features as hashes: equal
 * at every SIMD level here, printed so that other machines can be compared. */
#include "cpu/cpu.h"
#include "lwfc.h"
#include "random_context_model.h"
#include "random_transform.h"

#include <assert.h>
#include <stdio.h>

enum { VALUES = 2 * 40 * 23 * 28, MODEL = 1 << 14, SECTION = 1 << 20 };

static uint64_t hash_bytes(uint64_t hash, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) { /* FNV-1a */
        hash = (hash ^ p[i]) * UINT64_C(0x100000001B3);
    }
    return hash;
}

static uint64_t hash_floats(uint64_t hash, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t bytes[4];
        lwfc_store_f32(bytes, x[i]);
        hash = hash_bytes(hash, bytes, sizeof bytes);
    }
    return hash;
}

/* Like features: runs, many zeros, exact in every arithmetic. */
static void fill(float *x)
{
    float v = 0.0f;
    for (size_t i = 0; i < VALUES; i++) {
        if (random_u32() % 4 == 0) {
            v = (float)between(-512, 1280) / 256.0f;
        }
        x[i] = v > 0.0f ? v : 0.0f;
    }
}

static uint64_t hash_streams(const struct lwfc_codec *codec, const float *x)
{
    static float y[VALUES];
    const struct lwfc_tensor in = {
        (void *)(uintptr_t)x, LWFC_TYPE_FLOAT32, 4, {2, 40, 23, 28}, {103040, 2576, 112, 4}};
    struct lwfc_tensor out = in;
    uint8_t *data;
    size_t nbytes;
    out.data = y;
    assert(lwfc_encode(codec, &in, 1, &data, &nbytes) == LWFC_OK);
    assert(lwfc_decode(data, nbytes, codec, &out, 1) == LWFC_OK);
    uint64_t hash = hash_bytes(UINT64_C(0xCBF29CE484222325), data, nbytes);
    hash = hash_floats(hash, y, VALUES);
    lwfc_free_bytes(data);
    return hash;
}

static unsigned long long hash_at_all_levels(const struct lwfc_codec_options *o, const float *x)
{
    static const char *const names[] = {"scalar", "avx2", NULL};
    uint64_t hash[3];
    struct lwfc_codec *codec;
    assert(lwfc_codec_make(o, &codec) == LWFC_OK);
    for (int i = 0; i < 3; i++) {
        lwfc_cpu_limit(names[i]);
        hash[i] = hash_streams(codec, x);
        assert(hash[i] == hash[0]);
    }
    lwfc_codec_release(codec);
    return hash[0];
}

static void check(int coder, int levels, const float *x)
{
    static uint8_t model[MODEL];
    float thresholds[255], values[256];
    assert(lwfc_quantizer_uniform(0.0f, 4.0f, levels, thresholds, values) == LWFC_OK);
    struct lwfc_codec_options o = {.struct_size = sizeof o,
                                   .levels = levels,
                                   .groups = 1,
                                   .thresholds = thresholds,
                                   .values = values,
                                   .coder = coder,
                                   .channel_axis = LWFC_AXIS_AUTO};
    if (coder == LWFC_CODER_CONTEXT) {
        o.context = model;
        o.context_nbytes = make_model(model, levels, 40);
        o.rate_weight = 0.01;
        o.bound = 1;
    }
    printf("coder %d levels %d %016llx\n", coder, levels, hash_at_all_levels(&o, x));
}

static void check_transform(int block_height, int block_width, const float *x)
{
    static uint8_t section[SECTION];
    const struct random_section s = {.flags = 2,
                                     .height = 23,
                                     .width = 28,
                                     .channels = 40,
                                     .block_height = block_height,
                                     .block_width = block_width,
                                     .matrices = 5,
                                     .most_columns = 40};
    const struct lwfc_codec_options o = {.struct_size = sizeof o,
                                         .coder = LWFC_CODER_RANS,
                                         .channel_axis = LWFC_AXIS_AUTO,
                                         .bound = 1,
                                         .transform = section,
                                         .transform_nbytes = make_section(section, &s)};
    printf("transform %d %d %016llx\n", block_height, block_width, hash_at_all_levels(&o, x));
}

int main(void)
{
    static float x[VALUES];
    static const int levels[] = {2, 3, 4, 5, 8, 16, 17, 256};
    fill(x);
    for (int i = 0; i < 8; i++) {
        for (int coder = LWFC_CODER_RAW; coder <= LWFC_CODER_CONTEXT; coder++) {
            if (coder != LWFC_CODER_CONTEXT || levels[i] <= 16) {
                check(coder, levels[i], x);
            }
        }
    }
    check_transform(23, 28, x);
    check_transform(23, 7, x);
    check_transform(1, 14, x);
    return 0;
}
