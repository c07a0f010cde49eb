// Golden vectors: what an exported network must answer, computed by libpbit.
#ifndef PBITC_EXPORT_GOLDEN_H
#define PBITC_EXPORT_GOLDEN_H

#include "runtime/format.h"

/// Bytes of an image (all inputs of the model), and numbers of a result (all outputs).
uint64_t pbitc_export_input_bytes(const struct pbit_model *model);
uint64_t pbitc_export_output_elements(const struct pbit_model *model);

/// Noise to look at, bytes [bytes]: xorshift32, the same on every host.
void pbitc_export_noise(uint64_t image, uint8_t *pixels, uint64_t bytes);

/// An image and its result in one piece each, as the model's ports.
struct pbitc_golden_ports {
    const uint8_t *inputs[PBIT_PORTS_LIMIT];
    int64_t *outputs[PBIT_PORTS_LIMIT];
};
struct pbitc_golden_ports pbitc_golden_ports(const struct pbit_model *model, const uint8_t *pixels,
                                             int64_t *sums);

/// A workspace for pbit_run, for free(); NULL when out of memory. Sets its size.
void *pbitc_golden_workspace(const struct pbit_model *model, size_t *bytes);

#endif
