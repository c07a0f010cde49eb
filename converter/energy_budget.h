// convert --energy-budget: how many draws an energy per image pays for, and what the draws of each layer
// cost.
#ifndef PBITC_ENERGY_BUDGET_H
#define PBITC_ENERGY_BUDGET_H

#include "converter/conversion.h"
#include "converter/energy/energy_network.h"

/// Outlives the conversion that it pays for.
struct pbitc_energy_budget {
    struct pbitc_arena *arena;
    struct pbitc_energy_constants constants;
    struct pbitc_energy_network network; ///< of the file that the arguments make
    uint32_t samples;
};

/// Finds the most draws that all layers can afford alike for arguments->energy_budget nJ per image, all T
/// passes together; they become arguments->draws, and arguments->budget says what is left and what more draws
/// cost. Makes a file for that, of few images: energies do not depend on ranges. Errors: those of a
/// conversion, RANGE when not even one draw can be paid for. To be closed in any case.
enum pbit_status pbitc_energy_budget_open(struct pbitc_conversion *conversion,
                                          struct pbitc_energy_budget *budget);
void pbitc_energy_budget_close(struct pbitc_energy_budget *budget); ///< accepts a zeroed one

#endif
