// Normalizations: statistics stored (BatchNormalization) or taken from the data, and the softmax family.
#include "passes/operators/normalization.h"

#include <tgmath.h>

/// Inputs 1.. are vectors of `count` numbers.
static enum pbit_status require_vectors(struct pbitc_evaluation *evaluation, int64_t count)
{
    for (size_t i = 1; i < evaluation->input_count; i++) {
        const struct pbitc_tensor *vector = evaluation->inputs[i];
        if (vector && (vector->shape.rank != 1 || vector->shape.dims[0] != count))
            return PBITC_MALFORMED(evaluation, "input %zu has shape %s, expected %lld", i,
                                   pbitc_shape_format(&vector->shape).text, (long long)count);
    }
    return PBIT_OK;
}

static int64_t channel_count(const struct pbitc_shape *shape)
{
    return shape->rank > 1 ? shape->dims[1] : 1;
}

enum pbit_status infer_batch_normalization(struct pbitc_evaluation *evaluation)
{
    bool training = pbitc_node_int(evaluation->node, "training_mode", 0) != 0;
    enum pbit_status status = pbitc_require_same_type(evaluation);
    if (!training && evaluation->output_count > 1)
        status = PBITC_MALFORMED(evaluation, "running statistics as outputs without training_mode = 1");
    if (!status)
        status = pbitc_require_rank(evaluation, 0, 1, PBITC_MAX_RANK);
    if (!status)
        status = require_vectors(evaluation, channel_count(&evaluation->inputs[0]->shape));
    for (size_t i = 1; i < 3; i++)
        pbitc_set_output(evaluation, i, evaluation->inputs[0]->type, &evaluation->inputs[2 + i]->shape);
    if (!status && training &&
        !pbitc_add_scratch(evaluation, 2 * channel_count(&evaluation->inputs[0]->shape), sizeof(double)))
        status = PBITC_REFUSE(evaluation, NULL, "too many channels");
    return status ? status : infer_float(evaluation);
}

/// Mean and variance of every channel over the batch: `mean` and the `channels` numbers after it.
#define BATCH_STATISTICS(element)                                                                            \
    for (int64_t c = 0; c < channels; c++) {                                                                 \
        double sum = 0, squares = 0, count = (double)(images * size);                                        \
        for (int64_t i = 0; i < images * size; i++)                                                          \
            sum += (double)input_at(element, i);                                                             \
        sum /= count;                                                                                        \
        for (int64_t i = 0; i < images * size; i++)                                                          \
            squares += ((double)input_at(element, i) - sum) * ((double)input_at(element, i) - sum);          \
        ((element *)means)[c] = (element)sum;                                                                \
        ((element *)means)[channels + c] = (element)(squares / count);                                       \
        for (size_t o = 0; o < 2; o++)                                                                       \
            if (pbitc_output_used(evaluation, 1 + o))                                                        \
                ((element *)evaluation->outputs[1 + o].data)[c] =                                            \
                    ((const element *)evaluation->inputs[3 + o]->data)[c] * momentum +                       \
                    ((element *)means)[o * (size_t)channels + (size_t)c] * (1 - momentum);                   \
    }
#define input_at(element, i)                                                                                 \
    ((const element *)evaluation->inputs[0]->data)[((i) / size * channels + c) * size + (i) % size]

#define BATCH_NORMALIZE(element)                                                                             \
    {                                                                                                        \
        const element *scale = evaluation->inputs[1]->data, *shift = evaluation->inputs[2]->data;            \
        const element *mean = evaluation->inputs[3]->data, *variance = evaluation->inputs[4]->data;          \
        if (means) {                                                                                         \
            BATCH_STATISTICS(element)                                                                        \
            mean = means;                                                                                    \
            variance = mean + channels;                                                                      \
        }                                                                                                    \
        for (int64_t plane = 0; plane < images * channels; plane++) {                                        \
            const element *input = (const element *)evaluation->inputs[0]->data + plane * size;              \
            element *output = (element *)evaluation->outputs[0].data + plane * size;                         \
            int64_t c = plane % channels;                                                                    \
            element factor = scale[c] / sqrt(variance[c] + (element)epsilon);                                \
            element offset = shift[c] - mean[c] * factor;                                                    \
            for (int64_t i = 0; i < size; i++)                                                               \
                output[i] = input[i] * factor + offset;                                                      \
        }                                                                                                    \
    }

