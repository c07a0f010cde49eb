// What changed from one report to another.
#ifndef PBITC_REPORT_DIFF_H
#define PBITC_REPORT_DIFF_H

#include "converter/report/accuracy_report.h"
#include "converter/report/report_table.h"
#include "passes/diagnostics.h"

/// One network state in both reports.
struct pbitc_report_change {
    const struct pbitc_accuracy_cell *before, *after;
    double difference; ///< accuracy after - before
    double p_value;    ///< two-sided: chance of such a difference or a larger one when nothing changed
    bool real;         ///< with all others of its kind together, the chance of a false one is below
                       ///< PBITC_FAMILY_ERROR (Holm)
};

/// A fact that is not the same in both; "" where a report does not have it.
struct pbitc_report_fact {
    const char *name, *before, *after;
};

struct pbitc_report_diff {
    struct pbitc_arena *arena; ///< owns what is below
    const struct pbitc_accuracy_report *before, *after;
    const char *before_name, *after_name;
    bool paired; ///< both measured the same images, which is tested image by image
    size_t fact_count, change_count, fixed_count;
    struct pbitc_report_fact *facts;
    struct pbitc_report_change *changes; ///< p-bits, in the order of `after`
    struct pbitc_report_change *fixed;   ///< deterministic networks and the float model
    size_t only_before, only_after;      ///< budgets that the other has not
    size_t better, worse;                ///< of the changes, real ones
};

/// Compares two reports, which are borrowed, like the names that messages call them. Reports why they cannot
/// be compared: other numbers of classes, or no budget and no float model in common. Errors: FORMAT, MEMORY.
/// *diff is NULL on failure.
enum pbit_status pbitc_report_diff_make(const struct pbitc_accuracy_report *before, const char *before_name,
                                        const struct pbitc_accuracy_report *after, const char *after_name,
                                        struct pbitc_diagnostics *diagnostics,
                                        struct pbitc_report_diff **diff);
void pbitc_report_diff_destroy(struct pbitc_report_diff *diff); ///< accepts NULL

/// False when out of memory.
bool pbitc_report_diff_write_text(const struct pbitc_report_diff *diff, FILE *stream);
bool pbitc_report_diff_write_markdown(const struct pbitc_report_diff *diff, FILE *stream);
bool pbitc_report_diff_write_html(const struct pbitc_report_diff *diff, FILE *stream);
bool pbitc_report_diff_write_json(const struct pbitc_report_diff *diff, FILE *stream);

#endif
