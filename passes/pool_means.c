// pool-means: a ReduceMean over all spatial axes, x.mean((2, 3)) in PyTorch, is a GlobalAveragePool; without
// keepdims a Flatten follows.
#include "passes/pass_support.h"

bool pbitc_is_spatial_mean(const struct pbitc_node *node)
{
    if (!pbitc_node_is(node, PBITC_OP_ReduceMean) || node->input_count < 2 || !node->inputs[1] ||
        !node->inputs[1]->constant || node->inputs[1]->constant->type != PBITC_INT64 ||
        node->inputs[0]->type != PBITC_FLOAT32)
        return false;
    int rank = node->inputs[0]->shape.rank;
    const struct pbitc_tensor *axes = node->inputs[1]->constant;
    int64_t count = pbitc_shape_elements(&axes->shape);
    bool reduced[PBITC_MAX_RANK] = {false};
    if (rank < 3 || count != rank - 2)
        return false;
    for (int64_t i = 0; i < count; i++) {
        int64_t axis = ((const int64_t *)axes->data)[i];
        axis += axis < 0 ? rank : 0;
        if (axis < 2 || axis >= rank || reduced[axis])
            return false;
        reduced[axis] = true;
    }
    return true;
}

static bool replace(struct pbitc_graph *graph, struct pbitc_node *mean)
{
    struct pbitc_value *x = mean->inputs[0], *y = mean->outputs[0], *pooled = y;
    struct pbitc_node *position = mean->next;
    const char *name = mean->name;
    if (!pbitc_node_int(mean, "keepdims", 1)) {
        struct pbitc_shape shape = x->shape;
        for (int d = 2; d < shape.rank; d++)
            shape.dims[d] = 1;
        pooled = pbitc_graph_add_value(graph, name, y->type, &shape);
    }
    pbitc_graph_remove_node(graph, mean);
    return pbitc_insert_unary(graph, position, name, PBITC_OP_GlobalAveragePool, x, pooled) &&
           (pooled == y || pbitc_insert_unary(graph, position, name, PBITC_OP_Flatten, pooled, y));
}

enum pbit_status pbitc_pool_means(struct pbitc_graph *graph, struct pbitc_context *context, bool *changed)
{
    for (struct pbitc_node *node = graph->first, *next; node; node = next) {
        next = node->next;
        if (!pbitc_is_spatial_mean(node))
            continue;
        if (!replace(graph, node))
            return pbitc_out_of_memory(context);
        *changed = true;
    }
    *changed |= pbitc_graph_remove_dead_nodes(graph) > 0;
    return PBIT_OK;
}
