// Elements that move and do not change: Transpose, Concat, Split, Gather, Slice, Expand, DepthToSpace, for
// any element type.
#include "passes/operators/moved.h"

#include <string.h>

/// Output 0 is input 0 walked with the given strides.
static enum pbit_status copy_strided(struct pbitc_evaluation *evaluation, const struct pbitc_shape *shape,
                                     int64_t strides[][PBITC_MAX_RANK])
{
    struct pbitc_walk walk;
    pbitc_walk_strided(&walk, shape, 1, strides);
    pbitc_walk_copy(&walk, evaluation->outputs[0].data, evaluation->inputs[0]->data,
                    pbitc_type_bytes(evaluation->inputs[0]->type));
    return PBIT_OK;
}

/// perm, or the reversed order when there is none.
static enum pbit_status read_permutation(struct pbitc_evaluation *evaluation, int permutation[PBITC_MAX_RANK])
{
    size_t count;
    const int64_t *given = pbitc_node_ints(evaluation->node, "perm", &count);
    int rank = evaluation->inputs[0]->shape.rank;
    bool seen[PBITC_MAX_RANK] = {false};
    enum pbit_status status = PBIT_OK;
    if (given && count != (size_t)rank)
        return PBITC_MALFORMED(evaluation, "perm has %zu numbers for an input of rank %d", count, rank);
    for (int i = 0; !status && i < rank; i++) {
        permutation[i] = rank - 1 - i;
        if (given)
            status = pbitc_axis(evaluation, given[i], rank, &permutation[i]);
        if (!status && seen[permutation[i]])
            status = PBITC_MALFORMED(evaluation, "perm names dimension %d twice", permutation[i]);
        if (!status)
            seen[permutation[i]] = true;
    }
    return status;
}

enum pbit_status infer_transpose(struct pbitc_evaluation *evaluation)
{
    int permutation[PBITC_MAX_RANK];
    enum pbit_status status = read_permutation(evaluation, permutation);
    struct pbitc_shape shape = evaluation->inputs[0]->shape;
    for (int i = 0; !status && i < shape.rank; i++)
        shape.dims[i] = evaluation->inputs[0]->shape.dims[permutation[i]];
    return status ? status : pbitc_set_moved(evaluation, &shape);
}

enum pbit_status evaluate_transpose(struct pbitc_evaluation *evaluation)
{
    int permutation[PBITC_MAX_RANK];
    int64_t own[PBITC_MAX_RANK], strides[1][PBITC_MAX_RANK] = {{0}};
    enum pbit_status status = read_permutation(evaluation, permutation);
    if (status)
        return status;
    pbitc_strides(&evaluation->inputs[0]->shape, own);
    for (int i = 0; i < evaluation->inputs[0]->shape.rank; i++)
        strides[0][i] = own[permutation[i]];
    return copy_strided(evaluation, &evaluation->outputs[0].shape, strides);
}

enum pbit_status infer_concat(struct pbitc_evaluation *evaluation)
{
    struct pbitc_shape shape = evaluation->inputs[0]->shape;
    int axis = 0;
    enum pbit_status status = pbitc_require_same_type(evaluation);
    if (!status)
        status = pbitc_axis_attribute(evaluation, 0, shape.rank, &axis);
    for (size_t i = 1; !status && i < evaluation->input_count; i++) {
        struct pbitc_shape other = evaluation->inputs[i]->shape;
        int64_t extent = other.rank == shape.rank ? other.dims[axis] : 0;
        other.dims[axis] = shape.dims[axis];
        if (!pbitc_shape_equal(&shape, &other) ||
            __builtin_add_overflow(shape.dims[axis], extent, &shape.dims[axis]))
            status = PBITC_MALFORMED(evaluation, "input %zu of shape %s does not fit %s along axis %d", i,
                                     pbitc_shape_format(&evaluation->inputs[i]->shape).text,
                                     pbitc_shape_format(&evaluation->inputs[0]->shape).text, axis);
    }
    return status ? status : pbitc_set_moved(evaluation, &shape);
}

