// The float network and the p-bit network side by side over the calibration images, one node after the other:
// a layer can be changed when what it reads is known, and mended when what it gives is, at the cost of one
// run of each network.
#ifndef PBITC_TWIN_RUN_H
#define PBITC_TWIN_RUN_H

#include "passes/pass.h"

struct pbitc_twin_run {
    size_t images, batches;
    struct pbitc_twin *exact,
        *drawn; ///< of the float network; of the graph, its p-bits drawn as in one of T passes
};

/// The value of a node that is running, or of an input of it, for one batch. `value` is one of the graph's.
const struct pbitc_tensor *pbitc_twin_value(const struct pbitc_twin *twin, size_t batch,
                                            const struct pbitc_value *value);

/// Called for a Conv or Gemm with constant weights. It may give the layer other constants, at most two.
typedef enum pbit_status pbitc_twin_function(struct pbitc_context *context, const struct pbitc_twin_run *run,
                                             struct pbitc_node *layer, void *state);

struct pbitc_twin_functions {
    const char *stage;           ///< for the progress function
    pbitc_twin_function *before; ///< its inputs are known
    pbitc_twin_function *after;  ///< its outputs are known, too; those of the p-bit network may be changed
    void *state;
};

/// Runs both networks on as many of the first calibration images as memory allows (PBITC_TWIN_IMAGES at
/// most).
enum { PBITC_TWIN_IMAGES = 1024 };
enum pbit_status pbitc_run_twins(struct pbitc_graph *graph, struct pbitc_context *context,
                                 const struct pbitc_twin_functions *functions);

/// Makes the float network of a copy: p-bits give f itself. A range that stands for bounds of f stays.
void pbitc_lift_ranges(struct pbitc_graph *graph);

#endif
