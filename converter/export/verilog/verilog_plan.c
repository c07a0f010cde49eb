#include "converter/export/verilog/verilog_plan.h"

#include "converter/export/verilog/verilog_twin.h"
#include "converter/export/verilog/verilog_weights.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    THETA_CYCLES = 19,
    CURVE_CYCLES = 3, ///< and one per bit of its shift
    FIXED_BITS = 32,
    MULTIPLIER_LEAST = 2, ///< bits that a finisher shifts
};

/// What is known of a tensor while the stages are made.
struct tensor_facts {
    uint32_t readers; ///< operations that read it, and outputs
    uint32_t width;   ///< bits of an element in a buffer
    uint32_t reader;  ///< the last operation that reads it
    bool random;      ///< its stage runs once per tile
    bool is_output, is_signed, is_probability;
    bool is_twin_level; ///< a level of the twin; else a pixel, or counts
};

struct maker {
    struct pbitc_verilog_plan *plan;
    const struct pbit_model *model;
    struct tensor_facts *tensors;
    bool *absorbed; ///< operations that are part of an earlier stage
    struct pbitc_diagnostics *diagnostics;
    enum pbit_status status;
};

static void refuse(struct maker *maker, const struct pbit_operation *operation, const char *remedy,
                   const char *text)
{
    maker->status = pbitc_report(maker->diagnostics, PBIT_ERROR_UNSUPPORTED, operation->name, NULL, 0, remedy,
                                 "%s", text);
}

static uint32_t first_input(const struct maker *maker, const struct pbit_operation *operation)
{
    return pbit_operation_input(maker->model, operation, 0);
}

// ---- facts

static void find_readers(struct maker *maker)
{
    const struct pbit_model *model = maker->model;
    for (uint32_t i = 0; i < model->operation_count; i++) {
        struct pbit_operation operation = pbit_model_operation(model, i);
        for (uint32_t j = 0; j < operation.input_count; j++) {
            struct tensor_facts *facts = &maker->tensors[pbit_operation_input(model, &operation, j)];
            facts->readers++;
            facts->reader = i;
        }
    }
    const uint8_t *records = model->bytes + pbit_header_field(model, PBIT_HEADER_OUTPUTS);
    for (uint32_t o = 0; o < model->output_count; o++) {
        struct tensor_facts *facts = &maker->tensors[pbit_load_u32(records + (size_t)o * PBIT_PORT_BYTES)];
        facts->readers++;
        facts->is_output = true;
    }
}

/// An operation runs once per tile when libpbit runs it in every pass; and when it makes an output, so that
/// each pass adds to the sums.
static bool is_random(const struct maker *maker, const struct pbit_operation *operation)
{
    bool draws = pbit_operation_draws(operation) && !maker->plan->twin_bits;
    bool random = draws || maker->tensors[operation->output].is_output;
    for (uint32_t j = 0; j < operation->input_count; j++)
        random = random || maker->tensors[pbit_operation_input(maker->model, operation, j)].random;
    return random;
}

/// Levels of the twin have the same width everywhere but in the images.
static void find_twin_width(struct maker *maker, const struct pbit_operation *operation)
{
    struct tensor_facts *facts = &maker->tensors[operation->output];
    const struct tensor_facts *input = &maker->tensors[first_input(maker, operation)];
    facts->is_twin_level = operation->kind == PBIT_OPERATION_NEURON || input->is_twin_level;
    if (!facts->is_signed)
        facts->width = facts->is_twin_level ? maker->plan->twin_bits : input->width;
}

static void find_widths(struct maker *maker)
{
    const struct pbit_model *model = maker->model;
    for (uint32_t t = 0; t < model->tensor_count; t++) {
        struct pbit_tensor tensor = pbit_model_tensor(model, t);
        maker->tensors[t].is_signed = tensor.kind == PBIT_FIXED;
        maker->tensors[t].width = tensor.kind == PBIT_FIXED
                                      ? FIXED_BITS
                                      : pbitc_verilog_bits(pbit_tensor_levels(&tensor, maker->plan->draws));
    }
    for (uint32_t i = 0; i < model->operation_count; i++) {
        struct pbit_operation operation = pbit_model_operation(model, i);
        maker->tensors[operation.output].random = is_random(maker, &operation);
        if (maker->plan->twin_bits)
            find_twin_width(maker, &operation);
    }
}

