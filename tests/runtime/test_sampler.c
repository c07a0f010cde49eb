// How p-bits draw (runtime/FORMAT.md, section 4): strata, statistics, and what the bits do not depend on.
#include "runtime/sampler.h"
#include "tests/run_suite.h"
#include "tests/runtime/random_program.h"
#include "tests/runtime/reference.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

enum {
    NEURONS = 64,
    IMAGES = 64,
    PIXEL = 77, ///< every neuron draws with P = 77 * 256 / 65536 = 0.30
};
static const double PROBABILITY = PIXEL * 256 / 65536.0;
static const double SIGMAS = 5; ///< of a statistic with a fixed seed: chance of a false alarm below 1e-6

/// The levels that a run of one image sums up to, per neuron.
static void count_levels(struct test_buffers *buffers, const struct pbit_options *options, int64_t *counts)
{
    buffers->inputs[0][0] = PIXEL;
    ck_assert_int_eq(test_run(buffers, options), PBIT_OK);
    int64_t unit = (2 * (INT64_C(1) << 20) + options->draws) / (2 * options->draws); // M_L of the last layer
    for (int i = 0; i < NEURONS; i++) {
        ck_assert_int_eq(buffers->sums[0][i] % unit, 0);
        counts[i] = buffers->sums[0][i] / unit;
    }
}

struct experiment {
    struct test_file file;
    struct test_buffers buffers;
};

static struct experiment start(uint32_t rho, enum pbit_sampler sampler)
{
    struct experiment e = {.file = one_layer_program(NEURONS, rho, 256, sampler)};
    e.buffers = test_buffers_create(&e.file, 1);
    return e;
}

static void stop(struct experiment *e)
{
    test_buffers_free(&e->buffers);
    test_file_free(&e->file);
}

START_TEST(lanes_are_the_specified_ones)
{
    const uint64_t seeds[] = {0, 1, UINT64_C(0xFEDCBA9876543210)}, images[] = {0, 7, UINT64_C(1) << 40};
    for (int i = 0; i < 3; i++) {
        struct pbit_lanes lanes;
        pbit_lanes_seed(&lanes, seeds[i], images[i], (uint32_t)i, (uint32_t)(2 * i));
        for (uint32_t lane = 0; lane < PBIT_LANES; lane++)
            for (uint32_t step = 0; step < 4; step++)
                ck_assert_uint_eq(
                    pbit_lanes_next(&lanes, lane),
                    reference_random(seeds[i], images[i], (uint32_t)i, (uint32_t)(2 * i), lane, step));
    }
}
END_TEST

START_TEST(draws_lie_one_in_each_stratum)
{
    struct test_random random = {9};
    for (uint32_t T = 1; T <= 4096; T *= 4)
        for (uint32_t m = 1; m <= 5; m += 2) {
            uint32_t r = random_word(&random) >> 16, strata = m * T;
            uint8_t *seen = calloc(strata, 1);
            for (uint32_t t = 0; t < T; t++) {
                for (uint32_t j = 0; j < m; j++) {
                    uint64_t u = j * UINT64_C(65536) + pbit_stratified_offset(pbit_sample_order(t), 256, r);
                    seen[u * T / 65536]++;
                }
            }
            for (uint32_t i = 0; i < strata; i++)
                ck_assert_uint_eq(seen[i], 1);
            free(seen);
        }
}
END_TEST

START_TEST(offsets_are_the_specified_ones)
{
    static const uint32_t rhos[] = {0, 1, 77, 128, 255, 256};
    struct test_random random = {3};
    for (int k = 0; k < 6; k++)
        for (int n = 0; n < 2000; n++) {
            uint32_t r = random_word(&random) >> 16, t = (uint32_t)random_range(&random, 0, 65534);
            uint32_t offset = pbit_stratified_offset(pbit_sample_order(t), rhos[k], r);
            ck_assert_uint_eq(offset, reference_offset(t, rhos[k], r));
            ck_assert_uint_le(offset, 65535);
        }
}
END_TEST

