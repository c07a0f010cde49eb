// absorb-quantization: a quantized model says of its values, by scale and zero point, which range they have.
// Each QuantizeLinear with the DequantizeLinear behind it (or Quant of QONNX) goes, and leaves that range
// where it is of use: as the bounds of the activation in front of it; as a Clip, where the quantizer relied
// on the lowest level for what a Relu did; as an exact 8-bit neuron, where a layer is to read a sum; or as
// the range of the graph's input. What the model means in float is the model without these nodes.
#include "passes/pass_support.h"

#include "passes/neuron_function.h"
#include "passes/operators/quantization.h"

#include <math.h>
#include <string.h>

/// A value that is quantized.
struct quantized {
    struct pbitc_node *node; ///< QuantizeLinear or Quant
    float low, high;         ///< real values of the lowest and the highest level
};

// ---- reading

/// The only element of a constant input, or `fallback` when the input is omitted. False: not one constant.
static bool read_scalar(const struct pbitc_node *node, size_t index, double fallback, double *number)
{
    *number = fallback;
    if (index >= node->input_count || !node->inputs[index])
        return true;
    const struct pbitc_tensor *constant = node->inputs[index]->constant;
    if (!constant || pbitc_shape_elements(&constant->shape) != 1)
        return false;
    *number = pbitc_real_at(constant, 0);
    return true;
}

static bool same_constants(const struct pbitc_node *a, const struct pbitc_node *b)
{
    double x, y;
    return read_scalar(a, 1, 1, &x) && read_scalar(b, 1, 1, &y) && x == y && read_scalar(a, 2, 0, &x) &&
           read_scalar(b, 2, 0, &y) && x == y;
}

/// Every reader of a QuantizeLinear is a DequantizeLinear with the same parameters.
static bool is_dequantized(const struct pbitc_graph *graph, const struct pbitc_node *quantize)
{
    size_t uses = pbitc_graph_use_count(graph, quantize->outputs[0]);
    PBITC_FOR_EACH_NODE(node, graph)
    if (pbitc_node_is(node, PBITC_OP_DequantizeLinear) && node->inputs[0] == quantize->outputs[0] &&
        same_constants(node, quantize))
        uses--;
    return uses == 0;
}

static bool read_quant(const struct pbitc_node *node, double *least, double *most)
{
    double bits, narrow = pbitc_node_int(node, "narrow", 1) ? 1 : 0;
    if (!read_scalar(node, 3, 8, &bits) || bits < 2 || bits > 16)
        return false;
    bool is_signed = pbitc_node_int(node, "signed", 1) != 0;
    *least = is_signed ? narrow - exp2(bits - 1) : 0;
    *most = is_signed ? exp2(bits - 1) - 1 : exp2(bits) - 1 - narrow;
    return true;
}

/// False: `node` quantizes nothing, or with parameters that are not constants for the whole tensor.
static bool read_quantized(const struct pbitc_graph *graph, struct pbitc_node *node,
                           struct quantized *quantized)
{
    double scale, zero_point, least = 0, most = 0;
    bool quant = pbitc_node_is(node, PBITC_OP_Quant);
    if (!(quant || pbitc_node_is(node, PBITC_OP_QuantizeLinear)) || !node->inputs[0] ||
        node->inputs[0]->constant || !read_scalar(node, 1, 1, &scale) ||
        !read_scalar(node, 2, 0, &zero_point) || !(scale > 0))
        return false;
    if (quant ? !read_quant(node, &least, &most) : !is_dequantized(graph, node))
        return false;
    if (!quant) {
        struct pbitc_levels levels = pbitc_levels_of(node->outputs[0]->type);
        least = levels.low;
        most = levels.high;
    }
    *quantized =
        (struct quantized){node, (float)((least - zero_point) * scale), (float)((most - zero_point) * scale)};
    return true;
}

// ---- what stands around it

static bool passes_values_on(const struct pbitc_node *node)
{
    return pbitc_is_movement(node) || pbitc_node_is(node, PBITC_OP_MaxPool) ||
           pbitc_node_is(node, PBITC_OP_GlobalMaxPool);
}

/// No level of the type stands for a value below 0.
static bool has_lowest_zero_point(const struct pbitc_node *node, size_t zero_point, enum pbitc_type type)
{
    double level;
    return read_scalar(node, zero_point, 0, &level) && level == pbitc_levels_of(type).low;
}

/// Known to hold no value below 0.
static bool is_nonnegative(const struct pbitc_value *value)
{
    struct pbitc_function function;
    float low = -1, high;
    const struct pbitc_node *node = value->producer;
    while (passes_values_on(node) || pbitc_node_is(node, PBITC_OP_AveragePool) ||
           pbitc_node_is(node, PBITC_OP_GlobalAveragePool))
        node = node->inputs[0]->producer;
    if (node && (node->op->flags & PBITC_OPERATOR_ACTIVATION) && pbitc_function_of_node(node, &function))
        pbitc_function_bounds(&function, &low, &high);
    return low >= 0 || (pbitc_node_is(node, PBITC_OP_DequantizeLinear) &&
                        has_lowest_zero_point(node, 2, node->inputs[0]->type));
}

