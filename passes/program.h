// A .pbit program under construction: what `lower` builds and `pbitc_program_serialize` turns into the bytes
// of runtime/FORMAT.md. Everything lives in the graph's arena.
#ifndef PBITC_PROGRAM_H
#define PBITC_PROGRAM_H

#include "passes/arena.h"
#include "passes/diagnostics.h"
#include "runtime/format.h"

#include <stdbool.h>

/// The tables that one operation brings along; NULL where the kind has none.
struct pbitc_program_tables {
    const int8_t *weights;      ///< CONV: [C_out][fan-in], each within weight_bits; b = 1: -1 or +1
    const uint8_t *factors;     ///< CONV: [C_out][ceil(fan-in / group)]
    const int32_t *multipliers; ///< CONV: [C_out]
    const int32_t *biases;      ///< CONV: [C_out]
    const uint16_t *zeros;      ///< CONV: [C_in], NULL when all are 0
    const int32_t *table;       ///< NEURON: theta[257] or curve[segments + 1]; PERMUTE: indices
    size_t table_count;
};

struct pbitc_program_operation {
    struct pbit_operation fields; ///< offsets, `name`, `inputs` and `output` are set by the serializer
    const char *name;
    uint32_t inputs[PBIT_INPUTS_LIMIT], output;
    struct pbitc_program_tables tables;
};

struct pbitc_program_input {
    uint32_t rank;
    bool channels_last;
    const float *offset, *step; ///< [C]
};

struct pbitc_program_output {
    uint32_t tensor, rank, flags; ///< flags: PBIT_OUTPUT_...
    float scale;
};

struct pbitc_program {
    struct pbitc_arena *arena;
    uint32_t tensor_count, operation_count, input_count, output_count;
    struct pbit_tensor
        tensors[PBIT_TENSORS_LIMIT]; ///< inputs first; workspace offsets are set by the serializer
    struct pbitc_program_operation *operations[PBIT_OPERATIONS_LIMIT];
    struct pbitc_program_input inputs[PBIT_PORTS_LIMIT];
    struct pbitc_program_output outputs[PBIT_PORTS_LIMIT];
    uint32_t draws, samples; ///< defaults
    enum pbit_sampler sampler;
    const char *metadata;
};

struct pbitc_program *pbitc_program_create(struct pbitc_arena *arena); ///< NULL when out of memory

/// Appends; the index, or UINT32_MAX when the limit of the format is reached.
uint32_t pbitc_program_add_tensor(struct pbitc_program *program, const struct pbit_tensor *tensor);
/// Appends an operation of `kind` with one input; NULL when out of memory or beyond the limit of the format.
struct pbitc_program_operation *pbitc_program_add_operation(struct pbitc_program *program,
                                                            enum pbit_operation_kind kind, const char *name,
                                                            uint32_t input, uint32_t output);

/// Orders the operations, plans the workspace, finds the largest m whose sums cannot overflow and writes the
/// bytes into the arena. The result is opened with pbit_model_open before it is returned. Errors: MEMORY,
/// UNSUPPORTED (a default m beyond the largest, a file above 4 GiB), INTERNAL (our own file is not valid).
enum pbit_status pbitc_program_serialize(struct pbitc_program *program, struct pbitc_diagnostics *diagnostics,
                                         uint8_t **bytes, size_t *size);

#endif
