// fold-batchnorm: BatchNormalization (inference) is y = x * a + b per channel, a = scale / sqrt(variance +
// epsilon), b = bias - mean * a. It goes into the Conv or Gemm before it; where there is none it becomes Mul
// and Add, which fold-linear takes further.
#include "passes/pass_support.h"

#include <math.h>

/// a and b of the node, each [channels] in the arena; false when a parameter is not a float32 constant.
static bool read_affine(const struct pbitc_node *node, size_t channels, float *a, float *b)
{
    struct pbitc_shape shape;
    const float *parameters[4];
    for (size_t i = 0; i < 4; i++) {
        parameters[i] = pbitc_constant_floats(node, i + 1, &shape);
        if (!parameters[i] || pbitc_shape_elements(&shape) != (int64_t)channels)
            return false;
    }
    float epsilon = pbitc_node_float(node, "epsilon", 1e-5f);
    for (size_t c = 0; c < channels; c++) {
        a[c] = parameters[0][c] / sqrtf(parameters[3][c] + epsilon);
        b[c] = parameters[1][c] - parameters[2][c] * a[c];
    }
    return true;
}

/// A constant that broadcasts along axis 1 of a tensor of `rank`.
static struct pbitc_value *channel_constant(struct pbitc_graph *graph, const char *name, int rank,
                                            size_t channels, const float *vector)
{
    struct pbitc_shape shape = {rank - 1, {(int64_t)channels}};
    for (int d = 1; d < shape.rank; d++)
        shape.dims[d] = 1;
    struct pbitc_value *value = pbitc_add_floats(graph, name, &shape);
    for (size_t c = 0; value && c < channels; c++)
        ((float *)value->constant->data)[c] = vector[c];
    return value;
}

/// y = x * a + b as two nodes in front of the BatchNormalization, whose output they take over.
static enum pbit_status expand(struct pbitc_graph *graph, struct pbitc_node *node, size_t channels,
                               const float *a, const float *b)
{
    struct pbitc_value *x = node->inputs[0], *y = node->outputs[0];
    struct pbitc_value *scaled = pbitc_graph_add_value(graph, node->name, y->type, &y->shape);
    struct pbitc_value *scale = channel_constant(graph, node->name, y->shape.rank, channels, a);
    struct pbitc_value *shift = channel_constant(graph, node->name, y->shape.rank, channels, b);
    if (!scaled || !scale || !shift)
        return PBIT_ERROR_MEMORY;
    struct pbitc_value *mul_inputs[] = {x, scale}, *add_inputs[] = {scaled, shift};
    if (!pbitc_graph_insert_node(graph, node, node->name, pbitc_operator_get(PBITC_OP_Mul), mul_inputs, 2,
                                 &scaled, 1) ||
        !pbitc_graph_insert_node(graph, node, node->name, pbitc_operator_get(PBITC_OP_Add), add_inputs, 2, &y,
                                 1))
        return PBIT_ERROR_MEMORY;
    pbitc_graph_remove_node(graph, node);
    return PBIT_OK;
}

static enum pbit_status fold(struct pbitc_graph *graph, struct pbitc_context *context,
                             struct pbitc_node *node, bool *changed)
{
    struct pbitc_value *x = node->inputs[0];
    if (x->shape.rank < 2 || x->shape.dims[1] < 1)
        return PBIT_OK;
    size_t channels = (size_t)x->shape.dims[1];
    float *a = pbitc_arena_allocate(graph->arena, channels, sizeof(float));
    float *b = pbitc_arena_allocate(graph->arena, channels, sizeof(float));
    if (!a || !b)
        return pbitc_out_of_memory(context);
    if (!read_affine(node, channels, a, b))
        return PBIT_OK; // stays, and `lower` says why it cannot be part of a .pbit file
    struct pbitc_node *layer = x->producer;
    enum pbit_status status = PBIT_ERROR_UNSUPPORTED;
    if (layer && pbitc_is_linear_layer(layer) && pbitc_graph_only_consumer(graph, x) == node &&
        pbitc_output_channels(layer) == channels) {
        status = pbitc_scale_outputs(graph, layer, a, b);
        if (status == PBIT_OK) {
            struct pbitc_value *y = node->outputs[0];
            pbitc_graph_remove_node(graph, node);
            pbitc_graph_replace_uses(graph, y, x);
        }
    }
    if (status == PBIT_ERROR_UNSUPPORTED)
        status = expand(graph, node, channels, a, b);
    *changed = true;
    return status == PBIT_OK ? status : pbitc_out_of_memory(context);
}

enum pbit_status pbitc_fold_batchnorm(struct pbitc_graph *graph, struct pbitc_context *context, bool *changed)
{
    for (struct pbitc_node *node = graph->first, *next; node; node = next) {
        next = node->next;
        if (!pbitc_node_is(node, PBITC_OP_BatchNormalization) || pbitc_node_int(node, "training_mode", 0))
            continue;
        enum pbit_status status = fold(graph, context, node, changed);
        if (status != PBIT_OK)
            return status;
    }
    return PBIT_OK;
}
