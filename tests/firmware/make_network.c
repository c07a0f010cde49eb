// Writes a .pbit file with every operation that a firmware can hold, random weights, odd shapes, groups,
// group factors, zero points, overlapping pools and two outputs: make_network OUT.pbit stratified|iid
#include "passes/program.h"

#include <stdlib.h>
#include <string.h>

enum { SHIFT = 8, SCALE = 1 << 20 };

static struct pbitc_program *program;
static uint32_t random_state = 12345;

static uint32_t draw(uint32_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return (random_state >> 8) % below;
}

static void *table(size_t count, size_t size)
{
    void *memory = pbitc_arena_allocate(program->arena, count, size);
    if (!memory)
        exit(4);
    return memory;
}

static uint32_t tensor(enum pbit_tensor_kind kind, uint32_t factor, uint32_t height, uint32_t width,
                       uint32_t channels)
{
    struct pbit_tensor record = {.name = "t",
                                 .kind = kind,
                                 .draw_factor = factor,
                                 .height = height,
                                 .width = width,
                                 .channels = channels};
    return pbitc_program_add_tensor(program, &record);
}

static struct pbitc_program_operation *operation(enum pbit_operation_kind kind, const char *name, uint32_t in,
                                                 uint32_t out)
{
    struct pbitc_program_operation *made = pbitc_program_add_operation(program, kind, name, in, out);
    if (!made)
        exit(4);
    return made;
}

/// A convolution to `channels`; the window's dilation is 1 where it is 0.
static uint32_t conv(const char *name, uint32_t in, struct pbit_window window, uint32_t channels,
                     uint32_t groups, uint32_t bits, uint32_t weight_group, bool zeros)
{
    const struct pbit_tensor input = program->tensors[in];
    window.dilation_y += window.dilation_y == 0;
    window.dilation_x += window.dilation_x == 0;
    uint32_t height =
        (input.height + 2 * window.pad_y - (window.kernel_y - 1) * window.dilation_y - 1) / window.stride_y +
        1;
    uint32_t width =
        (input.width + 2 * window.pad_x - (window.kernel_x - 1) * window.dilation_x - 1) / window.stride_x +
        1;
    uint32_t out = tensor(PBIT_FIXED, 0, height, width, channels);
    struct pbitc_program_operation *made = operation(PBIT_OPERATION_CONV, name, in, out);
    uint32_t fan_in = window.kernel_y * window.kernel_x * input.channels / groups;
    uint32_t factors = weight_group ? (fan_in + weight_group - 1) / weight_group : 0;
    int8_t *weights = table((size_t)channels * fan_in, 1);
    int32_t *multipliers = table(channels, 4), *biases = table(channels, 4);
    for (size_t i = 0; i < (size_t)channels * fan_in; i++)
        weights[i] = (int8_t)(bits == 1 ? (int)draw(2) * 2 - 1 : (int)draw(1u << bits) - (1 << (bits - 1)));
    for (uint32_t k = 0; k < channels; k++) {
        multipliers[k] = (int32_t)(((uint32_t)SCALE >> bits) / (weight_group ? 64 : 1) + draw(SCALE >> 6));
        biases[k] = (int32_t)draw(65536);
    }
    made->tables.weights = weights;
    made->tables.multipliers = multipliers;
    made->tables.biases = biases;
    if (weight_group) {
        uint8_t *values = table((size_t)channels * factors, 1);
        for (size_t i = 0; i < (size_t)channels * factors; i++)
            values[i] = (uint8_t)draw(256);
        made->tables.factors = values;
    }
    if (zeros) {
        uint16_t *values = table(input.channels, 2);
        for (uint32_t c = 0; c < input.channels; c++)
            values[c] = (uint16_t)draw(257);
        made->tables.zeros = values;
    }
    made->fields.window = window;
    made->fields.groups = groups;
    made->fields.weight_bits = bits;
    made->fields.weight_group = weight_group;
    made->fields.shift = SHIFT;
    return out;
}

static uint32_t neuron(const char *name, uint32_t in, uint32_t kind, uint32_t function, uint32_t amplitude,
                       uint32_t factor)
{
    static uint32_t layer;
    const struct pbit_tensor input = program->tensors[in];
    uint32_t out = tensor(PBIT_LEVELS, factor, input.height, input.width, input.channels);
    struct pbitc_program_operation *made = operation(PBIT_OPERATION_NEURON, name, in, out);
    made->fields.neuron = kind;
    made->fields.function = function;
    made->fields.amplitude = amplitude;
    made->fields.layer = layer++;
    size_t entries = function == PBIT_FUNCTION_THETA   ? PBIT_THETA_ENTRIES
                     : function == PBIT_FUNCTION_CURVE ? 33
                                                       : 0;
    if (!entries)
        return out;
    int32_t *values = table(entries, 4);
    for (size_t i = 0; i < entries; i++)
        values[i] = function == PBIT_FUNCTION_THETA ? (int32_t)i * 512 - 32768 + (int32_t)draw(512)
                                                    : (int32_t)draw(65537);
    if (function == PBIT_FUNCTION_CURVE) {
        made->fields.curve_shift = 12;
        made->fields.curve_segments = 32;
        made->fields.curve_start = -65536;
    }
    made->tables.table = values;
    made->tables.table_count = entries;
    return out;
}

