// The parts of `lower` (passes/lower.c): units of fixed-point values, layers, neurons.
#ifndef PBITC_LOWERING_H
#define PBITC_LOWERING_H

#include "passes/placement.h"
#include "passes/program.h"

/// What the reader of a fixed-point value wants: z / 2^16 = gain[c] * real + offset[c]. [channels] of the
/// value's holder.
struct pbitc_unit {
    const float *gain, *offset;
};

struct pbitc_lowering {
    struct pbitc_graph *graph;
    struct pbitc_context *context;
    struct pbitc_program *program;
    struct pbitc_placement *placements; ///< [value->index]
    struct pbitc_unit *units;           ///< [value->index]; gain NULL: nobody asked yet
    uint32_t *tensors;                  ///< [value->index] program tensor of a holder + 1; 0: not made yet
    uint32_t *standard;                 ///< [value->index] program tensor after a PERMUTE + 1
    bool out_of_memory;
};

/// Reports a node that cannot be part of a .pbit file; the walk goes on to find all of them.
void pbitc_refuse(struct pbitc_lowering *lowering, const struct pbitc_node *node, const char *remedy,
                  const char *format, ...) __attribute__((format(printf, 4, 5)));
/// Memory from the arena; notes when there is none.
void *pbitc_lowering_allocate(struct pbitc_lowering *lowering, size_t count, size_t size);

/// Walks backwards from the outputs and neurons and gives every fixed-point value its unit.
void pbitc_choose_units(struct pbitc_lowering *lowering);
/// The unit of a graph output in a tensor of `channels` channels: one gain for all of them, no offset.
struct pbitc_unit pbitc_output_unit(struct pbitc_lowering *lowering, const struct pbitc_value *output,
                                    uint32_t channels);

/// The tensor that a value's elements lie in, for readers that follow placements[].position themselves.
/// UINT32_MAX: none.
uint32_t pbitc_held_tensor(const struct pbitc_lowering *lowering, const struct pbitc_value *value);
/// The tensor of a value in the standard order of its own shape, with a PERMUTE where it lies otherwise;
/// fills `placement`. UINT32_MAX after a report.
uint32_t pbitc_standard_tensor(struct pbitc_lowering *lowering, const struct pbitc_node *reader,
                               const struct pbitc_value *value, struct pbitc_placement *placement);
/// Adds a tensor for a value that a node makes. draw_factor: FORMAT.md; ignored for fixed point.
uint32_t pbitc_make_tensor(struct pbitc_lowering *lowering, const struct pbitc_value *value,
                           enum pbit_tensor_kind kind, uint32_t draw_factor);
struct pbitc_program_operation *pbitc_emit(struct pbitc_lowering *lowering, enum pbit_operation_kind kind,
                                           const char *name, uint32_t input, uint32_t output);

/// Conv and Gemm.
void pbitc_lower_layer(struct pbitc_lowering *lowering, const struct pbitc_node *node);
/// AveragePool and GlobalAveragePool.
void pbitc_lower_average_pool(struct pbitc_lowering *lowering, const struct pbitc_node *node);
void pbitc_lower_max_pool(struct pbitc_lowering *lowering, const struct pbitc_node *node);
/// A tensor with `value` as fixed point in `unit`: its own, or levels through a 1 x 1 CONV of weights 1.
uint32_t pbitc_fixed_tensor(struct pbitc_lowering *lowering, const struct pbitc_node *reader,
                            const struct pbitc_value *value, const struct pbitc_unit *unit);

/// PBit.
void pbitc_lower_neuron(struct pbitc_lowering *lowering, const struct pbitc_node *node);
/// gain and offset that a PBit wants of its input, [channels].
bool pbitc_neuron_unit(struct pbitc_lowering *lowering, const struct pbitc_node *pbit, uint32_t channels,
                       struct pbitc_unit *unit);

#endif
