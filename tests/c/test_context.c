/* Round trips of the context coder under random models, equal bytes from every
 * kernel, damaged streams and models, and the rate-distortion pass. */
#include "base/memory.h"
#include "codec/rate_distortion.h"
#include "cpu/cpu.h"
#include "entropy/context.h"
#include "random_context_model.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *read_model(const uint8_t *blob, size_t n, struct lwfc_context_model *m)
{
    const size_t need = lwfc_context_model_workspace(blob, n);
    void *memory = need > 0 ? lwfc_alloc(need) : NULL;
    if (memory && lwfc_context_model_read(blob, n, m, memory)) {
        lwfc_free(memory);
        memory = NULL;
    }
    return memory;
}

static uint8_t *symbols_alloc(const struct lwfc_block *b)
{
    uint8_t *p = lwfc_alloc(lwfc_block_size(b));
    assert(p);
    return p;
}

static void fill(uint8_t *s, const struct lwfc_block *b, int levels)
{
    const size_t n = lwfc_block_size(b);
    const size_t plane = (size_t)b->height * (size_t)b->width;
    for (size_t i = 0; i < n; i++) {
        const int fresh = i == 0 || random_u32() % 100 < 20;
        s[i] = fresh ? (uint8_t)(random_u32() % (uint32_t)levels) : s[i - 1];
        if (i / plane % 7 == 3) {
            s[i] = 0;
        }
    }
}

static const char *const kernels[] = {"scalar", "avx2", NULL};

enum {
    KERNELS = 3
};

static void damage(const uint8_t *bytes, size_t n, const struct lwfc_block *b, int levels,
                   const struct lwfc_context_model *m, uint8_t *back, void *work)
{
    const int times = lwfc_block_size(b) < 10000 ? 30 : 4;
    for (int i = 0; i < times; i++) {
        const size_t size = i % 3 == 0 ? random_u32() % (uint32_t)(n + 1) : n;
        uint8_t *bad = malloc(size + (size == 0));
        memcpy(bad, bytes, size);
        for (int j = 0; j <= i && size > 0; j++) {
            bad[random_u32() % (uint32_t)size] = (uint8_t)random_u32();
        }
        if (lwfc_context_decode(bad, size, b, levels, m, back, work) == 0) {
            for (size_t k = 0; k < lwfc_block_size(b); k++) {
                assert(back[k] < levels);
            }
        }
        free(bad);
    }
}

static void round_trip(const uint8_t *s, const struct lwfc_block *b, int levels,
                       const struct lwfc_context_model *m)
{
    const size_t n = lwfc_block_size(b);
    const size_t bound = lwfc_context_bound(b, levels);
    uint8_t *out[KERNELS] = {lwfc_alloc(bound), lwfc_alloc(bound), lwfc_alloc(bound)};
    uint8_t *spare = lwfc_alloc(bound);
    uint8_t *back = symbols_alloc(b);
    void *work = lwfc_alloc(lwfc_context_workspace(b, m));
    size_t size[KERNELS];
    assert(out[0] && out[1] && out[2] && spare && work);
    for (int i = 0; i < KERNELS; i++) {
        lwfc_cpu_limit(kernels[i]);
        size[i] = lwfc_context_encode(s, b, levels, m, out[i], bound, work);
        assert(size[i] > 0 && size[i] <= bound);
        uint8_t *exact = malloc(size[i]); /* no slack: a sanitizer sees any read behind it */
        memcpy(exact, out[i], size[i]);
        memset(back, 0xee, n);
        assert(lwfc_context_decode(exact, size[i], b, levels, m, back, work) == 0);
        assert(memcmp(s, back, n) == 0);
        assert(lwfc_context_decode(exact, size[i] - 1, b, levels, m, back, work) == -1);
        damage(exact, size[i], b, levels, m, back, work);
        assert(lwfc_context_encode(s, b, levels, m, spare, size[i] / 2, work) == 0);
        free(exact);
    }
    for (int i = 0; i < KERNELS; i++) {
        assert(size[i] == size[0] && memcmp(out[i], out[0], size[0]) == 0);
    }
    for (int i = 0; i < KERNELS; i++) {
        lwfc_free(out[i]);
    }
    lwfc_free(spare);
    lwfc_free(back);
    lwfc_free(work);
}

