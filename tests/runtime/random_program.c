#include "tests/runtime/random_generator.h"

#include "runtime/crc32.h"

#include <check.h>
#include <stdlib.h>

uint32_t random_word(struct test_random *random)
{
    random->state ^= random->state << 13;
    random->state ^= random->state >> 17;
    random->state ^= random->state << 5;
    return random->state;
}

int64_t random_range(struct test_random *random, int64_t low, int64_t high)
{
    return low + random_word(random) % (uint32_t)(high - low + 1);
}

bool random_chance(struct test_random *random, int percent)
{
    return random_range(random, 0, 99) < percent;
}

// ---- files

struct test_file test_file_copy(const uint8_t *bytes, size_t size)
{
    struct test_file file = {malloc(size ? size : 1), size};
    ck_assert_ptr_nonnull(file.bytes);
    memcpy(file.bytes, bytes, size);
    return file;
}

void test_file_free(struct test_file *file)
{
    free(file->bytes);
    file->bytes = NULL;
}

uint32_t test_file_word(const struct test_file *file, size_t offset)
{
    ck_assert_uint_le(offset + 4, file->size);
    return pbit_load_u32(file->bytes + offset);
}

void test_file_set(struct test_file *file, size_t offset, uint32_t word)
{
    ck_assert_uint_le(offset + 4, file->size);
    for (int i = 0; i < 4; i++)
        file->bytes[offset + (size_t)i] = (uint8_t)(word >> 8 * i);
}

void test_file_seal(struct test_file *file)
{
    test_file_set(file, PBIT_HEADER_CRC, pbit_crc32(file->bytes + 16, file->size - 16));
}

size_t test_file_operation(const struct test_file *file, uint32_t operation, uint32_t w)
{
    return test_file_word(file, PBIT_HEADER_OPERATIONS) + (size_t)operation * PBIT_OPERATION_BYTES + 4 * w;
}

size_t test_file_tensor(const struct test_file *file, uint32_t tensor, size_t field)
{
    return test_file_word(file, PBIT_HEADER_TENSORS) + (size_t)tensor * PBIT_TENSOR_BYTES + field;
}

/// Serializes the program and destroys its arena.
struct test_file generator_finish(struct pbitc_program *program)
{
    uint8_t *bytes;
    size_t size;
    struct pbitc_diagnostics *diagnostics = pbitc_diagnostics_create();
    enum pbit_status status = pbitc_program_serialize(program, diagnostics, &bytes, &size);
    if (status != PBIT_OK)
        pbitc_diagnostics_print(diagnostics, stderr);
    ck_assert_int_eq(status, PBIT_OK);
    pbitc_diagnostics_destroy(diagnostics);
    struct test_file file = test_file_copy(bytes, size);
    pbitc_arena_destroy(program->arena);
    return file;
}

struct pbitc_program *generator_start(enum pbit_sampler sampler)
{
    struct pbitc_program *program = pbitc_program_create(pbitc_arena_create(NULL));
    ck_assert_ptr_nonnull(program);
    program->draws = program->samples = 1;
    program->sampler = sampler;
    program->metadata = "{\"made\": \"at random\"}";
    return program;
}

static void *allocate(struct pbitc_program *program, size_t count, size_t size)
{
    void *memory = pbitc_arena_allocate(program->arena, count, size);
    ck_assert_ptr_nonnull(memory);
    return memory;
}

uint32_t generator_add_tensor(struct pbitc_program *program, uint32_t kind, uint32_t factor, uint32_t height,
                              uint32_t width, uint32_t channels)
{
    struct pbit_tensor tensor = {"tensor", kind, factor, height, width, channels, 0};
    return pbitc_program_add_tensor(program, &tensor);
}

void generator_add_input(struct pbitc_program *program, uint32_t height, uint32_t width, uint32_t channels)
{
    uint32_t tensor = generator_add_tensor(program, PBIT_LEVELS, 0, height, width, channels);
    float *offset = allocate(program, channels, sizeof(float));
    float *step = allocate(program, channels, sizeof(float));
    for (uint32_t c = 0; c < channels; c++) {
        offset[c] = -0.5f * (float)c;
        step[c] = 1.0f / (float)(c + 100);
    }
    program->inputs[tensor] = (struct pbitc_program_input){3, false, offset, step};
    program->input_count++;
}

void generator_add_output(struct pbitc_program *program, uint32_t tensor)
{
    program->outputs[program->output_count++] = (struct pbitc_program_output){tensor, 3, 0, 0.25f};
}

// ---- random operations

int64_t generator_pick(struct generator *g, int64_t low, int64_t high)
{
    return random_range(&g->random, low, high);
}

