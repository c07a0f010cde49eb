#include "runtime/kernels/packed_conv.h"

#ifdef __x86_64__
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))
#define INLINE static inline __attribute__((always_inline)) TARGET
#define UNROLL _Pragma("GCC unroll 16")

enum { LANES = 16 };

INLINE int32_t load_word(const uint8_t *bytes)
{
    int32_t word;
    __builtin_memcpy(&word, bytes, sizeof(word));
    return word;
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

/// `pixels` x `vectors` accumulators stay in registers while the fan-in runs.
INLINE void tile(const int pixels, const int vectors, const int factored, const struct pbit_packed_conv *conv,
                 const int8_t *weights, uint32_t channel, const int32_t *multipliers, uint32_t shift,
                 uint32_t outputs, const struct pbit_pixels *at, uint32_t first)
{
    __m512i sums[16], totals[16];
    UNROLL for (int i = 0; i < pixels * vectors; i++) sums[i] = totals[i] = _mm512_setzero_si512();
    const uint8_t *in = at->in + first * at->in_stride;
    for (uint32_t s = 0; s < conv->segments; s++) {
        const struct pbit_segment *segment = &conv->segment[s];
        const uint8_t *levels = in + segment->offset;
        for (uint32_t word = 0; word < segment->words; word++, levels += 4, weights += vectors * 64) {
            __m512i w[2];
            UNROLL for (int v = 0; v < vectors; v++) w[v] = _mm512_loadu_si512(weights + v * 64);
            UNROLL for (int p = 0; p < pixels; p++)
            {
                __m512i x = _mm512_set1_epi32(load_word(levels + (size_t)p * at->in_stride));
                UNROLL for (int v = 0; v < vectors; v++) sums[p * vectors + v] =
                    _mm512_dpbusd_epi32(sums[p * vectors + v], x, w[v]);
            }
        }
        if (factored && segment->ends_group) {
            const int32_t *factors = conv->factors + (size_t)segment->group * conv->channels + channel;
            UNROLL for (int v = 0; v < vectors; v++)
            {
                __m512i factor = _mm512_loadu_si512(factors + v * LANES);
                UNROLL for (int p = 0; p < pixels; p++)
                {
                    __m512i scaled = _mm512_mullo_epi32(sums[p * vectors + v], factor);
                    totals[p * vectors + v] = _mm512_add_epi32(totals[p * vectors + v], scaled);
                    sums[p * vectors + v] = _mm512_setzero_si512();
                }
            }
        }
    }
    UNROLL for (int p = 0; p < pixels; p++) UNROLL for (int v = 0; v < vectors; v++)
    {
        uint32_t k = channel + (uint32_t)v * LANES,
                 column = at->column_class ? at->column_class[first + p] : 0;
        if (k < outputs)
            requantize(factored ? totals[p * vectors + v] : sums[p * vectors + v], multipliers + k,
                       at->constants + (size_t)column * conv->channels + k, shift, outputs - k,
                       at->out + (first + (size_t)p) * at->out_stride + k);
    }
}

#define TILE(name, pixels, vectors, factored)                                                                \
    static TARGET void name(const struct pbit_packed_conv *conv, const int8_t *weights, uint32_t channel,    \
                            const int32_t *multipliers, uint32_t shift, uint32_t outputs,                    \
                            const struct pbit_pixels *at, uint32_t first)                                    \
    {                                                                                                        \
        tile(pixels, vectors, factored, conv, weights, channel, multipliers, shift, outputs, at, first);     \
    }

TILE(eight_by_two, 8, 2, 0)
TILE(four_by_two, 4, 2, 0)
TILE(one_by_two, 1, 2, 0)
TILE(eight_by_one, 8, 1, 0)
TILE(four_by_one, 4, 1, 0)
TILE(one_by_one, 1, 1, 0)
TILE(factored_eight_by_one, 8, 1, 1)
TILE(factored_four_by_two, 4, 2, 1)
TILE(factored_four_by_one, 4, 1, 1)
TILE(factored_one_by_two, 1, 2, 1)
TILE(factored_one_by_one, 1, 1, 1)

typedef void tile_function(const struct pbit_packed_conv *, const int8_t *, uint32_t, const int32_t *,
                           uint32_t, uint32_t, const struct pbit_pixels *, uint32_t);

/// By factored, vectors - 1, and pixels: 8, 4, 1.
static tile_function *const tiles[2][2][3] = {
    {{eight_by_one, four_by_one, one_by_one}, {eight_by_two, four_by_two, one_by_two}},
    {{factored_eight_by_one, factored_four_by_one, factored_one_by_one},
     {0, factored_four_by_two, factored_one_by_two}},
};

void pbit_packed_conv_avx512(const struct pbit_packed_conv *conv, const int32_t *multipliers, uint32_t shift,
                             uint32_t outputs, const struct pbit_pixels *pixels)
{
    const int8_t *weights = conv->weights;
    for (uint32_t channel = 0, vectors; channel < conv->channels; channel += vectors * LANES) {
        vectors = conv->channels - channel >= 2 * LANES ? 2 : 1;
        tile_function *const *by_pixels = tiles[conv->factored][vectors - 1];
        for (uint32_t p = 0, step; p < pixels->count; p += step) {
            uint32_t left = pixels->count - p, size = left >= 8 && by_pixels[0] ? 0 : left >= 4 ? 1 : 2;
            step = size == 0 ? 8 : size == 1 ? 4 : 1;
            by_pixels[size](conv, weights, channel, multipliers, shift, outputs, pixels, p);
        }
        weights += (size_t)vectors * conv->words * 64;
    }
}
#endif
