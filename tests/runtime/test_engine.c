// pbit_engine_run against pbit_run, bit for bit, on random programs: every kind of processor that is here,
// any number of images.
#include "runtime/engine.h"
#include "tests/run_suite.h"
#include "tests/runtime/random_program.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_THREADS = 5, PROGRAMS = 300, NETWORKS = 240, OPERATIONS = 9, IMAGES = 11 };

struct engine_buffers {
    const struct pbit_engine *engine;
    void *memory, *workspace;
    size_t workspace_bytes;
    uint8_t *pixels[PBIT_PORTS_LIMIT];
    const uint8_t *inputs[IMAGES * PBIT_PORTS_LIMIT];
    int64_t *sums[IMAGES * PBIT_PORTS_LIMIT];
};

typedef void work_function(const void *job, uint32_t stage, uint32_t piece);

/// Pieces one after the other, the last first.
static void share_in_turn(void *state, uint64_t cost, uint32_t stages, uint32_t pieces, work_function *work,
                          const void *job)
{
    (void)state, (void)cost;
    for (uint32_t stage = 0; stage < stages; stage++)
        for (uint32_t i = pieces; i-- > 0;)
            work(job, stage, i);
}

/// All pieces of a stage in one call.
static void share_nothing(void *state, uint64_t cost, uint32_t stages, uint32_t pieces, work_function *work,
                          const void *job)
{
    (void)state, (void)cost, (void)pieces;
    for (uint32_t stage = 0; stage < stages; stage++)
        work(job, stage, PBIT_WHOLE);
}

struct piece_thread {
    work_function *work;
    const void *job;
    uint32_t stages, piece;
    pthread_barrier_t *barrier;
};

static void *work_piece(void *state)
{
    const struct piece_thread *thread = state;
    for (uint32_t stage = 0; stage < thread->stages; stage++) {
        thread->work(thread->job, stage, thread->piece);
        pthread_barrier_wait(thread->barrier);
    }
    return NULL;
}

/// A thread for each piece.
static void share_among_threads(void *state, uint64_t cost, uint32_t stages, uint32_t pieces,
                                work_function *work, const void *job)
{
    struct piece_thread threads[MOST_THREADS];
    pthread_t ids[MOST_THREADS];
    pthread_barrier_t barrier;
    (void)state, (void)cost;
    ck_assert_uint_le(pieces, MOST_THREADS);
    pthread_barrier_init(&barrier, NULL, pieces);
    for (uint32_t i = 0; i < pieces; i++) {
        threads[i] = (struct piece_thread){work, job, stages, i, &barrier};
        ck_assert_int_eq(pthread_create(&ids[i], NULL, work_piece, &threads[i]), 0);
    }
    for (uint32_t i = 0; i < pieces; i++)
        pthread_join(ids[i], NULL);
    pthread_barrier_destroy(&barrier);
}

/// Exactly as many bytes as asked for, 64-aligned, with the end where sanitizers see it.
static void *aligned_bytes(size_t bytes)
{
    void *memory = NULL;
    ck_assert_int_eq(posix_memalign(&memory, 64, bytes ? bytes : 1), 0);
    memset(memory, 0xA5, bytes);
    return memory;
}

/// Images, each of its own, one after the other or the last first.
static void make_inputs(struct engine_buffers *made, const struct test_buffers *buffers, size_t images)
{
    const struct pbit_model *model = &buffers->model;
    for (uint32_t i = 0; i < model->input_count; i++) {
        size_t elements = pbit_model_input(model, i).elements;
        made->pixels[i] = malloc(images * elements);
        ck_assert_ptr_nonnull(made->pixels[i]);
        for (size_t image = 0; image < images; image++) {
            uint8_t *pixels = made->pixels[i] + (images % 2 ? image : images - 1 - image) * elements;
            for (size_t k = 0; k < elements; k++)
                pixels[k] = (uint8_t)(buffers->inputs[i][k] + 17 * image);
            made->inputs[image * model->input_count + i] = pixels;
        }
    }
}

