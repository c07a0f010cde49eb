// Everything pbit_run relies on is checked here, once, when a file is opened: every count, offset, size and
// range of FORMAT.md. Each check returns the rule that is broken, or NULL.
#include "runtime/crc32.h"
#include "runtime/kernels/kernels.h"

#define CHECK(condition, rule)                                                                               \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            return rule;                                                                                     \
    } while (0)

#define FORWARD(expression)                                                                                  \
    do {                                                                                                     \
        const char *broken_rule = (expression);                                                              \
        if (broken_rule)                                                                                     \
            return broken_rule;                                                                              \
    } while (0)

enum { NEVER = -1 };

/// What is known of each tensor while the operations are walked in order.
struct lives {
    int32_t written[PBIT_TENSORS_LIMIT]; ///< operation that writes it; NEVER
    int32_t read[PBIT_TENSORS_LIMIT];    ///< last operation that needs it
    uint8_t random[PBIT_TENSORS_LIMIT];
};

/// count * size bytes at a 4-aligned offset lie between the header and the end of the file.
static int inside(const struct pbit_model *model, uint32_t offset, uint64_t count, uint64_t size)
{
    return offset >= PBIT_HEADER_BYTES && offset % 4 == 0 && offset <= model->size && count <= UINT32_MAX &&
           count * size <= model->size - offset;
}

static int is_string(const struct pbit_model *model, uint32_t offset)
{
    return inside(model, offset, 1, 1) && memchr(model->bytes + offset, 0, model->size - offset) != NULL;
}

static const char *check_header(struct pbit_model *model, enum pbit_status *status)
{
    CHECK(model->size >= PBIT_HEADER_BYTES, "the file is shorter than its header");
    CHECK(memcmp(model->bytes, "PBIT", 4) == 0, "the file does not begin with PBIT");
    if (pbit_header_field(model, PBIT_HEADER_VERSION) != PBIT_VERSION) {
        *status = PBIT_ERROR_UNSUPPORTED;
        return "the version of the format is not 1";
    }
    CHECK(pbit_header_field(model, PBIT_HEADER_SIZE) == model->size,
          "the file is truncated or has bytes too many");
    CHECK(pbit_header_field(model, PBIT_HEADER_CRC) == pbit_crc32(model->bytes + 16, model->size - 16),
          "the checksum does not match");
    model->tensor_count = pbit_header_field(model, PBIT_HEADER_TENSOR_COUNT);
    model->operation_count = pbit_header_field(model, PBIT_HEADER_OPERATION_COUNT);
    model->input_count = pbit_header_field(model, PBIT_HEADER_INPUT_COUNT);
    model->output_count = pbit_header_field(model, PBIT_HEADER_OUTPUT_COUNT);
    CHECK(model->tensor_count - 1u < PBIT_TENSORS_LIMIT, "number of tensors out of range");
    CHECK(model->operation_count - 1u < PBIT_OPERATIONS_LIMIT, "number of operations out of range");
    CHECK(model->input_count - 1u < PBIT_PORTS_LIMIT && model->input_count <= model->tensor_count,
          "number of inputs out of range");
    CHECK(model->output_count - 1u < PBIT_PORTS_LIMIT, "number of outputs out of range");
    CHECK(inside(model, pbit_header_field(model, PBIT_HEADER_TENSORS), model->tensor_count,
                 PBIT_TENSOR_BYTES) &&
              inside(model, pbit_header_field(model, PBIT_HEADER_OPERATIONS), model->operation_count,
                     PBIT_OPERATION_BYTES) &&
              inside(model, pbit_header_field(model, PBIT_HEADER_INPUTS), model->input_count,
                     PBIT_PORT_BYTES) &&
              inside(model, pbit_header_field(model, PBIT_HEADER_OUTPUTS), model->output_count,
                     PBIT_PORT_BYTES) &&
              inside(model, pbit_header_field(model, PBIT_HEADER_METADATA),
                     pbit_header_field(model, PBIT_HEADER_METADATA_BYTES), 1),
          "a table lies outside the file");
    uint32_t max_draws = pbit_model_max_draws(model), max_samples = pbit_model_max_samples(model);
    CHECK(max_draws - 1u < PBIT_DRAWS_LIMIT && pbit_model_default_draws(model) - 1u < max_draws,
          "number of draws out of range");
    CHECK(max_samples - 1u < PBIT_SAMPLES_LIMIT && pbit_model_default_samples(model) - 1u < max_samples,
          "number of samples out of range");
    CHECK(pbit_model_sampler(model) == PBIT_SAMPLER_IID ||
              pbit_model_sampler(model) == PBIT_SAMPLER_STRATIFIED,
          "unknown sampler");
    return NULL;
}

