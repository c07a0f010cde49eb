// convert --energy-budget and --size-budget: what a budget pays for, found on a file made for it of few
// images (neither energies nor sizes depend on what they show).
#ifndef PBITC_BUDGETS_H
#define PBITC_BUDGETS_H

#include "converter/conversion.h"
#include "converter/energy/energy_network.h"

/// Outlives the conversion that it pays for.
struct pbitc_energy_budget {
    struct pbitc_arena *arena;
    struct pbitc_graph *sized; ///< with --size-budget: the arena of conversion->choices
    struct pbitc_energy_constants constants;
    struct pbitc_energy_network network; ///< of the file that the arguments make
    uint32_t samples;
};

/// With --size-budget, a run for that alone chooses the bits, which become conversion->choices: what weights
/// cost is known before draws are. Finds the most draws that all layers can afford alike for
/// arguments->energy_budget nJ per image, all T passes together; they become arguments->draws, and
/// arguments->budget says what is left and what more draws cost. Errors: those of a conversion, RANGE when
/// not even one draw can be paid for. To be closed in any case.
enum pbit_status pbitc_energy_budget_open(struct pbitc_conversion *conversion,
                                          struct pbitc_energy_budget *budget);
void pbitc_energy_budget_close(struct pbitc_energy_budget *budget); ///< accepts a zeroed one

/// What arguments->size_budget leaves beside a file with the fewest bits becomes arguments->spare_bytes.
/// Errors: those of a conversion, RANGE when the file would be too large even so.
enum pbit_status pbitc_size_budget(struct pbitc_conversion *conversion);

#endif
