// Text out of files, on a terminal.
#ifndef PBITC_TERMINAL_H
#define PBITC_TERMINAL_H

#include <stddef.h>
#include <stdio.h>

/// Prints `text` with control characters replaced, so that they cannot steer the terminal; padded to `width`
/// bytes.
void pbitc_terminal_text(FILE *stream, const char *text, size_t length, size_t width);
void pbitc_terminal_name(FILE *stream, const char *name, size_t width); ///< the same up to its NUL

#endif
