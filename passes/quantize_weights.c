// quantize-weights: each row of weights (one output channel) becomes integers of b_w bits times a step. With
// groups, the row is cut along the fan-in and every piece has a step of its own, an integer multiple (1..255)
// of the row's. Steps clip where that lowers the error (step `clip-weights`).
//
// Rounding is error-compensated (the recurrence of GPTQ, Frantar et al., arXiv 2210.17323): the error of each
// weight is made up for by the weights not rounded yet, so that the sum over typical inputs changes least
// (step `compensate-rounding`). With few bits integers and steps are then improved in turn, each given the
// others (step `refine-rounding`). Typical inputs are the levels that the p-bits really draw on the
// calibration images, behind layers that are rounded already; only their covariance counts, since what
// rounding does to the mean of a sum goes into the bias. What is rounded are not the float network's weights
// but weights refitted to these inputs (refit_weights.h), and a rounded layer's bias is corrected
// (correct_bias.h).
#include "passes/pass_support.h"

#include "passes/correct_bias.h"
#include "passes/operators/operator_support.h"
#include "passes/quantized.h"
#include "passes/refit_weights.h"
#include "passes/round_weights.h"

#include <stdlib.h>
#include <string.h>

enum { LARGEST_FAN_IN = 4096 }; ///< above it the covariance is too large, and rounding is to the nearest

// ---- one layer

/// Scale of the input that weight i of output k reads.
static float input_scale(const struct pbitc_moments *moments, size_t k, size_t i)
{
    const struct pbitc_fan_in *fan_in = &moments->fan_in;
    return moments->input
        .scale[k / fan_in->outputs_per_group * fan_in->channels_per_group + fan_in->channel[i]];
}

/// The integers of a layer under construction, and the float layer that computes the same.
struct result {
    struct pbitc_moments *moments;
    struct pbitc_statistics statistics; ///< of the outputs at hand
    size_t first;                       ///< of these outputs
    float *targets;                     ///< [outputs at hand][n], what is rounded
    int bits;
    bool clips;           ///< steps may clip
    size_t group, groups; ///< groups: factors per row
    int8_t *weights;
    uint8_t *factors;
    float *scale;
    struct pbitc_value *rounded, *bias;
    float *scratch; ///< [threads][2 n]
};

static bool allocate_result(struct pbitc_graph *graph, const struct pbitc_moments *moments,
                            struct result *result)
{
    const struct pbitc_node *layer = moments->layer;
    size_t outputs = moments->fan_in.outputs, n = moments->fan_in.count;
    struct pbitc_shape bias_shape = {1, {(int64_t)outputs}};
    result->groups = result->group ? (n + result->group - 1) / result->group : 0;
    result->weights = pbitc_arena_allocate(graph->arena, outputs * n, 1);
    result->factors = pbitc_arena_allocate(graph->arena, outputs, result->groups);
    result->scale = pbitc_arena_allocate(graph->arena, outputs, sizeof(float));
    result->rounded = pbitc_add_floats(graph, layer->inputs[1]->name, &layer->inputs[1]->constant->shape);
    result->bias = pbitc_add_floats(graph, layer->name, &bias_shape);
    return result->weights && result->factors && result->scale && result->rounded && result->bias;
}

/// Work of pbitc_parallel_for: output number `index` of those at hand.
static void quantize_row(void *state, int64_t index, int worker)
{
    struct result *result = state;
    const struct pbitc_moments *moments = result->moments;
    size_t n = moments->fan_in.count, k = result->first + (size_t)index;
    const float *from = (const float *)moments->layer->inputs[1]->constant->data + k * n;
    float *to = (float *)result->rounded->constant->data + k * n;
    struct pbitc_row row = {.bits = result->bits,
                            .clips = result->clips,
                            .n = n,
                            .group = result->group ? result->group : n,
                            .integers = result->weights + k * n,
                            .factors = result->group ? result->factors + k * result->groups : NULL,
                            .scale = &result->scale[k]};
    pbitc_round_row(&row, result->targets + (size_t)index * n, &result->statistics,
                    result->scratch + (size_t)worker * 2 * n);
    double shift = 0; // of the mean of the sum
    for (size_t i = 0; i < n; i++) {
        float weight = pbitc_row_step(&row, i) * (float)row.integers[i], scale = input_scale(moments, k, i);
        shift += (double)(from[moments->fan_in.source[i]] * scale - weight) * result->statistics.mean[i];
        to[moments->fan_in.source[i]] = weight / scale;
    }
    ((float *)result->bias->constant->data)[k] += (float)shift;
}

