// Conv over one to three spatial dimensions, and what ConvTranspose makes use of.
#include "passes/operators/convolution.h"

#include "passes/operators/float_product.h"

#include <cblas.h>
#include <string.h>

// Each image is computed by itself, a block of its output positions at a time, and every element is summed in
// an order that only the shapes decide: so a result depends neither on the batch size nor on the number of
// threads.
enum {
    COLUMNS_FLOATS = 1 << 18, ///< floats of the im2col matrix of a block, about
    COLUMNS_STEP = 64,        ///< block widths are multiples of this
    LEAST_PART = 8,           ///< output channels
    DENSE_IMAGES = 48,
    DENSE_OUTPUTS = 256,
    CACHE_LINE = 64,
    BLAS_LIMIT = INT32_MAX / 16,
    PARALLEL_WORK = 1 << 23 ///< multiplications that pay for the start of threads
};

/// Depthwise: a kernel position that sees something.
struct seen {
    struct pbitc_tap tap;
    int64_t position;
};

/// A multiple of the cache line, so that threads do not share one.
static bool line_bytes(int64_t elements, size_t element, size_t *bytes)
{
    if (elements < 0 || __builtin_mul_overflow((size_t)elements, element, bytes) || *bytes > SIZE_MAX / 4)
        return false;
    *bytes = (*bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    return true;
}

static enum pbit_status require_weights(struct pbitc_evaluation *evaluation, int64_t groups)
{
    const struct pbitc_shape *input = &evaluation->inputs[0]->shape, *weights = &evaluation->inputs[1]->shape;
    const struct pbitc_tensor *bias = pbitc_input(evaluation, 2);
    if (groups < 1 || weights->dims[1] > INT64_MAX / groups || weights->dims[1] * groups != input->dims[1] ||
        weights->dims[0] % groups != 0)
        return PBITC_MALFORMED(
            evaluation, "weights of shape %s and group = %lld do not fit an input of shape %s",
            pbitc_shape_format(weights).text, (long long)groups, pbitc_shape_format(input).text);
    if (bias && (bias->shape.rank != 1 || bias->shape.dims[0] != weights->dims[0]))
        return PBITC_MALFORMED(evaluation, "bias of shape %s, expected %lld",
                               pbitc_shape_format(&bias->shape).text, (long long)weights->dims[0]);
    size_t count;
    const int64_t *kernel = pbitc_node_ints(evaluation->node, "kernel_shape", &count);
    if (count && (count != (size_t)weights->rank - 2 ||
                  memcmp(kernel, weights->dims + 2, count * sizeof(*kernel)) != 0))
        return PBITC_MALFORMED(evaluation, "kernel_shape differs from the weights' shape %s",
                               pbitc_shape_format(weights).text);
    return PBIT_OK;
}

enum pbit_status pbitc_convolution_operands(struct pbitc_evaluation *evaluation)
{
    enum pbit_status status = pbitc_require_type(evaluation, 0, PBITC_TYPES_FLOAT);
    if (!status)
        status = pbitc_require_same_type(evaluation);
    if (!status)
        status = pbitc_require_rank(evaluation, 0, 3, 2 + PBITC_SPATIAL);
    if (!status)
        status = pbitc_require_rank(evaluation, 1, evaluation->inputs[0]->shape.rank,
                                    evaluation->inputs[0]->shape.rank);
    return status;
}

static bool is_dense(const struct pbitc_convolution *c)
{
    const struct pbitc_window *window = &c->window;
    bool dense = c->type == PBITC_FLOAT32 && c->groups == 1 && window->output_size == 1;
    for (int i = 0; dense && i < PBITC_SPATIAL; i++)
        dense = window->kernel[i] == window->input[i] && window->pad_begin[i] == 0 && window->pad_end[i] == 0;
    return dense;
}

bool pbitc_convolution_plan(struct pbitc_convolution *c)
{
    const struct pbitc_window *window = &c->window;
    if (__builtin_mul_overflow(c->channels, window->kernel_size, &c->depth) || c->depth > BLAS_LIMIT ||
        c->outputs > BLAS_LIMIT || window->input_size > BLAS_LIMIT || window->output_size > BLAS_LIMIT)
        return false;
    c->thread_bytes = 0;
    if (is_dense(c)) {
        c->way = PBITC_CONVOLUTION_DENSE;
        c->shared_bytes = 0;
        return true;
    }
    bool depthwise = c->type == PBITC_FLOAT32 && c->channels == 1 && c->groups > 1;
    bool mostly_padding = window->pad_begin[2] + window->pad_end[2] > window->output[2];
    if (c->type == PBITC_FLOAT32 && !(depthwise && mostly_padding) &&
        pbitc_direct_convolution_plan(window, c->channels, c->outputs, &c->direct)) {
        c->way = PBITC_CONVOLUTION_DIRECT;
        c->blocks = c->direct.blocks;
        return line_bytes(c->depth, sizeof(int64_t), &c->shared_bytes) &&
               line_bytes((int64_t)c->direct.scratch_floats, sizeof(float), &c->thread_bytes);
    }
    if (depthwise) {
        c->way = PBITC_CONVOLUTION_DEPTHWISE;
        c->blocks = 1;
        return line_bytes(window->kernel_size, sizeof(struct seen), &c->shared_bytes);
    }
    c->way = PBITC_CONVOLUTION_COLUMNS;
    int64_t block = c->depth ? COLUMNS_FLOATS / c->depth : window->output_size;
    block = block < COLUMNS_STEP ? COLUMNS_STEP : block - block % COLUMNS_STEP;
    c->block = block > window->output_size ? window->output_size : block;
    c->blocks = c->block ? (window->output_size + c->block - 1) / c->block : 0;
    return line_bytes(c->depth, sizeof(int64_t), &c->shared_bytes) &&
           line_bytes(c->depth * c->block, pbitc_type_bytes(c->type), &c->thread_bytes);
}

static enum pbit_status convolution_read(struct pbitc_evaluation *evaluation, struct pbitc_convolution *c)
{
    const struct pbitc_shape *input = &evaluation->inputs[0]->shape, *weights = &evaluation->inputs[1]->shape;
    int64_t groups = pbitc_node_int(evaluation->node, "group", 1);
    enum pbit_status status = require_weights(evaluation, groups);
    if (status)
        return status;
    *c = (struct pbitc_convolution){.images = input->dims[0],
                                    .groups = groups,
                                    .channels = weights->dims[1],
                                    .outputs = weights->dims[0] / groups,
                                    .type = evaluation->inputs[0]->type};
    status =
        pbitc_window_read(evaluation, input->dims + 2, weights->dims + 2, input->rank - 2, false, &c->window);
    if (!status && !pbitc_convolution_plan(c))
        status = PBITC_REFUSE(evaluation, NULL, "the convolution is too large (weights %s, input %s)",
                              pbitc_shape_format(weights).text, pbitc_shape_format(input).text);
    return status;
}

enum pbit_status infer_conv(struct pbitc_evaluation *evaluation)
{
    struct pbitc_convolution c;
    enum pbit_status status = pbitc_convolution_operands(evaluation);
    if (!status)
        status = convolution_read(evaluation, &c);
    if (status)
        return status;
    struct pbitc_shape shape = {evaluation->inputs[0]->shape.rank,
                                {c.images, evaluation->inputs[1]->shape.dims[0]}};
    int lead = PBITC_SPATIAL - c.window.spatial_rank;
    for (int i = 0; i < c.window.spatial_rank; i++)
        shape.dims[2 + i] = c.window.output[lead + i];
    pbitc_set_output(evaluation, 0, c.type, &shape);
    if (!pbitc_add_scratch(evaluation, 1, c.shared_bytes) ||
        !pbitc_add_scratch(evaluation, evaluation->threads, c.thread_bytes))
        return PBITC_REFUSE(evaluation, NULL, "the convolution is too large");
    return PBIT_OK;
}

/// Every stride-th of `count` elements of 4 or 8 bytes.
static void copy_strided(void *to, const void *from, int64_t count, int64_t stride, size_t element)
{
    if (stride == 1)
        memcpy(to, from, (size_t)count * element);
    else if (element == sizeof(float) && stride == 2) // a loop that vectors can run
        for (int64_t i = 0; i < count; i++)
            ((float *)to)[i] = ((const float *)from)[2 * i];
    else if (element == sizeof(float))
        for (int64_t i = 0; i < count; i++)
            ((float *)to)[i] = ((const float *)from)[i * stride];
    else
        for (int64_t i = 0; i < count; i++)
            ((double *)to)[i] = ((const double *)from)[i * stride];
}

/// One row of the im2col matrix: what kernel position `at` sees in one channel, at output positions
/// first..last-1; 0 in the padding.
static void lay_out_row(const struct pbitc_window *window, const unsigned char *channel, size_t element,
                        const int64_t at[PBITC_SPATIAL], int64_t first, int64_t last, unsigned char *row)
{
    const int64_t *output = window->output, *input = window->input, *stride = window->stride;
    int64_t offset[PBITC_SPATIAL];
    for (int i = 0; i < PBITC_SPATIAL; i++)
        offset[i] = at[i] * window->dilation[i] - window->pad_begin[i];
    const struct pbitc_span whole = pbitc_span_inside(offset[2], stride[2], output[2], input[2]);
    for (int64_t position = first; position < last;) {
        int64_t x = position % output[2], line = position / output[2];
        int64_t count = output[2] - x < last - position ? output[2] - x : last - position;
        int64_t depth = line / output[1] * stride[0] + offset[0],
                y = line % output[1] * stride[1] + offset[1];
        int64_t start = x * stride[2] + offset[2];
        struct pbitc_span inside = {count, count};
        if (depth >= 0 && depth < input[0] && y >= 0 && y < input[1])
            inside = count == output[2] ? whole : pbitc_span_inside(start, stride[2], count, input[2]);
        memset(row, 0, (size_t)inside.first * element);
        if (inside.last > inside.first) {
            int64_t from = (depth * input[1] + y) * input[2] + start + inside.first * stride[2];
            copy_strided(row + (size_t)inside.first * element, channel + (size_t)from * element,
                         inside.last - inside.first, stride[2], element);
        }
        memset(row + (size_t)inside.last * element, 0, (size_t)(count - inside.last) * element);
        row += (size_t)count * element;
        position += count;
    }
}

static void convolve_direct(void *state, int64_t index, int worker)
{
    const struct pbitc_convolution *c = state;
    int64_t first = index % c->parts * c->part, plane = index / c->parts / c->blocks;
    int64_t channel = plane % c->groups * c->outputs + first; // plane: image * groups + group
    struct pbitc_direct_convolution direct = c->direct;
    direct.outputs = c->outputs - first < c->part ? c->outputs - first : c->part;
    pbitc_direct_convolution_run(&direct, c->shared, index / c->parts % c->blocks,
                                 (const float *)c->input + plane * c->channels * c->window.input_size,
                                 (const float *)c->weights + channel * c->depth,
                                 c->bias ? (const float *)c->bias + channel : NULL,
                                 (float *)c->output + (plane * c->outputs + first) * c->window.output_size,
                                 (float *)(c->spare + (size_t)worker * c->thread_bytes));
}

/// The block of output positions, `width` of each channel of the group, filled with the bias or 0.
static void fill_with_bias(const struct pbitc_convolution *c, int64_t group, unsigned char *output,
                           int64_t width)
{
    for (int64_t o = 0; o < c->outputs; o++) {
        int64_t channel = group * c->outputs + o, start = o * c->window.output_size;
        if (c->type == PBITC_FLOAT32) {
            float bias = c->bias ? ((const float *)c->bias)[channel] : 0;
            for (int64_t i = 0; i < width; i++)
                ((float *)output)[start + i] = bias;
        } else {
            double bias = c->bias ? ((const double *)c->bias)[channel] : 0;
            for (int64_t i = 0; i < width; i++)
                ((double *)output)[start + i] = bias;
        }
    }
}

static void convolve_block(void *state, int64_t index, int worker)
{
    const struct pbitc_convolution *c = state;
    const struct pbitc_window *window = &c->window;
    size_t element = pbitc_type_bytes(c->type);
    int64_t first = index % c->blocks * c->block, plane = index / c->blocks; // plane: image * groups + group
    int64_t last = first + c->block < window->output_size ? first + c->block : window->output_size;
    int64_t group = plane % c->groups, width = last - first, at[PBITC_SPATIAL] = {0};
    const unsigned char *input =
        (const unsigned char *)c->input + (size_t)(plane * c->channels * window->input_size) * element;
    const unsigned char *weights =
        (const unsigned char *)c->weights + (size_t)(group * c->outputs * c->depth) * element;
    unsigned char *output =
        (unsigned char *)c->output + (size_t)(plane * c->outputs * window->output_size + first) * element;
    unsigned char *columns = c->spare + (size_t)worker * c->thread_bytes;
    for (int64_t row = 0; row < c->depth; row++) {
        lay_out_row(window, input + (size_t)(row / window->kernel_size * window->input_size) * element,
                    element, at, first, last, columns + (size_t)(row * c->block) * element);
        pbitc_window_advance(window, at);
    }
    fill_with_bias(c, group, output, width);
    if (c->type == PBITC_FLOAT32)
        pbitc_multiply_add(c->outputs, width, c->depth, (const float *)weights, c->depth,
                           (const float *)columns, c->shared, (float *)output, window->output_size);
    else
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)c->outputs, (int)width, (int)c->depth, 1,
                    (const double *)weights, (int)c->depth, (const double *)columns, (int)c->block, 1,
                    (double *)output, (int)window->output_size);
}

