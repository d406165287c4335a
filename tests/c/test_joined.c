/* The joined coder: round trips, equal bytes from all kernels, damaged bytes.
 * Usage: test_joined [number of damaged streams]. */
#include "base/memory.h"
#include "cpu/cpu.h"
#include "entropy/joined.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t seed = 88172645463325252u;

static uint32_t draw(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 32);
}

static void check(int good, const char *what, size_t size, int levels)
{
    if (!good) {
        printf("FAILED %s: size %zu, levels %d\n", what, size, levels);
        exit(1);
    }
}

enum { UNIFORM, SKEWED, RARE, EQUAL, ALTERNATING, CLUSTERED, KINDS };

static void fill(uint8_t *symbols, size_t size, int levels, int kind)
{
    const uint32_t equal = draw() % (uint32_t)levels;
    const uint32_t zero = draw() % 20;
    uint8_t last = 0;
    for (size_t i = 0; i < size; i++) {
        uint32_t v = 0;
        switch (kind) {
        case UNIFORM:
            v = draw() % (uint32_t)levels;
            break;
        case SKEWED:
            while (v + 1 < (uint32_t)levels && draw() % 20 > zero) {
                v++;
            }
            break;
        case RARE:
            v = draw() % 3000 == 0 ? draw() % (uint32_t)levels : 0;
            break;
        case EQUAL:
            v = equal;
            break;
        case ALTERNATING:
            v = i % 2 ? (uint32_t)levels - 1 : 0;
            break;
        default:
            v = draw() % 6 == 0 ? draw() % (uint32_t)levels : last;
        }
        symbols[i] = last = (uint8_t)v;
    }
}

static const char *const LEVELS[] = {"scalar", "avx2", "avx512"};

static void round_trip(struct lwfc_block block, int levels, int kind)
{
    const size_t size = lwfc_block_size(&block);
    const size_t bound = lwfc_joined_bound(&block, levels);
    uint8_t *const symbols = lwfc_alloc(size);
    uint8_t *const back = lwfc_alloc(size);
    uint8_t *const first = lwfc_alloc(bound);
    uint8_t *const out = lwfc_alloc(bound);
    void *const workspace = lwfc_alloc(lwfc_joined_workspace(&block, levels));
    fill(symbols, size, levels, kind);
    size_t nbytes = 0;
    for (int i = 0; i < 3; i++) {
        lwfc_cpu_limit(LEVELS[i]);
        const size_t n = lwfc_joined_encode(symbols, &block, levels, i ? out : first, bound,
                                            workspace);
        check(n > 0 && n <= bound, "encode", size, levels);
        check(i == 0 || (n == nbytes && memcmp(first, out, n) == 0), "variants", size, levels);
        nbytes = n;
        check(lwfc_joined_encode(symbols, &block, levels, out, n, workspace) == n, "capacity",
              size, levels);
        check(lwfc_joined_encode(symbols, &block, levels, out, n - 1, workspace) == 0,
              "capacity less one", size, levels);
        /* The input of the decoder has no slack: sanitizers see every access. */
        uint8_t *const exact = malloc(n);
        memcpy(exact, first, n);
        memset(back, 0xEE, size);
        check(lwfc_joined_decode(exact, n, &block, levels, back, workspace) == 0, "decode", size,
              levels);
        check(memcmp(back, symbols, size) == 0, "symbols", size, levels);
        free(exact);
        const size_t guess = lwfc_joined_estimate(symbols, &block, levels, workspace);
        check(size > 65536 || guess + 64 > n, "estimate", size, levels);
    }
    lwfc_cpu_limit(NULL);
    lwfc_free(symbols);
    lwfc_free(back);
    lwfc_free(first);
    lwfc_free(out);
    lwfc_free(workspace);
}

/* Decodes damaged bytes on every variant; a decoder that accepts them must
 * give valid symbols, the same on all. */
