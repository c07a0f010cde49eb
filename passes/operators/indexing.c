// Elements picked and placed by indices: GatherElements, GatherND, ScatterElements, ScatterND, TopK,
// ReverseSequence.
#include "passes/operators/operator_support.h"

#include <string.h>

static enum pbit_status outside(const struct pbitc_evaluation *evaluation, int64_t index, int64_t extent)
{
    return PBITC_MALFORMED(evaluation, "index %lld is outside a dimension of %lld", (long long)index,
                           (long long)extent);
}

/// A walk over `indices` that follows the elements of `data` they are along with; along `axis` the index
/// itself says where.
static void walk_along(struct pbitc_walk *walk, const struct pbitc_shape *data,
                       const struct pbitc_shape *indices, int axis, int64_t *axis_stride)
{
    int64_t own[PBITC_MAX_RANK], strides[1][PBITC_MAX_RANK] = {{0}};
    pbitc_strides(data, own);
    for (int i = 0; i < data->rank; i++)
        strides[0][i] = i == axis ? 0 : own[i];
    *axis_stride = own[axis];
    pbitc_walk_strided(walk, indices, 1, strides);
}

/// Data, and indices of the same rank that fit into it except along `axis`.
static enum pbit_status require_elements(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_shape *data = &evaluation->inputs[0]->shape, *indices = &evaluation->inputs[1]->shape;
    int axis = 0;
    enum pbit_status status = pbitc_require_type(evaluation, 1, PBITC_TYPES_INDEX);
    if (!status)
        status = pbitc_axis_attribute(evaluation, 0, data->rank, &axis);
    bool fits = indices->rank == data->rank;
    for (int i = 0; !status && fits && i < data->rank; i++)
        fits = i == axis || indices->dims[i] <= data->dims[i];
    if (!status && !fits)
        status = PBITC_MALFORMED(evaluation, "indices of shape %s do not fit data of shape %s",
                                 pbitc_shape_format(indices).text, pbitc_shape_format(data).text);
    return status;
}

enum pbit_status infer_gather_elements(struct pbitc_evaluation *evaluation)
{
    pbitc_set_output(evaluation, 0, evaluation->inputs[0]->type, &evaluation->inputs[1]->shape);
    return require_elements(evaluation);
}

enum pbit_status evaluate_gather_elements(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_tensor *data = evaluation->inputs[0], *indices = evaluation->inputs[1];
    size_t bytes = pbitc_type_bytes(data->type);
    struct pbitc_walk walk;
    int64_t stride;
    int axis = 0;
    enum pbit_status status = pbitc_axis_attribute(evaluation, 0, data->shape.rank, &axis);
    int64_t extent = data->shape.dims[axis];
    walk_along(&walk, &data->shape, &indices->shape, axis, &stride);
    for (; !status && !walk.done; pbitc_walk_next(&walk))
        for (int64_t i = 0; i < walk.length; i++) {
            int64_t index = pbitc_integer_at(indices, walk.position + i);
            if (index < -extent || index >= extent)
                return outside(evaluation, index, extent);
            int64_t from = walk.offset[0] + i * walk.step[0] + (index < 0 ? index + extent : index) * stride;
            memcpy((unsigned char *)evaluation->outputs[0].data + (size_t)(walk.position + i) * bytes,
                   (const unsigned char *)data->data + (size_t)from * bytes, bytes);
        }
    return status;
}

/// What a scattered element does to the one that is there.
enum scatter { SCATTER_NONE, SCATTER_ADD, SCATTER_MUL, SCATTER_MIN, SCATTER_MAX, SCATTERS };
static const char *const scatters[SCATTERS] = {"none", "add", "mul", "min", "max"};

static enum scatter scatter_of(const struct pbitc_evaluation *evaluation)
{
    const char *name = pbitc_node_string(evaluation->node, "reduction", "none");
    enum scatter scatter = SCATTER_NONE;
    while (scatter < SCATTERS && strcmp(name, scatters[scatter]) != 0)
        scatter++;
    return scatter;
}

