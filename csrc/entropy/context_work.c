#include "entropy/context_work.h"

#include "cpu/cpu.h"

#include <string.h>

static size_t round64(size_t n)
{
    return (n + 63) / 64 * 64;
}

/* Bytes of one chain's columns, with two rows above. */
static size_t columns_nbytes(size_t plane, size_t width)
{
    return round64((plane + 2 * width) * LWFC_LANES);
}

static int samples_of(const struct lwfc_block *b)
{
    return b->samples > 1 && lwfc_block_size(b) >= LWFC_CONTEXT_PAIRED ? 2 : 1;
}

static int is_paired(const struct lwfc_block *b, const struct lwfc_context_model *model)
{
    return samples_of(b) == 2 && model->pair != NULL;
}

size_t lwfc_context_workspace(const struct lwfc_block *block,
                              const struct lwfc_context_model *model)
{
    const size_t width = (size_t)block->width;
    const size_t height = (size_t)block->height;
    const int samples = samples_of(block);
    const int paired = is_paired(block, model);
    const size_t chains = paired ? 1 : (size_t)samples;
    return round64(sizeof(struct context_work)) +
           chains * (columns_nbytes(height * width, width) +
                     (size_t)model->scale.scores * lwfc_context_score_nbytes(height * width)) +
           (size_t)model->groups * LWFC_LANES + (paired ? round64(height * width) : 0) +
           lwfc_context_folds_nbytes(model, height, width, samples);
}

size_t lwfc_context_live_at(const struct context_work *w, int slot)
{
    const int lanes = w->model->lanes;
    const int later = slot - lwfc_context_first_slot(w->model, 1);
    return (size_t)(later < 0 ? slot : (1 + later / lanes) * LWFC_LANES + later % lanes);
}

void lwfc_context_all_live(struct context_work *w)
{
    for (int slot = 0; slot < w->model->channels; slot++) {
        w->live[lwfc_context_live_at(w, slot)] = 0xff;
    }
}

struct context_work *lwfc_context_work_make(void *workspace, const struct lwfc_block *b,
                                            const struct lwfc_context_model *model)
{
    struct context_work *const w = workspace;
    const size_t size = lwfc_block_size(b);
    uint8_t *p = (uint8_t *)workspace + round64(sizeof *w);
    w->kernels = lwfc_context_kernels_for(lwfc_cpu_features());
    w->lanes = lwfc_lanes_kernels_for(lwfc_cpu_features());
    w->model = model;
    w->width = (size_t)b->width;
    w->height = (size_t)b->height;
    w->plane = w->width * w->height;
    w->single = size < LWFC_CONTEXT_SINGLE;
    w->state = CONTEXT_SINGLE_LEAST;
    for (int i = 0; i < LWFC_CONTEXT_CHAINS * LWFC_LANES; i++) {
        w->states[i / LWFC_LANES][i % LWFC_LANES] = LWFC_LANE_START;
    }
    w->samples = samples_of(b);
    w->paired = is_paired(b, model);
    for (int c = 0; c < (w->paired ? 1 : w->samples); c++) {
        memset(p, 0, 2 * w->width * LWFC_LANES);
        w->columns[c] = p + 2 * w->width * LWFC_LANES;
        p += columns_nbytes(w->plane, w->width);
        for (int i = 0; i < model->scale.scores; i++) {
            w->score[c][i] = (int8_t *)p;
            p += lwfc_context_score_nbytes(w->plane);
        }
    }
    w->live = p;
    p += (size_t)model->groups * LWFC_LANES;
    w->idle = p;
    if (w->paired) {
        memset(p, 0, w->plane);
        p += round64(w->plane);
    }
    w->folds = lwfc_context_folds_make(model, w->height, w->width, w->samples, p);
    for (int c = 0; c < w->samples; c++) {
        w->folded[c] = w->folds.slots + (size_t)c * w->folds.count * w->folds.stride;
    }
    memset(w->live, 0, (size_t)model->groups * LWFC_LANES);
    lwfc_context_all_live(w);
    return w;
}

int lwfc_context_turns(const struct context_work *w, const struct lwfc_block *b)
{
    return (b->samples + w->samples - 1) / w->samples * w->model->groups;
}

