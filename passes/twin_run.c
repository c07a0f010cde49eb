#include "passes/twin_run.h"

#include "passes/interpreter/evaluation.h"
#include "passes/interpreter/inference.h"
#include "passes/pass_support.h"

#include <string.h>

enum { BATCH = 32 };

/// What the values of both networks may take at any time; more images are left out.
static const size_t MEMORY_LIMIT = (size_t)1 << 30;

struct pbitc_twin {
    const struct pbitc_graph *graph;
    const struct pbitc_allocator *allocator;
    size_t values, batches;
    struct pbitc_tensor *tensors; ///< [batches][values]
    size_t *last;                 ///< by value->index: the last node that reads it; SIZE_MAX: none does
    struct pbitc_operands operands;
};

const struct pbitc_tensor *pbitc_twin_value(const struct pbitc_twin *twin, size_t batch,
                                            const struct pbitc_value *value)
{
    return &twin->tensors[batch * twin->values + value->index];
}

// ---- lives of values

static void find_last_readers(const struct pbitc_graph *graph, size_t *last)
{
    size_t n = 0;
    for (size_t i = 0; i < graph->value_count; i++)
        last[i] = SIZE_MAX;
    PBITC_FOR_EACH_NODE(node, graph)
    {
        for (size_t i = 0; i < node->input_count; i++)
            if (node->inputs[i])
                last[node->inputs[i]->index] = n;
        n++;
    }
}

/// Whether `value`, an input or output of node n, is of no use after it.
static bool ends_at(const size_t *last, const struct pbitc_value *value, size_t n)
{
    return value && !value->constant && value->producer &&
           (last[value->index] == n || last[value->index] == SIZE_MAX);
}

/// Bytes of the values that live at the same time, of one image.
static size_t peak_bytes(const struct pbitc_graph *graph, const size_t *last)
{
    size_t n = 0, now = 0, peak = 1;
    PBITC_FOR_EACH_NODE(node, graph)
    {
        for (size_t i = 0; i < node->output_count; i++)
            if (node->outputs[i])
                now += (size_t)pbitc_shape_elements(&node->outputs[i]->shape) * sizeof(float);
        peak = now > peak ? now : peak;
        for (size_t i = 0; i < node->input_count + node->output_count; i++) {
            const struct pbitc_value *value =
                i < node->input_count ? node->inputs[i] : node->outputs[i - node->input_count];
            size_t bytes = value ? (size_t)pbitc_shape_elements(&value->shape) * sizeof(float) : 0;
            if (ends_at(last, value, n) && bytes <= now)
                now -= bytes;
        }
        n++;
    }
    return peak;
}

// ---- one network

void pbitc_lift_ranges(struct pbitc_graph *graph)
{
    PBITC_FOR_EACH_NODE(node, graph)
    if (pbitc_is_neuron(node, "pbit")) {
        bool bounded = strcmp(pbitc_node_string(node, "function", "linear"), "linear") != 0 ||
                       pbitc_node_attribute(node, "alpha") || pbitc_node_attribute(node, "beta");
        if (bounded) {
            pbitc_node_remove_attribute(node, "low");
            pbitc_node_remove_attribute(node, "high");
        }
    }
}

/// The batches of graph input 0 become its values. `graph` may get two more constants per node.
static enum pbit_status start(struct pbitc_context *context, const struct pbitc_graph *graph,
                              struct pbitc_arena *arena, const struct pbitc_twin_run *run,
                              struct pbitc_twin **twin)
{
    size_t nodes = pbitc_graph_node_count(graph);
    struct pbitc_twin *made = pbitc_arena_allocate(arena, 1, sizeof(*made));
    if (!made)
        return pbitc_out_of_memory(context);
    *made = (struct pbitc_twin){.graph = graph,
                                .allocator = pbitc_arena_allocator(arena),
                                .values = graph->value_count + 2 * nodes,
                                .batches = run->batches};
    made->tensors = pbitc_arena_allocate(arena, run->batches * made->values, sizeof(*made->tensors));
    made->last = pbitc_arena_allocate(arena, made->values, sizeof(*made->last));
    if (!made->tensors || !made->last || !pbitc_operands_create(&made->operands, graph, arena))
        return pbitc_out_of_memory(context);
    find_last_readers(graph, made->last);
    const struct pbitc_value *input = graph->inputs[0];
    size_t elements = (size_t)pbitc_shape_elements(&input->shape) / (size_t)input->shape.dims[0];
    for (size_t b = 0; b < run->batches; b++) {
        struct pbitc_tensor *tensor = &made->tensors[b * made->values + input->index];
        size_t left = run->images - b * BATCH;
        *tensor =
            (struct pbitc_tensor){PBITC_FLOAT32, input->shape,
                                  (void *)(context->calibration->values + b * BATCH * elements)}; // only read
        tensor->shape.dims[0] = (int64_t)(left < BATCH ? left : BATCH);
    }
    *twin = made;
    return PBIT_OK;
}

