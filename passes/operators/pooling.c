// MaxPool, AveragePool, LpPool and their global forms.
#include "passes/operators/window.h"

#include <math.h>
#include <string.h>

enum { MAX_POOL_TYPES = PBITC_TYPES_FLOAT | 1 << PBITC_INT8 | 1 << PBITC_UINT8, PARALLEL_WORK = 1 << 20 };

static enum pbit_status pool_read(struct pbitc_evaluation *evaluation, struct pbitc_window *window)
{
    const struct pbitc_shape *input = &evaluation->inputs[0]->shape;
    const int64_t *kernel = pbitc_window_kernel(evaluation, input->rank - 2);
    if (!kernel)
        return PBIT_ERROR_FORMAT;
    bool ceil_mode = pbitc_node_int(evaluation->node, "ceil_mode", 0) != 0;
    return pbitc_window_read(evaluation, input->dims + 2, kernel, input->rank - 2, ceil_mode, window);
}

enum pbit_status infer_pool(struct pbitc_evaluation *evaluation)
{
    bool max = pbitc_node_is(evaluation->node, PBITC_OP_MaxPool);
    struct pbitc_window window;
    enum pbit_status status =
        pbitc_require_type(evaluation, 0, max ? (unsigned)MAX_POOL_TYPES : (unsigned)PBITC_TYPES_FLOAT);
    if (!status)
        status = pbitc_require_rank(evaluation, 0, 3, 2 + PBITC_SPATIAL);
    if (!status)
        status = pool_read(evaluation, &window);
    if (status)
        return status;
    struct pbitc_shape shape = evaluation->inputs[0]->shape;
    int lead = PBITC_SPATIAL - window.spatial_rank;
    for (int i = 0; i < window.spatial_rank; i++)
        shape.dims[2 + i] = window.output[lead + i];
    pbitc_set_output(evaluation, 0, evaluation->inputs[0]->type, &shape);
    pbitc_set_output(evaluation, 1, PBITC_INT64, &shape);
    return PBIT_OK;
}

struct pool {
    struct pbitc_evaluation *evaluation;
    struct pbitc_window window;
    bool count_padding; ///< AveragePool: count_include_pad
    bool columns_first; ///< MaxPool: storage_order
    int64_t power;      ///< LpPool
};

/// Does `update` of to[i] and from[i * step] for all that kernel position `at` sees of a plane.
#define COMBINE_SHIFTED(element, update)                                                                     \
    {                                                                                                        \
        struct pbitc_tap tap = pbitc_tap_at(window, at);                                                     \
        const int64_t *stride = window->stride, step = stride[2];                                            \
        for (int64_t d = tap.span[0].first; d < tap.span[0].last; d++)                                       \
            for (int64_t y = tap.span[1].first; y < tap.span[1].last; y++) {                                 \
                int64_t line = (d * stride[0] + tap.offset[0]) * window->input[1] + y * stride[1];           \
                const element *from = input + (line + tap.offset[1]) * window->input[2] + tap.offset[2];     \
                element *to = output + (d * window->output[1] + y) * window->output[2];                      \
                for (int64_t i = tap.span[2].first; i < tap.span[2].last; i++)                               \
                    update;                                                                                  \
            }                                                                                                \
    }

/// Where input `offset` of a plane is, as MaxPool's Indices count: rows first, or columns first.
static int64_t index_of(const struct pool *pool, int64_t plane, int64_t offset)
{
    const int64_t *input = pool->window.input;
    if (pool->columns_first) {
        int64_t x = offset % input[2], y = offset / input[2] % input[1], d = offset / input[2] / input[1];
        offset = (x * input[1] + y) * input[0] + d;
    }
    return plane * pool->window.input_size + offset;
}

/// A window in the padding alone (it holds no number) gives `lowest`. Indices first hold the place in the
/// plane.
#define MAX_POOL(type, element, lowest)                                                                      \
    case type: {                                                                                             \
        const element *input = (const element *)evaluation->inputs[0]->data + plane * window->input_size;    \
        element *output = (element *)evaluation->outputs[0].data + plane * window->output_size;              \
        for (int64_t i = 0; i < window->output_size; i++)                                                    \
            output[i] = lowest;                                                                              \
        for (int64_t k = 0; k < window->kernel_size; k++, pbitc_window_advance(window, at)) {                \
            if (!indices)                                                                                    \
                COMBINE_SHIFTED(element, to[i] = from[i * step] > to[i] ? from[i * step] : to[i])            \
            else                                                                                             \
                COMBINE_SHIFTED(                                                                             \
                    element, if (from[i * step] > to[i]) {                                                   \
                        to[i] = from[i * step];                                                              \
                        indices[to - output + i] = from - input + i * step;                                  \
                    })                                                                                       \
        }                                                                                                    \
        break;                                                                                               \
    }

