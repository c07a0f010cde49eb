// Conv and ConvTranspose over one to three spatial dimensions.
#include "passes/operators/direct_convolution.h"
#include "passes/operators/float_product.h"

#include <cblas.h>
#include <string.h>

// Conv computes each image by itself, a block of its output positions at a time: directly where that is
// possible, else the input under the windows is laid out as a matrix (im2col) that the weights multiply. Both
// ways sum every element in the same order, so a result depends neither on the batch size nor on the number
// of threads.
enum {
    COLUMNS_FLOATS = 1 << 18, ///< floats of the im2col matrix of a block, about
    CACHE_LINE = 64,
    COLUMNS_STEP = 64, ///< block widths are multiples of this
    BLAS_LIMIT = INT32_MAX / 16,
    PARALLEL_WORK = 1 << 23 ///< multiplications that pay for the start of threads
};

struct convolution {
    struct pbitc_window window;
    int64_t images, groups, channels, outputs; ///< channels and outputs of ONE group
    int64_t depth;                             ///< rows of the im2col matrix: channels * kernel_size
    int64_t block, blocks;                     ///< output positions at a time, and how many times
    enum pbitc_type type;                      ///< float32 or float64
    const void *input, *weights, *bias;        ///< bias may be NULL
    void *output;
    bool direct;                          ///< float32 only
    struct pbitc_direct_convolution plan; ///< when direct
    int64_t *rows;                        ///< [depth] where the rows of the matrix begin
    unsigned char *spare;                 ///< per thread: the matrix, or what the direct way needs
    size_t spare_bytes;
};

/// One input channel per group: a multiplication of matrices would have next to no depth.
static bool is_depthwise(const struct convolution *convolution)
{
    return convolution->channels == 1 && convolution->groups > 1 && convolution->type == PBITC_FLOAT32;
}

