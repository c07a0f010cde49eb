// choose-noise: the amplitude of the noise of `noisy` neurons, which several passes average away (the paper's
// noise injection). It is the largest that averaging takes back: with which the mean of 8 passes lies hardly
// farther from the float network than with the best amplitude or without noise. Rounded weights and levels
// leave errors that a little noise decorrelates; more noise adds its own. No label is looked at.
#include "passes/pass_support.h"

#include "passes/calibration_run.h"

#include <math.h>

enum { IMAGES = 128, SAMPLES = 8 };

/// Half widths of the uniform noise, as shares of a neuron's range, in ascending order.
static const float candidates[] = {0, 1.0f / 128, 1.0f / 64, 1.0f / 32, 1.0f / 16, 1.0f / 8};
enum { CANDIDATES = sizeof(candidates) / sizeof(*candidates) };
/// How much larger than the least one the mean squared error may be.
static const double TOLERANCE = 1.05;

/// Is noisy, and the recipe leaves its amplitude open.
static bool is_open(struct pbitc_context *context, const struct pbitc_node *node)
{
    return pbitc_is_neuron(node, "noisy") && pbitc_amplitude_is_open(context, node);
}

static enum pbit_status set_noise(struct pbitc_graph *graph, struct pbitc_context *context, float noise)
{
    PBITC_FOR_EACH_NODE(node, graph)
    if (is_open(context, node) && !pbitc_node_set_float(graph, node, "noise", noise))
        return pbitc_out_of_memory(context);
    return PBIT_OK;
}

static enum pbit_status choose(struct pbitc_graph *graph, struct pbitc_context *context, float *chosen)
{
    double least = INFINITY, error = 0;
    enum pbit_status status = PBIT_OK;
    *chosen = candidates[1];
    for (size_t i = 0; i < CANDIDATES && status == PBIT_OK && error <= TOLERANCE * least; i++) {
        status = set_noise(graph, context, candidates[i]);
        if (status == PBIT_OK)
            status = pbitc_calibration_error(graph, context, "choose-noise", IMAGES, context->options->draws,
                                             SAMPLES, &error);
        least = fmin(least, error);
        if (i > 1 && error <= TOLERANCE * least)
            *chosen = candidates[i];
    }
    return status;
}

enum pbit_status pbitc_choose_noise(struct pbitc_graph *graph, struct pbitc_context *context, bool *changed)
{
    float before = -1, noise;
    PBITC_FOR_EACH_NODE(node, graph)
    if (is_open(context, node))
        before = pbitc_node_float(node, "noise", 0);
    if (before < 0 || !context->float_outputs)
        return PBIT_OK;
    enum pbit_status status = choose(graph, context, &noise);
    if (status == PBIT_OK)
        status = set_noise(graph, context, noise);
    *changed = status == PBIT_OK && noise != before;
    return status;
}
