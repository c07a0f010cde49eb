#include "runtime/kernels/packed_conv.h"

#ifdef __x86_64__
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))
#define INLINE static inline __attribute__((always_inline)) TARGET

enum { LANES = 16 };

typedef __m512i VECTOR;
#define VECTOR_ZERO _mm512_setzero_si512
#define VECTOR_LOAD _mm512_loadu_si512
#define VECTOR_ADD _mm512_add_epi32
#define VECTOR_MAX _mm512_max_epi32
#define VECTOR_MULTIPLY _mm512_mullo_epi32

INLINE VECTOR broadcast_word(const uint8_t *bytes)
{
    __m512i words;
    __asm__("vpbroadcastd %1, %0"
            : "=v"(words)
            : "m"(*(const char(*)[4])bytes)); // gcc 12 goes round by integers
    return words;
}

INLINE VECTOR add_products(const int wide, VECTOR sum, VECTOR levels, VECTOR weights)
{
    (void)wide;
    return _mm512_dpbusd_epi32(sum, levels, weights);
}

/// sat32(RS(sum * multiplier, shift) + constant) of 8 lanes.
INLINE __m256i requantize_half(__m256i sums, __m256i multipliers, __m128i shift, __m512i half,
                               __m512i constants)
{
    __m512i product = _mm512_mul_epi32(_mm512_cvtepi32_epi64(sums), _mm512_cvtepi32_epi64(multipliers));
    product = _mm512_sra_epi64(_mm512_add_epi64(product, half), shift);
    return _mm512_cvtsepi64_epi32(_mm512_add_epi64(product, constants));
}

INLINE void requantize(__m512i sums, const int32_t *multipliers, const int64_t *constants, uint32_t shift,
                       uint32_t lanes, int32_t *out)
{
    __m512i half = _mm512_set1_epi64(shift ? (int64_t)1 << (shift - 1) : 0),
            m = _mm512_loadu_si512(multipliers);
    __m128i count = _mm_cvtsi32_si128((int)shift);
    __m256i low = requantize_half(_mm512_castsi512_si256(sums), _mm512_castsi512_si256(m), count, half,
                                  _mm512_loadu_si512(constants));
    __m256i high = requantize_half(_mm512_extracti64x4_epi64(sums, 1), _mm512_extracti64x4_epi64(m, 1), count,
                                   half, _mm512_loadu_si512(constants + 8));
    __m512i z = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
    _mm512_mask_storeu_epi32(out, lanes >= LANES ? 0xFFFF : (__mmask16)((1u << lanes) - 1), z);
}

#include "runtime/kernels/packed_conv_tiles.h"

TILE(eight_by_two, 8, 2, 0, 0)
TILE(four_by_two, 4, 2, 0, 0)
TILE(one_by_two, 1, 2, 0, 0)
TILE(eight_by_one, 8, 1, 0, 0)
TILE(four_by_one, 4, 1, 0, 0)
TILE(one_by_one, 1, 1, 0, 0)
TILE(factored_eight_by_one, 8, 1, 1, 0)
TILE(factored_four_by_two, 4, 2, 1, 0)
TILE(factored_four_by_one, 4, 1, 1, 0)
TILE(factored_one_by_two, 1, 2, 1, 0)
TILE(factored_one_by_one, 1, 1, 1, 0)
POOLED_TILE(pooled_eight_by_two, 8, 2, 0)
POOLED_TILE(pooled_four_by_two, 4, 2, 0)
POOLED_TILE(pooled_eight_by_one, 8, 1, 0)
POOLED_TILE(pooled_four_by_one, 4, 1, 0)
DEFINE_TILE(pooled_sixteen_bytes, 16, 1, 0, 0, POOLED_BYTES)
DEFINE_TILE(pooled_eight_bytes, 8, 1, 0, 0, POOLED_BYTES)
DEFINE_TILE(pooled_four_bytes, 4, 1, 0, 0, POOLED_BYTES)

static tile_table tiles = {
    {{{8, eight_by_one}, {4, four_by_one}, {1, one_by_one}},
     {{8, eight_by_two}, {4, four_by_two}, {1, one_by_two}}},
    {{{8, factored_eight_by_one}, {4, factored_four_by_one}, {1, factored_one_by_one}},
     {{4, factored_four_by_two}, {1, factored_one_by_two}}},
};
static tile_table pooled_tiles = {{{{2, pooled_eight_by_one}, {1, pooled_four_by_one}},
                                   {{2, pooled_eight_by_two}, {1, pooled_four_by_two}}}};
static tile_table pooled_byte_tiles = {
    {{{4, pooled_sixteen_bytes}, {2, pooled_eight_bytes}, {1, pooled_four_bytes}},
     {{2, pooled_eight_by_two}, {1, pooled_four_by_two}}}};

void pbit_packed_conv_avx512(const struct pbit_packed_conv *conv, const int32_t *multipliers, uint32_t shift,
                             uint32_t outputs, const struct pbit_pixels *pixels)
{
    convolve_tiles(!pixels->line            ? tiles
                   : pixels->in_stride == 1 ? pooled_byte_tiles
                                            : pooled_tiles,
                   conv, multipliers, shift, outputs, pixels);
}
#endif
