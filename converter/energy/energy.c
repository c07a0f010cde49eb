#include "converter/energy/energy.h"

#include <math.h>

/// Constants are in pJ, results in nJ.
#define PICOJOULES_PER_NANOJOULE 1000.0

const char *const pbitc_energy_convention_names[] = {
    [PBITC_ENERGY_EXACT] = "exact", [PBITC_ENERGY_PAPER] = "paper", NULL};

/// What one layer needs, in pJ.
struct cost {
    double weights, once, pass, recall; ///< recall: in every pass but the first
};

uint32_t pbitc_energy_draws(const struct pbitc_energy_layer *layer, uint32_t draws)
{
    // As pbit_tensor_levels of the runtime.
    uint32_t levels = (draws * layer->draw_factor + PBITC_ENERGY_UNIT_FACTOR / 2) / PBITC_ENERGY_UNIT_FACTOR;
    return levels < 1 ? 1 : levels > 255 ? 255 : levels;
}

/// An array multiplier grows with the product of the widths.
static double multiplication(const struct pbitc_energy_constants *constants, uint32_t bits,
                             uint32_t weight_bits)
{
    double full = (double)PBITC_ENERGY_FULL_BITS * PBITC_ENERGY_FULL_BITS;
    return constants->multiply * bits * weight_bits / full;
}

/// An adder grows with its width: here that of a sum of `terms` numbers of `bits` bits, at most 32.
static double addition(const struct pbitc_energy_network *network,
                       const struct pbitc_energy_constants *constants, uint32_t bits, uint64_t terms)
{
    uint32_t width = bits;
    while (width < PBITC_ENERGY_FULL_BITS && terms > UINT64_C(1) << (width - bits))
        width++;
    if (network->convention == PBITC_ENERGY_PAPER || width > PBITC_ENERGY_FULL_BITS)
        return constants->add;
    return constants->add * width / PBITC_ENERGY_FULL_BITS;
}

/// One synapse whose input has several bits: read, multiply, add.
static double multibit_synapse(const struct pbitc_energy_network *network,
                               const struct pbitc_energy_constants *constants,
                               const struct pbitc_energy_layer *layer, uint32_t bits, uint32_t weight_bits)
{
    return bits * constants->memory + multiplication(constants, bits, weight_bits) +
           addition(network, constants, bits + weight_bits, layer->fan_in);
}

/// One synapse whose input are `draws` single bits: read them, and add the weight for those that are 1.
static double binary_synapse(const struct pbitc_energy_network *network,
                             const struct pbitc_energy_constants *constants,
                             const struct pbitc_energy_layer *layer, uint32_t draws)
{
    double add = addition(network, constants, layer->weight_bits, layer->fan_in * draws);
    return draws * (constants->memory + layer->activity * add);
}

static double neuron(const struct pbitc_energy_constants *constants, const struct pbitc_energy_layer *layer,
                     uint32_t draws)
{
    if (layer->output_bits == PBITC_ENERGY_PBITS)
        return constants->activation + pbitc_energy_draws(layer, draws) *
                                           (constants->random + constants->compare + constants->memory);
    double noise =
        layer->noisy ? constants->random + constants->add * layer->output_bits / PBITC_ENERGY_FULL_BITS : 0;
    return constants->activation + noise + layer->output_bits * constants->memory;
}

static struct cost cost_of_layer(const struct pbitc_energy_network *network,
                                 const struct pbitc_energy_layer *layer,
                                 const struct pbitc_energy_constants *constants, uint32_t draws)
{
    struct cost cost = {.weights = 0};
    double pass = 0, full_word = PBITC_ENERGY_FULL_BITS * constants->memory;
    switch (layer->kind) {
    case PBITC_ENERGY_SYNAPSES:
        cost.weights = (double)layer->memory_bits * constants->weight_memory;
        pass = layer->input_bits == PBITC_ENERGY_PBITS
                   ? binary_synapse(network, constants, layer, pbitc_energy_draws(layer, draws))
                   : multibit_synapse(network, constants, layer, layer->input_bits, layer->weight_bits);
        pass *= (double)layer->macs;
        break;
    case PBITC_ENERGY_NEURONS:
        pass = neuron(constants, layer, draws) * (double)layer->neurons;
        cost.once = cost.recall = layer->recalled ? full_word * (double)layer->neurons : 0;
        break;
    case PBITC_ENERGY_OUTPUTS:
        pass = (constants->add + full_word) * (double)layer->neurons;
        break;
    }
    if (layer->random)
        cost.pass = pass;
    else
        cost.once += pass;
    return cost;
}