START_TEST(rho_keeps_a_draw_near_the_middle_of_its_stratum)
{
    struct test_random random = {4};
    for (uint32_t rho = 0; rho <= 256; rho += 64)
        for (int n = 0; n < 1000; n++) {
            uint32_t t = (uint32_t)random_range(&random, 0, 15), r = random_word(&random) >> 16;
            int32_t offset = (int32_t)pbit_stratified_offset(pbit_sample_order(t), rho, r);
            ck_assert_int_le(abs(offset - 32768), (int)(32768 * rho / 256));
        }
}
END_TEST

/// For T a power of two all strata below P count and all above do not, so only one draw is left to chance.
START_TEST(a_stratified_count_is_off_by_less_than_one)
{
    struct experiment e = start(256, PBIT_SAMPLER_STRATIFIED);
    for (uint32_t T = 1; T <= 64; T *= 2)
        for (uint32_t m = 1; m <= 9; m += 4)
            for (uint64_t image = 0; image < 4; image++) {
                int64_t counts[NEURONS];
                struct pbit_options options = {.seed = 11, .image = image, .draws = m, .samples = T};
                count_levels(&e.buffers, &options, counts);
                for (int i = 0; i < NEURONS; i++)
                    ck_assert_double_lt(fabs((double)counts[i] - m * T * PROBABILITY), 1);
            }
    stop(&e);
}
END_TEST

/// Sum and sum of squares of the counts of NEURONS neurons in IMAGES images, n draws each.
struct moments {
    double mean, variance, neighbours; ///< neighbours: correlation of neuron i with i + 1
};

static struct moments measure(struct experiment *e, uint32_t m, uint32_t T)
{
    double sum = 0, squares = 0, products = 0, expected = m * T * PROBABILITY;
    for (uint64_t image = 0; image < IMAGES; image++) {
        int64_t counts[NEURONS];
        struct pbit_options options = {.seed = 2024, .image = image, .draws = m, .samples = T};
        count_levels(&e->buffers, &options, counts);
        for (int i = 0; i < NEURONS; i++) {
            double off = (double)counts[i] - expected;
            sum += off;
            squares += off * off;
            products += i ? off * ((double)counts[i - 1] - expected) : 0;
        }
    }
    double N = (double)NEURONS * IMAGES;
    return (struct moments){sum / N, squares / N, products / squares};
}

/// Counts are binomial: mean n p, variance n p q; the mean of N of them scatters by sqrt(n p q / N), their
/// variance (fourth moment of nearly normal numbers) by n p q sqrt(2 / N) and at most twice that for n = 1.
START_TEST(independent_draws_are_binomial)
{
    struct experiment e = start(256, PBIT_SAMPLER_IID);
    static const uint32_t draws[] = {1, 1, 3, 8}, samples[] = {1, 16, 4, 1};
    double N = (double)NEURONS * IMAGES;
    for (int i = 0; i < 4; i++) {
        struct moments moments = measure(&e, draws[i], samples[i]);
        double variance = draws[i] * samples[i] * PROBABILITY * (1 - PROBABILITY);
        ck_assert_double_lt(fabs(moments.mean), SIGMAS * sqrt(variance / N));
        ck_assert_double_lt(fabs(moments.variance - variance), SIGMAS * 2 * variance * sqrt(2 / N));
        ck_assert_double_lt(fabs(moments.neighbours), SIGMAS / sqrt(N));
    }
    stop(&e);
}
END_TEST

/// One draw is left to chance: the variance is f (1 - f) with f the fraction of m T p.
START_TEST(stratified_draws_are_unbiased)
{
    struct experiment e = start(256, PBIT_SAMPLER_STRATIFIED);
    static const uint32_t draws[] = {1, 1, 3, 8}, samples[] = {1, 16, 4, 1};
    double N = (double)NEURONS * IMAGES;
    for (int i = 0; i < 4; i++) {
        struct moments moments = measure(&e, draws[i], samples[i]);
        double expected = draws[i] * samples[i] * PROBABILITY, part = expected - floor(expected);
        double variance = part * (1 - part);
        ck_assert_double_lt(fabs(moments.mean), SIGMAS * sqrt(variance / N));
        ck_assert_double_lt(fabs(moments.variance - variance), SIGMAS * 2 * variance * sqrt(2 / N));
        ck_assert_double_lt(fabs(moments.neighbours), SIGMAS / sqrt(N));
    }
    stop(&e);
}
END_TEST

