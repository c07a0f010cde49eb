#include "converter/report/plot_support.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/// Inserts the number into the ascending list unless it is there.
static void insert(uint32_t *list, size_t *count, uint32_t number)
{
    size_t place = 0;
    while (place < *count && list[place] < number)
        place++;
    if (place < *count && list[place] == number)
        return;
    memmove(list + place + 1, list + place, (*count - place) * sizeof(*list));
    list[place] = number;
    ++*count;
}

static size_t find(const uint32_t *list, uint32_t number)
{
    size_t place = 0;
    while (list[place] != number)
        place++;
    return place;
}

bool pbitc_grid_make(struct pbitc_grid *grid, const struct pbitc_accuracy_report *report)
{
    *grid = (struct pbitc_grid){.storage = calloc(2 * report->cell_count + 1, sizeof(uint32_t))};
    if (!grid->storage)
        return false;
    grid->draws = grid->storage;
    grid->samples = grid->storage + report->cell_count;
    for (size_t i = 0; i < report->cell_count; i++) {
        insert(grid->draws, &grid->draws_count, report->cells[i].draws);
        insert(grid->samples, &grid->samples_count, report->cells[i].samples);
    }
    grid->cells =
        calloc(grid->draws_count * grid->samples_count + 1, sizeof(const struct pbitc_accuracy_cell *));
    if (!grid->cells) {
        pbitc_grid_free(grid);
        return false;
    }
    for (size_t i = 0; i < report->cell_count; i++)
        grid->cells[find(grid->draws, report->cells[i].draws) * grid->samples_count +
                    find(grid->samples, report->cells[i].samples)] = &report->cells[i];
    return true;
}

void pbitc_grid_free(struct pbitc_grid *grid)
{
    free(grid->storage);
    free((void *)grid->cells);
    *grid = (struct pbitc_grid){0};
}

struct pbitc_drawing *pbitc_plot_begin(double height, const char *title, const char *subtitle,
                                       const char *description)
{
    struct pbitc_drawing *drawing = pbitc_drawing_create(PBITC_PLOT_WIDTH, height, title, description);
    if (!drawing)
        return NULL;
    pbitc_draw_text(drawing, PBITC_PLOT_MARGIN, 20,
                    &(struct pbitc_lettering){.size = 15, .colour = PBITC_INK, .bold = true}, "%s", title);
    pbitc_draw_text(drawing, PBITC_PLOT_MARGIN, 40,
                    &(struct pbitc_lettering){.size = 11.5, .colour = PBITC_MUTED}, "%s", subtitle);
    return drawing;
}

/// Digits behind the point that tell the ticks apart, in %.
static int tick_digits(const double *ticks, size_t count)
{
    int digits = 0;
    for (size_t i = 0; i < count; i++) {
        for (; digits < 3; digits++) {
            double scaled = 100 * ticks[i] * pow(10, digits);
            if (fabs(scaled - round(scaled)) < 1e-3)
                break;
        }
    }
    return digits;
}

void pbitc_plot_percent_axis(struct pbitc_drawing *drawing, const struct pbitc_frame *frame,
                             const struct pbitc_axis *axis, const char *what)
{
    double ticks[PBITC_TICKS_LIMIT];
    size_t count = pbitc_axis_ticks(axis, ticks);
    int common = tick_digits(ticks, count);
    for (size_t i = 0; i < count; i++) {
        double y = pbitc_axis_place(axis, ticks[i]);
        int digits = axis->scale == PBITC_LINEAR ? common : tick_digits(&ticks[i], 1);
        pbitc_draw_line(drawing, frame->left, y, frame->right, y,
                        &(struct pbitc_brush){.stroke = PBITC_GRID, .width = 1});
        pbitc_draw_text(drawing, frame->left - 7, y,
                        &(struct pbitc_lettering){.colour = PBITC_MUTED, .anchor = PBITC_END}, "%.*f", digits,
                        100 * ticks[i]);
    }
    pbitc_draw_text(drawing, PBITC_PLOT_MARGIN, frame->top - 14,
                    &(struct pbitc_lettering){.size = 11.5, .colour = PBITC_MUTED}, "%s%s", what,
                    axis->scale == PBITC_ERROR_LOGARITHMIC ? " (errors on a log scale)" : "");
}

