#include "converter/bench/bench.h"

#include "passes/clock.h"

#include <string.h>

double pbitc_bench_ceiling(const struct pbitc_bench_peaks *peaks, const char *instruction)
{
    for (size_t i = 0; i < peaks->ceiling_count; i++)
        if (strcmp(peaks->ceilings[i].instruction, instruction) == 0)
            return peaks->ceilings[i].macs_per_second;
    return 0;
}

#ifdef __x86_64__
enum {
    TURNS = 1000,
    CHAIN = 8,        ///< instructions of a turn
    LATENCY = 3,      ///< cycles that a 64-bit IMUL waits for the one before, on every processor with AVX2
    ACCUMULATORS = 12 ///< instructions of a turn; more than latency times units that run them
};

static void chain(void)
{
    uint64_t value = 3, factor = 5;
    for (int i = 0; i < TURNS; i++)
        __asm__ volatile("imul %1, %0\nimul %1, %0\nimul %1, %0\nimul %1, %0\n"
                         "imul %1, %0\nimul %1, %0\nimul %1, %0\nimul %1, %0"
                         : "+r"(value)
                         : "r"(factor));
}

#define VPDPBUSD(i) "vpdpbusd %%zmm16, %%zmm17, %%zmm" #i "\n"
#define VPMADDUBSW(i) "vpmaddubsw %%ymm14, %%ymm15, %%ymm" #i "\n"
#define VPMADDWD(i) "vpmaddwd %%ymm14, %%ymm15, %%ymm" #i "\n"

__attribute__((target("avx512f,avx512vnni"))) static void multiply_vpdpbusd(void)
{
    for (int i = 0; i < TURNS; i++)
        __asm__ volatile(VPDPBUSD(20) VPDPBUSD(21) VPDPBUSD(22) VPDPBUSD(23) VPDPBUSD(24) VPDPBUSD(25)
                             VPDPBUSD(26) VPDPBUSD(27) VPDPBUSD(28) VPDPBUSD(29) VPDPBUSD(30) VPDPBUSD(31)
                         :
                         :
                         : "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28",
                           "xmm29", "xmm30", "xmm31");
}

#define ON_TWELVE(name, instruction)                                                                         \
    __attribute__((target("avx2"))) static void name(void)                                                   \
    {                                                                                                        \
        for (int i = 0; i < TURNS; i++)                                                                      \
            __asm__ volatile(instruction(0) instruction(1) instruction(2) instruction(3) instruction(4)      \
                                 instruction(5) instruction(6) instruction(7) instruction(8) instruction(9)  \
                                     instruction(10) instruction(11)                                         \
                             :                                                                               \
                             :                                                                               \
                             : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",       \
                               "xmm9", "xmm10", "xmm11");                                                    \
        __asm__ volatile("vzeroupper");                                                                      \
    }

ON_TWELVE(multiply_vpmaddubsw, VPMADDUBSW)
ON_TWELVE(multiply_vpmaddwd, VPMADDWD)

static const struct meter {
    const char *instruction;
    enum pbit_cpu cpu;
    int macs; ///< per instruction
    void (*run)(void);
} meters[] = {
    {"vpmaddubsw", PBIT_CPU_AVX2, 32, multiply_vpmaddubsw},
    {"vpmaddwd", PBIT_CPU_AVX2, 16, multiply_vpmaddwd},
    {"vpdpbusd", PBIT_CPU_AVX512, 64, multiply_vpdpbusd},
};
_Static_assert(sizeof(meters) / sizeof(meters[0]) <= PBITC_BENCH_CEILINGS, "room for every instruction");

/// Events per second of a function that makes `events`.
static double rate(void (*run)(void), double events)
{
    double start = pbitc_clock_seconds();
    run();
    return events / (pbitc_clock_seconds() - start);
}

static void keep_larger(double *kept, double value)
{
    *kept = value > *kept ? value : *kept;
}

void pbitc_bench_peaks_measure(struct pbitc_bench_peaks *peaks, enum pbit_cpu cpu)
{
    keep_larger(&peaks->clock, rate(chain, (double)TURNS * CHAIN * LATENCY));
    peaks->ceiling_count = 0;
    for (size_t i = 0; i < sizeof(meters) / sizeof(meters[0]); i++) {
        if (meters[i].cpu > cpu)
            continue;
        struct pbitc_bench_ceiling *ceiling = &peaks->ceilings[peaks->ceiling_count++];
        ceiling->instruction = meters[i].instruction;
        keep_larger(&ceiling->macs_per_second,
                    rate(meters[i].run, (double)TURNS * ACCUMULATORS * meters[i].macs));
    }
}
#else
void pbitc_bench_peaks_measure(struct pbitc_bench_peaks *peaks, enum pbit_cpu cpu)
{
    (void)peaks, (void)cpu;
}
#endif
