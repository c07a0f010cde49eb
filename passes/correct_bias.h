// Bias of a layer's output channels, matched to the float network's.
#ifndef PBITC_CORRECT_BIAS_H
#define PBITC_CORRECT_BIAS_H

#include "passes/twin_run.h"

/// Clipping, rounding and noise that passes a nonlinearity move the mean of what a layer gives. A quantized
/// layer of the p-bit network, whose outputs are known, gets for every output channel the bias that gives it
/// the mean of the float network's output (step `correct-bias`). Its constants and its outputs in the run
/// change alike.
enum pbit_status pbitc_correct_bias(struct pbitc_context *context, const struct pbitc_twin_run *run,
                                    struct pbitc_node *layer);

#endif
