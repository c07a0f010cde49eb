// The operator table: one line per operator in operators.def, from which come the enum, the table, the checks
// of the importer and verifier, shape inference and evaluation. Operators are grouped in files by family.
#ifndef PBITC_OPERATORS_H
#define PBITC_OPERATORS_H

#include "passes/ir/graph.h"

enum pbitc_operator_id {
#define PBITC_OPERATOR(identifier, domain, ...) PBITC_OP_##identifier,
#include "passes/operators/operators.def"
#undef PBITC_OPERATOR
    PBITC_OPERATOR_COUNT,
};

/// One evaluation of one node. Inputs are borrowed and read-only; entry NULL = omitted optional input.
struct pbitc_evaluation {
    const struct pbitc_node *node;
    size_t input_count, output_count;
    const struct pbitc_tensor *const *inputs;
    struct pbitc_tensor
        *outputs; ///< type and shape set by `infer`; data set by the interpreter before `evaluate`
    struct pbitc_diagnostics *diagnostics;
    const struct pbitc_sampling
        *sampling; ///< how p-bit operators draw (interpreter/interpreter.h); NULL: their mean
    int threads;
    void *scratch; ///< scratch_bytes bytes, 64-aligned
    size_t scratch_bytes;
    const struct pbitc_allocator *allocator; ///< control flow: makes the outputs' data
    int64_t *turns;                          ///< control flow: how often inner graphs may still run
    const char *deferred; ///< set by pbitc_defer: the input whose data the shapes depend on, in words
};

/// Sets type and shape of every output from the inputs' types and shapes (and from the DATA of inputs that
/// the operator reads as parameters: Reshape's shape, Slice's starts, ...; data NULL means it is not known
/// yet: then `return pbitc_defer(...)`). Reports what does not fit, naming the node. May set `scratch_bytes`.
typedef enum pbit_status pbitc_infer_function(struct pbitc_evaluation *evaluation);
/// Computes the outputs' data. Never reads or writes outside the shapes that `infer` fixed. Optional outputs
/// that nobody reads have data NULL.
typedef enum pbit_status pbitc_evaluate_function(struct pbitc_evaluation *evaluation);

enum {
    PBITC_OPERATOR_VIEW = 1,     ///< output 0 has input 0's bytes (Reshape, Flatten, Identity, ...): no copy
    PBITC_OPERATOR_MONOTONE = 2, ///< elementwise and non-decreasing
    PBITC_OPERATOR_ACTIVATION = 4, ///< a neuron: swap-activations may replace it
    PBITC_OPERATOR_SHAPE_ONLY = 8, ///< reads the shapes of its inputs, never their data (Shape, Size)
    /// If, Loop, Scan: always deferred; `evaluate` sets types, shapes and data of the outputs that are used.
    PBITC_OPERATOR_CONTROL_FLOW = 16
};

struct pbitc_operator {
    enum pbitc_operator_id id;
    const char *name;   ///< as in ONNX
    const char *domain; ///< "" = ai.onnx, "ai.onnx.ml", "pbitc" for ours
    int min_inputs, max_inputs, min_outputs, max_outputs;
    unsigned flags;
    const char *attributes; ///< names and kinds: "axis:i kernel_shape:I alpha:f mode:s value:t"
    pbitc_infer_function *infer;
    pbitc_evaluate_function
        *evaluate; ///< a view's copies the bytes, where the caller gives it memory of its own
};

const struct pbitc_operator *pbitc_operator_get(enum pbitc_operator_id id);
const struct pbitc_operator *pbitc_operator_find(const char *domain, const char *name); ///< or NULL
bool pbitc_node_is(const struct pbitc_node *node, enum pbitc_operator_id id);           ///< false for NULL

#endif
