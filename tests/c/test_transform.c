/* The transform at every SIMD level: equal bytes and floats for random sections, layouts and
 * thread counts, and for coefficients at the limits, where the saturations act; damaged streams. */
#include "base/crc32c.h"
#include "codec/trace.h"
#include "cpu/cpu.h"
#include "lwfc.h"
#include "random_transform.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define REQUIRE(condition)                                              \
    do {                                                                \
        if (!(condition)) {                                             \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                    \
        }                                                               \
    } while (0)

static const char *const levels[] = {"avx2", NULL}; /* held against scalar */

static struct lwfc_codec *make_codec(const struct random_section *s, int axis)
{
    uint8_t *section = malloc(1 << 22);
    const size_t nbytes = make_section(section, s);
    struct lwfc_codec_options o = {.struct_size = sizeof o,
                                   .coder = LWFC_CODER_RANS,
                                   .channel_axis = axis,
                                   .bound = 1,
                                   .transform = section,
                                   .transform_nbytes = nbytes};
    if (axis == 1 && !(s->flags & 4)) {
        o.inner_rank = 3;
        o.inner_shape[0] = s->channels;
        o.inner_shape[1] = s->height;
        o.inner_shape[2] = s->width;
    }
    struct lwfc_codec *codec;
    REQUIRE(lwfc_codec_make(&o, &codec) == LWFC_OK);
    /* No part of a section may be missing, and nothing may follow. */
    struct lwfc_codec *other;
    for (int i = 0; i < 40; i++) {
        o.transform_nbytes = i == 0 ? nbytes + 1 : 1 + (size_t)random_u32() % (nbytes - 1);
        REQUIRE(lwfc_codec_make(&o, &other) == LWFC_ERROR_CODEC_FILE);
    }
    free(section);
    return codec;
}

/* Samples x channels x height x width, or with the channels last in memory. */
static struct lwfc_tensor tensor_of(void *data, int dtype, const struct random_section *s,
                                    int samples, int last)
{
    const int64_t item = dtype == LWFC_TYPE_FLOAT32 ? 4 : 2;
    const int64_t c = s->channels, h = s->height, w = s->width, n = c * h * w;
    struct lwfc_tensor t = {data, dtype, 4, {samples, c, h, w}, {0}};
    t.strides[0] = n * item;
    t.strides[1] = (last ? 1 : h * w) * item;
    t.strides[2] = (last ? w * c : w) * item;
    t.strides[3] = (last ? c : 1) * item;
    return t;
}

static void fill(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)between(-600, 900) / 256.0f;
    }
    for (size_t i = 0; i < n / 50; i++) {
        static const float rare[] = {NAN, INFINITY, -INFINITY, 1e30f, -0.0f};
        x[random_u32() % n] = rare[i % 5];
    }
}

static void damage(const struct lwfc_codec *codec, const uint8_t *data, size_t nbytes,
                   const struct lwfc_tensor *y)
{
    struct lwfc_info info;
    REQUIRE(lwfc_inspect(data, nbytes, codec, &info) == LWFC_OK);
    uint8_t digest[8];
    lwfc_store_u64(digest, lwfc_codec_digest(codec));
    const uint32_t seed = info.compact ? lwfc_crc32c(0, digest, 8) : 0;
    for (int i = 0; i < 60; i++) {
        const size_t n = i % 4 == 0 ? (size_t)random_u32() % nbytes : nbytes;
        uint8_t *bad = malloc(n + 1);
        memcpy(bad, data, n);
        for (uint32_t edits = random_u32() % 4 + 1; edits > 0 && n > 0; edits--) {
            bad[random_u32() % n] ^= (uint8_t)(1 + random_u32() % 255);
        }
        const size_t at = info.header_nbytes - 4;
        if (i % 2 && info.nblocks == 1 && n >= at + 4) {
            const uint32_t crc = lwfc_crc32c(seed, bad, at);
            lwfc_store_u32(bad + at, lwfc_crc32c(crc, bad + at + 4, n - at - 4));
        }
        (void)lwfc_decode(bad, n, codec, y, 1); /* any status; no bad access */
        free(bad);
    }
}

static int lanes_seen[4];

