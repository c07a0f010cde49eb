#include "passes/interpreter/evaluation.h"
#include "passes/interpreter/inference.h"
#include "passes/interpreter/memory_plan.h"

#include "passes/operators/operator_support.h"

#include <string.h>

enum { BLOCK_ALIGNMENT = 64 };

/// What holds while the input shapes stay the same: everything in it lives in `arena`, but the block.
struct plan {
    struct pbitc_arena *arena;
    struct pbitc_inference inference; ///< its tensors get their data here
    struct pbitc_operands operands;
    bool *viewed;           ///< per node: output 0 is input 0's memory
    size_t *last;           ///< by value->index: the last node that reads it, SIZE_MAX: it is kept
    void **blocks;          ///< by value->index: memory of a deferred node's output, NULL: none now
    unsigned char *memory;  ///< as allocated
    unsigned char *scratch; ///< of the largest node, at the end of the memory
};

struct pbitc_interpreter {
    const struct pbitc_graph *graph;
    const struct pbitc_allocator *allocator;
    struct pbitc_arena *arena;
    int threads;
    int64_t own_turns, *turns;  ///< how often inner graphs may still run; those of the graph around, or own
    bool *kept;                 ///< by value->index: graph outputs and watched values
    struct pbitc_shape *shapes; ///< of the inputs that the plan is for
    struct plan plan;
    bool planned;
};

static enum pbit_status out_of_memory(struct pbitc_diagnostics *diagnostics)
{
    return pbitc_report(diagnostics, PBIT_ERROR_MEMORY, NULL, NULL, 0, "try a smaller batch",
                        "out of memory");
}

static void release_block(struct pbitc_interpreter *interpreter, size_t value)
{
    pbitc_release(interpreter->allocator, interpreter->plan.blocks[value]);
    interpreter->plan.blocks[value] = NULL;
}

static void release_blocks(struct pbitc_interpreter *interpreter)
{
    for (size_t i = 0; interpreter->plan.blocks && i < interpreter->graph->value_count; i++)
        release_block(interpreter, i);
}

static void plan_destroy(struct pbitc_interpreter *interpreter)
{
    release_blocks(interpreter);
    pbitc_release(interpreter->allocator, interpreter->plan.memory);
    pbitc_arena_destroy(interpreter->plan.arena);
    interpreter->plan = (struct plan){0};
    interpreter->planned = false;
}

enum pbit_status pbitc_interpreter_create(const struct pbitc_graph *graph, int threads,
                                          const struct pbitc_allocator *allocator,
                                          struct pbitc_diagnostics *diagnostics,
                                          struct pbitc_interpreter **interpreter)
{
    *interpreter = NULL;
    if (threads < 1)
        return pbitc_report(diagnostics, PBIT_ERROR_ARGUMENT, NULL, NULL, 0, NULL, "%d threads", threads);
    struct pbitc_arena *arena = pbitc_arena_create(allocator);
    if (!arena)
        return out_of_memory(diagnostics);
    struct pbitc_interpreter *made = pbitc_arena_allocate(arena, 1, sizeof(*made));
    bool *kept = pbitc_arena_allocate(arena, graph->value_count, sizeof(*kept));
    struct pbitc_shape *shapes = pbitc_arena_allocate(arena, graph->input_count, sizeof(*shapes));
    if (!made || !kept || !shapes) {
        pbitc_arena_destroy(arena);
        return out_of_memory(diagnostics);
    }
    *made = (struct pbitc_interpreter){.graph = graph,
                                       .allocator = allocator,
                                       .arena = arena,
                                       .threads = threads,
                                       .kept = kept,
                                       .shapes = shapes};
    for (size_t i = 0; i < graph->output_count; i++)
        kept[graph->outputs[i]->index] = true;
    made->turns = &made->own_turns;
    *interpreter = made;
    return PBIT_OK;
}

void pbitc_interpreter_share_turns(struct pbitc_interpreter *interpreter, int64_t *turns)
{
    interpreter->turns = turns;
}

