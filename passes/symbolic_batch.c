// symbolic-batch: the graph is converted image by image, so a Reshape that spells out a batch of 1, or
// computes it from Shape, can as well copy the batch from its input. Then calibration may run many images at
// once.
#include "passes/pass_support.h"

/// Both sides begin with the batch (of 1: shapes are inferred for one image).
static bool keeps_batch(const struct pbitc_shape *input, const struct pbitc_shape *output)
{
    return input->rank >= 1 && output->rank >= 1 && input->dims[0] == 1 && output->dims[0] == 1 &&
           pbitc_shape_elements(output) >= 0;
}

static bool copies_batch(const struct pbitc_node *reshape)
{
    const struct pbitc_tensor *shape = reshape->inputs[1]->constant;
    return shape && shape->type == PBITC_INT64 && shape->shape.dims[0] > 0 &&
           ((const int64_t *)shape->data)[0] == 0;
}

static enum pbit_status free_batch(struct pbitc_graph *graph, struct pbitc_context *context,
                                   struct pbitc_node *reshape)
{
    const struct pbitc_shape *output = &reshape->outputs[0]->shape;
    struct pbitc_shape length = {1, {output->rank}};
    struct pbitc_value *shape = pbitc_graph_add_constant(graph, reshape->name, PBITC_INT64, &length);
    if (!shape || !pbitc_node_set_input(graph, reshape, 1, shape) ||
        !pbitc_node_set_int(graph, reshape, "allowzero", 0))
        return pbitc_out_of_memory(context);
    int64_t *dims = shape->constant->data; // dims[0] = 0: as in the input
    for (int d = 1; d < output->rank; d++)
        dims[d] = output->dims[d];
    return PBIT_OK;
}

enum pbit_status pbitc_symbolic_batch(struct pbitc_graph *graph, struct pbitc_context *context, bool *changed)
{
    PBITC_FOR_EACH_NODE(node, graph)
    {
        if (!pbitc_node_is(node, PBITC_OP_Reshape) || copies_batch(node) ||
            !keeps_batch(&node->inputs[0]->shape, &node->outputs[0]->shape))
            continue;
        enum pbit_status status = free_batch(graph, context, node);
        if (status != PBIT_OK)
            return status;
        *changed = true;
    }
    for (size_t i = 0; i < graph->input_count; i++) {
        if (pbitc_fixed_batch(graph->inputs[i]) != 1)
            continue;
        graph->inputs[i]->dim_names[0] = "N";
        *changed = true;
    }
    *changed |= pbitc_graph_remove_dead_nodes(graph) > 0;
    return PBIT_OK;
}
