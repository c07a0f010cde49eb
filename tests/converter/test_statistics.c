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

/// 10 images got better, 3 worse. Of 13 coins P(X > 10) = (78 + 13 + 1) / 8192, P(X = 10) = 286 / 8192.
START_TEST(paired_test_of_one_seed_is_mcnemars_with_mid_p)
{
    uint64_t better = 10, worse = 3;
    struct pbitc_paired paired = pbitc_paired_test(&better, &worse, 1);
    double rise = (92 + 286 / 2.0) / 8192;
    ck_assert_double_eq_tol(paired.p_fall, 1 - rise, 1e-5);
    ck_assert_double_eq_tol(paired.p_value, 2 * rise, 1e-6);
    ck_assert_double_eq_tol(paired.z, 7 / 3.60555127546, 1e-9);
    ck_assert(paired.better == 10 && paired.worse == 3);
    paired = pbitc_paired_test(&worse, &better, 1);
    ck_assert_double_eq_tol(paired.p_fall, rise, 1e-6);
}
END_TEST

/// Differences +1, +1, -2 and -3 against all 16 ways to give them signs.
START_TEST(paired_test_weighs_differences_like_all_sign_assignments)
{
    uint64_t better[3] = {2, 0, 0}, worse[3] = {0, 1, 1};
    static const int sizes[] = {1, 1, 2, 3};
    double below = 0, equal = 0;
    for (int signs = 0; signs < 16; signs++) {
        int up = 0;
        for (int i = 0; i < 4; i++)
            up += signs >> i & 1 ? sizes[i] : 0;
        below += up < 2;
        equal += up == 2;
    }
    struct pbitc_paired paired = pbitc_paired_test(better, worse, 3);
    ck_assert_double_eq_tol(paired.p_fall, (below + equal / 2) / 16, 1e-6);
    ck_assert_double_eq_tol(paired.z, -3 / 3.87298334621, 1e-9);
}
END_TEST

/// Either side of the number of pairs from which on the normal distribution stands in, both nearly agree.
START_TEST(paired_test_is_continuous_where_it_turns_normal)
{
    uint64_t few[2] = {690, 724}, many[2] = {691, 724};
    struct pbitc_paired exact = pbitc_paired_test(&few[0], &few[1], 1);
    struct pbitc_paired normal = pbitc_paired_test(&many[0], &many[1], 1);
    ck_assert(exact.p_fall != normal.p_fall);
    ck_assert_double_eq_tol(exact.p_fall, pbitc_normal(exact.z), 1e-4);
    ck_assert_double_eq_tol(normal.p_fall, pbitc_normal(normal.z), 1e-6);
}
END_TEST

START_TEST(paired_test_without_differences_finds_none)
{
    uint64_t none = 0;
    struct pbitc_paired paired = pbitc_paired_test(&none, &none, 1);
    ck_assert(paired.z == 0 && paired.p_value == 1 && paired.p_fall == 0.5);
}
END_TEST

START_TEST(normal_agrees_with_its_quantiles)
{
    ck_assert_double_eq(pbitc_normal(0), 0.5);
    ck_assert_double_eq_tol(pbitc_normal(PBITC_Z_95), 0.975, 1e-12);
    ck_assert_double_eq_tol(pbitc_normal(-PBITC_Z_95), 0.025, 1e-12);
    ck_assert_double_eq_tol(pbitc_normal_quantile(0.975), PBITC_Z_95, 1e-12);
    ck_assert_double_eq_tol(pbitc_normal_quantile(0.5), 0, 1e-12);
}
END_TEST

/// Holm's own steps: 0.01 <= 0.05/4, 0.013 <= 0.05/3, but 0.03 > 0.05/2 stops, whatever follows.
START_TEST(holm_stops_at_the_first_that_is_too_likely)
{
    static const double chances[] = {0.03, 0.01, 0.04, 0.013};
    unsigned char significant[4];
    ck_assert_uint_eq(pbitc_holm(chances, 4, 0.05, significant), 2);
    ck_assert(!significant[0] && significant[1] && !significant[2] && significant[3]);
    ck_assert_uint_eq(pbitc_holm(chances, 0, 0.05, significant), 0);
}
END_TEST

START_TEST(spread_is_the_standard_deviation_of_a_sample)
{
    static const double values[] = {1, 2, 4};
    ck_assert_double_eq_tol(pbitc_spread(values, 3), 1.527525, 1e-6);
    ck_assert_double_eq(pbitc_spread(values, 1), 0);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("statistics");
    tcase_add_test(tests, wilson_agrees_with_published_intervals);
    tcase_add_test(tests, wilson_stays_within_0_and_1);
    tcase_add_test(tests, two_proportion_z_agrees_with_hand_computation);
    tcase_add_test(tests, two_proportion_z_of_certain_outcomes_is_0);
    tcase_add_test(tests, paired_test_of_one_seed_is_mcnemars_with_mid_p);
    tcase_add_test(tests, paired_test_weighs_differences_like_all_sign_assignments);
    tcase_add_test(tests, paired_test_is_continuous_where_it_turns_normal);
    tcase_add_test(tests, paired_test_without_differences_finds_none);
    tcase_add_test(tests, normal_agrees_with_its_quantiles);
    tcase_add_test(tests, holm_stops_at_the_first_that_is_too_likely);
    tcase_add_test(tests, spread_is_the_standard_deviation_of_a_sample);
    Suite *suite = suite_create("statistics");
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
