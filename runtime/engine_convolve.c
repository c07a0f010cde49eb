// CONV in the fast executor, but for layers on bits.
#include "runtime/engine.h"

static void copy_padded(const struct pbit_engine_operation *operation, const uint8_t *in, uint8_t *to)
{
    const struct pbit_padded *padded = &operation->padded;
    const struct pbit_tensor *input = &operation->input;
    size_t line = (size_t)padded->width * input->channels, taken = (size_t)input->width * input->channels;
    size_t left = (size_t)operation->operation.window.pad_x * input->channels;
    if (!padded->copied) {
        memcpy(to, in, line * padded->height);
        return;
    }
    for (uint32_t y = 0; y < padded->height; y++, to += line) {
        int64_t from = (int64_t)y - operation->operation.window.pad_y;
        if (from < 0 || from >= input->height) {
            memset(to, 0, line);
            continue;
        }
        memset(to, 0, left);
        memcpy(to + left, in + (size_t)from * taken, taken);
        memset(to + left + taken, 0, line - left - taken);
    }
}

/// pbit_level_multiplier of some channels. The product is at least 0.5 / (2 * levels) away from every
/// integer, which rounding does not bridge: numbers below 2^32 are rounded by less than 2^-20.
static void find_multipliers(const uint32_t *multipliers, uint32_t count, uint32_t levels, int32_t *found)
{
    double share = 0.5 / levels;
    for (uint32_t k = 0; k < count; k++)
        found[k] = (int32_t)((2.0 * (int32_t)multipliers[k] + levels + 0.5) * share);
}

int pbit_conv_is_wide(const struct pbit_engine_kernels *kernels, const struct pbit_packed_conv *conv,
                      uint32_t levels)
{
    return levels > kernels->most_levels || levels * conv->largest_weight > kernels->most_product;
}

static void convolve_pixels(const struct pbit_block *block, const struct pbit_engine_operation *operation,
                            const int32_t *multipliers, struct pbit_pixels *pixels)
{
    pixels->wide = pbit_conv_is_wide(block->engine->kernels, &operation->conv,
                                     pbit_tensor_levels(&operation->input, block->draws));
    block->engine->kernels->convolve(&operation->conv, multipliers, operation->operation.shift,
                                     operation->output.channels, pixels);
}

/// One pixel of output: the instances are the pixels.
static void convolve_dense(const struct pbit_block *block, const struct pbit_engine_operation *operation,
                           size_t instances, const int32_t *multipliers, uint8_t *scratch)
{
    size_t padded = pbit_engine_round_up((size_t)operation->padded.height * operation->padded.width *
                                         operation->input.channels);
    int copied = operation->padded.copied || operation->input_index < block->engine->model.input_count ||
                 !block->engine->tensor_random[operation->input_index];
    for (size_t first = 0, count; first < instances; first += count) {
        count = instances - first < PBIT_ENGINE_INSTANCES ? instances - first : PBIT_ENGINE_INSTANCES;
        for (size_t i = 0; copied && i < count; i++)
            copy_padded(operation,
                        pbit_block_tensor(block, operation->input_index, &operation->input, first + i),
                        scratch + i * padded);
        struct pbit_pixels pixels = {
            .in =
                copied ? scratch : pbit_block_tensor(block, operation->input_index, &operation->input, first),
            .in_stride = copied ? padded : block->engine->tensors_bytes,
            .out = (int32_t *)pbit_block_output(block, operation, first),
            .out_stride = block->engine->tensors_bytes / sizeof(int32_t),
            .count = (uint32_t)count,
            .constants = operation->conv.constants};
        convolve_pixels(block, operation, multipliers, &pixels);
    }
}

static const int64_t *constants_of_row(const struct pbit_packed_conv *conv, uint32_t y)
{
    return conv->constants + (size_t)conv->row_class[y] * conv->columns * conv->channels;
}

