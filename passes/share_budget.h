// Sharing a budget out: a whole number for each layer (draws, bits of weights), so that the sum of the errors
// that they stand for is least.
#ifndef PBITC_SHARE_BUDGET_H
#define PBITC_SHARE_BUDGET_H

#include "runtime/pbit.h"

#include <stdbool.h>
#include <stddef.h>

struct pbitc_share {
    bool fixed;           ///< `now` stays, and counts for nothing
    uint32_t least, most; ///< that it may become
    const double *prices; ///< [most + 1], by the number; do not fall
    const double *errors; ///< [most + 1], squared errors of the output; do not rise
    uint32_t now;
    uint32_t before, best; ///< for pbitc_share_out
};

struct pbitc_sharing {
    size_t count;
    struct pbitc_share *shares;
    double left; ///< of the budget, when all is as it is now
};

/// A run with the numbers as they are now: the squared error of the output.
typedef enum pbit_status pbitc_share_measure(void *state, double *error);

/// From the numbers as they are, which the budget has to cover, to the least sum of errors that single steps
/// lead to. The sum is a guess: runs say whether the end, or the way to it, is better than where it began,
/// and the best of these is what stays. Errors: those of `measure`.
enum pbit_status pbitc_share_out(struct pbitc_sharing *sharing, pbitc_share_measure *measure, void *state);

#endif
