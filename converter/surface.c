#include "converter/surface.h"

#include "converter/data/readers.h"
#include "converter/early_stop.h"
#include "converter/engine.h"
#include "converter/interrupt.h"
#include "converter/isolate_layer.h"
#include "passes/operators/operator_support.h"
#include "runtime/format.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/// What one run decided.
struct answer {
    uint32_t decision, confidence;
};

/// What one run decided when it might have stopped early.
struct stop {
    struct answer answer;
    uint32_t passes; ///< 0: not yet
};

/// Levels of one layer, as the main cell's passes showed them.
struct level_count {
    uint64_t elements, sum, zeros, full;
};

/// What one thread needs; nothing of it is shared. What an image gave is added to the tallies when the image
/// is complete, so that an interrupted one leaves no trace.
struct worker {
    float *values;   ///< one image, preprocessed
    uint8_t *pixels; ///< the same as the model takes it
    int64_t **sums;  ///< per output
    void *workspace;
    size_t workspace_bytes;
    uint8_t *isolated; ///< the model's bytes, changed for one layer at a time; NULL when no layer asks for it

    struct answer *answers;          ///< [cells][seeds] of the image
    struct stop *stops;              ///< [early stops][seeds] of the image
    struct answer *stopped;          ///< [seeds] of one of them
    struct pbitc_pass_record record; ///< of a run of cells, with early stops
    struct answer *twins;            ///< [twins] of the image
    struct answer *losses;           ///< [images of a batch][layers]
    struct level_count *levels;      ///< [layers] of the image

    struct pbitc_tally *tallies; ///< [cells + twins + early stops]; correct_by_image is the report's
    struct level_count *counted; ///< [layers]
    uint64_t *loss_agreed;       ///< [layers]
    uint64_t *confusion;         ///< [classes][classes]
};

struct measurement {
    const struct pbitc_surface_request *request;
    const struct pbitc_float_answer *float_answers;
    struct pbitc_progress *progress;
    struct pbitc_accuracy_report *report;
    const size_t *images;
    size_t count;
    uint32_t *main_decisions; ///< [images of the dataset], first seed
    uint8_t *done;
    struct worker *workers;
    struct pbitc_engine engine;
    double unit;       ///< value of one unit of a sum of one pass
    size_t main_draws; ///< index of the main cell's m
    double *priors;    ///< [list of m] variance of the margin that early stops start from, in squared units
    _Atomic size_t finished;
    _Atomic int status; ///< enum pbit_status, the first that is not PBIT_OK
};

/// One run of the model, whose passes the runtime reports.
struct trial {
    struct measurement *measurement;
    struct worker *worker;
    size_t draws, seed;    ///< indices; a run of cells only
    struct answer *answer; ///< of the last pass of a run that answers once; NULL: a run of cells
    bool pilot;            ///< only the passes are recorded
    bool observed;         ///< levels are counted in the passes of the main cell
    uint32_t passes;       ///< done
};

static struct answer answer(const struct measurement *measurement, const int64_t *sums, uint32_t passes)
{
    size_t best = 0, classes = measurement->report->classes;
    double exponentials = 0;
    for (size_t i = 1; i < classes; i++)
        best = sums[i] > sums[best] ? i : best;
    for (size_t i = 0; i < classes; i++)
        exponentials += exp((double)(sums[i] - sums[best]) * measurement->unit / passes);
    return (struct answer){(uint32_t)best, pbitc_confidence_units(1 / exponentials)};
}

static struct answer *cell_answer(const struct trial *trial, size_t samples)
{
    const struct measurement *measurement = trial->measurement;
    size_t cell = trial->draws * measurement->request->samples_count + samples;
    return &trial->worker->answers[cell * measurement->report->seed_count + trial->seed];
}

