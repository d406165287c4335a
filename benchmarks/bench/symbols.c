/* Loops over the coders and kernels of csrc with memory made beforehand, and
 * joining for the peers; built and called by native.py. Not part of lwfc. */
#include "base/memory.h"
#include "cpu/cpu.h"
#include "entropy/cabac.h"
#include "entropy/context.h"
#include "entropy/pack.h"
#include "entropy/rans.h"
#include "kernels/quantize.h"

#include <string.h>

enum { BLOCK_SYMBOLS = 1 << 18, RANS = 0, CABAC = 1, CONTEXT = 2 };

/* A tensor cut as streams are: blocks of whole samples. */
struct bench {
    struct lwfc_block block; /* the usual one */
    int32_t samples;
    int levels, coder;
    size_t capacity;
    uint8_t *symbols, *out;
    void *workspace;
    size_t *sizes;
    struct lwfc_context_model model; /* of CONTEXT, in model_memory */
    void *model_memory;
};

void bench_close(struct bench *b)
{
    if (b != NULL) {
        lwfc_free(b->symbols);
        lwfc_free(b->out);
        lwfc_free(b->workspace);
        lwfc_free(b->sizes);
        lwfc_free(b->model_memory);
        lwfc_free(b);
    }
}

static struct lwfc_block nth(const struct bench *b, int32_t first)
{
    struct lwfc_block block = b->block;
    if (block.samples > b->samples - first) {
        block.samples = b->samples - first;
    }
    return block;
}

static int open_model(struct bench *b, const uint8_t *blob, size_t nbytes)
{
    b->model_memory = lwfc_alloc(lwfc_context_model_workspace(blob, nbytes));
    return b->model_memory == NULL ||
           lwfc_context_model_read(blob, nbytes, &b->model, b->model_memory);
}

/* blob: the context model of CONTEXT, else NULL. */
struct bench *bench_open(int coder, int32_t samples, int32_t channels, int32_t height,
                         int32_t width, int levels, const uint8_t *blob, size_t nbytes)
{
    struct bench *b = lwfc_alloc(sizeof *b);
    if (b == NULL) {
        return NULL;
    }
    const size_t sample = (size_t)channels * (size_t)height * (size_t)width;
    const int32_t fit = sample < BLOCK_SYMBOLS ? (int32_t)(BLOCK_SYMBOLS / sample) : 1;
    const int32_t step = coder == CONTEXT ? 2 : fit; /* pairs, as streams are cut */
    memset(b, 0, sizeof *b);
    if (coder == CONTEXT && open_model(b, blob, nbytes)) {
        bench_close(b);
        return NULL;
    }
    b->block = (struct lwfc_block){step < samples ? step : samples, channels, height, width};
    b->samples = samples;
    b->levels = levels;
    b->coder = coder;
    b->capacity = coder == RANS    ? lwfc_rans_bound(&b->block, levels)
                  : coder == CABAC ? lwfc_cabac_bound(&b->block, levels)
                                   : lwfc_context_bound(&b->block, levels);
    const size_t nblocks = ((size_t)samples + (size_t)b->block.samples - 1) / (size_t)b->block.samples;
    b->symbols = lwfc_alloc(lwfc_block_size(&b->block));
    b->out = lwfc_alloc(nblocks * b->capacity);
    b->workspace = lwfc_alloc(coder == CONTEXT ? lwfc_context_workspace(&b->block, &b->model)
                                               : lwfc_rans_workspace(&b->block, levels));
    b->sizes = lwfc_alloc(nblocks * sizeof *b->sizes);
    if (b->symbols == NULL || b->out == NULL || b->workspace == NULL || b->sizes == NULL) {
        bench_close(b);
        return NULL;
    }
    return b;
}

static size_t encode_block(struct bench *b, const uint8_t *symbols, const struct lwfc_block *block,
                           uint8_t *out)
{
    if (b->coder == CABAC) {
        return lwfc_cabac_encode(symbols, block, b->levels, out, b->capacity);
    }
    if (b->coder == CONTEXT) {
        return lwfc_context_encode(symbols, block, b->levels, &b->model, out, b->capacity,
                                   b->workspace);
    }
    return lwfc_rans_encode(symbols, block, b->levels, out, b->capacity, b->workspace);
}

static int decode_block(struct bench *b, const uint8_t *in, size_t nbytes,
                        const struct lwfc_block *block, uint8_t *symbols)
{
    if (b->coder == CABAC) {
        return lwfc_cabac_decode(in, nbytes, block, b->levels, symbols);
    }
    if (b->coder == CONTEXT) {
        return lwfc_context_decode(in, nbytes, block, b->levels, &b->model, symbols,
                                   b->workspace);
    }
    return lwfc_rans_decode(in, nbytes, block, b->levels, symbols, b->workspace);
}

/* `symbols` needs 64 readable and, to decode, writable bytes behind it. */
size_t bench_encode(struct bench *b, const uint8_t *symbols)
{
    uint8_t *out = b->out;
    size_t i = 0;
    for (int32_t first = 0; first < b->samples; first += b->block.samples) {
        const struct lwfc_block block = nth(b, first);
        b->sizes[i] = encode_block(b, symbols, &block, out);
        symbols += lwfc_block_size(&block);
        out += b->sizes[i++];
    }
    return (size_t)(out - b->out);
}

