#include "fit/ordinal.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "fit/columns.h"

enum {
    LANES = 8, /* sums side by side, which do not wait for one another */
    STEPS = 16,
    HALVINGS = 8,
    FRESH = 3, /* steps that take the curvature anew */
    CURVATURE_ROWS = 1536, /* curvature steers as well when taken from some of the rows */
    COARSE = 4,            /* the first steps take a quarter of the rows, if that leaves */
    COARSE_ROWS = 1024     /* as many */
};

static const double RIDGE = 10.0, BIAS_RIDGE = 0.02;
static const double GAIN = 1e-4; /* nats a row: what a further step must have gained */
static const float CURVE_MAX = 64.0F;

int lwfc_ordinal_side(int threshold, int levels)
{
    const int twice = levels - 2 - 2 * threshold;
    return (twice > 0) - (twice < 0);
}

static int size_of(const struct lwfc_ordinal *o)
{
    return o->scores * o->features + o->levels - 1;
}

size_t lwfc_ordinal_memory(struct lwfc_ordinal *o, void *base)
{
    const size_t d = (size_t)o->features, n = o->stride;
    const size_t size = 2 * d + LWFC_FIT_LEVELS_MAX;
    const size_t columns = d > LWFC_FIT_LEVELS_MAX ? d : LWFC_FIT_LEVELS_MAX;
    struct lwfc_placer p = {base, 0};
    o->x = lwfc_place(&p, d * n, sizeof *o->x);
    o->q = lwfc_place(&p, n, sizeof *o->q);
    o->theta = lwfc_place(&p, size, sizeof *o->theta);
    o->ridge = lwfc_place(&p, size, sizeof *o->ridge);
    o->step = lwfc_place(&p, size, sizeof *o->step);
    o->tried = lwfc_place(&p, size, sizeof *o->tried);
    o->hessian = lwfc_place(&p, size * size, sizeof *o->hessian);
    o->sums = lwfc_place(&p, columns * d, sizeof *o->sums);
    o->weights = lwfc_place(&p, d, sizeof *o->weights);
    o->score = lwfc_place(&p, n, sizeof *o->score);
    o->spread = lwfc_place(&p, n, sizeof *o->spread);
    o->upper = lwfc_place(&p, n, sizeof *o->upper);
    o->lower = lwfc_place(&p, n, sizeof *o->lower);
    o->slope = lwfc_place(&p, n, sizeof *o->slope);
    o->loss = lwfc_place(&p, n, sizeof *o->loss);
    o->curve = lwfc_place(&p, n, sizeof *o->curve);
    o->left = lwfc_place(&p, columns * n, sizeof *o->left);
    o->rounded = lwfc_place(&p, 5 * n, sizeof *o->rounded);
    o->above = lwfc_place(&p, n, sizeof *o->above);
    o->below = lwfc_place(&p, n, sizeof *o->below);
    return p.used;
}

/* Fills the rows' probabilities under theta; the sum of their logarithms, or -INFINITY
 * where thresholds cross and `least` lets no symbol be impossible. */
static double likelihood(struct lwfc_ordinal *o, const double *theta, size_t rows, float least)
{
    const int d = o->features;
    float edges[LWFC_FIT_LEVELS_MAX + 1], sides[LWFC_FIT_LEVELS_MAX + 1];
    edges[0] = 60.0F;
    edges[o->levels] = -60.0F;
    sides[0] = sides[o->levels] = 0.0F;
    for (int k = 1; k < o->levels; k++) {
        edges[k] = (float)theta[o->scores * d + k - 1];
        sides[k] = (float)lwfc_ordinal_side(k - 1, o->levels);
    }
    for (int i = 0; i < o->scores; i++) {
        for (int j = 0; j < d; j++) {
            o->weights[j] = (float)theta[i * d + j];
        }
        o->kernels->scores(o->x, o->stride, d, o->weights, lwfc_fit_blocks(rows),
                           i == 0 ? o->score : o->spread);
    }
    const struct lwfc_fit_link link = {
        o->q, o->score, o->scores > 1 ? o->spread : NULL, edges, sides, o->levels, least,
        o->upper, o->lower, o->slope, o->loss};
    if (o->kernels->link(&link, lwfc_fit_blocks(rows)) > 0 && least < 1e-20F) {
        return -INFINITY;
    }
    double sums[8] = {0};
    for (size_t r = 0; r < rows; r++) {
        sums[r % 8] += o->loss[r];
    }
    return sums[0] + sums[1] + sums[2] + sums[3] + sums[4] + sums[5] + sums[6] + sums[7];
}

