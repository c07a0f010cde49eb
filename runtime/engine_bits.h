// The part of an engine that works on packed bits (kernels/bit_kernels.h), where a layer draws one p-bit: a
// NEURON takes over the CONVs before it, with the ADD or the MAXPOOL between them, and keeps their sums in
// cache. So does a NEURON that rounds to 255 levels, as on the skip paths of residual networks; its planes
// have a level in each byte, and only CONVs of single channels and pixels read them. What each operation
// takes part in is planned once; from which number of instances (images x passes) on it pays, too.
#ifndef PBIT_ENGINE_BITS_H
#define PBIT_ENGINE_BITS_H

#include "runtime/kernels/bit_kernels.h"

enum {
    PBIT_BIT_OPERATIONS = 512,   ///< programs with more operations or tensors go without
    PBIT_BIT_GAP = 256,          ///< columns that may be read before and after the planes
    PBIT_BIT_LEAST_GROUP = 16,   ///< weights of a factor: shorter runs of tables do not pay
    PBIT_BIT_NONE = 0xFFFF,      ///< no operation
    PBIT_BIT_LEAST_PIXELS = 16,  ///< of a map: vectors hold columns
    PBIT_BIT_LEAST_COLUMNS = 60, ///< in all instances, measured on ResNet-20, VGG5 and a small CNN: with
                                 ///< fewer, making the tables takes longer than bytes' products
    PBIT_BIT_SPLITS = 4,
    PBIT_BIT_LARGEST_THETA = 1 << 22 ///< floats are exact below
};

/// Rows of an instance's columns in a plane, and their length.
struct pbit_bit_grid {
    uint32_t height, width;
};
/// Of what a CONV reads: the columns of its output, with rows of zeros between two instances.
struct pbit_bit_grid pbit_bit_view_grid(const struct pbit_window *window, const struct pbit_tensor *input,
                                        const struct pbit_tensor *output);

enum pbit_bit_planes { PBIT_BIT_NO_PLANES, PBIT_BIT_OF_BITS, PBIT_BIT_OF_LEVELS };

struct pbit_bit_plan_entry {
    uint16_t into;                 ///< CONV, MAXPOOL, ADD: the NEURON that does its work, or PBIT_BIT_NONE
    uint16_t term[PBIT_BIT_TERMS]; ///< NEURON: CONVs
    uint8_t terms;                 ///< NEURON: 0 when it reads z
    uint8_t pooled;                ///< NEURON: there is a MAXPOOL between
    uint8_t capable, stage;        ///< NEURON: it could make planes, enum pbit_bit_planes; it does
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
/// Bits of the input's last plane, where it is not full, that go to a plane of the view.
struct pbit_bit_piece {
    uint32_t tap, plane;         ///< column of the window; among the merged planes
    uint8_t map[PBIT_BIT_TABLE]; ///< by the byte of the input
};
/// How a CONV sees its input: for each phase of the rows planes[tap][full], which show the full planes of the
/// input as each column of the window sees them; then planes[merged], where the channels that are left share
/// bytes with those of the neighbouring columns. Columns are those of the output.
struct pbit_bit_view {
    struct pbit_bit_grid grid;
    int32_t origin_y;      ///< input row of phase 0, row 0
    uint32_t phases;       ///< of the rows
    const uint32_t *phase; ///< [phases]: rows from the origin
    uint32_t full, rest;   ///< planes of the input; channels that are left
    uint32_t merged, piece_count;
    const struct pbit_bit_piece *piece;
    const uint8_t
        *mask;     ///< [taps][pixels of a map, rounded up]: 255 inside; NULL: rows are copied one by one
    uint32_t lead; ///< columns of zeros that are read before the first
    int direct;    ///< the planes of the input serve
};
/// Bytes from tap to tap of a mask.
static inline size_t pbit_bit_mask_stride(const struct pbit_tensor *input)
{
    return ((size_t)input->height * input->width + 63) / 64 * 64;
}
/// Of each phase.
static inline uint32_t pbit_bit_view_planes(const struct pbit_bit_view *view, uint32_t taps)
{
    return taps * view->full + view->merged;
}

/// How some pixels' random numbers are drawn at once, struct pbit_bit_random.
struct pbit_bit_streams {
    size_t part;       ///< pixels of a stream
    uint32_t jump[32]; ///< to the next part
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
    struct pbit_bit_streams streams[PBIT_BIT_SPLITS]; ///< of all pixels, of half of them, a quarter ...
    size_t planes;                                    ///< offset in the block's memory
    const struct pbit_bit_theta *pieces;
    const struct pbit_bit_words *words; ///< or NULL
    // CONV
    struct pbit_bit_conv conv;
    int identity; ///< each channel by itself, as a plane has it
    uint32_t source;
    struct pbit_bit_view view;
    const struct pbit_bit_step *step;
    const struct pbit_bit_channel *channel; ///< [channels]
};

#endif
