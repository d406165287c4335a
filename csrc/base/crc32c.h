/* CRC-32C (Castagnoli; reflected polynomial 0x82F63B78, initial value and
 * final complement as in RFC 3720). */
#ifndef LWFC_BASE_CRC32C_H
#define LWFC_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of `prefix ++ data`, given `crc`, the checksum of the prefix
 * (0 for an empty one). */
uint32_t lwfc_crc32c(uint32_t crc, const uint8_t *data, size_t nbytes);

#endif
