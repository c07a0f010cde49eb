// swap-activations: every activation becomes a PBit with the range that `calibrate` chose (design:
// "Neurons").
#include "passes/pass_support.h"

#include "passes/neuron_function.h"

#include <math.h>
#include <string.h>

/// Half width of the uniform noise of a `noisy` neuron, as a share of its range, where the recipe does not
/// say: next to nothing, so that weights are fitted as without noise, until choose-noise knows better.
static const float DEFAULT_NOISE = 1.0f / PBITC_LEAST_NOISE;

static const char *const kind_names[] = {
    [PBITC_NEURON_PBIT] = "pbit", [PBITC_NEURON_NOISY] = "noisy", [PBITC_NEURON_EXACT] = "exact"};

/// Bounds of Clip that are infinite need not be said.
static bool set_parameter(struct pbitc_graph *graph, struct pbitc_node *pbit, const char *name, float value)
{
    return !isfinite(value) || pbitc_node_set_float(graph, pbit, name, value);
}

static bool set_function(struct pbitc_graph *graph, struct pbitc_node *pbit,
                         const struct pbitc_function *function)
{
    return pbitc_node_set_string(graph, pbit, "function", function->activation->name) &&
           set_parameter(graph, pbit, "alpha", function->alpha) &&
           set_parameter(graph, pbit, "beta", function->beta);
}

static bool set_sampling(struct pbitc_graph *graph, const struct pbitc_context *context,
                         struct pbitc_node *pbit)
{
    const struct pbitc_options *options = context->options;
    const struct pbitc_layer_recipe *recipe = pbitc_find_recipe(context, pbit->name);
    int kind = recipe && recipe->neuron >= 0 ? recipe->neuron : (int)options->neuron;
    bool ok = pbitc_node_set_string(graph, pbit, "kind", kind_names[kind]) &&
              pbitc_node_set_string(graph, pbit, "sampler",
                                    options->sampler == PBIT_SAMPLER_IID ? "iid" : "stratified");
    if (kind == PBITC_NEURON_PBIT && recipe && recipe->rho >= 0)
        ok = ok && pbitc_node_set_float(graph, pbit, "rho", recipe->rho);
    float draws = pbitc_draw_factor(context, pbit->name);
    if (kind == PBITC_NEURON_PBIT && draws != 1)
        ok = ok && pbitc_node_set_float(graph, pbit, "draws", draws);
    if (kind == PBITC_NEURON_NOISY)
        ok = ok && pbitc_node_set_float(graph, pbit, "noise",
                                        recipe && recipe->rho >= 0 ? recipe->rho : DEFAULT_NOISE);
    return ok;
}

static enum pbit_status swap(struct pbitc_graph *graph, struct pbitc_context *context,
                             struct pbitc_node *activation, const struct pbitc_function *function,
                             const struct pbitc_range *range)
{
    struct pbitc_value *input = activation->inputs[0], *output = activation->outputs[0];
    const char *name = activation->name;
    struct pbitc_node *position = activation->next;
    pbitc_graph_remove_node(graph, activation);
    struct pbitc_node *pbit = pbitc_insert_unary(graph, position, name, PBITC_OP_PBit, input, output);
    bool ok = pbit && set_function(graph, pbit, function) && set_sampling(graph, context, pbit) &&
              pbitc_node_set_floats(graph, pbit, "low", range->low, range->count) &&
              pbitc_node_set_floats(graph, pbit, "high", range->high, range->count);
    return ok ? PBIT_OK : pbitc_out_of_memory(context);
}

enum pbit_status pbitc_swap_activations(struct pbitc_graph *graph, struct pbitc_context *context,
                                        bool *changed)
{
    int64_t layer = 0;
    for (struct pbitc_node *node = graph->first, *next; node; node = next) {
        next = node->next;
        struct pbitc_function function;
        if (!(node->op->flags & PBITC_OPERATOR_ACTIVATION) || !pbitc_function_of_node(node, &function))
            continue;
        const struct pbitc_range *range = pbitc_find_range(context, node->outputs[0]);
        if (!range)
            continue; // its shape is none of ours; lower reports it
        enum pbit_status status = swap(graph, context, node, &function, range);
        if (status != PBIT_OK)
            return status;
        *changed = true;
    }
    // Every neuron draws from a bank of its own, requantizers too.
    PBITC_FOR_EACH_NODE(node, graph)
    {
        if (!pbitc_node_is(node, PBITC_OP_PBit))
            continue;
        if (pbitc_node_int(node, "layer", -1) != layer && !pbitc_node_set_int(graph, node, "layer", layer))
            return pbitc_out_of_memory(context);
        layer++;
    }
    return PBIT_OK;
}
