// What eval can be asked to insist on.
#ifndef PBITC_GATES_H
#define PBITC_GATES_H

#include "converter/report/accuracy_report.h"
#include "passes/diagnostics.h"

/// A demand on one cell.
struct pbitc_gate {
    uint32_t samples, draws;
    bool is_drop; ///< the drop is at most `bound`; else the accuracy is at least `bound`
    double bound; ///< fraction
};

/// Reads "T:m:X" with X in 0..1. False when it is no such text.
bool pbitc_gate_parse(const char *text, struct pbitc_gate *gate);

/// Whether the report's cell meets the gate; prints one line on `talk` when it does not. The cell must be
/// there.
bool pbitc_gate_check(const struct pbitc_gate *gate, const struct pbitc_accuracy_report *report, FILE *talk);

/// Compares with the JSON of an earlier eval of the same data: *fell is the number of cells whose accuracy is
/// lower than there by the two-proportion test, 95 % two-sided; one line on `talk` for each. Reports a file
/// that cannot be compared with.
enum pbit_status pbitc_report_compare(const struct pbitc_accuracy_report *report, const char *path,
                                      FILE *talk, struct pbitc_diagnostics *diagnostics, size_t *fell);

#endif
