#include "entropy/context.h"

#include "base/bytes.h"
#include "cpu/cpu.h"
#include "kernels/lanes.h"

enum {
    SILENT = 1, /* flag: the mask of silent channels follows */
    SINGLE_LEAST = 1 << 15,
    SINGLE_STATE = 3, /* bytes */
    PIECE_MOST = LWFC_CONTEXT_PIECE * LWFC_LANES * LWFC_CONTEXT_CHAINS + 64,
    STATES_MOST = LWFC_CONTEXT_CHAINS * LWFC_LANES * 2
};

/* Either direction's view of the block. columns[c] begins with two rows of
 * zeros; symbols of one group of sample c lie behind them, 32 bytes a position. */
struct context_work {
    const struct lwfc_context_kernels *kernels;
    const struct lwfc_lanes_kernels *lanes;
    const struct lwfc_context_model *model;
    size_t plane, width, height;
    int single, chains;
    uint32_t state;
    uint16_t states[LWFC_CONTEXT_CHAINS][LWFC_LANES];
    uint8_t *columns[LWFC_CONTEXT_CHAINS];
    int8_t *score[LWFC_CONTEXT_CHAINS];
    uint8_t *live; /* per group and lane: 0xff, or 0 if silent or idle */
    uint8_t tail[2 * PIECE_MOST + 64];
};

/* The samples and the group being coded. */
struct context_turn {
    int first;
    int chains;
    int group;
    int lanes;           /* slots in use */
    int coded;           /* lanes that are not silent */
    const uint8_t *live; /* NULL: all 32 */
};

struct context_input {
    const uint8_t *in;
    const uint8_t *end;
    int in_tail;
};

static size_t round64(size_t n)
{
    return (n + 63) / 64 * 64;
}

static size_t mask_bytes(const struct lwfc_block *b)
{
    return ((size_t)b->channels + 7) / 8;
}

int lwfc_context_applies(const struct lwfc_context_model *model, const struct lwfc_block *block,
                         int levels)
{
    return model->channels == block->channels && model->scale.levels == levels;
}

size_t lwfc_context_bound(const struct lwfc_block *block, int levels)
{
    (void)levels;
    return 1 + mask_bytes(block) + STATES_MOST + lwfc_block_size(block) + PIECE_MOST;
}

size_t lwfc_context_workspace(const struct lwfc_block *block, int levels)
{
    (void)levels;
    const size_t width = (size_t)block->width * LWFC_LANES;
    const size_t chain = (2 * (size_t)block->height + 2) * width + 32 * LWFC_LANES + 128;
    return round64(sizeof(struct context_work)) + LWFC_CONTEXT_CHAINS * chain +
           round64((size_t)block->channels) + 64;
}

/* The entry of `live` of a slot. */
static size_t live_at(const struct context_work *w, int slot)
{
    const int first = lwfc_context_first_slot(w->model, 1);
    return (size_t)(slot < first ? slot : slot - first + LWFC_LANES);
}

static void all_live(struct context_work *w)
{
    for (int slot = 0; slot < w->model->channels; slot++) {
        w->live[live_at(w, slot)] = 0xff;
    }
}

static struct context_work *work_make(void *workspace, const struct lwfc_block *b,
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
    w->chains = b->samples > 1 && size >= LWFC_CONTEXT_PAIRED ? 2 : 1;
    for (int c = 0; c < LWFC_CONTEXT_CHAINS; c++) {
        memset(p, 0, 2 * w->width * LWFC_LANES);
        w->columns[c] = p + 2 * w->width * LWFC_LANES;
        p += round64((w->plane + 2 * w->width) * LWFC_LANES);
        w->score[c] = (int8_t *)p;
        p += round64((w->plane + 31) * LWFC_LANES);
    }
    w->live = p;
    memset(p, 0, (size_t)model->groups * LWFC_LANES);
    all_live(w);
    return w;
}

/* All turns of a block, in order of coding: samples outside, groups inside. */
static int turns_of(const struct context_work *w, const struct lwfc_block *b)
{
    return (b->samples + w->chains - 1) / w->chains * w->model->groups;
}

static struct context_turn turn_at(const struct context_work *w, const struct lwfc_block *b,
                                   int index)
{
    struct context_turn t = {.first = index / w->model->groups * w->chains,
                             .group = index % w->model->groups};
    t.chains = b->samples - t.first < w->chains ? b->samples - t.first : w->chains;
    t.lanes = lwfc_context_lanes(w->model, t.group);
    const uint8_t *const live = w->live + (size_t)t.group * LWFC_LANES;
    for (int i = 0; i < t.lanes; i++) {
        t.coded += live[i] != 0;
    }
    t.live = t.coded < LWFC_LANES ? live : NULL;
    return t;
}