static void decode_all(const uint8_t *in, size_t nbytes, const struct lwfc_block *block,
                       int levels, uint8_t *symbols, uint8_t *others, void *workspace)
{
    const size_t size = lwfc_block_size(block);
    uint8_t *const exact = malloc(nbytes > 0 ? nbytes : 1);
    memcpy(exact, in, nbytes);
    int result = 0;
    for (int i = 0; i < 3; i++) {
        lwfc_cpu_limit(LEVELS[i]);
        uint8_t *const to = i ? others : symbols;
        const int r = lwfc_joined_decode(exact, nbytes, block, levels, to, workspace);
        check(i == 0 || r == result, "damaged: variants", size, levels);
        check(i == 0 || r || memcmp(symbols, others, size) == 0, "damaged: symbols", size, levels);
        for (size_t j = 0; r == 0 && j < size; j++) {
            check(to[j] < levels, "damaged: range", size, levels);
        }
        result = r;
    }
    free(exact);
}

static void damage(size_t size, int levels, int kind, int times)
{
    const struct lwfc_block block = {1, 1, 1, (int32_t)size};
    const size_t bound = lwfc_joined_bound(&block, levels);
    uint8_t *const symbols = lwfc_alloc(size);
    uint8_t *const others = lwfc_alloc(size);
    uint8_t *const out = lwfc_alloc(bound);
    uint8_t *const bad = lwfc_alloc(bound + 64);
    void *const workspace = lwfc_alloc(lwfc_joined_workspace(&block, levels));
    fill(symbols, size, levels, kind);
    const size_t n = lwfc_joined_encode(symbols, &block, levels, out, bound, workspace);
    for (size_t cut = 0; cut < n; cut += 1 + cut / 400) {
        decode_all(out, cut, &block, levels, symbols, others, workspace);
        if (cut >= 2 && cut < n) {
            check(lwfc_joined_decode(out, cut, &block, levels, symbols, workspace) != 0,
                  "truncation", size, levels);
        }
    }
    for (int i = 0; i < times; i++) {
        size_t length = n;
        memcpy(bad, out, n);
        const uint32_t flips = 1 + draw() % 4;
        for (uint32_t f = 0; f < flips; f++) {
            const uint32_t range = draw() % 2 ? (uint32_t)n : (uint32_t)(n < 200 ? n : 200);
            bad[draw() % range] ^= (uint8_t)(1u << (draw() % 8));
        }
        if (draw() % 4 == 0) {
            length = draw() % (n + 64);
            for (size_t j = n; j < length; j++) {
                bad[j] = (uint8_t)draw();
            }
        }
        decode_all(bad, length, &block, levels, symbols, others, workspace);
    }
    lwfc_cpu_limit(NULL);
    lwfc_free(symbols);
    lwfc_free(others);
    lwfc_free(out);
    lwfc_free(bad);
    lwfc_free(workspace);
}

int main(int argc, char **argv)
{
    const int times = argc > 1 ? atoi(argv[1]) : 3000;
    for (int levels = 2; levels <= 256; levels++) {
        for (int kind = 0; kind < KINDS; kind++) {
            const int32_t size = 1 + (int32_t)(draw() % 4096);
            round_trip((struct lwfc_block){1, 1, 1, size}, levels, kind);
            round_trip((struct lwfc_block){3, 5, 7, 1 + (int32_t)(draw() % 97)}, levels, kind);
        }
    }
    for (int32_t size = 1; size <= 4096; size++) {
        round_trip((struct lwfc_block){1, 1, 1, size}, 2 + (int)(draw() % 15), (int)(draw() % KINDS));
    }
    for (int levels = 2; levels <= 20; levels++) {
        for (int kind = 0; kind < KINDS; kind++) {
            const int32_t size = 20000 + (int32_t)(draw() % 300000);
            round_trip((struct lwfc_block){1, 1, 1, size}, levels, kind);
        }
    }
    for (int i = 0; i < times; i += 100) {
        const size_t size = i % 300 ? 1 + draw() % 6000 : 16384 + draw() % 50000;
        damage(size, i % 700 ? 2 + (int)(draw() % 15) : 2 + (int)(draw() % 255),
               (int)(draw() % KINDS), 100);
    }
    puts("test_joined: ok");
    return 0;
}
