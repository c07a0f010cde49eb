// Imports a model of onnx_builder.h that has no inputs, and runs it.
#ifndef PBITC_TESTS_ONNX_RUN_H
#define PBITC_TESTS_ONNX_RUN_H

#include "converter/onnx/onnx_import.h"
#include "passes/interpreter/interpreter.h"
#include "tests/converter/onnx_builder.h"

#include <check.h>

struct onnx_run {
    struct pbitc_diagnostics *diagnostics;
    struct pbitc_graph *graph;
    struct pbitc_interpreter *interpreter;
};

/// The model's first output, with so many elements of this type; it lives until onnx_run_end.
static inline const struct pbitc_tensor *onnx_run_start(struct onnx_run *run, struct builder *b, int type,
                                                        int64_t elements)
{
    size_t size;
    const uint8_t *bytes = builder_pack(b, &size);
    *run = (struct onnx_run){.diagnostics = pbitc_diagnostics_create()};
    enum pbit_status status = pbitc_onnx_import_bytes(bytes, size, NULL, NULL, run->diagnostics, &run->graph);
    if (!status)
        status = pbitc_interpreter_create(run->graph, 1, NULL, run->diagnostics, &run->interpreter);
    if (!status)
        status = pbitc_interpreter_run(run->interpreter, NULL, NULL, run->diagnostics);
    pbitc_diagnostics_print(run->diagnostics, stderr);
    ck_assert_int_eq(status, PBIT_OK);
    const struct pbitc_tensor *output = pbitc_interpreter_value(run->interpreter, run->graph->outputs[0]);
    ck_assert_int_eq(output->type, type);
    ck_assert_int_eq(pbitc_shape_elements(&output->shape), elements);
    return output;
}

static inline void onnx_run_end(struct onnx_run *run, struct builder *b)
{
    pbitc_interpreter_destroy(run->interpreter);
    pbitc_graph_destroy(run->graph);
    pbitc_diagnostics_destroy(run->diagnostics);
    builder_end(b);
}

#endif
