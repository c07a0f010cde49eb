// What both executors, run.c and engine.c, do alike.
#ifndef PBIT_EXECUTE_H
#define PBIT_EXECUTE_H

#include "runtime/kernels/kernels.h"

/// A run's options with the file's defaults in their place.
struct pbit_budget {
    uint32_t draws, samples;
    enum pbit_sampler sampler;
};

/// Checks options and ports of `images` images. Errors: ARGUMENT, RANGE.
enum pbit_status pbit_run_check(const struct pbit_model *model, const struct pbit_options *options,
                                size_t images, const uint8_t *const *inputs, int64_t *const *sums,
                                struct pbit_budget *budget);

void pbit_sums_clear(const struct pbit_model *model, size_t images, int64_t *const *sums);

/// Where a run has the data of tensor `index`.
typedef const uint8_t *pbit_tensor_finder(const void *state, uint32_t index,
                                          const struct pbit_tensor *tensor);

/// Any operation but CONV and NEURON. out: of the operation's output tensor.
void pbit_execute(const struct pbit_model *model, const struct pbit_operation *operation,
                  pbit_tensor_finder *find, const void *state, uint8_t *out);

/// Adds what one pass left in the output tensors. sums: [outputs].
void pbit_sums_add(const struct pbit_model *model, pbit_tensor_finder *find, const void *state,
                   int64_t *const *sums);

#endif