/* A damaged model is refused, or codes without loss. */
static void damage_model(const uint8_t *blob, size_t n, const struct lwfc_block *b, int levels)
{
    uint8_t *s = symbols_alloc(b);
    fill(s, b, levels);
    for (int i = 0; i < 60; i++) {
        const size_t size = i % 4 == 0 ? random_u32() % (uint32_t)n : n;
        uint8_t *bad = malloc(size + (size == 0));
        memcpy(bad, blob, size);
        for (int j = 0; j < i % 3 + 1 && size > 0; j++) {
            bad[random_u32() % (uint32_t)size] = (uint8_t)random_u32();
        }
        struct lwfc_context_model m;
        void *memory = read_model(bad, size, &m);
        if (memory && lwfc_context_applies(&m, b, levels)) {
            round_trip(s, b, levels, &m);
        }
        lwfc_free(memory);
        free(bad);
    }
    lwfc_free(s);
}

static void rate_distortion(const struct lwfc_block *b, int levels,
                            const struct lwfc_context_model *m)
{
    const size_t n = lwfc_block_size(b);
    float *x = lwfc_alloc(n * sizeof *x);
    uint8_t *s[KERNELS] = {symbols_alloc(b), symbols_alloc(b), symbols_alloc(b)};
    void *work = lwfc_alloc(lwfc_rate_distortion_workspace(b, m));
    float values[LWFC_CONTEXT_LEVELS];
    for (int k = 0; k < levels; k++) {
        values[k] = (float)k;
    }
    uint8_t *const given = lwfc_alloc(n);
    fill(given, b, levels);
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)given[i] + (float)between(-50, 50) / 100.0f;
    }
    for (int i = 0; i < KERNELS; i++) {
        lwfc_cpu_limit(kernels[i]);
        memcpy(s[i], given, n);
        lwfc_rate_distortion(x, b, levels, values, 0, m, 0.0, s[i], work);
        assert(memcmp(s[i], given, n) == 0);
        lwfc_rate_distortion(x, b, levels, values, 0, m, 0.3, s[i], work);
        for (size_t k = 0; k < n; k++) {
            assert(s[i][k] < levels);
        }
    }
    for (int i = 0; i < KERNELS; i++) {
        assert(memcmp(s[i], s[0], n) == 0);
    }
    lwfc_free(x);
    for (int i = 0; i < KERNELS; i++) {
        lwfc_free(s[i]);
    }
    lwfc_free(given);
    lwfc_free(work);
}

int main(void)
{
    static const struct lwfc_block shapes[] = {
        {1, 1, 1, 1},   {1, 1, 1, 20000}, {1, 3, 5, 7},     {2, 31, 7, 7},    {1, 32, 14, 14},
        {2, 33, 14, 15}, {1, 48, 14, 14},  {1, 100, 14, 14}, {3, 130, 20, 19}, {5, 40, 1, 70},
        {2, 70, 31, 33}, {1, 65, 300, 1},  {3, 64, 1, 700},  {2, 16, 64, 65}};
    static uint8_t blob[1 << 18];
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        const struct lwfc_block *b = &shapes[i];
        uint8_t *s = symbols_alloc(b);
        for (int levels = 2; levels <= 16; levels += levels < 5 ? 1 : 11) {
            const size_t n = make_model(blob, levels, b->channels);
            struct lwfc_context_model m;
            void *memory = read_model(blob, n, &m);
            assert(memory && lwfc_context_applies(&m, b, levels));
            assert(!lwfc_context_applies(&m, b, levels - 1));
            memset(s, levels - 1, lwfc_block_size(b));
            round_trip(s, b, levels, &m);
            memset(s, 0, lwfc_block_size(b));
            round_trip(s, b, levels, &m);
            fill(s, b, levels);
            round_trip(s, b, levels, &m);
            rate_distortion(b, levels, &m);
            rate_distortion(b, levels, NULL);
            lwfc_free(memory);
            if (lwfc_block_size(b) < 10000) {
                damage_model(blob, n, b, levels);
            }
        }
        lwfc_free(s);
    }
    puts("context ok");
    return 0;
}
