// The part of an engine that works on packed bits (kernels/bit_kernels.h), where a layer draws one p-bit: a
// NEURON takes over the CONVs before it, with the ADD or the MAXPOOL between them, and keeps their sums in
// cache. So does a NEURON that rounds to 255 levels, as on the skip paths of residual networks; its planes
// have a level in each byte, and only CONVs of single channels and pixels read them. What each operation
// takes part in is planned once; from which number of instances (images x passes) on it pays, too.
#ifndef PBIT_ENGINE_BITS_H
#define PBIT_ENGINE_BITS_H

#include "runtime/kernels/bit_kernels.h"

enum {
    PBIT_BIT_OPERATIONS = 512,       ///< programs with more operations or tensors go without
    PBIT_BIT_GAP = 256,              ///< columns of zeros before each plane
    PBIT_BIT_NONE = 0xFFFF,          ///< no operation
    PBIT_BIT_LEAST_PIXELS = 16,      ///< of a map: vectors hold columns
    PBIT_BIT_LEAST_COLUMNS = 100,    ///< in all instances, measured on ResNet-20, VGG5 and a small CNN: with
                                     ///< fewer, making the tables takes longer than bytes' products
    PBIT_BIT_LARGEST_THETA = 1 << 22 ///< floats are exact beyond
};

/// Rows and pitch of an instance's columns in a plane.
struct pbit_bit_grid {
    uint32_t height, width;
};

enum pbit_bit_planes { PBIT_BIT_NO_PLANES, PBIT_BIT_OF_BITS, PBIT_BIT_OF_LEVELS };

struct pbit_bit_plan_entry {
    uint16_t into;                 ///< CONV, MAXPOOL, ADD: the NEURON that does its work, or PBIT_BIT_NONE
    uint16_t term[PBIT_BIT_TERMS]; ///< NEURON: CONVs
    uint8_t terms;                 ///< NEURON: 0 when it reads z
    uint8_t pooled;                ///< NEURON: there is a MAXPOOL between
    uint8_t capable, stage;        ///< NEURON: it could make planes, enum pbit_bit_planes; it does
    struct pbit_bit_grid grid;     ///< NEURON: of its planes; CONV: of what it reads
};
struct pbit_bit_plan {
    uint32_t operations; ///< 0: there are no bits
    struct pbit_bit_plan_entry entry[PBIT_BIT_OPERATIONS];
    uint16_t producer[PBIT_BIT_OPERATIONS], consumers[PBIT_BIT_OPERATIONS]; ///< by tensor
};
/// group: of the kernels, 0 without.
void pbit_bit_plan_make(const struct pbit_model *model, uint32_t group, struct pbit_bit_plan *plan);

/// Where a table's index bytes lie: in which plane of the view, how far from the output's column.
struct pbit_bit_step {
    uint32_t plane;
    int32_t column;
};
/// How a CONV sees its input: planes[phase][group], in which neighbouring output columns are neighbours.
struct pbit_bit_view {
    struct pbit_bit_grid grid;
    uint32_t stride_y, stride_x;
    int32_t origin_y, origin_x; ///< input row of phase 0, row 0
    uint32_t phases, groups;
    const uint32_t *phase; ///< [phases]: row << 16 | column, of the input, from the origin
    uint32_t lead;         ///< columns of zeros that are read before the first
    int direct;            ///< the planes of the input serve
};

/// An output channel of a CONV: z is about scale * sum + offset, and off by `margin` at most. The sum counts
/// from `least`; of an identity it is what is left of the plane's byte.
struct pbit_bit_channel {
    float scale, offset, margin;
    int32_t least, multiplier, bias; ///< least: of the sum, that of the negative weights
    int32_t weight;                  ///< of an identity
};

struct pbit_bit_operation {
    uint32_t into;         ///< CONV, MAXPOOL, ADD: the NEURON that may do its work, or PBIT_BIT_NONE
    int stage;             ///< NEURON: the members below are there
    uint32_t from;         ///< instances; CONV, MAXPOOL, ADD: nothing to do; NEURON: does their work
    uint32_t planes_from;  ///< NEURON: somebody reads its planes
    uint32_t levels_below; ///< NEURON: somebody reads its levels
    // NEURON
    uint32_t terms, term[PBIT_BIT_TERMS]; ///< operations
    int pooled;
    uint32_t share; ///< channels in a byte of its planes: the kernels' group, or 1 where it makes levels
    struct pbit_bit_grid grid;
    size_t planes;  ///< offset in the block's memory
    size_t scratch; ///< the same
    const struct pbit_bit_theta *pieces;
    // CONV
    struct pbit_bit_conv conv;
    int identity; ///< each channel by itself, as a plane has it
    uint32_t source;
    struct pbit_bit_view view;
    const struct pbit_bit_step *step;
    const struct pbit_bit_channel *channel; ///< [channels]
};

#endif
