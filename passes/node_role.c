#include "passes/node_role.h"

#include "passes/activation_match.h"
#include "passes/neuron_function.h"
#include "passes/pass_support.h"

/// Integers that do not come from the data.
static bool is_shape_arithmetic(const struct pbitc_node *node)
{
    for (size_t i = 0; i < node->output_count; i++)
        if (node->outputs[i] &&
            (node->outputs[i]->type == PBITC_FLOAT32 || node->outputs[i]->type == PBITC_TYPE_NONE))
            return false;
    if (pbitc_node_is(node, PBITC_OP_Shape) || pbitc_node_is(node, PBITC_OP_Size) ||
        pbitc_node_is(node, PBITC_OP_QuantizeLinear))
        return true;
    for (size_t i = 0; i < node->input_count; i++)
        if (node->inputs[i] && !node->inputs[i]->constant && node->inputs[i]->type == PBITC_FLOAT32)
            return false;
    return true;
}

static bool all_inputs_constant(const struct pbitc_node *node)
{
    for (size_t i = 0; i < node->input_count; i++)
        if (node->inputs[i] && !node->inputs[i]->constant)
            return false;
    return true;
}

/// A Softmax or LogSoftmax that the caller can apply to the whole of an output: nothing else reads it or its
/// input, and its axis is all there is.
static bool is_final(const struct pbitc_graph *graph, const struct pbitc_node *node)
{
    const struct pbitc_value *output = node->outputs[0];
    int64_t rank = output->shape.rank, axis = pbitc_node_int(node, "axis", -1);
    if (rank < 2 || pbitc_graph_only_consumer(graph, output) || pbitc_graph_use_count(graph, output) != 1 ||
        pbitc_graph_use_count(graph, node->inputs[0]) != 1)
        return false;
    axis += axis < 0 ? rank : 0;
    return axis >= 1 && axis < rank && output->shape.dims[axis] == pbitc_shape_elements(&output->shape);
}

static bool is_integer_operation(const struct pbitc_node *node)
{
    switch ((int)node->op->id) {
    case PBITC_OP_Conv:
    case PBITC_OP_Gemm:
    case PBITC_OP_MatMul:
    case PBITC_OP_Add:
    case PBITC_OP_Sub:
    case PBITC_OP_Mul:
    case PBITC_OP_Div:
    case PBITC_OP_BatchNormalization:
    case PBITC_OP_MaxPool:
    case PBITC_OP_AveragePool:
    case PBITC_OP_GlobalAveragePool:
    case PBITC_OP_GlobalMaxPool:
    case PBITC_OP_Concat:
    case PBITC_OP_QuantizeLinear:
    case PBITC_OP_DequantizeLinear:
    case PBITC_OP_Quant:
    case PBITC_OP_BipolarQuant:
        return true;
    default:
        return false;
    }
}

/// Why an operator without an integer form cannot have one.
static const char *refusal(const struct pbitc_node *node)
{
    if (node->op->flags & PBITC_OPERATOR_CONTROL_FLOW)
        return "what its inner graphs do depends on data";
    if (pbitc_node_is(node, PBITC_OP_PRelu))
        return "a layer of p-bits has one table: the slopes must be constants, not below 0, and all the same";
    if (node->op->flags & PBITC_OPERATOR_ACTIVATION)
        return "an activation whose bounds or slopes are not constants that a p-bit can take";
    switch ((int)node->op->id) {
    case PBITC_OP_Softmax:
    case PBITC_OP_LogSoftmax:
        return "only a Softmax or LogSoftmax over all of an output can be left to the host, and nothing else "
               "may read it or its input";
    case PBITC_OP_ArgMax:
    case PBITC_OP_ArgMin:
        return "a .pbit file gives all outputs; whoever runs it picks the largest or smallest";
    case PBITC_OP_RNN:
    case PBITC_OP_GRU:
    case PBITC_OP_LSTM:
        return "a .pbit file has no states that go from step to step";
    case PBITC_OP_InstanceNormalization:
    case PBITC_OP_LayerNormalization:
        return "its statistics are those of the data, in float, between layers of p-bits";
    default:
        return "this operator cannot be part of a .pbit file here";
    }
}

enum pbitc_role pbitc_node_role(const struct pbitc_graph *graph, const struct pbitc_node *node,
                                const char **reason)
{
    struct pbitc_function function;
    struct pbitc_activation_match match;
    *reason = NULL;
    if (pbitc_is_quantized_neuron(node))
        return PBITC_ROLE_NEURON;
    if (all_inputs_constant(node) || is_shape_arithmetic(node) || pbitc_is_movement(node) ||
        pbitc_node_is(node, PBITC_OP_Dropout) || pbitc_decided_branch(node) ||
        pbitc_is_layer_padding(graph, node))
        return PBITC_ROLE_NOTHING;
    if (pbitc_match_around(graph, node, &match))
        return node == match.root ? PBITC_ROLE_NEURON : PBITC_ROLE_NOTHING;
    if ((node->op->flags & PBITC_OPERATOR_ACTIVATION) && pbitc_function_of_node(node, &function))
        return PBITC_ROLE_NEURON;
    if (is_integer_operation(node) || pbitc_is_spatial_mean(node))
        return PBITC_ROLE_INTEGERS;
    if (pbitc_is_softmax(node) && is_final(graph, node)) {
        *reason = "it has no integer form; whoever runs the file applies it to the output";
        return PBITC_ROLE_FLOAT;
    }
    *reason = refusal(node);
    return PBITC_ROLE_REFUSED;
}