double lwfc_ordinal_bits(struct lwfc_ordinal *o, size_t rows)
{
    return likelihood(o, o->theta, rows, 1.0F / 256) / -log(2.0);
}

static double value(struct lwfc_ordinal *o, const double *theta, size_t rows)
{
    double penalty = 0.0;
    for (int i = 0; i < size_of(o); i++) {
        penalty += o->ridge[i] * theta[i] * theta[i];
    }
    return likelihood(o, theta, rows, 1e-30F) - 0.5 * penalty;
}

/* 16-bit numbers x[r] * scale for r < rows, zeros to the end of the block. */
static void round_rows(const float *x, size_t rows, float scale, int16_t *out)
{
    const float nearest = 12582912.0F; /* what is added to it is rounded */
    for (size_t r = 0; r < rows; r++) {
        out[r] = (int16_t)(int32_t)((x[r] * scale + nearest) - nearest);
    }
    memset(out + rows, 0, (lwfc_fit_padded(rows) - rows) * sizeof *out);
}

/* The scale by which the largest magnitude becomes `most`. */
static float scale_to(float most, const float *x, size_t rows)
{
    float lanes[LANES] = {0}, largest = 1e-30F;
    size_t r = 0;
    for (; r + LANES <= rows; r += LANES) {
        for (int i = 0; i < LANES; i++) {
            const float size = fabsf(x[r + (size_t)i]);
            lanes[i] = size > lanes[i] ? size : lanes[i];
        }
    }
    for (; r < rows; r++) {
        const float size = fabsf(x[r]);
        largest = size > largest ? size : largest;
    }
    for (int i = 0; i < LANES; i++) {
        largest = lanes[i] > largest ? lanes[i] : largest;
    }
    return most / largest;
}

static void gradient(struct lwfc_ordinal *o, size_t rows, double *out)
{
    const int d = o->features, levels = o->levels;
    double upper[LANES][LWFC_FIT_LEVELS_MAX] = {{0}}, lower[LANES][LWFC_FIT_LEVELS_MAX] = {{0}};
    for (size_t r = 0; r < rows; r++) {
        upper[r % LANES][o->q[r]] += 1.0F - o->upper[r] + o->slope[r];
        lower[r % LANES][o->q[r]] += -o->lower[r] - o->slope[r];
    }
    for (int i = 0; i < o->scores; i++) {
        for (size_t r = 0; r < rows; r++) {
            const float a = i == 0 ? 1.0F : o->above[r], b = i == 0 ? 1.0F : o->below[r];
            o->curve[r] = a * (1.0F - o->upper[r]) - b * o->lower[r] + (a - b) * o->slope[r];
        }
        const float scale = scale_to(LWFC_FIT_LARGEST, o->curve, rows);
        round_rows(o->curve, rows, scale, o->left);
        o->kernels->dots(o->left, 1, o->x, d, 0, o->stride, lwfc_fit_blocks(rows), out + i * d);
        for (int j = 0; j < d; j++) {
            out[i * d + j] /= scale;
        }
    }
    for (int k = 1; k < levels; k++) {
        double *sum = out + o->scores * d + k - 1;
        *sum = 0.0;
        for (int i = 0; i < LANES; i++) {
            *sum += upper[i][k] + lower[i][k - 1];
        }
    }
    for (int i = 0; i < size_of(o); i++) {
        out[i] -= o->ridge[i] * o->theta[i];
    }
}

