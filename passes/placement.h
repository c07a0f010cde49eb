// Where the elements of each value lie in the H x W x C tensors of a .pbit file, and which real numbers
// levels stand for. quantize-weights needs it for the order and scale of a layer's inputs, lower for
// everything.
#ifndef PBITC_PLACEMENT_H
#define PBITC_PLACEMENT_H

#include "passes/pass.h"

/// Of one value, for one image. `holder` NULL: the value cannot be placed (constant, unknown shape or
/// operator).
struct pbitc_placement {
    const struct pbitc_value
        *holder; ///< whose tensor it lies in: itself, or what movement nodes took it from
    uint32_t height, width, channels; ///< of the holder's tensor
    bool channels_last;               ///< the holder is a graph input of shape N x H x W x C
    const uint32_t
        *position; ///< [elements] ONNX row-major index -> index in H x W x C; NULL: the holder's own order
    bool levels;   ///< u8 levels; else fixed point
    const float *scale, *low; ///< levels, [channels]: a level stands for low[c] + scale[c] * level / L
};

/// One entry per value of the graph (value->index). Shapes must be inferred for a batch of 1.
/// Errors: MEMORY; UNSUPPORTED when an input of the graph has no range.
enum pbit_status pbitc_place_values(struct pbitc_graph *graph, struct pbitc_context *context,
                                    struct pbitc_placement **placements);

/// H, W, C of a value of rank 2 to 4 in the order C x H x W; false for other ranks.
bool pbitc_image_size(const struct pbitc_shape *shape, uint32_t *height, uint32_t *width, uint32_t *channels);

/// Whether the value can be read as a H x W x C tensor of its own shape, without a PERMUTE.
bool pbitc_is_standard(const struct pbitc_placement *placement, const struct pbitc_shape *shape);

/// The placement that the value has after a PERMUTE into a tensor of its own shape. False when levels of one
/// channel would have different scales, or when out of memory.
bool pbitc_standardize(struct pbitc_arena *arena, const struct pbitc_placement *placement,
                       const struct pbitc_value *value, struct pbitc_placement *standard);

/// ONNX index -> H x W x C index for a tensor of this shape; NULL when out of memory.
uint32_t *pbitc_standard_position(struct pbitc_arena *arena, const struct pbitc_shape *shape);

/// The inputs of one output of a Conv or Gemm in the order of runtime/FORMAT.md.
struct pbitc_fan_in {
    size_t count;            ///< n
    const uint32_t *source;  ///< [n] index in the layer's row of ONNX weights
    const uint32_t *channel; ///< [n] input channel, relative to the first of the layer's group
    size_t outputs, outputs_per_group, channels_per_group;
};

/// False when the layer's input cannot be read in place (Gemm: its input is not the whole tensor) or out of
/// memory.
bool pbitc_find_fan_in(struct pbitc_arena *arena, const struct pbitc_node *layer,
                       const struct pbitc_placement *input, struct pbitc_fan_in *fan_in);

#endif
