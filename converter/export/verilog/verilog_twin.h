// The deterministic twin of a network, with which p-bits are compared: the same weights, scales and biases,
// but neurons give levels of BITS bits from a table, and every synapse multiplies. One pass, nothing random.
// It is what `pbitc export --twin mac:BITS` builds; this is the reference that its simulation must equal.
//
// A level a of BITS bits stands for a / 2^BITS, so that CONV is (compare FORMAT.md, section 3)
//     z = sat32(RS(A * M[k], s + BITS) + RS(E * M[k], s + 8) + B[k]),
// with M_255 and s for the pixels of the input as there.
#ifndef PBITC_VERILOG_TWIN_H
#define PBITC_VERILOG_TWIN_H

#include "runtime/format.h"

enum { PBITC_TWIN_BITS_LEAST = 2, PBITC_TWIN_BITS_LIMIT = 32, PBITC_TWIN_ENTRIES = 256 };

/// A NEURON as a table: the level of z is levels[clamp((z - start) >> shift, 0, 255)].
struct pbitc_twin_table {
    int32_t start;
    uint32_t shift;
    uint32_t levels[PBITC_TWIN_ENTRIES];
};

/// The table over the range in which P is neither nearly 0 nor nearly 1, each level at the middle of its
/// step.
void pbitc_twin_table_fill(struct pbitc_twin_table *table, const struct pbit_model *model,
                           const struct pbit_operation *neuron, uint32_t bits);

/// Runs one image. bits: PBITC_TWIN_BITS_LEAST..PBITC_TWIN_BITS_LIMIT. inputs, sums: as pbit_run has them,
/// for T = 1. Errors: MEMORY.
enum pbit_status pbitc_twin_run(const struct pbit_model *model, uint32_t bits, const uint8_t *const *inputs,
                                int64_t *const *sums);

#endif
