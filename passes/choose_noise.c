// choose-noise: the amplitude of the noise of `noisy` neurons, which several passes average away (the paper's
// noise injection). It is the largest that averaging takes back: with which the mean of 8 passes lies hardly
// farther from the float network than without noise. Rounded weights and levels leave errors that a little
// noise decorrelates; more noise adds its own. No label is looked at.
#include "passes/pass_support.h"

#include "passes/calibration_run.h"

#include <string.h>

enum { IMAGES = 128, SAMPLES = 8 };

/// Half widths of the uniform noise, as shares of a neuron's range.
static const float candidates[] = {1.0f / 128, 1.0f / 64, 1.0f / 32, 1.0f / 16, 1.0f / 8};
enum { CANDIDATES = sizeof(candidates) / sizeof(*candidates) };
/// How much larger the mean squared error may be than without noise.
static const double TOLERANCE = 1.05;
/// Where no image tells.
static const float DEFAULT_NOISE = 1.0f / 64;

/// Is noisy, and the recipe leaves its amplitude open.
static bool is_open(struct pbitc_context *context, const struct pbitc_node *node)
{
    if (!pbitc_node_is(node, PBITC_OP_PBit) || strcmp(pbitc_node_string(node, "kind", "pbit"), "noisy") != 0)
        return false;
    const struct pbitc_layer_recipe *recipe = pbitc_find_recipe(context, node->name);
    return !recipe || recipe->rho < 0;
}

static enum pbit_status set_noise(struct pbitc_graph *graph, struct pbitc_context *context, float noise)
{
    PBITC_FOR_EACH_NODE(node, graph)
    if (is_open(context, node) && !pbitc_node_set_float(graph, node, "noise", noise))
        return pbitc_out_of_memory(context);
    return PBIT_OK;
}

static enum pbit_status find_error(struct pbitc_graph *graph, struct pbitc_context *context, float noise,
                                   double *error)
{
    enum pbit_status status = set_noise(graph, context, noise);
    if (status == PBIT_OK)
        status = pbitc_calibration_error(graph, context, "choose-noise", IMAGES, context->options->draws,
                                         SAMPLES, error);
    return status;
}

static enum pbit_status choose(struct pbitc_graph *graph, struct pbitc_context *context, float *chosen)
{
    double silent, error = 0;
    enum pbit_status status = find_error(graph, context, 0, &silent);
    *chosen = candidates[0];
    for (size_t i = 0; i < CANDIDATES && status == PBIT_OK && error <= TOLERANCE * silent; i++) {
        status = find_error(graph, context, candidates[i], &error);
        if (error <= TOLERANCE * silent)
            *chosen = candidates[i];
    }
    return status;
}

enum pbit_status pbitc_choose_noise(struct pbitc_graph *graph, struct pbitc_context *context, bool *changed)
{
    bool any = false;
    PBITC_FOR_EACH_NODE(node, graph)
    any |= is_open(context, node) && !pbitc_node_attribute(node, "noise");
    if (!any)
        return PBIT_OK;
    float noise = DEFAULT_NOISE;
    enum pbit_status status = context->float_outputs ? choose(graph, context, &noise) : PBIT_OK;
    if (status == PBIT_OK)
        status = set_noise(graph, context, noise);
    *changed = status == PBIT_OK;
    return status;
}
