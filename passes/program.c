#include "passes/program.h"

#include "runtime/crc32.h"

#include <stdlib.h>

struct pbitc_program *pbitc_program_create(struct pbitc_arena *arena)
{
    struct pbitc_program *program = pbitc_arena_allocate(arena, 1, sizeof(*program));
    if (program)
        program->arena = arena;
    return program;
}

uint32_t pbitc_program_add_tensor(struct pbitc_program *program, const struct pbit_tensor *tensor)
{
    if (program->tensor_count == PBIT_TENSORS_LIMIT)
        return UINT32_MAX;
    program->tensors[program->tensor_count] = *tensor;
    return program->tensor_count++;
}

struct pbitc_program_operation *pbitc_program_add_operation(struct pbitc_program *program,
                                                            enum pbit_operation_kind kind, const char *name,
                                                            uint32_t input, uint32_t output)
{
    if (program->operation_count == PBIT_OPERATIONS_LIMIT)
        return NULL;
    struct pbitc_program_operation *operation = pbitc_arena_allocate(program->arena, 1, sizeof(*operation));
    if (!operation)
        return NULL;
    operation->fields.kind = kind;
    operation->fields.input_count = 1;
    operation->name = name;
    operation->inputs[0] = input;
    operation->output = output;
    return program->operations[program->operation_count++] = operation;
}

// ---- order and workspace

/// random[t]: tensor t differs from pass to pass.
static void mark_random(const struct pbitc_program *program, bool *random, bool *random_operation)
{
    for (uint32_t i = 0; i < program->operation_count; i++) {
        const struct pbitc_program_operation *operation = program->operations[i];
        random_operation[i] = pbit_operation_draws(&operation->fields);
        for (uint32_t j = 0; j < operation->fields.input_count; j++)
            random_operation[i] |= random[operation->inputs[j]];
        random[operation->output] = random_operation[i];
    }
}

/// Operations that are not random first, else in the given order.
static enum pbit_status order_operations(struct pbitc_program *program, bool *random)
{
    bool *random_operation = pbitc_arena_allocate(program->arena, program->operation_count, sizeof(bool));
    struct pbitc_program_operation **sorted =
        pbitc_arena_allocate(program->arena, program->operation_count, sizeof(*sorted));
    if (!random_operation || !sorted)
        return PBIT_ERROR_MEMORY;
    mark_random(program, random, random_operation);
    uint32_t count = 0;
    for (int wanted = 0; wanted <= 1; wanted++)
        for (uint32_t i = 0; i < program->operation_count; i++)
            if (random_operation[i] == (wanted == 1))
                sorted[count++] = program->operations[i];
    memcpy(program->operations, sorted, count * sizeof(*sorted));
    return PBIT_OK;
}

/// When a tensor is needed, in operation numbers, and where it lies.
struct life {
    uint32_t tensor, first, last;
    uint64_t bytes, offset;
};

static uint64_t tensor_bytes(const struct pbit_tensor *tensor)
{
    uint64_t bytes = (uint64_t)pbit_tensor_elements(tensor) * (tensor->kind == PBIT_FIXED ? 4 : 1);
    return (bytes + 15) / 16 * 16;
}

static void find_lives(const struct pbitc_program *program, const bool *random, struct life *lives)
{
    for (uint32_t t = 0; t < program->tensor_count; t++)
        lives[t] = (struct life){.tensor = t, .bytes = tensor_bytes(&program->tensors[t])};
    for (uint32_t i = 0; i < program->operation_count; i++) {
        const struct pbitc_program_operation *operation = program->operations[i];
        lives[operation->output].first = lives[operation->output].last = i;
        for (uint32_t j = 0; j < operation->fields.input_count; j++) {
            uint32_t input = operation->inputs[j];
            bool every_pass = random[operation->output] && !random[input];
            uint32_t last = every_pass ? program->operation_count : i;
            lives[input].last = lives[input].last > last ? lives[input].last : last;
        }
    }
    for (uint32_t o = 0; o < program->output_count; o++)
        lives[program->outputs[o].tensor].last = program->operation_count;
}

static int larger_first(const void *a, const void *b)
{
    const struct life *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x->tensor < y->tensor ? -1 : 1;
}

