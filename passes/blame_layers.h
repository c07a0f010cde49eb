// --blame, layer by layer: what the draws (and the range) of each neuron layer, and the rounding of each
// layer's weights, do to the output when all else is exact.
#ifndef PBITC_BLAME_LAYERS_H
#define PBITC_BLAME_LAYERS_H

#include "passes/pass.h"

struct pbitc_blame_copies;

/// Copies the graph as it is before quantize-weights, with its ranges. Lives in the graph's arena; destroy it
/// all the same.
enum pbit_status pbitc_blame_copies_create(struct pbitc_graph *graph, struct pbitc_context *context,
                                           struct pbitc_blame_copies **copies);
void pbitc_blame_copies_destroy(struct pbitc_blame_copies *copies); ///< accepts NULL

/// Measures every layer against wanted[images][outputs], one run each over the first calibration images, and
/// appends a line for each to context->blame, worst first. `graph` is the one that was copied.
enum pbit_status pbitc_blame_layers(struct pbitc_blame_copies *copies, struct pbitc_graph *graph,
                                    struct pbitc_context *context, const float *wanted, size_t images,
                                    size_t outputs);

/// relative_error and agreement of now[images][outputs].
void pbitc_blame_compare(const float *wanted, const float *now, size_t images, size_t outputs,
                         struct pbitc_blame_line *line);

#endif
