#include "converter/export/verilog/verilog_twin.h"

#include "converter/export/verilog/verilog_weights.h"
#include "runtime/kernels/kernels.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/// A run in progress: every tensor holds one number per element, whatever its kind.
struct run {
    const struct pbit_model *model;
    uint32_t bits;
    int64_t **tensors;    ///< [tensor_count], int64[H][W][C] each
    uint32_t *level_bits; ///< [tensor_count]; 0 where levels are pixels of an input
};

// ---- neurons

enum { NEARLY = 64 }; ///< of 65536

/// The smallest z with P(z) >= probability; P is monotone.
static int64_t find_probability(const struct pbit_model *model, const struct pbit_operation *neuron,
                                uint32_t probability)
{
    int64_t low = INT32_MIN, high = INT32_MAX;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (pbit_probability(model, neuron, (int32_t)middle) < probability)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void pbitc_twin_table_fill(struct pbitc_twin_table *table, const struct pbit_model *model,
                           const struct pbit_operation *neuron, uint32_t bits)
{
    int64_t start = neuron->curve_start,
            end = start + ((int64_t)neuron->curve_segments << neuron->curve_shift);
    if (neuron->function != PBIT_FUNCTION_CURVE) {
        start = find_probability(model, neuron, NEARLY);
        end = find_probability(model, neuron, PBIT_ONE - NEARLY);
    }
    table->start = (int32_t)start;
    table->shift = 0;
    while ((end - start) >> table->shift >= PBITC_TWIN_ENTRIES)
        table->shift++;
    uint64_t top = ((uint64_t)1 << bits) - 1;
    for (int64_t i = 0; i < PBITC_TWIN_ENTRIES; i++) {
        int64_t z = start + (i << table->shift) + ((int64_t)1 << table->shift) / 2;
        uint64_t probability = pbit_probability(model, neuron, pbit_saturate(z));
        uint64_t level = ((probability << bits) + PBIT_ONE / 2) / PBIT_ONE;
        table->levels[i] = (uint32_t)(level < top ? level : top);
    }
}

static void run_neuron(const struct run *run, const struct pbit_operation *neuron, const int64_t *in,
                       int64_t *out, size_t count)
{
    struct pbitc_twin_table table;
    pbitc_twin_table_fill(&table, run->model, neuron, run->bits);
    for (size_t i = 0; i < count; i++) {
        int64_t step = (in[i] - table.start) >> table.shift;
        out[i] = table.levels[step < 0 ? 0 : step >= PBITC_TWIN_ENTRIES ? PBITC_TWIN_ENTRIES - 1 : step];
    }
}

// ---- windows

/// Calls visit for each tap of the window at output pixel (y, x), with the input pixel's index, or -1 when
/// the tap is outside.
static void for_each_tap(const struct pbit_window *window, const struct pbit_tensor *input, uint32_t y,
                         uint32_t x, void (*visit)(void *state, size_t tap, int64_t pixel), void *state)
{
    size_t tap = 0;
    for (uint32_t ky = 0; ky < window->kernel_y; ky++)
        for (uint32_t kx = 0; kx < window->kernel_x; kx++) {
            int64_t iy = (int64_t)y * window->stride_y - window->pad_y + (int64_t)ky * window->dilation_y;
            int64_t ix = (int64_t)x * window->stride_x - window->pad_x + (int64_t)kx * window->dilation_x;
            bool inside = iy >= 0 && iy < input->height && ix >= 0 && ix < input->width;
            visit(state, tap++, inside ? iy * input->width + ix : -1);
        }
}

struct pool {
    const int64_t *in;
    uint32_t channels, channel;
    int64_t sum, maximum;
};

static void visit_pool(void *state, size_t tap, int64_t pixel)
{
    struct pool *pool = state;
    (void)tap;
    if (pixel < 0)
        return;
    int64_t value = pool->in[(size_t)pixel * pool->channels + pool->channel];
    pool->sum += value;
    pool->maximum = value > pool->maximum ? value : pool->maximum;
}

static void run_pool(const struct pbit_operation *operation, const struct pbit_tensor *input,
                     const struct pbit_tensor *output, const int64_t *in, int64_t *out)
{
    for (uint32_t y = 0; y < output->height; y++)
        for (uint32_t x = 0; x < output->width; x++)
            for (uint32_t c = 0; c < output->channels; c++) {
                struct pool pool = {in, input->channels, c, 0, INT64_MIN};
                for_each_tap(&operation->window, input, y, x, visit_pool, &pool);
                *out++ = operation->kind == PBIT_OPERATION_MAXPOOL
                             ? pool.maximum
                             : pbit_saturate(
                                   pbitc_verilog_scale(pool.sum, operation->multipliers, operation->shift));
            }
}

// ---- CONV

struct neuron_sum {
    const struct pbit_model *model;
    const struct pbit_operation *conv;
    const int64_t *in;
    uint32_t channels, group_channels, first_channel; ///< of the input
    const uint8_t *row, *factors;
    int64_t inside, outside; ///< A and E
};

static int64_t weight_at(const struct neuron_sum *sum, size_t index)
{
    uint32_t bits = sum->conv->weight_bits, code = 0;
    for (uint32_t b = 0; b < bits; b++) {
        size_t at = index * bits + b;
        code |= (uint32_t)(sum->row[at / 8] >> (at % 8) & 1) << b;
    }
    int64_t weight = bits == 1 ? (code ? 1 : -1) : (int64_t)code - (code >> (bits - 1) << bits);
    return sum->factors ? weight * sum->factors[index / sum->conv->weight_group] : weight;
}

static void visit_synapses(void *state, size_t tap, int64_t pixel)
{
    struct neuron_sum *sum = state;
    for (uint32_t c = 0; c < sum->group_channels; c++) {
        int64_t weight = weight_at(sum, tap * sum->group_channels + c);
        uint32_t channel = sum->first_channel + c;
        if (pixel >= 0)
            sum->inside += weight * sum->in[(size_t)pixel * sum->channels + channel];
        else if (sum->conv->zeros)
            sum->outside +=
                weight * pbit_load_u16(sum->model->bytes + sum->conv->zeros + 2 * (size_t)channel);
    }
}

/// One output channel of a CONV. bits: of the levels; 0: pixels of the input.
static int64_t pre_activation(const struct neuron_sum *sum, uint32_t channel, uint32_t bits)
{
    const struct pbit_operation *conv = sum->conv;
    int64_t multiplier = pbit_load_i32(sum->model->bytes + conv->multipliers + 4 * (size_t)channel);
    int64_t bias = pbit_load_i32(sum->model->bytes + conv->biases + 4 * (size_t)channel);
    int64_t of_pixels = (2 * multiplier + PBIT_BYTE_LEVELS) / (2 * PBIT_BYTE_LEVELS);
    return pbit_saturate(pbitc_verilog_scale(sum->inside, bits ? multiplier : of_pixels, conv->shift + bits) +
                         pbitc_verilog_scale(sum->outside, multiplier, conv->shift + 8) + bias);
}

static void run_conv(const struct run *run, const struct pbit_operation *conv,
                     const struct pbit_tensor *input, const struct pbit_tensor *output, uint32_t bits,
                     const int64_t *in, int64_t *out)
{
    const uint8_t *bytes = run->model->bytes;
    uint32_t outputs = output->channels / conv->groups;
    uint64_t fan_in = pbit_operation_fan_in(conv, input->channels);
    size_t row_bytes = (size_t)pbit_weight_row_bytes(fan_in, conv->weight_bits);
    for (uint32_t y = 0; y < output->height; y++)
        for (uint32_t x = 0; x < output->width; x++)
            for (uint32_t k = 0; k < output->channels; k++) {
                struct neuron_sum sum = {
                    .model = run->model,
                    .conv = conv,
                    .in = in,
                    .channels = input->channels,
                    .group_channels = input->channels / conv->groups,
                    .first_channel = k / outputs * (input->channels / conv->groups),
                    .row = bytes + conv->weights + k * row_bytes,
                };
                if (conv->weight_group)
                    sum.factors = bytes + conv->factors +
                                  k * (size_t)((fan_in + conv->weight_group - 1) / conv->weight_group);
                for_each_tap(&conv->window, input, y, x, visit_synapses, &sum);
                *out++ = pre_activation(&sum, k, bits);
            }
}

// ---- the run

static void run_concat(const struct run *run, const struct pbit_operation *concat,
                       const struct pbit_tensor *output, int64_t *out)
{
    uint32_t first = 0;
    for (uint32_t i = 0; i < concat->input_count; i++) {
        uint32_t index = pbit_operation_input(run->model, concat, i);
        struct pbit_tensor input = pbit_model_tensor(run->model, index);
        for (size_t p = 0; p < (size_t)output->height * output->width; p++)
            memcpy(out + p * output->channels + first, run->tensors[index] + p * input.channels,
                   input.channels * sizeof(*out));
        first += input.channels;
    }
}

static void run_operation(const struct run *run, const struct pbit_operation *operation)
{
    const struct pbit_model *model = run->model;
    uint32_t index = pbit_operation_input(model, operation, 0);
    struct pbit_tensor input = pbit_model_tensor(model, index),
                       output = pbit_model_tensor(model, operation->output);
    const int64_t *in = run->tensors[index];
    int64_t *out = run->tensors[operation->output];
    size_t count = pbit_tensor_elements(&output);
    run->level_bits[operation->output] =
        operation->kind == PBIT_OPERATION_NEURON ? run->bits : run->level_bits[index];
    switch (operation->kind) {
    case PBIT_OPERATION_CONV:
        run_conv(run, operation, &input, &output, run->level_bits[index], in, out);
        break;
    case PBIT_OPERATION_NEURON:
        run_neuron(run, operation, in, out, count);
        break;
    case PBIT_OPERATION_MAXPOOL:
    case PBIT_OPERATION_SUMPOOL:
        run_pool(operation, &input, &output, in, out);
        break;
    case PBIT_OPERATION_ADD: {
        const int64_t *second = run->tensors[pbit_operation_input(model, operation, 1)];
        for (size_t i = 0; i < count; i++)
            out[i] = pbit_saturate(in[i] + second[i]);
        break;
    }
    case PBIT_OPERATION_CONCAT:
        run_concat(run, operation, &output, out);
        break;
    case PBIT_OPERATION_PERMUTE:
        for (size_t i = 0; i < count; i++)
            out[i] = in[pbit_load_u32(model->bytes + operation->table + 4 * i)];
        break;
    }
}

static enum pbit_status allocate_tensors(struct run *run)
{
    run->tensors = calloc(run->model->tensor_count, sizeof(*run->tensors));
    run->level_bits = calloc(run->model->tensor_count, sizeof(*run->level_bits));
    for (uint32_t i = 0; run->tensors && i < run->model->tensor_count; i++) {
        struct pbit_tensor tensor = pbit_model_tensor(run->model, i);
        run->tensors[i] = calloc(pbit_tensor_elements(&tensor), sizeof(int64_t));
        if (!run->tensors[i])
            return PBIT_ERROR_MEMORY;
    }
    return run->tensors && run->level_bits ? PBIT_OK : PBIT_ERROR_MEMORY;
}

enum pbit_status pbitc_twin_run(const struct pbit_model *model, uint32_t bits, const uint8_t *const *inputs,
                                int64_t *const *sums)
{
    struct run run = {.model = model, .bits = bits};
    enum pbit_status status = allocate_tensors(&run);
    for (uint32_t i = 0; i < model->input_count && status == PBIT_OK; i++) {
        size_t count = pbit_model_input(model, i).elements;
        for (size_t k = 0; k < count; k++)
            run.tensors[i][k] = inputs[i][k];
    }
    for (uint32_t i = 0; i < model->operation_count && status == PBIT_OK; i++) {
        struct pbit_operation operation = pbit_model_operation(model, i);
        run_operation(&run, &operation);
    }
    for (uint32_t o = 0; o < model->output_count && status == PBIT_OK; o++) {
        uint32_t tensor = pbit_load_u32(model->bytes + pbit_header_field(model, PBIT_HEADER_OUTPUTS) +
                                        (size_t)o * PBIT_PORT_BYTES);
        memcpy(sums[o], run.tensors[tensor], pbit_model_output(model, o).elements * sizeof(int64_t));
    }
    for (uint32_t i = 0; run.tensors && i < model->tensor_count; i++)
        free(run.tensors[i]);
    free(run.tensors);
    free(run.level_bits);
    return status;
}
