// Results whose size depends on the data: Compress, NonZero, Unique.
#include "passes/operators/operator_support.h"

#include <string.h>

/// Compress keeps the steps along `axis` (without it: of the flattened input) whose condition is true.
static enum pbit_status compress_lines(struct pbitc_evaluation *evaluation, int64_t *outer, int64_t *extent,
                                       int64_t *inner, int *axis)
{
    const struct pbitc_shape *shape = &evaluation->inputs[0]->shape;
    *axis = -1;
    *outer = *inner = 1;
    *extent = pbitc_shape_elements(shape);
    if (!pbitc_node_attribute(evaluation->node, "axis"))
        return PBIT_OK;
    enum pbit_status status = pbitc_axis_attribute(evaluation, 0, shape->rank, axis);
    if (status)
        return status;
    *outer = pbitc_extent(shape, 0, *axis);
    *inner = pbitc_extent(shape, *axis + 1, shape->rank);
    *extent = shape->dims[*axis];
    return PBIT_OK;
}

enum pbit_status infer_compress(struct pbitc_evaluation *evaluation)
{
    int64_t outer, extent, inner, kept = 0;
    int axis;
    enum pbit_status status = compress_lines(evaluation, &outer, &extent, &inner, &axis);
    if (!status)
        status = pbitc_require_parameter(evaluation, 1, "condition", PBITC_TYPES_BOOL);
    if (status)
        return status;
    int64_t count = pbitc_shape_elements(&evaluation->inputs[1]->shape);
    if (count > extent)
        return PBITC_MALFORMED(evaluation, "%lld conditions for %lld", (long long)count, (long long)extent);
    for (int64_t i = 0; i < count; i++)
        kept += ((const uint8_t *)evaluation->inputs[1]->data)[i] != 0;
    struct pbitc_shape shape = {1, {kept}};
    if (axis >= 0) {
        shape = evaluation->inputs[0]->shape;
        shape.dims[axis] = kept;
    }
    pbitc_set_output(evaluation, 0, evaluation->inputs[0]->type, &shape);
    return PBIT_OK;
}

enum pbit_status evaluate_compress(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_tensor *input = evaluation->inputs[0];
    int64_t outer, extent, inner, count = pbitc_shape_elements(&evaluation->inputs[1]->shape);
    int axis;
    enum pbit_status status = compress_lines(evaluation, &outer, &extent, &inner, &axis);
    size_t bytes = (size_t)inner * pbitc_type_bytes(input->type);
    unsigned char *to = evaluation->outputs[0].data;
    for (int64_t o = 0; bytes && o < outer; o++)
        for (int64_t i = 0; i < count; i++)
            if (((const uint8_t *)evaluation->inputs[1]->data)[i]) {
                memcpy(to, (const unsigned char *)input->data + (size_t)(o * extent + i) * bytes, bytes);
                to += bytes;
            }
    return status;
}

/// A NaN is not zero, nor is any number but 0 and -0.
static bool is_zero(const struct pbitc_tensor *tensor, int64_t index)
{
    return pbitc_real_at(tensor, index) == 0;
}

enum pbit_status infer_non_zero(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_tensor *input = evaluation->inputs[0];
    enum pbit_status status = pbitc_require_data(evaluation, 0, "the input");
    int64_t count = 0, elements = status ? 0 : pbitc_shape_elements(&input->shape);
    for (int64_t i = 0; i < elements; i++)
        count += !is_zero(input, i);
    struct pbitc_shape shape = {2, {input->shape.rank, count}};
    pbitc_set_output(evaluation, 0, PBITC_INT64, &shape);
    return status;
}

enum pbit_status evaluate_non_zero(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_tensor *input = evaluation->inputs[0];
    int64_t elements = pbitc_shape_elements(&input->shape), count = evaluation->outputs[0].shape.dims[1];
    int64_t index[PBITC_MAX_RANK] = {0}, *output = evaluation->outputs[0].data;
    for (int64_t i = 0, found = 0; i < elements && found < count; i++) {
        if (!is_zero(input, i)) {
            for (int d = 0; d < input->shape.rank; d++)
                output[d * count + found] = index[d];
            found++;
        }
        for (int d = input->shape.rank - 1; d >= 0 && ++index[d] == input->shape.dims[d]; d--)
            index[d] = 0;
    }
    return PBIT_OK;
}

/// Unique: what is compared are the `count` steps along an axis, or all elements.
struct unique {
    const struct pbitc_tensor *input;
    int axis; ///< -1: all elements
    int64_t outer, count, inner;
    int64_t *order, *spare; ///< of the steps
    int64_t *number;        ///< of each step: which value it has
    int64_t found;          ///< different values
};

#define COMPARE(type, element, modular)                                                                      \
    case type: {                                                                                             \
        const element x = ((const element *)unique->input->data)[at_a],                                      \
                      y = ((const element *)unique->input->data)[at_b];                                      \
        if (x != y)                                                                                          \
            return x < y ? -1 : 1;                                                                           \
        break;                                                                                               \
    }

static int compare_steps(const struct unique *unique, int64_t a, int64_t b)
{
    for (int64_t o = 0; o < unique->outer; o++)
        for (int64_t i = 0; i < unique->inner; i++) {
            int64_t at_a = (o * unique->count + a) * unique->inner + i;
            int64_t at_b = (o * unique->count + b) * unique->inner + i;
            switch (unique->input->type) {
                PBITC_FOR_NUMERIC_TYPES(COMPARE)
                COMPARE(PBITC_BOOL, uint8_t, uint32_t)
            default:
                break;
            }
        }
    return 0;
}

