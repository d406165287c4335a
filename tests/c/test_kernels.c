/* The kernel tables of every SIMD level against the scalar ones, call by call:
 * rows of lanes on good and on damaged streams, and passes over floats. */
#include "cpu/cpu.h"
#include "kernels/convert.h"
#include "kernels/lanes.h"
#include "kernels/quantize.h"
#include "random_u32.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_WIDTH = 100, ROW = MAX_WIDTH * LWFC_LANES, STREAM = 2 * ROW + 64 };

static void random_bytes(uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        p[i] = (uint8_t)(random_u32() >> 8);
    }
}

/* Strictly rising thresholds in 1..255, close together or far apart. */
static void random_model(struct lwfc_lanes_model *m, int levels)
{
    memset(m, 0, sizeof *m);
    m->levels = levels;
    for (int i = 0; i < 16; i++) {
        m->left[i] = (uint8_t)(8 * between(0, 3));
        m->up[i] = (uint8_t)between(0, 7);
    }
    for (int i = 0; i < LWFC_LANES_CONTEXTS; i++) {
        int c = 0;
        for (int k = 0; k < levels - 1; k++) {
            const int most = 255 - (levels - 2 - k);
            c = between(c + 1, random_u32() % 2 ? most : c + 1 + (most - c - 1) / 4);
            m->threshold[k][i] = (uint8_t)c;
        }
    }
    lwfc_lanes_intervals(m);
}

static void random_columns(uint8_t *p, size_t width, int lanes, int levels)
{
    const uint32_t quiet = random_u32() % 4;
    for (size_t i = 0; i < width * LWFC_LANES; i++) {
        const uint32_t r = random_u32();
        const int used = (int)(i % LWFC_LANES) < lanes && r % 4 >= quiet;
        p[i] = used ? (uint8_t)((r >> 8) % (uint32_t)levels) : 0;
    }
}

static void random_states(uint16_t (*states)[LWFC_LANES], int least)
{
    for (int i = 0; i < LWFC_LANES_CHAINS * LWFC_LANES; i++) {
        states[i / LWFC_LANES][i % LWFC_LANES] = (uint16_t)between(least, 65535);
    }
}

/* The row of `r` decoded by both tables from the same bytes, to the same end. */
static void check_decode(const struct lwfc_lanes_kernels *k, const struct lwfc_lanes_model *m,
                         const struct lwfc_lanes_row *r, const uint8_t *in,
                         uint16_t (*states)[LWFC_LANES], uint8_t (*back)[2][ROW])
{
    const struct lwfc_lanes_kernels *const tables[2] = {lwfc_lanes_kernels_for(0), k};
    uint16_t after[2][LWFC_LANES_CHAINS][LWFC_LANES];
    const uint8_t *end[2];
    memset(back, 0xee, 2 * sizeof *back);
    for (int i = 0; i < 2; i++) {
        struct lwfc_lanes_row to = *r;
        to.row[0] = back[i][0];
        to.row[1] = back[i][1];
        memcpy(after[i], states, sizeof after[i]);
        end[i] = tables[i]->decode(after[i], m, &to, in);
    }
    assert(end[0] == end[1]);
    assert(memcmp(after[0], after[1], sizeof after[0]) == 0);
    assert(memcmp(back[0], back[1], sizeof back[0]) == 0);
}

