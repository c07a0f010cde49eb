#include "converter/export/c99/firmware_plan.h"

#include "converter/export/c99/pbit_dense.h"

#include <stdlib.h>
#include <string.h>

enum {
    DENSE_CHANNELS = 16, ///< output channels of a dense layer at a time
    ALIGNMENT = 8,
    STATE_BYTES = 64,       ///< of the workspace before its arena
    OPERATION_RECORD = 120, ///< bytes of flash: struct pbit_operation on a 32-bit core
    TENSOR_RECORD = 28,
    STAGE_RECORD = 56,
    CODE_BYTES = 7 * 1024, ///< kernels and the generated functions, measured: below 6 KiB
    CODE_STEP_BYTES = 96,  ///< the call of a step
};

/// Instructions of a Cortex-M3 at -O3, fitted to counts under qemu (samples/firmware/README.md);
/// tests/firmware/run checks them. Tenths where so named.
enum {
    FETCH_TENTHS = 45,       ///< to fetch and unpack a weight
    DENSE_FETCH_TENTHS = 22, ///< the same in pbit_dense.c
    DENSE_ADD_TENTHS = 12,
    PER_ADD = 4,
    PER_SUM = 100,       ///< fixed-point multiplication and what is around it
    PER_KERNEL_ROW = 75, ///< of a sum that is not dense
    PER_DRAW = 45,
};

// ---- which operations run together

static uint32_t readers_of(const struct pbit_model *model, uint32_t tensor, uint32_t *reader)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < model->operation_count; i++) {
        struct pbit_operation operation = pbit_model_operation(model, i);
        for (uint32_t k = 0; k < operation.input_count; k++)
            if (pbit_operation_input(model, &operation, k) == tensor) {
                *reader = i;
                count++;
            }
    }
    const uint8_t *outputs = model->bytes + pbit_header_field(model, PBIT_HEADER_OUTPUTS);
    for (uint32_t i = 0; i < model->output_count; i++)
        count += pbit_load_u32(outputs + (size_t)i * PBIT_PORT_BYTES) == tensor;
    return count;
}

/// The only reader of what operation `index` writes, when it is of that kind.
static uint32_t sole_reader(const struct pbit_model *model, uint32_t index, enum pbit_operation_kind kind)
{
    struct pbit_operation operation = pbit_model_operation(model, index);
    uint32_t reader = PBITC_FIRMWARE_NONE;
    if (readers_of(model, operation.output, &reader) != 1 || reader == PBITC_FIRMWARE_NONE ||
        pbit_model_operation(model, reader).kind != kind)
        return PBITC_FIRMWARE_NONE;
    return reader;
}

static bool is_random(const struct pbit_model *model, uint32_t operation)
{
    return operation >= model->first_random;
}

static void add_stage(struct pbitc_firmware_plan *plan, uint32_t conv, uint8_t *taken)
{
    const struct pbit_model *model = plan->model;
    struct pbitc_firmware_step step = {.kind = PBITC_FIRMWARE_STAGE, .operation = conv, .last = conv};
    step.pool = sole_reader(model, conv, PBIT_OPERATION_MAXPOOL);
    step.last = step.pool != PBITC_FIRMWARE_NONE ? step.pool : conv;
    step.neuron = sole_reader(model, step.last, PBIT_OPERATION_NEURON);
    if (step.neuron != PBITC_FIRMWARE_NONE && plan->keep_sums && !is_random(model, conv) &&
        is_random(model, step.neuron))
        step.neuron = PBITC_FIRMWARE_NONE;
    if (step.pool != PBITC_FIRMWARE_NONE)
        taken[step.pool] = 1;
    if (step.neuron != PBITC_FIRMWARE_NONE) {
        taken[step.neuron] = 1;
        step.last = step.neuron;
    }
    step.random = is_random(model, step.last);
    plan->steps[plan->step_count++] = step;
}

