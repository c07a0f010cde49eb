#include "passes/operators/operator_support.h"

#include <stdio.h>
#include <string.h>

const struct pbitc_tensor *pbitc_input(const struct pbitc_evaluation *evaluation, size_t index)
{
    return index < evaluation->input_count ? evaluation->inputs[index] : NULL;
}

bool pbitc_output_used(const struct pbitc_evaluation *evaluation, size_t index)
{
    return index < evaluation->output_count && evaluation->outputs[index].data;
}

void pbitc_set_output(struct pbitc_evaluation *evaluation, size_t index, enum pbitc_type type,
                      const struct pbitc_shape *shape)
{
    if (index >= evaluation->output_count)
        return;
    evaluation->outputs[index].type = type;
    evaluation->outputs[index].shape = *shape;
}

enum pbit_status pbitc_require_type(struct pbitc_evaluation *evaluation, size_t index, unsigned types)
{
    const struct pbitc_tensor *input = pbitc_input(evaluation, index);
    if (!input || types >> input->type & 1)
        return PBIT_OK;
    return PBITC_REFUSE(evaluation, "convert the tensor to float32, or integers to int64, before export",
                        "input %zu has element type %s, which this operator does not take here", index,
                        pbitc_type_name(input->type));
}

enum pbit_status pbitc_require_same_type(struct pbitc_evaluation *evaluation)
{
    enum pbitc_type type = evaluation->inputs[0]->type;
    for (size_t i = 1; i < evaluation->input_count; i++)
        if (evaluation->inputs[i] && evaluation->inputs[i]->type != type)
            return PBITC_MALFORMED(evaluation, "input %zu is %s but input 0 is %s", i,
                                   pbitc_type_name(evaluation->inputs[i]->type), pbitc_type_name(type));
    return PBIT_OK;
}

enum pbit_status pbitc_require_rank(struct pbitc_evaluation *evaluation, size_t index, int least, int most)
{
    const struct pbitc_tensor *input = pbitc_input(evaluation, index);
    if (!input || (input->shape.rank >= least && input->shape.rank <= most))
        return PBIT_OK;
    if (least == most)
        return PBITC_MALFORMED(evaluation, "input %zu has rank %d, expected %d", index, input->shape.rank,
                               least);
    return PBITC_REFUSE(evaluation, NULL, "input %zu has rank %d, expected %d to %d", index,
                        input->shape.rank, least, most);
}

enum pbit_status pbitc_require_scalar(struct pbitc_evaluation *evaluation, size_t index)
{
    const struct pbitc_tensor *input = pbitc_input(evaluation, index);
    if (!input || pbitc_shape_elements(&input->shape) == 1)
        return PBIT_OK;
    return PBITC_MALFORMED(evaluation, "input %zu has shape %s, expected one element", index,
                           pbitc_shape_format(&input->shape).text);
}

enum pbit_status pbitc_defer(struct pbitc_evaluation *evaluation, const char *what)
{
    evaluation->deferred = what;
    return PBIT_ERROR_UNSUPPORTED;
}

enum pbit_status pbitc_require_data(struct pbitc_evaluation *evaluation, size_t index, const char *what)
{
    return evaluation->inputs[index]->data ? PBIT_OK : pbitc_defer(evaluation, what);
}

enum pbit_status pbitc_require_parameter(struct pbitc_evaluation *evaluation, size_t index, const char *what,
                                         unsigned types)
{
    const struct pbitc_tensor *input = pbitc_input(evaluation, index);
    if (!input)
        return PBIT_OK;
    if (input->shape.rank > 1)
        return PBITC_MALFORMED(evaluation, "%s has rank %d, expected a list", what, input->shape.rank);
    if (!input->data)
        return pbitc_defer(evaluation, what);
    return pbitc_require_type(evaluation, index, types);
}

int64_t pbitc_integer_at(const struct pbitc_tensor *tensor, int64_t index)
{
    return tensor->type == PBITC_INT32 ? ((const int32_t *)tensor->data)[index]
                                       : ((const int64_t *)tensor->data)[index];
}

double pbitc_real_at(const struct pbitc_tensor *tensor, int64_t index)
{
    double real;
    const unsigned char *element =
        (const unsigned char *)tensor->data + (size_t)index * pbitc_type_bytes(tensor->type);
    pbitc_convert(PBITC_FLOAT64, &real, tensor->type, element, 1);
    return real;
}

