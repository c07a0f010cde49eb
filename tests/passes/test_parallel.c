// pbitc_parallel_for: every index once, on a pool that outlives calls, nests and survives fork().
#include "passes/operators/operator_support.h"
#include "tests/run_suite.h"

#include <pthread.h>
#include <stdatomic.h>

enum { THREADS = 5, MOST = 200 };

struct tally {
    _Atomic int calls[MOST];
    _Atomic int busy[THREADS]; ///< by worker
    _Atomic int mistakes;
    int threads;
    bool nested;
};

static void count_inner(void *state, int64_t index, int worker)
{
    struct tally *inner = state;
    atomic_fetch_add(&inner->calls[index], 1);
    atomic_fetch_add(&inner->mistakes, worker >= THREADS);
}

static void count(void *state, int64_t index, int worker)
{
    struct tally *tally = state;
    if (worker < 0 || worker >= tally->threads || atomic_fetch_add(&tally->busy[worker], 1) != 0)
        atomic_fetch_add(&tally->mistakes, 1);
    atomic_fetch_add(&tally->calls[index], 1);
    if (tally->nested) {
        struct tally inner = {.threads = THREADS};
        pbitc_parallel_for(THREADS, 9, count_inner, &inner);
        for (int i = 0; i < MOST; i++)
            atomic_fetch_add(&tally->mistakes, inner.calls[i] != (i < 9));
    }
    atomic_fetch_sub(&tally->busy[worker], 1);
}

static void check_calls(int threads, int64_t calls, bool nested)
{
    struct tally tally = {.threads = threads, .nested = nested};
    pbitc_parallel_for(threads, calls, count, &tally);
    ck_assert_int_eq(tally.mistakes, 0);
    for (int i = 0; i < MOST; i++)
        ck_assert_int_eq(tally.calls[i], i < calls);
}

START_TEST(every_index_is_worked_on_once)
{
    for (int threads = 1; threads <= THREADS; threads++)
        for (int64_t calls = 0; calls <= MOST; calls = 3 * calls + 1)
            check_calls(threads, calls, false);
}
END_TEST

START_TEST(the_pool_serves_again_and_again)
{
    for (int i = 0; i < 300; i++)
        check_calls(1 + i % THREADS, i % 5, false);
}
END_TEST

START_TEST(calls_nest)
{
    for (int threads = 1; threads <= THREADS; threads++)
        check_calls(threads, 20, true);
}
END_TEST

static void meet(void *state, int64_t index, int worker)
{
    (void)index, (void)worker;
    pthread_barrier_wait(state);
}

/// Makes a pool whose threads have all begun. (A sanitizer's allocator cannot be forked while a thread that
/// begins holds its lock.)
static void make_pool(void)
{
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, THREADS);
    pbitc_parallel_for(THREADS, THREADS, meet, &barrier);
    pthread_barrier_destroy(&barrier);
}

int main(void)
{
    make_pool(); // the tests are children of a process that has one
    Suite *suite = suite_create("parallel");
    TCase *tests = tcase_create("parallel");
    tcase_add_test(tests, every_index_is_worked_on_once);
    tcase_add_test(tests, the_pool_serves_again_and_again);
    tcase_add_test(tests, calls_nest);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