enum pbit_status evaluate_batch_normalization(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_shape *shape = &evaluation->inputs[0]->shape;
    float epsilon = pbitc_node_float(evaluation->node, "epsilon", 1e-5f);
    float momentum = pbitc_node_float(evaluation->node, "momentum", 0.9f);
    int64_t images = shape->dims[0], channels = channel_count(shape);
    void *means = pbitc_node_int(evaluation->node, "training_mode", 0) ? evaluation->scratch : NULL;
    int64_t size = shape->rank > 2 ? pbitc_extent(shape, 2, shape->rank) : 1;
    if (evaluation->inputs[0]->type == PBITC_FLOAT32)
        BATCH_NORMALIZE(float)
    else
        BATCH_NORMALIZE(double)
    return PBIT_OK;
}

enum pbit_status infer_instance_normalization(struct pbitc_evaluation *evaluation)
{
    enum pbit_status status = pbitc_require_same_type(evaluation);
    if (!status)
        status = pbitc_require_rank(evaluation, 0, 3, PBITC_MAX_RANK);
    if (!status)
        status = require_vectors(evaluation, evaluation->inputs[0]->shape.dims[1]);
    return status ? status : infer_float(evaluation);
}

#define INSTANCE_NORMALIZE(element)                                                                          \
    for (int64_t plane = 0; plane < planes; plane++) {                                                       \
        const element *input = (const element *)evaluation->inputs[0]->data + plane * size;                  \
        element *output = (element *)evaluation->outputs[0].data + plane * size;                             \
        PBITC_STATISTICS(input, size, epsilon);                                                              \
        double scale = inverse * (double)((const element *)evaluation->inputs[1]->data)[plane % channels];   \
        double shift = (double)((const element *)evaluation->inputs[2]->data)[plane % channels];             \
        for (int64_t i = 0; i < size; i++)                                                                   \
            output[i] = (element)(((double)input[i] - mean) * scale + shift);                                \
    }

enum pbit_status evaluate_instance_normalization(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_shape *shape = &evaluation->inputs[0]->shape;
    float epsilon = pbitc_node_float(evaluation->node, "epsilon", 1e-5f);
    int64_t channels = shape->dims[1], planes = shape->dims[0] * channels,
            size = pbitc_extent(shape, 2, shape->rank);
    if (evaluation->inputs[0]->type == PBITC_FLOAT32)
        INSTANCE_NORMALIZE(float)
    else
        INSTANCE_NORMALIZE(double)
    return PBIT_OK;
}

enum pbit_status pbitc_require_trailing_axes(struct pbitc_evaluation *evaluation, int *axis)
{
    int64_t stash = pbitc_node_int(evaluation->node, "stash_type", PBITC_FLOAT32);
    enum pbit_status status = pbitc_require_same_type(evaluation);
    if (!status)
        status = pbitc_axis_attribute(evaluation, -1, evaluation->inputs[0]->shape.rank, axis);
    if (!status && stash != PBITC_FLOAT32)
        status = PBITC_REFUSE(evaluation, NULL, "stash_type = %lld; only 1 (float32) is supported",
                              (long long)stash);
    return status;
}

/// LayerNormalization: over axis..rank-1; scale and bias broadcast to those dimensions. Outputs Mean and
/// InvStdDev have 1 in their place and stash_type's type.
enum pbit_status infer_layer_normalization(struct pbitc_evaluation *evaluation)
{
    struct pbitc_shape shape = evaluation->inputs[0]->shape;
    int axis = 0;
    enum pbit_status status = pbitc_require_trailing_axes(evaluation, &axis);
    for (size_t i = 1; !status && i < evaluation->input_count; i++) {
        struct pbitc_shape widened = shape;
        if (!evaluation->inputs[i])
            continue;
        status = pbitc_broadcast(evaluation, &widened, &evaluation->inputs[i]->shape);
        if (!status &&
            (!pbitc_shape_equal(&widened, &shape) || evaluation->inputs[i]->shape.rank > shape.rank - axis))
            status = PBITC_MALFORMED(evaluation,
                                     "input %zu of shape %s does not broadcast to the normalized dimensions",
                                     i, pbitc_shape_format(&evaluation->inputs[i]->shape).text);
    }
    if (!status)
        status = infer_float(evaluation);
    for (int i = axis; i < shape.rank; i++)
        shape.dims[i] = 1;
    pbitc_set_output(evaluation, 1, PBITC_FLOAT32, &shape);
    pbitc_set_output(evaluation, 2, PBITC_FLOAT32, &shape);
    return status;
}

