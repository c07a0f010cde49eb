// From an ONNX file to a graph (passes/ir/graph.h) of operators in their newest form.
#ifndef PBITC_ONNX_IMPORT_H
#define PBITC_ONNX_IMPORT_H

#include "passes/ir/graph.h"

enum {
    PBITC_ONNX_OLDEST_OPSET = 1,
    /// Opsets 23 to 28 only widen the operators we know: by types, and by attributes that would be noticed.
    PBITC_ONNX_NEWEST_OPSET = 28,
};

/// Imports the model at `path` and verifies it; does not infer shapes. Every problem of the model is
/// reported, not only the first, and then *graph is NULL. `allocator` (may be NULL) also feeds the graph and
/// must outlive it. External data is read from files in the model's folder or below it. Errors: IO (cannot be
/// read), FORMAT (not a valid ONNX model), UNSUPPORTED (valid, but not for us), MEMORY. Of several problems
/// the status is the first in the order MEMORY, FORMAT, IO, UNSUPPORTED.
enum pbit_status pbitc_onnx_import(const char *path, const struct pbitc_allocator *allocator,
                                   struct pbitc_diagnostics *diagnostics, struct pbitc_graph **graph);

/// The same from the bytes of a file. `folder` is where external data may be read; NULL: there must not be
/// any.
enum pbit_status pbitc_onnx_import_bytes(const void *bytes, size_t size, const char *folder,
                                         const struct pbitc_allocator *allocator,
                                         struct pbitc_diagnostics *diagnostics, struct pbitc_graph **graph);

#endif
