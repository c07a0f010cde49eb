#include "converter/surface_run.h"

#include "converter/interrupt.h"
#include "converter/isolate_layer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/// One run of the model, whose passes the runtime reports.
struct trial {
    struct pbitc_surface_measurement *measurement;
    struct pbitc_surface_worker *worker;
    size_t draws, seed; ///< indices; a run of cells only
    struct pbitc_surface_answer
        *answer;     ///< of the last pass of a run that answers once; NULL: a run of cells
    bool pilot;      ///< only the passes are recorded
    bool observed;   ///< levels are counted in the passes of the main cell
    uint32_t passes; ///< done
};

static struct pbitc_surface_answer answer(const struct pbitc_surface_measurement *measurement,
                                          const int64_t *sums, uint32_t passes)
{
    size_t best = 0, classes = measurement->report->classes;
    double exponentials = 0;
    for (size_t i = 1; i < classes; i++)
        best = sums[i] > sums[best] ? i : best;
    for (size_t i = 0; i < classes; i++)
        exponentials += exp((double)(sums[i] - sums[best]) * measurement->unit / passes);
    return (struct pbitc_surface_answer){(uint32_t)best, pbitc_confidence_units(1 / exponentials)};
}

static struct pbitc_surface_answer *cell_answer(const struct trial *trial, size_t samples)
{
    const struct pbitc_surface_measurement *measurement = trial->measurement;
    size_t cell = trial->draws * measurement->request->samples_count + samples;
    return &trial->worker->answers[cell * measurement->report->seed_count + trial->seed];
}

/// Where the margin is sure by now, the early stops of a run of cells have their answer.
static void stop_early(const struct trial *trial, uint32_t done, const int64_t *sums)
{
    const struct pbitc_surface_measurement *measurement = trial->measurement;
    const struct pbitc_surface_request *request = measurement->request;
    size_t seeds = measurement->report->seed_count;
    struct pbitc_margin margin = pbitc_pass_record_margin(&trial->worker->record);
    for (size_t i = 0; i < request->confidence_count; i++) {
        size_t index = trial->draws * request->confidence_count + i;
        struct pbitc_surface_stop *stop = &trial->worker->stops[index * seeds + trial->seed];
        if (stop->passes == 0 &&
            (done == request->stop_samples ||
             pbitc_margin_is_sure(margin, measurement->priors[trial->draws], measurement->quantiles[i])))
            *stop = (struct pbitc_surface_stop){answer(measurement, sums, done), done};
    }
}

/// After `done` passes of a longer run: every T of the list that is reached has its answer.
static int after_sample(void *state, uint32_t done, int64_t *const *sums)
{
    struct trial *trial = state;
    const struct pbitc_surface_request *request = trial->measurement->request;
    trial->passes = done;
    if (request->confidence_count && !trial->answer)
        pbitc_pass_record_add(&trial->worker->record, done, sums[0]);
    if (trial->pilot)
        return pbitc_interrupted();
    if (request->confidence_count && !trial->answer && done <= request->stop_samples)
        stop_early(trial, done, sums[0]);
    if (trial->answer)
        *trial->answer = answer(trial->measurement, sums[0], done);
    for (size_t i = 0; !trial->answer && i < request->samples_count; i++) {
        if (request->samples[i] == done)
            *cell_answer(trial, i) = answer(trial->measurement, sums[0], done);
    }
    return pbitc_interrupted();
}

static void observe(void *state, uint32_t operation, const void *output)
{
    const struct trial *trial = state;
    const struct pbitc_accuracy_report *report = trial->measurement->report;
    const struct pbitc_report_layer *layer = &report->layers[operation];
    if (!trial->observed || !layer->has_levels || trial->passes >= report->cells[report->main_cell].samples)
        return;
    const uint8_t *levels = output;
    size_t elements = (size_t)layer->height * layer->width * layer->channels;
    struct pbitc_level_count *count = &trial->worker->levels[operation];
    count->elements += elements;
    for (size_t i = 0; i < elements; i++) {
        count->sum += levels[i];
        count->zeros += levels[i] == 0;
        count->full += levels[i] == layer->levels;
    }
}

static enum pbit_status run(struct trial *trial, const struct pbitc_engine *engine, size_t image,
                            struct pbit_options options)
{
    const struct pbitc_surface_measurement *measurement = trial->measurement;
    struct pbitc_surface_worker *worker = trial->worker;
    const uint8_t *inputs[] = {worker->pixels};
    options.image = measurement->request->dataset->first + image;
    options.after_sample = after_sample;
    options.observe = trial->observed ? observe : NULL;
    options.state = trial;
    enum pbit_status status = pbit_engine_run(engine->engine, &options, 1, inputs, worker->sums,
                                              worker->workspace, worker->workspace_bytes);
    return status == PBIT_OK && pbitc_interrupted() ? PBIT_ERROR_STOPPED : status;
}

/// Every T of one m with one seed, in one run.
static enum pbit_status run_cells(struct pbitc_surface_measurement *measurement,
                                  struct pbitc_surface_worker *worker, size_t image, size_t draws,
                                  size_t seed)
{
    const struct pbitc_surface_request *request = measurement->request;
    struct trial trial = {.measurement = measurement, .worker = worker, .draws = draws, .seed = seed};
    struct pbit_options options = {.seed = measurement->report->first_seed + seed,
                                   .draws = request->draws[draws],
                                   .sampler = request->sampler};
    trial.observed = draws == measurement->main_draws && seed == 0;
    for (size_t i = 0; i < request->samples_count; i++)
        options.samples = request->samples[i] > options.samples ? request->samples[i] : options.samples;
    return run(&trial, &measurement->engine, image, options);
}

