// unfold-quantized: QLinearConv and QLinearMatMul become what they stand for (DequantizeLinear, the float
// operator, QuantizeLinear), and DequantizeLinear moves in front of nodes that only pick or move elements, so
// that it stands right behind the QuantizeLinear it belongs to. QONNX's BipolarQuant becomes Sign. What
// remains of it is for fold-constants and absorb-quantization.
#include "passes/pass_support.h"

#include <string.h>

/// Where a quantized operator has its inputs, each followed by its scale and zero point.
enum { LEFT = 0, RIGHT = 3, RESULT_SCALE = 6, RESULT_ZERO = 7, BIAS = 8 };

static struct pbitc_value *add_value(struct pbitc_graph *graph, const char *name, enum pbitc_type type)
{
    const struct pbitc_shape unknown = {.rank = -1};
    return pbitc_graph_add_value(graph, name, type, &unknown);
}

/// DequantizeLinear of inputs first..first + 2 of the node, in front of it; NULL when out of memory.
static struct pbitc_value *dequantize(struct pbitc_graph *graph, struct pbitc_node *node, size_t first,
                                      int64_t axis)
{
    struct pbitc_value *real = add_value(graph, node->inputs[first]->name, PBITC_FLOAT32);
    struct pbitc_node *dequantize =
        real ? pbitc_graph_insert_node(graph, node, node->name, pbitc_operator_get(PBITC_OP_DequantizeLinear),
                                       node->inputs + first, 3, &real, 1)
             : NULL;
    return dequantize && pbitc_node_set_int(graph, dequantize, "axis", axis) ? real : NULL;
}

/// The bias counts in units of the product of both scales, which must be constants. NULL when out of memory.
static struct pbitc_value *scale_bias(struct pbitc_graph *graph, const struct pbitc_node *node)
{
    const struct pbitc_tensor *bias = node->inputs[BIAS]->constant, *left = node->inputs[LEFT + 1]->constant,
                              *right = node->inputs[RIGHT + 1]->constant;
    int64_t channels = pbitc_shape_elements(&bias->shape), scales = pbitc_shape_elements(&right->shape);
    struct pbitc_value *real = pbitc_add_floats(graph, node->inputs[BIAS]->name, &bias->shape);
    for (int64_t k = 0; real && k < channels; k++)
        ((float *)real->constant->data)[k] = (float)((const int32_t *)bias->data)[k] *
                                             ((const float *)left->data)[0] *
                                             ((const float *)right->data)[scales == 1 ? 0 : k];
    return real;
}

/// The parameters are constants of the types that ONNX asks for.
static bool can_unfold(const struct pbitc_node *node)
{
    for (size_t i = 1; i < node->input_count; i++)
        if (i != RIGHT && node->inputs[i] && !node->inputs[i]->constant)
            return false;
    if (pbitc_shape_elements(&node->inputs[RIGHT + 1]->shape) !=
        pbitc_shape_elements(&node->inputs[RIGHT + 2]->shape))
        return false;
    if (node->input_count <= BIAS || !node->inputs[BIAS])
        return true;
    const struct pbitc_tensor *bias = node->inputs[BIAS]->constant, *left = node->inputs[LEFT + 1]->constant,
                              *right = node->inputs[RIGHT + 1]->constant;
    int64_t scales = pbitc_shape_elements(&right->shape);
    return bias->type == PBITC_INT32 && left->type == PBITC_FLOAT32 && right->type == PBITC_FLOAT32 &&
           pbitc_shape_elements(&left->shape) == 1 &&
           (scales == 1 || scales == pbitc_shape_elements(&bias->shape));
}

static enum pbit_status unfold(struct pbitc_graph *graph, struct pbitc_node *node)
{
    bool is_conv = pbitc_node_is(node, PBITC_OP_QLinearConv);
    int64_t weight_axis = is_conv ? 0 : node->inputs[RIGHT]->shape.rank - 1;
    struct pbitc_value *inputs[3] = {dequantize(graph, node, LEFT, 0),
                                     dequantize(graph, node, RIGHT, weight_axis)};
    size_t count = 2;
    if (node->input_count > BIAS && node->inputs[BIAS])
        inputs[count++] = scale_bias(graph, node);
    struct pbitc_value *real = add_value(graph, node->outputs[0]->name, PBITC_FLOAT32),
                       *output = node->outputs[0];
    if (!inputs[0] || !inputs[1] || !inputs[count - 1] || !real)
        return PBIT_ERROR_MEMORY;
    struct pbitc_value *levels[] = {real, node->inputs[RESULT_SCALE], node->inputs[RESULT_ZERO]};
    struct pbitc_node *position = node->next, old = *node;
    pbitc_graph_remove_node(graph, node);
    struct pbitc_node *product = pbitc_graph_insert_node(
        graph, position, old.name, pbitc_operator_get(is_conv ? PBITC_OP_Conv : PBITC_OP_MatMul), inputs,
        count, &real, 1);
    if (!product ||
        !pbitc_graph_insert_node(graph, position, old.name, pbitc_operator_get(PBITC_OP_QuantizeLinear),
                                 levels, 3, &output, 1))
        return PBIT_ERROR_MEMORY;
    product->attributes = old.attributes;
    product->opset = old.opset;
    return PBIT_OK;
}