/// Normalizes `rows` of the input; `parameters` walks scale and bias along one row.
#define LAYER_NORMALIZE(element)                                                                             \
    for (int64_t row = 0; row < rows; row++) {                                                               \
        const element *input = (const element *)evaluation->inputs[0]->data + row * size;                    \
        element *output = (element *)evaluation->outputs[0].data + row * size;                               \
        PBITC_STATISTICS(input, size, epsilon);                                                              \
        for (struct pbitc_walk walk = parameters; !walk.done; pbitc_walk_next(&walk)) {                      \
            const element *scale = (const element *)evaluation->inputs[1]->data + walk.offset[0];            \
            const element *shift = bias ? (const element *)bias->data + walk.offset[1] : NULL;               \
            for (int64_t i = 0; i < walk.length; i++) {                                                      \
                double value = ((double)input[walk.position + i] - mean) * inverse;                          \
                value *= (double)scale[i * walk.step[0]];                                                    \
                output[walk.position + i] =                                                                  \
                    (element)(shift ? value + (double)shift[i * walk.step[1]] : value);                      \
            }                                                                                                \
        }                                                                                                    \
        if (means)                                                                                           \
            means[row] = (float)mean;                                                                        \
        if (inverses)                                                                                        \
            inverses[row] = (float)inverse;                                                                  \
    }

enum pbit_status evaluate_layer_normalization(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_shape *shape = &evaluation->inputs[0]->shape;
    const struct pbitc_tensor *scale = evaluation->inputs[1], *bias = pbitc_input(evaluation, 2);
    float epsilon = pbitc_node_float(evaluation->node, "epsilon", 1e-5f);
    int axis = 0;
    enum pbit_status status = pbitc_axis_attribute(evaluation, -1, shape->rank, &axis);
    struct pbitc_shape normalized = {.rank = shape->rank - axis};
    for (int i = 0; i < normalized.rank; i++)
        normalized.dims[i] = shape->dims[axis + i];
    struct pbitc_walk parameters;
    pbitc_walk_broadcast(
        &parameters, &normalized, 2,
        (const struct pbitc_shape *const[]){&scale->shape, bias ? &bias->shape : &scale->shape});
    int64_t rows = pbitc_extent(shape, 0, axis), size = pbitc_extent(shape, axis, shape->rank);
    float *means = pbitc_output_used(evaluation, 1) ? evaluation->outputs[1].data : NULL;
    float *inverses = pbitc_output_used(evaluation, 2) ? evaluation->outputs[2].data : NULL;
    if (evaluation->inputs[0]->type == PBITC_FLOAT32)
        LAYER_NORMALIZE(float)
    else
        LAYER_NORMALIZE(double)
    return status;
}

/// LRN: y = x / (bias + alpha / size * sum of x^2 over `size` neighbouring channels)^beta.
enum pbit_status infer_lrn(struct pbitc_evaluation *evaluation)
{
    int64_t size = pbitc_node_int(evaluation->node, "size", 0);
    if (size < 1)
        return PBITC_MALFORMED(evaluation, "size = %lld", (long long)size);
    enum pbit_status status = pbitc_require_type(evaluation, 0, 1 << PBITC_FLOAT32);
    if (!status)
        status = pbitc_require_rank(evaluation, 0, 2, PBITC_MAX_RANK);
    return status ? status : infer_float(evaluation);
}

enum pbit_status evaluate_lrn(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_shape *shape = &evaluation->inputs[0]->shape;
    int64_t size = pbitc_node_int(evaluation->node, "size", 1), channels = shape->dims[1];
    double alpha = (double)pbitc_node_float(evaluation->node, "alpha", 1e-4f) / (double)size;
    double beta = (double)pbitc_node_float(evaluation->node, "beta", 0.75f);
    double bias = (double)pbitc_node_float(evaluation->node, "bias", 1.0f);
    int64_t plane = pbitc_extent(shape, 2, shape->rank), elements = pbitc_shape_elements(shape);
    const float *input = evaluation->inputs[0]->data;
    float *output = evaluation->outputs[0].data;
    int64_t below = (size - 1) / 2, above = size - 1 - below;
    for (int64_t i = 0; i < elements; i++) {
        int64_t channel = i / plane % channels;
        int64_t first = channel > below ? channel - below : 0;
        int64_t last = above < channels - 1 - channel ? channel + above : channels - 1;
        double sum = 0;
        for (int64_t c = first; c <= last; c++)
            sum += (double)input[i + (c - channel) * plane] * (double)input[i + (c - channel) * plane];
        output[i] = (float)((double)input[i] / pow(bias + alpha * sum, beta));
    }
    return PBIT_OK;
}

