#include "converter/bench/bench.h"

#include "converter/data/readers.h"
#include "converter/interrupt.h"
#include "converter/statistics.h"
#include "passes/clock.h"
#include "passes/operators/operator_support.h"
#include "passes/operators/processor.h"
#include "runtime/format.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    IMAGES = 64, ///< different ones; larger batches repeat them
    MOST_REPETITIONS = 201,
};
/// Shorter runs are repeated within one measurement: the clock needs some nanoseconds itself. Longer ones
/// would only be disturbed more often by what else the machine does.
static const double least_seconds = 1e-4;
/// Several threads: between two measurements they fell asleep, and to wake one up may take some milliseconds.
static const double wake_seconds = 5e-2;

struct worker {
    void *workspace;
    const uint8_t **inputs; ///< [images at once][inputs]
    int64_t **sums;         ///< [images at once][outputs]
};

/// The repetitions of one cell, seconds per image.
struct record {
    size_t calls, repetitions; ///< calls: in one repetition
    double *whole;             ///< [repetitions]
    double *layers;            ///< [operations][repetitions], on one thread
};

struct measurement {
    struct pbitc_bench *bench;
    struct pbitc_engine engine;
    uint8_t *images[IMAGES * PBIT_PORTS_LIMIT]; ///< [image][inputs]
    struct worker *workers;
    size_t workspace_bytes; ///< of a worker
    struct record records[PBITC_BENCH_CELLS];
    const struct pbitc_bench_cell *cell; ///< that runs
    _Atomic int status;                  ///< enum pbit_status of what runs
};

static size_t at_once(const struct pbitc_bench_cell *cell)
{
    return cell->batch < PBITC_IMAGES_AT_ONCE ? cell->batch : PBITC_IMAGES_AT_ONCE;
}

static size_t image_pieces(const struct pbitc_bench_cell *cell)
{
    return (cell->batch + PBITC_IMAGES_AT_ONCE - 1) / PBITC_IMAGES_AT_ONCE;
}

/// With fewer pieces than threads, these share the layers of each piece instead.
static bool shares_layers(const struct pbitc_bench *bench, const struct pbitc_bench_cell *cell)
{
    return image_pieces(cell) < (size_t)bench->threads;
}

static uint32_t threads_of_run(const struct pbitc_bench *bench, const struct pbitc_bench_cell *cell)
{
    return shares_layers(bench, cell) ? (uint32_t)bench->threads : 1;
}

// ---- memory

static bool make_images(struct measurement *measurement)
{
    const struct pbit_model *model = measurement->bench->model;
    uint32_t random = 1;
    for (size_t i = 0; i < IMAGES * model->input_count; i++) {
        size_t elements = pbit_model_input(model, (uint32_t)(i % model->input_count)).elements;
        measurement->images[i] = malloc(elements);
        if (!measurement->images[i])
            return false;
        for (size_t j = 0; j < elements; j++) {
            random = random * 1664525 + 1013904223;
            measurement->images[i][j] = (uint8_t)(random >> 24);
        }
    }
    return true;
}

static bool make_worker(const struct measurement *measurement, struct worker *worker)
{
    const struct pbit_model *model = measurement->bench->model;
    size_t outputs = PBITC_IMAGES_AT_ONCE * (size_t)model->output_count;
    worker->workspace = pbitc_engine_allocate(measurement->workspace_bytes);
    worker->inputs = calloc(PBITC_IMAGES_AT_ONCE * (size_t)model->input_count, sizeof(*worker->inputs));
    worker->sums = calloc(outputs, sizeof(*worker->sums));
    bool good = worker->workspace && worker->inputs && worker->sums;
    for (size_t i = 0; good && i < outputs; i++) {
        struct pbit_port port = pbit_model_output(model, (uint32_t)(i % model->output_count));
        worker->sums[i] = calloc(port.elements, sizeof(int64_t));
        good = worker->sums[i] != NULL;
    }
    return good;
}