static struct engine_buffers engine_create(const struct test_buffers *buffers, enum pbit_cpu cpu,
                                           size_t images)
{
    const struct pbit_model *model = &buffers->model;
    struct engine_buffers made = {0};
    size_t bytes = pbit_engine_bytes(model, cpu);
    made.memory = aligned_bytes(bytes);
    ck_assert_int_eq(pbit_engine_create(model, cpu, made.memory, bytes - 1, &made.engine),
                     PBIT_ERROR_WORKSPACE);
    ck_assert_int_eq(pbit_engine_create(model, cpu, made.memory, bytes, &made.engine), PBIT_OK);
    for (uint32_t i = 0; i < model->operation_count; i++) // all is worth sharing
        made.engine->operations[i].cost = UINT32_MAX;
    made.workspace_bytes = pbit_engine_workspace_bytes(made.engine, images, MOST_THREADS);
    made.workspace = aligned_bytes(made.workspace_bytes);
    make_inputs(&made, buffers, images);
    for (size_t o = 0; o < images * model->output_count; o++)
        made.sums[o] =
            calloc(pbit_model_output(model, (uint32_t)(o % model->output_count)).elements, sizeof(int64_t));
    return made;
}

static void engine_free(struct engine_buffers *made)
{
    for (size_t o = 0; o < IMAGES * PBIT_PORTS_LIMIT; o++)
        free(made->sums[o]);
    for (size_t i = 0; i < PBIT_PORTS_LIMIT; i++)
        free(made->pixels[i]);
    free(made->workspace);
    free(made->memory);
}

static void compare(struct test_buffers *buffers, struct engine_buffers *made,
                    const struct pbit_options *options, size_t images, uint32_t seed)
{
    const struct pbit_model *model = &buffers->model;
    ck_assert_int_eq(pbit_engine_run(made->engine, options, images, made->inputs, made->sums, made->workspace,
                                     made->workspace_bytes),
                     PBIT_OK);
    for (size_t image = 0; image < images; image++) {
        struct pbit_options one = *options;
        one.image += image;
        ck_assert_int_eq(pbit_run(model, &one, made->inputs + image * model->input_count, buffers->sums,
                                  buffers->workspace, buffers->workspace_bytes),
                         PBIT_OK);
        for (uint32_t o = 0; o < model->output_count; o++)
            ck_assert_msg(memcmp(made->sums[image * model->output_count + o], buffers->sums[o],
                                 pbit_model_output(model, o).elements * sizeof(int64_t)) == 0,
                          "program %u, m %u, T %u, sampler %d: image %zu of %zu, output %u differs", seed,
                          options->draws, options->samples, (int)options->sampler, image, images, o);
    }
}

START_TEST(engine_gives_the_bits_of_run)
{
    enum pbit_cpu cpu = (enum pbit_cpu)_i;
    if (cpu > pbit_cpu_present())
        return;
    for (uint32_t seed = 1; seed <= PROGRAMS; seed++) {
        struct test_random random = {seed};
        random_word(&random);
        struct test_file file = random_program(seed, OPERATIONS);
        struct test_buffers buffers = test_buffers_create(&file, seed);
        uint32_t most = pbit_model_max_draws(&buffers.model);
        size_t images = (size_t)random_range(&random, 1, random_chance(&random, 30) ? IMAGES : 3);
        struct engine_buffers made = engine_create(&buffers, cpu, images);
        for (int i = 0; i < 4; i++) {
            uint32_t draws = (uint32_t)random_range(&random, 1, random_chance(&random, 20) ? 255 : 6);
            struct pbit_options options = {.seed = random_word(&random),
                                           .image = random_word(&random),
                                           .draws = draws > most ? most : draws,
                                           .samples = (uint32_t)random_range(&random, 1, 19),
                                           .sampler = (enum pbit_sampler)i,
                                           .threads = (uint32_t)random_range(&random, 0, MOST_THREADS),
                                           .share = i == 0   ? share_among_threads
                                                    : i == 1 ? share_nothing
                                                             : share_in_turn};
            compare(&buffers, &made, &options, images, seed);
        }
        engine_free(&made);
        test_buffers_free(&buffers);
        test_file_free(&file);
    }
}
END_TEST

