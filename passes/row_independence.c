#include "passes/row_independence.h"

#include "passes/operators/operator_support.h"
#include "passes/row_rules.h"

#include <string.h>

static const struct pbitc_tensor *at_two(const struct pbitc_row_analysis *analysis,
                                         const struct pbitc_value *value)
{
    return &analysis->two.tensors[value->index];
}

static const struct pbitc_tensor *at_three(const struct pbitc_row_analysis *analysis,
                                           const struct pbitc_value *value)
{
    return &analysis->three.tensors[value->index];
}

static bool same_bytes(const struct pbitc_tensor *a, const struct pbitc_tensor *b)
{
    return a->type == b->type && pbitc_shape_equal(&a->shape, &b->shape) &&
           memcmp(a->data, b->data, (size_t)pbitc_shape_elements(&a->shape) * pbitc_type_bytes(a->type)) == 0;
}

/// Every row along the axis holds the same, and the same as `part`, which has fewer of them.
static bool rows_repeat(const struct pbitc_tensor *part, const struct pbitc_tensor *whole, int axis)
{
    size_t size = pbitc_type_bytes(whole->type);
    size_t row = (size_t)pbitc_extent(&whole->shape, axis + 1, whole->shape.rank) *
                 (size_t)(whole->shape.dims[axis] / 3) * size;
    const unsigned char *a = part->data, *b = whole->data;
    for (int64_t o = 0; o < pbitc_extent(&whole->shape, 0, axis); o++)
        for (size_t r = 0; r < 3; r++)
            if (memcmp(b + ((size_t)o * 3 + r) * row, a + (size_t)o * 2 * row, row) != 0 ||
                (r < 2 && memcmp(a + ((size_t)o * 2 + r) * row, a + (size_t)o * 2 * row, row) != 0))
                return false;
    return true;
}

/// Values that are known before running, such as shapes and states of zeros.
static int axis_of_known(const struct pbitc_row_analysis *analysis, const struct pbitc_value *value)
{
    const struct pbitc_tensor *two = at_two(analysis, value), *three = at_three(analysis, value);
    int axis = pbitc_growing_axis(analysis, value);
    if (axis == PBITC_ROWS_SAME)
        return same_bytes(two, three) ? PBITC_ROWS_SAME : PBITC_ROWS_MIXED;
    return axis >= 0 && rows_repeat(two, three, axis) ? axis : PBITC_ROWS_MIXED;
}

// ---- the graph

static bool inputs_same(const struct pbitc_row_analysis *analysis, const struct pbitc_node *node)
{
    for (size_t i = 0; i < node->input_count; i++)
        if (node->inputs[i] && analysis->axes[node->inputs[i]->index] != PBITC_ROWS_SAME)
            return false;
    return !(node->op->flags & PBITC_OPERATOR_CONTROL_FLOW);
}

static void analyse_node(struct pbitc_row_analysis *analysis, const struct pbitc_node *node)
{
    for (size_t i = 0; i < node->output_count; i++) {
        const struct pbitc_value *output = node->outputs[i];
        if (!output)
            continue;
        int *axis = &analysis->axes[output->index];
        bool known = at_two(analysis, output)->data && at_three(analysis, output)->data;
        int grows = pbitc_growing_axis(analysis, output);
        *axis = known                                                     ? axis_of_known(analysis, output)
                : inputs_same(analysis, node) && grows == PBITC_ROWS_SAME ? PBITC_ROWS_SAME
                                                                          : pbitc_row_axis(analysis, node, i);
        if (*axis >= 0 && *axis != grows)
            *axis = PBITC_ROWS_MIXED;
    }
}

static bool infer_rows(struct pbitc_inference *inference, const struct pbitc_graph *graph,
                       const struct pbitc_shape *shapes, int64_t rows, struct pbitc_arena *arena)
{
    struct pbitc_tensor *inputs = pbitc_arena_allocate(arena, graph->input_count, sizeof(*inputs));
    if (!inputs || !pbitc_inference_create(inference, graph, 1, arena))
        return false;
    for (size_t i = 0; i < graph->input_count; i++) {
        inputs[i] = (struct pbitc_tensor){.type = graph->inputs[i]->type, .shape = shapes[i]};
        if (shapes[i].rank > 0)
            inputs[i].shape.dims[0] = rows;
    }
    return pbitc_inference_run(inference, inputs, false, NULL) == PBIT_OK;
}

static bool analyse(struct pbitc_row_analysis *analysis, const struct pbitc_shape *shapes,
                    struct pbitc_arena *arena)
{
    const struct pbitc_graph *graph = analysis->graph;
    analysis->axes = pbitc_arena_allocate(arena, graph->value_count, sizeof(*analysis->axes));
    if (!analysis->axes || !infer_rows(&analysis->two, graph, shapes, 2, arena) ||
        !infer_rows(&analysis->three, graph, shapes, 3, arena))
        return false;
    for (size_t i = 0; i < graph->value_count; i++)
        analysis->axes[i] = graph->values[i]->constant ? PBITC_ROWS_SAME : PBITC_ROWS_MIXED;
    for (size_t i = 0; i < graph->input_count; i++)
        analysis->axes[graph->inputs[i]->index] = shapes[i].rank > 0 ? 0 : PBITC_ROWS_SAME;
    PBITC_FOR_EACH_NODE(node, graph)
    analyse_node(analysis, node);
    for (size_t i = 0; i < graph->output_count; i++)
        if (analysis->axes[graph->outputs[i]->index] != 0 ||
            at_two(analysis, graph->outputs[i])->shape.dims[0] != 2)
            return false;
    return true;
}

bool pbitc_rows_are_independent(const struct pbitc_graph *graph, const struct pbitc_shape *shapes)
{
    struct pbitc_row_analysis analysis = {.graph = graph};
    struct pbitc_arena *arena = pbitc_arena_create(pbitc_arena_allocator(graph->arena));
    bool independent = arena && analyse(&analysis, shapes, arena);
    pbitc_arena_destroy(arena);
    return independent;
}
