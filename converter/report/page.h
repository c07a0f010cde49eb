// The frame of an HTML page: one file, no script, nothing fetched, light and dark.
#ifndef PBITC_PAGE_H
#define PBITC_PAGE_H

#include <stdio.h>

/// From the doctype to the opening of <main>.
void pbitc_page_begin(FILE *stream, const char *title);
void pbitc_page_end(FILE *stream);

#endif