// ---- stages

static struct pbitc_verilog_buffer make_buffer(const struct maker *maker, uint32_t tensor)
{
    const struct tensor_facts *facts = &maker->tensors[tensor];
    return (struct pbitc_verilog_buffer){
        .tensor = tensor,
        .width = facts->width,
        .is_signed = facts->is_signed,
        .lanes = 1,
        .tile = facts->random ? maker->plan->tile : 1,
    };
}

static struct pbitc_verilog_stage *add_stage(struct maker *maker, enum pbitc_verilog_kind kind,
                                             uint32_t index, const struct pbit_operation *operation)
{
    struct pbitc_verilog_plan *plan = maker->plan;
    struct pbitc_verilog_stage *stage = &plan->stages[plan->stage_count++];
    *stage = (struct pbitc_verilog_stage){
        .kind = kind,
        .operation = index,
        .pool = PBITC_VERILOG_NONE,
        .activation = PBITC_VERILOG_NONE,
        .draw = PBITC_VERILOG_NONE,
        .output = operation->output,
        .random = maker->tensors[operation->output].random,
        .neurons = 1,
        .inputs = 1,
        .neurons_limit = 1,
        .inputs_limit = 1,
        .taps = 1,
        .groups = 1,
        .classes = 1,
        .activation_cycles = 1,
        .input_count = 1,
    };
    stage->buffers[0] = make_buffer(maker, first_input(maker, operation));
    return stage;
}

/// The range of every sum and of z.
static enum pbit_status measure_weights(struct maker *maker, struct pbitc_verilog_stage *stage,
                                        const struct pbit_operation *conv, uint32_t levels, uint32_t shift)
{
    const struct pbit_model *model = maker->model;
    int32_t *row = malloc(((size_t)stage->fan_in + 1) * sizeof(*row));
    struct pbitc_verilog_class *classes = malloc(PBITC_VERILOG_CLASSES_LIMIT * sizeof(*classes));
    if (!row || !classes) {
        free(row);
        free(classes);
        return PBIT_ERROR_MEMORY;
    }
    stage->classes = pbitc_verilog_classes(model, conv, classes, NULL);
    if (!stage->classes)
        refuse(maker, conv, "convert without padding here",
               "zero points at more than 4096 kinds of borders cannot be built");
    int64_t weight_low = 0, weight_high = 0, z_low = 0, z_high = 0, constant_low = 0, constant_high = 0;
    uint32_t multipliers = 0;
    for (uint32_t k = 0; k < stage->channels; k++)
        multipliers |= pbitc_verilog_multiplier(model, conv, k, stage->multiplier_levels);
    while (stage->multiplier_zeros < shift && multipliers && !(multipliers >> stage->multiplier_zeros & 1))
        stage->multiplier_zeros++;
    for (uint32_t k = 0; k < stage->channels; k++) {
        int64_t low = 0, high = 0;
        pbitc_verilog_weight_row(model, conv, stage->fan_in, k, row);
        for (uint32_t i = 0; i < stage->fan_in; i++) {
            weight_low = row[i] < weight_low ? row[i] : weight_low;
            weight_high = row[i] > weight_high ? row[i] : weight_high;
            *(row[i] < 0 ? &low : &high) += (int64_t)row[i] * levels;
        }
        stage->sum_low = low < stage->sum_low ? low : stage->sum_low;
        stage->sum_high = high > stage->sum_high ? high : stage->sum_high;
        int64_t multiplier = pbitc_verilog_multiplier(model, conv, k, stage->multiplier_levels);
        for (uint32_t c = 0; c < stage->classes; c++) {
            int64_t constant = pbitc_verilog_constant(model, conv, k, &classes[c], row);
            constant_low = constant < constant_low ? constant : constant_low;
            constant_high = constant > constant_high ? constant : constant_high;
            int64_t first = pbitc_verilog_scale(low, multiplier, shift) + constant;
            int64_t last = pbitc_verilog_scale(high, multiplier, shift) + constant;
            z_low = first < z_low ? first : z_low;
            z_high = last > z_high ? last : z_high;
        }
    }
    stage->binary = conv->weight_bits == 1 && !conv->weight_group;
    stage->weight_bits = stage->binary ? 1 : pbitc_verilog_signed_bits(weight_low, weight_high);
    stage->weight_largest = (uint32_t)(-weight_low > weight_high ? -weight_low : weight_high);
    stage->product_shift = shift - stage->multiplier_zeros;
    stage->multiplier_bits = pbitc_verilog_bits(multipliers >> stage->multiplier_zeros);
    if (stage->multiplier_bits < MULTIPLIER_LEAST)
        stage->multiplier_bits = MULTIPLIER_LEAST;
    stage->constant_bits = pbitc_verilog_signed_bits(constant_low, constant_high);
    stage->wide_bits = pbitc_verilog_signed_bits(z_low, z_high) + 1;
    stage->clamp = stage->wide_bits > FIXED_BITS;
    stage->z_bits = stage->clamp ? FIXED_BITS : stage->wide_bits;
    free(row);
    free(classes);
    return PBIT_OK;
}

