#include "converter/surface.h"

#include "converter/data/readers.h"
#include "converter/report/report_tally.h"
#include "converter/surface_run.h"
#include "passes/operators/operator_support.h"
#include "runtime/format.h"

#include <stdlib.h>
#include <string.h>

/// Adds one state's answers on one image, one per seed.
static void tally_answers(const struct pbitc_surface_measurement *measurement, size_t image,
                          const struct pbitc_surface_answer *answers, const struct pbitc_accuracy_cell *cell,
                          struct pbitc_tally *tally)
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
static void tally_layers(const struct pbitc_surface_measurement *measurement,
                         struct pbitc_surface_worker *worker, const struct pbitc_surface_answer *losses)
{
    const struct pbitc_accuracy_report *report = measurement->report;
    int twin = pbitc_find_byte_twin(report);
    for (size_t i = 0; i < report->layer_count; i++) {
        const struct pbitc_level_count *levels = &worker->levels[i];
        worker->counted[i].elements += levels->elements;
        worker->counted[i].sum += levels->sum;
        worker->counted[i].zeros += levels->zeros;
        worker->counted[i].full += levels->full;
        worker->loss_agreed[i] +=
            report->layers[i].has_loss && losses[i].decision == worker->twins[twin].decision;
    }
}

/// Adds early stop number `index`'s answers on one image, beside the cell with all its passes.
static void tally_stop(const struct pbitc_surface_measurement *measurement,
                       struct pbitc_surface_worker *worker, size_t image, size_t index)
{
    const struct pbitc_surface_request *request = measurement->request;
    const struct pbitc_accuracy_report *report = measurement->report;
    size_t seeds = report->seed_count, column = 0;
    while (request->samples[column] != request->stop_samples)
        column++;
    size_t cell = index / request->confidence_count * request->samples_count + column;
    struct pbitc_tally *tally = &worker->tallies[report->cell_count + report->twin_count + index];
    for (size_t seed = 0; seed < seeds; seed++) {
        const struct pbitc_surface_stop *stop = &worker->stops[index * seeds + seed];
        worker->stopped[seed] = stop->answer;
        tally->passes += stop->passes;
        tally->kept += stop->answer.decision == worker->answers[cell * seeds + seed].decision;
    }
    tally_answers(measurement, image, worker->stopped, &report->stops[index], tally);
}

/// Adds what a complete image gave.
static void tally_image(struct pbitc_surface_measurement *measurement, struct pbitc_surface_worker *worker,
                        size_t image, const struct pbitc_surface_answer *losses)
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
    const struct pbitc_surface_answer *main_answers = &worker->answers[report->main_cell * seeds];
    uint64_t *row =
        &worker->confusion[(size_t)measurement->request->dataset->labels[image] * report->classes];
    for (size_t seed = 0; report->has_confusion && seed < seeds; seed++)
        row[main_answers[seed].decision]++;
    measurement->main_decisions[image] = main_answers[0].decision;
    measurement->done[image] = 1;
}

static void run_batch(void *state, int64_t index, int number)
{
    struct pbitc_surface_measurement *measurement = state;
    struct pbitc_surface_worker *worker = &measurement->workers[number];
    size_t left = measurement->count - (size_t)index * measurement->request->batch,
           count = left < measurement->request->batch ? left : measurement->request->batch;
    const size_t *images = measurement->images + (size_t)index * measurement->request->batch;
    if (atomic_load(&measurement->status) != PBIT_OK)
        return;
    int status = (int)pbitc_surface_run_losses(measurement, worker, images, count), expected = PBIT_OK;
    for (size_t i = 0; i < count && status == PBIT_OK; i++) {
        status = (int)pbitc_surface_run_image(measurement, worker, images[i]);
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

static void free_worker(struct pbitc_surface_worker *worker, const struct pbitc_accuracy_report *report,
                        uint32_t outputs)
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
static bool make_counters(struct pbitc_surface_worker *worker, const struct pbitc_accuracy_report *report,
                          size_t batch)
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

static bool make_worker(struct pbitc_surface_worker *worker,
                        const struct pbitc_surface_measurement *measurement)
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
    bool good = worker->values && worker->pixels &&
                pbitc_surface_make_workspace(worker, &measurement->engine) && worker->sums &&
                (worker->isolated || !isolates);
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

static void add_worker(struct pbitc_accuracy_report *report, const struct pbitc_surface_worker *worker)
{
    for (size_t i = 0; i < report->cell_count; i++)
        pbitc_tally_add(&report->cells[i].tally, &worker->tallies[i], report->seed_count);
    for (size_t i = 0; i < report->twin_count; i++)
        pbitc_tally_add(&report->twins[i].tally, &worker->tallies[report->cell_count + i], 1);
    for (size_t i = 0; i < report->stop_count; i++)
        pbitc_tally_add(&report->stops[i].tally,
                        &worker->tallies[report->cell_count + report->twin_count + i], report->seed_count);
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

static void list_changed(const struct pbitc_surface_measurement *measurement)
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

static enum pbit_status measure(struct pbitc_surface_measurement *measurement,
                                struct pbitc_diagnostics *diagnostics)
{
    const struct pbitc_surface_request *request = measurement->request;
    for (int i = 0; i < request->threads; i++) {
        if (!make_worker(&measurement->workers[i], measurement))
            return pbitc_report_memory(diagnostics);
    }
    enum pbit_status status = PBIT_OK;
    for (size_t m = 0; m < request->draws_count && request->confidence_count && status == PBIT_OK; m++)
        status = pbitc_surface_find_prior(measurement, m);
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
    struct pbitc_surface_measurement measurement = {
        .request = request,
        .float_answers = answers,
        .progress = progress,
        .report = report,
        .images = images,
        .count = count,
        .main_decisions = calloc(request->dataset->images, sizeof(*measurement.main_decisions)),
        .done = done,
        .quantiles = calloc(request->confidence_count + 1, sizeof(*measurement.quantiles)),
        .priors = calloc(request->draws_count, sizeof(*measurement.priors)),
        .workers = calloc((size_t)request->threads, sizeof(struct pbitc_surface_worker)),
        .unit = pbit_model_output(request->model, 0).scale / (double)PBIT_ONE,
        .main_draws = report->main_cell / request->samples_count,
    };
    bool good =
        measurement.main_decisions && measurement.quantiles && measurement.priors && measurement.workers;
    enum pbit_status status = good ? pbitc_engine_create(request->model, diagnostics, &measurement.engine)
                                   : pbitc_report_memory(diagnostics);
    for (size_t i = 0; i < request->confidence_count && status == PBIT_OK; i++)
        measurement.quantiles[i] = pbitc_normal_quantile(request->confidences[i]);
    if (status == PBIT_OK)
        status = measure(&measurement, diagnostics);
    for (int i = 0; measurement.workers && i < request->threads; i++)
        free_worker(&measurement.workers[i], report, request->model->output_count);
    pbitc_engine_destroy(&measurement.engine);
    free(measurement.main_decisions);
    free(measurement.quantiles);
    free(measurement.priors);
    free(measurement.workers);
    return status;
}