/// Adds `weight` times what the tap sees of the channel to an output plane.
static void accumulate_tap(const struct pbitc_window *window, const float *channel,
                           const struct pbitc_tap *tap, float weight, float *output)
{
    const int64_t *stride = window->stride, *input = window->input;
    for (int64_t d = tap->span[0].first; d < tap->span[0].last; d++)
        for (int64_t y = tap->span[1].first; y < tap->span[1].last; y++) {
            int64_t line = (d * stride[0] + tap->offset[0]) * input[1] + y * stride[1] + tap->offset[1];
            const float *from = channel + line * input[2] + tap->offset[2];
            float *to = output + (d * window->output[1] + y) * window->output[2];
            if (stride[2] == 1)
                for (int64_t x = tap->span[2].first; x < tap->span[2].last; x++)
                    to[x] += weight * from[x];
            else
                for (int64_t x = tap->span[2].first; x < tap->span[2].last; x++)
                    to[x] += weight * from[x * stride[2]];
        }
}

static void convolve_depthwise(void *state, int64_t plane, int worker)
{
    const struct pbitc_convolution *c = state;
    const struct pbitc_window *window = &c->window;
    const struct seen *seen = c->shared;
    int64_t group = plane % c->groups;
    (void)worker;
    const float *input = (const float *)c->input + plane * window->input_size, *bias = c->bias;
    for (int64_t o = 0; o < c->outputs; o++) {
        int64_t channel = group * c->outputs + o;
        const float *weights = (const float *)c->weights + channel * window->kernel_size;
        float *output = (float *)c->output + (plane * c->outputs + o) * window->output_size;
        for (int64_t i = 0; i < window->output_size; i++)
            output[i] = bias ? bias[channel] : 0;
        for (int64_t k = 0; k < c->taps; k++)
            accumulate_tap(window, input, &seen[k].tap, weights[seen[k].position], output);
    }
}

