// What the kernels on bits need beside them: random numbers and pre-activations by channel, and the exact
// comparison.
#include "runtime/kernels/bit_kernels.h"

static int64_t sum_terms(const struct pbit_bit_draw *draw, size_t i)
{
    const struct pbit_bit_residual *residual = &draw->residual;
    int64_t z = 0;
    for (uint32_t t = 0; t < draw->terms; t++) {
        const struct pbit_bit_term *term = &draw->term[t];
        int64_t sum = (int64_t)term->sums[i] + term->least;
        z += pbit_round_shift(sum * term->multiplier, term->shift) + term->bias;
    }
    if (residual->plane && residual->plane[i] & draw->bit)
        z += pbit_round_shift((int64_t)residual->weight * residual->multiplier, residual->shift);
    return residual->plane ? z + residual->bias : z;
}

int pbit_bit_exact(const struct pbit_bit_draw *draw, size_t i)
{
    int64_t z = draw->z ? draw->z[i] : sum_terms(draw, draw->at + i);
    uint32_t u = pbit_stratified_offset(draw->order, draw->rho, draw->random[i]);
    if (!draw->pieces)
        return z > u;
    int64_t start = draw->theta[u >> 8], rise = draw->theta[(u >> 8) + 1] - start;
    return z > start + (rise * (u & 255) >> 8);
}

#ifdef __x86_64__
#include <emmintrin.h>

/// 8 x 8 numbers of 16 bits. in: lines `pitch` apart.
static inline void transpose_eight(const uint16_t *in, size_t pitch, __m128i out[8])
{
    __m128i a[8], b[8];
    for (int i = 0; i < 8; i++)
        a[i] = _mm_loadu_si128((const __m128i *)(in + (size_t)i * pitch));
    for (int i = 0; i < 4; i++) {
        b[2 * i] = _mm_unpacklo_epi16(a[i], a[i + 4]);
        b[2 * i + 1] = _mm_unpackhi_epi16(a[i], a[i + 4]);
    }
    for (int i = 0; i < 4; i++) {
        a[2 * i] = _mm_unpacklo_epi16(b[i], b[i + 4]);
        a[2 * i + 1] = _mm_unpackhi_epi16(b[i], b[i + 4]);
    }
    for (int i = 0; i < 4; i++) {
        out[2 * i] = _mm_unpacklo_epi16(a[i], a[i + 4]);
        out[2 * i + 1] = _mm_unpackhi_epi16(a[i], a[i + 4]);
    }
}

void pbit_bit_transpose_16(const struct pbit_bit_shape *shape, const uint16_t *in, uint16_t *out)
{
    size_t channels = shape->channels;
    for (size_t y = 0; y < shape->height; y++)
        for (size_t x = 0; x < shape->width; x += 8)
            for (size_t c = 0; c < channels; c += 8) {
                __m128i columns[8];
                transpose_eight(in + (y * shape->width + x) * channels + c, channels, columns);
                for (size_t i = 0; i < 8 && c + i < channels; i++)
                    _mm_storeu_si128((__m128i *)(out + (c + i) * shape->stride + y * shape->pitch + x),
                                     columns[i]);
            }
}

void pbit_bit_transpose_32(const struct pbit_bit_shape *shape, const int32_t *in, int32_t *out)
{
    size_t channels = shape->channels;
    for (size_t y = 0; y < shape->height; y++)
        for (size_t x = 0; x < shape->width; x += 4)
            for (size_t c = 0; c < channels; c += 4) {
                __m128i a[4], b[4], columns[4];
                for (size_t i = 0; i < 4; i++)
                    a[i] = _mm_loadu_si128((const __m128i *)(in + (y * shape->width + x + i) * channels + c));
                for (int i = 0; i < 2; i++) {
                    b[2 * i] = _mm_unpacklo_epi32(a[i], a[i + 2]);
                    b[2 * i + 1] = _mm_unpackhi_epi32(a[i], a[i + 2]);
                }
                for (int i = 0; i < 2; i++) {
                    columns[2 * i] = _mm_unpacklo_epi32(b[i], b[i + 2]);
                    columns[2 * i + 1] = _mm_unpackhi_epi32(b[i], b[i + 2]);
                }
                for (size_t i = 0; i < 4 && c + i < channels; i++)
                    _mm_storeu_si128((__m128i *)(out + (c + i) * shape->stride + y * shape->pitch + x),
                                     columns[i]);
            }
}
#else
// No kernels on bits for these processors yet; the engine is the same.
#define DEFINE_TRANSPOSE(name, type)                                                                         \
    void name(const struct pbit_bit_shape *shape, const type *in, type *out)                                 \
    {                                                                                                        \
        for (size_t y = 0; y < shape->height; y++)                                                           \
            for (size_t x = 0; x < shape->width; x++)                                                        \
                for (size_t c = 0; c < shape->channels; c++)                                                 \
                    out[c * shape->stride + y * shape->pitch + x] = *in++;                                   \
    }
DEFINE_TRANSPOSE(pbit_bit_transpose_16, uint16_t)
DEFINE_TRANSPOSE(pbit_bit_transpose_32, int32_t)
#endif
