// What the normalizations by statistics of the data share.
#ifndef PBITC_NORMALIZATION_H
#define PBITC_NORMALIZATION_H

#include "passes/operators/operator_support.h"

#include <math.h>

/// Declares mean and inverse = 1 / sqrt(variance + epsilon) of `size` numbers, in double.
#define PBITC_STATISTICS(input, size, epsilon)                                                               \
    double mean = 0, variance = 0;                                                                           \
    for (int64_t i = 0; i < (size); i++)                                                                     \
        mean += (double)(input)[i];                                                                          \
    mean /= (double)(size);                                                                                  \
    for (int64_t i = 0; i < (size); i++)                                                                     \
        variance += ((double)(input)[i] - mean) * ((double)(input)[i] - mean);                               \
    const double inverse = 1 / sqrt(variance / (double)(size) + (double)(epsilon))

/// Inputs of one type, normalized over axis..rank-1, with statistics in float32 (stash_type).
enum pbit_status pbitc_require_trailing_axes(struct pbitc_evaluation *evaluation, int *axis);

#endif
