// The kinds of processor that kernels are compiled for beside the one of the whole build.
#ifndef PBITC_PROCESSOR_H
#define PBITC_PROCESSOR_H

enum pbitc_processor { PBITC_PROCESSOR_PLAIN, PBITC_PROCESSOR_AVX2, PBITC_PROCESSOR_AVX512 };

#ifdef __x86_64__
#define PBITC_TARGET_AVX2 __attribute__((target("avx2,fma")))
#define PBITC_TARGET_AVX512 __attribute__((target("avx512f,avx2,fma")))
#endif

/// The best that this machine has.
static inline enum pbitc_processor pbitc_processor(void)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f"))
        return PBITC_PROCESSOR_AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return PBITC_PROCESSOR_AVX2;
#endif
    return PBITC_PROCESSOR_PLAIN;
}

#endif
