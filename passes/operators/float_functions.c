// Method and coefficients of exp and tanh: S. L. Moshier, Cephes Mathematical Library, single precision.
#include "passes/operators/float_functions.h"

#include "passes/operators/processor.h"

#include <string.h>

#define INLINE static inline __attribute__((always_inline))

/// 2^exponent for -126 <= exponent <= 127; anything for others, which only come from a NaN.
INLINE float power_of_two(int32_t exponent)
{
    float power;
    uint32_t bits = ((uint32_t)exponent + 127) << 23;
    memcpy(&power, &bits, sizeof(power));
    return power;
}

/// e^x = 2^n e^r with |r| <= log(2) / 2.
INLINE float exp_float(float x)
{
    const float rounder = 0x1.8p23f, most = 89, least = -104;
    x = x > most ? most : x < least ? least : x;
    float n = x * 1.44269504f + rounder; // the sum's lowest bits are the rounded product
    int32_t bits, start;
    memcpy(&bits, &n, sizeof(bits));
    memcpy(&start, &rounder, sizeof(start));
    n -= rounder;
    float r = x - n * 0.693359375f + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1;
    // In two steps, for results outside the normal range.
    int32_t exponent = bits - start, half = exponent / 2;
    return p * power_of_two(half) * power_of_two(exponent - half);
}

INLINE float sigmoid_float(float x)
{
    return 1 / (1 + exp_float(-x));
}

INLINE float tanh_float(float x)
{
    float square = x * x, size = x < 0 ? -x : x;
    float p = -5.70498872745e-3f;
    p = p * square + 2.06390887954e-2f;
    p = p * square - 5.37397155531e-2f;
    p = p * square + 1.33314422036e-1f;
    p = p * square - 3.33332819422e-1f;
    float small = p * square * x + x;
    float large = 1 - 2 / (exp_float(2 * size) + 1);
    return size < 0.625f ? small : x < 0 ? -large : large;
}

#define LOOP(name, kind, target)                                                                             \
    target static void name##_##kind(int64_t count, const float *x, float *out)                              \
    {                                                                                                        \
        for (int64_t i = 0; i < count; i++)                                                                  \
            out[i] = name##_float(x[i]);                                                                     \
    }

#ifdef __x86_64__
#define LOOPS(name)                                                                                          \
    LOOP(name, avx512, PBITC_TARGET_AVX512)                                                                  \
    LOOP(name, avx2, PBITC_TARGET_AVX2)                                                                      \
    LOOP(name, plain, )
#define CHOOSE(name)                                                                                         \
    (pbitc_processor() == PBIT_CPU_AVX512 ? name##_avx512                                                    \
     : pbitc_processor() == PBIT_CPU_AVX2 ? name##_avx2                                                      \
                                          : name##_plain)
#else
#define LOOPS(name) LOOP(name, plain, )
#define CHOOSE(name) name##_plain
#endif

#define FUNCTION(name)                                                                                       \
    LOOPS(name)                                                                                              \
    void pbitc_##name##_floats(int64_t count, const float *x, float *out)                                    \
    {                                                                                                        \
        CHOOSE(name)(count, x, out);                                                                         \
    }

FUNCTION(exp)
FUNCTION(sigmoid)
FUNCTION(tanh)
