#include "converter/export/verilog/verilog_weights.h"

uint32_t pbitc_verilog_bits(uint64_t x)
{
    uint32_t bits = 1;
    while (x >>= 1)
        bits++;
    return bits;
}

uint32_t pbitc_verilog_signed_bits(int64_t low, int64_t high)
{
    uint32_t bits = 1;
    while (bits < 64 && (low < -((int64_t)1 << (bits - 1)) || high > ((int64_t)1 << (bits - 1)) - 1))
        bits++;
    return bits;
}

void pbitc_verilog_weight_row(const struct pbit_model *model, const struct pbit_operation *conv,
                              uint32_t fan_in, uint32_t k, int32_t *row)
{
    uint32_t bits = conv->weight_bits;
    const uint8_t *packed = model->bytes + conv->weights + (size_t)k * pbit_weight_row_bytes(fan_in, bits);
    uint32_t window = 0, held = 0;
    for (uint32_t i = 0; i < fan_in; i++) {
        if (held < bits) {
            window |= (uint32_t)*packed++ << held;
            held += 8;
        }
        int32_t code = (int32_t)(window & ((1u << bits) - 1)), sign = 1 << (bits - 1);
        window >>= bits;
        held -= bits;
        row[i] = bits == 1 ? 2 * code - 1 : (code ^ sign) - sign;
    }
    if (!conv->weight_group)
        return;
    size_t factors = (fan_in + conv->weight_group - 1) / conv->weight_group;
    for (uint32_t i = 0; i < fan_in; i++)
        row[i] *= model->bytes[conv->factors + k * factors + i / conv->weight_group];
}

uint32_t pbitc_verilog_multiplier(const struct pbit_model *model, const struct pbit_operation *conv,
                                  uint32_t k, uint32_t levels)
{
    uint64_t multiplier = pbit_load_u32(model->bytes + conv->multipliers + 4 * (size_t)k);
    return (uint32_t)((2 * multiplier + levels) / (2 * (uint64_t)levels));
}

static bool same_taps(struct pbit_taps a, struct pbit_taps b)
{
    return a.first == b.first && a.end == b.end;
}

uint32_t pbitc_verilog_classes(const struct pbit_model *model, const struct pbit_operation *conv,
                               struct pbitc_verilog_class *classes, uint32_t *class_of)
{
    const struct pbit_window *window = &conv->window;
    struct pbit_tensor input = pbit_model_tensor(model, pbit_operation_input(model, conv, 0));
    struct pbit_tensor output = pbit_model_tensor(model, conv->output);
    uint32_t count = 0;
    size_t position = 0;
    for (uint32_t oy = 0; oy < output.height; oy++)
        for (uint32_t ox = 0; ox < output.width; ox++, position++) {
            struct pbitc_verilog_class here = {{0, window->kernel_y}, {0, window->kernel_x}};
            if (conv->zeros) {
                here.y = pbit_taps_inside((int64_t)oy * window->stride_y - window->pad_y, window->kernel_y,
                                          window->dilation_y, input.height);
                here.x = pbit_taps_inside((int64_t)ox * window->stride_x - window->pad_x, window->kernel_x,
                                          window->dilation_x, input.width);
            }
            uint32_t c = 0;
            while (c < count && !(same_taps(classes[c].y, here.y) && same_taps(classes[c].x, here.x)))
                c++;
            if (c == PBITC_VERILOG_CLASSES_LIMIT)
                return 0;
            if (c == count)
                classes[count++] = here;
            if (class_of)
                class_of[position] = c;
        }
    return count;
}

int64_t pbitc_verilog_constant(const struct pbit_model *model, const struct pbit_operation *conv, uint32_t k,
                               const struct pbitc_verilog_class *where, const int32_t *row)
{
    const struct pbit_window *window = &conv->window;
    int64_t bias = pbit_load_i32(model->bytes + conv->biases + 4 * (size_t)k), outside = 0;
    if (!conv->zeros)
        return bias;
    struct pbit_tensor input = pbit_model_tensor(model, pbit_operation_input(model, conv, 0));
    struct pbit_tensor output = pbit_model_tensor(model, conv->output);
    uint32_t channels = input.channels / conv->groups;
    uint32_t first = k / (output.channels / conv->groups) * channels;
    const uint8_t *zeros = model->bytes + conv->zeros + 2 * (size_t)first;
    for (uint32_t ky = 0; ky < window->kernel_y; ky++)
        for (uint32_t kx = 0; kx < window->kernel_x; kx++, row += channels) {
            if (ky >= where->y.first && ky < where->y.end && kx >= where->x.first && kx < where->x.end)
                continue;
            for (uint32_t c = 0; c < channels; c++)
                outside += row[c] * (int64_t)pbit_load_u16(zeros + 2 * (size_t)c);
        }
    int64_t multiplier = pbit_load_i32(model->bytes + conv->multipliers + 4 * (size_t)k);
    return bias + pbit_round_shift(outside * multiplier, conv->shift + 8);
}

int64_t pbitc_verilog_scale(int64_t sum, int64_t multiplier, uint32_t shift)
{
    __extension__ typedef __int128 wide;
    wide product = (wide)sum * multiplier;
    return (int64_t)(shift == 0 ? product : (product + ((wide)1 << (shift - 1))) >> shift);
}