static void check_row(const struct lwfc_lanes_kernels *k, int levels)
{
    static uint8_t above[2][ROW], row[2][ROW], stream[2][STREAM], back[2][2][ROW];
    static const int widths[] = {1, 2, 3, 5, 7, 14, 15, 28, 33, 64, 65, 97, 100};
    const struct lwfc_lanes_kernels *const tables[2] = {lwfc_lanes_kernels_for(0), k};
    struct lwfc_lanes_model m;
    uint16_t before[LWFC_LANES_CHAINS][LWFC_LANES];
    uint16_t states[2][LWFC_LANES_CHAINS][LWFC_LANES];
    uint8_t *out[2];
    struct lwfc_lanes_row r = {.above = {above[0], above[1]}, .row = {row[0], row[1]}};
    r.chains = between(1, 2);
    r.width = (size_t)widths[random_u32() % (sizeof widths / sizeof widths[0])];
    random_model(&m, levels);
    random_states(before, 256);
    for (int c = 0; c < 2; c++) {
        r.lanes[c] = random_u32() % 3 ? LWFC_LANES : between(0, LWFC_LANES);
        random_columns(above[c], r.width, r.lanes[c], levels);
        random_columns(row[c], r.width, r.lanes[c], levels);
    }
    for (int i = 0; i < 2; i++) {
        memcpy(states[i], before, sizeof before);
        out[i] = tables[i]->encode(states[i], &m, &r, stream[i] + STREAM - 32);
    }
    const size_t size = (size_t)(stream[0] + STREAM - 32 - out[0]);
    assert(size == (size_t)(stream[1] + STREAM - 32 - out[1]));
    assert(memcmp(out[0], out[1], size) == 0);
    assert(memcmp(states[0], states[1], sizeof states[0]) == 0);
    check_decode(k, &m, &r, out[0], states[0], back);
    for (int c = 0; c < r.chains; c++) {
        assert(memcmp(back[0][c], row[c], r.width * LWFC_LANES) == 0);
    }
    /* Damage in a stream, then nothing but noise in stream and states. */
    for (size_t i = 0; i < size; i += 1 + random_u32() % 64) {
        out[0][i] = (uint8_t)random_u32();
    }
    check_decode(k, &m, &r, out[0], states[0], back);
    random_bytes(stream[0], STREAM);
    random_states(before, 0);
    check_decode(k, &m, &r, stream[0], before, back);
    /* Codes of the contexts. */
    for (int i = 0; i < 2; i++) {
        memset(back[i][0], 0xee, ROW);
        tables[i]->contexts(back[i][0], above[0], row[0], r.width, levels);
    }
    assert(memcmp(back[0][0], back[1][0], ROW) == 0);
}

static void check_transposes(const struct lwfc_lanes_kernels *k)
{
    static uint8_t runs[LWFC_LANES][MAX_WIDTH], back[2][LWFC_LANES][MAX_WIDTH], columns[2][ROW];
    const struct lwfc_lanes_kernels *const tables[2] = {lwfc_lanes_kernels_for(0), k};
    const int lanes = random_u32() % 2 ? LWFC_LANES : between(0, LWFC_LANES);
    const size_t n = (size_t)between(1, MAX_WIDTH);
    const uint8_t *from[LWFC_LANES];
    uint8_t *to[LWFC_LANES];
    for (size_t lane = 0; lane < LWFC_LANES; lane++) {
        from[lane] = runs[lane];
        for (size_t i = 0; i < MAX_WIDTH; i++) {
            runs[lane][i] = (uint8_t)(random_u32() % 16);
        }
    }
    for (int i = 0; i < 2; i++) {
        memset(columns[i], 0xee, ROW);
        memset(back[i], 0xee, sizeof back[i]);
        tables[i]->gather(columns[i], from, lanes, n);
        for (int lane = 0; lane < LWFC_LANES; lane++) {
            to[lane] = back[i][lane];
        }
        tables[i]->scatter(to, columns[i], lanes, n);
    }
    assert(memcmp(columns[0], columns[1], ROW) == 0);
    assert(memcmp(back[0], back[1], sizeof back[0]) == 0);
    const uint8_t *const symbols = &runs[0][random_u32() % 20];
    const size_t count = random_u32() % 3000;
    assert(tables[0]->sum(symbols, count) == tables[1]->sum(symbols, count));
}

