// The pieces of which random programs are made.
#ifndef PBIT_TESTS_RANDOM_GENERATOR_H
#define PBIT_TESTS_RANDOM_GENERATOR_H

#include "tests/runtime/random_program.h"

struct generator {
    struct test_random random;
    struct pbitc_program *program;
    uint32_t layers;
};

int64_t generator_pick(struct generator *g, int64_t low, int64_t high); ///< low..high
bool generator_chance(struct generator *g, int percent);

struct pbitc_program *generator_start(enum pbit_sampler sampler);
/// Serializes the program and destroys its arena.
struct test_file generator_finish(struct pbitc_program *program);

uint32_t generator_add_tensor(struct pbitc_program *program, uint32_t kind, uint32_t factor, uint32_t height,
                              uint32_t width, uint32_t channels);
void generator_add_input(struct pbitc_program *program, uint32_t height, uint32_t width, uint32_t channels);
void generator_add_output(struct pbitc_program *program, uint32_t tensor);

/// Weights, multipliers and so on of a CONV whose window and groups are set.
void generator_fill_conv(struct generator *g, struct pbitc_program_operation *conv, uint32_t in_channels,
                         uint32_t out_channels);
/// Any NEURON. Returns its tensor.
uint32_t generator_add_neuron(struct generator *g, uint32_t from);

#endif
