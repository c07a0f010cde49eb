#include "converter/export/prefix.h"

#include "converter/file.h"

#include <stdio.h>
#include <string.h>

/// ASCII, whatever the locale.
static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

const char *pbitc_prefix_problem(const char *prefix)
{
    size_t length = strlen(prefix);
    for (size_t i = 0; i < length; i++)
        if (!is_letter(prefix[i]) && !is_digit(prefix[i]))
            return "it may hold letters, digits and '_' only";
    if (!length || is_digit(prefix[0]))
        return "it must begin with a letter";
    return length >= PBITC_EXPORT_PREFIX ? "it is longer than 47 characters" : NULL;
}

bool pbitc_prefix_is_among(const char *prefix, const char *words)
{
    char padded[PBITC_EXPORT_PREFIX + 2];
    snprintf(padded, sizeof(padded), " %s ", prefix);
    return strstr(words, padded) != NULL;
}

void pbitc_prefix_of_path(const char *path, char prefix[PBITC_EXPORT_PREFIX])
{
    const char *name = pbitc_path_name(path), *dot = strrchr(name, '.');
    size_t length = dot && dot != name ? (size_t)(dot - name) : strlen(name);
    if (length > PBITC_EXPORT_PREFIX - 1)
        length = PBITC_EXPORT_PREFIX - 1;
    for (size_t i = 0; i < length; i++)
        prefix[i] = is_letter(name[i]) || is_digit(name[i]) ? name[i] : '_';
    prefix[length] = 0;
}