static enum pbit_status run_twin(struct pbitc_surface_measurement *measurement,
                                 struct pbitc_surface_worker *worker, size_t image, size_t twin)
{
    struct trial trial = {.measurement = measurement, .worker = worker, .answer = &worker->twins[twin]};
    struct pbit_options options = {
        .draws = measurement->report->twins[twin].draws, .samples = 1, .sampler = PBIT_SAMPLER_MIDPOINT};
    return run(&trial, &measurement->engine, image, options);
}

static void load_image(const struct pbitc_surface_measurement *measurement,
                       struct pbitc_surface_worker *worker, size_t image)
{
    pbitc_dataset_image(measurement->request->dataset, image, worker->values);
    pbit_input_quantize(measurement->request->model, 0, worker->values, worker->pixels);
}

bool pbitc_surface_make_workspace(struct pbitc_surface_worker *worker, const struct pbitc_engine *engine)
{
    size_t bytes = pbit_engine_workspace_bytes(engine->engine, 1, 1);
    if (bytes <= worker->workspace_bytes)
        return true;
    free(worker->workspace);
    worker->workspace_bytes = bytes;
    worker->workspace = pbitc_engine_allocate(bytes);
    return worker->workspace != NULL;
}

/// The main cell with the first seed, where only this layer draws.
static enum pbit_status run_isolated(struct pbitc_surface_measurement *measurement,
                                     struct pbitc_surface_worker *worker, const size_t *images, size_t count,
                                     size_t layer)
{
    const struct pbitc_accuracy_report *report = measurement->report;
    struct pbit_options options = {.seed = report->first_seed,
                                   .draws = report->cells[report->main_cell].draws,
                                   .samples = report->cells[report->main_cell].samples,
                                   .sampler = measurement->request->sampler};
    struct pbit_model isolated = *measurement->request->model;
    struct pbitc_engine engine;
    pbitc_layer_isolate(measurement->request->model, (uint32_t)layer, worker->isolated);
    isolated.bytes = worker->isolated;
    enum pbit_status status = pbitc_engine_create(&isolated, NULL, &engine);
    if (status == PBIT_OK && !pbitc_surface_make_workspace(worker, &engine))
        status = PBIT_ERROR_MEMORY;
    for (size_t i = 0; i < count && status == PBIT_OK; i++) {
        struct trial trial = {.measurement = measurement,
                              .worker = worker,
                              .answer = &worker->losses[i * report->layer_count + layer]};
        load_image(measurement, worker, images[i]);
        status = run(&trial, &engine, images[i], options);
    }
    pbitc_engine_destroy(&engine);
    return status;
}

enum pbit_status pbitc_surface_run_losses(struct pbitc_surface_measurement *measurement,
                                          struct pbitc_surface_worker *worker, const size_t *images,
                                          size_t count)
{
    enum pbit_status status = PBIT_OK;
    for (size_t layer = 0; layer < measurement->report->layer_count && status == PBIT_OK; layer++)
        if (measurement->report->layers[layer].has_loss)
            status = run_isolated(measurement, worker, images, count, layer);
    return status;
}

enum pbit_status pbitc_surface_run_image(struct pbitc_surface_measurement *measurement,
                                         struct pbitc_surface_worker *worker, size_t image)
{
    const struct pbitc_surface_request *request = measurement->request;
    const struct pbitc_accuracy_report *report = measurement->report;
    enum pbit_status status = pbitc_interrupted() ? PBIT_ERROR_STOPPED : PBIT_OK;
    load_image(measurement, worker, image);
    memset(worker->levels, 0, report->layer_count * sizeof(*worker->levels));
    memset(worker->stops, 0, report->stop_count * report->seed_count * sizeof(*worker->stops));
    for (size_t seed = 0; seed < report->seed_count; seed++) {
        for (size_t draws = 0; draws < request->draws_count && status == PBIT_OK; draws++)
            status = run_cells(measurement, worker, image, draws, seed);
    }
    for (size_t twin = 0; twin < report->twin_count && status == PBIT_OK; twin++)
        status = run_twin(measurement, worker, image, twin);
    return status;
}

enum pbit_status pbitc_surface_find_prior(struct pbitc_surface_measurement *measurement, size_t draws)
{
    const struct pbitc_surface_request *request = measurement->request;
    struct pbitc_surface_worker *worker = &measurement->workers[0];
    struct trial trial = {.measurement = measurement, .worker = worker, .pilot = true};
    uint32_t most = pbit_model_max_samples(request->model);
    struct pbit_options options = {.seed = measurement->report->first_seed,
                                   .draws = request->draws[draws],
                                   .samples = most < PBITC_PILOT_PASSES ? most : PBITC_PILOT_PASSES};
    size_t images =
        request->dataset->images < PBITC_PILOT_IMAGES ? request->dataset->images : PBITC_PILOT_IMAGES;
    enum pbit_status status = PBIT_OK;
    double deviations = 0;
    for (size_t image = 0; image < images && status == PBIT_OK; image++) {
        load_image(measurement, worker, image);
        status = run(&trial, &measurement->engine, image, options);
        deviations += pbitc_pass_record_margin(&worker->record).deviations;
    }
    measurement->priors[draws] = deviations / (double)images / (options.samples - 1);
    for (size_t i = 0; i < request->confidence_count; i++)
        measurement->report->stops[draws * request->confidence_count + i].deviation =
            sqrt(measurement->priors[draws]) * measurement->unit;
    return status;
}
