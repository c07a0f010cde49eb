#include "passes/blame.h"

#include "passes/blame_layers.h"
#include "passes/calibration_run.h"
#include "passes/pass_support.h"
#include "runtime/format.h"

#include <string.h>

enum { IMAGES = 256 };

struct pbitc_blame {
    size_t images, outputs;
    float *baseline; ///< [images][outputs]
    float *current;
    struct pbitc_blame_copies *copies; ///< NULL before quantize-weights
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
                                 pbitc_arena_allocate(graph->arena, images * outputs, sizeof(float)), NULL};
    if (!made->baseline || !made->current)
        return pbitc_out_of_memory(context);
    *blame = made;
    fprintf(context->options->talk,
            "blame: output 0 against the float network, %zu calibration images, m = %u, T = %u\n", images,
            context->options->draws, context->options->samples);
    return measure_graph(made, graph, context, made->baseline);
}

static void print_line(FILE *stream, const struct pbitc_blame_line *line, int width)
{
    bool pass = strcmp(line->cause, "pass") == 0;
    fprintf(stream, "blame: ");
    if (!pass)
        fprintf(stream, "%-8s", line->cause);
    fprintf(stream, "%-*s relative error %.4f, same decision %.4f%s%s\n", width, line->name,
            line->relative_error, line->agreement, line->hint ? "; recipe: " : "",
            line->hint ? line->hint : "");
}

enum pbit_status pbitc_blame_pass(struct pbitc_blame *blame, struct pbitc_graph *graph,
                                  struct pbitc_context *context, const char *pass)
{
    enum pbit_status status = context->file ? measure_file(blame, graph, context)
                                            : measure_graph(blame, graph, context, blame->current);
    struct pbitc_blame_line *line = pbitc_arena_allocate(graph->arena, 1, sizeof(*line)),
                            **end = &context->blame;
    if (status != PBIT_OK || !line)
        return status != PBIT_OK ? status : pbitc_out_of_memory(context);
    *line = (struct pbitc_blame_line){.cause = "pass", .name = pass};
    pbitc_blame_compare(blame->baseline, blame->current, blame->images, blame->outputs, line);
    while (*end)
        end = &(*end)->next;
    *end = line;
    print_line(context->options->talk, line, 18);
    return PBIT_OK;
}

enum pbit_status pbitc_blame_copy(struct pbitc_blame *blame, struct pbitc_graph *graph,
                                  struct pbitc_context *context)
{
    return pbitc_blame_copies_create(graph, context, &blame->copies);
}

enum pbit_status pbitc_blame_finish(struct pbitc_blame *blame, struct pbitc_graph *graph,
                                    struct pbitc_context *context)
{
    FILE *talk = context->options->talk;
    struct pbitc_blame_line *last = context->blame;
    while (last && last->next)
        last = last->next;
    if (!blame->copies || !last)
        return PBIT_OK;
    fprintf(talk, "blame: now layer by layer, all else exact\n");
    enum pbit_status status =
        pbitc_blame_layers(blame->copies, graph, context, blame->baseline, blame->images, blame->outputs);
    int width = 0;
    for (const struct pbitc_blame_line *line = last->next; line; line = line->next)
        width = (int)strlen(line->name) > width ? (int)strlen(line->name) : width;
    for (const struct pbitc_blame_line *line = last->next; line && status == PBIT_OK; line = line->next)
        print_line(talk, line, width);
    return status;
}

void pbitc_blame_destroy(struct pbitc_blame *blame)
{
    if (blame)
        pbitc_blame_copies_destroy(blame->copies);
}
