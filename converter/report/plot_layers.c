// Activity, saturation and loss of each layer of neurons.
#include "converter/report/markup.h"
#include "converter/report/plot_support.h"

#include <string.h>

enum { ROW = 22, ROWS_LIMIT = 60, NAME_WIDTH = 150, LOSS_WIDTH = 84, NAME_LETTERS = 64 };

static bool is_shown(const struct pbitc_report_layer *layer)
{
    return layer->has_levels && layer->draws && !strcmp(layer->op, "neuron");
}

bool pbitc_plot_has_levels(const struct pbitc_accuracy_report *report)
{
    for (size_t i = 0; report->has_model && i < report->layer_count; i++) {
        if (is_shown(&report->layers[i]))
            return true;
    }
    return false;
}

/// The end of the name, as much as has room: names of layers differ at their ends.
static void fit_name(const char *name, double room, char text[4 * NAME_LETTERS + 4])
{
    size_t length = pbitc_utf8_length(name), skip = length > NAME_LETTERS ? length - NAME_LETTERS : 0;
    for (size_t i = 0; i < skip; i++)
        pbitc_utf8_next(&name);
    for (bool cut = skip > 0;; cut = true) {
        pbitc_text_print(text, 4 * NAME_LETTERS + 4, "%s%s", cut ? "\xe2\x80\xa6" : "", name);
        if (!*name || pbitc_text_width(text, PBITC_TEXT_SIZE) <= room)
            return;
        pbitc_utf8_next(&name);
    }
}

/// The largest share of the loss, to which the bars are drawn; 0 when none was measured.
static double largest_loss(const struct pbitc_accuracy_report *report)
{
    double largest = 0;
    for (size_t i = 0; i < report->layer_count; i++) {
        if (report->layers[i].has_loss && report->layers[i].loss_share > largest)
            largest = report->layers[i].loss_share;
    }
    return largest;
}

static void draw_axis(struct pbitc_drawing *drawing, const struct pbitc_frame *frame)
{
    for (int percent = 0; percent <= 100; percent += 25) {
        double x = frame->left + (frame->right - frame->left) * percent / 100;
        pbitc_draw_line(drawing, x, frame->top, x, frame->bottom,
                        &(struct pbitc_brush){.stroke = PBITC_GRID, .width = 1});
        pbitc_draw_text(drawing, x, frame->bottom + 12,
                        &(struct pbitc_lettering){.colour = PBITC_MUTED, .anchor = PBITC_MIDDLE}, "%d%s",
                        percent, percent == 100 ? " %" : "");
    }
}

static void draw_row(struct pbitc_drawing *drawing, const struct pbitc_frame *frame, double y,
                     const struct pbitc_report_layer *layer, double loss)
{
    char name[4 * NAME_LETTERS + 4], tip[320];
    double width = frame->right - frame->left, low = frame->left + width * layer->saturated_low;
    double high = frame->right - width * layer->saturated_high;
    fit_name(layer->name, NAME_WIDTH - 12, name);
    pbitc_text_print(tip, sizeof(tip), "%s: activity %.1f %%, none fires %.1f %%, all fire %.1f %%", name,
                     100 * layer->activity, 100 * layer->saturated_low, 100 * layer->saturated_high);
    pbitc_draw_text(drawing, frame->left - 8, y,
                    &(struct pbitc_lettering){.colour = PBITC_INK, .anchor = PBITC_END}, "%s", name);
    pbitc_draw_rectangle(drawing, frame->left, y - 6, low, y + 6,
                         &(struct pbitc_brush){.fill = PBITC_SERIES, .opacity = 0.55, .tip = tip});
    pbitc_draw_rectangle(drawing, high, y - 6, frame->right, y + 6,
                         &(struct pbitc_brush){.fill = PBITC_SERIES + 5, .opacity = 0.55, .tip = tip});
    pbitc_draw_circle(
        drawing, frame->left + width * layer->activity, y, 4.5,
        &(struct pbitc_brush){.fill = PBITC_INK, .stroke = PBITC_PAPER, .width = 1.2, .tip = tip});
    if (loss > 0 && layer->has_loss) {
        double start = frame->right + 18, room = LOSS_WIDTH - 18 - 38;
        double end = start + room * layer->loss_share / loss;
        pbitc_draw_rectangle(drawing, start, y - 6, end, y + 6,
                             &(struct pbitc_brush){.fill = PBITC_WRONG, .opacity = 0.8});
        pbitc_draw_text(drawing, end + 5, y, &(struct pbitc_lettering){.size = 11, .colour = PBITC_INK},
                        "%.0f %%", 100 * layer->loss_share);
    }
}

static void draw_key(struct pbitc_drawing *drawing, double x, int colour, double opacity, bool dot,
                     const char *words)
{
    double y = 60;
    const struct pbitc_brush brush = {.fill = colour, .opacity = opacity};
    if (dot)
        pbitc_draw_circle(drawing, x + 5, y, 4.5, &brush);
    else
        pbitc_draw_rectangle(drawing, x, y - 5, x + 10, y + 5, &brush);
    pbitc_draw_text(drawing, x + 15, y, &(struct pbitc_lettering){.size = 11.5, .colour = PBITC_MUTED}, "%s",
                    words);
}

struct pbitc_drawing *pbitc_plot_layers(const struct pbitc_accuracy_report *report)
{
    size_t rows = 0, drawn = 0;
    for (size_t i = 0; i < report->layer_count; i++)
        rows += is_shown(&report->layers[i]);
    size_t shown = rows < ROWS_LIMIT ? rows : ROWS_LIMIT;
    double loss = largest_loss(report), bottom = PBITC_PLOT_TOP + 4 + (double)(ROW * shown);
    const struct pbitc_accuracy_cell *cell = &report->cells[report->main_cell];
    char subtitle[160];
    pbitc_text_print(subtitle, sizeof(subtitle), "at m = %u, T = %u%s", cell->draws, cell->samples,
                     shown < rows ? "; the first 60 layers, the others are in the table" : "");
    struct pbitc_drawing *drawing = pbitc_plot_begin(
        bottom + 30, "Activity of the layers", subtitle,
        "For each layer of neurons the mean activity and the shares of neurons that are at zero and "
        "at full");
    if (!drawing)
        return NULL;
    struct pbitc_frame frame = {PBITC_PLOT_MARGIN + NAME_WIDTH, PBITC_PLOT_TOP,
                                PBITC_PLOT_WIDTH - PBITC_PLOT_MARGIN - (loss > 0 ? LOSS_WIDTH : 8), bottom};
    draw_axis(drawing, &frame);
    draw_key(drawing, PBITC_PLOT_MARGIN, PBITC_INK, 1, true, "mean activity");
    draw_key(drawing, PBITC_PLOT_MARGIN + 122, PBITC_SERIES, 0.55, false, "none fires");
    draw_key(drawing, PBITC_PLOT_MARGIN + 222, PBITC_SERIES + 5, 0.55, false, "all fire");
    if (loss > 0)
        draw_key(drawing, PBITC_PLOT_WIDTH - PBITC_PLOT_MARGIN - 118, PBITC_WRONG, 0.8, false,
                 "share of the loss");
    for (size_t i = 0; i < report->layer_count && drawn < shown; i++) {
        if (is_shown(&report->layers[i]))
            draw_row(drawing, &frame, PBITC_PLOT_TOP + 4 + ROW * (0.5 + (double)drawn++), &report->layers[i],
                     loss);
    }
    return drawing;
}
