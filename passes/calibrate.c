// calibrate: runs the float network on the calibration images and chooses the range [low, high] that each
// neuron's count stands for. A wide range makes every draw coarse, a narrow one clips; the range that is
// taken has the least mean squared error of the value a neuron passes on, sampling variance (of the sampler
// and the budget in use) included.
#include "passes/pass_support.h"

#include "passes/calibration_run.h"
#include "passes/neuron_function.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    OUTPUT_IMAGES = 128,    ///< whose float outputs later passes compare with
    CHANNEL_SAMPLES = 4096, ///< kept of each channel, evenly spread over images and pixels
    LAYER_SAMPLES = 16384,  ///< of a layer whose channels share one range
};

/// One value that needs a range, and what was seen of it.
struct target {
    struct pbitc_node *neuron;        ///< activation or uncalibrated PBit; NULL: a graph output or input
    const struct pbitc_value *value;  ///< what is watched: the pre-activation, or the output itself
    const struct pbitc_value *ranged; ///< what the range is of
    struct pbitc_function function;
    size_t channels, pixels, capacity; ///< capacity: samples per channel
    size_t count;                      ///< samples per channel so far
    float *samples;                    ///< [channels][capacity], f applied
    struct target *next;
};

// ---- what to watch

static enum pbit_status add_target(struct pbitc_graph *graph, struct pbitc_context *context,
                                   struct target **targets, struct pbitc_node *neuron,
                                   const struct pbitc_value *value, const struct pbitc_value *ranged,
                                   const struct pbitc_function *function)
{
    if (value->shape.rank < 2 || pbitc_shape_elements(&value->shape) < 1)
        return PBIT_OK; // lower reports it
    struct target *target = pbitc_arena_allocate(graph->arena, 1, sizeof(*target));
    if (!target)
        return pbitc_out_of_memory(context);
    size_t channels = (size_t)value->shape.dims[1];
    size_t pixels = (size_t)pbitc_shape_elements(&value->shape) / channels,
           all = pixels * context->calibration->images;
    *target = (struct target){
        .neuron = neuron,
        .value = value,
        .ranged = ranged,
        .function = *function,
        .channels = channels,
        .pixels = pixels,
        .capacity = all < CHANNEL_SAMPLES ? all : CHANNEL_SAMPLES,
        .next = *targets,
    };
    target->samples = pbitc_arena_allocate(graph->arena, channels * target->capacity, sizeof(float));
    if (!target->samples)
        return pbitc_out_of_memory(context);
    *targets = target;
    return PBIT_OK;
}

static bool is_uncalibrated(const struct pbitc_context *context, const struct pbitc_value *value)
{
    return !pbitc_find_range(context, value);
}

static enum pbit_status find_targets(struct pbitc_graph *graph, struct pbitc_context *context,
                                     struct target **targets)
{
    enum pbit_status status = PBIT_OK;
    PBITC_FOR_EACH_NODE(node, graph)
    {
        struct pbitc_function function;
        bool neuron =
            (node->op->flags & PBITC_OPERATOR_ACTIVATION) && pbitc_function_of_node(node, &function);
        if (pbitc_node_is(node, PBITC_OP_PBit)) {
            function = pbitc_function_of_pbit(node);
            neuron = !pbitc_node_attribute(node, "low");
        }
        if (neuron && status == PBIT_OK && is_uncalibrated(context, node->outputs[0]))
            status = add_target(graph, context, targets, node, node->inputs[0], node->outputs[0], &function);
    }
    const struct pbitc_function none = {0};
    for (size_t i = 0; i < graph->output_count && status == PBIT_OK; i++)
        if (is_uncalibrated(context, graph->outputs[i]))
            status = add_target(graph, context, targets, NULL, graph->outputs[i], graph->outputs[i], &none);
    if (status == PBIT_OK && !context->calibration->pixel_step && is_uncalibrated(context, graph->inputs[0]))
        status = add_target(graph, context, targets, NULL, graph->inputs[0], graph->inputs[0], &none);
    return status;
}

// ---- the float runs

/// Whether sample number `index` of `total` is kept: a hash spreads the choice evenly, the same on every
/// machine.
static bool is_kept(size_t index, size_t total, size_t capacity)
{
    if (total <= capacity)
        return true;
    uint64_t h = ((uint64_t)index + 1) * UINT64_C(0x9E3779B97F4A7C15);
    h ^= h >> 32;
    h *= UINT64_C(0xD6E8FEB86659FD93);
    return (h >> 32) * (uint64_t)total < (uint64_t)capacity << 32;
}

/// x: float[images][channels][pixels], the first of them calibration image `first`.
static void keep_samples(struct target *target, const float *x, size_t first, size_t images, size_t total)
{
    for (size_t n = 0; n < images; n++)
        for (size_t p = 0; p < target->pixels; p++) {
            if (target->count == target->capacity ||
                !is_kept((first + n) * target->pixels + p, total * target->pixels, target->capacity))
                continue;
            for (size_t c = 0; c < target->channels; c++) {
                float z = x[(n * target->channels + c) * target->pixels + p];
                target->samples[c * target->capacity + target->count] =
                    target->function.activation ? pbitc_function_value(&target->function, z) : z;
            }
            target->count++;
        }
}