static bool is_dense(const struct pbit_operation *conv, const struct pbit_tensor *input)
{
    const struct pbit_window *window = &conv->window;
    return conv->groups == 1 && window->kernel_y == input->height && window->kernel_x == input->width &&
           !window->pad_y && !window->pad_x && (window->dilation_y == 1 || window->kernel_y == 1) &&
           (window->dilation_x == 1 || window->kernel_x == 1);
}

/// A MAXPOOL is fused when each of its taps lies inside and no position of the CONV is computed twice.
static bool can_fuse_pool(const struct maker *maker, const struct pbitc_verilog_stage *stage,
                          const struct pbit_operation *pool)
{
    struct pbit_tensor input = pbit_model_tensor(maker->model, stage->output);
    struct pbit_tensor output = pbit_model_tensor(maker->model, pool->output);
    const struct pbit_window *w = &pool->window;
    return pool->kind == PBIT_OPERATION_MAXPOOL && stage->classes == 1 && !w->pad_y && !w->pad_x &&
           (uint64_t)(output.height - 1) * w->stride_y + (uint64_t)(w->kernel_y - 1) * w->dilation_y <
               input.height &&
           (uint64_t)(output.width - 1) * w->stride_x + (uint64_t)(w->kernel_x - 1) * w->dilation_x <
               input.width &&
           (uint64_t)output.height * output.width * w->kernel_y * w->kernel_x <=
               (uint64_t)input.height * input.width;
}

/// The operation that alone reads the stage's output; false when there is none.
static bool sole_reader(const struct maker *maker, const struct pbitc_verilog_stage *stage, uint32_t *index,
                        struct pbit_operation *reader)
{
    const struct tensor_facts *facts = &maker->tensors[stage->output];
    if (facts->readers != 1 || facts->is_output)
        return false;
    *index = facts->reader;
    *reader = pbit_model_operation(maker->model, facts->reader);
    return true;
}

static void set_activation(struct maker *maker, struct pbitc_verilog_stage *stage, uint32_t index,
                           const struct pbit_operation *neuron)
{
    const uint8_t *table = maker->model->bytes + neuron->table;
    stage->activation = index;
    if (maker->plan->twin_bits || maker->plan->lfsr) {
        stage->table_words = PBITC_TWIN_ENTRIES;
        stage->table_word_bits = maker->plan->lfsr ? PBITC_LFSR_BITS : maker->plan->twin_bits;
    } else if (neuron->function == PBIT_FUNCTION_THETA) {
        int64_t low = pbit_load_i32(table), high = pbit_load_i32(table + 4 * 255), rise = 0;
        for (uint32_t h = 0; h < PBIT_THETA_ENTRIES - 1; h++) {
            int64_t this =
                (int64_t)pbit_load_i32(table + 4 * (size_t)(h + 1)) - pbit_load_i32(table + 4 * (size_t)h);
            rise = this > rise ? this : rise;
        }
        stage->activation_cycles = THETA_CYCLES;
        stage->table_words = PBIT_THETA_ENTRIES - 1;
        stage->table_start_bits = pbitc_verilog_signed_bits(low, high);
        stage->table_word_bits = stage->table_start_bits + pbitc_verilog_bits((uint64_t)rise);
    } else if (neuron->function == PBIT_FUNCTION_CURVE) {
        if (!neuron->curve_shift)
            refuse(maker, neuron, NULL, "a curve with segments of one unit cannot be built");
        stage->activation_cycles = CURVE_CYCLES + neuron->curve_shift;
        stage->table_words = neuron->curve_segments + 1;
        stage->table_start_bits = PBITC_VERILOG_P_BITS;
        stage->table_word_bits = 2 * PBITC_VERILOG_P_BITS + 1;
    }
}

