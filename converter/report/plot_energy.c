// Accuracy against energy: the p-bit budgets with their front, and the deterministic networks.
#include "converter/report/plot_support.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

enum { HEIGHT = 420, BOTTOM = 48, LEGEND_LIMIT = 8, NAMES_LIMIT = 16 };

struct picture {
    const struct pbitc_accuracy_report *report;
    struct pbitc_drawing *drawing;
    struct pbitc_grid grid;
    struct pbitc_frame frame;
    struct pbitc_axis across, up;
    struct pbitc_boxes *boxes;
};

static bool is_priced(const struct pbitc_accuracy_cell *cell)
{
    return cell->has_energy && cell->energy > 0 && isfinite(cell->energy);
}

bool pbitc_plot_has_energies(const struct pbitc_accuracy_report *report)
{
    for (size_t i = 0; report->has_model && i < report->cell_count; i++) {
        if (is_priced(&report->cells[i]))
            return true;
    }
    return false;
}

/// All points: p-bits, then the deterministic networks, then the float model. NULL behind them and for those
/// without an energy.
static const struct pbitc_accuracy_cell *point_at(const struct pbitc_accuracy_report *report, size_t index)
{
    const struct pbitc_accuracy_cell *cell = &report->baseline;
    if (index < report->cell_count)
        cell = &report->cells[index];
    else if (index - report->cell_count < report->twin_count)
        cell = &report->twins[index - report->cell_count];
    else if (!report->has_baseline)
        return NULL;
    return is_priced(cell) ? cell : NULL;
}

static size_t point_count(const struct pbitc_accuracy_report *report)
{
    return report->cell_count + report->twin_count + report->has_baseline;
}

static void set_axes(struct picture *picture)
{
    struct pbitc_frame *frame = &picture->frame;
    double low = 1, high = 0, cheap = INFINITY, dear = 0;
    *frame =
        (struct pbitc_frame){54, PBITC_PLOT_TOP + 20, PBITC_PLOT_WIDTH - PBITC_PLOT_MARGIN, HEIGHT - BOTTOM};
    for (size_t i = 0; i < point_count(picture->report); i++) {
        const struct pbitc_accuracy_cell *cell = point_at(picture->report, i);
        if (!cell)
            continue;
        low = fmin(low, cell->accuracy);
        high = fmax(high, cell->accuracy);
        cheap = fmin(cheap, cell->energy);
        dear = fmax(dear, cell->energy);
    }
    picture->up =
        pbitc_axis_of_fractions(low, high, picture->report->measured_images, frame->bottom, frame->top);
    picture->across =
        (struct pbitc_axis){PBITC_LOGARITHMIC, cheap / 1.3, dear * 1.3, frame->left, frame->right};
}

static void draw_energy_axis(const struct picture *picture)
{
    const struct pbitc_frame *frame = &picture->frame;
    double ticks[PBITC_TICKS_LIMIT], free_from = -1e9;
    size_t count = pbitc_axis_ticks(&picture->across, ticks);
    for (size_t i = 0; i < count; i++) {
        char text[PBITC_NUMBER_TEXT];
        double x = pbitc_axis_place(&picture->across, ticks[i]);
        double half = pbitc_text_width(pbitc_energy_text(ticks[i], 1, text), PBITC_TEXT_SIZE) / 2;
        pbitc_draw_line(picture->drawing, x, frame->top, x, frame->bottom,
                        &(struct pbitc_brush){.stroke = PBITC_GRID, .width = 1});
        if (x - half < free_from || x + half > PBITC_PLOT_WIDTH)
            continue;
        free_from = x + half + 8;
        pbitc_draw_text(picture->drawing, x, frame->bottom + 15,
                        &(struct pbitc_lettering){.colour = PBITC_MUTED, .anchor = PBITC_MIDDLE}, "%s", text);
    }
    pbitc_draw_line(picture->drawing, frame->left, frame->bottom, frame->right, frame->bottom,
                    &(struct pbitc_brush){.stroke = PBITC_MUTED, .width = 1});
    pbitc_draw_text(picture->drawing, (frame->left + frame->right) / 2, frame->bottom + 33,
                    &(struct pbitc_lettering){.size = 11.5, .colour = PBITC_MUTED, .anchor = PBITC_MIDDLE},
                    "energy per image%s%s", picture->report->energy_preset ? ", constants: " : "",
                    picture->report->energy_preset ? picture->report->energy_preset : "");
}

