#include "passes/interpreter/evaluation.h"
#include "passes/interpreter/inference.h"

#include "passes/operators/operator_support.h"

#include <string.h>

/// Nodes with larger results are not evaluated while shapes are inferred.
enum { MAX_EVALUATED = 4096 };

static enum pbit_status out_of_memory(struct pbitc_diagnostics *diagnostics)
{
    return pbitc_report(diagnostics, PBIT_ERROR_MEMORY, NULL, NULL, 0, NULL, "out of memory");
}

bool pbitc_operands_create(struct pbitc_operands *operands, const struct pbitc_graph *graph,
                           struct pbitc_arena *arena)
{
    size_t inputs = 1, outputs = 1;
    PBITC_FOR_EACH_NODE(node, graph)
    {
        inputs = node->input_count > inputs ? node->input_count : inputs;
        outputs = node->output_count > outputs ? node->output_count : outputs;
    }
    operands->inputs = pbitc_arena_allocate(arena, inputs, sizeof(*operands->inputs));
    operands->outputs = pbitc_arena_allocate(arena, outputs, sizeof(*operands->outputs));
    return operands->inputs && operands->outputs;
}

struct pbitc_evaluation pbitc_evaluation_of(const struct pbitc_node *node, const struct pbitc_tensor *tensors,
                                            const struct pbitc_operands *operands,
                                            struct pbitc_diagnostics *diagnostics)
{
    for (size_t i = 0; i < node->input_count; i++)
        operands->inputs[i] = node->inputs[i] ? &tensors[node->inputs[i]->index] : NULL;
    return (struct pbitc_evaluation){.node = node,
                                     .input_count = node->input_count,
                                     .output_count = node->output_count,
                                     .inputs = operands->inputs,
                                     .outputs = operands->outputs,
                                     .diagnostics = diagnostics,
                                     .threads = 1};
}

bool pbitc_inference_create(struct pbitc_inference *inference, const struct pbitc_graph *graph, int threads,
                            struct pbitc_arena *arena)
{
    *inference = (struct pbitc_inference){
        .graph = graph, .node_count = pbitc_graph_node_count(graph), .threads = threads, .arena = arena};
    inference->tensors = pbitc_arena_allocate(arena, graph->value_count, sizeof(*inference->tensors));
    inference->deferred = pbitc_arena_allocate(arena, graph->value_count, sizeof(*inference->deferred));
    inference->nodes = pbitc_arena_allocate(arena, inference->node_count, sizeof(*inference->nodes));
    if (!inference->tensors || !inference->deferred || !inference->nodes)
        return false;
    struct pbitc_inferred_node *next = inference->nodes;
    PBITC_FOR_EACH_NODE(node, graph)
    (next++)->node = node;
    return true;
}

static void set_sources(struct pbitc_inference *inference, const struct pbitc_tensor *inputs)
{
    const struct pbitc_graph *graph = inference->graph;
    for (size_t i = 0; i < graph->value_count; i++) {
        const struct pbitc_tensor *constant = graph->values[i]->constant;
        inference->deferred[i] = false;
        inference->tensors[i] =
            constant ? *constant : (struct pbitc_tensor){.type = PBITC_TYPE_NONE, .shape = {.rank = -1}};
    }
    for (size_t i = 0; i < graph->input_count; i++) {
        struct pbitc_tensor *tensor = &inference->tensors[graph->inputs[i]->index];
        if (pbitc_shape_elements(&inputs[i].shape) >= 0)
            *tensor = (struct pbitc_tensor){.type = inputs[i].type, .shape = inputs[i].shape};
        else
            inference->deferred[graph->inputs[i]->index] = true;
    }
}

/// Types and shapes of all inputs are known; *data tells whether their values are too.
static bool inputs_known(const struct pbitc_evaluation *evaluation, bool *data)
{
    *data = true;
    for (size_t i = 0; i < evaluation->input_count; i++) {
        const struct pbitc_tensor *input = evaluation->inputs[i];
        if (input && input->type == PBITC_TYPE_NONE)
            return false;
        if (input && !input->data)
            *data = false;
    }
    return true;
}

