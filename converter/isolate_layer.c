#include "converter/isolate_layer.h"

#include "runtime/crc32.h"
#include "runtime/format.h"

/// Byte offsets in the records (FORMAT.md, sections 2 and 3).
enum {
    TENSOR_DRAW_FACTOR = 8,
    NEURON_KIND = 5 * 4,
    NEURON_AMPLITUDE = 9 * 4,
    CHECKED_FROM = 16,
    LEAST_AMPLITUDE = 1,
};

static void store_u32(uint8_t *bytes, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(value >> 8 * i);
}

static uint8_t *tensor_record(const struct pbit_model *model, uint8_t *copy, uint32_t tensor)
{
    return copy + pbit_header_field(model, PBIT_HEADER_TENSORS) + (size_t)tensor * PBIT_TENSOR_BYTES;
}

static uint8_t *operation_record(const struct pbit_model *model, uint8_t *copy, uint32_t operation)
{
    return copy + pbit_header_field(model, PBIT_HEADER_OPERATIONS) + (size_t)operation * PBIT_OPERATION_BYTES;
}

/// Whether the operation hands on levels that the kept layer drew: its input has as many.
static bool hands_on(const struct pbit_model *model, const struct pbit_operation *record, const uint8_t *kept)
{
    return record->kind != PBIT_OPERATION_NEURON && kept[pbit_operation_input(model, record, 0)];
}

void pbitc_layer_isolate(const struct pbit_model *model, uint32_t operation, uint8_t *copy)
{
    uint8_t kept[PBIT_TENSORS_LIMIT] = {0}; // tensors whose levels are the layer's
    for (uint32_t i = 0; i < model->operation_count; i++) {
        struct pbit_operation record = pbit_model_operation(model, i);
        struct pbit_tensor output = pbit_model_tensor(model, record.output);
        uint8_t *bytes = operation_record(model, copy, i);
        bool others = pbit_operation_draws(&record) && i != operation;
        if (output.kind == PBIT_LEVELS) {
            kept[record.output] = i == operation || hands_on(model, &record, kept);
            store_u32(tensor_record(model, copy, record.output) + TENSOR_DRAW_FACTOR,
                      kept[record.output] ? output.draw_factor : 0);
        }
        if (record.kind == PBIT_OPERATION_NEURON) {
            store_u32(bytes + NEURON_KIND, others ? (uint32_t)PBIT_NEURON_MULTIBIT : record.neuron);
            store_u32(bytes + NEURON_AMPLITUDE, others ? (uint32_t)LEAST_AMPLITUDE : record.amplitude);
        }
    }
}

bool pbitc_layer_can_isolate(const struct pbit_model *model, uint32_t operation, uint8_t *copy)
{
    struct pbit_model isolated;
    pbitc_layer_isolate(model, operation, copy);
    store_u32(copy + PBIT_HEADER_CRC, pbit_crc32(copy + CHECKED_FROM, model->size - CHECKED_FROM));
    return pbit_model_open(&isolated, copy, model->size) == PBIT_OK &&
           isolated.first_random == model->first_random;
}
