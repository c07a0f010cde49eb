// pbitc run: outputs for given inputs, by the float interpreter (ONNX) or by libpbit (.pbit).
#include "converter/command.h"
#include "converter/data/npy.h"
#include "converter/data/readers.h"
#include "converter/file.h"
#include "converter/float_model.h"
#include "converter/interrupt.h"
#include "converter/model_file.h"
#include "converter/options.h"
#include "converter/shapes.h"
#include "converter/threads.h"
#include "passes/operators/operator_support.h"
#include "passes/row_independence.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/// Rows per run where the model leaves the batch open, and the rows are proved to be independent.
enum { ROWS_AT_ONCE = 64 };

struct arguments {
    struct pbitc_texts inputs, shapes;
    const char *output_directory;
    int64_t samples, draws, seed, threads; ///< samples, draws, seed: -1 = not given
};

static const struct pbitc_option options[] = {
    {"input", 0, "[NAME=]X.npy", "an input: one row per image; NAME where the model has several",
     PBITC_OPTION_TEXTS, offsetof(struct arguments, inputs), .required = true},
    {"output-dir", 0, "DIR", "where to write one OUTPUTNAME.npy per output", PBITC_OPTION_TEXT,
     offsetof(struct arguments, output_directory), .required = true},
    {"samples", 0, "T", ".pbit: passes of the network (the file's default)", PBITC_OPTION_INTEGER,
     offsetof(struct arguments, samples), .minimum = 1, .maximum = PBIT_SAMPLES_LIMIT},
    {"draws", 0, "m", ".pbit: p-bits drawn per neuron and pass (the file's default)", PBITC_OPTION_INTEGER,
     offsetof(struct arguments, draws), .minimum = 1, .maximum = PBIT_DRAWS_LIMIT},
    {"seed", 0, "S", ".pbit: seed of the random numbers (0)", PBITC_OPTION_INTEGER,
     offsetof(struct arguments, seed), .minimum = 0, .maximum = INT64_MAX},
    PBITC_SHAPE_OPTION(struct arguments, shapes),
    PBITC_THREADS_OPTION(struct arguments, threads),
};

static const struct pbitc_usage usage = {
    .name = "run",
    .operand = "MODEL.onnx|FILE.pbit",
    .summary = "Computes the outputs of a model: an ONNX model in float, a .pbit file with its p-bits.\n"
               "The first dimension of X.npy counts the images. '/' and ':' in output names become '_'.\n"
               "Files are written only when the whole run succeeded.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
};

/// The inputs in the order of the model, and the outputs with all rows.
struct job {
    const struct arguments *arguments;
    struct pbitc_diagnostics *diagnostics;
    size_t rows;
    size_t input_count, output_count;
    struct pbitc_tensor *inputs, *outputs;
    const char **output_names;
};

/// Index of the input that "NAME=..." names, and behind it the path; without a name input 0 of one is meant.
static size_t split_input(const char *text, const char *const *names, size_t count, const char **path)
{
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(names[i]);
        if (strncmp(text, names[i], length) == 0 && text[length] == '=') {
            *path = text + length + 1;
            return i;
        }
    }
    *path = text;
    bool other_name = strchr(text, '=') && access(text, F_OK) != 0;
    return count == 1 && !other_name ? 0 : count;
}

static enum pbit_status report_names(struct job *job, const char *text, const char *const *names)
{
    enum pbit_status status = pbitc_report(job->diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0,
                                           "write --input NAME=X.npy with one of the names below",
                                           "--input %s names no input of the model", text);
    for (size_t i = 0; i < job->input_count; i++)
        pbitc_report(job->diagnostics, status, names[i], NULL, 0, NULL, "is an input");
    return status;
}