/// The node's values are worth knowing now: shapes may depend on them. What p-bits draw is never known
/// beforehand.
static bool worth_evaluating(const struct pbitc_evaluation *evaluation, bool data)
{
    const struct pbitc_operator *op = evaluation->node->op;
    if (strcmp(op->domain, "pbitc") == 0 || !(data || op->flags & PBITC_OPERATOR_SHAPE_ONLY))
        return false;
    for (size_t i = 0; i < evaluation->output_count; i++)
        if (evaluation->node->outputs[i] &&
            pbitc_shape_elements(&evaluation->outputs[i].shape) > MAX_EVALUATED)
            return false;
    return true;
}

/// Evaluates with result and scratch memory from `arena`.
static enum pbit_status evaluate_into(struct pbitc_arena *arena, struct pbitc_evaluation *evaluation)
{
    for (size_t i = 0; i < evaluation->output_count; i++) {
        if (!evaluation->node->outputs[i])
            continue;
        evaluation->outputs[i].data =
            pbitc_arena_allocate(arena, 1, pbitc_tensor_size(&evaluation->outputs[i]));
        if (!evaluation->outputs[i].data)
            return out_of_memory(evaluation->diagnostics);
    }
    evaluation->scratch = pbitc_arena_allocate(arena, 1, evaluation->scratch_bytes);
    if (!evaluation->scratch)
        return out_of_memory(evaluation->diagnostics);
    return pbitc_evaluation_run(evaluation);
}

/// The same where only running the node tells the shapes.
static enum pbit_status complete_into(struct pbitc_arena *arena, struct pbitc_evaluation *evaluation)
{
    const struct pbitc_allocator *allocator = pbitc_arena_allocator(arena);
    enum pbit_status status = pbitc_evaluation_complete(evaluation, allocator);
    bool lost = false;
    for (size_t i = 0; !status && i < evaluation->output_count; i++) {
        struct pbitc_tensor *output = &evaluation->outputs[i];
        void *block = output->data;
        output->data = block ? pbitc_arena_allocate(arena, 1, pbitc_tensor_size(output)) : NULL;
        if (output->data)
            memcpy(output->data, block, pbitc_tensor_size(output));
        lost |= block && !output->data;
        pbitc_release(allocator, block);
    }
    if (lost)
        return out_of_memory(evaluation->diagnostics);
    return status;
}

/// The node has to wait for data, and whatever reads its outputs with it.
static void defer_node(struct pbitc_inference *inference, struct pbitc_inferred_node *inferred)
{
    inferred->deferred = true;
    for (size_t i = 0; i < inferred->node->output_count; i++)
        if (inferred->node->outputs[i])
            inference->deferred[inferred->node->outputs[i]->index] = true;
}

static bool reads_deferred(const struct pbitc_inference *inference, const struct pbitc_node *node)
{
    for (size_t i = 0; i < node->input_count; i++)
        if (node->inputs[i] && inference->deferred[node->inputs[i]->index])
            return true;
    return false;
}

static enum pbit_status infer_node(struct pbitc_inference *inference, struct pbitc_inferred_node *inferred,
                                   const struct pbitc_operands *operands, bool strict,
                                   struct pbitc_diagnostics *diagnostics)
{
    struct pbitc_evaluation evaluation =
        pbitc_evaluation_of(inferred->node, inference->tensors, operands, diagnostics);
    evaluation.threads = inference->threads;
    bool data;
    inferred->evaluated = inferred->deferred = false;
    inferred->scratch_bytes = 0;
    if (reads_deferred(inference, inferred->node)) {
        defer_node(inference, inferred);
        return PBIT_OK;
    }
    if (!inputs_known(&evaluation, &data))
        return PBIT_OK; // the node upstream was reported
    bool control_flow = inferred->node->op->flags & PBITC_OPERATOR_CONTROL_FLOW;
    enum pbit_status status = control_flow && data ? complete_into(inference->arena, &evaluation)
                                                   : pbitc_evaluation_infer(&evaluation);
    if (evaluation.deferred) {
        defer_node(inference, inferred);
        return strict ? PBITC_REFUSE(&evaluation, "export the model with this value constant",
                                     "%s is computed from the model's inputs, so the shape is not known "
                                     "before it runs",
                                     evaluation.deferred)
                      : PBIT_OK;
    }
    inferred->scratch_bytes = evaluation.scratch_bytes;
    inferred->evaluated = control_flow;
    if (!status && !control_flow && worth_evaluating(&evaluation, data)) {
        status = evaluate_into(inference->arena, &evaluation);
        inferred->evaluated = true;
    }
    for (size_t i = 0; !status && i < evaluation.output_count; i++)
        if (inferred->node->outputs[i])
            inference->tensors[inferred->node->outputs[i]->index] = evaluation.outputs[i];
    return status;
}

