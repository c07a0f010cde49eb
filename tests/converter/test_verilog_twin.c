// The deterministic twin: its reference, against libpbit where both must agree and against the definition.
#include "converter/export/verilog/verilog_twin.h"

#include "tests/run_suite.h"
#include "tests/runtime/random_program.h"

#include <math.h>
#include <stdlib.h>

enum { PROGRAMS = 400, OPERATIONS = 6, LEAST_COMPARED = 20, BITS = 8 };

static bool has_neurons(const struct pbit_model *model)
{
    for (uint32_t i = 0; i < model->operation_count; i++)
        if (pbit_model_operation(model, i).kind == PBIT_OPERATION_NEURON)
            return true;
    return false;
}

START_TEST(without_neurons_it_is_libpbit)
{
    int compared = 0;
    for (uint32_t seed = 1; seed <= PROGRAMS; seed++) {
        struct test_file file = random_program(seed, OPERATIONS);
        struct test_buffers buffers = test_buffers_create(&file, seed);
        const struct pbit_options options = {.samples = 1};
        if (!has_neurons(&buffers.model)) {
            int64_t *sums[PBIT_PORTS_LIMIT];
            for (uint32_t o = 0; o < buffers.model.output_count; o++)
                sums[o] = calloc(pbit_model_output(&buffers.model, o).elements, sizeof(int64_t));
            ck_assert_int_eq(test_run(&buffers, &options), PBIT_OK);
            ck_assert_int_eq(
                pbitc_twin_run(&buffers.model, BITS, (const uint8_t *const *)buffers.inputs, sums), PBIT_OK);
            for (uint32_t o = 0; o < buffers.model.output_count; o++) {
                size_t bytes = pbit_model_output(&buffers.model, o).elements * sizeof(int64_t);
                ck_assert_mem_eq(sums[o], buffers.sums[o], bytes);
                free(sums[o]);
            }
            compared++;
        }
        test_buffers_free(&buffers);
        test_file_free(&file);
    }
    ck_assert_int_ge(compared, LEAST_COMPARED);
}
END_TEST

START_TEST(linear_table_has_the_middle_of_each_step)
{
    struct test_file file = one_layer_program(1, 256, 256, PBIT_SAMPLER_STRATIFIED);
    struct test_buffers buffers = test_buffers_create(&file, 1);
    struct pbit_operation neuron = pbit_model_operation(&buffers.model, 1);
    struct pbitc_twin_table table;
    pbitc_twin_table_fill(&table, &buffers.model, &neuron, BITS);
    for (int64_t i = 0; i < PBITC_TWIN_ENTRIES; i++) {
        int64_t middle = table.start + (i << table.shift) + ((int64_t)1 << table.shift) / 2;
        int64_t level = (middle * 256 + PBIT_ONE / 2) / PBIT_ONE;
        ck_assert_int_eq(table.levels[i], level > 255 ? 255 : level);
    }
    test_buffers_free(&buffers);
    test_file_free(&file);
}
END_TEST

/// Pixel q gives z = 256 q, the neuron q / 256 of the range, and the output layer that times its scale.
START_TEST(one_layer_gives_the_value_of_its_level)
{
    struct test_file file = one_layer_program(4, 256, 256, PBIT_SAMPLER_STRATIFIED);
    struct test_buffers buffers = test_buffers_create(&file, 1);
    struct pbit_operation neuron = pbit_model_operation(&buffers.model, 1),
                          last = pbit_model_operation(&buffers.model, 2);
    struct pbitc_twin_table table;
    for (uint32_t bits = 2; bits <= PBITC_TWIN_BITS_LIMIT; bits++)
        for (int q = 0; q < 256; q++) {
            buffers.inputs[0][0] = (uint8_t)q;
            ck_assert_int_eq(
                pbitc_twin_run(&buffers.model, bits, (const uint8_t *const *)buffers.inputs, buffers.sums),
                PBIT_OK);
            pbitc_twin_table_fill(&table, &buffers.model, &neuron, bits);
            int64_t step = (256 * q - table.start) >> table.shift;
            int64_t level = table.levels[step < 0 ? 0 : step > 255 ? 255 : step];
            int64_t multiplier = pbit_load_i32(buffers.model.bytes + last.multipliers);
            int64_t expected = pbit_round_shift(level * multiplier, last.shift + bits);
            for (int i = 0; i < 4; i++)
                ck_assert_int_eq(buffers.sums[0][i], expected);
        }
    test_buffers_free(&buffers);
    test_file_free(&file);
}
END_TEST

/// Draws of one LFSR overlap, which triples the variance at most: successive draws correlate by 1/2, 1/4, ..
START_TEST(classic_pbits_draw_the_probability_of_their_table)
{
    enum { PASSES = 4096, SIGMAS = 6, INFLATION = 3, NEURONS = 4 };
    struct test_file file = one_layer_program(NEURONS, 256, 256, PBIT_SAMPLER_STRATIFIED);
    struct test_buffers buffers = test_buffers_create(&file, 1);
    struct pbit_operation neuron = pbit_model_operation(&buffers.model, 1),
                          last = pbit_model_operation(&buffers.model, 2);
    struct pbitc_twin_table table;
    pbitc_twin_table_fill(&table, &buffers.model, &neuron, PBITC_LFSR_BITS);
    int64_t one = pbit_round_shift(pbit_load_i32(buffers.model.bytes + last.multipliers), last.shift);
    for (int q = 0; q < 256; q += 51) {
        buffers.inputs[0][0] = (uint8_t)q;
        ck_assert_int_eq(
            pbitc_lfsr_run(&buffers.model, PASSES, (const uint8_t *const *)buffers.inputs, buffers.sums),
            PBIT_OK);
        int64_t step = (256 * q - table.start) >> table.shift;
        double p = table.levels[step < 0 ? 0 : step > 255 ? 255 : step] / 256.0;
        double bound = SIGMAS * sqrt(INFLATION * PASSES * p * (1 - p));
        for (int i = 0; i < NEURONS; i++) {
            ck_assert_int_eq(buffers.sums[0][i] % one, 0);
            ck_assert_double_le(fabs((double)(buffers.sums[0][i] / one) - PASSES * p), bound);
        }
    }
    test_buffers_free(&buffers);
    test_file_free(&file);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("verilog_twin");
    TCase *tcase = tcase_create("twin");
    tcase_add_test(tcase, without_neurons_it_is_libpbit);
    tcase_add_test(tcase, linear_table_has_the_middle_of_each_step);
    tcase_add_test(tcase, one_layer_gives_the_value_of_its_level);
    tcase_add_test(tcase, classic_pbits_draw_the_probability_of_their_table);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
