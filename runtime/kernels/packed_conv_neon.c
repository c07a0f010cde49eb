#include "runtime/kernels/packed_conv.h"

#ifdef __aarch64__
#include <arm_neon.h>

#define TARGET __attribute__((target("arch=armv8.2-a+dotprod")))
#define INLINE static inline __attribute__((always_inline)) TARGET

enum { LANES = 4 };

typedef int32x4_t VECTOR;
#define VECTOR_ZERO() vdupq_n_s32(0)
#define VECTOR_LOAD(from) vreinterpretq_s32_s8(vld1q_s8((const int8_t *)(from)))
#define VECTOR_ADD vaddq_s32
#define VECTOR_MAX vmaxq_s32
#define VECTOR_MULTIPLY vmulq_s32

INLINE VECTOR broadcast_word(const uint8_t *bytes)
{
    int32_t word;
    __builtin_memcpy(&word, bytes, sizeof(word));
    return vdupq_n_s32(word);
}

/// SDOT takes signed bytes. Narrow: levels up to 127. Wide: a level is what is up to 127 less what is
/// negative, down to -128.
INLINE VECTOR add_products(const int wide, VECTOR sum, VECTOR levels, VECTOR weights)
{
    int8x16_t w = vreinterpretq_s8_s32(weights);
    if (!wide)
        return vdotq_s32(sum, vreinterpretq_s8_s32(levels), w);
    uint8x16_t x = vreinterpretq_u8_s32(levels), low = vminq_u8(x, vdupq_n_u8(127));
    int8x16_t rest = vreinterpretq_s8_u8(vsubq_u8(low, x));
    sum = vdotq_s32(sum, vreinterpretq_s8_u8(low), w);
    return vsubq_s32(sum, vdotq_s32(vdupq_n_s32(0), rest, w));
}

/// sat32(RS(sum * multiplier, shift) + constant) of 2 lanes.
INLINE int32x2_t requantize_half(int32x2_t sums, int32x2_t multipliers, int64x2_t shift, int64x2_t constants)
{
    return vqmovn_s64(vaddq_s64(vrshlq_s64(vmull_s32(sums, multipliers), shift), constants));
}

INLINE void requantize(VECTOR sums, const int32_t *multipliers, const int64_t *constants, uint32_t shift,
                       uint32_t lanes, int32_t *out)
{
    int32x4_t m = vld1q_s32(multipliers);
    int64x2_t left = vdupq_n_s64(-(int64_t)shift);
    int32x4_t z =
        vcombine_s32(requantize_half(vget_low_s32(sums), vget_low_s32(m), left, vld1q_s64(constants)),
                     requantize_half(vget_high_s32(sums), vget_high_s32(m), left, vld1q_s64(constants + 2)));
    int32_t stored[LANES];
    vst1q_s32(stored, z);
    __builtin_memcpy(out, stored, (lanes < LANES ? lanes : LANES) * sizeof(*out));
}

#include "runtime/kernels/packed_conv_tiles.h"

TILE(eight_by_two, 8, 2, 0, 0)
TILE(four_by_two, 4, 2, 0, 0)
TILE(one_by_two, 1, 2, 0, 0)
TILE(eight_by_one, 8, 1, 0, 0)
TILE(four_by_one, 4, 1, 0, 0)
TILE(one_by_one, 1, 1, 0, 0)
TILE(factored_four_by_two, 4, 2, 1, 0)
TILE(factored_one_by_two, 1, 2, 1, 0)
TILE(factored_four_by_one, 4, 1, 1, 0)
TILE(factored_one_by_one, 1, 1, 1, 0)
TILE(wide_four_by_two, 4, 2, 0, 1)
TILE(wide_one_by_two, 1, 2, 0, 1)
TILE(wide_four_by_one, 4, 1, 0, 1)
TILE(wide_one_by_one, 1, 1, 0, 1)
TILE(wide_factored_one_by_two, 1, 2, 1, 1)
TILE(wide_factored_one_by_one, 1, 1, 1, 1)
POOLED_TILE(pooled_two, 4, 2, 0)
POOLED_TILE(pooled_one, 4, 1, 0)
POOLED_TILE(wide_pooled_two, 4, 2, 1)
POOLED_TILE(wide_pooled_one, 4, 1, 1)

static tile_table tiles = {
    {{{8, eight_by_one}, {4, four_by_one}, {1, one_by_one}},
     {{8, eight_by_two}, {4, four_by_two}, {1, one_by_two}}},
    {{{4, factored_four_by_one}, {1, factored_one_by_one}},
     {{4, factored_four_by_two}, {1, factored_one_by_two}}},
};
static tile_table wide_tiles = {
    {{{4, wide_four_by_one}, {1, wide_one_by_one}}, {{4, wide_four_by_two}, {1, wide_one_by_two}}},
    {{{1, wide_factored_one_by_one}}, {{1, wide_factored_one_by_two}}},
};
static tile_table pooled_tiles = {{{{1, pooled_one}}, {{1, pooled_two}}}};
static tile_table wide_pooled_tiles = {{{{1, wide_pooled_one}}, {{1, wide_pooled_two}}}};

void pbit_packed_conv_neon(const struct pbit_packed_conv *conv, const int32_t *multipliers, uint32_t shift,
                           uint32_t outputs, const struct pbit_pixels *pixels)
{
    if (pixels->line)
        convolve_tiles(pixels->wide ? wide_pooled_tiles : pooled_tiles, conv, multipliers, shift, outputs,
                       pixels);
    else
        convolve_tiles(pixels->wide ? wide_tiles : tiles, conv, multipliers, shift, outputs, pixels);
}
#endif
