// Kernels in plain C that compilers turn into vectors, compiled once for each kind of processor. Bits as the
// scalar ones.
#ifndef PBIT_FAST_KERNELS_H
#define PBIT_FAST_KERNELS_H

#include "runtime/kernels/kernels.h"

enum { PBIT_BUCKETS = 2048, PBIT_LARGEST_MARGIN = 200, PBIT_NEURON_PIECES = 64, PBIT_NEURON_PASSES = 8 };

/// P(z) in straight pieces of 16 bits. With q = min(max(z - origin, 0) >> shift, 65535) and piece i = q >> 10
/// it is start[i] + (slope[i] * (q & 1023) >> 10), and off by at most margin[i].
struct pbit_neuron_pieces {
    int32_t origin;
    uint32_t shift;
    uint16_t start[PBIT_NEURON_PIECES], slope[PBIT_NEURON_PIECES], margin[PBIT_NEURON_PIECES];
    uint32_t reach, steepest; ///< for z that is off by some q: off by at most reach + (q * steepest >> 10)
};
/// Returns 0 where they do not pay.
int pbit_neuron_fill_pieces(struct pbit_neuron_pieces *pieces, const int32_t *theta);

/// The tables of one NEURON, in the processor's own byte order.
struct pbit_fast_neuron {
    const int32_t *table;   ///< theta[257] or p[segments + 1]; NULL for linear
    const int32_t *buckets; ///< theta: the first segment that a z of this bucket may be in, [PBIT_BUCKETS]
    uint32_t bucket_shift;  ///< z - theta[0] of a bucket
    uint32_t steps;         ///< segments that a bucket may span, beyond the first
    const float *start, *slope; ///< theta: P(z) about start + slope * (z - theta[0]), [PBIT_BUCKETS]; or NULL
    uint32_t margin;            ///< how far P may be from that
    const struct pbit_neuron_pieces *pieces; ///< theta: or NULL
};

