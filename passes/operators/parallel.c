// A pool of threads that is kept until the process ends: making a thread takes longer than a small layer.
// The caller and each worker speak through a cache line of their own, which both watch for some microseconds
// before they sleep.
//
// OpenMP in its place (libgomp of GCC 12, a barrier after each stage; two threads, an image of VGG5 and of
// ResNet-20 in microseconds) has medians of 14.5 and 59.8 against 13.9 and 55.4, but beside other programs
// means of 54 and 260 against 23 and 119, and single images of 150 milliseconds: its barriers wait for
// threads that are away. After fork() its first parallel region hangs, and clang needs another library.
#define _GNU_SOURCE // sched_getcpu
#include "passes/clock.h"
#include "passes/operators/operator_support.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

enum {
    MAX_WORKERS = 64,
    CHOICES = 16,
    PERIOD = 512,
    TRIALS = 16,
    MOST_MISSED = 3,
    SPINS = 1500, ///< looks at a line before a thread sleeps: some 30 microseconds
    CACHE_LINE = 64,
};

/// What a worker needs to know of a call.
struct crew {
    pbitc_work_function *work;
    pbitc_stage_function *stage_work; ///< or NULL
    void *state;
    int64_t count; ///< of indices, or of stages
    int workers;   ///< with the calling thread
};

/// The caller makes AWAKE and ASLEEP to CALLED, that to HELPED and back, and to AWAKE again; the rest is the
/// worker's.
enum worker_state {
    AWAKE, ///< it looks at its line
    ASLEEP,
    CALLED, ///< there is a crew that it has not come to yet
    HELPED, ///< the caller does its piece of a stage
    WORKING,
};

/// To another processor's cache and back takes some 200 nanoseconds: all that a worker needs is in one line.
struct line {
    _Alignas(CACHE_LINE) _Atomic int64_t next; ///< own indices: each `workers` beyond the one before; or the
                                               ///< stages whose piece is done
    _Atomic int state;
    struct crew crew;
};

/// Whether calls of one kind are better shared: the way to another processor and back takes 150 nanoseconds
/// or more than 1000, and on a busy machine workers may be away. For a few calls out of PERIOD the other way
/// is tried; the last half of these calls and those before them are compared. Workers that are away now and
/// then, in the midst of a piece, a few calls do not show: what it costs to wait for them is set against what
/// the calls of the period gained. Where that is less, the rest of the period goes without, and so does the
/// next one, or the next MOST_MISSED where that happens again.
struct choice {
    uint64_t cost;
    uint32_t stages, pieces;
    unsigned calls;
    bool together;
    double seconds[2];        ///< [together] of TRIALS / 2 calls
    double gained;            ///< seconds since the trial
    unsigned missed, skipped; ///< periods to go without, and those that are left of them
};

static struct pool {
    pthread_mutex_t owner; ///< held while a crew works
    pthread_mutex_t mutex; ///< guards sleep
    pthread_cond_t begin, end;
    bool quit;
    double waited; ///< seconds in which the caller slept because of workers
    _Atomic int caller_sleeps;
    _Atomic int caller_processor;   ///< or -1
    struct choice choices[CHOICES]; ///< of stages
    int hired;                      ///< threads of the pool: workers 1..hired
    pthread_t threads[MAX_WORKERS];
    struct line lines[MAX_WORKERS]; ///< [worker]; 0 is the calling thread
} pool = {.owner = PTHREAD_MUTEX_INITIALIZER,
          .mutex = PTHREAD_MUTEX_INITIALIZER,
          .begin = PTHREAD_COND_INITIALIZER,
          .end = PTHREAD_COND_INITIALIZER};

static void relax(void)
{
#ifdef __x86_64__
    __builtin_ia32_pause();
#endif
}

static void work_off_line(const struct crew *crew, struct line *line, int number)
{
    while (atomic_load_explicit(&line->next, memory_order_relaxed) < crew->count) {
        int64_t index = atomic_fetch_add(&line->next, crew->workers);
        if (index < crew->count)
            crew->work(crew->state, index, number);
    }
}

/// A worker's own indices first, whose data its caches may have from the call before; then what others have
/// not begun: on a busy machine a thread may be away for long. Where everyone has but one index, only the
/// caller looks.
static void work_off(const struct crew *crew, int number)
{
    int lines = number == 0 || crew->count > crew->workers ? crew->workers : 1;
    for (int i = 0; i < lines; i++)
        work_off_line(crew, &pool.lines[(number + i) % crew->workers], number);
}

