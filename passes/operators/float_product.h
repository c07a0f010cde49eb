// Products of float32 matrices. Every element is summed in an order of its own: its bits depend neither on
// the rows and columns computed beside it (so not on the batch), nor on threads, nor on the width of the
// processor's vectors, as long as the processor fuses multiply and add. No BLAS promises that.
#ifndef PBITC_FLOAT_PRODUCT_H
#define PBITC_FLOAT_PRODUCT_H

#include <stdint.h>

/// C[r][j] = C[r][j] + sum over k = 0, 1, ... of A[r][k] * B[k][j], one fused multiply-add after the other.
/// A [rows x depth] with rows `a_stride` floats apart, C [rows x columns] with rows `c_stride` apart; row k
/// of B starts at b + b_offsets[k] and has `columns` floats (rows may overlap).
void pbitc_multiply_add(int64_t rows, int64_t columns, int64_t depth, const float *a, int64_t a_stride,
                        const float *b, const int64_t *b_offsets, float *c, int64_t c_stride);

/// C[r][j] = sum over k of A[r][k] * B[j][k], with 16 partial sums (k modulo 16) that are added pairwise.
/// A [rows x depth], B [columns x depth], C [rows x columns] with rows `c_stride` apart.
void pbitc_multiply_transposed(int64_t rows, int64_t columns, int64_t depth, const float *a, const float *b,
                               float *c, int64_t c_stride);

#endif
