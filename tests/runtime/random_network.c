// Networks of the shape that the kernels on bits take: maps of some size, p-bits that draw once, pools of
// pairs, residuals.
#include "tests/runtime/random_generator.h"

/// None is below 0, as where single taps pass something on.
static void turn_up_weights(const struct pbitc_program_operation *conv, uint32_t count)
{
    int8_t *weights = (int8_t *)(uintptr_t)conv->tables.weights;
    for (uint32_t i = 0; i < count; i++)
        weights[i] = (int8_t)(weights[i] >= 0 ? weights[i] : conv->fields.weight_bits == 1 ? 1 : ~weights[i]);
}

static uint32_t add_conv(struct generator *g, uint32_t from, struct pbit_window window, uint32_t groups,
                         uint32_t channels)
{
    struct pbit_tensor in = g->program->tensors[from];
    uint32_t reach_y = (window.kernel_y - 1) * window.dilation_y + 1,
             reach_x = (window.kernel_x - 1) * window.dilation_x + 1;
    uint32_t height = (in.height + 2 * window.pad_y - reach_y) / window.stride_y + 1,
             width = (in.width + 2 * window.pad_x - reach_x) / window.stride_x + 1;
    uint32_t to = generator_add_tensor(g->program, PBIT_FIXED, 0, height, width, channels);
    struct pbitc_program_operation *conv =
        pbitc_program_add_operation(g->program, PBIT_OPERATION_CONV, "conv", from, to);
    conv->fields.window = window;
    conv->fields.groups = groups;
    generator_fill_conv(g, conv, in.channels, channels);
    if (groups == channels && generator_chance(g, 85))
        turn_up_weights(conv, channels * (uint32_t)pbit_operation_fan_in(&conv->fields, in.channels));
    if (generator_chance(g, from == 0 ? 40 : 80))
        conv->tables.zeros = NULL;
    if (generator_chance(g, 40)) {
        conv->fields.weight_group = 0;
        conv->tables.factors = NULL;
    } else if (conv->fields.weight_group && pbit_operation_fan_in(&conv->fields, in.channels) > 16) {
        conv->fields.weight_group = conv->fields.weight_group < 16 ? 16 : conv->fields.weight_group;
    }
    return to;
}

static struct pbit_window pick_window(struct generator *g, const struct pbit_tensor *in)
{
    uint32_t side = in->height < in->width ? in->height : in->width, most = side < 5 ? side : 5;
    struct pbit_window window = {
        .stride_y = generator_chance(g, 25) ? 2 : 1, .dilation_y = 1, .dilation_x = 1};
    window.stride_x = generator_chance(g, 80) ? window.stride_y : (uint32_t)generator_pick(g, 1, 3);
    window.kernel_y = (uint32_t)generator_pick(g, 1, most);
    window.kernel_x = generator_chance(g, 70) ? window.kernel_y : (uint32_t)generator_pick(g, 1, most);
    window.pad_y = (uint32_t)generator_pick(g, 0, window.kernel_y - 1);
    window.pad_x = generator_chance(g, 70) ? (window.kernel_x - 1) / 2
                                           : (uint32_t)generator_pick(g, 0, window.kernel_x - 1);
    if (generator_chance(g, 15) && (window.kernel_y - 1) * 2 < in->height &&
        (window.kernel_x - 1) * 2 < in->width)
        window.dilation_y = window.dilation_x = 2;
    return window;
}

static uint32_t add_pool(struct generator *g, uint32_t from)
{
    struct pbit_tensor in = g->program->tensors[from];
    uint32_t to = generator_add_tensor(g->program, PBIT_FIXED, 0, in.height / 2, in.width / 2, in.channels);
    struct pbitc_program_operation *pool =
        pbitc_program_add_operation(g->program, PBIT_OPERATION_MAXPOOL, "pool", from, to);
    pool->fields.window = (struct pbit_window){2, 2, 2, 2, 0, 0, 1, 1};
    return to;
}

static const struct pbit_window one = {1, 1, 1, 1, 0, 0, 1, 1};

/// Adds to z what a 1 x 1 CONV of an earlier tensor of the same map gives, often the tensor itself.
static uint32_t add_residual(struct generator *g, uint32_t z)
{
    struct pbit_tensor sum = g->program->tensors[z];
    for (uint32_t t = g->program->tensor_count; t-- > 0;) {
        struct pbit_tensor earlier = g->program->tensors[t];
        if (earlier.kind != PBIT_LEVELS || earlier.height != sum.height || earlier.width != sum.width)
            continue;
        bool same = earlier.channels == sum.channels && generator_chance(g, 70);
        uint32_t branch = add_conv(g, t, one, same ? sum.channels : 1, sum.channels);
        uint32_t to = generator_add_tensor(g->program, PBIT_FIXED, 0, sum.height, sum.width, sum.channels);
        bool first = generator_chance(g, 50);
        struct pbitc_program_operation *add =
            pbitc_program_add_operation(g->program, PBIT_OPERATION_ADD, "add", first ? branch : z, to);
        add->fields.input_count = 2;
        add->inputs[1] = first ? z : branch;
        return to;
    }
    return z;
}

