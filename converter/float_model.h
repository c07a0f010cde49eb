// Runs an ONNX model in float over any number of rows, whatever batch size it wants.
#ifndef PBITC_FLOAT_MODEL_H
#define PBITC_FLOAT_MODEL_H

#include "converter/data/dataset.h"
#include "converter/progress.h"

struct pbitc_float_model {
    struct pbitc_graph *graph; ///< borrowed, or `own`
    struct pbitc_graph *own;   ///< a copy that runs in batches; NULL: none was needed
    struct pbitc_interpreter *interpreter;
    size_t batch; ///< rows that one run takes: the model's fixed batch size, or the wanted one
    bool fixed;   ///< every run takes exactly `batch` rows
};

/// `batch`: rows per run where the model leaves that open. Infers shapes for it.
enum pbit_status pbitc_float_model_open(struct pbitc_float_model *model, struct pbitc_graph *graph,
                                        size_t batch, int threads, struct pbitc_diagnostics *diagnostics);
/// The same for images that are answered each by itself: `batch` of them per run only where it is proved that
/// they do not depend on each other, also in a model that spells a batch of 1; else one.
enum pbit_status pbitc_float_model_open_images(struct pbitc_float_model *model, struct pbitc_graph *graph,
                                               size_t batch, int threads,
                                               struct pbitc_diagnostics *diagnostics);
void pbitc_float_model_close(struct pbitc_float_model *model); ///< accepts a zeroed one

/// Elements of one row of the graph input or output, -1 where that is not known.
int64_t pbitc_row_elements(const struct pbitc_shape *shape);

/// What the float model says of an image.
struct pbitc_float_answer {
    uint32_t decision;   ///< index of the largest element of output 0 (the first such)
    uint32_t confidence; ///< its probability, in 1/PBITC_CONFIDENCE_UNIT: softmax of the output, or the
                         ///< output itself where that is a distribution already
};

/// Runs on images[count] of the dataset: answers[image] for each. Reports data that does not fit.
enum pbit_status pbitc_float_model_answer(struct pbitc_float_model *model,
                                          const struct pbitc_dataset *dataset, const size_t *images,
                                          size_t count, struct pbitc_progress *progress,
                                          struct pbitc_diagnostics *diagnostics,
                                          struct pbitc_float_answer *answers);

/// Number of classes, once the model is open.
size_t pbitc_float_model_classes(const struct pbitc_float_model *model);

#endif
