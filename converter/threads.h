// The option --threads, the same for every command that has it.
#ifndef PBITC_THREADS_H
#define PBITC_THREADS_H

#include <stdint.h>

enum { PBITC_THREADS_LIMIT = 64 };

/// A row of an option table; the field is an int64_t that is 0 when the option is not given.
#define PBITC_THREADS_OPTION(arguments, field)                                                               \
    {                                                                                                        \
        "threads", 0, "N", "threads to work on; no result depends on it (all processors)",                   \
            PBITC_OPTION_INTEGER, offsetof(arguments, field), .minimum = 1, .maximum = PBITC_THREADS_LIMIT   \
    }

/// `wanted`, or one per processor for 0.
int pbitc_threads(int64_t wanted);

#endif