/// Bytes of one step along `axis`, all that lies inside it.
static size_t step_bytes(const struct pbitc_tensor *tensor, int axis)
{
    return (size_t)pbitc_extent(&tensor->shape, axis + 1, tensor->shape.rank) *
           pbitc_type_bytes(tensor->type);
}

/// Copies `rows` rows of `bytes` between places of different pitch.
static void copy_rows(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t bytes,
                      int64_t rows)
{
    for (int64_t i = 0; bytes && i < rows; i++)
        memcpy((unsigned char *)to + (size_t)i * to_pitch,
               (const unsigned char *)from + (size_t)i * from_pitch, bytes);
}

enum pbit_status evaluate_concat(struct pbitc_evaluation *evaluation)
{
    struct pbitc_tensor *output = &evaluation->outputs[0];
    int axis = 0;
    enum pbit_status status = pbitc_axis_attribute(evaluation, 0, output->shape.rank, &axis);
    int64_t rows = pbitc_extent(&output->shape, 0, axis);
    size_t step = step_bytes(output, axis), pitch = (size_t)output->shape.dims[axis] * step;
    unsigned char *to = output->data;
    for (size_t i = 0; i < evaluation->input_count; i++) {
        size_t bytes = (size_t)evaluation->inputs[i]->shape.dims[axis] * step;
        copy_rows(to, pitch, evaluation->inputs[i]->data, bytes, bytes, rows);
        to += bytes;
    }
    return status;
}

/// Split: parts as in input 1, or equal ones with the last smaller.
enum pbit_status infer_split(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_shape *input = &evaluation->inputs[0]->shape;
    const struct pbitc_tensor *parts = pbitc_input(evaluation, 1);
    int64_t count = (int64_t)evaluation->output_count;
    int axis = 0;
    enum pbit_status status = pbitc_axis_attribute(evaluation, 0, input->rank, &axis);
    if (!status)
        status = pbitc_require_parameter(evaluation, 1, "split", PBITC_TYPES_INDEX);
    if (status)
        return status;
    if (parts && pbitc_shape_elements(&parts->shape) != count)
        return PBITC_MALFORMED(evaluation, "split has %lld numbers for %lld outputs",
                               (long long)pbitc_shape_elements(&parts->shape), (long long)count);
    if (!parts && pbitc_node_int(evaluation->node, "num_outputs", count) != count)
        return PBITC_MALFORMED(evaluation, "num_outputs differs from the %lld outputs", (long long)count);
    int64_t equal = (input->dims[axis] + count - 1) / count, left = input->dims[axis];
    for (int64_t i = 0; i < count; i++) {
        struct pbitc_shape shape = *input;
        int64_t part = parts ? pbitc_integer_at(parts, i) : equal < left ? equal : left;
        if (part < 0 || part > left)
            return PBITC_MALFORMED(evaluation, "parts do not add up to %lld", (long long)input->dims[axis]);
        shape.dims[axis] = part;
        left -= part;
        pbitc_set_output(evaluation, (size_t)i, evaluation->inputs[0]->type, &shape);
    }
    return left ? PBITC_MALFORMED(evaluation, "parts do not add up to %lld", (long long)input->dims[axis])
                : PBIT_OK;
}

enum pbit_status evaluate_split(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_tensor *input = evaluation->inputs[0];
    int axis = 0;
    enum pbit_status status = pbitc_axis_attribute(evaluation, 0, input->shape.rank, &axis);
    int64_t rows = pbitc_extent(&input->shape, 0, axis);
    size_t step = step_bytes(input, axis), pitch = (size_t)input->shape.dims[axis] * step;
    const unsigned char *from = input->data;
    for (size_t i = 0; i < evaluation->output_count; i++) {
        size_t bytes = (size_t)evaluation->outputs[i].shape.dims[axis] * step;
        if (pbitc_output_used(evaluation, i))
            copy_rows(evaluation->outputs[i].data, bytes, from, pitch, bytes, rows);
        from += bytes;
    }
    return status;
}

