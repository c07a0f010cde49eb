#include "passes/calibration_run.h"

#include "passes/pass_support.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH = 32 };

size_t pbitc_calibration_images(const struct pbitc_context *context, size_t limit)
{
    return context->calibration->images < limit ? context->calibration->images : limit;
}

static enum pbit_status run_batches(struct pbitc_graph *graph, struct pbitc_context *context,
                                    const struct pbitc_calibration_run *run,
                                    struct pbitc_interpreter *interpreter)
{
    struct pbitc_batch batch = {.interpreter = interpreter,
                                .total = pbitc_calibration_images(context, run->images)};
    struct pbitc_tensor input = {PBITC_FLOAT32, graph->inputs[0]->shape, NULL};
    size_t elements = (size_t)pbitc_shape_elements(&input.shape) / (size_t)input.shape.dims[0];
    uint32_t passes = run->draws ? run->samples : 1;
    for (batch.first = 0; batch.first < batch.total; batch.first += batch.images) {
        batch.images = batch.total - batch.first < BATCH ? batch.total - batch.first : BATCH;
        input.shape.dims[0] = (int64_t)batch.images;
        input.data = (void *)(context->calibration->values + batch.first * elements); // read only
        for (uint32_t t = 0; t < passes; t++) {
            struct pbitc_sampling sampling = {0, batch.first, t, run->draws};
            enum pbit_status status = pbitc_interpreter_run(
                interpreter, &input, run->draws ? &sampling : NULL, context->diagnostics);
            if (status == PBIT_OK)
                status = run->function(context, &batch, run->state);
            if (status != PBIT_OK)
                return status;
        }
        enum pbit_status status =
            pbitc_progress(context, run->stage, batch.first + batch.images, batch.total);
        if (status != PBIT_OK)
            return status;
    }
    return PBIT_OK;
}

enum pbit_status pbitc_run_calibration(struct pbitc_graph *graph, struct pbitc_context *context,
                                       const struct pbitc_calibration_run *run)
{
    struct pbitc_interpreter *interpreter = NULL;
    enum pbit_status status =
        pbitc_interpreter_create(graph, context->options->threads, pbitc_arena_allocator(graph->arena),
                                 context->diagnostics, &interpreter);
    for (size_t i = 0; i < run->watched_count && status == PBIT_OK; i++)
        status = pbitc_interpreter_watch(interpreter, run->watched[i]);
    if (status == PBIT_OK)
        status = run_batches(graph, context, run, interpreter);
    pbitc_interpreter_destroy(interpreter);
    return status;
}

struct outputs {
    const struct pbitc_value *value;
    float *sum; ///< [images][elements]
    float share;
};

static enum pbit_status add_outputs(struct pbitc_context *context, const struct pbitc_batch *batch,
                                    void *state)
{
    (void)context;
    const struct outputs *outputs = state;
    const struct pbitc_tensor *y = pbitc_interpreter_value(batch->interpreter, outputs->value);
    size_t count = (size_t)pbitc_shape_elements(&y->shape);
    float *sum = outputs->sum + batch->first * (count / batch->images);
    for (size_t i = 0; i < count; i++)
        sum[i] += ((const float *)y->data)[i] * outputs->share;
    return PBIT_OK;
}

enum pbit_status pbitc_calibration_outputs(struct pbitc_graph *graph, struct pbitc_context *context,
                                           const char *stage, size_t images, uint32_t draws, uint32_t samples,
                                           float *result)
{
    struct outputs outputs = {graph->outputs[0], result, draws ? 1 / (float)samples : 1};
    size_t elements = (size_t)pbitc_shape_elements(&graph->outputs[0]->shape);
    memset(result, 0, pbitc_calibration_images(context, images) * elements * sizeof(float));
    struct pbitc_calibration_run run = {.stage = stage,
                                        .images = images,
                                        .draws = draws,
                                        .samples = samples,
                                        .function = add_outputs,
                                        .state = &outputs};
    return pbitc_run_calibration(graph, context, &run);
}

enum pbit_status pbitc_calibration_error(struct pbitc_graph *graph, struct pbitc_context *context,
                                         const char *stage, size_t images, uint32_t draws, uint32_t samples,
                                         double *error)
{
    size_t count =
        pbitc_calibration_images(context, images) * (size_t)pbitc_shape_elements(&graph->outputs[0]->shape);
    float *now = malloc((count ? count : 1) * sizeof(*now));
    if (!now)
        return pbitc_out_of_memory(context);
    enum pbit_status status = pbitc_calibration_outputs(graph, context, stage, images, draws, samples, now);
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        double difference = (double)now[i] - (double)context->float_outputs[i];
        sum += difference * difference;
    }
    free(now);
    *error = sum / (double)(count ? count : 1);
    return status;
}

double pbitc_output_power(const float *outputs, size_t count)
{
    double power = 0;
    for (size_t i = 0; i < count; i++)
        power += (double)outputs[i] * outputs[i] / (double)count;
    return power > 0 ? power : 1;
}
