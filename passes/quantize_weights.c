// quantize-weights: each row of weights (one output channel) becomes integers of b_w bits times a step. The
// step clips where that lowers the squared error. With groups, the row is cut along the fan-in and every
// piece has a step of its own, an integer multiple (1..255) of the row's.
#include "passes/pass_support.h"

#include "passes/placement.h"
#include "passes/quantized.h"

#include <math.h>

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

static double squared_error(const float *weights, size_t n, float step, int bits)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double difference = weights[i] - step * (float)round_weight(weights[i], step, bits);
        sum += difference * difference;
    }
    return sum;
}

/// The step with the least squared error; 0 when all weights are 0.
static float choose_step(const float *weights, size_t n, int bits)
{
    float largest = 0, total = 0;
    for (size_t i = 0; i < n; i++) {
        largest = fmaxf(largest, fabsf(weights[i]));
        total += fabsf(weights[i]);
    }
    if (bits == 1)
        return total / (float)n; // the mean is the best step for signs
    float widest = largest / (float)levels_of(bits).most, best_step = widest;
    double best = squared_error(weights, n, widest, bits);
    for (int percent = 98; percent >= 30 && largest > 0; percent -= 2) {
        float step = widest * (float)percent / 100;
        double error = squared_error(weights, n, step, bits);
        if (error < best) {
            best = error;
            best_step = step;
        }
    }
    return best_step;
}

/// One row of `n` weights in groups of `group`.
static void quantize_row(const float *weights, size_t n, int bits, size_t group, int8_t *integers,
                         uint8_t *factors, float *scale)
{
    size_t groups = (n + group - 1) / group;
    float largest = 0;
    for (size_t g = 0; g < groups; g++) {
        size_t length = n - g * group < group ? n - g * group : group;
        largest = fmaxf(largest, choose_step(weights + g * group, length, bits));
    }
    if (!(largest > 0))
        largest = 1; // a row of zeros
    *scale = factors ? largest / 255 : largest;
    for (size_t g = 0; g < groups; g++) {
        size_t length = n - g * group < group ? n - g * group : group;
        float step = *scale;
        if (factors) {
            float factor = rintf(choose_step(weights + g * group, length, bits) / *scale);
            factors[g] = factor < 1 ? 1 : (uint8_t)factor;
            step *= factors[g];
        }
        for (size_t i = g * group; i < g * group + length; i++)
            integers[i] = (int8_t)round_weight(weights[i], step, bits);
    }
}

static struct pbitc_quantized *allocate(struct pbitc_arena *arena, const struct pbitc_fan_in *fan_in,
                                        int bits, size_t group, int8_t **weights, uint8_t **factors,
                                        float **scale)
{
    struct pbitc_quantized *quantized = pbitc_arena_allocate(arena, 1, sizeof(*quantized));
    *weights = pbitc_arena_allocate(arena, fan_in->outputs * fan_in->count, 1);
    *factors =
        group ? pbitc_arena_allocate(arena, fan_in->outputs, (fan_in->count + group - 1) / group) : NULL;
    *scale = pbitc_arena_allocate(arena, fan_in->outputs, sizeof(float));
    if (!quantized || !*weights || (group && !*factors) || !*scale)
        return NULL;
    *quantized =
        (struct pbitc_quantized){bits, group, fan_in->outputs, fan_in->count, *weights, *factors, *scale};
    return quantized;
}

/// Scale of the input that weight i of output k reads.
static float input_scale(const struct pbitc_placement *input, const struct pbitc_fan_in *fan_in, size_t k,
                         size_t i)
{
    return input->scale[k / fan_in->outputs_per_group * fan_in->channels_per_group + fan_in->channel[i]];
}

/// Rounds the layer and gives it the rounded weights as its constant, so that the float interpreter computes
/// with them.
static enum pbit_status quantize(struct pbitc_graph *graph, struct pbitc_node *layer,
                                 const struct pbitc_placement *input, const struct pbitc_fan_in *fan_in,
                                 int bits, size_t group)
{
    if (group >= fan_in->count)
        group = 0;
    int8_t *integers;
    uint8_t *factors;
    float *scale, *row = pbitc_arena_allocate(graph->arena, fan_in->count, sizeof(float));
    struct pbitc_quantized *quantized =
        allocate(graph->arena, fan_in, bits, group, &integers, &factors, &scale);
    const struct pbitc_tensor *old = layer->inputs[1]->constant;
    struct pbitc_value *rounded = pbitc_add_floats(graph, layer->inputs[1]->name, &old->shape);
    if (!row || !quantized || !rounded)
        return PBIT_ERROR_MEMORY;
    size_t n = fan_in->count, groups = group ? (n + group - 1) / group : 1;
    for (size_t k = 0; k < fan_in->outputs; k++) {
        const float *from = (const float *)old->data + k * n;
        float *to = (float *)rounded->constant->data + k * n;
        for (size_t i = 0; i < n; i++)
            row[i] = from[fan_in->source[i]] * input_scale(input, fan_in, k, i);
        quantize_row(row, n, bits, group ? group : n, integers + k * n, group ? factors + k * groups : NULL,
                     &scale[k]);
        for (size_t i = 0; i < n; i++) {
            float step = scale[k] * (group ? factors[k * groups + i / group] : 1);
            to[fan_in->source[i]] = step * integers[k * n + i] / input_scale(input, fan_in, k, i);
        }
    }
    if (!pbitc_node_set_input(graph, layer, 1, rounded))
        return PBIT_ERROR_MEMORY;
    layer->quantized = quantized;
    return PBIT_OK;
}

enum pbit_status pbitc_quantize_weights(struct pbitc_graph *graph, struct pbitc_context *context,
                                        bool *changed)
{
    struct pbitc_placement *placements;
    enum pbit_status status = pbitc_place_values(graph, context, &placements);
    if (status != PBIT_OK)
        return status;
    PBITC_FOR_EACH_NODE(node, graph)
    {
        if (node->quantized || !pbitc_is_linear_layer(node))
            continue;
        const struct pbitc_value *x = node->inputs[0];
        struct pbitc_placement input = placements[x->index], standard;
        struct pbitc_fan_in fan_in;
        if (!input.holder || !input.levels)
            continue; // lower says why this layer cannot be part of a .pbit file
        if (pbitc_node_is(node, PBITC_OP_Conv) && pbitc_standardize(graph->arena, &input, x, &standard))
            input = standard;
        if (!pbitc_find_fan_in(graph->arena, node, &input, &fan_in))
            continue;
        const struct pbitc_layer_recipe *recipe = pbitc_find_recipe(context, node->name);
        int bits = recipe && recipe->weight_bits > 0 ? recipe->weight_bits : context->options->weight_bits;
        int group = recipe && recipe->group >= 0 ? recipe->group : context->options->group;
        if (quantize(graph, node, &input, &fan_in, bits, (size_t)group) != PBIT_OK)
            return pbitc_out_of_memory(context);
        *changed = true;
    }
    return PBIT_OK;
}
