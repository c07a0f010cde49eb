#include "converter/budgets.h"

#include "converter/data/readers.h"
#include "converter/report/report_layers.h"

#include <inttypes.h>
#include <string.h>

enum { PROBE_IMAGES = 16 };

/// Passes and steps that take time and change no number of draws, weights or bits.
static const char *const unneeded[] = {"allocate-draws",      "choose-amplitude", "allocate-bits",
                                       "compensate-rounding", "refine-rounding",  "refit-weights",
                                       "correct-bias"};

/// A file of few images, without the passes and steps that are unneeded; it lives in the arena of *graph,
/// which is the caller's to destroy.
static enum pbit_status make_probe(const struct pbitc_conversion *conversion,
                                   const struct pbitc_convert_arguments *arguments, uint64_t without,
                                   struct pbitc_graph **graph, struct pbitc_converted *converted)
{
    struct pbitc_conversion probe = *conversion;
    struct pbitc_options options = {.without = conversion->without | without};
    for (size_t i = 0; i < sizeof(unneeded) / sizeof(*unneeded); i++)
        pbitc_leave_out(&options, pbitc_pass_find(unneeded[i]));
    probe.without = options.without;
    size_t images = conversion->dataset->images < PROBE_IMAGES ? conversion->dataset->images : PROBE_IMAGES;
    *graph = pbitc_graph_clone(conversion->model.graph);
    return *graph ? pbitc_conversion_run(&probe, arguments, *graph, images, true, converted)
                  : pbitc_report_memory(conversion->diagnostics);
}

// ---- energy

/// Of one layer, in nJ per image.
static double price(const void *state, const char *name, uint32_t draws)
{
    const struct pbitc_energy_budget *budget = state;
    double sum = 0;
    for (size_t i = 0; i < budget->network.layer_count; i++) {
        struct pbitc_energy_layer layer = budget->network.layers[i];
        if (strcmp(layer.name, name) != 0)
            continue;
        layer.draw_factor = PBITC_ENERGY_UNIT_FACTOR;
        sum += pbitc_energy_total(pbitc_energy_of_layer(&budget->network, &layer, &budget->constants, draws),
                                  budget->samples);
    }
    return sum;
}

static double energy_of(const struct pbitc_energy_budget *budget, uint32_t draws)
{
    return pbitc_energy_total(pbitc_energy_of_pbits(&budget->network, &budget->constants, draws),
                              budget->samples);
}

/// Bits of weights by layer, which draws have no part in.
static enum pbit_status choose_bits(struct pbitc_conversion *conversion, struct pbitc_energy_budget *budget)
{
    struct pbitc_converted converted;
    budget->sized = pbitc_graph_clone(conversion->model.graph);
    if (!budget->sized)
        return pbitc_report_memory(conversion->diagnostics);
    enum pbit_status status = pbitc_conversion_run(conversion, conversion->arguments, budget->sized,
                                                   conversion->dataset->images, true, &converted);
    conversion->choices = converted.choices;
    return status;
}

static enum pbit_status find_network(const struct pbitc_conversion *conversion,
                                     struct pbitc_energy_budget *budget)
{
    struct pbitc_convert_arguments arguments = *conversion->arguments;
    arguments.draws = 1; // sums of many draws may overflow
    struct pbitc_graph *graph;
    struct pbitc_converted converted;
    struct pbit_model model;
    enum pbit_status status = make_probe(conversion, &arguments, 0, &graph, &converted);
    if (status == PBIT_OK)
        status = pbit_model_open(&model, converted.file, converted.bytes);
    size_t count;
    const struct pbitc_report_layer *layers =
        status == PBIT_OK ? pbitc_report_layers_describe(budget->arena, &model, &count) : NULL;
    if (status == PBIT_OK &&
        (!layers || !pbitc_energy_network_of_layers(layers, count, PBITC_ENERGY_EXACT, PBITC_ENERGY_ACTIVITY,
                                                    budget->arena, &budget->network)))
        status = pbitc_report_memory(conversion->diagnostics);
    pbitc_graph_destroy(graph);
    return status;
}