int bench_decode(struct bench *b, uint8_t *symbols)
{
    const uint8_t *in = b->out;
    int bad = 0;
    size_t i = 0;
    for (int32_t first = 0; first < b->samples; first += b->block.samples) {
        const struct lwfc_block block = nth(b, first);
        bad |= decode_block(b, in, b->sizes[i], &block, symbols);
        symbols += lwfc_block_size(&block);
        in += b->sizes[i++];
    }
    return bad;
}

/* Floats to bytes and back, block by block. */
size_t bench_encode_floats(struct bench *b, const float *x, const float *thresholds)
{
    const struct lwfc_quantize_kernels *k = lwfc_quantize_kernels_for(lwfc_cpu_features());
    uint8_t *out = b->out;
    size_t i = 0;
    for (int32_t first = 0; first < b->samples; first += b->block.samples) {
        const struct lwfc_block block = nth(b, first);
        k->quantize(x, lwfc_block_size(&block), thresholds, b->levels - 1, b->symbols);
        b->sizes[i] = encode_block(b, b->symbols, &block, out);
        x += lwfc_block_size(&block);
        out += b->sizes[i++];
    }
    return (size_t)(out - b->out);
}

int bench_decode_floats(struct bench *b, const float *values, float *y)
{
    const struct lwfc_quantize_kernels *k = lwfc_quantize_kernels_for(lwfc_cpu_features());
    const uint8_t *in = b->out;
    int bad = 0;
    size_t i = 0;
    for (int32_t first = 0; first < b->samples; first += b->block.samples) {
        const struct lwfc_block block = nth(b, first);
        bad |= decode_block(b, in, b->sizes[i], &block, b->symbols);
        k->dequantize(b->symbols, lwfc_block_size(&block), values, b->levels, y);
        y += lwfc_block_size(&block);
        in += b->sizes[i++];
    }
    return bad;
}

void bench_quantize(const float *x, size_t n, const float *thresholds, int count, uint8_t *symbols)
{
    lwfc_quantize_kernels_for(lwfc_cpu_features())->quantize(x, n, thresholds, count, symbols);
}

void bench_dequantize(const uint8_t *symbols, size_t n, const float *values, int levels, float *y)
{
    lwfc_quantize_kernels_for(lwfc_cpu_features())->dequantize(symbols, n, values, levels, y);
}

/* Joining for the peers: n is a multiple of 8, symbols are below 2^bits, bits
 * is 1, 2 or 4. Eight symbols in a 64-bit word; compilers make vectors of it. */
static void join1(const uint64_t *in, size_t words, uint8_t *out)
{
    for (size_t i = 0; i < words; i++) {
        uint64_t v = in[i];
        v |= v >> 7;
        v |= v >> 14;
        v |= v >> 28;
        out[i] = (uint8_t)v;
    }
}

static void join2(const uint64_t *in, size_t words, uint16_t *out)
{
    for (size_t i = 0; i < words; i++) {
        uint64_t v = in[i];
        v = (v | v >> 6) & 0x000F000F000F000Fu;
        v = (v | v >> 12) & 0x000000FF000000FFu;
        out[i] = (uint16_t)(v | v >> 24);
    }
}

static void join4(const uint64_t *in, size_t words, uint32_t *out)
{
    for (size_t i = 0; i < words; i++) {
        uint64_t v = in[i];
        v = (v | v >> 4) & 0x00FF00FF00FF00FFu;
        v = (v | v >> 8) & 0x0000FFFF0000FFFFu;
        out[i] = (uint32_t)(v | v >> 16);
    }
}

static void split1(const uint8_t *in, size_t words, uint64_t *out)
{
    for (size_t i = 0; i < words; i++) {
        uint64_t v = in[i];
        v = (v | v << 28) & 0x0000000F0000000Fu;
        v = (v | v << 14) & 0x0003000300030003u;
        out[i] = (v | v << 7) & 0x0101010101010101u;
    }
}

static void split2(const uint16_t *in, size_t words, uint64_t *out)
{
    for (size_t i = 0; i < words; i++) {
        uint64_t v = in[i];
        v = (v | v << 24) & 0x000000FF000000FFu;
        v = (v | v << 12) & 0x000F000F000F000Fu;
        out[i] = (v | v << 6) & 0x0303030303030303u;
    }
}

static void split4(const uint32_t *in, size_t words, uint64_t *out)
{
    for (size_t i = 0; i < words; i++) {
        uint64_t v = in[i];
        v = (v | v << 16) & 0x0000FFFF0000FFFFu;
        v = (v | v << 8) & 0x00FF00FF00FF00FFu;
        out[i] = (v | v << 4) & 0x0F0F0F0F0F0F0F0Fu;
    }
}

void bench_join(const void *symbols, size_t n, int bits, void *out)
{
    if (bits == 1) {
        join1(symbols, n / 8, out);
    } else if (bits == 2) {
        join2(symbols, n / 8, out);
    } else {
        join4(symbols, n / 8, out);
    }
}

void bench_split(const void *in, size_t n, int bits, void *symbols)
{
    if (bits == 1) {
        split1(in, n / 8, symbols);
    } else if (bits == 2) {
        split2(in, n / 8, symbols);
    } else {
        split4(in, n / 8, symbols);
    }
}

/* n additions of which each waits for the one before: a cycle each. */
uint64_t bench_ticks(uint64_t n)
{
    uint64_t x = 0;
    for (uint64_t i = 0; i < n; i++) {
        __asm__ volatile("" : "+r"(x));
        x += i;
    }
    return x;
}
