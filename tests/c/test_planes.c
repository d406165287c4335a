/* Round trips of the plane coder over levels and shapes, equal bytes from every
 * kernel, and damaged input. */
#include "base/memory.h"
#include "cpu/cpu.h"
#include "entropy/planes.h"
#include "random_u32.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Symbols that cluster: mostly the left or the upper one, sometimes anew; every
 * other plane is quieter, so that classes of planes pay. */
static void fill(uint8_t *s, const struct lwfc_block *b, int levels, int noise)
{
    const size_t n = lwfc_block_size(b);
    const size_t width = (size_t)b->width;
    for (size_t i = 0; i < n; i++) {
        const uint32_t r = random_u32();
        const int quiet = i / (width * (size_t)b->height) % 2;
        if ((int)(r % 100) < (quiet ? noise / 8 : noise) || i == 0) {
            const int v = (int)(random_u32() % (uint32_t)levels);
            s[i] = (uint8_t)(random_u32() % 3 ? 0 : v);
        } else {
            s[i] = i >= width && r >> 31 ? s[i - width] : s[i - 1];
        }
    }
}

static const char *const kernels[] = {"scalar", "avx2", NULL};
enum { KERNELS = 3 };

static int layouts[256];

static size_t round_trip(const uint8_t *s, const struct lwfc_block *b, int levels)
{
    const size_t n = lwfc_block_size(b);
    const size_t bound = lwfc_planes_bound(b, levels);
    uint8_t *out[KERNELS] = {lwfc_alloc(bound), lwfc_alloc(bound), lwfc_alloc(bound)};
    uint8_t *back = lwfc_alloc(n);
    void *work = lwfc_alloc(lwfc_planes_workspace(b, levels));
    size_t size[KERNELS];
    assert(out[0] && out[1] && out[2] && back && work);
    for (int i = 0; i < KERNELS; i++) {
        lwfc_cpu_limit(kernels[i]);
        size[i] = lwfc_planes_encode(s, b, levels, out[i], bound, work);
        assert(size[i] > 0 && size[i] <= bound);
        layouts[out[i][0]]++;
        uint8_t *exact = malloc(size[i]); /* no slack: a sanitizer sees any read behind it */
        memcpy(exact, out[i], size[i]);
        memset(back, 0xee, n);
        assert(lwfc_planes_decode(exact, size[i], b, levels, back, work) == 0);
        assert(memcmp(s, back, n) == 0);
        assert(lwfc_planes_decode(exact, size[i] - 1, b, levels, back, work) == -1);
        free(exact);
    }
    for (int i = 1; i < KERNELS; i++) {
        assert(size[0] == size[i] && memcmp(out[0], out[i], size[0]) == 0);
    }
    /* Exactly enough room, and one byte less. */
    uint8_t *tight = malloc(size[0]);
    assert(lwfc_planes_encode(s, b, levels, tight, size[0], work) == size[0]);
    assert(memcmp(out[0], tight, size[0]) == 0);
    assert(lwfc_planes_encode(s, b, levels, tight, size[0] - 1, work) == 0);
    free(tight);
    /* Damage: any result is fine that stays in bounds and below levels. */
    for (int t = 0; t < 6; t++) {
        const size_t cut = t < 3 ? size[0] : 1 + random_u32() % size[0];
        uint8_t *bad = malloc(cut);
        memcpy(bad, out[0], cut);
        for (int j = 0; j < 1 + t; j++) {
            bad[random_u32() % (j ? cut : cut < 200 ? cut : 200)] ^= (uint8_t)(random_u32() >> 8);
        }
        lwfc_cpu_limit(kernels[t % KERNELS]);
        memset(back, 0, n);
        if (lwfc_planes_decode(bad, cut, b, levels, back, work) == 0) {
            for (size_t i = 0; i < n; i++) {
                assert(back[i] < levels);
            }
        }
        free(bad);
    }
    lwfc_free(out[0]);
    lwfc_free(out[1]);
    lwfc_free(out[2]);
    lwfc_free(back);
    lwfc_free(work);
    return size[0];
}

int main(void)
{
    static const struct lwfc_block shapes[] = {
        {1, 1, 1, 1},     {1, 1, 1, 2},    {1, 1, 1, 100},   {1, 1, 1, 12543}, {1, 1, 1, 70001},
        {1, 3, 1, 5000},  {1, 1, 7, 7},    {1, 31, 7, 7},    {1, 33, 7, 7},    {2, 240, 7, 7},
        {1, 256, 7, 7},   {1, 1, 224, 30}, {1, 3, 61, 57},   {1, 12, 28, 28},  {1, 40, 28, 28},
        {1, 128, 28, 28}, {2, 33, 14, 15}, {1, 200, 1, 77},  {5, 16, 1, 3},    {1, 65, 5, 1},
        {1, 1, 300, 1},   {1, 300, 14, 14}, {1, 1, 1, 64},   {1, 7, 9, 200},   {3, 50, 28, 28}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        const struct lwfc_block *b = &shapes[i];
        const size_t n = lwfc_block_size(b);
        uint8_t *s = lwfc_alloc(n);
        for (int levels = 2; levels <= 16; levels++) {
            memset(s, levels - 1, n);
            round_trip(s, b, levels);
            s[n / 2] = 0;
            round_trip(s, b, levels);
            static const int noise[] = {2, 15, 100};
            for (int j = 0; j < 3; j++) {
                fill(s, b, levels, noise[j]);
                round_trip(s, b, levels);
            }
        }
        lwfc_free(s);
    }
    /* Every kind of layout has been used. */
    assert(layouts[0] && layouts[1] && layouts[2] && layouts[6] && layouts[14]);
    puts("planes ok");
    return 0;
}