static enum pbit_status load_inputs(struct job *job, const char *const *names)
{
    enum pbit_status status = PBIT_OK;
    for (size_t i = 0; i < job->arguments->inputs.count; i++) {
        const char *path, *text = job->arguments->inputs.items[i];
        size_t index = split_input(text, names, job->input_count, &path);
        if (index == job->input_count)
            status = report_names(job, text, names);
        else if (job->inputs[index].data)
            status = pbitc_report(job->diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0, "name each input once",
                                  "--input %s gives input '%s' again", text, names[index]);
        else {
            enum pbit_status loaded = pbitc_npy_load(path, job->diagnostics, &job->inputs[index]);
            status = loaded != PBIT_OK ? loaded : status;
        }
    }
    for (size_t i = 0; i < job->input_count && status == PBIT_OK; i++) {
        if (!job->inputs[i].data)
            return pbitc_report(job->diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0, "add --input NAME=X.npy",
                                "input '%s' of the model is not given", names[i]);
    }
    return status;
}

static enum pbit_status convert_to(enum pbitc_type type, struct pbitc_tensor *tensor,
                                   struct pbitc_diagnostics *diagnostics)
{
    int64_t count = pbitc_shape_elements(&tensor->shape);
    void *values = malloc((size_t)count * pbitc_type_bytes(type) + 1);
    if (!values)
        return pbitc_report_memory(diagnostics);
    pbitc_convert(type, values, tensor->type, tensor->data, count);
    free(tensor->data);
    tensor->data = values;
    tensor->type = type;
    return PBIT_OK;
}

/// Rounds an output to 16 bits where the model has it so. NumPy has no bfloat16: it gets float32 with the
/// same values.
static enum pbit_status round_output(struct job *job, size_t index, enum pbitc_type type)
{
    struct pbitc_tensor *output = &job->outputs[index];
    enum pbit_status status = PBIT_OK;
    if (output->type == PBITC_FLOAT32 && type != PBITC_FLOAT32 && type != PBITC_TYPE_NONE)
        status = convert_to(type, output, job->diagnostics);
    return status == PBIT_OK && type == PBITC_BFLOAT16 ? convert_to(PBITC_FLOAT32, output, job->diagnostics)
                                                       : status;
}

/// Brings an input to the type that the model reads.
static enum pbit_status fit_type(struct job *job, size_t index, const char *name, enum pbitc_type type)
{
    const struct pbitc_tensor *tensor = &job->inputs[index];
    if (tensor->type == type)
        return PBIT_OK;
    if (type == PBITC_FLOAT32)
        return convert_to(type, &job->inputs[index], job->diagnostics);
    return pbitc_report(job->diagnostics, PBIT_ERROR_FORMAT, name, NULL, 0, "save the array with that type",
                        "wants %s, the array holds %s", pbitc_type_name(type), pbitc_type_name(tensor->type));
}

/// Checks one input against the `elements` of a row (-1: any) and brings it to the type the model reads.
static enum pbit_status fit_input(struct job *job, size_t index, const char *name, enum pbitc_type type,
                                  int64_t elements)
{
    struct pbitc_tensor *tensor = &job->inputs[index];
    int64_t given = pbitc_row_elements(&tensor->shape);
    if (tensor->shape.rank > 0 && elements >= 0 && given != elements)
        return pbitc_report(job->diagnostics, PBIT_ERROR_FORMAT, name, NULL, 0,
                            "reshape the array: its first dimension counts the images",
                            "a row has %lld values, the input %lld", (long long)given, (long long)elements);
    size_t rows = tensor->shape.rank > 0 ? (size_t)tensor->shape.dims[0] : 1;
    if (index == 0)
        job->rows = rows;
    if (rows != job->rows || rows == 0)
        return pbitc_report(job->diagnostics, PBIT_ERROR_FORMAT, name, NULL, 0,
                            "give every input the same number of rows, at least one",
                            "has %zu rows, the first input %zu", rows, job->rows);
    return fit_type(job, index, name, type);
}

static size_t row_bytes(const struct pbitc_tensor *tensor)
{
    return (size_t)pbitc_row_elements(&tensor->shape) * pbitc_type_bytes(tensor->type);
}

/// Appends the rows of one run's output. What is not made of rows can only come out of a single run.
static enum pbit_status collect_output(struct job *job, size_t index, const struct pbitc_tensor *part,
                                       size_t rows, size_t done)
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

