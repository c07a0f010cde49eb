// A made-up measurement, of which any set of images can be reported.
#ifndef PBITC_TESTS_REPORT_CASE_H
#define PBITC_TESTS_REPORT_CASE_H

#include "converter/report/accuracy_report.h"

enum {
    CASE_IMAGES = 97,
    CASE_SEEDS = 3,
    CASE_CLASSES = 4,
    CASE_SAMPLES = 2,
    CASE_DRAWS = 2,
    CASE_LAYERS = 3
};

/// The measurement of the images whose mask is set (mask[CASE_IMAGES]), with float model, twins, layers and
/// energies. `salt` chooses among measurements of different answers; the higher `skill` (0..100), the better
/// the p-bits answer. Derived; to be destroyed.
struct pbitc_accuracy_report *report_case(const uint8_t *mask, uint32_t salt, uint32_t skill);
struct pbitc_accuracy_report *report_case_whole(uint32_t salt, uint32_t skill);

/// report.json of it, malloc'ed.
char *report_case_text(const struct pbitc_accuracy_report *report);

#endif