/* Adds to a block of the Hessian the features' products weighted by `weight` / scale. */
static void add_products(struct lwfc_ordinal *o, size_t rows, const int16_t *weight, float scale,
                         double *block)
{
    const int d = o->features, size = size_of(o), last = d - 1;
    const size_t padded = lwfc_fit_padded(rows);
    const int16_t *activity = o->x + (size_t)last * o->stride;
    for (int j = 0; j < last; j++) {
        const int16_t *x = o->x + (size_t)j * o->stride;
        int16_t *left = o->left + (size_t)j * o->stride;
        for (size_t r = 0; r < padded; r++) {
            left[r] = (int16_t)(weight[r] * x[r]);
        }
    }
    o->kernels->dots(o->left, last, o->x, d, 1, o->stride, lwfc_fit_blocks(rows), o->sums);
    int64_t squares = 0;
    for (size_t r = 0; r < rows; r++) {
        squares += weight[r] * activity[r] * activity[r];
    }
    for (int j = 0; j < d; j++) {
        for (int k = j; k < d; k++) {
            const double sum = (j == last ? (double)squares : o->sums[j * d + k]) / scale;
            block[j * size + k] += sum;
            block[k * size + j] += j == k ? 0.0 : sum;
        }
    }
}

/* Adds to the thresholds' rows of the Hessian the sums of features over the rows that take
 * part in them: those of the symbol above with the first weight, below with the second. */
static void add_crossings(struct lwfc_ordinal *o, size_t rows, const int16_t *above,
                          const int16_t *below, float scale, double *block)
{
    const int d = o->features, size = size_of(o), thresholds = o->levels - 1;
    for (int k = 0; k < thresholds; k++) {
        int16_t *left = o->left + (size_t)k * o->stride;
        for (size_t r = 0; r < lwfc_fit_padded(rows); r++) {
            left[r] = o->q[r] == k + 1 ? above[r] : o->q[r] == k ? below[r] : 0;
        }
    }
    o->kernels->dots(o->left, thresholds, o->x, d, 0, o->stride, lwfc_fit_blocks(rows), o->sums);
    for (int k = 0; k < thresholds; k++) {
        for (int j = 0; j < d; j++) {
            block[k * size + j] += o->sums[k * d + j] / scale;
        }
    }
}

/* Of each row's negative Hessian in its two logits, [a + c, -c; -c, b + c], the numbers a, b
 * and c in 16 bits, each not below 0: so is no eigenvalue of what is made of them. */
struct curves {
    int16_t *a, *b, *c, *weight, *other;
    float scale, scale_c;
};

static struct curves row_curves(struct lwfc_ordinal *o, size_t rows)
{
    struct curves v = {.a = o->rounded};
    const float most = LWFC_FIT_LARGEST / (float)(o->levels - 1);
    v.b = v.a + o->stride;
    v.c = v.b + o->stride;
    v.weight = v.c + o->stride;
    v.other = v.weight + o->stride;
    float *a = o->score, *b = o->loss; /* no longer needed */
    for (size_t r = 0; r < rows; r++) {
        const float c = o->slope[r] * (1.0F + o->slope[r]);
        a[r] = o->upper[r] * (1.0F - o->upper[r]);
        b[r] = o->lower[r] * (1.0F - o->lower[r]);
        o->curve[r] = c > CURVE_MAX ? CURVE_MAX : c;
    }
    const float of_a = scale_to(0.5F * most, a, rows), of_b = scale_to(0.5F * most, b, rows);
    v.scale = of_a < of_b ? of_a : of_b;
    v.scale_c = scale_to(0.25F * most, o->curve, rows);
    round_rows(a, rows, v.scale, v.a);
    round_rows(b, rows, v.scale, v.b);
    round_rows(o->curve, rows, v.scale_c, v.c);
    return v;
}

