// choose-noise: the amplitude of the noise of `noisy` neurons, which several passes average away (the paper's
// noise injection). It is the largest that averaging takes back: with which the mean of 8 passes lies no
// farther from the float network than without noise, or else half a level, which only makes the rounding to 8
// bits right in the mean. More noise moves the mean of values that pile up at an end of the range, as those
// of Relu do at 0, and no number of passes takes that back. No label is looked at.
#include "passes/pass_support.h"

#include "passes/calibration_run.h"

#include <math.h>

enum { IMAGES = 128, SAMPLES = 8 };

/// Half widths of the uniform noise, as shares of a neuron's range.
static const float LARGEST = 1.0f / 8, LEAST = 1.0f / PBITC_LEAST_NOISE;

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

static enum pbit_status measure(struct pbitc_graph *graph, struct pbitc_context *context, float noise,
                                double *error)
{
    enum pbit_status status = set_noise(graph, context, noise);
    if (status != PBIT_OK)
        return status;
    return pbitc_calibration_error(graph, context, "choose-noise", IMAGES, context->options->draws, SAMPLES,
                                   error);
}

static enum pbit_status choose(struct pbitc_graph *graph, struct pbitc_context *context, float *chosen)
{
    double without, error = 0;
    enum pbit_status status = measure(graph, context, 0, &without);
    *chosen = LEAST;
    for (float noise = 2 * LEAST; noise <= LARGEST && status == PBIT_OK; noise *= 2) {
        status = measure(graph, context, noise, &error);
        if (error > without)
            break;
        *chosen = noise;
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