enum pbit_status infer_gather(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_shape *data = &evaluation->inputs[0]->shape, *indices = &evaluation->inputs[1]->shape;
    int axis = 0;
    enum pbit_status status = pbitc_require_type(evaluation, 1, PBITC_TYPES_INDEX);
    if (!status)
        status = pbitc_axis_attribute(evaluation, 0, data->rank, &axis);
    if (status)
        return status;
    if (data->rank - 1 + indices->rank > PBITC_MAX_RANK)
        return PBITC_REFUSE(evaluation, NULL, "a result of rank %d; at most %d are supported",
                            data->rank - 1 + indices->rank, PBITC_MAX_RANK);
    struct pbitc_shape shape = {.rank = 0};
    for (int i = 0; i < axis; i++)
        shape.dims[shape.rank++] = data->dims[i];
    for (int i = 0; i < indices->rank; i++)
        shape.dims[shape.rank++] = indices->dims[i];
    for (int i = axis + 1; i < data->rank; i++)
        shape.dims[shape.rank++] = data->dims[i];
    return pbitc_set_moved(evaluation, &shape);
}

enum pbit_status evaluate_gather(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_tensor *data = evaluation->inputs[0], *indices = evaluation->inputs[1];
    int axis = 0;
    enum pbit_status status = pbitc_axis_attribute(evaluation, 0, data->shape.rank, &axis);
    int64_t rows = pbitc_extent(&data->shape, 0, axis), extent = data->shape.dims[axis];
    int64_t count = pbitc_shape_elements(&indices->shape);
    size_t step = step_bytes(data, axis);
    for (int64_t i = 0; !status && i < count; i++) {
        int64_t index = pbitc_integer_at(indices, i);
        if (index < -extent || index >= extent)
            return PBITC_MALFORMED(evaluation, "index %lld is outside a dimension of %lld", (long long)index,
                                   (long long)extent);
        copy_rows((unsigned char *)evaluation->outputs[0].data + (size_t)i * step, (size_t)count * step,
                  (const unsigned char *)data->data + (size_t)(index < 0 ? index + extent : index) * step,
                  (size_t)extent * step, step, rows);
    }
    return status;
}

/// Slice of one dimension: output position i reads start + i * step.
struct cut {
    int64_t start, step, count;
};

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

static struct cut cut_of(int64_t start, int64_t end, int64_t step, int64_t extent)
{
    int64_t low = step > 0 ? 0 : -1, high = step > 0 ? extent : extent - 1;
    if (extent == 0)
        return (struct cut){0, 1, 0};
    start = clamp(start < 0 ? start + extent : start, 0, high);
    // The largest number means "all the rest", as in ONNX Runtime, also backwards.
    if (step < 0 && (end == INT32_MAX || end == INT64_MAX))
        end = low;
    else
        end = clamp(end < 0 ? end + extent : end, low, high);
    int64_t distance = step > 0 ? end - start : start - end;
    uint64_t stride = step > 0 ? (uint64_t)step : 0 - (uint64_t)step;
    int64_t count = distance > 0 ? (int64_t)(((uint64_t)distance - 1) / stride + 1) : 0;
    return (struct cut){start, count > 1 ? step : 1, count};
}

