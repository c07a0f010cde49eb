// choose-amplitude: rho, the share of its stratum that a draw ranges over. Small amplitudes make few draws
// precise; large ones make many draws unbiased. One file serves every budget, so the rho taken is the one
// with the least output error, against the float network, over the default budget and over 8 passes of single
// p-bits (geometric mean).
#include "passes/pass_support.h"

#include "passes/calibration_run.h"

#include <math.h>
#include <string.h>

enum { IMAGES = 128 };

static const float candidates[] = {0.25f, 0.5f, 0.75f, 1.0f};
enum { CANDIDATES = sizeof(candidates) / sizeof(*candidates) };

/// Draws as stratified p-bits, and the recipe leaves its amplitude open.
static bool is_open(struct pbitc_context *context, const struct pbitc_node *node)
{
    if (!pbitc_node_is(node, PBITC_OP_PBit) || strcmp(pbitc_node_string(node, "kind", "pbit"), "pbit") != 0 ||
        strcmp(pbitc_node_string(node, "sampler", "stratified"), "stratified") != 0)
        return false;
    const struct pbitc_layer_recipe *recipe = pbitc_find_recipe(context, node->name);
    return !recipe || recipe->rho < 0;
}

static bool set_amplitude(struct pbitc_graph *graph, struct pbitc_context *context, float rho)
{
    PBITC_FOR_EACH_NODE(node, graph)
    if (is_open(context, node) && !pbitc_node_set_float(graph, node, "rho", rho))
        return false;
    return true;
}

struct outputs {
    size_t count;
    const float *wanted; ///< of the float network
    float *now;
};

/// Adds the logarithm of the mean squared error at one budget.
static enum pbit_status add_error(struct pbitc_graph *graph, struct pbitc_context *context,
                                  const struct outputs *outputs, uint32_t draws, uint32_t samples,
                                  double *score)
{
    enum pbit_status status =
        pbitc_calibration_outputs(graph, context, "choose-amplitude", IMAGES, draws, samples, outputs->now);
    double sum = 0;
    for (size_t i = 0; i < outputs->count; i++)
        sum += (double)(outputs->now[i] - outputs->wanted[i]) * (outputs->now[i] - outputs->wanted[i]);
    *score += log(sum + 1e-30);
    return status;
}

static enum pbit_status choose(struct pbitc_graph *graph, struct pbitc_context *context,
                               const struct outputs *outputs, float *best)
{
    const struct pbitc_options *options = context->options;
    double least = INFINITY;
    for (size_t i = 0; i < CANDIDATES; i++) {
        double score = 0;
        if (!set_amplitude(graph, context, candidates[i]))
            return pbitc_out_of_memory(context);
        enum pbit_status status =
            add_error(graph, context, outputs, options->draws, options->samples, &score);
        if (status == PBIT_OK)
            status = add_error(graph, context, outputs, 1, 8, &score);
        if (status != PBIT_OK)
            return status;
        if (score < least) {
            least = score;
            *best = candidates[i];
        }
    }
    return PBIT_OK;
}

enum pbit_status pbitc_choose_amplitude(struct pbitc_graph *graph, struct pbitc_context *context,
                                        bool *changed)
{
    bool any = false;
    PBITC_FOR_EACH_NODE(node, graph)
    any |= is_open(context, node) && !pbitc_node_attribute(node, "rho");
    if (!any || !context->float_outputs)
        return PBIT_OK;
    size_t images = pbitc_calibration_images(context, IMAGES);
    size_t count = images * (size_t)pbitc_shape_elements(&graph->outputs[0]->shape);
    struct outputs outputs = {count, context->float_outputs,
                              pbitc_arena_allocate(graph->arena, count, sizeof(float))};
    if (!outputs.now)
        return pbitc_out_of_memory(context);
    float rho = 1;
    enum pbit_status status = choose(graph, context, &outputs, &rho);
    if (status == PBIT_OK && !set_amplitude(graph, context, rho))
        status = pbitc_out_of_memory(context);
    *changed = status == PBIT_OK;
    return status;
}