static int in_dimension_range(uint32_t dimension)
{
    return dimension - 1u < PBIT_DIMENSION_LIMIT;
}

static const char *check_tensor(const struct pbit_model *model, uint32_t index)
{
    const uint8_t *record =
        model->bytes + pbit_header_field(model, PBIT_HEADER_TENSORS) + (size_t)index * PBIT_TENSOR_BYTES;
    CHECK(is_string(model, pbit_load_u32(record)), "a tensor's name lies outside the file");
    struct pbit_tensor tensor = pbit_model_tensor(model, index);
    CHECK(tensor.kind <= PBIT_FIXED, "unknown kind of tensor");
    CHECK(tensor.draw_factor <= (tensor.kind == PBIT_LEVELS ? 65535u : 0u),
          "a tensor's draw factor is out of range");
    CHECK(in_dimension_range(tensor.height) && in_dimension_range(tensor.width) &&
              in_dimension_range(tensor.channels),
          "a tensor's dimension is out of range");
    CHECK((uint64_t)tensor.height * tensor.width <= PBIT_ELEMENTS_LIMIT &&
              (uint64_t)tensor.height * tensor.width * tensor.channels <= PBIT_ELEMENTS_LIMIT,
          "a tensor is too large");
    CHECK(pbit_load_u32(record + 28) == 0, "a reserved word of a tensor is not 0");
    if (index < model->input_count) {
        CHECK(tensor.kind == PBIT_LEVELS && tensor.draw_factor == 0, "an input is not 8-bit levels");
        CHECK(tensor.workspace_offset == 0, "a reserved word of a tensor is not 0");
        return NULL;
    }
    size_t bytes = pbit_tensor_elements(&tensor) * (tensor.kind == PBIT_FIXED ? 4 : 1);
    CHECK(tensor.workspace_offset % 16 == 0 &&
              tensor.workspace_offset + (uint64_t)bytes <= pbit_header_field(model, PBIT_HEADER_WORKSPACE),
          "a tensor lies outside the workspace");
    return NULL;
}

static const char *check_ports(const struct pbit_model *model)
{
    for (uint32_t i = 0; i < model->input_count; i++) {
        const uint8_t *record =
            model->bytes + pbit_header_field(model, PBIT_HEADER_INPUTS) + (size_t)i * PBIT_PORT_BYTES;
        uint32_t channels = pbit_model_tensor(model, i).channels;
        CHECK(pbit_load_u32(record) - 1u < 3, "an input's rank is out of range");
        CHECK(pbit_load_u32(record + 4) <= 1, "a reserved bit of an input is not 0");
        CHECK(inside(model, pbit_load_u32(record + 8), channels, 4) &&
                  inside(model, pbit_load_u32(record + 12), channels, 4),
              "an input's scale lies outside the file");
    }
    for (uint32_t i = 0; i < model->output_count; i++) {
        const uint8_t *record =
            model->bytes + pbit_header_field(model, PBIT_HEADER_OUTPUTS) + (size_t)i * PBIT_PORT_BYTES;
        CHECK(pbit_load_u32(record) < model->tensor_count &&
                  pbit_model_tensor(model, pbit_load_u32(record)).kind == PBIT_FIXED,
              "an output is no fixed-point tensor");
        CHECK(pbit_load_u32(record + 4) - 1u < 3, "an output's rank is out of range");
        uint32_t flags = pbit_load_u32(record + 8), both = PBIT_OUTPUT_SOFTMAX | PBIT_OUTPUT_LOG_SOFTMAX;
        CHECK(flags <= (both | PBIT_OUTPUT_CHANNELS_LAST), "a reserved bit of an output is not 0");
        CHECK((flags & both) != both, "an output has Softmax and LogSoftmax");
    }
    return NULL;
}

static int in_window_range(uint32_t number, uint32_t least)
{
    return number >= least && number <= PBIT_KERNEL_LIMIT;
}