static bool make_record(struct measurement *measurement, size_t index)
{
    struct pbitc_bench_cell *cell = &measurement->bench->cells[index];
    size_t operations = measurement->bench->model->operation_count;
    struct record *record = &measurement->records[index];
    record->whole = calloc(MOST_REPETITIONS, sizeof(double));
    record->layers = calloc(operations * MOST_REPETITIONS, sizeof(double));
    cell->layers = calloc(operations, sizeof(*cell->layers));
    return record->whole && record->layers && cell->layers;
}

static bool make_memory(struct measurement *measurement)
{
    const struct pbitc_bench *bench = measurement->bench;
    for (size_t i = 0; i < bench->cell_count; i++) {
        size_t bytes = pbit_engine_workspace_bytes(measurement->engine.engine, at_once(&bench->cells[i]),
                                                   threads_of_run(bench, &bench->cells[i]));
        if (bytes > measurement->workspace_bytes)
            measurement->workspace_bytes = bytes;
    }
    measurement->workers = calloc((size_t)bench->threads, sizeof(*measurement->workers));
    bool good = measurement->workers && make_images(measurement);
    for (int i = 0; good && i < bench->threads; i++)
        good = make_worker(measurement, &measurement->workers[i]);
    for (size_t i = 0; good && i < bench->cell_count; i++)
        good = make_record(measurement, i);
    return good;
}

static void free_memory(struct measurement *measurement)
{
    const struct pbitc_bench *bench = measurement->bench;
    for (size_t i = 0; i < IMAGES * PBIT_PORTS_LIMIT; i++)
        free(measurement->images[i]);
    for (int i = 0; measurement->workers && i < bench->threads; i++) {
        struct worker *worker = &measurement->workers[i];
        for (size_t o = 0; worker->sums && o < PBITC_IMAGES_AT_ONCE * (size_t)bench->model->output_count; o++)
            free(worker->sums[o]);
        free(worker->sums);
        free(worker->inputs);
        free(worker->workspace);
    }
    free(measurement->workers);
    for (size_t i = 0; i < bench->cell_count; i++) {
        free(measurement->records[i].whole);
        free(measurement->records[i].layers);
    }
    pbitc_engine_destroy(&measurement->engine);
}

// ---- runs

static void run_images(struct measurement *measurement, size_t first, size_t count, struct worker *worker,
                       struct pbit_options options)
{
    const struct pbit_model *model = measurement->bench->model;
    options.draws = measurement->cell->draws;
    options.image = first;
    for (size_t i = 0; i < count * model->input_count; i++)
        worker->inputs[i] =
            measurement->images[(first * model->input_count + i) % (IMAGES * model->input_count)];
    int status = (int)pbit_engine_run(measurement->engine.engine, &options, count, worker->inputs,
                                      worker->sums, worker->workspace, measurement->workspace_bytes);
    int expected = PBIT_OK;
    atomic_compare_exchange_strong(&measurement->status, &expected, status);
}

static void run_piece(void *state, int64_t index, int number)
{
    struct measurement *measurement = state;
    const struct pbitc_bench_cell *cell = measurement->cell;
    size_t first = (size_t)index * PBITC_IMAGES_AT_ONCE, count = cell->batch - first;
    count = count < PBITC_IMAGES_AT_ONCE ? count : PBITC_IMAGES_AT_ONCE;
    run_images(measurement, first, count, &measurement->workers[number],
               (struct pbit_options){.samples = cell->samples,
                                     .threads = threads_of_run(measurement->bench, cell),
                                     .share = pbitc_engine_share});
}

static void run_batch(struct measurement *measurement)
{
    const struct pbitc_bench_cell *cell = measurement->cell;
    int threads = shares_layers(measurement->bench, cell) ? 1 : measurement->bench->threads;
    pbitc_parallel_for(threads, (int64_t)image_pieces(cell), run_piece, measurement);
}

/// Seconds per image of some calls with all threads.
static double time_calls(struct measurement *measurement, size_t calls)
{
    const struct pbitc_bench_cell *cell = measurement->cell;
    double start = pbitc_clock_seconds();
    while (measurement->bench->threads > 1 && pbitc_clock_seconds() - start < wake_seconds &&
           !pbitc_interrupted())
        run_batch(measurement);
    start = pbitc_clock_seconds();
    for (size_t i = 0; i < calls && !pbitc_interrupted(); i++)
        run_batch(measurement);
    return (pbitc_clock_seconds() - start) / (double)(calls * cell->batch);
}