static float random_float(const float *thresholds, int count)
{
    static const float special[] = {0.0f,      -0.0f,      1e-45f,         -1e-42f, 3.402823466e38f,
                                    -3e38f, INFINITY, -INFINITY, NAN};
    const uint32_t kind = random_u32() % 16;
    if (kind == 0) {
        return special[random_u32() % (sizeof special / sizeof special[0])];
    }
    if (kind < 4) {
        return thresholds[random_u32() % (uint32_t)count];
    }
    return (float)between(-5000, 5000) * 0.01f;
}

static void check_moments(const struct lwfc_quantize_kernels *k, const float *x, size_t n)
{
    struct lwfc_moments m[2];
    lwfc_quantize_kernels_for(0)->moments(x, n, &m[0]);
    k->moments(x, n, &m[1]);
    assert(memcmp(&m[0], &m[1], sizeof m[0]) == 0);
}

static void check_floats(const struct lwfc_quantize_kernels *k, int count)
{
    enum { MOST = 300 };
    const struct lwfc_quantize_kernels *const tables[2] = {lwfc_quantize_kernels_for(0), k};
    float thresholds[255], values[256], x[MOST], y[2][MOST + 16];
    uint8_t symbols[2][MOST + 16];
    const size_t n = random_u32() % (MOST + 1);
    float next = (float)between(-200, 100) * 0.1f;
    for (int i = 0; i < count; i++) {
        thresholds[i] = next;
        next += 0.125f * (float)between(1, random_u32() % 2 ? 1 : 20);
    }
    for (int i = 0; i <= count; i++) {
        values[i] = random_float(thresholds, count);
    }
    for (size_t i = 0; i < MOST; i++) {
        x[i] = random_float(thresholds, count);
    }
    memset(symbols, 0xee, sizeof symbols);
    memset(y, 0xee, sizeof y);
    for (int i = 0; i < 2; i++) {
        tables[i]->quantize(x, n, thresholds, count, symbols[i]);
        tables[i]->dequantize(symbols[i], n, values, count + 1, y[i]);
    }
    assert(memcmp(symbols[0], symbols[1], sizeof symbols[0]) == 0);
    assert(memcmp(y[0], y[1], sizeof y[0]) == 0);
    const size_t from = random_u32() % 8; /* any alignment */
    memset(y, 0xee, sizeof y);
    for (int i = 0; i < 2; i++) {
        tables[i]->dequantize_stream(symbols[0], n, values, count + 1, y[i] + from);
    }
    assert(memcmp(y[0], y[1], sizeof y[0]) == 0);
    check_moments(k, x, n);
    for (size_t i = 0; i < MOST; i++) {
        x[i] = isfinite(x[i]) ? fabsf(x[i]) : -0.0f;
    }
    check_moments(k, x, n);
    assert(tables[1]->has_nonfinite(x, n) == 0);
    if (n > 0) {
        x[random_u32() % n] = random_u32() % 2 ? NAN : -INFINITY;
        assert(tables[0]->has_nonfinite(x, n) == 1 && tables[1]->has_nonfinite(x, n) == 1);
    }
    for (size_t i = 0; i < MOST; i++) {
        x[i] = random_u32() % 8 ? 0.0f : -0.0f;
    }
    check_moments(k, x, n);
}