/// A multiple of the cache line, so that threads do not share one.
static size_t spare_bytes(size_t elements, size_t element)
{
    return (elements * element + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
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

static enum pbit_status require_operands(struct pbitc_evaluation *evaluation, unsigned types)
{
    enum pbit_status status = pbitc_require_type(evaluation, 0, types);
    if (!status)
        status = pbitc_require_same_type(evaluation);
    if (!status)
        status = pbitc_require_rank(evaluation, 0, 3, 2 + PBITC_SPATIAL);
    if (!status)
        status = pbitc_require_rank(evaluation, 1, evaluation->inputs[0]->shape.rank,
                                    evaluation->inputs[0]->shape.rank);
    return status;
}

static enum pbit_status convolution_read(struct pbitc_evaluation *evaluation, struct convolution *convolution)
{
    const struct pbitc_shape *input = &evaluation->inputs[0]->shape, *weights = &evaluation->inputs[1]->shape;
    int64_t groups = pbitc_node_int(evaluation->node, "group", 1);
    enum pbit_status status = require_weights(evaluation, groups);
    *convolution = (struct convolution){.images = input->dims[0],
                                        .groups = groups,
                                        .channels = weights->dims[1],
                                        .type = evaluation->inputs[0]->type};
    struct pbitc_window *window = &convolution->window;
    if (!status)
        status =
            pbitc_window_read(evaluation, input->dims + 2, weights->dims + 2, input->rank - 2, false, window);
    if (status)
        return status;
    convolution->outputs = weights->dims[0] / groups;
    if (__builtin_mul_overflow(convolution->channels, window->kernel_size, &convolution->depth) ||
        convolution->depth > BLAS_LIMIT || convolution->outputs > BLAS_LIMIT ||
        window->input_size > BLAS_LIMIT || window->output_size > BLAS_LIMIT)
        return PBITC_REFUSE(evaluation, NULL, "the convolution is too large (weights %s, input %s)",
                            pbitc_shape_format(weights).text, pbitc_shape_format(input).text);
    convolution->direct = convolution->type == PBITC_FLOAT32 &&
                          pbitc_direct_convolution_plan(window, convolution->channels, convolution->outputs,
                                                        &convolution->plan);
    if (convolution->direct) {
        convolution->blocks = convolution->plan.blocks;
        convolution->spare_bytes = spare_bytes(convolution->plan.scratch_floats, sizeof(float));
        return PBIT_OK;
    }
    int64_t block = convolution->depth ? COLUMNS_FLOATS / convolution->depth : window->output_size;
    block = block < COLUMNS_STEP ? COLUMNS_STEP : block - block % COLUMNS_STEP;
    if (is_depthwise(convolution) || block > window->output_size)
        block = window->output_size;
    convolution->block = block;
    convolution->blocks = block ? (window->output_size + block - 1) / block : 0;
    if (!is_depthwise(convolution))
        convolution->spare_bytes =
            spare_bytes((size_t)(convolution->depth * block), pbitc_type_bytes(convolution->type));
    return PBIT_OK;
}

enum pbit_status infer_conv(struct pbitc_evaluation *evaluation)
{
    struct convolution convolution;
    enum pbit_status status = require_operands(evaluation, PBITC_TYPES_FLOAT);
    if (!status)
        status = convolution_read(evaluation, &convolution);
    if (status)
        return status;
    struct pbitc_shape shape = {evaluation->inputs[0]->shape.rank,
                                {convolution.images, evaluation->inputs[1]->shape.dims[0]}};
    int lead = PBITC_SPATIAL - convolution.window.spatial_rank;
    for (int i = 0; i < convolution.window.spatial_rank; i++)
        shape.dims[2 + i] = convolution.window.output[lead + i];
    pbitc_set_output(evaluation, 0, convolution.type, &shape);
    if (!pbitc_add_scratch(evaluation, convolution.depth, sizeof(int64_t)) ||
        !pbitc_add_scratch(evaluation, 1, CACHE_LINE) ||
        !pbitc_add_scratch(evaluation, evaluation->threads, convolution.spare_bytes))
        return PBITC_REFUSE(evaluation, NULL, "the convolution is too large");
    return PBIT_OK;
}

/// Every stride-th of `count` elements of 4 or 8 bytes.
static void copy_strided(void *to, const void *from, int64_t count, int64_t stride, size_t element)
{
    if (stride == 1)
        memcpy(to, from, (size_t)count * element);
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
    for (int64_t position = first; position < last;) {
        int64_t x = position % output[2], line = position / output[2];
        int64_t count = output[2] - x < last - position ? output[2] - x : last - position;
        int64_t depth = line / output[1] * stride[0] + offset[0],
                y = line % output[1] * stride[1] + offset[1];
        int64_t start = x * stride[2] + offset[2];
        struct pbitc_span inside = {count, count};
        if (depth >= 0 && depth < input[0] && y >= 0 && y < input[1])
            inside = pbitc_span_inside(start, stride[2], count, input[2]);
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
    const struct convolution *c = state;
    int64_t plane = index / c->blocks, group = plane % c->groups; // plane: image * groups + group
    pbitc_direct_convolution_run(&c->plan, c->rows, index % c->blocks,
                                 (const float *)c->input + plane * c->channels * c->window.input_size,
                                 (const float *)c->weights + group * c->outputs * c->depth,
                                 c->bias ? (const float *)c->bias + group * c->outputs : NULL,
                                 (float *)c->output + plane * c->outputs * c->window.output_size,
                                 (float *)(c->spare + (size_t)worker * c->spare_bytes));
}

/// The block of output positions, `width` of each channel of the group, filled with the bias or 0.
static void fill_with_bias(const struct convolution *c, int64_t group, unsigned char *output, int64_t width)
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
    const struct convolution *c = state;
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
    unsigned char *columns = c->spare + (size_t)worker * c->spare_bytes;
    for (int64_t row = 0; row < c->depth; row++) {
        lay_out_row(window, input + (size_t)(row / window->kernel_size * window->input_size) * element,
                    element, at, first, last, columns + (size_t)(row * c->block) * element);
        pbitc_window_advance(window, at);
    }
    fill_with_bias(c, group, output, width);
    if (c->type == PBITC_FLOAT32)
        pbitc_multiply_add(c->outputs, width, c->depth, (const float *)weights, c->depth,
                           (const float *)columns, c->rows, (float *)output, window->output_size);
    else
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)c->outputs, (int)width, (int)c->depth, 1,
                    (const double *)weights, (int)c->depth, (const double *)columns, (int)c->block, 1,
                    (double *)output, (int)window->output_size);
}