static void turn_planes(size_t offset[LWFC_LANES], const struct context_work *w,
                        const struct lwfc_block *b, const struct context_turn *t, int chain)
{
    const size_t sample = (size_t)(t->first + chain) * (size_t)b->channels;
    const uint16_t *const order = w->model->order + lwfc_context_first_slot(w->model, t->group);
    for (int i = 0; i < t->lanes; i++) {
        offset[i] = (sample + order[i]) * w->plane;
    }
}

static void turn_gather(const struct context_work *w, const struct lwfc_block *b,
                        const struct context_turn *t, int chain, const uint8_t *symbols)
{
    const uint8_t *runs[LWFC_LANES];
    size_t offset[LWFC_LANES];
    turn_planes(offset, w, b, t, chain);
    for (int i = 0; i < t->lanes; i++) {
        runs[i] = symbols + offset[i];
    }
    w->lanes->gather(w->columns[chain], runs, t->lanes, w->plane);
}

static void turn_scatter(const struct context_work *w, const struct lwfc_block *b,
                         const struct context_turn *t, int chain, uint8_t *symbols)
{
    uint8_t *runs[LWFC_LANES];
    size_t offset[LWFC_LANES];
    turn_planes(offset, w, b, t, chain);
    for (int i = 0; i < t->lanes; i++) {
        runs[i] = symbols + offset[i];
    }
    w->lanes->scatter(runs, w->columns[chain], t->lanes, w->plane);
}

static void turn_references(const struct context_work *w, const struct lwfc_block *b,
                            const struct context_turn *t, int chain, const uint8_t *symbols)
{
    const size_t sample = (size_t)(t->first + chain) * (size_t)b->channels * w->plane;
    w->kernels->references(w->score[chain], symbols + sample, w->plane,
                           &w->model->group[t->group], w->model->reference);
}

static void row_above(const struct context_work *w, const struct context_turn *t, int chain,
                      size_t y)
{
    const size_t at = y * w->width * LWFC_LANES;
    w->kernels->above(w->score[chain] + at, w->columns[chain] + at, w->width,
                      &w->model->group[t->group], &w->model->scale);
}

static struct lwfc_context_piece piece_at(const struct context_work *w,
                                          const struct context_turn *t, size_t y, size_t x)
{
    const size_t at = (y * w->width + x) * LWFC_LANES;
    const size_t left = w->width - x;
    struct lwfc_context_piece p = {.live = t->live, .chains = t->chains};
    p.width = left < LWFC_CONTEXT_PIECE ? (int)left : LWFC_CONTEXT_PIECE;
    /* Only 0, 1 and "2 or more" make a difference. */
    p.start = x > 0 ? 2 : 0;
    for (int c = 0; c < t->chains; c++) {
        p.score[c] = w->score[c] + at;
        p.symbols[c] = w->columns[c] + at;
    }
    return p;
}

/* --- the single state, for small blocks --- */

static void single_thresholds(const struct context_work *w, const struct context_turn *t,
                              const struct lwfc_context_piece *p, int x,
                              uint8_t threshold[LWFC_CONTEXT_LEVELS][LWFC_LANES])
{
    static const uint8_t zeros[LWFC_LANES];
    const uint8_t *const at = p->symbols[0] + (size_t)x * LWFC_LANES;
    const int column = p->start + x;
    w->kernels->thresholds(threshold, p->score[0] + (size_t)x * LWFC_LANES,
                           column >= 1 ? at - LWFC_LANES : zeros,
                           column >= 2 ? at - 2 * LWFC_LANES : zeros,
                           &w->model->group[t->group], &w->model->scale);
}

static const uint8_t *single_decode(struct context_work *w, const struct context_turn *t,
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
            if (t->live && !t->live[lane]) {
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
            if (state < SINGLE_LEAST) {
                state = state << 8 | *in++;
            }
            column[lane] = (uint8_t)s;
        }
    }
    w->state = state;
    return in;
}

static uint8_t *single_encode(struct context_work *w, const struct context_turn *t,
                              const struct lwfc_context_piece *p, uint8_t *out)
{
    uint8_t threshold[LWFC_CONTEXT_LEVELS][LWFC_LANES];
    const int last = w->model->scale.levels - 1;
    uint32_t state = w->state;
    for (int x = p->width - 1; x >= 0; x--) {
        const uint8_t *const column = p->symbols[0] + (size_t)x * LWFC_LANES;
        single_thresholds(w, t, p, x, threshold);
        for (int lane = t->lanes - 1; lane >= 0; lane--) {
            if (t->live && !t->live[lane]) {
                continue;
            }
            const int s = column[lane];
            const uint32_t start = s > 0 ? threshold[s - 1][lane] : 0;
            const uint32_t freq = (s < last ? threshold[s][lane] : 256u) - start;
            if (state >= freq * SINGLE_LEAST) {
                *--out = (uint8_t)state;
                state >>= 8;
            }
            state = state / freq << 8 | (start + state % freq);
        }
    }
    w->state = state;
    return out;
}