enum pbit_status pbitc_axis(struct pbitc_evaluation *evaluation, int64_t axis, int rank, int *result)
{
    if (axis < -rank || axis >= rank)
        return PBITC_MALFORMED(evaluation, "axis %lld is outside %d..%d", (long long)axis, -rank, rank - 1);
    *result = (int)(axis < 0 ? axis + rank : axis);
    return PBIT_OK;
}

enum pbit_status pbitc_axis_attribute(struct pbitc_evaluation *evaluation, int64_t fallback, int rank,
                                      int *axis)
{
    return pbitc_axis(evaluation, pbitc_node_int(evaluation->node, "axis", fallback), rank, axis);
}

enum pbit_status pbitc_axes_input(struct pbitc_evaluation *evaluation, size_t index, int rank,
                                  bool chosen[PBITC_MAX_RANK])
{
    enum pbit_status status = pbitc_require_parameter(evaluation, index, "axes", PBITC_TYPES_INDEX);
    const struct pbitc_tensor *axes = pbitc_input(evaluation, index);
    int64_t count = axes ? pbitc_shape_elements(&axes->shape) : 0;
    for (int64_t i = 0; !status && i < count; i++) {
        int axis = 0;
        status = pbitc_axis(evaluation, pbitc_integer_at(axes, i), rank, &axis);
        if (!status && chosen[axis])
            status = PBITC_MALFORMED(evaluation, "axis %d is listed twice", axis);
        if (!status)
            chosen[axis] = true;
    }
    return status;
}

enum pbit_status pbitc_dims_input(struct pbitc_evaluation *evaluation, size_t index, const char *what,
                                  struct pbitc_shape *shape)
{
    enum pbit_status status = pbitc_require_parameter(evaluation, index, what, PBITC_TYPES_INDEX);
    if (status)
        return status;
    const struct pbitc_tensor *dims = evaluation->inputs[index];
    int64_t count = pbitc_shape_elements(&dims->shape);
    if (count > PBITC_MAX_RANK)
        return PBITC_REFUSE(evaluation, NULL, "%s has %lld dimensions; at most %d are supported", what,
                            (long long)count, PBITC_MAX_RANK);
    *shape = (struct pbitc_shape){.rank = (int)count};
    for (int i = 0; i < shape->rank; i++)
        shape->dims[i] = pbitc_integer_at(dims, i);
    return PBIT_OK;
}

int64_t pbitc_extent(const struct pbitc_shape *shape, int first, int last)
{
    int64_t product = 1;
    for (int i = first; i < last; i++)
        product *= shape->dims[i];
    return product;
}

bool pbitc_add_scratch(struct pbitc_evaluation *evaluation, int64_t count, size_t bytes)
{
    size_t length, total;
    if (count < 0 || __builtin_mul_overflow((size_t)count, bytes, &length) || length > SIZE_MAX / 4)
        return false;
    length = (length + 63) & ~(size_t)63;
    if (__builtin_add_overflow(evaluation->scratch_bytes, length, &total) || total > SIZE_MAX / 4)
        return false;
    evaluation->scratch_bytes = total;
    return true;
}

struct pbitc_shape_text pbitc_shape_format(const struct pbitc_shape *shape)
{
    struct pbitc_shape_text result = {"?"};
    size_t used = 0;
    if (shape->rank == 0)
        strcpy(result.text, "scalar");
    for (int i = 0; i < shape->rank; i++)
        used += (size_t)snprintf(result.text + used, sizeof(result.text) - used, "%s%lld", i ? "x" : "",
                                 (long long)shape->dims[i]);
    return result;
}

enum pbit_status pbitc_broadcast(struct pbitc_evaluation *evaluation, struct pbitc_shape *shape,
                                 const struct pbitc_shape *other)
{
    struct pbitc_shape result = {.rank = shape->rank > other->rank ? shape->rank : other->rank};
    for (int i = 1; i <= result.rank; i++) {
        int64_t a = i <= shape->rank ? shape->dims[shape->rank - i] : 1;
        int64_t b = i <= other->rank ? other->dims[other->rank - i] : 1;
        if (a != b && a != 1 && b != 1)
            return PBITC_MALFORMED(evaluation, "shapes %s and %s cannot be broadcast",
                                   pbitc_shape_format(shape).text, pbitc_shape_format(other).text);
        result.dims[result.rank - i] = a == 1 ? b : a;
    }
    *shape = result;
    return PBIT_OK;
}

