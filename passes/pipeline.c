// The pipeline: what can be converted, and every pass in order.
#include "passes/pass_support.h"

#include "passes/blame.h"
#include "passes/node_role.h"
#include "passes/placement.h"

#include <string.h>

// ---- what can be converted

enum pbit_status pbitc_fold_graph(struct pbitc_graph *graph, struct pbitc_diagnostics *diagnostics)
{
    static const struct pbitc_options options = {
        .weight_bits = 8, .draws = 1, .samples = 1, .sampler = PBIT_SAMPLER_STRATIFIED, .threads = 1};
    // As if there were images: what they tell is not asked for yet.
    static const struct pbitc_calibration calibration = {.images = 1, .channels = 1};
    struct pbitc_context context = {
        .options = &options, .calibration = &calibration, .diagnostics = diagnostics};
    const struct pbitc_pass *pass = pbitc_pass_find("unfold-quantized"), *end = pbitc_pass_find("keep-skips");
    enum pbit_status status = PBIT_OK;
    for (bool changed; pass < end && status == PBIT_OK; pass++)
        if (pass->run)
            status = pbitc_pass_run(pass, graph, &context, &changed);
    return status;
}

/// Why a node of the folded graph, which has an integer form, cannot be an operation of a .pbit file; NULL:
/// it can, as far as is known here.
static const char *leftover(const struct pbitc_node *node)
{
    const struct pbitc_value *output = node->outputs[0];
    uint32_t height, width, channels;
    switch ((int)node->op->id) {
    case PBITC_OP_Sub:
    case PBITC_OP_Mul:
    case PBITC_OP_Div:
    case PBITC_OP_MatMul:
    case PBITC_OP_BatchNormalization:
        return "there is no such .pbit operation of two values, and no layer before or after it can take its "
               "constants";
    case PBITC_OP_Conv:
    case PBITC_OP_Gemm:
        if (!pbitc_is_linear_layer(node))
            return "the weights and the bias of a layer must be constants";
        break;
    case PBITC_OP_Add:
        if (!pbitc_shape_equal(&node->inputs[0]->shape, &node->inputs[1]->shape) ||
            node->inputs[0]->constant || node->inputs[1]->constant)
            return "only a sum of two values of the same shape can be a .pbit operation, or one with "
                   "constants that a layer before or after it can take";
        break;
    case PBITC_OP_Concat: {
        int64_t axis = pbitc_node_int(node, "axis", 1);
        if (axis != 1 && axis != 1 - output->shape.rank)
            return "only a concatenation of channels (axis 1) can be a .pbit operation";
        break;
    }
    case PBITC_OP_MaxPool:
    case PBITC_OP_AveragePool:
    case PBITC_OP_GlobalMaxPool:
    case PBITC_OP_GlobalAveragePool:
        break;
    default:
        return NULL;
    }
    return pbitc_image_size(&output->shape, &height, &width, &channels)
               ? NULL
               : "a .pbit file holds tensors N x C, N x C x W and N x C x H x W";
}

/// Reports nodes by a folded copy of the graph.
static enum pbit_status check_folded(const struct pbitc_graph *graph, struct pbitc_diagnostics *diagnostics)
{
    struct pbitc_graph *copy = pbitc_graph_clone(graph);
    if (!copy)
        return pbitc_report(diagnostics, PBIT_ERROR_MEMORY, NULL, NULL, 0, NULL, "out of memory");
    enum pbit_status status = pbitc_fold_graph(copy, diagnostics);
    if (status == PBIT_OK)
        PBITC_FOR_EACH_NODE(node, copy)
        {
            const char *reason;
            bool integers = pbitc_node_role(copy, node, &reason) == PBITC_ROLE_INTEGERS;
            reason = integers ? leftover(node) : NULL;
            if (reason)
                status = pbitc_report_node(diagnostics, PBIT_ERROR_UNSUPPORTED, node,
                                           "run the model up to here on the host, or replace the operator",
                                           "%s", reason);
        }
    pbitc_graph_destroy(copy);
    return status;
}

