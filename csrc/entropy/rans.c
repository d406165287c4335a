#include "entropy/rans.h"

#include "entropy/joined.h"
#include "entropy/planes.h"

#include <string.h>

enum { PLANES = 0, JOINED = 1, PLANES_LEVELS = 16 };

/* A block of fewer symbols is tried both ways. The sample is taken in pieces. */
enum { MEASURED_LEAST = 32768, SAMPLES = 2048, PIECE = 64 };

size_t lwfc_rans_bound(const struct lwfc_block *block, int levels)
{
    const size_t joined = lwfc_joined_bound(block, levels);
    const size_t planes = levels <= PLANES_LEVELS ? lwfc_planes_bound(block, levels) : 0;
    return 1 + (joined > planes ? joined : planes);
}

/* The plane coder's part of the workspace, in whole cache lines. */
static size_t planes_part(const struct lwfc_block *block, int levels)
{
    return levels <= PLANES_LEVELS ? (lwfc_planes_workspace(block, levels) + 127) / 64 * 64 : 0;
}

size_t lwfc_rans_workspace(const struct lwfc_block *block, int levels)
{
    return planes_part(block, levels) + lwfc_joined_workspace(block, levels);
}

/* How much neighbours tell about a symbol. */
enum structure { STRUCTURE_NONE, STRUCTURE_SOME, STRUCTURE_STRONG };

/* By Pearson's chi-squared on a sample, since preparing plane contexts takes longer
 * than joined symbols take in all. chi-squared / (2 n ln 2) is about the bits a
 * neighbour saves, and an order-0 code takes at least 2 (1 - sum of p^2) bits. Less
 * than a 64th of that cannot pay; from a quarter on contexts always do, unless
 * symbols vary so little that the joined coder's finer frequencies matter.
 * Rows' ends are not told apart. */
static enum structure measure_structure(const uint8_t *symbols, const struct lwfc_block *block,
                                        int levels)
{
    const size_t n = lwfc_block_size(block);
    const size_t width = (size_t)block->width;
    if (n < MEASURED_LEAST || width < 2 || n < 2 * width) {
        return STRUCTURE_SOME;
    }
    /* Four tables in turn: an increment waits for the last one of the same count. */
    uint16_t part[4][2][16][16];
    uint32_t joint[2][16][16];
    memset(part, 0, sizeof part);
    const size_t step = (n - width - PIECE) / (SAMPLES / PIECE);
    for (size_t i = 0; i < SAMPLES / PIECE; i++) {
        const uint8_t *s = symbols + width + i * step;
        const uint8_t *const left = s - 1;
        const uint8_t *const up = s - width;
        for (size_t j = 0; j < PIECE; j += 4) {
            for (size_t k = 0; k < 4; k++) {
                part[k][0][left[j + k]][s[j + k]]++;
                part[k][1][up[j + k]][s[j + k]]++;
            }
        }
    }
    for (int i = 0; i < 512; i++) {
        const int t = i >> 8, a = i >> 4 & 15, b = i & 15;
        joint[t][a][b] = (uint32_t)part[0][t][a][b] + part[1][t][a][b] + part[2][t][a][b] +
                         part[3][t][a][b];
    }
    uint64_t chi_squared = 0, squares = 0;
    for (int t = 0; t < 2; t++) {
        uint64_t near[16] = {0}, own[16] = {0};
        for (int a = 0; a < levels; a++) {
            for (int b = 0; b < levels; b++) {
                near[a] += joint[t][a][b];
                own[b] += joint[t][a][b];
            }
        }
        for (int a = 0; a < levels; a++) {
            for (int b = 0; b < levels; b++) {
                const uint64_t o = joint[t][a][b];
                chi_squared += o ? o * o * SAMPLES * 16 / (near[a] * own[b]) : 0;
            }
        }
        squares = 0;
        for (int b = 0; b < levels; b++) {
            squares += own[b] * own[b];
        }
    }
    /* Chance alone gives (levels - 1)^2 for each neighbour; 23 is 64 / (4 ln 2). */
    const uint64_t chance = 2 * (uint64_t)((levels - 1) * (levels - 1)) * 16;
    const uint64_t noise = 2 * SAMPLES * 16 + chance;
    const uint64_t spread = SAMPLES - squares / SAMPLES;
    if (chi_squared < noise + spread * 16 / 23) {
        return STRUCTURE_NONE;
    }
    return chi_squared >= noise + spread * 16 * 16 / 23 && spread >= SAMPLES / 8
               ? STRUCTURE_STRONG
               : STRUCTURE_SOME;
}

size_t lwfc_rans_planes_estimate(const uint8_t *symbols, const struct lwfc_block *block,
                                 int levels, void *workspace)
{
    if (levels > PLANES_LEVELS || measure_structure(symbols, block, levels) == STRUCTURE_NONE) {
        return SIZE_MAX;
    }
    return lwfc_planes_prepare(symbols, block, levels, workspace);
}

size_t lwfc_rans_encode(const uint8_t *symbols, const struct lwfc_block *block, int levels,
                        uint8_t *out, size_t capacity, void *workspace)
{
    if (levels < 2 || levels > 256 || capacity < 2) {
        return 0;
    }
    void *const joined_work = (uint8_t *)workspace + planes_part(block, levels);
    const enum structure structure =
        levels <= PLANES_LEVELS ? measure_structure(symbols, block, levels) : STRUCTURE_NONE;
    int coder = JOINED;
    if (structure != STRUCTURE_NONE) {
        const size_t planes = lwfc_planes_prepare(symbols, block, levels, workspace);
        /* The joined coder is faster: the planes must pay. */
        if (structure == STRUCTURE_STRONG ||
            planes + planes / 64 <= lwfc_joined_estimate(symbols, block, levels, joined_work)) {
            coder = PLANES;
        }
    }
    out[0] = (uint8_t)coder;
    const size_t nbytes =
        coder == PLANES
            ? lwfc_planes_finish(symbols, block, levels, out + 1, capacity - 1, workspace)
            : lwfc_joined_encode(symbols, block, levels, out + 1, capacity - 1, joined_work);
    return nbytes ? nbytes + 1 : 0;
}

int lwfc_rans_decode(const uint8_t *in, size_t nbytes, const struct lwfc_block *block, int levels,
                     uint8_t *symbols, void *workspace)
{
    if (levels < 2 || levels > 256 || nbytes < 2) {
        return -1;
    }
    if (in[0] == PLANES && levels <= PLANES_LEVELS) {
        return lwfc_planes_decode(in + 1, nbytes - 1, block, levels, symbols, workspace);
    }
    if (in[0] == JOINED) {
        return lwfc_joined_decode(in + 1, nbytes - 1, block, levels, symbols,
                                  (uint8_t *)workspace + planes_part(block, levels));
    }
    return -1;
}