/* A float of any bits, often near where rounding to a narrower type turns. */
static float float_of_bits(void)
{
    uint32_t bits = random_u32();
    switch (random_u32() % 4) {
    case 0:
        bits = (bits & 0xFFFF0000u) + 0x7FFEu + (bits & 3u);
        break;
    case 1:
        bits |= 0x7F800000u; /* infinite, or no number */
        bits &= random_u32() % 2 ? 0xFF800000u : 0xFFFFFFFFu;
        break;
    default:
        break;
    }
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void check_conversions(const struct lwfc_convert_kernels *k)
{
    enum { MOST = 70 };
    const struct lwfc_convert_kernels *const tables[2] = {lwfc_convert_kernels_for(0), k};
    for (int dtype = 0; dtype < LWFC_DTYPE_COUNT; dtype++) {
        if (!lwfc_dtype_known(dtype)) {
            continue;
        }
        const size_t n = (size_t)between(0, MOST);
        const size_t nbytes = lwfc_dtype_nbytes((enum lwfc_dtype)dtype);
        const ptrdiff_t stride = (ptrdiff_t)(nbytes * (size_t)between(1, 2));
        float x[MOST], back[2][MOST];
        for (size_t i = 0; i < n; i++) {
            x[i] = float_of_bits();
        }
        uint8_t stored[2][MOST * 16];
        for (int i = 0; i < 2; i++) {
            memset(stored[i], 7, sizeof stored[i]);
            tables[i]->store(x, n, (enum lwfc_dtype)dtype, stride, stored[i]);
        }
        assert(memcmp(stored[0], stored[1], sizeof stored[0]) == 0);
        for (int i = 0; i < 2; i++) {
            tables[i]->load(stored[0], stride, (enum lwfc_dtype)dtype, n, back[i]);
        }
        assert(memcmp(back[0], back[1], n * sizeof(float)) == 0);
    }
}

/* Bytes to floats and back; floats to the nearest byte, by the standard's rounding. */
static void check_bytes(const struct lwfc_convert_kernels *k, enum lwfc_dtype dtype)
{
    enum { MOST = 100 };
    const double least = dtype == LWFC_INT8 ? -128 : 0, most = least + 255;
    const size_t n = random_u32() % (MOST + 1);
    const ptrdiff_t stride = random_u32() % 2 ? 1 : 3;
    uint8_t in[3 * MOST], out[3 * MOST];
    float x[MOST];
    random_bytes(in, sizeof in);
    memset(out, 0xee, sizeof out);
    k->load(in, stride, dtype, n, x);
    k->store(x, n, dtype, stride, out);
    for (size_t i = 0; i < n; i++) {
        const uint8_t byte = in[(ptrdiff_t)i * stride];
        assert(x[i] == (dtype == LWFC_INT8 ? (float)(int8_t)byte : (float)byte));
        assert(out[(ptrdiff_t)i * stride] == byte);
        x[i] = random_u32() % 2 ? 0.5f * (float)between(-600, 600)
                                : random_float((const float[]){-1e9f, 254.5f, -127.5f}, 3);
    }
    k->store(x, n, dtype, stride, out);
    for (size_t i = 0; i < n; i++) {
        const double known = isnan(x[i]) ? least : (double)x[i];
        const double nearest = nearbyint(fmin(fmax(known, least), most));
        const uint8_t byte = out[(ptrdiff_t)i * stride];
        assert((dtype == LWFC_INT8 ? (double)(int8_t)byte : (double)byte) == nearest);
    }
    assert(stride == 1 || n < 2 || out[1] == 0xee);
}

int main(void)
{
    static const char *const names[] = {"avx2", NULL};
    for (int i = 0; i < 2; i++) {
        lwfc_cpu_limit(names[i]);
        const uint32_t features = lwfc_cpu_features();
        const struct lwfc_lanes_kernels *const lanes = lwfc_lanes_kernels_for(features);
        const struct lwfc_quantize_kernels *const quantize = lwfc_quantize_kernels_for(features);
        for (int levels = 2; levels <= 16; levels++) {
            for (int times = 0; times < 60; times++) {
                check_row(lanes, levels);
            }
        }
        for (int times = 0; times < 200; times++) {
            check_transposes(lanes);
        }
        for (int times = 0; times < 1000; times++) {
            check_floats(quantize, times % 20 < 18 ? 1 + times % 20 : between(1, 255));
            check_conversions(lwfc_convert_kernels_for(features));
        }
        for (int times = 0; times < 400; times++) {
            check_bytes(lwfc_convert_kernels_for(features), times % 2 ? LWFC_INT8 : LWFC_UINT8);
        }
        printf("kernels of %s ok\n", lwfc_cpu_name(features));
    }
    return 0;
}
