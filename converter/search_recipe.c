#include "converter/search_recipe.h"

#include "converter/data/readers.h"
#include "converter/energy/energy_network.h"
#include "converter/float_model.h"
#include "converter/surface.h"
#include "converter/threads.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    LEAST_IMAGES = 20,
    SEEDS = 3,
    BATCH = 32,
    USUAL_WEIGHTS = 4,
};

/// The m that are tried for every neuron alike.
static const int64_t ladder[] = {1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64};
enum { LADDER = sizeof(ladder) / sizeof(*ladder) };

struct work {
    struct pbitc_conversion *conversion;
    struct pbitc_search *search;
    struct pbitc_energy_constants constants;
    struct pbitc_arena *arena;
    struct pbitc_progress progress;
    size_t *images; ///< 0, 1, 2, ..
    uint8_t *done;
};

static size_t half_first(const struct work *work, int half)
{
    return half ? work->search->half : 0;
}

static size_t half_count(const struct work *work, int half)
{
    return half ? work->conversion->dataset->images - work->search->half : work->search->half;
}

// ---- the float model

static enum pbit_status answer(struct work *work, struct pbitc_graph *graph,
                               struct pbitc_float_answer *answers)
{
    struct pbitc_conversion *conversion = work->conversion;
    struct pbitc_float_model model = {.graph = NULL};
    enum pbit_status status = pbitc_float_model_open_images(
        &model, graph, BATCH, pbitc_threads(conversion->arguments->threads), conversion->diagnostics);
    if (status == PBIT_OK)
        status =
            pbitc_float_model_answer(&model, conversion->dataset, work->images, conversion->dataset->images,
                                     &work->progress, conversion->diagnostics, answers);
    if (status == PBIT_OK && work->search->labels)
        status = pbitc_dataset_check_labels(conversion->dataset, pbitc_float_model_classes(&model),
                                            conversion->diagnostics);
    pbitc_float_model_close(&model);
    return status;
}

static void count_float(struct work *work, const struct pbitc_float_answer *answers)
{
    struct pbitc_dataset *dataset = work->conversion->dataset;
    for (int half = 0; half < 2; half++) {
        size_t correct = 0, first = half_first(work, half), count = half_count(work, half);
        for (size_t i = first; i < first + count; i++) {
            if (!work->search->labels)
                dataset->labels[i] = answers[i].decision;
            correct += dataset->labels[i] == (int64_t)answers[i].decision;
        }
        work->search->float_accuracies[half] = (double)correct / (double)count;
    }
}

/// The float model's accuracy; its decisions become the labels where the data has none.
static enum pbit_status run_float(struct work *work)
{
    struct pbitc_conversion *conversion = work->conversion;
    struct pbitc_dataset *dataset = conversion->dataset;
    struct pbitc_graph *graph = pbitc_graph_clone(conversion->model.graph);
    struct pbitc_float_answer *answers = pbitc_arena_allocate(work->arena, dataset->images, sizeof(*answers));
    if (!dataset->labels)
        dataset->labels = calloc(dataset->images, sizeof(*dataset->labels));
    enum pbit_status status = graph && answers && dataset->labels
                                  ? answer(work, graph, answers)
                                  : pbitc_report_memory(conversion->diagnostics);
    if (status == PBIT_OK)
        count_float(work, answers);
    pbitc_graph_destroy(graph);
    return status;
}

// ---- one trial

static struct pbitc_accuracy_report *make_report(const struct work *work, const struct pbit_model *model)
{
    const struct pbitc_dataset *dataset = work->conversion->dataset;
    struct pbitc_accuracy_report *report = pbitc_report_create();
    if (!report)
        return NULL;
    report->images = dataset->images;
    report->image_height = dataset->height;
    report->image_width = dataset->width;
    report->image_channels = dataset->stored_channels;
    report->seed_count = SEEDS;
    report->classes = pbit_model_output(model, 0).elements;
    return report;
}

/// What the file costs, from its layers.
static bool find_cost(const struct work *work, const struct pbitc_accuracy_report *report, int64_t samples,
                      struct pbitc_trial *trial)
{
    struct pbitc_energy_network network;
    if (!pbitc_energy_network_of_layers(report->layers, report->layer_count, PBITC_ENERGY_EXACT,
                                        PBITC_ENERGY_ACTIVITY, report->arena, &network))
        return false;
    trial->energy = pbitc_energy_total(
        pbitc_energy_of_pbits(&network, &work->constants, (uint32_t)trial->draws), (uint32_t)samples);
    trial->mean_draws = pbitc_energy_mean_draws(&network, (uint32_t)trial->draws) * (double)samples;
    return true;
}

