// What several pictures of the report share: the cells in order, frames, and labels that keep apart.
#ifndef PBITC_PLOT_SUPPORT_H
#define PBITC_PLOT_SUPPORT_H

#include "converter/report/axis.h"
#include "converter/report/plot.h"

enum { PBITC_PLOT_WIDTH = 470, PBITC_PLOT_MARGIN = 14, PBITC_PLOT_TOP = 74 };

/// The cells by m and T, both ascending.
struct pbitc_grid {
    size_t draws_count, samples_count;
    uint32_t *draws, *samples;
    const struct pbitc_accuracy_cell **cells; ///< [draws][samples]; NULL where nothing was measured
    uint32_t *storage;
};

bool pbitc_grid_make(struct pbitc_grid *grid,
                     const struct pbitc_accuracy_report *report); ///< false: no memory
void pbitc_grid_free(struct pbitc_grid *grid);
static inline const struct pbitc_accuracy_cell *pbitc_grid_cell(const struct pbitc_grid *grid, size_t draws,
                                                                size_t samples)
{
    return grid->cells[draws * grid->samples_count + samples];
}

struct pbitc_frame {
    double left, top, right, bottom;
};

/// A picture with its title and, below that, a line of small text.
struct pbitc_drawing *pbitc_plot_begin(double height, const char *title, const char *subtitle,
                                       const char *description);

/// Horizontal lines at the axis' ticks, in % with `what` above them.
void pbitc_plot_percent_axis(struct pbitc_drawing *drawing, const struct pbitc_frame *frame,
                             const struct pbitc_axis *axis, const char *what);

/// The values of T below the frame, those that have room.
void pbitc_plot_samples_axis(struct pbitc_drawing *drawing, const struct pbitc_frame *frame,
                             const struct pbitc_axis *axis, const struct pbitc_grid *grid);

/// A square around (x, y); the float model's stands on its corner.
void pbitc_plot_mark(struct pbitc_drawing *drawing, double x, double y, bool on_corner,
                     const struct pbitc_brush *brush);

/// Moves the places, as little as needed, at least `gap` apart inside low..high, keeping their order.
/// `places` are ascending. Where there are too many, shown[i] becomes false for some, never for the first and
/// the last.
void pbitc_labels_spread(double *places, bool *shown, size_t count, double gap, double low, double high);

/// Boxes that texts must not touch, to place labels at points one after the other. When there are too many,
/// nothing is free.
enum { PBITC_BOXES_LIMIT = 4096 };
struct pbitc_boxes {
    size_t count;
    struct pbitc_frame boxes[PBITC_BOXES_LIMIT];
};

void pbitc_boxes_add(struct pbitc_boxes *boxes, double left, double top, double right, double bottom);

/// Writes the text beside (x, y) where it is free inside the frame; nothing when it is nowhere free.
bool pbitc_boxes_label(struct pbitc_boxes *boxes, struct pbitc_drawing *drawing,
                       const struct pbitc_frame *frame, double x, double y,
                       const struct pbitc_lettering *type, const char *text);

enum { PBITC_NUMBER_TEXT = 40 };
/// nJ as "1.23 µJ", with a unit that suits and `digits` significant digits.
const char *pbitc_energy_text(double energy, int digits, char text[PBITC_NUMBER_TEXT]);
/// "2,202,122"
const char *pbitc_count_text(uint64_t count, char text[PBITC_NUMBER_TEXT]);
/// Name of a deterministic network: "3-bit", "float".
const char *pbitc_twin_text(const struct pbitc_accuracy_cell *cell, char text[PBITC_NUMBER_TEXT]);

/// `format` printed into `text`, cut where it ends.
const char *pbitc_text_print(char *text, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/// "2,000 images, mean of 5 seeds"
const char *pbitc_plot_basis(const struct pbitc_accuracy_report *report, char text[96]);

#endif
