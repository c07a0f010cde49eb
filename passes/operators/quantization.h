// What the operators on quantized tensors share: real value = (level - zero point) * scale.
#ifndef PBITC_QUANTIZATION_H
#define PBITC_QUANTIZATION_H

#include "passes/operators/operator_support.h"

enum { PBITC_TYPES_EIGHT_BIT = 1 << PBITC_UINT8 | 1 << PBITC_INT8 };

/// The levels of an integer type of 8 or 16 bits.
struct pbitc_levels {
    int low, high;
};
struct pbitc_levels pbitc_levels_of(enum pbitc_type type);

/// ONNX QuantizeLinear: the level nearest to ratio + zero_point (ratio = value / scale; halves go to the even
/// neighbour before the zero point is added), held within `levels`. NaN gives the lowest.
float pbitc_quantize(float ratio, float zero_point, struct pbitc_levels levels);

#endif
