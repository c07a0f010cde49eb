// keep-skips: where a sum (the end of a residual block) reads an activation that layers read as well, it gets
// the value with 8 bits, and only the layers read its draws. Else the noise of every draw would run on along
// the skips to the end of the network. It costs no products with weights: a sum only adds.
#include "passes/pass_support.h"

#include "passes/neuron_function.h"

#include <math.h>

/// Behind nodes that only move elements, too.
static bool is_read_by(const struct pbitc_graph *graph, const struct pbitc_value *value, bool sums)
{
    PBITC_FOR_EACH_NODE(node, graph)
    for (size_t i = 0; i < node->input_count; i++)
        if (node->inputs[i] == value &&
            (sums ? pbitc_node_is(node, PBITC_OP_Add)
                  : pbitc_is_linear_layer(node) ||
                        (pbitc_is_movement(node) && is_read_by(graph, node->outputs[0], false))))
            return true;
    return false;
}

/// f with f(f(z)) = f(z), as a neuron may follow the one that keeps the value.
static bool can_repeat(const struct pbitc_node *node, struct pbitc_function *function)
{
    return node->op->flags & PBITC_OPERATOR_ACTIVATION && pbitc_function_of_node(node, function) &&
           function->activation->linear && !node->inputs[0]->constant;
}

static bool set_bound(struct pbitc_graph *graph, struct pbitc_node *node, const char *name, float bound)
{
    return !isfinite(bound) || pbitc_node_set_float(graph, node, name, bound);
}

/// x -> f -> y becomes x -> 8 bits of f -> k -> f -> y, and sums read k.
static enum pbit_status keep(struct pbitc_graph *graph, struct pbitc_context *context,
                             struct pbitc_node *activation, const struct pbitc_function *function)
{
    struct pbitc_value *y = activation->outputs[0];
    const char *name = pbitc_arena_format(graph->arena, "keep %s", activation->name);
    struct pbitc_value *kept = pbitc_graph_add_value(graph, y->name, y->type, &y->shape);
    struct pbitc_node *keeper =
        name && kept ? pbitc_insert_unary(graph, activation, name, PBITC_OP_PBit, activation->inputs[0], kept)
                     : NULL;
    if (!keeper || !pbitc_node_set_string(graph, keeper, "kind", "exact") ||
        !pbitc_node_set_string(graph, keeper, "function", "linear") ||
        !set_bound(graph, keeper, "alpha", function->alpha) ||
        !set_bound(graph, keeper, "beta", function->beta))
        return pbitc_out_of_memory(context);
    activation->inputs[0] = kept;
    for (struct pbitc_node *node = activation->next; node; node = node->next)
        for (size_t i = 0; pbitc_node_is(node, PBITC_OP_Add) && i < node->input_count; i++)
            if (node->inputs[i] == y)
                node->inputs[i] = kept;
    return PBIT_OK;
}

enum pbit_status pbitc_keep_skips(struct pbitc_graph *graph, struct pbitc_context *context, bool *changed)
{
    PBITC_FOR_EACH_NODE(node, graph)
    {
        struct pbitc_function function;
        if (!can_repeat(node, &function) || !is_read_by(graph, node->outputs[0], true) ||
            !is_read_by(graph, node->outputs[0], false))
            continue;
        enum pbit_status status = keep(graph, context, node, &function);
        if (status != PBIT_OK)
            return status;
        *changed = true;
    }
    return PBIT_OK;
}
