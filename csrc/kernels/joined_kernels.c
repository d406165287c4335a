#include "kernels/joined_kernels.h"

#include "base/attributes.h"
#include "base/bytes.h"
#include "cpu/cpu.h"
#if LWFC_X86 && defined(__x86_64__)
#include "kernels/x86/joined_x86.h"
#endif

/* A little-endian number with symbol i in byte i, times the number with
 * levels^(k-1-j) in byte j, has the joined value in byte k-1; no byte below
 * overflows because every partial sum is less than levels^k <= 256. */
static void pack(const uint8_t *symbols, size_t count, int levels, int k, uint8_t *joined)
{
    if (k == 1) {
        memcpy(joined, symbols, count);
        return;
    }
    uint64_t weights = 0;
    uint64_t power = 1;
    for (int i = k - 1; i >= 0; i--) {
        weights |= power << (8 * i);
        power *= (uint64_t)levels;
    }
    const uint64_t mask = ~UINT64_C(0) >> (64 - 8 * k);
    for (size_t j = 0; j < count; j++) {
        const uint64_t group = lwfc_load_u64(symbols + j * (size_t)k) & mask;
        joined[j] = (uint8_t)((group * weights) >> (8 * (k - 1)));
    }
}

static void unpack(const uint8_t *joined, size_t count, int levels, int k,
                   const uint8_t *digits, uint8_t *symbols)
{
    (void)levels;
    if (k == 1) {
        memcpy(symbols, joined, count);
        return;
    }
    for (size_t j = 0; j < count; j++) {
        memcpy(symbols + j * (size_t)k, digits + 8 * (size_t)joined[j], 8);
    }
}

/* Eight counters a value, so that runs of one value do not wait for their own
 * stores. */
static void histogram(const uint8_t *joined, size_t count, uint32_t *scratch, uint32_t *counts)
{
    memset(scratch, 0, 8 * 256 * sizeof *scratch);
    size_t j = 0;
    for (; j + 8 <= count; j += 8) {
        const uint64_t v = lwfc_load_u64(joined + j);
        for (int i = 0; i < 8; i++) {
            scratch[8 * (v >> (8 * i) & 255) + (uint64_t)i]++;
        }
    }
    for (; j < count; j++) {
        scratch[8 * (size_t)joined[j]]++;
    }
    for (size_t v = 0; v < 256; v++) {
        counts[v] = 0;
        for (size_t i = 0; i < 8; i++) {
            counts[v] += scratch[8 * v + i];
        }
    }
}

static size_t collect(const uint8_t *joined, size_t count, const uint8_t *rare, uint8_t *out)
{
    size_t found = 0;
    for (size_t j = 0; j < count; j++) {
        out[found] = joined[j];
        found += rare[joined[j]];
    }
    return found;
}

static uint8_t *encode(uint32_t *states, const struct lwfc_joined_record *records,
                       const uint8_t *joined, size_t rows, int lanes, uint8_t *end)
{
    uint8_t *p = end;
    while (rows-- > 0) {
        const uint8_t *const row = joined + rows * (size_t)lanes;
        for (int lane = lanes - 1; lane >= 0; lane--) {
            const struct lwfc_joined_record r = records[row[lane]];
            const uint32_t frequency = r.bits & 0xFFF;
            uint32_t x = states[lane];
            if ((x >> 19) >= frequency) {
                p -= 2;
                lwfc_store_u16(p, (uint16_t)x);
                x >>= 16;
            }
            const uint32_t q = (uint32_t)((x * (uint64_t)r.reciprocal) >> 32) >> (r.bits >> 25);
            states[lane] = x + ((r.bits >> 12) & 0x1FFF) + q * (LWFC_JOINED_SLOTS - frequency);
        }
    }
    return p;
}

static const uint8_t *decode(uint32_t *states, const uint32_t *table, const uint8_t *position,
                             const uint8_t *limit, size_t *rows, int lanes, uint8_t *joined)
{
    const uint8_t *p = position;
    size_t left = *rows;
    while (left > 0 && p <= limit) {
        for (int lane = 0; lane < lanes; lane++) {
            const uint32_t x = states[lane];
            const uint32_t entry = table[x & (LWFC_JOINED_SLOTS - 1)];
            uint32_t y = (entry & 0xFFF) * (x >> LWFC_JOINED_BITS) + ((entry >> 12) & 0xFFF);
            const int more = y < LWFC_JOINED_STATE;
            const uint32_t renormalised = y << 16 | lwfc_load_u16(p);
            y = more ? renormalised : y;
            p += 2 * more;
            joined[lane] = (uint8_t)(entry >> 24);
            states[lane] = y;
        }
        joined += lanes;
        left--;
    }
    *rows = left;
    return p;
}

const struct lwfc_joined_kernels lwfc_joined_scalar = {
    pack, unpack, histogram, collect, encode, decode
};

const struct lwfc_joined_kernels *lwfc_joined_kernels_for(uint32_t features)
{
#if LWFC_X86 && defined(__x86_64__)
    if (features & LWFC_CPU_AVX512) {
        return &lwfc_joined_avx512;
    }
    if (features & LWFC_CPU_AVX2) {
        return &lwfc_joined_avx2;
    }
#endif
    (void)features;
    return &lwfc_joined_scalar;
}
