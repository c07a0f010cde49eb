#include "converter/surface.h"

#include "converter/data/readers.h"
#include "converter/interrupt.h"
#include "passes/operators/operator_support.h"

#include <stdatomic.h>
#include <stdlib.h>

/// What one thread needs; nothing of it is shared.
struct worker {
    float *values;   ///< one image, preprocessed
    uint8_t *pixels; ///< the same as the model takes it
    int64_t **sums;  ///< per output
    void *workspace;
    size_t workspace_bytes;
    struct pbitc_count *counts;
};

struct measurement {
    const struct pbitc_surface_request *request;
    struct pbitc_progress *progress;
    struct worker *workers;
    size_t classes;
    _Atomic size_t done;
    _Atomic int status; ///< enum pbit_status, the first that is not PBIT_OK
};

/// One image with one seed and one m, whose passes pbit_run reports.
struct trial {
    struct measurement *measurement;
    struct worker *worker;
    size_t image, draws, seed;
};

size_t pbitc_surface_index(const struct pbitc_surface_request *request, size_t draws, size_t samples,
                           size_t seed)
{
    return (draws * request->samples_count + samples) * request->seed_count + seed;
}

static uint32_t largest(const int64_t *sums, size_t classes)
{
    size_t best = 0;
    for (size_t i = 1; i < classes; i++) {
        if (sums[i] > sums[best])
            best = i;
    }
    return (uint32_t)best;
}

static void count_decision(const struct trial *trial, size_t samples, const int64_t *sums)
{
    const struct pbitc_surface_request *request = trial->measurement->request;
    uint32_t decision = largest(sums, trial->measurement->classes);
    struct pbitc_count *count =
        &trial->worker->counts[pbitc_surface_index(request, trial->draws, samples, trial->seed)];
    count->correct += decision == (uint64_t)request->dataset->labels[trial->image];
    count->agreed += request->float_decisions && decision == request->float_decisions[trial->image];
}

/// After `done` passes of a longer run: every T of the list that is reached has its answer.
static int after_sample(void *state, uint32_t done, int64_t *const *sums)
{
    const struct trial *trial = state;
    const struct pbitc_surface_request *request = trial->measurement->request;
    for (size_t i = 0; i < request->samples_count; i++) {
        if (request->samples[i] == done)
            count_decision(trial, i, sums[0]);
    }
    return pbitc_interrupted();
}

static enum pbit_status run_trial(struct trial *trial)
{
    struct measurement *measurement = trial->measurement;
    const struct pbitc_surface_request *request = measurement->request;
    struct worker *worker = trial->worker;
    struct pbit_options options = {.seed = request->first_seed + trial->seed,
                                   .image = request->dataset->first + trial->image,
                                   .draws = request->draws[trial->draws],
                                   .after_sample = after_sample,
                                   .state = trial};
    const uint8_t *inputs[] = {worker->pixels};
    for (size_t i = 0; i < request->samples_count; i++)
        options.samples = request->samples[i] > options.samples ? request->samples[i] : options.samples;
    return pbit_run(request->model, &options, inputs, worker->sums, worker->workspace,
                    worker->workspace_bytes);
}

static enum pbit_status run_image(struct measurement *measurement, struct worker *worker, size_t image)
{
    const struct pbitc_surface_request *request = measurement->request;
    pbitc_dataset_image(request->dataset, image, worker->values);
    pbit_input_quantize(request->model, 0, worker->values, worker->pixels);
    for (size_t seed = 0; seed < request->seed_count; seed++) {
        for (size_t draws = 0; draws < request->draws_count; draws++) {
            struct trial trial = {measurement, worker, image, draws, seed};
            enum pbit_status status = pbitc_interrupted() ? PBIT_ERROR_STOPPED : run_trial(&trial);
            if (status != PBIT_OK)
                return status;
        }
    }
    return PBIT_OK;
}

static void run_batch(void *state, int64_t index, int number)
{
    struct measurement *measurement = state;
    size_t images = measurement->request->dataset->images, batch = measurement->request->batch;
    size_t first = (size_t)index * batch, end = first + batch < images ? first + batch : images;
    for (size_t image = first; image < end && atomic_load(&measurement->status) == PBIT_OK; image++) {
        int status = (int)run_image(measurement, &measurement->workers[number], image), expected = PBIT_OK;
        if (status != PBIT_OK)
            atomic_compare_exchange_strong(&measurement->status, &expected, status);
        size_t done = atomic_fetch_add(&measurement->done, 1) + 1;
        if (number == 0) // the calling thread draws the bar
            pbitc_progress_show(measurement->progress, "p-bits", done, images);
    }
}

