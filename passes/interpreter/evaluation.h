// One node at a time: the operator's own functions, wrapped in what is the same for all of them.
#ifndef PBITC_EVALUATION_H
#define PBITC_EVALUATION_H

#include "passes/operators/operators.h"

/// The operator's infer, and more: missing operands and results whose bytes cannot be counted are refused.
/// Sets scratch_bytes, or deferred.
enum pbit_status pbitc_evaluation_infer(struct pbitc_evaluation *evaluation);

/// The operator's evaluate; scratch must have the bytes that pbitc_evaluation_infer asked for.
enum pbit_status pbitc_evaluation_run(struct pbitc_evaluation *evaluation);

/// Both at once, for a node all of whose inputs have their data. The outputs' data comes from `allocator` and
/// is the caller's to release; on an error there is none.
enum pbit_status pbitc_evaluation_complete(struct pbitc_evaluation *evaluation,
                                           const struct pbitc_allocator *allocator);

/// Bytes of a tensor whose shape is known.
size_t pbitc_tensor_size(const struct pbitc_tensor *tensor);

#endif
