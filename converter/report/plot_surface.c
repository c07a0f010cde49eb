// The (m, T) surface as a heat map, with lines of equal energy.
#include "converter/report/plot_support.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

enum { LEVELS_LIMIT = 5, SMALLEST_CELL = 6, TEXT_ROOM = 34, TEXT_HEIGHT = 16 };

struct picture {
    const struct pbitc_accuracy_report *report;
    struct pbitc_drawing *drawing;
    struct pbitc_grid grid;
    struct pbitc_frame frame;
    struct pbitc_axis colour; ///< accuracy to 0..1
    double cell_width, cell_height;
    struct pbitc_boxes *boxes;
};

bool pbitc_plot_has_surface(const struct pbitc_accuracy_report *report)
{
    return report->has_model && report->cell_count > 1;
}

static double height_of(const struct pbitc_grid *grid, double *cell_height)
{
    *cell_height = fmax(SMALLEST_CELL, fmin(46, 420 / (double)grid->draws_count));
    return PBITC_PLOT_TOP + *cell_height * (double)grid->draws_count + 46;
}

static void set_frame(struct picture *picture)
{
    const struct pbitc_grid *grid = &picture->grid;
    double room = PBITC_PLOT_WIDTH - 54 - PBITC_PLOT_MARGIN, low = 1, high = 0;
    picture->cell_width = fmin(74, room / (double)grid->samples_count);
    picture->frame =
        (struct pbitc_frame){54, PBITC_PLOT_TOP, 54 + picture->cell_width * (double)grid->samples_count,
                             PBITC_PLOT_TOP + picture->cell_height * (double)grid->draws_count};
    for (size_t i = 0; i < picture->report->cell_count; i++) {
        low = fmin(low, picture->report->cells[i].accuracy);
        high = fmax(high, picture->report->cells[i].accuracy);
    }
    picture->colour = pbitc_axis_of_fractions(low, high, picture->report->measured_images, 0, 1);
}

/// The middle of a cell; few draws lie at the bottom.
static struct pbitc_point middle(const struct picture *picture, double draws, double samples)
{
    return (struct pbitc_point){picture->frame.left + (samples + 0.5) * picture->cell_width,
                                picture->frame.bottom - (draws + 0.5) * picture->cell_height};
}

static void draw_cell(const struct picture *picture, size_t draws, size_t samples)
{
    const struct pbitc_accuracy_cell *cell = pbitc_grid_cell(&picture->grid, draws, samples);
    if (!cell)
        return;
    char tip[200], energy[PBITC_NUMBER_TEXT];
    struct pbitc_point place = middle(picture, (double)draws, (double)samples);
    int length =
        snprintf(tip, sizeof(tip), "m = %" PRIu32 ", T = %" PRIu32 ": %.2f %% (%.2f to %.2f)", cell->draws,
                 cell->samples, 100 * cell->accuracy, 100 * cell->interval.low, 100 * cell->interval.high);
    if (cell->has_energy)
        snprintf(tip + length, sizeof(tip) - (size_t)length, ", %s",
                 pbitc_energy_text(cell->energy, 3, energy));
    pbitc_draw_rectangle(
        picture->drawing, place.x - picture->cell_width / 2, place.y - picture->cell_height / 2,
        place.x + picture->cell_width / 2, place.y + picture->cell_height / 2,
        &(struct pbitc_brush){.fill = pbitc_ramp_colour(pbitc_axis_place(&picture->colour, cell->accuracy)),
                              .stroke = PBITC_PAPER,
                              .width = picture->cell_width > 12 ? 1 : 0.4,
                              .tip = tip});
}

/// The accuracies over lines and all, on a patch of the cell's colour.
static void draw_number(const struct picture *picture, size_t draws, size_t samples)
{
    const struct pbitc_accuracy_cell *cell = pbitc_grid_cell(&picture->grid, draws, samples);
    if (!cell || picture->cell_width < TEXT_ROOM || picture->cell_height < TEXT_HEIGHT)
        return;
    char text[PBITC_NUMBER_TEXT];
    struct pbitc_point place = middle(picture, (double)draws, (double)samples);
    double size = picture->cell_width < 44 ? 10 : 12;
    pbitc_text_print(text, sizeof(text), "%.2f", 100 * cell->accuracy);
    double half = pbitc_text_width(text, size) / 2 + 2;
    int colour = pbitc_ramp_colour(pbitc_axis_place(&picture->colour, cell->accuracy));
    pbitc_draw_rectangle(picture->drawing, place.x - half, place.y - 0.6 * size, place.x + half,
                         place.y + 0.6 * size, &(struct pbitc_brush){.fill = colour});
    pbitc_draw_text(picture->drawing, place.x, place.y,
                    &(struct pbitc_lettering){
                        .size = size, .colour = colour - PBITC_RAMP + PBITC_ON_RAMP, .anchor = PBITC_MIDDLE},
                    "%s", text);
    pbitc_boxes_add(picture->boxes, place.x - half, place.y - 0.6 * size, place.x + half,
                    place.y + 0.6 * size);
}

