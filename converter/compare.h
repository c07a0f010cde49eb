// Is a measurement worse than an earlier one?
#ifndef PBITC_COMPARE_H
#define PBITC_COMPARE_H

#include "converter/report/accuracy_report.h"
#include "passes/diagnostics.h"

/// Compares every (m, T) that the report has in common with the report in the file `path`, and adds one gate
/// outcome per cell that fell, or one that none did. A fall is real when the chance of any false one among
/// all cells stays below PBITC_FAMILY_ERROR (Holm). On the same images the test is paired (pbitc_cells_pair);
/// on other images of the same files (range, limit) it is that of two proportions.
///
/// Reports, all at once, why the two cannot be compared: another schema; other data files; another ONNX model
/// (another .pbit file of the same ONNX model is what comparing is for; a file that does not tell its ONNX
/// model must be the same file); an earlier report that is partial or has no cell in common. Errors: IO,
/// FORMAT, MEMORY.
enum pbit_status pbitc_report_compare(struct pbitc_accuracy_report *report, const char *path,
                                      struct pbitc_diagnostics *diagnostics);

/// The same reports, for a report in which nothing is measured yet.
enum pbit_status pbitc_report_compare_check(const struct pbitc_accuracy_report *report, const char *path,
                                            struct pbitc_diagnostics *diagnostics);

#endif