/* Bytes and values of one tensor, the same from every level and thread count. */
static void check_stream(const struct lwfc_codec *codec, const struct random_section *s,
                         int samples, int dtype, int last)
{
    const size_t n = (size_t)samples * (size_t)(s->channels * s->height * s->width);
    float *x = malloc(n * 4), *y = malloc(n * 4), *z = malloc(n * 4);
    fill(x, n);
    if (dtype == LWFC_TYPE_BFLOAT16) {
        for (size_t i = 0; i < n; i++) {
            memcpy((uint16_t *)x + i, (uint8_t *)(x + i) + 2, 2); /* the upper half */
        }
    }
    const size_t nbytes_of = n * (dtype == LWFC_TYPE_FLOAT32 ? 4 : 2);
    const struct lwfc_tensor tx = tensor_of(x, dtype, s, samples, last);
    struct lwfc_tensor ty = tensor_of(y, dtype, s, samples, last);
    struct lwfc_tensor tz = tensor_of(z, dtype, s, samples, last);
    uint8_t *data, *again;
    size_t nbytes, again_nbytes;
    lwfc_cpu_limit("scalar");
    REQUIRE(lwfc_encode(codec, &tx, 1, &data, &nbytes) == LWFC_OK);
    REQUIRE(data[nbytes - 1] != 0);
    struct lwfc_info info;
    REQUIRE(lwfc_inspect(data, nbytes, codec, &info) == LWFC_OK);
    lanes_seen[info.compact ? data[0] & 3 : (data[info.header_nbytes] - 5) & 3]++;
    REQUIRE(lwfc_decode(data, nbytes, codec, &ty, 1) == LWFC_OK);
    for (int i = 0; i < 2; i++) {
        lwfc_cpu_limit(levels[i]);
        REQUIRE(lwfc_encode(codec, &tx, 3, &again, &again_nbytes) == LWFC_OK);
        REQUIRE(nbytes == again_nbytes && memcmp(data, again, nbytes) == 0);
        lwfc_free_bytes(again);
        memset(z, 0x55, nbytes_of);
        REQUIRE(lwfc_decode(data, nbytes, codec, &tz, 3) == LWFC_OK);
        REQUIRE(memcmp(y, z, nbytes_of) == 0);
        memset(z, 0x55, nbytes_of);
        REQUIRE(lwfc_simulate(codec, &tx, &tz, 2) == LWFC_OK);
        REQUIRE(memcmp(y, z, nbytes_of) == 0);
        damage(codec, data, nbytes, &tz);
    }
    REQUIRE(lwfc_decode(data, nbytes, NULL, &ty, 1) == LWFC_ERROR_CODEC_MISSING);
    lwfc_free_bytes(data);
    free(x);
    free(y);
    free(z);
}

/* Coefficients at plus and minus their limits, where sums are largest. */
static void check_limits(const struct lwfc_codec *codec)
{
    struct lwfc_transform_layout l;
    REQUIRE(lwfc_trace_layout(codec, &l) == 0);
    const size_t count = (size_t)l.blocks * l.coefficients;
    const size_t n = (size_t)(l.channels * l.height * l.width);
    int16_t *q = malloc(count * sizeof *q + 1);
    float *y = malloc(n * 4), *z = malloc(n * 4);
    int32_t limit = 32767;
    for (int m = 0; m < l.matrices; m++) {
        limit = lwfc_trace_limit(codec, m) < limit ? lwfc_trace_limit(codec, m) : limit;
    }
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < count; i++) {
            q[i] = (int16_t)(round == 0 ? limit : between(-1, 1) * limit);
        }
        lwfc_cpu_limit("scalar");
        REQUIRE(lwfc_trace_reconstruct(codec, q, 1, y) == LWFC_OK);
        for (int i = 0; i < 2; i++) {
            lwfc_cpu_limit(levels[i]);
            REQUIRE(lwfc_trace_reconstruct(codec, q, 1, z) == LWFC_OK);
            REQUIRE(memcmp(y, z, n * 4) == 0);
        }
    }
    free(q);
    free(y);
    free(z);
}

int main(void)
{
    static const struct random_section sections[] = {
        {2, 14, 14, 20, 14, 14, 196, 20, 0}, {2, 16, 8, 64, 8, 8, 7, 40, 0},
        {2, 16, 8, 64, 8, 8, 7, 40, 1},      {3, 7, 21, 33, 7, 7, 49, 33, 0},
        {0, 9, 15, 5, 3, 5, 2, 5, 0},        {2, 1, 64, 40, 1, 64, 3, 40, 1},
        {2, 60, 2, 17, 60, 2, 5, 17, 1},     {6, 4, 4, 100, 2, 4, 2, 70, 0},
        {0, 3, 3, 600, 1, 1, 1, 600, 0},     {2, 31, 9, 1, 31, 9, 1, 1, 1},
        {2, 4, 6, 16, 4, 6, 24, 0, 0},       {2, 24, 18, 20, 24, 18, 5, 20, 0},
        {3, 17, 19, 9, 17, 19, 3, 9, 0},
        {2, 24, 24, 48, 8, 8, 7, 48, 1}};
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
        const struct random_section *s = &sections[i];
        struct lwfc_codec *codec = make_codec(s, 1);
        check_limits(codec);
        for (int last = 0; last < 2; last++) {
            check_stream(codec, s, 1, LWFC_TYPE_FLOAT32, last);
            check_stream(codec, s, 3, LWFC_TYPE_BFLOAT16, last);
        }
        check_stream(codec, s, 5, LWFC_TYPE_FLOAT32, 0);
        lwfc_codec_release(codec);
    }
    for (int i = 0; i < 4; i++) {
        REQUIRE(lanes_seen[i] > 0);
    }
    puts("transform: every check passed");
    return 0;
}
