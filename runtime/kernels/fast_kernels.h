// Kernels in plain C that compilers turn into vectors, compiled once for each kind of processor. Bits as the
// scalar ones.
#ifndef PBIT_FAST_KERNELS_H
#define PBIT_FAST_KERNELS_H

#include "runtime/kernels/kernels.h"

enum { PBIT_BUCKETS = 2048, PBIT_LARGEST_MARGIN = 200 };

/// The tables of one NEURON, in the processor's own byte order.
struct pbit_fast_neuron {
    const int32_t *table;   ///< theta[257] or p[segments + 1]; NULL for linear
    const int32_t *buckets; ///< theta: the first segment that a z of this bucket may be in, [PBIT_BUCKETS]
    uint32_t bucket_shift;  ///< z - theta[0] of a bucket
    uint32_t steps;         ///< segments that a bucket may span, beyond the first
    const float *start, *slope; ///< theta: P(z) about start + slope * (z - theta[0]), [PBIT_BUCKETS]; or NULL
    uint32_t margin;            ///< how far P may be from that
};

typedef void pbit_fast_neuron_function(const struct pbit_fast_neuron *tables,
                                       const struct pbit_operation *neuron, const struct pbit_draw *draw,
                                       size_t count, const int32_t *in, uint8_t *out);

pbit_fast_neuron_function pbit_fast_neuron, pbit_fast_neuron_avx512, pbit_fast_neuron_avx2,
    pbit_fast_neuron_neon;

/// MAXPOOL, of levels or fixed, whose taps are all inside the image.
typedef void pbit_fast_maxpool_function(const struct pbit_operation *pool, const struct pbit_tensor *input,
                                        const struct pbit_tensor *output, const void *in, void *out);

pbit_fast_maxpool_function pbit_fast_maxpool, pbit_fast_maxpool_avx512, pbit_fast_maxpool_avx2,
    pbit_fast_maxpool_neon;

/// A CONV with one input and one output channel per group.
struct pbit_depthwise {
    const int16_t *weights;      ///< [tap][channels], with their factors
    const uint32_t *multipliers; ///< [channels]
    const int32_t *biases;       ///< [channels]
};

/// in: the image, padded, whose lines are `line` bytes. multipliers: [channels] M_L.
typedef void pbit_depthwise_function(const struct pbit_depthwise *packed, const int32_t *multipliers,
                                     const struct pbit_operation *conv, const struct pbit_tensor *output,
                                     size_t line, const uint8_t *in, int32_t *out);

pbit_depthwise_function pbit_depthwise, pbit_depthwise_avx512, pbit_depthwise_avx2, pbit_depthwise_neon;

static inline int pbit_pool_is_inside(const struct pbit_operation *pool, const struct pbit_tensor *input,
                                      const struct pbit_tensor *output)
{
    const struct pbit_window *window = &pool->window;
    return window->pad_y == 0 && window->pad_x == 0 &&
           (uint64_t)(output->height - 1) * window->stride_y +
                   (uint64_t)(window->kernel_y - 1) * window->dilation_y <
               input->height &&
           (uint64_t)(output->width - 1) * window->stride_x +
                   (uint64_t)(window->kernel_x - 1) * window->dilation_x <
               input->width;
}

#endif