#define COMBINE(type, element, modular)                                                                      \
    case type:                                                                                               \
        for (int64_t i = 0; i < count; i++) {                                                                \
            const element x = ((const element *)from)[i];                                                    \
            element *y = (element *)to + i;                                                                  \
            if (scatter == SCATTER_ADD)                                                                      \
                *y = (element)((modular)*y + (modular)x);                                                    \
            else if (scatter == SCATTER_MUL)                                                                 \
                *y = (element)((modular)*y * (modular)x);                                                    \
            else if (scatter == SCATTER_MIN)                                                                 \
                *y = x < *y ? x : *y;                                                                        \
            else                                                                                             \
                *y = x > *y ? x : *y;                                                                        \
        }                                                                                                    \
        break;

/// `count` elements at `place` of the output take those at `at` of the updates.
static void scatter_elements(struct pbitc_evaluation *evaluation, enum scatter scatter, int64_t place,
                             int64_t at, int64_t count)
{
    struct pbitc_tensor *output = &evaluation->outputs[0];
    size_t bytes = pbitc_type_bytes(output->type);
    void *to = (unsigned char *)output->data + (size_t)place * bytes;
    const void *from = (const unsigned char *)evaluation->inputs[2]->data + (size_t)at * bytes;
    if (scatter == SCATTER_NONE) {
        memcpy(to, from, (size_t)count * bytes);
        return;
    }
    switch (output->type) {
        PBITC_FOR_NUMERIC_TYPES(COMBINE)
    default:
        break;
    }
}

/// What both scatters ask of their inputs and reduction; the output is like the data.
static enum pbit_status require_updates(struct pbitc_evaluation *evaluation, const struct pbitc_shape *shape)
{
    const struct pbitc_tensor *data = evaluation->inputs[0], *updates = evaluation->inputs[2];
    enum scatter scatter = scatter_of(evaluation);
    pbitc_set_output(evaluation, 0, data->type, &data->shape);
    if (scatter == SCATTERS)
        return PBITC_REFUSE(evaluation, NULL, "reduction = \"%s\" is not defined",
                            pbitc_node_string(evaluation->node, "reduction", ""));
    if (updates->type != data->type || !pbitc_shape_equal(&updates->shape, shape))
        return PBITC_MALFORMED(evaluation, "updates are %s of shape %s, expected %s of shape %s",
                               pbitc_type_name(updates->type), pbitc_shape_format(&updates->shape).text,
                               pbitc_type_name(data->type), pbitc_shape_format(shape).text);
    return scatter == SCATTER_NONE ? PBIT_OK : pbitc_require_type(evaluation, 0, PBITC_TYPES_NUMERIC);
}

enum pbit_status infer_scatter_elements(struct pbitc_evaluation *evaluation)
{
    enum pbit_status status = require_elements(evaluation);
    return status ? status : require_updates(evaluation, &evaluation->inputs[1]->shape);
}

static void copy_data(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_tensor *data = evaluation->inputs[0];
    size_t bytes = (size_t)pbitc_shape_elements(&data->shape) * pbitc_type_bytes(data->type);
    if (bytes)
        memcpy(evaluation->outputs[0].data, data->data, bytes);
}

enum pbit_status evaluate_scatter_elements(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_tensor *data = evaluation->inputs[0], *indices = evaluation->inputs[1];
    enum scatter scatter = scatter_of(evaluation);
    struct pbitc_walk walk;
    int64_t stride;
    int axis = 0;
    enum pbit_status status = pbitc_axis_attribute(evaluation, 0, data->shape.rank, &axis);
    int64_t extent = data->shape.dims[axis];
    copy_data(evaluation);
    walk_along(&walk, &data->shape, &indices->shape, axis, &stride);
    for (; !status && !walk.done; pbitc_walk_next(&walk))
        for (int64_t i = 0; i < walk.length; i++) {
            int64_t index = pbitc_integer_at(indices, walk.position + i);
            if (index < -extent || index >= extent)
                return outside(evaluation, index, extent);
            int64_t place = walk.offset[0] + i * walk.step[0] + (index < 0 ? index + extent : index) * stride;
            scatter_elements(evaluation, scatter, place, walk.position + i, 1);
        }
    return status;
}

