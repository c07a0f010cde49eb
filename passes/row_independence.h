// Whether the rows of a graph's inputs can be worked through in pieces: row i of every output is computed
// from row i of the inputs alone.
#ifndef PBITC_ROW_INDEPENDENCE_H
#define PBITC_ROW_INDEPENDENCE_H

#include "passes/ir/graph.h"

/// True when it is proved, node by node, from what the operators are and the shapes they get for 2 and for 3
/// rows. `shapes`: of the inputs; their first dimensions are the rows (scalars are the same for all). False:
/// it is not so, or nobody knows.
bool pbitc_rows_are_independent(const struct pbitc_graph *graph, const struct pbitc_shape *shapes);

#endif