static enum pbit_status choose_draws(const struct pbitc_conversion *conversion,
                                     const struct pbitc_energy_budget *budget)
{
    struct pbitc_convert_arguments *arguments = conversion->arguments;
    double limit = arguments->energy_budget, least = energy_of(budget, 1);
    if (!(pbitc_energy_mean_draws(&budget->network, 1) > 0))
        return pbitc_report(conversion->diagnostics, PBIT_ERROR_UNSUPPORTED, NULL, NULL, 0,
                            "leave out --energy-budget",
                            "--energy-budget: no layer reads p-bits whose number could be chosen");
    if (least > limit)
        return pbitc_report(conversion->diagnostics, PBIT_ERROR_RANGE, NULL, NULL, 0,
                            "raise it, or take fewer passes or bits of weights",
                            "--energy-budget: %g nJ are too few: with one draw per neuron and T = %" PRIu32
                            " an image takes %.6g nJ (%s)",
                            limit, budget->samples, least, budget->constants.name);
    uint32_t draws = 1;
    while (draws < PBIT_DRAWS_LIMIT && energy_of(budget, draws + 1) <= limit)
        draws++;
    arguments->draws = draws;
    arguments->budget = (struct pbitc_budget){
        .mean = draws, .spare = limit - energy_of(budget, draws), .price = price, .price_state = budget};
    return PBIT_OK;
}

enum pbit_status pbitc_energy_budget_open(struct pbitc_conversion *conversion,
                                          struct pbitc_energy_budget *budget)
{
    const struct pbitc_convert_arguments *arguments = conversion->arguments;
    *budget = (struct pbitc_energy_budget){.samples = (uint32_t)arguments->samples};
    budget->arena = pbitc_arena_create(NULL);
    if (!budget->arena)
        return pbitc_report_memory(conversion->diagnostics);
    enum pbit_status status = pbitc_energy_constants_choose(
        arguments->preset, arguments->constants, budget->arena, conversion->diagnostics, &budget->constants);
    if (status == PBIT_OK && arguments->size_budget)
        status = choose_bits(conversion, budget);
    if (status == PBIT_OK)
        status = find_network(conversion, budget);
    return status == PBIT_OK ? choose_draws(conversion, budget) : status;
}

void pbitc_energy_budget_close(struct pbitc_energy_budget *budget)
{
    pbitc_arena_destroy(budget->arena);
    pbitc_graph_destroy(budget->sized);
}

// ---- size

/// A file tells how many images calibrated it: so many bytes more than when they were few.
enum { IMAGE_COUNT_BYTES = 4 };

enum pbit_status pbitc_size_budget(struct pbitc_conversion *conversion)
{
    struct pbitc_convert_arguments arguments = *conversion->arguments;
    arguments.weights = PBITC_LEAST_SHARED_BITS;
    arguments.draws = 1;
    arguments.budget.mean = 0;
    struct pbitc_options options = {.without = 0};
    pbitc_leave_out(&options, pbitc_pass_find("widen-small"));
    struct pbitc_graph *graph;
    struct pbitc_converted converted;
    enum pbit_status status = make_probe(conversion, &arguments, options.without, &graph, &converted);
    pbitc_graph_destroy(graph);
    if (status != PBIT_OK)
        return status;
    int64_t least = (int64_t)converted.bytes + IMAGE_COUNT_BYTES;
    if (least > arguments.size_budget)
        return pbitc_report(conversion->diagnostics, PBIT_ERROR_RANGE, NULL, NULL, 0,
                            arguments.group ? "raise it, or give --group 0" : "raise it",
                            "--size-budget: %" PRId64
                            " bytes are too few: with weights of %d bits the file takes %" PRId64,
                            arguments.size_budget, PBITC_LEAST_SHARED_BITS, least);
    conversion->arguments->spare_bytes = (double)(arguments.size_budget - least);
    return PBIT_OK;
}
