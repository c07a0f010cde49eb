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
    if (residual->plane) {
        int64_t level = (residual->plane[i] & residual->mask) / residual->unit;
        z += pbit_round_shift(level * residual->weight * residual->multiplier, residual->shift);
    }
    return residual->plane ? z + residual->bias : z;
}

uint8_t pbit_bit_exact(const struct pbit_bit_draw *draw, size_t i)
{
    int64_t z = draw->z ? draw->z[i] : sum_terms(draw, draw->at + i);
    if (!draw->bit)
        return (uint8_t)pbit_level_multibit((uint32_t)(z < 0 ? 0 : z > PBIT_ONE ? PBIT_ONE : z), 0, 0);
    uint32_t u = pbit_stratified_offset(draw->order, draw->rho, draw->random[i]);
    if (!draw->pieces)
        return z > u;
    int64_t start = draw->theta[u >> 8], rise = draw->theta[(u >> 8) + 1] - start;
    return z > start + (rise * (u & 255) >> 8);
}

/// Bit j goes to byte j: first where it was in that byte, then to its bottom.
static uint64_t spread_byte(uint8_t bits)
{
    uint64_t spread = bits * UINT64_C(0x0101010101010101) & UINT64_C(0x8040201008040201);
    return (spread + UINT64_C(0x7F7F7F7F7F7F7F7F)) >> 7 & UINT64_C(0x0101010101010101);
}

void pbit_bit_spread(const struct pbit_bit_shape *shape, const uint8_t *planes, uint32_t group, uint8_t *out)
{
    size_t channels = shape->channels, stride = shape->stride;
    const uint8_t *end = out + shape->height * shape->width * channels;
    for (size_t y = 0; y < shape->height; y++)
        for (size_t x = 0; x < shape->width; x++, out += channels) {
            const uint8_t *column = planes + y * shape->pitch + x;
            size_t first = 0;
            // What a group writes beyond its channels the next one writes again, but for the last of all.
            for (; first < channels && end - out >= (ptrdiff_t)(first + 8);
                 first += group, column += stride) {
                uint64_t bits = spread_byte(*column);
                memcpy(out + first, &bits, sizeof(bits));
            }
            for (; first < channels; first += group, column += stride)
                for (uint32_t j = 0; j < group && first + j < channels; j++)
                    out[first + j] = *column >> j & 1;
        }
}

void pbit_bit_transpose_levels(const struct pbit_bit_shape *shape, const uint8_t *planes, uint8_t *out)
{
    for (size_t y = 0; y < shape->height; y++)
        for (size_t x = 0; x < shape->width; x++, out += shape->channels)
            for (size_t k = 0; k < shape->channels; k++)
                out[k] = planes[k * shape->stride + y * shape->pitch + x];
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
