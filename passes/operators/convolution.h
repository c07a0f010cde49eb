// Convolution of float tensors, which Conv and ConvTranspose share.
#ifndef PBITC_CONVOLUTION_H
#define PBITC_CONVOLUTION_H

#include "passes/operators/direct_convolution.h"

struct pbitc_convolution {
    // What is computed; set by the caller.
    struct pbitc_window window;                ///< pads may be negative: they cut off
    int64_t images, groups, channels, outputs; ///< channels and outputs of ONE group
    enum pbitc_type type;                      ///< float32 or float64
    const void *input, *weights;               ///< weights [groups * outputs x channels x kernel]
    const void *bias;                          ///< [groups * outputs], or NULL
    void *output;
    // How; set by pbitc_convolution_plan.
    enum {
        PBITC_CONVOLUTION_COLUMNS,   ///< the weights times a matrix of what lies under the windows (im2col)
        PBITC_CONVOLUTION_DIRECT,    ///< the same without laying out that matrix
        PBITC_CONVOLUTION_DEPTHWISE, ///< one channel per group: the matrix would have next to no rows
        PBITC_CONVOLUTION_DENSE      ///< one window that sees the whole image: a dense layer
    } way;
    int64_t depth;         ///< rows of the matrix: channels * kernel_size
    int64_t block, blocks; ///< columns at a time, and how many times
    struct pbitc_direct_convolution direct;
    size_t shared_bytes, thread_bytes; ///< scratch memory of all threads, of each; multiples of 64
    // Set by pbitc_convolution_run.
    void *shared;
    unsigned char *spare; ///< thread_bytes for each thread
    int64_t part, parts;  ///< direct: output channels of a group at a time, and how many times
    int64_t taps;         ///< depthwise: kernel positions that see something
};

/// Chooses how. False: too large.
bool pbitc_convolution_plan(struct pbitc_convolution *convolution);

/// `scratch` has shared_bytes + threads * thread_bytes, 64-aligned. No result depends on the batch or
/// threads.
void pbitc_convolution_run(struct pbitc_convolution *convolution, int threads, void *scratch);

/// The operands' types and ranks: float32 or float64, one to three spatial dimensions.
enum pbit_status pbitc_convolution_operands(struct pbitc_evaluation *evaluation);

#endif
