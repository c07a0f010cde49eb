// pbitc run with an ONNX model: rows go through the float interpreter, as many at once as the model allows.
#include "converter/data/readers.h"
#include "converter/float_model.h"
#include "converter/run_job.h"
#include "converter/threads.h"
#include "passes/row_independence.h"

#include <stdlib.h>
#include <string.h>

/// Rows per run where the model leaves the batch open, and the rows are proved to be independent.
enum { ROWS_AT_ONCE = 64 };

static size_t row_bytes(const struct pbitc_tensor *tensor)
{
    return (size_t)pbitc_row_elements(&tensor->shape) * pbitc_type_bytes(tensor->type);
}

/// Appends the rows of one run's output. What is not made of rows can only come out of a single run.
static enum pbit_status collect_output(struct pbitc_run_job *job, size_t index,
                                       const struct pbitc_tensor *part, size_t rows, size_t done)
{
    struct pbitc_tensor *all = &job->outputs[index];
    bool stacked = rows != job->rows;
    if (stacked && (part->shape.rank < 1 || part->shape.dims[0] != (int64_t)rows ||
                    (done && row_bytes(part) != row_bytes(all))))
        return pbitc_report(job->diagnostics, PBIT_ERROR_UNSUPPORTED, job->output_names[index], NULL, 0,
                            "run the rows one by one", "does not have one row per row of the inputs");
    size_t bytes = (size_t)pbitc_shape_elements(&part->shape) * pbitc_type_bytes(part->type);
    if (done == 0) {
        *all = (struct pbitc_tensor){.type = part->type, .shape = part->shape};
        if (stacked)
            all->shape.dims[0] = (int64_t)job->rows;
        all->data = malloc((stacked ? job->rows * row_bytes(part) : bytes) + 1);
        if (!all->data)
            return pbitc_report_memory(job->diagnostics);
    }
    memcpy((uint8_t *)all->data + (stacked ? done * row_bytes(part) : 0), part->data, bytes);
    return PBIT_OK;
}

static enum pbit_status run_rows(struct pbitc_run_job *job, struct pbitc_float_model *model, size_t done,
                                 size_t rows)
{
    struct pbitc_tensor parts[PBITC_LIST_LIMIT];
    for (size_t i = 0; i < job->input_count; i++) {
        parts[i] = job->inputs[i];
        const struct pbitc_shape *wanted = &model->graph->inputs[i]->shape;
        if (pbitc_shape_elements(wanted) >= 0)
            parts[i].shape = *wanted;
        if (parts[i].shape.rank > 0 && job->inputs[i].shape.rank > 0) {
            parts[i].shape.dims[0] = (int64_t)rows;
            parts[i].data = (uint8_t *)job->inputs[i].data + done * row_bytes(&job->inputs[i]);
        }
    }
    enum pbit_status status = pbitc_interpreter_run(model->interpreter, parts, NULL, job->diagnostics);
    for (size_t i = 0; i < job->output_count && status == PBIT_OK; i++)
        status = collect_output(job, i, pbitc_interpreter_value(model->interpreter, model->graph->outputs[i]),
                                rows, done);
    return status;
}

/// The arrays have the very shapes that the model declares, up to dimensions that it leaves open.
static bool fits_exactly(const struct pbitc_run_job *job, const struct pbitc_graph *graph)
{
    bool fits = true;
    for (size_t i = 0; i < job->input_count; i++) {
        const struct pbitc_value *input = graph->inputs[i];
        const struct pbitc_shape *given = &job->inputs[i].shape;
        fits = fits && given->rank == input->shape.rank;
        for (int d = 0; fits && d < given->rank; d++)
            fits = input->dim_names[d] || given->dims[d] == input->shape.dims[d];
    }
    return fits;
}

static enum pbit_status run_at_once(struct pbitc_run_job *job, struct pbitc_float_model *model)
{
    enum pbit_status status = PBIT_OK;
    for (size_t i = 0; i < job->input_count && status == PBIT_OK; i++)
        status = pbitc_run_fit_type(job, i, model->graph->inputs[i]->name, model->graph->inputs[i]->type);
    if (status == PBIT_OK)
        status = pbitc_interpreter_run(model->interpreter, job->inputs, NULL, job->diagnostics);
    for (size_t i = 0; i < job->output_count && status == PBIT_OK; i++)
        status = collect_output(job, i, pbitc_interpreter_value(model->interpreter, model->graph->outputs[i]),
                                job->rows, 0);
    return status;
}

