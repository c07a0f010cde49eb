// CONV of single channels: the identity branches of residuals, average pools of levels, depthwise
// convolutions. meson.build compiles it once for each kind of processor, under a name of its own.
#include "runtime/kernels/fast_kernels.h"

enum { LANES = PBIT_DEPTHWISE_LANES };

/// LANES channels of a pixel. in: its first tap.
static inline void sum_taps(const struct pbit_depthwise *packed, const struct pbit_window *window,
                            uint32_t channel, uint32_t pixel, size_t line, const uint8_t *in,
                            int32_t sums[LANES])
{
    const int16_t *weights = packed->weights + channel;
    for (int i = 0; i < LANES; i++)
        sums[i] = 0;
    for (uint32_t y = 0; y < window->kernel_y; y++)
        for (uint32_t x = 0; x < window->kernel_x; x++, weights += packed->channels) {
            const uint8_t *levels = in + y * window->dilation_y * line + x * window->dilation_x * pixel;
            for (int i = 0; i < LANES; i++)
                sums[i] += levels[i] * weights[i];
        }
}

static inline void requantize(const int32_t *multipliers, const int32_t *biases, uint32_t shift,
                              const int32_t sums[LANES], int32_t z[LANES])
{
    int64_t half = shift ? (int64_t)1 << (shift - 1) : 0;
    for (int i = 0; i < LANES; i++)
        z[i] = pbit_saturate((((int64_t)sums[i] * multipliers[i] + half) >> shift) + biases[i]);
}

void pbit_depthwise(const struct pbit_depthwise *packed, const int32_t *multipliers,
                    const struct pbit_operation *conv, const struct pbit_tensor *output, size_t line,
                    const uint8_t *in, int32_t *out)
{
    const struct pbit_window *window = &conv->window;
    uint32_t channels = output->channels;
    for (uint32_t y = 0; y < output->height; y++)
        for (uint32_t x = 0; x < output->width; x++, out += channels) {
            const uint8_t *first =
                in + (size_t)y * window->stride_y * line + (size_t)x * window->stride_x * channels;
            for (uint32_t c = 0; c < channels; c += LANES) {
                int32_t sums[LANES], z[LANES];
                size_t lanes = channels - c < LANES ? channels - c : LANES;
                sum_taps(packed, window, c, channels, line, first + c, sums);
                requantize(multipliers + c, packed->biases + c, conv->shift, sums, z);
                memcpy(out + c, z, lanes * sizeof(*z));
            }
        }
}