/// The kernel positions that see more than padding.
static int64_t find_taps(const struct pbitc_window *window, struct seen *seen)
{
    int64_t at[PBITC_SPATIAL] = {0}, count = 0;
    for (int64_t k = 0; k < window->kernel_size; k++, pbitc_window_advance(window, at)) {
        struct pbitc_tap tap = pbitc_tap_at(window, at);
        bool sees = true;
        for (int i = 0; i < PBITC_SPATIAL; i++)
            sees = sees && tap.span[i].first < tap.span[i].last;
        if (sees)
            seen[count++] = (struct seen){tap, k};
    }
    return count;
}

static void convolve_dense(void *state, int64_t index, int worker)
{
    const struct pbitc_convolution *c = state;
    int64_t strips = (c->outputs + DENSE_OUTPUTS - 1) / DENSE_OUTPUTS;
    int64_t image = index / strips * DENSE_IMAGES, first = index % strips * DENSE_OUTPUTS;
    int64_t images = c->images - image < DENSE_IMAGES ? c->images - image : DENSE_IMAGES;
    int64_t outputs = c->outputs - first < DENSE_OUTPUTS ? c->outputs - first : DENSE_OUTPUTS;
    float *output = (float *)c->output + image * c->outputs + first;
    (void)worker;
    pbitc_multiply_transposed(images, outputs, c->depth, (const float *)c->input + image * c->depth,
                              (const float *)c->weights + first * c->depth, output, c->outputs);
    for (int64_t i = 0; c->bias && i < images; i++)
        for (int64_t o = 0; o < outputs; o++)
            output[i * c->outputs + o] += ((const float *)c->bias)[first + o];
}

