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

/// SMLAD multiplies two pairs of halfwords: levels 0 and 2 with weights 0 and 2, then 1 and 3.
static inline int32_t pbit_dot(const uint8_t *restrict x, const int16_t *restrict w, size_t n)
{
    int32_t sum = 0;
    for (; n >= 4; n -= 4, x += 4, w += 4) {
        uint32_t levels = pbit_dot_word(x), low = pbit_dot_word(w), high = pbit_dot_word(w + 2);
        int16x2_t even = (int16x2_t)((low & 0xFFFF) | high << 16),
                  odd = (int16x2_t)(low >> 16 | (high & 0xFFFF0000));
        sum = __smlad((int16x2_t)__uxtb16(levels), even, sum);
        sum = __smlad((int16x2_t)__uxtb16(levels >> 8), odd, sum);
    }
    while (n--)
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
