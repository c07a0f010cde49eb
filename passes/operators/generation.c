// Values made of shapes, types and scalars: Cast, CastLike, Shape, Size, ConstantOfShape, Range, EyeLike,
// Trilu, OneHot.
#include "passes/operators/operator_support.h"

#include <math.h>
#include <string.h>

enum pbit_status infer_cast(struct pbitc_evaluation *evaluation)
{
    int64_t to = pbitc_node_int(evaluation->node, "to", 0);
    if (to <= 0 || to > PBITC_BFLOAT16 || pbitc_type_bytes((enum pbitc_type)to) == 0)
        return PBITC_REFUSE(evaluation, NULL, "to = %lld is not a numeric element type we support",
                            (long long)to);
    pbitc_set_output(evaluation, 0, (enum pbitc_type)to, &evaluation->inputs[0]->shape);
    return PBIT_OK;
}

/// The type of input 1, whose data does not matter.
enum pbit_status infer_cast_like(struct pbitc_evaluation *evaluation)
{
    pbitc_set_output(evaluation, 0, evaluation->inputs[1]->type, &evaluation->inputs[0]->shape);
    return PBIT_OK;
}

enum pbit_status evaluate_cast(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_tensor *input = evaluation->inputs[0];
    struct pbitc_tensor *output = &evaluation->outputs[0];
    pbitc_convert(output->type, output->data, input->type, input->data, pbitc_shape_elements(&input->shape));
    return PBIT_OK;
}

/// Shape: dimensions start..end-1, both clamped to the rank.
static void shape_bounds(const struct pbitc_evaluation *evaluation, int64_t *start, int64_t *end)
{
    int64_t rank = evaluation->inputs[0]->shape.rank;
    *start = pbitc_node_int(evaluation->node, "start", 0);
    *end = pbitc_node_int(evaluation->node, "end", rank);
    int64_t *bounds[] = {start, end};
    for (int i = 0; i < 2; i++) {
        int64_t bound = *bounds[i] < 0 ? *bounds[i] + rank : *bounds[i];
        *bounds[i] = bound < 0 ? 0 : bound > rank ? rank : bound;
    }
}

enum pbit_status infer_shape(struct pbitc_evaluation *evaluation)
{
    int64_t start, end;
    shape_bounds(evaluation, &start, &end);
    struct pbitc_shape shape = {1, {end > start ? end - start : 0}};
    pbitc_set_output(evaluation, 0, PBITC_INT64, &shape);
    return PBIT_OK;
}

enum pbit_status evaluate_shape(struct pbitc_evaluation *evaluation)
{
    int64_t start, end, *output = evaluation->outputs[0].data;
    shape_bounds(evaluation, &start, &end);
    for (int64_t i = start; i < end; i++)
        output[i - start] = evaluation->inputs[0]->shape.dims[i];
    return PBIT_OK;
}

enum pbit_status infer_size(struct pbitc_evaluation *evaluation)
{
    pbitc_set_output(evaluation, 0, PBITC_INT64, &(struct pbitc_shape){.rank = 0});
    return PBIT_OK;
}

enum pbit_status evaluate_size(struct pbitc_evaluation *evaluation)
{
    *(int64_t *)evaluation->outputs[0].data = pbitc_shape_elements(&evaluation->inputs[0]->shape);
    return PBIT_OK;
}

/// ConstantOfShape: attribute value, one element; a float32 0 when absent.
static const struct pbitc_tensor *fill_value(const struct pbitc_evaluation *evaluation)
{
    const struct pbitc_attribute *attribute = pbitc_node_attribute(evaluation->node, "value");
    return attribute ? attribute->tensor : NULL;
}

enum pbit_status infer_constant_of_shape(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_tensor *dims = evaluation->inputs[0], *value = fill_value(evaluation);
    enum pbit_status status = pbitc_require_parameter(evaluation, 0, "shape", 1 << PBITC_INT64);
    if (status)
        return status;
    int64_t rank = pbitc_shape_elements(&dims->shape);
    if (rank > PBITC_MAX_RANK)
        return PBITC_REFUSE(evaluation, NULL, "a result of rank %lld; at most %d are supported",
                            (long long)rank, PBITC_MAX_RANK);
    if (value && pbitc_shape_elements(&value->shape) != 1)
        return PBITC_MALFORMED(evaluation, "value has shape %s, expected one element",
                               pbitc_shape_format(&value->shape).text);
    struct pbitc_shape shape = {.rank = (int)rank};
    for (int i = 0; i < shape.rank; i++) {
        shape.dims[i] = pbitc_integer_at(dims, i);
        if (shape.dims[i] < 0)
            return PBITC_MALFORMED(evaluation, "dimension %d is %lld", i, (long long)shape.dims[i]);
    }
    pbitc_set_output(evaluation, 0, value ? value->type : PBITC_FLOAT32, &shape);
    return PBIT_OK;
}

