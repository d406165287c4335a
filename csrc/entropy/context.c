#include "entropy/context.h"

#include "base/bytes.h"
#include "entropy/context_work.h"

enum {
    SILENT = 1,       /* flag: the mask of silent channels follows */
    SINGLE_STATE = 3, /* bytes */
    STATES_MOST = LWFC_CONTEXT_CHAINS * LWFC_LANES * 2
};

struct context_input {
    const uint8_t *in;
    const uint8_t *end;
    int in_tail;
};

static size_t mask_bytes(const struct lwfc_block *b)
{
    return ((size_t)b->channels + 7) / 8;
}

/* Lanes that are ever in use, and have a state. */
static int most_lanes(const struct lwfc_context_model *m)
{
    return m->channels < m->lanes ? m->channels : m->lanes;
}

int lwfc_context_applies(const struct lwfc_context_model *model, const struct lwfc_block *block,
                         int levels)
{
    return model->channels == block->channels && model->scale.levels == levels;
}

size_t lwfc_context_bound(const struct lwfc_block *block, int levels)
{
    (void)levels;
    return 1 + mask_bytes(block) + STATES_MOST + lwfc_block_size(block) + CONTEXT_PIECE_MOST;
}

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
        const struct lwfc_context_piece p = lwfc_context_piece_at(w, t, y, x);
        input_reserve(input, w, CONTEXT_PIECE_MOST);
        input->in = w->single
                        ? lwfc_context_single_decode(w, t, &p, input->in)
                        : w->kernels->decode(w->states, &p, t->model, &w->model->scale,
                                             input->in);
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
            lwfc_context_references(w, t, c);
        }
    }
    for (size_t y = 0; t->coded > 0 && y < w->height; y++) {
        for (int c = 0; c < t->chains; c++) {
            lwfc_context_above(w, t, c, y);
        }
        if (decode_row(w, t, y, input)) {
            return -1;
        }
    }
    for (int c = 0; c < t->chains; c++) {
        lwfc_context_scatter(w, b, t, c, symbols);
    }
    lwfc_context_fold_turn(w, b, t, symbols);
    return 0;
}

/* The flags, the mask of silent channels and the start states. */
static int read_head(struct context_work *w, const struct lwfc_block *b,
                     struct context_input *input)
{
    const int states = most_lanes(w->model);
    const size_t start = w->single ? SINGLE_STATE : (size_t)(2 * states * w->samples);
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
            w->live[lwfc_context_live_at(w, (int)i)] = 0;
        }
    }
    const uint8_t *p = input->in + mask;
    input->in = p + start;
    if (w->single) {
        w->state = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16;
        return w->state >= CONTEXT_SINGLE_LEAST && w->state < CONTEXT_SINGLE_LEAST * 256 ? 0 : -1;
    }
    for (int s = 0; s < w->samples; s++) {
        for (int i = 0; i < states; i++, p += 2) {
            lwfc_context_states(w, s)[i] = lwfc_load_u16(p);
            if (lwfc_load_u16(p) < LWFC_LANE_START) {
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
        return same && w->state == CONTEXT_SINGLE_LEAST;
    }
    for (int i = 0; i < LWFC_CONTEXT_CHAINS * LWFC_LANES; i++) {
        same &= w->states[i / LWFC_LANES][i % LWFC_LANES] == LWFC_LANE_START;
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
    struct context_work *const w = lwfc_context_work_make(workspace, block, model);
    struct context_input input = {in, in + nbytes, 0};
    if (read_head(w, block, &input)) {
        return -1;
    }
    for (int i = 0; i < lwfc_context_turns(w, block); i++) {
        const struct context_turn t = lwfc_context_turn_at(w, block, i);
        if (decode_turn(w, block, &t, &input, symbols)) {
            return -1;
        }
    }
    return ended(w, &input) ? 0 : -1;
}

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
        w->live[lwfc_context_live_at(w, slot)] = any ? 0xff : 0;
        silent += !any;
    }
    const size_t each = w->plane * (size_t)b->samples * (size_t)(w->model->scale.levels - 1);
    if (silent * each > 177 * (size_t)b->channels) {
        return 1;
    }
    lwfc_context_all_live(w);
    return 0;
}

/* Folds all that the references of the samples of turn `last`, the last of
 * theirs, look at. */
static void fold_samples(struct context_work *w, const struct lwfc_block *b, int last,
                         const uint8_t *symbols)
{
    for (int i = last + 1 - w->model->groups; i < last; i++) {
        const struct context_turn t = lwfc_context_turn_at(w, b, i);
        lwfc_context_fold_turn(w, b, &t, symbols);
    }
}

/* Writes below `out`; NULL if that would pass `floor`. */
static uint8_t *encode_turn(struct context_work *w, const struct lwfc_block *b,
                            const struct context_turn *t, const uint8_t *symbols, uint8_t *out,
                            const uint8_t *floor)
{
    for (int c = 0; c < t->chains; c++) {
        lwfc_context_gather(w, b, t, c, symbols);
        lwfc_context_references(w, t, c);
        for (size_t y = 0; y < w->height; y++) {
            lwfc_context_above(w, t, c, y);
        }
    }
    const size_t last = (w->width - 1) / LWFC_CONTEXT_PIECE * LWFC_CONTEXT_PIECE;
    for (size_t y = w->height; y-- > 0;) {
        for (size_t x = last + LWFC_CONTEXT_PIECE; x > 0; x -= LWFC_CONTEXT_PIECE) {
            const struct lwfc_context_piece p =
                lwfc_context_piece_at(w, t, y, x - LWFC_CONTEXT_PIECE);
            if (out - floor < CONTEXT_PIECE_MOST) {
                return NULL;
            }
            out = w->single ? lwfc_context_single_encode(w, t, &p, out)
                            : w->kernels->encode(w->states, &p, t->model, &w->model->scale, out);
        }
    }
    return out;
}

static uint8_t *write_head(struct context_work *w, const struct lwfc_block *b, int flags,
                           uint8_t *out)
{
    const int states = most_lanes(w->model);
    if (w->single) {
        out -= SINGLE_STATE;
        for (int i = 0; i < SINGLE_STATE; i++) {
            out[i] = (uint8_t)(w->state >> 8 * i);
        }
    } else {
        for (int s = w->samples - 1; s >= 0; s--) {
            for (int i = states - 1; i >= 0; i--) {
                out -= 2;
                lwfc_store_u16(out, lwfc_context_states(w, s)[i]);
            }
        }
    }
    if (flags & SILENT) {
        out -= mask_bytes(b);
        memset(out, 0, mask_bytes(b));
        for (int i = 0; i < b->channels; i++) {
            const int silent = w->live[lwfc_context_live_at(w, i)] == 0;
            out[i / 8] = (uint8_t)(out[i / 8] | silent << i % 8);
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
    struct context_work *const w = lwfc_context_work_make(workspace, block, model);
    const int flags = find_silent(w, block, symbols) ? SILENT : 0;
    uint8_t *p = out + capacity;
    for (int i = lwfc_context_turns(w, block); i-- > 0;) {
        const struct context_turn t = lwfc_context_turn_at(w, block, i);
        if (t.group + 1 == model->groups) {
            fold_samples(w, block, i, symbols);
        }
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
