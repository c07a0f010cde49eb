// Lays out the weights and tables of a model for the fast kernels. Every function runs twice: to count the
// bytes, and to fill them.
#include "runtime/engine.h"

void *pbit_engine_take(struct pbit_engine_memory *memory, size_t bytes)
{
    size_t start = memory->used;
    memory->used += pbit_engine_round_up(bytes);
    return memory->base ? memory->base + start : NULL;
}

/// Calls to add_segments make the fan-in's segments one after the other.
struct segments {
    struct pbit_segment *list; ///< NULL while counting
    uint32_t count, words;
    uint32_t position;      ///< in the fan-in
    uint32_t fan_in, group; ///< weights; weights per factor, 0 without factors
};

/// `length` weights of the fan-in whose levels follow each other from `offset` on; cut where a factor ends.
static void add_segments(struct segments *segments, uint32_t offset, uint32_t length)
{
    for (uint32_t step; length > 0; length -= step, offset += step) {
        uint32_t left = segments->group ? segments->group - segments->position % segments->group : length;
        uint32_t group = segments->group ? segments->position / segments->group : 0;
        step = left < length ? left : length;
        segments->position += step;
        if (segments->list)
            segments->list[segments->count] =
                (struct pbit_segment){.offset = offset,
                                      .length = step,
                                      .words = (step + 3) / 4,
                                      .group = group,
                                      .ends_group = segments->position == segments->fan_in || step == left};
        segments->count++;
        segments->words += (step + 3) / 4;
    }
}

static void make_segments(struct segments *segments, const struct pbit_engine_operation *operation)
{
    const struct pbit_window *window = &operation->operation.window;
    uint32_t channels = operation->input.channels, line = operation->padded.width * channels;
    uint32_t rows = window->kernel_y, columns = window->kernel_x, run = channels;
    if (window->dilation_x == 1) { // neighbouring taps are neighbours in memory
        run *= columns;
        columns = 1;
        if (window->dilation_y == 1 && run == line) { // and so are whole rows, as in every dense layer
            run *= rows;
            rows = 1;
        }
    }
    for (uint32_t y = 0; y < rows; y++)
        for (uint32_t x = 0; x < columns; x++)
            add_segments(segments, y * window->dilation_y * line + x * window->dilation_x * channels, run);
}

int32_t pbit_weight_at(const struct pbit_model *model, const struct pbit_operation *conv, uint64_t fan_in,
                       uint32_t k, uint32_t i)
{
    const uint8_t *row = model->bytes + conv->weights + k * pbit_weight_row_bytes(fan_in, conv->weight_bits);
    uint64_t bit = (uint64_t)i * conv->weight_bits;
    uint32_t bits = row[bit / 8], mask = (1u << conv->weight_bits) - 1, sign = 1u << (conv->weight_bits - 1);
    if (bit % 8 + conv->weight_bits > 8)
        bits |= (uint32_t)row[bit / 8 + 1] << 8;
    uint32_t code = bits >> bit % 8 & mask;
    return conv->weight_bits == 1 ? 2 * (int32_t)code - 1 : (int32_t)(code ^ sign) - (int32_t)sign;
}

int32_t pbit_factor_at(const struct pbit_model *model, const struct pbit_operation *conv, uint64_t fan_in,
                       uint32_t k, uint32_t i)
{
    if (!conv->weight_group)
        return 1;
    uint64_t groups = (fan_in + conv->weight_group - 1) / conv->weight_group;
    return model->bytes[conv->factors + k * groups + i / conv->weight_group];
}

/// The largest absolute value that weights of `bits` bits can have.
static uint32_t largest_weight(uint32_t bits)
{
    return bits == 1 ? 1 : 1u << (bits - 1);
}

/// [block][word][vector][lane][4], see packed_conv.h.
static void fill_weights(const struct pbit_model *model, const struct pbit_operation *conv,
                         const struct pbit_packed_conv *packed, uint32_t outputs, uint32_t fan_in,
                         int8_t *weights)
{
    uint32_t lanes = packed->lanes;
    for (uint32_t first = 0, vectors; first < packed->channels; first += vectors * lanes) {
        uint32_t position = 0;
        vectors = packed->channels - first >= 2 * lanes ? 2 : 1;
        for (uint32_t s = 0; s < packed->segments; position += packed->segment[s++].length)
            for (uint32_t i = 0; i < packed->segment[s].words * 4; i += 4)
                for (uint32_t k = first; k < first + vectors * lanes; k++)
                    for (uint32_t j = i; j < i + 4; j++)
                        *weights++ = k < outputs && j < packed->segment[s].length
                                         ? (int8_t)pbit_weight_at(model, conv, fan_in, k, position + j)
                                         : 0;
    }
}