/// A node along one direction: the middles of the cells, and one more on either side, half a cell further
/// out, where the value goes on as between the two nearest cells.
struct node {
    size_t near, other;
    double share; ///< of the step from `other` to `near` to go on
};

static struct node find_node(size_t index, size_t count)
{
    if (index == 0)
        return (struct node){0, count > 1 ? 1 : 0, 0.5};
    if (index > count)
        return (struct node){count - 1, count > 1 ? count - 2 : 0, 0.5};
    return (struct node){index - 1, index - 1, 0};
}

/// log(energy) at a node.
static double energy_at(const struct picture *picture, size_t row, size_t column)
{
    const struct pbitc_grid *grid = &picture->grid;
    struct node draws = find_node(row, grid->draws_count), samples = find_node(column, grid->samples_count);
    double here = log(pbitc_grid_cell(grid, draws.near, samples.near)->energy);
    double below = log(pbitc_grid_cell(grid, draws.other, samples.near)->energy);
    double before = log(pbitc_grid_cell(grid, draws.near, samples.other)->energy);
    return here + draws.share * (here - below) + samples.share * (here - before);
}

static struct pbitc_point node_place(const struct picture *picture, size_t row, size_t column)
{
    double draws = fmin(fmax((double)row - 1, -0.5), (double)picture->grid.draws_count - 0.5);
    double samples = fmin(fmax((double)column - 1, -0.5), (double)picture->grid.samples_count - 0.5);
    return middle(picture, draws, samples);
}

/// Where the level crosses the sides of the square of nodes above and right of (row, column): pairs of ends.
static size_t cross_square(const struct picture *picture, size_t row, size_t column, double level,
                           struct pbitc_point ends[4])
{
    static const size_t corners[][2] = {{0, 0}, {0, 1}, {1, 1}, {1, 0}};
    size_t count = 0;
    for (int side = 0; side < 4; side++) {
        const size_t *a = corners[side], *b = corners[(side + 1) % 4];
        double low = energy_at(picture, row + a[0], column + a[1]) - level;
        double high = energy_at(picture, row + b[0], column + b[1]) - level;
        if ((low < 0) == (high < 0))
            continue;
        struct pbitc_point from = node_place(picture, row + a[0], column + a[1]);
        struct pbitc_point to = node_place(picture, row + b[0], column + b[1]);
        double share = low / (low - high);
        ends[count++] =
            (struct pbitc_point){from.x + share * (to.x - from.x), from.y + share * (to.y - from.y)};
    }
    return count;
}

/// Draws one line of equal energy and names it where there is room, best far from the edges.
static void draw_contour(const struct picture *picture, double energy, const struct pbitc_brush *brush,
                         bool name)
{
    const struct pbitc_grid *grid = &picture->grid;
    struct pbitc_point ends[4];
    char text[PBITC_NUMBER_TEXT];
    bool named = !name;
    pbitc_energy_text(energy, 1, text);
    for (size_t sum = 0; sum < grid->draws_count + grid->samples_count + 2; sum++) {
        for (size_t row = 0; row <= grid->draws_count && row <= sum; row++) {
            size_t column = sum - row;
            if (column > grid->samples_count)
                continue;
            size_t count = cross_square(picture, row, column, log(energy), ends);
            for (size_t i = 0; i + 1 < count && !name; i += 2)
                pbitc_draw_line(picture->drawing, ends[i].x, ends[i].y, ends[i + 1].x, ends[i + 1].y, brush);
            bool inner = row && column && row < grid->draws_count && column < grid->samples_count;
            if (count == 2 && !named && (inner || grid->draws_count < 3 || grid->samples_count < 3))
                named = pbitc_boxes_label(
                    picture->boxes, picture->drawing, &picture->frame, (ends[0].x + ends[1].x) / 2,
                    (ends[0].y + ends[1].y) / 2,
                    &(struct pbitc_lettering){.size = 10, .colour = PBITC_INK, .halo = PBITC_PAPER}, text);
        }
    }
}

static size_t find_levels(const struct picture *picture, double levels[PBITC_TICKS_LIMIT])
{
    struct pbitc_axis axis = {PBITC_LOGARITHMIC, INFINITY, 0, 0, 1};
    for (size_t i = 0; i < picture->report->cell_count; i++) {
        const struct pbitc_accuracy_cell *cell = &picture->report->cells[i];
        if (!cell->has_energy || !(cell->energy > 0) || !isfinite(cell->energy))
            return 0;
        axis.low = fmin(axis.low, cell->energy);
        axis.high = fmax(axis.high, cell->energy);
    }
    size_t count = pbitc_axis_ticks(&axis, levels), step = (count + LEVELS_LIMIT - 1) / LEVELS_LIMIT,
           kept = 0;
    for (size_t i = 0; i < count; i += step)
        levels[kept++] = levels[i];
    return kept;
}

