// Text from models, paths and data inside HTML, SVG, XML and Markdown.
#ifndef PBITC_MARKUP_H
#define PBITC_MARKUP_H

#include <stdint.h>
#include <stdio.h>

/// Stands for bytes that are no UTF-8 and for characters that XML 1.0 does not allow.
enum { PBITC_UTF8_REPLACEMENT = 0xfffd };

/// The next character of UTF-8 text; moves *text behind it. 0 at the end of the text.
uint32_t pbitc_utf8_next(const char **text);

/// Characters of the text, as pbitc_utf8_next counts them.
size_t pbitc_utf8_length(const char *text);

/// Writes text so that HTML and XML show it as it is, in elements as well as in quoted attributes.
void pbitc_markup_write(FILE *stream, const char *text);

/// Writes text so that a Markdown table cell shows it as it is, on one line.
void pbitc_markdown_write(FILE *stream, const char *text);

#endif
