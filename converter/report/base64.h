// Bytes and small numbers as base64 text (RFC 4648, with padding).
#ifndef PBITC_BASE64_H
#define PBITC_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// malloc'ed text; NULL when out of memory.
char *pbitc_base64_encode(const uint8_t *bytes, size_t size);

/// Fills bytes[size]; false when the text is no base64 of exactly so many bytes.
bool pbitc_base64_decode(const char *text, uint8_t *bytes, size_t size);

#endif
