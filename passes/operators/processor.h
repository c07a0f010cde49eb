// The kinds of processor that float kernels are compiled for, beside the one of the whole build: those of
// libpbit.
#ifndef PBITC_PROCESSOR_H
#define PBITC_PROCESSOR_H

#include "runtime/pbit.h"

#include <stdbool.h>

#ifdef __x86_64__
#define PBITC_TARGET_AVX2 __attribute__((target("avx2,fma")))
#define PBITC_TARGET_AVX512 __attribute__((target("avx512f,avx2,fma")))
#endif

/// The kind to use: what the environment variable PBIT_CPU names (scalar, avx2, avx512, neon), else the best
/// of this machine.
enum pbit_cpu pbitc_processor(void);

/// False when PBIT_CPU names a kind that is unknown or not on this machine; then the best one is used.
bool pbitc_processor_is_as_asked(void);

#endif