static void set_draw(struct maker *maker, struct pbitc_verilog_stage *stage, uint32_t index,
                     const struct pbit_operation *neuron)
{
    struct pbit_tensor output = pbit_model_tensor(maker->model, neuron->output);
    stage->output = neuron->output;
    if (maker->plan->twin_bits)
        return;
    stage->draw = index;
    stage->levels = pbit_tensor_levels(&output, maker->plan->draws);
    if (maker->plan->lfsr && (neuron->neuron != PBIT_NEURON_COUNT || stage->levels > 1))
        refuse(maker, neuron, "export with --draws 1, or leave --neuron-style away",
               "an LFSR neuron draws one bit, this one gives more levels");
    maker->plan->random_layers += pbit_operation_draws(neuron) && !maker->plan->lfsr;
}

/// The NEURON behind a stage becomes part of it, at least its activation.
static void fuse_neuron(struct maker *maker, struct pbitc_verilog_stage *stage)
{
    uint32_t index;
    struct pbit_operation neuron;
    if (!sole_reader(maker, stage, &index, &neuron) || neuron.kind != PBIT_OPERATION_NEURON)
        return;
    set_activation(maker, stage, index, &neuron);
    if (maker->tensors[neuron.output].random == stage->random) {
        set_draw(maker, stage, index, &neuron);
        maker->absorbed[index] = true;
    } else {
        maker->tensors[stage->output].is_probability = true;
        maker->tensors[stage->output].is_signed = false;
        maker->tensors[stage->output].width = maker->plan->p_bits;
    }
}

static enum pbit_status make_conv(struct maker *maker, uint32_t index, const struct pbit_operation *conv)
{
    struct pbitc_verilog_stage *stage = add_stage(maker, PBITC_VERILOG_CONV, index, conv);
    struct pbit_tensor input = pbit_model_tensor(maker->model, first_input(maker, conv));
    struct pbit_tensor output = pbit_model_tensor(maker->model, conv->output);
    const struct tensor_facts *facts = &maker->tensors[stage->buffers[0].tensor];
    uint32_t levels = pbit_tensor_levels(&input, maker->plan->draws), shift = conv->shift,
             channels = input.channels / conv->groups;
    stage->multiplier_levels = levels;
    if (facts->is_twin_level) { // a / 2^bits
        levels = (uint32_t)((UINT64_C(1) << maker->plan->twin_bits) - 1);
        stage->multiplier_levels = 1;
        shift += maker->plan->twin_bits;
    }
    stage->fan_in = (uint32_t)pbit_operation_fan_in(conv, input.channels);
    stage->channels = output.channels;
    stage->groups = conv->groups;
    stage->positions = output.height * output.width;
    stage->level_bits = stage->buffers[0].width;
    stage->planes = maker->plan->twin_bits ? 1 : stage->level_bits;
    stage->dense = is_dense(conv, &input);
    uint32_t limit = output.channels / conv->groups;
    stage->neurons_limit = limit < PBITC_VERILOG_NEURONS_LIMIT ? limit : PBITC_VERILOG_NEURONS_LIMIT;
    while (stage->inputs_limit < PBITC_VERILOG_INPUTS_LIMIT &&
           (stage->dense ? stage->inputs_limit < stage->fan_in : channels % (2 * stage->inputs_limit) == 0))
        stage->inputs_limit *= 2;
    enum pbit_status status = measure_weights(maker, stage, conv, levels, shift);
    if (status != PBIT_OK)
        return status;
    uint32_t pool_index;
    struct pbit_operation pool;
    if (sole_reader(maker, stage, &pool_index, &pool) && can_fuse_pool(maker, stage, &pool)) {
        struct pbit_tensor pooled = pbit_model_tensor(maker->model, pool.output);
        stage->pool = pool_index;
        stage->output = pool.output;
        stage->positions = pooled.height * pooled.width;
        stage->taps = pool.window.kernel_y * pool.window.kernel_x;
        maker->absorbed[pool_index] = true;
    }
    stage->accumulates = (uint64_t)stage->fan_in * stage->channels * stage->positions * stage->taps;
    maker->tensors[stage->output].width = stage->z_bits;
    fuse_neuron(maker, stage);
    return PBIT_OK;
}