static int current_processor(void)
{
#ifdef __linux__
    return sched_getcpu();
#else
    return -1;
#endif
}

/// Processors that this thread may run on; 0: not known.
static int processor_count(void)
{
#ifdef __linux__
    cpu_set_t allowed;
    return sched_getaffinity(0, sizeof(allowed), &allowed) == 0 ? CPU_COUNT(&allowed) : 0;
#else
    return 0;
#endif
}

/// Where all processors are busy, Linux wakes a thread on that of the one that woke it, which then has to
/// share it. Moves this thread to another one, if it may go there.
static void leave_processor(int processor)
{
#ifdef __linux__
    cpu_set_t allowed, others;
    if (processor < 0 || current_processor() != processor ||
        sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
        return;
    others = allowed;
    CPU_CLR(processor, &others);
    if (sched_setaffinity(0, sizeof(others), &others) == 0)
        sched_setaffinity(0, sizeof(allowed), &allowed);
#else
    (void)processor;
#endif
}

static void nap(void)
{
    const struct timespec while_others_work = {.tv_nsec = 50000};
    nanosleep(&while_others_work, NULL);
}

static void nap_of_caller(void)
{
    double start = pbitc_clock_seconds();
    nap();
    pool.waited += pbitc_clock_seconds() - start;
}

/// Whether all others have done a stage before long.
static bool await_others(const struct crew *crew, int number, int64_t stages)
{
    for (int i = 0; i < crew->workers; i++)
        for (int spins = 0; i != number && atomic_load(&pool.lines[i].next) < stages; spins++) {
            if (spins == SPINS)
                return false;
            relax();
        }
    return true;
}

/// A worker's pieces, from the stage on that it comes to. False where others take long: the caller does its
/// pieces until it comes again.
static bool attend(const struct crew *crew, int number)
{
    struct line *own = &pool.lines[number];
    for (int64_t stage = atomic_load(&own->next); stage < crew->count; stage++) {
        if (!await_others(crew, number, stage))
            return false;
        crew->stage_work(crew->state, (uint32_t)stage, (uint32_t)number);
        atomic_store_explicit(&own->next, stage + 1, memory_order_release);
    }
    return true;
}

static void sleep_until_called(struct line *line)
{
    int state = AWAKE;
    pthread_mutex_lock(&pool.mutex);
    if (!pool.quit && atomic_compare_exchange_strong(&line->state, &state, ASLEEP))
        while (atomic_load(&line->state) == ASLEEP && !pool.quit)
            pthread_cond_wait(&pool.begin, &pool.mutex);
    pthread_mutex_unlock(&pool.mutex);
}

static bool is_dismissed(void)
{
    pthread_mutex_lock(&pool.mutex);
    bool quit = pool.quit;
    pthread_mutex_unlock(&pool.mutex);
    return quit;
}

/// False at the end.
static bool await_crew(struct line *line)
{
    for (;;) {
        for (int i = 0; i < SPINS && atomic_load(&line->state) != CALLED; i++)
            relax();
        leave_processor(atomic_load_explicit(&pool.caller_processor, memory_order_relaxed));
        int state = CALLED;
        if (atomic_compare_exchange_strong(&line->state, &state, WORKING))
            return true;
        sleep_until_called(line);
        if (is_dismissed())
            return false;
    }
}

static void *serve(void *argument)
{
    int number = (int)(intptr_t)argument;
    struct line *line = &pool.lines[number];
    while (await_crew(line)) {
        const struct crew crew = line->crew;
        bool done = true;
        if (crew.stage_work)
            done = attend(&crew, number);
        else
            work_off(&crew, number);
        atomic_store(&line->state, done ? AWAKE : CALLED);
        if (atomic_load(&pool.caller_sleeps)) {
            pthread_mutex_lock(&pool.mutex);
            pthread_cond_signal(&pool.end);
            pthread_mutex_unlock(&pool.mutex);
        }
        if (!done)
            nap();
    }
    return NULL;
}

/// In a child of fork(): the threads are not there, and nobody holds a lock.
static void forget(void)
{
    pthread_mutex_init(&pool.owner, NULL);
    pthread_mutex_init(&pool.mutex, NULL);
    pthread_cond_init(&pool.begin, NULL);
    pthread_cond_init(&pool.end, NULL);
    pool.hired = 0;
    atomic_store(&pool.caller_sleeps, 0);
    for (int i = 0; i < MAX_WORKERS; i++)
        atomic_store(&pool.lines[i].state, AWAKE);
}

__attribute__((destructor)) static void dismiss(void)
{
    pthread_mutex_lock(&pool.mutex);
    pool.quit = true;
    pthread_cond_broadcast(&pool.begin);
    pthread_mutex_unlock(&pool.mutex);
    for (int i = 1; i <= pool.hired; i++)
        pthread_join(pool.threads[i], NULL);
}

static void handle_forks(void)
{
    pthread_atfork(NULL, NULL, forget);
}

/// Makes sure that there are `workers` with the calling thread, or as many as can be had; returns how many.
static int hire(int workers)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, handle_forks);
    while (pool.hired + 1 < workers) {
        int number = pool.hired + 1;
        if (pthread_create(&pool.threads[number], NULL, serve, (void *)(intptr_t)number) != 0)
            return number; // the others do the work
        pool.hired = number;
    }
    return workers;
}

