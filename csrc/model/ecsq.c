/* Entropy-constrained quantizer design after Chou, Lookabaugh and Gray (1989)
 * with the paper's modification: the outer values stay at the ends of the
 * clipping range, so that clipped activations are not pulled inwards.
 *
 * Every pass lowers the Lagrangian  E(y - v_q)^2 + weight * E[length_q]  of the
 * clipped values: cells by the lower envelope, then values and lengths. */
#include "lwfc_model.h"
#include "model/law.h"

#include <float.h>
#include <math.h>

enum { LEVELS_MAX = LWFC_MODEL_LEVELS_MAX };

/* Where the integrals come from: the samples if there are any, else the law. */
struct source {
    const struct lwfc_samples *samples;
    struct lwfc_law law;
};

/* The state of one design: cell i is thresholds[i-1] <= y < thresholds[i]. */
struct state {
    int levels;
    double values[LEVELS_MAX];
    double lengths[LEVELS_MAX];
    double probabilities[LEVELS_MAX];
    double thresholds[LEVELS_MAX - 1];
};

static size_t count_below(const struct lwfc_samples *s, double t)
{
    size_t first = 0;
    size_t length = s->count;
    while (length > 0) {
        const size_t half = length / 2;
        if (s->sorted[first + half] < t) {
            first += half + 1;
            length -= half + 1;
        } else {
            length = half;
        }
    }
    return first;
}

/* out[k] = E[(y - centre)^k; from <= y < to]. */
static void integrate(const struct source *source, double from, double to, double centre,
                      double out[3])
{
    out[0] = out[1] = out[2] = 0.0;
    if (!(from < to)) {
        return;
    }
    const struct lwfc_samples *s = source->samples;
    if (s == NULL) {
        lwfc_law_integrate(&source->law, from, to, centre, out);
        return;
    }
    const size_t a = count_below(s, from);
    const size_t b = isinf(to) ? s->count : count_below(s, to);
    const double n = (double)s->count;
    const double mass = (double)(b - a);
    const double sum = s->sums[b] - s->sums[a];
    const double square = s->squares[b] - s->squares[a];
    out[0] = mass / n;
    out[1] = (sum - mass * centre) / n;
    out[2] = fmax(square - 2.0 * centre * sum + mass * centre * centre, 0.0) / n;
}

static void add_mass(double mass, double distance, double out[3])
{
    out[0] += mass;
    out[1] += mass * distance;
    out[2] += mass * distance * distance;
}

/* The same for the values clipped to lo .. hi. */
static void integrate_clipped(const struct source *source, const struct lwfc_ecsq_options *options,
                              double from, double to, double centre, double out[3])
{
    const double lo = options->lo;
    const double hi = options->hi;
    double outside[3];
    integrate(source, fmax(from, lo), fmin(to, hi), centre, out);
    if (from <= lo && lo < to) {
        integrate(source, -INFINITY, lo, lo, outside);
        add_mass(outside[0], lo - centre, out);
    }
    if (from <= hi && hi < to) {
        integrate(source, hi, INFINITY, hi, outside);
        add_mass(outside[0], hi - centre, out);
    }
}

/* The cells argmin_i (y - v_i)^2 + weight * length_i for increasing values.
 * A level without a cell is skipped, so its two thresholds coincide. */
static void assign_cells(struct state *state, double weight)
{
    int active[LEVELS_MAX];
    double cuts[LEVELS_MAX];
    int count = 0; /* cuts[k] separates active[k - 1] and active[k] */
    for (int j = 0; j < state->levels; j++) {
        if (isinf(state->lengths[j])) {
            continue;
        }
        int dominated = 0;
        double cut = -INFINITY;
        while (count > 0 && !dominated) {
            const int i = active[count - 1];
            const double gap = state->values[j] - state->values[i];
            const double dearer = state->lengths[j] - state->lengths[i];
            if (gap > 0.0) {
                cut = 0.5 * (state->values[i] + state->values[j]) + 0.5 * weight * dearer / gap;
                if (count == 1 || cut > cuts[count - 1]) {
                    break;
                }
            } else if (dearer >= 0.0) {
                dominated = 1;
                break;
            }
            count--;
        }
        if (!dominated) {
            active[count] = j;
            cuts[count] = cut;
            count++;
        }
    }
    int next = 0;
    for (int i = 0; i + 1 < state->levels; i++) {
        while (next < count && active[next] <= i) {
            next++;
        }
        state->thresholds[i] = next == 0 ? -INFINITY : next == count ? INFINITY : cuts[next];
    }
}

/* Values to the centroids and lengths to the probabilities of the cells; the
 * Lagrangian of the result. */
