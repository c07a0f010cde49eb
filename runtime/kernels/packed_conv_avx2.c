#include "runtime/kernels/packed_conv.h"

#ifdef __x86_64__
#include <immintrin.h>

#define TARGET __attribute__((target("avx2")))
#define INLINE static inline __attribute__((always_inline)) TARGET

enum { LANES = 8 };

typedef __m256i VECTOR;
#define VECTOR_ZERO _mm256_setzero_si256
#define VECTOR_LOAD(from) _mm256_loadu_si256((const __m256i *)(from))
#define VECTOR_ADD _mm256_add_epi32
#define VECTOR_MAX _mm256_max_epi32
#define VECTOR_MULTIPLY _mm256_mullo_epi32

INLINE VECTOR broadcast_word(const uint8_t *bytes)
{
    int32_t word;
    __builtin_memcpy(&word, bytes, sizeof(word));
    return _mm256_set1_epi32(word);
}

/// Narrow: pairs of products are added in 16 bits, where they fit. Wide: levels and weights become 16 bits.
INLINE VECTOR add_products(const int wide, VECTOR sum, VECTOR levels, VECTOR weights)
{
    if (!wide)
        return _mm256_add_epi32(
            sum, _mm256_madd_epi16(_mm256_maddubs_epi16(levels, weights), _mm256_set1_epi16(1)));
    __m256i even = _mm256_madd_epi16(_mm256_and_si256(levels, _mm256_set1_epi16(0xFF)),
                                     _mm256_srai_epi16(_mm256_slli_epi16(weights, 8), 8));
    __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(levels, 8), _mm256_srai_epi16(weights, 8));
    return _mm256_add_epi32(sum, _mm256_add_epi32(even, odd));
}

INLINE void requantize(__m256i sums, const int32_t *multipliers, const int64_t *constants, uint32_t shift,
                       uint32_t lanes, int32_t *out)
{
    int32_t sum[LANES];
    __builtin_memcpy(sum, &sums, sizeof(sum));
    for (uint32_t i = 0; i < lanes && i < LANES; i++)
        out[i] = pbit_saturate(constants[i] + pbit_round_shift((int64_t)sum[i] * multipliers[i], shift));
}

#include "runtime/kernels/packed_conv_tiles.h"

TILE(four_by_two, 4, 2, 0, 0)
TILE(one_by_two, 1, 2, 0, 0)
TILE(four_by_one, 4, 1, 0, 0)
TILE(one_by_one, 1, 1, 0, 0)
TILE(factored_two_by_two, 2, 2, 1, 0)
TILE(factored_two_by_one, 2, 1, 1, 0)
TILE(factored_one_by_two, 1, 2, 1, 0)
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
    {{{4, four_by_one}, {1, one_by_one}}, {{4, four_by_two}, {1, one_by_two}}},
    {{{2, factored_two_by_one}, {1, factored_one_by_one}},
     {{2, factored_two_by_two}, {1, factored_one_by_two}}},
};
static tile_table wide_tiles = {
    {{{4, wide_four_by_one}, {1, wide_one_by_one}}, {{4, wide_four_by_two}, {1, wide_one_by_two}}},
    {{{1, wide_factored_one_by_one}}, {{1, wide_factored_one_by_two}}},
};
static tile_table pooled_tiles = {{{{1, pooled_one}}, {{1, pooled_two}}}};
static tile_table wide_pooled_tiles = {{{{1, wide_pooled_one}}, {{1, wide_pooled_two}}}};

void pbit_packed_conv_avx2(const struct pbit_packed_conv *conv, const int32_t *multipliers, uint32_t shift,
                           uint32_t outputs, const struct pbit_pixels *pixels)
{
    if (pixels->line)
        convolve_tiles(pixels->wide ? wide_pooled_tiles : pooled_tiles, conv, multipliers, shift, outputs,
                       pixels);
    else
        convolve_tiles(pixels->wide ? wide_tiles : tiles, conv, multipliers, shift, outputs, pixels);
}
#endif