static bool allocate_statistics(size_t n, bool compensate, bool refine, struct pbitc_statistics *statistics)
{
    *statistics = (struct pbitc_statistics){
        .mean = malloc(n * sizeof(float)),
        .variance = malloc(n * sizeof(float)),
        .order = malloc(n * sizeof(uint32_t)),
        .memory = compensate ? malloc(n * n * sizeof(float)) : NULL,
        .covariance = compensate && refine ? malloc(n * n * sizeof(float)) : NULL,
    };
    return statistics->mean && statistics->variance && statistics->order &&
           (!compensate || (statistics->memory && (!refine || statistics->covariance)));
}

static void free_statistics(struct pbitc_statistics *statistics)
{
    free(statistics->mean);
    free(statistics->variance);
    free(statistics->order);
    free(statistics->memory);
    free(statistics->covariance);
}

/// How far weights go towards those of least squares: with few bits the layers before err more.
static float refit_share(int bits)
{
    return bits <= PBITC_FEW_BITS ? 1 : 0.5f;
}

/// What the rows at hand are to become before they are rounded.
static bool find_targets(struct result *result, size_t group)
{
    struct pbitc_moments *moments = result->moments;
    const float *weights = moments->layer->inputs[1]->constant->data;
    size_t n = moments->fan_in.count;
    for (size_t r = 0; r < moments->fan_in.outputs_per_group; r++) {
        size_t k = result->first + r;
        for (size_t i = 0; i < n; i++)
            result->targets[r * n + i] =
                weights[k * n + moments->fan_in.source[i]] * input_scale(moments, k, i);
    }
    return !moments->cross || pbitc_refit_weights(moments, group, refit_share(result->bits), result->targets);
}

static bool quantize_rows(const struct pbitc_context *context, struct result *result)
{
    struct pbitc_moments *moments = result->moments;
    size_t n = moments->fan_in.count, per_group = moments->fan_in.outputs_per_group;
    bool compensate = moments->product && !pbitc_is_left_out(context, "compensate-rounding");
    bool refine = result->bits <= PBITC_FEW_BITS && !pbitc_is_left_out(context, "refine-rounding");
    result->scratch = malloc((size_t)context->options->threads * 2 * n * sizeof(float));
    result->targets = malloc(per_group * n * sizeof(float));
    bool ok =
        allocate_statistics(n, compensate, refine, &result->statistics) && result->scratch && result->targets;
    for (size_t group = 0; ok && group < moments->groups; group++) {
        result->first = group * per_group;
        ok = pbitc_find_statistics(moments, group, compensate, &result->statistics) &&
             find_targets(result, group);
        if (ok)
            pbitc_parallel_for(context->options->threads, (int64_t)per_group, quantize_row, result);
    }
    free_statistics(&result->statistics);
    free(result->scratch);
    free(result->targets);
    return ok;
}

/// Directly or behind nodes that only move elements.
static bool reads_input(const struct pbitc_node *layer)
{
    const struct pbitc_value *value = layer->inputs[0];
    while (value->producer && pbitc_is_movement(value->producer))
        value = value->producer->inputs[0];
    return !value->producer;
}

