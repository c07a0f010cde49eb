#include "passes/pass_support.h"

#include <string.h>

const float *pbitc_constant_floats(const struct pbitc_node *node, size_t index, struct pbitc_shape *shape)
{
    const struct pbitc_value *value = index < node->input_count ? node->inputs[index] : NULL;
    if (!value || !value->constant || value->constant->type != PBITC_FLOAT32)
        return NULL;
    *shape = value->constant->shape;
    return value->constant->data;
}

bool pbitc_channel_vector(const struct pbitc_tensor *constant, const struct pbitc_shape *target,
                          float *vector)
{
    const struct pbitc_shape *shape = &constant->shape;
    if (constant->type != PBITC_FLOAT32 || shape->rank > target->rank || target->rank < 2)
        return false;
    int axis = 1 - (target->rank - shape->rank); // of the constant, when it reaches that far
    for (int d = 0; d < shape->rank; d++)
        if (d != axis && shape->dims[d] != 1)
            return false;
    int64_t length = axis >= 0 ? shape->dims[axis] : 1;
    if (length != 1 && length != target->dims[1])
        return false;
    for (int64_t c = 0; c < target->dims[1]; c++)
        vector[c] = ((const float *)constant->data)[length == 1 ? 0 : c];
    return true;
}

struct pbitc_value *pbitc_add_floats(struct pbitc_graph *graph, const char *name,
                                     const struct pbitc_shape *shape)
{
    return pbitc_graph_add_constant(graph, name, PBITC_FLOAT32, shape);
}

bool pbitc_is_linear_layer(const struct pbitc_node *node)
{
    struct pbitc_shape shape;
    if (!pbitc_node_is(node, PBITC_OP_Conv) &&
        !(pbitc_node_is(node, PBITC_OP_Gemm) && !pbitc_node_int(node, "transA", 0)))
        return false;
    if (!pbitc_constant_floats(node, 1, &shape))
        return false;
    return node->input_count < 3 || !node->inputs[2] || pbitc_constant_floats(node, 2, &shape);
}

/// Axis of the output channels in the weights.
static int output_axis(const struct pbitc_node *layer)
{
    return pbitc_node_is(layer, PBITC_OP_Gemm) && !pbitc_node_int(layer, "transB", 0) ? 1 : 0;
}

size_t pbitc_output_channels(const struct pbitc_node *layer)
{
    return (size_t)layer->inputs[1]->constant->shape.dims[output_axis(layer)];
}

/// The bias as a vector[channels], times Gemm's beta.
static bool read_bias(const struct pbitc_node *layer, size_t channels, float *bias)
{
    memset(bias, 0, channels * sizeof(float));
    if (layer->input_count < 3 || !layer->inputs[2])
        return true;
    struct pbitc_shape target = {2, {1, (int64_t)channels}};
    if (!pbitc_channel_vector(layer->inputs[2]->constant, &target, bias))
        return false;
    float beta = pbitc_node_is(layer, PBITC_OP_Gemm) ? pbitc_node_float(layer, "beta", 1) : 1;
    for (size_t k = 0; k < channels; k++)
        bias[k] *= beta;
    return true;
}

enum pbit_status pbitc_scale_outputs(struct pbitc_graph *graph, struct pbitc_node *layer, const float *scale,
                                     const float *shift)
{
    const struct pbitc_tensor *old = layer->inputs[1]->constant;
    size_t channels = pbitc_output_channels(layer), elements = (size_t)pbitc_shape_elements(&old->shape);
    struct pbitc_shape bias_shape = {1, {(int64_t)channels}};
    struct pbitc_value *weights = pbitc_add_floats(graph, layer->inputs[1]->name, &old->shape);
    struct pbitc_value *bias = pbitc_add_floats(graph, layer->name, &bias_shape);
    if (!weights || !bias)
        return PBIT_ERROR_MEMORY;
    float *w = weights->constant->data, *b = bias->constant->data;
    if (!read_bias(layer, channels, b))
        return PBIT_ERROR_UNSUPPORTED;
    size_t inner = output_axis(layer) == 0 ? elements / (channels ? channels : 1) : 1;
    for (size_t i = 0; i < elements; i++)
        w[i] = ((const float *)old->data)[i] * scale[i / inner % channels];
    for (size_t k = 0; k < channels; k++)
        b[k] = b[k] * scale[k] + shift[k];
    if (!pbitc_node_set_input(graph, layer, 1, weights) || !pbitc_node_set_input(graph, layer, 2, bias))
        return PBIT_ERROR_MEMORY;
    if (pbitc_node_is(layer, PBITC_OP_Gemm) && !pbitc_node_set_float(graph, layer, "beta", 1))
        return PBIT_ERROR_MEMORY;
    return PBIT_OK;
}