/// Accuracy on one half; sets the cost as well.
static enum pbit_status measure(struct work *work, const struct pbit_model *model, int half,
                                struct pbitc_trial *trial)
{
    const struct pbitc_conversion *conversion = work->conversion;
    uint32_t samples = (uint32_t)conversion->arguments->samples, draws = (uint32_t)trial->draws;
    struct pbitc_surface_request request = {.model = model,
                                            .dataset = conversion->dataset,
                                            .samples_count = 1,
                                            .draws_count = 1,
                                            .samples = &samples,
                                            .draws = &draws,
                                            .threads = pbitc_threads(conversion->arguments->threads),
                                            .batch = BATCH};
    struct pbitc_accuracy_report *report = make_report(work, model);
    if (!report)
        return pbitc_report_memory(conversion->diagnostics);
    size_t count = half_count(work, half), correct = 0;
    enum pbit_status status = pbitc_surface_describe(&request, conversion->diagnostics, report);
    if (status == PBIT_OK)
        status = pbitc_surface_measure(&request, work->images + half_first(work, half), count, NULL,
                                       &work->progress, conversion->diagnostics, report, work->done);
    for (size_t seed = 0; seed < SEEDS && status == PBIT_OK; seed++)
        correct += report->cells[0].tally.correct[seed];
    trial->drops[half] = work->search->float_accuracies[half] - (double)correct / (double)(count * SEEDS);
    if (status == PBIT_OK && !find_cost(work, report, samples, trial))
        status = pbitc_report_memory(conversion->diagnostics);
    pbitc_report_destroy(report);
    return status;
}

static enum pbit_status judge(struct work *work, const struct pbitc_converted *converted,
                              struct pbitc_trial *trial)
{
    // Fractions of counts: a drop that is the target exactly must not fail by the last bit.
    double target = work->conversion->arguments->target + 1e-9;
    struct pbit_model model;
    enum pbit_status status = pbit_model_open(&model, converted->file, converted->bytes);
    if (status == PBIT_OK)
        status = measure(work, &model, 0, trial);
    trial->checked = status == PBIT_OK && trial->drops[0] <= target;
    if (trial->checked)
        status = measure(work, &model, 1, trial);
    trial->holds = trial->checked && trial->drops[1] <= target;
    return status;
}

static void print_trial(struct work *work, const struct pbitc_trial *trial)
{
    pbitc_progress_clear(&work->progress);
    if (work->search->count == 1)
        fprintf(stderr, "weights    m  draws per synapse  nJ per image   drop  held out\n");
    fprintf(stderr, "%7" PRId64 " %4" PRId64 " ", trial->weights, trial->draws);
    if (!trial->made) {
        fprintf(stderr, "sums would overflow\n");
        return;
    }
    fprintf(stderr, "%18.2f  %12.4g  %5.2f", trial->mean_draws, trial->energy, 100 * trial->drops[0]);
    if (trial->checked)
        fprintf(stderr, "  %8.2f", 100 * trial->drops[1]);
    else
        fprintf(stderr, "         -");
    fprintf(stderr, "%s%s\n", trial->draw_budget > 0 ? "  shared out by layer" : "",
            trial->holds ? "  holds" : "");
}

static double worse_drop(const struct pbitc_trial *trial)
{
    return trial->checked ? fmax(trial->drops[0], trial->drops[1]) : trial->drops[0];
}

static void rank(struct pbitc_search *search, const struct pbitc_trial *trial)
{
    if (trial->holds && (!search->best || trial->energy < search->best->energy))
        search->best = trial;
    if (trial->made && (!search->nearest || worse_drop(trial) < worse_drop(search->nearest)))
        search->nearest = trial;
}

/// *trial is the last of the list then.
static enum pbit_status try_recipe(struct work *work, int64_t weights, int64_t draws, double budget,
                                   const struct pbitc_trial **trial)
{
    struct pbitc_search *search = work->search;
    if (search->count == PBITC_TRIALS_LIMIT)
        return pbitc_report(work->conversion->diagnostics, PBIT_ERROR_INTERNAL, NULL, NULL, 0, NULL,
                            "too many trials");
    struct pbitc_trial *now = &search->trials[search->count++];
    *now = (struct pbitc_trial){.weights = weights, .draws = draws, .draw_budget = budget};
    *trial = now;
    struct pbitc_convert_arguments arguments = *work->conversion->arguments;
    arguments.weights = weights;
    arguments.draws = draws;
    arguments.draw_budget = budget;
    arguments.budget.mean = budget / (double)arguments.samples;
    struct pbitc_conversion conversion = *work->conversion;
    struct pbitc_diagnostics *scratch = pbitc_diagnostics_create();
    struct pbitc_graph *graph = pbitc_graph_clone(conversion.model.graph);
    enum pbit_status status = graph && scratch ? PBIT_OK : pbitc_report_memory(conversion.diagnostics);
    // What the first one finds wrong with the model is for the user; others may only be too large.
    if (search->count > 1)
        conversion.diagnostics = scratch;
    struct pbitc_converted converted;
    if (status == PBIT_OK)
        status = pbitc_conversion_run(&conversion, &arguments, graph, search->half, true, &converted);
    now->made = status == PBIT_OK;
    if (now->made)
        status = judge(work, &converted, now);
    else if (status == PBIT_ERROR_UNSUPPORTED && search->count > 1)
        status = PBIT_OK;
    pbitc_graph_destroy(graph);
    pbitc_diagnostics_destroy(scratch);
    if (status == PBIT_OK)
        print_trial(work, now);
    rank(search, now);
    return status;
}

