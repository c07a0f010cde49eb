// report.html: one file, no script, nothing fetched.
#include "converter/report/base64.h"
#include "converter/report/image_png.h"
#include "converter/report/markup.h"
#include "converter/report/page.h"
#include "converter/report/plot.h"
#include "converter/report/report_tables.h"

#include <inttypes.h>
#include <stdlib.h>

static void write_findings(const struct pbitc_finding *findings, size_t count, FILE *stream)
{
    static const char *const classes[] = {"", "main", "good", "wrong"};
    fputs("<dl class=\"findings\">\n", stream);
    for (size_t i = 0; i < count; i++) {
        fprintf(stream, "<div class=\"%s\"><dt>", classes[findings[i].mark]);
        pbitc_markup_write(stream, findings[i].name);
        fputs("</dt><dd class=\"value\">", stream);
        pbitc_markup_write(stream, findings[i].value);
        fputs("</dd><dd class=\"note\">", stream);
        pbitc_markup_write(stream, findings[i].note);
        fputs("</dd></div>\n", stream);
    }
    fputs("</dl>\n", stream);
}

static bool write_plot(const struct pbitc_accuracy_report *report, const struct pbitc_plot *plot,
                       FILE *stream)
{
    struct pbitc_drawing *drawing = plot->draw(report);
    if (!drawing)
        return false;
    bool good = pbitc_drawing_is_good(drawing);
    fputs("<figure>\n", stream);
    pbitc_drawing_write_svg(drawing, false, stream);
    fputs("<figcaption>", stream);
    pbitc_markup_write(stream, plot->caption);
    fputs("</figcaption>\n</figure>\n", stream);
    pbitc_drawing_destroy(drawing);
    return good;
}

static bool write_plots(const struct pbitc_accuracy_report *report, FILE *stream)
{
    bool good = true;
    fputs("<div class=\"plots\">\n", stream);
    for (size_t i = 0; good && i < PBITC_PLOT_COUNT; i++) {
        if (pbitc_plots[i].is_possible(report))
            good = write_plot(report, &pbitc_plots[i], stream);
    }
    fputs("</div>\n", stream);
    return good;
}

/// One changed image as a data URL.
static bool write_picture(const struct pbitc_accuracy_report *report, const struct pbitc_changed_image *image,
                          FILE *stream)
{
    char *png = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&png, &size);
    bool good = memory && pbitc_png_write(image->pixels, report->image_width, report->image_height,
                                          report->image_channels, memory);
    if (memory && fclose(memory) != 0)
        good = false;
    char *text = good ? pbitc_base64_encode((const uint8_t *)png, size) : NULL;
    if (text)
        fprintf(stream, "<img alt=\"image %" PRIu64 "\" src=\"data:image/png;base64,%s\">", image->index,
                text);
    free(text);
    free(png);
    return text != NULL;
}

static bool write_pictures(const struct pbitc_accuracy_report *report, FILE *stream)
{
    bool good = true;
    size_t written = 0;
    for (size_t i = 0; good && i < report->changed_count; i++) {
        const struct pbitc_changed_image *image = &report->changed[i];
        if (!image->pixels)
            continue;
        bool was = image->label == image->float_decision, is = image->label == image->decision;
        fputs(written++ ? "<li>" : "<h2>Changed images</h2>\n<ul class=\"images\">\n<li>", stream);
        good = write_picture(report, image, stream);
        fprintf(stream, "#%" PRIu64 ", label %" PRIu32 "<br>float %" PRIu32 ", p-bits %" PRIu32, image->index,
                image->label, image->float_decision, image->decision);
        fprintf(stream, "<br><span class=\"%s\">%s</span></li>\n",
                was  ? "lost"
                : is ? "gained"
                     : "",
                was  ? "lost"
                : is ? "gained"
                     : "wrong both times");
    }
    if (written)
        fputs("</ul>\n", stream);
    return good;
}

static bool write_tables(const struct pbitc_accuracy_report *report, struct pbitc_arena *arena, FILE *stream)
{
    for (size_t i = 0; i < PBITC_TABLE_COUNT; i++) {
        struct pbitc_table table;
        pbitc_table_makers[i].make(&table, report, arena);
        if (table.failed)
            return false;
        if (table.rows)
            pbitc_table_write_html(&table, stream);
    }
    return true;
}

static bool write_body(const struct pbitc_accuracy_report *report, const char *name,
                       struct pbitc_arena *arena, FILE *stream)
{
    struct pbitc_finding findings[PBITC_FINDINGS_LIMIT];
    size_t count = pbitc_report_findings(report, arena, findings);
    fputs("<h1>", stream);
    pbitc_markup_write(stream, name);
    fputs("</h1>\n<p>Accuracy of a network whose activations are p-bits: m draws per neuron and pass, T "
          "passes of the "
          "network.</p>\n",
          stream);
    if (report->partial)
        fprintf(stream,
                "<p class=\"partial\">PARTIAL REPORT: %zu of %zu images are measured. All figures are of "
                "these.</p>\n",
                report->measured_images, report->images);
    write_findings(findings, count, stream);
    if (!count || !write_plots(report, stream) || !write_pictures(report, stream) ||
        !write_tables(report, arena, stream))
        return false;
    fputs("<h2>To repeat it</h2>\n<pre>", stream);
    pbitc_markup_write(stream, report->command);
    fputs("</pre>\n", stream);
    return true;
}

bool pbitc_report_write_html(const struct pbitc_accuracy_report *report, FILE *stream)
{
    struct pbitc_arena *arena = pbitc_arena_create(NULL);
    const char *name = arena ? pbitc_report_name(report, arena) : NULL;
    const char *title = name ? pbitc_arena_format(arena, "%s \xe2\x80\x93 accuracy of p-bits", name) : NULL;
    bool good = title;
    if (good) {
        pbitc_page_begin(stream, title);
        good = write_body(report, name, arena, stream);
        pbitc_page_end(stream);
    }
    pbitc_arena_destroy(arena);
    return good;
}
