// What a hostile ONNX file can reach: import, shape inference, and one run of the interpreter. For libFuzzer
// (tests/fuzz/run), and for the replay of the corpus in tests/run.
#include "converter/onnx/onnx_import.h"
#include "passes/interpreter/interpreter.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { BUDGET_BYTES = 64 << 20, MAX_INPUTS = 8, MAX_ELEMENTS = 1 << 10 };

/// Refuses when one input has asked for more than BUDGET_BYTES in all, as a machine without memory would.
static void *allocate_from_budget(void *state, size_t bytes)
{
    size_t *left = state;
    if (bytes > *left)
        return NULL;
    *left -= bytes;
    return malloc(bytes ? bytes : 1);
}

static void release(void *state, void *memory)
{
    (void)state;
    free(memory);
}

/// A tensor of zeros for a graph input; unknown dimensions become 2. False: too large to try.
static bool make_input(const struct pbitc_value *input, struct pbitc_tensor *tensor)
{
    *tensor = (struct pbitc_tensor){.type = input->type, .shape = input->shape};
    if (tensor->shape.rank < 0)
        tensor->shape.rank = 0;
    for (int i = 0; i < tensor->shape.rank; i++)
        if (tensor->shape.dims[i] < 0)
            tensor->shape.dims[i] = 2;
    int64_t elements = pbitc_shape_elements(&tensor->shape);
    if (elements < 0 || elements > MAX_ELEMENTS)
        return false;
    tensor->data = calloc((size_t)elements + 1, 8);
    return tensor->data != NULL;
}

static void run_once(const struct pbitc_graph *graph, const struct pbitc_allocator *allocator,
                     struct pbitc_diagnostics *diagnostics)
{
    struct pbitc_interpreter *interpreter = NULL;
    struct pbitc_tensor inputs[MAX_INPUTS] = {{0}};
    bool ready = graph->input_count <= MAX_INPUTS;
    for (size_t i = 0; ready && i < graph->input_count; i++)
        ready = make_input(graph->inputs[i], &inputs[i]);
    if (ready && pbitc_interpreter_create(graph, 1, allocator, diagnostics, &interpreter) == PBIT_OK)
        (void)pbitc_interpreter_run(interpreter, inputs, NULL, diagnostics);
    pbitc_interpreter_destroy(interpreter);
    for (size_t i = 0; i < MAX_INPUTS; i++)
        free(inputs[i].data);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    size_t left = BUDGET_BYTES;
    const struct pbitc_allocator allocator = {allocate_from_budget, release, &left};
    struct pbitc_diagnostics *diagnostics = pbitc_diagnostics_create();
    struct pbitc_graph *graph = NULL;
    if (pbitc_onnx_import_bytes(bytes, size, NULL, &allocator, diagnostics, &graph) == PBIT_OK)
        run_once(graph, &allocator, diagnostics);
    else if (pbitc_diagnostics_count(diagnostics) == 0)
        abort(); // refused without a reason
    pbitc_graph_destroy(graph);
    pbitc_diagnostics_destroy(diagnostics);
    return 0;
}
