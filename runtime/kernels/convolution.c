// CONV: integer weights of 1..8 bits times levels. Weights are unpacked once per output channel and used at
// every output position; group factors are multiplied into them on the way (8 bit x 8 bit fits int16), which
// changes no bit.
#include "runtime/kernels/dot.h"
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
        uint32_t i = 0;
        for (; i + 8 <= count; i += 8, packed += 4, row += 8) {
            uint32_t word = pbit_load_u32(packed);
            row[0] = (int16_t)((int32_t)(word << 28) >> 28);
            row[1] = (int16_t)((int32_t)(word << 24) >> 28);
            row[2] = (int16_t)((int32_t)(word << 20) >> 28);
            row[3] = (int16_t)((int32_t)(word << 16) >> 28);
            row[4] = (int16_t)((int32_t)(word << 12) >> 28);
            row[5] = (int16_t)((int32_t)(word << 8) >> 28);
            row[6] = (int16_t)((int32_t)(word << 4) >> 28);
            row[7] = (int16_t)((int32_t)word >> 28);
        }
        for (; i < count; i++)
            *row++ = (int16_t)(((packed[i % 8 / 2] >> (i & 1) * 4 & 15) ^ 8) - 8);
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

struct pbit_taps pbit_taps_inside(int64_t origin, uint32_t kernel, uint32_t dilation, uint32_t extent)
{
    int64_t first = origin < 0 ? -origin : 0, end = origin < (int64_t)extent ? (int64_t)extent - origin : 0;
    if (dilation != 1) { // spares the cores that cannot divide
        first = (first + dilation - 1) / dilation;
        end = (end + dilation - 1) / dilation;
    }
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

/// A: sum over the inside taps. Not inlined: small cores have too few registers for the loops around it as
/// well.
static __attribute__((noinline)) int32_t sum_inside(const struct channel *channel, struct pbit_taps taps_y,
                                                    struct pbit_taps taps_x, int64_t y, int64_t x,
                                                    const uint8_t *in)
{
    const struct pbit_window *window = channel->window;
    uint32_t rows = taps_y.end - taps_y.first, columns = taps_x.end - taps_x.first;
    if (rows == 0 || columns == 0)
        return 0;
    size_t pixel = channel->input->channels, line = pixel * channel->input->width,
           run = channel->group_channels;
    size_t tap = window->dilation_x * pixel, row = window->dilation_y * line,
           weight_row = window->kernel_x * run;
    const uint8_t *image = in + (size_t)(y + (int64_t)taps_y.first * window->dilation_y) * line +
                           (size_t)(x + (int64_t)taps_x.first * window->dilation_x) * pixel +
                           channel->first_channel;
    const int16_t *weights = channel->row + taps_y.first * weight_row + taps_x.first * run;
    if (tap == run) { // neighbouring taps are neighbours in memory
        run *= columns;
        columns = 1;
        if (row == run && row == weight_row) { // and so are whole rows, as in every dense layer
            run *= rows;
            rows = 1;
        }
    }
    int32_t sum = 0;
    for (; rows > 0; rows--, image += row, weights += weight_row)
        for (uint32_t k = 0; k < columns; k++)
            sum += pbit_dot(image + k * tap, weights + k * run, run);
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

/// The rows of `part` for channel k, whose unpacked weights the channel holds. out: the first row's element
/// k.
static void convolve(const struct pbit_model *model, const struct pbit_operation *conv,
                     const struct pbit_tensor *output, const struct pbit_conv_part *part,
                     const struct channel *channel, uint32_t k, const uint8_t *in, int32_t *out)
{
    const struct pbit_window *window = &conv->window;
    const struct pbit_tensor *input = channel->input;
    int32_t multiplier = pbit_load_i32(model->bytes + conv->multipliers + 4 * (size_t)k);
    int32_t level_multiplier = pbit_level_multiplier((uint32_t)multiplier, part->levels);
    int64_t bias = pbit_load_i32(model->bytes + conv->biases + 4 * (size_t)k);
    for (uint32_t oy = part->first_row; oy < part->first_row + part->rows; oy++) {
        int64_t y = (int64_t)oy * window->stride_y - window->pad_y;
        struct pbit_taps taps_y = pbit_taps_inside(y, window->kernel_y, window->dilation_y, input->height);
        for (uint32_t ox = 0; ox < output->width; ox++, out += part->channels) {
            int64_t x = (int64_t)ox * window->stride_x - window->pad_x;
            struct pbit_taps taps_x = pbit_taps_inside(x, window->kernel_x, window->dilation_x, input->width);
            int64_t constant = bias;
            if (channel->zeros && (taps_y.end - taps_y.first < window->kernel_y ||
                                   taps_x.end - taps_x.first < window->kernel_x))
                constant += pbit_round_shift((int64_t)sum_outside(channel, taps_y, taps_x) * multiplier,
                                             conv->shift + 8);
            for (uint32_t pass = 0; pass < part->passes; pass++) {
                int32_t sum = sum_inside(channel, taps_y, taps_x, y, x, in + pass * part->in_stride);
                out[pass * part->out_stride] =
                    pbit_saturate(constant + pbit_round_shift((int64_t)sum * level_multiplier, conv->shift));
            }
        }
    }
}

void pbit_conv_rows(const struct pbit_model *model, const struct pbit_operation *conv,
                    const struct pbit_tensor *input, const struct pbit_tensor *output,
                    const struct pbit_conv_part *part, const uint8_t *in, int32_t *out, int16_t *row)
{
    uint32_t fan_in = (uint32_t)pbit_operation_fan_in(conv, input->channels);
    size_t row_bytes = (size_t)pbit_weight_row_bytes(fan_in, conv->weight_bits);
    uint32_t outputs_per_group = output->channels / conv->groups;
    struct channel channel = {.window = &conv->window,
                              .input = input,
                              .row = row,
                              .group_channels = input->channels / conv->groups};
    for (uint32_t i = 0; i < part->channels; i++) {
        uint32_t k = part->first_channel + i;
        unpack_row(model->bytes + conv->weights + k * row_bytes, conv->weight_bits, fan_in, row);
        if (conv->weight_group) {
            size_t factors = (fan_in + conv->weight_group - 1) / conv->weight_group;
            multiply_factors(model->bytes + conv->factors + k * factors, conv->weight_group, fan_in, row);
        }
        channel.first_channel = k / outputs_per_group * channel.group_channels;
        channel.zeros = conv->zeros ? model->bytes + conv->zeros + 2 * (size_t)channel.first_channel : NULL;
        convolve(model, conv, output, part, &channel, k, in, out + i);
    }
}

void pbit_conv(const struct pbit_model *model, const struct pbit_operation *conv,
               const struct pbit_tensor *input, const struct pbit_tensor *output, uint32_t levels,
               const uint8_t *in, int32_t *out, int16_t *row)
{
    const struct pbit_conv_part whole = {
        .levels = levels, .rows = output->height, .channels = output->channels, .passes = 1};
    pbit_conv_rows(model, conv, input, output, &whole, in, out, row);
}
