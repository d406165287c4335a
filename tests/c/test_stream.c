/* Whole streams through the public header: every coder, type and layout; every
 * truncation and many edits, with the checksum repaired so that they reach the
 * decoders. Meant to run under ASan and UBSan too. */
#include "base/bytes.h"
#include "base/crc32c.h"
#include "lwfc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition)                                              \
    do {                                                                \
        if (!(condition)) {                                             \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                    \
        }                                                               \
    } while (0)

static uint32_t seed = 12345;

static uint32_t next_random(void)
{
    seed = seed * 1664525u + 1013904223u;
    return seed >> 8;
}

static struct lwfc_codec *make_codec(int levels, int coder, int bound)
{
    float thresholds[255], values[256];
    REQUIRE(lwfc_quantizer_uniform(0, 2, levels, thresholds, values) == LWFC_OK);
    struct lwfc_codec_options o = {.struct_size = sizeof o,
                                   .levels = levels,
                                   .groups = 1,
                                   .thresholds = thresholds,
                                   .values = values,
                                   .coder = coder,
                                   .channel_axis = LWFC_AXIS_AUTO,
                                   .bound = bound};
    struct lwfc_codec *codec;
    REQUIRE(lwfc_codec_make(&o, &codec) == LWFC_OK);
    return codec;
}

static struct lwfc_tensor tensor_over(void *data, int rank, const int64_t *shape)
{
    struct lwfc_tensor t = {data, LWFC_TYPE_FLOAT32, rank, {0}, {0}};
    int64_t stride = 4;
    for (int i = rank - 1; i >= 0; i--) {
        t.shape[i] = shape[i];
        t.strides[i] = stride;
        stride *= shape[i];
    }
    return t;
}

/* Values with runs, so that every coder finds something to model. */
static void fill(float *x, size_t n)
{
    float v = 0;
    for (size_t i = 0; i < n; i++) {
        if (next_random() % 4 == 0) {
            v = (float)(next_random() % 1000) / 400.0f - 0.8f;
        }
        x[i] = v > 0 ? v : 0;
    }
}

static void repair_checksum(uint8_t *data, size_t nbytes, size_t position)
{
    if (position + 4 <= nbytes) {
        uint32_t crc = lwfc_crc32c(0, data, position);
        crc = lwfc_crc32c(crc, data + position + 4, nbytes - position - 4);
        lwfc_store_u32(data + position, crc);
    }
}

static void damage(const struct lwfc_codec *codec, const uint8_t *data, size_t nbytes,
                   const struct lwfc_tensor *y)
{
    struct lwfc_info info;
    REQUIRE(lwfc_inspect(data, nbytes, codec, &info) == LWFC_OK);
    for (int i = 0; i < 400; i++) {
        const int cut = i % 8 == 0;
        const size_t n = cut ? next_random() % nbytes : nbytes;
        uint8_t *bad = malloc(n);
        memcpy(bad, data, n);
        for (uint32_t edits = next_random() % 4 + !cut; edits > 0 && n > 0; edits--) {
            bad[next_random() % n] ^= (uint8_t)(1 + next_random() % 255);
        }
        if (i % 2 && info.nblocks == 1) {
            repair_checksum(bad, n, info.header_nbytes - 4);
        }
        (void)lwfc_decode(bad, n, codec, y, 1); /* any status; no bad access */
        free(bad);
    }
}

/* The stream's symbols code to the same stream; a level too many is refused. */
static void check_symbols(const struct lwfc_codec *codec, int levels, const struct lwfc_tensor *x,
                          size_t n, const uint8_t *data, size_t nbytes)
{
    struct lwfc_tensor like = *x;
    like.data = NULL;
    uint8_t *symbols = malloc(n + 1), *again;
    size_t again_nbytes;
    REQUIRE(lwfc_decode_symbols(data, nbytes, NULL, &like, 2, symbols) == LWFC_OK);
    REQUIRE(lwfc_encode_symbols(codec, &like, symbols, 3, &again, &again_nbytes) == LWFC_OK);
    REQUIRE(nbytes == again_nbytes && memcmp(data, again, nbytes) == 0);
    lwfc_free_bytes(again);
    if (n > 0 && levels < 256) {
        symbols[n / 2] = (uint8_t)levels;
        REQUIRE(lwfc_encode_symbols(codec, &like, symbols, 1, &again, &again_nbytes) ==
                LWFC_ERROR_ARGUMENT);
    }
    free(symbols);
}

