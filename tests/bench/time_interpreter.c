// time_interpreter MODEL.onnx THREADS BATCH: for every line on standard input, runs the model once on fixed
// pseudo-random input and prints the seconds it took. Open dimensions beside the batch count as 1. See
// speed.
#include "converter/onnx/onnx_import.h"
#include "passes/interpreter/interpreter.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void fill(struct pbitc_tensor *tensor)
{
    uint32_t state = 1;
    int64_t elements = pbitc_shape_elements(&tensor->shape);
    tensor->data = calloc((size_t)elements + 1, pbitc_type_bytes(tensor->type));
    for (int64_t i = 0; i < elements && tensor->data && tensor->type == PBITC_FLOAT32; i++) {
        state = state * 1664525 + 1013904223;
        ((float *)tensor->data)[i] = (float)(state >> 8) / (1 << 24);
    }
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static struct pbitc_tensor *make_inputs(const struct pbitc_graph *graph, int64_t batch)
{
    struct pbitc_tensor *inputs = calloc(graph->input_count + 1, sizeof(*inputs));
    for (size_t i = 0; inputs && i < graph->input_count; i++) {
        const struct pbitc_value *value = graph->inputs[i];
        inputs[i] = (struct pbitc_tensor){.type = value->type, .shape = value->shape};
        for (int d = 0; d < value->shape.rank; d++)
            if (value->shape.dims[d] < 0 || (d == 0 && value->dim_names[0]))
                inputs[i].shape.dims[d] = d == 0 ? batch : 1;
        fill(&inputs[i]);
    }
    return inputs;
}

int main(int count, char **arguments)
{
    struct pbitc_diagnostics *diagnostics = pbitc_diagnostics_create();
    struct pbitc_graph *graph = NULL;
    struct pbitc_interpreter *interpreter = NULL;
    char line[16];
    if (count != 4)
        return 2;
    enum pbit_status status = pbitc_onnx_import(arguments[1], NULL, diagnostics, &graph);
    if (!status)
        status = pbitc_interpreter_create(graph, atoi(arguments[2]), NULL, diagnostics, &interpreter);
    struct pbitc_tensor *inputs = status ? NULL : make_inputs(graph, atoll(arguments[3]));
    while (!status && fgets(line, sizeof(line), stdin)) {
        double start = seconds();
        status = pbitc_interpreter_run(interpreter, inputs, NULL, diagnostics);
        printf("%.9f\n", seconds() - start);
        fflush(stdout);
    }
    pbitc_diagnostics_print(diagnostics, stderr);
    for (size_t i = 0; inputs && i < graph->input_count; i++)
        free(inputs[i].data);
    free(inputs);
    pbitc_interpreter_destroy(interpreter);
    pbitc_graph_destroy(graph);
    pbitc_diagnostics_destroy(diagnostics);
    return status ? 1 : 0;
}