/// 255 levels of z without noise.
static uint32_t keep_levels(struct generator *g, uint32_t z)
{
    struct pbit_tensor in = g->program->tensors[z];
    uint32_t to = generator_add_tensor(g->program, PBIT_LEVELS, 0, in.height, in.width, in.channels);
    struct pbitc_program_operation *neuron =
        pbitc_program_add_operation(g->program, PBIT_OPERATION_NEURON, "keep", z, to);
    neuron->fields.neuron = PBIT_NEURON_MULTIBIT;
    neuron->fields.layer = 3 * g->layers++;
    return to;
}

/// ones: how likely, in %, it draws once with the smallest m.
static uint32_t draw_levels(struct generator *g, uint32_t z, uint32_t ones)
{
    uint32_t levels = generator_add_neuron(g, z);
    if (generator_chance(g, ones))
        g->program->tensors[levels].draw_factor = 256;
    struct pbitc_program_operation *neuron = g->program->operations[g->program->operation_count - 1];
    if (g->program->tensors[levels].draw_factor && neuron->fields.neuron == PBIT_NEURON_MULTIBIT) {
        neuron->fields.neuron = PBIT_NEURON_COUNT;
        neuron->fields.amplitude = (uint32_t)generator_pick(g, 0, 256);
    }
    if (neuron->fields.function == PBIT_FUNCTION_CURVE && generator_chance(g, 80)) {
        neuron->fields.function = PBIT_FUNCTION_LINEAR;
        neuron->fields.curve_shift = neuron->fields.curve_segments = 0;
        neuron->fields.curve_start = 0;
        neuron->tables.table = NULL;
        neuron->tables.table_count = 0;
    }
    return levels;
}

static uint32_t add_layer(struct generator *g, uint32_t from)
{
    struct pbit_tensor in = g->program->tensors[from];
    uint32_t channels = generator_chance(g, 50) ? in.channels : (uint32_t)generator_pick(g, 1, 20);
    struct pbit_window window = pick_window(g, &in);
    uint32_t z = add_conv(g, from, window, 1, channels), height = g->program->tensors[z].height,
             width = g->program->tensors[z].width;
    if (height > 3 && width > 3 && generator_chance(g, from == 0 ? 40 : 25))
        z = add_pool(g, z);
    else if (generator_chance(g, 80))
        z = add_residual(g, z);
    if (generator_chance(g, 25)) // a path that keeps levels, as of residual networks
        z = add_conv(g, keep_levels(g, z), one, channels, channels);
    return draw_levels(g, z, 85);
}

static struct pbit_window whole_of(const struct pbit_tensor *in)
{
    return (struct pbit_window){in->height, in->width, 1, 1, 0, 0, 1, 1};
}

/// As the kernels take them, with so many outputs that threads share them; z lies between what they read and
/// write, and takes no memory of its own.
static uint32_t add_dense(struct generator *g, uint32_t from)
{
    struct pbit_tensor in = g->program->tensors[from];
    uint32_t channels = (uint32_t)generator_pick(g, 257, 1024),
             z = add_conv(g, from, whole_of(&in), 1, channels);
    struct pbitc_program_operation *conv = g->program->operations[g->program->operation_count - 1];
    int8_t *weights = (int8_t *)(uintptr_t)conv->tables.weights;
    for (uint64_t i = 0; i < channels * pbit_tensor_elements(&in); i++)
        weights[i] >>= conv->fields.weight_bits > 4 ? conv->fields.weight_bits - 4 : 0;
    conv->fields.weight_bits = conv->fields.weight_bits > 4 ? 4 : conv->fields.weight_bits;
    conv->fields.weight_group = 0;
    conv->tables.factors = NULL;
    conv->tables.zeros = NULL;
    return draw_levels(g, z, 100);
}

struct test_file random_network(uint32_t seed)
{
    struct generator g = {.random = {seed * 2654435761u + 7}};
    for (int i = 0; i < 8; i++)
        random_word(&g.random);
    g.program = generator_start(generator_chance(&g, 20) ? PBIT_SAMPLER_IID : PBIT_SAMPLER_STRATIFIED);
    uint32_t side = (uint32_t)generator_pick(&g, 5, 21);
    generator_add_input(g.program, side,
                        generator_chance(&g, 70) ? side : (uint32_t)generator_pick(&g, 5, 21),
                        (uint32_t)generator_pick(&g, 1, 4));
    uint32_t last = 0;
    for (int64_t i = generator_pick(&g, 2, 5); i > 0; i--)
        last = add_layer(&g, last);
    // Sums of more than MOST_WIDE inputs of 256 levels, with factors, would be too large.
    enum { MOST_INPUTS = 1024, MOST_WIDE = 256 };
    struct pbit_tensor in = g.program->tensors[last];
    if (pbit_tensor_elements(&in) <= MOST_INPUTS && in.draw_factor == 256 && generator_chance(&g, 50))
        last = add_dense(&g, last);
    in = g.program->tensors[last];
    uint32_t outputs = generator_chance(&g, 60) ? 3 : (uint32_t)generator_pick(&g, 65, 300);
    generator_add_output(g.program, add_conv(&g, last, whole_of(&in), 1, outputs));
    struct pbitc_program_operation *conv = g.program->operations[g.program->operation_count - 1];
    if (pbit_tensor_elements(&in) <= MOST_INPUTS)
        conv->tables.zeros = NULL;
    if (pbit_tensor_elements(&in) > MOST_WIDE && (conv->tables.zeros || in.draw_factor != 256)) {
        conv->fields.weight_group = 0;
        conv->tables.factors = NULL;
    }
    return generator_finish(g.program);
}
