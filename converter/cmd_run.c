// pbitc run: outputs for given inputs, by the float interpreter (ONNX) or by libpbit (.pbit).
#include "converter/command.h"
#include "converter/data/npy.h"
#include "converter/data/readers.h"
#include "converter/file.h"
#include "converter/run_job.h"
#include "converter/shapes.h"
#include "converter/threads.h"

#include <stdlib.h>
#include <string.h>

static const struct pbitc_option options[] = {
    {"input", 0, "[NAME=]X.npy", "an input: one row per image; NAME where the model has several",
     PBITC_OPTION_TEXTS, offsetof(struct pbitc_run_arguments, inputs), .required = true},
    {"output-dir", 0, "DIR", "where to write one OUTPUTNAME.npy per output", PBITC_OPTION_TEXT,
     offsetof(struct pbitc_run_arguments, output_directory), .required = true},
    {"samples", 0, "T", ".pbit: passes of the network (the file's default)", PBITC_OPTION_INTEGER,
     offsetof(struct pbitc_run_arguments, samples), .minimum = 1, .maximum = PBIT_SAMPLES_LIMIT},
    {"draws", 0, "m", ".pbit: p-bits drawn per neuron and pass (the file's default)", PBITC_OPTION_INTEGER,
     offsetof(struct pbitc_run_arguments, draws), .minimum = 1, .maximum = PBIT_DRAWS_LIMIT},
    {"seed", 0, "S", ".pbit: seed of the random numbers (0)", PBITC_OPTION_INTEGER,
     offsetof(struct pbitc_run_arguments, seed), .minimum = 0, .maximum = INT64_MAX},
    PBITC_SHAPE_OPTION(struct pbitc_run_arguments, shapes),
    PBITC_THREADS_OPTION(struct pbitc_run_arguments, threads),
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

static enum pbit_status encode_outputs(struct pbitc_run_job *job, struct pbitc_file *files)
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

static enum pbit_status write_outputs(struct pbitc_run_job *job)
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

static enum pbit_status run_job(struct pbitc_run_job *job, const struct pbitc_model_file *file)
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
        status = file->graph ? pbitc_run_onnx(job, file->graph) : pbitc_run_pbit(job, file);
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
    struct pbitc_run_arguments arguments = {.samples = -1, .draws = -1, .seed = -1};
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
        struct pbitc_run_job job = {
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