static const char *check_window(const struct pbit_window *w)
{
    CHECK(in_window_range(w->kernel_y, 1) && in_window_range(w->kernel_x, 1) &&
              in_window_range(w->stride_y, 1) && in_window_range(w->stride_x, 1) &&
              in_window_range(w->pad_y, 0) && in_window_range(w->pad_x, 0) &&
              in_window_range(w->dilation_y, 1) && in_window_range(w->dilation_x, 1),
          "a window is out of range");
    return NULL;
}

/// For pools: every output position has a tap inside.
static int covers(uint32_t outputs, uint32_t stride, uint32_t pad, uint32_t kernel, uint32_t dilation,
                  uint32_t extent)
{
    for (uint32_t o = 0; o < outputs; o++) {
        struct pbit_taps taps = pbit_taps_inside((int64_t)o * stride - pad, kernel, dilation, extent);
        if (taps.first == taps.end)
            return 0;
    }
    return 1;
}

/// A and E fit in i32 (FORMAT.md, "CONV").
static const char *check_accumulators(const struct pbit_model *model, const struct pbit_operation *conv,
                                      uint32_t fan_in, uint32_t outputs, uint32_t largest_input)
{
    uint64_t largest = (uint64_t)largest_input << (conv->weight_bits == 1 ? 0 : conv->weight_bits - 1);
    if (!conv->weight_group) {
        CHECK(fan_in * largest <= INT32_MAX, "an accumulator can overflow");
        return NULL;
    }
    uint32_t groups = (fan_in + conv->weight_group - 1) / conv->weight_group;
    const uint8_t *factors = model->bytes + conv->factors;
    for (uint32_t k = 0; k < outputs; k++) {
        uint64_t sum = 0;
        for (uint32_t g = 0; g < groups; g++, factors++) {
            uint32_t left = fan_in - g * conv->weight_group;
            sum += (uint64_t)*factors * (left < conv->weight_group ? left : conv->weight_group);
        }
        CHECK(sum * largest <= INT32_MAX, "an accumulator can overflow");
    }
    return NULL;
}

static const char *check_conv(const struct pbit_model *model, const struct pbit_operation *conv,
                              const struct pbit_tensor *input, const struct pbit_tensor *output)
{
    CHECK(input->kind == PBIT_LEVELS && output->kind == PBIT_FIXED, "a CONV's tensors are of the wrong kind");
    FORWARD(check_window(&conv->window));
    CHECK(conv->groups > 0 && input->channels % conv->groups == 0 && output->channels % conv->groups == 0,
          "a CONV's groups do not divide its channels");
    CHECK(conv->weight_bits - 1u < 8, "weight bits out of range");
    CHECK(conv->shift <= 54, "a shift is out of range");
    uint64_t fan_in = pbit_operation_fan_in(conv, input->channels);
    CHECK(fan_in <= PBIT_DIMENSION_LIMIT && conv->weight_group <= fan_in, "a fan-in is out of range");
    uint32_t outputs = output->channels;
    CHECK(inside(model, conv->weights, outputs, pbit_weight_row_bytes(fan_in, conv->weight_bits)) &&
              inside(model, conv->multipliers, outputs, 4) && inside(model, conv->biases, outputs, 4),
          "a CONV's tables lie outside the file");
    CHECK(!conv->weight_group ||
              inside(model, conv->factors, outputs, (fan_in + conv->weight_group - 1) / conv->weight_group),
          "a CONV's group factors lie outside the file");
    for (uint32_t k = 0; k < outputs; k++)
        CHECK(pbit_load_i32(model->bytes + conv->multipliers + 4 * (size_t)k) >= 0,
              "a multiplier is negative");
    FORWARD(check_accumulators(model, conv, (uint32_t)fan_in, outputs,
                               pbit_tensor_levels(input, pbit_model_max_draws(model))));
    if (!conv->zeros)
        return NULL;
    CHECK(inside(model, conv->zeros, input->channels, 2), "zero points lie outside the file");
    for (uint32_t c = 0; c < input->channels; c++)
        CHECK(pbit_load_u16(model->bytes + conv->zeros + 2 * (size_t)c) <= 256,
              "a zero point is out of range");
    return check_accumulators(model, conv, (uint32_t)fan_in, outputs, 256);
}

