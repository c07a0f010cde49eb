// The innermost loop of CONV, in the form that suits the core. All forms give the same bits: FORMAT.md keeps
// every sum inside i32.
#ifndef PBIT_DOT_H
#define PBIT_DOT_H

#include <stddef.h>
#include <stdint.h>

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP && defined(__ARM_FEATURE_UNALIGNED) &&                   \
    !defined(__ARM_BIG_ENDIAN)
#include <arm_acle.h>

static inline uint32_t pbit_dot_word(const void *bytes)
{
    uint32_t word;
    __builtin_memcpy(&word, bytes, sizeof(word)); // one load, wherever it lies
    return word;
}

/// The low halfwords of both, and the high ones: PKHBT and PKHTB, for which there is no intrinsic.
static inline int16x2_t pbit_dot_low(uint32_t first, uint32_t second)
{
    int16x2_t pair;
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(pair) : "r"(first), "r"(second));
    return pair;
}

static inline int16x2_t pbit_dot_high(uint32_t first, uint32_t second)
{
    int16x2_t pair;
    __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(pair) : "r"(second), "r"(first));
    return pair;
}

/// SMLAD multiplies two pairs of halfwords: levels 0 and 2 with weights 0 and 2, then 1 and 3.
static inline int32_t pbit_dot_four(const uint8_t *x, const int16_t *w, int32_t sum)
{
    uint32_t levels = pbit_dot_word(x), first = pbit_dot_word(w), second = pbit_dot_word(w + 2);
    sum = __smlad((int16x2_t)__uxtb16(levels), pbit_dot_low(first, second), sum);
    return __smlad((int16x2_t)__uxtb16(levels >> 8 | levels << 24), pbit_dot_high(first, second), sum);
}

static inline int32_t pbit_dot(const uint8_t *restrict x, const int16_t *restrict w, size_t n)
{
    int32_t sum = 0;
    for (; n >= 8; n -= 8, x += 8, w += 8)
        sum = pbit_dot_four(x + 4, w + 4, pbit_dot_four(x, w, sum));
    for (; n > 0; n--)
        sum += *x++ * *w++;
    return sum;
}

#elif __STDC_HOSTED__

/// Compilers turn it into vectors.
static inline int32_t pbit_dot(const uint8_t *restrict x, const int16_t *restrict w, size_t n)
{
    int32_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * w[i];
    return sum;
}

#else

/// Small cores spend half of the simple loop on counting.
static inline int32_t pbit_dot(const uint8_t *restrict x, const int16_t *restrict w, size_t n)
{
    int32_t sum = 0;
    for (; n >= 8; n -= 8, x += 8, w += 8) {
        sum += x[0] * w[0];
        sum += x[1] * w[1];
        sum += x[2] * w[2];
        sum += x[3] * w[3];
        sum += x[4] * w[4];
        sum += x[5] * w[5];
        sum += x[6] * w[6];
        sum += x[7] * w[7];
    }
    while (n--)
        sum += *x++ * *w++;
    return sum;
}

#endif

#endif
