/* Restoration: SIMD variants against the scalar definition, a written-out
 * example, and hostile blobs. */
#include "base/bytes.h"
#include "base/memory.h"
#include "codec/restore.h"
#include "cpu/cpu.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                    \
    do {                                                                    \
        if (!(condition)) {                                                 \
            printf("%s:%d: %s\n", __FILE__, __LINE__, #condition);          \
            exit(1);                                                        \
        }                                                                   \
    } while (0)

static uint64_t state = 88172645463325252U;

static uint32_t draw(uint32_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 33) % below;
}

static float draw_float(void)
{
    return (float)((double)draw(2000001) / 1e6 - 1.0);
}

/* A valid blob with random contents; returns its size. */
static size_t make_blob(uint8_t *blob, int kind, uint32_t rank, uint32_t channels, uint32_t levels,
                        uint32_t strength)
{
    const size_t quads = kind == LWFC_RESTORE_LINEAR ? (channels + 1) / 2 : 0;
    uint8_t *p = blob;
    memset(p, 0, 16);
    p[0] = 1;
    p[1] = (uint8_t)kind;
    lwfc_store_u16(p + 2, (uint16_t)rank);
    lwfc_store_u32(p + 4, channels);
    lwfc_store_u16(p + 8, (uint16_t)levels);
    lwfc_store_u16(p + 10, (uint16_t)strength);
    p += 16;
    const int plain = levels <= 26 && draw(2) == 0; /* symbols are their own values */
    for (uint32_t s = 0; s < levels; s++) {
        *p++ = (uint8_t)(plain ? s : s < 2 ? 25 * s : draw(26));
    }
    for (uint32_t s = 0; s < 2 * levels; s++, p += 4) {
        lwfc_store_f32(p, s < levels ? -100.0F * (float)draw(100) : 100.0F * (float)draw(100));
    }
    for (uint32_t i = 0; i < 3 * channels; i++, p += 2) {
        lwfc_store_u16(p, draw(3) == 0 ? 0x8000 : (uint16_t)draw(65536));
    }
    for (uint32_t i = 0; i < 3 * channels * levels; i++, p += 4) {
        lwfc_store_f32(p, draw_float());
    }
    const int extreme = draw(4) == 0; /* all weights -128: the largest sums */
    const size_t weights = (rank != 0 ? rank : channels) * 4 * quads;
    for (size_t i = 0; i < weights; i++) {
        *p++ = extreme ? 0x80 : (uint8_t)draw(256);
    }
    for (uint32_t k = 0; k < rank; k++, p += 4) {
        lwfc_store_u32(p, draw(2) != 0 ? draw(1U << 20) : (uint32_t)-(int32_t)draw(1U << 10));
    }
    for (uint32_t k = 0; k < rank; k++) {
        *p++ = (uint8_t)draw(14);
    }
    for (uint32_t i = 0; i < channels * rank; i++) {
        *p++ = extreme ? 0x80 : (uint8_t)draw(256);
    }
    return (size_t)(p - blob);
}

static void restore_all(const uint8_t *blob, size_t n, const struct lwfc_block *block,
                        const uint8_t *symbols, float *out)
{
    struct lwfc_restore r;
    CHECK(lwfc_restore_read(blob, n, &r) == 0);
    void *workspace = lwfc_alloc(lwfc_restore_workspace(&r, block));
    CHECK(workspace != NULL);
    lwfc_restore_apply(&r, symbols, block, out, workspace);
    lwfc_free(workspace);
}

static void test_variants(void)
{
    static const char *const names[] = {"scalar", "avx2", NULL};
    for (int trial = 0; trial < 300; trial++) {
        const struct lwfc_block block = {1, 1 + (int32_t)draw(21), 1 + (int32_t)draw(9),
                                         1 + (int32_t)draw(trial % 3 == 0 ? 70 : 18)};
        const uint32_t levels = trial % 4 == 0 ? 2 + draw(255) : 2 + draw(9);
        const int kind = draw(4) == 0 ? LWFC_RESTORE_LOCAL : LWFC_RESTORE_LINEAR;
        const uint32_t rank = kind == LWFC_RESTORE_LINEAR ? 4 * draw(6) : 0;
        const size_t size = lwfc_block_size(&block);
        uint8_t *blob = lwfc_alloc(200000);
        uint8_t *symbols = lwfc_alloc(size);
        float *want = lwfc_alloc(size * sizeof *want);
        float *got = lwfc_alloc((size + 16) * sizeof *got);
        CHECK(blob != NULL && symbols != NULL && want != NULL && got != NULL);
        const size_t n = make_blob(blob, kind, rank, (uint32_t)block.channels, levels,
                                   draw(2) != 0 ? 256 : draw(257));
        for (size_t i = 0; i < size; i++) {
            symbols[i] = (uint8_t)draw(levels);
        }
        memset(symbols + size, 0, 64);
        for (int k = 0; k < 3; k++) {
            CHECK(lwfc_cpu_limit(names[k]) == 0);
            memset(got, 0x55, (size + 16) * sizeof *got);
            restore_all(blob, n, &block, symbols, got);
            uint32_t behind;
            memcpy(&behind, got + size, sizeof behind);
            CHECK(behind == 0x55555555U); /* the next sample may be there */
            if (k == 0) {
                memcpy(want, got, size * sizeof *want);
            }
            CHECK(memcmp(want, got, size * sizeof *want) == 0);
        }
        lwfc_free(blob);
        lwfc_free(symbols);
        lwfc_free(want);
        lwfc_free(got);
    }
}

