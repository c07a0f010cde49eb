// The energies of a report, from its layers and constants alone: so a report that was read or merged has the
// same ones.
#ifndef PBITC_ENERGY_REPORT_H
#define PBITC_ENERGY_REPORT_H

#include "converter/energy/energy_constants.h"
#include "converter/report/accuracy_report.h"

/// Gives the report these constants, copied. False when out of memory.
bool pbitc_report_set_constants(struct pbitc_accuracy_report *report,
                                const struct pbitc_energy_constants *constants);

/// By the exact convention, with the activity that was measured: sets the energies of the cells, the twins
/// and the float model; nothing where the report has no constants, or not all of them, or no layers. False
/// when out of memory.
bool pbitc_report_derive_energy(struct pbitc_accuracy_report *report);

#endif