static const char *check_table(const struct pbit_model *model, const struct pbit_operation *neuron)
{
    const uint8_t *table = model->bytes + neuron->table;
    if (neuron->function == PBIT_FUNCTION_THETA) {
        CHECK(inside(model, neuron->table, PBIT_THETA_ENTRIES, 4), "a theta table lies outside the file");
        for (uint32_t i = 0; i + 1 < PBIT_THETA_ENTRIES; i++)
            CHECK(pbit_load_i32(table + 4 * i) <= pbit_load_i32(table + 4 * i + 4),
                  "a theta table decreases");
    } else if (neuron->function == PBIT_FUNCTION_CURVE) {
        CHECK(neuron->curve_shift <= 24 && neuron->curve_segments - 1u < PBIT_SEGMENTS_LIMIT,
              "a curve's size is out of range");
        CHECK(inside(model, neuron->table, (uint64_t)neuron->curve_segments + 1, 4),
              "a curve lies outside the file");
        for (uint32_t i = 0; i <= neuron->curve_segments; i++)
            CHECK(pbit_load_u32(table + 4 * i) <= PBIT_ONE, "a curve leaves 0..1");
    }
    return NULL;
}

static int same_size(const struct pbit_tensor *a, const struct pbit_tensor *b)
{
    return a->height == b->height && a->width == b->width && a->channels == b->channels;
}

static int same_kind(const struct pbit_tensor *a, const struct pbit_tensor *b)
{
    return a->kind == b->kind && a->draw_factor == b->draw_factor;
}

static const char *check_neuron(const struct pbit_model *model, const struct pbit_operation *neuron,
                                const struct pbit_tensor *input, const struct pbit_tensor *output)
{
    CHECK(input->kind == PBIT_FIXED && output->kind == PBIT_LEVELS && same_size(input, output),
          "a NEURON's tensors do not fit");
    CHECK(neuron->neuron <= PBIT_NEURON_MULTIBIT && neuron->function <= PBIT_FUNCTION_CURVE,
          "unknown neuron");
    CHECK((neuron->neuron == PBIT_NEURON_MULTIBIT) == (output->draw_factor == 0),
          "a NEURON's levels do not fit its kind");
    CHECK(neuron->amplitude <= (neuron->neuron == PBIT_NEURON_MULTIBIT ? 65536u : 256u),
          "an amplitude is out of range");
    return check_table(model, neuron);
}

static const char *check_pool(const struct pbit_operation *pool, const struct pbit_tensor *input,
                              const struct pbit_tensor *output)
{
    const struct pbit_window *w = &pool->window;
    FORWARD(check_window(w));
    CHECK(same_kind(input, output) && input->channels == output->channels, "a pool's tensors do not fit");
    CHECK(covers(output->height, w->stride_y, w->pad_y, w->kernel_y, w->dilation_y, input->height) &&
              covers(output->width, w->stride_x, w->pad_x, w->kernel_x, w->dilation_x, input->width),
          "a pool has a window without an input");
    if (pool->kind == PBIT_OPERATION_SUMPOOL)
        CHECK(input->kind == PBIT_FIXED && pool->shift <= 62 &&
                  (uint64_t)w->kernel_y * w->kernel_x * pool->multipliers <= INT32_MAX,
              "a SUMPOOL is out of range");
    return NULL;
}

static const char *check_concat(const struct pbit_model *model, const struct pbit_operation *concat,
                                const struct pbit_tensor *output)
{
    uint64_t channels = 0;
    for (uint32_t i = 0; i < concat->input_count; i++) {
        struct pbit_tensor input = pbit_model_tensor(model, pbit_operation_input(model, concat, i));
        CHECK(same_kind(&input, output) && input.height == output->height && input.width == output->width,
              "a CONCAT's tensors do not fit");
        channels += input.channels;
    }
    CHECK(channels == output->channels, "a CONCAT's channels do not add up");
    return NULL;
}

static const char *check_permute(const struct pbit_model *model, const struct pbit_operation *permute,
                                 const struct pbit_tensor *input, const struct pbit_tensor *output)
{
    size_t count = pbit_tensor_elements(output), limit = pbit_tensor_elements(input);
    CHECK(same_kind(input, output), "a PERMUTE's tensors do not fit");
    CHECK(inside(model, permute->table, count, 4), "a PERMUTE's table lies outside the file");
    for (size_t i = 0; i < count; i++)
        CHECK(pbit_load_u32(model->bytes + permute->table + 4 * i) < limit,
              "a PERMUTE's index is out of range");
    return NULL;
}

