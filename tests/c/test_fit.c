/* The fit of the context model: every SIMD level and thread count finds the same references and
 * the same weights to the bit, and what it fits predicts better than single symbols' frequencies. */
#include "cpu/cpu.h"
#include "fit/context_fit.h"
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

int main(void)
{
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