static void draw_contours(const struct picture *picture)
{
    double levels[PBITC_TICKS_LIMIT];
    const struct pbitc_grid *grid = &picture->grid;
    size_t count = grid->draws_count * grid->samples_count == picture->report->cell_count
                       ? find_levels(picture, levels)
                       : 0;
    for (size_t i = 0; i < count; i++) {
        draw_contour(picture, levels[i],
                     &(struct pbitc_brush){.stroke = PBITC_PAPER, .width = 3, .opacity = 0.6}, false);
        draw_contour(picture, levels[i], &(struct pbitc_brush){.stroke = PBITC_INK, .width = 1.1}, false);
    }
    for (size_t draws = 0; draws < grid->draws_count; draws++) {
        for (size_t samples = 0; samples < grid->samples_count; samples++)
            draw_number(picture, draws, samples);
    }
    for (size_t i = 0; i < count; i++)
        draw_contour(picture, levels[i], NULL, true);
}

static void name_rows_and_columns(const struct picture *picture)
{
    const struct pbitc_grid *grid = &picture->grid;
    const struct pbitc_frame *frame = &picture->frame;
    size_t step = (size_t)(14 / picture->cell_height) + 1;
    for (size_t i = 0; i < grid->draws_count; i += step)
        pbitc_draw_text(picture->drawing, frame->left - 7, middle(picture, (double)i, 0).y,
                        &(struct pbitc_lettering){.colour = PBITC_MUTED, .anchor = PBITC_END}, "%" PRIu32,
                        grid->draws[i]);
    step = (size_t)(30 / picture->cell_width) + 1;
    for (size_t i = 0; i < grid->samples_count; i += step)
        pbitc_draw_text(picture->drawing, middle(picture, 0, (double)i).x, frame->bottom + 13,
                        &(struct pbitc_lettering){.colour = PBITC_MUTED, .anchor = PBITC_MIDDLE}, "%" PRIu32,
                        grid->samples[i]);
    pbitc_draw_text(picture->drawing, PBITC_PLOT_MARGIN, frame->top - 14,
                    &(struct pbitc_lettering){.size = 11.5, .colour = PBITC_MUTED}, "draws m");
    pbitc_draw_text(picture->drawing, (frame->left + frame->right) / 2, frame->bottom + 31,
                    &(struct pbitc_lettering){.size = 11.5, .colour = PBITC_MUTED, .anchor = PBITC_MIDDLE},
                    "samples T");
}

/// What the colours mean: the accuracies at the ends of the ramp.
static void draw_legend(const struct picture *picture)
{
    double right = PBITC_PLOT_WIDTH - PBITC_PLOT_MARGIN, y = picture->frame.top - 14, step = 4;
    struct pbitc_lettering type = {.size = 11.5, .colour = PBITC_MUTED, .anchor = PBITC_END};
    char text[PBITC_NUMBER_TEXT];
    pbitc_text_print(text, sizeof(text), "%.1f %%", 100 * picture->colour.high);
    pbitc_draw_text(picture->drawing, right, y, &type, "%s", text);
    double end = right - pbitc_text_width(text, type.size) - 6, start = end - step * PBITC_RAMP_STEPS;
    for (int i = 0; i < PBITC_RAMP_STEPS; i++)
        pbitc_draw_rectangle(picture->drawing, start + step * i, y - 5, start + step * (i + 1) + 0.2, y + 5,
                             &(struct pbitc_brush){.fill = PBITC_RAMP + i});
    pbitc_draw_text(picture->drawing, start - 6, y, &type, "%.1f", 100 * picture->colour.low);
}

static void draw(struct picture *picture)
{
    const struct pbitc_grid *grid = &picture->grid;
    for (size_t draws = 0; draws < grid->draws_count; draws++) {
        for (size_t samples = 0; samples < grid->samples_count; samples++)
            draw_cell(picture, draws, samples);
    }
    name_rows_and_columns(picture);
    draw_legend(picture);
    draw_contours(picture);
}

struct pbitc_drawing *pbitc_plot_surface(const struct pbitc_accuracy_report *report)
{
    char basis[96];
    struct picture picture = {.report = report, .boxes = calloc(1, sizeof(*picture.boxes))};
    if (picture.boxes && pbitc_grid_make(&picture.grid, report)) {
        double height = height_of(&picture.grid, &picture.cell_height);
        picture.drawing =
            pbitc_plot_begin(height, "Accuracy at every budget", pbitc_plot_basis(report, basis),
                             "Heat map of the accuracy over samples T and draws m");
        set_frame(&picture);
        if (picture.drawing)
            draw(&picture);
        pbitc_grid_free(&picture.grid);
    }
    free(picture.boxes);
    return picture.drawing;
}
