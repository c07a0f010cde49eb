// What a person reads of a report, whatever the form: the sentences on top and the tables.
#ifndef PBITC_REPORT_TABLES_H
#define PBITC_REPORT_TABLES_H

#include "converter/report/accuracy_report.h"
#include "converter/report/report_table.h"

/// One of the findings on top of a report.
struct pbitc_finding {
    const char *name, *value, *note;
    enum pbitc_row_mark mark;
};

enum { PBITC_FINDINGS_LIMIT = 6, PBITC_TABLE_COUNT = 8 };

/// The name of what was measured: the model's, or its hash.
const char *pbitc_report_name(const struct pbitc_accuracy_report *report, struct pbitc_arena *arena);

/// How many findings there are; 0 when out of memory.
size_t pbitc_report_findings(const struct pbitc_accuracy_report *report, struct pbitc_arena *arena,
                             struct pbitc_finding findings[PBITC_FINDINGS_LIMIT]);

/// The p-bit cell with the smallest m x T that is as accurate as `cell`, among those with m = `draws` when
/// that is not 0; NULL when none is.
const struct pbitc_accuracy_cell *pbitc_report_find_match(const struct pbitc_accuracy_report *report,
                                                          const struct pbitc_accuracy_cell *cell,
                                                          uint32_t draws);

/// The tables in the order of the report; those without rows have nothing to show.
struct pbitc_table_maker {
    void (*make)(struct pbitc_table *table, const struct pbitc_accuracy_report *report,
                 struct pbitc_arena *arena);
    size_t markdown_limit; ///< bytes
};
extern const struct pbitc_table_maker pbitc_table_makers[PBITC_TABLE_COUNT];

#endif