static const char *check_operation_kind(const struct pbit_model *model,
                                        const struct pbit_operation *operation)
{
    struct pbit_tensor input = pbit_model_tensor(model, pbit_operation_input(model, operation, 0));
    struct pbit_tensor output = pbit_model_tensor(model, operation->output);
    uint32_t arity = operation->kind == PBIT_OPERATION_ADD ? 2 : 1;
    CHECK(operation->kind == PBIT_OPERATION_CONCAT || operation->input_count == arity,
          "an operation has a wrong number of inputs");
    switch (operation->kind) {
    case PBIT_OPERATION_CONV:
        return check_conv(model, operation, &input, &output);
    case PBIT_OPERATION_NEURON:
        return check_neuron(model, operation, &input, &output);
    case PBIT_OPERATION_MAXPOOL:
    case PBIT_OPERATION_SUMPOOL:
        return check_pool(operation, &input, &output);
    case PBIT_OPERATION_ADD: {
        struct pbit_tensor second = pbit_model_tensor(model, pbit_operation_input(model, operation, 1));
        CHECK(input.kind == PBIT_FIXED && second.kind == PBIT_FIXED && output.kind == PBIT_FIXED &&
                  same_size(&input, &output) && same_size(&second, &output),
              "an ADD's tensors do not fit");
        return NULL;
    }
    case PBIT_OPERATION_CONCAT:
        return check_concat(model, operation, &output);
    case PBIT_OPERATION_PERMUTE:
        return check_permute(model, operation, &input, &output);
    }
    return "unknown operation";
}

/// Bit w: word w of the operation's record means something.
static uint32_t used_words(const struct pbit_operation *operation)
{
    const uint32_t common = 0x1F, window = 0xFF << 5;
    switch (operation->kind) {
    case PBIT_OPERATION_CONV:
        return common | window | 0x1EF << 13 | (operation->weight_group != 0) << 17;
    case PBIT_OPERATION_NEURON:
        return common | 3 << 5 | 3 << 8 | (operation->function != PBIT_FUNCTION_LINEAR) << 7 |
               (operation->function == PBIT_FUNCTION_CURVE ? 7 << 10 : 0);
    case PBIT_OPERATION_MAXPOOL:
        return common | window;
    case PBIT_OPERATION_SUMPOOL:
        return common | window | 1 << 18 | 1 << 20;
    case PBIT_OPERATION_PERMUTE:
        return common | 1 << 5;
    default:
        return common;
    }
}

static const char *check_unused_words(const struct pbit_operation *operation, const uint8_t *record)
{
    uint32_t used = used_words(operation);
    for (uint32_t w = 0; w < PBIT_OPERATION_BYTES / 4; w++)
        CHECK(used >> w & 1 || pbit_load_u32(record + 4 * (size_t)w) == 0,
              "a reserved word of an operation is not 0");
    return NULL;
}

/// No NEURON before operation `index` has this layer number: two would draw the same random numbers.
static int is_new_layer(const struct pbit_model *model, uint32_t index, uint32_t layer)
{
    const uint8_t *record = model->bytes + pbit_header_field(model, PBIT_HEADER_OPERATIONS);
    for (uint32_t i = 0; i < index; i++, record += PBIT_OPERATION_BYTES)
        if (pbit_load_u32(record) == PBIT_OPERATION_NEURON && pbit_load_u32(record + 4 * 8) == layer)
            return 0;
    return 1;
}