enum pbit_status pbitc_inference_run(struct pbitc_inference *inference, const struct pbitc_tensor *inputs,
                                     bool strict, struct pbitc_diagnostics *diagnostics)
{
    struct pbitc_operands operands;
    if (!pbitc_operands_create(&operands, inference->graph, inference->arena))
        return out_of_memory(diagnostics);
    set_sources(inference, inputs);
    enum pbit_status first = PBIT_OK;
    for (size_t i = 0; i < inference->node_count; i++) {
        enum pbit_status status = infer_node(inference, &inference->nodes[i], &operands, strict, diagnostics);
        first = first ? first : status;
    }
    return first;
}

/// The input's type and shape at the given batch size.
static enum pbit_status input_at_batch(const struct pbitc_value *input, int64_t batch,
                                       struct pbitc_diagnostics *diagnostics, struct pbitc_tensor *tensor)
{
    *tensor = (struct pbitc_tensor){.type = input->type, .shape = input->shape};
    if (input->shape.rank > 0 && pbitc_fixed_batch(input) < 0)
        tensor->shape.dims[0] = batch;
    if (input->type == PBITC_TYPE_NONE || input->shape.rank < 0)
        return pbitc_report(diagnostics, PBIT_ERROR_UNSUPPORTED, input->name, NULL, 0,
                            "declare the input's type and shape in the model",
                            "input of unknown type or shape");
    for (int i = 0; i < input->shape.rank; i++)
        if (tensor->shape.dims[i] < 0)
            return pbitc_report(diagnostics, PBIT_ERROR_UNSUPPORTED, input->name, NULL, 0,
                                "say how large it is with --shape, or export the model with fixed sizes",
                                "the size of dimension %d of the input is not known%s%s%s", i,
                                input->dim_names[i] ? " ('" : "",
                                input->dim_names[i] ? input->dim_names[i] : "",
                                input->dim_names[i] ? "')" : "");
    return PBIT_OK;
}

/// A batch other than the one that every input fixes cannot be had.
static enum pbit_status require_batch(const struct pbitc_graph *graph, int64_t batch,
                                      struct pbitc_diagnostics *diagnostics)
{
    for (size_t i = 0; i < graph->input_count; i++) {
        int64_t fixed = pbitc_fixed_batch(graph->inputs[i]);
        if (fixed < 0 || fixed == batch)
            return PBIT_OK;
    }
    if (graph->input_count == 0 || batch == 1)
        return PBIT_OK;
    const struct pbitc_value *input = graph->inputs[0];
    return pbitc_report(diagnostics, PBIT_ERROR_UNSUPPORTED, input->name, NULL, 0,
                        "export the model with a symbolic batch dimension",
                        "the input's first dimension is fixed to %lld, the batch is %lld",
                        (long long)input->shape.dims[0], (long long)batch);
}

static enum pbit_status infer_at_batch(struct pbitc_graph *graph, int64_t batch, bool strict,
                                       struct pbitc_arena *arena, struct pbitc_diagnostics *diagnostics)
{
    struct pbitc_inference inference;
    struct pbitc_tensor *inputs = pbitc_arena_allocate(arena, graph->input_count, sizeof(*inputs));
    if (!inputs || !pbitc_inference_create(&inference, graph, 1, arena))
        return out_of_memory(diagnostics);
    enum pbit_status first = require_batch(graph, batch, diagnostics);
    for (size_t i = 0; i < graph->input_count; i++) {
        enum pbit_status status =
            input_at_batch(graph->inputs[i], batch, strict ? diagnostics : NULL, &inputs[i]);
        if (!strict)
            status = PBIT_OK;
        first = first ? first : status;
    }
    enum pbit_status status = pbitc_inference_run(&inference, inputs, strict, diagnostics);
    for (size_t i = 0; i < graph->value_count; i++) {
        struct pbitc_value *value = graph->values[i];
        if (!value->constant && inference.tensors[i].type != PBITC_TYPE_NONE)
            value->type = inference.tensors[i].type;
        if (!value->constant && (value->producer || inference.tensors[i].type != PBITC_TYPE_NONE))
            value->shape = inference.tensors[i].shape;
    }
    return first ? first : status;
}

