// ConvTranspose over one to three spatial dimensions.
#include "passes/operators/convolution.h"
#include "passes/operators/float_product.h"

#include <string.h>

// ConvTranspose is the gradient of a Conv with weights [channels x outputs / group x kernel]; `window` is
// that Conv's, its input being our output, so output y gets input i by kernel position k when y + pad = i *
// stride + k * dilation. Outputs whose y + pad leave the same remainder (a phase) see the same kernel
// positions, every `step`-th from `first` on, and are a Conv of stride 1 with these, in reverse.
enum { MAX_KERNEL = 1 << 20 };

struct phase {
    int64_t first[PBITC_SPATIAL], step[PBITC_SPATIAL]; ///< kernel positions
    int64_t start[PBITC_SPATIAL];                      ///< the first output; the next is a stride away
};

struct transposed {
    struct pbitc_window window;
    int64_t images, groups, channels, outputs; ///< channels and outputs of ONE group
    enum pbitc_type type;
    int64_t phases;    ///< those with kernel positions
    bool one_phase;    ///< there is one, and it is the whole output
    bool covers_all;   ///< every output is in one of them
    bool one_position; ///< the input is a position, and the output what a kernel makes of it
};

/// The output's extents, and the pads that auto_pad and output_shape ask for.
static enum pbit_status transposed_extents(struct pbitc_evaluation *evaluation, struct pbitc_window *window)
{
    const char *auto_pad = pbitc_node_string(evaluation->node, "auto_pad", "NOTSET");
    size_t extra_count, shape_count;
    const int64_t *extra = pbitc_node_ints(evaluation->node, "output_padding", &extra_count);
    const int64_t *asked = pbitc_node_ints(evaluation->node, "output_shape", &shape_count);
    int rank = window->spatial_rank, lead = PBITC_SPATIAL - rank;
    bool same = strncmp(auto_pad, "SAME_", 5) == 0;
    if ((extra_count && extra_count != (size_t)rank) || (shape_count && shape_count < (size_t)rank))
        return PBITC_MALFORMED(evaluation, "output_padding or output_shape does not have %d numbers", rank);
    window->input_size = window->output_size = window->kernel_size = 1;
    for (int i = 0; i < PBITC_SPATIAL; i++) {
        int64_t spare = i >= lead && extra_count ? extra[i - lead] : 0;
        int64_t reach = (window->kernel[i] - 1) * window->dilation[i] + 1;
        int64_t full = (window->output[i] - 1) * window->stride[i] + spare + reach;
        int64_t *begin = &window->pad_begin[i], *end = &window->pad_end[i];
        if (spare < 0 || spare > INT32_MAX)
            return PBITC_MALFORMED(evaluation, "output_padding[%d] = %lld", i - lead, (long long)spare);
        window->input[i] = full - *begin - *end;
        if (i >= lead && shape_count)
            window->input[i] = asked[(int)shape_count - rank + i - lead];
        else if (same)
            window->input[i] = window->output[i] * window->stride[i];
        if (i >= lead &&
            (shape_count || same)) { // pads follow from the shape, the odd one at the end for UPPER
            int64_t total = full - window->input[i];
            total = total < 0 ? 0 : total;
            *begin = strcmp(auto_pad, "SAME_UPPER") == 0 ? total / 2 : total - total / 2;
            *end = total - *begin;
        }
        if (window->input[i] < 1 || window->input[i] > INT32_MAX || window->output[i] < 1)
            return PBITC_MALFORMED(evaluation, "an output extent of %lld", (long long)window->input[i]);
        if (__builtin_mul_overflow(window->input_size, window->input[i], &window->input_size) ||
            __builtin_mul_overflow(window->output_size, window->output[i], &window->output_size) ||
            __builtin_mul_overflow(window->kernel_size, window->kernel[i], &window->kernel_size) ||
            window->kernel_size > MAX_KERNEL)
            return PBITC_REFUSE(evaluation, NULL, "the spatial extents are too large");
    }
    return PBIT_OK;
}

