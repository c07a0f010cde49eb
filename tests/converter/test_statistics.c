#include "converter/statistics.h"
#include "tests/run_suite.h"

#include <check.h>
#include <stdlib.h>

/// The intervals that samples/mnist/models.json gives, computed by another program.
START_TEST(wilson_agrees_with_published_intervals)
{
    static const struct {
        double fraction, low, high;
    } cases[] = {{0.9550, 0.950759, 0.958891}, {0.9733, 0.969954, 0.976282}, {0.9890, 0.986760, 0.990865}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pbitc_interval interval = pbitc_wilson(cases[i].fraction, 10000);
        ck_assert_double_eq_tol(interval.low, cases[i].low, 1e-6);
        ck_assert_double_eq_tol(interval.high, cases[i].high, 1e-6);
    }
}
END_TEST

START_TEST(wilson_stays_within_0_and_1)
{
    struct pbitc_interval none = pbitc_wilson(0, 10), all = pbitc_wilson(1, 10), unknown = pbitc_wilson(0, 0);
    ck_assert_double_eq(none.low, 0);
    ck_assert_double_eq_tol(none.high, 0.277533, 1e-6);
    ck_assert_double_eq_tol(all.low, 1 - 0.277533, 1e-6);
    ck_assert_double_eq(all.high, 1);
    ck_assert(unknown.low == 0 && unknown.high == 1);
}
END_TEST

START_TEST(two_proportion_z_agrees_with_hand_computation)
{
    // pooled 0.55, variance 0.55 * 0.45 * (1/100 + 1/100) = 0.00495, 0.1 / sqrt(0.00495)
    ck_assert_double_eq_tol(pbitc_two_proportion_z(0.5, 100, 0.6, 100), 1.421338, 1e-6);
    ck_assert_double_eq_tol(pbitc_two_proportion_z(0.6, 100, 0.5, 100), -1.421338, 1e-6);
}
END_TEST

START_TEST(two_proportion_z_of_certain_outcomes_is_0)
{
    ck_assert_double_eq(pbitc_two_proportion_z(1, 50, 1, 60), 0);
    ck_assert_double_eq(pbitc_two_proportion_z(0, 50, 0, 60), 0);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("statistics");
    tcase_add_test(tests, wilson_agrees_with_published_intervals);
    tcase_add_test(tests, wilson_stays_within_0_and_1);
    tcase_add_test(tests, two_proportion_z_agrees_with_hand_computation);
    tcase_add_test(tests, two_proportion_z_of_certain_outcomes_is_0);
    Suite *suite = suite_create("statistics");
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