static void fill_factors(const struct pbit_model *model, const struct pbit_operation *conv,
                         const struct pbit_packed_conv *packed, uint32_t outputs, uint32_t fan_in,
                         int32_t *factors)
{
    for (uint32_t first = 0; first < fan_in; first += conv->weight_group)
        for (uint32_t k = 0; k < packed->channels; k++)
            *factors++ = k < outputs ? pbit_factor_at(model, conv, fan_in, k, first) : 0;
}

/// Rows or columns that see the same taps are of one class. Returns the number of classes; fills
/// class_of[extent] and the taps of each class, when there is room.
static uint32_t classify(uint32_t extent, uint32_t stride, uint32_t pad, uint32_t kernel, uint32_t dilation,
                         uint32_t input, uint8_t *class_of, struct pbit_taps *taps, uint32_t most)
{
    uint32_t classes = 0;
    for (uint32_t i = 0; i < extent; i++) {
        struct pbit_taps seen = pbit_taps_inside((int64_t)i * stride - pad, kernel, dilation, input);
        uint32_t class = 0;
        while (class < classes && (taps[class].first != seen.first || taps[class].end != seen.end))
            class ++;
        if (class == most)
            return most + 1;
        if (class == classes)
            taps[classes++] = seen;
        if (class_of)
            class_of[i] = (uint8_t) class;
    }
    return classes;
}

/// E of FORMAT.md: what the zero points of the taps outside contribute to channel k.
static int32_t sum_outside(const struct pbit_model *model, const struct pbit_operation *conv,
                           uint32_t channels, uint32_t k, struct pbit_taps rows, struct pbit_taps columns)
{
    uint32_t fan_in = conv->window.kernel_y * conv->window.kernel_x * channels, i = 0;
    int32_t sum = 0;
    for (uint32_t y = 0; y < conv->window.kernel_y; y++)
        for (uint32_t x = 0; x < conv->window.kernel_x; x++) {
            int inside = y >= rows.first && y < rows.end && x >= columns.first && x < columns.end;
            for (uint32_t c = 0; c < channels; c++, i++)
                if (!inside)
                    sum += pbit_weight_at(model, conv, fan_in, k, i) *
                           pbit_factor_at(model, conv, fan_in, k, i) *
                           (int32_t)pbit_load_u16(model->bytes + conv->zeros + 2 * (size_t)c);
        }
    return sum;
}

enum { CLASSES = 32 };

static void fill_constants(const struct pbit_model *model, const struct pbit_engine_operation *operation,
                           const struct pbit_taps *rows, uint32_t row_count, const struct pbit_taps *columns,
                           int64_t *constants)
{
    const struct pbit_operation *conv = &operation->operation;
    for (uint32_t y = 0; y < row_count; y++)
        for (uint32_t x = 0; x < operation->conv.columns; x++)
            for (uint32_t k = 0; k < operation->conv.channels; k++, constants++) {
                *constants = 0;
                if (k >= operation->output.channels)
                    continue;
                *constants = pbit_load_i32(model->bytes + conv->biases + 4 * (size_t)k);
                int64_t multiplier = pbit_load_i32(model->bytes + conv->multipliers + 4 * (size_t)k);
                if (conv->zeros)
                    *constants += pbit_round_shift(
                        sum_outside(model, conv, operation->input.channels, k, rows[y], columns[x]) *
                            multiplier,
                        conv->shift + 8);
            }
}

/// What the taps outside contribute, by classes of rows and columns; 0 when there are too many classes.
static int pack_constants(struct pbit_engine_memory *memory, const struct pbit_model *model,
                          struct pbit_engine_operation *operation)
{
    const struct pbit_window *window = &operation->operation.window;
    struct pbit_packed_conv *packed = &operation->conv;
    struct pbit_taps rows[CLASSES] = {{0, 0}}, columns[CLASSES] = {{0, 0}};
    uint32_t row_count = 1;
    uint8_t *row_class = pbit_engine_take(memory, operation->output.height);
    uint8_t *column_class = pbit_engine_take(memory, operation->output.width);
    packed->columns = 1;
    if (operation->operation.zeros) {
        row_count = classify(operation->output.height, window->stride_y, window->pad_y, window->kernel_y,
                             window->dilation_y, operation->input.height, row_class, rows, CLASSES);
        packed->columns =
            classify(operation->output.width, window->stride_x, window->pad_x, window->kernel_x,
                     window->dilation_x, operation->input.width, column_class, columns, CLASSES);
        if (row_count > CLASSES || packed->columns > CLASSES)
            return 0;
    } else if (memory->base) {
        memset(row_class, 0, operation->output.height);
        memset(column_class, 0, operation->output.width);
    }
    int64_t *constants =
        pbit_engine_take(memory, (size_t)row_count * packed->columns * packed->channels * sizeof(*constants));
    packed->row_class = row_class;
    packed->column_class = column_class;
    packed->constants = constants;
    if (memory->base)
        fill_constants(model, operation, rows, row_count, columns, constants);
    return 1;
}

