// CONV and NEURON on packed bits, for layers that draw one p-bit per neuron (L = 1). A byte of a plane holds
// the bits of `group` neighbouring channels of a column, a pixel of one instance; it is the index into a
// table of the sums of the weights that these bits select. The columns of a plane follow each other, so a
// vector looks 64 (AVX2: 32) of them up at once; passes and images are more columns. Bits as the scalar
// kernels.
#ifndef PBIT_BIT_KERNELS_H
#define PBIT_BIT_KERNELS_H

#include "runtime/kernels/fast_kernels.h"

enum {
    PBIT_BIT_GROUP = 6,  ///< the largest group
    PBIT_BIT_TABLE = 64, ///< bytes of the largest table
    PBIT_BIT_SEED = 16,  ///< bytes from which a table is made
    PBIT_BIT_STEPS = 48, ///< steps whose tables are held at a time
    PBIT_BIT_TABLES = PBIT_BIT_STEPS * PBIT_BIT_GROUP * PBIT_BIT_TABLE,
    PBIT_BIT_SCRATCH = PBIT_BIT_TABLES * 5, ///< tables, and the sums of runs for a tile
    PBIT_BIT_OVERRUN = 128,                 ///< columns that kernels may touch beyond the last one
    PBIT_BIT_THETA = 64,                    ///< straight pieces that stand for theta
    PBIT_BIT_TERMS = 2,
    PBIT_BIT_PIXELS = 32, ///< whose random numbers are drawn at a time
};

/// Output channels are in blocks of `group`, a plane of the next layer. All entries of a table are >= 0: the
/// sum of the negative weights is taken out of them.
struct pbit_bit_conv {
    uint32_t group;       ///< channels per plane and per block
    uint32_t channels;    ///< output channels
    uint32_t steps;       ///< tables per output channel
    const uint8_t *seeds; ///< [block][step][group][PBIT_BIT_SEED]
    const uint8_t
        *runs; ///< [block][steps]: the lengths of the runs of tables whose entries are added in 8
               ///< bits; every `part` steps of the kernels, a run ends and the list goes on at that step
    const uint8_t *factors; ///< [block][steps][group], of the runs; NULL: none
};

/// Columns of several pieces of the planes.
struct pbit_bit_columns {
    size_t pieces, length;
    size_t in_pitch, out_pitch; ///< from piece to piece
    int paired; ///< of columns 2i and 2i + 1, only the larger sum: where that of column i would be. Both are
                ///< pixels of a line; without factors
};

/// One block of output channels. offsets: [steps], where the index bytes of column 0 lie in `planes`.
/// scratch: PBIT_BIT_SCRATCH bytes, 64-aligned. sums: [group][stride], without the negative weights:
/// uint16_t, or int32_t where there are factors. Those of channels that are not there may be anything.
typedef void pbit_bit_conv_function(const struct pbit_bit_conv *conv, uint32_t block, const uint32_t *offsets,
                                    const uint8_t *planes, const struct pbit_bit_columns *columns,
                                    uint8_t *scratch, void *sums, size_t stride);

/// A plane of some instances as others see it.
struct pbit_bit_shown {
    const uint8_t *mask; ///< [count], and 0 up to the next multiple of 64; NULL where all bytes count
    const uint8_t *map;  ///< [PBIT_BIT_TABLE], or NULL
    size_t count, instances, in_pitch, out_pitch;
};
/// out[i] = in[i] & mask[i], and 0 from `count` up to out_pitch. map: what the bits of a byte become is added
/// instead. Works in whole vectors; each instance may overwrite what the next one begins with.
typedef void pbit_bit_show_function(const struct pbit_bit_shown *shown, const uint8_t *in, uint8_t *out);

/// Straight pieces through theta by the upper bits of u: theta(u) is start + slope * u, and off by at most
/// `margin`, also when u is off by 1.
struct pbit_bit_theta {
    float start[PBIT_BIT_THETA], slope[PBIT_BIT_THETA], margin[PBIT_BIT_THETA];
};
/// theta: [PBIT_THETA_ENTRIES].
void pbit_bit_fill_theta(const int32_t *theta, struct pbit_bit_theta *pieces);

/// A term of z in 16 bits, in steps of 2^shift: about (min(max(number - low, 0), span) << left) * scale
/// >> 16.
struct pbit_bit_word {
    uint16_t low, span, left, scale;
};
/// A channel of a linear NEURON whose sums have 16 bits: z - 32768 is about the terms and `offset`, cut where
/// that makes no difference; the comparison with v' is off by `margin` at most.
struct pbit_bit_words {
    struct pbit_bit_word term[PBIT_BIT_TERMS], residual;
    int16_t offset, margin;
    uint32_t shift; ///< 1..7
};

/// RS(n * M, s) of numbers n of 16 bits in 32: (n * (high * 2^16 + low) / 2^16 + half) >> shift, rounded
/// down.
struct pbit_bit_product {
    int16_t low, high;
    int32_t half;
    uint32_t shift; ///< 1..30; 0: that is not enough
};

/// An output channel of a CONV: z is about scale * sum + offset, and off by `margin` at most. The sum counts
/// from `least`, up to `reach`; of a residual it is what is left of the plane's byte.
struct pbit_bit_channel {
    float scale, offset, margin;
    double step;                     ///< the scale, exactly
    int32_t least, multiplier, bias; ///< least: of the sum, that of the negative weights
    int32_t weight;                  ///< of a residual
    uint32_t reach;
    struct pbit_bit_product product; ///< of a residual's levels, its weight is in it
};