static void check_shape(int levels, int coder, int rank, const int64_t *shape)
{
    size_t n = 1;
    for (int i = 0; i < rank; i++) {
        n *= (size_t)shape[i];
    }
    float *x = malloc(n * sizeof *x + 4), *y = malloc(n * sizeof *y + 4);
    float *z = malloc(n * sizeof *z + 4);
    fill(x, n);
    struct lwfc_codec *codec = make_codec(levels, coder, 0);
    struct lwfc_tensor tx = tensor_over(x, rank, shape), ty = tensor_over(y, rank, shape);
    const struct lwfc_tensor tz = tensor_over(z, rank, shape);
    uint8_t *data, *again;
    size_t nbytes, again_nbytes;
    REQUIRE(lwfc_encode(codec, &tx, 1, &data, &nbytes) == LWFC_OK);
    REQUIRE(lwfc_encode(codec, &tx, 3, &again, &again_nbytes) == LWFC_OK);
    REQUIRE(nbytes == again_nbytes && memcmp(data, again, nbytes) == 0);
    REQUIRE(lwfc_decode(data, nbytes, NULL, &ty, 1) == LWFC_OK);
    REQUIRE(lwfc_simulate(codec, &tx, &tz, 1) == LWFC_OK);
    REQUIRE(n == 0 || memcmp(y, z, n * sizeof *y) == 0);
    check_symbols(codec, levels, &tx, n, data, nbytes);
    damage(codec, data, nbytes, &ty);
    ty.dtype = LWFC_TYPE_FLOAT64;
    REQUIRE(lwfc_decode(data, nbytes, NULL, &ty, 1) == LWFC_ERROR_MISMATCH);
    lwfc_free_bytes(data);
    lwfc_free_bytes(again);
    lwfc_codec_release(codec);
    free(x);
    free(y);
    free(z);
}

int main(void)
{
    static const int64_t shapes[][5] = {
        {4, 1, 33, 14, 14}, {4, 3, 16, 7, 7}, {3, 2, 50, 24}, {2, 100, 7},   {1, 5000},
        {0},                {4, 0, 3, 4, 4},  {4, 1, 1, 1, 1}, {4, 2, 64, 5, 9}, {4, 1, 40, 90, 90},
    };
    static const int levels[] = {2, 3, 4, 5, 8, 16, 17, 256};
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        for (size_t l = 0; l < sizeof levels / sizeof levels[0]; l++) {
            for (int coder = LWFC_CODER_RAW; coder <= LWFC_CODER_RANS; coder++) {
                check_shape(levels[l], coder, (int)shapes[s][0], shapes[s] + 1);
            }
        }
    }
    struct lwfc_codec *bound = make_codec(4, LWFC_CODER_CABAC, 1);
    float x[300], y[300];
    fill(x, 300);
    const int64_t shape[] = {300};
    const struct lwfc_tensor tx = tensor_over(x, 1, shape), ty = tensor_over(y, 1, shape);
    uint8_t *data;
    size_t nbytes;
    REQUIRE(lwfc_encode(bound, &tx, 1, &data, &nbytes) == LWFC_OK);
    REQUIRE(lwfc_decode(data, nbytes, NULL, &ty, 1) == LWFC_ERROR_CODEC_MISSING);
    REQUIRE(lwfc_decode(data, nbytes, bound, &ty, 1) == LWFC_OK);
    damage(bound, data, nbytes, &ty);
    lwfc_free_bytes(data);
    lwfc_codec_release(bound);
    puts("streams: every check passed");
    return 0;
}
