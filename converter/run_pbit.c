// pbitc run with a .pbit file: libpbit, image by image.
#include "converter/data/readers.h"
#include "converter/progress.h"
#include "converter/run_job.h"

#include <math.h>
#include <stdlib.h>

static struct pbitc_shape output_shape(const struct pbit_port *port, size_t rows)
{
    struct pbitc_shape shape = {.rank = (int)port->rank + 1, .dims = {(int64_t)rows, port->channels}};
    if (port->rank == 2)
        shape.dims[2] = port->width;
    if (port->rank == 3) {
        shape.dims[1] = port->channels_last ? port->height : port->channels;
        shape.dims[2] = port->channels_last ? port->width : port->height;
        shape.dims[3] = port->channels_last ? port->channels : port->width;
    }
    return shape;
}

/// Softmax or LogSoftmax over the elements of one image, which the runtime leaves to its caller.
static void apply_softmax(float *values, size_t elements, bool logarithm)
{
    float largest = values[0];
    double sum = 0;
    for (size_t i = 1; i < elements; i++)
        largest = fmaxf(largest, values[i]);
    for (size_t i = 0; i < elements; i++)
        sum += exp((double)(values[i] - largest));
    for (size_t i = 0; i < elements; i++) {
        double above = (double)(values[i] - largest);
        values[i] = (float)(logarithm ? above - log(sum) : exp(above) / sum);
    }
}

/// Buffers for one image at a time.
struct image {
    uint8_t **pixels;
    int64_t **sums;
    void *workspace;
    size_t workspace_bytes;
};

static void free_image(struct image *image, const struct pbit_model *model)
{
    for (uint32_t i = 0; image->pixels && i < model->input_count; i++)
        free(image->pixels[i]);
    for (uint32_t i = 0; image->sums && i < model->output_count; i++)
        free(image->sums[i]);
    free(image->pixels);
    free(image->sums);
    free(image->workspace);
}

static bool make_image(struct image *image, const struct pbit_model *model)
{
    image->workspace_bytes = (pbit_workspace_bytes(model) + 16) & ~(size_t)15;
    image->workspace = aligned_alloc(16, image->workspace_bytes);
    image->pixels = calloc(model->input_count, sizeof(*image->pixels));
    image->sums = calloc(model->output_count, sizeof(*image->sums));
    bool good = image->workspace && image->pixels && image->sums;
    for (uint32_t i = 0; good && i < model->input_count; i++)
        good = (image->pixels[i] = malloc(pbit_model_input(model, i).elements)) != NULL;
    for (uint32_t i = 0; good && i < model->output_count; i++)
        good = (image->sums[i] = calloc(pbit_model_output(model, i).elements, sizeof(int64_t))) != NULL;
    return good;
}

static enum pbit_status run_image(struct pbitc_run_job *job, const struct pbit_model *model,
                                  struct image *image, size_t row, const struct pbit_options *wanted)
{
    struct pbit_options run = *wanted;
    run.image = row;
    for (uint32_t i = 0; i < model->input_count; i++) {
        size_t elements = pbit_model_input(model, i).elements;
        pbit_input_quantize(model, i, (const float *)job->inputs[i].data + row * elements, image->pixels[i]);
    }
    enum pbit_status status = pbit_run(model, &run, (const uint8_t *const *)image->pixels, image->sums,
                                       image->workspace, image->workspace_bytes);
    if (status != PBIT_OK)
        return pbitc_report(job->diagnostics, status, NULL, NULL, 0, NULL, "running image %zu failed: %s",
                            row, pbit_status_text(status));
    for (uint32_t i = 0; i < model->output_count; i++) {
        struct pbit_port port = pbit_model_output(model, i);
        float *values = (float *)job->outputs[i].data + row * port.elements;
        pbit_output_float(model, i, image->sums[i], run.samples, values);
        if (port.softmax || port.log_softmax)
            apply_softmax(values, port.elements, port.log_softmax);
    }
    return PBIT_OK;
}

static enum pbit_status make_outputs(struct pbitc_run_job *job, const struct pbit_model *model)
{
    for (uint32_t i = 0; i < model->output_count; i++) {
        struct pbit_port port = pbit_model_output(model, i);
        job->outputs[i] = (struct pbitc_tensor){PBITC_FLOAT32, output_shape(&port, job->rows),
                                                calloc(job->rows, port.elements * sizeof(float))};
        if (!job->outputs[i].data)
            return pbitc_report_memory(job->diagnostics);
    }
    return PBIT_OK;
}

static enum pbit_status run_images(struct pbitc_run_job *job, const struct pbit_model *model)
{
    const struct pbitc_run_arguments *arguments = job->arguments;
    struct pbit_options wanted = {
        .seed = arguments->seed < 0 ? 0 : (uint64_t)arguments->seed,
        .draws = arguments->draws < 0 ? pbit_model_default_draws(model) : (uint32_t)arguments->draws,
        .samples = arguments->samples < 0 ? pbit_model_default_samples(model) : (uint32_t)arguments->samples,
    };
    struct image image = {.pixels = NULL};
    struct pbitc_progress progress = {.started = false};
    enum pbit_status status = make_image(&image, model) ? PBIT_OK : pbitc_report_memory(job->diagnostics);
    for (size_t row = 0; row < job->rows && status == PBIT_OK; row++) {
        if (!pbitc_progress_show(&progress, "p-bits", row, job->rows))
            status = PBIT_ERROR_STOPPED;
        else
            status = run_image(job, model, &image, row, &wanted);
    }
    pbitc_progress_clear(&progress);
    free_image(&image, model);
    return status;
}

enum pbit_status pbitc_run_pbit(struct pbitc_run_job *job, const struct pbitc_model_file *file)
{
    const struct pbit_model *model = &file->pbit;
    const char *names[PBITC_LIST_LIMIT];
    for (uint32_t i = 0; i < model->input_count; i++)
        names[i] = pbit_model_input(model, i).name;
    for (uint32_t i = 0; i < model->output_count; i++)
        job->output_names[i] = pbit_model_output(model, i).name;
    enum pbit_status status =
        pbitc_model_file_check_budget(file, job->arguments->draws, job->arguments->samples, job->diagnostics);
    if (status == PBIT_OK)
        status = pbitc_run_load_inputs(job, names);
    for (uint32_t i = 0; i < model->input_count && status == PBIT_OK; i++)
        status = pbitc_run_fit_input(job, i, names[i], PBITC_FLOAT32,
                                     (int64_t)pbit_model_input(model, i).elements);
    if (status == PBIT_OK)
        status = make_outputs(job, model);
    return status == PBIT_OK ? run_images(job, model) : status;
}