/// z = RS((sum + least) * multiplier, shift) + bias.
struct pbit_bit_term {
    const void *sums; ///< [channel][stride] numbers, of which [instance][pitch], as CONV left them
    size_t stride, pitch;
    int wide; ///< int32_t
    uint32_t shift;
    const struct pbit_bit_channel *channel; ///< [channels]
};

/// One term more: RS(weight * multiplier * level, shift) + bias, where the level is a channel's bit of the
/// planes' bytes, or the whole byte of a plane of its own.
struct pbit_bit_residual {
    const uint8_t *planes; ///< [instance][count], `stride` bytes from plane to plane; NULL: there is none
    size_t stride;
    int levels; ///< whole bytes
    uint32_t shift;
    const struct pbit_bit_channel *channel; ///< [channels]
};

/// The channels of a plane of a NEURON: compares z with theta(v') of FORMAT.md, sections 4 and 5, in 16 bits
/// or floats, and exactly where they are too near to tell; or rounds z to levels, in 32 bits or in doubles,
/// which hold all numbers on the way.
struct pbit_bit_draw {
    size_t instances, count; ///< count: columns of an instance
    uint32_t channels;
    const int32_t *z; ///< [channel][stride], the same for all instances; NULL: z is the sum of the terms
    size_t stride;    ///< of z and the random numbers
    uint32_t terms;
    struct pbit_bit_term term[PBIT_BIT_TERMS];
    struct pbit_bit_residual residual;
    int levels;                              ///< levels of 255 are made, without random numbers; else bits
    size_t plane_stride;                     ///< of levels, from channel to channel
    const struct pbit_bit_theta *pieces;     ///< NULL: linear
    const struct pbit_bit_words *words;      ///< [channels], of linear ones, or NULL
    const struct pbit_neuron_pieces *limits; ///< the other way round; or NULL
    const int32_t *theta;                    ///< [PBIT_THETA_ENTRIES]
    const uint16_t *random; ///< r of FORMAT.md: [instance / random_shared][random_pitch], of which
                            ///< [channel][stride]
    size_t random_shared, random_pitch;
    const uint32_t *order; ///< [instance]
    uint32_t rho;
    float amplitude; ///< rho / 256
    float margin;    ///< beside those of the channels
};
/// Adds bit `channel` of the plane's bytes, [instance][count], or writes the levels.
typedef void pbit_bit_draw_function(const struct pbit_bit_draw *draw, uint8_t *plane);

/// The largest of 2 x 2 sums of a channel in some instances, uint16_t or int32_t numbers, `pitch` apart.
struct pbit_bit_pool {
    const void *sums;
    int wide;   ///< int32_t
    int paired; ///< of two sums of a line the larger one is there: lines are as long as the output's
    size_t instances, pitch;
    uint32_t line;          ///< numbers to the next line
    uint32_t height, width; ///< of the output
};
/// out: [instance][height][width]. Both may be touched PBIT_BIT_OVERRUN numbers beyond the end.
typedef void pbit_bit_pool_function(const struct pbit_bit_pool *pool, void *out);

/// The random numbers of a layer, which the lanes draw in the order [pixel][channel]. Each number of a lane
/// waits for the one before; so several parts of the pixels are drawn at once, from states that `jump` gives.
struct pbit_bit_random {
    size_t pixels;
    size_t part;   ///< pixels, a multiple of PBIT_BIT_PIXELS; there are `streams` parts at most
    size_t stride; ///< from channel to channel: a multiple of PBIT_BIT_PIXELS not below the pixels
    uint32_t first_channel, end_channel; ///< that are wanted; others may be anything
    uint32_t channels, *buffer; ///< buffer: [streams][PBIT_BIT_PIXELS][channels] and PBIT_BIT_OVERRUN more
    const uint32_t *jump;       ///< [32] what each bit of a state becomes `part` pixels later
};
/// random: [channel][pixel].
typedef void pbit_bit_random_function(const struct pbit_bit_random *layer, const struct pbit_lanes *lanes,
                                      uint16_t *random);

/// in[pixel][channel] to out[channel][pixel], `stride` numbers from channel to channel, as of random numbers.
/// Both may be touched PBIT_BIT_OVERRUN numbers beyond the end.
typedef void pbit_bit_transpose_function(const int32_t *in, size_t pixels, uint32_t channels, size_t stride,
                                         int32_t *out);

/// Planes of bits, `stride` bytes apart, to out[pixel][channel], a byte for each bit.
typedef void pbit_bit_spread_function(const uint8_t *planes, size_t stride, size_t pixels, uint32_t channels,
                                      uint32_t group, uint8_t *out);

struct pbit_bit_kernels {
    uint32_t group;
    uint32_t part;    ///< steps whose tables are held at a time
    uint32_t columns; ///< of a vector
    uint32_t streams; ///< of random numbers, at once
    pbit_bit_conv_function *convolve;
    pbit_bit_show_function *show;
    pbit_bit_draw_function *draw;
    pbit_bit_pool_function *pool;
    pbit_bit_random_function *random;
    pbit_bit_transpose_function *transpose;
    pbit_bit_spread_function *spread;
    const char *instruction; ///< that looks up
};
extern const struct pbit_bit_kernels pbit_bit_kernels_avx512, pbit_bit_kernels_avx2;

/// The exact bit of a channel, or its level, in column i of an instance.
uint8_t pbit_bit_exact(const struct pbit_bit_draw *draw, uint32_t channel, size_t instance, size_t i);

pbit_bit_spread_function pbit_bit_spread; ///< for every processor
/// Planes of levels, `stride` bytes apart, to out[pixel][channel].
void pbit_bit_spread_levels(const uint8_t *planes, size_t stride, size_t pixels, uint32_t channels,
                            uint8_t *out);

#endif