void pbitc_plot_samples_axis(struct pbitc_drawing *drawing, const struct pbitc_frame *frame,
                             const struct pbitc_axis *axis, const struct pbitc_grid *grid)
{
    double free_to = 1e9;
    pbitc_draw_line(drawing, frame->left, frame->bottom, frame->right, frame->bottom,
                    &(struct pbitc_brush){.stroke = PBITC_MUTED, .width = 1});
    for (size_t i = grid->samples_count; i-- > 0;) {
        char text[PBITC_NUMBER_TEXT];
        double x = pbitc_axis_place(axis, grid->samples[i]);
        pbitc_text_print(text, sizeof(text), "%" PRIu32, grid->samples[i]);
        double half = pbitc_text_width(text, PBITC_TEXT_SIZE) / 2;
        if (x + half > free_to)
            continue;
        free_to = x - half - 6;
        pbitc_draw_line(drawing, x, frame->bottom, x, frame->bottom + 4,
                        &(struct pbitc_brush){.stroke = PBITC_MUTED, .width = 1});
        pbitc_draw_text(drawing, x, frame->bottom + 15,
                        &(struct pbitc_lettering){.colour = PBITC_MUTED, .anchor = PBITC_MIDDLE}, "%s", text);
    }
    pbitc_draw_text(drawing, (frame->left + frame->right) / 2, frame->bottom + 33,
                    &(struct pbitc_lettering){.size = 11.5, .colour = PBITC_MUTED, .anchor = PBITC_MIDDLE},
                    "samples T (passes of the network)");
}

void pbitc_plot_mark(struct pbitc_drawing *drawing, double x, double y, bool on_corner,
                     const struct pbitc_brush *brush)
{
    double r = on_corner ? 5.5 : 4;
    if (on_corner)
        pbitc_draw_path(drawing, (struct pbitc_point[]){{x, y - r}, {x + r, y}, {x, y + r}, {x - r, y}}, 4,
                        true, brush);
    else
        pbitc_draw_rectangle(drawing, x - r, y - r, x + r, y + r, brush);
}

/// Hides labels evenly until the rest fits.
static size_t thin_out(bool *shown, size_t count, double gap, double room)
{
    size_t fitting = room < gap ? 1 : (size_t)(room / gap) + 1, left = 0;
    for (size_t i = 0; i < count; i++) {
        size_t before = i ? ((i - 1) * (fitting - 1)) / (count - 1) : 0;
        shown[i] = count <= fitting || i == 0 || i == count - 1 ||
                   (fitting > 1 && (i * (fitting - 1)) / (count - 1) > before);
        left += shown[i];
    }
    return left;
}

void pbitc_labels_spread(double *places, bool *shown, size_t count, double gap, double low, double high)
{
    if (count == 0)
        return;
    size_t left = thin_out(shown, count, gap, high - low);
    if (left > 1)
        gap = fmin(gap, (high - low) / (double)(left - 1));
    double last = low - gap;
    for (size_t i = 0; i < count; i++) { // downwards until each has its room
        if (!shown[i])
            continue;
        places[i] = fmax(places[i], last + gap);
        last = places[i];
    }
    last = high + gap;
    for (size_t i = count; i-- > 0;) { // and back from the end
        if (!shown[i])
            continue;
        places[i] = fmin(places[i], last - gap);
        last = places[i];
    }
}

void pbitc_boxes_add(struct pbitc_boxes *boxes, double left, double top, double right, double bottom)
{
    if (boxes->count < PBITC_BOXES_LIMIT)
        boxes->boxes[boxes->count++] = (struct pbitc_frame){left, top, right, bottom};
}

