#include "passes/match_outputs.h"

#include "passes/pass_support.h"
#include "passes/quantized.h"

#include <math.h>
#include <stdlib.h>

/// Bounds of a gain; a channel that hardly follows its twin would get a wild one.
static const double LEAST_GAIN = 0.75, LARGEST_GAIN = 2, LEAST_CORRELATION = 0.5;

/// Sums over images and pixels of one channel's z and z'.
struct sums {
    double count, exact, drawn, exact_squares, drawn_squares, products;
};

static void add_row(struct sums *sums, const float *exact, const float *drawn, size_t pixels)
{
    double x = 0, y = 0, xx = 0, yy = 0, xy = 0;
    for (size_t p = 0; p < pixels; p++) {
        x += exact[p];
        y += drawn[p];
        xx += (double)exact[p] * exact[p];
        yy += (double)drawn[p] * drawn[p];
        xy += (double)exact[p] * drawn[p];
    }
    sums->count += (double)pixels;
    sums->exact += x;
    sums->drawn += y;
    sums->exact_squares += xx;
    sums->drawn_squares += yy;
    sums->products += xy;
}

struct line {
    float gain, shift;
};

static struct line fit(const struct sums *sums, bool gains, bool biases)
{
    double x = sums->exact / sums->count, y = sums->drawn / sums->count;
    double xx = sums->exact_squares / sums->count - x * x, yy = sums->drawn_squares / sums->count - y * y,
           xy = sums->products / sums->count - x * y;
    double gain = 1;
    if (gains && xy > LEAST_CORRELATION * sqrt(fmax(xx * yy, 0)) && xy > 0)
        gain = fmin(fmax(xx / xy, LEAST_GAIN), LARGEST_GAIN);
    return (struct line){(float)gain, biases ? (float)(x - gain * y) : 0};
}

/// Rows of one channel: [images][channels][pixels].
static void apply_to_outputs(struct pbitc_tensor *tensor, size_t channels, const struct line *lines)
{
    size_t rows = (size_t)tensor->shape.dims[0] * channels,
           pixels = (size_t)pbitc_shape_elements(&tensor->shape) / rows;
    float *values = tensor->data;
    for (size_t row = 0; row < rows; row++)
        for (size_t p = 0; p < pixels; p++)
            values[row * pixels + p] =
                lines[row % channels].gain * values[row * pixels + p] + lines[row % channels].shift;
}

static void apply_to_layer(struct pbitc_node *layer, size_t channels, const struct line *lines)
{
    const struct pbitc_quantized *quantized = layer->quantized;
    float *scale = (float *)quantized->scale, *weights = layer->inputs[1]->constant->data,
          *bias = layer->inputs[2]->constant->data; // of quantize-weights, this layer's own
    for (size_t k = 0; k < channels; k++) {
        scale[k] *= lines[k].gain;
        for (size_t i = 0; i < quantized->fan_in; i++)
            weights[k * quantized->fan_in + i] *= lines[k].gain;
        bias[k] = lines[k].gain * bias[k] + lines[k].shift;
    }
}

enum pbit_status pbitc_match_outputs(struct pbitc_context *context, const struct pbitc_twin_run *run,
                                     struct pbitc_node *layer)
{
    bool gains = !pbitc_is_left_out(context, "match-gains"),
         biases = !pbitc_is_left_out(context, "correct-bias");
    const struct pbitc_value *output = layer->outputs[0];
    if ((!gains && !biases) || output->shape.rank < 2)
        return PBIT_OK;
    size_t channels = pbitc_output_channels(layer);
    struct sums *sums = calloc(channels, sizeof(*sums));
    struct line *lines = calloc(channels, sizeof(*lines));
    for (size_t b = 0; sums && lines && b < run->batches; b++) {
        const struct pbitc_tensor *exact = pbitc_twin_value(run->exact, b, output),
                                  *drawn = pbitc_twin_value(run->drawn, b, output);
        size_t rows = (size_t)exact->shape.dims[0] * channels,
               pixels = (size_t)pbitc_shape_elements(&exact->shape) / rows;
        for (size_t row = 0; row < rows; row++)
            add_row(&sums[row % channels], (const float *)exact->data + row * pixels,
                    (const float *)drawn->data + row * pixels, pixels);
    }
    for (size_t k = 0; sums && lines && k < channels; k++)
        lines[k] = fit(&sums[k], gains, biases);
    for (size_t b = 0; sums && lines && b < run->batches; b++)
        apply_to_outputs((struct pbitc_tensor *)pbitc_twin_value(run->drawn, b, output), channels, lines);
    if (sums && lines)
        apply_to_layer(layer, channels, lines);
    enum pbit_status status = sums && lines ? PBIT_OK : pbitc_out_of_memory(context);
    free(sums);
    free(lines);
    return status;
}
