#include "passes/blame.h"

#include "passes/calibration_run.h"
#include "passes/pass_support.h"
#include "runtime/format.h"

#include <math.h>
#include <string.h>

enum { IMAGES = 256 };

struct pbitc_blame {
    size_t images, outputs;
    float *baseline; ///< [images][outputs]
    float *current;
};

static enum pbit_status measure_graph(const struct pbitc_blame *blame, struct pbitc_graph *graph,
                                      struct pbitc_context *context, float *result)
{
    return pbitc_calibration_outputs(graph, context, "blame", blame->images, context->options->draws,
                                     context->options->samples, result);
}

/// The same by libpbit on the finished file.
static enum pbit_status measure_file(const struct pbitc_blame *blame, struct pbitc_graph *graph,
                                     struct pbitc_context *context)
{
    struct pbit_model model;
    enum pbit_status status = pbit_model_open(&model, context->file, context->file_bytes);
    if (status != PBIT_OK)
        return status;
    struct pbit_port input = pbit_model_input(&model, 0);
    size_t workspace_bytes = pbit_workspace_bytes(&model);
    uint8_t *pixels = pbitc_arena_allocate(graph->arena, input.elements, 1);
    void *workspace = pbitc_arena_allocate(graph->arena, workspace_bytes, 1);
    int64_t *sums[PBIT_PORTS_LIMIT];
    for (uint32_t o = 0; o < model.output_count; o++)
        if (!(sums[o] =
                  pbitc_arena_allocate(graph->arena, pbit_model_output(&model, o).elements, sizeof(int64_t))))
            return pbitc_out_of_memory(context);
    if (!pixels || !workspace)
        return pbitc_out_of_memory(context);
    for (size_t n = 0; n < blame->images && status == PBIT_OK; n++) {
        struct pbit_options options = {.image = n};
        pbit_input_quantize(&model, 0, context->calibration->values + n * input.elements, pixels);
        status =
            pbit_run(&model, &options, (const uint8_t *const[]){pixels}, sums, workspace, workspace_bytes);
        if (status == PBIT_OK)
            pbit_output_float(&model, 0, sums[0], context->options->samples,
                              blame->current + n * blame->outputs);
    }
    return status;
}

enum pbit_status pbitc_blame_create(struct pbitc_graph *graph, struct pbitc_context *context,
                                    struct pbitc_blame **blame)
{
    size_t images = context->calibration->images < IMAGES ? context->calibration->images : IMAGES;
    size_t outputs = (size_t)pbitc_shape_elements(&graph->outputs[0]->shape);
    struct pbitc_blame *made = pbitc_arena_allocate(graph->arena, 1, sizeof(*made));
    if (!made)
        return pbitc_out_of_memory(context);
    *made = (struct pbitc_blame){images, outputs,
                                 pbitc_arena_allocate(graph->arena, images * outputs, sizeof(float)),
                                 pbitc_arena_allocate(graph->arena, images * outputs, sizeof(float))};
    if (!made->baseline || !made->current)
        return pbitc_out_of_memory(context);
    *blame = made;
    fprintf(context->options->talk,
            "blame: output 0 against the float network, %zu calibration images, m = %u, T = %u\n", images,
            context->options->draws, context->options->samples);
    return measure_graph(made, graph, context, made->baseline);
}

static size_t top1(const float *values, size_t count)
{
    size_t best = 0;
    for (size_t i = 1; i < count; i++)
        if (values[i] > values[best])
            best = i;
    return best;
}

enum pbit_status pbitc_blame_print(struct pbitc_blame *blame, struct pbitc_graph *graph,
                                   struct pbitc_context *context, const char *pass)
{
    enum pbit_status status = context->file ? measure_file(blame, graph, context)
                                            : measure_graph(blame, graph, context, blame->current);
    if (status != PBIT_OK)
        return status;
    double error = 0, power = 0;
    size_t same = 0;
    for (size_t n = 0; n < blame->images; n++) {
        const float *now = blame->current + n * blame->outputs,
                    *before = blame->baseline + n * blame->outputs;
        for (size_t i = 0; i < blame->outputs; i++) {
            error += (double)(now[i] - before[i]) * (now[i] - before[i]);
            power += (double)before[i] * before[i];
        }
        same += top1(now, blame->outputs) == top1(before, blame->outputs);
    }
    fprintf(context->options->talk, "blame: %-18s relative error %.4f, same decision %.4f\n", pass,
            power > 0 ? sqrt(error / power) : sqrt(error), (double)same / (double)blame->images);
    return PBIT_OK;
}
