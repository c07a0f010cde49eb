#include "passes/correct_bias.h"

#include "passes/pass_support.h"

#include <stdlib.h>

/// Rows of one channel: [images][channels][pixels].
struct rows {
    size_t count, pixels;
};

static struct rows rows_of(const struct pbitc_tensor *tensor, size_t channels)
{
    size_t count = (size_t)tensor->shape.dims[0] * channels;
    return (struct rows){count, (size_t)pbitc_shape_elements(&tensor->shape) / count};
}

/// Adds to shift[channels] what the drawn values lack; returns the values per channel.
static size_t add_differences(const struct pbitc_tensor *exact, const struct pbitc_tensor *drawn,
                              size_t channels, double *shift)
{
    struct rows rows = rows_of(exact, channels);
    const float *x = exact->data, *y = drawn->data;
    for (size_t row = 0; row < rows.count; row++)
        for (size_t p = row * rows.pixels; p < (row + 1) * rows.pixels; p++)
            shift[row % channels] += (double)x[p] - y[p];
    return rows.count / channels * rows.pixels;
}

static void apply(struct pbitc_tensor *drawn, size_t channels, const double *shift)
{
    struct rows rows = rows_of(drawn, channels);
    float *y = drawn->data;
    for (size_t row = 0; row < rows.count; row++)
        for (size_t p = row * rows.pixels; p < (row + 1) * rows.pixels; p++)
            y[p] += (float)shift[row % channels];
}

enum pbit_status pbitc_correct_bias(struct pbitc_context *context, const struct pbitc_twin_run *run,
                                    struct pbitc_node *layer)
{
    const struct pbitc_value *output = layer->outputs[0];
    if (pbitc_is_left_out(context, "correct-bias") || output->shape.rank < 2)
        return PBIT_OK;
    size_t channels = pbitc_output_channels(layer), count = 0;
    double *shift = calloc(channels, sizeof(*shift));
    if (!shift)
        return pbitc_out_of_memory(context);
    for (size_t b = 0; b < run->batches; b++)
        count += add_differences(pbitc_twin_value(run->exact, b, output),
                                 pbitc_twin_value(run->drawn, b, output), channels, shift);
    float *bias = layer->inputs[2]->constant->data; // of quantize-weights, this layer's own
    for (size_t k = 0; k < channels; k++) {
        shift[k] /= (double)count;
        bias[k] += (float)shift[k];
    }
    for (size_t b = 0; b < run->batches; b++)
        apply((struct pbitc_tensor *)pbitc_twin_value(run->drawn, b, output), channels, shift);
    free(shift);
    return PBIT_OK;
}
