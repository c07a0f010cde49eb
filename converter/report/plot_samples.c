// Accuracy and calibration error against T, a line for each m, and the deterministic networks in a strip
// beside.
#include "converter/report/plot_support.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

enum {
    HEIGHT = 400,
    BOTTOM = 48,
    LABEL_GAP = 14,
    INTERVALS_LIMIT = 10,
    STRIP_LIMIT = PBITC_TWINS_LIMIT + 2,
    STRIP_STEP = 10
};

struct picture {
    const struct pbitc_accuracy_report *report;
    struct pbitc_drawing *drawing;
    struct pbitc_grid grid;
    struct pbitc_frame frame;
    struct pbitc_axis across, up;
    double (*value)(const struct pbitc_accuracy_cell *cell);
    bool intervals;  ///< the value has an interval
    bool has_target; ///< the value has a target, which lies on the axis
    size_t fixed_count;
    const struct pbitc_accuracy_cell *fixed[STRIP_LIMIT]; ///< deterministic networks, fewest bits first
};

static double accuracy_of(const struct pbitc_accuracy_cell *cell)
{
    return cell->accuracy;
}

static double calibration_error_of(const struct pbitc_accuracy_cell *cell)
{
    return cell->calibration_error;
}

static void find_fixed(struct picture *picture)
{
    const struct pbitc_accuracy_report *report = picture->report;
    for (size_t i = 0; i < report->twin_count && i < PBITC_TWINS_LIMIT; i++)
        picture->fixed[picture->fixed_count++] = &report->twins[i];
    if (report->has_baseline)
        picture->fixed[picture->fixed_count++] = &report->baseline;
}

/// The range of all that is drawn.
static struct pbitc_interval find_range(const struct picture *picture)
{
    struct pbitc_interval range = {1, 0};
    size_t cells = picture->report->cell_count;
    for (size_t i = 0; i < cells + picture->fixed_count; i++) {
        const struct pbitc_accuracy_cell *cell =
            i < cells ? &picture->report->cells[i] : picture->fixed[i - cells];
        range.low = fmin(range.low, picture->intervals ? cell->interval.low : picture->value(cell));
        range.high = fmax(range.high, picture->intervals ? cell->interval.high : picture->value(cell));
    }
    return range;
}

static void set_axes(struct picture *picture)
{
    const struct pbitc_grid *grid = &picture->grid;
    struct pbitc_frame *frame = &picture->frame;
    *frame =
        (struct pbitc_frame){54, PBITC_PLOT_TOP, PBITC_PLOT_WIDTH - PBITC_PLOT_MARGIN - 54, HEIGHT - BOTTOM};
    if (picture->fixed_count)
        frame->right -= 58 + STRIP_STEP * (double)picture->fixed_count;
    picture->across =
        (struct pbitc_axis){PBITC_LOGARITHMIC, grid->samples[0], grid->samples[grid->samples_count - 1],
                            frame->left + 14, frame->right - 14};
    struct pbitc_interval range = find_range(picture);
    if (picture->intervals)
        picture->up = pbitc_axis_of_fractions(range.low, range.high, picture->report->measured_images,
                                              frame->bottom, frame->top);
    else
        picture->up =
            (struct pbitc_axis){PBITC_LINEAR, 0, fmax(1.08 * range.high, 0.01), frame->bottom, frame->top};
    picture->has_target = picture->intervals && picture->report->has_target &&
                          picture->report->target >= picture->up.low &&
                          picture->report->target <= picture->up.high;
}

static void draw_interval(const struct picture *picture, double x, const struct pbitc_interval *interval,
                          int colour)
{
    if (picture->intervals && picture->grid.draws_count <= INTERVALS_LIMIT)
        pbitc_draw_line(picture->drawing, x, pbitc_axis_place(&picture->up, interval->low), x,
                        pbitc_axis_place(&picture->up, interval->high),
                        &(struct pbitc_brush){.stroke = colour, .width = 1.3, .opacity = 0.4});
}

/// Lines side by side stand a little apart, so that their intervals can be told apart.
static double dodge(const struct picture *picture, size_t line)
{
    const struct pbitc_grid *grid = &picture->grid;
    double room = (picture->across.to - picture->across.from) / (double)grid->samples_count;
    double step = fmin(3, 0.4 * room / (double)grid->draws_count);
    return step * ((double)line - (double)(grid->draws_count - 1) / 2);
}