/// Adds `weight` times the channel, shifted to kernel position `at`, to an output plane.
static void accumulate_shifted(const struct pbitc_window *window, const float *channel, const int64_t *at,
                               float weight, float *output)
{
    const int64_t *stride = window->stride, *input = window->input;
    struct pbitc_tap tap = pbitc_tap_at(window, at);
    for (int64_t d = tap.span[0].first; d < tap.span[0].last; d++)
        for (int64_t y = tap.span[1].first; y < tap.span[1].last; y++) {
            int64_t line = (d * stride[0] + tap.offset[0]) * input[1] + y * stride[1] + tap.offset[1];
            const float *from = channel + line * input[2] + tap.offset[2];
            float *to = output + (d * window->output[1] + y) * window->output[2];
            if (stride[2] == 1)
                for (int64_t x = tap.span[2].first; x < tap.span[2].last; x++)
                    to[x] += weight * from[x];
            else
                for (int64_t x = tap.span[2].first; x < tap.span[2].last; x++)
                    to[x] += weight * from[x * stride[2]];
        }
}

static void convolve_depthwise(void *state, int64_t plane, int worker)
{
    const struct convolution *c = state;
    const struct pbitc_window *window = &c->window;
    int64_t group = plane % c->groups;
    (void)worker;
    const float *input = c->input, *weights = c->weights, *bias = c->bias;
    for (int64_t o = 0; o < c->outputs; o++) {
        int64_t channel = group * c->outputs + o, at[PBITC_SPATIAL] = {0};
        float *output = (float *)c->output + (plane * c->outputs + o) * window->output_size;
        for (int64_t i = 0; i < window->output_size; i++)
            output[i] = bias ? bias[channel] : 0;
        for (int64_t k = 0; k < window->kernel_size; k++, pbitc_window_advance(window, at))
            accumulate_shifted(window, input + plane * window->input_size, at,
                               weights[channel * window->kernel_size + k], output);
    }
}

enum pbit_status evaluate_conv(struct pbitc_evaluation *evaluation)
{
    struct convolution convolution;
    enum pbit_status status = convolution_read(evaluation, &convolution);
    if (status || pbitc_shape_elements(&evaluation->outputs[0].shape) == 0)
        return status;
    const struct pbitc_tensor *bias = pbitc_input(evaluation, 2);
    convolution.input = evaluation->inputs[0]->data;
    convolution.weights = evaluation->inputs[1]->data;
    convolution.bias = bias ? bias->data : NULL;
    convolution.output = evaluation->outputs[0].data;
    convolution.rows = evaluation->scratch;
    uintptr_t spare = (uintptr_t)(convolution.rows + convolution.depth);
    convolution.spare = (unsigned char *)((spare + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
    int64_t planes = convolution.images * convolution.groups;
    double work = (double)pbitc_shape_elements(&evaluation->outputs[0].shape) * (double)convolution.depth;
    int threads = work < PARALLEL_WORK ? 1 : evaluation->threads;
    if (convolution.direct) {
        pbitc_direct_convolution_offsets(&convolution.plan, convolution.rows);
        pbitc_parallel_for(threads, planes * convolution.blocks, convolve_direct, &convolution);
    } else if (is_depthwise(&convolution)) {
        pbitc_parallel_for(threads, planes, convolve_depthwise, &convolution);
    } else {
        for (int64_t row = 0; row < convolution.depth; row++)
            convolution.rows[row] = row * convolution.block;
        pbitc_parallel_for(threads, planes * convolution.blocks, convolve_block, &convolution);
    }
    return PBIT_OK;
}

/// ConvTranspose: the gradient of a Conv with weights [channels x outputs / group x kernel]; here `window` is
/// that Conv's, its input being our output.
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
            __builtin_mul_overflow(window->kernel_size, window->kernel[i], &window->kernel_size))
            return PBITC_REFUSE(evaluation, NULL, "the spatial extents overflow");
    }
    return PBIT_OK;
}

