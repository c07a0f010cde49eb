// requantize: layers read levels (u8), and sums leave layers in fixed point (runtime/FORMAT.md). Where a
// layer would read fixed point (a linear bottleneck, a pool before the classifier), or where a sum has
// several readers, an exact 8-bit neuron with f(z) = z goes in between. `calibrate` gives it its range.
#include "passes/pass_support.h"

/// What a value will be in the .pbit file, by its producer.
static bool is_fixed(const struct pbitc_value *value)
{
    const struct pbitc_node *node = value->producer;
    if (value->constant || !node)
        return false;
    switch ((int)node->op->id) {
    case PBITC_OP_Conv:
    case PBITC_OP_Gemm:
    case PBITC_OP_Add:
    case PBITC_OP_AveragePool:
    case PBITC_OP_GlobalAveragePool:
        return true;
    case PBITC_OP_MaxPool:
    case PBITC_OP_GlobalMaxPool:
        return is_fixed(node->inputs[0]);
    case PBITC_OP_Concat:
        for (size_t i = 0; i < node->input_count; i++)
            if (!is_fixed(node->inputs[i]))
                return false;
        return true;
    default:
        return pbitc_is_movement(node) && is_fixed(node->inputs[0]);
    }
}

/// `node` can only take levels at its data inputs.
static bool needs_levels(const struct pbitc_node *node)
{
    return pbitc_node_is(node, PBITC_OP_Conv) || pbitc_node_is(node, PBITC_OP_Gemm) ||
           (pbitc_node_is(node, PBITC_OP_Concat) && !is_fixed(node->outputs[0]));
}

/// Directly or behind nodes that only move elements: the neuron then goes in front of those.
static bool is_read_by_layer(const struct pbitc_graph *graph, const struct pbitc_value *value)
{
    PBITC_FOR_EACH_NODE(node, graph)
    for (size_t i = 0; i < node->input_count; i++)
        if (node->inputs[i] == value &&
            (needs_levels(node) || (pbitc_is_movement(node) && is_read_by_layer(graph, node->outputs[0]))))
            return true;
    return false;
}

/// The nodes that read `value` read a new PBit of it instead; a graph output stays the exact sum.
static enum pbit_status insert_neuron(struct pbitc_graph *graph, struct pbitc_value *value)
{
    struct pbitc_value *output = pbitc_graph_add_value(graph, value->name, value->type, &value->shape);
    const char *name = pbitc_arena_format(graph->arena, "requantize %s", value->name);
    struct pbitc_node *neuron =
        name ? pbitc_insert_unary(graph, value->producer->next, name, PBITC_OP_PBit, value, output) : NULL;
    if (!neuron || !pbitc_node_set_string(graph, neuron, "kind", "exact") ||
        !pbitc_node_set_string(graph, neuron, "function", "linear"))
        return PBIT_ERROR_MEMORY;
    for (struct pbitc_node *node = neuron->next; node; node = node->next)
        for (size_t i = 0; i < node->input_count; i++)
            if (node->inputs[i] == value)
                node->inputs[i] = output;
    return PBIT_OK;
}

enum pbit_status pbitc_requantize(struct pbitc_graph *graph, struct pbitc_context *context, bool *changed)
{
    PBITC_FOR_EACH_NODE(node, graph)
    {
        struct pbitc_value *value = node->outputs[0];
        if (!value || !is_fixed(value))
            continue;
        struct pbitc_node *reader = pbitc_graph_only_consumer(graph, value);
        bool only_output = !reader && pbitc_graph_use_count(graph, value) == 1;
        if (only_output || (reader && !is_read_by_layer(graph, value)))
            continue;
        if (pbitc_node_is(node->next, PBITC_OP_PBit) && node->next->inputs[0] == value)
            continue; // a graph output that has its neuron already
        if (insert_neuron(graph, value) != PBIT_OK)
            return pbitc_out_of_memory(context);
        *changed = true;
    }
    return PBIT_OK;
}