/// BipolarQuant gives +scale or -scale: Sign times scale, but for the value 0 itself.
static enum pbit_status unfold_bipolar(struct pbitc_graph *graph, struct pbitc_node *node)
{
    struct pbitc_value *sign = add_value(graph, node->outputs[0]->name, PBITC_FLOAT32),
                       *input = node->inputs[0];
    struct pbitc_value *factors[] = {sign, node->inputs[1]}, *output = node->outputs[0];
    struct pbitc_node *position = node->next;
    const char *name = node->name;
    pbitc_graph_remove_node(graph, node);
    if (!pbitc_insert_unary(graph, position, name, PBITC_OP_Sign, input, sign) ||
        !pbitc_graph_insert_node(graph, position, name, pbitc_operator_get(PBITC_OP_Mul), factors, 2, &output,
                                 1))
        return PBIT_ERROR_MEMORY;
    return PBIT_OK;
}

static bool is_quantized_product(const struct pbitc_node *node)
{
    return pbitc_node_is(node, PBITC_OP_QLinearConv) || pbitc_node_is(node, PBITC_OP_QLinearMatMul);
}

/// The node above a DequantizeLinear with one scale that gives the same on levels and on real values: it
/// moves elements, or picks the largest. NULL: there is none, or somebody else reads what it gives.
static struct pbitc_node *commuting_above(const struct pbitc_graph *graph,
                                          const struct pbitc_node *dequantize)
{
    struct pbitc_node *above = dequantize->inputs[0]->producer;
    bool commutes = pbitc_is_movement(above) || pbitc_node_is(above, PBITC_OP_MaxPool) ||
                    pbitc_node_is(above, PBITC_OP_GlobalMaxPool);
    const struct pbitc_tensor *scale = dequantize->inputs[1]->constant;
    if (!commutes || above->output_count != 1 || !scale || pbitc_shape_elements(&scale->shape) != 1 ||
        *(const float *)scale->data <= 0 || scale->type != PBITC_FLOAT32)
        return NULL;
    return pbitc_graph_only_consumer(graph, above->outputs[0]) == dequantize ? above : NULL;
}

/// q -> above -> l -> dequantize -> y becomes q -> dequantize -> r -> above -> y.
static enum pbit_status lift(struct pbitc_graph *graph, struct pbitc_node *dequantize,
                             struct pbitc_node *above)
{
    struct pbitc_value *real = add_value(graph, above->inputs[0]->name, PBITC_FLOAT32),
                       *output = dequantize->outputs[0];
    struct pbitc_node old = *dequantize;
    pbitc_graph_remove_node(graph, dequantize);
    struct pbitc_node *moved =
        real ? pbitc_graph_insert_node(graph, above, old.name, old.op, old.inputs, old.input_count, &real, 1)
             : NULL;
    if (!moved || !pbitc_node_set_input(graph, moved, 0, above->inputs[0]) ||
        !pbitc_node_set_input(graph, above, 0, real))
        return PBIT_ERROR_MEMORY;
    moved->attributes = old.attributes;
    moved->opset = old.opset;
    above->outputs[0]->producer = NULL;
    above->outputs[0] = output;
    output->producer = above;
    return PBIT_OK;
}

enum pbit_status pbitc_unfold_quantized(struct pbitc_graph *graph, struct pbitc_context *context,
                                        bool *changed)
{
    for (struct pbitc_node *node = graph->first, *next; node; node = next) {
        next = node->next;
        bool bipolar = pbitc_node_is(node, PBITC_OP_BipolarQuant) && !node->inputs[0]->constant;
        if (!bipolar && !(is_quantized_product(node) && can_unfold(node)))
            continue;
        if ((bipolar ? unfold_bipolar(graph, node) : unfold(graph, node)) != PBIT_OK)
            return pbitc_out_of_memory(context);
        *changed = true;
    }
    for (struct pbitc_node *node = graph->last, *previous; node; node = previous) {
        previous = node->previous;
        struct pbitc_node *above =
            pbitc_node_is(node, PBITC_OP_DequantizeLinear) ? commuting_above(graph, node) : NULL;
        if (!above)
            continue;
        if (lift(graph, node, above) != PBIT_OK)
            return pbitc_out_of_memory(context);
        previous = above->previous; // the node moved there may rise further
        *changed = true;
    }
    return PBIT_OK;
}
