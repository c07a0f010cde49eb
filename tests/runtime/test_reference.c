// pbit_run against the literal implementation of runtime/FORMAT.md, bit for bit, on random programs.
#include "tests/run_suite.h"
#include "tests/runtime/random_program.h"
#include "tests/runtime/reference.h"

#include <check.h>
#include <stdlib.h>

enum { PROGRAMS = 150, OPERATIONS = 9 };

static void compare(const struct test_file *file, struct test_buffers *buffers,
                    const struct pbit_options *options, uint32_t seed)
{
    int64_t *expected[PBIT_PORTS_LIMIT];
    for (uint32_t o = 0; o < buffers->model.output_count; o++)
        expected[o] = calloc(pbit_model_output(&buffers->model, o).elements, sizeof(int64_t));
    struct reference_run run = {options->seed, options->image, options->draws, options->samples,
                                options->sampler};
    reference_execute(file->bytes, &run, (const uint8_t *const *)buffers->inputs, expected);
    ck_assert_int_eq(test_run(buffers, options), PBIT_OK);
    for (uint32_t o = 0; o < buffers->model.output_count; o++) {
        size_t elements = pbit_model_output(&buffers->model, o).elements;
        for (size_t i = 0; i < elements; i++)
            ck_assert_msg(buffers->sums[o][i] == expected[o][i],
                          "program %u, m %u, T %u, sampler %d: output %u[%zu] is %lld, not %lld", seed,
                          options->draws, options->samples, (int)options->sampler, o, i,
                          (long long)buffers->sums[o][i], (long long)expected[o][i]);
        free(expected[o]);
    }
}

/// What a set of programs covered.
static struct {
    unsigned kinds, weight_bits, functions, neurons, samplers;
    int factors, zeros, strides, dilations, groups, draw_factors;
} covered;

static void note_conv(const struct pbit_operation *conv)
{
    covered.weight_bits |= 1u << conv->weight_bits;
    covered.factors += conv->weight_group != 0;
    covered.strides += conv->window.stride_y > 1 || conv->window.stride_x > 1;
    covered.dilations += conv->window.dilation_y > 1 || conv->window.dilation_x > 1;
    covered.groups += conv->groups > 1;
    covered.zeros += conv->zeros && (conv->window.pad_y > 0 || conv->window.pad_x > 0);
}

static void note(const struct pbit_model *model)
{
    covered.samplers |= 1u << pbit_model_sampler(model);
    for (uint32_t i = 0; i < model->operation_count; i++) {
        struct pbit_operation operation = pbit_model_operation(model, i);
        covered.kinds |= 1u << operation.kind;
        if (operation.kind == PBIT_OPERATION_CONV)
            note_conv(&operation);
        if (operation.kind == PBIT_OPERATION_NEURON) {
            covered.functions |= 1u << operation.function;
            covered.neurons |= 1u << (operation.neuron * 2 + (operation.amplitude != 0));
            uint32_t factor = pbit_model_tensor(model, operation.output).draw_factor;
            covered.draw_factors += factor != 256 && factor != 0;
        }
    }
}

START_TEST(random_programs_give_the_specified_bits)
{
    static const uint32_t sample_counts[] = {1, 2, 3, 4, 5, 7, 8};
    for (uint32_t seed = 1; seed <= PROGRAMS; seed++) {
        struct test_random random = {seed};
        random_word(&random);
        struct test_file file = random_program(seed, OPERATIONS);
        struct test_buffers buffers = test_buffers_create(&file, seed);
        note(&buffers.model);
        uint32_t most = pbit_model_max_draws(&buffers.model);
        for (int i = 0; i < 3; i++) {
            uint32_t draws = (uint32_t)random_range(&random, 1, random_chance(&random, 20) ? 255 : 6);
            struct pbit_options options = {
                .seed = (uint64_t)random_word(&random) << 32 | random_word(&random),
                .image = (uint64_t)(random_word(&random) & 3) << 32 | random_word(&random),
                .draws = draws > most ? most : draws,
                .samples = sample_counts[random_range(&random, 0, 6)],
                .sampler = (enum pbit_sampler)(1 + i),
            };
            compare(&file, &buffers, &options, seed);
        }
        test_buffers_free(&buffers);
        test_file_free(&file);
    }
    ck_assert_uint_eq(covered.kinds, 0xFE);
    ck_assert_uint_eq(covered.weight_bits, 0x1FE);
    ck_assert_uint_eq(covered.functions, 7);
    ck_assert_uint_eq(covered.neurons, 15); // rho 0 and more, noise 0 and more
    ck_assert_uint_eq(covered.samplers, 6);
    ck_assert_int_gt(covered.factors, 20);
    ck_assert_int_gt(covered.zeros, 20);
    ck_assert_int_gt(covered.strides, 20);
    ck_assert_int_gt(covered.dilations, 20);
    ck_assert_int_gt(covered.groups, 20);
    ck_assert_int_gt(covered.draw_factors, 20);
}
END_TEST

START_TEST(many_passes_give_the_specified_bits)
{
    static const uint32_t sample_counts[] = {33, 64, 100};
    for (uint32_t seed = 1; seed <= 12; seed++) {
        struct test_file file =
            one_layer_program(40, seed % 4 == 0 ? 256 : 64 * (seed % 4), 256, PBIT_SAMPLER_STRATIFIED);
        struct test_buffers buffers = test_buffers_create(&file, seed);
        for (int i = 0; i < 3; i++) {
            struct pbit_options options = {.seed = seed,
                                           .image = 1,
                                           .draws = 1 + seed % 3,
                                           .samples = sample_counts[i],
                                           .sampler = (enum pbit_sampler)(1 + seed % 2)};
            compare(&file, &buffers, &options, seed);
        }
        test_buffers_free(&buffers);
        test_file_free(&file);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reference");
    TCase *programs = tcase_create("programs");
    tcase_set_timeout(programs, 120);
    tcase_add_test(programs, random_programs_give_the_specified_bits);
    tcase_add_test(programs, many_passes_give_the_specified_bits);
    suite_add_tcase(suite, programs);
    return run_suite(suite);
}