static struct pbitc_point place_of(const struct picture *picture, const struct pbitc_accuracy_cell *cell)
{
    return (struct pbitc_point){pbitc_axis_place(&picture->across, cell->energy),
                                pbitc_axis_place(&picture->up, cell->accuracy)};
}

static int by_energy(const void *a, const void *b)
{
    const struct pbitc_accuracy_cell *left = *(const struct pbitc_accuracy_cell *const *)a;
    const struct pbitc_accuracy_cell *right = *(const struct pbitc_accuracy_cell *const *)b;
    if (left->energy != right->energy)
        return left->energy < right->energy ? -1 : 1;
    return left->accuracy > right->accuracy ? -1 : left->accuracy < right->accuracy;
}

/// Collects the p-bit cells that none is cheaper and better than, cheapest first.
static size_t find_front(const struct pbitc_accuracy_report *report, const struct pbitc_accuracy_cell **front)
{
    size_t count = 0, kept = 0;
    for (size_t i = 0; i < report->cell_count; i++) {
        if (is_priced(&report->cells[i]))
            front[count++] = &report->cells[i];
    }
    qsort((void *)front, count, sizeof(*front), by_energy);
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || front[i]->accuracy > front[kept - 1]->accuracy)
            front[kept++] = front[i];
    }
    return kept;
}

/// Keeps labels away from the line between two points that lie above or beside each other.
static void keep_free(const struct picture *picture, struct pbitc_point a, struct pbitc_point b)
{
    pbitc_boxes_add(picture->boxes, fmin(a.x, b.x) - 2, fmin(a.y, b.y) - 2, fmax(a.x, b.x) + 2,
                    fmax(a.y, b.y) + 2);
}

/// The best accuracy that an energy buys is a staircase.
static bool draw_front(const struct picture *picture, const struct pbitc_accuracy_cell *const *front,
                       size_t count)
{
    struct pbitc_point *points = calloc(2 * count + 1, sizeof(*points));
    if (!points)
        return false;
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        struct pbitc_point place = place_of(picture, front[i]);
        if (i) {
            points[used] = (struct pbitc_point){place.x, points[used - 1].y};
            used++;
        }
        points[used++] = place;
    }
    points[used] = (struct pbitc_point){picture->frame.right, points[used - 1].y};
    pbitc_draw_path(picture->drawing, points, used + 1, false,
                    &(struct pbitc_brush){.stroke = PBITC_MUTED, .width = 1.5});
    for (size_t i = 0; i < used; i++)
        keep_free(picture, points[i], points[i + 1]);
    free(points);
    return true;
}

static void draw_point(const struct picture *picture, const struct pbitc_accuracy_cell *cell, size_t draws)
{
    char tip[200], energy[PBITC_NUMBER_TEXT], name[PBITC_NUMBER_TEXT];
    struct pbitc_point place = place_of(picture, cell);
    pbitc_energy_text(cell->energy, 3, energy);
    if (cell->bits == 0) {
        int colour = pbitc_series_colour(draws, picture->grid.draws_count);
        pbitc_text_print(tip, sizeof(tip), "m = %" PRIu32 ", T = %" PRIu32 ": %.2f %%, %s", cell->draws,
                         cell->samples, 100 * cell->accuracy, energy);
        pbitc_draw_circle(
            picture->drawing, place.x, place.y, 3.8,
            &(struct pbitc_brush){.fill = colour, .stroke = PBITC_PAPER, .width = 1, .tip = tip});
    } else {
        pbitc_text_print(tip, sizeof(tip), "deterministic, %s: %.2f %%, %s", pbitc_twin_text(cell, name),
                         100 * cell->accuracy, energy);
        pbitc_plot_mark(picture->drawing, place.x, place.y, cell->bits == 32,
                        &(struct pbitc_brush){.fill = cell->bits == 32 ? PBITC_INK : PBITC_TWIN,
                                              .stroke = PBITC_PAPER,
                                              .width = 1,
                                              .tip = tip});
    }
    pbitc_boxes_add(picture->boxes, place.x - 4, place.y - 4, place.x + 4, place.y + 4);
}

static void draw_points(const struct picture *picture)
{
    const struct pbitc_grid *grid = &picture->grid;
    for (size_t draws = 0; draws < grid->draws_count; draws++) {
        for (size_t samples = 0; samples < grid->samples_count; samples++) {
            const struct pbitc_accuracy_cell *cell = pbitc_grid_cell(grid, draws, samples);
            if (cell && is_priced(cell))
                draw_point(picture, cell, draws);
        }
    }
    for (size_t i = picture->report->cell_count; i < point_count(picture->report); i++) {
        const struct pbitc_accuracy_cell *cell = point_at(picture->report, i);
        if (cell)
            draw_point(picture, cell, 0);
    }
}

