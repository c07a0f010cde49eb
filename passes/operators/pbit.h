// What `lower` and the PBit operator both read off a PBit node.
#ifndef PBITC_OPERATORS_PBIT_H
#define PBITC_OPERATORS_PBIT_H

#include "passes/operators/operators.h"

uint32_t pbitc_pbit_draw_factor(const struct pbitc_node *node); ///< q of its levels; 0: 8-bit output
uint32_t pbitc_pbit_amplitude(const struct pbitc_node *node); ///< rho (0..256) or noise amplitude (0..65536)

#endif
