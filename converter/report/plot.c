#include "converter/report/plot.h"

const struct pbitc_plot pbitc_plots[PBITC_PLOT_COUNT] = {
    {"accuracy",
     "Each line is a number of draws m; upright bars are 95 % Wilson intervals over the images. Squares and "
     "dotted "
     "lines are deterministic networks with the same weights and k-bit activations, the dashed line is the "
     "float "
     "model.",
     pbitc_plot_has_cells, pbitc_plot_accuracy},
    {"energy",
     "Energy per image as modelled from the measured activity. A point on the line is not beaten by any "
     "p-bit budget "
     "that costs less; squares are deterministic networks of k bits with the same weights.",
     pbitc_plot_has_energies, pbitc_plot_energy},
    {"surface", "Accuracy in % at each budget. Lines join budgets of equal energy.", pbitc_plot_has_surface,
     pbitc_plot_surface},
    {"calibration",
     "Expected calibration error: how far the confidence is from the share of right answers, over 15 bins. "
     "Low is "
     "good.",
     pbitc_plot_has_cells, pbitc_plot_calibration},
    {"layers",
     "How busy the p-bits of each layer are. A p-bit that always or never fires carries no information; the "
     "share of "
     "the loss says which layer costs the agreement with the float model.",
     pbitc_plot_has_levels, pbitc_plot_layers},
    {"confusion",
     "Share of each label's images by decision, at the main budget; empty cells are below 0.5 %.",
     pbitc_plot_has_confusion, pbitc_plot_confusion},
};
