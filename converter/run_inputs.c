// The inputs of pbitc run.
#include "converter/data/npy.h"
#include "converter/data/readers.h"
#include "converter/float_model.h"
#include "converter/run_job.h"
#include "passes/operators/operator_support.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static enum pbit_status report_names(struct pbitc_run_job *job, const char *text, const char *const *names)
{
    enum pbit_status status = pbitc_report(job->diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0,
                                           "write --input NAME=X.npy with one of the names below",
                                           "--input %s names no input of the model", text);
    for (size_t i = 0; i < job->input_count; i++)
        pbitc_report(job->diagnostics, status, names[i], NULL, 0, NULL, "is an input");
    return status;
}

enum pbit_status pbitc_run_load_inputs(struct pbitc_run_job *job, const char *const *names)
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

enum pbit_status pbitc_run_convert(enum pbitc_type type, struct pbitc_tensor *tensor,
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

enum pbit_status pbitc_run_fit_type(struct pbitc_run_job *job, size_t index, const char *name,
                                    enum pbitc_type type)
{
    const struct pbitc_tensor *tensor = &job->inputs[index];
    if (tensor->type == type)
        return PBIT_OK;
    if (type == PBITC_FLOAT32)
        return pbitc_run_convert(type, &job->inputs[index], job->diagnostics);
    return pbitc_report(job->diagnostics, PBIT_ERROR_FORMAT, name, NULL, 0, "save the array with that type",
                        "wants %s, the array holds %s", pbitc_type_name(type), pbitc_type_name(tensor->type));
}

enum pbit_status pbitc_run_fit_input(struct pbitc_run_job *job, size_t index, const char *name,
                                     enum pbitc_type type, int64_t elements)
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
    return pbitc_run_fit_type(job, index, name, type);
}
