// The energy of one image: equations 1 to 4 of the paper (arXiv 2507.07763) on the real network. README.md in
// this folder derives every term.
#ifndef PBITC_ENERGY_H
#define PBITC_ENERGY_H

#include "converter/energy/energy_constants.h"

#include <stdbool.h>
#include <stdint.h>

/// How the equations are applied.
enum pbitc_energy_convention {
    PBITC_ENERGY_EXACT, ///< layer by layer, with the network's own widths, activities and image layer
    PBITC_ENERGY_PAPER, ///< as the paper counts: every neuron has the mean fan-in and p-bits as inputs
};
extern const char *const pbitc_energy_convention_names[]; ///< closed by NULL

enum pbitc_energy_kind {
    PBITC_ENERGY_SYNAPSES, ///< weights and the sums they enter
    PBITC_ENERGY_NEURONS,
    PBITC_ENERGY_OUTPUTS, ///< of the network: their passes are summed up
};

enum {
    PBITC_ENERGY_PBITS = 0,         ///< for numbers of bits: p-bits, one bit per draw
    PBITC_ENERGY_IMAGE_BITS = 8,    ///< of inputs and of exact and noisy neurons
    PBITC_ENERGY_FULL_BITS = 32,    ///< of the deterministic network and of what constants are given for
    PBITC_ENERGY_UNIT_FACTOR = 256, ///< a draw factor of 1 (runtime/FORMAT.md)
};

struct pbitc_energy_layer {
    const char *name; ///< the node's
    const char *type; ///< "synapses", the type of its neurons, or "output"
    enum pbitc_energy_kind kind;
    bool random; ///< works in every pass; else once per image

    // Synapses.
    uint64_t weights;     ///< n_weights: weights and biases
    uint64_t memory_bits; ///< that hold them, with the factors of their rounding
    uint32_t weight_bits; ///< b_w
    uint64_t macs;        ///< n_mac, per pass
    uint64_t fan_in;      ///< n, weights of one neuron
    uint32_t input_bits;  ///< b_a of the inputs; PBITC_ENERGY_PBITS: their draws
    uint32_t draw_factor; ///< inputs draw m * draw_factor / 256 p-bits
    double activity;      ///< share of ones among the p-bits they read

    // Neurons and outputs.
    uint64_t neurons;     ///< n_neurons of this type; outputs: elements
    uint32_t output_bits; ///< b_a of what they send; PBITC_ENERGY_PBITS: their draws (draw_factor)
    bool noisy;           ///< adds a random number to a multi-bit activation
    bool recalled;        ///< its sums are computed once per image and read again in every further pass
};

struct pbitc_energy_network {
    enum pbitc_energy_convention convention;
    size_t layer_count;
    struct pbitc_energy_layer *layers;
};

/// In nJ.
struct pbitc_energy {
    double weights; ///< reading them, once per image
    double first;   ///< all of the first pass, `weights` and what is computed once per image included
    double further; ///< each further pass
};

/// Of one layer, or of the network, drawing m p-bits per neuron and pass.
struct pbitc_energy pbitc_energy_of_layer(const struct pbitc_energy_network *network,
                                          const struct pbitc_energy_layer *layer,
                                          const struct pbitc_energy_constants *constants, uint32_t draws);
struct pbitc_energy pbitc_energy_of_pbits(const struct pbitc_energy_network *network,
                                          const struct pbitc_energy_constants *constants, uint32_t draws);
/// Draws per pass of the p-bits that a layer makes or reads.
uint32_t pbitc_energy_draws(const struct pbitc_energy_layer *layer, uint32_t draws);
/// Accumulations per pass and synapse that reads p-bits: what each draws, weighted by those who read it. 0
/// when there are no p-bits.
double pbitc_energy_mean_draws(const struct pbitc_energy_network *network, uint32_t draws);
/// All of `samples` passes.
double pbitc_energy_total(struct pbitc_energy energy, uint32_t samples);

/// The deterministic network in one pass, in nJ. bits 1..8: the same weights, and activations of so many bits
/// in place of the p-bits; 32: weights, image and activations of 32 bits.
double pbitc_energy_of_twin(const struct pbitc_energy_network *network,
                            const struct pbitc_energy_constants *constants, uint32_t bits);

/// Replaces fan-ins and MACs by the paper's: each neuron of the layers has the mean fan-in, rounded to a
/// whole number as the paper gives it. Layers of synapses have `neurons` set.
void pbitc_energy_average_fan_in(struct pbitc_energy_network *network);

#endif