/// Windows of 2 x 2 that touch, without padding: what most networks have.
static bool is_halving(const struct pbitc_window *window)
{
    for (int i = 0; i < PBITC_SPATIAL; i++) {
        int64_t size = i == 0 ? 1 : 2;
        if (window->kernel[i] != size || window->stride[i] != size || window->dilation[i] != 1 ||
            window->pad_begin[i] != 0 || window->output[i] * size > window->input[i])
            return false;
    }
    return true;
}

static void halve_plane(const struct pbitc_window *window, const float *restrict input,
                        float *restrict output)
{
    for (int64_t y = 0; y < window->input[0] * window->output[1]; y++, output += window->output[2]) {
        const float *line =
            input + (y / window->output[1] * window->input[1] + y % window->output[1] * 2) * window->input[2];
        const float *below = line + window->input[2];
        for (int64_t x = 0; x < window->output[2]; x++) {
            float most = line[2 * x] > -INFINITY ? line[2 * x] : -INFINITY;
            most = line[2 * x + 1] > most ? line[2 * x + 1] : most;
            most = below[2 * x] > most ? below[2 * x] : most;
            output[x] = below[2 * x + 1] > most ? below[2 * x + 1] : most;
        }
    }
}

static void max_pool_plane(void *state, int64_t plane, int worker)
{
    const struct pool *pool = state;
    const struct pbitc_window *window = &pool->window;
    struct pbitc_evaluation *evaluation = pool->evaluation;
    int64_t *indices = pbitc_output_used(evaluation, 1) ? evaluation->outputs[1].data : NULL;
    int64_t at[PBITC_SPATIAL] = {0};
    (void)worker;
    if (!indices && evaluation->inputs[0]->type == PBITC_FLOAT32 && is_halving(window)) {
        halve_plane(window, (const float *)evaluation->inputs[0]->data + plane * window->input_size,
                    (float *)evaluation->outputs[0].data + plane * window->output_size);
        return;
    }
    if (indices) {
        indices += plane * window->output_size;
        memset(indices, 0, (size_t)window->output_size * sizeof(*indices));
    }
    switch (evaluation->inputs[0]->type) {
        MAX_POOL(PBITC_FLOAT32, float, -INFINITY)
        MAX_POOL(PBITC_FLOAT64, double, -INFINITY)
        MAX_POOL(PBITC_INT8, int8_t, INT8_MIN)
        MAX_POOL(PBITC_UINT8, uint8_t, 0)
    default:
        break;
    }
    for (int64_t i = 0; indices && i < window->output_size; i++)
        indices[i] = index_of(pool, plane, indices[i]);
}

/// How many of the kernel's positions along dimension i the mean at output `at` counts: those in the input,
/// or with count_include_pad also those in the padding, but never what a partial last window (ceil_mode) has
/// beyond it.
static int64_t counted(const struct pool *pool, int i, int64_t at)
{
    const struct pbitc_window *window = &pool->window;
    int64_t start = at * window->stride[i] - window->pad_begin[i], limit = window->input[i];
    if (pool->count_padding) {
        start += window->pad_begin[i];
        limit += window->pad_begin[i] + window->pad_end[i];
    }
    struct pbitc_span span = pbitc_span_inside(start, window->dilation[i], window->kernel[i], limit);
    return span.last - span.first;
}

#define AVERAGE_POOL(element)                                                                                \
    {                                                                                                        \
        const element *input = (const element *)evaluation->inputs[0]->data + plane * window->input_size;    \
        element *output = (element *)evaluation->outputs[0].data + plane * window->output_size;              \
        memset(output, 0, (size_t)window->output_size * sizeof(*output));                                    \
        for (int64_t k = 0; k < window->kernel_size; k++, pbitc_window_advance(window, at))                  \
            COMBINE_SHIFTED(element, to[i] += from[i * step])                                                \
        for (int64_t d = 0; d < window->output[0]; d++)                                                      \
            for (int64_t y = 0; y < window->output[1]; y++) {                                                \
                int64_t lines = counted(pool, 0, d) * counted(pool, 1, y);                                   \
                for (int64_t x = 0; x < window->output[2]; x++)                                              \
                    *output++ /= (element)(lines * counted(pool, 2, x));                                     \
            }                                                                                                \
    }

static void average_pool_plane(void *state, int64_t plane, int worker)
{
    const struct pool *pool = state;
    const struct pbitc_window *window = &pool->window;
    struct pbitc_evaluation *evaluation = pool->evaluation;
    int64_t at[PBITC_SPATIAL] = {0};
    (void)worker;
    if (evaluation->inputs[0]->type == PBITC_FLOAT32)
        AVERAGE_POOL(float)
    else
        AVERAGE_POOL(double)
}

#define LP_POOL(element)                                                                                     \
    {                                                                                                        \
        const element *input = (const element *)evaluation->inputs[0]->data + plane * window->input_size;    \
        element *output = (element *)evaluation->outputs[0].data + plane * window->output_size;              \
        memset(output, 0, (size_t)window->output_size * sizeof(*output));                                    \
        for (int64_t k = 0; k < window->kernel_size; k++, pbitc_window_advance(window, at))                  \
            COMBINE_SHIFTED(element, to[i] += (element)pow(fabs((double)from[i * step]), power))             \
        for (int64_t i = 0; i < window->output_size; i++)                                                    \
            output[i] = (element)pow((double)output[i], 1 / power);                                          \
    }

