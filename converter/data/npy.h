// NumPy's .npy files (format versions 1 to 3), little-endian.
#ifndef PBITC_NPY_H
#define PBITC_NPY_H

#include "passes/ir/graph.h"

/// Decodes the file's bytes. tensor->data is malloc'ed, row-major (Fortran order is turned round), the
/// caller's to free; NULL on failure. `path` is for messages. Errors: FORMAT, UNSUPPORTED, MEMORY.
enum pbit_status pbitc_npy_decode(const uint8_t *bytes, size_t size, const char *path,
                                  struct pbitc_diagnostics *diagnostics, struct pbitc_tensor *tensor);

/// pbitc_npy_decode of a file.
enum pbit_status pbitc_npy_load(const char *path, struct pbitc_diagnostics *diagnostics,
                                struct pbitc_tensor *tensor);

/// The bytes of a file that holds the tensor: malloc'ed, the caller's to free; NULL when out of memory or for
/// a type that NumPy does not have.
uint8_t *pbitc_npy_encode(const struct pbitc_tensor *tensor, size_t *size);

/// Element `index` as a double; false for types without a value as such (bfloat16).
bool pbitc_tensor_element(const struct pbitc_tensor *tensor, size_t index, double *value);

#endif