bool generator_chance(struct generator *g, int percent)
{
    return random_chance(&g->random, percent);
}

static uint32_t extent(uint32_t input, uint32_t kernel, uint32_t stride, uint32_t pad, uint32_t dilation)
{
    int64_t free = (int64_t)input + 2 * pad - (int64_t)dilation * (kernel - 1) - 1;
    return free < 0 ? 1 : (uint32_t)(free / stride + 1);
}

/// `covered`: every window has a tap inside, as pools need.
static struct pbit_window pick_window(struct generator *g, const struct pbit_tensor *in, bool covered,
                                      uint32_t *height, uint32_t *width)
{
    uint32_t most = covered ? 3 : 4;
    struct pbit_window w = {
        .kernel_y = (uint32_t)generator_pick(g, 1, in->height < most ? in->height : most),
        .kernel_x = (uint32_t)generator_pick(g, 1, in->width < most ? in->width : most),
        .stride_y = (uint32_t)generator_pick(g, 1, 2),
        .stride_x = (uint32_t)generator_pick(g, 1, 3),
        .dilation_y = covered ? 1 : (uint32_t)generator_pick(g, 1, 2),
        .dilation_x = covered ? 1 : (uint32_t)generator_pick(g, 1, 3),
    };
    w.pad_y = (uint32_t)generator_pick(g, 0, covered ? w.kernel_y - 1 : 3);
    w.pad_x = (uint32_t)generator_pick(g, 0, covered ? w.kernel_x - 1 : 2);
    *height = extent(in->height, w.kernel_y, w.stride_y, w.pad_y, w.dilation_y);
    *width = extent(in->width, w.kernel_x, w.stride_x, w.pad_x, w.dilation_x);
    if (!covered && generator_chance(g, 20))
        ++*width; // more padding at the end than at the beginning
    return w;
}

static int8_t pick_weight(struct generator *g, uint32_t bits)
{
    if (bits == 1)
        return generator_chance(g, 50) ? 1 : -1;
    return (int8_t)generator_pick(g, -(1 << (bits - 1)), (1 << (bits - 1)) - 1);
}

void generator_fill_conv(struct generator *g, struct pbitc_program_operation *conv, uint32_t in_channels,
                         uint32_t out_channels)
{
    struct pbit_operation *fields = &conv->fields;
    uint32_t n = (uint32_t)pbit_operation_fan_in(fields, in_channels);
    fields->weight_bits = (uint32_t)generator_pick(g, 1, 8);
    fields->weight_group = generator_chance(g, 40) ? (uint32_t)generator_pick(g, 1, n) : 0;
    uint32_t groups = fields->weight_group ? (n + fields->weight_group - 1) / fields->weight_group : 0;
    int8_t *weights = allocate(g->program, (size_t)out_channels * n, 1);
    uint8_t *factors = allocate(g->program, (size_t)out_channels * groups, 1);
    int32_t *multipliers = allocate(g->program, out_channels, 4);
    int32_t *biases = allocate(g->program, out_channels, 4);
    uint16_t *zeros = allocate(g->program, in_channels, 2);
    for (uint32_t i = 0; i < out_channels * n; i++)
        weights[i] = pick_weight(g, fields->weight_bits);
    for (uint32_t i = 0; i < out_channels * groups; i++)
        factors[i] = (uint8_t)generator_pick(g, 0, 255);
    for (uint32_t c = 0; c < in_channels; c++)
        zeros[c] = (uint16_t)generator_pick(g, 0, 256);
    // Mostly sums of about one in Q16, sometimes anything.
    bool wild = generator_chance(g, 15);
    fields->shift = (uint32_t)(wild ? generator_pick(g, 0, 54) : generator_pick(g, 0, 24));
    for (uint32_t k = 0; k < out_channels; k++) {
        uint64_t unit =
            (UINT64_C(65536) << fields->shift) / (n << (fields->weight_bits - 1)) / (groups ? 64 : 1);
        uint64_t multiplier = unit / 16 * (uint64_t)generator_pick(g, 0, 100);
        multipliers[k] = wild                     ? (int32_t)(random_word(&g->random) >> 1)
                         : multiplier > INT32_MAX ? INT32_MAX
                                                  : (int32_t)multiplier;
        biases[k] = wild ? (int32_t)random_word(&g->random) : (int32_t)generator_pick(g, -65536, 65536);
    }
    conv->tables = (struct pbitc_program_tables){.weights = weights,
                                                 .factors = groups ? factors : NULL,
                                                 .multipliers = multipliers,
                                                 .biases = biases,
                                                 .zeros = generator_chance(g, 50) ? zeros : NULL};
}