/// LpPool: the p-th root of the sum of |x|^p.
static void lp_pool_plane(void *state, int64_t plane, int worker)
{
    const struct pool *pool = state;
    const struct pbitc_window *window = &pool->window;
    struct pbitc_evaluation *evaluation = pool->evaluation;
    const double power = (double)pool->power;
    int64_t at[PBITC_SPATIAL] = {0};
    (void)worker;
    if (evaluation->inputs[0]->type == PBITC_FLOAT32)
        LP_POOL(float)
    else
        LP_POOL(double)
}

static enum pbit_status pool_planes(struct pbitc_evaluation *evaluation, pbitc_work_function *work)
{
    struct pool pool = {.evaluation = evaluation,
                        .count_padding = pbitc_node_int(evaluation->node, "count_include_pad", 0) != 0,
                        .power = pbitc_node_int(evaluation->node, "p", 2),
                        .columns_first = pbitc_node_int(evaluation->node, "storage_order", 0) != 0};
    enum pbit_status status = pool_read(evaluation, &pool.window);
    int64_t elements = pbitc_shape_elements(&evaluation->outputs[0].shape);
    if (status || elements == 0)
        return status;
    double taps = (double)elements * (double)pool.window.kernel_size;
    pbitc_parallel_for(taps < PARALLEL_WORK ? 1 : evaluation->threads, elements / pool.window.output_size,
                       work, &pool);
    return PBIT_OK;
}

enum pbit_status evaluate_max_pool(struct pbitc_evaluation *evaluation)
{
    return pool_planes(evaluation, max_pool_plane);
}

enum pbit_status evaluate_average_pool(struct pbitc_evaluation *evaluation)
{
    return pool_planes(evaluation, average_pool_plane);
}

static enum pbit_status require_power(struct pbitc_evaluation *evaluation)
{
    int64_t power = pbitc_node_int(evaluation->node, "p", 2);
    return power >= 1 ? PBIT_OK : PBITC_MALFORMED(evaluation, "p = %lld", (long long)power);
}

enum pbit_status infer_lp_pool(struct pbitc_evaluation *evaluation)
{
    enum pbit_status status = require_power(evaluation);
    return status ? status : infer_pool(evaluation);
}

enum pbit_status evaluate_lp_pool(struct pbitc_evaluation *evaluation)
{
    return pool_planes(evaluation, lp_pool_plane);
}

enum pbit_status infer_global_pool(struct pbitc_evaluation *evaluation)
{
    enum pbit_status status = pbitc_require_type(evaluation, 0, PBITC_TYPES_FLOAT);
    if (!status)
        status = pbitc_require_rank(evaluation, 0, 2, PBITC_MAX_RANK);
    struct pbitc_shape shape = evaluation->inputs[0]->shape;
    for (int i = 2; i < shape.rank; i++)
        shape.dims[i] = 1;
    if (!status)
        pbitc_set_output(evaluation, 0, evaluation->inputs[0]->type, &shape);
    return status;
}

#define GLOBAL_POOL(element, start, step, finish)                                                            \
    for (int64_t plane = 0; plane < planes; plane++) {                                                       \
        const element *input = (const element *)evaluation->inputs[0]->data + plane * size;                  \
        double result = start;                                                                               \
        for (int64_t i = 0; i < size; i++)                                                                   \
            step;                                                                                            \
        ((element *)evaluation->outputs[0].data)[plane] = (element)(finish);                                 \
    }

#define GLOBAL_POOL_OPERATOR(name, start, step, finish)                                                      \
    enum pbit_status evaluate_##name(struct pbitc_evaluation *evaluation)                                    \
    {                                                                                                        \
        const struct pbitc_shape *shape = &evaluation->inputs[0]->shape;                                     \
        int64_t planes = pbitc_extent(shape, 0, 2), size = pbitc_extent(shape, 2, shape->rank);              \
        if (evaluation->inputs[0]->type == PBITC_FLOAT32)                                                    \
            GLOBAL_POOL(float, start, step, finish)                                                          \
        else                                                                                                 \
            GLOBAL_POOL(double, start, step, finish)                                                         \
        return PBIT_OK;                                                                                      \
    }

GLOBAL_POOL_OPERATOR(global_average_pool, 0, result += (double)input[i], result / (double)size)
GLOBAL_POOL_OPERATOR(global_max_pool, -INFINITY,
                     result = (double)input[i] > result ? (double)input[i] : result, result)

enum pbit_status infer_global_lp_pool(struct pbitc_evaluation *evaluation)
{
    enum pbit_status status = require_power(evaluation);
    return status ? status : infer_global_pool(evaluation);
}

#define POWER (double)pbitc_node_int(evaluation->node, "p", 2)
GLOBAL_POOL_OPERATOR(global_lp_pool, 0, result += pow(fabs((double)input[i]), POWER), pow(result, 1 / POWER))
