#include "converter/report/font.h"

#include "converter/report/drawing.h"
#include "converter/report/embedded.h"
#include "converter/report/markup.h"

#include <stb_truetype.h>
#include <stdlib.h>

/// Opens the font and finds the number that turns its units into pixels.
static double open_font(stbtt_fontinfo *font, double size)
{
    stbtt_InitFont(font, pbitc_embedded_font, 0);
    return (double)stbtt_ScaleForMappingEmToPixels(font, 1.0F) * size;
}

static double advance(const stbtt_fontinfo *font, uint32_t character)
{
    int width, bearing;
    stbtt_GetCodepointHMetrics(font, (int)character, &width, &bearing);
    return width;
}

double pbitc_text_width(const char *text, double size)
{
    stbtt_fontinfo font;
    double scale = open_font(&font, size), width = 0;
    for (uint32_t character; (character = pbitc_utf8_next(&text));)
        width += advance(&font, character);
    return width * scale;
}

/// One outline, in units of the font with y upwards, its curves quadratic.
static void add_outline(cairo_t *cairo, const stbtt_vertex *vertices, int count)
{
    double x = 0, y = 0;
    for (int i = 0; i < count; i++) {
        const stbtt_vertex *v = &vertices[i];
        if (v->type == STBTT_vmove)
            cairo_move_to(cairo, v->x, v->y);
        else if (v->type == STBTT_vline)
            cairo_line_to(cairo, v->x, v->y);
        else // a cubic through the same points
            cairo_curve_to(cairo, (x + 2 * v->cx) / 3, (y + 2 * v->cy) / 3, (v->x + 2 * v->cx) / 3.0,
                           (v->y + 2 * v->cy) / 3.0, v->x, v->y);
        x = v->x;
        y = v->y;
    }
    cairo_close_path(cairo);
}

void pbitc_font_outline(cairo_t *cairo, double x, double y, double size, const char *text)
{
    stbtt_fontinfo font;
    double scale = open_font(&font, size);
    cairo_save(cairo);
    cairo_translate(cairo, x, y);
    cairo_scale(cairo, scale, -scale);
    for (uint32_t character; (character = pbitc_utf8_next(&text));) {
        stbtt_vertex *vertices = NULL;
        int count = stbtt_GetCodepointShape(&font, (int)character, &vertices);
        add_outline(cairo, vertices, count);
        stbtt_FreeShape(&font, vertices);
        cairo_translate(cairo, advance(&font, character), 0);
    }
    cairo_restore(cairo);
}
