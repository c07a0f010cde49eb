#include "pbit_stage.h"

/// A run of a stage: its constants and where everything lies.
struct run {
    const struct pbit_stage *stage;
    const struct pbit_passes *passes;
    const uint8_t *in;
    void *out;
    struct pbit_conv_part part;
    size_t out_stride;
    int16_t *row;
    int32_t *sums, *pooled;
    struct pbit_neuron_state *states;
};

static struct pbit_draw draw_of_pass(const struct pbit_passes *passes, const struct pbit_tensor *levels,
                                     uint32_t pass)
{
    struct pbit_draw draw = passes->draw;
    draw.sample += pass;
    draw.levels = pbit_tensor_levels(levels, passes->draws);
    return draw;
}

void pbit_passes_neuron(const struct pbit_model *model, const struct pbit_operation *neuron,
                        const struct pbit_tensor *levels, const struct pbit_passes *passes, const int32_t *in,
                        size_t in_stride, uint8_t *out, size_t out_stride)
{
    for (uint32_t pass = 0; pass < passes->count; pass++) {
        struct pbit_draw draw = draw_of_pass(passes, levels, pass);
        pbit_neuron(model, neuron, levels, &draw, in + pass * in_stride, out + pass * out_stride);
    }
}

static void convolve(const struct run *run, int32_t *out)
{
    const struct pbit_stage *stage = run->stage;
    stage->convolve(stage->model, stage->conv, stage->input, stage->sums, &run->part, run->in, out, run->row);
}

/// Row y of the pre-activations: of the sums, or of their maxima. Returns the elements of the row.
static size_t pre_activations(struct run *run, uint32_t y, int32_t *out, size_t out_stride)
{
    const struct pbit_stage *stage = run->stage;
    run->part.first_row = y;
    run->part.rows = 1;
    run->part.out_stride = out_stride;
    if (!stage->pool) {
        convolve(run, out);
        return (size_t)stage->sums->width * run->part.channels;
    }
    const struct pbit_window *window = &stage->pool->window;
    int64_t origin = (int64_t)y * window->stride_y - window->pad_y;
    struct pbit_taps taps =
        pbit_taps_inside(origin, window->kernel_y, window->dilation_y, stage->sums->height);
    run->part.first_row = (uint32_t)(origin + (int64_t)taps.first * window->dilation_y);
    run->part.rows = (taps.end - taps.first - 1) * window->dilation_y + 1;
    run->part.out_stride = stage->sums_stride;
    convolve(run, run->sums);
    for (uint32_t pass = 0; pass < run->part.passes; pass++)
        pbit_maxpool_part(stage->pool, stage->sums, stage->pooled, y, run->part.first_row,
                          run->sums + pass * run->part.out_stride, out + pass * out_stride);
    return (size_t)stage->pooled->width * stage->pooled->channels;
}

/// The levels of `count` neurons from element `first` on, in every pass.
static void draw_levels(const struct run *run, const int32_t *z, size_t z_stride, size_t first, size_t count)
{
    const struct pbit_stage *stage = run->stage;
    for (uint32_t pass = 0; pass < run->passes->count; pass++) {
        struct pbit_draw draw = draw_of_pass(run->passes, stage->levels, pass);
        pbit_neuron_continue(stage->model, stage->neuron, &draw, &run->states[pass], count,
                             z + (run->part.passes == 1 ? 0 : pass * z_stride),
                             (uint8_t *)run->out + pass * run->out_stride + first);
    }
}

static void run_row(struct run *run, uint32_t y, size_t line)
{
    const struct pbit_stage *stage = run->stage;
    for (uint32_t k = 0; k < stage->sums->channels; k += run->part.channels) {
        uint32_t left = stage->sums->channels - k;
        run->part.first_channel = k;
        run->part.channels = left < stage->channels ? left : stage->channels;
        if (!stage->neuron) {
            pre_activations(run, y, (int32_t *)run->out + y * line + k, run->out_stride);
            continue;
        }
        int32_t *z = stage->pool ? run->pooled : run->sums;
        size_t stride = stage->pool ? line : stage->sums_stride;
        size_t count = pre_activations(run, y, z, stride);
        draw_levels(run, z, stride, y * line + k, count);
    }
}

void pbit_stage_run(const struct pbit_stage *stage, const struct pbit_passes *passes, const uint8_t *in,
                    size_t in_stride, void *out, size_t out_stride, uint8_t *workspace)
{
    struct run run = {
        .stage = stage,
        .passes = passes,
        .in = in,
        .out = out,
        .out_stride = out_stride,
        .part = {.levels = pbit_tensor_levels(stage->input, passes->draws),
                 .channels = stage->channels,
                 .passes = in_stride ? passes->count : 1,
                 .in_stride = in_stride},
        .row = (int16_t *)(void *)(workspace + stage->row_offset),
        .sums = (int32_t *)(void *)(workspace + stage->sums_offset),
        .pooled = (int32_t *)(void *)(workspace + stage->pooled_offset),
        .states = (struct pbit_neuron_state *)(void *)(workspace + stage->states_offset),
    };
    const struct pbit_tensor *result = stage->pool ? stage->pooled : stage->sums;
    for (uint32_t pass = 0; stage->neuron && pass < passes->count; pass++) {
        struct pbit_draw draw = draw_of_pass(passes, stage->levels, pass);
        pbit_neuron_begin(&run.states[pass], stage->neuron, &draw);
    }
    for (uint32_t y = 0; y < result->height; y++)
        run_row(&run, y, (size_t)result->width * result->channels);
}
