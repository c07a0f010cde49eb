// pbitc_parallel_for: every index once, on a pool that outlives calls, nests and survives fork().
// pbitc_parallel_stages: every piece once, none before the stage before; workers that are away are not waited
// for again and again.
#include "passes/clock.h"
#include "passes/operators/operator_support.h"
#include "tests/run_suite.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

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

enum { STAGES = 7, PIECES = 3 };

struct pieces {
    _Atomic int done[STAGES]; ///< bits of pieces
    _Atomic int mistakes;
};

static void do_piece(void *state, uint32_t stage, uint32_t piece)
{
    struct pieces *pieces = state;
    int all = (1 << PIECES) - 1, mine = piece == PBITC_WHOLE ? all : 1 << piece;
    bool begun = (atomic_fetch_or(&pieces->done[stage], mine) & mine) != 0;
    bool early = stage > 0 && atomic_load(&pieces->done[stage - 1]) != all;
    atomic_fetch_add(&pieces->mistakes, begun || early);
}

START_TEST(every_piece_is_worked_on_once_and_in_its_stage)
{
    for (int i = 0; i < 3000; i++) {
        struct pieces pieces = {.mistakes = 0};
        pbitc_parallel_stages(1, STAGES, PIECES, do_piece, &pieces);
        ck_assert_int_eq(pieces.mistakes, 0);
        for (int stage = 0; stage < STAGES; stage++)
            ck_assert_int_eq(pieces.done[stage], (1 << PIECES) - 1);
    }
}
END_TEST

struct absence {
    pthread_t caller;
    int calls; ///< of the worker's piece by another thread
};

static void spend(double seconds)
{
    for (double start = pbitc_clock_seconds(); pbitc_clock_seconds() - start < seconds;)
        ;
}

/// Shared it takes a fifth of the time, but for every 40th call, in which the worker is away for long.
static void be_away(void *state, uint32_t stage, uint32_t piece)
{
    struct absence *absence = state;
    const struct timespec long_time = {.tv_nsec = 20 * 1000 * 1000};
    (void)stage;
    spend(piece == PBITC_WHOLE ? 5e-5 : 1e-5);
    if (piece == 1 && !pthread_equal(pthread_self(), absence->caller) && ++absence->calls % 40 == 0)
        nanosleep(&long_time, NULL);
}

START_TEST(workers_that_are_often_away_are_done_without)
{
    enum { CALLS = 8000, MOST_AWAY = 20 };
    struct absence absence = {.caller = pthread_self()};
    for (int i = 0; i < CALLS; i++)
        pbitc_parallel_stages(2, 1, 2, be_away, &absence);
    ck_assert_int_lt(absence.calls, 40 * MOST_AWAY); // sharing all would be 200 times
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
    tcase_add_test(tests, every_piece_is_worked_on_once_and_in_its_stage);
    tcase_add_test(tests, workers_that_are_often_away_are_done_without);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
