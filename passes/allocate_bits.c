// allocate-bits: shares a budget of bytes out over the weights of the layers. A bit more in a layer takes as
// many bytes as runtime/FORMAT.md packs its rows into, and brings down the error of the network's output by
// what is measured here on the calibration images, without labels: each layer is rounded alone, as
// quantize-weights would do it, the others keep their float weights and all neurons are exact.
#include "passes/pass_support.h"

#include "passes/borrow_weights.h"
#include "passes/calibration_run.h"
#include "passes/share_budget.h"
#include "runtime/format.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    IMAGES = 64,           ///< on which outputs are compared
    ROUNDING_IMAGES = 128, ///< that rounding is made for
    LEAST_BITS = PBITC_LEAST_SHARED_BITS,
    MOST_BITS = 8,
    POINTS = 3, ///< LEAST_BITS and the next ones are measured
};

/// What one more bit leaves of the squared error where steps are fine: half a step is twice as small.
static const double ERROR_PER_BIT = 0.25;

struct layer {
    const struct pbitc_node *node;
    double prices[MOST_BITS + 1], errors[MOST_BITS + 1];
    double measured[POINTS]; ///< squared errors of the output
    bool fixed;              ///< by a recipe
};

struct allocation {
    struct pbitc_graph *graph; ///< the real one, which stays as it is
    struct pbitc_context *context;
    struct pbitc_options options;         ///< its context's
    struct pbitc_calibration calibration; ///< its context's
    struct layer *layers;
    struct pbitc_sharing sharing;       ///< one share for each layer
    struct pbitc_layer_choice *choices; ///< [layers], linked from end to end
    float *wanted;                      ///< output 0 with float weights and exact neurons
    double power;                       ///< its mean square
};

// ---- copies of the graph

/// A copy with exact neurons; NULL when out of memory.
static struct pbitc_graph *copy_exact(const struct allocation *allocation)
{
    struct pbitc_graph *copy = pbitc_graph_clone(allocation->graph);
    bool good = copy && pbitc_infer_shapes(copy, 1, allocation->context->diagnostics) == PBIT_OK;
    for (struct pbitc_node *node = good ? copy->first : NULL; node && good; node = node->next)
        good = !pbitc_node_is(node, PBITC_OP_PBit) || pbitc_node_set_string(copy, node, "kind", "exact");
    if (good)
        return copy;
    pbitc_graph_destroy(copy);
    return NULL;
}

/// Rounds the weights of a copy: all to `bits`, or where 0 as the shares are now.
static enum pbit_status round_copy(struct allocation *allocation, struct pbitc_graph *copy, int bits)
{
    struct pbitc_context context = *allocation->context;
    struct pbitc_options options = allocation->options;
    context.options = &options;
    context.layer_choices = NULL;
    if (bits)
        options.weight_bits = bits;
    else
        context.layer_choices = allocation->choices;
    for (size_t i = 0; i < allocation->sharing.count; i++)
        allocation->choices[i].weight_bits = (int)allocation->sharing.shares[i].now;
    pbitc_leave_out(&options, pbitc_pass_find("widen-small"));
    if (!pbitc_copy_ranges(copy, allocation->context->ranges, &context.ranges))
        return pbitc_out_of_memory(allocation->context);
    bool changed;
    return pbitc_pass_run(pbitc_pass_find("quantize-weights"), copy, &context, &changed);
}

/// Mean squared distance of the copy's output from `wanted`.
static enum pbit_status measure(struct allocation *allocation, struct pbitc_graph *copy, double *error)
{
    struct pbitc_context context = *allocation->context;
    context.float_outputs = allocation->wanted;
    return pbitc_calibration_error(copy, &context, "allocate-bits", IMAGES, 1, 1, error);
}

// ---- what the bits of each layer do to the output

