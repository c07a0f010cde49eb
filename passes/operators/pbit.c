// PBit: the neurons that swap-activations puts in place of activations, drawn as runtime/FORMAT.md defines
// it. Y = low + (high - low) * level / L with P(1) = (f(X) - low) / (high - low), one low and high for all or
// per channel (axis 1). Without low and high it is f itself: a neuron that is not calibrated yet.
#include "passes/operators/pbit.h"

#include "passes/interpreter/interpreter.h"
#include "passes/neuron_function.h"
#include "runtime/format.h"
#include "runtime/sampler.h"

#include <math.h>
#include <string.h>

/// A PBit node's attributes, read once per evaluation.
struct neuron {
    struct pbitc_function function;
    const float *low, *high;
    size_t range_count;
    bool multibit;
    uint32_t amplitude, levels, layer;
    enum pbit_sampler sampler;
};

static struct neuron read_neuron(const struct pbitc_node *node, const struct pbitc_sampling *sampling)
{
    struct neuron neuron = {
        .function = pbitc_function_of_pbit(node),
        .multibit = strcmp(pbitc_node_string(node, "kind", "pbit"), "pbit") != 0,
        .amplitude = pbitc_pbit_amplitude(node),
        .layer = (uint32_t)pbitc_node_int(node, "layer", 0),
        .sampler = strcmp(pbitc_node_string(node, "sampler", "stratified"), "iid") == 0
                       ? PBIT_SAMPLER_IID
                       : PBIT_SAMPLER_STRATIFIED,
    };
    neuron.low = pbitc_node_floats(node, "low", &neuron.range_count);
    neuron.high = pbitc_node_floats(node, "high", &neuron.range_count);
    struct pbit_tensor tensor = {.draw_factor = pbitc_pbit_draw_factor(node)};
    neuron.levels = pbit_tensor_levels(&tensor, sampling ? sampling->draws : 1);
    return neuron;
}

uint32_t pbitc_pbit_draw_factor(const struct pbitc_node *node)
{
    if (strcmp(pbitc_node_string(node, "kind", "pbit"), "pbit") != 0)
        return 0;
    float factor = roundf(256 * pbitc_node_float(node, "draws", 1));
    return factor < 1 ? 1 : factor > 65535 ? 65535 : (uint32_t)factor;
}

uint32_t pbitc_pbit_amplitude(const struct pbitc_node *node)
{
    const char *kind = pbitc_node_string(node, "kind", "pbit");
    if (strcmp(kind, "pbit") == 0)
        return (uint32_t)lroundf(256 * fminf(fmaxf(pbitc_node_float(node, "rho", 1), 0), 1));
    if (strcmp(kind, "noisy") == 0)
        return (uint32_t)lroundf(65536 * fminf(fmaxf(pbitc_node_float(node, "noise", 0), 0), 1));
    return 0;
}

/// P of one pre-activation in units of 2^-16.
static uint32_t probability(const struct neuron *neuron, float z, float low, float high)
{
    float p = (pbitc_function_value(&neuron->function, z) - low) / (high - low);
    return p > 0 ? (uint32_t)(p < 1 ? lrintf(p * PBIT_ONE) : PBIT_ONE) : 0;
}

/// Level of neuron number i; `lanes` and `order` are those of its image and pass.
static uint32_t draw_level(const struct neuron *neuron, struct pbit_lanes *lanes, uint32_t order, size_t i,
                           uint32_t p)
{
    uint32_t lane = (uint32_t)(i % PBIT_LANES), level = 0;
    if (neuron->sampler == PBIT_SAMPLER_IID && !neuron->multibit) {
        for (uint32_t j = 0; j < neuron->levels; j++)
            level += pbit_lanes_next(lanes, lane) < p;
        return level;
    }
    uint32_t r = pbit_lanes_next(lanes, lane);
    uint32_t offset = neuron->sampler == PBIT_SAMPLER_IID
                          ? r
                          : pbit_stratified_offset(order, neuron->multibit ? 256 : neuron->amplitude, r);
    return neuron->multibit ? pbit_level_multibit(p, neuron->amplitude, offset)
                            : pbit_level_stratified(p, neuron->levels, offset);
}

