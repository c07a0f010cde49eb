#include "converter/graph_facts.h"

static uint64_t parameters(const struct pbitc_value *value)
{
    bool real = value && value->constant &&
                (value->type == PBITC_FLOAT32 || value->type == PBITC_FLOAT64 ||
                 value->type == PBITC_FLOAT16 || value->type == PBITC_BFLOAT16);
    if (!real || value->constant->shape.rank < 1)
        return 0;
    return (uint64_t)pbitc_shape_elements(&value->constant->shape);
}

uint64_t pbitc_node_parameters(const struct pbitc_node *node)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < node->input_count; i++)
        sum += parameters(node->inputs[i]);
    return sum;
}

uint64_t pbitc_graph_parameters(const struct pbitc_graph *graph)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < graph->value_count; i++) {
        if (pbitc_graph_use_count(graph, graph->values[i]) > 0)
            sum += parameters(graph->values[i]);
    }
    return sum;
}

/// Number of products in each element of the output.
static int64_t fan_in(const struct pbitc_node *node)
{
    const struct pbitc_shape *a = &node->inputs[0]->shape, *b = &node->inputs[1]->shape;
    if (pbitc_node_is(node, PBITC_OP_Conv)) {
        int64_t weights = pbitc_shape_elements(b);
        return weights > 0 ? weights / b->dims[0] : 0;
    }
    if (pbitc_node_is(node, PBITC_OP_Gemm))
        return a->rank == 2 ? a->dims[pbitc_node_int(node, "transA", 0) ? 0 : 1] : 0;
    if (pbitc_node_is(node, PBITC_OP_MatMul))
        return a->rank > 0 ? a->dims[a->rank - 1] : 0;
    return 0;
}

uint64_t pbitc_node_macs(const struct pbitc_node *node)
{
    if (node->input_count < 2 || !node->inputs[0] || !node->inputs[1] || !node->outputs[0])
        return 0;
    int64_t outputs = pbitc_shape_elements(&node->outputs[0]->shape), products = fan_in(node);
    return outputs > 0 && products > 0 ? (uint64_t)outputs * (uint64_t)products : 0;
}

const char *pbitc_node_operator_name(const struct pbitc_node *node, char *buffer, size_t size)
{
    snprintf(buffer, size, "%s%s%s", node->op->domain, *node->op->domain ? "." : "", node->op->name);
    return buffer;
}
