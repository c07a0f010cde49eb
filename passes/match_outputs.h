// Gain and bias of a layer's output channels, matched to the float network's.
#ifndef PBITC_MATCH_OUTPUTS_H
#define PBITC_MATCH_OUTPUTS_H

#include "passes/twin_run.h"

/// Clipping, rounding and noise that passes a nonlinearity shrink what a layer gives and move its mean. A
/// quantized layer of the p-bit network, whose outputs are known, gets for every output channel the gain
/// Var(z) / Cov(z, z'), with z the float network's output and z' its own, so that z' follows z with slope 1
/// (step `match-gains`), and the bias that gives z' the mean of z (step `correct-bias`). Its constants, its
/// integers' scales and its outputs in the run change alike.
enum pbit_status pbitc_match_outputs(struct pbitc_context *context, const struct pbitc_twin_run *run,
                                     struct pbitc_node *layer);

#endif
