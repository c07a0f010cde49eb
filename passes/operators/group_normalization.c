// Normalizations by statistics of groups of elements: GroupNormalization, RMSNormalization, LpNormalization,
// MeanVarianceNormalization.
#include "passes/operators/normalization.h"

/// GroupNormalization: input [N x C x ...]; scale and bias per channel, or per group as in opset 18.
enum pbit_status infer_group_normalization(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_shape *shape = &evaluation->inputs[0]->shape;
    int64_t groups = pbitc_node_int(evaluation->node, "num_groups", 0);
    enum pbit_status status = pbitc_require_same_type(evaluation);
    if (!status)
        status = pbitc_require_rank(evaluation, 0, 2, PBITC_MAX_RANK);
    if (!status && (groups < 1 || shape->dims[1] % groups != 0))
        status = PBITC_MALFORMED(evaluation, "num_groups = %lld for %s", (long long)groups,
                                 pbitc_shape_format(shape).text);
    for (size_t i = 1; !status && i < 3; i++) {
        const struct pbitc_shape *factors = &evaluation->inputs[i]->shape;
        bool per_group = evaluation->node->opset < 21 && factors->rank == 1 && factors->dims[0] == groups;
        if (!per_group && (factors->rank != 1 || factors->dims[0] != shape->dims[1]))
            status = PBITC_MALFORMED(evaluation, "input %zu has shape %s, expected %lld", i,
                                     pbitc_shape_format(factors).text, (long long)shape->dims[1]);
    }
    return status ? status : infer_float(evaluation);
}

#define GROUP_NORMALIZE(element)                                                                             \
    for (int64_t g = 0; g < images * groups; g++) {                                                          \
        const element *input = (const element *)evaluation->inputs[0]->data + g * size;                      \
        element *output = (element *)evaluation->outputs[0].data + g * size;                                 \
        PBITC_STATISTICS(input, size, epsilon);                                                              \
        for (int64_t i = 0; i < size; i++) {                                                                 \
            int64_t channel = g % groups * each + i / plane;                                                 \
            double scale =                                                                                   \
                (double)((const element *)evaluation->inputs[1]->data)[channel * scales / channels];         \
            double shift =                                                                                   \
                (double)((const element *)evaluation->inputs[2]->data)[channel * shifts / channels];         \
            output[i] = (element)(((double)input[i] - mean) * inverse * scale + shift);                      \
        }                                                                                                    \
    }

enum pbit_status evaluate_group_normalization(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_shape *shape = &evaluation->inputs[0]->shape;
    float epsilon = pbitc_node_float(evaluation->node, "epsilon", 1e-5f);
    int64_t images = shape->dims[0], channels = shape->dims[1], plane = pbitc_extent(shape, 2, shape->rank);
    int64_t groups = pbitc_node_int(evaluation->node, "num_groups", 1), each = channels / groups;
    int64_t size = each * plane;
    int64_t scales = evaluation->inputs[1]->shape.dims[0], shifts = evaluation->inputs[2]->shape.dims[0];
    if (evaluation->inputs[0]->type == PBITC_FLOAT32)
        GROUP_NORMALIZE(float)
    else
        GROUP_NORMALIZE(double)
    return PBIT_OK;
}

/// RMSNormalization: x / sqrt(mean of x^2 + epsilon) over axis..rank-1, times a scale that broadcasts.
enum pbit_status infer_rms_normalization(struct pbitc_evaluation *evaluation)
{
    struct pbitc_shape shape = evaluation->inputs[0]->shape;
    int axis = 0;
    enum pbit_status status = pbitc_require_trailing_axes(evaluation, &axis);
    if (!status)
        status = pbitc_broadcast(evaluation, &shape, &evaluation->inputs[1]->shape);
    if (!status && !pbitc_shape_equal(&shape, &evaluation->inputs[0]->shape))
        status = PBITC_MALFORMED(evaluation, "scale of shape %s does not broadcast to the input",
                                 pbitc_shape_format(&evaluation->inputs[1]->shape).text);
    return status ? status : infer_float(evaluation);
}

#define RMS_NORMALIZE(element)                                                                               \
    for (int64_t row = 0; row < rows; row++) {                                                               \
        const element *input = (const element *)evaluation->inputs[0]->data + row * size;                    \
        element *output = (element *)evaluation->outputs[0].data + row * size;                               \
        double squares = 0;                                                                                  \
        for (int64_t i = 0; i < size; i++)                                                                   \
            squares += (double)input[i] * (double)input[i];                                                  \
        double inverse = 1 / sqrt(squares / (double)size + (double)epsilon);                                 \
        for (int64_t i = 0; i < size; i++)                                                                   \
            output[i] = (element)((double)input[i] * inverse);                                               \
    }                                                                                                        \
    for (; !walk.done; pbitc_walk_next(&walk)) {                                                             \
        const element *scale = (const element *)evaluation->inputs[1]->data + walk.offset[0];                \
        element *output = (element *)evaluation->outputs[0].data + walk.position;                            \
        for (int64_t i = 0; i < walk.length; i++)                                                            \
            output[i] *= scale[i * walk.step[0]];                                                            \
    }

enum pbit_status evaluate_rms_normalization(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_shape *shape = &evaluation->inputs[0]->shape;
    float epsilon = pbitc_node_float(evaluation->node, "epsilon", 1e-5f);
    int axis = 0;
    enum pbit_status status = pbitc_axis_attribute(evaluation, -1, shape->rank, &axis);
    int64_t rows = pbitc_extent(shape, 0, axis), size = pbitc_extent(shape, axis, shape->rank);
    struct pbitc_walk walk;
    pbitc_walk_broadcast(&walk, shape, 1, (const struct pbitc_shape *const[]){&evaluation->inputs[1]->shape});
    if (evaluation->inputs[0]->type == PBITC_FLOAT32) {
        RMS_NORMALIZE(float)
    } else {
        RMS_NORMALIZE(double)
    }
    return status;
}