START_TEST(rho_0_depends_on_no_seed)
{
    struct experiment e = start(0, PBIT_SAMPLER_STRATIFIED);
    for (uint64_t seed = 0; seed < 8; seed++) {
        int64_t counts[NEURONS];
        struct pbit_options options = {.seed = seed, .image = 3 * seed, .draws = 10, .samples = 3};
        count_levels(&e.buffers, &options, counts);
        for (int i = 0; i < NEURONS; i++)
            ck_assert_int_eq(counts[i], 3 * lround(10 * PROBABILITY));
    }
    stop(&e);
}
END_TEST

// ---- what the bits depend on

static int64_t *copy_sums(const struct test_buffers *buffers)
{
    size_t bytes = pbit_model_output(&buffers->model, 0).elements * sizeof(int64_t);
    int64_t *copy = malloc(bytes);
    memcpy(copy, buffers->sums[0], bytes);
    return copy;
}

static bool equal_sums(const struct test_buffers *buffers, const int64_t *sums)
{
    return memcmp(buffers->sums[0], sums, pbit_model_output(&buffers->model, 0).elements * sizeof(int64_t)) ==
           0;
}

START_TEST(bits_depend_on_seed_and_image_alone)
{
    enum { ORDER = 8 };
    struct experiment e = start(256, PBIT_SAMPLER_STRATIFIED), fresh = start(256, PBIT_SAMPLER_STRATIFIED);
    e.buffers.inputs[0][0] = fresh.buffers.inputs[0][0] = PIXEL;
    for (int sampler = PBIT_SAMPLER_IID; sampler <= PBIT_SAMPLER_STRATIFIED; sampler++) {
        int64_t *sums[ORDER];
        for (uint64_t image = 0; image < ORDER; image++) {
            struct pbit_options options = {
                .seed = 5, .image = image, .draws = 2, .samples = 3, .sampler = (enum pbit_sampler)sampler};
            ck_assert_int_eq(test_run(&e.buffers, &options), PBIT_OK);
            sums[image] = copy_sums(&e.buffers);
            for (uint64_t other = 0; other < image; other++)
                ck_assert(!equal_sums(&e.buffers, sums[other]));
        }
        for (int image = ORDER - 1; image >= 0; image--) {
            struct pbit_options options = {.seed = 5,
                                           .image = (uint64_t)image,
                                           .draws = 2,
                                           .samples = 3,
                                           .sampler = (enum pbit_sampler)sampler};
            memset(fresh.buffers.workspace, image, fresh.buffers.workspace_bytes);
            ck_assert_int_eq(test_run(&fresh.buffers, &options), PBIT_OK);
            ck_assert(equal_sums(&fresh.buffers, sums[image]));
            options.seed = UINT64_C(5) << 32;
            ck_assert_int_eq(test_run(&fresh.buffers, &options), PBIT_OK);
            ck_assert(!equal_sums(&fresh.buffers, sums[image]));
            free(sums[image]);
        }
    }
    stop(&e);
    stop(&fresh);
}
END_TEST

/// Sums after each pass of a long run.
struct record {
    size_t elements;
    int64_t sums[16][1024];
};

static int keep(void *state, uint32_t done, int64_t *const *sums)
{
    struct record *record = state;
    memcpy(record->sums[done], sums[0], record->elements * sizeof(int64_t));
    return 0;
}

START_TEST(a_shorter_run_is_the_beginning_of_a_longer_one)
{
    enum { LONGEST = 12 };
    struct record *record = malloc(sizeof(*record));
    for (uint32_t seed = 1; seed <= 60; seed++) {
        struct test_file file = random_program(seed, 8);
        struct test_buffers buffers = test_buffers_create(&file, seed);
        record->elements = pbit_model_output(&buffers.model, 0).elements;
        ck_assert_uint_le(record->elements, 1024);
        for (int sampler = PBIT_SAMPLER_IID; sampler <= PBIT_SAMPLER_STRATIFIED; sampler++) {
            struct pbit_options options = {.seed = seed,
                                           .draws = 1,
                                           .samples = LONGEST,
                                           .sampler = (enum pbit_sampler)sampler,
                                           .after_sample = keep,
                                           .state = record};
            ck_assert_int_eq(test_run(&buffers, &options), PBIT_OK);
            options.after_sample = NULL;
            for (options.samples = 1; options.samples <= LONGEST; options.samples++) {
                ck_assert_int_eq(test_run(&buffers, &options), PBIT_OK);
                ck_assert(equal_sums(&buffers, record->sums[options.samples]));
            }
        }
        test_buffers_free(&buffers);
        test_file_free(&file);
    }
    free(record);
}
END_TEST

