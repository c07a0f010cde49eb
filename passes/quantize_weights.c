// quantize-weights: each row of weights (one output channel) becomes integers of b_w bits times a step. With
// groups, the row is cut along the fan-in and every piece has a step of its own, an integer multiple (1..255)
// of the row's. Steps clip where that lowers the error.
//
// Rounding is error-compensated (the recurrence of GPTQ, Frantar et al., arXiv 2210.17323): the error of each
// weight is made up for by the weights not rounded yet, so that the sum over typical inputs changes least.
// Typical inputs are the levels that the p-bits really draw on the calibration images; only their covariance
// counts, since what rounding does to the mean of a sum goes into the bias.
#include "passes/pass_support.h"

#include "passes/moments.h"
#include "passes/quantized.h"

#include <lapacke.h>
#include <math.h>
#include <string.h>

enum { LARGEST_FAN_IN = 4096 }; ///< above it the covariance is too large, and rounding is to the nearest

/// Share of the mean variance that is added to every variance, so that the covariance can be inverted.
static const float DAMPING = 0.01f;

// ---- one row

/// Integers that b bits can hold.
struct levels {
    int least, most;
};

static struct levels levels_of(int bits)
{
    return bits == 1 ? (struct levels){-1, 1} : (struct levels){-(1 << (bits - 1)), (1 << (bits - 1)) - 1};
}

static int round_weight(float weight, float step, int bits)
{
    if (bits == 1)
        return weight < 0 ? -1 : 1;
    struct levels levels = levels_of(bits);
    float level = rintf(weight / step);
    return level < (float)levels.least ? levels.least : level > (float)levels.most ? levels.most : (int)level;
}

/// Error of rounding to the nearest, each weight counted by the variance of its input.
static double rounding_error(const float *weights, const float *variance, size_t n, float step, int bits)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double difference = weights[i] - step * (float)round_weight(weights[i], step, bits);
        sum += difference * difference * variance[i];
    }
    return sum;
}

/// The step with the least error; 0 when all weights are 0.
static float choose_step(const float *weights, const float *variance, size_t n, int bits, bool clips)
{
    double largest = 0, total = 0, weight_total = 0;
    for (size_t i = 0; i < n; i++) {
        largest = fmax(largest, fabsf(weights[i]));
        total += (double)fabsf(weights[i]) * variance[i];
        weight_total += variance[i];
    }
    if (bits == 1)
        return weight_total > 0 ? (float)(total / weight_total) : 0; // the mean is the best step for signs
    if (!(largest > 0))
        return 0;
    float widest = (float)largest / (float)levels_of(bits).most, best_step = widest;
    double best = rounding_error(weights, variance, n, widest, bits);
    for (int percent = 98; clips && percent >= 30; percent -= 2) {
        float step = widest * (float)percent / 100;
        double error = rounding_error(weights, variance, n, step, bits);
        if (error < best) {
            best = error;
            best_step = step;
        }
    }
    return best_step;
}

/// Where the row's integers go.
struct row {
    int8_t *integers; ///< [n]
    uint8_t *factors; ///< [groups] or NULL
    float *scale;
};

/// Step of weight i.
static float step_at(const struct row *row, size_t group, size_t i)
{
    return row->factors ? *row->scale * row->factors[i / group] : *row->scale;
}

/// steps: float[groups] of scratch.
static void choose_steps(const float *weights, const float *variance, size_t n, int bits, bool clips,
                         size_t group, float *steps, struct row *row)
{
    float largest = 0;
    for (size_t first = 0; first < n; first += group) {
        size_t length = n - first < group ? n - first : group;
        steps[first / group] = choose_step(weights + first, variance + first, length, bits, clips);
        largest = fmaxf(largest, steps[first / group]);
    }
    if (!(largest > 0))
        largest = 1; // a row of zeros
    *row->scale = row->factors ? largest / 255 : largest;
    for (size_t g = 0; row->factors && g * group < n; g++) {
        float factor = rintf(steps[g] / *row->scale);
        row->factors[g] = factor < 1 ? 1 : (uint8_t)factor;
    }
}

