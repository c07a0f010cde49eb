#include "runtime/kernels/packed_conv.h"

#ifdef __x86_64__
#include <immintrin.h>

#define TARGET __attribute__((target("avx2")))
#define INLINE static inline __attribute__((always_inline)) TARGET
#define UNROLL _Pragma("GCC unroll 16")

enum { LANES = 8 };

INLINE __m256i load_words(const uint8_t *bytes)
{
    int32_t word;
    __builtin_memcpy(&word, bytes, sizeof(word));
    return _mm256_set1_epi32(word);
}

INLINE void requantize(__m256i sums, const int32_t *multipliers, const int64_t *constants, uint32_t shift,
                       uint32_t lanes, int32_t *out)
{
    int32_t sum[LANES];
    __builtin_memcpy(sum, &sums, sizeof(sum));
    for (uint32_t i = 0; i < lanes && i < LANES; i++)
        out[i] = pbit_saturate(constants[i] + pbit_round_shift((int64_t)sum[i] * multipliers[i], shift));
}

/// `pixels` x `vectors` accumulators stay in registers while the fan-in runs. Pairs of products are added in
/// 16 bits: the caller makes sure that they fit.
INLINE void tile(const int pixels, const int vectors, const int factored, const struct pbit_packed_conv *conv,
                 const int8_t *weights, uint32_t channel, const int32_t *multipliers, uint32_t shift,
                 uint32_t outputs, const struct pbit_pixels *at, uint32_t first)
{
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i sums[8], totals[8];
    UNROLL for (int i = 0; i < pixels * vectors; i++) sums[i] = totals[i] = _mm256_setzero_si256();
    const uint8_t *in = at->in + first * at->in_stride;
    for (uint32_t s = 0; s < conv->segments; s++) {
        const struct pbit_segment *segment = &conv->segment[s];
        const uint8_t *levels = in + segment->offset;
        for (uint32_t word = 0; word < segment->words; word++, levels += 4, weights += vectors * 32) {
            __m256i w[2];
            UNROLL for (int v = 0; v < vectors; v++) w[v] =
                _mm256_loadu_si256((const __m256i *)(weights + v * 32));
            UNROLL for (int p = 0; p < pixels; p++)
            {
                __m256i x = load_words(levels + (size_t)p * at->in_stride);
                UNROLL for (int v = 0; v < vectors; v++)
                {
                    __m256i pairs = _mm256_maddubs_epi16(x, w[v]);
                    sums[p * vectors + v] =
                        _mm256_add_epi32(sums[p * vectors + v], _mm256_madd_epi16(pairs, ones));
                }
            }
        }
        if (factored && segment->ends_group) {
            const int32_t *factors = conv->factors + (size_t)segment->group * conv->channels + channel;
            UNROLL for (int v = 0; v < vectors; v++)
            {
                __m256i factor = _mm256_loadu_si256((const __m256i *)(factors + v * LANES));
                UNROLL for (int p = 0; p < pixels; p++)
                {
                    __m256i scaled = _mm256_mullo_epi32(sums[p * vectors + v], factor);
                    totals[p * vectors + v] = _mm256_add_epi32(totals[p * vectors + v], scaled);
                    sums[p * vectors + v] = _mm256_setzero_si256();
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

TILE(four_by_two, 4, 2, 0)
TILE(one_by_two, 1, 2, 0)
TILE(four_by_one, 4, 1, 0)
TILE(one_by_one, 1, 1, 0)
TILE(factored_two_by_two, 2, 2, 1)
TILE(factored_two_by_one, 2, 1, 1)
TILE(factored_one_by_two, 1, 2, 1)
TILE(factored_one_by_one, 1, 1, 1)

typedef void tile_function(const struct pbit_packed_conv *, const int8_t *, uint32_t, const int32_t *,
                           uint32_t, uint32_t, const struct pbit_pixels *, uint32_t);

/// By factored, vectors - 1, and pixels: many (4, or 2 with factors), 1.
static tile_function *const tiles[2][2][2] = {
    {{four_by_one, one_by_one}, {four_by_two, one_by_two}},
    {{factored_two_by_one, factored_one_by_one}, {factored_two_by_two, factored_one_by_two}},
};

void pbit_packed_conv_avx2(const struct pbit_packed_conv *conv, const int32_t *multipliers, uint32_t shift,
                           uint32_t outputs, const struct pbit_pixels *pixels)
{
    const int8_t *weights = conv->weights;
    uint32_t many = conv->factored ? 2 : 4;
    for (uint32_t channel = 0, vectors; channel < conv->channels; channel += vectors * LANES) {
        vectors = conv->channels - channel >= 2 * LANES ? 2 : 1;
        for (uint32_t p = 0, step; p < pixels->count; p += step) {
            step = pixels->count - p >= many ? many : 1;
            tiles[conv->factored][vectors - 1][step == 1](conv, weights, channel, multipliers, shift, outputs,
                                                          pixels, p);
        }
        weights += (size_t)vectors * conv->words * 32;
    }
}
#endif
