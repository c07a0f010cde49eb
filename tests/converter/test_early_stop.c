// When an image has had passes enough.
#include "converter/early_stop.h"
#include "converter/statistics.h"
#include "tests/run_suite.h"

#include <check.h>
#include <math.h>

enum { OUTPUTS = 3, LIMIT = 16 };

static struct pbitc_pass_record record;

static void set_up(void)
{
    ck_assert(pbitc_pass_record_make(&record, OUTPUTS, LIMIT));
}

static void tear_down(void)
{
    pbitc_pass_record_free(&record);
}

/// Adds one pass after the other; passes[count][OUTPUTS].
static void add_passes(const int64_t passes[][OUTPUTS], uint32_t count)
{
    int64_t sums[OUTPUTS] = {0};
    for (uint32_t pass = 0; pass < count; pass++) {
        for (int i = 0; i < OUTPUTS; i++)
            sums[i] += passes[pass][i];
        pbitc_pass_record_add(&record, pass + 1, sums);
    }
}

START_TEST(margin_is_the_leading_outputs_over_the_next_one)
{
    // Output 2 leads with 30, output 0 follows with 24: 6 in three passes, which differ by 2 + 4, 2 - 8, 2
    // + 4.
    static const int64_t passes[][OUTPUTS] = {{4, 0, 10}, {14, 1, 8}, {6, 20, 12}};
    add_passes(passes, 3);
    struct pbitc_margin margin = pbitc_pass_record_margin(&record);
    ck_assert_double_eq(margin.sum, 6);
    ck_assert_double_eq(margin.deviations, 16 + 64 + 16);
}
END_TEST

START_TEST(one_pass_has_no_deviation_and_begins_another_image)
{
    static const int64_t first[][OUTPUTS] = {{4, 0, 10}, {14, 1, 8}}, second[][OUTPUTS] = {{-5, -9, -7}};
    add_passes(first, 2);
    add_passes(second, 1);
    struct pbitc_margin margin = pbitc_pass_record_margin(&record);
    ck_assert_double_eq(margin.sum, 2);
    ck_assert_double_eq(margin.deviations, 0);
}
END_TEST

START_TEST(of_equal_outputs_none_is_sure)
{
    static const int64_t passes[][OUTPUTS] = {{1, 7, 7}};
    add_passes(passes, 1);
    struct pbitc_margin margin = pbitc_pass_record_margin(&record);
    ck_assert_double_eq(margin.sum, 0);
    ck_assert(!pbitc_margin_is_sure(margin, 0, pbitc_normal_quantile(0.99)));
}
END_TEST

START_TEST(passes_beyond_the_limit_are_ignored)
{
    int64_t sums[OUTPUTS] = {0};
    for (uint32_t pass = 1; pass <= LIMIT + 3; pass++) {
        sums[1] += 2;
        pbitc_pass_record_add(&record, pass, sums);
    }
    ck_assert_uint_eq(record.passes, LIMIT);
    ck_assert_double_eq(pbitc_pass_record_margin(&record).sum, 2 * LIMIT);
}
END_TEST

START_TEST(sure_is_a_margin_beyond_the_quantile_of_its_error)
{
    // s^2 = (3 + 13) / 4, s / sqrt(4) = 1: a mean margin of 2.5 is 2.5 standard errors, sure to 99.38 %.
    const struct pbitc_margin margin = {.sum = 4 * 2.5, .deviations = 13};
    ck_assert(pbitc_margin_is_sure(margin, 3, pbitc_normal_quantile(0.9937)));
    ck_assert(!pbitc_margin_is_sure(margin, 3, pbitc_normal_quantile(0.9939)));
}
END_TEST

/// Decisions of random passes with a known margin: at most 1 - C of them are wrong, where the test looks
/// after every pass and knows the variance. Bound: the binomial mean of 1 - C and 5 standard deviations.
START_TEST(wrong_decisions_are_rare)
{
    enum { IMAGES = 4000 };
    static const double confidences[] = {0.9, 0.99};
    for (int c = 0; c < 2; c++) {
        double quantile = pbitc_normal_quantile(confidences[c]), chance = 1 - confidences[c];
        uint32_t state = 1, wrong = 0;
        uint64_t passes = 0;
        for (int image = 0; image < IMAGES; image++) {
            int64_t sums[OUTPUTS] = {0};
            for (uint32_t pass = 1; pass <= LIMIT; pass++) {
                int64_t noise = 0; // of variance 12 * 1000^2 / 12
                for (int k = 0; k < 12; k++) {
                    state ^= state << 13, state ^= state >> 17, state ^= state << 5;
                    noise += state % 1000;
                }
                sums[0] += 1000 + noise - 12 * 500;
                sums[2] = -100000;
                pbitc_pass_record_add(&record, pass, sums);
                passes++;
                struct pbitc_margin margin = pbitc_pass_record_margin(&record);
                if (pbitc_margin_is_sure(margin, 1e6, quantile)) {
                    wrong += sums[0] < 0;
                    break;
                }
            }
        }
        ck_assert_uint_le(wrong, (uint32_t)(IMAGES * chance + 5 * sqrt(IMAGES * chance * (1 - chance))));
        ck_assert_uint_lt(passes, IMAGES * LIMIT / 2);
    }
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("early stop");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, margin_is_the_leading_outputs_over_the_next_one);
    tcase_add_test(tests, one_pass_has_no_deviation_and_begins_another_image);
    tcase_add_test(tests, of_equal_outputs_none_is_sure);
    tcase_add_test(tests, passes_beyond_the_limit_are_ignored);
    tcase_add_test(tests, sure_is_a_margin_beyond_the_quantile_of_its_error);
    tcase_add_test(tests, wrong_decisions_are_rare);
    Suite *suite = suite_create("early stop");
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
