// CONV in the fast executor, but for layers on bits.
#include "runtime/engine.h"

/// Rows first .. end - 1 of the padded image.
static void copy_padded(const struct pbit_engine_operation *operation, const uint8_t *in, uint32_t first,
                        uint32_t end, uint8_t *to)
{
    const struct pbit_padded *padded = &operation->padded;
    const struct pbit_tensor *input = &operation->input;
    size_t line = (size_t)padded->width * input->channels, taken = (size_t)input->width * input->channels;
    size_t left = (size_t)operation->operation.window.pad_x * input->channels;
    to += first * line;
    if (!padded->copied) {
        memcpy(to, in + first * line, line * (end - first));
        return;
    }
    for (uint32_t y = first; y < end; y++, to += line) {
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

/// A piece of a CONV at work in all instances of a block.
struct convolution {
    const struct pbit_block *block;
    const struct pbit_piece *piece;
    const struct pbit_engine_operation *operation;
    const struct pbit_engine_operation *pool; ///< or NULL
    size_t instances;
    uint32_t levels;
    struct pbit_range channels; ///< of the output
    struct pbit_range rows;     ///< of the output, of all instances
    const int32_t *multipliers; ///< by channel
    uint8_t *scratch;
};

/// The operation whose output it writes.
static const struct pbit_engine_operation *last_of(const struct convolution *convolution)
{
    return convolution->pool ? convolution->pool : convolution->operation;
}

static void convolve_pixels(const struct convolution *convolution, struct pbit_pixels *pixels)
{
    const struct pbit_engine_operation *operation = convolution->operation;
    const struct pbit_engine_kernels *kernels = convolution->block->engine->kernels;
    pixels->wide = pbit_conv_is_wide(kernels, &operation->conv, convolution->levels);
    pixels->first_channel = (uint32_t)convolution->channels.first;
    kernels->convolve(&operation->conv, convolution->multipliers, operation->operation.shift,
                      (uint32_t)convolution->channels.end, pixels);
}

static const uint8_t *find_input(const struct convolution *convolution, size_t instance)
{
    const struct pbit_engine_operation *operation = convolution->operation;
    return pbit_block_tensor(convolution->block, operation->input_index, &operation->input, instance);
}

static int is_dense(const struct convolution *convolution)
{
    const struct pbit_tensor *output = &convolution->operation->output;
    return output->height == 1 && output->width == 1;
}

/// Whether the kernels, which take four levels at a time, read nothing beyond an input of so many bytes.
static int reads_inside(const struct pbit_packed_conv *conv, size_t bytes)
{
    for (uint32_t s = 0; s < conv->segments; s++)
        if (conv->segment[s].offset + 4 * (size_t)conv->segment[s].words > bytes)
            return 0;
    return 1;
}

/// Bytes from the input of an instance to that of the next, of some from `first` on; 0 where these differ, or
/// kernels would read beyond one.
static size_t find_stride(const struct convolution *convolution, size_t first, size_t count)
{
    const struct pbit_engine_operation *operation = convolution->operation;
    uintptr_t start = (uintptr_t)find_input(convolution, first);
    size_t bytes = pbit_tensor_elements(&operation->input),
           stride = count > 1 ? (uintptr_t)find_input(convolution, first + 1) - start : bytes;
    for (size_t i = 2; i < count; i++)
        if ((uintptr_t)find_input(convolution, first + i) - start != i * stride)
            return 0;
    return stride >= bytes && stride <= PTRDIFF_MAX / count && reads_inside(&operation->conv, bytes) ? stride
                                                                                                     : 0;
}

/// One pixel of output: the instances are the pixels.
static void convolve_dense(const struct convolution *convolution)
{
    const struct pbit_block *block = convolution->block;
    const struct pbit_engine_operation *operation = convolution->operation;
    size_t padded = pbit_engine_round_up((size_t)operation->padded.height * operation->padded.width *
                                         operation->input.channels);
    int scattered = operation->input_index < block->engine->model.input_count ||
                    !block->engine->tensor_random[operation->input_index];
    for (size_t first = 0, count; first < convolution->instances; first += count) {
        count = convolution->instances - first;
        count = count < PBIT_ENGINE_INSTANCES ? count : PBIT_ENGINE_INSTANCES;
        size_t stride = scattered ? find_stride(convolution, first, count) : block->engine->tensors_bytes;
        int copied = operation->padded.copied || stride == 0;
        for (size_t i = 0; copied && i < count; i++)
            copy_padded(operation, find_input(convolution, first + i), 0, operation->padded.height,
                        convolution->scratch + i * padded);
        struct pbit_pixels pixels = {.in = copied ? convolution->scratch : find_input(convolution, first),
                                     .in_stride = copied ? padded : stride,
                                     .out = (int32_t *)pbit_block_output(block, operation, first),
                                     .out_stride = block->engine->tensors_bytes / sizeof(int32_t),
                                     .count = (uint32_t)count,
                                     .constants = operation->conv.constants};
        convolve_pixels(convolution, &pixels);
    }
}

/// The padded image as far as some rows of output need it: its own memory, or a copy.
static const uint8_t *find_padded(const struct convolution *convolution, const struct pbit_rows *rows)
{
    const struct pbit_engine_operation *operation = convolution->operation;
    const struct pbit_window *window = &operation->operation.window;
    const uint8_t *in = find_input(convolution, rows->instance);
    if (!operation->padded.copied && operation->input_index >= convolution->block->engine->model.input_count)
        return in;
    uint32_t each = convolution->pool ? 2 : 1; // kernels read a little of the row after the last
    uint64_t first = (uint64_t)rows->first * each * window->stride_y,
             end = ((uint64_t)rows->end * each - 1) * window->stride_y +
                   (uint64_t)(window->kernel_y - 1) * window->dilation_y + 2;
    copy_padded(operation, in, (uint32_t)first,
                end < operation->padded.height ? (uint32_t)end : operation->padded.height,
                convolution->scratch);
    return convolution->scratch;
}

static const int64_t *constants_of_row(const struct pbit_packed_conv *conv, uint32_t y)
{
    return conv->constants + (size_t)conv->row_class[y] * conv->columns * conv->channels;
}

static void convolve_image(const struct convolution *convolution, const struct pbit_rows *rows)
{
    const struct pbit_engine_operation *operation = convolution->operation, *last = last_of(convolution);
    const struct pbit_packed_conv *conv = &operation->conv;
    const struct pbit_window *window = &operation->operation.window;
    const struct pbit_tensor *output = &last->output;
    const uint8_t *in = find_padded(convolution, rows);
    int32_t *out = (int32_t *)pbit_block_output(convolution->block, last, rows->instance);
    size_t channels = operation->input.channels, line = operation->padded.width * channels * window->stride_y;
    int pooled = convolution->pool != NULL;
    for (uint32_t row = rows->first; row < rows->end; row++) {
        uint32_t y = pooled ? 2 * row : row;
        struct pbit_pixels pixels = {.in = in + y * line,
                                     .in_stride = window->stride_x * channels,
                                     .out = out + (size_t)row * output->width * output->channels,
                                     .out_stride = output->channels,
                                     .count = output->width,
                                     .constants = constants_of_row(conv, y),
                                     .column_class = conv->column_class,
                                     .line = pooled ? line : 0,
                                     .lower_constants = pooled ? constants_of_row(conv, y + 1) : NULL};
        convolve_pixels(convolution, &pixels);
    }
}

static void convolve_depthwise(const struct convolution *convolution, const struct pbit_rows *rows)
{
    const struct pbit_engine_operation *operation = convolution->operation;
    size_t line = (size_t)operation->padded.width * operation->input.channels;
    const uint8_t *in = find_padded(convolution, rows);
    int32_t *out = (int32_t *)pbit_block_output(convolution->block, operation, rows->instance);
    struct pbit_tensor output = operation->output;
    output.height = rows->end - rows->first;
    convolution->block->engine->kernels->depthwise(
        &operation->depthwise, convolution->multipliers, &operation->operation, &output, line,
        in + (size_t)rows->first * operation->operation.window.stride_y * line,
        out + (size_t)rows->first * output.width * output.channels);
}

/// The scalar kernel: its scratch is a row of weights.
static void convolve_scalar(const struct convolution *convolution, const struct pbit_rows *rows)
{
    const struct pbit_engine_operation *operation = convolution->operation;
    const struct pbit_conv_part part = {.levels = convolution->levels,
                                        .first_row = rows->first,
                                        .rows = rows->end - rows->first,
                                        .channels = operation->output.channels,
                                        .passes = 1};
    int32_t *out = (int32_t *)pbit_block_output(convolution->block, operation, rows->instance);
    pbit_conv_rows(&convolution->block->engine->model, &operation->operation, &operation->input,
                   &operation->output, &part, find_input(convolution, rows->instance),
                   out + (size_t)rows->first * operation->output.width * operation->output.channels,
                   (int16_t *)convolution->scratch);
}

/// A piece has rows, or where there are fewer of them than pieces, blocks of output channels as the kernels
/// take them.
static void share_packed(struct convolution *convolution)
{
    const struct pbit_piece *piece = convolution->piece;
    const struct pbit_packed_conv *conv = &convolution->operation->conv;
    uint32_t block = 2 * conv->lanes, outputs = convolution->operation->output.channels;
    if (convolution->rows.end >= piece->pieces && !is_dense(convolution)) {
        convolution->rows = pbit_piece_range(piece, convolution->rows.end);
        return;
    }
    struct pbit_range blocks = pbit_piece_range(piece, (outputs + block - 1) / block);
    convolution->channels.first = blocks.first * block;
    convolution->channels.end = blocks.end * block < outputs ? blocks.end * block : outputs;
}

static void convolve_packed(struct convolution *convolution)
{
    const struct pbit_engine_operation *operation = convolution->operation;
    const struct pbit_packed_conv *conv = &operation->conv;
    int on_bits = pbit_dense_is_on_bits(convolution->block, operation);
    if (!on_bits)
        share_packed(convolution);
    size_t first = convolution->channels.first,
           end = (convolution->channels.end + conv->lanes - 1) / conv->lanes * conv->lanes;
    int32_t *found = (int32_t *)convolution->scratch;
    convolution->scratch += conv->channels * sizeof(*found);
    convolution->multipliers = (const int32_t *)conv->multipliers;
    if (convolution->levels > 1 && !pbit_has_fixed_levels(&operation->input)) {
        find_multipliers(conv->multipliers + first, (uint32_t)(end - first), convolution->levels,
                         found + first);
        convolution->multipliers = found;
    }
    struct pbit_rows rows;
    if (on_bits)
        pbit_block_dense(convolution->block, operation, convolution->instances, convolution->multipliers,
                         convolution->piece, convolution->scratch);
    else if (is_dense(convolution))
        convolve_dense(convolution);
    else
        while (pbit_next_rows(&convolution->rows, last_of(convolution)->output.height, &rows))
            convolve_image(convolution, &rows);
}

static void convolve_by_rows(struct convolution *convolution)
{
    const struct pbit_engine_operation *operation = convolution->operation;
    uint32_t channels = operation->output.channels;
    struct pbit_rows rows;
    convolution->rows = pbit_piece_range(convolution->piece, convolution->rows.end);
    if (operation->single) {
        int32_t *found = (int32_t *)convolution->scratch;
        convolution->scratch += pbit_engine_round_up(channels * sizeof(*found));
        find_multipliers(operation->depthwise.multipliers, channels, convolution->levels, found);
        convolution->multipliers = found;
    }
    while (pbit_next_rows(&convolution->rows, operation->output.height, &rows))
        if (operation->single)
            convolve_depthwise(convolution, &rows);
        else
            convolve_scalar(convolution, &rows);
}

void pbit_block_convolve(const struct pbit_block *block, const struct pbit_engine_operation *operation,
                         const struct pbit_engine_operation *pool, size_t instances,
                         const struct pbit_piece *piece)
{
    struct convolution convolution = {.block = block,
                                      .piece = piece,
                                      .operation = operation,
                                      .pool = pool,
                                      .instances = instances,
                                      .levels = pbit_tensor_levels(&operation->input, block->draws),
                                      .channels = {0, operation->output.channels},
                                      .rows = {0, instances * (pool ? pool : operation)->output.height},
                                      .scratch = piece->scratch};
    if (operation->packed && !operation->single)
        convolve_packed(&convolution);
    else
        convolve_by_rows(&convolution);
}
