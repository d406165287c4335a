/* The fit of the context model: every SIMD level and thread count finds the same references and
 * the same weights to the bit, and what it fits predicts better than single symbols' frequencies.
 * Restoration's sums: those of each value added by itself, and of each cell. */
#include "cpu/cpu.h"
#include "fit/context_fit.h"
#include "fit/moments.h"
#include "random_u32.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHANNELS = 9,
    EARLIER = 6, /* in the coding order */
    LATER = CHANNELS - EARLIER,
    ROWS = 700,
    MOST = 3,
    WIDTH = LWFC_FIT_LOCAL + 2 * MOST
};

struct found {
    int32_t slots[LATER * MOST];
    uint8_t places[LATER * MOST];
    int32_t count[LATER];
    double weights[LATER * 2 * WIDTH];
    double biases[LATER * (LWFC_FIT_LEVELS_MAX - 1)];
    double mean[LATER * WIDTH];
    double bits[LATER];
};

static uint8_t planes[LWFC_FIT_PLANES][CHANNELS][ROWS];
static uint16_t above[CHANNELS][ROWS];
static float decay[ROWS];
static double mean[CHANNELS];
static float covariance[CHANNELS][CHANNELS];

/* Later channels mostly repeat an earlier one. */
static void make_rows(int levels)
{
    for (int p = 0; p < LWFC_FIT_PLANES; p++) {
        for (int c = 0; c < CHANNELS; c++) {
            for (int i = 0; i < ROWS; i++) {
                const uint32_t r = random_u32();
                const int repeats = c >= EARLIER && r % 8 != 0;
                planes[p][c][i] = repeats ? planes[p][c - EARLIER][i]
                                          : (uint8_t)((r >> 8) % (uint32_t)levels);
            }
        }
    }
    for (int c = 0; c < CHANNELS; c++) {
        mean[c] = 0;
        for (int i = 0; i < ROWS; i++) {
            above[c][i] = (uint16_t)(planes[3][c][i] * 128);
            mean[c] += planes[0][c][i] / (double)ROWS;
        }
    }
    for (int i = 0; i < ROWS; i++) {
        decay[i] = 0.5F;
    }
    for (int a = 0; a < CHANNELS; a++) {
        for (int b = 0; b < CHANNELS; b++) {
            double sum = 0;
            for (int i = 0; i < ROWS; i++) {
                sum += (planes[0][a][i] - mean[a]) * (planes[0][b][i] - mean[b]);
            }
            covariance[a][b] = (float)(sum / ROWS);
        }
    }
}

static void fit(int levels, int spread, int num_threads, struct found *f)
{
    memset(f, 0, sizeof *f);
    int32_t order[CHANNELS], seen[ROWS / 2], held[ROWS / 2];
    for (int i = 0; i < CHANNELS; i++) {
        order[i] = i;
    }
    for (int i = 0; i < ROWS / 2; i++) {
        seen[i] = i;
        held[i] = ROWS / 2 + i;
    }
    const struct lwfc_fit_rows rows = {
        &planes[0][0][0], &above[0][0], decay, mean, CHANNELS, ROWS, levels};
    const struct lwfc_fit_references references = {f->slots, f->places, f->count};
    assert(lwfc_fit_choose(&rows, &covariance[0][0], order + EARLIER, LATER, order, EARLIER, MOST,
                           num_threads, &references) == LWFC_OK);
    const struct lwfc_fit_split split = {seen, held, ROWS / 2, ROWS / 2};
    const struct lwfc_fit_model models = {f->weights, f->biases, f->mean, f->bits};
    assert(lwfc_fit_channels(&rows, order + EARLIER, LATER, order, &references, MOST, spread,
                             &split, num_threads, &models) == LWFC_OK);
}

enum { WIDE = 70, FEW = 9, LEVELS = 3 };