bool pbitc_is_movement(const struct pbitc_node *node)
{
    return node && ((node->op->flags & PBITC_OPERATOR_VIEW) || node->op->id == PBITC_OP_Transpose);
}

bool pbitc_is_softmax(const struct pbitc_node *node)
{
    return pbitc_node_is(node, PBITC_OP_Softmax) || pbitc_node_is(node, PBITC_OP_LogSoftmax);
}

const struct pbitc_value *pbitc_before_softmax(const struct pbitc_value *output)
{
    return pbitc_is_softmax(output->producer) ? output->producer->inputs[0] : output;
}

struct pbitc_node *pbitc_insert_unary(struct pbitc_graph *graph, struct pbitc_node *position,
                                      const char *name, enum pbitc_operator_id id, struct pbitc_value *input,
                                      struct pbitc_value *output)
{
    if (!input || !output)
        return NULL;
    return pbitc_graph_insert_node(graph, position, name, pbitc_operator_get(id), &input, 1, &output, 1);
}

bool pbitc_add_range(struct pbitc_graph *graph, struct pbitc_context *context,
                     const struct pbitc_value *value, float low, float high)
{
    struct pbitc_range *range = pbitc_arena_allocate(graph->arena, 1, sizeof(*range));
    float *bounds = pbitc_arena_allocate(graph->arena, 2, sizeof(*bounds));
    if (!range || !bounds)
        return false;
    bounds[0] = low;
    bounds[1] = high;
    *range = (struct pbitc_range){value, 1, bounds, bounds + 1, context->ranges};
    context->ranges = range;
    return true;
}

void pbitc_move_range(struct pbitc_context *context, const struct pbitc_value *from,
                      const struct pbitc_value *to)
{
    for (struct pbitc_range *range = context->ranges; range; range = range->next)
        if (range->value == from)
            range->value = to;
}

bool pbitc_copy_ranges(struct pbitc_graph *copy, const struct pbitc_range *ranges,
                       struct pbitc_range **copies)
{
    *copies = NULL;
    for (const struct pbitc_range *range = ranges; range; range = range->next) {
        struct pbitc_range *twin = pbitc_arena_allocate(copy->arena, 1, sizeof(*twin));
        if (!twin)
            return false;
        *twin = (struct pbitc_range){copy->values[range->value->index], range->count, range->low, range->high,
                                     *copies};
        *copies = twin;
    }
    return true;
}

const struct pbitc_range *pbitc_find_range(const struct pbitc_context *context,
                                           const struct pbitc_value *value)
{
    for (const struct pbitc_range *range = context->ranges; range; range = range->next)
        if (range->value == value)
            return range;
    return NULL;
}

const struct pbitc_layer_recipe *pbitc_find_recipe(const struct pbitc_context *context, const char *node)
{
    for (size_t i = 0; i < context->options->recipe_count; i++) {
        struct pbitc_layer_recipe *recipe = &context->options->recipe[i];
        if (strcmp(recipe->node, node) == 0) {
            recipe->used = true;
            return recipe;
        }
    }
    return NULL;
}

bool pbitc_is_neuron(const struct pbitc_node *node, const char *kind)
{
    return pbitc_node_is(node, PBITC_OP_PBit) && strcmp(pbitc_node_string(node, "kind", "pbit"), kind) == 0;
}

bool pbitc_amplitude_is_open(const struct pbitc_context *context, const struct pbitc_node *neuron)
{
    const struct pbitc_layer_recipe *recipe = pbitc_find_recipe(context, neuron->name);
    return !recipe || recipe->rho < 0;
}

struct pbitc_options pbitc_quiet_options(const struct pbitc_options *options)
{
    struct pbitc_options quiet = *options;
    quiet.timing = quiet.blame = false;
    quiet.print_after = NULL;
    return quiet;
}

float pbitc_draw_factor(const struct pbitc_context *context, const char *node)
{
    const struct pbitc_layer_recipe *recipe = pbitc_find_recipe(context, node);
    if (recipe && recipe->draws > 0)
        return recipe->draws;
    for (const struct pbitc_layer_choice *choice = context->layer_choices; choice; choice = choice->next)
        if (choice->draws > 0 && strcmp(choice->node, node) == 0)
            return choice->draws;
    return 1;
}

enum pbit_status pbitc_progress(struct pbitc_context *context, const char *stage, size_t done, size_t total)
{
    bool go_on = !context->progress || context->progress(context->progress_state, stage, done, total);
    return go_on ? PBIT_OK : PBIT_ERROR_STOPPED;
}

enum pbit_status pbitc_out_of_memory(struct pbitc_context *context)
{
    return pbitc_report(context->diagnostics, PBIT_ERROR_MEMORY, NULL, NULL, 0, "", "out of memory");
}
