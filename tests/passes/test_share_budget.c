// share_budget: a budget is kept to and used up, steps go where they help most for their price, what is fixed
// stays, and runs overrule the sum of errors.
#include "passes/share_budget.h"
#include "tests/passes/pass_case.h"

enum { SHARES = 3, MOST = 16 };

struct example {
    double prices[SHARES][MOST + 1], errors[SHARES][MOST + 1];
    struct pbitc_share shares[SHARES];
    struct pbitc_sharing sharing;
    size_t runs, stop_at; ///< measuring fails then; 0: never
    bool doubts;          ///< runs say that whatever differs from the first is worse
};

/// Share i has price 4^i and error weight[i] / number.
static void prepare(struct example *example, const double *weight, uint32_t start, double left)
{
    double price = 1;
    *example = (struct example){.sharing = {SHARES, example->shares, left}};
    for (size_t i = 0; i < SHARES; i++, price *= 4) {
        for (uint32_t n = 1; n <= MOST; n++) {
            example->prices[i][n] = price * n;
            example->errors[i][n] = weight[i] / n;
        }
        example->shares[i] = (struct pbitc_share){.least = 1,
                                                  .most = MOST,
                                                  .prices = example->prices[i],
                                                  .errors = example->errors[i],
                                                  .now = start};
    }
}

static double total(const struct example *example, bool prices)
{
    double sum = 0;
    for (size_t i = 0; i < SHARES; i++)
        sum += (prices ? example->prices : example->errors)[i][example->shares[i].now];
    return sum;
}

static enum pbit_status measure(void *state, double *error)
{
    struct example *example = state;
    *error = total(example, false);
    if (example->doubts)
        *error = (double)example->runs;
    return ++example->runs == example->stop_at ? PBIT_ERROR_STOPPED : PBIT_OK;
}

START_TEST(the_best_that_the_budget_allows_is_found)
{
    static const double weights[][SHARES] = {{1, 1, 1}, {16, 1, 1}, {1, 1, 16}, {5, 40, 3}};
    for (size_t k = 0; k < sizeof(weights) / sizeof(*weights); k++) {
        struct example example;
        prepare(&example, weights[k], 4, 2);
        double budget = total(&example, true) + 2, best = INFINITY;
        ck_assert_int_eq(pbitc_share_out(&example.sharing, measure, &example), PBIT_OK);
        ck_assert(total(&example, true) <= budget);
        double found = total(&example, false);
        for (uint32_t a = 1; a <= MOST; a++)
            for (uint32_t b = 1; b <= MOST; b++)
                for (uint32_t c = 1; c <= MOST; c++)
                    if (a + 4.0 * b + 16.0 * c <= budget)
                        best = fmin(best, weights[k][0] / a + weights[k][1] / b + weights[k][2] / c);
        ck_assert_msg(found <= 1.03 * best, "case %zu: %g, best %g", k, found, best);
    }
}
END_TEST

START_TEST(what_is_fixed_stays)
{
    struct example example;
    prepare(&example, (double[]){1, 100, 1}, 4, 0);
    example.shares[1].fixed = true;
    double budget = total(&example, true);
    ck_assert_int_eq(pbitc_share_out(&example.sharing, measure, &example), PBIT_OK);
    ck_assert_uint_eq(example.shares[1].now, 4);
    ck_assert(example.shares[0].now > 4 && example.shares[2].now < 4);
    ck_assert(total(&example, true) <= budget);
}
END_TEST

START_TEST(runs_overrule_the_sum)
{
    struct example example;
    prepare(&example, (double[]){1, 100, 1}, 4, 0);
    example.doubts = true;
    ck_assert_int_eq(pbitc_share_out(&example.sharing, measure, &example), PBIT_OK);
    ck_assert_uint_gt(example.runs, 1);
    for (size_t i = 0; i < SHARES; i++)
        ck_assert_uint_eq(example.shares[i].now, 4);
}
END_TEST

START_TEST(a_run_that_fails_ends_it)
{
    for (size_t stop = 1; stop <= 3; stop++) {
        struct example example;
        prepare(&example, (double[]){1, 100, 1}, 4, 3);
        example.stop_at = stop;
        ck_assert_int_eq(pbitc_share_out(&example.sharing, measure, &example), PBIT_ERROR_STOPPED);
        ck_assert_uint_eq(example.runs, stop);
    }
}
END_TEST

PASS_MAIN("share-budget", the_best_that_the_budget_allows_is_found, what_is_fixed_stays,
          runs_overrule_the_sum, a_run_that_fails_ends_it)