/* The spread's blocks; it moves the logits of a row by `above` and `below` times itself. */
static void spread_curvature(struct lwfc_ordinal *o, size_t rows, const struct curves *v)
{
    const int d = o->features, size = size_of(o);
    const size_t padded = lwfc_fit_padded(rows);
    double *products = o->hessian + d * size + d, *crossings = o->hessian + 2 * d * size + d;
    const int16_t *s = o->above, *t = o->below;
    for (size_t r = 0; r < padded; r++) {
        v->weight[r] = (int16_t)(s[r] * v->a[r] + t[r] * v->b[r]);
    }
    add_products(o, rows, v->weight, v->scale, o->hessian + d * size);
    for (size_t r = 0; r < padded; r++) {
        v->weight[r] = (int16_t)(s[r] * s[r] * v->a[r] + t[r] * t[r] * v->b[r]);
    }
    add_products(o, rows, v->weight, v->scale, products);
    for (size_t r = 0; r < padded; r++) {
        v->weight[r] = (int16_t)((s[r] - t[r]) * (s[r] - t[r]) * v->c[r]);
    }
    add_products(o, rows, v->weight, v->scale_c, products);
    for (size_t r = 0; r < padded; r++) {
        v->weight[r] = (int16_t)(s[r] * v->a[r]);
        v->other[r] = (int16_t)(t[r] * v->b[r]);
    }
    add_crossings(o, rows, v->weight, v->other, v->scale, crossings);
    for (size_t r = 0; r < padded; r++) {
        v->weight[r] = (int16_t)((s[r] - t[r]) * v->c[r]);
        v->other[r] = (int16_t)-v->weight[r];
    }
    add_crossings(o, rows, v->weight, v->other, v->scale_c, crossings);
}

/* The negative Hessian, its lower triangle, from the first `rows` rows for `all`. */
static void curvature(struct lwfc_ordinal *o, size_t rows, size_t all)
{
    const int levels = o->levels, size = size_of(o), first = o->scores * o->features;
    const struct curves v = row_curves(o, rows);
    double *h = o->hessian;
    memset(h, 0, (size_t)size * (size_t)size * sizeof *h);
    for (size_t r = 0; r < lwfc_fit_padded(rows); r++) {
        v.weight[r] = (int16_t)(v.a[r] + v.b[r]);
    }
    add_products(o, rows, v.weight, v.scale, h);
    add_crossings(o, rows, v.a, v.b, v.scale, h + first * size);
    if (o->scores > 1) {
        spread_curvature(o, rows, &v);
    }
    int64_t sums[LANES][LWFC_FIT_LEVELS_MAX][3] = {{{0}}};
    for (size_t r = 0; r < rows; r++) {
        int64_t *sum = sums[r % LANES][o->q[r]];
        sum[0] += v.a[r];
        sum[1] += v.b[r];
        sum[2] += v.c[r];
    }
    for (int q = 0; q < levels; q++) {
        int64_t all_of[3] = {0};
        for (int i = 0; i < LANES; i++) {
            for (int j = 0; j < 3; j++) {
                all_of[j] += sums[i][q][j];
            }
        }
        const double c = (double)all_of[2] / v.scale_c;
        double *at = h + (first + q) * size + first + q;
        if (q > 0) {
            at[-size - 1] += (double)all_of[0] / v.scale + c;
        }
        if (q + 1 < levels) {
            at[0] += (double)all_of[1] / v.scale + c;
        }
        if (q > 0 && q + 1 < levels) {
            at[-1] -= c;
        }
    }
    for (int i = 0; i < size; i++) {
        for (int j = 0; j <= i; j++) {
            h[i * size + j] *= (double)all / (double)rows;
        }
        h[i * size + i] += o->ridge[i];
    }
}

/* Cholesky's decomposition of the lower triangle, in place, and its transpose above it. */
static void factorize(double *h, int size)
{
    for (int j = 0; j < size; j++) {
        double *row = h + j * size;
        row[j] = sqrt(fmax(row[j], 1e-9));
        for (int i = j + 1; i < size; i++) {
            h[i * size + j] /= row[j];
            row[i] = h[i * size + j]; /* the column once more, as a row */
        }
        for (int i = j + 1; i < size; i++) {
            const double factor = row[i];
            double *to = h + i * size;
            for (int k = j + 1; k <= i; k++) {
                to[k] -= factor * row[k];
            }
        }
    }
}

/* Solves factors * x = x: of a gradient x the step. Returns what the step should gain. */
static double solve(const double *h, int size, double *x)
{
    double squares = 0.0;
    for (int j = 0; j < size; j++) {
        const double *row = h + j * size;
        x[j] /= row[j];
        squares += x[j] * x[j];
        for (int i = j + 1; i < size; i++) {
            x[i] -= row[i] * x[j];
        }
    }
    for (int i = size - 1; i >= 0; i--) {
        for (int k = i + 1; k < size; k++) {
            x[i] -= h[i * size + k] * x[k];
        }
        x[i] /= h[i * size + i];
    }
    return 0.5 * squares;
}

