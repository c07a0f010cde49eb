// CONV with weights laid out for vectors: lanes are output channels, four neighbouring levels are multiplied
// at once. Bits as pbit_conv (FORMAT.md, section 3).
#ifndef PBIT_PACKED_CONV_H
#define PBIT_PACKED_CONV_H

#include "runtime/format.h"

/// A stretch of the fan-in that is one stretch of input memory too.
struct pbit_segment {
    uint32_t offset; ///< bytes from the first tap of a pixel
    uint32_t length; ///< levels
    uint32_t words;  ///< four levels each; weights beyond the stretch are 0
    uint32_t group;  ///< of the group factors
    uint32_t ends_group;
};

/// Weights are in blocks of 2 vectors (the last may have 1): [block][word][vector][lane][4], all blocks but
/// the last of 2 * lanes output channels.
struct pbit_packed_conv {
    uint32_t lanes;           ///< 32-bit lanes of a vector
    uint32_t channels;        ///< output channels, rounded up to lanes
    uint32_t segments, words; ///< words: of all segments
    uint32_t factored;        ///< there are group factors
    uint32_t columns;         ///< classes of output columns, see constants
    uint32_t largest_weight;  ///< of the absolute values
    const struct pbit_segment *segment;
    const int8_t *weights;
    const int32_t *factors;      ///< [group][channels]
    const uint32_t *multipliers; ///< [channels] M_L of one level, or of those that the input always has
    const int64_t *constants;    ///< [row class][column class][channels]: bias, and E of the taps outside
    const uint8_t *row_class, *column_class; ///< [H'], [W']
};

/// A row of pixels, or the same pixel of several passes.
struct pbit_pixels {
    const uint8_t *in; ///< first tap of the first pixel
    size_t in_stride;  ///< bytes to the next pixel
    int32_t *out;
    size_t out_stride; ///< elements
    uint32_t count;
    int wide; ///< not all levels and weights are as small as the quickest way to multiply wants them
    const int64_t *constants;    ///< of the row's class
    const uint8_t *column_class; ///< of the pixels; NULL: all are of class 0
    /// Not 0: bytes to the next line. Each output is the largest z of a window of 2 x 2 pixels, which are of
    /// this line and the next one. For layers without factors.
    size_t line;
    const int64_t *lower_constants; ///< of the next line
    uint32_t first_channel;         ///< a multiple of 2 * lanes
};

/// Output channels from pixels->first_channel on of some pixels; `count` is that of the outputs. multipliers:
/// [channels] M_L, the outputs are `outputs` <= channels.
typedef void pbit_packed_conv_function(const struct pbit_packed_conv *conv, const int32_t *multipliers,
                                       uint32_t shift, uint32_t outputs, const struct pbit_pixels *pixels);

pbit_packed_conv_function pbit_packed_conv_avx512, pbit_packed_conv_avx2, pbit_packed_conv_neon;

#endif