/// Slice: inputs starts, ends, axes, steps.
static enum pbit_status read_cuts(struct pbitc_evaluation *evaluation, struct cut cuts[PBITC_MAX_RANK])
{
    static const char *const names[] = {"data", "starts", "ends", "axes", "steps"};
    const struct pbitc_shape *input = &evaluation->inputs[0]->shape;
    const struct pbitc_tensor *axes = pbitc_input(evaluation, 3), *steps = pbitc_input(evaluation, 4);
    int64_t count = pbitc_shape_elements(&evaluation->inputs[1]->shape);
    enum pbit_status status = PBIT_OK;
    for (size_t i = 1; !status && i < 5; i++) {
        const struct pbitc_tensor *list = pbitc_input(evaluation, i);
        status = pbitc_require_parameter(evaluation, i, names[i], PBITC_TYPES_INDEX);
        if (!status && list && pbitc_shape_elements(&list->shape) != count)
            status = PBITC_MALFORMED(evaluation, "starts and %s differ in length", names[i]);
    }
    if (!status && !axes && count > input->rank)
        status =
            PBITC_MALFORMED(evaluation, "%lld starts for an input of rank %d", (long long)count, input->rank);
    for (int i = 0; i < input->rank; i++)
        cuts[i] = (struct cut){0, 1, input->dims[i]};
    bool chosen[PBITC_MAX_RANK] = {false};
    if (!status)
        status = pbitc_axes_input(evaluation, 3, input->rank, chosen);
    for (int64_t i = 0; !status && i < count; i++) {
        int axis = (int)i;
        int64_t step = steps ? pbitc_integer_at(steps, i) : 1;
        if (axes)
            status = pbitc_axis(evaluation, pbitc_integer_at(axes, i), input->rank, &axis);
        if (!status && step == 0)
            status = PBITC_MALFORMED(evaluation, "a step of 0");
        if (!status)
            cuts[axis] = cut_of(pbitc_integer_at(evaluation->inputs[1], i),
                                pbitc_integer_at(evaluation->inputs[2], i), step, input->dims[axis]);
    }
    return status;
}

enum pbit_status infer_slice(struct pbitc_evaluation *evaluation)
{
    struct cut cuts[PBITC_MAX_RANK];
    struct pbitc_shape shape = evaluation->inputs[0]->shape;
    enum pbit_status status = read_cuts(evaluation, cuts);
    for (int i = 0; !status && i < shape.rank; i++)
        shape.dims[i] = cuts[i].count;
    return status ? status : pbitc_set_moved(evaluation, &shape);
}

enum pbit_status evaluate_slice(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_tensor *input = evaluation->inputs[0];
    struct cut cuts[PBITC_MAX_RANK];
    int64_t own[PBITC_MAX_RANK], strides[1][PBITC_MAX_RANK] = {{0}}, base = 0;
    enum pbit_status status = read_cuts(evaluation, cuts);
    if (status || pbitc_shape_elements(&evaluation->outputs[0].shape) == 0)
        return status;
    pbitc_strides(&input->shape, own);
    for (int i = 0; i < input->shape.rank; i++) {
        strides[0][i] = own[i] * cuts[i].step;
        base += own[i] * cuts[i].start;
    }
    size_t bytes = pbitc_type_bytes(input->type);
    struct pbitc_walk walk;
    pbitc_walk_strided(&walk, &evaluation->outputs[0].shape, 1, strides);
    pbitc_walk_copy(&walk, evaluation->outputs[0].data,
                    (const unsigned char *)input->data + (size_t)base * bytes, bytes);
    return PBIT_OK;
}

/// Expand: as if a tensor of the given shape took part in a broadcast.
enum pbit_status infer_expand(struct pbitc_evaluation *evaluation)
{
    struct pbitc_shape shape;
    enum pbit_status status = pbitc_dims_input(evaluation, 1, "shape", &shape);
    for (int i = 0; !status && i < shape.rank; i++)
        if (shape.dims[i] < 0)
            status = PBITC_MALFORMED(evaluation, "shape %s is negative", pbitc_shape_format(&shape).text);
    if (!status)
        status = pbitc_broadcast(evaluation, &shape, &evaluation->inputs[0]->shape);
    return status ? status : pbitc_set_moved(evaluation, &shape);
}

enum pbit_status evaluate_expand(struct pbitc_evaluation *evaluation)
{
    struct pbitc_walk walk;
    pbitc_walk_broadcast(&walk, &evaluation->outputs[0].shape, 1,
                         (const struct pbitc_shape *const[]){&evaluation->inputs[0]->shape});
    pbitc_walk_copy(&walk, evaluation->outputs[0].data, evaluation->inputs[0]->data,
                    pbitc_type_bytes(evaluation->inputs[0]->type));
    return PBIT_OK;
}

