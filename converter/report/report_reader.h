// What reading a report is made of: members of JSON objects, checked. After a problem, which is reported with
// the file's name and the key, a function returns 0 or nothing and reading goes on, so that all problems are
// found.
#ifndef PBITC_REPORT_READER_H
#define PBITC_REPORT_READER_H

#include "converter/report/accuracy_report.h"
#include "passes/diagnostics.h"

#include <cjson/cJSON.h>

/// Largest whole number that JSON's numbers hold exactly.
#define PBITC_JSON_COUNT_LIMIT ((uint64_t)1 << 53)

/// One file being read.
struct pbitc_report_reader {
    const char *name;
    struct pbitc_diagnostics *diagnostics;
    enum pbit_status status; ///< the first problem's
    struct pbitc_accuracy_report *report;
};

/// Reports "NAME: KEY WHAT".
void pbitc_reader_problem(struct pbitc_report_reader *reader, enum pbit_status status, const char *remedy,
                          const char *what, const char *key);
void pbitc_reader_malformed(struct pbitc_report_reader *reader, const char *key, const char *what);
/// Zeroed memory in the report's arena.
void *pbitc_reader_allocate(struct pbitc_report_reader *reader, size_t count, size_t size);

const cJSON *pbitc_json_member(const cJSON *object, const char *key); ///< NULL: not there
const cJSON *pbitc_json_only_if(bool wanted, const cJSON *array);     ///< the array, or one without items
bool pbitc_json_is_count(const cJSON *item, uint64_t limit);          ///< a whole number in 0..limit

uint64_t pbitc_read_count(struct pbitc_report_reader *reader, const cJSON *object, const char *key,
                          uint64_t limit);
double pbitc_read_real(struct pbitc_report_reader *reader, const cJSON *object, const char *key);
bool pbitc_read_bool(struct pbitc_report_reader *reader, const cJSON *object, const char *key);
/// A copy in the report's arena; "" after a problem.
const char *pbitc_read_text(struct pbitc_report_reader *reader, const cJSON *object, const char *key);
uint64_t pbitc_read_hash(struct pbitc_report_reader *reader, const cJSON *object, const char *key);
/// The array `key` of at most `limit` items.
const cJSON *pbitc_read_array(struct pbitc_report_reader *reader, const cJSON *object, const char *key,
                              size_t limit);
/// Exactly `count` whole numbers into numbers[count].
void pbitc_read_counts(struct pbitc_report_reader *reader, const cJSON *array, const char *key, size_t count,
                       uint64_t *numbers);

#endif
