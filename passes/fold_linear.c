// fold-linear: every dense layer becomes Gemm(x, W, bias) with transB = 1 and alpha = beta = 1, and Mul, Div,
// Add, Sub with a constant per channel go into the weights and bias of the layer before them, else of the
// layer after them; with a constant per element, into a dense layer after them.
#include "passes/pass_support.h"

#include <string.h>

// ---- one form for dense layers

/// MatMul(x, W) with x of rank 2 and W a constant of rank 2.
static enum pbit_status matmul_to_gemm(struct pbitc_graph *graph, struct pbitc_node *matmul)
{
    struct pbitc_value *inputs[] = {matmul->inputs[0], matmul->inputs[1]}, *output = matmul->outputs[0];
    const char *name = matmul->name;
    struct pbitc_node *position = matmul->next;
    int opset = matmul->opset;
    pbitc_graph_remove_node(graph, matmul);
    struct pbitc_node *gemm = pbitc_graph_insert_node(
        graph, position, name, pbitc_operator_get(PBITC_OP_Gemm), inputs, 2, &output, 1);
    if (!gemm)
        return PBIT_ERROR_MEMORY;
    gemm->opset = opset;
    return PBIT_OK;
}

static bool is_dense_matmul(const struct pbitc_node *node)
{
    struct pbitc_shape shape;
    return pbitc_node_is(node, PBITC_OP_MatMul) && node->inputs[0]->shape.rank == 2 &&
           pbitc_constant_floats(node, 1, &shape) && shape.rank == 2;
}

static bool is_canonical(const struct pbitc_node *gemm)
{
    return pbitc_node_int(gemm, "transB", 0) == 1 && pbitc_node_float(gemm, "alpha", 1) == 1 &&
           pbitc_node_float(gemm, "beta", 1) == 1 && gemm->input_count == 3 && gemm->inputs[2] &&
           gemm->inputs[2]->shape.rank == 1 &&
           gemm->inputs[2]->shape.dims[0] == gemm->inputs[1]->shape.dims[0];
}

/// W of shape [n][k] becomes [k][n].
static struct pbitc_value *transpose_weights(struct pbitc_graph *graph, const struct pbitc_value *weights)
{
    const struct pbitc_shape *old = &weights->constant->shape;
    struct pbitc_shape shape = {2, {old->dims[1], old->dims[0]}};
    struct pbitc_value *turned = pbitc_add_floats(graph, weights->name, &shape);
    for (int64_t i = 0; turned && i < old->dims[0]; i++)
        for (int64_t k = 0; k < old->dims[1]; k++)
            ((float *)turned->constant->data)[k * old->dims[0] + i] =
                ((const float *)weights->constant->data)[i * old->dims[1] + k];
    return turned;
}

static enum pbit_status canonicalize_gemm(struct pbitc_graph *graph, struct pbitc_node *gemm)
{
    if (!pbitc_node_int(gemm, "transB", 0)) {
        struct pbitc_value *turned = transpose_weights(graph, gemm->inputs[1]);
        if (!turned || !pbitc_node_set_input(graph, gemm, 1, turned) ||
            !pbitc_node_set_int(graph, gemm, "transB", 1))
            return PBIT_ERROR_MEMORY;
    }
    size_t channels = pbitc_output_channels(gemm);
    float *scale = pbitc_arena_allocate(graph->arena, channels, sizeof(float));
    float *shift = pbitc_arena_allocate(graph->arena, channels, sizeof(float));
    if (!scale || !shift)
        return PBIT_ERROR_MEMORY;
    float alpha = pbitc_node_float(gemm, "alpha", 1);
    // alpha scales the product only, beta the bias only; pbitc_scale_outputs scales both, so the bias is
    // divided first.
    if (alpha == 0)
        return PBIT_ERROR_UNSUPPORTED;
    float beta = pbitc_node_float(gemm, "beta", 1) / alpha;
    for (size_t k = 0; k < channels; k++)
        scale[k] = alpha;
    if (!pbitc_node_set_float(graph, gemm, "beta", beta))
        return PBIT_ERROR_MEMORY;
    enum pbit_status status = pbitc_scale_outputs(graph, gemm, scale, shift);
    if (status == PBIT_OK && !pbitc_node_set_float(graph, gemm, "alpha", 1))
        status = PBIT_ERROR_MEMORY;
    return status;
}

// ---- constant scales and shifts