/// Steps in the order of their last operations' randomness: those that run once per image come first.
static enum pbit_status find_steps(struct pbitc_firmware_plan *plan)
{
    const struct pbit_model *model = plan->model;
    uint8_t *taken = calloc(model->operation_count, 1);
    struct pbitc_firmware_step *sorted = calloc(model->operation_count, sizeof(*sorted));
    if (!taken || !sorted) {
        free(taken);
        free(sorted);
        return PBIT_ERROR_MEMORY;
    }
    for (uint32_t i = 0; i < model->operation_count; i++) {
        if (taken[i])
            continue;
        if (pbit_model_operation(model, i).kind == PBIT_OPERATION_CONV)
            add_stage(plan, i, taken);
        else
            plan->steps[plan->step_count++] = (struct pbitc_firmware_step){.kind = PBITC_FIRMWARE_SINGLE,
                                                                           .operation = i,
                                                                           .pool = PBITC_FIRMWARE_NONE,
                                                                           .neuron = PBITC_FIRMWARE_NONE,
                                                                           .last = i,
                                                                           .random = is_random(model, i)};
    }
    // A step writes what its last operation writes and reads what its first reads, so the order of the last
    // operations is an order of the steps; it also puts those that are not random first.
    uint32_t count = 0;
    for (uint32_t last = 0; last < model->operation_count; last++)
        for (uint32_t s = 0; s < plan->step_count; s++)
            if (plan->steps[s].last == last)
                sorted[count++] = plan->steps[s];
    memcpy(plan->steps, sorted, count * sizeof(*sorted));
    free(taken);
    free(sorted);
    return PBIT_OK;
}

// ---- costs

static uint64_t row_bytes(const struct pbit_operation *conv, uint32_t fan_in)
{
    return pbit_weight_row_bytes(fan_in, conv->weight_bits);
}

void pbitc_firmware_tables(const struct pbit_model *model, const struct pbit_operation *operation,
                           struct pbitc_firmware_table tables[PBITC_FIRMWARE_TABLES])
{
    struct pbit_tensor output = pbit_model_tensor(model, operation->output);
    struct pbit_tensor input = pbit_model_tensor(model, pbit_operation_input(model, operation, 0));
    size_t count = 0;
    if (operation->kind == PBIT_OPERATION_CONV) {
        uint32_t fan_in = (uint32_t)pbit_operation_fan_in(operation, input.channels);
        uint64_t outputs = output.channels;
        tables[count++] =
            (struct pbitc_firmware_table){operation->weights, outputs * row_bytes(operation, fan_in)};
        tables[count++] = (struct pbitc_firmware_table){operation->multipliers, outputs * 4};
        tables[count++] = (struct pbitc_firmware_table){operation->biases, outputs * 4};
        if (operation->weight_group)
            tables[count++] = (struct pbitc_firmware_table){
                operation->factors,
                outputs * ((fan_in + operation->weight_group - 1) / operation->weight_group)};
        if (operation->zeros)
            tables[count++] = (struct pbitc_firmware_table){operation->zeros, (uint64_t)input.channels * 2};
    } else if (operation->kind == PBIT_OPERATION_PERMUTE) {
        tables[count++] = (struct pbitc_firmware_table){operation->table, pbit_tensor_elements(&output) * 4};
    } else if (operation->kind == PBIT_OPERATION_NEURON && operation->function != PBIT_FUNCTION_LINEAR) {
        uint64_t entries = operation->function == PBIT_FUNCTION_THETA
                               ? (uint64_t)PBIT_THETA_ENTRIES
                               : (uint64_t)operation->curve_segments + 1;
        tables[count++] = (struct pbitc_firmware_table){operation->table, entries * 4};
    }
    tables[count] = (struct pbitc_firmware_table){0, 0};
}

