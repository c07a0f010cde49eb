#include "converter/threads.h"

#include <unistd.h>

int pbitc_threads(int64_t wanted)
{
    if (wanted)
        return (int)wanted;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (processors < 1)
        return 1;
    return processors > PBITC_THREADS_LIMIT ? PBITC_THREADS_LIMIT : (int)processors;
}
