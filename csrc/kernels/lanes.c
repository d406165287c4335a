#include "kernels/lanes.h"

#include "cpu/cpu.h"

#include <string.h>

#if LWFC_X86
#include "kernels/x86/lanes_avx2.h"
#include "kernels/x86/lanes_avx512.h"
#endif

void lwfc_lanes_intervals(struct lwfc_lanes_model *m)
{
    for (int i = 0; i < LWFC_LANES_CONTEXTS; i++) {
        unsigned start = 0;
        for (int k = 0; k < m->levels; k++) {
            const unsigned end = k + 1 < m->levels ? m->threshold[k][i] : 256;
            const unsigned freq = end > start ? end - start : 1;
            const unsigned recip = freq == 1 ? 65535 : 65536 / freq;
            m->start[k][i] = (uint8_t)start;
            m->freq[k][i] = (uint8_t)freq;
            m->recip_low[k][i] = (uint8_t)recip;
            m->recip_high[k][i] = (uint8_t)(recip >> 8);
            start = end;
        }
    }
}

static void gather_scalar(uint8_t *columns, const uint8_t *const *runs, int lanes, size_t n)
{
    memset(columns, 0, n * LWFC_LANES);
    for (int lane = 0; lane < lanes; lane++) {
        for (size_t i = 0; i < n; i++) {
            columns[i * LWFC_LANES + (size_t)lane] = runs[lane][i];
        }
    }
}

static void scatter_scalar(uint8_t *const *runs, const uint8_t *columns, int lanes, size_t n)
{
    for (int lane = 0; lane < lanes; lane++) {
        for (size_t i = 0; i < n; i++) {
            runs[lane][i] = columns[i * LWFC_LANES + (size_t)lane];
        }
    }
}

static uint32_t sum_scalar(const uint8_t *symbols, size_t n)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += symbols[i];
    }
    return sum;
}

/* Left code of the symbol in column x, symbols outside the row being 0. */
static int left_code(const uint8_t *row, size_t x, size_t lane, int levels)
{
    const int left = x >= 1 ? row[(x - 1) * LWFC_LANES + lane] : 0;
    const int left2 = x >= 2 ? row[(x - 2) * LWFC_LANES + lane] : 0;
    return lwfc_lanes_left(left, left2, levels);
}

static int sum_above(const uint8_t *above, size_t x, size_t width, size_t lane, int levels)
{
    const uint8_t *u = above + x * LWFC_LANES + lane;
    return lwfc_lanes_sum(x >= 1 ? u[-LWFC_LANES] : 0, *u, x + 1 < width ? u[LWFC_LANES] : 0,
                          levels);
}

static void contexts_scalar(uint8_t *codes, const uint8_t *above, const uint8_t *row, size_t width,
                            int levels)
{
    for (size_t x = 0; x < width; x++) {
        for (size_t lane = 0; lane < LWFC_LANES; lane++) {
            codes[x * LWFC_LANES + lane] =
                (uint8_t)(left_code(row, x, lane, levels) * 16 +
                          sum_above(above, x, width, lane, levels));
        }
    }
}

static size_t context_of(const struct lwfc_lanes_model *m, const uint8_t *above,
                         const uint8_t *row, size_t x, size_t width, size_t lane)
{
    const int left = left_code(row, x, lane, m->levels);
    const int sum = sum_above(above, x, width, lane, m->levels);
    return (size_t)((m->left[left] + m->up[sum]) & (LWFC_LANES_CONTEXTS - 1));
}

static const uint8_t *decode_scalar(uint16_t (*states)[LWFC_LANES],
                                    const struct lwfc_lanes_model *model,
                                    const struct lwfc_lanes_row *r, const uint8_t *in)
{
    for (size_t x = 0; x < r->width; x++) {
        for (int c = 0; c < r->chains; c++) {
            uint8_t *to = r->row[c] + x * LWFC_LANES;
            const size_t lanes = (size_t)r->lanes[c];
            for (size_t lane = 0; lane < lanes; lane++) {
                const size_t i = context_of(model, r->above[c], r->row[c], x, r->width, lane);
                to[lane] =
                    (uint8_t)lwfc_lane_decode(&states[c][lane], &model->threshold[0][i],
                                              LWFC_LANES_CONTEXTS, model->levels, &in);
            }
            memset(to + lanes, 0, LWFC_LANES - lanes);
        }
    }
    return in;
}

static uint8_t *encode_scalar(uint16_t (*states)[LWFC_LANES], const struct lwfc_lanes_model *model,
                              const struct lwfc_lanes_row *r, uint8_t *out)
{
    for (size_t x = r->width; x-- > 0;) {
        for (int c = r->chains; c-- > 0;) {
            for (size_t lane = (size_t)r->lanes[c]; lane-- > 0;) {
                const size_t i = context_of(model, r->above[c], r->row[c], x, r->width, lane);
                const int k = r->row[c][x * LWFC_LANES + lane];
                lwfc_lane_encode(&states[c][lane], model->start[k][i], model->freq[k][i], &out);
            }
        }
    }
    return out;
}

#if LWFC_NEON
#include "kernels/arm/lanes_neon.h" /* leaves short rows to the functions above */
#endif

const struct lwfc_lanes_kernels *lwfc_lanes_kernels_for(uint32_t features)
{
    static const struct lwfc_lanes_kernels scalar = {gather_scalar, scatter_scalar, sum_scalar,
                                                     contexts_scalar, decode_scalar,
                                                     encode_scalar};
#if LWFC_X86
    static const struct lwfc_lanes_kernels avx2 = {gather_avx2, scatter_avx2, sum_avx2,
                                                   contexts_avx2, decode_avx2, encode_avx2};
    static const struct lwfc_lanes_kernels avx512 = {gather_avx2, scatter_avx2, sum_avx2,
                                                     contexts_avx2, decode_avx512,
                                                     encode_avx512};
    if (features & LWFC_CPU_AVX512) {
        return &avx512;
    }
    if (features & LWFC_CPU_AVX2) {
        return &avx2;
    }
#elif LWFC_NEON
    static const struct lwfc_lanes_kernels neon = {gather_neon, scatter_neon, sum_neon,
                                                   contexts_neon, decode_neon, encode_neon};
    if (features & LWFC_CPU_NEON) {
        return &neon;
    }
#else
    (void)features;
#endif
    return &scalar;
}
