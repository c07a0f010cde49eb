// The folding chosen for a budget, and the cost model behind it.
#include "converter/export/verilog/verilog_cost.h"

#include "tests/run_suite.h"
#include "tests/runtime/random_program.h"

#include <string.h>

enum { NEURONS = 48 };

static struct test_file file;
static struct test_buffers buffers;
static struct pbitc_verilog_plan plan;
static struct pbitc_diagnostics *diagnostics;

static void make_plan(void)
{
    file = one_layer_program(NEURONS, 256, 256, PBIT_SAMPLER_STRATIFIED);
    buffers = test_buffers_create(&file, 1);
    diagnostics = pbitc_diagnostics_create();
    struct pbitc_verilog_wish wish = {.draws = 1, .max_samples = 4, .tile = 1};
    ck_assert_int_eq(pbitc_verilog_plan_make(&plan, &buffers.model, &wish, diagnostics), PBIT_OK);
}

static void free_plan(void)
{
    pbitc_verilog_plan_free(&plan);
    pbitc_diagnostics_destroy(diagnostics);
    test_buffers_free(&buffers);
    test_file_free(&file);
}

static uint64_t fold(struct pbitc_verilog_budget budget)
{
    budget.samples = 1;
    ck_assert_int_eq(pbitc_verilog_fold(&plan, &budget, diagnostics), PBIT_OK);
    return pbitc_verilog_cycles(&plan, 1);
}

START_TEST(more_luts_are_never_slower)
{
    uint64_t smallest = fold((struct pbitc_verilog_budget){0}), before = smallest;
    double least = pbitc_verilog_plan_cost(&plan).luts;
    for (uint64_t luts = (uint64_t)least + 1; luts < 12 * (uint64_t)least; luts += 500) {
        uint64_t cycles = fold((struct pbitc_verilog_budget){.luts = luts});
        ck_assert_uint_le(cycles, before);
        ck_assert(pbitc_verilog_plan_cost(&plan).luts <= (double)luts);
        before = cycles;
    }
    ck_assert_uint_lt(2 * before, smallest);
}
END_TEST

START_TEST(frame_rate_is_reached_with_little)
{
    uint64_t slow = fold((struct pbitc_verilog_budget){0});
    double least = pbitc_verilog_plan_cost(&plan).luts;
    fold((struct pbitc_verilog_budget){.luts = 1000000});
    double most = pbitc_verilog_plan_cost(&plan).luts;
    double frames = 1e8 / ((double)slow * 0.7);
    uint64_t cycles = fold((struct pbitc_verilog_budget){.frames_per_second = frames, .clock_mhz = 100});
    double luts = pbitc_verilog_plan_cost(&plan).luts;
    ck_assert((double)cycles <= 1e8 / frames);
    ck_assert(luts > least && luts < most);
}
END_TEST

static void refuse(struct pbitc_verilog_budget budget, enum pbit_status status, const char *text)
{
    budget.samples = 1;
    size_t before = pbitc_diagnostics_count(diagnostics);
    ck_assert_int_eq(pbitc_verilog_fold(&plan, &budget, diagnostics), status);
    ck_assert_uint_gt(pbitc_diagnostics_count(diagnostics), before);
    const struct pbitc_problem *problem = pbitc_diagnostics_get(diagnostics, before);
    ck_assert_msg(strstr(problem->message, text) != NULL, "%s", problem->message);
}

START_TEST(what_cannot_hold_the_net_is_refused)
{
    refuse((struct pbitc_verilog_budget){.luts = 100}, PBIT_ERROR_RANGE, "the smallest design takes about");
    refuse((struct pbitc_verilog_budget){.frames_per_second = 1e9, .clock_mhz = 100}, PBIT_ERROR_RANGE,
           "the fastest design that can be built takes");
}
END_TEST

START_TEST(parallel_is_obeyed_or_refused)
{
    const char *name = pbitc_verilog_stage_name(&plan, &plan.stages[0]);
    char text[200];
    snprintf(text, sizeof(text), "%s=6x1", name);
    fold((struct pbitc_verilog_budget){.parallel = text, .luts = 100000});
    ck_assert_uint_eq(plan.stages[0].neurons, 6);
    ck_assert_uint_eq(plan.stages[0].inputs, 1);
    snprintf(text, sizeof(text), "%s=6x3", name);
    refuse((struct pbitc_verilog_budget){.parallel = text}, PBIT_ERROR_ARGUMENT, "6x3 cannot be built");
    refuse((struct pbitc_verilog_budget){.parallel = "nobody=1x1"}, PBIT_ERROR_ARGUMENT, "no layer 'nobody'");
    refuse((struct pbitc_verilog_budget){.parallel = "a=1x1x"}, PBIT_ERROR_ARGUMENT,
           "'a=1x1x' is not LAYER=NEURONSxINPUTS");
    refuse((struct pbitc_verilog_budget){.parallel = ""}, PBIT_ERROR_ARGUMENT, "'' is not LAYER");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("verilog_fold");
    TCase *tcase = tcase_create("fold");
    tcase_add_checked_fixture(tcase, make_plan, free_plan);
    tcase_add_test(tcase, more_luts_are_never_slower);
    tcase_add_test(tcase, frame_rate_is_reached_with_little);
    tcase_add_test(tcase, what_cannot_hold_the_net_is_refused);
    tcase_add_test(tcase, parallel_is_obeyed_or_refused);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