static void convolve_image(const struct pbit_block *block, const struct pbit_engine_operation *operation,
                           const struct pbit_engine_operation *pool, size_t instance,
                           const int32_t *multipliers, uint8_t *scratch)
{
    const struct pbit_packed_conv *conv = &operation->conv;
    const struct pbit_window *window = &operation->operation.window;
    const uint8_t *in = pbit_block_tensor(block, operation->input_index, &operation->input, instance);
    const struct pbit_tensor *output = pool ? &pool->output : &operation->output;
    int32_t *out = (int32_t *)pbit_block_output(block, pool ? pool : operation, instance);
    size_t channels = operation->input.channels, line = operation->padded.width * channels * window->stride_y;
    if (operation->padded.copied || operation->input_index < block->engine->model.input_count) {
        copy_padded(operation, in, scratch);
        in = scratch;
    }
    for (uint32_t row = 0, y = 0; row < output->height; row++, y += pool ? 2 : 1) {
        struct pbit_pixels pixels = {.in = in + y * line,
                                     .in_stride = window->stride_x * channels,
                                     .out = out + (size_t)row * output->width * output->channels,
                                     .out_stride = output->channels,
                                     .count = output->width,
                                     .constants = constants_of_row(conv, y),
                                     .column_class = conv->column_class,
                                     .line = pool ? line : 0,
                                     .lower_constants = pool ? constants_of_row(conv, y + 1) : NULL};
        convolve_pixels(block, operation, multipliers, &pixels);
    }
}

static void convolve_depthwise(const struct pbit_block *block, const struct pbit_engine_operation *operation,
                               uint32_t levels, size_t instances)
{
    int32_t *multipliers = (int32_t *)block->scratch;
    uint8_t *scratch =
        block->scratch + pbit_engine_round_up(operation->output.channels * sizeof(*multipliers));
    find_multipliers(operation->depthwise.multipliers, operation->output.channels, levels, multipliers);
    for (size_t i = 0; i < instances; i++) {
        const uint8_t *in = pbit_block_tensor(block, operation->input_index, &operation->input, i);
        if (operation->padded.copied || operation->input_index < block->engine->model.input_count) {
            copy_padded(operation, in, scratch);
            in = scratch;
        }
        block->engine->kernels->depthwise(&operation->depthwise, multipliers, &operation->operation,
                                          &operation->output,
                                          (size_t)operation->padded.width * operation->input.channels, in,
                                          (int32_t *)pbit_block_output(block, operation, i));
    }
}

void pbit_block_convolve(const struct pbit_block *block, const struct pbit_engine_operation *operation,
                         const struct pbit_engine_operation *pool, size_t instances)
{
    const struct pbit_packed_conv *conv = &operation->conv;
    uint32_t levels = pbit_tensor_levels(&operation->input, block->draws);
    if (operation->single) {
        convolve_depthwise(block, operation, levels, instances);
        return;
    }
    if (!operation->packed) {
        for (size_t i = 0; i < instances; i++)
            pbit_conv(&block->engine->model, &operation->operation, &operation->input, &operation->output,
                      levels, pbit_block_tensor(block, operation->input_index, &operation->input, i),
                      (int32_t *)pbit_block_output(block, operation, i), (int16_t *)block->scratch);
        return;
    }
    int32_t *found = (int32_t *)block->scratch;
    const int32_t *multipliers = (const int32_t *)conv->multipliers; // those of one level
    uint8_t *scratch = block->scratch + conv->channels * sizeof(*found);
    if (levels > 1) {
        find_multipliers(conv->multipliers, conv->channels, levels, found);
        multipliers = found;
    }
    if (pbit_dense_is_on_bits(block, operation)) {
        pbit_block_dense(block, operation, instances, multipliers, scratch);
        return;
    }
    if (operation->output.height == 1 && operation->output.width == 1) {
        convolve_dense(block, operation, instances, multipliers, scratch);
        return;
    }
    for (size_t i = 0; i < instances; i++)
        convolve_image(block, operation, pool, i, multipliers, scratch);
}