/* --- decoding --- */

/* Makes `need` bytes readable: the last ones are copied before zeros. */
static void input_reserve(struct context_input *input, struct context_work *w, size_t need)
{
    const size_t left = (size_t)(input->end - input->in);
    if (left < need && !input->in_tail) {
        memset(w->tail, 0, sizeof w->tail);
        memcpy(w->tail, input->in, left);
        input->in = w->tail;
        input->end = w->tail + left;
        input->in_tail = 1;
    }
}

static int decode_row(struct context_work *w, const struct context_turn *t, size_t y,
                      struct context_input *input)
{
    for (size_t x = 0; x < w->width; x += LWFC_CONTEXT_PIECE) {
        const struct lwfc_context_piece p = piece_at(w, t, y, x);
        input_reserve(input, w, PIECE_MOST);
        input->in = w->single
                        ? single_decode(w, t, &p, input->in)
                        : w->kernels->decode(w->states, &p, &w->model->group[t->group],
                                             &w->model->scale, input->in);
        if (input->in > input->end) {
            return -1;
        }
    }
    return 0;
}

static int decode_turn(struct context_work *w, const struct lwfc_block *b,
                       const struct context_turn *t, struct context_input *input,
                       uint8_t *symbols)
{
    for (int c = 0; c < t->chains; c++) {
        if (t->coded == 0) {
            memset(w->columns[c], 0, w->plane * LWFC_LANES);
        } else {
            turn_references(w, b, t, c, symbols);
        }
    }
    for (size_t y = 0; t->coded > 0 && y < w->height; y++) {
        for (int c = 0; c < t->chains; c++) {
            row_above(w, t, c, y);
        }
        if (decode_row(w, t, y, input)) {
            return -1;
        }
    }
    for (int c = 0; c < t->chains; c++) {
        turn_scatter(w, b, t, c, symbols);
    }
    return 0;
}

/* The flags, the mask of silent channels and the start states. */
static int read_head(struct context_work *w, const struct lwfc_block *b,
                     struct context_input *input)
{
    const int states = b->channels < LWFC_LANES ? b->channels : LWFC_LANES;
    const size_t start = w->single ? SINGLE_STATE : (size_t)(2 * states * w->chains);
    if (input->in == input->end || *input->in > SILENT) {
        return -1;
    }
    const size_t mask = *input->in++ & SILENT ? mask_bytes(b) : 0;
    if ((size_t)(input->end - input->in) < mask + start) {
        return -1;
    }
    for (size_t i = 0; i < 8 * mask; i++) {
        if (input->in[i / 8] >> i % 8 & 1) {
            if (i >= (size_t)b->channels) {
                return -1;
            }
            w->live[live_at(w, (int)i)] = 0;
        }
    }
    const uint8_t *p = input->in + mask;
    input->in = p + start;
    if (w->single) {
        w->state = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16;
        return w->state >= SINGLE_LEAST && w->state < SINGLE_LEAST * 256 ? 0 : -1;
    }
    for (int c = 0; c < w->chains; c++) {
        for (int i = 0; i < LWFC_LANES; i++) {
            w->states[c][i] = LWFC_LANE_START;
            if (i < states) {
                w->states[c][i] = lwfc_load_u16(p);
                p += 2;
            }
            if (w->states[c][i] < LWFC_LANE_START) {
                return -1;
            }
        }
    }
    return 0;
}

static int ended(const struct context_work *w, const struct context_input *input)
{
    int same = input->in == input->end;
    if (w->single) {
        return same && w->state == SINGLE_LEAST;
    }
    for (int c = 0; c < w->chains; c++) {
        for (int i = 0; i < LWFC_LANES; i++) {
            same &= w->states[c][i] == LWFC_LANE_START;
        }
    }
    return same;
}

int lwfc_context_decode(const uint8_t *in, size_t nbytes, const struct lwfc_block *block,
                        int levels, const struct lwfc_context_model *model, uint8_t *symbols,
                        void *workspace)
{
    if (!lwfc_context_applies(model, block, levels)) {
        return -1;
    }
    struct context_work *const w = work_make(workspace, block, model);
    struct context_input input = {in, in + nbytes, 0};
    if (read_head(w, block, &input)) {
        return -1;
    }
    for (int i = 0; i < turns_of(w, block); i++) {
        const struct context_turn t = turn_at(w, block, i);
        if (decode_turn(w, block, &t, &input, symbols)) {
            return -1;
        }
    }
    return ended(w, &input) ? 0 : -1;
}