static int64_t greatest_common_divisor(int64_t a, int64_t b)
{
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/// Distance of the kernel positions of a phase.
static int64_t phase_step(const struct pbitc_window *window, int i)
{
    return window->stride[i] / greatest_common_divisor(window->stride[i], window->dilation[i]);
}

static enum pbit_status transposed_read(struct pbitc_evaluation *evaluation, struct transposed *t)
{
    const struct pbitc_shape *input = &evaluation->inputs[0]->shape, *weights = &evaluation->inputs[1]->shape;
    const struct pbitc_tensor *bias = pbitc_input(evaluation, 2);
    int64_t groups = pbitc_node_int(evaluation->node, "group", 1);
    if (groups < 1 || weights->dims[0] != input->dims[1] || weights->dims[0] % groups != 0 ||
        weights->dims[1] > INT32_MAX || groups > INT32_MAX ||
        (bias && (bias->shape.rank != 1 || bias->shape.dims[0] != weights->dims[1] * groups)))
        return PBITC_MALFORMED(
            evaluation, "weights of shape %s, bias and group = %lld do not fit an input of shape %s",
            pbitc_shape_format(weights).text, (long long)groups, pbitc_shape_format(input).text);
    *t = (struct transposed){.images = input->dims[0],
                             .groups = groups,
                             .channels = weights->dims[0] / groups,
                             .outputs = weights->dims[1],
                             .type = evaluation->inputs[0]->type,
                             .phases = 1,
                             .one_phase = true,
                             .covers_all = true};
    struct pbitc_window *window = &t->window;
    enum pbit_status status =
        pbitc_window_attributes(evaluation, input->dims + 2, weights->dims + 2, input->rank - 2, window);
    memcpy(window->output, window->input, sizeof(window->output));
    if (!status)
        status = transposed_extents(evaluation, window);
    if (status)
        return status;
    t->one_position = t->type == PBITC_FLOAT32 && window->output_size == 1;
    for (int i = 0; i < PBITC_SPATIAL; i++) {
        int64_t step = phase_step(window, i), phases = step < window->kernel[i] ? step : window->kernel[i];
        t->phases *= phases; // at most MAX_KERNEL
        t->one_phase = t->one_phase && window->stride[i] == 1;
        t->covers_all = t->covers_all && phases == window->stride[i];
        t->one_position = t->one_position && window->input[i] == window->kernel[i] &&
                          window->pad_begin[i] == 0 && window->dilation[i] == 1;
    }
    return PBIT_OK;
}

/// Phase `index` as a Conv; false when it has no output. Its input, weights and output are still to be set.
static bool phase_read(const struct transposed *t, int64_t index, struct phase *phase,
                       struct pbitc_convolution *c)
{
    const struct pbitc_window *window = &t->window;
    *c = (struct pbitc_convolution){.window = {.spatial_rank = window->spatial_rank,
                                               .input_size = window->output_size,
                                               .output_size = 1,
                                               .kernel_size = 1},
                                    .images = t->images,
                                    .groups = t->groups,
                                    .channels = t->channels,
                                    .outputs = t->outputs,
                                    .type = t->type};
    for (int i = PBITC_SPATIAL - 1; i >= 0; i--) {
        int64_t stride = window->stride[i], dilation = window->dilation[i], kernel = window->kernel[i];
        int64_t step = phase_step(window, i), phases = step < kernel ? step : kernel;
        int64_t first = index % phases, pad = window->pad_begin[i];
        int64_t start = ((first * dilation - pad) % stride + stride) % stride;
        int64_t count = start < window->input[i] ? (window->input[i] - 1 - start) / stride + 1 : 0;
        int64_t taps = (kernel - first + step - 1) / step, reach = (taps - 1) * (step * dilation / stride);
        index /= phases;
        phase->first[i] = first;
        phase->step[i] = step;
        phase->start[i] = start;
        c->window.input[i] = window->output[i];
        c->window.output[i] = count;
        c->window.kernel[i] = taps;
        c->window.stride[i] = 1;
        c->window.dilation[i] = step * dilation / stride;
        c->window.pad_begin[i] = first * dilation / stride + reach - (start + pad) / stride;
        c->window.pad_end[i] = count + reach - window->output[i] - c->window.pad_begin[i];
        c->window.output_size *= count;
        c->window.kernel_size *= taps;
    }
    return c->window.output_size > 0;
}

/// Bytes of the parts of the scratch memory, multiples of 64: for the weights of a phase, where they come
/// from, and for its outputs.
struct parts {
    size_t weights, positions, results;
};

static bool count_bytes(int64_t elements, size_t element, size_t *bytes)
{
    if (__builtin_mul_overflow((size_t)elements, element, bytes) || *bytes > SIZE_MAX / 4)
        return false;
    *bytes = (*bytes + 63) & ~(size_t)63;
    return true;
}

static bool find_parts(const struct transposed *t, struct parts *parts)
{
    int64_t weights = t->groups * t->outputs, results = t->images * t->groups, largest = 1;
    size_t element = pbitc_type_bytes(t->type);
    for (int i = 0; i < PBITC_SPATIAL; i++)
        largest *= (t->window.input[i] + t->window.stride[i] - 1) / t->window.stride[i];
    return !__builtin_mul_overflow(weights, t->channels, &weights) &&
           !__builtin_mul_overflow(weights, t->window.kernel_size, &weights) &&
           !__builtin_mul_overflow(results, t->outputs, &results) &&
           !__builtin_mul_overflow(results, t->one_phase ? 0 : largest, &results) &&
           count_bytes(weights, element, &parts->weights) &&
           count_bytes(t->window.kernel_size, sizeof(int64_t), &parts->positions) &&
           count_bytes(results, element, &parts->results);
}

enum pbit_status infer_conv_transpose(struct pbitc_evaluation *evaluation)
{
    struct transposed t;
    struct phase phase;
    struct pbitc_convolution c;
    struct parts parts;
    size_t shared = 0, thread = 0;
    enum pbit_status status = pbitc_convolution_operands(evaluation);
    if (!status)
        status = transposed_read(evaluation, &t);
    if (status)
        return status;
    struct pbitc_shape shape = {evaluation->inputs[0]->shape.rank, {t.images, t.outputs * t.groups}};
    for (int i = 0; i < t.window.spatial_rank; i++)
        shape.dims[2 + i] = t.window.input[PBITC_SPATIAL - t.window.spatial_rank + i];
    pbitc_set_output(evaluation, 0, t.type, &shape);
    if (t.one_position && pbitc_add_scratch(evaluation, t.channels, sizeof(int64_t)))
        return PBIT_OK;
    bool fits = find_parts(&t, &parts);
    for (int64_t i = 0; fits && i < t.phases; i++)
        if (phase_read(&t, i, &phase, &c) && (fits = pbitc_convolution_plan(&c))) {
            shared = c.shared_bytes > shared ? c.shared_bytes : shared;
            thread = c.thread_bytes > thread ? c.thread_bytes : thread;
        }
    if (!fits || !pbitc_add_scratch(evaluation, 1, parts.weights) ||
        !pbitc_add_scratch(evaluation, 1, parts.positions) ||
        !pbitc_add_scratch(evaluation, 1, parts.results) || !pbitc_add_scratch(evaluation, 1, shared) ||
        !pbitc_add_scratch(evaluation, evaluation->threads, thread))
        return PBITC_REFUSE(evaluation, NULL, "the convolution is too large (weights %s, input %s)",
                            pbitc_shape_format(&evaluation->inputs[1]->shape).text,
                            pbitc_shape_format(&evaluation->inputs[0]->shape).text);
    return PBIT_OK;
}

#define GATHER(element)                                                                                      \
    for (int64_t k = 0; k < taps; k++)                                                                       \
        ((element *)gathered)[row * taps + k] = ((const element *)weights)[from + positions[k]];

/// The weights of a phase as a Conv has them: [groups x outputs x channels x kernel], the kernel in reverse.
static void gather_weights(const struct transposed *t, const struct phase *phase,
                           const struct pbitc_window *window, const void *weights, int64_t *positions,
                           void *gathered)
{
    int64_t taps = window->kernel_size, at[PBITC_SPATIAL] = {0};
    for (int64_t k = 0; k < taps; k++, pbitc_window_advance(window, at)) {
        positions[k] = 0;
        for (int i = 0; i < PBITC_SPATIAL; i++)
            positions[k] = positions[k] * t->window.kernel[i] + phase->first[i] +
                           (window->kernel[i] - 1 - at[i]) * phase->step[i];
    }
    for (int64_t row = 0; row < t->groups * t->outputs * t->channels; row++) {
        int64_t channel = row % t->channels, output = row / t->channels % t->outputs;
        int64_t group = row / t->channels / t->outputs;
        int64_t from = ((group * t->channels + channel) * t->outputs + output) * t->window.kernel_size;
        if (t->type == PBITC_FLOAT32) {
            GATHER(float)
        } else {
            GATHER(double)
        }
    }
}

/// What spreads the results of a phase over the output, plane by plane.
struct spread {
    const struct transposed *transposed;
    const struct phase *phase;
    const struct pbitc_window *window; ///< of the phase
    const void *results;
    void *output;
};

static void spread_plane(void *state, int64_t plane, int worker)
{
    const struct spread *spread = state;
    const int64_t *whole = spread->transposed->window.input, *count = spread->window->output;
    const int64_t *start = spread->phase->start, *stride = spread->transposed->window.stride;
    bool single = spread->transposed->type == PBITC_FLOAT32;
    (void)worker;
    for (int64_t line = 0; line < count[0] * count[1]; line++) {
        int64_t depth = start[0] + line / count[1] * stride[0], y = start[1] + line % count[1] * stride[1];
        int64_t from = plane * spread->window->output_size + line * count[2];
        int64_t to =
            plane * spread->transposed->window.input_size + (depth * whole[1] + y) * whole[2] + start[2];
        if (single)
            for (int64_t x = 0; x < count[2]; x++)
                ((float *)spread->output)[to + x * stride[2]] = ((const float *)spread->results)[from + x];
        else
            for (int64_t x = 0; x < count[2]; x++)
                ((double *)spread->output)[to + x * stride[2]] = ((const double *)spread->results)[from + x];
    }
}

/// Outputs that no kernel position reaches are the bias, or 0.
static void fill_with_bias(const struct transposed *t, const void *bias, void *output)
{
    for (int64_t plane = 0; plane < t->images * t->groups * t->outputs; plane++) {
        int64_t channel = plane % (t->groups * t->outputs), first = plane * t->window.input_size;
        for (int64_t i = first; i < first + t->window.input_size; i++)
            if (t->type == PBITC_FLOAT32)
                ((float *)output)[i] = bias ? ((const float *)bias)[channel] : 0;
            else
                ((double *)output)[i] = bias ? ((const double *)bias)[channel] : 0;
    }
}

/// One input position: the weights of its channels, multiplied and added up, are the output already.
static void multiply_position(const struct transposed *t, const float *input, const float *weights,
                              float *output, int64_t *rows)
{
    int64_t width = t->outputs * t->window.kernel_size;
    for (int64_t channel = 0; channel < t->channels; channel++)
        rows[channel] = channel * width;
    for (int64_t group = 0; group < t->groups; group++)
        pbitc_multiply_add(t->images, width, t->channels, input + group * t->channels,
                           t->groups * t->channels, weights + group * t->channels * width, rows,
                           output + group * width, t->groups * width);
}

enum pbit_status evaluate_conv_transpose(struct pbitc_evaluation *evaluation)
{
    struct transposed t;
    struct parts parts;
    enum pbit_status status = transposed_read(evaluation, &t);
    if (status || pbitc_shape_elements(&evaluation->outputs[0].shape) == 0)
        return status;
    const struct pbitc_tensor *bias = pbitc_input(evaluation, 2);
    const void *input = evaluation->inputs[0]->data, *weights = evaluation->inputs[1]->data;
    void *output = evaluation->outputs[0].data;
    if (!t.covers_all || t.one_position)
        fill_with_bias(&t, bias ? bias->data : NULL, output);
    if (t.one_position) {
        multiply_position(&t, input, weights, output, evaluation->scratch);
        return PBIT_OK;
    }
    find_parts(&t, &parts);
    unsigned char *gathered = evaluation->scratch, *positions = gathered + parts.weights;
    unsigned char *results = positions + parts.positions;
    for (int64_t i = 0; i < t.phases; i++) {
        struct phase phase;
        struct pbitc_convolution c;
        if (!phase_read(&t, i, &phase, &c) || !pbitc_convolution_plan(&c))
            continue;
        gather_weights(&t, &phase, &c.window, weights, (int64_t *)positions, gathered);
        c.input = input;
        c.weights = gathered;
        c.bias = bias ? bias->data : NULL;
        c.output = t.one_phase ? output : results;
        pbitc_convolution_run(&c, evaluation->threads, results + parts.results);
        struct spread spread = {&t, &phase, &c.window, results, output};
        if (!t.one_phase)
            pbitc_parallel_for(evaluation->threads, t.images * t.groups * t.outputs, spread_plane, &spread);
    }
    return PBIT_OK;
}
