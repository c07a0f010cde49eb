#include "converter/float_model.h"

#include "converter/data/readers.h"
#include "converter/report/accuracy_report.h"
#include "passes/pass_support.h"
#include "passes/row_independence.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum pbit_status pbitc_float_model_open(struct pbitc_float_model *model, struct pbitc_graph *graph,
                                        size_t batch, int threads, struct pbitc_diagnostics *diagnostics)
{
    *model = (struct pbitc_float_model){.graph = graph};
    if (graph->input_count == 0)
        return pbitc_report(diagnostics, PBIT_ERROR_UNSUPPORTED, NULL, NULL, 0, NULL,
                            "the model has no input");
    int64_t fixed = pbitc_fixed_batch(graph->inputs[0]);
    model->fixed = fixed > 0;
    model->batch = model->fixed ? (size_t)fixed : batch;
    enum pbit_status status = pbitc_infer_known_shapes(graph, (int64_t)model->batch, diagnostics);
    if (status == PBIT_OK)
        status = pbitc_interpreter_create(graph, threads, NULL, diagnostics, &model->interpreter);
    return status;
}

/// The rows of the one input, whose other dimensions are known, can be worked through in any number at once.
static bool rows_are_independent(const struct pbitc_graph *graph)
{
    return graph->input_count == 1 && pbitc_fixed_batch(graph->inputs[0]) < 0 &&
           pbitc_row_elements(&graph->inputs[0]->shape) >= 0 &&
           pbitc_rows_are_independent(graph, &graph->inputs[0]->shape);
}

/// A copy whose shapes follow the batch where the model's spell a batch of 1; NULL: that does not make it
/// independent of the batch.
static struct pbitc_graph *free_batch(const struct pbitc_graph *graph)
{
    struct pbitc_diagnostics *quiet = pbitc_diagnostics_create();
    struct pbitc_context context = {.diagnostics = quiet};
    struct pbitc_graph *copy = quiet ? pbitc_graph_clone(graph) : NULL;
    bool changed = false;
    bool free = copy && pbitc_infer_shapes(copy, 1, quiet) == PBIT_OK &&
                pbitc_symbolic_batch(copy, &context, &changed) == PBIT_OK && changed &&
                rows_are_independent(copy);
    if (!free)
        pbitc_graph_destroy(copy);
    pbitc_diagnostics_destroy(quiet);
    return free ? copy : NULL;
}

enum pbit_status pbitc_float_model_open_images(struct pbitc_float_model *model, struct pbitc_graph *graph,
                                               size_t batch, int threads,
                                               struct pbitc_diagnostics *diagnostics)
{
    bool independent = graph->input_count > 0 && rows_are_independent(graph);
    bool spells_one = !independent && graph->input_count > 0 && pbitc_fixed_batch(graph->inputs[0]) <= 1;
    struct pbitc_graph *copy = spells_one ? free_batch(graph) : NULL;
    enum pbit_status status = pbitc_float_model_open(model, copy ? copy : graph, batch, threads, diagnostics);
    model->own = copy;
    if (!independent && !copy && !model->fixed)
        model->batch = 1;
    return status;
}

void pbitc_float_model_close(struct pbitc_float_model *model)
{
    pbitc_interpreter_destroy(model->interpreter);
    pbitc_graph_destroy(model->own);
    model->interpreter = NULL;
    model->own = NULL;
}

int64_t pbitc_row_elements(const struct pbitc_shape *shape)
{
    if (shape->rank < 1)
        return shape->rank == 0 ? 1 : -1;
    struct pbitc_shape row = {.rank = shape->rank - 1};
    memcpy(row.dims, shape->dims + 1, (size_t)row.rank * sizeof(row.dims[0]));
    return pbitc_shape_elements(&row);
}