static uint64_t flash_of(const struct pbit_model *model, uint32_t index)
{
    if (index == PBITC_FIRMWARE_NONE)
        return 0;
    struct pbit_operation operation = pbit_model_operation(model, index);
    struct pbitc_firmware_table tables[PBITC_FIRMWARE_TABLES];
    pbitc_firmware_tables(model, &operation, tables);
    uint64_t bytes = 0;
    for (size_t i = 0; tables[i].bytes; i++)
        bytes += (tables[i].bytes + 3) / 4 * 4;
    return bytes;
}

/// Rows of sums that one row of the pool reads, at most.
static uint64_t rows_at_a_time(const struct pbit_operation *pool, const struct pbit_tensor *sums)
{
    uint64_t rows = (uint64_t)(pool->window.kernel_y - 1) * pool->window.dilation_y + 1;
    return rows < sums->height ? rows : sums->height;
}

/// Rows of sums that a stage computes for its whole result; where windows overlap, some more than once.
static uint64_t rows_in_all(const struct pbit_model *model, const struct pbitc_firmware_step *step,
                            const struct pbit_tensor *sums, uint64_t *bands)
{
    *bands = sums->height;
    if (step->pool == PBITC_FIRMWARE_NONE)
        return sums->height;
    struct pbit_operation pool = pbit_model_operation(model, step->pool);
    uint32_t height = pbit_model_tensor(model, pool.output).height;
    uint64_t rows = 0;
    for (uint32_t y = 0; y < height; y++) {
        int64_t origin = (int64_t)y * pool.window.stride_y - pool.window.pad_y;
        struct pbit_taps taps =
            pbit_taps_inside(origin, pool.window.kernel_y, pool.window.dilation_y, sums->height);
        rows += (uint64_t)(taps.end - taps.first - 1) * pool.window.dilation_y + 1;
    }
    *bands = height;
    return rows;
}

static void cost_stage(const struct pbit_model *model, struct pbitc_firmware_step *step)
{
    struct pbit_operation conv = pbit_model_operation(model, step->operation);
    struct pbit_tensor sums = pbit_model_tensor(model, conv.output);
    struct pbit_layer layer = pbit_model_layer(model, step->operation);
    uint64_t bands, rows = rows_in_all(model, step, &sums, &bands);
    step->cost.multiplies = rows * sums.width * sums.channels;
    step->cost.adds = step->cost.multiplies * layer.fan_in;
    step->cost.unpacked = layer.weights * bands;
    step->kernel_rows = conv.window.kernel_y;
    step->cost.sums_are_shared = !is_random(model, step->operation);
    if (step->neuron != PBITC_FIRMWARE_NONE) {
        struct pbit_tensor levels =
            pbit_model_tensor(model, pbit_model_operation(model, step->neuron).output);
        step->cost.draws = pbit_tensor_elements(&levels);
    }
    step->cost.flash =
        flash_of(model, step->operation) + flash_of(model, step->pool) + flash_of(model, step->neuron);
}

static void cost_single(const struct pbit_model *model, struct pbitc_firmware_step *step)
{
    struct pbit_operation operation = pbit_model_operation(model, step->operation);
    struct pbit_tensor output = pbit_model_tensor(model, operation.output);
    step->cost.flash = flash_of(model, step->operation);
    if (operation.kind == PBIT_OPERATION_NEURON)
        step->cost.draws = pbit_tensor_elements(&output);
    else
        step->cost.adds = pbit_tensor_elements(&output);
}

/// Instructions of one pass of a step beyond what is shared, and of what all passes at a time share.
static void count_instructions(const struct pbitc_firmware_step *step, uint64_t *each, uint64_t *shared)
{
    const struct pbitc_firmware_cost *cost = &step->cost;
    uint64_t sums = cost->multiplies * PER_SUM;
    if (step->dense)
        sums += cost->adds * DENSE_ADD_TENTHS / 10;
    else
        sums += cost->adds * PER_ADD + cost->multiplies * step->kernel_rows * PER_KERNEL_ROW;
    *shared = cost->unpacked * (step->dense ? DENSE_FETCH_TENTHS : FETCH_TENTHS) / 10 +
              (cost->sums_are_shared ? sums : 0);
    *each = cost->draws * PER_DRAW + (cost->sums_are_shared ? 0 : sums);
}

