// Tallies of a cell: their sum, and how report.json spells what was counted per image: one field of the
// fewest bits that hold `seeds` for each measured image, in ascending order, the lowest bit first, as base64.
#ifndef PBITC_REPORT_TALLY_H
#define PBITC_REPORT_TALLY_H

#include "converter/report/accuracy_report.h"

/// malloc'ed text; NULL when out of memory.
char *pbitc_tally_encode(const struct pbitc_accuracy_report *report, const struct pbitc_accuracy_cell *cell);

enum pbitc_tally_result { PBITC_TALLY_READ, PBITC_TALLY_MALFORMED, PBITC_TALLY_MEMORY };
/// Fills the cell's correct_by_image of the measured images.
enum pbitc_tally_result pbitc_tally_decode(const struct pbitc_accuracy_report *report, const char *text,
                                           struct pbitc_accuracy_cell *cell);

/// Adds what was counted over all images to sum, which has as many seeds; correct_by_image is left alone.
void pbitc_tally_add(struct pbitc_tally *sum, const struct pbitc_tally *tally, size_t seeds);

#endif