static enum pbit_status infer(struct pbitc_graph *graph, int64_t batch, bool strict,
                              struct pbitc_diagnostics *diagnostics)
{
    if (batch < 1)
        return pbitc_report(diagnostics, PBIT_ERROR_ARGUMENT, NULL, NULL, 0, NULL, "a batch of %lld",
                            (long long)batch);
    struct pbitc_arena *arena = pbitc_arena_create(pbitc_arena_allocator(graph->arena));
    if (!arena)
        return out_of_memory(diagnostics);
    enum pbit_status status = infer_at_batch(graph, batch, strict, arena, diagnostics);
    pbitc_arena_destroy(arena);
    return status;
}

enum pbit_status pbitc_infer_shapes(struct pbitc_graph *graph, int64_t batch,
                                    struct pbitc_diagnostics *diagnostics)
{
    return infer(graph, batch, true, diagnostics);
}

enum pbit_status pbitc_infer_known_shapes(struct pbitc_graph *graph, int64_t batch,
                                          struct pbitc_diagnostics *diagnostics)
{
    return infer(graph, batch, false, diagnostics);
}

static enum pbit_status evaluate_constants(const struct pbitc_node *node, struct pbitc_arena *scratch,
                                           struct pbitc_arena *results, struct pbitc_diagnostics *diagnostics,
                                           struct pbitc_tensor **outputs)
{
    const struct pbitc_tensor **inputs = pbitc_arena_allocate(scratch, node->input_count, sizeof(*inputs));
    struct pbitc_tensor *tensors = pbitc_arena_allocate(results, node->output_count, sizeof(*tensors));
    if (!inputs || !tensors)
        return out_of_memory(diagnostics);
    for (size_t i = 0; i < node->input_count; i++)
        inputs[i] = node->inputs[i] ? node->inputs[i]->constant : NULL;
    struct pbitc_evaluation evaluation = {.node = node,
                                          .input_count = node->input_count,
                                          .output_count = node->output_count,
                                          .inputs = inputs,
                                          .outputs = tensors,
                                          .diagnostics = diagnostics,
                                          .threads = 1};
    if (node->op->flags & PBITC_OPERATOR_CONTROL_FLOW) {
        enum pbit_status completed = complete_into(results, &evaluation);
        for (size_t i = 0; i < node->output_count; i++)
            outputs[i] = node->outputs[i] ? &tensors[i] : NULL;
        return completed;
    }
    enum pbit_status status = pbitc_evaluation_infer(&evaluation);
    if (status)
        return status;
    evaluation.scratch = pbitc_arena_allocate(scratch, 1, evaluation.scratch_bytes);
    for (size_t i = 0; i < node->output_count; i++) {
        outputs[i] = node->outputs[i] ? &tensors[i] : NULL;
        if (outputs[i] &&
            !(tensors[i].data = pbitc_arena_allocate(results, 1, pbitc_tensor_size(&tensors[i]))))
            return out_of_memory(diagnostics);
    }
    return evaluation.scratch ? pbitc_evaluation_run(&evaluation) : out_of_memory(diagnostics);
}

enum pbit_status pbitc_evaluate_constant_node(struct pbitc_graph *graph, const struct pbitc_node *node,
                                              struct pbitc_diagnostics *diagnostics,
                                              struct pbitc_tensor **outputs)
{
    struct pbitc_arena *scratch = pbitc_arena_create(pbitc_arena_allocator(graph->arena));
    if (!scratch)
        return out_of_memory(diagnostics);
    enum pbit_status status = evaluate_constants(node, scratch, graph->arena, diagnostics, outputs);
    pbitc_arena_destroy(scratch);
    return status;
}
