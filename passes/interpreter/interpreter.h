// Shape inference and the float executor over the IR: the baseline, and what calibration and folding run on.
// It has no arithmetic in 16 bits: the importer brings float16 and bfloat16 to float32 (converter/onnx/
// onnx_widen.c), so that such a model is computed in float32 from its inputs to its outputs and rounded only
// where it casts.
#ifndef PBITC_INTERPRETER_H
#define PBITC_INTERPRETER_H

#include "passes/operators/operators.h"

/// How p-bit operators (domain "pbitc") draw when the interpreter meets them. Same definition as
/// runtime/FORMAT.md, so a graph after swap-activations samples as the .pbit file will.
struct pbitc_sampling {
    uint64_t seed;
    uint64_t first_image; ///< index of the first image of the batch
    uint32_t sample;      ///< t, 0-based
    uint32_t draws;       ///< m
};

/// Infers type and shape of every value for the given batch size (inputs whose batch is symbolic get it as
/// first dimension; others must equal their fixed size). Integer chains such as Shape -> Gather -> Concat ->
/// Reshape are evaluated on the way. Every node that does not fit is reported; nodes downstream of it are
/// left unknown.
enum pbit_status pbitc_infer_shapes(struct pbitc_graph *graph, int64_t batch,
                                    struct pbitc_diagnostics *diagnostics);

/// The same for graphs that are only run: whatever depends on data or on dimensions that the model leaves
/// open stays unknown (type NONE, rank -1) and is no error.
enum pbit_status pbitc_infer_known_shapes(struct pbitc_graph *graph, int64_t batch,
                                          struct pbitc_diagnostics *diagnostics);

/// A graph made ready to run at any batch size. Borrows the graph, which must not change meanwhile.
struct pbitc_interpreter;

/// `threads` >= 1. NULL `allocator` = malloc.
enum pbit_status pbitc_interpreter_create(const struct pbitc_graph *graph, int threads,
                                          const struct pbitc_allocator *allocator,
                                          struct pbitc_diagnostics *diagnostics,
                                          struct pbitc_interpreter **interpreter);
void pbitc_interpreter_destroy(struct pbitc_interpreter *interpreter); ///< accepts NULL

/// Asks that `value` be kept and readable after each run (graph outputs always are). For calibration.
enum pbit_status pbitc_interpreter_watch(struct pbitc_interpreter *interpreter,
                                         const struct pbitc_value *value);

/// Runs once. `inputs[i]` belongs to graph->inputs[i]: type and shape must match up to the batch dimension.
/// Shapes are inferred and memory is planned anew only when they differ from the last run's; nodes whose
/// shapes depend on data get theirs, and memory, when their turn comes. `sampling` NULL: p-bits give their
/// mean.
enum pbit_status pbitc_interpreter_run(struct pbitc_interpreter *interpreter,
                                       const struct pbitc_tensor *inputs,
                                       const struct pbitc_sampling *sampling,
                                       struct pbitc_diagnostics *diagnostics);

/// A graph output, graph input, constant or watched value of the last run. Valid until the next run or
/// destroy.
const struct pbitc_tensor *pbitc_interpreter_value(const struct pbitc_interpreter *interpreter,
                                                   const struct pbitc_value *value);

/// Evaluates one node whose inputs are all constants into fresh constants in the graph's arena
/// (fold-constants).
enum pbit_status pbitc_evaluate_constant_node(struct pbitc_graph *graph, const struct pbitc_node *node,
                                              struct pbitc_diagnostics *diagnostics,
                                              struct pbitc_tensor **outputs);

#endif