static double update_levels(const struct source *source, const struct lwfc_ecsq_options *options,
                            struct state *state)
{
    const int last = state->levels - 1;
    double distortion = 0.0;
    double rate = 0.0;
    for (int i = 0; i <= last; i++) {
        const double from = i == 0 ? -INFINITY : state->thresholds[i - 1];
        const double to = i == last ? INFINITY : state->thresholds[i];
        double moments[3];
        integrate_clipped(source, options, from, to, state->values[i], moments);
        const double p = moments[0];
        state->probabilities[i] = p;
        distortion += moments[2];
        if (p > 0.0 && !(options->pinned && (i == 0 || i == last))) {
            const double shift = moments[1] / p;
            state->values[i] += shift;
            distortion -= moments[1] * shift;
        }
        if (options->lengths == LWFC_LENGTHS_ENTROPY) {
            state->lengths[i] = p > 0.0 ? -log2(p) : INFINITY;
        }
        if (p > 0.0) {
            rate += p * state->lengths[i];
        }
    }
    return distortion + options->rate_weight * rate;
}

static double unary_length(int i, int levels)
{
    return i + 1 < levels ? i + 1 : levels - 1;
}

/* The levels with probability, as floats. One that stays alone gets the far
 * end of the range beside it, out of reach: streams need two levels. */
static void keep_levels(const struct lwfc_ecsq_options *options, const struct state *state,
                        struct lwfc_ecsq_design *design)
{
    int count = 0;
    int previous = -1;
    for (int i = 0; i < state->levels; i++) {
        if (!(state->probabilities[i] > 0.0)) {
            continue;
        }
        const float value = (float)state->values[i];
        if (count > 0) {
            const float threshold = (float)(0.5 * (state->thresholds[previous]
                                                   + state->thresholds[i - 1]));
            /* Levels that floats cannot tell apart are one. */
            if (value <= design->values[count - 1]
                || (count > 1 && threshold <= design->thresholds[count - 2])) {
                previous = i;
                continue;
            }
            design->thresholds[count - 1] = threshold;
        }
        design->values[count] = value;
        count++;
        previous = i;
    }
    if (count == 1) {
        const double value = design->values[0];
        if (value - options->lo < options->hi - value) {
            design->values[1] = (float)options->hi;
            design->thresholds[0] = FLT_MAX;
        } else {
            design->values[1] = design->values[0];
            design->values[0] = (float)options->lo;
            design->thresholds[0] = -FLT_MAX;
        }
        count = 2;
    }
    design->levels = count;
}

/* What the float design really does to the values before clipping. */
static void measure_design(const struct source *source, enum lwfc_lengths lengths,
                           struct lwfc_ecsq_design *design)
{
    const int last = design->levels - 1;
    design->rate = 0.0;
    design->distortion = 0.0;
    for (int i = 0; i <= last; i++) {
        const double from = i == 0 ? -INFINITY : design->thresholds[i - 1];
        const double to = i == last ? INFINITY : design->thresholds[i];
        double moments[3];
        integrate(source, from, to, design->values[i], moments);
        const double p = moments[0];
        design->probabilities[i] = p;
        design->distortion += moments[2];
        if (p > 0.0) {
            design->rate += p * (lengths == LWFC_LENGTHS_ENTROPY ? -log2(p)
                                                                 : unary_length(i, last + 1));
        }
    }
}

static int design_from(const struct source *source, const struct lwfc_ecsq_options *options,
                       struct lwfc_ecsq_design *design)
{
    struct state state;
    if (options->levels < 2 || options->levels > LEVELS_MAX || !(options->lo >= -FLT_MAX)
        || !(options->hi <= FLT_MAX) || !(options->lo < options->hi)
        || !(options->rate_weight >= 0.0) || isinf(options->rate_weight)
        || !(options->tolerance >= 0.0) || options->iterations_max < 1) {
        return LWFC_MODEL_ARGUMENT;
    }
    state.levels = options->levels;
    for (int i = 0; i < state.levels; i++) {
        state.values[i] = options->lo + i * (options->hi - options->lo) / (state.levels - 1);
        state.lengths[i] = options->lengths == LWFC_LENGTHS_ENTROPY ? log2(state.levels)
                                                                    : unary_length(i, state.levels);
    }
    state.values[state.levels - 1] = options->hi;
    double before = INFINITY;
    design->iterations = 0;
    while (design->iterations < options->iterations_max) {
        assign_cells(&state, options->rate_weight);
        design->lagrangian = update_levels(source, options, &state);
        design->iterations++;
        if (before - design->lagrangian <= options->tolerance * design->lagrangian) {
            break;
        }
        before = design->lagrangian;
    }
    keep_levels(options, &state, design);
    measure_design(source, options->lengths, design);
    return isfinite(design->lagrangian) ? LWFC_MODEL_OK : LWFC_MODEL_NO_FIT;
}

int lwfc_samples_design(const struct lwfc_samples *samples,
                        const struct lwfc_ecsq_options *options, struct lwfc_ecsq_design *design)
{
    struct source source = {.samples = samples};
    if (samples->count == 0) {
        return LWFC_MODEL_ARGUMENT;
    }
    return design_from(&source, options, design);
}

int lwfc_activation_design(const struct lwfc_activation *model,
                           const struct lwfc_ecsq_options *options,
                           struct lwfc_ecsq_design *design)
{
    struct source source = {.samples = NULL};
    lwfc_law_make(model, &source.law);
    return design_from(&source, options, design);
}