/// The lowest offset at which `life` meets none of the `placed` tensors that live at the same time.
static uint64_t lowest_offset(const struct life *life, const struct life *placed, uint32_t placed_count)
{
    uint64_t offset = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (uint32_t i = 0; i < placed_count; i++) {
            const struct life *other = &placed[i];
            bool together = life->first <= other->last && other->first <= life->last;
            if (together && offset < other->offset + other->bytes && other->offset < offset + life->bytes) {
                offset = other->offset + other->bytes;
                moved = true;
            }
        }
    }
    return offset;
}

/// Greedy by size: the largest tensor is placed first, each at the lowest free offset.
static enum pbit_status plan_workspace(struct pbitc_program *program, const bool *random, uint32_t *workspace)
{
    struct life *lives = pbitc_arena_allocate(program->arena, program->tensor_count, sizeof(*lives));
    if (!lives)
        return PBIT_ERROR_MEMORY;
    find_lives(program, random, lives);
    struct life *inner = lives + program->input_count; // inputs stay where the caller has them
    uint32_t count = program->tensor_count - program->input_count;
    qsort(inner, count, sizeof(*inner), larger_first);
    uint64_t end = 0;
    for (uint32_t i = 0; i < count; i++) {
        inner[i].offset = lowest_offset(&inner[i], inner, i);
        if (inner[i].offset + inner[i].bytes > end)
            end = inner[i].offset + inner[i].bytes;
        program->tensors[inner[i].tensor].workspace_offset = (uint32_t)inner[i].offset;
    }
    *workspace = (uint32_t)end;
    return end <= UINT32_MAX ? PBIT_OK : PBIT_ERROR_UNSUPPORTED;
}

// ---- the largest m

/// max|w| * the largest sum of group factors of a row: what one level can add to an accumulator.
static uint64_t largest_row(const struct pbitc_program *program, const struct pbitc_program_operation *conv)
{
    const struct pbit_operation *fields = &conv->fields;
    uint64_t fan_in = pbit_operation_fan_in(fields, program->tensors[conv->inputs[0]].channels),
             largest = fan_in;
    if (fields->weight_group) {
        uint64_t groups = (fan_in + fields->weight_group - 1) / fields->weight_group;
        largest = 0;
        for (uint32_t k = 0; k < program->tensors[conv->output].channels; k++) {
            uint64_t sum = 0;
            for (uint64_t g = 0; g < groups; g++) {
                uint64_t left = fan_in - g * fields->weight_group;
                sum += conv->tables.factors[k * groups + g] *
                       (left < fields->weight_group ? left : fields->weight_group);
            }
            largest = sum > largest ? sum : largest;
        }
    }
    return largest << (fields->weight_bits == 1 ? 0 : fields->weight_bits - 1);
}

static bool fits(const struct pbitc_program *program, const uint64_t *rows, uint32_t draws)
{
    for (uint32_t i = 0; i < program->operation_count; i++) {
        const struct pbitc_program_operation *operation = program->operations[i];
        if (operation->fields.kind != PBIT_OPERATION_CONV)
            continue;
        uint32_t largest = pbit_tensor_levels(&program->tensors[operation->inputs[0]], draws);
        if (operation->tables.zeros && largest < 256)
            largest = 256;
        if (rows[i] * largest > INT32_MAX)
            return false;
    }
    return true;
}

/// 0 when not even m = 1 fits.
static enum pbit_status find_max_draws(const struct pbitc_program *program, uint32_t *max_draws)
{
    uint64_t *rows = pbitc_arena_allocate(program->arena, program->operation_count, sizeof(*rows));
    if (!rows)
        return PBIT_ERROR_MEMORY;
    for (uint32_t i = 0; i < program->operation_count; i++)
        if (program->operations[i]->fields.kind == PBIT_OPERATION_CONV)
            rows[i] = largest_row(program, program->operations[i]);
    for (*max_draws = PBIT_DRAWS_LIMIT; *max_draws > 0 && !fits(program, rows, *max_draws); --*max_draws)
        ;
    return PBIT_OK;
}

// ---- bytes

/// Grows by doubling; `failed` sticks, so that one check at the end is enough.
struct buffer {
    uint8_t *bytes;
    size_t size, capacity;
    bool failed;
};

/// Room for `size` zeroed bytes at a 4-aligned offset; the offset.
static uint32_t reserve(struct buffer *buffer, uint64_t size)
{
    uint64_t offset = (buffer->size + 3) / 4 * 4, end = offset + size;
    if (buffer->failed || end > UINT32_MAX) {
        buffer->failed = true;
        return 0;
    }
    if (end > buffer->capacity) {
        size_t capacity = end < 4096 ? 4096 : end + end / 2;
        uint8_t *bytes = realloc(buffer->bytes, capacity);
        if (!bytes) {
            buffer->failed = true;
            return 0;
        }
        buffer->bytes = bytes;
        buffer->capacity = capacity;
    }
    memset(buffer->bytes + buffer->size, 0, end - buffer->size);
    buffer->size = end;
    return (uint32_t)offset;
}