static void make_pool(struct maker *maker, uint32_t index, const struct pbit_operation *pool)
{
    bool sum = pool->kind == PBIT_OPERATION_SUMPOOL;
    struct pbitc_verilog_stage *stage =
        add_stage(maker, sum ? PBITC_VERILOG_SUMPOOL : PBITC_VERILOG_MAXPOOL, index, pool);
    uint32_t width = stage->buffers[0].width;
    stage->taps = pool->window.kernel_y * pool->window.kernel_x;
    stage->wide_bits = width;
    stage->sum_bits = width + 1;
    if (sum) {
        uint32_t multiplier = pool->multipliers;
        stage->sum_bits = width + pbitc_verilog_bits(stage->taps);
        stage->multiplier_bits = pbitc_verilog_bits(multiplier) + 1;
        uint32_t product = stage->sum_bits + stage->multiplier_bits;
        if (pool->shift > product) // product[PRODUCT + 1 .. ] is not there to be cut
            stage->multiplier_bits += pool->shift - product;
        product = stage->sum_bits + stage->multiplier_bits;
        stage->product_shift = pool->shift;
        stage->wide_bits = product - pool->shift + 2;
    }
    stage->clamp = stage->wide_bits > FIXED_BITS;
    stage->z_bits = stage->clamp ? FIXED_BITS : stage->wide_bits;
    maker->tensors[stage->output].width = stage->z_bits;
    if (stage->buffers[0].is_signed)
        fuse_neuron(maker, stage);
}

static void make_add(struct maker *maker, uint32_t index, const struct pbit_operation *add)
{
    struct pbitc_verilog_stage *stage = add_stage(maker, PBITC_VERILOG_ADD, index, add);
    stage->input_count = 2;
    stage->buffers[1] = make_buffer(maker, pbit_operation_input(maker->model, add, 1));
    uint32_t a = stage->buffers[0].width, b = stage->buffers[1].width;
    stage->wide_bits = (a > b ? a : b) + 1;
    stage->clamp = stage->wide_bits > FIXED_BITS;
    stage->z_bits = stage->clamp ? FIXED_BITS : stage->wide_bits;
    maker->tensors[stage->output].width = stage->z_bits;
    fuse_neuron(maker, stage);
}

static void make_neuron(struct maker *maker, uint32_t index, const struct pbit_operation *neuron)
{
    struct pbitc_verilog_stage *stage = add_stage(maker, PBITC_VERILOG_COPY, index, neuron);
    stage->z_bits = stage->buffers[0].width;
    if (!maker->tensors[first_input(maker, neuron)].is_probability)
        set_activation(maker, stage, index, neuron);
    set_draw(maker, stage, index, neuron);
}

/// CONCAT and PERMUTE: elements find their new places.
static void make_moves(struct maker *maker, uint32_t index, const struct pbit_operation *move)
{
    uint32_t width = 0;
    for (uint32_t part = 0; part < move->input_count; part++) {
        struct pbitc_verilog_stage *stage = add_stage(maker, PBITC_VERILOG_COPY, index, move);
        stage->part = part;
        stage->permuted = move->kind == PBIT_OPERATION_PERMUTE;
        stage->buffers[0] = make_buffer(maker, pbit_operation_input(maker->model, move, part));
        width = stage->buffers[0].width > width ? stage->buffers[0].width : width;
    }
    maker->tensors[move->output].width = width;
    for (uint32_t part = 0; part < move->input_count; part++)
        maker->plan->stages[maker->plan->stage_count - 1 - part].z_bits = width;
}

static enum pbit_status make_stage(struct maker *maker, uint32_t index)
{
    struct pbit_operation operation = pbit_model_operation(maker->model, index);
    switch (operation.kind) {
    case PBIT_OPERATION_CONV:
        return make_conv(maker, index, &operation);
    case PBIT_OPERATION_NEURON:
        make_neuron(maker, index, &operation);
        break;
    case PBIT_OPERATION_MAXPOOL:
    case PBIT_OPERATION_SUMPOOL:
        make_pool(maker, index, &operation);
        break;
    case PBIT_OPERATION_ADD:
        make_add(maker, index, &operation);
        break;
    default:
        make_moves(maker, index, &operation);
    }
    return PBIT_OK;
}