static struct pbit_padded padded_of(const struct pbit_engine_operation *operation)
{
    const struct pbit_window *window = &operation->operation.window;
    const struct pbit_tensor *input = &operation->input, *output = &operation->output;
    uint32_t height =
        (output->height - 1) * window->stride_y + (window->kernel_y - 1) * window->dilation_y + 1;
    uint32_t width = (output->width - 1) * window->stride_x + (window->kernel_x - 1) * window->dilation_x + 1;
    struct pbit_padded padded = {.height = input->height + window->pad_y,
                                 .width = input->width + window->pad_x};
    padded.height = height > padded.height ? height : padded.height;
    padded.width = width > padded.width ? width : padded.width;
    padded.copied = padded.height != input->height || padded.width != input->width;
    return padded;
}

/// One channel per group, and no taps outside that count.
static void pack_depthwise(struct pbit_engine_memory *memory, const struct pbit_model *model,
                           struct pbit_engine_operation *operation)
{
    const struct pbit_operation *conv = &operation->operation;
    uint32_t channels = operation->output.channels, taps = conv->window.kernel_y * conv->window.kernel_x;
    int16_t *weights = pbit_engine_take(memory, (size_t)taps * channels * sizeof(*weights));
    uint32_t *multipliers = pbit_engine_take(memory, channels * sizeof(*multipliers));
    int32_t *biases = pbit_engine_take(memory, channels * sizeof(*biases));
    operation->single = 1;
    operation->depthwise = (struct pbit_depthwise){weights, multipliers, biases};
    if (!memory->base)
        return;
    for (uint32_t k = 0; k < channels; k++) {
        for (uint32_t i = 0; i < taps; i++)
            weights[(size_t)i * channels + k] =
                (int16_t)(pbit_weight_at(model, conv, taps, k, i) * pbit_factor_at(model, conv, taps, k, i));
        multipliers[k] = pbit_load_u32(model->bytes + conv->multipliers + 4 * (size_t)k);
        biases[k] = pbit_load_i32(model->bytes + conv->biases + 4 * (size_t)k);
    }
}

void pbit_pack_conv(struct pbit_engine_memory *memory, const struct pbit_model *model, uint32_t lanes,
                    struct pbit_engine_operation *operation)
{
    const struct pbit_operation *conv = &operation->operation;
    uint64_t fan_in = pbit_operation_fan_in(conv, operation->input.channels);
    operation->padded = padded_of(operation);
    uint64_t padded =
        (uint64_t)operation->padded.height * operation->padded.width * operation->input.channels;
    if (fan_in > INT32_MAX / 4 || padded > INT32_MAX)
        return;
    if (conv->groups > 1 && conv->groups == operation->input.channels &&
        conv->groups == operation->output.channels && (!conv->zeros || !operation->padded.copied))
        pack_depthwise(memory, model, operation);
    if (conv->groups != 1)
        return;
    uint32_t channels = (operation->output.channels + lanes - 1) / lanes * lanes,
             outputs = operation->output.channels;
    struct pbit_packed_conv *packed = &operation->conv;
    struct segments segments = {.fan_in = (uint32_t)fan_in, .group = conv->weight_group};
    *packed = (struct pbit_packed_conv){.lanes = lanes,
                                        .channels = channels,
                                        .factored = conv->weight_group != 0,
                                        .largest_weight = largest_weight(conv->weight_bits)};
    make_segments(&segments, operation);
    packed->segments = segments.count;
    packed->words = segments.words;
    struct pbit_segment *list = pbit_engine_take(memory, segments.count * sizeof(*list));
    int8_t *weights = pbit_engine_take(memory, (size_t)channels * segments.words * 4);
    int32_t *factors = NULL;
    if (packed->factored)
        factors =
            pbit_engine_take(memory, (fan_in + conv->weight_group - 1) / conv->weight_group * channels * 4);
    uint32_t *multipliers = pbit_engine_take(memory, channels * sizeof(*multipliers)),
             levels = pbit_has_fixed_levels(&operation->input) ? PBIT_BYTE_LEVELS : 1;
    operation->packed = pack_constants(memory, model, operation);
    pbit_pack_dense(memory, model, operation);
    if (!memory->base || !operation->packed)
        return;
    segments = (struct segments){.list = list, .fan_in = (uint32_t)fan_in, .group = conv->weight_group};
    make_segments(&segments, operation);
    packed->segment = list;
    packed->weights = weights;
    packed->factors = factors;
    packed->multipliers = multipliers;
    fill_weights(model, conv, packed, outputs, (uint32_t)fan_in, weights);
    if (factors)
        fill_factors(model, conv, packed, outputs, (uint32_t)fan_in, factors);
    for (uint32_t k = 0; k < channels; k++)
        multipliers[k] = k < outputs
                             ? (uint32_t)pbit_level_multiplier(
                                   pbit_load_u32(model->bytes + conv->multipliers + 4 * (size_t)k), levels)
                             : 0;
}