static enum pbit_status transposed_read(struct pbitc_evaluation *evaluation, struct convolution *c)
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
    *c = (struct convolution){.images = input->dims[0],
                              .groups = groups,
                              .channels = weights->dims[0] / groups,
                              .outputs = weights->dims[1]};
    struct pbitc_window *window = &c->window;
    enum pbit_status status =
        pbitc_window_attributes(evaluation, input->dims + 2, weights->dims + 2, input->rank - 2, window);
    memcpy(window->output, window->input, sizeof(window->output));
    if (!status)
        status = transposed_extents(evaluation, window);
    if (!status && (__builtin_mul_overflow(c->outputs, window->kernel_size, &c->depth) ||
                    c->depth > BLAS_LIMIT || c->channels > BLAS_LIMIT || window->output_size > BLAS_LIMIT))
        status = PBITC_REFUSE(evaluation, NULL, "the convolution is too large");
    return status;
}

enum pbit_status infer_conv_transpose(struct pbitc_evaluation *evaluation)
{
    struct convolution c;
    enum pbit_status status = require_operands(evaluation, 1 << PBITC_FLOAT32);
    if (!status)
        status = transposed_read(evaluation, &c);
    if (status)
        return status;
    struct pbitc_shape shape = {evaluation->inputs[0]->shape.rank, {c.images, c.outputs * c.groups}};
    for (int i = 0; i < c.window.spatial_rank; i++)
        shape.dims[2 + i] = c.window.input[PBITC_SPATIAL - c.window.spatial_rank + i];
    pbitc_set_output(evaluation, 0, PBITC_FLOAT32, &shape);
    int64_t elements;
    if (__builtin_mul_overflow(c.depth, c.window.output_size, &elements) ||
        !pbitc_add_scratch(evaluation, elements, sizeof(float)))
        return PBITC_REFUSE(evaluation, NULL, "the convolution is too large");
    return PBIT_OK;
}

/// Adds one row of the column matrix to where kernel position `at` lies in the output plane.
static void scatter_row(const struct pbitc_window *window, const float *row, const int64_t at[PBITC_SPATIAL],
                        float *plane)
{
    const int64_t *stride = window->stride, *input = window->input;
    struct pbitc_tap tap = pbitc_tap_at(window, at);
    for (int64_t d = tap.span[0].first; d < tap.span[0].last; d++)
        for (int64_t y = tap.span[1].first; y < tap.span[1].last; y++) {
            int64_t line = (d * stride[0] + tap.offset[0]) * input[1] + y * stride[1] + tap.offset[1];
            const float *from = row + (d * window->output[1] + y) * window->output[2];
            float *to = plane + line * input[2] + tap.offset[2];
            for (int64_t x = tap.span[2].first; x < tap.span[2].last; x++)
                to[x * stride[2]] += from[x];
        }
}

enum pbit_status evaluate_conv_transpose(struct pbitc_evaluation *evaluation)
{
    struct convolution c;
    enum pbit_status status = transposed_read(evaluation, &c);
    if (status || pbitc_shape_elements(&evaluation->outputs[0].shape) == 0)
        return status;
    const struct pbitc_window *window = &c.window;
    const struct pbitc_tensor *bias = pbitc_input(evaluation, 2);
    float *columns = evaluation->scratch;
    for (int64_t plane = 0; plane < c.images * c.groups; plane++) {
        int64_t group = plane % c.groups;
        const float *input =
            (const float *)evaluation->inputs[0]->data + plane * c.channels * window->output_size;
        const float *weights = (const float *)evaluation->inputs[1]->data + group * c.channels * c.depth;
        float *output = (float *)evaluation->outputs[0].data + plane * c.outputs * window->input_size;
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)c.depth, (int)window->output_size,
                    (int)c.channels, 1, weights, (int)c.depth, input, (int)window->output_size, 0, columns,
                    (int)window->output_size);
        for (int64_t o = 0; o < c.outputs; o++) {
            int64_t at[PBITC_SPATIAL] = {0};
            float *target = output + o * window->input_size;
            for (int64_t i = 0; i < window->input_size; i++)
                target[i] = bias ? ((const float *)bias->data)[group * c.outputs + o] : 0;
            for (int64_t k = 0; k < window->kernel_size; k++, pbitc_window_advance(window, at))
                scatter_row(window, columns + (o * window->kernel_size + k) * window->output_size, at,
                            target);
        }
    }
    return PBIT_OK;
}
