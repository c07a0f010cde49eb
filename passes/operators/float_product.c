#include "passes/operators/float_product.h"

#include "passes/operators/processor.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif
#include <stdbool.h>
#include <string.h>

// The kernels are written once, in the compiler's vectors, and compiled for each kind of processor. All kinds
// give the same bits on one processor: an element's sum does not depend on the tile it is in. Whether the
// multiply-adds are fused is said, not left to the compiler.

enum { MAX_ACCUMULATORS = 16, PARTIAL_SUMS = 16 };

/// A piece of a product; see the header for the meaning of each.
struct product {
    int64_t depth, a_stride, c_stride;
    const float *a, *b;
    const int64_t *b_offsets;
    float *c;
};

typedef float eight __attribute__((vector_size(8 * sizeof(float)), aligned(4), may_alias));
typedef float four __attribute__((vector_size(4 * sizeof(float)), aligned(4), may_alias));

/// Adds the upper half of the sums to the lower, until one is left.
static inline __attribute__((always_inline)) float add_pairwise(float *sums)
{
    *(eight *)sums += *(const eight *)(sums + 8);
    *(four *)sums += *(const four *)(sums + 4);
    return (sums[0] + sums[2]) + (sums[1] + sums[3]);
}

#ifdef __x86_64__
#define NAMED(name) name##_avx512
#define TARGET PBITC_TARGET_AVX512
#define LANES 16
#define MULTIPLY_ADD(a, b, sum) _mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(sum))
#define ROWS 8
#define VECTORS 2
#define WIDE 16
#define SQUARE 4
#include "passes/operators/float_product_kernels.h"

#define NAMED(name) name##_avx2
#define TARGET PBITC_TARGET_AVX2
#define LANES 8
#define MULTIPLY_ADD(a, b, sum) _mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(sum))
#define ROWS 6
#define VECTORS 2
#define WIDE 8
#define SQUARE 2
#include "passes/operators/float_product_kernels.h"
#endif

#define NAMED(name) name##_plain
#define TARGET
#define LANES 4
#define MULTIPLY_ADD(a, b, sum) ((a) * (b) + (sum))
#define ROWS 4
#define VECTORS 2
#define WIDE 8
#define SQUARE 2
#include "passes/operators/float_product_kernels.h"

void pbitc_multiply_add(int64_t rows, int64_t columns, int64_t depth, const float *a, int64_t a_stride,
                        const float *b, const int64_t *b_offsets, float *c, int64_t c_stride)
{
    const struct product product = {.depth = depth,
                                    .a = a,
                                    .a_stride = a_stride,
                                    .b = b,
                                    .b_offsets = b_offsets,
                                    .c = c,
                                    .c_stride = c_stride};
    switch (pbitc_processor()) {
#ifdef __x86_64__
    case PBIT_CPU_AVX512:
        multiply_add_avx512(rows, columns, product);
        break;
    case PBIT_CPU_AVX2:
        multiply_add_avx2(rows, columns, product);
        break;
#endif
    default:
        multiply_add_plain(rows, columns, product);
    }
}

void pbitc_multiply_transposed(int64_t rows, int64_t columns, int64_t depth, const float *a, const float *b,
                               float *c, int64_t c_stride)
{
    const struct product product = {
        .depth = depth, .a = a, .a_stride = depth, .b = b, .c = c, .c_stride = c_stride};
    switch (pbitc_processor()) {
#ifdef __x86_64__
    case PBIT_CPU_AVX512:
        multiply_transposed_avx512(rows, columns, product);
        break;
    case PBIT_CPU_AVX2:
        multiply_transposed_avx2(rows, columns, product);
        break;
#endif
    default:
        multiply_transposed_plain(rows, columns, product);
    }
}
