// Opens what the commands take as MODEL: an ONNX model or a .pbit file, told apart by their first bytes.
#ifndef PBITC_MODEL_FILE_H
#define PBITC_MODEL_FILE_H

#include "converter/data/dataset.h"

#include <cjson/cJSON.h>

struct pbitc_model_file {
    uint8_t *bytes;
    size_t size;
    bool mapped;               ///< the bytes are the file's own: a .pbit file is used as it lies on the disk
    uint64_t hash;             ///< pbitc_hash of the bytes
    struct pbitc_graph *graph; ///< of an ONNX model; NULL for a .pbit file
    struct pbit_model pbit;    ///< of a .pbit file
    cJSON *metadata;           ///< of a .pbit file; NULL when it holds no JSON object
};

/// Reports every reason why the file cannot be used. On failure there is nothing to close.
enum pbit_status pbitc_model_file_open(struct pbitc_model_file *file, const char *path,
                                       struct pbitc_diagnostics *diagnostics);
void pbitc_model_file_close(struct pbitc_model_file *file); ///< accepts a zeroed one

/// "Softmax" or "LogSoftmax", when the ONNX model applies it to this output; else NULL.
const char *pbitc_port_ending(const struct pbit_port *port);
/// "conv", "neuron", ...
const char *pbitc_operation_name(enum pbit_operation_kind kind);

/// The preprocessing that a .pbit file remembers; texts are borrowed from the metadata.
struct pbitc_data_keys pbitc_model_file_data_keys(const struct pbitc_model_file *file);

/// Reports m or T above what the .pbit file allows.
enum pbit_status pbitc_model_file_check_budget(const struct pbitc_model_file *file, int64_t draws,
                                               int64_t samples, struct pbitc_diagnostics *diagnostics);

#endif
