#include "passes/operators/operator_support.h"

#include <pthread.h>
#include <stdatomic.h>

enum { MAX_WORKERS = 64 };

struct crew {
    pbitc_work_function *work;
    void *state;
    int64_t count;
    _Atomic int64_t next;
};

struct worker {
    struct crew *crew;
    int number;
    pthread_t thread;
};

static void *work_off(void *argument)
{
    struct worker *worker = argument;
    struct crew *crew = worker->crew;
    for (int64_t i; (i = atomic_fetch_add(&crew->next, 1)) < crew->count;)
        crew->work(crew->state, i, worker->number);
    return NULL;
}

void pbitc_parallel_for(int threads, int64_t count, pbitc_work_function *work, void *state)
{
    struct crew crew = {.work = work, .state = state, .count = count};
    struct worker workers[MAX_WORKERS] = {{.crew = &crew}};
    int hired = 1; // worker 0 is the calling thread
    while (hired < threads && hired < count && hired < MAX_WORKERS) {
        workers[hired] = (struct worker){.crew = &crew, .number = hired};
        if (pthread_create(&workers[hired].thread, NULL, work_off, &workers[hired]) != 0)
            break; // the others do the work
        hired++;
    }
    work_off(&workers[0]);
    for (int i = 1; i < hired; i++)
        pthread_join(workers[i].thread, NULL);
}
