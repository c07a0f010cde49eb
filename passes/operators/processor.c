#include "passes/operators/processor.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static enum pbit_cpu chosen;
static bool as_asked;

static void choose(void)
{
    const char *asked = getenv("PBIT_CPU");
    chosen = pbit_cpu_present();
    as_asked = !asked || !*asked;
    for (enum pbit_cpu cpu = PBIT_CPU_SCALAR; !as_asked && cpu <= pbit_cpu_present(); cpu++)
        if (strcmp(asked, pbit_cpu_name(cpu)) == 0) {
            chosen = cpu;
            as_asked = true;
        }
}

static void choose_once(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, choose);
}

enum pbit_cpu pbitc_processor(void)
{
    choose_once();
    return chosen;
}

bool pbitc_processor_is_as_asked(void)
{
    choose_once();
    return as_asked;
}
