#include "converter/report/drawing_shapes.h"
#include "converter/report/font.h"
#include "converter/report/image_png.h"

#include <cairo.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

static void set_colour(cairo_t *cairo, int colour, double opacity)
{
    struct pbitc_rgb rgb = pbitc_colour(colour, 0);
    cairo_set_source_rgba(cairo, rgb.red, rgb.green, rgb.blue, opacity);
}

/// Fills and strokes the current path, which is gone then.
static void paint(cairo_t *cairo, const struct pbitc_brush *brush)
{
    double opacity = brush->opacity > 0 ? brush->opacity : 1;
    if (brush->fill != PBITC_NO_COLOUR) {
        set_colour(cairo, brush->fill, opacity);
        cairo_fill_preserve(cairo);
    }
    if (brush->stroke != PBITC_NO_COLOUR) {
        const double dashes[] = {5, 3};
        set_colour(cairo, brush->stroke, opacity);
        cairo_set_line_width(cairo, brush->width);
        cairo_set_dash(cairo, dashes, brush->dashed ? 2 : 0, 0);
        cairo_stroke_preserve(cairo);
    }
    cairo_new_path(cairo);
}

static void paint_text(cairo_t *cairo, const struct pbitc_shape *shape)
{
    const struct pbitc_lettering *type = &shape->type;
    double width = pbitc_text_width(shape->text, type->size);
    double before = type->anchor == PBITC_START ? 0 : type->anchor == PBITC_MIDDLE ? width / 2 : width;
    cairo_save(cairo);
    cairo_translate(cairo, shape->points->x, shape->points->y);
    if (type->turned)
        cairo_rotate(cairo, -acos(-1.0) / 2);
    cairo_set_dash(cairo, NULL, 0, 0);
    pbitc_font_outline(cairo, -before, PBITC_HALF_LETTER * type->size, type->size, shape->text);
    if (type->halo != PBITC_NO_COLOUR) {
        set_colour(cairo, type->halo, 1);
        cairo_set_line_width(cairo, 3);
        cairo_stroke_preserve(cairo);
    }
    set_colour(cairo, type->colour, 1);
    cairo_fill_preserve(cairo);
    if (type->bold) {
        cairo_set_line_width(cairo, type->size / 24);
        cairo_stroke_preserve(cairo);
    }
    cairo_new_path(cairo);
    cairo_restore(cairo);
}

static void paint_shape(cairo_t *cairo, const struct pbitc_shape *shape)
{
    const struct pbitc_point *points = shape->points;
    if (shape->kind == PBITC_TEXT) {
        paint_text(cairo, shape);
        return;
    }
    if (shape->kind == PBITC_CIRCLE)
        cairo_arc(cairo, points->x, points->y, shape->radius, 0, 2 * acos(-1.0));
    for (size_t i = 0; shape->kind == PBITC_PATH && i < shape->count; i++)
        cairo_line_to(cairo, points[i].x, points[i].y);
    if (shape->kind == PBITC_CIRCLE || shape->closed)
        cairo_close_path(cairo);
    paint(cairo, &shape->brush);
}

/// Cairo's pixels (native 32-bit words 0xXXRRGGBB) as the bytes R, G, B.
static unsigned char *take_bytes(cairo_surface_t *surface, int width, int height)
{
    unsigned char *bytes = malloc((size_t)width * (size_t)height * 3), *out = bytes;
    const unsigned char *data = cairo_image_surface_get_data(surface);
    int stride = cairo_image_surface_get_stride(surface);
    for (int y = 0; bytes && y < height; y++) {
        const uint32_t *row = (const uint32_t *)(const void *)(data + (ptrdiff_t)y * stride);
        for (int x = 0; x < width; x++) {
            *out++ = (unsigned char)(row[x] >> 16);
            *out++ = (unsigned char)(row[x] >> 8);
            *out++ = (unsigned char)row[x];
        }
    }
    return bytes;
}

bool pbitc_drawing_write_png(const struct pbitc_drawing *drawing, double scale, FILE *stream)
{
    int width = (int)ceil(drawing->width * scale), height = (int)ceil(drawing->height * scale);
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height);
    cairo_t *cairo = cairo_create(surface);
    cairo_scale(cairo, scale, scale);
    cairo_set_line_join(cairo, CAIRO_LINE_JOIN_ROUND);
    set_colour(cairo, PBITC_PAPER, 1);
    cairo_paint(cairo);
    for (const struct pbitc_shape *shape = drawing->first; shape; shape = shape->next)
        paint_shape(cairo, shape);
    bool good = cairo_status(cairo) == CAIRO_STATUS_SUCCESS;
    cairo_surface_flush(surface);
    unsigned char *bytes = good ? take_bytes(surface, width, height) : NULL;
    good = bytes && pbitc_png_write(bytes, (size_t)width, (size_t)height, 3, stream);
    free(bytes);
    cairo_destroy(cairo);
    cairo_surface_destroy(surface);
    return good;
}
