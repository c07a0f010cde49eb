// PBit: the neurons that swap-activations puts in place of activations, drawn as runtime/FORMAT.md defines
// it. Y = low + (high - low) * level / L with P(1) = (f(X) - low) / (high - low), one low and high for all or
// per channel (axis 1). Without low and high it is f itself: a neuron that is not calibrated yet.
#include "passes/operators/pbit.h"

#include "passes/interpreter/interpreter.h"
#include "passes/neuron_function.h"
#include "passes/operators/operator_support.h"
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

enum {
    NEURONS = 4096, ///< whose random numbers are held at a time
    PIXELS = 64,    ///< of one channel that are drawn at a time
    PARALLEL_ELEMENTS = 1 << 15
};

/// The random numbers of neurons first .. first + count - 1.
static void next_words(struct pbit_lanes *lanes, size_t first, size_t count, uint16_t *words)
{
    size_t i = 0;
    for (; i < count && (first + i) % PBIT_LANES; i++)
        words[i] = (uint16_t)pbit_lanes_next(lanes, (first + i) % PBIT_LANES);
    for (; i + PBIT_LANES <= count; i += PBIT_LANES)
        for (uint32_t lane = 0; lane < PBIT_LANES; lane++)
            words[i + lane] = (uint16_t)pbit_lanes_next(lanes, lane);
    for (; i < count; i++)
        words[i] = (uint16_t)pbit_lanes_next(lanes, (first + i) % PBIT_LANES);
}

/// P of some pre-activations in units of 2^-16, rounded to even: what is added leaves no place for fractions.
static void find_probabilities(const struct neuron *neuron, float low, float high, size_t count,
                               const float *x, uint32_t *probability)
{
    const float magic = 12582912; // 1.5 * 2^23
    float value[PIXELS];
    if (neuron->function.activation->linear)
        memcpy(value, x, count * sizeof(*x));
    else
        for (size_t i = 0; i < count; i++)
            value[i] = pbitc_function_value(&neuron->function, x[i]);
    for (size_t i = 0; i < count; i++)
        value[i] = (value[i] - low) / (high - low);
    for (size_t i = 0; i < count; i++) // in loops of their own these become vectors, not branches
        value[i] = value[i] > 0 ? value[i] : 0;
    for (size_t i = 0; i < count; i++)
        value[i] = value[i] < 1 ? value[i] : 1;
    for (size_t i = 0; i < count; i++)
        value[i] = value[i] * PBIT_ONE + magic;
    memcpy(probability, value, count * sizeof(*value));
    for (size_t i = 0; i < count; i++)
        probability[i] -= 0x4B400000; // magic
}

/// Some pixels of one channel. words: theirs, `stride` apart.
static void draw_pixels(const struct neuron *neuron, uint32_t order, size_t channel, size_t count,
                        const uint16_t *words, size_t stride, const float *x, float *y)
{
    size_t range = neuron->range_count == 1 ? 0 : channel;
    float low = neuron->low[range], high = neuron->high[range];
    bool whole = neuron->multibit || neuron->sampler == PBIT_SAMPLER_IID;
    uint32_t probability[PIXELS], offset[PIXELS], level[PIXELS], rho = whole ? 256 : neuron->amplitude;
    find_probabilities(neuron, low, high, count, x, probability);
    for (size_t i = 0; i < count; i++)
        offset[i] = pbit_stratified_offset(order, rho, words[i * stride]);
    for (size_t i = 0; i < count && neuron->multibit; i++)
        level[i] = pbit_level_multibit(probability[i], neuron->amplitude, offset[i]);
    for (size_t i = 0; i < count && !neuron->multibit; i++)
        level[i] = pbit_level_stratified(probability[i], neuron->levels, offset[i]);
    for (size_t i = 0; i < count; i++)
        y[i] = low + (high - low) * (float)(int32_t)level[i] / (float)neuron->levels;
}

/// Independent draws need more than one random number per neuron.
static void draw_independent(const struct neuron *neuron, struct pbit_lanes *lanes, size_t channels,
                             size_t pixels, const float *x, float *y)
{
    size_t i = 0;
    for (size_t pixel = 0; pixel < pixels; pixel++)
        for (size_t c = 0; c < channels; c++, i++) {
            size_t at = c * pixels + pixel, range = neuron->range_count == 1 ? 0 : c;
            float low = neuron->low[range], high = neuron->high[range];
            uint32_t probability, level = 0;
            find_probabilities(neuron, low, high, 1, &x[at], &probability);
            for (uint32_t j = 0; j < neuron->levels; j++)
                level += pbit_lanes_next(lanes, i % PBIT_LANES) < probability;
            y[at] = low + (high - low) * (float)level / (float)neuron->levels;
        }
}

/// x, y: float[channels][pixels] of image `image`. Neurons are numbered pixel by pixel, channels last.
static void draw_image(const struct neuron *neuron, const struct pbitc_sampling *sampling, uint64_t image,
                       size_t channels, size_t pixels, const float *x, float *y)
{
    bool independent = neuron->sampler == PBIT_SAMPLER_IID;
    uint32_t order = independent ? 0 : pbit_sample_order(sampling->sample);
    struct pbit_lanes lanes;
    pbit_lanes_seed(&lanes, sampling->seed, image, neuron->layer, independent ? sampling->sample + 1 : 0);
    if (independent && !neuron->multibit) {
        draw_independent(neuron, &lanes, channels, pixels, x, y);
        return;
    }
    uint16_t words[NEURONS];
    size_t held = channels < NEURONS ? channels : NEURONS, at_once = NEURONS / channels;
    at_once = at_once < 1 ? 1 : at_once > PIXELS ? PIXELS : at_once;
    for (size_t pixel = 0, count; pixel < pixels; pixel += count) {
        count = pixels - pixel < at_once ? pixels - pixel : at_once;
        for (size_t first = 0, some; first < channels; first += some) { // all, or some of one pixel
            some = channels - first < held ? channels - first : held;
            next_words(&lanes, pixel * channels + first, count * some, words);
            for (size_t c = first; c < first + some; c++)
                draw_pixels(neuron, order, c, count, words + c - first, some, x + c * pixels + pixel,
                            y + c * pixels + pixel);
        }
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

struct images {
    struct neuron neuron;
    const struct pbitc_sampling *sampling;
    size_t channels, pixels;
    const float *x;
    float *y;
};

static void evaluate_image(void *state, int64_t index, int worker)
{
    const struct images *images = state;
    size_t start = (size_t)index * images->channels * images->pixels;
    (void)worker;
    if (images->sampling && images->neuron.range_count)
        draw_image(&images->neuron, images->sampling, images->sampling->first_image + (uint64_t)index,
                   images->channels, images->pixels, images->x + start, images->y + start);
    else
        mean_image(&images->neuron, images->channels, images->pixels, images->x + start, images->y + start);
}

enum pbit_status evaluate_pbit(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_tensor *x = evaluation->inputs[0];
    int64_t elements = pbitc_shape_elements(&x->shape);
    if (elements == 0)
        return PBIT_OK;
    struct images images = {.neuron = read_neuron(evaluation->node, evaluation->sampling),
                            .sampling = evaluation->sampling,
                            .channels = (size_t)x->shape.dims[1],
                            .pixels = (size_t)(elements / x->shape.dims[0] / x->shape.dims[1]),
                            .x = x->data,
                            .y = evaluation->outputs[0].data};
    pbitc_parallel_for(elements < PARALLEL_ELEMENTS ? 1 : evaluation->threads, x->shape.dims[0],
                       evaluate_image, &images);
    return PBIT_OK;
}
