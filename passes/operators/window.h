// The sliding window of convolution and pooling: one to three spatial dimensions, as three (leading ones are
// 1).
#ifndef PBITC_WINDOW_H
#define PBITC_WINDOW_H

#include "passes/operators/operator_support.h"

enum { PBITC_SPATIAL = 3 };

struct pbitc_window {
    int spatial_rank; ///< 1..3
    int64_t input[PBITC_SPATIAL], output[PBITC_SPATIAL], kernel[PBITC_SPATIAL];
    int64_t stride[PBITC_SPATIAL], dilation[PBITC_SPATIAL], pad_begin[PBITC_SPATIAL], pad_end[PBITC_SPATIAL];
    int64_t input_size, output_size, kernel_size; ///< products
};

/// Reads strides, dilations, pads and auto_pad and computes the output extents. `spatial` are the input's
/// extents after N and C; `kernel` the window's; `rank` their number. Reports what does not fit.
enum pbit_status pbitc_window_read(struct pbitc_evaluation *evaluation, const int64_t *spatial,
                                   const int64_t *kernel, int rank, bool ceil_mode,
                                   struct pbitc_window *window);

/// The attributes alone (strides, dilations, pads), for ConvTranspose, which computes extents its own way.
enum pbit_status pbitc_window_attributes(struct pbitc_evaluation *evaluation, const int64_t *spatial,
                                         const int64_t *kernel, int rank, struct pbitc_window *window);

/// kernel_shape as an attribute of `rank` positive numbers; NULL after a report.
const int64_t *pbitc_window_kernel(struct pbitc_evaluation *evaluation, int rank);

/// The part first..last-1 of 0..count-1 for which 0 <= start + i * step < limit.
struct pbitc_span {
    int64_t first, last;
};
struct pbitc_span pbitc_span_inside(int64_t start, int64_t step, int64_t count, int64_t limit);

/// What one kernel position sees: output positions in `span` of each dimension, of which output i reads input
/// i * stride + offset.
struct pbitc_tap {
    int64_t offset[PBITC_SPATIAL];
    struct pbitc_span span[PBITC_SPATIAL];
};
struct pbitc_tap pbitc_tap_at(const struct pbitc_window *window, const int64_t at[PBITC_SPATIAL]);
/// Steps a kernel position in row-major order.
void pbitc_window_advance(const struct pbitc_window *window, int64_t at[PBITC_SPATIAL]);

#endif