/// Softmax along `axis`; with legacy = 1 (opset < 13) over axis..rank-1 together.
enum pbit_status infer_softmax(struct pbitc_evaluation *evaluation)
{
    int rank = evaluation->inputs[0]->shape.rank, axis = 0;
    bool legacy = pbitc_node_int(evaluation->node, "legacy", 0) != 0;
    int64_t given = pbitc_node_int(evaluation->node, "axis", -1);
    enum pbit_status status = PBIT_OK;
    if (!legacy || given != rank) // legacy axis = rank: rows of one element
        status = pbitc_axis(evaluation, given, rank, &axis);
    return status ? status : infer_float(evaluation);
}

/// The lines that softmax normalizes: `count` elements, `inner` apart.
struct lines {
    int64_t outer, count, inner;
};

static struct lines softmax_lines(const struct pbitc_evaluation *evaluation)
{
    const struct pbitc_shape *shape = &evaluation->inputs[0]->shape;
    int64_t given = pbitc_node_int(evaluation->node, "axis", -1);
    int axis = (int)(given < 0 ? given + shape->rank : given);
    if (pbitc_node_int(evaluation->node, "legacy", 0))
        return (struct lines){pbitc_extent(shape, 0, axis), pbitc_extent(shape, axis, shape->rank), 1};
    return (struct lines){pbitc_extent(shape, 0, axis), shape->dims[axis],
                          pbitc_extent(shape, axis + 1, shape->rank)};
}

#define SOFTMAX_LINES(element, logarithm)                                                                    \
    for (int64_t l = 0; l < lines.outer * lines.inner; l++) {                                                \
        int64_t start = l / lines.inner * lines.count * lines.inner + l % lines.inner;                       \
        const element *input = (const element *)evaluation->inputs[0]->data + start;                         \
        element *output = (element *)evaluation->outputs[0].data + start;                                    \
        element largest = input[0], sum = 0;                                                                 \
        for (int64_t i = 1; i < lines.count; i++)                                                            \
            largest = input[i * lines.inner] > largest ? input[i * lines.inner] : largest;                   \
        for (int64_t i = 0; i < lines.count; i++)                                                            \
            sum += output[i * lines.inner] = exp(input[i * lines.inner] - largest);                          \
        for (int64_t i = 0; i < lines.count; i++)                                                            \
            output[i * lines.inner] =                                                                        \
                logarithm ? input[i * lines.inner] - largest - log(sum) : output[i * lines.inner] / sum;     \
    }

static enum pbit_status normalize_lines(struct pbitc_evaluation *evaluation, bool logarithm)
{
    struct lines lines = softmax_lines(evaluation);
    if (lines.count == 0)
        return PBIT_OK;
    if (evaluation->inputs[0]->type == PBITC_FLOAT32)
        SOFTMAX_LINES(float, logarithm)
    else
        SOFTMAX_LINES(double, logarithm)
    return PBIT_OK;
}

#define HARDMAX_LINES(element)                                                                               \
    for (int64_t l = 0; l < lines.outer * lines.inner; l++) {                                                \
        int64_t start = l / lines.inner * lines.count * lines.inner + l % lines.inner, best = 0;             \
        const element *input = (const element *)evaluation->inputs[0]->data + start;                         \
        element *output = (element *)evaluation->outputs[0].data + start;                                    \
        for (int64_t i = 1; i < lines.count; i++)                                                            \
            best = input[i * lines.inner] > input[best * lines.inner] ? i : best;                            \
        for (int64_t i = 0; i < lines.count; i++)                                                            \
            output[i * lines.inner] = i == best;                                                             \
    }

/// Hardmax: 1 for the first maximum of each line, 0 for the rest.
enum pbit_status evaluate_hardmax(struct pbitc_evaluation *evaluation)
{
    struct lines lines = softmax_lines(evaluation);
    if (lines.count == 0)
        return PBIT_OK;
    if (evaluation->inputs[0]->type == PBITC_FLOAT32)
        HARDMAX_LINES(float)
    else
        HARDMAX_LINES(double)
    return PBIT_OK;
}

enum pbit_status evaluate_softmax(struct pbitc_evaluation *evaluation)
{
    return normalize_lines(evaluation, false);
}

enum pbit_status evaluate_log_softmax(struct pbitc_evaluation *evaluation)
{
    return normalize_lines(evaluation, true);
}
