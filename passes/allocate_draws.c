// allocate-draws: shares a budget of draws or of energy out over the layers. A draw of a layer costs as many
// accumulations as synapses read it, or what the budget's price says, and brings down the error of the
// network's output by what is measured here on the calibration images, without labels: each layer draws
// alone, the others are exact. These errors add up nearly, and the sum is what the shares lower. Ranges
// belong to the draws, so this comes before `calibrate`, on a copy of the graph that is calibrated for what
// all layers could draw alike.
#include "passes/pass_support.h"

#include "passes/calibration_run.h"
#include "passes/share_budget.h"

#include <math.h>
#include <string.h>

enum {
    IMAGES = 64,
    POINTS = 3,     ///< draws at which a layer is measured: 1/2, 1 and 2 times the mean; no layer draws less
    MOST_TIMES = 4, ///< no layer draws more than so many times the mean
};

/// Where no amplitude is given yet: between those that few and many draws want.
static const float AMPLITUDE = 0.5f;
/// Errors fall at least so slowly, 1/L^e, and at most so fast.
static const double LEAST_EXPONENT = 0.25, MOST_EXPONENT = 2.5;
/// Of the output's mean square: what no difference between layers is told from.
static const double LEAST_ERROR = 1e-12;

/// Neurons that draw alike: one layer, or those that a Concat joins.
struct group {
    size_t joined;             ///< index of the group it has become part of; itself when of none
    double *prices, *errors;   ///< [PBIT_DRAWS_LIMIT + 1], by draws
    bool fixed;                ///< by a recipe
    struct pbitc_share *share; ///< per pass
    double logs[POINTS];       ///< of the output's squared error with points[i] draws
};

struct allocation {
    struct pbitc_graph *graph; ///< the copy
    struct pbitc_context *context;
    struct group *groups;
    struct pbitc_sharing sharing; ///< one share for each group
    size_t output_count;          ///< elements of the outputs that are measured
    double power;                 ///< mean square of the float network's outputs
    uint32_t draws;               ///< m, of which the recipe's are factors
    size_t *owner;                ///< by value->index: 1 + the group whose levels the value holds; 0: none
    uint32_t points[POINTS];
};

// ---- who reads how much

static struct group *find_group(const struct allocation *allocation, const struct pbitc_value *value)
{
    size_t owner = value ? allocation->owner[value->index] : 0;
    if (owner == 0)
        return NULL;
    struct group *group = &allocation->groups[owner - 1];
    while (&allocation->groups[group->joined] != group)
        group = &allocation->groups[group->joined];
    return group;
}

static void join(struct allocation *allocation, struct group *first, struct group *second)
{
    if (first == second)
        return;
    second->joined = (size_t)(first - allocation->groups);
    for (uint32_t draws = 0; draws <= PBIT_DRAWS_LIMIT; draws++)
        first->prices[draws] += second->prices[draws];
    first->fixed |= second->fixed;
}

static double elements_of(const struct pbitc_value *value)
{
    return (double)pbitc_shape_elements(&value->shape);
}

/// Accumulations of one draw of what the node reads at its input.
static double synapses_of(const struct pbitc_node *node)
{
    switch ((int)node->op->id) {
    case PBITC_OP_Conv:
    case PBITC_OP_Gemm:
        return pbitc_is_linear_layer(node) ? elements_of(node->outputs[0]) * elements_of(node->inputs[1]) /
                                                 (double)pbitc_output_channels(node)
                                           : 0;
    case PBITC_OP_Add:
    case PBITC_OP_AveragePool:
    case PBITC_OP_GlobalAveragePool:
        return elements_of(node->inputs[0]);
    default:
        return 0;
    }
}

/// The group pays for what the node does with its draws.
static void add_prices(const struct allocation *allocation, struct group *group,
                       const struct pbitc_node *node)
{
    const struct pbitc_budget *budget = &allocation->context->options->budget;
    double synapses = synapses_of(node);
    for (uint32_t draws = 1; draws <= PBIT_DRAWS_LIMIT; draws++)
        group->prices[draws] +=
            budget->price ? budget->price(budget->price_state, node->name, draws) : synapses * draws;
}

