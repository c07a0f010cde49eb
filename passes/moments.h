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

    // Beside y, the same inputs in the float network; NULL: not wanted.
    double *exact_sum; ///< [groups][n], of y
    float *cross;      ///< [groups][n][n], sum of x y^T
};

/// Adds a batch of the layer's input, x[images][...], the first of them calibration image `first`, and the
/// float network's, y[images][...]. The sums must be zeroed before the first call.
enum pbit_status pbitc_add_moments(struct pbitc_context *context, struct pbitc_moments *moments,
                                   const struct pbitc_tensor *x, const struct pbitc_tensor *y, size_t first);

/// Adds a share of the mean variance to every variance, so that the covariance[n][n], seen on so many rows,
/// can be inverted.
void pbitc_damp(float *covariance, size_t n, double rows);

/// What rounding needs to know of the inputs of a group of outputs; arrays of the caller.
struct pbitc_statistics {
    float *mean, *variance; ///< [n]
    uint32_t *order;        ///< [n] the inputs from the largest variance to the smallest
    float *memory;          ///< [n][n]; NULL: no factor
    const float *factor;    ///< upper Cholesky factor of the inverse covariance, in this order; NULL: none
    float *covariance;      ///< [n][n], damped, of the inputs as they stand; NULL: not wanted
};

/// Without moments the inputs count alike. `compensate`: find the factor. False: out of memory.
bool pbitc_find_statistics(const struct pbitc_moments *moments, size_t group, bool compensate,
                           struct pbitc_statistics *statistics);

#endif
