#include "converter/energy/energy_report.h"

#include "converter/energy/energy_network.h"

#include <string.h>

bool pbitc_report_set_constants(struct pbitc_accuracy_report *report,
                                const struct pbitc_energy_constants *constants)
{
    report->energy_preset = pbitc_arena_copy_string(report->arena, constants->name, strlen(constants->name));
    report->energy_constants =
        pbitc_arena_allocate(report->arena, PBITC_ENERGY_CONSTANTS, sizeof(*report->energy_constants));
    if (!report->energy_preset || !report->energy_constants)
        return false;
    report->energy_constant_count = PBITC_ENERGY_CONSTANTS;
    for (int i = 0; i < PBITC_ENERGY_CONSTANTS; i++)
        report->energy_constants[i] =
            (struct pbitc_named_number){pbitc_energy_symbols[i], pbitc_energy_constant(constants, i)};
    return true;
}

/// False when one is missing.
static bool find_constants(const struct pbitc_accuracy_report *report,
                           struct pbitc_energy_constants *constants)
{
    bool all = report->energy_preset != NULL;
    for (int i = 0; i < PBITC_ENERGY_CONSTANTS; i++) {
        bool found = false;
        for (size_t k = 0; k < report->energy_constant_count && !found; k++) {
            found = strcmp(report->energy_constants[k].name, pbitc_energy_symbols[i]) == 0;
            if (found)
                pbitc_energy_set_constant(constants, i, report->energy_constants[k].value);
        }
        all &= found;
    }
    return all;
}

static void set_energy(struct pbitc_accuracy_cell *cell, struct pbitc_energy energy)
{
    cell->has_energy = true;
    cell->first_energy = energy.first;
    cell->further_energy = energy.further;
    cell->energy = energy.first + (cell->mean_samples - 1) * energy.further;
}

bool pbitc_report_derive_energy(struct pbitc_accuracy_report *report)
{
    struct pbitc_energy_constants constants = {.name = "", .source = ""};
    struct pbitc_energy_network network;
    if (!report->has_model || report->layer_count == 0 || !find_constants(report, &constants))
        return true;
    if (!pbitc_energy_network_of_layers(report->layers, report->layer_count, PBITC_ENERGY_EXACT,
                                        PBITC_ENERGY_ACTIVITY, report->arena, &network))
        return false;
    for (size_t i = 0; i < report->cell_count; i++)
        set_energy(&report->cells[i], pbitc_energy_of_pbits(&network, &constants, report->cells[i].draws));
    for (size_t i = 0; i < report->stop_count; i++)
        set_energy(&report->stops[i], pbitc_energy_of_pbits(&network, &constants, report->stops[i].draws));
    for (size_t i = 0; i < report->twin_count; i++) {
        double twin = pbitc_energy_of_twin(&network, &constants, report->twins[i].bits);
        set_energy(&report->twins[i], (struct pbitc_energy){.first = twin});
    }
    if (report->has_baseline) {
        double full = pbitc_energy_of_twin(&network, &constants, PBITC_ENERGY_FULL_BITS);
        set_energy(&report->baseline, (struct pbitc_energy){.first = full});
    }
    return true;
}
