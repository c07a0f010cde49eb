// --blame: what each pass cost, as the difference between the network after it and the float network it came
// from, and then what each layer costs by itself (blame_layers.h).
#ifndef PBITC_BLAME_H
#define PBITC_BLAME_H

#include "passes/pass.h"

struct pbitc_blame;

/// Runs the float network on the first calibration images and keeps output 0. Lives in the graph's arena.
enum pbit_status pbitc_blame_create(struct pbitc_graph *graph, struct pbitc_context *context,
                                    struct pbitc_blame **blame);

/// Runs the graph as it is now, p-bits drawn with the options' m and T (after `lower`: libpbit on
/// context->file), and adds and prints one line: relative error of output 0 and the share of images with the
/// same top-1 decision.
enum pbit_status pbitc_blame_pass(struct pbitc_blame *blame, struct pbitc_graph *graph,
                                  struct pbitc_context *context, const char *pass);

/// Before quantize-weights: keeps what the layers are measured with.
enum pbit_status pbitc_blame_copy(struct pbitc_blame *blame, struct pbitc_graph *graph,
                                  struct pbitc_context *context);

/// In the end: adds and prints a line for each layer, worst first.
enum pbit_status pbitc_blame_finish(struct pbitc_blame *blame, struct pbitc_graph *graph,
                                    struct pbitc_context *context);

void pbitc_blame_destroy(struct pbitc_blame *blame); ///< what lives outside the arena; accepts NULL

#endif
