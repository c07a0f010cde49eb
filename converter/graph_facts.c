#include "converter/graph_facts.h"

static bool is_real(enum pbitc_type type)
{
    return type == PBITC_FLOAT32 || type == PBITC_FLOAT64 || type == PBITC_FLOAT16 || type == PBITC_BFLOAT16;
}

/// Of an operator on quantized tensors: where its weights or its bias are. Scales and zero points are
/// settings.
static bool holds_levels(const struct pbitc_node *node, size_t input)
{
    switch ((int)node->op->id) {
    case PBITC_OP_DequantizeLinear:
        return input == 0;
    case PBITC_OP_ConvInteger:
    case PBITC_OP_MatMulInteger:
        return input == 1;
    case PBITC_OP_QLinearConv:
    case PBITC_OP_QLinearMatMul:
        return input == 3 || input == 8;
    default:
        return false;
    }
}

static bool has_levels(const struct pbitc_node *node)
{
    return holds_levels(node, 0) || holds_levels(node, 1) || holds_levels(node, 3) ||
           pbitc_node_is(node, PBITC_OP_QuantizeLinear);
}

static uint64_t parameters(const struct pbitc_node *node, size_t input)
{
    const struct pbitc_value *value = node->inputs[input];
    if (!value || !value->constant || value->constant->shape.rank < 1 ||
        !(has_levels(node) ? holds_levels(node, input) : is_real(value->type)))
        return 0;
    return (uint64_t)pbitc_shape_elements(&value->constant->shape);
}

uint64_t pbitc_node_parameters(const struct pbitc_node *node)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < node->input_count; i++)
        sum += parameters(node, i);
    return sum;
}

uint64_t pbitc_graph_parameters(const struct pbitc_graph *graph)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < graph->value_count; i++)
        graph->values[i]->mark = 0;
    PBITC_FOR_EACH_NODE(node, graph)
    for (const struct pbitc_attribute *attribute = node->attributes; attribute; attribute = attribute->next)
        if (attribute->kind == PBITC_ATTRIBUTE_GRAPH)
            sum += pbitc_graph_parameters(attribute->graph);
    PBITC_FOR_EACH_NODE(node, graph)
    for (size_t i = 0; i < node->input_count; i++) {
        if (!node->inputs[i] || node->inputs[i]->mark)
            continue;
        uint64_t count = parameters(node, i);
        node->inputs[i]->mark = count > 0;
        sum += count;
    }
    return sum;
}

/// Number of products in each element of the output.
static int64_t fan_in(const struct pbitc_node *node)
{
    bool scaled = pbitc_node_is(node, PBITC_OP_QLinearConv) || pbitc_node_is(node, PBITC_OP_QLinearMatMul);
    const struct pbitc_shape *a = &node->inputs[0]->shape, *b = &node->inputs[scaled ? 3 : 1]->shape;
    if (pbitc_node_is(node, PBITC_OP_Conv) || pbitc_node_is(node, PBITC_OP_ConvInteger) ||
        pbitc_node_is(node, PBITC_OP_QLinearConv)) {
        int64_t weights = pbitc_shape_elements(b);
        return weights > 0 ? weights / b->dims[0] : 0;
    }
    if (pbitc_node_is(node, PBITC_OP_Gemm))
        return a->rank == 2 ? a->dims[pbitc_node_int(node, "transA", 0) ? 0 : 1] : 0;
    if (pbitc_node_is(node, PBITC_OP_MatMul) || pbitc_node_is(node, PBITC_OP_MatMulInteger) || scaled)
        return a->rank > 0 ? a->dims[a->rank - 1] : 0;
    return 0;
}

/// Steps x sequences x weights of a recurrent layer.
static uint64_t recurrent_macs(const struct pbitc_node *node)
{
    const struct pbitc_shape *x = &node->inputs[0]->shape, *w = &node->inputs[1]->shape;
    int64_t r = node->inputs[2] ? pbitc_shape_elements(&node->inputs[2]->shape) : -1;
    int64_t weights = pbitc_shape_elements(w);
    return x->rank == 3 && pbitc_shape_elements(x) >= 0 && weights >= 0 && r >= 0
               ? (uint64_t)x->dims[0] * (uint64_t)x->dims[1] * (uint64_t)(weights + r)
               : 0;
}

uint64_t pbitc_node_macs(const struct pbitc_node *node)
{
    if (node->input_count < 2 || !node->inputs[0] || !node->inputs[1])
        return 0;
    if (pbitc_node_is(node, PBITC_OP_RNN) || pbitc_node_is(node, PBITC_OP_GRU) ||
        pbitc_node_is(node, PBITC_OP_LSTM))
        return node->input_count > 2 ? recurrent_macs(node) : 0;
    const struct pbitc_value *output = node->output_count ? node->outputs[0] : NULL;
    int64_t outputs = output ? pbitc_shape_elements(&output->shape) : -1, products = fan_in(node);
    if (pbitc_node_is(node,
                      PBITC_OP_ConvTranspose)) { // each element of the input meets the kernels of a channel
        const struct pbitc_shape *weights = &node->inputs[1]->shape;
        outputs = pbitc_shape_elements(&node->inputs[0]->shape);
        products = pbitc_shape_elements(weights) > 0 ? pbitc_shape_elements(weights) / weights->dims[0] : 0;
    }
    return outputs > 0 && products > 0 ? (uint64_t)outputs * (uint64_t)products : 0;
}

const char *pbitc_node_operator_name(const struct pbitc_node *node, char *buffer, size_t size)
{
    snprintf(buffer, size, "%s%s%s", node->op->domain, *node->op->domain ? "." : "", node->op->name);
    return buffer;
}