enum pbit_status evaluate_constant_of_shape(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_tensor *value = fill_value(evaluation);
    struct pbitc_tensor *output = &evaluation->outputs[0];
    static const float zero = 0;
    struct pbitc_walk walk;
    pbitc_walk_broadcast(&walk, &output->shape, 1,
                         (const struct pbitc_shape *const[]){&(struct pbitc_shape){0}});
    pbitc_walk_copy(&walk, output->data, value ? value->data : &zero, pbitc_type_bytes(output->type));
    return PBIT_OK;
}

enum { RANGE_TYPES = PBITC_TYPES_FLOAT | 1 << PBITC_INT16 | PBITC_TYPES_INDEX };

/// Range: start, start + delta, ... below limit (above it when delta is negative).
enum pbit_status infer_range(struct pbitc_evaluation *evaluation)
{
    static const char *const names[] = {"start", "limit", "delta"};
    enum pbit_status status = pbitc_require_same_type(evaluation);
    for (size_t i = 0; !status && i < 3; i++) {
        status = pbitc_require_scalar(evaluation, i);
        if (!status)
            status = pbitc_require_parameter(evaluation, i, names[i], RANGE_TYPES);
    }
    if (status)
        return status;
    double start = pbitc_real_at(evaluation->inputs[0], 0), limit = pbitc_real_at(evaluation->inputs[1], 0);
    double delta = pbitc_real_at(evaluation->inputs[2], 0), count = ceil((limit - start) / delta);
    if (delta == 0 || !(count < 0x1p40))
        return PBITC_MALFORMED(evaluation, "from %g to %g in steps of %g", start, limit, delta);
    struct pbitc_shape shape = {1, {count > 0 ? (int64_t)count : 0}};
    pbitc_set_output(evaluation, 0, evaluation->inputs[0]->type, &shape);
    return PBIT_OK;
}

/// In the arithmetic of the type, so that float steps round as a loop's would.
#define RANGE(type, element, wide)                                                                           \
    case type: {                                                                                             \
        element start = *(const element *)evaluation->inputs[0]->data;                                       \
        element delta = *(const element *)evaluation->inputs[2]->data,                                       \
                *output = evaluation->outputs[0].data;                                                       \
        for (int64_t i = 0; i < count; i++)                                                                  \
            output[i] = (element)((wide)start + (wide)i * (wide)delta);                                      \
        break;                                                                                               \
    }

enum pbit_status evaluate_range(struct pbitc_evaluation *evaluation)
{
    int64_t count = evaluation->outputs[0].shape.dims[0];
    switch (evaluation->inputs[0]->type) {
        RANGE(PBITC_FLOAT32, float, float)
        RANGE(PBITC_FLOAT64, double, double)
        RANGE(PBITC_INT16, int16_t, uint32_t)
        RANGE(PBITC_INT32, int32_t, uint32_t)
        RANGE(PBITC_INT64, int64_t, uint64_t)
    default:
        break;
    }
    return PBIT_OK;
}

enum pbit_status infer_eye_like(struct pbitc_evaluation *evaluation)
{
    int64_t type = pbitc_node_int(evaluation->node, "dtype", evaluation->inputs[0]->type);
    enum pbit_status status = pbitc_require_rank(evaluation, 0, 2, 2);
    if (!status && (type <= 0 || type > PBITC_BFLOAT16 || pbitc_type_bytes((enum pbitc_type)type) == 0))
        status = PBITC_REFUSE(evaluation, NULL, "dtype = %lld is not a numeric element type we support",
                              (long long)type);
    pbitc_set_output(evaluation, 0, (enum pbitc_type)type, &evaluation->inputs[0]->shape);
    return status;
}

/// Ones on the k-th diagonal: column - row = k.
enum pbit_status evaluate_eye_like(struct pbitc_evaluation *evaluation)
{
    struct pbitc_tensor *output = &evaluation->outputs[0];
    int64_t rows = output->shape.dims[0], columns = output->shape.dims[1];
    int64_t k = pbitc_node_int(evaluation->node, "k", 0), one = 1;
    size_t bytes = pbitc_type_bytes(output->type);
    memset(output->data, 0, (size_t)(rows * columns) * bytes);
    for (int64_t row = k < 0 && k > -rows ? -k : 0; row < rows && k > -rows && k < columns - row; row++)
        pbitc_convert(output->type, (unsigned char *)output->data + (size_t)(row * columns + row + k) * bytes,
                      PBITC_INT64, &one, 1);
    return PBIT_OK;
}

