// The list of tests with their results, and the table of results that is under version control.
#ifndef PBITC_TESTS_BACKEND_TABLE_H
#define PBITC_TESTS_BACKEND_TABLE_H

#include "tests/onnx_backend/backend_case.h"

#include <stdbool.h>
#include <stddef.h>

struct backend_test {
    char *name; ///< "node/test_abs"; malloc'ed
    struct backend_result result;
};

/// Sorted by name.
struct backend_tests {
    size_t count;
    struct backend_test *tests; ///< malloc'ed
};

const char *backend_outcome_name(enum backend_outcome outcome); ///< "pass", "refused", "wrong", "crash"

/// Every test below `data` whose name holds `filter` (NULL: all), without results. False, after a message on
/// standard error: there is none, or memory has run out.
bool backend_tests_find(const char *data, const char *filter, struct backend_tests *tests);
void backend_tests_free(struct backend_tests *tests);

/// Counts per folder, on standard output or in Markdown.
void backend_tests_print(const struct backend_tests *tests, bool verbose);

/// Reads FOLDER/results.tsv; false after a message.
bool backend_table_read(const char *folder, struct backend_tests *table);
/// Writes FOLDER/results.tsv and FOLDER/RESULTS.md; false after a message.
bool backend_table_write(const char *folder, const struct backend_tests *tests);

/// Prints the differences (the first 40) between the results and the table on standard error and returns how
/// many. Where both hold the same tests (`whole`: no filter took some out) each must have the same outcome
/// and reason. Other versions of the suite have other tests: then those that both know must still pass when
/// the table says so, and no test may be wrong or crash.
size_t backend_table_compare(const struct backend_tests *tests, const struct backend_tests *table,
                             bool whole);

#endif
