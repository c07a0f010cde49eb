// The statistics of accuracies: how far a fraction of N images can be trusted.
#ifndef PBITC_STATISTICS_H
#define PBITC_STATISTICS_H

#include <stddef.h>

/// Two-sided 95 % quantile of the normal distribution.
#define PBITC_Z_95 1.959963984540054

struct pbitc_interval {
    double low, high;
};

/// Wilson score interval of a fraction (0..1) observed on `count` independent trials; 95 %. [0, 1] for 0
/// trials. For a mean over several seeds the trials are the images: seeds on the same images are no new
/// images.
struct pbitc_interval pbitc_wilson(double fraction, size_t count);

/// z of the pooled two-proportion test, positive when b > a; 0 when both are 0 or both are 1.
double pbitc_two_proportion_z(double a, size_t count_a, double b, size_t count_b);

#endif