struct stopwatch {
    double *seconds;                  ///< [operations]
    struct pbitc_bench_layer *layers; ///< [operations]
    double since;
};

static void stop_operation(void *state, uint32_t operation, uint32_t done_by, const char *instruction)
{
    struct stopwatch *stopwatch = state;
    double now = pbitc_clock_seconds();
    if (stopwatch->seconds[operation] == 0) { // later blocks may have too few passes left for the same way
        stopwatch->layers[operation].done_by = done_by;
        if (instruction)
            stopwatch->layers[done_by].instruction = instruction;
    }
    stopwatch->seconds[operation] += now - stopwatch->since;
    stopwatch->since = now;
}

/// Seconds per image of every operation, on this thread. seconds: [operations].
static void time_layers(struct measurement *measurement, size_t calls, double *seconds)
{
    struct stopwatch stopwatch = {.seconds = seconds, .layers = measurement->cell->layers};
    size_t count = at_once(measurement->cell), operations = measurement->bench->model->operation_count;
    memset(seconds, 0, operations * sizeof(*seconds));
    for (size_t i = 0; i < calls && !pbitc_interrupted(); i++) {
        stopwatch.since = pbitc_clock_seconds();
        run_images(measurement, 0, count, &measurement->workers[0],
                   (struct pbit_options){.samples = measurement->cell->samples,
                                         .after_operation = stop_operation,
                                         .state = &stopwatch});
    }
    for (size_t i = 0; i < operations; i++)
        seconds[i] /= (double)(calls * count);
}

/// Runs the cell once to warm up, and plans calls and repetitions: half of the time is for layers.
static void plan_cell(struct measurement *measurement, size_t index)
{
    const struct pbitc_bench *bench = measurement->bench;
    struct record *record = &measurement->records[index];
    measurement->cell = &bench->cells[index];
    time_calls(measurement, 1);
    double once = time_calls(measurement, 1) * (double)measurement->cell->batch, half = bench->seconds / 2;
    record->calls = once < least_seconds ? (size_t)(least_seconds / once) + 1 : 1;
    double repetitions = half / (once * (double)record->calls + (bench->threads > 1 ? wake_seconds : 0));
    record->repetitions = repetitions < PBITC_BENCH_REPETITIONS ? PBITC_BENCH_REPETITIONS
                          : repetitions > MOST_REPETITIONS      ? MOST_REPETITIONS
                                                                : (size_t)repetitions;
}

static void repeat_cell(struct measurement *measurement, size_t index, size_t repetition, double *seconds)
{
    struct record *record = &measurement->records[index];
    measurement->cell = &measurement->bench->cells[index];
    pbitc_bench_peaks_measure(&measurement->bench->peaks, measurement->bench->cpu);
    record->whole[repetition] = time_calls(measurement, record->calls);
    time_layers(measurement, record->calls, seconds);
    for (size_t i = 0; i < measurement->bench->model->operation_count; i++)
        record->layers[i * MOST_REPETITIONS + repetition] = seconds[i];
}

/// Repetitions take turns among the cells, so that what disturbs the machine for a while hits all alike.
static enum pbit_status run_cells(struct measurement *measurement)
{
    const struct pbitc_bench *bench = measurement->bench;
    double *seconds = calloc(bench->model->operation_count, sizeof(*seconds));
    size_t total = 0, done = 0;
    for (size_t i = 0; seconds && i < bench->cell_count && !pbitc_interrupted(); i++) {
        plan_cell(measurement, i);
        total += measurement->records[i].repetitions;
    }
    for (size_t repetition = 0; seconds && repetition < MOST_REPETITIONS; repetition++)
        for (size_t i = 0; i < bench->cell_count && !pbitc_interrupted(); i++)
            if (repetition < measurement->records[i].repetitions) {
                repeat_cell(measurement, i, repetition, seconds);
                pbitc_progress_show(bench->progress, "bench", ++done, total);
            }
    free(seconds);
    if (!seconds)
        return PBIT_ERROR_MEMORY;
    return pbitc_interrupted() ? PBIT_ERROR_STOPPED : (enum pbit_status)atomic_load(&measurement->status);
}

