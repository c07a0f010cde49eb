// Measures accuracy over (m, T): the surface that eval reports, and what it reports beside it.
#ifndef PBITC_SURFACE_H
#define PBITC_SURFACE_H

#include "converter/data/dataset.h"
#include "converter/float_model.h"
#include "converter/progress.h"
#include "converter/report/accuracy_report.h"

struct pbitc_surface_request {
    const struct pbit_model *model;
    const struct pbitc_dataset *dataset;
    size_t samples_count, draws_count;
    const uint32_t *samples; ///< the list of T
    const uint32_t *draws;   ///< the list of m
    size_t confidence_count;
    const double *confidences; ///< of the early stops, each in (0.5, 1)
    uint32_t stop_samples;     ///< the largest T of an early stop; one of `samples`
    enum pbit_sampler sampler; ///< MIDPOINT or FILE
    bool thorough;             ///< measure the deterministic twins and the loss of each layer too
    int threads;
    size_t batch; ///< images a worker takes at once; no result depends on it
};

/// Fills the report's cells, twins, layers and main cell, with nothing counted. images, classes, first_seed
/// and seed_count are set. Reports data that does not fit the model. Errors: UNSUPPORTED, FORMAT, RANGE,
/// MEMORY.
enum pbit_status pbitc_surface_describe(const struct pbitc_surface_request *request,
                                        struct pbitc_diagnostics *diagnostics,
                                        struct pbitc_accuracy_report *report);

/// Index of the 8-bit twin, -1 when there is none. The loss of a layer is measured against it.
int pbitc_find_byte_twin(const struct pbitc_accuracy_report *report);

/// Measures images[count] of the dataset and adds what was counted to the described report; done[image]
/// becomes 1 for each that was measured, all of them but with STOPPED. answers: the float model's, by image,
/// or NULL. Errors: MEMORY, STOPPED.
enum pbit_status pbitc_surface_measure(const struct pbitc_surface_request *request, const size_t *images,
                                       size_t count, const struct pbitc_float_answer *answers,
                                       struct pbitc_progress *progress, struct pbitc_diagnostics *diagnostics,
                                       struct pbitc_accuracy_report *report, uint8_t *done);

#endif