/// What layers can read: an input of the graph, what a neuron gives, or elements of those.
static bool is_levels(const struct pbitc_value *value)
{
    const struct pbitc_node *node = value->producer;
    while (passes_values_on(node))
        node = node->inputs[0]->producer;
    return !node || (node->op->flags & PBITC_OPERATOR_ACTIVATION) || pbitc_node_is(node, PBITC_OP_PBit);
}

/// By a layer, directly or behind nodes that move or pick elements; dequantization on the way is looked
/// through.
static bool is_read_by_layer(const struct pbitc_graph *graph, const struct pbitc_value *value)
{
    PBITC_FOR_EACH_NODE(node, graph)
    {
        bool layer = pbitc_node_is(node, PBITC_OP_Conv) || pbitc_node_is(node, PBITC_OP_Gemm) ||
                     pbitc_node_is(node, PBITC_OP_MatMul);
        bool through = passes_values_on(node) || pbitc_node_is(node, PBITC_OP_DequantizeLinear);
        if ((layer || through) && node->inputs[0] == value &&
            (layer || is_read_by_layer(graph, node->outputs[0])))
            return true;
    }
    return false;
}

// ---- what takes its place

static struct pbitc_value *add_bound(struct pbitc_graph *graph, const char *name, float bound)
{
    const struct pbitc_shape scalar = {.rank = 0};
    struct pbitc_value *value = pbitc_add_floats(graph, name, &scalar);
    if (value)
        *(float *)value->constant->data = bound;
    return value;
}

/// Clip(input) in front of `position`; NULL when out of memory.
static struct pbitc_value *add_clip(struct pbitc_graph *graph, struct pbitc_node *position, const char *name,
                                    struct pbitc_value *input, float low, float high)
{
    struct pbitc_value *output = pbitc_graph_add_value(graph, name, PBITC_FLOAT32, &input->shape);
    struct pbitc_value *inputs[] = {input, add_bound(graph, name, low), add_bound(graph, name, high)};
    if (!output || !inputs[1] || !inputs[2] ||
        !pbitc_graph_insert_node(graph, position, name, pbitc_operator_get(PBITC_OP_Clip), inputs, 3, &output,
                                 1))
        return NULL;
    return output;
}

/// An exact 8-bit neuron of `input`; NULL when out of memory.
static struct pbitc_value *add_exact(struct pbitc_graph *graph, struct pbitc_node *position,
                                     struct pbitc_value *input, float low, float high)
{
    const char *name = pbitc_arena_format(graph->arena, "requantize %s", input->name);
    struct pbitc_value *output =
        name ? pbitc_graph_add_value(graph, input->name, PBITC_FLOAT32, &input->shape) : NULL;
    struct pbitc_node *neuron =
        output ? pbitc_insert_unary(graph, position, name, PBITC_OP_PBit, input, output) : NULL;
    bool made = neuron && pbitc_node_set_string(graph, neuron, "kind", "exact") &&
                pbitc_node_set_string(graph, neuron, "function", "linear") &&
                pbitc_node_set_floats(graph, neuron, "low", &low, 1) &&
                pbitc_node_set_floats(graph, neuron, "high", &high, 1);
    return made ? output : NULL;
}

/// The input of the graph that the value is, but for moved elements; NULL when it is none.
static const struct pbitc_value *input_behind(const struct pbitc_value *value)
{
    while (value->producer && pbitc_is_movement(value->producer))
        value = value->producer->inputs[0];
    return value->producer || value->constant ? NULL : value;
}

/// What takes the place of a quantization.
struct remainder {
    enum { NOTHING, RANGE, CLIP, CLIP_FOR_ACTIVATION, EXACT } form;
    const struct pbitc_value *ranged; ///< RANGE: what the range is of
    struct pbitc_node *activation;    ///< CLIP_FOR_ACTIVATION: the one that goes
    float low, high;
};

/// Behind an activation: its bounds, where they are not narrower already.
static struct remainder remainder_of_activation(const struct pbitc_context *context,
                                                const struct quantized *quantized,
                                                struct pbitc_node *activation,
                                                const struct pbitc_function *function)
{
    struct remainder remainder = {
        .form = NOTHING, .ranged = activation->outputs[0], .activation = activation};
    pbitc_function_bounds(function, &remainder.low, &remainder.high);
    bool bounded = isfinite(remainder.low) && isfinite(remainder.high);
    remainder.low = fmaxf(remainder.low, quantized->low);
    remainder.high = fminf(remainder.high, quantized->high);
    if (remainder.low < remainder.high) {
        if (pbitc_node_is(activation, PBITC_OP_Relu) || pbitc_node_is(activation, PBITC_OP_Clip))
            remainder.form = CLIP_FOR_ACTIVATION;
        else if (!bounded && context->calibration->images == 0)
            remainder.form = RANGE;
    }
    return remainder;
}