static void store(uint8_t *bytes, uint32_t value, int count)
{
    for (int i = 0; i < count; i++)
        bytes[i] = (uint8_t)(value >> 8 * i);
}

static void put_u32(struct buffer *buffer, uint32_t offset, uint32_t value)
{
    if (!buffer->failed)
        store(buffer->bytes + offset, value, 4);
}

static uint32_t put_bytes(struct buffer *buffer, const void *data, size_t size)
{
    uint32_t offset = reserve(buffer, size);
    if (!buffer->failed)
        memcpy(buffer->bytes + offset, data, size);
    return offset;
}

static uint32_t put_words(struct buffer *buffer, const void *words, size_t count)
{
    uint32_t offset = reserve(buffer, 4 * (uint64_t)count);
    for (size_t i = 0; i < count && !buffer->failed; i++) {
        uint32_t word;
        memcpy(&word, (const uint8_t *)words + 4 * i, 4);
        store(buffer->bytes + offset + 4 * i, word, 4);
    }
    return offset;
}

static uint32_t put_halves(struct buffer *buffer, const uint16_t *halves, size_t count)
{
    uint32_t offset = reserve(buffer, 2 * (uint64_t)count);
    for (size_t i = 0; i < count && !buffer->failed; i++)
        store(buffer->bytes + offset + 2 * i, halves[i], 2);
    return offset;
}

static uint32_t put_string(struct buffer *buffer, const char *text)
{
    return put_bytes(buffer, text, strlen(text) + 1);
}

static uint32_t put_weights(struct buffer *buffer, const int8_t *weights, uint32_t rows, uint64_t fan_in,
                            uint32_t bits)
{
    uint64_t row_bytes = pbit_weight_row_bytes(fan_in, bits);
    uint32_t offset = reserve(buffer, rows * row_bytes);
    if (buffer->failed)
        return 0;
    for (uint32_t k = 0; k < rows; k++)
        for (uint64_t i = 0; i < fan_in; i++) {
            int weight = weights[k * fan_in + i];
            uint32_t code = (bits == 1 ? (uint32_t)(weight > 0) : (uint32_t)weight) & ((1u << bits) - 1);
            uint64_t bit = i * bits;
            uint8_t *byte = buffer->bytes + offset + k * row_bytes + bit / 8;
            byte[0] |= (uint8_t)(code << bit % 8);
            if (bit % 8 + bits > 8)
                byte[1] |= (uint8_t)(code >> (8 - bit % 8));
        }
    return offset;
}

static void put_conv(struct buffer *buffer, uint32_t record, const struct pbitc_program *program,
                     const struct pbitc_program_operation *conv)
{
    const struct pbit_operation *fields = &conv->fields;
    const struct pbitc_program_tables *tables = &conv->tables;
    uint32_t inputs = program->tensors[conv->inputs[0]].channels,
             outputs = program->tensors[conv->output].channels;
    uint64_t fan_in = pbit_operation_fan_in(fields, inputs);
    uint32_t groups =
        fields->weight_group ? (uint32_t)((fan_in + fields->weight_group - 1) / fields->weight_group) : 0;
    put_u32(buffer, record + 4 * 13, fields->groups);
    put_u32(buffer, record + 4 * 14, fields->weight_bits);
    put_u32(buffer, record + 4 * 15, fields->weight_group);
    put_u32(buffer, record + 4 * 16,
            put_weights(buffer, tables->weights, outputs, fan_in, fields->weight_bits));
    put_u32(buffer, record + 4 * 17,
            groups ? put_bytes(buffer, tables->factors, (size_t)outputs * groups) : 0);
    put_u32(buffer, record + 4 * 18, put_words(buffer, tables->multipliers, outputs));
    put_u32(buffer, record + 4 * 19, put_words(buffer, tables->biases, outputs));
    put_u32(buffer, record + 4 * 20, fields->shift);
    put_u32(buffer, record + 4 * 21, tables->zeros ? put_halves(buffer, tables->zeros, inputs) : 0);
}

