#include "passes/operators/processor.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static enum pbitc_processor chosen;

static void choose(void)
{
    const char *wanted = getenv("PBIT_CPU");
    enum pbitc_processor most = PBITC_PROCESSOR_AVX512, present = PBITC_PROCESSOR_PLAIN;
    if (wanted && strcmp(wanted, "scalar") == 0)
        most = PBITC_PROCESSOR_PLAIN;
    if (wanted && strcmp(wanted, "avx2") == 0)
        most = PBITC_PROCESSOR_AVX2;
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f"))
        present = PBITC_PROCESSOR_AVX512;
    else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        present = PBITC_PROCESSOR_AVX2;
#endif
    chosen = present < most ? present : most;
}

enum pbitc_processor pbitc_processor(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, choose);
    return chosen;
}