/// There are more rows than are run at once, and none of them has a say in what another one gives.
static bool may_split(const struct pbitc_run_job *job, const struct pbitc_float_model *model)
{
    struct pbitc_shape shapes[PBITC_LIST_LIMIT];
    const struct pbitc_shape *first = job->input_count ? &job->inputs[0].shape : NULL;
    if (model->fixed || !first || first->rank == 0 || first->dims[0] <= ROWS_AT_ONCE)
        return false;
    bool exact = fits_exactly(job, model->graph);
    for (size_t i = 0; i < job->input_count; i++)
        shapes[i] = exact ? job->inputs[i].shape : model->graph->inputs[i]->shape;
    return pbitc_rows_are_independent(model->graph, shapes);
}

static enum pbit_status run_float_model(struct pbitc_run_job *job, struct pbitc_float_model *model)
{
    bool whole = !may_split(job, model);
    if (fits_exactly(job, model->graph) && whole)
        return run_at_once(job, model);
    for (size_t i = 0; i < job->input_count; i++) {
        const struct pbitc_value *input = model->graph->inputs[i];
        enum pbit_status status =
            pbitc_run_fit_input(job, i, input->name, input->type, pbitc_row_elements(&input->shape));
        if (status != PBIT_OK)
            return status;
    }
    if (model->fixed && job->rows % model->batch)
        return pbitc_report(
            job->diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0, "add rows to a multiple of it",
            "%zu rows are no multiple of the model's fixed batch size %zu", job->rows, model->batch);
    if (whole && !model->fixed)
        model->batch = job->rows;
    enum pbit_status status = PBIT_OK;
    struct pbitc_progress progress = {.started = false};
    for (size_t done = 0; done < job->rows && status == PBIT_OK; done += model->batch) {
        size_t left = job->rows - done;
        if (!pbitc_progress_show(&progress, "float model", done, job->rows))
            status = PBIT_ERROR_STOPPED;
        else
            status = run_rows(job, model, done, left < model->batch ? left : model->batch);
    }
    pbitc_progress_clear(&progress);
    return status;
}

/// Rounds an output to 16 bits where the model has it so. NumPy has no bfloat16: it gets float32 with the
/// same values.
static enum pbit_status round_output(struct pbitc_run_job *job, size_t index, enum pbitc_type type)
{
    struct pbitc_tensor *output = &job->outputs[index];
    enum pbit_status status = PBIT_OK;
    if (output->type == PBITC_FLOAT32 && type != PBITC_FLOAT32 && type != PBITC_TYPE_NONE)
        status = pbitc_run_convert(type, output, job->diagnostics);
    return status == PBIT_OK && type == PBITC_BFLOAT16
               ? pbitc_run_convert(PBITC_FLOAT32, output, job->diagnostics)
               : status;
}

enum pbit_status pbitc_run_onnx(struct pbitc_run_job *job, struct pbitc_graph *graph)
{
    const char *names[PBITC_LIST_LIMIT];
    for (size_t i = 0; i < job->input_count; i++)
        names[i] = graph->inputs[i]->name;
    for (size_t i = 0; i < job->output_count; i++)
        job->output_names[i] = graph->outputs[i]->name;
    enum pbit_status status = pbitc_run_load_inputs(job, names);
    struct pbitc_float_model model = {.graph = NULL};
    if (status == PBIT_OK)
        status = pbitc_float_model_open(&model, graph, ROWS_AT_ONCE, pbitc_threads(job->arguments->threads),
                                        job->diagnostics);
    if (status == PBIT_OK)
        status = run_float_model(job, &model);
    for (size_t i = 0; i < job->output_count && status == PBIT_OK; i++)
        status = round_output(job, i, pbitc_graph_output_type(graph, i));
    pbitc_float_model_close(&model);
    return status;
}