static enum pbit_status check(const struct pbitc_float_model *model, const struct pbitc_dataset *dataset,
                              struct pbitc_diagnostics *diagnostics)
{
    const struct pbitc_value *input = model->graph->inputs[0], *output = model->graph->outputs[0];
    if (model->graph->input_count != 1 || input->type != PBITC_FLOAT32)
        return pbitc_report(diagnostics, PBIT_ERROR_UNSUPPORTED, NULL, NULL, 0,
                            "measure accuracy on a model with one float32 input",
                            "the model has %zu inputs, the first of type %s", model->graph->input_count,
                            pbitc_type_name(input->type));
    if (output->type != PBITC_FLOAT32)
        return pbitc_report(diagnostics, PBIT_ERROR_UNSUPPORTED, NULL, NULL, 0,
                            "make the scores of the classes the first output",
                            "output '%s' is of type %s, not float32", output->name,
                            pbitc_type_name(output->type));
    enum pbit_status status = pbitc_dataset_check_input(
        dataset, input->name, (size_t)pbitc_row_elements(&input->shape), diagnostics);
    int64_t classes = pbitc_row_elements(&output->shape);
    return status != PBIT_OK ? status : pbitc_dataset_check_labels(dataset, (size_t)classes, diagnostics);
}

size_t pbitc_float_model_classes(const struct pbitc_float_model *model)
{
    return (size_t)pbitc_row_elements(&model->graph->outputs[0]->shape);
}

static struct pbitc_float_answer answer(const float *scores, size_t classes)
{
    double total = 0, exponentials = 0, least = 0;
    size_t best = 0;
    for (size_t i = 0; i < classes; i++) {
        best = scores[i] > scores[best] ? i : best;
        least = scores[i] < least ? scores[i] : least;
        total += scores[i];
    }
    for (size_t i = 0; i < classes; i++)
        exponentials += exp((double)scores[i] - scores[best]);
    bool distribution = least >= 0 && fabs(total - 1) < 1e-3;
    double confidence = distribution ? scores[best] : 1 / exponentials;
    return (struct pbitc_float_answer){(uint32_t)best, pbitc_confidence_units(confidence)};
}

/// Runs on images[0..count-1]. A model with a fixed batch gets its last row again to fill it up.
static enum pbit_status answer_batch(struct pbitc_float_model *model, const struct pbitc_dataset *dataset,
                                     const size_t *images, size_t count, float *values,
                                     struct pbitc_diagnostics *diagnostics,
                                     struct pbitc_float_answer *answers)
{
    size_t rows = model->fixed ? model->batch : count;
    for (size_t row = 0; row < rows; row++)
        pbitc_dataset_image(dataset, images[row < count ? row : count - 1], values + row * dataset->elements);
    struct pbitc_tensor input = {PBITC_FLOAT32, model->graph->inputs[0]->shape, values};
    input.shape.dims[0] = (int64_t)rows;
    enum pbit_status status = pbitc_interpreter_run(model->interpreter, &input, NULL, diagnostics);
    if (status != PBIT_OK)
        return status;
    const struct pbitc_tensor *output = pbitc_interpreter_value(model->interpreter, model->graph->outputs[0]);
    if (output->shape.rank < 1 || output->shape.dims[0] != (int64_t)rows)
        return pbitc_report(diagnostics, PBIT_ERROR_UNSUPPORTED, NULL, NULL, 0,
                            "make the scores of the classes, one row per image, the first output",
                            "output '%s' does not have one row per image", model->graph->outputs[0]->name);
    size_t classes = (size_t)pbitc_row_elements(&output->shape);
    for (size_t row = 0; row < count; row++)
        answers[images[row]] = answer((const float *)output->data + row * classes, classes);
    return PBIT_OK;
}

enum pbit_status pbitc_float_model_answer(struct pbitc_float_model *model,
                                          const struct pbitc_dataset *dataset, const size_t *images,
                                          size_t count, struct pbitc_progress *progress,
                                          struct pbitc_diagnostics *diagnostics,
                                          struct pbitc_float_answer *answers)
{
    enum pbit_status status = check(model, dataset, diagnostics);
    if (status != PBIT_OK)
        return status;
    float *values = calloc(model->batch, dataset->elements * sizeof(float));
    if (!values)
        return pbitc_report_memory(diagnostics);
    for (size_t done = 0; done < count && status == PBIT_OK; done += model->batch) {
        size_t left = count - done;
        if (!pbitc_progress_show(progress, "float model", done, count))
            status = PBIT_ERROR_STOPPED;
        else
            status = answer_batch(model, dataset, images + done, left < model->batch ? left : model->batch,
                                  values, diagnostics, answers);
    }
    free(values);
    return status;
}