static void draw_point(const struct picture *picture, const struct pbitc_accuracy_cell *cell, double x,
                       double y, int colour)
{
    char tip[160];
    if (picture->intervals)
        pbitc_text_print(tip, sizeof(tip), "m = %" PRIu32 ", T = %" PRIu32 ": %.2f %% (%.2f to %.2f)",
                         cell->draws, cell->samples, 100 * cell->accuracy, 100 * cell->interval.low,
                         100 * cell->interval.high);
    else
        pbitc_text_print(tip, sizeof(tip), "m = %" PRIu32 ", T = %" PRIu32 ": %.2f %%", cell->draws,
                         cell->samples, 100 * picture->value(cell));
    pbitc_draw_circle(picture->drawing, x, y, 3.4,
                      &(struct pbitc_brush){.fill = colour, .stroke = PBITC_PAPER, .width = 1, .tip = tip});
}

/// Draws one m; returns the height at which its line ends.
static struct pbitc_point draw_curve(const struct picture *picture, size_t line, struct pbitc_point *points)
{
    const struct pbitc_grid *grid = &picture->grid;
    int colour = pbitc_series_colour(line, grid->draws_count);
    size_t count = 0;
    for (size_t i = 0; i < grid->samples_count; i++) {
        const struct pbitc_accuracy_cell *cell = pbitc_grid_cell(grid, line, i);
        if (!cell)
            continue;
        double x = pbitc_axis_place(&picture->across, cell->samples) + dodge(picture, line);
        draw_interval(picture, x, &cell->interval, colour);
        points[count++] = (struct pbitc_point){x, pbitc_axis_place(&picture->up, picture->value(cell))};
    }
    pbitc_draw_path(picture->drawing, points, count, false,
                    &(struct pbitc_brush){.stroke = colour, .width = 1.8});
    count = 0;
    for (size_t i = 0; i < grid->samples_count; i++) {
        const struct pbitc_accuracy_cell *cell = pbitc_grid_cell(grid, line, i);
        if (cell) {
            draw_point(picture, cell, points[count].x, points[count].y, colour);
            count++;
        }
    }
    return points[count - 1];
}

/// A label on the right of its end point, joined to it by a thin line.
struct label {
    struct pbitc_point end;
    double x; ///< where the text starts
    int colour;
    char text[PBITC_NUMBER_TEXT];
};

static int by_height(const void *a, const void *b)
{
    double left = ((const struct label *)a)->end.y, right = ((const struct label *)b)->end.y;
    return left < right ? -1 : left > right;
}

static bool draw_labels(const struct picture *picture, struct label *labels, size_t count)
{
    double *places = calloc(count + 1, sizeof(*places));
    bool *shown = calloc(count + 1, sizeof(*shown));
    bool good = places && shown;
    if (good) {
        qsort(labels, count, sizeof(*labels), by_height);
        for (size_t i = 0; i < count; i++)
            places[i] = labels[i].end.y;
        pbitc_labels_spread(places, shown, count, LABEL_GAP, picture->frame.top, picture->frame.bottom - 4);
    }
    for (size_t i = 0; good && i < count; i++) {
        if (!shown[i])
            continue;
        const struct label *label = &labels[i];
        double start = fmax(label->end.x + 6, label->x - 18);
        pbitc_draw_path(picture->drawing,
                        (struct pbitc_point[]){{label->end.x + 5, label->end.y},
                                               {start, label->end.y},
                                               {label->x - 4, places[i]}},
                        3, false, &(struct pbitc_brush){.stroke = label->colour, .width = 1, .opacity = 0.7});
        pbitc_draw_text(picture->drawing, label->x, places[i], &(struct pbitc_lettering){.colour = PBITC_INK},
                        "%s", label->text);
    }
    free(places);
    free(shown);
    return good;
}

static bool draw_curves(const struct picture *picture)
{
    const struct pbitc_grid *grid = &picture->grid;
    struct label *labels = calloc(grid->draws_count, sizeof(*labels));
    struct pbitc_point *points = calloc(grid->samples_count, sizeof(*points));
    bool good = labels && points;
    for (size_t line = 0; good && line < grid->draws_count; line++) {
        labels[line].end = draw_curve(picture, line, points);
        labels[line].x = picture->frame.right + 10;
        labels[line].colour = pbitc_series_colour(line, grid->draws_count);
        pbitc_text_print(labels[line].text, sizeof(labels[line].text), "m = %" PRIu32, grid->draws[line]);
    }
    good = good && draw_labels(picture, labels, grid->draws_count);
    free(labels);
    free(points);
    return good;
}

