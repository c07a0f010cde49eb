// sink-activations: max and a monotone f commute, so MaxPool(f(x)) = f(MaxPool(x)). Below the pool there are
// fewer neurons, and a p-bit is drawn from the pooled pre-activation instead of pooling draws. For the same
// reason a neuron goes in front of the Flatten or Reshape it reads: there its channels still are the layer's.
#include "passes/pass_support.h"

/// f of MaxPool(f(x)) that may move, or NULL.
static struct pbitc_node *activation_above(const struct pbitc_graph *graph, const struct pbitc_node *pool)
{
    struct pbitc_node *activation = pool->inputs[0]->producer;
    if (!activation || !(activation->op->flags & PBITC_OPERATOR_ACTIVATION) ||
        !(activation->op->flags & PBITC_OPERATOR_MONOTONE) || activation->inputs[0]->constant)
        return NULL;
    if (pool->output_count > 1 && pool->outputs[1]) // indices tell ties apart that f may create
        return NULL;
    // LeakyRelu and the like fall for negative slopes.
    if (pbitc_node_float(activation, "alpha", 0) < 0 || pbitc_node_float(activation, "gamma", 0) < 0)
        return NULL;
    return pbitc_graph_only_consumer(graph, activation->outputs[0]) == pool ? activation : NULL;
}

/// x -> f -> a -> pool -> y becomes x -> pool -> p -> f -> y.
static enum pbit_status sink(struct pbitc_graph *graph, struct pbitc_context *context,
                             struct pbitc_node *activation, struct pbitc_node *pool)
{
    struct pbitc_value *y = pool->outputs[0];
    struct pbitc_value *pooled = pbitc_graph_add_value(graph, pool->name, y->type, &y->shape);
    if (!pooled || !pbitc_node_set_input(graph, pool, 0, activation->inputs[0]))
        return PBIT_ERROR_MEMORY;
    pool->outputs[0] = pooled;
    pooled->producer = pool;
    struct pbitc_node old = *activation;
    pbitc_move_range(context, activation->outputs[0], y);
    pbitc_graph_remove_node(graph, activation);
    struct pbitc_node *moved =
        pbitc_graph_insert_node(graph, pool->next, old.name, old.op, old.inputs, old.input_count, &y, 1);
    if (!moved)
        return PBIT_ERROR_MEMORY;
    moved->inputs[0] = pooled;
    moved->attributes = old.attributes;
    moved->opset = old.opset;
    return PBIT_OK;
}

/// The same function for every element: further inputs (Clip's bounds) are constants of one number.
static bool is_uniform(const struct pbitc_node *activation)
{
    for (size_t i = 1; i < activation->input_count; i++)
        if (activation->inputs[i] &&
            (!activation->inputs[i]->constant || pbitc_shape_elements(&activation->inputs[i]->shape) != 1))
            return false;
    return true;
}

/// The node above that only moves elements, if nothing else reads what it moves: f commutes with it.
static struct pbitc_node *movement_above(const struct pbitc_graph *graph, const struct pbitc_node *node)
{
    struct pbitc_node *movement = node->inputs[0] ? node->inputs[0]->producer : NULL;
    if (!(node->op->flags & PBITC_OPERATOR_ACTIVATION) || !is_uniform(node) || !pbitc_is_movement(movement) ||
        !movement->inputs[0]->producer)
        return NULL;
    return pbitc_graph_only_consumer(graph, movement->outputs[0]) == node ? movement : NULL;
}

/// x -> movement -> m -> f -> y becomes x -> f -> a -> movement -> y.
static enum pbit_status lift(struct pbitc_graph *graph, struct pbitc_context *context,
                             struct pbitc_node *movement, struct pbitc_node *activation)
{
    struct pbitc_value *x = movement->inputs[0], *y = activation->outputs[0];
    struct pbitc_value *activated = pbitc_graph_add_value(graph, activation->name, x->type, &x->shape);
    if (!activated)
        return PBIT_ERROR_MEMORY;
    struct pbitc_node old = *activation;
    pbitc_move_range(context, y, activated);
    pbitc_graph_remove_node(graph, activation);
    struct pbitc_node *moved = pbitc_graph_insert_node(graph, movement, old.name, old.op, old.inputs,
                                                       old.input_count, &activated, 1);
    if (!moved)
        return PBIT_ERROR_MEMORY;
    moved->inputs[0] = x;
    moved->attributes = old.attributes;
    moved->opset = old.opset;
    movement->inputs[0] = activated;
    movement->outputs[0]->producer = NULL;
    movement->outputs[0] = y;
    y->producer = movement;
    return PBIT_OK;
}

enum pbit_status pbitc_sink_activations(struct pbitc_graph *graph, struct pbitc_context *context,
                                        bool *changed)
{
    for (struct pbitc_node *node = graph->first, *next; node; node = next) {
        next = node->next;
        struct pbitc_node *movement = movement_above(graph, node);
        struct pbitc_node *activation =
            pbitc_node_is(node, PBITC_OP_MaxPool) ? activation_above(graph, node) : NULL;
        enum pbit_status status = PBIT_OK;
        if (movement) {
            status = lift(graph, context, movement, node);
            next = movement->previous; // the activation, which may rise further
        } else if (activation)
            status = sink(graph, context, activation, node);
        if (status != PBIT_OK)
            return pbitc_out_of_memory(context);
        *changed |= movement || activation;
    }
    return PBIT_OK;
}
