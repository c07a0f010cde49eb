// The list behind struct pbitc_drawing, for drawing.c and the two that write it.
#ifndef PBITC_DRAWING_SHAPES_H
#define PBITC_DRAWING_SHAPES_H

#include "converter/report/drawing.h"

enum pbitc_shape_kind { PBITC_PATH, PBITC_CIRCLE, PBITC_TEXT };

struct pbitc_shape {
    enum pbitc_shape_kind kind;
    struct pbitc_brush brush;         ///< of path and circle
    struct pbitc_lettering type;      ///< of text
    const char *text;                 ///< of text
    const struct pbitc_point *points; ///< [count]; circle: its middle, text: its place
    size_t count;
    bool closed;
    double radius;
    struct pbitc_shape *next;
};

struct pbitc_drawing {
    struct pbitc_arena *arena;
    double width, height;
    const char *title, *description;
    struct pbitc_shape *first, **end;
    size_t left_out;
    bool failed;
};

/// Distance from the middle of lower-case letters down to the line they stand on, for size 1.
#define PBITC_HALF_LETTER 0.365

#endif