/// The first segment of theta[257] whose end is not below z, at most the last one.
static inline uint32_t pbit_theta_segment(const int32_t *theta, int32_t z)
{
    uint32_t low = 0, high = PBIT_THETA_ENTRIES - 2;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (theta[middle + 1] < z)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/// The number of u with theta(u) < z, FORMAT.md, section 3, in the processor's own byte order.
static inline uint32_t pbit_theta_count_below(const int32_t *theta, int32_t z)
{
    if (z > theta[PBIT_THETA_ENTRIES - 1])
        return PBIT_ONE;
    uint32_t low = pbit_theta_segment(theta, z);
    int64_t start = theta[low], rise = theta[low + 1] - start;
    return (low << 8) + (z <= start ? 0 : (uint32_t)(((z - start) * 256 + rise - 1) / rise));
}

/// A NEURON in several passes of an image, which share random numbers, or in one pass.
struct pbit_neuron_run {
    uint32_t levels, rho;     ///< L; rho is 256 for multi-bit neurons, 0 for the midpoint
    uint32_t passes;          ///< at most PBIT_NEURON_PASSES
    const uint32_t *order;    ///< [passes]: pbit_sample_order, or 0 for iid
    const uint16_t *random;   ///< [count] and up to PBIT_LANES - 1 more; iid p-bits: unused
    struct pbit_lanes *lanes; ///< iid p-bits take their numbers from here, in one pass
    size_t count;
    const int32_t *in; ///< [passes][count]
    size_t in_stride;  ///< elements from one pass to the next; 0: all have the same z
    uint8_t *out;      ///< [passes][count]
    size_t out_stride;
};

/// pbit_lanes_begin.
typedef void pbit_fast_seed_function(struct pbit_lanes *lanes, uint32_t hash, uint32_t layer, uint32_t pass);
/// pbit_lanes_skip.
typedef void pbit_fast_skip_function(struct pbit_lanes *lanes, const uint32_t (*jump)[32], uint64_t steps);
/// The next random numbers: random[count], and the rest of the last step.
typedef void pbit_fast_random_function(struct pbit_lanes *lanes, size_t count, uint16_t *random);
typedef void pbit_fast_neuron_function(const struct pbit_fast_neuron *tables,
                                       const struct pbit_operation *neuron,
                                       const struct pbit_neuron_run *run);

pbit_fast_seed_function pbit_fast_seed, pbit_fast_seed_avx512, pbit_fast_seed_avx2, pbit_fast_seed_neon;
pbit_fast_skip_function pbit_fast_skip, pbit_fast_skip_avx512, pbit_fast_skip_avx2, pbit_fast_skip_neon;
pbit_fast_random_function pbit_fast_random, pbit_fast_random_avx512, pbit_fast_random_avx2,
    pbit_fast_random_neon;
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

/// A dense layer with weights of at most 4 bits, for inputs that are 0 or 1. Row k has what input k adds to a
/// block of outputs, as weight + PBIT_DENSE_EXCESS: byte 2 * i those of outputs i (the lower 4 bits) and
/// i + 64, byte 2 * i + 1 those of i + 32 and i + 96.
enum {
    PBIT_DENSE_BLOCK = 128,
    PBIT_DENSE_ROW = PBIT_DENSE_BLOCK / 2, ///< bytes
    PBIT_DENSE_EXCESS = 8,
    PBIT_DENSE_INPUTS = 4096, ///< at most, so that sums fit in 16 bits
    PBIT_DENSE_PASSES = 8,
    PBIT_DENSE_NODES = 2 * PBIT_DENSE_PASSES - 1,
    PBIT_DENSE_STEP = 8, ///< rows that are added at a time
};
struct pbit_dense_rows {
    uint32_t inputs, outputs;
    const uint8_t *rows;   ///< [block][inputs][PBIT_DENSE_ROW]
    const int16_t *totals; ///< [block][PBIT_DENSE_BLOCK]: what all inputs would give
};

/// The inputs that are 1 in the passes of an image, as a binary tree of sets of passes: an input is listed at
/// a node when it is 1 in all passes below that node, but not in all of those below its parent. So what
/// passes have in common is added up once. Nodes are numbered row by row; `size` leaves are the passes by
/// bit reversal, for the p-bits of the stratified sampler are alike where the last bits of the passes are.
struct pbit_dense_listed {
    uint32_t passes, size; ///< size: the power of two that is not below passes
    int zeros;             ///< the root lists the inputs that are 0 in some pass, as they are fewer
    uint32_t count[PBIT_DENSE_NODES];
    const uint32_t *rows[PBIT_DENSE_NODES]; ///< offsets of rows
};

/// The leaf of a pass, and the pass of a leaf, among `size`.
static inline uint32_t pbit_dense_leaf(uint32_t pass, uint32_t size)
{
    static const uint8_t reversed[PBIT_DENSE_PASSES] = {0, 4, 2, 6, 1, 5, 3, 7};
    return reversed[pass] * size / PBIT_DENSE_PASSES;
}

/// levels: [passes][inputs], `stride` bytes from one pass to the next. masks:
/// [PBIT_DENSE_NODES][(inputs + 63) / 64] of scratch. rows: memory for the lists, passes * inputs numbers and
/// 3 * PBIT_DENSE_STEP for each node.
typedef void pbit_dense_list_function(uint32_t inputs, const uint8_t *levels, size_t stride, uint32_t passes,
                                      uint64_t *masks, uint32_t *rows, struct pbit_dense_listed *listed);
/// Blocks 2 * pair and, if there is one, 2 * pair + 1 in all passes. multipliers: [outputs] M_L; constants:
/// [outputs]; out: [passes][outputs], out_stride numbers from one pass to the next.
typedef void pbit_dense_function(const struct pbit_dense_rows *dense, uint32_t pair,
                                 const struct pbit_dense_listed *listed, const int32_t *multipliers,
                                 uint32_t shift, const int64_t *constants, int32_t *out, size_t out_stride);

/// Where the sums of a dense layer are compared with random numbers r of stratified p-bits that draw once.
/// With t = start + (y(r ^ order) * rise >> 16), the bit is [sum - middle >= t >> shift], if that is the same
/// for all t off by no more than `margin`; else z decides.
struct pbit_dense_thresholds {
    uint16_t *largest; ///< of the absolute values of sums; these are [outputs, rounded up to blocks]
    int16_t *middle, *start;
    uint16_t *rise, *shift;
    const int32_t *theta; ///< of the neuron; NULL: linear, and y(x) is x
    /// In pieces of 1024, y(x) is y[x >> 10] + (slope[x >> 10] * (x & 1023) >> 10).
    uint16_t y[PBIT_NEURON_PIECES], slope[PBIT_NEURON_PIECES];
    uint16_t margin;
};
/// pbit_dense and the neurons of these outputs, whose random numbers are run->random; run->out is that of all
/// outputs.
typedef void pbit_dense_draw_function(const struct pbit_dense_rows *dense, uint32_t pair,
                                      const struct pbit_dense_listed *listed, const int32_t *multipliers,
                                      uint32_t shift, const int64_t *constants,
                                      const struct pbit_dense_thresholds *thresholds,
                                      const struct pbit_neuron_run *run);

pbit_dense_draw_function pbit_dense_draw, pbit_dense_draw_avx512;
pbit_dense_list_function pbit_dense_list, pbit_dense_list_avx512, pbit_dense_list_avx2, pbit_dense_list_neon;
pbit_dense_function pbit_dense, pbit_dense_avx512, pbit_dense_avx2, pbit_dense_neon;

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
