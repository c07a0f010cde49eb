// Dense layers whose inputs are bits; see fast_kernels.h. meson.build compiles it once for each kind of
// processor, under names of its own. Only the weights of inputs that are 1 are read, or of those that are 0
// if they are fewer: two of them in a byte, added in 8 bits while they fit, then in 16, then in 32.
#include "runtime/kernels/fast_kernels.h"

#ifdef __AVX512F__
#include <immintrin.h>
#endif

enum {
    ROW = PBIT_DENSE_BLOCK / 2, ///< bytes
    IN_WORDS = 4096,            ///< rows whose sums fit in 16 bits
};
_Static_assert(PBIT_DENSE_STEP * 15 <= UINT8_MAX && IN_WORDS * 15 <= UINT16_MAX, "sums fit");

typedef uint8_t bytes __attribute__((vector_size(ROW)));
typedef uint16_t words __attribute__((vector_size(ROW)));

uint32_t pbit_dense_list(const uint8_t *levels, uint32_t inputs, uint8_t level, uint32_t *listed)
{
    uint32_t count = 0, k = 0;
#ifdef __AVX512F__
    __m512i position = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    for (; k + 16 <= inputs; k += 16) {
        __m128i some = _mm_loadu_si128((const __m128i *)(levels + k));
        __mmask16 mask = _mm512_cmpeq_epi32_mask(_mm512_cvtepu8_epi32(some), _mm512_set1_epi32(level));
        _mm512_storeu_si512(listed + count, _mm512_maskz_compress_epi32(mask, position));
        position = _mm512_add_epi32(position, _mm512_set1_epi32(16));
        count += (uint32_t)__builtin_popcount(mask);
    }
#endif
    for (; k < inputs; k++) {
        listed[count] = k;
        count += levels[k] == level;
    }
    for (k = 0; k < PBIT_DENSE_STEP; k++)
        listed[count + k] = inputs;
    return count;
}

/// Adds up the rows of the listed inputs.
static inline void add_rows(const uint8_t *rows, const uint32_t *listed, uint32_t count,
                            int32_t sums[PBIT_DENSE_BLOCK])
{
    for (uint32_t k = 0; k < PBIT_DENSE_BLOCK; k++)
        sums[k] = -PBIT_DENSE_EXCESS * (int32_t)count;
    for (uint32_t first = 0; first < count; first += IN_WORDS) {
        words totals[4] = {{0}};
        for (uint32_t i = first; i < count && i < first + IN_WORDS; i += PBIT_DENSE_STEP) {
            bytes low = {0}, high = {0};
            for (uint32_t j = i; j < i + PBIT_DENSE_STEP; j++) {
                bytes row;
                memcpy(&row, rows + (size_t)listed[j] * ROW, ROW);
                low += row & 15;
                high += row >> 4;
            }
            totals[0] += (words)low & 255;
            totals[1] += (words)low >> 8;
            totals[2] += (words)high & 255;
            totals[3] += (words)high >> 8;
        }
        uint16_t total[PBIT_DENSE_BLOCK];
        memcpy(total, totals, sizeof(total));
        for (uint32_t k = 0; k < PBIT_DENSE_BLOCK; k++)
            sums[k] += total[k];
    }
}

void pbit_dense(const struct pbit_dense_rows *dense, uint32_t block, const struct pbit_dense_listed *listed,
                const int32_t *restrict multipliers, uint32_t shift, const int64_t *restrict constants,
                int32_t *restrict out)
{
    size_t start = (size_t)block * PBIT_DENSE_BLOCK, left = dense->outputs - start;
    size_t outputs = left < PBIT_DENSE_BLOCK ? left : PBIT_DENSE_BLOCK;
    int32_t sums[PBIT_DENSE_BLOCK];
    int64_t half = shift ? (int64_t)1 << (shift - 1) : 0;
    add_rows(dense->rows + (size_t)block * ((size_t)dense->inputs + 1) * ROW, listed->inputs, listed->count,
             sums);
    if (!listed->ones)
        for (size_t k = 0; k < PBIT_DENSE_BLOCK; k++)
            sums[k] = dense->totals[start + k] - sums[k];
    multipliers += start;
    constants += start;
    out += start;
    for (size_t k = 0; k < outputs; k++)
        out[k] = pbit_saturate((((int64_t)sums[k] * multipliers[k] + half) >> shift) + constants[k]);
}