static bool place_neuron(struct allocation *allocation, const struct pbitc_node *node)
{
    const struct pbitc_layer_recipe *recipe = pbitc_find_recipe(allocation->context, node->name);
    struct pbitc_arena *arena = allocation->graph->arena;
    size_t index = allocation->sharing.count++;
    struct group *group = &allocation->groups[index];
    *group = (struct group){.joined = index, .fixed = recipe && recipe->draws > 0};
    group->prices = pbitc_arena_allocate(arena, PBIT_DRAWS_LIMIT + 1, sizeof(*group->prices));
    group->errors = pbitc_arena_allocate(arena, PBIT_DRAWS_LIMIT + 1, sizeof(*group->errors));
    if (!group->prices || !group->errors)
        return false;
    group->share = &allocation->sharing.shares[index];
    group->share->now =
        group->fixed ? (uint32_t)fmaxf(roundf(recipe->draws * (float)allocation->draws), 1) : 1;
    add_prices(allocation, group, node);
    allocation->owner[node->outputs[0]->index] = index + 1;
    return true;
}

/// Something else than a neuron.
static void place_node(struct allocation *allocation, const struct pbitc_node *node)
{
    struct group *first = NULL;
    bool hands_on = pbitc_is_movement(node) || pbitc_node_is(node, PBITC_OP_MaxPool) ||
                    pbitc_node_is(node, PBITC_OP_GlobalMaxPool) || pbitc_node_is(node, PBITC_OP_Concat);
    for (size_t i = 0; i < node->input_count; i++) {
        struct group *group = find_group(allocation, node->inputs[i]);
        if (!group)
            continue;
        add_prices(allocation, group, node);
        if (hands_on && first)
            join(allocation, first, group);
        first = first ? first : group;
    }
    if (hands_on && first)
        allocation->owner[node->outputs[0]->index] = 1 + (size_t)(first - allocation->groups);
}

static enum pbit_status find_groups(struct allocation *allocation)
{
    struct pbitc_graph *graph = allocation->graph;
    size_t neurons = 0;
    PBITC_FOR_EACH_NODE(node, graph) neurons += pbitc_is_neuron(node, "pbit");
    allocation->groups = pbitc_arena_allocate(graph->arena, neurons, sizeof(*allocation->groups));
    allocation->sharing.shares =
        pbitc_arena_allocate(graph->arena, neurons, sizeof(*allocation->sharing.shares));
    allocation->owner = pbitc_arena_allocate(graph->arena, graph->value_count, sizeof(*allocation->owner));
    if (!allocation->groups || !allocation->sharing.shares || !allocation->owner)
        return pbitc_out_of_memory(allocation->context);
    PBITC_FOR_EACH_NODE(node, graph)
    {
        if (!pbitc_is_neuron(node, "pbit"))
            place_node(allocation, node);
        else if (!place_neuron(allocation, node))
            return pbitc_out_of_memory(allocation->context);
    }
    return PBIT_OK;
}

static bool is_whole(const struct allocation *allocation, size_t index)
{
    return allocation->groups[index].joined == index;
}

// ---- what the draws of each group do to the output

/// `drawing` draws `draws` p-bits when m = 1 and the others become exact; NULL: all draw what they have.
static bool set_draws(struct allocation *allocation, const struct group *drawing, uint32_t draws)
{
    PBITC_FOR_EACH_NODE(node, allocation->graph)
    {
        const struct group *group =
            pbitc_node_is(node, PBITC_OP_PBit) ? find_group(allocation, node->outputs[0]) : NULL;
        if (!group)
            continue;
        bool exact = drawing && group != drawing;
        if (!pbitc_node_set_string(allocation->graph, node, "kind", exact ? "exact" : "pbit") ||
            !pbitc_node_set_float(allocation->graph, node, "draws",
                                  (float)(drawing ? draws : group->share->now)))
            return false;
    }
    return true;
}

/// Mean squared distance of output 0 from the float network's, with the draws that were set.
static enum pbit_status measure(struct allocation *allocation, double *error)
{
    return pbitc_calibration_error(allocation->graph, allocation->context, "allocate-draws", IMAGES, 1, 1,
                                   error);
}

