// Convolution with stride 1 in one or two dimensions without an im2col matrix: in an image with its padding
// around it, what a kernel position sees of a channel is one run of memory, so the rows of the matrix are
// already there. The price are a few columns per line that nobody wants.
#ifndef PBITC_DIRECT_CONVOLUTION_H
#define PBITC_DIRECT_CONVOLUTION_H

#include "passes/operators/window.h"

struct pbitc_direct_convolution {
    const struct pbitc_window *window;
    int64_t channels, outputs; ///< of one group
    int64_t lines;             ///< output lines of a block
    int64_t blocks;            ///< blocks of an image
    int64_t line, plane;       ///< floats of a padded line, of a channel of the padded lines
    int64_t slack;             ///< zeros after the last channel
    bool padded;               ///< else the input serves as it is
    size_t scratch_floats;     ///< for each thread
};

/// False when im2col is the better way.
bool pbitc_direct_convolution_plan(const struct pbitc_window *window, int64_t channels, int64_t outputs,
                                   struct pbitc_direct_convolution *plan);

/// offsets[channels * kernel_size]: where in the padded lines the rows of the im2col matrix begin.
void pbitc_direct_convolution_offsets(const struct pbitc_direct_convolution *plan, int64_t *offsets);

/// Block `block` of one image and group: input [channels x input], weights [outputs x channels x kernel],
/// bias [outputs] or NULL, output [outputs x output], scratch [scratch_floats].
void pbitc_direct_convolution_run(const struct pbitc_direct_convolution *plan, const int64_t *offsets,
                                  int64_t block, const float *input, const float *weights, const float *bias,
                                  float *output, float *scratch);

#endif
