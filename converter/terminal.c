#include "converter/terminal.h"

#include <string.h>

void pbitc_terminal_text(FILE *stream, const char *text, size_t length, size_t width)
{
    for (size_t i = 0; i < length; i++)
        fputc((unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i], stream);
    fprintf(stream, "%*s", length < width ? (int)(width - length) : 0, "");
}

void pbitc_terminal_name(FILE *stream, const char *name, size_t width)
{
    pbitc_terminal_text(stream, name, strlen(name), width);
}