// ---- the search

/// The smallest m of the ladder that holds and costs less than the best so far, by bisection: more draws lose
/// less and cost more.
static enum pbit_status search_draws(struct work *work, int64_t weights)
{
    struct pbitc_search *search = work->search;
    int low = 0, high = LADDER - 1;
    while (low <= high) {
        int middle = (low + high) / 2;
        const struct pbitc_trial *best = search->best, *trial;
        enum pbit_status status = try_recipe(work, weights, ladder[middle], 0, &trial);
        if (status != PBIT_OK)
            return status;
        if (trial->holds || !trial->made || (best && trial->energy >= best->energy))
            high = middle - 1;
        else
            low = middle + 1;
    }
    return PBIT_OK;
}

/// The usual bits of weights, then fewer while that pays; more only where those do not hold.
static enum pbit_status search_weights(struct work *work)
{
    static const int64_t fewer[] = {3, 2}, more[] = {6, 8};
    const struct pbitc_convert_arguments *arguments = work->conversion->arguments;
    struct pbitc_search *search = work->search;
    enum pbit_status status = search_draws(work, arguments->weights > 0 ? arguments->weights : USUAL_WEIGHTS);
    const int64_t *next = search->best ? fewer : more;
    for (size_t i = 0; i < 2 && status == PBIT_OK && arguments->weights <= 0; i++) {
        const struct pbitc_trial *before = search->best;
        status = search_draws(work, next[i]);
        if (before ? search->best == before : search->best != NULL)
            break;
    }
    return status;
}

/// Smaller and smaller budgets, shared out over the layers, until one does not hold.
static enum pbit_status search_shares(struct work *work)
{
    const struct pbitc_trial *best = work->search->best, *trial;
    int place = 0;
    while (best && place < LADDER && ladder[place] != best->draws)
        place++;
    if (!best || place == LADDER)
        return PBIT_OK;
    int64_t weights = best->weights;
    double samples = (double)work->conversion->arguments->samples;
    for (; place > 0; place--) {
        double steps[] = {(double)(ladder[place] + ladder[place - 1]) / 2, (double)ladder[place - 1]};
        for (size_t i = 0; i < 2; i++) {
            if (steps[i] <= 1)
                return PBIT_OK; // nothing to share out
            enum pbit_status status =
                try_recipe(work, weights, (int64_t)floor(steps[i]), steps[i] * samples, &trial);
            if (status != PBIT_OK || !trial->holds)
                return status;
        }
    }
    return PBIT_OK;
}

static enum pbit_status start(struct work *work)
{
    const struct pbitc_conversion *conversion = work->conversion;
    const struct pbitc_dataset *dataset = conversion->dataset;
    if (dataset->images < LEAST_IMAGES)
        return pbitc_report(conversion->diagnostics, PBIT_ERROR_RANGE, NULL, NULL, 0,
                            "give --calibrate a few hundred images",
                            "--target-drop cannot tell drops on %zu images apart", dataset->images);
    work->search->half = dataset->images / 2;
    work->search->labels = dataset->labels != NULL;
    work->arena = pbitc_arena_create(NULL);
    work->images = work->arena ? pbitc_arena_allocate(work->arena, dataset->images, sizeof(size_t)) : NULL;
    work->done = work->images ? pbitc_arena_allocate(work->arena, dataset->images, 1) : NULL;
    if (!work->done)
        return pbitc_report_memory(conversion->diagnostics);
    for (size_t i = 0; i < dataset->images; i++)
        work->images[i] = i;
    return pbitc_energy_constants_choose(conversion->arguments->preset, conversion->arguments->constants,
                                         work->arena, conversion->diagnostics, &work->constants);
}

enum pbit_status pbitc_search_recipe(struct pbitc_conversion *conversion, struct pbitc_search *search)
{
    *search = (struct pbitc_search){.half = 0};
    struct work work = {.conversion = conversion, .search = search};
    enum pbit_status status = start(&work);
    if (status == PBIT_OK)
        status = run_float(&work);
    if (status == PBIT_OK) {
        pbitc_progress_clear(&work.progress);
        fprintf(stderr, "target: a drop of %g points at most from the float model, %s; energy by %s\n",
                100 * conversion->arguments->target,
                search->labels ? "by the labels of the data" : "by its decisions, for the data has no labels",
                work.constants.name);
        status = search_weights(&work);
    }
    if (status == PBIT_OK)
        status = search_shares(&work);
    pbitc_progress_clear(&work.progress);
    pbitc_arena_destroy(work.arena);
    return status;
}
