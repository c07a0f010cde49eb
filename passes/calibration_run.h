// Running the graph, as it is at any point of the pipeline, over the calibration images.
#ifndef PBITC_CALIBRATION_RUN_H
#define PBITC_CALIBRATION_RUN_H

#include "passes/pass.h"

/// One batch that has just been run; its values can be read with pbitc_interpreter_value.
struct pbitc_batch {
    const struct pbitc_interpreter *interpreter;
    size_t first, images; ///< of the calibration images
    size_t total;         ///< images of the whole run
};

typedef enum pbit_status pbitc_batch_function(struct pbitc_context *context, const struct pbitc_batch *batch,
                                              void *state);

struct pbitc_calibration_run {
    const char *stage;       ///< for the progress function
    size_t images;           ///< how many of the first images, at most
    uint32_t draws, samples; ///< p-bits draw m in each of T passes; m = 0: they give their mean, in one pass
    const struct pbitc_value *const *watched; ///< values besides the graph outputs that the function reads
    size_t watched_count;
    pbitc_batch_function *function; ///< called after every pass of every batch
    void *state;
};

enum pbit_status pbitc_run_calibration(struct pbitc_graph *graph, struct pbitc_context *context,
                                       const struct pbitc_calibration_run *run);

/// How many images a run of at most `limit` uses.
size_t pbitc_calibration_images(const struct pbitc_context *context, size_t limit);

/// Graph output 0 of the first `images` images, mean over T passes with m draws (m = 0: the p-bits' mean),
/// into result[images][elements of the output].
enum pbit_status pbitc_calibration_outputs(struct pbitc_graph *graph, struct pbitc_context *context,
                                           const char *stage, size_t images, uint32_t draws, uint32_t samples,
                                           float *result);

/// Mean squared distance of that output, on the first images at most, from the float network's
/// (context->float_outputs, which is not NULL).
enum pbit_status pbitc_calibration_error(struct pbitc_graph *graph, struct pbitc_context *context,
                                         const char *stage, size_t images, uint32_t draws, uint32_t samples,
                                         double *error);

/// Mean square of such outputs, to which their errors are compared; 1 where all are 0.
double pbitc_output_power(const float *outputs, size_t count);

#endif
