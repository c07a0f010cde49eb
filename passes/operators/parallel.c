// A pool of threads that is kept until the process ends: making a thread takes longer than a small layer.
#include "passes/operators/operator_support.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    MAX_WORKERS = 64,
    SPINS = 2000, ///< looks at a flag before a thread sleeps: some 20 microseconds
};

struct crew {
    pbitc_work_function *work;
    void *state;
    int64_t count;
    _Atomic int64_t next;
};

static struct pool {
    pthread_mutex_t owner; ///< held while a crew works
    pthread_mutex_t mutex; ///< guards what follows
    pthread_cond_t begin, end;
    struct crew *crew;
    int workers; ///< of the crew, with the calling thread
    bool quit;
    _Atomic unsigned generation; ///< of crews, ever
    _Atomic int working;         ///< workers besides the calling thread that came and are not done
    int hired;                   ///< threads of the pool: workers 1..hired
    pthread_t threads[MAX_WORKERS];
} pool = {.owner = PTHREAD_MUTEX_INITIALIZER,
          .mutex = PTHREAD_MUTEX_INITIALIZER,
          .begin = PTHREAD_COND_INITIALIZER,
          .end = PTHREAD_COND_INITIALIZER};

static void work_off(struct crew *crew, int number)
{
    for (int64_t i; (i = atomic_fetch_add(&crew->next, 1)) < crew->count;)
        crew->work(crew->state, i, number);
}

static void relax(void)
{
#ifdef __x86_64__
    __builtin_ia32_pause();
#endif
}

/// The next crew that this worker belongs to; NULL at the end. *seen: the generation that it knows.
static struct crew *await_crew(int number, unsigned *seen)
{
    struct crew *crew = NULL;
    while (!crew) {
        for (int i = 0; i < SPINS && atomic_load(&pool.generation) == *seen; i++)
            relax();
        pthread_mutex_lock(&pool.mutex);
        while (atomic_load(&pool.generation) == *seen && !pool.quit)
            pthread_cond_wait(&pool.begin, &pool.mutex);
        bool quit = pool.quit;
        *seen = atomic_load(&pool.generation);
        crew = number < pool.workers ? pool.crew : NULL;
        if (crew)
            atomic_fetch_add(&pool.working, 1);
        pthread_mutex_unlock(&pool.mutex);
        if (quit)
            return NULL;
    }
    return crew;
}

static void *serve(void *argument)
{
    int number = (int)(intptr_t)argument;
    unsigned seen = 0;
    for (struct crew *crew; (crew = await_crew(number, &seen));) {
        work_off(crew, number);
        if (atomic_fetch_sub(&pool.working, 1) == 1) {
            pthread_mutex_lock(&pool.mutex);
            pthread_cond_signal(&pool.end);
            pthread_mutex_unlock(&pool.mutex);
        }
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
    pool.crew = NULL;
    atomic_store(&pool.generation, 0);
    atomic_store(&pool.working, 0);
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

static void begin(struct crew *crew, int workers)
{
    pthread_mutex_lock(&pool.mutex);
    pool.crew = crew;
    pool.workers = workers;
    atomic_fetch_add(&pool.generation, 1);
    pthread_cond_broadcast(&pool.begin);
    pthread_mutex_unlock(&pool.mutex);
}

/// Whoever has not come yet need not: on a busy machine a thread may sleep for long. Waits for those that
/// came.
static void end(void)
{
    pthread_mutex_lock(&pool.mutex);
    pool.crew = NULL;
    pthread_mutex_unlock(&pool.mutex);
    for (int i = 0; i < SPINS && atomic_load(&pool.working) > 0; i++)
        relax();
    pthread_mutex_lock(&pool.mutex);
    while (atomic_load(&pool.working) > 0)
        pthread_cond_wait(&pool.end, &pool.mutex);
    pthread_mutex_unlock(&pool.mutex);
}

void pbitc_parallel_for(int threads, int64_t count, pbitc_work_function *work, void *state)
{
    struct crew crew = {.work = work, .state = state, .count = count};
    int workers = threads < MAX_WORKERS ? threads : MAX_WORKERS;
    workers = count < workers ? (int)count : workers;
    // Inside of another crew's work there is no pool to be had, nor any need of one.
    if (workers < 2 || pthread_mutex_trylock(&pool.owner) != 0) {
        work_off(&crew, 0);
        return;
    }
    begin(&crew, hire(workers));
    work_off(&crew, 0);
    end();
    pthread_mutex_unlock(&pool.owner);
}