/// y = x * scale[c] + shift[c], c along axis 1 of x, or over all elements of a row.
struct affine {
    struct pbitc_value *x;
    bool by_element;
    size_t channels; ///< values of c
    float *scale, *shift;
};

/// Fills vector[elements of a row] with the constant, broadcast to `target`. False when it varies by the row.
static bool element_vector(const struct pbitc_tensor *constant, const struct pbitc_shape *target,
                           float *vector)
{
    const struct pbitc_shape *shape = &constant->shape;
    int missing = target->rank - shape->rank;
    if (constant->type != PBITC_FLOAT32 || missing < 0 || (missing == 0 && shape->dims[0] != 1))
        return false;
    int64_t elements = pbitc_shape_elements(target) / target->dims[0];
    for (int64_t e = 0; e < elements; e++) {
        int64_t rest = e, place = 0, stride = 1;
        for (int d = shape->rank - 1; d >= 0 && d + missing > 0; d--) {
            int64_t extent = target->dims[d + missing];
            place += shape->dims[d] == 1 ? 0 : rest % extent * stride;
            stride *= shape->dims[d];
            rest /= extent;
        }
        vector[e] = ((const float *)constant->data)[place];
    }
    return true;
}

static bool allocate_affine(struct pbitc_graph *graph, struct affine *affine, int64_t channels)
{
    affine->channels = (size_t)channels;
    affine->scale = pbitc_arena_allocate(graph->arena, affine->channels, sizeof(float));
    affine->shift = pbitc_arena_allocate(graph->arena, affine->channels, sizeof(float));
    return affine->scale && affine->shift;
}

/// Reads Mul, Div, Add, Sub with one constant operand. UNSUPPORTED: the node is no such affine map.
static enum pbit_status read_affine(struct pbitc_graph *graph, const struct pbitc_node *node,
                                    struct affine *affine)
{
    bool mul = pbitc_node_is(node, PBITC_OP_Mul), div = pbitc_node_is(node, PBITC_OP_Div);
    bool add = pbitc_node_is(node, PBITC_OP_Add), sub = pbitc_node_is(node, PBITC_OP_Sub);
    if (!mul && !div && !add && !sub)
        return PBIT_ERROR_UNSUPPORTED;
    size_t at = node->inputs[1]->constant ? 1 : 0;
    const struct pbitc_tensor *constant = node->inputs[at]->constant;
    affine->x = node->inputs[1 - at];
    const struct pbitc_shape *shape = &affine->x->shape;
    if (!constant || (div && at == 0) || shape->rank < 2 || pbitc_shape_elements(shape) < 1 ||
        !pbitc_shape_equal(shape, &node->outputs[0]->shape))
        return PBIT_ERROR_UNSUPPORTED;
    if (!allocate_affine(graph, affine, shape->dims[1]))
        return PBIT_ERROR_MEMORY;
    affine->by_element = !pbitc_channel_vector(constant, shape, mul || div ? affine->scale : affine->shift);
    if (affine->by_element) {
        if (!allocate_affine(graph, affine, pbitc_shape_elements(shape) / shape->dims[0]))
            return PBIT_ERROR_MEMORY;
        if (!element_vector(constant, shape, mul || div ? affine->scale : affine->shift))
            return PBIT_ERROR_UNSUPPORTED;
    }
    for (size_t c = 0; c < affine->channels; c++) {
        if (div)
            affine->scale[c] = 1 / affine->scale[c];
        if (add || sub)
            affine->scale[c] = sub && at == 0 ? -1 : 1;
        if (sub && at == 1)
            affine->shift[c] = -affine->shift[c];
    }
    return PBIT_OK;
}

/// Folds into the layer that makes x. PBIT_ERROR_UNSUPPORTED: there is none.
static enum pbit_status fold_backward(struct pbitc_graph *graph, struct pbitc_node *node,
                                      const struct affine *affine)
{
    struct pbitc_node *layer = affine->x->producer;
    if (affine->by_element || !layer || !pbitc_is_linear_layer(layer) ||
        pbitc_graph_only_consumer(graph, affine->x) != node ||
        pbitc_output_channels(layer) != affine->channels)
        return PBIT_ERROR_UNSUPPORTED;
    enum pbit_status status = pbitc_scale_outputs(graph, layer, affine->scale, affine->shift);
    if (status != PBIT_OK)
        return status;
    struct pbitc_value *y = node->outputs[0];
    pbitc_graph_remove_node(graph, node);
    pbitc_graph_replace_uses(graph, y, affine->x);
    return PBIT_OK;
}