START_TEST(the_midpoint_twin_depends_on_no_seed)
{
    struct experiment e = start(256, PBIT_SAMPLER_IID);
    for (uint64_t seed = 0; seed < 8; seed++) {
        int64_t counts[NEURONS];
        struct pbit_options options = {
            .seed = seed, .image = 3 * seed, .draws = 15, .samples = 2, .sampler = PBIT_SAMPLER_MIDPOINT};
        count_levels(&e.buffers, &options, counts);
        for (int i = 0; i < NEURONS; i++)
            ck_assert_int_eq(counts[i], 2 * lround(15 * PROBABILITY));
    }
    stop(&e);
}
END_TEST

struct observations {
    uint32_t calls[3];
    int64_t levels; ///< sum over neurons and passes
};

static void observe(void *state, uint32_t operation, const void *output)
{
    struct observations *seen = state;
    seen->calls[operation]++;
    for (int i = 0; i < NEURONS && operation == 1; i++)
        seen->levels += ((const uint8_t *)output)[i];
}

START_TEST(an_observer_sees_every_operation)
{
    enum { SAMPLES = 5 };
    struct experiment e = start(256, PBIT_SAMPLER_STRATIFIED);
    struct observations seen = {.levels = 0};
    int64_t counts[NEURONS], total = 0;
    struct pbit_options options = {.draws = 3, .samples = SAMPLES, .observe = observe, .state = &seen};
    count_levels(&e.buffers, &options, counts);
    for (int i = 0; i < NEURONS; i++)
        total += counts[i];
    ck_assert_uint_eq(seen.calls[0], 1); // the same in every pass
    ck_assert_uint_eq(seen.calls[1], SAMPLES);
    ck_assert_uint_eq(seen.calls[2], SAMPLES);
    ck_assert_int_eq(seen.levels, total);
    stop(&e);
}
END_TEST

static int stop_after_three(void *state, uint32_t done, int64_t *const *sums)
{
    (void)state, (void)sums;
    return done == 3;
}

START_TEST(a_stopped_run_leaves_the_sums_so_far)
{
    struct experiment e = start(256, PBIT_SAMPLER_STRATIFIED);
    struct pbit_options options = {.seed = 1, .draws = 1, .samples = 3};
    ck_assert_int_eq(test_run(&e.buffers, &options), PBIT_OK);
    int64_t *three = copy_sums(&e.buffers);
    options.samples = 100;
    options.after_sample = stop_after_three;
    ck_assert_int_eq(test_run(&e.buffers, &options), PBIT_ERROR_STOPPED);
    ck_assert(equal_sums(&e.buffers, three));
    free(three);
    stop(&e);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sampler");
    TCase *draws = tcase_create("draws");
    tcase_set_timeout(draws, 60);
    tcase_add_test(draws, lanes_are_the_specified_ones);
    tcase_add_test(draws, draws_lie_one_in_each_stratum);
    tcase_add_test(draws, offsets_are_the_specified_ones);
    tcase_add_test(draws, rho_keeps_a_draw_near_the_middle_of_its_stratum);
    tcase_add_test(draws, a_stratified_count_is_off_by_less_than_one);
    tcase_add_test(draws, independent_draws_are_binomial);
    tcase_add_test(draws, stratified_draws_are_unbiased);
    tcase_add_test(draws, rho_0_depends_on_no_seed);
    suite_add_tcase(suite, draws);
    TCase *runs = tcase_create("runs");
    tcase_set_timeout(runs, 60);
    tcase_add_test(runs, bits_depend_on_seed_and_image_alone);
    tcase_add_test(runs, a_shorter_run_is_the_beginning_of_a_longer_one);
    tcase_add_test(runs, the_midpoint_twin_depends_on_no_seed);
    tcase_add_test(runs, an_observer_sees_every_operation);
    tcase_add_test(runs, a_stopped_run_leaves_the_sums_so_far);
    suite_add_tcase(suite, runs);
    return run_suite(suite);
}