struct pbitc_energy pbitc_energy_of_layer(const struct pbitc_energy_network *network,
                                          const struct pbitc_energy_layer *layer,
                                          const struct pbitc_energy_constants *constants, uint32_t draws)
{
    struct cost cost = cost_of_layer(network, layer, constants, draws);
    return (struct pbitc_energy){
        .weights = cost.weights / PICOJOULES_PER_NANOJOULE,
        .first = (cost.weights + cost.once + cost.pass) / PICOJOULES_PER_NANOJOULE,
        .further = (cost.pass + cost.recall) / PICOJOULES_PER_NANOJOULE,
    };
}

struct pbitc_energy pbitc_energy_of_pbits(const struct pbitc_energy_network *network,
                                          const struct pbitc_energy_constants *constants, uint32_t draws)
{
    struct pbitc_energy sum = {0, 0, 0};
    for (size_t i = 0; i < network->layer_count; i++) {
        struct pbitc_energy one = pbitc_energy_of_layer(network, &network->layers[i], constants, draws);
        sum.weights += one.weights;
        sum.first += one.first;
        sum.further += one.further;
    }
    return sum;
}

double pbitc_energy_mean_draws(const struct pbitc_energy_network *network, uint32_t draws)
{
    double synapses = 0, accumulations = 0;
    for (size_t i = 0; i < network->layer_count; i++) {
        const struct pbitc_energy_layer *layer = &network->layers[i];
        if (layer->kind != PBITC_ENERGY_SYNAPSES || layer->input_bits != PBITC_ENERGY_PBITS)
            continue;
        synapses += (double)layer->macs;
        accumulations += (double)layer->macs * pbitc_energy_draws(layer, draws);
    }
    return synapses > 0 ? accumulations / synapses : 0;
}

double pbitc_energy_total(struct pbitc_energy energy, uint32_t samples)
{
    return energy.first + (samples - 1.0) * energy.further;
}

/// The bits of an activation in the twin of `bits` bits.
static uint32_t twin_bits(uint32_t own_bits, uint32_t bits)
{
    return own_bits == PBITC_ENERGY_PBITS || bits == PBITC_ENERGY_FULL_BITS ? bits : own_bits;
}

static double twin_of_layer(const struct pbitc_energy_network *network,
                            const struct pbitc_energy_layer *layer,
                            const struct pbitc_energy_constants *constants, uint32_t bits)
{
    bool full = bits == PBITC_ENERGY_FULL_BITS;
    uint32_t input_bits = twin_bits(layer->input_bits, bits);
    uint32_t output_bits = twin_bits(layer->output_bits, bits);
    switch (layer->kind) {
    case PBITC_ENERGY_SYNAPSES: {
        double memory = full ? (double)layer->weights * PBITC_ENERGY_FULL_BITS : (double)layer->memory_bits;
        double synapse = input_bits == 1
                             ? binary_synapse(network, constants, layer, 1)
                             : multibit_synapse(network, constants, layer, input_bits,
                                                full ? PBITC_ENERGY_FULL_BITS : layer->weight_bits);
        return memory * constants->weight_memory + synapse * (double)layer->macs;
    }
    case PBITC_ENERGY_NEURONS:
        return (constants->activation + output_bits * constants->memory) * (double)layer->neurons;
    case PBITC_ENERGY_OUTPUTS:
        break;
    }
    return PBITC_ENERGY_FULL_BITS * constants->memory * (double)layer->neurons;
}

double pbitc_energy_of_twin(const struct pbitc_energy_network *network,
                            const struct pbitc_energy_constants *constants, uint32_t bits)
{
    double sum = 0;
    for (size_t i = 0; i < network->layer_count; i++)
        sum += twin_of_layer(network, &network->layers[i], constants, bits);
    return sum / PICOJOULES_PER_NANOJOULE;
}

void pbitc_energy_average_fan_in(struct pbitc_energy_network *network)
{
    double macs = 0, neurons = 0;
    for (size_t i = 0; i < network->layer_count; i++) {
        macs += (double)network->layers[i].macs;
        if (network->layers[i].kind == PBITC_ENERGY_NEURONS)
            neurons += (double)network->layers[i].neurons;
    }
    uint64_t mean = neurons > 0 ? (uint64_t)llround(macs / neurons) : 0;
    for (size_t i = 0; i < network->layer_count; i++) {
        struct pbitc_energy_layer *layer = &network->layers[i];
        if (layer->kind == PBITC_ENERGY_SYNAPSES && layer->neurons > 0) {
            layer->fan_in = mean;
            layer->macs = mean * layer->neurons;
        }
    }
}