void pbitc_strides(const struct pbitc_shape *shape, int64_t strides[PBITC_MAX_RANK])
{
    int64_t stride = 1;
    for (int i = shape->rank - 1; i >= 0; i--) {
        strides[i] = stride;
        stride *= shape->dims[i];
    }
}

/// True when every operand steps through `inner` and `outer` as through one dimension.
static bool mergeable(int operands, int64_t strides[][PBITC_MAX_RANK], int inner, int64_t inner_extent,
                      int outer)
{
    for (int o = 0; o < operands; o++)
        if (strides[o][outer] != strides[o][inner] * inner_extent)
            return false;
    return true;
}

void pbitc_walk_strided(struct pbitc_walk *walk, const struct pbitc_shape *shape, int operands,
                        int64_t strides[][PBITC_MAX_RANK])
{
    *walk = (struct pbitc_walk){.operands = operands, .length = 1, .done = pbitc_shape_elements(shape) == 0};
    int64_t dims[PBITC_MAX_RANK] = {0}, merged[PBITC_WALK_OPERANDS][PBITC_MAX_RANK] = {{0}};
    int count = 0; // merged dimensions, innermost first
    for (int i = shape->rank - 1; i >= 0; i--) {
        if (shape->dims[i] == 1)
            continue;
        if (count > 0) {
            int64_t pair[PBITC_WALK_OPERANDS][PBITC_MAX_RANK] = {{0}};
            for (int o = 0; o < operands; o++) {
                pair[o][0] = merged[o][count - 1];
                pair[o][1] = strides[o][i];
            }
            if (mergeable(operands, pair, 0, dims[count - 1], 1)) {
                dims[count - 1] *= shape->dims[i];
                continue;
            }
        }
        dims[count] = shape->dims[i];
        for (int o = 0; o < operands; o++)
            merged[o][count] = strides[o][i];
        count++;
    }
    if (count == 0)
        return;
    walk->length = dims[0];
    walk->rank = count - 1;
    for (int o = 0; o < operands; o++)
        walk->step[o] = merged[o][0];
    for (int i = 0; i < walk->rank; i++) {
        walk->dims[i] = dims[i + 1];
        for (int o = 0; o < operands; o++)
            walk->strides[o][i] = merged[o][i + 1];
    }
}

void pbitc_walk_broadcast(struct pbitc_walk *walk, const struct pbitc_shape *shape, int operands,
                          const struct pbitc_shape *const *shapes)
{
    int64_t strides[PBITC_WALK_OPERANDS][PBITC_MAX_RANK] = {{0}};
    for (int o = 0; o < operands; o++) {
        int64_t own[PBITC_MAX_RANK];
        int lead = shape->rank - shapes[o]->rank;
        pbitc_strides(shapes[o], own);
        for (int i = 0; i < shapes[o]->rank; i++)
            strides[o][lead + i] = shapes[o]->dims[i] == 1 ? 0 : own[i];
    }
    pbitc_walk_strided(walk, shape, operands, strides);
}

void pbitc_walk_next(struct pbitc_walk *walk)
{
    walk->position += walk->length;
    for (int i = 0; i < walk->rank; i++) {
        bool wrapped = ++walk->index[i] == walk->dims[i];
        int64_t moves = wrapped ? 1 - walk->dims[i] : 1;
        for (int o = 0; o < walk->operands; o++)
            walk->offset[o] += moves * walk->strides[o][i];
        if (!wrapped)
            return;
        walk->index[i] = 0;
    }
    walk->done = true;
}

#define COPY_RUNS(element)                                                                                   \
    for (; !walk->done; pbitc_walk_next(walk)) {                                                             \
        const element *from = (const element *)input + walk->offset[0];                                      \
        element *to = (element *)output + walk->position;                                                    \
        int64_t step = walk->step[0];                                                                        \
        if (step == 1)                                                                                       \
            memcpy(to, from, (size_t)walk->length * sizeof(*to));                                            \
        else                                                                                                 \
            for (int64_t i = 0; i < walk->length; i++)                                                       \
                to[i] = from[i * step];                                                                      \
    }

void pbitc_walk_copy(struct pbitc_walk *walk, void *output, const void *input, size_t element_bytes)
{
    switch (element_bytes) {
    case 1:
        COPY_RUNS(uint8_t)
        break;
    case 2:
        COPY_RUNS(uint16_t)
        break;
    case 4:
        COPY_RUNS(uint32_t)
        break;
    default:
        COPY_RUNS(uint64_t)
    }
}
