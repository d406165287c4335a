#include "base/memory.h"

#include <stdlib.h>

enum { ALIGNMENT = 64, SLACK = 64 };

size_t lwfc_size_mul(size_t a, size_t b)
{
    return (a != 0 && b > SIZE_MAX / a) ? SIZE_MAX : a * b;
}

size_t lwfc_size_add(size_t a, size_t b)
{
    return (b > SIZE_MAX - a) ? SIZE_MAX : a + b;
}

/* The block's own address sits just below the aligned one: aligned_alloc is
 * missing from some C libraries this builds with. */
void *lwfc_alloc(size_t nbytes)
{
    if (nbytes > PTRDIFF_MAX - ALIGNMENT - SLACK - sizeof(void *)) {
        return NULL;
    }
    void *block = malloc(nbytes + ALIGNMENT + SLACK + sizeof(void *));
    if (block == NULL) {
        return NULL;
    }
    uintptr_t address = (uintptr_t)block + sizeof(void *) + ALIGNMENT - 1;
    address -= address % ALIGNMENT;
    ((void **)address)[-1] = block;
    return (void *)address;
}

void lwfc_free(void *p)
{
    if (p != NULL) {
        free(((void **)p)[-1]);
    }
}

void *lwfc_place(struct lwfc_placer *p, size_t count, size_t size)
{
    void *at = p->base != NULL ? p->base + p->used : NULL;
    p->used += (count * size + SLACK + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return at;
}
