// A stage of a network on a small core: CONV, then MAXPOOL and NEURON where they follow, one row of the
// result at a time, so that the pre-activations of a whole image are never in memory. The bits are those of
// the separate operations. Part of every firmware that pbitc exports.
#ifndef PBIT_STAGE_H
#define PBIT_STAGE_H

#include "runtime/kernels/kernels.h"

/// The passes that a call computes together, so that each weight is fetched once for all of them.
struct pbit_passes {
    struct pbit_draw draw; ///< draw.sample: the first of them
    uint32_t draws;        ///< m
    uint32_t count;
};

/// pbit_conv_rows, or a faster one for some layers (pbit_dense.h).
typedef void pbit_conv_function(const struct pbit_model *model, const struct pbit_operation *conv,
                                const struct pbit_tensor *input, const struct pbit_tensor *output,
                                const struct pbit_conv_part *part, const uint8_t *in, int32_t *out,
                                int16_t *row);

/// Constants of a stage. Offsets of scratch are bytes of the workspace, each a multiple of 8.
struct pbit_stage {
    const struct pbit_model *model; ///< only `bytes` is used
    pbit_conv_function *convolve;
    const struct pbit_operation *conv;
    const struct pbit_operation *pool;   ///< NULL: none
    const struct pbit_operation *neuron; ///< NULL: none
    const struct pbit_tensor *input, *sums, *pooled, *levels;
    uint32_t channels;      ///< output channels computed at a time; all, unless a row is one pixel
    uint32_t row_offset;    ///< scratch of `convolve`
    uint32_t sums_offset;   ///< i32[passes][rows][W][channels], unused when the sums are the result
    uint32_t sums_stride;   ///< elements of one pass there
    uint32_t pooled_offset; ///< i32[passes][W'][C], unused when the maxima are the result
    uint32_t states_offset; ///< struct pbit_neuron_state[passes]
};

/// in: u8[count][H][W][C], in_stride elements apart; 0: all passes read the same image, whose sums are
/// computed once. out: levels u8 or, without NEURON, i32, out_stride elements apart.
void pbit_stage_run(const struct pbit_stage *stage, const struct pbit_passes *passes, const uint8_t *in,
                    size_t in_stride, void *out, size_t out_stride, uint8_t *workspace);

/// A NEURON whose pre-activations are kept: in i32, in_stride elements apart (0: shared); out u8.
void pbit_passes_neuron(const struct pbit_model *model, const struct pbit_operation *neuron,
                        const struct pbit_tensor *levels, const struct pbit_passes *passes, const int32_t *in,
                        size_t in_stride, uint8_t *out, size_t out_stride);

#endif