static bool gives_output(const struct pbitc_graph *graph, const struct pbitc_value *value)
{
    for (size_t i = 0; i < graph->output_count; i++)
        if (graph->outputs[i] == value)
            return true;
    PBITC_FOR_EACH_NODE(node, graph)
    if (node->inputs[0] == value && (pbitc_is_movement(node) || pbitc_is_softmax(node)) &&
        gives_output(graph, node->outputs[0]))
        return true;
    return false;
}

static size_t count_weights(const struct pbitc_node *layer)
{
    return (size_t)pbitc_shape_elements(&layer->inputs[1]->constant->shape);
}

/// A layer with less than this share of all weights. Such layers hardly count in size but as much as others
/// in error.
enum { SMALL_SHARE = 50 };

static bool is_small(const struct pbitc_graph *graph, const struct pbitc_node *layer)
{
    size_t all = 0;
    PBITC_FOR_EACH_NODE(node, graph)
    if (pbitc_is_linear_layer(node))
        all += count_weights(node);
    return count_weights(layer) < all / SMALL_SHARE;
}

/// Of first, last and small layers (step `widen-small`): what the first layer loses no other can make up for.
enum { LEAST_BITS = 4 };

static int choose_bits(const struct pbitc_graph *graph, const struct pbitc_context *context,
                       const struct pbitc_node *layer)
{
    const struct pbitc_layer_recipe *recipe = pbitc_find_recipe(context, layer->name);
    int bits = context->options->weight_bits;
    if (recipe && recipe->weight_bits > 0)
        return recipe->weight_bits;
    for (const struct pbitc_layer_choice *choice = context->layer_choices; choice; choice = choice->next)
        if (choice->weight_bits && strcmp(choice->node, layer->name) == 0)
            return choice->weight_bits;
    if (bits >= LEAST_BITS || pbitc_is_left_out(context, "widen-small"))
        return bits;
    bool wide = reads_input(layer) || gives_output(graph, layer->outputs[0]) || is_small(graph, layer);
    return wide ? LEAST_BITS : bits;
}

/// Rounds the layer and gives it the rounded weights as its constants, so that the float interpreter computes
/// with them.
static enum pbit_status quantize(struct pbitc_graph *graph, struct pbitc_context *context,
                                 struct pbitc_node *layer, struct pbitc_moments *moments)
{
    const struct pbitc_fan_in *fan_in = &moments->fan_in;
    const struct pbitc_layer_recipe *recipe = pbitc_find_recipe(context, layer->name);
    size_t group = (size_t)(recipe && recipe->group >= 0 ? recipe->group : context->options->group);
    struct result result = {.moments = moments,
                            .bits = choose_bits(graph, context, layer),
                            .clips = !pbitc_is_left_out(context, "clip-weights"),
                            .group = group < fan_in->count ? group : 0};
    struct pbitc_quantized *quantized = pbitc_arena_allocate(graph->arena, 1, sizeof(*quantized));
    if (!quantized || !allocate_result(graph, moments, &result))
        return pbitc_out_of_memory(context);
    struct pbitc_shape shape;
    const float *bias = pbitc_constant_floats(layer, 2, &shape);
    if (bias)
        memcpy(result.bias->constant->data, bias, fan_in->outputs * sizeof(float));
    if (!quantize_rows(context, &result) || !pbitc_node_set_input(graph, layer, 1, result.rounded) ||
        !pbitc_node_set_input(graph, layer, 2, result.bias))
        return pbitc_out_of_memory(context);
    *quantized = (struct pbitc_quantized){result.bits,   result.group,   fan_in->outputs,
                                          fan_in->count, result.weights, result.group ? result.factors : NULL,
                                          result.scale};
    layer->quantized = quantized;
    return PBIT_OK;
}

// ---- the pass

struct quantization {
    struct pbitc_graph *graph;
    struct pbitc_placement *placements;
    bool *changed;
};

