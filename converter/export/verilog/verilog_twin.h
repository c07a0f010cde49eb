// Two relatives of a network that `pbitc export` builds for comparison, and their references, which the
// simulation must equal. First the deterministic twin, with which p-bits are compared: the same weights,
// scales and biases, but neurons give levels of BITS bits from a table, and every synapse multiplies. One
// pass, nothing random. It is what `pbitc export --twin mac:BITS` builds.
//
// A level a of BITS bits stands for a / 2^BITS, so that CONV is (compare FORMAT.md, section 3)
//     z = sat32(RS(A * M[k], s + BITS) + RS(E * M[k], s + 8) + B[k]),
// with M_255 and s for the pixels of the input as there.
//
// Second the network with classic p-bits, `--neuron-style lfsr-sigmoid`: each layer has a table of 256
// probabilities of 8 bits over z and an LFSR of 32 bits that shifts once per draw; m is 1. The elements of a
// layer draw in order, the passes one after the other; every image starts the LFSRs anew. Random like
// libpbit's bits, but others.
#ifndef PBITC_VERILOG_TWIN_H
#define PBITC_VERILOG_TWIN_H

#include "runtime/format.h"

enum {
    PBITC_TWIN_BITS_LEAST = 2,
    PBITC_TWIN_BITS_LIMIT = 32,
    PBITC_TWIN_ENTRIES = 256,
    PBITC_LFSR_BITS = 8, ///< of a probability
};

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

/// The LFSR of a layer when an image begins; layer: as in the file. Not 0.
uint32_t pbitc_lfsr_seed(uint32_t layer);

/// Runs `samples` passes of one image with classic p-bits; sums: over the passes. Errors: MEMORY.
enum pbit_status pbitc_lfsr_run(const struct pbit_model *model, uint32_t samples,
                                const uint8_t *const *inputs, int64_t *const *sums);

#endif