static void put_window(struct buffer *buffer, uint32_t record, const struct pbit_window *window)
{
    const uint32_t words[8] = {window->kernel_y, window->kernel_x, window->stride_y,   window->stride_x,
                               window->pad_y,    window->pad_x,    window->dilation_y, window->dilation_x};
    for (uint32_t i = 0; i < 8; i++)
        put_u32(buffer, record + 4 * (5 + i), words[i]);
}

static void put_operation(struct buffer *buffer, uint32_t record, const struct pbitc_program *program,
                          const struct pbitc_program_operation *operation)
{
    const struct pbit_operation *fields = &operation->fields;
    const struct pbitc_program_tables *tables = &operation->tables;
    put_u32(buffer, record, fields->kind);
    put_u32(buffer, record + 4, put_string(buffer, operation->name));
    put_u32(buffer, record + 8, fields->input_count);
    put_u32(buffer, record + 12, put_words(buffer, operation->inputs, fields->input_count));
    put_u32(buffer, record + 16, operation->output);
    switch (fields->kind) {
    case PBIT_OPERATION_CONV:
        put_window(buffer, record, &fields->window);
        put_conv(buffer, record, program, operation);
        break;
    case PBIT_OPERATION_SUMPOOL:
        put_u32(buffer, record + 4 * 18, fields->multipliers);
        put_u32(buffer, record + 4 * 20, fields->shift);
        put_window(buffer, record, &fields->window);
        break;
    case PBIT_OPERATION_MAXPOOL:
        put_window(buffer, record, &fields->window);
        break;
    case PBIT_OPERATION_NEURON: {
        uint32_t table = tables->table ? put_words(buffer, tables->table, tables->table_count) : 0;
        const uint32_t words[8] = {fields->neuron,
                                   fields->function,
                                   table,
                                   fields->layer,
                                   fields->amplitude,
                                   fields->curve_shift,
                                   fields->curve_segments,
                                   (uint32_t)fields->curve_start};
        for (uint32_t i = 0; i < 8; i++)
            put_u32(buffer, record + 4 * (5 + i), words[i]);
        break;
    }
    case PBIT_OPERATION_PERMUTE:
        put_u32(buffer, record + 4 * 5, put_words(buffer, tables->table, tables->table_count));
        break;
    }
}

static void put_tensor(struct buffer *buffer, uint32_t record, const struct pbit_tensor *tensor)
{
    const uint32_t words[7] = {put_string(buffer, tensor->name),
                               tensor->kind,
                               tensor->draw_factor,
                               tensor->height,
                               tensor->width,
                               tensor->channels,
                               tensor->workspace_offset};
    for (uint32_t i = 0; i < 7; i++)
        put_u32(buffer, record + 4 * i, words[i]);
}

static void put_ports(struct buffer *buffer, const struct pbitc_program *program, uint32_t inputs,
                      uint32_t outputs)
{
    for (uint32_t i = 0; i < program->input_count; i++) {
        const struct pbitc_program_input *input = &program->inputs[i];
        uint32_t channels = program->tensors[i].channels, record = inputs + i * PBIT_PORT_BYTES;
        put_u32(buffer, record, input->rank);
        put_u32(buffer, record + 4, input->channels_last);
        put_u32(buffer, record + 8, put_words(buffer, input->offset, channels));
        put_u32(buffer, record + 12, put_words(buffer, input->step, channels));
    }
    for (uint32_t o = 0; o < program->output_count; o++) {
        const struct pbitc_program_output *output = &program->outputs[o];
        uint32_t record = outputs + o * PBIT_PORT_BYTES, scale;
        memcpy(&scale, &output->scale, 4);
        put_u32(buffer, record, output->tensor);
        put_u32(buffer, record + 4, output->rank);
        put_u32(buffer, record + 8, output->flags);
        put_u32(buffer, record + 12, scale);
    }
}

static void put_header(struct buffer *buffer, const struct pbitc_program *program, uint32_t workspace,
                       uint32_t max_draws)
{
    const uint32_t fields[][2] = {
        {PBIT_HEADER_VERSION, PBIT_VERSION},
        {PBIT_HEADER_TENSOR_COUNT, program->tensor_count},
        {PBIT_HEADER_OPERATION_COUNT, program->operation_count},
        {PBIT_HEADER_INPUT_COUNT, program->input_count},
        {PBIT_HEADER_OUTPUT_COUNT, program->output_count},
        {PBIT_HEADER_WORKSPACE, workspace},
        {PBIT_HEADER_MAX_DRAWS, max_draws},
        {PBIT_HEADER_MAX_SAMPLES, PBIT_SAMPLES_LIMIT},
        {PBIT_HEADER_DRAWS, program->draws},
        {PBIT_HEADER_SAMPLES, program->samples},
        {PBIT_HEADER_SAMPLER, program->sampler},
        {PBIT_HEADER_METADATA_BYTES, (uint32_t)strlen(program->metadata)},
    };
    if (!buffer->failed)
        memcpy(buffer->bytes, "PBIT", 4);
    for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
        put_u32(buffer, fields[i][0], fields[i][1]);
}

