#include "converter/report/markup.h"

#include <ctype.h>
#include <string.h>

/// Bytes of the sequence that `lead` opens, 0 when it opens none, and the bits that it holds itself.
static int sequence_length(unsigned char lead, uint32_t *bits)
{
    static const struct {
        unsigned char mask, pattern;
    } forms[] = {{0x80, 0x00}, {0xe0, 0xc0}, {0xf0, 0xe0}, {0xf8, 0xf0}};
    for (int i = 0; i < 4; i++) {
        if ((lead & forms[i].mask) == forms[i].pattern) {
            *bits = (uint32_t)lead & (unsigned char)~forms[i].mask;
            return i + 1;
        }
    }
    return 0;
}

static int is_allowed(uint32_t character, int length)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (character < smallest[length] || character > 0x10ffff || (character >= 0xd800 && character < 0xe000))
        return 0;
    if (character < 0x20)
        return character == '\t' || character == '\n' || character == '\r';
    return character != 0x7f && (character & 0xfffe) != 0xfffe;
}

uint32_t pbitc_utf8_next(const char **text)
{
    const unsigned char *bytes = (const unsigned char *)*text;
    uint32_t character = 0;
    if (!*bytes)
        return 0;
    int length = sequence_length(*bytes, &character);
    for (int i = 1; i < length; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            length = 0;
        else
            character = character << 6 | (bytes[i] & 0x3f);
    }
    *text += length ? length : 1;
    return length && is_allowed(character, length) ? character : PBITC_UTF8_REPLACEMENT;
}

size_t pbitc_utf8_length(const char *text)
{
    size_t length = 0;
    while (pbitc_utf8_next(&text))
        length++;
    return length;
}

static void write_character(FILE *stream, uint32_t character, const char *start, const char *end)
{
    if (character == PBITC_UTF8_REPLACEMENT)
        fputs("\xef\xbf\xbd", stream);
    else
        fwrite(start, 1, (size_t)(end - start), stream);
}

void pbitc_markup_write(FILE *stream, const char *text)
{
    const char *start = text;
    for (uint32_t character; (character = pbitc_utf8_next(&text)); start = text) {
        switch (character) {
        case '&':
            fputs("&amp;", stream);
            break;
        case '<':
            fputs("&lt;", stream);
            break;
        case '>':
            fputs("&gt;", stream);
            break;
        case '"':
            fputs("&quot;", stream);
            break;
        case '\'':
            fputs("&#39;", stream);
            break;
        default:
            write_character(stream, character, start, text);
        }
    }
}

/// Characters that would start markup where they stand: an underscore between letters does not.
static int is_special(uint32_t before, uint32_t character, int after)
{
    if (character == '_')
        return !(before < 0x80 && isalnum((int)before) && isalnum(after));
    return character < 0x80 && strchr("\\`*[]|~", (int)character) != NULL;
}

void pbitc_markdown_write(FILE *stream, const char *text)
{
    const char *start = text;
    uint32_t before = ' ';
    for (uint32_t character; (character = pbitc_utf8_next(&text)); start = text) {
        if (character == '\n' || character == '\r' || character == '\t')
            fputc(' ', stream);
        else if (character == '<' || character == '&' || character == '@' ||
                 (character == ':' && *text == '/'))
            fprintf(stream, "&#%u;", (unsigned)character); // no tags, entities, mentions, links
        else if (is_special(before, character, (unsigned char)*text))
            fprintf(stream, "\\%c", (int)character);
        else
            write_character(stream, character, start, text);
        before = character;
    }
}
