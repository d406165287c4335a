/* The only door to malloc. */
#ifndef LWFC_BASE_MEMORY_H
#define LWFC_BASE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* nbytes of uninitialised memory aligned to 64 bytes, with 64 readable and
 * writable bytes of slack behind it for whole-vector access; NULL if there is
 * none or nbytes passes PTRDIFF_MAX. nbytes 0 is allowed. */
void *lwfc_alloc(size_t nbytes);
void lwfc_free(void *p);

/* a * b, or SIZE_MAX if it overflows (which lwfc_alloc refuses). */
size_t lwfc_size_mul(size_t a, size_t b);
/* a + b, or SIZE_MAX if it overflows. */
size_t lwfc_size_add(size_t a, size_t b);

/* Places arrays one after the other in one piece of memory, each on a cache line and with
 * lwfc_alloc's slack behind it; with base NULL it only counts. */
struct lwfc_placer {
    uint8_t *base;
    size_t used;
};

/* The next `count` things of `size` bytes; NULL with base NULL. */
void *lwfc_place(struct lwfc_placer *p, size_t count, size_t size);

#endif
