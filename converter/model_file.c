#include "converter/model_file.h"

#include "converter/file.h"
#include "converter/onnx/onnx_import.h"

#include <stdlib.h>
#include <string.h>

static enum pbit_status open_pbit(struct pbitc_model_file *file, const char *path,
                                  struct pbitc_diagnostics *diagnostics)
{
    enum pbit_status status = pbit_model_open(&file->pbit, file->bytes, file->size);
    if (status != PBIT_OK)
        return pbitc_report(diagnostics, status, NULL, NULL, 0, "convert the model again",
                            "%s is no valid .pbit file: %s", path,
                            pbit_model_problem(file->bytes, file->size));
    size_t length;
    const char *metadata = pbit_model_metadata(&file->pbit, &length);
    file->metadata = cJSON_ParseWithLength(metadata, length);
    return PBIT_OK;
}

static bool is_pbit(const struct pbitc_model_file *file)
{
    return file->size >= 4 && memcmp(file->bytes, "PBIT", 4) == 0;
}

static void release(struct pbitc_model_file *file)
{
    if (file->mapped)
        pbitc_file_unmap(file->bytes, file->size);
    else
        free(file->bytes);
    file->mapped = false;
}

enum pbit_status pbitc_model_file_open(struct pbitc_model_file *file, const char *path,
                                       struct pbitc_diagnostics *diagnostics)
{
    *file = (struct pbitc_model_file){.bytes = NULL};
    enum pbit_status status = PBIT_OK;
    file->mapped = pbitc_file_map(path, &file->bytes, &file->size);
    if (file->mapped && !is_pbit(file))
        release(file);
    if (!file->mapped)
        status = pbitc_file_read(path, &file->bytes, &file->size, diagnostics);
    if (status != PBIT_OK)
        return status;
    file->hash = pbitc_hash(PBITC_HASH_START, file->bytes, file->size);
    if (is_pbit(file))
        status = open_pbit(file, path, diagnostics);
    else
        status = pbitc_onnx_import(path, NULL, diagnostics, &file->graph);
    if (status != PBIT_OK)
        pbitc_model_file_close(file);
    return status;
}

void pbitc_model_file_close(struct pbitc_model_file *file)
{
    cJSON_Delete(file->metadata);
    pbitc_graph_destroy(file->graph);
    release(file);
    *file = (struct pbitc_model_file){.bytes = NULL};
}

const char *pbitc_port_ending(const struct pbit_port *port)
{
    return port->softmax ? "Softmax" : port->log_softmax ? "LogSoftmax" : NULL;
}

const char *pbitc_operation_name(enum pbit_operation_kind kind)
{
    static const char *const names[] = {
        [PBIT_OPERATION_CONV] = "conv",       [PBIT_OPERATION_NEURON] = "neuron",
        [PBIT_OPERATION_MAXPOOL] = "maxpool", [PBIT_OPERATION_SUMPOOL] = "sumpool",
        [PBIT_OPERATION_ADD] = "add",         [PBIT_OPERATION_CONCAT] = "concat",
        [PBIT_OPERATION_PERMUTE] = "permute"};
    return names[kind];
}

struct pbitc_data_keys pbitc_model_file_data_keys(const struct pbitc_model_file *file)
{
    struct pbitc_data_keys keys = {{NULL}};
    const cJSON *data = cJSON_GetObjectItemCaseSensitive(file->metadata, "data");
    for (int key = 0; key < PBITC_DATA_PREPROCESSING; key++)
        keys.values[key] =
            cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(data, pbitc_data_key_names[key]));
    return keys;
}

enum pbit_status pbitc_model_file_check_budget(const struct pbitc_model_file *file, int64_t draws,
                                               int64_t samples, struct pbitc_diagnostics *diagnostics)
{
    uint32_t max_draws = pbit_model_max_draws(&file->pbit), max_samples = pbit_model_max_samples(&file->pbit);
    enum pbit_status status = PBIT_OK;
    if (draws > max_draws)
        status =
            pbitc_report(diagnostics, PBIT_ERROR_RANGE, NULL, NULL, 0,
                         "ask for fewer draws, or convert with narrower --weights",
                         "--draws %lld: the sums of this file have room for %u", (long long)draws, max_draws);
    if (samples > max_samples)
        status = pbitc_report(diagnostics, PBIT_ERROR_RANGE, NULL, NULL, 0, "ask for fewer samples",
                              "--samples %lld: this file allows %u", (long long)samples, max_samples);
    return status;
}