static void check_moments(int num_threads)
{
    static uint8_t symbols[FEW * WIDE], around[3][FEW * WIDE];
    static float score[FEW * WIDE], values[FEW * WIDE], own[WIDE * 3], line[2][WIDE * LEVELS];
    static double all[WIDE * LEVELS * LWFC_FIT_ALL], scored[WIDE * LEVELS * LWFC_FIT_SCORED];
    static double errors[WIDE];
    const float low[LEVELS] = {-4, -4, -4}, high[LEVELS] = {9, 9, 3};
    const struct lwfc_fit_values rows = {symbols, {around[0], around[1], around[2]}, score, values,
                                         WIDE,    FEW, LEVELS};
    memset(all, 0, sizeof all);
    memset(scored, 0, sizeof scored);
    for (int i = 0; i < FEW * WIDE; i++) { /* small whole numbers: sums are exact */
        symbols[i] = (uint8_t)(random_u32() % LEVELS);
        around[0][i] = (uint8_t)(random_u32() % 5);
        around[1][i] = (uint8_t)(random_u32() % 5);
        around[2][i] = (uint8_t)(random_u32() % 9);
        score[i] = (float)(random_u32() % 64) - 32;
        values[i] = (float)(random_u32() % 16) - 8;
    }
    for (int i = 0; i < WIDE * 3; i++) {
        own[i] = (float)(random_u32() % 7) - 3;
    }
    for (int i = 0; i < WIDE * LEVELS; i++) {
        line[0][i] = (float)(random_u32() % 4);
        line[1][i] = 0.25F;
    }
    lwfc_fit_moments(&rows, num_threads, all);
    lwfc_fit_scored(&rows, own, num_threads, scored);
    lwfc_fit_errors(&rows, own, line[0], line[1], low, high, num_threads, errors);
    for (int c = 0; c < WIDE; c++) {
        double counts[LEVELS] = {0}, crosses[LEVELS] = {0}, products[LEVELS] = {0}, squares = 0;
        for (int i = c; i < FEW * WIDE; i += WIDE) {
            const int s = symbols[i];
            const double z = score[i] + own[3 * c] * around[0][i] +
                             own[3 * c + 1] * around[1][i] + own[3 * c + 2] * around[2][i];
            const double found = line[0][c * LEVELS + s] + 0.25 * z;
            const double off = fmin(fmax(found, low[s]), high[s]) - values[i];
            counts[s]++;
            crosses[s] += around[2][i] * around[1][i];
            products[s] += z * values[i];
            squares += off * off;
        }
        for (int s = 0; s < LEVELS; s++) {
            assert(all[(c * LEVELS + s) * LWFC_FIT_ALL] == counts[s]);
            assert(all[(c * LEVELS + s) * LWFC_FIT_ALL + 13] == crosses[s]); /* row 4, column 3 */
            assert(scored[(c * LEVELS + s) * LWFC_FIT_SCORED] == counts[s]);
            assert(scored[(c * LEVELS + s) * LWFC_FIT_SCORED + 4] == products[s]);
        }
        assert(errors[c] == squares);
    }
}

enum { SAMPLES = 3, POSITIONS = 11, CELLS = WIDE * LEVELS };

/* The last level only occurs in even channels; outputs start as nonsense, which is overwritten. */
static void check_cells(int num_threads)
{
    const size_t size = (size_t)SAMPLES * WIDE * POSITIONS;
    float *values = malloc(size * sizeof *values); /* of that size: a sanitizer sees its end */
    uint8_t *symbols = malloc(size);
    assert(values != NULL && symbols != NULL);
    static double counts[CELLS], sums[CELLS];
    static float low[CELLS], high[CELLS];
    for (size_t i = 0; i < size; i++) {
        const uint32_t last = i / POSITIONS % WIDE % 2 ? LEVELS - 1 : LEVELS;
        symbols[i] = (uint8_t)(random_u32() % last);
        values[i] = (float)(random_u32() % 64) - 32;
    }
    for (int i = 0; i < CELLS; i++) {
        counts[i] = sums[i] = low[i] = high[i] = 5;
    }
    const struct lwfc_fit_cells cells = {values, symbols, SAMPLES, WIDE, POSITIONS,
                                         LEVELS, counts,  sums,    low,  high};
    lwfc_fit_cells(&cells, num_threads);
    for (int cell = 0; cell < CELLS; cell++) {
        double count = 0, sum = 0;
        float least = INFINITY, most = -INFINITY;
        for (size_t i = 0; i < size; i++) {
            if (i / POSITIONS % WIDE == (size_t)(cell / LEVELS) && symbols[i] == cell % LEVELS) {
                count++;
                sum += values[i];
                least = fminf(least, values[i]);
                most = fmaxf(most, values[i]);
            }
        }
        assert(count > 0 || (cell % LEVELS == LEVELS - 1 && cell / LEVELS % 2));
        assert(counts[cell] == count && sums[cell] == sum);
        assert(low[cell] == least && high[cell] == most);
    }
    free(values);
    free(symbols);
}

int main(void)
{
    for (int num_threads = 1; num_threads <= 3; num_threads += 2) {
        check_moments(num_threads);
        check_cells(num_threads);
    }
    static const char *const names[] = {"scalar", "avx2", NULL};
    for (int times = 0; times < 6; times++) {
        const int levels = 2 + times, spread = levels > 2 && times % 2;
        static struct found first, next;
        make_rows(levels);
        for (int i = 0; i < 3; i++) {
            lwfc_cpu_limit(names[i]);
            for (int num_threads = 1; num_threads <= 3; num_threads += 2) {
                fit(levels, spread, num_threads, &next);
                if (i == 0 && num_threads == 1) {
                    first = next;
                }
                assert(memcmp(&first, &next, sizeof next) == 0);
            }
        }
        for (int c = 0; c < LATER; c++) {
            assert(first.count[c] >= 1 && first.slots[c * MOST] == c && first.places[c * MOST] == 0);
            assert(first.bits[c] < 0.7 * ROWS / 2 * log2(levels));
        }
    }
    printf("fit: every check passed\n");
    return 0;
}