/// Where the margin is sure by now, the early stops of a run of cells have their answer.
static void stop_early(const struct trial *trial, uint32_t done, const int64_t *sums)
{
    const struct measurement *measurement = trial->measurement;
    const struct pbitc_surface_request *request = measurement->request;
    size_t seeds = measurement->report->seed_count;
    struct pbitc_margin margin = pbitc_pass_record_margin(&trial->worker->record);
    for (size_t i = 0; i < request->confidence_count; i++) {
        size_t index = trial->draws * request->confidence_count + i;
        struct stop *stop = &trial->worker->stops[index * seeds + trial->seed];
        double quantile = pbitc_normal_quantile(request->confidences[i]);
        if (stop->passes == 0 && (done == request->stop_samples ||
                                  pbitc_margin_is_sure(margin, measurement->priors[trial->draws], quantile)))
            *stop = (struct stop){answer(measurement, sums, done), done};
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
    struct level_count *count = &trial->worker->levels[operation];
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
    const struct measurement *measurement = trial->measurement;
    struct worker *worker = trial->worker;
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
static enum pbit_status run_cells(struct measurement *measurement, struct worker *worker, size_t image,
                                  size_t draws, size_t seed)
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

static enum pbit_status run_twin(struct measurement *measurement, struct worker *worker, size_t image,
                                 size_t twin)
{
    struct trial trial = {.measurement = measurement, .worker = worker, .answer = &worker->twins[twin]};
    struct pbit_options options = {
        .draws = measurement->report->twins[twin].draws, .samples = 1, .sampler = PBIT_SAMPLER_MIDPOINT};
    return run(&trial, &measurement->engine, image, options);
}

static void load_image(const struct measurement *measurement, struct worker *worker, size_t image)
{
    pbitc_dataset_image(measurement->request->dataset, image, worker->values);
    pbit_input_quantize(measurement->request->model, 0, worker->values, worker->pixels);
}

static bool make_workspace(struct worker *worker, const struct pbitc_engine *engine)
{
    size_t bytes = pbit_engine_workspace_bytes(engine->engine, 1);
    if (bytes <= worker->workspace_bytes)
        return true;
    free(worker->workspace);
    worker->workspace_bytes = bytes;
    worker->workspace = pbitc_engine_allocate(bytes);
    return worker->workspace != NULL;
}

/// The main cell with the first seed, where only this layer draws.
static enum pbit_status run_isolated(struct measurement *measurement, struct worker *worker,
                                     const size_t *images, size_t count, size_t layer)
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
    if (status == PBIT_OK && !make_workspace(worker, &engine))
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

/// What a batch of images loses to each layer: an engine serves the whole batch.
static enum pbit_status run_losses(struct measurement *measurement, struct worker *worker,
                                   const size_t *images, size_t count)
{
    enum pbit_status status = PBIT_OK;
    for (size_t layer = 0; layer < measurement->report->layer_count && status == PBIT_OK; layer++)
        if (measurement->report->layers[layer].has_loss)
            status = run_isolated(measurement, worker, images, count, layer);
    return status;
}

static enum pbit_status run_image(struct measurement *measurement, struct worker *worker, size_t image)
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

/// The prior of one m: the mean variance of the margin over a few passes of the first images, whichever of
/// them this process measures. No label is looked at.
static enum pbit_status find_prior(struct measurement *measurement, size_t draws)
{
    const struct pbitc_surface_request *request = measurement->request;
    struct worker *worker = &measurement->workers[0];
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

/// Adds one state's answers on one image, one per seed.
static void tally_answers(const struct measurement *measurement, size_t image, const struct answer *answers,
                          const struct pbitc_accuracy_cell *cell, struct pbitc_tally *tally)
{
    uint32_t label = (uint32_t)measurement->request->dataset->labels[image];
    const struct pbitc_float_answer *float_answer =
        measurement->float_answers ? &measurement->float_answers[image] : NULL;
    unsigned right = 0;
    for (size_t seed = 0; seed < cell->seeds; seed++) {
        struct pbitc_calibration_bin *bin = &tally->bins[pbitc_confidence_bin(answers[seed].confidence)];
        bool correct = answers[seed].decision == label;
        right += correct;
        tally->correct[seed] += correct;
        tally->agreed += float_answer && answers[seed].decision == float_answer->decision;
        bin->count++;
        bin->correct += correct;
        bin->confidence += answers[seed].confidence;
    }
    cell->tally.correct_by_image[image] = (uint16_t)right; // no other thread has this image
}

/// losses: [layers] of the image.
static void tally_layers(const struct measurement *measurement, struct worker *worker,
                         const struct answer *losses)
{
    const struct pbitc_accuracy_report *report = measurement->report;
    int twin = pbitc_find_byte_twin(report);
    for (size_t i = 0; i < report->layer_count; i++) {
        const struct level_count *levels = &worker->levels[i];
        worker->counted[i].elements += levels->elements;
        worker->counted[i].sum += levels->sum;
        worker->counted[i].zeros += levels->zeros;
        worker->counted[i].full += levels->full;
        worker->loss_agreed[i] +=
            report->layers[i].has_loss && losses[i].decision == worker->twins[twin].decision;
    }
}

/// Adds early stop number `index`'s answers on one image, beside the cell with all its passes.
static void tally_stop(const struct measurement *measurement, struct worker *worker, size_t image,
                       size_t index)
{
    const struct pbitc_surface_request *request = measurement->request;
    const struct pbitc_accuracy_report *report = measurement->report;
    size_t seeds = report->seed_count, column = 0;
    while (request->samples[column] != request->stop_samples)
        column++;
    size_t cell = index / request->confidence_count * request->samples_count + column;
    struct pbitc_tally *tally = &worker->tallies[report->cell_count + report->twin_count + index];
    for (size_t seed = 0; seed < seeds; seed++) {
        const struct stop *stop = &worker->stops[index * seeds + seed];
        worker->stopped[seed] = stop->answer;
        tally->passes += stop->passes;
        tally->kept += stop->answer.decision == worker->answers[cell * seeds + seed].decision;
    }
    tally_answers(measurement, image, worker->stopped, &report->stops[index], tally);
}

/// Adds what a complete image gave.
static void tally_image(struct measurement *measurement, struct worker *worker, size_t image,
                        const struct answer *losses)
{
    const struct pbitc_accuracy_report *report = measurement->report;
    size_t seeds = report->seed_count;
    for (size_t i = 0; i < report->cell_count; i++)
        tally_answers(measurement, image, &worker->answers[i * seeds], &report->cells[i],
                      &worker->tallies[i]);
    for (size_t i = 0; i < report->twin_count; i++)
        tally_answers(measurement, image, &worker->twins[i], &report->twins[i],
                      &worker->tallies[report->cell_count + i]);
    for (size_t i = 0; i < report->stop_count; i++)
        tally_stop(measurement, worker, image, i);
    tally_layers(measurement, worker, losses);
    const struct answer *main_answers = &worker->answers[report->main_cell * seeds];
    uint64_t *row =
        &worker->confusion[(size_t)measurement->request->dataset->labels[image] * report->classes];
    for (size_t seed = 0; report->has_confusion && seed < seeds; seed++)
        row[main_answers[seed].decision]++;
    measurement->main_decisions[image] = main_answers[0].decision;
    measurement->done[image] = 1;
}

static void run_batch(void *state, int64_t index, int number)
{
    struct measurement *measurement = state;
    struct worker *worker = &measurement->workers[number];
    size_t left = measurement->count - (size_t)index * measurement->request->batch,
           count = left < measurement->request->batch ? left : measurement->request->batch;
    const size_t *images = measurement->images + (size_t)index * measurement->request->batch;
    if (atomic_load(&measurement->status) != PBIT_OK)
        return;
    int status = (int)run_losses(measurement, worker, images, count), expected = PBIT_OK;
    for (size_t i = 0; i < count && status == PBIT_OK; i++) {
        status = (int)run_image(measurement, worker, images[i]);
        if (status != PBIT_OK)
            break;
        tally_image(measurement, worker, images[i], worker->losses + i * measurement->report->layer_count);
        size_t finished = atomic_fetch_add(&measurement->finished, 1) + 1;
        if (number == 0) // the calling thread draws the bar
            pbitc_progress_show(measurement->progress, "p-bits", finished, measurement->count);
        status = atomic_load(&measurement->status);
    }
    if (status != PBIT_OK)
        atomic_compare_exchange_strong(&measurement->status, &expected, status);
}

/// Everything that is counted by itself.
static size_t count_states(const struct pbitc_accuracy_report *report)
{
    return report->cell_count + report->twin_count + report->stop_count;
}

static void free_worker(struct worker *worker, const struct pbitc_accuracy_report *report, uint32_t outputs)
{
    for (uint32_t i = 0; worker->sums && i < outputs; i++)
        free(worker->sums[i]);
    for (size_t i = 0; worker->tallies && i < count_states(report); i++)
        free(worker->tallies[i].correct);
    pbitc_pass_record_free(&worker->record);
    void *const arrays[] = {worker->stops,   worker->stopped,     worker->sums,     worker->values,
                            worker->pixels,  worker->workspace,   worker->isolated, worker->answers,
                            worker->twins,   worker->losses,      worker->levels,   worker->tallies,
                            worker->counted, worker->loss_agreed, worker->confusion};
    for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++)
        free(arrays[i]);
}

/// What a worker counts in. calloc of 0 elements may give NULL, so one more.
static bool make_counters(struct worker *worker, const struct pbitc_accuracy_report *report, size_t batch)
{
    size_t states = count_states(report), layers = report->layer_count + 1;
    size_t squares = report->has_confusion ? report->classes * report->classes : 1;
    worker->answers = calloc(report->cell_count * report->seed_count, sizeof(*worker->answers));
    worker->twins = calloc(report->twin_count + 1, sizeof(*worker->twins));
    worker->stops = calloc(report->stop_count * report->seed_count + 1, sizeof(*worker->stops));
    worker->stopped = calloc(report->seed_count, sizeof(*worker->stopped));
    worker->losses = calloc(batch * layers, sizeof(*worker->losses));
    worker->levels = calloc(layers, sizeof(*worker->levels));
    worker->counted = calloc(layers, sizeof(*worker->counted));
    worker->loss_agreed = calloc(layers, sizeof(*worker->loss_agreed));
    worker->confusion = calloc(squares, sizeof(*worker->confusion));
    worker->tallies = calloc(states, sizeof(*worker->tallies));
    bool good = worker->answers && worker->twins && worker->stops && worker->stopped && worker->losses &&
                worker->levels && worker->counted && worker->loss_agreed && worker->confusion &&
                worker->tallies;
    for (size_t i = 0; i < states && good; i++) {
        worker->tallies[i].correct = calloc(report->seed_count, sizeof(uint64_t));
        good = worker->tallies[i].correct != NULL;
    }
    return good;
}

static bool make_worker(struct worker *worker, const struct measurement *measurement)
{
    const struct pbit_model *model = measurement->request->model;
    size_t elements = measurement->request->dataset->elements;
    bool isolates = false;
    for (size_t i = 0; i < measurement->report->layer_count; i++)
        isolates = isolates || measurement->report->layers[i].has_loss;
    worker->values = calloc(elements, sizeof(float));
    worker->pixels = calloc(elements, 1);
    worker->sums = calloc(model->output_count, sizeof(*worker->sums));
    worker->isolated = isolates ? malloc(model->size) : NULL;
    if (worker->isolated)
        memcpy(worker->isolated, model->bytes, model->size);
    bool good = worker->values && worker->pixels && make_workspace(worker, &measurement->engine) &&
                worker->sums && (worker->isolated || !isolates);
    for (uint32_t i = 0; good && i < model->output_count; i++) {
        worker->sums[i] = calloc(pbit_model_output(model, i).elements, sizeof(int64_t));
        good = worker->sums[i] != NULL;
    }
    if (good && measurement->request->confidence_count)
        good = pbitc_pass_record_make(&worker->record, measurement->report->classes,
                                      measurement->request->stop_samples < PBITC_PILOT_PASSES
                                          ? PBITC_PILOT_PASSES
                                          : measurement->request->stop_samples);
    return good && make_counters(worker, measurement->report, measurement->request->batch);
}

static void add_tally(struct pbitc_tally *sum, const struct pbitc_tally *tally, size_t seeds)
{
    for (size_t seed = 0; seed < seeds; seed++)
        sum->correct[seed] += tally->correct[seed];
    sum->agreed += tally->agreed;
    sum->passes += tally->passes;
    sum->kept += tally->kept;
    for (int i = 0; i < PBITC_CALIBRATION_BINS; i++) {
        sum->bins[i].count += tally->bins[i].count;
        sum->bins[i].correct += tally->bins[i].correct;
        sum->bins[i].confidence += tally->bins[i].confidence;
    }
}

static void add_worker(struct pbitc_accuracy_report *report, const struct worker *worker)
{
    for (size_t i = 0; i < report->cell_count; i++)
        add_tally(&report->cells[i].tally, &worker->tallies[i], report->seed_count);
    for (size_t i = 0; i < report->twin_count; i++)
        add_tally(&report->twins[i].tally, &worker->tallies[report->cell_count + i], 1);
    for (size_t i = 0; i < report->stop_count; i++)
        add_tally(&report->stops[i].tally, &worker->tallies[report->cell_count + report->twin_count + i],
                  report->seed_count);
    for (size_t i = 0; i < report->layer_count; i++) {
        report->layers[i].elements += worker->counted[i].elements;
        report->layers[i].level_sum += worker->counted[i].sum;
        report->layers[i].zeros += worker->counted[i].zeros;
        report->layers[i].full += worker->counted[i].full;
        report->layers[i].loss_agreed += worker->loss_agreed[i];
    }
    for (size_t i = 0; report->has_confusion && i < report->classes * report->classes; i++)
        report->confusion[i] += worker->confusion[i];
}

/// Pixels of an image for a person to look at; NULL where there are none of a byte or they are too many.
static const uint8_t *keep_pixels(const struct pbitc_dataset *dataset, size_t image,
                                  struct pbitc_accuracy_report *report)
{
    if (report->changed_count >= PBITC_THUMBNAIL_LIMIT || !dataset->pixels ||
        report->image_height > PBITC_THUMBNAIL_SIDE || report->image_width > PBITC_THUMBNAIL_SIDE ||
        report->image_channels > PBITC_THUMBNAIL_CHANNELS)
        return NULL;
    uint8_t *pixels = pbitc_arena_allocate(
        report->arena, report->image_height * report->image_width * report->image_channels, 1);
    if (pixels)
        pbitc_dataset_pixels(dataset, image, pixels);
    return pixels;
}

static void list_changed(const struct measurement *measurement)
{
    struct pbitc_accuracy_report *report = measurement->report;
    const struct pbitc_dataset *dataset = measurement->request->dataset;
    for (size_t i = 0; i < dataset->images && measurement->float_answers; i++) {
        if (!measurement->done[i] || measurement->main_decisions[i] == measurement->float_answers[i].decision)
            continue;
        report->changed_total++;
        if (report->changed_count == PBITC_CHANGED_LIMIT)
            continue;
        const uint8_t *pixels = keep_pixels(dataset, i, report);
        report->changed[report->changed_count++] = (struct pbitc_changed_image){
            dataset->first + i, (uint32_t)dataset->labels[i], measurement->float_answers[i].decision,
            measurement->main_decisions[i], pixels};
    }
}

static enum pbit_status measure(struct measurement *measurement, struct pbitc_diagnostics *diagnostics)
{
    const struct pbitc_surface_request *request = measurement->request;
    for (int i = 0; i < request->threads; i++) {
        if (!make_worker(&measurement->workers[i], measurement))
            return pbitc_report_memory(diagnostics);
    }
    enum pbit_status status = PBIT_OK;
    for (size_t m = 0; m < request->draws_count && request->confidence_count && status == PBIT_OK; m++)
        status = find_prior(measurement, m);
    atomic_store(&measurement->status, (int)status);
    size_t batches = (measurement->count + request->batch - 1) / request->batch;
    pbitc_parallel_for(request->threads, (int64_t)batches, run_batch, measurement);
    status = (enum pbit_status)atomic_load(&measurement->status);
    if (status != PBIT_OK && status != PBIT_ERROR_STOPPED)
        return pbitc_report(diagnostics, status, NULL, NULL, 0, NULL, "running the model failed: %s",
                            pbit_status_text(status));
    for (int i = 0; i < request->threads; i++)
        add_worker(measurement->report, &measurement->workers[i]);
    list_changed(measurement);
    return status;
}

enum pbit_status pbitc_surface_measure(const struct pbitc_surface_request *request, const size_t *images,
                                       size_t count, const struct pbitc_float_answer *answers,
                                       struct pbitc_progress *progress, struct pbitc_diagnostics *diagnostics,
                                       struct pbitc_accuracy_report *report, uint8_t *done)
{
    struct measurement measurement = {
        .request = request,
        .float_answers = answers,
        .progress = progress,
        .report = report,
        .images = images,
        .count = count,
        .main_decisions = calloc(request->dataset->images, sizeof(*measurement.main_decisions)),
        .done = done,
        .priors = calloc(request->draws_count, sizeof(*measurement.priors)),
        .workers = calloc((size_t)request->threads, sizeof(struct worker)),
        .unit = pbit_model_output(request->model, 0).scale / (double)PBIT_ONE,
        .main_draws = report->main_cell / request->samples_count,
    };
    bool good = measurement.main_decisions && measurement.priors && measurement.workers;
    enum pbit_status status = good ? pbitc_engine_create(request->model, diagnostics, &measurement.engine)
                                   : pbitc_report_memory(diagnostics);
    if (status == PBIT_OK)
        status = measure(&measurement, diagnostics);
    for (int i = 0; measurement.workers && i < request->threads; i++)
        free_worker(&measurement.workers[i], report, request->model->output_count);
    pbitc_engine_destroy(&measurement.engine);
    free(measurement.main_decisions);
    free(measurement.priors);
    free(measurement.workers);
    return status;
}
