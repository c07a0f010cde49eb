// What an engine holds: per operation what the fast kernels need, in the memory that the caller gave.
#ifndef PBIT_ENGINE_H
#define PBIT_ENGINE_H

#include "runtime/kernels/fast_kernels.h"
#include "runtime/kernels/packed_conv.h"

enum {
    PBIT_ENGINE_ALIGNMENT = 64,
    PBIT_ENGINE_INSTANCES = 8, ///< images x passes at a time, about
};

/// Where a CONV reads: an image with its padding around it, or the input as it is.
struct pbit_padded {
    uint32_t height, width; ///< of the padded image
    int copied;             ///< else the input serves
};

struct pbit_engine_operation {
    struct pbit_operation operation;
    struct pbit_tensor input, output;
    uint32_t input_index;
    int packed; ///< CONV, NEURON: the members below are there
    int single; ///< CONV: `depthwise` is there
    struct pbit_packed_conv conv;
    struct pbit_depthwise depthwise;
    struct pbit_padded padded;
    struct pbit_fast_neuron neuron;
};

/// The kernels for one kind of processor.
struct pbit_engine_kernels {
    const char *name;                           ///< NULL: not in this build
    const char *instruction, *wide_instruction; ///< that multiplies
    uint32_t lanes;                             ///< of a vector of 32-bit numbers; 0: the scalar kernels
    uint32_t most_levels, most_product;         ///< of a level and a weight, else CONV is wide
    pbit_packed_conv_function *convolve;
    pbit_depthwise_function *depthwise;
    pbit_fast_neuron_function *draw;
    pbit_fast_maxpool_function *maxpool;
};
const struct pbit_engine_kernels *pbit_engine_kernels(enum pbit_cpu cpu);

struct pbit_engine {
    struct pbit_model model;
    const struct pbit_engine_kernels *kernels;
    struct pbit_engine_operation *operations; ///< [operation_count]
    uint8_t *tensor_random;                   ///< [tensor_count] it differs from pass to pass
    size_t scratch_bytes;                     ///< beyond the tensors
    size_t tensors_bytes;                     ///< of one instance
};

/// Memory that is only counted while `base` is NULL.
struct pbit_engine_memory {
    uint8_t *base;
    size_t used;
};
/// `bytes` at a multiple of PBIT_ENGINE_ALIGNMENT, or NULL while counting.
void *pbit_engine_take(struct pbit_engine_memory *memory, size_t bytes);

/// Fills operation->depthwise or ->conv, and ->padded, with weights for vectors of `lanes`, when there is a
/// way.
void pbit_pack_conv(struct pbit_engine_memory *memory, const struct pbit_model *model, uint32_t lanes,
                    struct pbit_engine_operation *operation);
void pbit_pack_neuron(struct pbit_engine_memory *memory, const struct pbit_model *model,
                      struct pbit_engine_operation *operation);

#endif