/// LpNormalization: lines along `axis` divided by their L1 or L2 norm; a line of zeros stays.
enum pbit_status infer_lp_normalization(struct pbitc_evaluation *evaluation)
{
    int axis;
    int64_t p = pbitc_node_int(evaluation->node, "p", 2);
    enum pbit_status status = pbitc_axis_attribute(evaluation, -1, evaluation->inputs[0]->shape.rank, &axis);
    if (!status && p != 1 && p != 2)
        status = PBITC_MALFORMED(evaluation, "p = %lld is neither 1 nor 2", (long long)p);
    return status ? status : infer_float(evaluation);
}

#define LP_NORMALIZE(element)                                                                                \
    for (int64_t l = 0; l < outer * inner; l++) {                                                            \
        int64_t start = l / inner * count * inner + l % inner;                                               \
        const element *input = (const element *)evaluation->inputs[0]->data + start;                         \
        element *output = (element *)evaluation->outputs[0].data + start;                                    \
        double norm = 0;                                                                                     \
        for (int64_t i = 0; i < count * inner; i += inner)                                                   \
            norm += p == 1 ? fabs((double)input[i]) : (double)input[i] * (double)input[i];                   \
        norm = p == 1 ? norm : sqrt(norm);                                                                   \
        for (int64_t i = 0; i < count * inner; i += inner)                                                   \
            output[i] = (element)(norm == 0 ? 0 : (double)input[i] / norm);                                  \
    }

enum pbit_status evaluate_lp_normalization(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_shape *shape = &evaluation->inputs[0]->shape;
    int axis = 0;
    enum pbit_status status = pbitc_axis_attribute(evaluation, -1, shape->rank, &axis);
    int64_t p = pbitc_node_int(evaluation->node, "p", 2), count = shape->dims[axis];
    int64_t outer = pbitc_extent(shape, 0, axis), inner = pbitc_extent(shape, axis + 1, shape->rank);
    if (evaluation->inputs[0]->type == PBITC_FLOAT32)
        LP_NORMALIZE(float)
    else
        LP_NORMALIZE(double)
    return status;
}

/// MeanVarianceNormalization: (x - mean) / (deviation + 1e-9) over `axes`, by default all but the channels.
static enum pbit_status read_axes(struct pbitc_evaluation *evaluation, bool reduced[PBITC_MAX_RANK])
{
    static const int64_t usual[] = {0, 2, 3};
    size_t count;
    const int64_t *axes = pbitc_node_ints(evaluation->node, "axes", &count);
    enum pbit_status status = PBIT_OK;
    if (!axes) {
        axes = usual;
        count = 3;
    }
    for (size_t i = 0; !status && i < count; i++) {
        int axis = 0;
        status = pbitc_axis(evaluation, axes[i], evaluation->inputs[0]->shape.rank, &axis);
        if (!status)
            reduced[axis] = true;
    }
    return status;
}

enum pbit_status infer_mean_variance_normalization(struct pbitc_evaluation *evaluation)
{
    bool reduced[PBITC_MAX_RANK] = {false};
    enum pbit_status status = read_axes(evaluation, reduced);
    return status ? status : infer_float(evaluation);
}

#define VISIT(element, update)                                                                               \
    for (struct pbitc_walk walk = inner; !walk.done; pbitc_walk_next(&walk))                                 \
        for (int64_t j = 0; j < walk.length; j++) {                                                          \
            int64_t at = base + walk.offset[0] + j * walk.step[0];                                           \
            const double x = (double)((const element *)evaluation->inputs[0]->data)[at];                     \
            update;                                                                                          \
        }

#define NORMALIZE(element)                                                                                   \
    for (; !kept.done; pbitc_walk_next(&kept))                                                               \
        for (int64_t i = 0; i < kept.length; i++) {                                                          \
            int64_t base = kept.offset[0] + i * kept.step[0];                                                \
            double mean = 0, variance = 0;                                                                   \
            VISIT(element, mean += x / count)                                                                \
            VISIT(element, variance += (x - mean) * (x - mean) / count)                                      \
            VISIT(element, ((element *)evaluation->outputs[0].data)[at] =                                    \
                               (element)((x - mean) / (sqrt(variance) + 1e-9)))                              \
        }

enum pbit_status evaluate_mean_variance_normalization(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_shape *shape = &evaluation->inputs[0]->shape;
    bool reduced[PBITC_MAX_RANK] = {false};
    enum pbit_status status = read_axes(evaluation, reduced);
    int64_t own[PBITC_MAX_RANK], strides[2][1][PBITC_MAX_RANK] = {{{0}}};
    struct pbitc_shape shapes[2] = {{.rank = 0}, {.rank = 0}};
    pbitc_strides(shape, own);
    for (int i = 0; i < shape->rank; i++) {
        struct pbitc_shape *to = &shapes[reduced[i]];
        strides[reduced[i]][0][to->rank] = own[i];
        to->dims[to->rank++] = shape->dims[i];
    }
    struct pbitc_walk kept, inner;
    pbitc_walk_strided(&kept, &shapes[0], 1, strides[0]);
    pbitc_walk_strided(&inner, &shapes[1], 1, strides[1]);
    double count = (double)pbitc_shape_elements(&shapes[1]);
    if (evaluation->inputs[0]->type == PBITC_FLOAT32)
        NORMALIZE(float)
    else
        NORMALIZE(double)
    return status;
}
