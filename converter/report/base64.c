#include "converter/report/base64.h"

#include <stdlib.h>
#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *pbitc_base64_encode(const uint8_t *bytes, size_t size)
{
    char *text = malloc((size + 2) / 3 * 4 + 1), *out = text;
    for (size_t i = 0; text && i < size; i += 3) {
        size_t left = size - i;
        uint32_t group = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                         (left > 2 ? bytes[i + 2] : 0);
        *out++ = alphabet[group >> 18];
        *out++ = alphabet[group >> 12 & 63];
        *out++ = left > 1 ? alphabet[group >> 6 & 63] : '=';
        *out++ = left > 2 ? alphabet[group & 63] : '=';
    }
    if (text)
        *out = 0;
    return text;
}

bool pbitc_base64_decode(const char *text, uint8_t *bytes, size_t size)
{
    if (strlen(text) != (size + 2) / 3 * 4)
        return false;
    for (size_t i = 0; i < size; i += 3, text += 4) {
        size_t left = size - i;
        uint32_t group = 0;
        for (size_t j = 0; j < 4; j++) {
            bool padding = j > left;
            const char *place = padding ? alphabet : strchr(alphabet, text[j]);
            if (padding ? text[j] != '=' : !place)
                return false;
            group = group << 6 | (uint32_t)(place - alphabet);
        }
        bytes[i] = (uint8_t)(group >> 16);
        if (left > 1)
            bytes[i + 1] = (uint8_t)(group >> 8);
        if (left > 2)
            bytes[i + 2] = (uint8_t)group;
    }
    return true;
}