/// Trilu: input 1 is the diagonal k, a scalar.
enum pbit_status infer_trilu(struct pbitc_evaluation *evaluation)
{
    enum pbit_status status = pbitc_require_rank(evaluation, 0, 2, PBITC_MAX_RANK);
    if (!status)
        status = pbitc_require_scalar(evaluation, 1);
    if (!status)
        status = pbitc_require_type(evaluation, 1, 1 << PBITC_INT64);
    pbitc_set_output(evaluation, 0, evaluation->inputs[0]->type, &evaluation->inputs[0]->shape);
    return status;
}

enum pbit_status evaluate_trilu(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_tensor *input = evaluation->inputs[0], *diagonal = pbitc_input(evaluation, 1);
    int64_t rows = input->shape.dims[input->shape.rank - 2],
            columns = input->shape.dims[input->shape.rank - 1];
    int64_t count = pbitc_extent(&input->shape, 0, input->shape.rank - 1);
    int64_t k = diagonal ? pbitc_integer_at(diagonal, 0) : 0;
    bool upper = pbitc_node_int(evaluation->node, "upper", 1) != 0;
    size_t bytes = pbitc_type_bytes(input->type);
    k = k > columns ? columns : k < -rows ? -rows : k;
    for (int64_t i = 0; i < count; i++) {
        // The upper triangle keeps what has column >= row + k, the lower one what has column <= row + k.
        int64_t split = i % rows + k + !upper;
        split = split < 0 ? 0 : split > columns ? columns : split;
        int64_t first = upper ? split : 0, last = upper ? columns : split;
        unsigned char *to = (unsigned char *)evaluation->outputs[0].data + (size_t)(i * columns) * bytes;
        memset(to, 0, (size_t)columns * bytes);
        memcpy(to + (size_t)first * bytes,
               (const unsigned char *)input->data + (size_t)(i * columns + first) * bytes,
               (size_t)(last - first) * bytes);
    }
    return PBIT_OK;
}

/// OneHot: inputs indices, depth (a scalar), values [off, on]; the new dimension stands at `axis`.
enum pbit_status infer_one_hot(struct pbitc_evaluation *evaluation)
{
    struct pbitc_shape shape = evaluation->inputs[0]->shape;
    const struct pbitc_tensor *values = evaluation->inputs[2];
    int axis = 0;
    enum pbit_status status = pbitc_require_type(evaluation, 0, PBITC_TYPES_NUMERIC);
    if (!status)
        status = pbitc_require_scalar(evaluation, 1);
    if (!status)
        status = pbitc_require_parameter(evaluation, 1, "depth", PBITC_TYPES_NUMERIC);
    if (!status && (values->shape.rank != 1 || values->shape.dims[0] != 2))
        status = PBITC_MALFORMED(evaluation, "values has shape %s, expected 2",
                                 pbitc_shape_format(&values->shape).text);
    if (!status && shape.rank == PBITC_MAX_RANK)
        status = PBITC_REFUSE(evaluation, NULL, "a result of rank %d; at most %d are supported",
                              shape.rank + 1, PBITC_MAX_RANK);
    if (!status)
        status = pbitc_axis_attribute(evaluation, -1, shape.rank + 1, &axis);
    if (status)
        return status;
    double depth = pbitc_real_at(evaluation->inputs[1], 0);
    if (!(depth >= 1 && depth < 0x1p40))
        return PBITC_MALFORMED(evaluation, "depth = %g", depth);
    for (int i = shape.rank++; i > axis; i--)
        shape.dims[i] = shape.dims[i - 1];
    shape.dims[axis] = (int64_t)depth;
    pbitc_set_output(evaluation, 0, values->type, &shape);
    return PBIT_OK;
}

enum pbit_status evaluate_one_hot(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_tensor *indices = evaluation->inputs[0], *values = evaluation->inputs[2];
    struct pbitc_tensor *output = &evaluation->outputs[0];
    int axis = 0;
    enum pbit_status status = pbitc_axis_attribute(evaluation, -1, output->shape.rank, &axis);
    int64_t depth = output->shape.dims[axis], count = pbitc_shape_elements(&indices->shape);
    int64_t inner = pbitc_extent(&output->shape, axis + 1, output->shape.rank);
    size_t bytes = pbitc_type_bytes(output->type);
    struct pbitc_walk walk;
    pbitc_walk_broadcast(&walk, &output->shape, 1,
                         (const struct pbitc_shape *const[]){&(struct pbitc_shape){0}});
    pbitc_walk_copy(&walk, output->data, values->data, bytes);
    for (int64_t i = 0; i < count; i++) {
        double index = trunc(pbitc_real_at(indices, i));
        index += index < 0 ? (double)depth : 0;
        if (!(index >= 0 && index < (double)depth))
            continue; // such a row is all off
        int64_t place = (i / inner * depth + (int64_t)index) * inner + i % inner;
        memcpy((unsigned char *)output->data + (size_t)place * bytes,
               (const unsigned char *)values->data + bytes, bytes);
    }
    return status;
}