/// GatherND and ScatterND: the last dimension of the indices holds tuples that name places in the dimensions
/// of the data from `batch` on.
struct tuples {
    int batch, length;    ///< dimensions before, and in a tuple
    int64_t count, slice; ///< tuples; elements of what one names
};

static enum pbit_status read_tuples(struct pbitc_evaluation *evaluation, struct tuples *tuples)
{
    const struct pbitc_shape *data = &evaluation->inputs[0]->shape, *indices = &evaluation->inputs[1]->shape;
    int64_t batch = pbitc_node_int(evaluation->node, "batch_dims", 0);
    enum pbit_status status = pbitc_require_type(evaluation, 1, PBITC_TYPES_INDEX);
    if (status)
        return status;
    int64_t length = indices->rank ? indices->dims[indices->rank - 1] : -1;
    bool fits = batch >= 0 && batch < indices->rank && length >= 0 && batch + length <= data->rank;
    for (int i = 0; fits && i < batch; i++)
        fits = indices->dims[i] == data->dims[i];
    if (!fits)
        return PBITC_MALFORMED(evaluation, "indices of shape %s do not fit data of shape %s",
                               pbitc_shape_format(indices).text, pbitc_shape_format(data).text);
    *tuples = (struct tuples){.batch = (int)batch,
                              .length = (int)length,
                              .count = pbitc_extent(indices, 0, indices->rank - 1),
                              .slice = pbitc_extent(data, (int)(batch + length), data->rank)};
    return PBIT_OK;
}

/// Element of the data where tuple `t` points to.
static enum pbit_status locate(const struct pbitc_evaluation *evaluation, const struct tuples *tuples,
                               int64_t t, int64_t *place)
{
    const struct pbitc_shape *data = &evaluation->inputs[0]->shape;
    int64_t strides[PBITC_MAX_RANK];
    pbitc_strides(data, strides);
    int64_t batches = pbitc_extent(data, 0, tuples->batch);
    *place = batches && tuples->batch ? t / (tuples->count / batches) * strides[tuples->batch - 1] : 0;
    for (int i = 0; i < tuples->length; i++) {
        int64_t extent = data->dims[tuples->batch + i];
        int64_t index = pbitc_integer_at(evaluation->inputs[1], t * tuples->length + i);
        if (index < -extent || index >= extent)
            return outside(evaluation, index, extent);
        *place += (index < 0 ? index + extent : index) * strides[tuples->batch + i];
    }
    return PBIT_OK;
}

/// Dimensions of the indices but the last, then those of the data that tuples do not name.
static enum pbit_status shape_of_slices(struct pbitc_evaluation *evaluation, struct pbitc_shape *shape)
{
    struct tuples tuples;
    enum pbit_status status = read_tuples(evaluation, &tuples);
    *shape = (struct pbitc_shape){.rank = 0};
    if (status)
        return status;
    const struct pbitc_shape *data = &evaluation->inputs[0]->shape, *indices = &evaluation->inputs[1]->shape;
    int first = tuples.batch + tuples.length, rank = indices->rank - 1 + data->rank - first;
    if (rank > PBITC_MAX_RANK)
        return PBITC_REFUSE(evaluation, NULL, "a rank of %d; at most %d are supported", rank, PBITC_MAX_RANK);
    for (int i = 0; i < indices->rank - 1; i++)
        shape->dims[shape->rank++] = indices->dims[i];
    for (int i = first; i < data->rank; i++)
        shape->dims[shape->rank++] = data->dims[i];
    return PBIT_OK;
}

enum pbit_status infer_gather_nd(struct pbitc_evaluation *evaluation)
{
    struct pbitc_shape shape;
    enum pbit_status status = shape_of_slices(evaluation, &shape);
    pbitc_set_output(evaluation, 0, evaluation->inputs[0]->type, &shape);
    return status;
}