/* Two symbols, one channel, 1 x 3: x = offset + slope * own[0] * (left + right). */
static void test_example(void)
{
    uint8_t blob[16 + 2 + 16 + 6 + 24] = {1, LWFC_RESTORE_LOCAL, 0, 0, 1, 0, 0, 0, 2, 0, 0, 1};
    uint8_t *p = blob + 16;
    p[1] = 1;
    lwfc_store_f32(p + 2, 0.0F);
    lwfc_store_f32(p + 6, 0.0F);
    lwfc_store_f32(p + 10, 1.0F);
    lwfc_store_f32(p + 14, 9.0F);
    p += 18;
    lwfc_store_u16(p, 3);
    p += 6;
    const float tables[6] = {0.25F, 0.5F, 0.0F, 2.0F, 1.0F, 0.0F};
    for (int i = 0; i < 6; i++) {
        lwfc_store_f32(p + 4 * i, tables[i]);
    }
    uint8_t *symbols = lwfc_alloc(3);
    float *out = lwfc_alloc(3 * sizeof *out);
    CHECK(symbols != NULL && out != NULL);
    memset(symbols, 0, 67);
    symbols[1] = symbols[2] = 1;
    const struct lwfc_block block = {1, 1, 1, 3};
    restore_all(blob, sizeof blob, &block, symbols, out);
    CHECK(out[0] == 1.0F); /* 0.25 + 0.5 * 3, clamped to 1 */
    CHECK(out[1] == 5.0F); /* 2 + 1 * 3 * (0 + 1) */
    CHECK(out[2] == 5.0F);
    lwfc_free(symbols);
    lwfc_free(out);
}

static void test_hostile(void)
{
    const struct lwfc_block block = {1, 7, 5, 6};
    uint8_t *symbols = lwfc_alloc(210);
    float *out = lwfc_alloc(210 * sizeof *out);
    uint8_t *blob = lwfc_alloc(20000);
    CHECK(symbols != NULL && out != NULL && blob != NULL);
    for (size_t i = 0; i < 274; i++) {
        symbols[i] = (uint8_t)(i % 3);
    }
    size_t accepted = 0;
    for (int trial = 0; trial < 20000; trial++) {
        const size_t n = make_blob(blob, 1 + trial % 2, trial % 2 != 0 ? 4 * draw(3) : 0, 7, 3, 256);
        /* mostly the header and the checked fields, sometimes any byte, sometimes the length */
        for (uint32_t k = 0; k < 1 + draw(3); k++) {
            blob[draw(2) != 0 ? draw(43) : draw((uint32_t)n)] = (uint8_t)draw(256);
        }
        const size_t cut = draw(4) == 0 ? draw((uint32_t)n + 1) : n;
        uint8_t *exact = malloc(cut != 0 ? cut : 1); /* so that a sanitizer sees the end */
        CHECK(exact != NULL);
        memcpy(exact, blob, cut);
        struct lwfc_restore r;
        if (lwfc_restore_read(exact, cut, &r) == 0 && r.channels == 7 && r.levels >= 3) {
            accepted++;
            restore_all(exact, cut, &block, symbols, out);
            for (size_t i = 0; i < 210; i++) {
                CHECK(!isnan(out[i]));
            }
        }
        free(exact);
    }
    CHECK(accepted > 100);
    lwfc_free(symbols);
    lwfc_free(out);
    lwfc_free(blob);
}

static void test_refusals(void)
{
    static const struct {
        size_t at;
        uint8_t value;
    } wrong[] = {{0, 2}, {1, 0}, {1, 3}, {2, 3}, {3, 255}, {5, 255}, {8, 0}, {8, 1}, {9, 2},
                 {11, 2}, {12, 1}, {15, 1}, {16, 26}};
    uint8_t *blob = lwfc_alloc(20000);
    CHECK(blob != NULL);
    const size_t n = make_blob(blob, LWFC_RESTORE_LINEAR, 8, 5, 4, 256);
    struct lwfc_restore r;
    CHECK(lwfc_restore_read(blob, n, &r) == 0);
    CHECK(lwfc_restore_read(blob, n + 1, &r) == -1);
    CHECK(lwfc_restore_read(NULL, 0, &r) == -1);
    for (size_t cut = 0; cut < n; cut++) {
        CHECK(lwfc_restore_read(blob, cut, &r) == -1);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const uint8_t keep = blob[wrong[i].at];
        blob[wrong[i].at] = wrong[i].value;
        CHECK(lwfc_restore_read(blob, n, &r) == -1);
        blob[wrong[i].at] = keep;
    }
    lwfc_store_f32(blob + 20, NAN); /* a limit */
    CHECK(lwfc_restore_read(blob, n, &r) == -1);
    lwfc_store_f32(blob + 20, 1e9F); /* above its upper one */
    CHECK(lwfc_restore_read(blob, n, &r) == -1);
    lwfc_free(blob);
}

int main(void)
{
    test_example();
    test_variants();
    test_hostile();
    test_refusals();
    printf("restore: ok\n");
    return 0;
}
