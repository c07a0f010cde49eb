// A .pbit file in which one layer draws and all others do not: what that layer's draws alone cost.
#ifndef PBITC_ISOLATE_LAYER_H
#define PBITC_ISOLATE_LAYER_H

#include "runtime/pbit.h"

#include <stdbool.h>

/// Changes `copy`, a copy of the model's bytes (whatever an earlier call made of it), so that every drawing
/// NEURON but number `operation` has 8-bit levels with the least noise of the format (1/65536: it stays
/// random, so that the order of the operations stays valid).
void pbitc_layer_isolate(const struct pbit_model *model, uint32_t operation, uint8_t *copy);

/// Whether the isolated file is valid. `copy` as above; its checksum is set.
bool pbitc_layer_can_isolate(const struct pbit_model *model, uint32_t operation, uint8_t *copy);

#endif
