// One layer draws, the others do not: on random programs.
#include "converter/isolate_layer.h"
#include "runtime/format.h"
#include "tests/run_suite.h"
#include "tests/runtime/random_program.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { PROGRAMS = 150, OPERATIONS = 9, SAMPLES = 2 };

/// Every NEURON of the isolated file is as it should be.
static void check_neurons(const struct pbit_model *model, const struct pbit_model *isolated, uint32_t kept)
{
    for (uint32_t i = 0; i < model->operation_count; i++) {
        struct pbit_layer before = pbit_model_layer(model, i), after = pbit_model_layer(isolated, i);
        if (before.kind != PBIT_OPERATION_NEURON)
            continue;
        bool silenced = before.draws && i != kept;
        ck_assert_int_eq(after.multibit, silenced ? 1 : before.multibit);
        ck_assert_uint_eq(after.amplitude, silenced ? 1 : before.amplitude);
        ck_assert_uint_eq(after.draw_factor, silenced ? 0 : before.draw_factor);
    }
}

static uint32_t count_drawing(const struct pbit_model *model)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < model->operation_count; i++)
        count += pbit_model_layer(model, i).draws != 0;
    return count;
}

static void expect_same_sums(struct test_buffers *a, struct test_buffers *b)
{
    struct pbit_options options = {.seed = 5, .image = 6, .draws = 1, .samples = SAMPLES};
    ck_assert_int_eq(test_run(a, &options), PBIT_OK);
    ck_assert_int_eq(test_run(b, &options), PBIT_OK);
    for (uint32_t o = 0; o < a->model.output_count; o++)
        ck_assert_int_eq(
            memcmp(a->sums[o], b->sums[o], pbit_model_output(&a->model, o).elements * sizeof(int64_t)), 0);
}

/// Isolates in a copy that earlier calls have changed; the result is that of a fresh copy, and it runs.
static bool try_layer(const struct test_file *file, struct test_buffers *buffers, uint32_t operation,
                      struct test_file *changed, uint32_t seed)
{
    struct test_file fresh = test_file_copy(file->bytes, file->size);
    bool good = pbitc_layer_can_isolate(&buffers->model, operation, changed->bytes);
    ck_assert_int_eq(pbitc_layer_can_isolate(&buffers->model, operation, fresh.bytes), good);
    ck_assert_int_eq(memcmp(fresh.bytes, changed->bytes, file->size), 0);
    if (good) {
        struct test_buffers isolated = test_buffers_create(&fresh, seed);
        check_neurons(&buffers->model, &isolated.model, operation);
        struct pbit_options options = {.draws = 1, .samples = SAMPLES};
        ck_assert_int_eq(test_run(&isolated, &options), PBIT_OK);
        if (count_drawing(&buffers->model) == 1)
            expect_same_sums(buffers, &isolated);
        test_buffers_free(&isolated);
    }
    test_file_free(&fresh);
    return good;
}

START_TEST(one_layer_draws_and_the_others_do_not)
{
    int isolated = 0, alone = 0, refused = 0;
    for (uint32_t seed = 1; seed <= PROGRAMS; seed++) {
        struct test_file file = random_program(seed, OPERATIONS);
        struct test_buffers buffers = test_buffers_create(&file, seed);
        struct test_file changed = test_file_copy(file.bytes, file.size);
        for (uint32_t i = 0; i < buffers.model.operation_count; i++) {
            if (!pbit_model_layer(&buffers.model, i).draws)
                continue;
            bool good = try_layer(&file, &buffers, i, &changed, seed);
            isolated += good;
            refused += !good;
            alone += good && count_drawing(&buffers.model) == 1;
        }
        test_file_free(&changed);
        test_buffers_free(&buffers);
        test_file_free(&file);
    }
    ck_assert_int_gt(isolated, PROGRAMS / 2);
    ck_assert_int_gt(alone, 5);
    ck_assert_int_lt(refused, isolated);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("isolate_layer");
    tcase_add_test(tests, one_layer_draws_and_the_others_do_not);
    Suite *suite = suite_create("isolate_layer");
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
