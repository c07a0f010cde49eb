#include "passes/operators/direct_convolution.h"

#include "passes/operators/float_product.h"

#include <string.h>

enum {
    SLACK = 16,            ///< columns are rounded up to this where the memory is ours
    SLAB_FLOATS = 1 << 17, ///< about what a block's padded input may have
    STRIP = 32             ///< output channels at a time
};

/// im2col writes every element of the matrix once, and begins a run of them once per line: which costs about
/// as much as this many outputs need to read an element.
static const double ELEMENT_COST = 12, LINE_COST = 256;

/// Zeros between two lines: the padding after one is the padding before the next.
static int64_t gap(const struct pbitc_window *window)
{
    return window->pad_begin[2] > window->pad_end[2] ? window->pad_begin[2] : window->pad_end[2];
}

static bool suits(const struct pbitc_window *window, int64_t outputs, int64_t line)
{
    for (int i = 0; i < PBITC_SPATIAL; i++)
        if (window->stride[i] != 1 || window->pad_begin[i] < 0 || window->pad_end[i] < 0)
            return false;
    if (window->input[0] != 1 || window->output[0] != 1 || window->kernel[0] != 1 || window->output_size == 0)
        return false;
    double waste = (double)line / (double)window->output[2] - 1;
    return waste * (double)outputs < ELEMENT_COST + LINE_COST / (double)window->output[2];
}

bool pbitc_direct_convolution_plan(const struct pbitc_window *window, int64_t channels, int64_t outputs,
                                   struct pbitc_direct_convolution *plan)
{
    int64_t line = window->input[2] + gap(window);
    line = line < window->output[2] ? window->output[2] : line; // a kernel that is smaller than the padding
    int64_t reach = (window->kernel[1] - 1) * window->dilation[1];
    if (!suits(window, outputs, line))
        return false;
    bool padded = line != window->input[2] || window->pad_begin[1] || window->pad_end[1];
    int64_t lines = SLAB_FLOATS / (line * channels + 1) - reach, plane = window->input_size;
    lines = lines < 1 ? 1 : lines > window->output[1] ? window->output[1] : lines;
    if (padded && (__builtin_mul_overflow(lines + reach, line, &plane) ||
                   plane > 2 * window->input_size + SLAB_FLOATS)) // far more padding than image
        return false;
    *plan = (struct pbitc_direct_convolution){.window = window,
                                              .channels = channels,
                                              .outputs = outputs,
                                              .lines = lines,
                                              .blocks = (window->output[1] + lines - 1) / lines,
                                              .line = line,
                                              .padded = padded,
                                              .plane = plane};
    int64_t strip = outputs < STRIP ? outputs : STRIP, slab, results, floats;
    if (__builtin_mul_overflow(padded ? channels : 0, plan->plane, &slab) ||
        __builtin_mul_overflow(strip, lines * line + SLACK, &results) ||
        __builtin_add_overflow(slab, results, &floats))
        return false;
    plan->slack = SLACK + window->pad_end[2];
    plan->scratch_floats = (size_t)(floats + plan->slack);
    return true;
}

void pbitc_direct_convolution_offsets(const struct pbitc_direct_convolution *plan, int64_t *offsets)
{
    const struct pbitc_window *window = plan->window;
    int64_t first = plan->padded ? gap(window) - window->pad_begin[2] : 0;
    for (int64_t channel = 0; channel < plan->channels; channel++)
        for (int64_t y = 0; y < window->kernel[1]; y++)
            for (int64_t x = 0; x < window->kernel[2]; x++)
                *offsets++ = first + channel * plan->plane + y * window->dilation[1] * plan->line +
                             x * window->dilation[2];
}

/// Padded lines first..first+count-1 of one channel, and the padding after the last.
static void lay_out_channel(const struct pbitc_direct_convolution *plan, const float *channel, int64_t first,
                            int64_t count, float *slab)
{
    const struct pbitc_window *window = plan->window;
    int64_t width = window->input[2], begin = gap(window);
    for (int64_t i = 0; i < count; i++, slab += plan->line) {
        int64_t y = first + i - window->pad_begin[1];
        memset(slab, 0, (size_t)plan->line * sizeof(*slab));
        if (y >= 0 && y < window->input[1])
            memcpy(slab + begin, channel + y * width, (size_t)width * sizeof(*slab));
    }
    memset(slab, 0, (size_t)window->pad_end[2] * sizeof(*slab));
}

/// `strip` output channels of a block, `lines` lines from `first` on; `slab` holds what they read.
static void convolve_strip(const struct pbitc_direct_convolution *plan, const int64_t *offsets, int64_t first,
                           int64_t lines, int64_t strip, const float *slab, const float *weights,
                           const float *bias, float *output, float *results)
{
    const struct pbitc_window *window = plan->window;
    int64_t width = window->output[2], depth = plan->channels * window->kernel_size;
    int64_t columns = (lines - 1) * plan->line + width, stride = columns;
    bool dense = plan->line == width;
    if (dense) {
        results = output + first * width;
        stride = window->output_size;
    } else if (plan->padded) {
        stride = columns = (columns + SLACK - 1) / SLACK * SLACK;
    }
    for (int64_t r = 0; r < strip; r++)
        for (int64_t i = 0; i < columns; i++)
            results[r * stride + i] = bias ? bias[r] : 0;
    pbitc_multiply_add(strip, columns, depth, weights, depth, slab, offsets, results, stride);
    for (int64_t r = 0; !dense && r < strip; r++)
        for (int64_t i = 0; i < lines; i++)
            memcpy(output + r * window->output_size + (first + i) * width,
                   results + r * stride + i * plan->line, (size_t)width * sizeof(*output));
}

void pbitc_direct_convolution_run(const struct pbitc_direct_convolution *plan, const int64_t *offsets,
                                  int64_t block, const float *input, const float *weights, const float *bias,
                                  float *output, float *scratch)
{
    const struct pbitc_window *window = plan->window;
    int64_t first = block * plan->lines, depth = plan->channels * window->kernel_size;
    int64_t lines = window->output[1] - first < plan->lines ? window->output[1] - first : plan->lines;
    int64_t reach = (window->kernel[1] - 1) * window->dilation[1];
    const float *slab = plan->padded ? scratch : input + first * plan->line;
    float *results = plan->padded ? scratch + plan->channels * plan->plane + plan->slack : scratch;
    for (int64_t channel = 0; plan->padded && channel < plan->channels; channel++)
        lay_out_channel(plan, input + channel * window->input_size, first, lines + reach,
                        scratch + channel * plan->plane);
    if (plan->padded)
        memset(scratch + plan->channels * plan->plane, 0, (size_t)plan->slack * sizeof(*scratch));
    for (int64_t o = 0; o < plan->outputs; o += STRIP)
        convolve_strip(plan, offsets, first, lines, plan->outputs - o < STRIP ? plan->outputs - o : STRIP,
                       slab, weights + o * depth, bias ? bias + o : NULL, output + o * window->output_size,
                       results);
}