/* No weights, and the frequencies of the symbols. */
static void start(struct lwfc_ordinal *o, size_t rows)
{
    const int first = o->scores * o->features;
    double counts[LWFC_FIT_LEVELS_MAX];
    for (int k = 0; k < o->levels; k++) {
        counts[k] = 0.5;
    }
    for (size_t r = 0; r < rows; r++) {
        counts[o->q[r]] += 1.0;
    }
    const double total = (double)rows + 0.5 * o->levels;
    double above = total;
    memset(o->theta, 0, (size_t)first * sizeof *o->theta);
    for (int k = 0; k + 1 < o->levels; k++) {
        above -= counts[k];
        o->theta[first + k] = log(above / (total - above));
    }
}

/* Steps of Newton's method, halved until they gain. */
static void climb(struct lwfc_ordinal *o, size_t rows)
{
    const double least = GAIN * (double)rows;
    const int size = size_of(o);
    const size_t wanted = 16 * (size_t)o->features;
    const size_t some = wanted > CURVATURE_ROWS ? wanted : CURVATURE_ROWS;
    double now = value(o, o->theta, rows);
    if (!isfinite(now)) { /* thresholds of fewer rows cross on another */
        start(o, rows);
        now = value(o, o->theta, rows);
    }
    for (int i = 0; i < STEPS; i++) {
        gradient(o, rows, o->step);
        if (i < FRESH) { /* later steps are so short that it hardly changes */
            curvature(o, rows < some ? rows : some, rows);
            factorize(o->hessian, size);
        }
        if (solve(o->hessian, size, o->step) < least) { /* the last one: not looked at again */
            for (int j = 0; j < size; j++) {
                o->theta[j] += o->step[j];
            }
            break;
        }
        double factor = 1.0, next = -INFINITY;
        for (int halving = 0; halving < HALVINGS && !(next >= now); halving++, factor *= 0.5) {
            for (int j = 0; j < size; j++) {
                o->tried[j] = o->theta[j] + factor * o->step[j];
            }
            next = value(o, o->tried, rows);
        }
        if (!(next >= now)) {
            break;
        }
        const double gained = next - now;
        memcpy(o->theta, o->tried, (size_t)size * sizeof *o->theta);
        now = next;
        if (gained < least) {
            break;
        }
    }
}

/* Ridges in proportion to each feature's variance. */
static void penalize(struct lwfc_ordinal *o, size_t rows)
{
    const int d = o->features;
    for (int j = 0; j < d; j++) {
        const int16_t *x = o->x + (size_t)j * o->stride;
        int64_t sum = 0, squares = 0;
        for (size_t r = 0; r < rows; r++) {
            sum += x[r];
            squares += x[r] * x[r];
        }
        const double mean = (double)sum / (double)rows;
        const double least = j == d - 1 ? 0.02 * 256 : 0.02;
        const double ridge = RIDGE * ((double)squares / (double)rows - mean * mean + least);
        for (int i = 0; i < o->scores; i++) {
            o->ridge[i * d + j] = ridge * (1 + i);
        }
    }
    for (int k = 0; k + 1 < o->levels; k++) {
        o->ridge[o->scores * d + k] = BIAS_RIDGE;
    }
}

/* Which way the spread moves the two logits of each row. */
static void take_sides(struct lwfc_ordinal *o, size_t rows)
{
    for (size_t r = 0; r < lwfc_fit_padded(rows); r++) {
        const int q = o->q[r];
        o->above[r] = (int16_t)(q > 0 ? lwfc_ordinal_side(q - 1, o->levels) : 0);
        o->below[r] = (int16_t)(q + 1 < o->levels ? lwfc_ordinal_side(q, o->levels) : 0);
    }
}

void lwfc_ordinal_fit(struct lwfc_ordinal *o, size_t rows)
{
    start(o, rows);
    penalize(o, rows);
    if (o->scores > 1) {
        take_sides(o, rows);
    }
    if (rows >= COARSE * COARSE_ROWS) {
        climb(o, rows / COARSE);
    }
    climb(o, rows);
}
