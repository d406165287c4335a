/* Random, valid models of the context coder, for tests. */
#ifndef LWFC_TESTS_RANDOM_CONTEXT_MODEL_H
#define LWFC_TESTS_RANDOM_CONTEXT_MODEL_H

#include "base/bytes.h"
#include "kernels/lanes_step.h"
#include "random_u32.h"

static uint8_t *put(uint8_t *p, int v)
{
    *p = (uint8_t)v;
    return p + 1;
}

/* Random increments with partial sums inside -100..100. */
static uint8_t *put_increments(uint8_t *p, int count)
{
    for (int k = 0; k < count; k++) {
        p = put(p, between(-100 / count, 100 / count));
    }
    return p;
}

static uint8_t *put_weights(uint8_t *p, int levels)
{
    lwfc_store_u16(p, (uint16_t)between(-400, 400));
    p += 2;
    for (int i = 0; i < (levels > 2 ? 6 : 5); i++) {
        p = put(p, between(-128, 127));
    }
    p = put_increments(p, levels - 1);
    return put_increments(p, levels - 1);
}

static uint8_t *put_record(uint8_t *p, int levels, int scores, int slots)
{
    int bias = between(0, 127);
    for (int k = 1; k < levels; k++) {
        p = put(p, bias);
        bias -= between(0, 255 / levels);
        bias = bias < -128 ? -128 : bias;
    }
    p = put(p, between(0, 255));
    for (int i = 0; i < scores; i++) {
        p = put_weights(p, levels);
    }
    const int count = slots > 0 ? between(0, 20) : 0;
    p = put(p, count);
    for (int i = 0; i < count; i++) {
        lwfc_store_u16(p, (uint16_t)between(0, slots - 1));
        p = put(p + 2, between(0, 4));
        for (int j = 0; j < scores; j++) {
            /* Four of them must fit a signed byte. */
            p = put(p, between(-6, 6));
            p = put(p, between(-11, 11));
            p = levels > 2 ? put(p, between(-1, 1)) : p;
        }
    }
    return p;
}

/* A valid model of reversed channels; returns its size. */
static size_t make_model(uint8_t *blob, int levels, int channels)
{
    uint8_t *p = blob;
    p = put(p, 1);
    p = put(p, levels);
    const int scores = levels > 2 ? between(1, 2) : 1;
    p = put(p, scores);
    const int lanes = 8 << between(0, 2);
    p = put(p, lanes);
    p = put(p, between(0, 4));
    p = put(p, between(0, 2));
    lwfc_store_u16(p, (uint16_t)channels);
    p += 2;
    int link = 128;
    for (int i = 0; i < 32; i++) {
        p = put(p, link);
        link -= between(0, 9);
        link = link < levels - 1 ? levels - 1 : link;
    }
    for (int i = 0; i < channels; i++, p += 2) {
        lwfc_store_u16(p, (uint16_t)(channels - 1 - i));
    }
    const int first = (channels - 1) % lanes + 1;
    for (int slot = 0; slot < channels; slot++) {
        const int slots = slot < first ? 0 : first + (slot - first) / lanes * lanes;
        p = put_record(p, levels, scores, slots);
    }
    return (size_t)(p - blob);
}

#endif