enum pbit_status evaluate_gather_nd(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_tensor *data = evaluation->inputs[0];
    size_t bytes = pbitc_type_bytes(data->type);
    struct tuples tuples;
    enum pbit_status status = read_tuples(evaluation, &tuples);
    if (status || pbitc_shape_elements(&evaluation->outputs[0].shape) == 0)
        return status;
    for (int64_t t = 0; !status && t < tuples.count; t++) {
        int64_t place;
        status = locate(evaluation, &tuples, t, &place);
        if (!status)
            memcpy((unsigned char *)evaluation->outputs[0].data + (size_t)(t * tuples.slice) * bytes,
                   (const unsigned char *)data->data + (size_t)place * bytes, (size_t)tuples.slice * bytes);
    }
    return status;
}

enum pbit_status infer_scatter_nd(struct pbitc_evaluation *evaluation)
{
    struct pbitc_shape shape;
    enum pbit_status status = shape_of_slices(evaluation, &shape);
    return status ? status : require_updates(evaluation, &shape);
}

enum pbit_status evaluate_scatter_nd(struct pbitc_evaluation *evaluation)
{
    enum scatter scatter = scatter_of(evaluation);
    struct tuples tuples;
    enum pbit_status status = read_tuples(evaluation, &tuples);
    copy_data(evaluation);
    for (int64_t t = 0; !status && tuples.slice && t < tuples.count; t++) {
        int64_t place;
        status = locate(evaluation, &tuples, t, &place);
        if (!status)
            scatter_elements(evaluation, scatter, place, t * tuples.slice, tuples.slice);
    }
    return status;
}

/// TopK: input 1 is k. Equal elements keep their order.
enum pbit_status infer_top_k(struct pbitc_evaluation *evaluation)
{
    struct pbitc_shape shape = evaluation->inputs[0]->shape;
    int axis = 0;
    enum pbit_status status = pbitc_require_type(evaluation, 0, PBITC_TYPES_NUMERIC);
    if (!status)
        status = pbitc_require_scalar(evaluation, 1);
    if (!status)
        status = pbitc_require_parameter(evaluation, 1, "k", PBITC_TYPES_INDEX);
    if (!status)
        status = pbitc_axis_attribute(evaluation, -1, shape.rank, &axis);
    if (status)
        return status;
    int64_t k = pbitc_integer_at(evaluation->inputs[1], 0);
    if (k < 0 || k > shape.dims[axis])
        return PBITC_MALFORMED(evaluation, "k = %lld of %lld", (long long)k, (long long)shape.dims[axis]);
    shape.dims[axis] = k;
    pbitc_set_output(evaluation, 0, evaluation->inputs[0]->type, &shape);
    pbitc_set_output(evaluation, 1, PBITC_INT64, &shape);
    return pbitc_add_scratch(evaluation, k, sizeof(int64_t))
               ? PBIT_OK
               : PBITC_REFUSE(evaluation, NULL, "k = %lld is too large", (long long)k);
}

/// Element a goes before element b of a line.
#define BEFORE(a, b)                                                                                         \
    ((largest ? line[(a)*inner] > line[(b)*inner] : line[(a)*inner] < line[(b)*inner]) ||                    \
     (line[(a)*inner] == line[(b)*inner] && (a) < (b)))

/// Lets the entry at `root` of a heap of `size` sink to its place; the one that goes last is at the top.
#define SINK(root, size)                                                                                     \
    for (int64_t parent = root, child; (child = 2 * parent + 1) < (size); parent = child) {                  \
        if (child + 1 < (size) && BEFORE(heap[child], heap[child + 1]))                                      \
            child++;                                                                                         \
        if (!BEFORE(heap[parent], heap[child]))                                                              \
            break;                                                                                           \
        int64_t swapped = heap[parent];                                                                      \
        heap[parent] = heap[child];                                                                          \
        heap[child] = swapped;                                                                               \
    }

