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
#define VPERMB(i) "vpermb %%zmm16, %%zmm17, %%zmm" #i "\n"
#define VPMADDUBSW(i) "vpmaddubsw %%ymm14, %%ymm15, %%ymm" #i "\n"
#define VPSHUFB(i) "vpshufb %%ymm14, %%ymm15, %%ymm" #i "\n"
#define VPMADDWD(i) "vpmaddwd %%ymm14, %%ymm15, %%ymm" #i "\n"

/// A function of twelve at a time that do not wait for each other.
#define METER(name, target_name, twelve, ...)                                                                \
    __attribute__((target(target_name))) static void name(void)                                              \
    {                                                                                                        \
        for (int i = 0; i < TURNS; i++)                                                                      \
            __asm__ volatile(twelve : : : __VA_ARGS__);                                                      \
        __asm__ volatile("vzeroupper");                                                                      \
    }

#define ON_LOW(one) one(0) one(1) one(2) one(3) one(4) one(5) one(6) one(7) one(8) one(9) one(10) one(11)
#define LOW "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11"
#define ON_HIGH(one)                                                                                         \
    one(20) one(21) one(22) one(23) one(24) one(25) one(26) one(27) one(28) one(29) one(30) one(31)
#define HIGH                                                                                                 \
    "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31"

METER(multiply_vpmaddubsw, "avx2", ON_LOW(VPMADDUBSW), LOW)
METER(multiply_vpmaddwd, "avx2", ON_LOW(VPMADDWD), LOW)
METER(look_up_vpshufb, "avx2", ON_LOW(VPSHUFB), LOW)
METER(multiply_vpdpbusd, "avx512f,avx512vnni", ON_HIGH(VPDPBUSD), HIGH)
METER(look_up_vpermb, "avx512f,avx512vbmi", ON_HIGH(VPERMB), HIGH)

static const struct meter {
    const char *instruction;
    enum pbit_cpu cpu;
    int macs; ///< per instruction
    void (*run)(void);
} meters[] = {
    {"vpmaddubsw", PBIT_CPU_AVX2, 32, multiply_vpmaddubsw},
    {"vpmaddwd", PBIT_CPU_AVX2, 16, multiply_vpmaddwd},
    {"vpshufb", PBIT_CPU_AVX2, 32 * 4, look_up_vpshufb}, // the sum of 4 weights for each of 32 columns
    {"vpdpbusd", PBIT_CPU_AVX512, 64, multiply_vpdpbusd},
    {"vpermb", PBIT_CPU_AVX512, 64 * 6, look_up_vpermb}, // the sum of 6 weights for each of 64
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
        if (meters[i].cpu > cpu || (meters[i].run == look_up_vpermb && !__builtin_cpu_supports("avx512vbmi")))
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
