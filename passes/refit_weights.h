// Weights that make up for what the p-bits and the rounding before a layer did to its inputs.
#ifndef PBITC_REFIT_WEIGHTS_H
#define PBITC_REFIT_WEIGHTS_H

#include "passes/moments.h"

/// The sums w y of a layer in the float network, whose inputs are y, are to come out of the inputs x that it
/// has in the p-bit network. The weights that come closest are w C_yx C_xx^-1 (least squares). They also
/// shrink with the noise of x, which later layers do not forgive; so the weights go a share of the
/// way, 0..1 (step `refit-weights`; as asymmetric calibration in GPTAQ, Li et al., arXiv 2504.02692). Layers
/// of which few rows were seen keep theirs.
///
/// weights: float[outputs of the group][n], in the order and scale of the moments. Writes over
/// moments->cross. False: out of memory.
bool pbitc_refit_weights(struct pbitc_moments *moments, size_t group, float share, float *weights);

#endif