/// Fills what quantization needs of a layer but the moments themselves; false when the layer cannot be part
/// of a .pbit file, and lower will say why.
static bool describe(struct pbitc_graph *graph, const struct pbitc_node *layer,
                     const struct pbitc_placement *placements, struct pbitc_moments *moments)
{
    const struct pbitc_placement *held = &placements[layer->inputs[0]->index];
    if (!held->holder || !held->levels)
        return false;
    *moments = (struct pbitc_moments){.layer = layer, .input = *held, .groups = 1};
    if (pbitc_node_is(layer, PBITC_OP_Conv) &&
        !pbitc_standardize(graph->arena, held, layer->inputs[0], &moments->input))
        return false;
    if (!pbitc_find_fan_in(graph->arena, layer, &moments->input, &moments->fan_in))
        return false;
    moments->groups = moments->fan_in.outputs / moments->fan_in.outputs_per_group;
    return true;
}

/// Moments of what the layer reads in both networks; NULL arrays when there are too many inputs.
static enum pbit_status gather(struct pbitc_context *context, const struct pbitc_twin_run *run,
                               struct pbitc_moments *moments)
{
    size_t n = moments->fan_in.count;
    if (n > LARGEST_FAN_IN)
        return PBIT_OK;
    moments->sum = calloc(moments->groups * n, sizeof(double));
    moments->product = calloc(moments->groups * n, n * sizeof(float));
    bool refit = !pbitc_is_left_out(context, "refit-weights"), ok = moments->sum && moments->product;
    if (refit) {
        moments->exact_sum = calloc(moments->groups * n, sizeof(double));
        moments->cross = calloc(moments->groups * n, n * sizeof(float));
        ok = ok && moments->exact_sum && moments->cross;
    }
    enum pbit_status status = ok ? PBIT_OK : pbitc_out_of_memory(context);
    size_t first = 0;
    for (size_t b = 0; b < run->batches && status == PBIT_OK; b++) {
        const struct pbitc_value *input = moments->layer->inputs[0];
        const struct pbitc_tensor *x = pbitc_twin_value(run->drawn, b, input);
        status = pbitc_add_moments(context, moments, x, pbitc_twin_value(run->exact, b, input), first);
        first += (size_t)x->shape.dims[0];
    }
    return status;
}

/// `run` NULL: there are no images.
static enum pbit_status quantize_layer(struct pbitc_context *context, const struct pbitc_twin_run *run,
                                       struct pbitc_node *layer, void *state)
{
    struct quantization *quantization = state;
    struct pbitc_moments moments;
    if (layer->quantized || !describe(quantization->graph, layer, quantization->placements, &moments))
        return PBIT_OK;
    enum pbit_status status = run ? gather(context, run, &moments) : PBIT_OK;
    if (status == PBIT_OK)
        status = quantize(quantization->graph, context, layer, &moments);
    free(moments.sum);
    free(moments.product);
    free(moments.exact_sum);
    free(moments.cross);
    *quantization->changed = true;
    return status;
}

static enum pbit_status correct_layer(struct pbitc_context *context, const struct pbitc_twin_run *run,
                                      struct pbitc_node *layer, void *state)
{
    (void)state;
    return layer->quantized ? pbitc_correct_bias(context, run, layer) : PBIT_OK;
}

enum pbit_status pbitc_quantize_weights(struct pbitc_graph *graph, struct pbitc_context *context,
                                        bool *changed)
{
    struct quantization quantization = {.graph = graph, .changed = changed};
    bool any = false;
    PBITC_FOR_EACH_NODE(node, graph)
    any |= !node->quantized && pbitc_is_linear_layer(node);
    enum pbit_status status = any ? pbitc_place_values(graph, context, &quantization.placements) : PBIT_OK;
    if (any && status == PBIT_OK && context->calibration->images)
        return pbitc_run_twins(
            graph, context,
            &(struct pbitc_twin_functions){"quantize-weights", quantize_layer, correct_layer, &quantization});
    PBITC_FOR_EACH_NODE(node, graph)
    if (status == PBIT_OK && any && pbitc_is_linear_layer(node))
        status = quantize_layer(context, NULL, node, &quantization);
    return status;
}
