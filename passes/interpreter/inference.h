// Shapes, types and small values of a whole graph, for given inputs: behind pbitc_infer_shapes and the
// interpreter.
#ifndef PBITC_INFERENCE_H
#define PBITC_INFERENCE_H

#include "passes/interpreter/interpreter.h"

/// What is known of one node before it runs.
struct pbitc_inferred_node {
    const struct pbitc_node *node;
    size_t scratch_bytes;
    bool evaluated; ///< its outputs have their data already
    bool deferred;  ///< types and shapes of its outputs, or of an input, depend on data
};

struct pbitc_inference {
    const struct pbitc_graph *graph;
    int threads;
    struct pbitc_arena *arena;         ///< takes the data of what is evaluated on the way
    struct pbitc_tensor *tensors;      ///< by value->index; type NONE: not known. data: known before running
    bool *deferred;                    ///< by value->index: not known because it depends on data
    struct pbitc_inferred_node *nodes; ///< in graph order
    size_t node_count;
};

/// An inference over `graph` with its arrays in `arena`. False: out of memory.
bool pbitc_inference_create(struct pbitc_inference *inference, const struct pbitc_graph *graph, int threads,
                            struct pbitc_arena *arena);

/// Infers everything from the constants and from `inputs` (types and shapes; data is not read; a shape with
/// unknown dimensions is one that depends on data). Reports every node that does not fit; what lies
/// downstream of it stays unknown. `strict`: reports the nodes whose shapes depend on data, too.
enum pbit_status pbitc_inference_run(struct pbitc_inference *inference, const struct pbitc_tensor *inputs,
                                     bool strict, struct pbitc_diagnostics *diagnostics);

/// How often the inner graphs of control flow may run in one run of the outermost graph.
enum { PBITC_MAX_TURNS = 1000000 };
/// An interpreter of an inner graph counts down the same turns as the one around it.
void pbitc_interpreter_share_turns(struct pbitc_interpreter *interpreter, int64_t *turns);

/// Room for the inputs and outputs of any node of the graph, in the arena; false: out of memory.
struct pbitc_operands {
    const struct pbitc_tensor **inputs;
    struct pbitc_tensor *outputs;
};
bool pbitc_operands_create(struct pbitc_operands *operands, const struct pbitc_graph *graph,
                           struct pbitc_arena *arena);

/// An evaluation of `node` on `tensors` (by value->index); its outputs are in the operands, without data.
struct pbitc_evaluation pbitc_evaluation_of(const struct pbitc_node *node, const struct pbitc_tensor *tensors,
                                            const struct pbitc_operands *operands,
                                            struct pbitc_diagnostics *diagnostics);

#endif
