// First and second moments of a layer's inputs over the calibration images: what rounding of its weights has
// to respect.
#ifndef PBITC_MOMENTS_H
#define PBITC_MOMENTS_H

#include "passes/placement.h"

/// Inputs are divided by the scale S of their channel, as the weights that meet them are multiplied by it,
/// and stand in the order of runtime/FORMAT.md. A grouped Conv has one set per group.
struct pbitc_moments {
    const struct pbitc_node *layer;
    struct pbitc_fan_in fan_in;
    struct pbitc_placement input;
    size_t groups;
    double count;   ///< rows seen, per group
    double *sum;    ///< [groups][n]
    float *product; ///< [groups][n][n], sum of x x^T, upper triangle
    struct pbitc_moments *next;
};

/// Runs the graph on the calibration images with p-bits drawn at the options' m and T, and gathers the
/// moments of every layer in the list.
enum pbit_status pbitc_gather_moments(struct pbitc_graph *graph, struct pbitc_context *context,
                                      struct pbitc_moments *layers);

/// Runs the graph on the first calibration images and fills in the means of the listed values. `drawn`:
/// p-bits are drawn at the options' m and T; else they give their mean.
enum pbit_status pbitc_gather_means(struct pbitc_graph *graph, struct pbitc_context *context, bool drawn,
                                    struct pbitc_mean *means);

#endif
