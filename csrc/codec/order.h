/* A block's symbols from and to an array of the tensor's shape in C order. */
#ifndef LWFC_CODEC_ORDER_H
#define LWFC_CODEC_ORDER_H

#include "container/geometry.h"

/* -1 if a symbol is not below `levels`. */
int lwfc_order_gather(const struct lwfc_geometry *geometry, const struct lwfc_region *region,
                      const uint8_t *array, int levels, uint8_t *block);

void lwfc_order_scatter(const struct lwfc_geometry *geometry, const struct lwfc_region *region,
                        const uint8_t *block, uint8_t *array);

#endif
