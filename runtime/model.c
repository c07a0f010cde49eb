// A validated .pbit file as structs: accessors only.
#include "runtime/format.h"

uint32_t pbit_model_max_draws(const struct pbit_model *model)
{
    return pbit_header_field(model, PBIT_HEADER_MAX_DRAWS);
}

uint32_t pbit_model_max_samples(const struct pbit_model *model)
{
    return pbit_header_field(model, PBIT_HEADER_MAX_SAMPLES);
}

uint32_t pbit_model_default_draws(const struct pbit_model *model)
{
    return pbit_header_field(model, PBIT_HEADER_DRAWS);
}

uint32_t pbit_model_default_samples(const struct pbit_model *model)
{
    return pbit_header_field(model, PBIT_HEADER_SAMPLES);
}

enum pbit_sampler pbit_model_sampler(const struct pbit_model *model)
{
    return (enum pbit_sampler)pbit_header_field(model, PBIT_HEADER_SAMPLER);
}

const char *pbit_model_metadata(const struct pbit_model *model, size_t *length)
{
    *length = pbit_header_field(model, PBIT_HEADER_METADATA_BYTES);
    return (const char *)model->bytes + pbit_header_field(model, PBIT_HEADER_METADATA);
}

struct pbit_tensor pbit_model_tensor(const struct pbit_model *model, uint32_t index)
{
    const uint8_t *record =
        model->bytes + pbit_header_field(model, PBIT_HEADER_TENSORS) + (size_t)index * PBIT_TENSOR_BYTES;
    return (struct pbit_tensor){
        .name = (const char *)model->bytes + pbit_load_u32(record),
        .kind = pbit_load_u32(record + 4),
        .draw_factor = pbit_load_u32(record + 8),
        .height = pbit_load_u32(record + 12),
        .width = pbit_load_u32(record + 16),
        .channels = pbit_load_u32(record + 20),
        .workspace_offset = pbit_load_u32(record + 24),
    };
}

struct pbit_operation pbit_model_operation(const struct pbit_model *model, uint32_t index)
{
    const uint8_t *record = model->bytes + pbit_header_field(model, PBIT_HEADER_OPERATIONS) +
                            (size_t)index * PBIT_OPERATION_BYTES;
    uint32_t word[PBIT_OPERATION_BYTES / 4];
    for (size_t i = 0; i < sizeof(word) / sizeof(*word); i++)
        word[i] = pbit_load_u32(record + 4 * i);
    struct pbit_operation operation = {
        .kind = word[0],
        .name = (const char *)model->bytes + word[1],
        .input_count = word[2],
        .inputs = word[3],
        .output = word[4],
    };
    switch (operation.kind) {
    case PBIT_OPERATION_CONV:
    case PBIT_OPERATION_MAXPOOL:
    case PBIT_OPERATION_SUMPOOL:
        operation.window =
            (struct pbit_window){word[5], word[6], word[7], word[8], word[9], word[10], word[11], word[12]};
        operation.groups = word[13];
        operation.weight_bits = word[14];
        operation.weight_group = word[15];
        operation.weights = word[16];
        operation.factors = word[17];
        operation.multipliers = word[18];
        operation.biases = word[19];
        operation.shift = word[20];
        operation.zeros = word[21];
        break;
    case PBIT_OPERATION_NEURON:
        operation.neuron = word[5];
        operation.function = word[6];
        operation.table = word[7];
        operation.layer = word[8];
        operation.amplitude = word[9];
        operation.curve_shift = word[10];
        operation.curve_segments = word[11];
        operation.curve_start = (int32_t)word[12];
        break;
    case PBIT_OPERATION_PERMUTE:
        operation.table = word[5];
        break;
    }
    return operation;
}

uint32_t pbit_operation_input(const struct pbit_model *model, const struct pbit_operation *operation,
                              uint32_t i)
{
    return pbit_load_u32(model->bytes + operation->inputs + 4 * (size_t)i);
}

struct pbit_layer pbit_model_layer(const struct pbit_model *model, uint32_t index)
{
    struct pbit_operation operation = pbit_model_operation(model, index);
    struct pbit_tensor output = pbit_model_tensor(model, operation.output);
    struct pbit_layer layer = {
        .name = operation.name,
        .kind = (enum pbit_operation_kind)operation.kind,
        .height = output.height,
        .width = output.width,
        .channels = output.channels,
        .random = index >= model->first_random,
    };
    if (operation.kind == PBIT_OPERATION_CONV) {
        struct pbit_tensor input = pbit_model_tensor(model, pbit_operation_input(model, &operation, 0));
        layer.fan_in = (uint32_t)pbit_operation_fan_in(&operation, input.channels);
        layer.weight_bits = operation.weight_bits;
        layer.weight_group = operation.weight_group;
        layer.weights = (uint64_t)layer.fan_in * output.channels;
        layer.synapses = layer.weights * output.height * output.width;
    } else if (operation.kind == PBIT_OPERATION_NEURON) {
        layer.draws = pbit_operation_draws(&operation);
        layer.multibit = operation.neuron == PBIT_NEURON_MULTIBIT;
        layer.draw_factor = output.draw_factor;
        layer.amplitude = operation.amplitude;
    }
    return layer;
}