static enum pbit_status find_wanted(struct allocation *allocation)
{
    struct pbitc_context *context = allocation->context;
    size_t count = pbitc_calibration_images(context, IMAGES) *
                   (size_t)pbitc_shape_elements(&allocation->graph->outputs[0]->shape);
    allocation->wanted = pbitc_arena_allocate(allocation->graph->arena, count, sizeof(float));
    struct pbitc_graph *copy = allocation->wanted ? copy_exact(allocation) : NULL;
    if (!copy)
        return pbitc_out_of_memory(context);
    enum pbit_status status =
        pbitc_calibration_outputs(copy, context, "allocate-bits", IMAGES, 1, 1, allocation->wanted);
    pbitc_graph_destroy(copy);
    allocation->power = pbitc_output_power(allocation->wanted, count);
    return status;
}

/// Every layer with so many bits, one after the other.
static enum pbit_status measure_layers(struct allocation *allocation, struct pbitc_graph *exact,
                                       const struct pbitc_graph *rounded, size_t point)
{
    struct pbitc_node *layer = exact->first;
    const struct pbitc_node *from = rounded->first;
    enum pbit_status status = PBIT_OK;
    for (size_t i = 0; layer && from && status == PBIT_OK; layer = layer->next, from = from->next) {
        if (!pbitc_is_linear_layer(layer))
            continue;
        struct layer *now = &allocation->layers[i++];
        struct pbitc_borrowed borrowed;
        now->fixed |= !from->quantized; // lower will say why
        if (now->fixed)
            continue;
        if (!pbitc_borrow_weights(exact, layer, from, &borrowed))
            return pbitc_out_of_memory(allocation->context);
        status = measure(allocation, exact, &now->measured[point]);
        pbitc_return_weights(&borrowed);
    }
    return status;
}

static enum pbit_status measure_point(struct allocation *allocation, size_t point)
{
    struct pbitc_graph *exact = copy_exact(allocation), *rounded = copy_exact(allocation);
    enum pbit_status status = exact && rounded ? round_copy(allocation, rounded, LEAST_BITS + (int)point)
                                               : pbitc_out_of_memory(allocation->context);
    if (status == PBIT_OK)
        status = measure_layers(allocation, exact, rounded, point);
    pbitc_graph_destroy(exact);
    pbitc_graph_destroy(rounded);
    return status;
}

/// They never rise, though noise may make a measured one do so.
static void fill_errors(const struct allocation *allocation, struct layer *layer)
{
    double least = 1e-12 * allocation->power;
    for (int bits = LEAST_BITS; bits <= MOST_BITS; bits++) {
        double error = bits < LEAST_BITS + POINTS ? fmax(layer->measured[bits - LEAST_BITS], least)
                                                  : layer->errors[bits - 1] * ERROR_PER_BIT;
        layer->errors[bits] = bits > LEAST_BITS ? fmin(error, layer->errors[bits - 1]) : error;
    }
}

// ---- the sharing out

/// pbitc_share_measure.
static enum pbit_status measure_shares(void *state, double *error)
{
    struct allocation *allocation = state;
    struct pbitc_graph *copy = copy_exact(allocation);
    enum pbit_status status =
        copy ? round_copy(allocation, copy, 0) : pbitc_out_of_memory(allocation->context);
    if (status == PBIT_OK)
        status = measure(allocation, copy, error);
    pbitc_graph_destroy(copy);
    return status;
}

static enum pbit_status find_layers(struct allocation *allocation)
{
    struct pbitc_arena *arena = allocation->graph->arena;
    size_t most = pbitc_graph_node_count(allocation->graph), count = 0;
    allocation->layers = pbitc_arena_allocate(arena, most, sizeof(*allocation->layers));
    allocation->choices = pbitc_arena_allocate(arena, most, sizeof(*allocation->choices));
    allocation->sharing.shares = pbitc_arena_allocate(arena, most, sizeof(*allocation->sharing.shares));
    if (!allocation->layers || !allocation->choices || !allocation->sharing.shares)
        return pbitc_out_of_memory(allocation->context);
    PBITC_FOR_EACH_NODE(node, allocation->graph)
    {
        if (!pbitc_is_linear_layer(node))
            continue;
        struct layer *layer = &allocation->layers[count];
        const struct pbitc_layer_recipe *recipe = pbitc_find_recipe(allocation->context, node->name);
        uint64_t outputs = pbitc_output_channels(node),
                 weights = (uint64_t)pbitc_shape_elements(&node->inputs[1]->constant->shape);
        *layer = (struct layer){.node = node, .fixed = recipe && recipe->weight_bits > 0};
        for (uint32_t bits = 1; bits <= MOST_BITS; bits++)
            layer->prices[bits] = (double)(outputs * pbit_weight_row_bytes(weights / outputs, bits));
        allocation->choices[count].node = node->name;
        allocation->sharing.shares[count++].now = LEAST_BITS;
    }
    for (size_t i = 0; i + 1 < count; i++)
        allocation->choices[i].next = &allocation->choices[i + 1];
    allocation->sharing.count = count;
    return PBIT_OK;
}

