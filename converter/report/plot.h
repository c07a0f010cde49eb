// The pictures of an accuracy report. Each is drawn from what the report holds; one that has nothing to show
// is left out.
#ifndef PBITC_PLOT_H
#define PBITC_PLOT_H

#include "converter/report/accuracy_report.h"
#include "converter/report/drawing.h"

struct pbitc_plot {
    const char *name;    ///< of its file, without the ending
    const char *caption; ///< how to read it
    bool (*is_possible)(const struct pbitc_accuracy_report *report);
    /// The caller destroys it. NULL when out of memory.
    struct pbitc_drawing *(*draw)(const struct pbitc_accuracy_report *report);
};

enum { PBITC_PLOT_COUNT = 6 };
extern const struct pbitc_plot pbitc_plots[PBITC_PLOT_COUNT];

bool pbitc_plot_has_cells(const struct pbitc_accuracy_report *report);
bool pbitc_plot_has_surface(const struct pbitc_accuracy_report *report);
bool pbitc_plot_has_energies(const struct pbitc_accuracy_report *report);
bool pbitc_plot_has_levels(const struct pbitc_accuracy_report *report);
bool pbitc_plot_has_confusion(const struct pbitc_accuracy_report *report);

struct pbitc_drawing *pbitc_plot_accuracy(const struct pbitc_accuracy_report *report);
struct pbitc_drawing *pbitc_plot_surface(const struct pbitc_accuracy_report *report);
struct pbitc_drawing *pbitc_plot_energy(const struct pbitc_accuracy_report *report);
struct pbitc_drawing *pbitc_plot_layers(const struct pbitc_accuracy_report *report);
struct pbitc_drawing *pbitc_plot_confusion(const struct pbitc_accuracy_report *report);
struct pbitc_drawing *pbitc_plot_calibration(const struct pbitc_accuracy_report *report);

#endif