static void free_worker(struct worker *worker, uint32_t outputs)
{
    for (uint32_t i = 0; worker->sums && i < outputs; i++)
        free(worker->sums[i]);
    free(worker->sums);
    free(worker->values);
    free(worker->pixels);
    free(worker->workspace);
    free(worker->counts);
}

static bool make_worker(struct worker *worker, const struct pbit_model *model, size_t elements, size_t counts)
{
    worker->workspace_bytes = (pbit_workspace_bytes(model) + 16) & ~(size_t)15;
    worker->values = calloc(elements, sizeof(float));
    worker->pixels = calloc(elements, 1);
    worker->workspace = aligned_alloc(16, worker->workspace_bytes);
    worker->counts = calloc(counts, sizeof(*worker->counts));
    worker->sums = calloc(model->output_count, sizeof(*worker->sums));
    bool good = worker->values && worker->pixels && worker->workspace && worker->counts && worker->sums;
    for (uint32_t i = 0; good && i < model->output_count; i++) {
        worker->sums[i] = calloc(pbit_model_output(model, i).elements, sizeof(int64_t));
        good = worker->sums[i] != NULL;
    }
    return good;
}

static enum pbit_status check(const struct pbitc_surface_request *request,
                              struct pbitc_diagnostics *diagnostics)
{
    if (request->model->input_count != 1)
        return pbitc_report(
            diagnostics, PBIT_ERROR_UNSUPPORTED, NULL, NULL, 0, "use 'pbitc run' for such files",
            "accuracy is measured on files with one input, this one has %u", request->model->input_count);
    struct pbit_port input = pbit_model_input(request->model, 0),
                     output = pbit_model_output(request->model, 0);
    enum pbit_status status =
        pbitc_dataset_check_input(request->dataset, input.name, input.elements, diagnostics);
    enum pbit_status labels = pbitc_dataset_check_labels(request->dataset, output.elements, diagnostics);
    return status != PBIT_OK ? status : labels;
}

static enum pbit_status measure(struct measurement *measurement, int threads, size_t counts_size,
                                struct pbitc_diagnostics *diagnostics, struct pbitc_count *counts)
{
    const struct pbitc_surface_request *request = measurement->request;
    for (int i = 0; i < threads; i++) {
        if (!make_worker(&measurement->workers[i], request->model, request->dataset->elements, counts_size))
            return pbitc_report_memory(diagnostics);
    }
    size_t batches = (request->dataset->images - 1) / request->batch + 1;
    pbitc_parallel_for(threads, (int64_t)batches, run_batch, measurement);
    enum pbit_status status = (enum pbit_status)atomic_load(&measurement->status);
    if (status != PBIT_OK && status != PBIT_ERROR_STOPPED)
        return pbitc_report(diagnostics, status, NULL, NULL, 0, NULL, "running the model failed: %s",
                            pbit_status_text(status));
    for (size_t i = 0; i < counts_size; i++) {
        counts[i] = (struct pbitc_count){0, 0};
        for (int worker = 0; worker < threads; worker++) {
            counts[i].correct += measurement->workers[worker].counts[i].correct;
            counts[i].agreed += measurement->workers[worker].counts[i].agreed;
        }
    }
    return status;
}

enum pbit_status pbitc_surface_measure(const struct pbitc_surface_request *request,
                                       struct pbitc_progress *progress, struct pbitc_diagnostics *diagnostics,
                                       struct pbitc_count *counts)
{
    enum pbit_status status = check(request, diagnostics);
    if (status != PBIT_OK)
        return status;
    struct measurement measurement = {
        .request = request,
        .progress = progress,
        .classes = pbit_model_output(request->model, 0).elements,
        .workers = calloc((size_t)request->threads, sizeof(struct worker)),
    };
    if (!measurement.workers)
        return pbitc_report_memory(diagnostics);
    status =
        measure(&measurement, request->threads,
                request->draws_count * request->samples_count * request->seed_count, diagnostics, counts);
    for (int i = 0; i < request->threads; i++)
        free_worker(&measurement.workers[i], request->model->output_count);
    free(measurement.workers);
    return status;
}