/// Names the deterministic networks, then the front, as far as there is room.
static void name_points(const struct picture *picture, const struct pbitc_accuracy_cell *const *front,
                        size_t count)
{
    char text[PBITC_NUMBER_TEXT];
    struct pbitc_frame frame = picture->frame;
    frame.top -= 10;
    for (size_t i = point_count(picture->report); i-- > picture->report->cell_count;) {
        const struct pbitc_accuracy_cell *cell = point_at(picture->report, i);
        if (!cell)
            continue;
        struct pbitc_point place = place_of(picture, cell);
        pbitc_boxes_label(picture->boxes, picture->drawing, &frame, place.x, place.y,
                          &(struct pbitc_lettering){.colour = cell->bits == 32 ? PBITC_INK : PBITC_TWIN,
                                                    .bold = true,
                                                    .halo = PBITC_PAPER},
                          pbitc_twin_text(cell, text));
    }
    for (size_t i = 0; i < count; i += 1 + count / NAMES_LIMIT) {
        struct pbitc_point place = place_of(picture, front[i]);
        pbitc_text_print(text, sizeof(text), "m%" PRIu32 " T%" PRIu32, front[i]->draws, front[i]->samples);
        pbitc_boxes_label(picture->boxes, picture->drawing, &frame, place.x, place.y,
                          &(struct pbitc_lettering){.size = 10.5, .colour = PBITC_INK, .halo = PBITC_PAPER},
                          text);
    }
}

/// The colours of the m, all or the first, the middle and the last of many; then the other marks.
static void draw_legend(const struct picture *picture)
{
    size_t lines = picture->grid.draws_count, step = lines > LEGEND_LIMIT ? (lines - 1) / 2 : 1;
    double x = PBITC_PLOT_MARGIN, y = 60;
    struct pbitc_lettering type = {.size = 11.5, .colour = PBITC_MUTED};
    pbitc_draw_text(picture->drawing, x, y, &type, "m =");
    x += 34;
    for (size_t i = 0; i < lines; i += step) {
        char text[PBITC_NUMBER_TEXT];
        pbitc_text_print(text, sizeof(text), "%" PRIu32, picture->grid.draws[i]);
        pbitc_draw_circle(picture->drawing, x + 4, y, 3.8,
                          &(struct pbitc_brush){.fill = pbitc_series_colour(i, lines)});
        pbitc_draw_text(picture->drawing, x + 11, y, &type, "%s", text);
        x += 22 + pbitc_text_width(text, type.size);
    }
    if (picture->report->twin_count == 0)
        return;
    static const char words[] = "deterministic, k bits";
    x = PBITC_PLOT_WIDTH - PBITC_PLOT_MARGIN - pbitc_text_width(words, type.size);
    pbitc_plot_mark(picture->drawing, x - 9, y, false, &(struct pbitc_brush){.fill = PBITC_TWIN});
    pbitc_draw_text(picture->drawing, x, y, &type, "%s", words);
}

static bool draw(struct picture *picture)
{
    const struct pbitc_accuracy_cell **front =
        calloc(picture->report->cell_count, sizeof(const struct pbitc_accuracy_cell *));
    if (!front)
        return false;
    set_axes(picture);
    pbitc_plot_percent_axis(picture->drawing, &picture->frame, &picture->up, "accuracy, %");
    draw_energy_axis(picture);
    draw_legend(picture);
    size_t count = find_front(picture->report, front);
    bool good = draw_front(picture, front, count);
    draw_points(picture);
    name_points(picture, front, count);
    free((void *)front);
    return good;
}

struct pbitc_drawing *pbitc_plot_energy(const struct pbitc_accuracy_report *report)
{
    char basis[96];
    struct picture picture = {.report = report, .boxes = calloc(1, sizeof(*picture.boxes))};
    if (picture.boxes && pbitc_grid_make(&picture.grid, report)) {
        picture.drawing =
            pbitc_plot_begin(HEIGHT, "Accuracy against energy", pbitc_plot_basis(report, basis),
                             "Points of accuracy over the energy per image, with the front of the "
                             "p-bit budgets and the deterministic networks");
        if (picture.drawing && !draw(&picture)) {
            pbitc_drawing_destroy(picture.drawing);
            picture.drawing = NULL;
        }
        pbitc_grid_free(&picture.grid);
    }
    free(picture.boxes);
    return picture.drawing;
}
