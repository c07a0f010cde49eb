// CRC-32 of IEEE 802.3, as zlib computes it; here because libpbit depends on nothing.
#ifndef PBIT_CRC32_H
#define PBIT_CRC32_H

#include <stddef.h>
#include <stdint.h>

uint32_t pbit_crc32(const uint8_t *bytes, size_t size);

#endif
