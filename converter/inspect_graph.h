// pbitc inspect of an ONNX model.
#ifndef PBITC_INSPECT_GRAPH_H
#define PBITC_INSPECT_GRAPH_H

#include "converter/json.h"
#include "passes/operators/operators.h"

/// Lists the graph on standard output, its nodes as a tree: inner graphs below their node. `problems`: why
/// convert would refuse it.
void pbitc_inspect_graph_print(const struct pbitc_graph *graph, const struct pbitc_diagnostics *problems);
/// The same as members of the open JSON object.
void pbitc_inspect_graph_write(struct pbitc_json *json, const struct pbitc_graph *graph,
                               const struct pbitc_diagnostics *problems);

#endif