/// Rounds weights[n], which it uses up. factor: upper Cholesky factor of the inverse covariance, [n][n];
/// NULL: to nearest.
static void round_row(float *weights, size_t n, int bits, size_t group, const float *factor, struct row *row)
{
    for (size_t i = 0; i < n; i++) {
        float step = step_at(row, group, i);
        row->integers[i] = (int8_t)round_weight(weights[i], step, bits);
        if (!factor)
            continue;
        float error = (weights[i] - step * (float)row->integers[i]) / factor[i * n + i];
        for (size_t j = i + 1; j < n; j++)
            weights[j] -= error * factor[i * n + j];
    }
}

// ---- the covariance of a layer's inputs

/// covariance[n][n] (upper triangle) becomes the upper Cholesky factor of its damped inverse. False: it
/// cannot.
static bool invert(float *covariance, size_t n)
{
    double trace = 0;
    for (size_t i = 0; i < n; i++)
        trace += covariance[i * n + i];
    float damping = DAMPING * (float)(trace / (double)n);
    for (size_t i = 0; i < n; i++)
        covariance[i * n + i] += damping;
    lapack_int order = (lapack_int)n;
    return trace > 0 && LAPACKE_spotrf(LAPACK_ROW_MAJOR, 'U', order, covariance, order) == 0 &&
           LAPACKE_spotri(LAPACK_ROW_MAJOR, 'U', order, covariance, order) == 0 &&
           LAPACKE_spotrf(LAPACK_ROW_MAJOR, 'U', order, covariance, order) == 0;
}

/// What rounding needs to know of one group of a layer's inputs.
struct statistics {
    float *mean;         ///< [n]
    float *variance;     ///< [n]
    const float *factor; ///< [n][n] or NULL
};

/// Turns the moments of a group into statistics, in place.
static void find_statistics(struct pbitc_moments *moments, size_t group, struct statistics *statistics)
{
    size_t n = moments->fan_in.count;
    if (!moments->product || !(moments->count > 0)) {
        for (size_t i = 0; i < n; i++) {
            statistics->mean[i] = 0;
            statistics->variance[i] = 1;
        }
        statistics->factor = NULL;
        return;
    }
    float *covariance = moments->product + group * n * n;
    for (size_t i = 0; i < n; i++)
        statistics->mean[i] = (float)(moments->sum[group * n + i] / moments->count);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = i; j < n; j++)
            covariance[i * n + j] = (float)(covariance[i * n + j] / moments->count -
                                            (double)statistics->mean[i] * statistics->mean[j]);
        // A share for all alike, so that the steps of inputs that never changed are not left to chance.
        statistics->variance[i] = fmaxf(covariance[i * n + i], 0) + 1e-6f;
    }
    statistics->factor = invert(covariance, n) ? covariance : NULL;
}

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
    int bits;
    bool clips;           ///< steps may clip
    size_t group, groups; ///< groups: factors per row
    int8_t *weights;
    uint8_t *factors;
    float *scale;
    struct pbitc_value *rounded, *bias;
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

/// Row k of the layer. scratch: float[3][n].
static void quantize_row(const struct pbitc_moments *moments, const struct statistics *statistics, size_t k,
                         struct result *result, float *scratch)
{
    size_t n = moments->fan_in.count;
    const float *from = (const float *)moments->layer->inputs[1]->constant->data + k * n;
    float *to = (float *)result->rounded->constant->data + k * n, *exact = scratch, *spent = scratch + n,
          *steps = scratch + 2 * n;
    struct row row = {result->weights + k * n, result->group ? result->factors + k * result->groups : NULL,
                      &result->scale[k]};
    size_t group = result->group ? result->group : n;
    for (size_t i = 0; i < n; i++)
        exact[i] = spent[i] = from[moments->fan_in.source[i]] * input_scale(moments, k, i);
    choose_steps(exact, statistics->variance, n, result->bits, result->clips, group, steps, &row);
    round_row(spent, n, result->bits, group, statistics->factor, &row);
    double shift = 0; // of the mean of the sum
    for (size_t i = 0; i < n; i++) {
        float weight = step_at(&row, group, i) * (float)row.integers[i];
        shift += (double)(exact[i] - weight) * statistics->mean[i];
        to[moments->fan_in.source[i]] = weight / input_scale(moments, k, i);
    }
    ((float *)result->bias->constant->data)[k] += (float)shift;
}