/// The most bits that all layers can have alike.
static void start_alike(struct allocation *allocation)
{
    struct pbitc_sharing *sharing = &allocation->sharing;
    sharing->left = allocation->options.spare_bytes;
    for (size_t i = 0; i < sharing->count; i++) {
        struct layer *layer = &allocation->layers[i];
        fill_errors(allocation, layer);
        sharing->shares[i] = (struct pbitc_share){.fixed = layer->fixed,
                                                  .least = LEAST_BITS,
                                                  .most = MOST_BITS,
                                                  .prices = layer->prices,
                                                  .errors = layer->errors,
                                                  .now = LEAST_BITS};
    }
    for (int bits = LEAST_BITS; bits < MOST_BITS; bits++) {
        double price = 0;
        for (size_t i = 0; i < sharing->count; i++)
            if (!sharing->shares[i].fixed)
                price += allocation->layers[i].prices[bits + 1] - allocation->layers[i].prices[bits];
        if (price > sharing->left)
            return;
        sharing->left -= price;
        for (size_t i = 0; i < sharing->count; i++)
            sharing->shares[i].now += !sharing->shares[i].fixed;
    }
}

static enum pbit_status allocate(struct allocation *allocation)
{
    enum pbit_status status = find_layers(allocation);
    if (status == PBIT_OK)
        status = find_wanted(allocation);
    for (size_t point = 0; point < POINTS && status == PBIT_OK; point++)
        status = measure_point(allocation, point);
    if (status != PBIT_OK)
        return status;
    start_alike(allocation);
    return pbitc_share_out(&allocation->sharing, measure_shares, allocation);
}

/// The bits of free layers join what was chosen before.
static void keep(struct allocation *allocation, struct pbitc_context *context)
{
    struct pbitc_layer_choice **end = &context->layer_choices;
    while (*end)
        end = &(*end)->next;
    for (size_t i = 0; i < allocation->sharing.count; i++) {
        const struct pbitc_share *share = &allocation->sharing.shares[i];
        struct pbitc_layer_choice *choice = &allocation->choices[i];
        choice->next = NULL;
        if (share->fixed)
            continue;
        choice->weight_bits = (int)share->now;
        choice->relative_error = sqrt(share->errors[share->now] / allocation->power);
        *end = choice;
        end = &choice->next;
    }
}

enum pbit_status pbitc_allocate_bits(struct pbitc_graph *graph, struct pbitc_context *context, bool *changed)
{
    (void)changed; // what is chosen stands in the context
    const struct pbitc_options *options = context->options;
    bool any = false;
    PBITC_FOR_EACH_NODE(node, graph) any |= pbitc_is_linear_layer(node) && !node->quantized;
    if (!options->shares_bytes || !any || context->calibration->images == 0)
        return PBIT_OK;
    for (const struct pbitc_layer_choice *choice = context->layer_choices; choice; choice = choice->next)
        if (choice->weight_bits)
            return PBIT_OK;
    struct allocation allocation = {
        .graph = graph, .options = pbitc_quiet_options(options), .calibration = *context->calibration};
    allocation.calibration.images = pbitc_calibration_images(context, ROUNDING_IMAGES);
    struct pbitc_context trial = *context;
    trial.options = &allocation.options;
    trial.calibration = &allocation.calibration;
    allocation.context = &trial;
    enum pbit_status status = allocate(&allocation);
    if (status == PBIT_OK)
        keep(&allocation, context);
    return status;
}