enum pbit_status pbitc_check_convertible(const struct pbitc_graph *graph,
                                         struct pbitc_diagnostics *diagnostics)
{
    enum pbit_status status = PBIT_OK;
    PBITC_FOR_EACH_NODE(node, graph)
    {
        const char *reason;
        if (pbitc_node_role(graph, node, &reason) == PBITC_ROLE_REFUSED)
            status = pbitc_report_node(diagnostics, PBIT_ERROR_UNSUPPORTED, node,
                                       "replace the operator, or convert the part of the model without it",
                                       "%s", reason);
    }
    if (graph->input_count != 1)
        status = pbitc_report(diagnostics, PBIT_ERROR_UNSUPPORTED, graph->name, NULL, 0,
                              "export a model with one input", "a model with %zu inputs cannot be calibrated",
                              graph->input_count);
    for (size_t i = 0; i < graph->input_count; i++) {
        const struct pbitc_value *input = graph->inputs[i];
        if (input->type != PBITC_FLOAT32)
            status = pbitc_report(diagnostics, PBIT_ERROR_UNSUPPORTED, input->name, "input", 0,
                                  "export the model with a float32 input", "the input is %s",
                                  pbitc_type_name(input->type));
        if (graph->input_count == 1 && pbitc_fixed_batch(input) > 1)
            status = pbitc_report(diagnostics, PBIT_ERROR_UNSUPPORTED, input->name, "input", 0,
                                  "export the model with a batch of 1, or with an open one",
                                  "the batch, its first dimension, is fixed at %lld, and a .pbit file takes "
                                  "one image at a time",
                                  (long long)pbitc_fixed_batch(input));
    }
    return status == PBIT_OK ? check_folded(graph, diagnostics) : status;
}

bool pbitc_is_quantized(const struct pbitc_graph *graph)
{
    PBITC_FOR_EACH_NODE(node, graph)
    if (pbitc_node_is(node, PBITC_OP_QuantizeLinear) || pbitc_node_is(node, PBITC_OP_Quant) ||
        pbitc_node_is(node, PBITC_OP_QLinearConv) || pbitc_node_is(node, PBITC_OP_QLinearMatMul))
        return true;
    return false;
}

// ---- the pipeline

static enum pbit_status check_recipe(const struct pbitc_context *context)
{
    enum pbit_status status = PBIT_OK;
    for (size_t i = 0; i < context->options->recipe_count; i++)
        if (!context->options->recipe[i].used)
            status =
                pbitc_report(context->diagnostics, PBIT_ERROR_UNSUPPORTED, context->options->recipe[i].node,
                             NULL, 0, "use the names that `pbitc inspect` prints",
                             "the recipe names a layer that the converted model does not have");
    return status;
}

enum pbit_status pbitc_decide_branches(struct pbitc_graph *graph, struct pbitc_diagnostics *diagnostics)
{
    struct pbitc_context context = {.diagnostics = diagnostics};
    bool changed = false;
    PBITC_FOR_EACH_NODE(node, graph)
    if (pbitc_node_is(node, PBITC_OP_If))
        return pbitc_fold_constants(graph, &context, &changed);
    return PBIT_OK;
}

enum pbit_status pbitc_pipeline_run(struct pbitc_graph *graph, struct pbitc_context *context)
{
    struct pbitc_blame *blame = NULL;
    enum pbit_status status = pbitc_decide_branches(graph, context->diagnostics);
    if (status == PBIT_OK)
        status = pbitc_infer_shapes(graph, 1, context->diagnostics);
    if (status == PBIT_OK)
        status = pbitc_check_convertible(graph, context->diagnostics);
    if (status == PBIT_OK && context->calibration->images == 0 && !pbitc_is_quantized(graph))
        status = pbitc_report(context->diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0,
                              "give --calibrate a data set with images", "there are no calibration images");
    size_t count;
    const struct pbitc_pass *passes = pbitc_passes(&count);
    for (size_t i = 0; i < count && status == PBIT_OK; i++) {
        bool changed;
        if (!passes[i].run || pbitc_is_left_out(context, passes[i].name))
            continue;
        // The float network can run in batches from symbolic-batch on.
        if (context->options->blame && !blame && strcmp(passes[i].name, "fold-batchnorm") == 0)
            status = pbitc_blame_create(graph, context, &blame);
        if (status == PBIT_OK && blame && strcmp(passes[i].name, "quantize-weights") == 0)
            status = pbitc_blame_copy(blame, graph, context);
        if (status == PBIT_OK && strcmp(passes[i].name, "lower") == 0)
            status = check_recipe(context);
        if (status == PBIT_OK)
            status = pbitc_pass_run(&passes[i], graph, context, &changed);
        if (status == PBIT_OK && blame)
            status = pbitc_blame_pass(blame, graph, context, passes[i].name);
    }
    if (status == PBIT_OK && blame)
        status = pbitc_blame_finish(blame, graph, context);
    pbitc_blame_destroy(blame);
    return status;
}
