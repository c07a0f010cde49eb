// The kinds of processor that kernels are compiled for beside the one of the whole build.
#ifndef PBITC_PROCESSOR_H
#define PBITC_PROCESSOR_H

enum pbitc_processor { PBITC_PROCESSOR_PLAIN, PBITC_PROCESSOR_AVX2, PBITC_PROCESSOR_AVX512 };

#ifdef __x86_64__
#define PBITC_TARGET_AVX2 __attribute__((target("avx2,fma")))
#define PBITC_TARGET_AVX512 __attribute__((target("avx512f,avx2,fma")))
#endif

/// The best kind that this machine has, and that the environment variable PBIT_CPU (scalar, avx2 or avx512)
/// allows.
enum pbitc_processor pbitc_processor(void);

#endif
