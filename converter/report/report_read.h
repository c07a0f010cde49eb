// report.json back to a report: what merge, --resume, --compare and `report diff` start from.
#ifndef PBITC_REPORT_READ_H
#define PBITC_REPORT_READ_H

#include "converter/report/accuracy_report.h"
#include "passes/diagnostics.h"

/// Reads a report.json or the output of `eval --json`. What is derived is derived anew. Every problem of the
/// file is reported at once. Errors: IO, FORMAT (no report, damaged, of another schema), MEMORY. *report is
/// NULL on failure and the caller's to destroy otherwise.
enum pbit_status pbitc_report_read(const char *path, struct pbitc_diagnostics *diagnostics,
                                   struct pbitc_accuracy_report **report);

/// The same for a text in memory, which messages call `name`.
enum pbit_status pbitc_report_parse(const char *name, const char *text, size_t size,
                                    struct pbitc_diagnostics *diagnostics,
                                    struct pbitc_accuracy_report **report);

#endif