void pbitc_interpreter_destroy(struct pbitc_interpreter *interpreter)
{
    if (!interpreter)
        return;
    plan_destroy(interpreter);
    pbitc_arena_destroy(interpreter->arena);
}

enum pbit_status pbitc_interpreter_watch(struct pbitc_interpreter *interpreter,
                                         const struct pbitc_value *value)
{
    if (value->index >= interpreter->graph->value_count || interpreter->graph->values[value->index] != value)
        return PBIT_ERROR_ARGUMENT;
    if (!interpreter->kept[value->index])
        plan_destroy(interpreter);
    interpreter->kept[value->index] = true;
    return PBIT_OK;
}

/// A dimension of the graph's input may have any size: the batch, or one that the model leaves open.
static bool is_open(const struct pbitc_value *input, int dimension)
{
    return input->shape.dims[dimension] < 0 || input->dim_names[dimension];
}

static bool input_fits(const struct pbitc_value *input, const struct pbitc_tensor *tensor)
{
    if ((tensor->type != input->type && input->type != PBITC_TYPE_NONE) ||
        pbitc_shape_elements(&tensor->shape) < 0)
        return false;
    if (input->shape.rank < 0)
        return true;
    bool fits = tensor->shape.rank == input->shape.rank;
    for (int i = 0; fits && i < input->shape.rank; i++)
        fits = is_open(input, i) || tensor->shape.dims[i] == input->shape.dims[i];
    return fits;
}

/// The expected shape as "Nx3x32x32", with '?' for what the model leaves open.
static void format_expected(const struct pbitc_value *input, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    if (input->shape.rank <= 0)
        snprintf(text, size, "%s", input->shape.rank == 0 ? "scalar" : "any shape");
    for (int i = 0; i < input->shape.rank && used < size; i++) {
        const char *cross = i ? "x" : "";
        if (is_open(input, i))
            used += (size_t)snprintf(text + used, size - used, "%s%s", cross,
                                     input->dim_names[i] ? input->dim_names[i] : "?");
        else
            used +=
                (size_t)snprintf(text + used, size - used, "%s%lld", cross, (long long)input->shape.dims[i]);
    }
}

static enum pbit_status check_inputs(const struct pbitc_graph *graph, const struct pbitc_tensor *inputs,
                                     struct pbitc_diagnostics *diagnostics)
{
    enum pbit_status status = PBIT_OK;
    for (size_t i = 0; i < graph->input_count; i++) {
        const struct pbitc_value *input = graph->inputs[i];
        if (input_fits(input, &inputs[i]))
            continue;
        char expected[256];
        format_expected(input, expected, sizeof(expected));
        status = pbitc_report(diagnostics, PBIT_ERROR_ARGUMENT, input->name, NULL, 0, NULL,
                              "this input takes %s %s, but was given %s %s", pbitc_type_name(input->type),
                              expected, pbitc_type_name(inputs[i].type),
                              pbitc_shape_format(&inputs[i].shape).text);
    }
    return status;
}

/// Views become the memory of their input, except of a graph input that must be kept: the caller's memory is
/// his.
static bool shares_memory(const struct pbitc_interpreter *interpreter,
                          const struct pbitc_inferred_node *inferred, const size_t *owner)
{
    const struct pbitc_node *node = inferred->node;
    if (inferred->evaluated || inferred->deferred || !(node->op->flags & PBITC_OPERATOR_VIEW) ||
        !node->outputs[0])
        return false;
    const struct pbitc_value *source = interpreter->graph->values[owner[node->inputs[0]->index]];
    return source->producer || source->constant || !interpreter->kept[node->outputs[0]->index];
}