static enum pbit_status keep_batch(struct pbitc_context *context, const struct pbitc_batch *batch,
                                   void *state)
{
    (void)context;
    for (struct target *target = state; target; target = target->next)
        keep_samples(target, pbitc_interpreter_value(batch->interpreter, target->value)->data, batch->first,
                     batch->images, batch->total);
    return PBIT_OK;
}

static enum pbit_status observe(struct pbitc_graph *graph, struct pbitc_context *context,
                                struct target *targets)
{
    size_t count = 0;
    for (const struct target *target = targets; target; target = target->next)
        count++;
    const struct pbitc_value **watched = pbitc_arena_allocate(graph->arena, count, sizeof(*watched));
    if (!watched)
        return pbitc_out_of_memory(context);
    struct pbitc_calibration_run run = {"calibrate", SIZE_MAX, 0, 1, watched, 0, keep_batch, targets};
    for (const struct target *target = targets; target; target = target->next)
        watched[run.watched_count++] = target->value;
    return pbitc_run_calibration(graph, context, &run);
}

// ---- the choice of ranges

/// What a neuron's count can tell: L levels, and how its draws scatter.
struct resolution {
    double levels;
    bool independent;
};

/// Mean squared error of a neuron that passes on x, of [n], through [low, high].
static double range_error(const float *x, size_t n, double low, double high, struct resolution resolution)
{
    double unit = (high - low) / resolution.levels, sum = 0;
    for (size_t i = 0; i < n; i++) {
        double clipped = fmin(fmax(x[i], low), high), outside = x[i] - clipped;
        double level = (clipped - low) / unit, part = level - floor(level);
        double variance =
            resolution.independent ? level * (1 - level / resolution.levels) : part * (1 - part);
        sum += outside * outside + variance * unit * unit;
    }
    return sum / (double)n;
}

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/// Shares of the samples that a candidate range leaves outside at one end.
static const double tails[] = {0,    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03,
                               0.05, 0.08,   0.12,  0.2,   0.3,   0.4,  0.5};
enum { TAILS = sizeof(tails) / sizeof(*tails) };

/// Sorts x[n]; bounds that are finite are kept, the others are searched for.
static void choose_range(float *x, size_t n, float bound_low, float bound_high, struct resolution resolution,
                         int tail_count, float *low, float *high)
{
    qsort(x, n, sizeof(*x), compare_floats);
    double best = INFINITY;
    bool free_low = !isfinite(bound_low);
    *low = free_low ? fminf(x[0], 0) : bound_low;
    *high = fmaxf(x[n - 1], *low);
    for (int a = 0; a < (free_low ? (tail_count + 1) / 2 : 1); a++)
        for (int b = 0; b < tail_count; b++) {
            // A range holds 0: it is what padding stands for.
            float from = free_low ? fminf(x[(size_t)(tails[a] * (double)(n - 1))], 0) : bound_low;
            float to = fminf(fmaxf(x[(size_t)((1 - tails[b]) * (double)(n - 1))], 0), bound_high);
            if (!(to > from))
                continue;
            double error = range_error(x, n, from, to, resolution);
            if (error < best) {
                best = error;
                *low = from;
                *high = to;
            }
        }
    if (!(*high - *low > 1e-6f))
        *high = *low + 1; // a dead channel: any range says 0
}

/// A range with the real number 0 on its zero point grid, low = -k/256 of the width, so that padding is
/// exact.
static void align_zero(float *low, float high)
{
    if (*low < 0 && high > 0) {
        double share = -*low / ((double)high - *low), k = ceil(share * 256);
        if (k < 256)
            *low = (float)(-high * k / (256 - k));
    }
}

static struct resolution resolution_of(const struct pbitc_context *context, const struct pbitc_node *neuron)
{
    const struct pbitc_options *options = context->options;
    const struct pbitc_layer_recipe *recipe = pbitc_find_recipe(context, neuron->name);
    int kind = recipe && recipe->neuron >= 0 ? recipe->neuron : (int)options->neuron;
    if (pbitc_node_is(neuron, PBITC_OP_PBit) || kind != PBITC_NEURON_PBIT)
        return (struct resolution){255, false};
    double draws = (double)options->draws * options->samples * pbitc_draw_factor(context, neuron->name);
    return (struct resolution){fmax(draws, 1), options->sampler == PBIT_SAMPLER_IID};
}

static void choose_neuron_range(struct pbitc_context *context, struct target *target, float *low, float *high,
                                size_t count)
{
    float bound_low, bound_high;
    pbitc_function_bounds(&target->function, &bound_low, &bound_high);
    struct resolution resolution = resolution_of(context, target->neuron);
    int tail_count = pbitc_is_left_out(context, "clip-ranges") ? 1 : TAILS;
    for (size_t c = 0; c < count; c++) {
        if (target->function.activation->rule == PBITC_RANGE_FIXED) {
            low[c] = bound_low;
            high[c] = bound_high;
        } else {
            choose_range(target->samples + c * target->capacity, target->count, bound_low, bound_high,
                         resolution, tail_count, &low[c], &high[c]);
            align_zero(&low[c], high[c]);
        }
    }
}