/// Against the network with exact neurons: what those change may cancel what the draws do.
static enum pbit_status measure_groups(struct allocation *allocation)
{
    const struct group nobody = {.fixed = true};
    struct pbitc_context *context = allocation->context;
    const float *wanted = context->float_outputs;
    float *exact = pbitc_arena_allocate(allocation->graph->arena, allocation->output_count, sizeof(*exact));
    if (!exact || !set_draws(allocation, &nobody, 1))
        return pbitc_out_of_memory(context);
    enum pbit_status status =
        pbitc_calibration_outputs(allocation->graph, context, "allocate-draws", IMAGES, 1, 1, exact);
    context->float_outputs = exact;
    for (size_t i = 0; i < allocation->sharing.count && status == PBIT_OK; i++)
        for (size_t point = 0; point < POINTS && is_whole(allocation, i) && status == PBIT_OK; point++) {
            double error = 0;
            status = set_draws(allocation, &allocation->groups[i], allocation->points[point])
                         ? measure(allocation, &error)
                         : pbitc_out_of_memory(context);
            allocation->groups[i].logs[point] = log(fmax(error, LEAST_ERROR * allocation->power));
        }
    context->float_outputs = wanted;
    return status;
}

/// Error of the output when the group draws so many: a straight line between (and beyond) the points
/// measured, on logarithmic scales.
static double error_of(const struct allocation *allocation, const struct group *group, uint32_t draws)
{
    size_t after = 1;
    while (after + 1 < POINTS && allocation->points[after] < draws)
        after++;
    double from = log(allocation->points[after - 1]), to = log(allocation->points[after]);
    double exponent = (group->logs[after - 1] - group->logs[after]) / (to - from);
    exponent = fmin(fmax(exponent, LEAST_EXPONENT), MOST_EXPONENT);
    return exp(group->logs[after - 1] - exponent * (log(draws) - from));
}

// ---- the sharing out

/// All draw `mean`, rounded down; what the fraction would cost is left.
static void start_alike(struct allocation *allocation, double mean)
{
    allocation->sharing.left = allocation->context->options->budget.spare;
    uint32_t most = (uint32_t)fmin(fmax(round(MOST_TIMES * mean), 1), PBIT_DRAWS_LIMIT);
    for (size_t i = 0; i < allocation->sharing.count; i++) {
        struct group *group = &allocation->groups[i];
        bool fixed = group->fixed || !is_whole(allocation, i);
        uint32_t alike = (uint32_t)fmin(fmax(mean, 1), PBIT_DRAWS_LIMIT);
        *group->share = (struct pbitc_share){.fixed = fixed,
                                             .least = allocation->points[0],
                                             .most = most,
                                             .prices = group->prices,
                                             .errors = group->errors,
                                             .now = fixed ? group->share->now : alike};
        for (uint32_t draws = 1; draws <= most && !fixed; draws++)
            group->errors[draws] = error_of(allocation, group, draws);
        if (!fixed && mean > alike)
            allocation->sharing.left += (mean - alike) * (group->prices[alike + 1] - group->prices[alike]);
    }
}

/// pbitc_share_measure.
static enum pbit_status measure_shares(void *state, double *error)
{
    struct allocation *allocation = state;
    return set_draws(allocation, NULL, 0) ? measure(allocation, error)
                                          : pbitc_out_of_memory(allocation->context);
}

/// Draws become factors of m in the context of the real graph, and join what was chosen before.
static enum pbit_status keep(const struct allocation *allocation, struct pbitc_graph *graph,
                             struct pbitc_context *context)
{
    struct pbitc_layer_choice **end = &context->layer_choices;
    while (*end)
        end = &(*end)->next;
    PBITC_FOR_EACH_NODE(node, allocation->graph)
    {
        const struct group *group =
            pbitc_node_is(node, PBITC_OP_PBit) ? find_group(allocation, node->outputs[0]) : NULL;
        if (!group || group->fixed)
            continue;
        struct pbitc_layer_choice *choice = pbitc_arena_allocate(graph->arena, 1, sizeof(*choice));
        const char *name = pbitc_arena_copy_string(graph->arena, node->name, strlen(node->name));
        if (!choice || !name)
            return pbitc_out_of_memory(context);
        *choice = (struct pbitc_layer_choice){
            .node = name,
            .draws = (float)group->share->now / (float)context->options->draws,
            .relative_error = sqrt(group->errors[group->share->now] / allocation->power)};
        *end = choice;
        end = &choice->next;
    }
    return PBIT_OK;
}

