/* A valid transform section with random contents. FORMAT.md, 14.1. */
#ifndef LWFC_TESTS_RANDOM_TRANSFORM_H
#define LWFC_TESTS_RANDOM_TRANSFORM_H

#include "base/bytes.h"
#include "random_u32.h"

struct random_section {
    int flags, height, width, channels, block_height, block_width;
    int matrices, most_columns;
    int loud; /* mantissas as large as can be, else a few steps of one */
};

static uint8_t *put_random(uint8_t *p, int count, int low, int high)
{
    while (count-- > 0) {
        *p++ = (uint8_t)between(low, high);
    }
    return p;
}

static uint8_t *put_matrix(uint8_t *p, const struct random_section *s, int columns)
{
    const int size = columns * s->channels, most = s->loud ? 127 : 9;
    *p++ = (uint8_t)between(0, 8);
    p = put_random(p, columns, s->loud ? 8 : 0, 8);
    p = put_random(p, size, -most, most);
    for (int k = 0; k < columns; k++, p += 4) {
        lwfc_store_f32(p, (float)between(1, 64) / (s->loud ? 64.0f : 262144.0f));
    }
    const int row = 65535 / s->channels;
    return put_random(p, size, row < 127 ? -row : -127, row < 127 ? row : 127);
}

/* Returns the bytes written. */
static size_t make_section(uint8_t *out, const struct random_section *s)
{
    static uint16_t columns[64 * 64];
    const int frequencies = s->block_height * s->block_width;
    uint8_t *p = out;
    *p++ = 1;
    *p++ = (uint8_t)s->flags;
    lwfc_store_u16(p, (uint16_t)s->height);
    lwfc_store_u16(p + 2, (uint16_t)s->width);
    lwfc_store_u32(p + 4, (uint32_t)s->channels);
    p += 8;
    *p++ = (uint8_t)s->block_height;
    *p++ = (uint8_t)s->block_width;
    *p++ = 5;
    *p++ = 4;
    *p++ = 2;
    *p++ = 0;
    /* Loud numbers leave 16 bits, others stay within them. */
    const float unit = s->loud ? 1.0f / 256 : 1.0f / 64;
    const float numbers[] = {unit, -3, 5, s->flags & 1 ? -1.5f : 0, s->flags & 1 ? 3.0f : 0};
    for (int i = 0; i < 5; i++, p += 4) {
        lwfc_store_f32(p, numbers[i]);
    }
    lwfc_store_u16(p, (uint16_t)s->matrices);
    p += 2;
    for (int f = 0; f < frequencies; f++, p += 2) {
        lwfc_store_u16(p, (uint16_t)(f % s->matrices));
    }
    int live = 0, groups = 0;
    for (int f = 0; f < frequencies; f++, p += 2) {
        const int most = s->most_columns < s->channels ? s->most_columns : s->channels;
        columns[f] = (uint16_t)(f % 3 == 2 ? 0 : between(0, most));
        lwfc_store_u16(p, columns[f]);
        live += columns[f];
        groups += (columns[f] + 15) / 16;
    }
    for (int m = 0; m < s->matrices; m++) {
        int most = 0;
        for (int f = m; f < frequencies; f += s->matrices) {
            most = columns[f] > most ? columns[f] : most;
        }
        p = put_matrix(p, s, most);
    }
    const int means = s->channels * (s->flags & 2 ? s->height * s->width : 1);
    for (int i = 0; i < means; i++, p += 2) {
        lwfc_store_u16(p, (uint16_t)(s->loud ? between(0, 1) * 65534 - 32767 : between(-90, 90)));
    }
    *p++ = groups > 0 ? 3 : 0;
    for (int top = 0; top < 3 && groups > 0; top++) {
        *p++ = (uint8_t)top;
        lwfc_store_u16(p, 20);
        p += 2;
        for (int v = 1; v <= top; v++, p += 2) {
            lwfc_store_u16(p, (uint16_t)between(1, 700));
        }
    }
    p = put_random(p, live, 0, 2);
    for (int g = 0; g < groups; g++, p += 2) {
        lwfc_store_u16(p, (uint16_t)between(1, 4095));
    }
    return (size_t)(p - out);
}

#endif
