/* One rANS state for all lanes: no speed, but three bytes of start state. */
#include "entropy/context_work.h"

#include <string.h>

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

const uint8_t *lwfc_context_single_decode(struct context_work *w, const struct context_turn *t,
                                          const struct lwfc_context_piece *p, const uint8_t *in)
{
    uint8_t threshold[LWFC_CONTEXT_LEVELS][LWFC_LANES];
    const int last = w->model->scale.levels - 1;
    uint32_t state = w->state;
    for (int x = 0; x < p->width; x++) {
        uint8_t *const column = p->symbols[0] + (size_t)x * LWFC_LANES;
        single_thresholds(w, t, p, x, threshold);
        memset(column, 0, LWFC_LANES);
        for (int lane = 0; lane < t->lanes; lane++) {
            if (!t->live[lane]) {
                continue;
            }
            const uint32_t slot = state & 255u;
            uint32_t start = 0;
            uint32_t end = 256;
            int s = 0;
            while (s < last && threshold[s][lane] <= slot) {
                start = threshold[s++][lane];
            }
            end = s < last ? threshold[s][lane] : end;
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
    uint32_t state = w->state;
    for (int x = p->width - 1; x >= 0; x--) {
        const uint8_t *const column = p->symbols[0] + (size_t)x * LWFC_LANES;
        single_thresholds(w, t, p, x, threshold);
        for (int lane = t->lanes - 1; lane >= 0; lane--) {
            if (!t->live[lane]) {
                continue;
            }
            const int s = column[lane];
            const uint32_t start = s > 0 ? threshold[s - 1][lane] : 0;
            const uint32_t freq = (s < last ? threshold[s][lane] : 256u) - start;
            if (state >= freq * CONTEXT_SINGLE_LEAST) {
                *--out = (uint8_t)state;
                state >>= 8;
            }
            state = state / freq << 8 | (start + state % freq);
        }
    }
    w->state = state;
    return out;
}