static int stop_at(void *state, uint32_t done, int64_t *const *sums)
{
    (void)sums;
    return done == *(const uint32_t *)state;
}

START_TEST(engine_gives_the_bits_of_run_on_bits)
{
    enum pbit_cpu cpu = (enum pbit_cpu)_i;
    if (cpu == PBIT_CPU_SCALAR || cpu > pbit_cpu_present())
        return;
    struct {
        uint32_t fixed, fused, pooled, sums, levels, passed_on, images, factors;
    } seen = {0, 0, 0, 0, 0, 0, 0, 0};
    for (uint32_t seed = 1; seed <= NETWORKS; seed++) {
        struct test_random random = {seed};
        random_word(&random);
        struct test_file file = random_network(seed);
        struct test_buffers buffers = test_buffers_create(&file, seed);
        size_t images = (size_t)random_range(&random, 1, random_chance(&random, 30) ? IMAGES : 3);
        struct engine_buffers made = engine_create(&buffers, cpu, images);
        seen.images += made.engine->operations[0].fused != PBIT_ENGINE_NONE;
        for (uint32_t i = 0; i < buffers.model.operation_count; i++) {
            seen.factors += made.engine->operations[i].bits.conv.factors != NULL;
            if (made.engine->operations[i].bits.stage) {
                seen.fixed += made.engine->operations[i].bits.terms == 0;
                seen.pooled += (uint32_t)made.engine->operations[i].bits.pooled;
                seen.sums += made.engine->operations[i].bits.terms == 2;
                seen.fused += made.engine->operations[i].bits.terms > 0;
                seen.levels += made.engine->operations[i].bits.share == 1;
            } else if (made.engine->operations[i].bits.identity) {
                uint32_t source = made.engine->operations[i].bits.source;
                seen.passed_on += made.engine->operations[source].bits.share == 1;
            }
        }
        for (int i = 0; i < 4; i++) {
            struct pbit_options options = {.seed = random_word(&random),
                                           .image = random_word(&random),
                                           .draws = random_chance(&random, 90) ? 1 : 2,
                                           .samples = (uint32_t)random_range(&random, 1, 11),
                                           .sampler = (enum pbit_sampler)i,
                                           .threads = (uint32_t)random_range(&random, 0, MOST_THREADS),
                                           .share = i == 0   ? share_among_threads
                                                    : i == 1 ? share_nothing
                                                             : share_in_turn};
            compare(&buffers, &made, &options, images, seed);
        }
        engine_free(&made);
        test_buffers_free(&buffers);
        test_file_free(&file);
    }
    if (cpu == PBIT_CPU_AVX2 || cpu == PBIT_CPU_AVX512) // the test tests something
        ck_assert_msg(seen.fixed > 5 && seen.fused > 50 && seen.pooled > 5 && seen.sums > 3 &&
                          seen.levels > 20 && seen.passed_on > 20 && seen.images > 5 && seen.factors > 10,
                      "%u %u %u %u %u %u %u %u", seen.fixed, seen.fused, seen.pooled, seen.sums, seen.levels,
                      seen.passed_on, seen.images, seen.factors);
}
END_TEST