static enum pbit_status evaluate(struct pbitc_context *context, struct pbitc_twin *twin,
                                 const struct pbitc_node *node, uint32_t draws)
{
    uint32_t samples = context->options->samples;
    for (size_t b = 0; b < twin->batches; b++) {
        struct pbitc_tensor *tensors = twin->tensors + b * twin->values;
        struct pbitc_sampling sampling = {0, b * BATCH, (uint32_t)(b % samples), draws};
        for (size_t i = 0; i < node->input_count; i++)
            if (node->inputs[i] && node->inputs[i]->constant)
                tensors[node->inputs[i]->index] = *node->inputs[i]->constant;
        struct pbitc_evaluation evaluation =
            pbitc_evaluation_of(node, tensors, &twin->operands, context->diagnostics);
        evaluation.sampling = draws ? &sampling : NULL;
        evaluation.threads = context->options->threads;
        enum pbit_status status = pbitc_evaluation_complete(&evaluation, twin->allocator);
        if (status != PBIT_OK)
            return status;
        for (size_t i = 0; i < node->output_count; i++)
            if (node->outputs[i])
                tensors[node->outputs[i]->index] = evaluation.outputs[i];
    }
    return PBIT_OK;
}

static void release(struct pbitc_twin *twin, const struct pbitc_value *value)
{
    for (size_t b = 0; b < twin->batches; b++) {
        void **data = &twin->tensors[b * twin->values + value->index].data;
        pbitc_release(twin->allocator, *data);
        *data = NULL;
    }
}

static void release_read(struct pbitc_twin *twin, const struct pbitc_node *node, size_t n)
{
    for (size_t i = 0; i < node->input_count; i++)
        if (ends_at(twin->last, node->inputs[i], n))
            release(twin, node->inputs[i]);
    for (size_t i = 0; i < node->output_count; i++)
        if (ends_at(twin->last, node->outputs[i], n))
            release(twin, node->outputs[i]);
}

static void release_all(struct pbitc_twin *twin)
{
    for (size_t i = 0; twin && twin->tensors && i < twin->graph->value_count; i++)
        if (twin->graph->values[i]->producer)
            release(twin, twin->graph->values[i]);
}

// ---- both

static enum pbit_status run_nodes(struct pbitc_graph *graph, struct pbitc_context *context,
                                  const struct pbitc_twin_run *run,
                                  const struct pbitc_twin_functions *functions)
{
    const struct pbitc_node *exact = run->exact->graph->first;
    size_t n = 0, count = pbitc_graph_node_count(graph);
    for (struct pbitc_node *node = graph->first; node; node = node->next, exact = exact->next, n++) {
        bool layer = pbitc_is_linear_layer(node);
        enum pbit_status status = pbitc_progress(context, functions->stage, n, count);
        if (status == PBIT_OK && layer)
            status = functions->before(context, run, node, functions->state);
        if (status == PBIT_OK)
            status = evaluate(context, run->exact, exact, 0);
        if (status == PBIT_OK)
            status = evaluate(context, run->drawn, node, context->options->draws);
        if (status == PBIT_OK && layer)
            status = functions->after(context, run, node, functions->state);
        if (status != PBIT_OK)
            return status;
        release_read(run->exact, exact, n);
        release_read(run->drawn, node, n);
    }
    return PBIT_OK;
}

static enum pbit_status run_both(struct pbitc_graph *graph, struct pbitc_context *context,
                                 struct pbitc_graph *original, struct pbitc_arena *arena,
                                 const struct pbitc_twin_functions *functions)
{
    size_t *last = pbitc_arena_allocate(arena, graph->value_count, sizeof(*last));
    if (!last)
        return pbitc_out_of_memory(context);
    find_last_readers(graph, last);
    size_t fitting = MEMORY_LIMIT / 2 / peak_bytes(graph, last);
    struct pbitc_twin_run run = {.images = context->calibration->images};
    run.images = run.images < PBITC_TWIN_IMAGES ? run.images : PBITC_TWIN_IMAGES;
    run.images = run.images < fitting || fitting < BATCH ? run.images : fitting;
    if (fitting < BATCH && run.images > BATCH)
        run.images = BATCH;
    run.batches = (run.images + BATCH - 1) / BATCH;
    pbitc_lift_ranges(original);
    enum pbit_status status = start(context, original, arena, &run, &run.exact);
    if (status == PBIT_OK)
        status = start(context, graph, arena, &run, &run.drawn);
    if (status == PBIT_OK)
        status = run_nodes(graph, context, &run, functions);
    release_all(run.exact);
    release_all(run.drawn);
    return status;
}

enum pbit_status pbitc_run_twins(struct pbitc_graph *graph, struct pbitc_context *context,
                                 const struct pbitc_twin_functions *functions)
{
    struct pbitc_arena *arena = pbitc_arena_create(pbitc_arena_allocator(graph->arena));
    struct pbitc_graph *original = arena ? pbitc_graph_clone(graph) : NULL;
    enum pbit_status status =
        original ? run_both(graph, context, original, arena, functions) : pbitc_out_of_memory(context);
    pbitc_graph_destroy(original);
    pbitc_arena_destroy(arena);
    return status;
}
