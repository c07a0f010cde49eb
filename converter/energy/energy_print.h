// What `pbitc energy` prints.
#ifndef PBITC_ENERGY_PRINT_H
#define PBITC_ENERGY_PRINT_H

#include "converter/energy/energy.h"
#include "converter/report/accuracy_report.h"

#include <stdio.h>

struct pbitc_energy_listing {
    const struct pbitc_energy_network *network;
    const struct pbitc_energy_constants *constants;
    uint64_t model_hash;
    size_t samples_count, draws_count;
    const uint32_t *samples, *draws;            ///< the lists of T and of m
    const struct pbitc_accuracy_report *report; ///< with measured accuracies; NULL: none was given
    bool has_target;
    double target; ///< accuracy to reach
};

/// The cell of the report that reaches the target with the least energy by the listing's network and
/// constants; NULL: none does. *energy is in nJ.
const struct pbitc_accuracy_cell *pbitc_energy_find_cheapest(const struct pbitc_energy_listing *listing,
                                                             double *energy);

void pbitc_energy_write_text(const struct pbitc_energy_listing *listing, FILE *stream);
void pbitc_energy_write_json(const struct pbitc_energy_listing *listing, FILE *stream);

#endif