/// Neurons with a table share it, and so the range: all channels' samples become those of one.
static void merge_channels(struct target *target)
{
    size_t all = target->channels * target->count, step = all / LAYER_SAMPLES + 1, kept = 0;
    for (size_t i = 0; i < all; i += step)
        target->samples[kept++] = target->samples[i / target->count * target->capacity + i % target->count];
    target->capacity = target->count = kept;
}

static void choose_extremes(const struct target *target, float *low, float *high)
{
    for (size_t c = 0; c < target->channels; c++) {
        const float *x = target->samples + c * target->capacity;
        low[c] = high[c] = x[0];
        for (size_t i = 1; i < target->count; i++) {
            low[c] = fminf(low[c], x[i]);
            high[c] = fmaxf(high[c], x[i]);
        }
    }
}

static enum pbit_status set_range(struct pbitc_graph *graph, struct pbitc_context *context,
                                  struct target *target)
{
    bool shared = target->neuron && !target->function.activation->linear;
    size_t count = shared ? 1 : target->channels;
    float *low = pbitc_arena_allocate(graph->arena, count, sizeof(float));
    float *high = pbitc_arena_allocate(graph->arena, count, sizeof(float));
    struct pbitc_range *range = pbitc_arena_allocate(graph->arena, 1, sizeof(*range));
    if (!low || !high || !range)
        return pbitc_out_of_memory(context);
    if (shared)
        merge_channels(target);
    if (target->neuron)
        choose_neuron_range(context, target, low, high, count);
    else
        choose_extremes(target, low, high);
    *range = (struct pbitc_range){target->ranged, count, low, high, context->ranges};
    context->ranges = range;
    if (!pbitc_node_is(target->neuron, PBITC_OP_PBit))
        return PBIT_OK;
    return pbitc_node_set_floats(graph, target->neuron, "low", low, count) &&
                   pbitc_node_set_floats(graph, target->neuron, "high", high, count)
               ? PBIT_OK
               : pbitc_out_of_memory(context);
}

static enum pbit_status keep_outputs(struct pbitc_graph *graph, struct pbitc_context *context)
{
    size_t images = pbitc_calibration_images(context, OUTPUT_IMAGES);
    size_t count = images * (size_t)pbitc_shape_elements(&graph->outputs[0]->shape);
    float *outputs = pbitc_arena_allocate(graph->arena, count, sizeof(float));
    context->float_outputs = outputs;
    return outputs ? pbitc_calibration_outputs(graph, context, "calibrate", images, 0, 1, outputs)
                   : pbitc_out_of_memory(context);
}

// ---- without images

static enum pbit_status refuse_range(struct pbitc_context *context, const char *name, const char *what)
{
    return pbitc_report(context->diagnostics, PBIT_ERROR_UNSUPPORTED, name, "", 0, "give --calibrate DATA",
                        "the model holds no scale for %s, and there are no images to measure a range on",
                        what);
}

/// Takes the bounds that functions have; everything else must have its range from the model's own scales.
static enum pbit_status take_bounds(struct pbitc_graph *graph, struct pbitc_context *context, bool *changed)
{
    enum pbit_status status = PBIT_OK;
    PBITC_FOR_EACH_NODE(node, graph)
    {
        struct pbitc_function function;
        float low = 0, high = 0;
        if (pbitc_node_is(node, PBITC_OP_PBit) && !pbitc_node_attribute(node, "low"))
            status = refuse_range(context, node->name, "the value that a layer is to read here");
        if (!(node->op->flags & PBITC_OPERATOR_ACTIVATION) || !pbitc_function_of_node(node, &function) ||
            !is_uncalibrated(context, node->outputs[0]))
            continue;
        pbitc_function_bounds(&function, &low, &high);
        if (!isfinite(low) || !isfinite(high))
            status = refuse_range(context, node->name, "this activation");
        else if (!pbitc_add_range(graph, context, node->outputs[0], low, high))
            return pbitc_out_of_memory(context);
        *changed = true;
    }
    if (!context->calibration->pixel_step && is_uncalibrated(context, graph->inputs[0]))
        status = refuse_range(context, graph->inputs[0]->name, "its input");
    return status;
}

enum pbit_status pbitc_calibrate(struct pbitc_graph *graph, struct pbitc_context *context, bool *changed)
{
    if (context->calibration->images == 0)
        return take_bounds(graph, context, changed);
    struct target *targets = NULL;
    enum pbit_status status = find_targets(graph, context, &targets);
    if (status != PBIT_OK || !targets)
        return status;
    status = observe(graph, context, targets);
    for (struct target *target = targets; target && status == PBIT_OK; target = target->next)
        status = set_range(graph, context, target);
    if (status == PBIT_OK)
        status = keep_outputs(graph, context);
    *changed = status == PBIT_OK;
    return status;
}