static void begin(const struct crew *crew)
{
    bool sleepers = false;
    for (int i = 0; i < crew->workers; i++) {
        atomic_store_explicit(&pool.lines[i].next, crew->stage_work ? 0 : i, memory_order_relaxed);
        pool.lines[i].crew = *crew;
    }
    for (int i = 1; i < crew->workers; i++)
        sleepers |= atomic_exchange(&pool.lines[i].state, CALLED) == ASLEEP;
    if (sleepers) {
        pthread_mutex_lock(&pool.mutex);
        pthread_cond_broadcast(&pool.begin);
        pthread_mutex_unlock(&pool.mutex);
    }
}

static void sleep_while_it_works(const struct line *line)
{
    double start = pbitc_clock_seconds();
    pthread_mutex_lock(&pool.mutex);
    atomic_store(&pool.caller_sleeps, 1);
    while (atomic_load(&line->state) == WORKING)
        pthread_cond_wait(&pool.end, &pool.mutex);
    atomic_store(&pool.caller_sleeps, 0);
    pthread_mutex_unlock(&pool.mutex);
    pool.waited += pbitc_clock_seconds() - start;
}

/// Waits for a worker, if it came; one that did not need not any more.
static void end(struct line *line)
{
    for (int spins = 0;; spins++) {
        int state = atomic_load(&line->state);
        if (state == WORKING && spins < SPINS)
            relax();
        else if (state == WORKING)
            sleep_while_it_works(line);
        else if (state != CALLED || atomic_compare_exchange_strong(&line->state, &state, AWAKE))
            return;
    }
}

void pbitc_parallel_for(int threads, int64_t count, pbitc_work_function *work, void *state)
{
    struct crew crew = {.work = work, .state = state, .count = count};
    int workers = threads < MAX_WORKERS ? threads : MAX_WORKERS;
    workers = count < workers ? (int)count : workers;
    // Inside of another crew's work there is no pool to be had, nor any need of one.
    if (workers < 2 || pthread_mutex_trylock(&pool.owner) != 0) {
        for (int64_t i = 0; i < count; i++)
            work(state, i, 0);
        return;
    }
    crew.workers = hire(workers);
    atomic_store_explicit(&pool.caller_processor, -1, memory_order_relaxed); // long work: it is left to Linux
    begin(&crew);
    work_off(&crew, 0);
    for (int i = 1; i < crew.workers; i++)
        end(&pool.lines[i]);
    pthread_mutex_unlock(&pool.owner);
}

/// Does what a worker that has not come yet would do.
static bool help(const struct crew *crew, int number, int64_t stage)
{
    struct line *line = &pool.lines[number];
    int state = CALLED;
    if (atomic_load(&line->state) != CALLED || !atomic_compare_exchange_strong(&line->state, &state, HELPED))
        return false;
    crew->stage_work(crew->state, (uint32_t)stage, (uint32_t)number);
    atomic_store_explicit(&line->next, stage + 1, memory_order_release);
    atomic_store(&line->state, CALLED);
    return true;
}

static void await_piece(const struct crew *crew, int number, int64_t stage)
{
    const struct line *line = &pool.lines[number];
    for (int spins = 0; atomic_load(&line->next) <= stage && !help(crew, number, stage); spins++)
        if (spins < SPINS)
            relax();
        else
            nap_of_caller();
}