static uint32_t add_conv(struct generator *g, uint32_t from)
{
    struct pbit_tensor in = g->program->tensors[from];
    uint32_t groups = generator_chance(g, 30)                           ? in.channels
                      : in.channels % 2 == 0 && generator_chance(g, 50) ? 2
                                                                        : 1,
             height, width;
    uint32_t channels = groups * (uint32_t)generator_pick(g, 1, groups > 2 ? 2 : 4);
    struct pbit_window window = pick_window(g, &in, false, &height, &width);
    uint32_t to = generator_add_tensor(g->program, PBIT_FIXED, 0, height, width, channels);
    struct pbitc_program_operation *conv =
        pbitc_program_add_operation(g->program, PBIT_OPERATION_CONV, "conv", from, to);
    conv->fields.window = window;
    conv->fields.groups = groups;
    generator_fill_conv(g, conv, in.channels, channels);
    return to;
}

static int compare_integers(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static void generator_fill_table(struct generator *g, struct pbitc_program_operation *neuron)
{
    struct pbit_operation *fields = &neuron->fields;
    fields->function = (uint32_t)generator_pick(g, 0, 2);
    if (fields->function == PBIT_FUNCTION_CURVE) {
        fields->curve_shift = (uint32_t)generator_pick(g, 0, generator_chance(g, 20) ? 24 : 14);
        fields->curve_segments = (uint32_t)generator_pick(g, 1, 40);
        fields->curve_start = (int32_t)generator_pick(g, -131072, 65536);
    }
    size_t count = fields->function == PBIT_FUNCTION_THETA   ? PBIT_THETA_ENTRIES
                   : fields->function == PBIT_FUNCTION_CURVE ? fields->curve_segments + 1
                                                             : 0;
    int32_t *table = allocate(g->program, count, 4);
    bool wild = generator_chance(g, 20);
    for (size_t i = 0; i < count; i++)
        table[i] = fields->function == PBIT_FUNCTION_CURVE ? (int32_t)generator_pick(g, 0, 65536)
                   : wild                                  ? (int32_t)random_word(&g->random)
                                                           : (int32_t)generator_pick(g, -200, 200) * 512;
    if (fields->function == PBIT_FUNCTION_THETA)
        qsort(table, count, sizeof(*table), compare_integers);
    neuron->tables.table = count ? table : NULL;
    neuron->tables.table_count = count;
}

uint32_t generator_add_neuron(struct generator *g, uint32_t from)
{
    static const uint32_t draw_factors[] = {256, 256, 128, 512, 300, 1, 65535}, rhos[] = {0, 128, 256, 77};
    struct pbit_tensor in = g->program->tensors[from];
    bool multibit = generator_chance(g, 30);
    uint32_t factor = multibit ? 0 : draw_factors[generator_pick(g, 0, 6)];
    uint32_t to = generator_add_tensor(g->program, PBIT_LEVELS, factor, in.height, in.width, in.channels);
    struct pbitc_program_operation *neuron =
        pbitc_program_add_operation(g->program, PBIT_OPERATION_NEURON, "neuron", from, to);
    neuron->fields.neuron = multibit ? PBIT_NEURON_MULTIBIT : PBIT_NEURON_COUNT;
    neuron->fields.layer = 3 * g->layers++;
    neuron->fields.amplitude = !multibit                 ? rhos[generator_pick(g, 0, 3)]
                               : generator_chance(g, 40) ? 0
                                                         : (uint32_t)generator_pick(g, 1, 65536);
    generator_fill_table(g, neuron);
    return to;
}

static uint32_t add_pool(struct generator *g, uint32_t from, enum pbit_operation_kind kind)
{
    struct pbit_tensor in = g->program->tensors[from];
    uint32_t height, width;
    struct pbit_window window = pick_window(g, &in, true, &height, &width);
    // The last window must reach into the image, also with the larger strides.
    while ((height - 1) * window.stride_y >= in.height + window.pad_y)
        height--;
    while ((width - 1) * window.stride_x >= in.width + window.pad_x)
        width--;
    uint32_t to = generator_add_tensor(g->program, in.kind, in.draw_factor, height, width, in.channels);
    struct pbitc_program_operation *pool = pbitc_program_add_operation(g->program, kind, "pool", from, to);
    pool->fields.window = window;
    if (kind == PBIT_OPERATION_SUMPOOL) {
        pool->fields.shift = (uint32_t)generator_pick(g, 0, 62);
        pool->fields.multipliers =
            (uint32_t)generator_pick(g, 0, INT32_MAX / (window.kernel_y * window.kernel_x));
        if (generator_chance(g, 70)) { // a mean
            pool->fields.shift = 20;
            pool->fields.multipliers = (1 << 20) / (window.kernel_y * window.kernel_x);
        }
    }
    return to;
}

static bool alike(const struct pbit_tensor *a, const struct pbit_tensor *b, bool channels)
{
    return a->kind == b->kind && a->draw_factor == b->draw_factor && a->height == b->height &&
           a->width == b->width && (!channels || a->channels == b->channels);
}

/// Some tensor that can stand beside `first` in an ADD or CONCAT, maybe itself.
static uint32_t pick_partner(struct generator *g, uint32_t first, bool channels)
{
    const struct pbit_tensor *tensors = g->program->tensors;
    uint32_t partner = first;
    for (uint32_t t = 0; t < g->program->tensor_count; t++)
        if (alike(&tensors[first], &tensors[t], channels) && generator_chance(g, 40))
            partner = t;
    return partner;
}

static uint32_t add_add(struct generator *g, uint32_t from)
{
    struct pbit_tensor in = g->program->tensors[from];
    uint32_t second = pick_partner(g, from, true);
    uint32_t to = generator_add_tensor(g->program, PBIT_FIXED, 0, in.height, in.width, in.channels);
    struct pbitc_program_operation *add =
        pbitc_program_add_operation(g->program, PBIT_OPERATION_ADD, "add", from, to);
    add->fields.input_count = 2;
    add->inputs[1] = second;
    return to;
}

static uint32_t add_concat(struct generator *g, uint32_t from)
{
    struct pbit_tensor in = g->program->tensors[from];
    uint32_t parts[3] = {from}, count = (uint32_t)generator_pick(g, 1, 3), channels = in.channels;
    for (uint32_t i = 1; i < count; i++) {
        parts[i] = pick_partner(g, from, false);
        channels += g->program->tensors[parts[i]].channels;
    }
    uint32_t to = generator_add_tensor(g->program, in.kind, in.draw_factor, in.height, in.width, channels);
    struct pbitc_program_operation *concat =
        pbitc_program_add_operation(g->program, PBIT_OPERATION_CONCAT, "concat", from, to);
    concat->fields.input_count = count;
    memcpy(concat->inputs, parts, count * sizeof(*parts));
    return to;
}

static uint32_t add_permute(struct generator *g, uint32_t from)
{
    struct pbit_tensor in = g->program->tensors[from];
    uint32_t elements = (uint32_t)pbit_tensor_elements(&in);
    uint32_t width = (uint32_t)generator_pick(g, 1, 3), channels = (elements + width - 1) / width;
    uint32_t to = generator_add_tensor(g->program, in.kind, in.draw_factor, 1, width, channels);
    struct pbitc_program_operation *permute =
        pbitc_program_add_operation(g->program, PBIT_OPERATION_PERMUTE, "permute", from, to);
    int32_t *index = allocate(g->program, width * channels, 4);
    for (uint32_t i = 0; i < width * channels; i++)
        index[i] = (int32_t)generator_pick(g, 0, elements - 1);
    permute->tables.table = index;
    permute->tables.table_count = width * channels;
    return to;
}

static uint32_t add_operation(struct generator *g, uint32_t from)
{
    bool fixed = g->program->tensors[from].kind == PBIT_FIXED;
    switch (generator_pick(g, 0, 9)) {
    case 0:
        return add_pool(g, from, PBIT_OPERATION_MAXPOOL);
    case 1:
        return add_concat(g, from);
    case 2:
        return add_permute(g, from);
    case 3:
        return fixed ? add_pool(g, from, PBIT_OPERATION_SUMPOOL) : add_conv(g, from);
    case 4:
    case 5:
        return fixed ? add_add(g, from) : add_conv(g, from);
    default:
        return fixed ? generator_add_neuron(g, from) : add_conv(g, from);
    }
}

static bool is_small(const struct pbitc_program *program, uint32_t tensor)
{
    return pbit_tensor_elements(&program->tensors[tensor]) <= 160;
}

struct test_file random_program(uint32_t seed, int operations)
{
    struct generator g = {.random = {seed * 2654435761u + 1}};
    for (int i = 0; i < 8; i++)
        random_word(&g.random);
    g.program = generator_start(generator_chance(&g, 50) ? PBIT_SAMPLER_IID : PBIT_SAMPLER_STRATIFIED);
    for (int64_t i = generator_pick(&g, 1, 2); i > 0; i--)
        generator_add_input(g.program, (uint32_t)generator_pick(&g, 1, 6), (uint32_t)generator_pick(&g, 1, 5),
                            (uint32_t)generator_pick(&g, 1, 4));
    uint32_t last = 0;
    for (int64_t i = generator_pick(&g, 1, operations); i > 0; i--) {
        uint32_t from =
            generator_chance(&g, 70) ? last : (uint32_t)generator_pick(&g, 0, g.program->tensor_count - 1);
        last = add_operation(&g, is_small(g.program, from) ? from : 0);
    }
    if (g.program->tensors[last].kind == PBIT_LEVELS)
        last = add_conv(&g, last);
    generator_add_output(g.program, last);
    for (uint32_t t = g.program->input_count; t < last; t++)
        if (g.program->tensors[t].kind == PBIT_FIXED && generator_chance(&g, 20) &&
            g.program->output_count < 3)
            generator_add_output(g.program, t);
    return generator_finish(g.program);
}

static void add_dense(struct pbitc_program *program, uint32_t from, uint32_t to, const int8_t *weights,
                      int32_t multiplier)
{
    uint32_t outputs = program->tensors[to].channels;
    int32_t *multipliers = allocate(program, outputs, 4), *biases = allocate(program, outputs, 4);
    for (uint32_t k = 0; k < outputs; k++)
        multipliers[k] = multiplier;
    struct pbitc_program_operation *conv =
        pbitc_program_add_operation(program, PBIT_OPERATION_CONV, "dense", from, to);
    conv->fields.window = (struct pbit_window){1, 1, 1, 1, 0, 0, 1, 1};
    conv->fields.groups = 1;
    conv->fields.weight_bits = 2;
    conv->tables =
        (struct pbitc_program_tables){.weights = weights, .multipliers = multipliers, .biases = biases};
}

struct test_file one_layer_program(uint32_t neurons, uint32_t rho, uint32_t draw_factor,
                                   enum pbit_sampler sampler)
{
    struct pbitc_program *program = generator_start(sampler);
    generator_add_input(program, 1, 1, 1);
    uint32_t z = generator_add_tensor(program, PBIT_FIXED, 0, 1, 1, neurons);
    uint32_t drawn = generator_add_tensor(program, PBIT_LEVELS, draw_factor, 1, 1, neurons);
    uint32_t out = generator_add_tensor(program, PBIT_FIXED, 0, 1, 1, neurons);
    int8_t *ones = allocate(program, neurons, 1), *identity = allocate(program, (size_t)neurons * neurons, 1);
    for (uint32_t i = 0; i < neurons; i++)
        ones[i] = identity[i * neurons + i] = 1;
    add_dense(program, 0, z, ones, 255 * 256); // M_L = 256
    struct pbitc_program_operation *neuron =
        pbitc_program_add_operation(program, PBIT_OPERATION_NEURON, "neuron", z, drawn);
    neuron->fields.amplitude = rho;
    neuron->fields.layer = 5;
    add_dense(program, drawn, out, identity, 1 << 20);
    generator_add_output(program, out);
    return generator_finish(program);
}

// ---- buffers

struct test_buffers test_buffers_create(const struct test_file *file, uint32_t seed)
{
    struct test_buffers buffers = {.workspace = NULL};
    struct test_random random = {seed * 2654435761u + 1};
    ck_assert_msg(pbit_model_open(&buffers.model, file->bytes, file->size) == PBIT_OK, "%s",
                  pbit_model_problem(file->bytes, file->size));
    for (uint32_t i = 0; i < buffers.model.input_count; i++) {
        size_t elements = pbit_model_input(&buffers.model, i).elements;
        buffers.inputs[i] = malloc(elements);
        for (size_t j = 0; j < elements; j++)
            buffers.inputs[i][j] = (uint8_t)(random_word(&random) >> 8);
    }
    for (uint32_t o = 0; o < buffers.model.output_count; o++)
        buffers.sums[o] = calloc(pbit_model_output(&buffers.model, o).elements, sizeof(int64_t));
    buffers.workspace_bytes = pbit_workspace_bytes(&buffers.model);
    buffers.workspace = aligned_alloc(16, buffers.workspace_bytes ? buffers.workspace_bytes : 16);
    memset(buffers.workspace, 0xA5, buffers.workspace_bytes);
    return buffers;
}

void test_buffers_free(struct test_buffers *buffers)
{
    for (int i = 0; i < PBIT_PORTS_LIMIT; i++) {
        free(buffers->inputs[i]);
        free(buffers->sums[i]);
    }
    free(buffers->workspace);
}

enum pbit_status test_run(struct test_buffers *buffers, const struct pbit_options *options)
{
    return pbit_run(&buffers->model, options, (const uint8_t *const *)buffers->inputs, buffers->sums,
                    buffers->workspace, buffers->workspace_bytes);
}