/// Fills, by value->index, the value whose memory each is in, and how long that memory lives.
static void trace_lives(struct pbitc_interpreter *interpreter, size_t *owner,
                        struct pbitc_placement *placements)
{
    const struct pbitc_graph *graph = interpreter->graph;
    struct plan *plan = &interpreter->plan;
    for (size_t i = 0; i < graph->value_count; i++)
        owner[i] = i;
    for (size_t n = 0; n < plan->inference.node_count; n++) {
        const struct pbitc_inferred_node *inferred = &plan->inference.nodes[n];
        const struct pbitc_node *node = inferred->node;
        plan->viewed[n] = shares_memory(interpreter, inferred, owner);
        if (plan->viewed[n])
            owner[node->outputs[0]->index] = owner[node->inputs[0]->index];
        for (size_t i = 0; !inferred->evaluated && i < node->input_count; i++)
            if (node->inputs[i])
                placements[owner[node->inputs[i]->index]].last = n;
        for (size_t i = plan->viewed[n]; !inferred->evaluated && i < node->output_count; i++)
            if (node->outputs[i]) {
                const struct pbitc_tensor *tensor = &plan->inference.tensors[node->outputs[i]->index];
                size_t bytes = inferred->deferred ? 0 : pbitc_tensor_size(tensor);
                placements[node->outputs[i]->index] = (struct pbitc_placement){
                    .bytes = bytes + (bytes == 0 && !inferred->deferred), .first = n, .last = n};
            }
    }
    for (size_t i = 0; i < graph->value_count; i++)
        if (interpreter->kept[i])
            placements[owner[i]].last = SIZE_MAX;
    for (size_t i = 0; i < graph->value_count; i++)
        plan->last[i] = placements[i].last;
}

/// One block for all tensors and the scratch memory of the largest node; every tensor gets its address.
static bool place_tensors(struct pbitc_interpreter *interpreter)
{
    const struct pbitc_graph *graph = interpreter->graph;
    struct plan *plan = &interpreter->plan;
    size_t count = graph->value_count, bytes, scratch = 0;
    size_t *owner = pbitc_arena_allocate(plan->arena, count, sizeof(*owner));
    size_t *order = pbitc_arena_allocate(plan->arena, count, sizeof(*order));
    struct pbitc_placement *placements = pbitc_arena_allocate(plan->arena, count, sizeof(*placements));
    plan->viewed = pbitc_arena_allocate(plan->arena, plan->inference.node_count, sizeof(*plan->viewed));
    plan->last = pbitc_arena_allocate(plan->arena, count, sizeof(*plan->last));
    plan->blocks = pbitc_arena_allocate(plan->arena, count, sizeof(*plan->blocks));
    if (!owner || !order || !placements || !plan->viewed || !plan->last || !plan->blocks)
        return false;
    trace_lives(interpreter, owner, placements);
    for (size_t n = 0; n < plan->inference.node_count; n++)
        if (plan->inference.nodes[n].scratch_bytes > scratch)
            scratch = plan->inference.nodes[n].scratch_bytes;
    if (!pbitc_memory_plan(placements, count, order, &bytes))
        return false;
    plan->memory = pbitc_allocate(interpreter->allocator, bytes + scratch + BLOCK_ALIGNMENT);
    if (!plan->memory)
        return false;
    unsigned char *block = plan->memory + (-(uintptr_t)plan->memory & (BLOCK_ALIGNMENT - 1));
    plan->scratch = block + bytes;
    for (size_t i = 0; i < count; i++)
        if (placements[i].bytes)
            plan->inference.tensors[i].data = block + placements[i].offset;
    return true;
}

static enum pbit_status plan_create(struct pbitc_interpreter *interpreter, const struct pbitc_tensor *inputs,
                                    struct pbitc_diagnostics *diagnostics)
{
    const struct pbitc_graph *graph = interpreter->graph;
    struct plan *plan = &interpreter->plan;
    plan_destroy(interpreter);
    plan->arena = pbitc_arena_create(interpreter->allocator);
    if (!plan->arena || !pbitc_operands_create(&plan->operands, graph, plan->arena) ||
        !pbitc_inference_create(&plan->inference, graph, interpreter->threads, plan->arena))
        return out_of_memory(diagnostics);
    enum pbit_status status = pbitc_inference_run(&plan->inference, inputs, false, diagnostics);
    if (!status && !place_tensors(interpreter))
        status = out_of_memory(diagnostics);
    for (size_t i = 0; i < graph->input_count; i++)
        interpreter->shapes[i] = inputs[i].shape;
    interpreter->planned = !status;
    return status;
}

