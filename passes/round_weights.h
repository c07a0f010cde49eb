// Rounding of the weights of one output to b_w bits: steps, and integers whose errors make up for each other.
#ifndef PBITC_ROUND_WEIGHTS_H
#define PBITC_ROUND_WEIGHTS_H

#include "passes/moments.h"

/// Where the integers of an output go, and how they are found.
struct pbitc_row {
    int bits;         ///< b_w, 1..8
    bool clips;       ///< steps may clip where that lowers the error
    size_t n, group;  ///< weights; weights per step
    int8_t *integers; ///< [n]
    uint8_t *factors; ///< [ceil(n / group)], or NULL with one step for all
    float *scale;     ///< the step that the factors multiply
};

/// Step of weight i.
float pbitc_row_step(const struct pbitc_row *row, size_t i);

/// With so few bits integers and steps are worth a search.
enum { PBITC_FEW_BITS = 3 };

/// Rounds weights[n]; with statistics->covariance, integers and steps are improved in turn. scratch: float[2
/// n].
void pbitc_round_row(const struct pbitc_row *row, const float *weights,
                     const struct pbitc_statistics *statistics, float *scratch);

#endif