/// Merge sort, which is stable.
static void sort_steps(struct unique *unique)
{
    int64_t count = unique->count, *order = unique->order;
    for (int64_t i = 0; i < count; i++)
        order[i] = i;
    for (int64_t width = 1; width < count; width *= 2) {
        for (int64_t first = 0; first < count; first += 2 * width) {
            int64_t middle = first + width < count ? first + width : count;
            int64_t last = middle + width < count ? middle + width : count;
            for (int64_t i = first, a = first, b = middle; i < last; i++) {
                bool from_a = b == last || (a < middle && compare_steps(unique, order[a], order[b]) <= 0);
                unique->spare[i] = from_a ? order[a++] : order[b++];
            }
        }
        memcpy(order, unique->spare, (size_t)count * sizeof(*order));
    }
}

/// Numbers the values in their order, or with sorted = 0 in that of their first appearance.
static void number_values(struct unique *unique, bool sorted)
{
    sort_steps(unique);
    for (int64_t i = 0; i < unique->count; i++) {
        bool same = i && compare_steps(unique, unique->order[i - 1], unique->order[i]) == 0;
        unique->found += !same;
        unique->number[unique->order[i]] = unique->found - 1;
    }
    int64_t *renamed = unique->spare, next = 0;
    for (int64_t i = 0; i < unique->found; i++)
        renamed[i] = sorted ? i : -1;
    for (int64_t step = 0; step < unique->count; step++) {
        int64_t *name = &renamed[unique->number[step]];
        *name = *name < 0 ? next++ : *name;
        unique->number[step] = *name;
    }
}

/// The memory is `order`, which the caller releases.
static enum pbit_status find_values(struct pbitc_evaluation *evaluation, struct unique *unique)
{
    const struct pbitc_shape *shape = &evaluation->inputs[0]->shape;
    *unique = (struct unique){.input = evaluation->inputs[0], .outer = 1, .inner = 1, .axis = -1};
    unique->count = pbitc_shape_elements(shape);
    if (pbitc_node_attribute(evaluation->node, "axis")) {
        enum pbit_status status = pbitc_axis_attribute(evaluation, 0, shape->rank, &unique->axis);
        if (status)
            return status;
        unique->outer = pbitc_extent(shape, 0, unique->axis);
        unique->count = shape->dims[unique->axis];
        unique->inner = pbitc_extent(shape, unique->axis + 1, shape->rank);
    }
    if ((uint64_t)unique->count > SIZE_MAX / (4 * sizeof(int64_t)))
        return PBITC_REFUSE(evaluation, NULL, "the input is too large");
    unique->order = pbitc_allocate(NULL, ((size_t)unique->count + 1) * 3 * sizeof(int64_t));
    if (!unique->order)
        return pbitc_report_node(evaluation->diagnostics, PBIT_ERROR_MEMORY, evaluation->node, NULL,
                                 "out of memory");
    unique->spare = unique->order + unique->count;
    unique->number = unique->spare + unique->count;
    number_values(unique, pbitc_node_int(evaluation->node, "sorted", 1) != 0);
    return PBIT_OK;
}

/// Outputs: the values, the step where each is first, the number of the value of each step, and how often
/// each value comes.
enum pbit_status infer_unique(struct pbitc_evaluation *evaluation)
{
    struct unique unique;
    enum pbit_status status =
        pbitc_require_type(evaluation, 0, PBITC_TYPES_NUMERIC | (unsigned)PBITC_TYPES_BOOL);
    if (!status)
        status = pbitc_require_data(evaluation, 0, "the input");
    if (!status)
        status = find_values(evaluation, &unique);
    if (status)
        return status;
    pbitc_release(NULL, unique.order);
    struct pbitc_shape shape = {1, {unique.found}}, found = shape;
    if (unique.axis >= 0) {
        shape = evaluation->inputs[0]->shape;
        shape.dims[unique.axis] = unique.found;
    }
    pbitc_set_output(evaluation, 0, evaluation->inputs[0]->type, &shape);
    pbitc_set_output(evaluation, 1, PBITC_INT64, &found);
    pbitc_set_output(evaluation, 2, PBITC_INT64, &(struct pbitc_shape){1, {unique.count}});
    pbitc_set_output(evaluation, 3, PBITC_INT64, &found);
    return PBIT_OK;
}

/// Value `value` is what step `step` holds.
static void store_value(const struct pbitc_evaluation *evaluation, const struct unique *unique, int64_t value,
                        int64_t step)
{
    size_t bytes = (size_t)unique->inner * pbitc_type_bytes(unique->input->type);
    for (int64_t o = 0; pbitc_output_used(evaluation, 0) && o < unique->outer; o++)
        memcpy((unsigned char *)evaluation->outputs[0].data + (size_t)(o * unique->found + value) * bytes,
               (const unsigned char *)unique->input->data + (size_t)(o * unique->count + step) * bytes,
               bytes);
    if (pbitc_output_used(evaluation, 1))
        ((int64_t *)evaluation->outputs[1].data)[value] = step;
}

enum pbit_status evaluate_unique(struct pbitc_evaluation *evaluation)
{
    struct unique unique;
    enum pbit_status status = find_values(evaluation, &unique);
    if (status)
        return status;
    int64_t *counts = unique.order;
    memset(counts, 0, (size_t)unique.count * sizeof(*counts));
    for (int64_t step = 0; step < unique.count; step++) {
        int64_t value = unique.number[step];
        if (counts[value]++ == 0)
            store_value(evaluation, &unique, value, step);
    }
    if (pbitc_output_used(evaluation, 2) && unique.count)
        memcpy(evaluation->outputs[2].data, unique.number, (size_t)unique.count * sizeof(*counts));
    if (pbitc_output_used(evaluation, 3) && unique.found)
        memcpy(evaluation->outputs[3].data, counts, (size_t)unique.found * sizeof(*counts));
    pbitc_release(NULL, unique.order);
    return PBIT_OK;
}
