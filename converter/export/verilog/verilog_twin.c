#include "converter/export/verilog/verilog_twin.h"

#include "converter/export/verilog/verilog_weights.h"
#include "runtime/kernels/kernels.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/// A run in progress: every tensor holds one number per element, whatever its kind.
struct run {
    const struct pbit_model *model;
    uint32_t bits;     ///< of a level of the twin; of a probability
    uint32_t *lfsrs;   ///< [operation_count]; NULL: the deterministic twin
    int64_t **tensors; ///< [tensor_count], int64[H][W][C] each
    uint32_t *levels;  ///< [tensor_count], L; 0: levels of the twin
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

uint32_t pbitc_lfsr_seed(uint32_t layer)
{
    uint32_t seed = (layer + 1) * UINT32_C(0x9E3779B9);
    return seed ? seed : 1;
}

/// lfsr: of the neurons, or NULL.
static void run_neuron(const struct run *run, const struct pbit_operation *neuron, uint32_t *lfsr,
                       const int64_t *in, int64_t *out, size_t count)
{
    struct pbitc_twin_table table;
    pbitc_twin_table_fill(&table, run->model, neuron, run->bits);
    for (size_t i = 0; i < count; i++) {
        int64_t step = (in[i] - table.start) >> table.shift;
        out[i] = table.levels[step < 0 ? 0 : step >= PBITC_TWIN_ENTRIES ? PBITC_TWIN_ENTRIES - 1 : step];
        if (lfsr) {
            uint32_t x = *lfsr;
            out[i] = (x & 0xff) < out[i];
            *lfsr = x << 1 | ((x >> 31 ^ x >> 21 ^ x >> 1 ^ x) & 1);
        }
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

/// One output channel of a CONV. levels: L of the input; 0: levels of `bits` bits.
static int64_t pre_activation(const struct neuron_sum *sum, uint32_t channel, uint32_t levels, uint32_t bits)
{
    const struct pbit_operation *conv = sum->conv;
    int64_t multiplier = pbit_load_i32(sum->model->bytes + conv->multipliers + 4 * (size_t)channel);
    int64_t bias = pbit_load_i32(sum->model->bytes + conv->biases + 4 * (size_t)channel);
    int64_t of_level = levels ? (2 * multiplier + levels) / (2 * levels) : multiplier;
    return pbit_saturate(pbitc_verilog_scale(sum->inside, of_level, conv->shift + (levels ? 0 : bits)) +
                         pbitc_verilog_scale(sum->outside, multiplier, conv->shift + 8) + bias);
}

static void run_conv(const struct run *run, const struct pbit_operation *conv,
                     const struct pbit_tensor *input, const struct pbit_tensor *output, uint32_t levels,
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
                *out++ = pre_activation(&sum, k, levels, run->bits);
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

static void run_operation(const struct run *run, uint32_t number)
{
    const struct pbit_model *model = run->model;
    struct pbit_operation one = pbit_model_operation(model, number);
    const struct pbit_operation *operation = &one;
    uint32_t index = pbit_operation_input(model, operation, 0);
    struct pbit_tensor input = pbit_model_tensor(model, index),
                       output = pbit_model_tensor(model, operation->output);
    const int64_t *in = run->tensors[index];
    int64_t *out = run->tensors[operation->output];
    size_t count = pbit_tensor_elements(&output);
    run->levels[operation->output] = run->levels[index];
    if (operation->kind == PBIT_OPERATION_NEURON)
        run->levels[operation->output] = run->lfsrs ? 1 : 0;
    switch (operation->kind) {
    case PBIT_OPERATION_CONV:
        run_conv(run, operation, &input, &output, run->levels[index], in, out);
        break;
    case PBIT_OPERATION_NEURON:
        run_neuron(run, operation, run->lfsrs ? &run->lfsrs[number] : NULL, in, out, count);
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
    run->levels = calloc(run->model->tensor_count, sizeof(*run->levels));
    for (uint32_t i = 0; run->tensors && i < run->model->tensor_count; i++) {
        struct pbit_tensor tensor = pbit_model_tensor(run->model, i);
        run->tensors[i] = calloc(pbit_tensor_elements(&tensor), sizeof(int64_t));
        if (!run->tensors[i])
            return PBIT_ERROR_MEMORY;
    }
    return run->tensors && run->levels ? PBIT_OK : PBIT_ERROR_MEMORY;
}

static void run_pass(const struct run *run, int64_t *const *sums)
{
    const struct pbit_model *model = run->model;
    for (uint32_t i = 0; i < model->operation_count; i++)
        run_operation(run, i);
    for (uint32_t o = 0; o < model->output_count; o++) {
        uint32_t tensor = pbit_load_u32(model->bytes + pbit_header_field(model, PBIT_HEADER_OUTPUTS) +
                                        (size_t)o * PBIT_PORT_BYTES);
        for (size_t k = 0; k < pbit_model_output(model, o).elements; k++)
            sums[o][k] += run->tensors[tensor][k];
    }
}

static enum pbit_status run_passes(struct run *run, uint32_t samples, const uint8_t *const *inputs,
                                   int64_t *const *sums)
{
    const struct pbit_model *model = run->model;
    enum pbit_status status = allocate_tensors(run);
    for (uint32_t i = 0; i < model->input_count && status == PBIT_OK; i++) {
        size_t count = pbit_model_input(model, i).elements;
        run->levels[i] = PBIT_BYTE_LEVELS;
        for (size_t k = 0; k < count; k++)
            run->tensors[i][k] = inputs[i][k];
    }
    for (uint32_t o = 0; o < model->output_count; o++)
        memset(sums[o], 0, pbit_model_output(model, o).elements * sizeof(*sums[o]));
    for (uint32_t t = 0; t < samples && status == PBIT_OK; t++)
        run_pass(run, sums);
    for (uint32_t i = 0; run->tensors && i < model->tensor_count; i++)
        free(run->tensors[i]);
    free(run->tensors);
    free(run->levels);
    return status;
}

enum pbit_status pbitc_twin_run(const struct pbit_model *model, uint32_t bits, const uint8_t *const *inputs,
                                int64_t *const *sums)
{
    struct run run = {.model = model, .bits = bits};
    return run_passes(&run, 1, inputs, sums);
}

enum pbit_status pbitc_lfsr_run(const struct pbit_model *model, uint32_t samples,
                                const uint8_t *const *inputs, int64_t *const *sums)
{
    struct run run = {.model = model,
                      .bits = PBITC_LFSR_BITS,
                      .lfsrs = calloc((size_t)model->operation_count + 1, sizeof(*run.lfsrs))};
    for (uint32_t i = 0; run.lfsrs && i < model->operation_count; i++)
        run.lfsrs[i] = pbitc_lfsr_seed(pbit_model_operation(model, i).layer);
    enum pbit_status status = run.lfsrs ? run_passes(&run, samples, inputs, sums) : PBIT_ERROR_MEMORY;
    free(run.lfsrs);
    return status;
}
