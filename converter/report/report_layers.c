#include "converter/report/report_layers.h"

#include "converter/model_file.h"
#include "runtime/format.h"

#include <string.h>

static struct pbitc_report_layer describe(const struct pbit_model *model, uint32_t index)
{
    struct pbit_layer layer = pbit_model_layer(model, index);
    bool neuron = layer.kind == PBIT_OPERATION_NEURON;
    return (struct pbitc_report_layer){
        .name = layer.name,
        .op = pbitc_operation_name(layer.kind),
        .input = -1,
        .height = layer.height,
        .width = layer.width,
        .channels = layer.channels,
        .random = layer.random,
        .fan_in = layer.fan_in,
        .weight_bits = layer.weight_bits,
        .weight_group = layer.weight_group,
        .weights = layer.weights,
        .macs = layer.synapses,
        .neurons = neuron ? (uint64_t)layer.height * layer.width * layer.channels : 0,
        .draws = layer.draws,
        .multibit = layer.multibit,
        .draw_factor = layer.draw_factor,
        .amplitude = layer.amplitude,
    };
}

struct pbitc_report_layer *pbitc_report_layers_describe(struct pbitc_arena *arena,
                                                        const struct pbit_model *model, size_t *count)
{
    struct pbitc_report_layer *layers = pbitc_arena_allocate(arena, model->operation_count, sizeof(*layers));
    int32_t *writers = pbitc_arena_allocate(arena, model->tensor_count, sizeof(*writers));
    if (!layers || !writers)
        return NULL;
    for (uint32_t i = 0; i < model->tensor_count; i++)
        writers[i] = -1;
    for (uint32_t i = 0; i < model->operation_count; i++) {
        struct pbit_operation operation = pbit_model_operation(model, i);
        layers[i] = describe(model, i);
        layers[i].input = writers[pbit_operation_input(model, &operation, 0)];
        layers[i].name = pbitc_arena_copy_string(arena, layers[i].name, strlen(layers[i].name));
        if (!layers[i].name)
            return NULL;
        writers[operation.output] = (int32_t)i;
    }
    *count = model->operation_count;
    return layers;
}