START_TEST(engine_stops_with_valid_sums)
{
    struct test_file file = random_program(5, OPERATIONS);
    struct test_buffers buffers = test_buffers_create(&file, 5);
    struct engine_buffers made = engine_create(&buffers, pbit_cpu_present(), 1);
    for (uint32_t last = 1; last <= 20; last++) {
        struct pbit_options options = {.draws = 1,
                                       .samples = 20,
                                       .after_sample = stop_at,
                                       .state = &last,
                                       .sampler = PBIT_SAMPLER_STRATIFIED};
        ck_assert_int_eq(pbit_engine_run(made.engine, &options, 1, made.inputs, made.sums, made.workspace,
                                         made.workspace_bytes),
                         last < 20 ? PBIT_ERROR_STOPPED : PBIT_OK);
        options.samples = last;
        options.after_sample = NULL;
        ck_assert_int_eq(test_run(&buffers, &options), PBIT_OK);
        for (uint32_t o = 0; o < buffers.model.output_count; o++)
            ck_assert_mem_eq(made.sums[o], buffers.sums[o],
                             pbit_model_output(&buffers.model, o).elements * sizeof(int64_t));
    }
    engine_free(&made);
    test_buffers_free(&buffers);
    test_file_free(&file);
}
END_TEST

struct operation_counts {
    uint32_t calls[64], by_others[64], with_instruction[64];
    uint32_t last;
};

static void count_operation(void *state, uint32_t operation, uint32_t done_by, const char *instruction)
{
    struct operation_counts *counts = state;
    counts->calls[operation]++;
    counts->by_others[operation] += done_by != operation;
    counts->with_instruction[operation] += instruction != NULL;
    counts->last = operation;
}

START_TEST(engine_tells_when_an_operation_is_done)
{
    struct test_file file = random_program(5, OPERATIONS);
    struct test_buffers buffers = test_buffers_create(&file, 5);
    struct engine_buffers made = engine_create(&buffers, pbit_cpu_present(), 3);
    struct operation_counts counts = {.last = 0};
    struct pbit_options options = {
        .draws = 1, .samples = 20, .after_operation = count_operation, .state = &counts};
    ck_assert_int_eq(pbit_engine_run(made.engine, &options, 3, made.inputs, made.sums, made.workspace,
                                     made.workspace_bytes),
                     PBIT_OK);
    ck_assert_uint_eq(counts.last, buffers.model.operation_count - 1);
    uint32_t conv = 0;
    for (uint32_t i = 0; i < buffers.model.operation_count; i++) {
        int is_conv = pbit_model_layer(&buffers.model, i).kind == PBIT_OPERATION_CONV;
        ck_assert_uint_eq(counts.with_instruction[i], is_conv ? counts.calls[i] : 0);
        ck_assert_uint_le(counts.by_others[i], counts.calls[i]);
        conv += (uint32_t)is_conv;
        if (i < buffers.model.first_random)
            ck_assert_uint_eq(counts.calls[i], 1); // tensors are small: for all images at once
        else                                       // as many blocks of passes for all
            ck_assert(counts.calls[i] > 1 && counts.calls[i] == counts.calls[counts.last]);
    }
    ck_assert_uint_gt(conv, 0);
    engine_free(&made);
    test_buffers_free(&buffers);
    test_file_free(&file);
}
END_TEST

/// The sums of some passes.
static void run_share(struct test_buffers *buffers, struct engine_buffers *made, bool fast, uint32_t first,
                      uint32_t passes, enum pbit_sampler sampler)
{
    struct pbit_options options = {
        .seed = 7, .draws = 1, .samples = passes, .first_sample = first, .sampler = sampler};
    if (fast)
        ck_assert_int_eq(pbit_engine_run(made->engine, &options, 1, made->inputs, made->sums, made->workspace,
                                         made->workspace_bytes),
                         PBIT_OK);
    else
        ck_assert_int_eq(test_run(buffers, &options), PBIT_OK);
}