static void choose_points(struct allocation *allocation, double mean)
{
    double draws = mean / 2;
    for (size_t i = 0; i < POINTS; i++, draws *= 2) {
        uint32_t least = i ? allocation->points[i - 1] + 1 : 1;
        uint32_t point = (uint32_t)fmin(fmax(round(draws), 1), PBIT_DRAWS_LIMIT - POINTS + 1 + (double)i);
        allocation->points[i] = point < least ? least : point;
    }
}

// ---- the copy that is measured

/// Calibrates the copy and swaps its activations.
static enum pbit_status prepare(struct allocation *allocation, const struct pbitc_range *ranges)
{
    struct pbitc_graph *graph = allocation->graph;
    struct pbitc_context *context = allocation->context;
    if (!pbitc_copy_ranges(graph, ranges, &context->ranges))
        return pbitc_out_of_memory(context);
    static const char *const names[] = {"calibrate", "swap-activations"};
    enum pbit_status status = pbitc_infer_shapes(graph, 1, context->diagnostics);
    bool changed;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names) && status == PBIT_OK; i++)
        status = pbitc_pass_run(pbitc_pass_find(names[i]), graph, context, &changed);
    PBITC_FOR_EACH_NODE(node, graph)
    if (status == PBIT_OK && pbitc_is_neuron(node, "pbit") && !pbitc_node_attribute(node, "rho") &&
        !pbitc_node_set_float(graph, node, "rho", AMPLITUDE))
        return pbitc_out_of_memory(context);
    return status;
}

static void find_power(struct allocation *allocation)
{
    const struct pbitc_context *context = allocation->context;
    size_t count = pbitc_calibration_images(context, IMAGES) *
                   (size_t)pbitc_shape_elements(&allocation->graph->outputs[0]->shape);
    allocation->output_count = count;
    allocation->power = pbitc_output_power(context->float_outputs, count);
}

static enum pbit_status allocate(struct allocation *allocation, const struct pbitc_range *ranges, double mean)
{
    enum pbit_status status = prepare(allocation, ranges);
    if (status != PBIT_OK)
        return status;
    find_power(allocation);
    choose_points(allocation, mean);
    status = find_groups(allocation);
    if (status == PBIT_OK)
        status = measure_groups(allocation);
    if (status != PBIT_OK)
        return status;
    start_alike(allocation, mean);
    return pbitc_share_out(&allocation->sharing, measure_shares, allocation);
}

enum pbit_status pbitc_allocate_draws(struct pbitc_graph *graph, struct pbitc_context *context, bool *changed)
{
    (void)changed; // what is chosen stands in the context
    const struct pbitc_options *options = context->options;
    double mean = options->budget.mean;
    if (!(mean > 0) || context->calibration->images == 0)
        return PBIT_OK;
    for (const struct pbitc_layer_choice *choice = context->layer_choices; choice; choice = choice->next)
        if (choice->draws > 0)
            return PBIT_OK;
    struct pbitc_options quiet = pbitc_quiet_options(options);
    quiet.samples = 1;
    quiet.draws = (uint32_t)fmin(fmax(round(mean), 1), PBIT_DRAWS_LIMIT);
    struct pbitc_calibration calibration = *context->calibration;
    calibration.images = pbitc_calibration_images(context, 2 * IMAGES);
    struct pbitc_context trial = *context;
    trial.options = &quiet;
    trial.calibration = &calibration;
    trial.ranges = NULL;
    struct allocation allocation = {
        .graph = pbitc_graph_clone(graph), .context = &trial, .draws = options->draws};
    if (!allocation.graph)
        return pbitc_out_of_memory(context);
    enum pbit_status status = allocate(&allocation, context->ranges, mean);
    if (status == PBIT_OK)
        status = keep(&allocation, graph, context);
    pbitc_graph_destroy(allocation.graph);
    return status;
}
