#include "passes/operators/window.h"

#include <string.h>

/// Positions of a window: far more than a network has use for, and few enough to walk over.
enum { MAX_KERNEL = 1 << 20 };

/// Fills `values` with an attribute of `rank` numbers that are at least `least`, or with `fallback`.
static enum pbit_status read_extents(struct pbitc_evaluation *evaluation, const char *name, int rank,
                                     int64_t least, int64_t fallback, int64_t *values)
{
    size_t count;
    const int64_t *given = pbitc_node_ints(evaluation->node, name, &count);
    for (int i = 0; i < rank; i++)
        values[i] = fallback;
    if (count == 0)
        return PBIT_OK;
    if (count != (size_t)rank)
        return PBITC_MALFORMED(evaluation, "%s has %zu numbers, expected %d", name, count, rank);
    for (int i = 0; i < rank; i++) {
        if (given[i] < least || given[i] > INT32_MAX)
            return PBITC_MALFORMED(evaluation, "%s[%d] = %lld is out of range", name, i, (long long)given[i]);
        values[i] = given[i];
    }
    return PBIT_OK;
}

const int64_t *pbitc_window_kernel(struct pbitc_evaluation *evaluation, int rank)
{
    size_t count;
    const int64_t *kernel = pbitc_node_ints(evaluation->node, "kernel_shape", &count);
    int64_t values[2 * PBITC_MAX_RANK];
    if (count == 0) {
        PBITC_MALFORMED(evaluation, "kernel_shape is missing");
        return NULL;
    }
    return read_extents(evaluation, "kernel_shape", rank, 1, 1, values) ? NULL : kernel;
}

/// kernel * dilation without the gaps at the ends.
static int64_t kernel_reach(const struct pbitc_window *window, int i)
{
    return (window->kernel[i] - 1) * window->dilation[i] + 1;
}

static void set_same_pads(struct pbitc_window *window, bool upper)
{
    for (int i = 0; i < PBITC_SPATIAL; i++) {
        int64_t output = (window->input[i] + window->stride[i] - 1) / window->stride[i];
        int64_t total = (output - 1) * window->stride[i] + kernel_reach(window, i) - window->input[i];
        total = total < 0 ? 0 : total;
        window->pad_begin[i] = upper ? total / 2 : total - total / 2;
        window->pad_end[i] = total - window->pad_begin[i];
    }
}

enum pbit_status pbitc_window_attributes(struct pbitc_evaluation *evaluation, const int64_t *spatial,
                                         const int64_t *kernel, int rank, struct pbitc_window *window)
{
    if (rank < 1 || rank > PBITC_SPATIAL)
        return PBITC_REFUSE(evaluation, NULL, "%d spatial dimensions; 1 to %d are supported", rank,
                            PBITC_SPATIAL);
    int64_t pads[2 * PBITC_SPATIAL];
    int lead = PBITC_SPATIAL - rank;
    *window = (struct pbitc_window){.spatial_rank = rank};
    for (int i = 0; i < PBITC_SPATIAL; i++)
        window->input[i] = window->kernel[i] = window->stride[i] = window->dilation[i] = 1;
    for (int i = 0; i < rank; i++) {
        if (spatial[i] > INT32_MAX || kernel[i] > INT32_MAX || kernel[i] < 1)
            return PBITC_REFUSE(evaluation, NULL, "an extent of %lld with a kernel of %lld",
                                (long long)spatial[i], (long long)kernel[i]);
        window->input[lead + i] = spatial[i];
        window->kernel[lead + i] = kernel[i];
    }
    enum pbit_status status = read_extents(evaluation, "strides", rank, 1, 1, window->stride + lead);
    if (!status)
        status = read_extents(evaluation, "dilations", rank, 1, 1, window->dilation + lead);
    if (!status)
        status = read_extents(evaluation, "pads", 2 * rank, 0, 0, pads);
    for (int i = 0; !status && i < rank; i++) {
        window->pad_begin[lead + i] = pads[i];
        window->pad_end[lead + i] = pads[rank + i];
    }
    return status;
}

