// What a thread of the surface's measurement runs for its images. surface.c makes the memory and adds up.
#ifndef PBITC_SURFACE_RUN_H
#define PBITC_SURFACE_RUN_H

#include "converter/early_stop.h"
#include "converter/engine.h"
#include "converter/surface.h"

#include <stdatomic.h>

/// What one run decided.
struct pbitc_surface_answer {
    uint32_t decision, confidence;
};

/// What one run decided when it might have stopped early.
struct pbitc_surface_stop {
    struct pbitc_surface_answer answer;
    uint32_t passes; ///< 0: not yet
};

/// Levels of one layer, as the main cell's passes showed them.
struct pbitc_level_count {
    uint64_t elements, sum, zeros, full;
};

/// What one thread needs; nothing of it is shared. What an image gave is added to the tallies when the image
/// is complete, so that an interrupted one leaves no trace.
struct pbitc_surface_worker {
    float *values;   ///< one image, preprocessed
    uint8_t *pixels; ///< the same as the model takes it
    int64_t **sums;  ///< per output
    void *workspace;
    size_t workspace_bytes;
    uint8_t *isolated; ///< the model's bytes, changed for one layer at a time; NULL when no layer asks for it

    struct pbitc_surface_answer *answers; ///< [cells][seeds] of the image
    struct pbitc_surface_stop *stops;     ///< [early stops][seeds] of the image
    struct pbitc_surface_answer *stopped; ///< [seeds] of one of them
    struct pbitc_pass_record record;      ///< of a run of cells, with early stops
    struct pbitc_surface_answer *twins;   ///< [twins] of the image
    struct pbitc_surface_answer *losses;  ///< [images of a batch][layers]
    struct pbitc_level_count *levels;     ///< [layers] of the image

    struct pbitc_tally *tallies;       ///< [cells + twins + early stops]; correct_by_image is the report's
    struct pbitc_level_count *counted; ///< [layers]
    uint64_t *loss_agreed;             ///< [layers]
    uint64_t *confusion;               ///< [classes][classes]
};

struct pbitc_surface_measurement {
    const struct pbitc_surface_request *request;
    const struct pbitc_float_answer *float_answers;
    struct pbitc_progress *progress;
    struct pbitc_accuracy_report *report;
    const size_t *images;
    size_t count;
    uint32_t *main_decisions; ///< [images of the dataset], first seed
    uint8_t *done;
    struct pbitc_surface_worker *workers;
    struct pbitc_engine engine;
    double unit;       ///< value of one unit of a sum of one pass
    size_t main_draws; ///< index of the main cell's m
    double *quantiles; ///< [confidences] of the normal distribution
    double *priors;    ///< [list of m] variance of the margin that early stops start from, in squared units
    _Atomic size_t finished;
    _Atomic int status; ///< enum pbit_status, the first that is not PBIT_OK
};

/// Makes the worker's workspace at least as large as one image needs. False when out of memory.
bool pbitc_surface_make_workspace(struct pbitc_surface_worker *worker, const struct pbitc_engine *engine);

/// Every cell, early stop and twin on one image: fills the worker's answers, stops, twins and levels. Errors:
/// STOPPED and those of pbit_engine_run.
enum pbit_status pbitc_surface_run_image(struct pbitc_surface_measurement *measurement,
                                         struct pbitc_surface_worker *worker, size_t image);

/// What a batch of images[count] loses to each layer: an engine serves the whole batch. Fills the worker's
/// losses. Errors: MEMORY, STOPPED and those of pbit_engine_run.
enum pbit_status pbitc_surface_run_losses(struct pbitc_surface_measurement *measurement,
                                          struct pbitc_surface_worker *worker, const size_t *images,
                                          size_t count);

/// The prior of the m with this index: the mean variance of the margin over a few passes of the first images,
/// whichever of them this process measures. No label is looked at. Uses worker 0. Errors: STOPPED and those
/// of pbit_engine_run.
enum pbit_status pbitc_surface_find_prior(struct pbitc_surface_measurement *measurement, size_t draws);

#endif