static bool plan_matches(const struct pbitc_interpreter *interpreter, const struct pbitc_tensor *inputs)
{
    bool same = interpreter->planned;
    for (size_t i = 0; same && i < interpreter->graph->input_count; i++)
        same = pbitc_shape_equal(&interpreter->shapes[i], &inputs[i].shape);
    return same;
}

/// A node whose shapes depend on data: its outputs get memory of their own, until the last that reads them.
static enum pbit_status run_deferred(struct pbitc_interpreter *interpreter, size_t n,
                                     struct pbitc_evaluation *evaluation)
{
    struct plan *plan = &interpreter->plan;
    const struct pbitc_node *node = evaluation->node;
    enum pbit_status status = pbitc_evaluation_complete(evaluation, interpreter->allocator);
    if (status)
        return status;
    for (size_t i = 0; i < node->output_count; i++) {
        if (!node->outputs[i])
            continue;
        size_t value = node->outputs[i]->index;
        plan->inference.tensors[value] = evaluation->outputs[i];
        plan->blocks[value] = evaluation->outputs[i].data;
        if (plan->last[value] == n)
            release_block(interpreter, value);
    }
    for (size_t i = 0; i < node->input_count; i++)
        if (node->inputs[i] && plan->last[node->inputs[i]->index] == n)
            release_block(interpreter, node->inputs[i]->index);
    return PBIT_OK;
}

static enum pbit_status run_node(struct pbitc_interpreter *interpreter, size_t n,
                                 const struct pbitc_sampling *sampling, struct pbitc_diagnostics *diagnostics)
{
    struct plan *plan = &interpreter->plan;
    const struct pbitc_node *node = plan->inference.nodes[n].node;
    struct pbitc_tensor *tensors = plan->inference.tensors;
    if (plan->viewed[n]) {
        tensors[node->outputs[0]->index].data = tensors[node->inputs[0]->index].data;
        if (node->output_count == 1)
            return PBIT_OK;
    }
    struct pbitc_evaluation evaluation = pbitc_evaluation_of(node, tensors, &plan->operands, diagnostics);
    evaluation.sampling = sampling;
    evaluation.threads = interpreter->threads;
    evaluation.turns = interpreter->turns;
    if (plan->inference.nodes[n].deferred)
        return run_deferred(interpreter, n, &evaluation);
    evaluation.scratch = plan->scratch;
    evaluation.scratch_bytes = plan->inference.nodes[n].scratch_bytes;
    for (size_t i = 0; i < node->output_count; i++)
        plan->operands.outputs[i] =
            node->outputs[i] ? tensors[node->outputs[i]->index] : (struct pbitc_tensor){0};
    return pbitc_evaluation_run(&evaluation);
}

enum pbit_status pbitc_interpreter_run(struct pbitc_interpreter *interpreter,
                                       const struct pbitc_tensor *inputs,
                                       const struct pbitc_sampling *sampling,
                                       struct pbitc_diagnostics *diagnostics)
{
    const struct pbitc_graph *graph = interpreter->graph;
    enum pbit_status status = check_inputs(graph, inputs, diagnostics);
    if (!status && !plan_matches(interpreter, inputs))
        status = plan_create(interpreter, inputs, diagnostics);
    if (status)
        return status;
    struct plan *plan = &interpreter->plan;
    interpreter->own_turns = PBITC_MAX_TURNS;
    release_blocks(interpreter);
    for (size_t i = 0; i < graph->input_count; i++)
        plan->inference.tensors[graph->inputs[i]->index].data = inputs[i].data;
    for (size_t n = 0; !status && n < plan->inference.node_count; n++)
        if (!plan->inference.nodes[n].evaluated)
            status = run_node(interpreter, n, sampling, diagnostics);
    return status;
}

const struct pbitc_tensor *pbitc_interpreter_value(const struct pbitc_interpreter *interpreter,
                                                   const struct pbitc_value *value)
{
    if (value->constant)
        return value->constant;
    return interpreter->planned ? &interpreter->plan.inference.tensors[value->index] : NULL;
}
