#include "passes/moments.h"

#include "passes/calibration_run.h"
#include "passes/operators/window.h"
#include "passes/pass_support.h"

#include <cblas.h>
#include <stdlib.h>
#include <string.h>

enum {
    IMAGES = 512,   ///< of the calibration images, at most
    POSITIONS = 64, ///< output positions of a Conv looked at per image, at most
    ROWS = 1024,    ///< rows of x gathered before they are multiplied
};

/// x of up to ROWS positions, [rows][n].
struct patches {
    float *rows;
    size_t count;
};

static void multiply(struct pbitc_moments *moments, size_t group, struct patches *patches)
{
    size_t n = moments->fan_in.count;
    for (size_t r = 0; r < patches->count; r++)
        for (size_t i = 0; i < n; i++)
            moments->sum[group * n + i] += patches->rows[r * n + i];
    cblas_ssyrk(CblasRowMajor, CblasUpper, CblasTrans, (int)n, (int)patches->count, 1, patches->rows, (int)n,
                1, moments->product + group * n * n, (int)n);
    if (group == 0)
        moments->count += (double)patches->count;
    patches->count = 0;
}

/// Gemm: x[n] of one image, in the layer's ONNX order.
static void gather_dense(struct pbitc_moments *moments, const float *x, struct patches *patches)
{
    const struct pbitc_fan_in *fan_in = &moments->fan_in;
    float *row = patches->rows + patches->count++ * fan_in->count;
    for (size_t i = 0; i < fan_in->count; i++)
        row[i] = x[fan_in->source[i]] / moments->input.scale[fan_in->channel[i]];
    if (patches->count == ROWS)
        multiply(moments, 0, patches);
}

/// Conv: the patch below output position (oy, ox), x[C][H][W] of one image.
static void gather_patch(const struct pbitc_moments *moments, const struct pbitc_window *window,
                         const float *x, size_t group, int64_t oy, int64_t ox, float *row)
{
    const int h = PBITC_SPATIAL - 2, w = PBITC_SPATIAL - 1;
    size_t channels = moments->fan_in.channels_per_group,
           pixels = (size_t)(window->input[h] * window->input[w]);
    for (int64_t ky = 0; ky < window->kernel[h]; ky++)
        for (int64_t kx = 0; kx < window->kernel[w]; kx++) {
            int64_t iy = oy * window->stride[h] - window->pad_begin[h] + ky * window->dilation[h];
            int64_t ix = ox * window->stride[w] - window->pad_begin[w] + kx * window->dilation[w];
            bool inside = iy >= 0 && iy < window->input[h] && ix >= 0 && ix < window->input[w];
            for (size_t c = group * channels; c < (group + 1) * channels; c++)
                *row++ = inside
                             ? x[c * pixels + (size_t)(iy * window->input[w] + ix)] / moments->input.scale[c]
                             : 0;
        }
}

static void gather_conv(struct pbitc_moments *moments, const struct pbitc_window *window, const float *x,
                        size_t image, size_t group, struct patches *patches)
{
    const int h = PBITC_SPATIAL - 2, w = PBITC_SPATIAL - 1;
    int64_t positions = window->output[h] * window->output[w], step = (positions + POSITIONS - 1) / POSITIONS;
    for (int64_t p = (int64_t)image % step; p < positions; p += step) { // other positions from image to image
        float *row = patches->rows + patches->count++ * moments->fan_in.count;
        gather_patch(moments, window, x, group, p / window->output[w], p % window->output[w], row);
        if (patches->count == ROWS)
            multiply(moments, group, patches);
    }
}

