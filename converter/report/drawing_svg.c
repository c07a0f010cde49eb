#include "converter/report/drawing_shapes.h"
#include "converter/report/markup.h"

struct writer {
    FILE *stream;
    bool standalone;
};

/// A coordinate in tenths of a pixel, in the fewest characters.
static void write_number(FILE *stream, double number)
{
    char text[40];
    int length = snprintf(text, sizeof(text), "%.1f", number);
    if (length >= 2 && text[length - 1] == '0')
        text[length - 2] = 0;
    fputs(text[0] == '-' && text[1] == '0' && !text[2] ? "0" : text, stream);
}

static void write_colour(const struct writer *writer, const char *attribute, int colour)
{
    fprintf(writer->stream, " %s=\"", attribute);
    if (colour == PBITC_NO_COLOUR)
        fputs("none", writer->stream);
    else if (writer->standalone)
        pbitc_colour_write(writer->stream, colour, 0);
    else
        fprintf(writer->stream, "var(" PBITC_COLOUR_VARIABLE ")", colour);
    fputc('"', writer->stream);
}

static void write_brush(const struct writer *writer, const struct pbitc_brush *brush)
{
    write_colour(writer, "fill", brush->fill);
    if (brush->stroke != PBITC_NO_COLOUR) {
        write_colour(writer, "stroke", brush->stroke);
        fputs(" stroke-width=\"", writer->stream);
        write_number(writer->stream, brush->width);
        fputs("\"", writer->stream);
        if (brush->dashed)
            fputs(" stroke-dasharray=\"5 3\"", writer->stream);
    }
    if (brush->opacity > 0)
        fprintf(writer->stream, " opacity=\"%.2g\"", brush->opacity);
}

/// Closes the element `name`, with the tip inside when there is one.
static void write_end(const struct writer *writer, const char *name, const char *tip)
{
    if (!tip) {
        fputs("/>\n", writer->stream);
        return;
    }
    fputs("><title>", writer->stream);
    pbitc_markup_write(writer->stream, tip);
    fprintf(writer->stream, "</title></%s>\n", name);
}

static void write_path(const struct writer *writer, const struct pbitc_shape *shape)
{
    fputs("<path d=\"", writer->stream);
    for (size_t i = 0; i < shape->count; i++) {
        fputs(i == 0 ? "M" : "L", writer->stream);
        write_number(writer->stream, shape->points[i].x);
        fputc(' ', writer->stream);
        write_number(writer->stream, shape->points[i].y);
    }
    fputs(shape->closed ? "Z\"" : "\"", writer->stream);
    write_brush(writer, &shape->brush);
    write_end(writer, "path", shape->brush.tip);
}

static void write_circle(const struct writer *writer, const struct pbitc_shape *shape)
{
    fputs("<circle cx=\"", writer->stream);
    write_number(writer->stream, shape->points->x);
    fputs("\" cy=\"", writer->stream);
    write_number(writer->stream, shape->points->y);
    fputs("\" r=\"", writer->stream);
    write_number(writer->stream, shape->radius);
    fputs("\"", writer->stream);
    write_brush(writer, &shape->brush);
    write_end(writer, "circle", shape->brush.tip);
}

static void write_text(const struct writer *writer, const struct pbitc_shape *shape)
{
    static const char *const anchors[] = {"start", "middle", "end"};
    const struct pbitc_lettering *type = &shape->type;
    double down = PBITC_HALF_LETTER * type->size;
    fputs("<text x=\"", writer->stream);
    write_number(writer->stream, shape->points->x + (type->turned ? down : 0));
    fputs("\" y=\"", writer->stream);
    write_number(writer->stream, shape->points->y + (type->turned ? 0 : down));
    fputs("\"", writer->stream);
    if (type->turned) {
        fputs(" transform=\"rotate(-90 ", writer->stream);
        write_number(writer->stream, shape->points->x + down);
        fputc(' ', writer->stream);
        write_number(writer->stream, shape->points->y);
        fputs(")\"", writer->stream);
    }
    if (type->size != PBITC_TEXT_SIZE)
        fprintf(writer->stream, " font-size=\"%g\"", type->size);
    if (type->anchor != PBITC_START)
        fprintf(writer->stream, " text-anchor=\"%s\"", anchors[type->anchor]);
    if (type->bold)
        fputs(" font-weight=\"bold\"", writer->stream);
    write_colour(writer, "fill", type->colour);
    if (type->halo != PBITC_NO_COLOUR) {
        write_colour(writer, "stroke", type->halo);
        fputs(" stroke-width=\"3\" stroke-linejoin=\"round\" paint-order=\"stroke\"", writer->stream);
    }
    fputc('>', writer->stream);
    pbitc_markup_write(writer->stream, shape->text);
    fputs("</text>\n", writer->stream);
}

void pbitc_drawing_write_svg(const struct pbitc_drawing *drawing, bool standalone, FILE *stream)
{
    const struct writer writer = {stream, standalone};
    fprintf(stream, "<svg%s viewBox=\"0 0 ", standalone ? " xmlns=\"http://www.w3.org/2000/svg\"" : "");
    write_number(stream, drawing->width);
    fputc(' ', stream);
    write_number(stream, drawing->height);
    fprintf(stream,
            "\" font-family=\"'DejaVu Sans',Verdana,'Segoe UI',Roboto,Helvetica,Arial,sans-serif\" "
            "font-size=\"%g\" stroke-linejoin=\"round\" role=\"img\" aria-label=\"",
            PBITC_TEXT_SIZE);
    pbitc_markup_write(stream, drawing->title);
    fputs(". ", stream);
    pbitc_markup_write(stream, drawing->description);
    fputs("\">\n", stream);
    if (standalone) {
        fputs("<rect width=\"100%\" height=\"100%\"", stream);
        write_colour(&writer, "fill", PBITC_PAPER);
        fputs("/>\n", stream);
    }
    for (const struct pbitc_shape *shape = drawing->first; shape; shape = shape->next) {
        if (shape->kind == PBITC_PATH)
            write_path(&writer, shape);
        else if (shape->kind == PBITC_CIRCLE)
            write_circle(&writer, shape);
        else
            write_text(&writer, shape);
    }
    fputs("</svg>\n", stream);
}