static uint64_t instructions(const struct pbitc_firmware_plan *plan, uint64_t samples)
{
    uint64_t total = 0;
    for (uint32_t s = 0; s < plan->step_count; s++) {
        uint64_t each, shared;
        count_instructions(&plan->steps[s], &each, &shared);
        if (plan->steps[s].random)
            total += samples * each + (samples + plan->passes - 1) / plan->passes * shared;
        else
            total += each + shared;
    }
    return total;
}

// ---- memory

static uint64_t element_bytes(const struct pbit_tensor *tensor)
{
    return tensor->kind == PBIT_FIXED ? sizeof(int32_t) : sizeof(uint8_t);
}

static uint32_t add_buffer(struct pbitc_firmware_plan *plan, uint32_t step, uint64_t bytes)
{
    plan->buffers[plan->buffer_count] =
        (struct pbitc_firmware_buffer){step, step, (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT, 0};
    return plan->buffer_count++;
}

static void add_scratch(struct pbitc_firmware_plan *plan, uint32_t index)
{
    const struct pbit_model *model = plan->model;
    struct pbitc_firmware_step *step = &plan->steps[index];
    struct pbit_operation conv = pbit_model_operation(model, step->operation);
    struct pbit_tensor input = pbit_model_tensor(model, pbit_operation_input(model, &conv, 0));
    struct pbit_tensor sums = pbit_model_tensor(model, conv.output);
    bool shared = !is_random(model, step->operation), pool = step->pool != PBITC_FIRMWARE_NONE,
         neuron = step->neuron != PBITC_FIRMWARE_NONE;
    uint64_t passes = shared ? 1 : plan->passes, rows = 1;
    step->channels = sums.channels;
    if (pool) {
        struct pbit_operation operation = pbit_model_operation(model, step->pool);
        rows = rows_at_a_time(&operation, &sums);
    } else if (sums.width == 1 && sums.channels > DENSE_CHANNELS) {
        step->channels = DENSE_CHANNELS;
    }
    step->sums_stride = rows * sums.width * step->channels;
    size_t fan_in = (size_t)pbit_operation_fan_in(&conv, input.channels);
    step->dense = pbit_dense_can(&conv, &input, &sums);
    step->row = add_buffer(
        plan, index, step->dense ? pbit_dense_scratch(fan_in, (uint32_t)passes) : fan_in * sizeof(int16_t));
    step->sums = add_buffer(plan, index, pool || neuron ? passes * step->sums_stride * sizeof(int32_t) : 0);
    uint64_t pooled = 0;
    if (pool && neuron) {
        struct pbit_tensor tensor = pbit_model_tensor(model, pbit_model_operation(model, step->pool).output);
        pooled = passes * tensor.width * tensor.channels * sizeof(int32_t);
    }
    step->pooled = add_buffer(plan, index, pooled);
    step->states = add_buffer(
        plan, index, neuron ? (step->random ? plan->passes : 1) * sizeof(struct pbit_neuron_state) : 0);
}

/// Tensors between the steps: when they live, and how many copies there are.
static void add_tensors(struct pbitc_firmware_plan *plan)
{
    const struct pbit_model *model = plan->model;
    for (uint32_t t = 0; t < model->tensor_count; t++)
        add_buffer(plan, UINT32_MAX, 0);
    for (uint32_t s = 0; s < plan->step_count; s++) {
        const struct pbitc_firmware_step *step = &plan->steps[s];
        struct pbit_operation first = pbit_model_operation(model, step->operation);
        uint32_t out = pbit_model_operation(model, step->last).output;
        struct pbit_tensor tensor = pbit_model_tensor(model, out);
        uint64_t elements = pbit_tensor_elements(&tensor);
        struct pbitc_firmware_buffer *buffer = &plan->buffers[out];
        buffer->first_step = buffer->last_step = s;
        plan->tensor_strides[out] = step->random ? elements : 0;
        buffer->bytes = elements * element_bytes(&tensor) * (step->random ? plan->passes : 1);
        buffer->bytes = (buffer->bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        for (uint32_t i = 0; i < first.input_count; i++) {
            uint32_t in = pbit_operation_input(model, &first, i);
            bool serves_every_pass = step->random && in >= model->input_count && !plan->tensor_strides[in];
            plan->buffers[in].last_step = serves_every_pass                 ? UINT32_MAX
                                          : plan->buffers[in].last_step > s ? plan->buffers[in].last_step
                                                                            : s;
        }
    }
    const uint8_t *outputs = model->bytes + pbit_header_field(model, PBIT_HEADER_OUTPUTS);
    for (uint32_t i = 0; i < model->output_count; i++)
        plan->buffers[pbit_load_u32(outputs + (size_t)i * PBIT_PORT_BYTES)].last_step = UINT32_MAX;
}

static bool lives_meet(const struct pbitc_firmware_buffer *a, const struct pbitc_firmware_buffer *b)
{
    return a->first_step <= b->last_step && b->first_step <= a->last_step;
}

/// Largest first, each at the lowest place that is free while it lives.
static void place_buffers(struct pbitc_firmware_plan *plan, uint32_t *order)
{
    for (uint32_t i = 0; i < plan->buffer_count; i++) {
        uint32_t at = i;
        for (; at > 0 && plan->buffers[order[at - 1]].bytes < plan->buffers[i].bytes; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    for (uint32_t i = 0; i < plan->buffer_count; i++) {
        struct pbitc_firmware_buffer *buffer = &plan->buffers[order[i]];
        for (uint32_t k = 0; buffer->bytes && k < i; k++) {
            const struct pbitc_firmware_buffer *other = &plan->buffers[order[k]];
            if (lives_meet(buffer, other) && buffer->offset < other->offset + other->bytes &&
                other->offset < buffer->offset + buffer->bytes) {
                buffer->offset = other->offset + other->bytes;
                k = UINT32_MAX; // moved: look at all again
            }
        }
        if (buffer->bytes && buffer->offset + buffer->bytes > plan->arena)
            plan->arena = buffer->offset + buffer->bytes;
    }
}

static void sum_up(struct pbitc_firmware_plan *plan)
{
    const struct pbit_model *model = plan->model;
    plan->ram = STATE_BYTES + plan->arena;
    for (uint32_t o = 0; o < model->output_count; o++)
        plan->ram += pbit_model_output(model, o).elements * sizeof(int64_t);
    plan->code = CODE_BYTES + (uint64_t)model->operation_count * OPERATION_RECORD +
                 (uint64_t)model->tensor_count * TENSOR_RECORD;
    for (uint32_t s = 0; s < plan->step_count; s++) {
        struct pbitc_firmware_step *step = &plan->steps[s];
        plan->tables += step->cost.flash;
        plan->code += CODE_STEP_BYTES + (step->kind == PBITC_FIRMWARE_STAGE ? STAGE_RECORD : 0);
        for (uint32_t b = 0; b < plan->buffer_count; b++)
            if (plan->buffers[b].first_step <= s && s <= plan->buffers[b].last_step)
                step->live += plan->buffers[b].bytes;
    }
    plan->instructions_first = instructions(plan, 1);
    plan->instructions_next =
        (instructions(plan, 1 + 4 * (uint64_t)plan->passes) - plan->instructions_first) /
        (4 * (uint64_t)plan->passes);
}

static enum pbit_status make(struct pbitc_firmware_plan *plan, const struct pbit_model *model,
                             uint32_t passes, bool keep_sums)
{
    size_t buffers = model->tensor_count + 4 * (size_t)model->operation_count;
    *plan = (struct pbitc_firmware_plan){.model = model, .passes = passes, .keep_sums = keep_sums};
    plan->steps = calloc(model->operation_count, sizeof(*plan->steps));
    plan->buffers = calloc(buffers, sizeof(*plan->buffers));
    plan->tensor_strides = calloc(model->tensor_count, sizeof(*plan->tensor_strides));
    uint32_t *order = calloc(buffers, sizeof(*order));
    enum pbit_status status =
        plan->steps && plan->buffers && plan->tensor_strides && order ? find_steps(plan) : PBIT_ERROR_MEMORY;
    if (status == PBIT_OK) {
        add_tensors(plan);
        for (uint32_t s = 0; s < plan->step_count; s++) {
            if (plan->steps[s].kind == PBITC_FIRMWARE_STAGE) {
                add_scratch(plan, s);
                cost_stage(model, &plan->steps[s]);
            } else {
                cost_single(model, &plan->steps[s]);
            }
        }
        place_buffers(plan, order);
        sum_up(plan);
    } else {
        pbitc_firmware_plan_free(plan);
    }
    free(order);
    return status;
}

/// Whether a is the better plan.
static bool better(const struct pbitc_firmware_plan *a, const struct pbitc_firmware_plan *b, uint32_t samples,
                   uint64_t ram_limit)
{
    bool a_fits = a->ram <= ram_limit, b_fits = b->ram <= ram_limit;
    if (a_fits != b_fits)
        return a_fits;
    if (!a_fits)
        return a->ram < b->ram;
    return instructions(a, samples) < instructions(b, samples);
}

enum pbit_status pbitc_firmware_plan_make(struct pbitc_firmware_plan *plan, const struct pbit_model *model,
                                          uint32_t samples, uint64_t ram_limit)
{
    *plan = (struct pbitc_firmware_plan){.model = NULL};
    for (uint32_t passes = 1; passes <= PBITC_FIRMWARE_PASSES_LIMIT && passes <= samples; passes *= 2)
        for (int keep_sums = 0; keep_sums < 2; keep_sums++) {
            struct pbitc_firmware_plan candidate;
            enum pbit_status status = make(&candidate, model, passes, keep_sums != 0);
            if (status != PBIT_OK) {
                pbitc_firmware_plan_free(plan);
                return status;
            }
            if (!plan->model || better(&candidate, plan, samples, ram_limit)) {
                pbitc_firmware_plan_free(plan);
                *plan = candidate;
            } else {
                pbitc_firmware_plan_free(&candidate);
            }
        }
    return PBIT_OK;
}

void pbitc_firmware_plan_free(struct pbitc_firmware_plan *plan)
{
    free(plan->steps);
    free(plan->buffers);
    free(plan->tensor_strides);
    *plan = (struct pbitc_firmware_plan){.model = NULL};
}

// ---- answers

const struct pbitc_firmware_step *pbitc_firmware_largest_step(const struct pbitc_firmware_plan *plan)
{
    const struct pbitc_firmware_step *largest = &plan->steps[0];
    for (uint32_t s = 1; s < plan->step_count; s++)
        if (plan->steps[s].live > largest->live)
            largest = &plan->steps[s];
    return largest;
}

const struct pbitc_firmware_step *pbitc_firmware_flash_step(const struct pbitc_firmware_plan *plan,
                                                            uint64_t limit)
{
    uint64_t bytes = plan->code;
    for (uint32_t s = 0; s < plan->step_count; s++) {
        bytes += plan->steps[s].cost.flash;
        if (bytes > limit)
            return &plan->steps[s];
    }
    return NULL;
}

const char *pbitc_firmware_step_name(const struct pbitc_firmware_plan *plan,
                                     const struct pbitc_firmware_step *step)
{
    return pbit_model_operation(plan->model, step->operation).name;
}