/// The linear layer that alone reads `value`, directly or through flattening views.
static struct pbitc_node *layer_after(const struct pbitc_graph *graph, const struct pbitc_value *value)
{
    struct pbitc_node *consumer = pbitc_graph_only_consumer(graph, value);
    while (consumer && (consumer->op->flags & PBITC_OPERATOR_VIEW) && consumer->inputs[0] == value) {
        value = consumer->outputs[0];
        consumer = pbitc_graph_only_consumer(graph, value);
    }
    return consumer && pbitc_is_linear_layer(consumer) && consumer->inputs[0] == value ? consumer : NULL;
}

static bool is_padded(const struct pbitc_node *conv)
{
    size_t count;
    const int64_t *pads = pbitc_node_ints(conv, "pads", &count);
    for (size_t i = 0; i < count; i++)
        if (pads[i] != 0)
            return true;
    return strncmp(pbitc_node_string(conv, "auto_pad", "NOTSET"), "SAME", 4) == 0;
}

/// How the weights of a layer meet the channels of `affine`: weight i of a row reads channel first + i /
/// inner.
struct reading {
    size_t inner, per_group, outputs_per_group;
};

static bool find_reading(const struct pbitc_node *layer, const struct affine *affine, struct reading *reading)
{
    const struct pbitc_shape *weights = &layer->inputs[1]->constant->shape;
    if (pbitc_node_is(layer, PBITC_OP_Gemm)) { // reads all channels in the order C x H x W
        if (!is_canonical(layer) || weights->dims[1] % (int64_t)affine->channels != 0)
            return false;
        *reading = (struct reading){(size_t)weights->dims[1] / affine->channels, affine->channels,
                                    (size_t)weights->dims[0]};
        return true;
    }
    int64_t groups = pbitc_node_int(layer, "group", 1);
    if (affine->by_element || groups < 1 || weights->dims[0] % groups != 0 ||
        weights->dims[1] * groups != (int64_t)affine->channels || weights->dims[0] == 0)
        return false;
    size_t inner = (size_t)(pbitc_shape_elements(weights) / weights->dims[0] / weights->dims[1]);
    *reading = (struct reading){inner, (size_t)weights->dims[1], (size_t)(weights->dims[0] / groups)};
    return true;
}

/// Folds into the layer that reads y. PBIT_ERROR_UNSUPPORTED: there is none that can take it.
static enum pbit_status fold_forward(struct pbitc_graph *graph, struct pbitc_node *node,
                                     const struct affine *affine)
{
    struct pbitc_node *layer = layer_after(graph, node->outputs[0]);
    struct reading reading;
    bool shifts = false;
    for (size_t c = 0; c < affine->channels; c++)
        shifts |= affine->shift[c] != 0;
    if (!layer || !find_reading(layer, affine, &reading) || (shifts && is_padded(layer)))
        return PBIT_ERROR_UNSUPPORTED;
    size_t outputs = pbitc_output_channels(layer);
    float *ones = pbitc_arena_allocate(graph->arena, outputs, sizeof(float));
    float *shift = pbitc_arena_allocate(graph->arena, outputs, sizeof(float));
    if (!ones || !shift)
        return PBIT_ERROR_MEMORY;
    const float *old = layer->inputs[1]->constant->data;
    size_t row = (size_t)pbitc_shape_elements(&layer->inputs[1]->constant->shape) / outputs;
    for (size_t k = 0; k < outputs; k++) {
        ones[k] = 1;
        for (size_t i = 0; i < row; i++) {
            size_t c = k / reading.outputs_per_group * reading.per_group + i / reading.inner;
            shift[k] += old[k * row + i] * affine->shift[c];
        }
    }
    enum pbit_status status =
        pbitc_scale_outputs(graph, layer, ones, shift); // makes weights of the layer's own
    if (status != PBIT_OK)
        return status;
    float *weights = layer->inputs[1]->constant->data;
    for (size_t k = 0; k < outputs; k++)
        for (size_t i = 0; i < row; i++)
            weights[k * row + i] *=
                affine->scale[k / reading.outputs_per_group * reading.per_group + i / reading.inner];
    struct pbitc_value *y = node->outputs[0];
    pbitc_graph_remove_node(graph, node);
    pbitc_graph_replace_uses(graph, y, affine->x);
    return PBIT_OK;
}