// ---- results

static void conclude_cell(const struct measurement *measurement, size_t index)
{
    const struct pbit_model *model = measurement->bench->model;
    const struct record *record = &measurement->records[index];
    struct pbitc_bench_cell *cell = &measurement->bench->cells[index];
    uint32_t threads = threads_of_run(measurement->bench, cell);
    size_t busy = threads > 1 ? 1 : (size_t)measurement->bench->threads;
    cell->seconds = pbitc_median(record->whole, record->repetitions);
    cell->repetitions = record->repetitions;
    cell->workspace_bytes =
        busy * pbit_engine_workspace_bytes(measurement->engine.engine, at_once(cell), threads);
    for (uint32_t i = 0; i < model->operation_count; i++) {
        struct pbit_layer layer = pbit_model_layer(model, i);
        cell->layers[i].seconds =
            pbitc_median(&record->layers[(size_t)i * MOST_REPETITIONS], record->repetitions);
        if (layer.kind == PBIT_OPERATION_CONV)
            cell->layers[cell->layers[i].done_by].macs += layer.synapses * (layer.random ? cell->samples : 1);
    }
}

/// Faster than the processor can be: then the clock or the measurement is wrong, and no figure is worth
/// printing.
static enum pbit_status check_ceilings(const struct pbitc_bench *bench, struct pbitc_diagnostics *diagnostics)
{
    for (size_t i = 0; i < bench->cell_count; i++)
        for (uint32_t j = 0; j < bench->model->operation_count; j++) {
            const struct pbitc_bench_layer *layer = &bench->cells[i].layers[j];
            double ceiling = layer->instruction ? pbitc_bench_ceiling(&bench->peaks, layer->instruction) : 0;
            if (ceiling > 0 && (double)layer->macs > ceiling * layer->seconds)
                return pbitc_report(diagnostics, PBIT_ERROR_INTERNAL, pbit_model_layer(bench->model, j).name,
                                    NULL, 0, "measure again while the machine is idle",
                                    "measured faster than %s can be on this processor", layer->instruction);
        }
    return PBIT_OK;
}

enum pbit_status pbitc_bench_measure(struct pbitc_bench *bench, struct pbitc_diagnostics *diagnostics)
{
    struct measurement *measurement = calloc(1, sizeof(*measurement));
    if (!measurement)
        return pbitc_report_memory(diagnostics);
    measurement->bench = bench;
    bench->cpu = pbitc_processor();
    bench->engine_bytes = pbit_engine_bytes(bench->model, bench->cpu);
    enum pbit_status status = pbitc_engine_create(bench->model, diagnostics, &measurement->engine);
    if (status == PBIT_OK)
        status = make_memory(measurement) ? run_cells(measurement) : PBIT_ERROR_MEMORY;
    if (status == PBIT_ERROR_MEMORY)
        pbitc_report_memory(diagnostics);
    for (size_t i = 0; i < bench->cell_count && status == PBIT_OK; i++)
        conclude_cell(measurement, i);
    free_memory(measurement);
    free(measurement);
    return status == PBIT_OK ? check_ceilings(bench, diagnostics) : status;
}

void pbitc_bench_free(struct pbitc_bench *bench)
{
    for (size_t i = 0; i < bench->cell_count; i++)
        free(bench->cells[i].layers);
}

double pbitc_bench_further_sample(const struct pbitc_bench *bench, const struct pbitc_bench_cell *cell)
{
    const struct pbitc_bench_cell *first = NULL, *last = NULL;
    for (size_t i = 0; i < bench->cell_count; i++) {
        const struct pbitc_bench_cell *other = &bench->cells[i];
        if (other->draws != cell->draws || other->batch != cell->batch)
            continue;
        if (other->samples == 1)
            first = other;
        if (!last || other->samples > last->samples)
            last = other;
    }
    if (!first || last == first)
        return NAN;
    return (last->seconds - first->seconds) / (last->samples - 1) / first->seconds;
}