// ---- the plan

static uint64_t stages_limit(const struct pbit_model *model)
{
    uint64_t limit = 0;
    for (uint32_t i = 0; i < model->operation_count; i++) {
        struct pbit_operation operation = pbit_model_operation(model, i);
        limit += operation.kind == PBIT_OPERATION_CONCAT ? operation.input_count : 1;
    }
    return limit;
}

/// Stages that run once per image come first, the order is kept otherwise.
static enum pbit_status sort_stages(struct pbitc_verilog_plan *plan)
{
    struct pbitc_verilog_stage *sorted = malloc(((size_t)plan->stage_count + 1) * sizeof(*sorted));
    if (!sorted)
        return PBIT_ERROR_MEMORY;
    uint32_t count = 0;
    for (int random = 0; random < 2; random++) {
        for (uint32_t s = 0; s < plan->stage_count; s++)
            if (plan->stages[s].random == random)
                sorted[count++] = plan->stages[s];
        if (!random)
            plan->first_random = count;
    }
    free(plan->stages);
    plan->stages = sorted;
    return PBIT_OK;
}

enum pbit_status pbitc_verilog_plan_make(struct pbitc_verilog_plan *plan, const struct pbit_model *model,
                                         const struct pbitc_verilog_wish *wish,
                                         struct pbitc_diagnostics *diagnostics)
{
    *plan = (struct pbitc_verilog_plan){.model = model,
                                        .draws = wish->draws,
                                        .max_samples = wish->max_samples,
                                        .tile = wish->tile,
                                        .twin_bits = wish->twin_bits,
                                        .lfsr = wish->lfsr,
                                        .p_bits = wish->lfsr ? PBITC_LFSR_BITS : PBITC_VERILOG_P_BITS,
                                        .pass_bits = 1};
    while (1u << plan->pass_bits < wish->tile)
        plan->pass_bits++;
    struct maker maker = {.plan = plan, .model = model, .diagnostics = diagnostics};
    maker.tensors = calloc(model->tensor_count, sizeof(*maker.tensors));
    maker.absorbed = calloc(model->operation_count, sizeof(*maker.absorbed));
    plan->stages = calloc(stages_limit(model), sizeof(*plan->stages));
    enum pbit_status status = maker.tensors && maker.absorbed && plan->stages ? PBIT_OK : PBIT_ERROR_MEMORY;
    if (pbit_model_sampler(model) == PBIT_SAMPLER_IID && !wish->twin_bits && !wish->lfsr)
        maker.status = pbitc_report(diagnostics, PBIT_ERROR_UNSUPPORTED, NULL, NULL, 0,
                                    "convert with --sampler stratified",
                                    "the hardware has no independent draws (sampler iid)");
    if (status == PBIT_OK) {
        find_readers(&maker);
        find_widths(&maker);
    }
    for (uint32_t i = 0; i < model->operation_count && status == PBIT_OK; i++)
        if (!maker.absorbed[i])
            status = make_stage(&maker, i);
    if (status == PBIT_OK)
        status = sort_stages(plan);
    free(maker.tensors);
    free(maker.absorbed);
    if (status != PBIT_OK)
        return pbitc_report(diagnostics, status, NULL, NULL, 0, NULL, "out of memory");
    if (maker.status == PBIT_OK)
        pbitc_verilog_plan_derive(plan);
    return maker.status;
}

void pbitc_verilog_plan_free(struct pbitc_verilog_plan *plan)
{
    free(plan->stages);
    plan->stages = NULL;
}

const char *pbitc_verilog_stage_name(const struct pbitc_verilog_plan *plan,
                                     const struct pbitc_verilog_stage *stage)
{
    return pbit_model_operation(plan->model, stage->operation).name;
}

const char *pbitc_verilog_kind_name(enum pbitc_verilog_kind kind)
{
    static const char *const names[] = {"conv", "maxpool", "sumpool", "add", "copy"};
    return names[kind];
}