/// The lines of the deterministic networks and of the target across the picture, below all else.
static void draw_levels(const struct picture *picture)
{
    const struct pbitc_frame *frame = &picture->frame;
    for (size_t i = 0; i < picture->fixed_count; i++) {
        const struct pbitc_accuracy_cell *cell = picture->fixed[i];
        double y = pbitc_axis_place(&picture->up, picture->value(cell));
        bool is_float = cell->bits == 32;
        pbitc_draw_line(picture->drawing, frame->left, y, frame->right, y,
                        &(struct pbitc_brush){.stroke = is_float ? PBITC_INK : PBITC_TWIN,
                                              .width = is_float ? 1.3 : 1,
                                              .opacity = is_float ? 0.8 : 0.55,
                                              .dashed = true});
    }
    double target = pbitc_axis_place(&picture->up, picture->report->target);
    if (picture->has_target)
        pbitc_draw_line(
            picture->drawing, frame->left, target, frame->right, target,
            &(struct pbitc_brush){.stroke = PBITC_GOOD, .width = 1.3, .tip = "the accuracy to reach"});
}

/// The deterministic networks as points, with names, and the name of the target's line.
static bool draw_strip(const struct picture *picture)
{
    struct label labels[STRIP_LIMIT];
    size_t count = picture->fixed_count;
    double left = picture->frame.right + 66, names = left + STRIP_STEP * (double)count + 12;
    for (size_t i = 0; i < count; i++) {
        const struct pbitc_accuracy_cell *cell = picture->fixed[i];
        bool is_float = cell->bits == 32;
        char tip[160];
        double x = left + STRIP_STEP * (double)i, y = pbitc_axis_place(&picture->up, picture->value(cell));
        labels[i] = (struct label){.end = {x, y}, .x = names, .colour = is_float ? PBITC_INK : PBITC_TWIN};
        pbitc_twin_text(cell, labels[i].text);
        pbitc_text_print(tip, sizeof(tip), "deterministic, %s: %.2f %%", labels[i].text,
                         100 * picture->value(cell));
        draw_interval(picture, x, &cell->interval, labels[i].colour);
        pbitc_plot_mark(
            picture->drawing, x, y, is_float,
            &(struct pbitc_brush){.fill = labels[i].colour, .stroke = PBITC_PAPER, .width = 1, .tip = tip});
    }
    if (count)
        pbitc_draw_text(picture->drawing, PBITC_PLOT_WIDTH - PBITC_PLOT_MARGIN, picture->frame.top - 14,
                        &(struct pbitc_lettering){.size = 11.5, .colour = PBITC_MUTED, .anchor = PBITC_END},
                        "deterministic");
    if (count && picture->has_target) {
        labels[count] =
            (struct label){.end = {names - 18, pbitc_axis_place(&picture->up, picture->report->target)},
                           .x = names,
                           .colour = PBITC_GOOD,
                           .text = "target"};
        count++;
    }
    return draw_labels(picture, labels, count);
}

static struct pbitc_drawing *finish(struct picture *picture, const char *title, const char *what,
                                    const char *description)
{
    char basis[96], subtitle[160];
    picture->drawing = NULL;
    if (!pbitc_grid_make(&picture->grid, picture->report))
        return NULL;
    find_fixed(picture);
    pbitc_text_print(
        subtitle, sizeof(subtitle), "%s%s", pbitc_plot_basis(picture->report, basis),
        picture->intervals && picture->grid.draws_count <= INTERVALS_LIMIT ? "; bars: 95 % intervals" : "");
    picture->drawing = pbitc_plot_begin(HEIGHT, title, subtitle, description);
    bool good = picture->drawing;
    if (good) {
        set_axes(picture);
        pbitc_plot_percent_axis(picture->drawing, &picture->frame, &picture->up, what);
        pbitc_plot_samples_axis(picture->drawing, &picture->frame, &picture->across, &picture->grid);
        draw_levels(picture);
        good = draw_curves(picture) && draw_strip(picture);
    }
    pbitc_grid_free(&picture->grid);
    if (good)
        return picture->drawing;
    pbitc_drawing_destroy(picture->drawing);
    return NULL;
}

bool pbitc_plot_has_cells(const struct pbitc_accuracy_report *report)
{
    return report->has_model && report->cell_count > 0;
}

struct pbitc_drawing *pbitc_plot_accuracy(const struct pbitc_accuracy_report *report)
{
    struct picture picture = {.report = report, .value = accuracy_of, .intervals = true};
    return finish(
        &picture, "Accuracy against samples", "accuracy, %",
        "Lines of accuracy over the number of samples T, one for each number of draws m, beside the "
        "deterministic networks");
}

struct pbitc_drawing *pbitc_plot_calibration(const struct pbitc_accuracy_report *report)
{
    struct picture picture = {.report = report, .value = calibration_error_of};
    return finish(
        &picture, "Calibration error against samples", "ECE, %",
        "Lines of the expected calibration error over the number of samples T, one for each number of draws "
        "m, beside the deterministic networks");
}
