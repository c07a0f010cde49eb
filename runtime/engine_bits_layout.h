// Where what a NEURON on packed bits works on lies in memory: planes, views of them, and what is private to a
// piece of its work.
#ifndef PBIT_ENGINE_BITS_LAYOUT_H
#define PBIT_ENGINE_BITS_LAYOUT_H

#include "runtime/engine.h"

/// Where planes lie in memory: zeros, then the columns of all instances, then zeros again.
struct pbit_bit_plane_set {
    uint8_t *first; ///< column 0 of plane 0
    size_t gap, stride;
};

static inline size_t pbit_bit_area(struct pbit_bit_grid grid)
{
    return (size_t)grid.height * grid.width;
}

/// Numbers of a channel, by image.
static inline size_t pbit_bit_channel_stride(struct pbit_bit_grid grid)
{
    return (pbit_bit_area(grid) + PBIT_BIT_PIXELS - 1) / PBIT_BIT_PIXELS * PBIT_BIT_PIXELS;
}

/// Planes that a NEURON makes.
uint32_t pbit_bit_plane_count(const struct pbit_engine_operation *neuron);

/// The planes that a NEURON makes for `instances`.
struct pbit_bit_plane_set pbit_bit_planes_of(const struct pbit_engine_operation *neuron, size_t instances,
                                             uint8_t *bits);

/// The planes of a CONV's view, without their place in memory.
struct pbit_bit_plane_set pbit_bit_lay_view(const struct pbit_bit_view *view, size_t instances);

/// Of a sum of a CONV: 2, or 4 where there are group factors.
size_t pbit_bit_sum_bytes(const struct pbit_engine_operation *conv);

/// What a piece of a stage reads beside planes; it makes it for itself: from another thread it would come
/// later.
struct pbit_bit_inputs {
    uint32_t *offsets[PBIT_BIT_TERMS];
    uint8_t *view[PBIT_BIT_TERMS];
    uint16_t *random; ///< [image or instance][channel][channel_stride]
};

/// Lays it out in `memory`, or counts.
struct pbit_bit_inputs pbit_bit_lay_inputs(const struct pbit_engine *engine,
                                           const struct pbit_engine_operation *neuron, size_t instances,
                                           struct pbit_engine_memory *memory);

/// What else a piece of a stage needs.
struct pbit_bit_scratch {
    uint8_t *tables; ///< PBIT_BIT_SCRATCH
    uint8_t *rows;   ///< of an instance of a view
    struct pbit_bit_columns columns[PBIT_BIT_TERMS];
    uint8_t *sums[PBIT_BIT_TERMS], *pooled; ///< [group][sums_stride] and [group][pooled_stride], of numbers
    size_t sums_stride[PBIT_BIT_TERMS], pooled_stride;
    uint32_t *states; ///< of random numbers
    int32_t *z;       ///< [channel][channel_stride]
};

struct pbit_bit_scratch pbit_bit_lay_scratch(const struct pbit_engine *engine,
                                             const struct pbit_engine_operation *neuron, size_t instances,
                                             struct pbit_engine_memory *memory);

/// A part of a view in the making.
struct pbit_bit_viewing {
    const struct pbit_bit_kernels *kernels;
    const struct pbit_engine_operation *conv;
    struct pbit_range instances, columns; ///< columns: of each instance
    uint8_t *rows;                        ///< scratch
};

void pbit_bit_make_view(const struct pbit_bit_viewing *viewing, const struct pbit_bit_plane_set *source,
                        const struct pbit_bit_plane_set *to);

#endif
