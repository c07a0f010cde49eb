#include "converter/report/drawing.h"

#include "converter/report/drawing_shapes.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct pbitc_drawing *pbitc_drawing_create(double width, double height, const char *title,
                                           const char *description)
{
    struct pbitc_arena *arena = pbitc_arena_create(NULL);
    struct pbitc_drawing *drawing = arena ? pbitc_arena_allocate(arena, 1, sizeof(*drawing)) : NULL;
    if (!drawing) {
        pbitc_arena_destroy(arena);
        return NULL;
    }
    *drawing = (struct pbitc_drawing){
        .arena = arena,
        .width = width,
        .height = height,
        .title = pbitc_arena_copy_string(arena, title, strlen(title)),
        .description = pbitc_arena_copy_string(arena, description, strlen(description)),
        .end = &drawing->first,
    };
    drawing->failed = !drawing->title || !drawing->description;
    return drawing;
}

void pbitc_drawing_destroy(struct pbitc_drawing *drawing)
{
    if (drawing)
        pbitc_arena_destroy(drawing->arena);
}

static bool are_finite(const struct pbitc_point *points, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(points[i].x) || !isfinite(points[i].y))
            return false;
    }
    return true;
}

/// A new shape with its points at the end of the list, or NULL.
static struct pbitc_shape *append(struct pbitc_drawing *drawing, enum pbitc_shape_kind kind,
                                  const struct pbitc_point *points, size_t count)
{
    if (!are_finite(points, count)) {
        drawing->left_out++;
        return NULL;
    }
    struct pbitc_shape *shape = pbitc_arena_allocate(drawing->arena, 1, sizeof(*shape));
    struct pbitc_point *copy = pbitc_arena_allocate(drawing->arena, count, sizeof(*copy));
    if (!shape || !copy) {
        drawing->failed = true;
        return NULL;
    }
    if (count)
        memcpy(copy, points, count * sizeof(*copy));
    *shape = (struct pbitc_shape){.kind = kind, .points = copy, .count = count};
    *drawing->end = shape;
    drawing->end = &shape->next;
    return shape;
}

static void set_brush(struct pbitc_drawing *drawing, struct pbitc_shape *shape,
                      const struct pbitc_brush *brush)
{
    shape->brush = *brush;
    if (!brush->tip)
        return;
    shape->brush.tip = pbitc_arena_copy_string(drawing->arena, brush->tip, strlen(brush->tip));
    drawing->failed |= !shape->brush.tip;
}

void pbitc_draw_path(struct pbitc_drawing *drawing, const struct pbitc_point *points, size_t count,
                     bool closed, const struct pbitc_brush *brush)
{
    struct pbitc_shape *shape = append(drawing, PBITC_PATH, points, count);
    if (!shape)
        return;
    shape->closed = closed;
    set_brush(drawing, shape, brush);
}

void pbitc_draw_line(struct pbitc_drawing *drawing, double x1, double y1, double x2, double y2,
                     const struct pbitc_brush *brush)
{
    pbitc_draw_path(drawing, (struct pbitc_point[]){{x1, y1}, {x2, y2}}, 2, false, brush);
}

void pbitc_draw_rectangle(struct pbitc_drawing *drawing, double left, double top, double right, double bottom,
                          const struct pbitc_brush *brush)
{
    pbitc_draw_path(drawing,
                    (struct pbitc_point[]){{left, top}, {right, top}, {right, bottom}, {left, bottom}}, 4,
                    true, brush);
}

void pbitc_draw_circle(struct pbitc_drawing *drawing, double x, double y, double radius,
                       const struct pbitc_brush *brush)
{
    struct pbitc_shape *shape = append(drawing, PBITC_CIRCLE, &(struct pbitc_point){x, y}, 1);
    if (!shape)
        return;
    shape->radius = radius;
    set_brush(drawing, shape, brush);
}

void pbitc_draw_text(struct pbitc_drawing *drawing, double x, double y, const struct pbitc_lettering *type,
                     const char *format, ...)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    va_list list;
    va_start(list, format);
    bool good = stream && vfprintf(stream, format, list) >= 0;
    va_end(list);
    if (stream && fclose(stream) != 0)
        good = false;
    struct pbitc_shape *shape = good ? append(drawing, PBITC_TEXT, &(struct pbitc_point){x, y}, 1) : NULL;
    if (shape) {
        shape->type = *type;
        if (shape->type.size == 0)
            shape->type.size = PBITC_TEXT_SIZE;
        shape->text = pbitc_arena_copy_string(drawing->arena, text, size);
    }
    drawing->failed |= !good || (shape && !shape->text);
    free(text);
}

bool pbitc_drawing_is_good(const struct pbitc_drawing *drawing)
{
    return !drawing->failed;
}

size_t pbitc_drawing_left_out(const struct pbitc_drawing *drawing)
{
    return drawing->left_out;
}
