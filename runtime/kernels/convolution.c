// CONV: integer weights of 1..8 bits times levels. Weights are unpacked once per output channel and used at
// every output position; group factors are multiplied into them on the way (8 bit x 8 bit fits int16), which
// changes no bit.
#include "runtime/kernels/kernels.h"

/// Unpacks one row of `count` weights of `bits` bits.
static void unpack_row(const uint8_t *packed, uint32_t bits, uint32_t count, int16_t *row)
{
    if (bits == 8) {
        for (uint32_t i = 0; i < count; i++)
            row[i] = (int8_t)packed[i];
        return;
    }
    if (bits == 4) {
        for (uint32_t i = 0; i < count; i++)
            row[i] = (int16_t)(((packed[i / 2] >> (i & 1) * 4 & 15) ^ 8) - 8);
        return;
    }
    uint32_t mask = (1u << bits) - 1, sign = 1u << (bits - 1), window = 0, held = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (held < bits) {
            window |= (uint32_t)*packed++ << held;
            held += 8;
        }
        uint32_t code = window & mask;
        window >>= bits;
        held -= bits;
        row[i] = (int16_t)(bits == 1 ? 2 * (int)code - 1 : (int)(code ^ sign) - (int)sign);
    }
}

static void multiply_factors(const uint8_t *factors, uint32_t group, uint32_t count, int16_t *row)
{
    for (uint32_t first = 0; first < count; first += group, factors++) {
        uint32_t end = count - first < group ? count : first + group;
        for (uint32_t i = first; i < end; i++)
            row[i] = (int16_t)(row[i] * *factors);
    }
}

static int32_t dot(const uint8_t *restrict x, const int16_t *restrict w, size_t n)
{
    int32_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * w[i];
    return sum;
}

struct pbit_taps pbit_taps_inside(int64_t origin, uint32_t kernel, uint32_t dilation, uint32_t extent)
{
    int64_t first = origin < 0 ? (-origin + dilation - 1) / dilation : 0;
    int64_t end = origin < (int64_t)extent ? ((int64_t)extent - origin + dilation - 1) / dilation : 0;
    if (end > kernel)
        end = kernel;
    if (first > end)
        first = end;
    return (struct pbit_taps){(uint32_t)first, (uint32_t)end};
}

/// What one output channel needs at every position.
struct channel {
    const struct pbit_window *window;
    const struct pbit_tensor *input;
    const int16_t *row;     ///< [kernel_y][kernel_x][group_channels]
    const uint8_t *zeros;   ///< u16 of the group's channels, or NULL
    uint32_t first_channel; ///< of the group
    uint32_t group_channels;
};

/// A: sum over the inside taps.
static int32_t sum_inside(const struct channel *channel, struct pbit_taps taps_y, struct pbit_taps taps_x,
                          int64_t y, int64_t x, const uint8_t *in)
{
    const struct pbit_window *window = channel->window;
    size_t pixel = channel->input->channels, line = pixel * channel->input->width;
    int32_t sum = 0;
    for (uint32_t ky = taps_y.first; ky < taps_y.end; ky++) {
        const uint8_t *image =
            in + (size_t)(y + (int64_t)ky * window->dilation_y) * line + channel->first_channel;
        const int16_t *weights = channel->row + (size_t)ky * window->kernel_x * channel->group_channels;
        if (window->dilation_x == 1 && channel->group_channels == pixel && taps_x.first < taps_x.end) {
            sum += dot(image + (size_t)(x + taps_x.first) * pixel, weights + taps_x.first * pixel,
                       (taps_x.end - taps_x.first) * pixel); // neighbouring taps are neighbours in memory
            continue;
        }
        for (uint32_t kx = taps_x.first; kx < taps_x.end; kx++)
            sum += dot(image + (size_t)(x + (int64_t)kx * window->dilation_x) * pixel,
                       weights + (size_t)kx * channel->group_channels, channel->group_channels);
    }
    return sum;
}

/// E: what the zero points of the outside taps contribute.
static int32_t sum_outside(const struct channel *channel, struct pbit_taps taps_y, struct pbit_taps taps_x)
{
    int32_t sum = 0;
    const int16_t *weights = channel->row;
    for (uint32_t ky = 0; ky < channel->window->kernel_y; ky++)
        for (uint32_t kx = 0; kx < channel->window->kernel_x; kx++, weights += channel->group_channels) {
            if (ky >= taps_y.first && ky < taps_y.end && kx >= taps_x.first && kx < taps_x.end)
                continue;
            for (uint32_t c = 0; c < channel->group_channels; c++)
                sum += weights[c] * (int32_t)pbit_load_u16(channel->zeros + 2 * (size_t)c);
        }
    return sum;
}

void pbit_conv(const struct pbit_model *model, const struct pbit_operation *conv,
               const struct pbit_tensor *input, const struct pbit_tensor *output, uint32_t levels,
               const uint8_t *in, int32_t *out, int16_t *row)
{
    const struct pbit_window *window = &conv->window;
    uint32_t fan_in = (uint32_t)pbit_operation_fan_in(conv, input->channels);
    size_t row_bytes = pbit_weight_row_bytes(fan_in, conv->weight_bits);
    uint32_t outputs_per_group = output->channels / conv->groups;
    struct channel channel = {
        .window = window, .input = input, .row = row, .group_channels = input->channels / conv->groups};
    for (uint32_t k = 0; k < output->channels; k++) {
        unpack_row(model->bytes + conv->weights + k * row_bytes, conv->weight_bits, fan_in, row);
        if (conv->weight_group) {
            size_t factors = (fan_in + conv->weight_group - 1) / conv->weight_group;
            multiply_factors(model->bytes + conv->factors + k * factors, conv->weight_group, fan_in, row);
        }
        channel.first_channel = k / outputs_per_group * channel.group_channels;
        channel.zeros = conv->zeros ? model->bytes + conv->zeros + 2 * (size_t)channel.first_channel : NULL;
        int64_t multiplier = pbit_load_i32(model->bytes + conv->multipliers + 4 * (size_t)k);
        int64_t level_multiplier = (2 * multiplier + levels) / (2 * levels); // M_L
        int64_t bias = pbit_load_i32(model->bytes + conv->biases + 4 * (size_t)k);
        for (uint32_t oy = 0; oy < output->height; oy++) {
            int64_t y = (int64_t)oy * window->stride_y - window->pad_y;
            struct pbit_taps taps_y =
                pbit_taps_inside(y, window->kernel_y, window->dilation_y, input->height);
            for (uint32_t ox = 0; ox < output->width; ox++) {
                int64_t x = (int64_t)ox * window->stride_x - window->pad_x;
                struct pbit_taps taps_x =
                    pbit_taps_inside(x, window->kernel_x, window->dilation_x, input->width);
                int64_t z =
                    bias + pbit_round_shift(sum_inside(&channel, taps_y, taps_x, y, x, in) * level_multiplier,
                                            conv->shift);
                if (channel.zeros && (taps_y.end - taps_y.first < window->kernel_y ||
                                      taps_x.end - taps_x.first < window->kernel_x))
                    z +=
                        pbit_round_shift(sum_outside(&channel, taps_y, taps_x) * multiplier, conv->shift + 8);
                out[((size_t)oy * output->width + ox) * output->channels + k] = pbit_saturate(z);
            }
        }
    }
}
