// What the kernels on bits need beside them: levels in the order of other operations, the exact comparison,
// and theta in pieces.
#include "runtime/kernels/bit_kernels.h"

static int64_t sum_terms(const struct pbit_bit_draw *draw, uint32_t k, size_t instance, size_t i)
{
    const struct pbit_bit_residual *residual = &draw->residual;
    int64_t z = 0;
    for (uint32_t t = 0; t < draw->terms; t++) {
        const struct pbit_bit_term *term = &draw->term[t];
        const struct pbit_bit_channel *channel = &term->channel[k];
        size_t at = k * term->stride + instance * term->pitch + i;
        int64_t sum = term->wide ? ((const int32_t *)term->sums)[at] : ((const uint16_t *)term->sums)[at];
        z += pbit_round_shift((sum + channel->least) * channel->multiplier, term->shift) + channel->bias;
    }
    if (residual->planes) {
        const struct pbit_bit_channel *channel = &residual->channel[k];
        const uint8_t *plane = residual->planes + (residual->levels ? k * residual->stride : 0);
        uint8_t byte = plane[instance * draw->count + i];
        int64_t level = residual->levels ? byte : byte >> k & 1;
        z += pbit_round_shift(level * channel->weight * channel->multiplier, residual->shift) + channel->bias;
    }
    return z;
}

uint8_t pbit_bit_exact(const struct pbit_bit_draw *draw, uint32_t channel, size_t instance, size_t i)
{
    int64_t z = draw->z ? draw->z[channel * draw->stride + i] : sum_terms(draw, channel, instance, i);
    if (draw->levels)
        return (uint8_t)pbit_level_multibit((uint32_t)(z < 0 ? 0 : z > PBIT_ONE ? PBIT_ONE : z), 0, 0);
    const uint16_t *random = draw->random + instance / draw->random_shared * draw->random_pitch;
    uint32_t r = random[channel * draw->stride + i],
             u = pbit_stratified_offset(draw->order[instance], draw->rho, r);
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

void pbit_bit_spread(const uint8_t *planes, size_t stride, size_t pixels, uint32_t channels, uint32_t group,
                     uint8_t *out)
{
    const uint8_t *end = out + pixels * channels;
    for (size_t pixel = 0; pixel < pixels; pixel++, out += channels) {
        const uint8_t *column = planes + pixel;
        size_t first = 0;
        // What a group writes beyond its channels the next one writes again, but for the last of all.
        for (; first < channels && end - out >= (ptrdiff_t)(first + 8); first += group, column += stride) {
            uint64_t bits = spread_byte(*column);
            memcpy(out + first, &bits, sizeof(bits));
        }
        for (; first < channels; first += group, column += stride)
            for (uint32_t j = 0; j < group && first + j < channels; j++)
                out[first + j] = *column >> j & 1;
    }
}

void pbit_bit_spread_levels(const uint8_t *planes, size_t stride, size_t pixels, uint32_t channels,
                            uint8_t *out)
{
    for (size_t pixel = 0; pixel < pixels; pixel++, out += channels)
        for (size_t k = 0; k < channels; k++)
            out[k] = planes[k * stride + pixel];
}

static int32_t theta_at(const int32_t *theta, uint32_t u)
{
    int64_t start = theta[u >> 8], rise = theta[(u >> 8) + 1] - start;
    return (int32_t)(start + (rise * (u & 255) >> 8));
}

/// Through both ends of each piece, then moved so that theta is as far above it as below.
void pbit_bit_fill_theta(const int32_t *theta, struct pbit_bit_theta *pieces)
{
    enum { LENGTH = 65536 / PBIT_BIT_THETA };
    for (uint32_t piece = 0; piece < PBIT_BIT_THETA; piece++) {
        uint32_t first = piece * LENGTH, last = first + LENGTH - 1;
        float slope = (float)(theta_at(theta, last) - theta_at(theta, first)) / (LENGTH - 1);
        float start = (float)theta_at(theta, first) - slope * (float)first, above = 0, below = 0;
        for (uint32_t u = first; u <= last; u++) {
            float off = (float)theta_at(theta, u) - (start + slope * (float)u);
            above = off > above ? off : above;
            below = off < below ? off : below;
        }
        // Floats near slope * 65536 are 2^-8 of the slope apart or less, near the largest theta 0.5.
        pieces->start[piece] = start + (above + below) / 2;
        pieces->slope[piece] = slope;
        pieces->margin[piece] = (above - below) / 2 + 1.25f * slope + 4;
    }
}
