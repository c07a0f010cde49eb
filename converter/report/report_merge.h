// Adds up reports that measured different images of one measurement.
#ifndef PBITC_REPORT_MERGE_H
#define PBITC_REPORT_MERGE_H

#include "converter/report/accuracy_report.h"
#include "passes/diagnostics.h"

/// A report and what messages call it.
struct pbitc_report_part {
    const char *name;
    struct pbitc_accuracy_report *report;
};

/// Reports everything by which `part` measures another thing than `first`. Errors: FORMAT.
enum pbit_status pbitc_report_check_same(const struct pbitc_report_part *first,
                                         const struct pbitc_report_part *part,
                                         struct pbitc_diagnostics *diagnostics);

/// Adds up the parts. *sum borrows texts from the parts, so destroy it before them; it has no gates. Reports,
/// all at once, parts that measured another thing than the first (saying what differs) and images that two
/// parts measured. Errors: FORMAT, MEMORY; *sum is NULL on failure.
enum pbit_status pbitc_report_merge(const struct pbitc_report_part *parts, size_t count,
                                    struct pbitc_diagnostics *diagnostics,
                                    struct pbitc_accuracy_report **sum);

/// Reports every image that is missing from the whole, and the shards it belongs to where the parts are
/// shards.
enum pbit_status pbitc_report_check_whole(const struct pbitc_report_part *parts, size_t count,
                                          struct pbitc_diagnostics *diagnostics);

#endif