/// x, y: float[channels][pixels] of image `image`. Neurons are numbered pixel by pixel, channels last.
static void draw_image(const struct neuron *neuron, const struct pbitc_sampling *sampling, uint64_t image,
                       size_t channels, size_t pixels, const float *x, float *y)
{
    bool independent = neuron->sampler == PBIT_SAMPLER_IID;
    uint32_t order = pbit_sample_order(sampling->sample);
    struct pbit_lanes lanes;
    pbit_lanes_seed(&lanes, sampling->seed, image, neuron->layer, independent ? sampling->sample + 1 : 0);
    size_t i = 0;
    for (size_t pixel = 0; pixel < pixels; pixel++)
        for (size_t c = 0; c < channels; c++, i++) {
            size_t at = c * pixels + pixel, range = neuron->range_count == 1 ? 0 : c;
            float low = neuron->low[range], high = neuron->high[range];
            uint32_t level = draw_level(neuron, &lanes, order, i, probability(neuron, x[at], low, high));
            y[at] = low + (high - low) * (float)level / (float)neuron->levels;
        }
}

/// The mean over all draws: f clipped to [low, high].
static void mean_image(const struct neuron *neuron, size_t channels, size_t pixels, const float *x, float *y)
{
    for (size_t c = 0; c < channels; c++)
        for (size_t pixel = 0; pixel < pixels; pixel++) {
            float value = pbitc_function_value(&neuron->function, x[c * pixels + pixel]);
            if (neuron->range_count) {
                size_t range = neuron->range_count == 1 ? 0 : c;
                value = fminf(fmaxf(value, neuron->low[range]), neuron->high[range]);
            }
            y[c * pixels + pixel] = value;
        }
}

enum pbit_status infer_pbit(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_tensor *x = evaluation->inputs[0];
    const struct pbitc_node *node = evaluation->node;
    size_t low_count, high_count;
    pbitc_node_floats(node, "low", &low_count);
    pbitc_node_floats(node, "high", &high_count);
    if (x->type != PBITC_FLOAT32 || x->shape.rank < 2)
        return pbitc_report_node(evaluation->diagnostics, PBIT_ERROR_UNSUPPORTED, node, "",
                                 "a p-bit takes float32 of rank 2 or more");
    if (low_count != high_count || (low_count > 1 && (int64_t)low_count != x->shape.dims[1]))
        return pbitc_report_node(evaluation->diagnostics, PBIT_ERROR_FORMAT, node, "",
                                 "low and high do not have one entry or one per channel");
    evaluation->outputs[0].type = x->type;
    evaluation->outputs[0].shape = x->shape;
    return PBIT_OK;
}

enum pbit_status evaluate_pbit(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_tensor *x = evaluation->inputs[0];
    const struct pbitc_sampling *sampling = evaluation->sampling;
    struct neuron neuron = read_neuron(evaluation->node, sampling);
    size_t images = (size_t)x->shape.dims[0], channels = (size_t)x->shape.dims[1];
    size_t elements = (size_t)pbitc_shape_elements(&x->shape);
    if (elements == 0)
        return PBIT_OK;
    size_t pixels = elements / images / channels;
    for (size_t n = 0; n < images; n++) {
        const float *from = (const float *)x->data + n * channels * pixels;
        float *to = (float *)evaluation->outputs[0].data + n * channels * pixels;
        if (sampling && neuron.range_count)
            draw_image(&neuron, sampling, sampling->first_image + n, channels, pixels, from, to);
        else
            mean_image(&neuron, channels, pixels, from, to);
    }
    return PBIT_OK;
}
