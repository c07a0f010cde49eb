// Random .pbit programs, and buffers to run a file in.
#ifndef PBIT_TESTS_RANDOM_PROGRAM_H
#define PBIT_TESTS_RANDOM_PROGRAM_H

#include "passes/program.h"

#include <stdbool.h>

/// xorshift32; never 0.
struct test_random {
    uint32_t state;
};

uint32_t random_word(struct test_random *random);
/// low..high.
int64_t random_range(struct test_random *random, int64_t low, int64_t high);
bool random_chance(struct test_random *random, int percent);

/// A file in memory of its own (malloc), so that sanitizers see every byte read beyond it.
struct test_file {
    uint8_t *bytes;
    size_t size;
};

struct test_file test_file_copy(const uint8_t *bytes, size_t size);
void test_file_free(struct test_file *file);
void test_file_seal(struct test_file *file); ///< computes the CRC anew
uint32_t test_file_word(const struct test_file *file, size_t offset);
void test_file_set(struct test_file *file, size_t offset, uint32_t word);
/// Offset of word w of operation i.
size_t test_file_operation(const struct test_file *file, uint32_t operation, uint32_t w);
size_t test_file_tensor(const struct test_file *file, uint32_t tensor, size_t field);

/// Programs of up to `operations` operations on tensors of a few hundred elements.
struct test_file random_program(uint32_t seed, int operations);

/// Convolutional networks with residuals and pools, most of whose p-bits draw once when m = 1.
struct test_file random_network(uint32_t seed);

/// Input -> CONV -> p-bit of `function` and rho -> CONV -> output: 1 x 1 x inputs, neurons, 1. The first CONV
/// copies input i % inputs to neuron i times 256, so that pixel q gives z = 256 q.
struct test_file one_layer_program(uint32_t neurons, uint32_t rho, uint32_t draw_factor,
                                   enum pbit_sampler sampler);

/// What pbit_run needs besides the options.
struct test_buffers {
    struct pbit_model model;
    uint8_t *inputs[PBIT_PORTS_LIMIT];
    int64_t *sums[PBIT_PORTS_LIMIT];
    void *workspace;
    size_t workspace_bytes;
};

/// Opens the file and makes the buffers, inputs filled with random pixels.
struct test_buffers test_buffers_create(const struct test_file *file, uint32_t seed);
void test_buffers_free(struct test_buffers *buffers);
enum pbit_status test_run(struct test_buffers *buffers, const struct pbit_options *options);

#endif
