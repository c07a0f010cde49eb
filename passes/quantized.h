// The integer form of a layer's weights, which quantize-weights hangs on the node and lower writes into the
// file.
#ifndef PBITC_QUANTIZED_H
#define PBITC_QUANTIZED_H

#include <stddef.h>
#include <stdint.h>

/// The input's scale is inside: with x a level / L and S its scale, weight times S is scale[k] * factor *
/// weights[k][i].
struct pbitc_quantized {
    int bits;     ///< b_w, 1..8
    size_t group; ///< weights per factor; 0: no factors
    size_t outputs, fan_in;
    const int8_t *weights;  ///< [outputs][fan_in] in the order of runtime/FORMAT.md
    const uint8_t *factors; ///< [outputs][ceil(fan_in / group)], NULL without groups
    const float *scale;     ///< [outputs], > 0
};

#endif
