// The energy network of a .pbit file.
#include "converter/energy/energy_network.h"

#include <string.h>

/// What a file stores for every output channel, in bits: multiplier and bias.
enum { CHANNEL_BITS = 64, FACTOR_BITS = 8 };

static bool is_op(const struct pbitc_report_layer *layer, const char *op)
{
    return strcmp(layer->op, op) == 0;
}

/// The neurons whose levels a layer reads, through pooling and movements; NULL: the image, or a sum.
static const struct pbitc_report_layer *find_neurons(const struct pbitc_report_layer *layers,
                                                     const struct pbitc_report_layer *layer)
{
    // Inputs stand before their readers in a valid file; a report that says otherwise must not hang us.
    for (int32_t i = layer->input, previous = INT32_MAX; i >= 0 && i < previous;) {
        if (is_op(&layers[i], "neuron"))
            return &layers[i];
        previous = i;
        i = layers[i].input;
    }
    return NULL;
}

static uint64_t stored_bits(const struct pbitc_report_layer *layer)
{
    uint64_t group = layer->weight_group;
    uint64_t factors = group ? (layer->fan_in + group - 1) / group : 0;
    return layer->weights * layer->weight_bits + layer->channels * (CHANNEL_BITS + FACTOR_BITS * factors);
}

static double measured_activity(const struct pbitc_report_layer *layers,
                                const struct pbitc_report_layer *layer, double otherwise)
{
    const struct pbitc_report_layer *input = layer->input >= 0 ? &layers[layer->input] : NULL;
    return input && input->has_levels && input->elements ? input->activity : otherwise;
}

static struct pbitc_energy_layer synapses(const struct pbitc_report_layer *layers,
                                          const struct pbitc_report_layer *layer, double activity)
{
    const struct pbitc_report_layer *neurons = find_neurons(layers, layer);
    bool binary = neurons && !neurons->multibit;
    return (struct pbitc_energy_layer){
        .name = layer->name,
        .type = "synapses",
        .kind = PBITC_ENERGY_SYNAPSES,
        .random = layer->random,
        .weights = layer->weights + layer->channels,
        .memory_bits = stored_bits(layer),
        .weight_bits = layer->weight_bits,
        .macs = layer->macs,
        .fan_in = layer->fan_in,
        .input_bits = binary ? PBITC_ENERGY_PBITS : PBITC_ENERGY_IMAGE_BITS,
        .draw_factor = binary ? neurons->draw_factor : 0,
        .activity = measured_activity(layers, layer, activity),
    };
}

static struct pbitc_energy_layer neurons(const struct pbitc_report_layer *layers,
                                         const struct pbitc_report_layer *layer)
{
    bool computed_once = layer->input < 0 || !layers[layer->input].random;
    return (struct pbitc_energy_layer){
        .name = layer->name,
        .type = !layer->multibit ? "p-bits"
                : layer->draws   ? "noisy"
                                 : "exact",
        .kind = PBITC_ENERGY_NEURONS,
        .random = layer->random,
        .neurons = layer->neurons,
        .output_bits = layer->multibit ? PBITC_ENERGY_IMAGE_BITS : PBITC_ENERGY_PBITS,
        .draw_factor = layer->draw_factor,
        .noisy = layer->multibit && layer->draws,
        .recalled = layer->random && computed_once,
    };
}

static struct pbitc_energy_layer outputs(const struct pbitc_report_layer *layer)
{
    return (struct pbitc_energy_layer){
        .name = layer->name,
        .type = "output",
        .kind = PBITC_ENERGY_OUTPUTS,
        .random = layer->random,
        .neurons = (uint64_t)layer->height * layer->width * layer->channels,
        .output_bits = PBITC_ENERGY_FULL_BITS,
    };
}

/// A layer with weights by the paper's convention, and the neurons behind it.
static void add_paper_layer(struct pbitc_energy_network *network, const struct pbitc_report_layer *layers,
                            const struct pbitc_report_layer *layer, double activity)
{
    struct pbitc_energy_layer *parts = network->layers + network->layer_count;
    parts[0] = synapses(layers, layer, activity);
    parts[0].memory_bits = parts[0].weights * layer->weight_bits;
    parts[0].neurons = (uint64_t)layer->height * layer->width * layer->channels;
    parts[1] = (struct pbitc_energy_layer){
        .name = layer->name, .type = "p-bits", .kind = PBITC_ENERGY_NEURONS, .neurons = parts[0].neurons};
    for (int i = 0; i < 2; i++) {
        parts[i].random = true;
        parts[i].input_bits = parts[i].output_bits = PBITC_ENERGY_PBITS;
        parts[i].draw_factor = PBITC_ENERGY_UNIT_FACTOR;
    }
    network->layer_count += 2;
}

bool pbitc_energy_network_of_layers(const struct pbitc_report_layer *layers, size_t count,
                                    enum pbitc_energy_convention convention, double activity,
                                    struct pbitc_arena *arena, struct pbitc_energy_network *network)
{
    *network = (struct pbitc_energy_network){.convention = convention};
    network->layers = pbitc_arena_allocate(arena, 2 * count + 1, sizeof(*network->layers));
    if (!network->layers)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (convention == PBITC_ENERGY_PAPER && is_op(&layers[i], "conv"))
            add_paper_layer(network, layers, &layers[i], activity);
        else if (is_op(&layers[i], "conv"))
            network->layers[network->layer_count++] = synapses(layers, &layers[i], activity);
        else if (convention == PBITC_ENERGY_EXACT && is_op(&layers[i], "neuron"))
            network->layers[network->layer_count++] = neurons(layers, &layers[i]);
    }
    if (convention == PBITC_ENERGY_PAPER)
        pbitc_energy_average_fan_in(network);
    else if (count > 0)
        network->layers[network->layer_count++] = outputs(&layers[count - 1]);
    return true;
}