/// Rounds the layer and gives it the rounded weights as its constants, so that the float interpreter computes
/// with them.
static enum pbit_status quantize(struct pbitc_graph *graph, struct pbitc_context *context,
                                 struct pbitc_node *layer, struct pbitc_moments *moments, int bits,
                                 size_t group)
{
    const struct pbitc_fan_in *fan_in = &moments->fan_in;
    size_t n = fan_in->count;
    struct result result = {
        .bits = bits, .clips = !pbitc_is_left_out(context, "clip-weights"), .group = group < n ? group : 0};
    struct pbitc_quantized *quantized = pbitc_arena_allocate(graph->arena, 1, sizeof(*quantized));
    float *scratch = pbitc_arena_allocate(graph->arena, 5 * n, sizeof(float));
    if (!quantized || !scratch || !allocate_result(graph, moments, &result))
        return PBIT_ERROR_MEMORY;
    struct pbitc_shape shape;
    const float *bias = pbitc_constant_floats(layer, 2, &shape);
    if (bias)
        memcpy(result.bias->constant->data, bias, fan_in->outputs * sizeof(float));
    struct statistics statistics = {.mean = scratch + 3 * n, .variance = scratch + 4 * n};
    for (size_t k = 0; k < fan_in->outputs; k++) {
        if (k % fan_in->outputs_per_group == 0)
            find_statistics(moments, k / fan_in->outputs_per_group, &statistics);
        if (pbitc_is_left_out(context, "compensate-rounding"))
            statistics.factor = NULL;
        quantize_row(moments, &statistics, k, &result, scratch);
    }
    if (!pbitc_node_set_input(graph, layer, 1, result.rounded) ||
        !pbitc_node_set_input(graph, layer, 2, result.bias))
        return PBIT_ERROR_MEMORY;
    *quantized = (struct pbitc_quantized){bits,        result.group,   fan_in->outputs,
                                          n,           result.weights, result.group ? result.factors : NULL,
                                          result.scale};
    layer->quantized = quantized;
    return PBIT_OK;
}

// ---- the pass

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

/// The layers to quantize, with room for their moments.
static enum pbit_status list_layers(struct pbitc_graph *graph, struct pbitc_context *context,
                                    const struct pbitc_placement *placements, struct pbitc_moments **all,
                                    struct pbitc_moments **gathered)
{
    size_t count = 0;
    PBITC_FOR_EACH_NODE(node, graph)
    count += !node->quantized && pbitc_is_linear_layer(node);
    struct pbitc_moments *list = pbitc_arena_allocate(graph->arena, count + 1, sizeof(*list)), *next = list;
    if (!list)
        return pbitc_out_of_memory(context);
    PBITC_FOR_EACH_NODE(node, graph)
    {
        if (node->quantized || !pbitc_is_linear_layer(node) || !describe(graph, node, placements, next))
            continue;
        size_t n = next->fan_in.count;
        if (n <= LARGEST_FAN_IN) {
            next->sum = pbitc_arena_allocate(graph->arena, next->groups * n, sizeof(double));
            next->product = pbitc_arena_allocate(graph->arena, next->groups * n * n, sizeof(float));
            if (!next->sum || !next->product)
                return pbitc_out_of_memory(context);
            next->next = *gathered;
            *gathered = next;
        }
        next++;
    }
    next->layer = NULL; // ends the list
    *all = list;
    return PBIT_OK;
}

enum pbit_status pbitc_quantize_weights(struct pbitc_graph *graph, struct pbitc_context *context,
                                        bool *changed)
{
    struct pbitc_placement *placements;
    struct pbitc_moments *all = NULL, *gathered = NULL;
    enum pbit_status status = pbitc_place_values(graph, context, &placements);
    if (status == PBIT_OK)
        status = list_layers(graph, context, placements, &all, &gathered);
    if (status == PBIT_OK && gathered && context->calibration->images)
        status = pbitc_gather_moments(graph, context, gathered);
    if (status != PBIT_OK)
        return status;
    struct pbitc_moments *moments = all;
    PBITC_FOR_EACH_NODE(node, graph)
    {
        if (node != moments->layer)
            continue;
        const struct pbitc_layer_recipe *recipe = pbitc_find_recipe(context, node->name);
        int bits = recipe && recipe->weight_bits > 0 ? recipe->weight_bits : context->options->weight_bits;
        int group = recipe && recipe->group >= 0 ? recipe->group : context->options->group;
        if (quantize(graph, context, node, moments, bits, (size_t)group) != PBIT_OK)
            return pbitc_out_of_memory(context);
        *changed = true;
        moments++;
    }
    return PBIT_OK;
}
