// The files of a report's directory.
#ifndef PBITC_REPORT_FILES_H
#define PBITC_REPORT_FILES_H

#include "converter/report/accuracy_report.h"
#include "passes/diagnostics.h"

/// report.json; in the directory of a shard or with --resume what was measured so far.
#define PBITC_REPORT_NAME "report.json"
#define PBITC_REPORT_PARTIAL_NAME "report.partial.json"

/// The report's file: `path` itself, or in a directory report.json or what an interrupted run left.
/// malloc'ed; NULL when out of memory.
char *pbitc_report_find_file(const char *path);

/// Makes the directory and checks that files can be made there. *created: it was not there before.
enum pbit_status pbitc_report_directory_make(const char *directory, struct pbitc_diagnostics *diagnostics,
                                             bool *created);

/// Writes every form of the report and its plots, all or none, and removes report.partial.json. junit.xml and
/// badge.json are of complete reports only.
enum pbit_status pbitc_report_files_write(const struct pbitc_accuracy_report *report, const char *directory,
                                          struct pbitc_diagnostics *diagnostics);

/// Writes report.partial.json.
enum pbit_status pbitc_report_partial_write(const struct pbitc_accuracy_report *report, const char *directory,
                                            struct pbitc_diagnostics *diagnostics);

#endif
