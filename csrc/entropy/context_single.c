/* One rANS state for all lanes: no speed, but three bytes of start state. */
#include "entropy/context_work.h"

#include <string.h>

/* 2^32 / f, rounded up, of f < 256: the quotient of a state is its product with it. A state
 * is below 2^23 here, so what rounding adds, below 2^23 * f, does not reach 2^32. */
#define RECIPROCAL(f) (((1ull << 32) + (f) - ((f) > 0)) / ((f) > 0 ? (f) : 1))
#define RECIPROCALS_4(f) RECIPROCAL(f), RECIPROCAL(f + 1), RECIPROCAL(f + 2), RECIPROCAL(f + 3)
#define RECIPROCALS_16(f) \
    RECIPROCALS_4(f), RECIPROCALS_4(f + 4), RECIPROCALS_4(f + 8), RECIPROCALS_4(f + 12)
#define RECIPROCALS_64(f) \
    RECIPROCALS_16(f), RECIPROCALS_16(f + 16), RECIPROCALS_16(f + 32), RECIPROCALS_16(f + 48)

static const uint64_t reciprocals[256] = {RECIPROCALS_64(0u), RECIPROCALS_64(64u),
                                          RECIPROCALS_64(128u), RECIPROCALS_64(192u)};

static void single_thresholds(const struct context_work *w, const struct context_turn *t,
                              const struct lwfc_context_piece *p, int x,
                              uint8_t threshold[LWFC_CONTEXT_LEVELS][LWFC_LANES])
{
    static const uint8_t zeros[LWFC_LANES];
    const uint8_t *const at = p->symbols[0] + (size_t)x * LWFC_LANES;
    const int column = p->start + x;
    const int8_t *score[LWFC_CONTEXT_SCORES] = {NULL, NULL};
    for (int i = 0; i < w->model->scale.scores; i++) {
        score[i] = p->score[i][0] + (size_t)x * LWFC_LANES;
    }
    w->kernels->thresholds(threshold, score,
                           column >= 1 ? at - LWFC_LANES : zeros,
                           column >= 2 ? at - 2 * LWFC_LANES : zeros,
                           t->model, &w->model->scale);
}

/* The lanes that take part; returns how many. */
static int live_lanes(const struct context_turn *t, uint8_t lanes[LWFC_LANES])
{
    int count = 0;
    for (int lane = 0; lane < t->lanes; lane++) {
        lanes[count] = (uint8_t)lane;
        count += t->live[lane] != 0;
    }
    return count;
}

const uint8_t *lwfc_context_single_decode(struct context_work *w, const struct context_turn *t,
                                          const struct lwfc_context_piece *p, const uint8_t *in)
{
    uint8_t threshold[LWFC_CONTEXT_LEVELS][LWFC_LANES];
    const int last = w->model->scale.levels - 1;
    uint8_t lanes[LWFC_LANES];
    const int count = live_lanes(t, lanes);
    uint32_t state = w->state;
    for (int x = 0; x < p->width; x++) {
        uint8_t *const column = p->symbols[0] + (size_t)x * LWFC_LANES;
        single_thresholds(w, t, p, x, threshold);
        memset(column, 0, LWFC_LANES);
        for (int i = 0; i < count; i++) {
            const int lane = lanes[i];
            const uint32_t slot = state & 255u;
            uint32_t start = 0;
            uint32_t end = threshold[0][lane];
            int s = 0;
            while (end <= slot) {
                start = end;
                end = ++s < last ? threshold[s][lane] : 256;
            }
            state = (end - start) * (state >> 8) + slot - start;
            if (state < CONTEXT_SINGLE_LEAST) {
                state = state << 8 | *in++;
            }
            column[lane] = (uint8_t)s;
        }
    }
    w->state = state;
    return in;
}

uint8_t *lwfc_context_single_encode(struct context_work *w, const struct context_turn *t,
                                    const struct lwfc_context_piece *p, uint8_t *out)
{
    uint8_t threshold[LWFC_CONTEXT_LEVELS][LWFC_LANES];
    const int last = w->model->scale.levels - 1;
    uint8_t lanes[LWFC_LANES];
    const int count = live_lanes(t, lanes);
    uint32_t state = w->state;
    for (int x = p->width - 1; x >= 0; x--) {
        const uint8_t *const column = p->symbols[0] + (size_t)x * LWFC_LANES;
        single_thresholds(w, t, p, x, threshold);
        for (int i = count - 1; i >= 0; i--) {
            const int lane = lanes[i];
            const int s = column[lane];
            const uint32_t start = s > 0 ? threshold[s - 1][lane] : 0;
            const uint32_t freq = (s < last ? threshold[s][lane] : 256u) - start;
            if (state >= freq * CONTEXT_SINGLE_LEAST) {
                *--out = (uint8_t)state;
                state >>= 8;
            }
            const uint32_t quotient = (uint32_t)(state * reciprocals[freq] >> 32);
            state = quotient << 8 | (start + state - quotient * freq);
        }
    }
    w->state = state;
    return out;
}
