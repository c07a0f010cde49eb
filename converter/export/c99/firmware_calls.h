// The part of NAME.c that computes: straight-line calls of the runtime's kernels, step by step of the plan.
#ifndef PBITC_FIRMWARE_CALLS_H
#define PBITC_FIRMWARE_CALLS_H

#include "converter/export/c99/firmware.h"

/// The constants that the stages are called with.
void pbitc_firmware_write_stages(const struct pbitc_firmware *firmware, FILE *stream);
/// The function that runs the steps of one kind; `random`: for every pass.
void pbitc_firmware_write_steps(const struct pbitc_firmware *firmware, bool random, FILE *stream);
/// The function that adds what a pass has put out to the caller's sums.
void pbitc_firmware_write_sums(const struct pbitc_firmware *firmware, FILE *stream);

#endif