/// The constant, broadcast to `rank` dimensions, varies along the axis that the Transpose makes of axis 1 at
/// most.
static bool follows_channels(const struct pbitc_shape *constant, const struct pbitc_node *transpose, int rank)
{
    size_t count;
    const int64_t *order = pbitc_node_ints(transpose, "perm", &count);
    for (int d = 0; d < constant->rank; d++) {
        int axis = d + rank - constant->rank;
        if (constant->dims[d] != 1 && (order ? order[axis] : rank - 1 - axis) != 1)
            return false;
    }
    return true;
}

/// A layer, a Transpose, then the node, with a constant along what were the layer's channels: the node trades
/// places with the Transpose, and can go into the layer. PBIT_ERROR_UNSUPPORTED: it is not so.
static enum pbit_status lift_over_transpose(struct pbitc_graph *graph, struct pbitc_node *node,
                                            const struct affine *affine)
{
    struct pbitc_node *transpose = affine->x->producer;
    if (!pbitc_node_is(transpose, PBITC_OP_Transpose) || pbitc_graph_only_consumer(graph, affine->x) != node)
        return PBIT_ERROR_UNSUPPORTED;
    struct pbitc_value *made = transpose->inputs[0];
    size_t at = node->inputs[1]->constant ? 1 : 0;
    const struct pbitc_tensor *constant = node->inputs[at]->constant;
    int rank = made->shape.rank;
    if (!made->producer || !pbitc_is_linear_layer(made->producer) ||
        pbitc_graph_only_consumer(graph, made) != transpose ||
        !follows_channels(&constant->shape, transpose, rank))
        return PBIT_ERROR_UNSUPPORTED;
    struct pbitc_shape shape = {rank - 1, {pbitc_shape_elements(&constant->shape)}};
    for (int d = 1; d < shape.rank; d++)
        shape.dims[d] = 1;
    struct pbitc_value *inputs[2], *value, *y = node->outputs[0];
    inputs[at] = pbitc_add_floats(graph, node->inputs[at]->name, &shape);
    inputs[1 - at] = made;
    value = pbitc_graph_add_value(graph, node->name, y->type, &made->shape);
    if (!inputs[at] || !value ||
        !pbitc_graph_insert_node(graph, transpose, node->name, node->op, inputs, 2, &value, 1) ||
        !pbitc_node_set_input(graph, transpose, 0, value))
        return PBIT_ERROR_MEMORY;
    memcpy(inputs[at]->constant->data, constant->data, (size_t)shape.dims[0] * sizeof(float));
    pbitc_graph_remove_node(graph, node);
    pbitc_graph_replace_uses(graph, y, affine->x);
    return PBIT_OK;
}

static enum pbit_status fold_affine(struct pbitc_graph *graph, struct pbitc_node *node)
{
    struct affine affine;
    enum pbit_status status = read_affine(graph, node, &affine);
    if (status != PBIT_OK)
        return status;
    status = fold_backward(graph, node, &affine);
    if (status == PBIT_ERROR_UNSUPPORTED)
        status = fold_forward(graph, node, &affine);
    return status == PBIT_ERROR_UNSUPPORTED ? lift_over_transpose(graph, node, &affine) : status;
}

static enum pbit_status simplify(struct pbitc_graph *graph, struct pbitc_node *node, bool *changed)
{
    enum pbit_status status = PBIT_ERROR_UNSUPPORTED;
    if (is_dense_matmul(node)) {
        status = matmul_to_gemm(graph, node);
    } else if (pbitc_node_is(node, PBITC_OP_Gemm) && pbitc_is_linear_layer(node) && !is_canonical(node)) {
        status = canonicalize_gemm(graph, node);
    } else {
        status = fold_affine(graph, node);
    }
    *changed |= status == PBIT_OK;
    return status == PBIT_ERROR_UNSUPPORTED ? PBIT_OK
                                            : status; // what cannot be folded stays; `lower` says so
}

enum pbit_status pbitc_fold_linear(struct pbitc_graph *graph, struct pbitc_context *context, bool *changed)
{
    for (bool again = true; again;) {
        again = false;
        for (struct pbitc_node *node = graph->first, *next; node; node = next) {
            next = node->next;
            enum pbit_status status = simplify(graph, node, &again);
            if (status != PBIT_OK)
                return status == PBIT_ERROR_MEMORY ? pbitc_out_of_memory(context) : status;
        }
        *changed |= again;
    }
    return PBIT_OK;
}
