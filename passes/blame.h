// --blame: what each pass cost, as the difference between the network after it and the float network it came
// from.
#ifndef PBITC_BLAME_H
#define PBITC_BLAME_H

#include "passes/pass.h"

struct pbitc_blame;

/// Runs the float network on the first calibration images and keeps output 0. Lives in the graph's arena.
enum pbit_status pbitc_blame_create(struct pbitc_graph *graph, struct pbitc_context *context,
                                    struct pbitc_blame **blame);

/// Runs the graph as it is now, p-bits drawn with the options' m and T (after `lower`: libpbit on
/// context->file), and prints one line: relative error of output 0 (root mean square) and the share of images
/// with the same top-1 decision.
enum pbit_status pbitc_blame_print(struct pbitc_blame *blame, struct pbitc_graph *graph,
                                   struct pbitc_context *context, const char *pass);

#endif