struct context_turn lwfc_context_turn_at(const struct context_work *w, const struct lwfc_block *b,
                                         int index)
{
    struct context_turn t = {.first = index / w->model->groups * w->samples,
                             .group = index % w->model->groups};
    t.samples = b->samples - t.first < w->samples ? b->samples - t.first : w->samples;
    t.lanes = lwfc_context_lanes(w->model, t.group);
    t.chains = t.samples;
    t.model = &w->model->group[t.group];
    memcpy(t.live, w->live + (size_t)t.group * LWFC_LANES, LWFC_LANES);
    if (w->paired && t.samples == 2) {
        t.chains = 1;
        t.model = &w->model->pair[t.group];
        memcpy(t.live + LWFC_CONTEXT_PAIR_LANES, t.live, LWFC_CONTEXT_PAIR_LANES);
    }
    for (int i = 0; i < LWFC_LANES; i++) {
        t.coded += t.live[i] != 0;
    }
    return t;
}

static void sample_planes(size_t *offset, const struct context_work *w,
                          const struct lwfc_block *b, const struct context_turn *t, int sample)
{
    const size_t first = (size_t)(t->first + sample) * (size_t)b->channels;
    const uint16_t *const order = w->model->order + lwfc_context_first_slot(w->model, t->group);
    for (int i = 0; i < t->lanes; i++) {
        offset[i] = (first + order[i]) * w->plane;
    }
}

#define IDLE SIZE_MAX

/* The offset of each lane's plane, or IDLE, and how many lanes there are. */
static int chain_planes(size_t offset[LWFC_LANES], const struct context_work *w,
                        const struct lwfc_block *b, const struct context_turn *t, int chain)
{
    sample_planes(offset, w, b, t, chain);
    if (t->chains == t->samples) {
        return t->lanes;
    }
    for (int i = t->lanes; i < LWFC_CONTEXT_PAIR_LANES; i++) {
        offset[i] = IDLE;
    }
    sample_planes(offset + LWFC_CONTEXT_PAIR_LANES, w, b, t, chain + 1);
    return LWFC_CONTEXT_PAIR_LANES + t->lanes;
}

void lwfc_context_gather(const struct context_work *w, const struct lwfc_block *b,
                         const struct context_turn *t, int chain, const uint8_t *symbols)
{
    const uint8_t *runs[LWFC_LANES];
    size_t offset[LWFC_LANES];
    const int lanes = chain_planes(offset, w, b, t, chain);
    for (int i = 0; i < lanes; i++) {
        runs[i] = offset[i] == IDLE ? w->idle : symbols + offset[i];
    }
    w->lanes->gather(w->columns[chain], runs, lanes, w->plane);
}

void lwfc_context_scatter(const struct context_work *w, const struct lwfc_block *b,
                          const struct context_turn *t, int chain, uint8_t *symbols)
{
    uint8_t *runs[LWFC_LANES];
    size_t offset[LWFC_LANES];
    const int lanes = chain_planes(offset, w, b, t, chain);
    for (int i = 0; i < lanes; i++) {
        runs[i] = offset[i] == IDLE ? w->idle : symbols + offset[i];
    }
    w->lanes->scatter(runs, w->columns[chain], lanes, w->plane);
}

void lwfc_context_fold_turn(const struct context_work *w, const struct lwfc_block *b,
                            const struct context_turn *t, const uint8_t *symbols)
{
    size_t offset[LWFC_LANES];
    const size_t first = (size_t)lwfc_context_first_slot(w->model, t->group);
    for (int s = 0; s < t->samples; s++) {
        sample_planes(offset, w, b, t, s);
        for (int i = 0; i < t->lanes; i++) {
            lwfc_context_fold(&w->folds, w->folded[s], first + (size_t)i, symbols + offset[i]);
        }
    }
}

void lwfc_context_references(const struct context_work *w, const struct context_turn *t,
                             int chain)
{
    w->kernels->references(w->score[chain], w->folded[chain], w->folds.half, w->folds.offset,
                           w->model->table, t->model, &w->model->scale);
}

void lwfc_context_above(struct context_work *w, const struct context_turn *t, int chain, size_t y)
{
    const size_t at = y * w->width * LWFC_LANES;
    int8_t *score[LWFC_CONTEXT_SCORES] = {NULL, NULL};
    for (int i = 0; i < w->model->scale.scores; i++) {
        score[i] = w->score[chain][i] + at;
    }
    w->kernels->above(score, w->columns[chain] + at, w->width, y, w->sums[chain],
                      t->model, &w->model->scale);
}