static enum pbit_status gather(struct pbitc_context *context, struct pbitc_moments *moments,
                               const struct pbitc_tensor *x, size_t first)
{
    const struct pbitc_node *layer = moments->layer;
    size_t images = (size_t)x->shape.dims[0], elements = (size_t)pbitc_shape_elements(&x->shape) / images;
    struct pbitc_window window;
    bool conv = pbitc_node_is(layer, PBITC_OP_Conv);
    if (conv) {
        struct pbitc_evaluation evaluation = {.node = layer, .diagnostics = context->diagnostics};
        enum pbit_status status =
            pbitc_window_read(&evaluation, x->shape.dims + 2, layer->inputs[1]->constant->shape.dims + 2,
                              x->shape.rank - 2, false, &window);
        if (status != PBIT_OK)
            return status;
    }
    struct patches patches = {malloc(ROWS * moments->fan_in.count * sizeof(float)), 0};
    if (!patches.rows)
        return pbitc_out_of_memory(context);
    for (size_t group = 0; group < moments->groups; group++) {
        for (size_t n = 0; n < images; n++) {
            const float *image = (const float *)x->data + n * elements;
            if (conv)
                gather_conv(moments, &window, image, first + n, group, &patches);
            else
                gather_dense(moments, image, &patches);
        }
        multiply(moments, group, &patches);
    }
    free(patches.rows);
    return PBIT_OK;
}

/// T passes of m draws scatter like one pass of m * T.
static uint32_t total_draws(const struct pbitc_context *context)
{
    uint64_t draws = (uint64_t)context->options->draws * context->options->samples;
    return draws < PBIT_DRAWS_LIMIT ? (uint32_t)draws : PBIT_DRAWS_LIMIT;
}

static enum pbit_status gather_layers(struct pbitc_context *context, const struct pbitc_batch *batch,
                                      void *state)
{
    for (struct pbitc_moments *layer = state; layer; layer = layer->next) {
        const struct pbitc_tensor *x = pbitc_interpreter_value(batch->interpreter, layer->layer->inputs[0]);
        enum pbit_status status = gather(context, layer, x, batch->first);
        if (status != PBIT_OK)
            return status;
    }
    return PBIT_OK;
}

enum pbit_status pbitc_gather_moments(struct pbitc_graph *graph, struct pbitc_context *context,
                                      struct pbitc_moments *layers)
{
    size_t count = 0;
    for (const struct pbitc_moments *layer = layers; layer; layer = layer->next)
        count++;
    const struct pbitc_value **watched = pbitc_arena_allocate(graph->arena, count, sizeof(*watched));
    if (!watched)
        return pbitc_out_of_memory(context);
    struct pbitc_calibration_run run = {"quantize-weights", IMAGES, total_draws(context), 1, watched, 0,
                                        gather_layers,      layers};
    for (const struct pbitc_moments *layer = layers; layer; layer = layer->next)
        watched[run.watched_count++] = layer->layer->inputs[0];
    return pbitc_run_calibration(graph, context, &run);
}

// ---- means of layer outputs

static enum pbit_status add_means(struct pbitc_context *context, const struct pbitc_batch *batch, void *state)
{
    (void)context;
    for (struct pbitc_mean *mean = state; mean; mean = mean->next) {
        const struct pbitc_tensor *y = pbitc_interpreter_value(batch->interpreter, mean->value);
        size_t rows = batch->images * mean->channels, pixels = (size_t)pbitc_shape_elements(&y->shape) / rows;
        double share = 1 / ((double)pixels * (double)batch->total);
        for (size_t row = 0; row < rows; row++)
            for (size_t p = 0; p < pixels; p++)
                mean->mean[row % mean->channels] += share * ((const float *)y->data)[row * pixels + p];
    }
    return PBIT_OK;
}

enum pbit_status pbitc_gather_means(struct pbitc_graph *graph, struct pbitc_context *context, bool drawn,
                                    struct pbitc_mean *means)
{
    size_t count = 0;
    for (const struct pbitc_mean *mean = means; mean; mean = mean->next)
        count++;
    const struct pbitc_value **watched = pbitc_arena_allocate(graph->arena, count, sizeof(*watched));
    if (!watched)
        return pbitc_out_of_memory(context);
    struct pbitc_calibration_run run = {drawn ? "correct-bias" : "calibrate",
                                        IMAGES,
                                        drawn ? total_draws(context) : 0,
                                        1,
                                        watched,
                                        0,
                                        add_means,
                                        means};
    for (const struct pbitc_mean *mean = means; mean; mean = mean->next) {
        memset(mean->mean, 0, mean->channels * sizeof(double));
        watched[run.watched_count++] = mean->value;
    }
    return pbitc_run_calibration(graph, context, &run);
}