static void write_file(struct buffer *buffer, const struct pbitc_program *program, uint32_t workspace,
                       uint32_t max_draws)
{
    reserve(buffer, PBIT_HEADER_BYTES);
    uint32_t tensors = reserve(buffer, (uint64_t)program->tensor_count * PBIT_TENSOR_BYTES);
    uint32_t operations = reserve(buffer, (uint64_t)program->operation_count * PBIT_OPERATION_BYTES);
    uint32_t inputs = reserve(buffer, (uint64_t)program->input_count * PBIT_PORT_BYTES);
    uint32_t outputs = reserve(buffer, (uint64_t)program->output_count * PBIT_PORT_BYTES);
    put_header(buffer, program, workspace, max_draws);
    put_u32(buffer, PBIT_HEADER_TENSORS, tensors);
    put_u32(buffer, PBIT_HEADER_OPERATIONS, operations);
    put_u32(buffer, PBIT_HEADER_INPUTS, inputs);
    put_u32(buffer, PBIT_HEADER_OUTPUTS, outputs);
    put_u32(buffer, PBIT_HEADER_METADATA, put_bytes(buffer, program->metadata, strlen(program->metadata)));
    for (uint32_t t = 0; t < program->tensor_count; t++)
        put_tensor(buffer, tensors + t * PBIT_TENSOR_BYTES, &program->tensors[t]);
    put_ports(buffer, program, inputs, outputs);
    for (uint32_t i = 0; i < program->operation_count; i++)
        put_operation(buffer, operations + i * PBIT_OPERATION_BYTES, program, program->operations[i]);
    if (buffer->failed)
        return;
    put_u32(buffer, PBIT_HEADER_SIZE, (uint32_t)buffer->size);
    put_u32(buffer, PBIT_HEADER_CRC, pbit_crc32(buffer->bytes + 16, buffer->size - 16));
}

enum pbit_status pbitc_program_serialize(struct pbitc_program *program, struct pbitc_diagnostics *diagnostics,
                                         uint8_t **bytes, size_t *size)
{
    bool *random = pbitc_arena_allocate(program->arena, program->tensor_count, sizeof(bool));
    uint32_t workspace = 0, max_draws = 0;
    enum pbit_status status = random ? order_operations(program, random) : PBIT_ERROR_MEMORY;
    if (status == PBIT_OK)
        status = plan_workspace(program, random, &workspace);
    if (status == PBIT_OK)
        status = find_max_draws(program, &max_draws);
    if (status != PBIT_OK)
        return pbitc_report(diagnostics, status, NULL, NULL, 0, NULL, "cannot plan the program");
    if (program->draws > max_draws)
        return pbitc_report(diagnostics, PBIT_ERROR_UNSUPPORTED, NULL, NULL, 0,
                            "use a smaller --draws, fewer --weights bits or a larger --group",
                            "with m = %u draws a 32-bit sum can overflow; the largest m is %u",
                            program->draws, max_draws);
    struct buffer buffer = {0};
    write_file(&buffer, program, workspace, max_draws);
    if (!buffer.failed)
        *bytes = pbitc_arena_allocate(program->arena, buffer.size, 1);
    if (buffer.failed || !*bytes) {
        free(buffer.bytes);
        return pbitc_report(diagnostics, PBIT_ERROR_MEMORY, NULL, NULL, 0, NULL, "out of memory");
    }
    memcpy(*bytes, buffer.bytes, buffer.size);
    *size = buffer.size;
    free(buffer.bytes);
    struct pbit_model model;
    if (pbit_model_open(&model, *bytes, *size) != PBIT_OK)
        return pbitc_report(diagnostics, PBIT_ERROR_INTERNAL, NULL, NULL, 0, "please report this",
                            "the file just made is not valid: %s", pbit_model_problem(*bytes, *size));
    return PBIT_OK;
}