/* --- encoding --- */

/* Marks the channels without a symbol above 0; returns whether saying so pays:
 * each such symbol would cost about (levels - 1) / 177 bit. */
static int find_silent(struct context_work *w, const struct lwfc_block *b, const uint8_t *symbols)
{
    size_t silent = 0;
    for (int slot = 0; slot < b->channels; slot++) {
        int any = 0;
        for (int s = 0; s < b->samples && !any; s++) {
            const uint8_t *const p =
                symbols + ((size_t)s * (size_t)b->channels + w->model->order[slot]) * w->plane;
            any = p[0] || memcmp(p, p + 1, w->plane - 1) != 0;
        }
        w->live[live_at(w, slot)] = any ? 0xff : 0;
        silent += !any;
    }
    const size_t each = w->plane * (size_t)b->samples * (size_t)(w->model->scale.levels - 1);
    if (silent * each > 177 * (size_t)b->channels) {
        return 1;
    }
    all_live(w);
    return 0;
}

/* Writes below `out`; NULL if that would pass `floor`. */
static uint8_t *encode_turn(struct context_work *w, const struct lwfc_block *b,
                            const struct context_turn *t, const uint8_t *symbols, uint8_t *out,
                            const uint8_t *floor)
{
    for (int c = 0; c < t->chains; c++) {
        turn_gather(w, b, t, c, symbols);
        turn_references(w, b, t, c, symbols);
        for (size_t y = 0; y < w->height; y++) {
            row_above(w, t, c, y);
        }
    }
    const size_t last = (w->width - 1) / LWFC_CONTEXT_PIECE * LWFC_CONTEXT_PIECE;
    for (size_t y = w->height; y-- > 0;) {
        for (size_t x = last + LWFC_CONTEXT_PIECE; x > 0; x -= LWFC_CONTEXT_PIECE) {
            const struct lwfc_context_piece p = piece_at(w, t, y, x - LWFC_CONTEXT_PIECE);
            if (out - floor < PIECE_MOST) {
                return NULL;
            }
            out = w->single ? single_encode(w, t, &p, out)
                            : w->kernels->encode(w->states, &p, &w->model->group[t->group],
                                                 &w->model->scale, out);
        }
    }
    return out;
}

static uint8_t *write_head(const struct context_work *w, const struct lwfc_block *b, int flags,
                           uint8_t *out)
{
    const int states = b->channels < LWFC_LANES ? b->channels : LWFC_LANES;
    if (w->single) {
        out -= SINGLE_STATE;
        for (int i = 0; i < SINGLE_STATE; i++) {
            out[i] = (uint8_t)(w->state >> 8 * i);
        }
    } else {
        for (int c = w->chains - 1; c >= 0; c--) {
            for (int i = states - 1; i >= 0; i--) {
                out -= 2;
                lwfc_store_u16(out, w->states[c][i]);
            }
        }
    }
    if (flags & SILENT) {
        out -= mask_bytes(b);
        memset(out, 0, mask_bytes(b));
        for (int i = 0; i < b->channels; i++) {
            out[i / 8] = (uint8_t)(out[i / 8] | (w->live[live_at(w, i)] ? 0 : 1) << i % 8);
        }
    }
    *--out = (uint8_t)flags;
    return out;
}

size_t lwfc_context_encode(const uint8_t *symbols, const struct lwfc_block *block, int levels,
                           const struct lwfc_context_model *model, uint8_t *out, size_t capacity,
                           void *workspace)
{
    const size_t head = 1 + mask_bytes(block) + STATES_MOST;
    if (!lwfc_context_applies(model, block, levels) || capacity < head) {
        return 0;
    }
    struct context_work *const w = work_make(workspace, block, model);
    const int flags = find_silent(w, block, symbols) ? SILENT : 0;
    uint8_t *p = out + capacity;
    w->state = SINGLE_LEAST;
    for (int i = 0; i < LWFC_CONTEXT_CHAINS * LWFC_LANES; i++) {
        w->states[i / LWFC_LANES][i % LWFC_LANES] = LWFC_LANE_START;
    }
    for (int i = turns_of(w, block); i-- > 0;) {
        const struct context_turn t = turn_at(w, block, i);
        if (t.coded > 0) {
            p = encode_turn(w, block, &t, symbols, p, out + head);
        }
        if (!p) {
            return 0;
        }
    }
    p = write_head(w, block, flags, p);
    const size_t size = (size_t)(out + capacity - p);
    memmove(out, p, size);
    return size;
}