static enum pbit_status run_rows(struct job *job, struct pbitc_float_model *model, size_t done, size_t rows)
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
static bool fits_exactly(const struct job *job, const struct pbitc_graph *graph)
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

static enum pbit_status run_at_once(struct job *job, struct pbitc_float_model *model)
{
    enum pbit_status status = PBIT_OK;
    for (size_t i = 0; i < job->input_count && status == PBIT_OK; i++)
        status = fit_type(job, i, model->graph->inputs[i]->name, model->graph->inputs[i]->type);
    if (status == PBIT_OK)
        status = pbitc_interpreter_run(model->interpreter, job->inputs, NULL, job->diagnostics);
    for (size_t i = 0; i < job->output_count && status == PBIT_OK; i++)
        status = collect_output(job, i, pbitc_interpreter_value(model->interpreter, model->graph->outputs[i]),
                                job->rows, 0);
    return status;
}

/// There are more rows than are run at once, and none of them has a say in what another one gives.
static bool may_split(const struct job *job, const struct pbitc_float_model *model)
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

static enum pbit_status run_float_model(struct job *job, struct pbitc_float_model *model)
{
    bool whole = !may_split(job, model);
    if (fits_exactly(job, model->graph) && whole)
        return run_at_once(job, model);
    for (size_t i = 0; i < job->input_count; i++) {
        const struct pbitc_value *input = model->graph->inputs[i];
        enum pbit_status status =
            fit_input(job, i, input->name, input->type, pbitc_row_elements(&input->shape));
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

static enum pbit_status run_onnx(struct job *job, struct pbitc_graph *graph)
{
    const char *names[PBITC_LIST_LIMIT];
    for (size_t i = 0; i < job->input_count; i++)
        names[i] = graph->inputs[i]->name;
    for (size_t i = 0; i < job->output_count; i++)
        job->output_names[i] = graph->outputs[i]->name;
    enum pbit_status status = load_inputs(job, names);
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

/// Softmax over the elements of one image, which the runtime leaves to its caller.
static void apply_softmax(float *values, size_t elements)
{
    float largest = values[0];
    double sum = 0;
    for (size_t i = 1; i < elements; i++)
        largest = fmaxf(largest, values[i]);
    for (size_t i = 0; i < elements; i++)
        sum += exp((double)(values[i] - largest));
    for (size_t i = 0; i < elements; i++)
        values[i] = (float)(exp((double)(values[i] - largest)) / sum);
}

/// The file says that Softmax follows, not over which axis: with one axis there is no doubt.
static enum pbit_status check_softmax(struct job *job, const struct pbit_model *model)
{
    enum pbit_status status = PBIT_OK;
    for (uint32_t i = 0; i < model->output_count; i++) {
        struct pbit_port port = pbit_model_output(model, i);
        if (port.softmax && port.elements != port.channels)
            status = pbitc_report(job->diagnostics, PBIT_ERROR_UNSUPPORTED, port.name, NULL, 0,
                                  "convert the model without its last Softmax",
                                  "ends in a Softmax over one of several axes, which the file does not tell");
    }
    return status;
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

static enum pbit_status run_image(struct job *job, const struct pbit_model *model, struct image *image,
                                  size_t row, const struct pbit_options *wanted)
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
        if (port.softmax)
            apply_softmax(values, port.elements);
    }
    return PBIT_OK;
}

static enum pbit_status make_outputs(struct job *job, const struct pbit_model *model)
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

static enum pbit_status run_images(struct job *job, const struct pbit_model *model)
{
    const struct arguments *arguments = job->arguments;
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

static enum pbit_status run_pbit(struct job *job, const struct pbitc_model_file *file)
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
        status = check_softmax(job, model);
    if (status == PBIT_OK)
        status = load_inputs(job, names);
    for (uint32_t i = 0; i < model->input_count && status == PBIT_OK; i++)
        status = fit_input(job, i, names[i], PBITC_FLOAT32, (int64_t)pbit_model_input(model, i).elements);
    if (status == PBIT_OK)
        status = make_outputs(job, model);
    return status == PBIT_OK ? run_images(job, model) : status;
}

static char *output_path(const char *directory, const char *name)
{
    size_t length = strlen(name);
    char *file = malloc(length + sizeof(".npy"));
    if (!file)
        return NULL;
    strcat(strcpy(file, name), ".npy");
    for (size_t i = 0; i < length; i++) {
        if (file[i] == '/' || file[i] == ':')
            file[i] = '_';
    }
    char *path = pbitc_path_join(directory, file);
    free(file);
    return path;
}

static enum pbit_status encode_outputs(struct job *job, struct pbitc_file *files)
{
    for (size_t i = 0; i < job->output_count; i++) {
        files[i].path = output_path(job->arguments->output_directory, job->output_names[i]);
        files[i].bytes = pbitc_npy_encode(&job->outputs[i], &files[i].size);
        if (!files[i].path || !files[i].bytes)
            return pbitc_report(job->diagnostics, PBIT_ERROR_UNSUPPORTED, job->output_names[i], NULL, 0, NULL,
                                "cannot become a .npy file of %s", pbitc_type_name(job->outputs[i].type));
    }
    return pbitc_directory_make(job->arguments->output_directory, job->diagnostics);
}

static enum pbit_status write_outputs(struct job *job)
{
    struct pbitc_file *files = calloc(job->output_count, sizeof(*files));
    if (!files)
        return pbitc_report_memory(job->diagnostics);
    enum pbit_status status = encode_outputs(job, files);
    if (status == PBIT_OK)
        status = pbitc_files_write(files, job->output_count, job->diagnostics);
    for (size_t i = 0; i < job->output_count; i++) {
        free((void *)files[i].path);
        free((void *)files[i].bytes);
    }
    free(files);
    return status;
}

static enum pbit_status run_job(struct job *job, const struct pbitc_model_file *file)
{
    if (job->input_count > PBITC_LIST_LIMIT)
        return pbitc_report(job->diagnostics, PBIT_ERROR_UNSUPPORTED, NULL, NULL, 0, NULL,
                            "the model has %zu inputs", job->input_count);
    job->inputs = calloc(job->input_count + 1, sizeof(*job->inputs));
    job->outputs = calloc(job->output_count + 1, sizeof(*job->outputs));
    job->output_names = calloc(job->output_count + 1, sizeof(*job->output_names));
    enum pbit_status status;
    if (!job->inputs || !job->outputs || !job->output_names)
        status = pbitc_report_memory(job->diagnostics);
    else
        status = file->graph ? run_onnx(job, file->graph) : run_pbit(job, file);
    if (status == PBIT_OK)
        status = write_outputs(job);
    for (size_t i = 0; job->inputs && i < job->input_count; i++)
        free(job->inputs[i].data);
    for (size_t i = 0; job->outputs && i < job->output_count; i++)
        free(job->outputs[i].data);
    free(job->inputs);
    free(job->outputs);
    free(job->output_names);
    return status;
}

int pbitc_cmd_run(int argc, char **argv, struct pbitc_diagnostics *diagnostics)
{
    struct arguments arguments = {.samples = -1, .draws = -1, .seed = -1};
    const char *path;
    int code = pbitc_options_parse(&usage, argc, argv, &arguments, &path);
    if (code != PBITC_PARSED)
        return code;
    struct pbitc_model_file file;
    enum pbit_status status = pbitc_model_file_open(&file, path, diagnostics);
    if (status != PBIT_OK)
        return pbitc_exit_code(status);
    if (file.graph && (arguments.samples >= 0 || arguments.draws >= 0 || arguments.seed >= 0)) {
        code = pbitc_usage_error(usage.name, "--samples, --draws and --seed need a .pbit file");
    } else {
        struct job job = {
            .arguments = &arguments,
            .diagnostics = diagnostics,
            .input_count = file.graph ? file.graph->input_count : file.pbit.input_count,
            .output_count = file.graph ? file.graph->output_count : file.pbit.output_count,
        };
        status = pbitc_shapes_apply(file.graph, &arguments.shapes, diagnostics);
        code = pbitc_exit_code(status == PBIT_OK ? run_job(&job, &file) : status);
    }
    pbitc_model_file_close(&file);
    return code;
}