/// Threads can share the passes of an image.
START_TEST(sums_of_shares_add_up)
{
    struct test_file file = random_program(5, OPERATIONS);
    struct test_buffers buffers = test_buffers_create(&file, 5);
    struct engine_buffers made = engine_create(&buffers, pbit_cpu_present(), 1);
    size_t elements = pbit_model_output(&buffers.model, 0).elements;
    int64_t *rest = calloc(elements, sizeof(*rest));
    enum pbit_sampler sampler = _i % 2 ? PBIT_SAMPLER_IID : PBIT_SAMPLER_STRATIFIED;
    for (uint32_t first = 1; first < 20; first++) {
        bool fast = _i / 2;
        run_share(&buffers, &made, fast, first, 20 - first, sampler);
        memcpy(rest, fast ? made.sums[0] : buffers.sums[0], elements * sizeof(*rest));
        run_share(&buffers, &made, true, 0, first, sampler);
        run_share(&buffers, &made, false, 0, 20, sampler);
        for (size_t i = 0; i < elements; i++)
            ck_assert_int_eq(made.sums[0][i] + rest[i], buffers.sums[0][i]);
    }
    struct pbit_options options = {.samples = 1, .first_sample = pbit_model_max_samples(&buffers.model)};
    ck_assert_int_eq(test_run(&buffers, &options), PBIT_ERROR_RANGE);
    free(rest);
    engine_free(&made);
    test_buffers_free(&buffers);
    test_file_free(&file);
}
END_TEST

START_TEST(engine_refuses_what_breaks_the_contract)
{
    struct test_file file = one_layer_program(40, 256, 256, PBIT_SAMPLER_STRATIFIED);
    struct test_buffers buffers = test_buffers_create(&file, 1);
    struct engine_buffers made = engine_create(&buffers, pbit_cpu_present(), 1);
    struct pbit_options options = {.draws = 1, .samples = 1, .threads = MOST_THREADS, .share = share_in_turn};
    uint8_t *workspace = made.workspace;
    ck_assert_int_eq(
        pbit_engine_run(made.engine, &options, 0, made.inputs, made.sums, workspace, made.workspace_bytes),
        PBIT_ERROR_ARGUMENT);
    ck_assert_int_eq(pbit_engine_run(made.engine, &options, 1, made.inputs, made.sums, workspace + 1,
                                     made.workspace_bytes),
                     PBIT_ERROR_ARGUMENT);
    ck_assert_int_eq(pbit_engine_run(made.engine, &options, 1, made.inputs, made.sums, workspace,
                                     made.workspace_bytes - 1),
                     PBIT_ERROR_WORKSPACE);
    options.share = NULL;
    ck_assert_int_eq(
        pbit_engine_run(made.engine, &options, 1, made.inputs, made.sums, workspace, made.workspace_bytes),
        PBIT_ERROR_ARGUMENT);
    options.threads = 1;
    options.samples = PBIT_SAMPLES_LIMIT + 1;
    ck_assert_int_eq(
        pbit_engine_run(made.engine, &options, 1, made.inputs, made.sums, workspace, made.workspace_bytes),
        PBIT_ERROR_RANGE);
    ck_assert_int_eq(
        pbit_engine_create(&buffers.model, (enum pbit_cpu)99, made.memory, SIZE_MAX, &made.engine),
        PBIT_ERROR_ARGUMENT);
    ck_assert_str_eq(pbit_cpu_name(PBIT_CPU_SCALAR), "scalar");
    engine_free(&made);
    test_buffers_free(&buffers);
    test_file_free(&file);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine");
    TCase *tests = tcase_create("engine");
    tcase_set_timeout(tests, 180);
    tcase_add_loop_test(tests, engine_gives_the_bits_of_run, PBIT_CPU_SCALAR, PBIT_CPU_AVX512 + 1);
    tcase_add_loop_test(tests, engine_gives_the_bits_of_run_on_bits, PBIT_CPU_SCALAR, PBIT_CPU_AVX512 + 1);
    tcase_add_test(tests, engine_stops_with_valid_sums);
    tcase_add_test(tests, engine_tells_when_an_operation_is_done);
    tcase_add_loop_test(tests, sums_of_shares_add_up, 0, 4);
    tcase_add_test(tests, engine_refuses_what_breaks_the_contract);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
