// The confusion matrix of the main cell.
#include "converter/report/plot_support.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

/// More classes than SHOWN_LIMIT: those with the most mistakes are shown.
enum { SHOWN_LIMIT = 30, LEFT = 58, NUMBER_ROOM = 22 };

struct picture {
    const struct pbitc_accuracy_report *report;
    struct pbitc_drawing *drawing;
    size_t count;
    size_t shown[SHOWN_LIMIT]; ///< the classes, ascending
    double side;
};

bool pbitc_plot_has_confusion(const struct pbitc_accuracy_report *report)
{
    return report->has_model && report->has_confusion && report->classes > 0;
}

static uint64_t count_at(const struct pbitc_accuracy_report *report, size_t label, size_t decision)
{
    return report->confusion[label * report->classes + decision];
}

/// Decisions that are wrong because an image was of this class, or was taken for it.
static uint64_t mistakes_of(const struct pbitc_accuracy_report *report, size_t class)
{
    uint64_t mistakes = 0;
    for (size_t other = 0; other < report->classes; other++) {
        if (other != class)
            mistakes += count_at(report, class, other) + count_at(report, other, class);
    }
    return mistakes;
}

static bool is_among(const struct picture *picture, size_t class)
{
    for (size_t i = 0; i < picture->count; i++) {
        if (picture->shown[i] == class)
            return true;
    }
    return false;
}

static int by_number(const void *a, const void *b)
{
    size_t left = *(const size_t *)a, right = *(const size_t *)b;
    return left < right ? -1 : left > right;
}

static void choose(struct picture *picture)
{
    const struct pbitc_accuracy_report *report = picture->report;
    size_t wanted = report->classes < SHOWN_LIMIT ? report->classes : SHOWN_LIMIT;
    while (picture->count < wanted) {
        size_t best = report->classes;
        uint64_t most = 0;
        for (size_t class = 0; class < report->classes; class ++) {
            uint64_t mistakes = mistakes_of(report, class);
            if (!is_among(picture, class) && (best == report->classes || mistakes > most)) {
                best = class;
                most = mistakes;
            }
        }
        picture->shown[picture->count++] = best;
    }
    qsort(picture->shown, picture->count, sizeof(*picture->shown), by_number);
}

/// A square of the matrix. Its ramp is of the square root of the share, so that small mistakes are seen.
static void draw_square(const struct picture *picture, size_t row, size_t column)
{
    const struct pbitc_accuracy_report *report = picture->report;
    size_t label = picture->shown[row], decision = picture->shown[column];
    uint64_t count = count_at(report, label, decision), total = 0;
    for (size_t other = 0; other < report->classes; other++)
        total += count_at(report, label, other);
    double share = total ? (double)count / (double)total : 0;
    double x = LEFT + picture->side * (double)column, y = PBITC_PLOT_TOP + picture->side * (double)row;
    int colour = pbitc_ramp_colour(sqrt(share));
    char tip[120];
    pbitc_text_print(tip, sizeof(tip),
                     "label %zu decided as %zu: %" PRIu64 " of %" PRIu64 " decisions (%.2f %%)", label,
                     decision, count, total, 100 * share);
    pbitc_draw_rectangle(
        picture->drawing, x, y, x + picture->side, y + picture->side,
        &(struct pbitc_brush){.fill = colour, .stroke = PBITC_PAPER, .width = 1, .tip = tip});
    if (share >= 0.005 && picture->side >= NUMBER_ROOM)
        pbitc_draw_text(picture->drawing, x + picture->side / 2, y + picture->side / 2,
                        &(struct pbitc_lettering){.size = picture->side < 30 ? 9.5 : 12,
                                                  .colour = colour - PBITC_RAMP + PBITC_ON_RAMP,
                                                  .anchor = PBITC_MIDDLE},
                        "%.0f", 100 * share);
}

static void draw(const struct picture *picture)
{
    double end = LEFT + picture->side * (double)picture->count, bottom = PBITC_PLOT_TOP + end - LEFT;
    size_t step = (size_t)(20 / picture->side) + 1;
    for (size_t row = 0; row < picture->count; row++) {
        double middle = picture->side * ((double)row + 0.5);
        for (size_t column = 0; column < picture->count; column++)
            draw_square(picture, row, column);
        if (row % step)
            continue;
        pbitc_draw_text(picture->drawing, LEFT - 7, PBITC_PLOT_TOP + middle,
                        &(struct pbitc_lettering){.colour = PBITC_MUTED, .anchor = PBITC_END}, "%zu",
                        picture->shown[row]);
        pbitc_draw_text(picture->drawing, LEFT + middle, bottom + 12,
                        &(struct pbitc_lettering){.colour = PBITC_MUTED, .anchor = PBITC_MIDDLE}, "%zu",
                        picture->shown[row]);
    }
    pbitc_draw_text(picture->drawing, PBITC_PLOT_MARGIN, PBITC_PLOT_TOP - 14,
                    &(struct pbitc_lettering){.size = 11.5, .colour = PBITC_MUTED},
                    "label; numbers in %% of its images");
    pbitc_draw_text(picture->drawing, (LEFT + end) / 2, bottom + 30,
                    &(struct pbitc_lettering){.size = 11.5, .colour = PBITC_MUTED, .anchor = PBITC_MIDDLE},
                    "decision");
}

struct pbitc_drawing *pbitc_plot_confusion(const struct pbitc_accuracy_report *report)
{
    struct picture picture = {.report = report};
    const struct pbitc_accuracy_cell *cell = &report->cells[report->main_cell];
    char subtitle[160];
    choose(&picture);
    picture.side = fmin(44, (PBITC_PLOT_WIDTH - LEFT - PBITC_PLOT_MARGIN) / (double)picture.count);
    pbitc_text_print(subtitle, sizeof(subtitle), "at m = %u, T = %u", cell->draws, cell->samples);
    if (picture.count < report->classes)
        pbitc_text_print(subtitle, sizeof(subtitle),
                         "at m = %u, T = %u; the %zu of %zu classes with the most mistakes", cell->draws,
                         cell->samples, picture.count, report->classes);
    picture.drawing = pbitc_plot_begin(PBITC_PLOT_TOP + picture.side * (double)picture.count + 44,
                                       "Confusion matrix", subtitle, "Matrix of labels and decisions");
    if (picture.drawing)
        draw(&picture);
    return picture.drawing;
}