/// Order, arity and what is random; notes who writes and reads which tensor.
static const char *check_operation(struct pbit_model *model, uint32_t index, struct lives *lives)
{
    const uint8_t *record = model->bytes + pbit_header_field(model, PBIT_HEADER_OPERATIONS) +
                            (size_t)index * PBIT_OPERATION_BYTES;
    CHECK(is_string(model, pbit_load_u32(record + 4)), "an operation's name lies outside the file");
    struct pbit_operation operation = pbit_model_operation(model, index);
    CHECK(operation.input_count - 1u < PBIT_INPUTS_LIMIT &&
              inside(model, operation.inputs, operation.input_count, 4),
          "an operation's inputs lie outside the file");
    CHECK(operation.output >= model->input_count && operation.output < model->tensor_count &&
              lives->written[operation.output] == NEVER,
          "an operation writes an input, an unknown tensor or one that is written already");
    int random = pbit_operation_draws(&operation);
    for (uint32_t i = 0; i < operation.input_count; i++) {
        uint32_t input = pbit_operation_input(model, &operation, i);
        CHECK(input < model->tensor_count && (input < model->input_count || lives->written[input] != NEVER),
              "an operation reads a tensor that is not written yet");
        random |= lives->random[input];
    }
    CHECK(random || model->first_random == model->operation_count,
          "an operation that is not random follows a random one");
    if (random && model->first_random == model->operation_count)
        model->first_random = index;
    for (uint32_t i = 0; i < operation.input_count; i++) {
        uint32_t input = pbit_operation_input(model, &operation, i);
        int serves_every_pass = random && !lives->random[input];
        lives->read[input] = serves_every_pass                     ? (int32_t)model->operation_count
                             : lives->read[input] > (int32_t)index ? lives->read[input]
                                                                   : (int32_t)index;
    }
    lives->written[operation.output] = lives->read[operation.output] = (int32_t)index;
    lives->random[operation.output] = (uint8_t)random;
    FORWARD(check_operation_kind(model, &operation));
    CHECK(operation.kind != PBIT_OPERATION_NEURON || is_new_layer(model, index, operation.layer),
          "two NEURONs have the same layer number");
    return check_unused_words(&operation, record);
}

static int overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
    return a < b + b_size && b < a + a_size;
}

/// Tensors that live at the same time do not share bytes.
static const char *check_workspace(const struct pbit_model *model, const struct lives *lives)
{
    for (uint32_t a = model->input_count; a < model->tensor_count; a++) {
        CHECK(lives->written[a] != NEVER, "a tensor is never written");
        struct pbit_tensor first = pbit_model_tensor(model, a);
        size_t first_bytes = pbit_tensor_elements(&first) * (first.kind == PBIT_FIXED ? 4 : 1);
        for (uint32_t b = a + 1; b < model->tensor_count; b++) {
            if (lives->written[b] == NEVER || lives->read[a] < lives->written[b] ||
                lives->read[b] < lives->written[a])
                continue;
            struct pbit_tensor second = pbit_model_tensor(model, b);
            size_t second_bytes = pbit_tensor_elements(&second) * (second.kind == PBIT_FIXED ? 4 : 1);
            CHECK(!overlap(first.workspace_offset, first_bytes, second.workspace_offset, second_bytes),
                  "two tensors share workspace while both are needed");
        }
    }
    return NULL;
}

/// NULL when the bytes are a valid file, else the rule they break; `status` says FORMAT or UNSUPPORTED.
/// Fills `model`. Uses about 50 KiB of stack.
static const char *validate(struct pbit_model *model, const void *bytes, size_t size,
                            enum pbit_status *status)
{
    *model = (struct pbit_model){.bytes = bytes, .size = size};
    *status = PBIT_ERROR_FORMAT;
    FORWARD(check_header(model, status));
    for (uint32_t i = 0; i < model->tensor_count; i++)
        FORWARD(check_tensor(model, i));
    FORWARD(check_ports(model));
    struct lives lives = {.random = {0}};
    for (uint32_t i = 0; i < model->tensor_count; i++)
        lives.written[i] = lives.read[i] = NEVER;
    model->first_random = model->operation_count;
    for (uint32_t i = 0; i < model->operation_count; i++)
        FORWARD(check_operation(model, i, &lives));
    for (uint32_t i = 0; i < model->output_count; i++) {
        const uint8_t *record =
            model->bytes + pbit_header_field(model, PBIT_HEADER_OUTPUTS) + (size_t)i * PBIT_PORT_BYTES;
        lives.read[pbit_load_u32(record)] = (int32_t)model->operation_count;
    }
    FORWARD(check_workspace(model, &lives));
    CHECK(pbit_header_field(model, PBIT_HEADER_WORKSPACE) % 16 == 0,
          "the workspace size is not a multiple of 16");
    *status = PBIT_OK;
    return NULL;
}

enum pbit_status pbit_model_open(struct pbit_model *model, const void *bytes, size_t size)
{
    if (!model || !bytes)
        return PBIT_ERROR_ARGUMENT;
    enum pbit_status status;
    return validate(model, bytes, size, &status) ? status : PBIT_OK;
}

const char *pbit_model_problem(const void *bytes, size_t size)
{
    struct pbit_model model;
    enum pbit_status status;
    const char *problem = bytes ? validate(&model, bytes, size, &status) : "no bytes";
    return problem ? problem : "";
}