#define TOP_K(type, element, modular)                                                                        \
    case type:                                                                                               \
        for (int64_t l = 0; l < outer * inner; l++) {                                                        \
            const element *line =                                                                            \
                (const element *)evaluation->inputs[0]->data + l / inner * extent * inner + l % inner;       \
            int64_t start = l / inner * k * inner + l % inner;                                               \
            for (int64_t i = 0; i < k; i++)                                                                  \
                heap[i] = i;                                                                                 \
            for (int64_t i = k / 2 - 1; i >= 0; i--)                                                         \
                SINK(i, k)                                                                                   \
            for (int64_t i = k; i < extent; i++)                                                             \
                if (BEFORE(i, heap[0])) {                                                                    \
                    heap[0] = i;                                                                             \
                    SINK(0, k)                                                                               \
                }                                                                                            \
            for (int64_t i = k - 1; i >= 0; i--) {                                                           \
                int64_t last = heap[0];                                                                      \
                heap[0] = heap[i];                                                                           \
                SINK(0, i)                                                                                   \
                if (pbitc_output_used(evaluation, 0))                                                        \
                    ((element *)evaluation->outputs[0].data)[start + i * inner] = line[last * inner];        \
                if (indices)                                                                                 \
                    indices[start + i * inner] = last;                                                       \
            }                                                                                                \
        }                                                                                                    \
        break;

enum pbit_status evaluate_top_k(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_shape *shape = &evaluation->inputs[0]->shape;
    bool largest = pbitc_node_int(evaluation->node, "largest", 1) != 0;
    int axis = 0;
    enum pbit_status status = pbitc_axis_attribute(evaluation, -1, shape->rank, &axis);
    int64_t outer = pbitc_extent(shape, 0, axis), inner = pbitc_extent(shape, axis + 1, shape->rank);
    int64_t extent = shape->dims[axis], k = evaluation->outputs[0].shape.dims[axis];
    int64_t *heap = evaluation->scratch;
    int64_t *indices = pbitc_output_used(evaluation, 1) ? evaluation->outputs[1].data : NULL;
    if (status || k == 0)
        return status;
    switch (evaluation->inputs[0]->type) {
        PBITC_FOR_NUMERIC_TYPES(TOP_K)
    default:
        break;
    }
    return status;
}

/// ReverseSequence: of each batch entry, as many steps in time as input 1 says.
enum pbit_status infer_reverse_sequence(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_shape *shape = &evaluation->inputs[0]->shape, *lengths = &evaluation->inputs[1]->shape;
    int64_t batch = pbitc_node_int(evaluation->node, "batch_axis", 1);
    int64_t time = pbitc_node_int(evaluation->node, "time_axis", 0);
    enum pbit_status status = pbitc_require_rank(evaluation, 0, 2, PBITC_MAX_RANK);
    if (!status)
        status = pbitc_require_type(evaluation, 1, 1 << PBITC_INT64);
    if (!status && (batch + time != 1 || batch * time != 0))
        status = PBITC_MALFORMED(evaluation, "batch_axis = %lld and time_axis = %lld; they must be 0 and 1",
                                 (long long)batch, (long long)time);
    if (!status && (lengths->rank != 1 || lengths->dims[0] != shape->dims[batch]))
        status = PBITC_MALFORMED(evaluation, "sequence_lens has shape %s, expected %lld",
                                 pbitc_shape_format(lengths).text, (long long)shape->dims[batch]);
    pbitc_set_output(evaluation, 0, evaluation->inputs[0]->type, shape);
    return status;
}

enum pbit_status evaluate_reverse_sequence(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_tensor *input = evaluation->inputs[0];
    bool time_first = pbitc_node_int(evaluation->node, "time_axis", 0) == 0;
    int64_t steps = input->shape.dims[time_first ? 0 : 1], entries = input->shape.dims[time_first ? 1 : 0];
    size_t bytes = (size_t)pbitc_extent(&input->shape, 2, input->shape.rank) * pbitc_type_bytes(input->type);
    for (int64_t entry = 0; entry < entries; entry++) {
        int64_t length = pbitc_integer_at(evaluation->inputs[1], entry);
        if (length < 0 || length > steps)
            return PBITC_MALFORMED(evaluation, "a sequence of %lld in %lld steps", (long long)length,
                                   (long long)steps);
        for (int64_t step = 0; step < steps; step++) {
            int64_t source = step < length ? length - 1 - step : step;
            int64_t to = time_first ? step * entries + entry : entry * steps + step;
            int64_t from = time_first ? source * entries + entry : entry * steps + source;
            memcpy((unsigned char *)evaluation->outputs[0].data + (size_t)to * bytes,
                   (const unsigned char *)input->data + (size_t)from * bytes, bytes);
        }
    }
    return PBIT_OK;
}
