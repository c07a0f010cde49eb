// choose-amplitude: rho, the share of its stratum that a draw ranges over. Small amplitudes make few draws
// precise; large ones make many draws unbiased. One file serves every budget, so the rho taken is the one
// that spoils the output least, against the float network, at the default budget and, with a smaller weight,
// over 8 passes of single p-bits. Gain and bias do not count as spoilt: quantize-weights sets them right.
#include "passes/pass_support.h"

#include "passes/calibration_run.h"

#include <math.h>
#include <string.h>

static const struct budget {
    uint32_t draws, samples; ///< 0: the options'
    size_t images;
    double weight;
} budgets[] = {{0, 0, 128, 1}, {1, 8, 64, 0.05}};
enum { BUDGETS = sizeof(budgets) / sizeof(*budgets), IMAGES = 128 };

static const float candidates[] = {0.25f, 0.5f, 0.75f, 1.0f};
enum { CANDIDATES = sizeof(candidates) / sizeof(*candidates) };

/// Draws as stratified p-bits, and the recipe leaves its amplitude open.
static bool is_open(struct pbitc_context *context, const struct pbitc_node *node)
{
    return pbitc_is_neuron(node, "pbit") &&
           strcmp(pbitc_node_string(node, "sampler", "stratified"), "stratified") == 0 &&
           pbitc_amplitude_is_open(context, node);
}

static bool set_amplitude(struct pbitc_graph *graph, struct pbitc_context *context, float rho)
{
    PBITC_FOR_EACH_NODE(node, graph)
    if (is_open(context, node) && !pbitc_node_set_float(graph, node, "rho", rho))
        return false;
    return true;
}

struct outputs {
    size_t count;        ///< per image
    const float *wanted; ///< of the float network
    float *now;
};

/// Share of the variance of output o, over the images, that does not follow the float network's.
static double unexplained(const struct outputs *outputs, size_t images, size_t o)
{
    double x = 0, y = 0, xx = 0, yy = 0, xy = 0;
    for (size_t i = o; i < images * outputs->count; i += outputs->count) {
        x += outputs->wanted[i] / (double)images;
        y += outputs->now[i] / (double)images;
    }
    for (size_t i = o; i < images * outputs->count; i += outputs->count) {
        double dx = outputs->wanted[i] - x, dy = outputs->now[i] - y;
        xx += dx * dx;
        yy += dy * dy;
        xy += dx * dy;
    }
    return xx > 0 && yy > 0 ? 1 - xy * fabs(xy) / (xx * yy) : 0;
}

static enum pbit_status add_loss(struct pbitc_graph *graph, struct pbitc_context *context,
                                 const struct outputs *outputs, const struct budget *budget, double *loss)
{
    const struct pbitc_options *options = context->options;
    size_t images = pbitc_calibration_images(context, budget->images);
    enum pbit_status status = pbitc_calibration_outputs(
        graph, context, "choose-amplitude", images, budget->draws ? budget->draws : options->draws,
        budget->samples ? budget->samples : options->samples, outputs->now);
    for (size_t o = 0; o < outputs->count && status == PBIT_OK; o++)
        *loss += budget->weight * unexplained(outputs, images, o) / (double)outputs->count;
    return status;
}

static enum pbit_status choose(struct pbitc_graph *graph, struct pbitc_context *context,
                               const struct outputs *outputs, float *best)
{
    double least = INFINITY;
    for (size_t i = 0; i < CANDIDATES; i++) {
        double loss = 0;
        if (!set_amplitude(graph, context, candidates[i]))
            return pbitc_out_of_memory(context);
        enum pbit_status status = PBIT_OK;
        for (size_t b = 0; b < BUDGETS && status == PBIT_OK; b++)
            status = add_loss(graph, context, outputs, &budgets[b], &loss);
        if (status != PBIT_OK)
            return status;
        if (loss < least) {
            least = loss;
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
    size_t count = (size_t)pbitc_shape_elements(&graph->outputs[0]->shape);
    struct outputs outputs = {count, context->float_outputs,
                              pbitc_arena_allocate(graph->arena, images * count, sizeof(float))};
    if (!outputs.now)
        return pbitc_out_of_memory(context);
    float rho = 1;
    enum pbit_status status = choose(graph, context, &outputs, &rho);
    if (status == PBIT_OK && !set_amplitude(graph, context, rho))
        status = pbitc_out_of_memory(context);
    *changed = status == PBIT_OK;
    return status;
}