static void lead(const struct crew *crew, uint32_t pieces)
{
    for (int64_t stage = 0; stage < crew->count; stage++) {
        crew->stage_work(crew->state, (uint32_t)stage, 0);
        for (uint32_t i = (uint32_t)crew->workers; i < pieces; i++)
            crew->stage_work(crew->state, (uint32_t)stage, i);
        atomic_store_explicit(&pool.lines[0].next, stage + 1, memory_order_release);
        for (int i = 1; i < crew->workers; i++)
            await_piece(crew, i, stage);
    }
}

/// As many as there are processors: others would only be waited for.
static int useful_workers(uint32_t pieces)
{
    static int processors = 0;
    if (processors == 0)
        processors = processor_count() > 0 ? processor_count() : MAX_WORKERS;
    int most = processors < MAX_WORKERS ? processors : MAX_WORKERS;
    return pieces < (uint32_t)most ? (int)pieces : most;
}

static struct choice *find_choice(uint64_t cost, uint32_t stages, uint32_t pieces)
{
    struct choice *choice = &pool.choices[(cost + stages) % CHOICES];
    if (choice->cost != cost || choice->stages != stages || choice->pieces != pieces)
        *choice =
            (struct choice){.cost = cost, .stages = stages, .pieces = pieces, .calls = PERIOD - TRIALS / 2};
    return choice;
}

static void run_together(const struct crew *crew, uint32_t pieces)
{
    pool.waited = 0;
    atomic_store_explicit(&pool.caller_processor, current_processor(), memory_order_relaxed);
    begin(crew);
    lead(crew, pieces);
    for (int i = 1; i < crew->workers; i++)
        end(&pool.lines[i]);
}

static void run_alone(const struct crew *crew)
{
    for (int64_t stage = 0; stage < crew->count; stage++)
        crew->stage_work(crew->state, (uint32_t)stage, PBITC_WHOLE);
}

/// After a call together; those of a trial gain nothing. Ends a trial that had to wait.
static void settle(struct choice *choice, unsigned turn)
{
    if (turn >= TRIALS)
        choice->gained += (choice->seconds[0] - choice->seconds[1]) / (TRIALS / 2);
    choice->gained -= pool.waited;
    if (pool.waited == 0 || choice->gained >= 0)
        return;
    choice->missed = choice->missed < MOST_MISSED ? 2 * choice->missed + 1 : MOST_MISSED;
    choice->skipped = choice->missed;
    choice->together = false;
    choice->calls += turn < TRIALS ? TRIALS - 1 - turn : 0;
}

/// Goes the better way, or the other one to see.
static void run_best(const struct crew *crew, uint32_t pieces, struct choice *choice)
{
    if (choice->calls % PERIOD == PERIOD - TRIALS / 2 && choice->skipped > 0) {
        choice->skipped--;
        choice->gained = 0;
        choice->calls += TRIALS / 2 + TRIALS;
    }
    unsigned turn = choice->calls++ % PERIOD;
    bool together = choice->together != (turn < TRIALS), last = turn >= PERIOD - TRIALS / 2,
         measured = last || (turn >= TRIALS / 2 && turn < TRIALS);
    double start = measured ? pbitc_clock_seconds() : 0;
    if (together)
        run_together(crew, pieces);
    else
        run_alone(crew);
    if (turn == PERIOD - TRIALS / 2 || turn == TRIALS / 2)
        choice->seconds[together] = 0;
    if (measured)
        choice->seconds[together] += pbitc_clock_seconds() - start;
    if (turn == TRIALS - 1)
        choice->together = choice->seconds[1] < choice->seconds[0];
    if (together)
        settle(choice, turn);
    if (turn == PERIOD - 1) {
        choice->missed = choice->together ? 0 : choice->missed;
        choice->gained = 0;
    }
}

void pbitc_parallel_stages(uint64_t cost, uint32_t stages, uint32_t pieces, pbitc_stage_function *work,
                           void *state)
{
    struct crew crew = {.stage_work = work, .state = state, .count = stages, .workers = 1};
    if (pieces < 2 || pthread_mutex_trylock(&pool.owner) != 0) {
        run_alone(&crew);
        return;
    }
    crew.workers = hire(useful_workers(pieces));
    if (crew.workers > 1)
        run_best(&crew, pieces, find_choice(cost, stages, pieces));
    else
        run_alone(&crew);
    pthread_mutex_unlock(&pool.owner);
}