/// The activation whose values these are, or the largest of them, when nobody else reads what lies in
/// between.
static struct pbitc_node *activation_behind(const struct pbitc_graph *graph, const struct pbitc_node *reader,
                                            struct pbitc_function *function)
{
    for (struct pbitc_node *node;; reader = node) {
        node = reader->inputs[0]->producer;
        if (!node || pbitc_graph_only_consumer(graph, node->outputs[0]) != reader)
            return NULL;
        if ((node->op->flags & PBITC_OPERATOR_ACTIVATION) && pbitc_function_of_node(node, function))
            return node;
        if (!passes_values_on(node) || node->output_count != 1)
            return NULL;
    }
}

static struct remainder find_remainder(const struct pbitc_graph *graph, const struct pbitc_context *context,
                                       const struct quantized *quantized)
{
    const struct pbitc_node *node = quantized->node;
    const struct pbitc_value *value = node->inputs[0], *input = input_behind(value);
    struct remainder remainder = {NOTHING, input, NULL, quantized->low, quantized->high};
    struct pbitc_function function;
    if (input) {
        if (!context->calibration->pixel_step && !pbitc_find_range(context, input))
            remainder.form = RANGE;
        return remainder;
    }
    struct pbitc_node *activation = activation_behind(graph, node, &function);
    if (activation)
        return remainder_of_activation(context, quantized, activation, &function);
    if (quantized->low >= 0 && quantized->high > 0 && !is_nonnegative(value))
        remainder.form = CLIP;
    else if (!is_levels(value) && is_read_by_layer(graph, node->outputs[0]))
        remainder.form = EXACT;
    return remainder;
}

/// A Clip takes the activation's place; nobody but the values on the way to the quantization read it. NULL:
/// out of memory.
static struct pbitc_value *clip_activation(struct pbitc_graph *graph, const struct remainder *remainder,
                                           struct pbitc_value *value)
{
    struct pbitc_node *activation = remainder->activation, *position = activation->next;
    struct pbitc_value *output = activation->outputs[0];
    pbitc_graph_remove_node(graph, activation);
    struct pbitc_value *clipped =
        add_clip(graph, position, activation->name, activation->inputs[0], remainder->low, remainder->high);
    if (clipped)
        pbitc_graph_replace_uses(graph, output, clipped);
    return clipped && value != output ? value : clipped;
}

/// Takes the node out and puts what remains of it in its place. Returns what is to be read instead; NULL when
/// out of memory.
static struct pbitc_value *leave(struct pbitc_graph *graph, struct pbitc_context *context,
                                 struct pbitc_node *node, const struct remainder *remainder)
{
    struct pbitc_value *value = node->inputs[0];
    struct pbitc_node *position = node->next;
    pbitc_graph_remove_node(graph, node);
    switch (remainder->form) {
    case RANGE:
        return pbitc_add_range(graph, context, remainder->ranged, remainder->low, remainder->high) ? value
                                                                                                   : NULL;
    case CLIP:
        return add_clip(graph, position, node->name, value, remainder->low, remainder->high);
    case CLIP_FOR_ACTIVATION:
        return clip_activation(graph, remainder, value);
    case EXACT:
        return add_exact(graph, position, value, remainder->low, remainder->high);
    default:
        return value;
    }
}

static enum pbit_status absorb(struct pbitc_graph *graph, struct pbitc_context *context,
                               const struct quantized *quantized)
{
    const struct remainder remainder = find_remainder(graph, context, quantized);
    struct pbitc_value *output = quantized->node->outputs[0];
    bool quant = pbitc_node_is(quantized->node, PBITC_OP_Quant);
    struct pbitc_value *instead = leave(graph, context, quantized->node, &remainder);
    if (!instead)
        return pbitc_out_of_memory(context);
    if (quant)
        pbitc_graph_replace_uses(graph, output, instead);
    else
        PBITC_FOR_EACH_NODE(reader, graph)
    if (pbitc_node_is(reader, PBITC_OP_DequantizeLinear) && reader->inputs[0] == output)
        pbitc_graph_replace_uses(graph, reader->outputs[0], instead);
    return PBIT_OK;
}

bool pbitc_is_quantized_neuron(const struct pbitc_node *node)
{
    enum { RESULT_ZERO_POINT = 7 };
    if (pbitc_node_is(node, PBITC_OP_QLinearConv) || pbitc_node_is(node, PBITC_OP_QLinearMatMul))
        return has_lowest_zero_point(node, RESULT_ZERO_POINT, node->outputs[0]->type);
    return pbitc_node_is(node, PBITC_OP_QuantizeLinear) && node->inputs[0] && !node->inputs[0]->constant &&
           has_lowest_zero_point(node, 2, node->outputs[0]->type) && !input_behind(node->inputs[0]) &&
           !is_nonnegative(node->inputs[0]);
}

enum pbit_status pbitc_absorb_quantization(struct pbitc_graph *graph, struct pbitc_context *context,
                                           bool *changed)
{
    for (struct pbitc_node *node = graph->first, *next; node; node = next) {
        next = node->next;
        struct quantized quantized;
        if (!read_quantized(graph, node, &quantized))
            continue;
        enum pbit_status status = absorb(graph, context, &quantized);
        if (status != PBIT_OK)
            return status;
        *changed = true;
    }
    if (*changed)
        pbitc_graph_remove_dead_nodes(graph);
    return PBIT_OK;
}
