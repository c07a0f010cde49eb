// The letters of the PNG pictures: outlines of DejaVu Sans, which is part of the program (see meson.build),
// so that a picture depends on no font of the machine.
#ifndef PBITC_FONT_H
#define PBITC_FONT_H

#include <cairo.h>

/// Adds the outline of the text to cairo's path: it starts at (x, y) on the line that the letters stand on.
void pbitc_font_outline(cairo_t *cairo, double x, double y, double size, const char *text);

#endif