static enum pbit_status require_blocks(struct pbitc_evaluation *evaluation, int64_t *block)
{
    *block = pbitc_node_int(evaluation->node, "blocksize", 0);
    if (*block < 1 || *block > INT16_MAX)
        return PBITC_MALFORMED(evaluation, "blocksize = %lld", (long long)*block);
    return pbitc_require_rank(evaluation, 0, 4, 4);
}

/// Input 0, seen as `split` (6 dimensions), with its dimensions in the order of `order`.
static enum pbit_status copy_permuted(struct pbitc_evaluation *evaluation, const struct pbitc_shape *split,
                                      const int order[6])
{
    int64_t own[PBITC_MAX_RANK], strides[1][PBITC_MAX_RANK] = {{0}};
    struct pbitc_shape shape = {.rank = 6};
    pbitc_strides(split, own);
    for (int i = 0; i < 6; i++) {
        shape.dims[i] = split->dims[order[i]];
        strides[0][i] = own[order[i]];
    }
    return copy_strided(evaluation, &shape, strides);
}

/// DepthToSpace: blocks of channels become squares of pixels. Mode DCR: the block index is the slower part of
/// the channel number; CRD: the faster.
enum pbit_status infer_depth_to_space(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_shape *input = &evaluation->inputs[0]->shape;
    const char *mode = pbitc_node_string(evaluation->node, "mode", "DCR");
    int64_t block;
    enum pbit_status status = require_blocks(evaluation, &block);
    if (status)
        return status;
    if (strcmp(mode, "DCR") != 0 && strcmp(mode, "CRD") != 0)
        return PBITC_REFUSE(evaluation, NULL, "mode = \"%s\" is not defined", mode);
    struct pbitc_shape shape = {4, {input->dims[0], input->dims[1] / (block * block)}};
    if (input->dims[1] % (block * block) != 0 ||
        __builtin_mul_overflow(input->dims[2], block, &shape.dims[2]) ||
        __builtin_mul_overflow(input->dims[3], block, &shape.dims[3]))
        return PBITC_MALFORMED(evaluation, "blocksize %lld does not fit %s", (long long)block,
                               pbitc_shape_format(input).text);
    return pbitc_set_moved(evaluation, &shape);
}

enum pbit_status evaluate_depth_to_space(struct pbitc_evaluation *evaluation)
{
    const int64_t *in = evaluation->inputs[0]->shape.dims;
    int64_t block = pbitc_node_int(evaluation->node, "blocksize", 1), depth = in[1] / (block * block);
    if (strcmp(pbitc_node_string(evaluation->node, "mode", "DCR"), "DCR") == 0)
        return copy_permuted(evaluation, &(struct pbitc_shape){6, {in[0], block, block, depth, in[2], in[3]}},
                             (const int[]){0, 3, 4, 1, 5, 2});
    return copy_permuted(evaluation, &(struct pbitc_shape){6, {in[0], depth, block, block, in[2], in[3]}},
                         (const int[]){0, 1, 4, 2, 5, 3});
}

enum pbit_status infer_space_to_depth(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_shape *input = &evaluation->inputs[0]->shape;
    int64_t block;
    enum pbit_status status = require_blocks(evaluation, &block);
    if (status)
        return status;
    struct pbitc_shape shape = {4, {input->dims[0], 0, input->dims[2] / block, input->dims[3] / block}};
    if (input->dims[2] % block || input->dims[3] % block ||
        __builtin_mul_overflow(input->dims[1], block * block, &shape.dims[1]))
        return PBITC_MALFORMED(evaluation, "blocksize %lld does not fit %s", (long long)block,
                               pbitc_shape_format(input).text);
    return pbitc_set_moved(evaluation, &shape);
}

enum pbit_status evaluate_space_to_depth(struct pbitc_evaluation *evaluation)
{
    const int64_t *in = evaluation->inputs[0]->shape.dims;
    int64_t block = pbitc_node_int(evaluation->node, "blocksize", 1);
    struct pbitc_shape split = {6, {in[0], in[1], in[2] / block, block, in[3] / block, block}};
    return copy_permuted(evaluation, &split, (const int[]){0, 3, 5, 1, 2, 4});
}
