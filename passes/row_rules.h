// The rules of row_independence.c, operator by operator; private to it.
#ifndef PBITC_ROW_RULES_H
#define PBITC_ROW_RULES_H

#include "passes/interpreter/inference.h"

/// Where the rows of a value are: along an axis >= 0, which holds rows x k positions, those of a row next to
/// each other.
enum {
    PBITC_ROWS_SAME = -1,  ///< the value is the same for every row, and for any number of rows
    PBITC_ROWS_MIXED = -2, ///< anything else
};

struct pbitc_row_analysis {
    const struct pbitc_graph *graph;
    struct pbitc_inference two, three; ///< for that many rows
    int *axes;                         ///< by value->index
};

/// The one axis that is 2 k long for two rows and 3 k for three; SAME: no axis differs; else MIXED.
int pbitc_growing_axis(const struct pbitc_row_analysis *analysis, const struct pbitc_value *value);

/// Where the rows of an output are, by those of the inputs. The caller checks it against the growing axis.
int pbitc_row_axis(const struct pbitc_row_analysis *analysis, const struct pbitc_node *node, size_t output);

#endif
