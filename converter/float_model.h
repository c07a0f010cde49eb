// Runs an ONNX model in float over any number of rows, whatever batch size it wants.
#ifndef PBITC_FLOAT_MODEL_H
#define PBITC_FLOAT_MODEL_H

#include "converter/data/dataset.h"
#include "converter/progress.h"

struct pbitc_float_model {
    struct pbitc_graph *graph; ///< borrowed
    struct pbitc_interpreter *interpreter;
    size_t batch; ///< rows that one run takes: the model's fixed batch size, or the wanted one
    bool fixed;   ///< every run takes exactly `batch` rows
};

/// `batch`: rows per run where the model leaves that open. Infers shapes for it.
enum pbit_status pbitc_float_model_open(struct pbitc_float_model *model, struct pbitc_graph *graph,
                                        size_t batch, int threads, struct pbitc_diagnostics *diagnostics);
void pbitc_float_model_close(struct pbitc_float_model *model); ///< accepts a zeroed one

/// Elements of one row of the graph input or output, -1 where that is not known.
int64_t pbitc_row_elements(const struct pbitc_shape *shape);

/// Runs on all images of the dataset: decisions[images] = index of the largest element of output 0 (the first
/// such). Reports data that does not fit.
enum pbit_status pbitc_float_model_decide(struct pbitc_float_model *model,
                                          const struct pbitc_dataset *dataset,
                                          struct pbitc_progress *progress,
                                          struct pbitc_diagnostics *diagnostics, uint32_t *decisions);

#endif