static enum pbit_status compute_outputs(struct pbitc_evaluation *evaluation, bool ceil_mode,
                                        struct pbitc_window *window)
{
    window->input_size = window->output_size = window->kernel_size = 1;
    for (int i = 0; i < PBITC_SPATIAL; i++) {
        int64_t stride = window->stride[i];
        int64_t slack =
            window->input[i] + window->pad_begin[i] + window->pad_end[i] - kernel_reach(window, i);
        int64_t output = slack < 0 ? 0 : slack / stride + 1;
        // A window that is a little too large: ONNX Runtime's MaxPool takes the maximum of what there is.
        if (slack < 0 && slack > -stride && pbitc_node_is(evaluation->node, PBITC_OP_MaxPool))
            output = 1;
        // With ceil_mode a last, partial window counts unless it starts in the padding at the end.
        if (ceil_mode && slack > -stride && slack % stride &&
            output * stride < window->input[i] + window->pad_begin[i])
            output++;
        if (output == 0)
            return PBITC_MALFORMED(evaluation,
                                   "the kernel (%lld, dilation %lld) is larger than the padded input (%lld)",
                                   (long long)window->kernel[i], (long long)window->dilation[i],
                                   (long long)(slack + kernel_reach(window, i)));
        window->output[i] = output;
        if (__builtin_mul_overflow(window->output_size, output, &window->output_size) ||
            __builtin_mul_overflow(window->input_size, window->input[i], &window->input_size) ||
            __builtin_mul_overflow(window->kernel_size, window->kernel[i], &window->kernel_size))
            return PBITC_REFUSE(evaluation, NULL, "the spatial extents overflow");
    }
    if (window->kernel_size > MAX_KERNEL)
        return PBITC_REFUSE(evaluation, NULL, "a window of %lld positions is too large",
                            (long long)window->kernel_size);
    return PBIT_OK;
}

enum pbit_status pbitc_window_read(struct pbitc_evaluation *evaluation, const int64_t *spatial,
                                   const int64_t *kernel, int rank, bool ceil_mode,
                                   struct pbitc_window *window)
{
    enum pbit_status status = pbitc_window_attributes(evaluation, spatial, kernel, rank, window);
    if (status)
        return status;
    const char *auto_pad = pbitc_node_string(evaluation->node, "auto_pad", "NOTSET");
    if (strcmp(auto_pad, "SAME_UPPER") == 0 || strcmp(auto_pad, "SAME_LOWER") == 0) {
        set_same_pads(window, strcmp(auto_pad, "SAME_UPPER") == 0);
        ceil_mode = false;
    } else if (strcmp(auto_pad, "VALID") == 0) {
        memset(window->pad_begin, 0, sizeof(window->pad_begin));
        memset(window->pad_end, 0, sizeof(window->pad_end));
    } else if (strcmp(auto_pad, "NOTSET") != 0) {
        return PBITC_REFUSE(evaluation, NULL, "auto_pad = \"%s\" is not defined", auto_pad);
    }
    return compute_outputs(evaluation, ceil_mode, window);
}

struct pbitc_span pbitc_span_inside(int64_t start, int64_t step, int64_t count, int64_t limit)
{
    struct pbitc_span span = {0, 0};
    if (start < 0)
        span.first = (-start + step - 1) / step;
    if (start < limit)
        span.last = (limit - start + step - 1) / step;
    span.last = span.last > count ? count : span.last;
    span.first = span.first > span.last ? span.last : span.first;
    return span;
}

struct pbitc_tap pbitc_tap_at(const struct pbitc_window *window, const int64_t at[PBITC_SPATIAL])
{
    struct pbitc_tap tap;
    for (int i = 0; i < PBITC_SPATIAL; i++) {
        tap.offset[i] = at[i] * window->dilation[i] - window->pad_begin[i];
        tap.span[i] =
            pbitc_span_inside(tap.offset[i], window->stride[i], window->output[i], window->input[i]);
    }
    return tap;
}

void pbitc_window_advance(const struct pbitc_window *window, int64_t at[PBITC_SPATIAL])
{
    for (int i = PBITC_SPATIAL - 1; i >= 0 && ++at[i] == window->kernel[i]; i--)
        at[i] = 0;
}