static bool is_free(const struct pbitc_boxes *boxes, const struct pbitc_frame *frame,
                    const struct pbitc_frame *box)
{
    if (box->left < frame->left || box->right > frame->right || box->top < frame->top ||
        box->bottom > frame->bottom)
        return false;
    for (size_t i = 0; i < boxes->count && boxes->count < PBITC_BOXES_LIMIT; i++) {
        const struct pbitc_frame *other = &boxes->boxes[i];
        if (box->left < other->right && other->left < box->right && box->top < other->bottom &&
            other->top < box->bottom)
            return false;
    }
    return boxes->count < PBITC_BOXES_LIMIT;
}

bool pbitc_boxes_label(struct pbitc_boxes *boxes, struct pbitc_drawing *drawing,
                       const struct pbitc_frame *frame, double x, double y,
                       const struct pbitc_lettering *type, const char *text)
{
    // On the point when nothing is there, else beside it; nearer places first.
    static const double places[][2] = {{0, 0},    {1, 0},     {0, -1},  {-1, 0},  {0, 1},
                                       {1, -0.7}, {-1, -0.7}, {1, 0.7}, {-1, 0.7}};
    double size = type->size > 0 ? type->size : PBITC_TEXT_SIZE, half = 0.6 * size;
    double width = pbitc_text_width(text, size);
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        double across = places[i][0], middle_x = x + across * (width / 2 + 8),
               middle_y = y + places[i][1] * (half + 7);
        struct pbitc_frame box = {middle_x - width / 2 - 1, middle_y - half, middle_x + width / 2 + 1,
                                  middle_y + half};
        if (!is_free(boxes, frame, &box))
            continue;
        struct pbitc_lettering set = *type;
        set.anchor = PBITC_MIDDLE;
        pbitc_draw_text(drawing, middle_x, middle_y, &set, "%s", text);
        pbitc_boxes_add(boxes, box.left, box.top, box.right, box.bottom);
        return true;
    }
    return false;
}

const char *pbitc_text_print(char *text, size_t size, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(text, size, format, list);
    va_end(list);
    return text;
}

const char *pbitc_energy_text(double energy, int digits, char text[PBITC_NUMBER_TEXT])
{
    static const char *const units[] = {"pJ", "nJ", "\xc2\xb5J", "mJ", "J"};
    double value = 1000 * energy;
    size_t unit = 0;
    while (unit < 4 && value >= 999.5) {
        value /= 1000;
        unit++;
    }
    int whole = value >= 100 ? 3 : value >= 10 ? 2 : 1;
    return pbitc_text_print(text, PBITC_NUMBER_TEXT, "%.*f %s", digits > whole ? digits - whole : 0, value,
                            units[unit]);
}

const char *pbitc_count_text(uint64_t count, char text[PBITC_NUMBER_TEXT])
{
    char digits[PBITC_NUMBER_TEXT], *out = text;
    int length = snprintf(digits, sizeof(digits), "%" PRIu64, count);
    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0)
            *out++ = ',';
        *out++ = digits[i];
    }
    *out = 0;
    return text;
}

const char *pbitc_twin_text(const struct pbitc_accuracy_cell *cell, char text[PBITC_NUMBER_TEXT])
{
    return cell->bits == 32 ? pbitc_text_print(text, PBITC_NUMBER_TEXT, "float")
                            : pbitc_text_print(text, PBITC_NUMBER_TEXT, "%" PRIu32 "-bit", cell->bits);
}

const char *pbitc_plot_basis(const struct pbitc_accuracy_report *report, char text[96])
{
    char images[PBITC_NUMBER_TEXT], seeds[PBITC_NUMBER_TEXT];
    pbitc_text_print(seeds, sizeof(seeds), report->seed_count == 1 ? "1 seed" : "mean of %zu seeds",
                     report->seed_count);
    return pbitc_text_print(text, 96, "%s image%s, %s%s", pbitc_count_text(report->measured_images, images),
                            report->measured_images == 1 ? "" : "s", seeds,
                            report->partial ? " (PARTIAL)" : "");
}