/// Where there are fewer blocks than threads, parts of the output channels are shared out.
static void share_outputs(struct pbitc_convolution *c, int threads, int64_t blocks)
{
    int64_t parts = blocks < threads ? (threads + blocks - 1) / blocks : 1;
    c->part = (c->outputs + parts - 1) / parts;
    c->part = c->part < LEAST_PART ? LEAST_PART : c->part;
    c->parts = (c->outputs + c->part - 1) / c->part;
}

void pbitc_convolution_run(struct pbitc_convolution *c, int threads, void *scratch)
{
    int64_t planes = c->images * c->groups, *rows = scratch;
    double work = (double)planes * (double)c->outputs * (double)c->window.output_size * (double)c->depth;
    threads = work < PARALLEL_WORK ? 1 : threads;
    c->shared = scratch;
    c->spare = (unsigned char *)scratch + c->shared_bytes;
    switch (c->way) {
    case PBITC_CONVOLUTION_DENSE:
        pbitc_parallel_for(threads,
                           (c->images + DENSE_IMAGES - 1) / DENSE_IMAGES *
                               ((c->outputs + DENSE_OUTPUTS - 1) / DENSE_OUTPUTS),
                           convolve_dense, c);
        return;
    case PBITC_CONVOLUTION_DIRECT:
        pbitc_direct_convolution_offsets(&c->direct, rows);
        share_outputs(c, threads, planes * c->blocks);
        pbitc_parallel_for(threads, planes * c->blocks * c->parts, convolve_direct, c);
        return;
    case PBITC_CONVOLUTION_DEPTHWISE:
        c->taps = find_taps(&c->window, scratch);
        pbitc_parallel_for(threads, planes, convolve_depthwise, c);
        return;
    case PBITC_CONVOLUTION_COLUMNS:
        for (int64_t row = 0; row < c->depth; row++)
            rows[row] = row * c->block;
        pbitc_parallel_for(threads, planes * c->blocks, convolve_block, c);
    }
}

enum pbit_status evaluate_conv(struct pbitc_evaluation *evaluation)
{
    struct pbitc_convolution c;
    enum pbit_status status = convolution_read(evaluation, &c);
    if (status || pbitc_shape_elements(&evaluation->outputs[0].shape) == 0)
        return status;
    const struct pbitc_tensor *bias = pbitc_input(evaluation, 2);
    c.input = evaluation->inputs[0]->data;
    c.weights = evaluation->inputs[1]->data;
    c.bias = bias ? bias->data : NULL;
    c.output = evaluation->outputs[0].data;
    pbitc_convolution_run(&c, evaluation->threads, evaluation->scratch);
    return PBIT_OK;
}
