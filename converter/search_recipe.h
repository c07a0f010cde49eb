// convert --target-drop: the cheapest budget, bits of weights and shares of draws that keep the accuracy.
#ifndef PBITC_SEARCH_RECIPE_H
#define PBITC_SEARCH_RECIPE_H

#include "converter/conversion.h"

enum { PBITC_TRIALS_LIMIT = 64 };

/// One recipe that was tried. Drops are of the first half of the images, which calibrated, and of the other.
struct pbitc_trial {
    int64_t weights, draws; ///< bits, m
    double draw_budget;     ///< of allocate-draws; 0: every layer draws m
    bool made;              ///< false: there is no such file (sums would overflow), and nothing below is set
    double mean_draws;      ///< per synapse that reads p-bits and image
    double energy;          ///< nJ per image
    double drops[2];        ///< the second is measured when the first is no larger than the target
    bool checked, holds;
};

struct pbitc_search {
    bool labels; ///< of the data; else decisions are compared with the float model's
    double float_accuracies[2];
    size_t half; ///< images that calibrate
    size_t count;
    struct pbitc_trial trials[PBITC_TRIALS_LIMIT];
    const struct pbitc_trial *best;    ///< that holds, with the least energy; NULL: none does
    const struct pbitc_trial *nearest; ///< with the smallest drop; NULL: none was made
};

/// Tries recipes and talks about each on standard error. Weights, m and T that the arguments give stay as
/// they are. The data set gets the float model's decisions as labels when it has none. The model's graph is
/// not changed. Errors: those of a conversion, RANGE for too few images.
enum pbit_status pbitc_search_recipe(struct pbitc_conversion *conversion, struct pbitc_search *search);

#endif
