// A picture as a list of shapes, drawn once and written twice: as SVG for the page, whose colours follow the
// page's theme and whose text is text, and as PNG for everything else. Coordinates are pixels at scale 1, y
// downwards. Equal shapes give equal bytes on every machine: the font of the PNG is part of the program.
#ifndef PBITC_DRAWING_H
#define PBITC_DRAWING_H

#include "converter/report/palette.h"
#include "passes/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct pbitc_point {
    double x, y;
};

/// How a shape is painted.
struct pbitc_brush {
    int fill, stroke; ///< colours of palette.h, PBITC_NO_COLOUR for none
    double width;     ///< of the stroke
    double opacity;   ///< of both; 0 stands for 1
    bool dashed;
    const char *tip; ///< what the page shows when the shape is pointed at; may be NULL
};

enum pbitc_anchor { PBITC_START, PBITC_MIDDLE, PBITC_END };

/// How a text is set: `y` is the height of the middle of its lower-case letters.
struct pbitc_lettering {
    double size; ///< 0 stands for PBITC_TEXT_SIZE
    int colour;
    enum pbitc_anchor anchor;
    bool bold;
    bool turned; ///< reads from bottom to top
    int halo;    ///< colour of an edge that keeps lines away from the letters, PBITC_NO_COLOUR for none
};

#define PBITC_TEXT_SIZE 12.0

struct pbitc_drawing;

/// An empty picture; NULL when out of memory. `description` says in a sentence what is seen.
struct pbitc_drawing *pbitc_drawing_create(double width, double height, const char *title,
                                           const char *description);
void pbitc_drawing_destroy(struct pbitc_drawing *drawing); ///< accepts NULL

/// Shapes are drawn over those before them. What they point to is copied. A shape with a coordinate that is
/// not finite is left out and counted. Running out of memory is remembered (pbitc_drawing_is_good).
void pbitc_draw_path(struct pbitc_drawing *drawing, const struct pbitc_point *points, size_t count,
                     bool closed, const struct pbitc_brush *brush);
void pbitc_draw_line(struct pbitc_drawing *drawing, double x1, double y1, double x2, double y2,
                     const struct pbitc_brush *brush);
void pbitc_draw_rectangle(struct pbitc_drawing *drawing, double left, double top, double right, double bottom,
                          const struct pbitc_brush *brush);
void pbitc_draw_circle(struct pbitc_drawing *drawing, double x, double y, double radius,
                       const struct pbitc_brush *brush);
void pbitc_draw_text(struct pbitc_drawing *drawing, double x, double y, const struct pbitc_lettering *type,
                     const char *format, ...) __attribute__((format(printf, 5, 6)));

/// Width of the text in the drawing's font.
double pbitc_text_width(const char *text, double size);

bool pbitc_drawing_is_good(const struct pbitc_drawing *drawing);    ///< false: out of memory
size_t pbitc_drawing_left_out(const struct pbitc_drawing *drawing); ///< shapes that were not finite

/// One svg element, to stand in an HTML page that has the variables of pbitc_palette_write_css, or alone when
/// `standalone`: then its colours are those of the light theme.
void pbitc_drawing_write_svg(const struct pbitc_drawing *drawing, bool standalone, FILE *stream);

/// A PNG with `scale` pixels for one, on the paper of the light theme. False when out of memory.
bool pbitc_drawing_write_png(const struct pbitc_drawing *drawing, double scale, FILE *stream);

#endif