static uint32_t pool(const char *name, enum pbit_operation_kind kind, uint32_t in, struct pbit_window window)
{
    const struct pbit_tensor input = program->tensors[in];
    window.dilation_y = window.dilation_x = 1;
    uint32_t out =
        tensor((enum pbit_tensor_kind)input.kind, input.draw_factor,
               (input.height + 2 * window.pad_y - window.kernel_y) / window.stride_y + 1,
               (input.width + 2 * window.pad_x - window.kernel_x) / window.stride_x + 1, input.channels);
    struct pbitc_program_operation *made = operation(kind, name, in, out);
    made->fields.window = window;
    if (kind == PBIT_OPERATION_SUMPOOL) {
        made->fields.multipliers = 70000;
        made->fields.shift = 18;
    }
    return out;
}

static uint32_t join(const char *name, enum pbit_operation_kind kind, uint32_t a, uint32_t b,
                     uint32_t channels)
{
    const struct pbit_tensor first = program->tensors[a];
    uint32_t out = tensor(PBIT_FIXED, 0, first.height, first.width, channels);
    struct pbitc_program_operation *made = operation(kind, name, a, out);
    made->fields.input_count = 2;
    made->inputs[1] = b;
    return out;
}

static uint32_t shuffle(const char *name, uint32_t in)
{
    const struct pbit_tensor input = program->tensors[in];
    uint32_t out = tensor((enum pbit_tensor_kind)input.kind, input.draw_factor, input.height, input.width,
                          input.channels);
    struct pbitc_program_operation *made = operation(PBIT_OPERATION_PERMUTE, name, in, out);
    size_t count = pbit_tensor_elements(&input);
    int32_t *index = table(count, 4);
    for (size_t i = 0; i < count; i++)
        index[i] = (int32_t)draw((uint32_t)count);
    made->tables.table = index;
    made->tables.table_count = count;
    return out;
}

static void build(void)
{
    static const float offset[3] = {0, 0, 0}, step[3] = {1, 1, 1};
    uint32_t image = tensor(PBIT_LEVELS, 0, 13, 12, 3);
    program->inputs[0] = (struct pbitc_program_input){3, false, offset, step};
    program->input_count = 1;
    uint32_t z = conv("stem", image, (struct pbit_window){3, 3, 1, 1, 1, 1, 0, 0}, 8, 1, 3, 0, false);
    z = pool("stem_pool", PBIT_OPERATION_MAXPOOL, z, (struct pbit_window){3, 3, 2, 2, 1, 1, 0, 0});
    uint32_t a = neuron("stem_draw", z, PBIT_NEURON_COUNT, PBIT_FUNCTION_LINEAR, 200, 256);
    uint32_t left = conv("grouped", a, (struct pbit_window){3, 3, 1, 1, 2, 2, 2, 2}, 8, 2, 2, 5, true);
    uint32_t right = conv("identity", a, (struct pbit_window){1, 1, 1, 1, 0, 0, 0, 0}, 8, 8, 1, 0, false);
    uint32_t sum = join("add", PBIT_OPERATION_ADD, left, right, 8);
    uint32_t noisy = neuron("noise", sum, PBIT_NEURON_MULTIBIT, PBIT_FUNCTION_CURVE, 20000, 0);
    noisy = pool("levels_pool", PBIT_OPERATION_MAXPOOL, noisy, (struct pbit_window){2, 2, 2, 2, 0, 0, 0, 0});
    uint32_t mean = pool("mean", PBIT_OPERATION_SUMPOOL, sum, (struct pbit_window){2, 2, 2, 2, 0, 0, 0, 0});
    uint32_t most = pool("most", PBIT_OPERATION_MAXPOOL, sum, (struct pbit_window){2, 2, 2, 2, 0, 0, 0, 0});
    uint32_t both = join("concat", PBIT_OPERATION_CONCAT, mean, most, 16);
    both = neuron("theta", shuffle("shuffle", both), PBIT_NEURON_COUNT, PBIT_FUNCTION_THETA, 256, 512);
    const struct pbit_tensor shape = program->tensors[both];
    struct pbit_window whole = {shape.height, shape.width, 1, 1, 0, 0, 0, 0};
    uint32_t hidden = neuron("hidden_draw", conv("hidden", both, whole, 70, 1, 4, 0, true), PBIT_NEURON_COUNT,
                             PBIT_FUNCTION_LINEAR, 256, 256);
    uint32_t first = conv("first", hidden, (struct pbit_window){1, 1, 1, 1, 0, 0, 0, 0}, 5, 1, 4, 0, false);
    uint32_t second = conv("second", noisy, whole, 3, 1, 8, 16, false);
    program->outputs[0] = (struct pbitc_program_output){first, 1, 0, 1.0f};
    program->outputs[1] = (struct pbitc_program_output){second, 1, 0, 1.0f};
    program->output_count = 2;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    struct pbitc_diagnostics *diagnostics = pbitc_diagnostics_create();
    struct pbitc_arena *arena = pbitc_arena_create(NULL);
    program = arena ? pbitc_program_create(arena) : NULL;
    if (!program)
        return 4;
    program->draws = 3;
    program->samples = 1;
    program->sampler = strcmp(argv[2], "iid") == 0 ? PBIT_SAMPLER_IID : PBIT_SAMPLER_STRATIFIED;
    program->metadata = "{}";
    build();
    uint8_t *bytes;
    size_t size;
    if (pbitc_program_serialize(program, diagnostics, &bytes, &size) != PBIT_OK) {
        pbitc_diagnostics_print(diagnostics, stderr);
        return 3;
    }
    FILE *file = fopen(argv[1], "wb");
    int failed = !file || fwrite(bytes, 1, size, file) != size || fclose(file) != 0;
    pbitc_arena_destroy(arena);
    pbitc_diagnostics_destroy(diagnostics);
    return failed ? 3 : 0;
}
