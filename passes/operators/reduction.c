// ReduceSum and its kin, ArgMax and ArgMin.
#include "passes/operators/operator_support.h"

#include <math.h>

/// Axes given as input 1; none given means all of them, or none at all with noop_with_empty_axes.
static enum pbit_status reduction_axes(struct pbitc_evaluation *evaluation, bool reduced[PBITC_MAX_RANK])
{
    const struct pbitc_tensor *axes = pbitc_input(evaluation, 1);
    int rank = evaluation->inputs[0]->shape.rank;
    for (int i = 0; i < PBITC_MAX_RANK; i++)
        reduced[i] = false;
    if (axes && pbitc_shape_elements(&axes->shape) > 0)
        return pbitc_axes_input(evaluation, 1, rank, reduced);
    if (!pbitc_node_int(evaluation->node, "noop_with_empty_axes", 0))
        for (int i = 0; i < rank; i++)
            reduced[i] = true;
    return PBIT_OK;
}

static struct pbitc_shape reduced_shape(const struct pbitc_shape *input, const bool reduced[PBITC_MAX_RANK],
                                        bool keep)
{
    struct pbitc_shape shape = {.rank = 0};
    for (int i = 0; i < input->rank; i++)
        if (!reduced[i])
            shape.dims[shape.rank++] = input->dims[i];
        else if (keep)
            shape.dims[shape.rank++] = 1;
    return shape;
}

enum pbit_status infer_reduction(struct pbitc_evaluation *evaluation)
{
    bool extreme = pbitc_node_is(evaluation->node, PBITC_OP_ReduceMax) ||
                   pbitc_node_is(evaluation->node, PBITC_OP_ReduceMin);
    bool reduced[PBITC_MAX_RANK];
    bool logarithm = pbitc_node_is(evaluation->node, PBITC_OP_ReduceLogSum) ||
                     pbitc_node_is(evaluation->node, PBITC_OP_ReduceLogSumExp);
    enum pbit_status status = pbitc_require_type(
        evaluation, 0,
        logarithm ? (unsigned)PBITC_TYPES_FLOAT : PBITC_TYPES_NUMERIC | (extreme ? PBITC_TYPES_BOOL : 0u));
    if (!status)
        status = reduction_axes(evaluation, reduced);
    if (status)
        return status;
    struct pbitc_shape shape = reduced_shape(&evaluation->inputs[0]->shape, reduced,
                                             pbitc_node_int(evaluation->node, "keepdims", 1) != 0);
    pbitc_set_output(evaluation, 0, evaluation->inputs[0]->type, &shape);
    return PBIT_OK;
}

/// Two nested walks over the input: `kept` goes from output to output, `inner` over what is reduced for one.
struct reduction {
    struct pbitc_walk kept, inner;
    int64_t count; ///< elements reduced to one
};

static void reduction_begin(struct reduction *reduction, const struct pbitc_shape *input,
                            const bool reduced[PBITC_MAX_RANK])
{
    int64_t strides[PBITC_MAX_RANK];
    int64_t kept_strides[1][PBITC_MAX_RANK] = {{0}}, inner_strides[1][PBITC_MAX_RANK] = {{0}};
    struct pbitc_shape kept = {.rank = 0}, inner = {.rank = 0};
    pbitc_strides(input, strides);
    for (int i = 0; i < input->rank; i++) {
        struct pbitc_shape *to = reduced[i] ? &inner : &kept;
        (reduced[i] ? inner_strides : kept_strides)[0][to->rank] = strides[i];
        to->dims[to->rank++] = input->dims[i];
    }
    pbitc_walk_strided(&reduction->kept, &kept, 1, kept_strides);
    pbitc_walk_strided(&reduction->inner, &inner, 1, inner_strides);
    reduction->count = pbitc_shape_elements(&inner);
}

/// Reduces x over each group: `state` starts as `begin`, every x does `update`, the output is `finish`.
#define REDUCE(element, accumulator, begin, update, finish)                                                  \
    for (; !r.kept.done; pbitc_walk_next(&r.kept))                                                           \
        for (int64_t i = 0; i < r.kept.length; i++) {                                                        \
            const element *base = input + r.kept.offset[0] + i * r.kept.step[0];                             \
            accumulator state = begin;                                                                       \
            for (struct pbitc_walk walk = r.inner; !walk.done; pbitc_walk_next(&walk))                       \
                for (int64_t j = 0; j < walk.length; j++) {                                                  \
                    const element x = base[walk.offset[0] + j * walk.step[0]];                               \
                    update;                                                                                  \
                }                                                                                            \
            output[r.kept.position + i] = (element)(finish);                                                 \
        }                                                                                                    \
    break;

/// log(sum(exp(x))) from its running maximum and the sum of exp(x - maximum).
struct exponential_sum {
    double largest, total;
};

static struct exponential_sum add_exponential(struct exponential_sum state, double x)
{
    if (x <= state.largest)
        state.total += x == state.largest ? 1 : exp(x - state.largest);
    else if (x > state.largest)
        state = (struct exponential_sum){x, state.total * exp(state.largest - x) + 1};
    else
        state = (struct exponential_sum){x, x}; // not a number
    return state;
}

/// sum: type of sums and products (integers modulo 2^64); quotient: in which the mean is divided.
#define REDUCE_TYPE(type, element, sum, quotient, lowest, highest)                                           \
    case type: {                                                                                             \
        const element *input = evaluation->inputs[0]->data, zero = 0;                                        \
        element *output = evaluation->outputs[0].data;                                                       \
        switch (evaluation->node->op->id) {                                                                  \
        case PBITC_OP_ReduceSum:                                                                             \
            REDUCE(element, sum, 0, state += (sum)x, state)                                                  \
        case PBITC_OP_ReduceMean:                                                                            \
            REDUCE(element, sum, 0, state += (sum)x,                                                         \
                   r.count ? (quotient)state / (quotient)r.count : (quotient)NAN_OR_ZERO(lowest))            \
        case PBITC_OP_ReduceProd:                                                                            \
            REDUCE(element, sum, 1, state *= (sum)x, state)                                                  \
        case PBITC_OP_ReduceL1:                                                                              \
            REDUCE(element, sum, 0, state += x < zero ? 0 - (sum)x : (sum)x, state)                          \
        case PBITC_OP_ReduceL2:                                                                              \
            REDUCE(element, sum, 0, state += (sum)x * (sum)x, sqrt((double)state))                           \
        case PBITC_OP_ReduceSumSquare:                                                                       \
            REDUCE(element, sum, 0, state += (sum)x * (sum)x, state)                                         \
        case PBITC_OP_ReduceLogSum:                                                                          \
            REDUCE(element, sum, 0, state += (sum)x, log((double)state))                                     \
        case PBITC_OP_ReduceLogSumExp: {                                                                     \
            const struct exponential_sum none = {-INFINITY, 0};                                              \
            REDUCE(element, struct exponential_sum, none, state = add_exponential(state, (double)x),         \
                   state.largest + log(state.total))                                                         \
        }                                                                                                    \
        case PBITC_OP_ReduceMax:                                                                             \
            REDUCE(element, element, lowest, state = x > state ? x : state, state)                           \
        default: /* ReduceMin */                                                                             \
            REDUCE(element, element, highest, state = x < state ? x : state, state)                          \
        }                                                                                                    \
        break;                                                                                               \
    }

/// The mean of nothing: NaN for floats (whose lowest is an infinity), 0 for integers.
#define NAN_OR_ZERO(lowest) ((double)(lowest) == -INFINITY ? (double)NAN : 0.0)

enum pbit_status evaluate_reduction(struct pbitc_evaluation *evaluation)
{
    bool reduced[PBITC_MAX_RANK];
    struct reduction r;
    enum pbit_status status = reduction_axes(evaluation, reduced);
    if (status)
        return status;
    reduction_begin(&r, &evaluation->inputs[0]->shape, reduced);
    switch (evaluation->inputs[0]->type) {
        REDUCE_TYPE(PBITC_FLOAT32, float, double, double, -INFINITY, INFINITY)
        REDUCE_TYPE(PBITC_FLOAT64, double, double, double, -(double)INFINITY, (double)INFINITY)
        REDUCE_TYPE(PBITC_INT8, int8_t, uint64_t, int64_t, INT8_MIN, INT8_MAX)
        REDUCE_TYPE(PBITC_INT16, int16_t, uint64_t, int64_t, INT16_MIN, INT16_MAX)
        REDUCE_TYPE(PBITC_INT32, int32_t, uint64_t, int64_t, INT32_MIN, INT32_MAX)
        REDUCE_TYPE(PBITC_INT64, int64_t, uint64_t, int64_t, INT64_MIN, INT64_MAX)
    case PBITC_BOOL: // as 0 and 1
        REDUCE_TYPE(PBITC_UINT8, uint8_t, uint64_t, uint64_t, 0,
                    evaluation->inputs[0]->type == PBITC_BOOL ? 1 : 255)
        REDUCE_TYPE(PBITC_UINT16, uint16_t, uint64_t, uint64_t, 0, UINT16_MAX)
        REDUCE_TYPE(PBITC_UINT32, uint32_t, uint64_t, uint64_t, 0, UINT32_MAX)
        REDUCE_TYPE(PBITC_UINT64, uint64_t, uint64_t, uint64_t, 0, UINT64_MAX)
    default:
        break;
    }
    return PBIT_OK;
}

enum pbit_status infer_arg(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_shape *input = &evaluation->inputs[0]->shape;
    bool reduced[PBITC_MAX_RANK] = {false};
    int axis = 0;
    enum pbit_status status = pbitc_require_type(evaluation, 0, PBITC_TYPES_NUMERIC);
    if (!status)
        status = pbitc_axis_attribute(evaluation, 0, input->rank, &axis);
    if (!status && input->dims[axis] == 0)
        status = PBITC_MALFORMED(evaluation, "axis %d is empty", axis);
    if (status)
        return status;
    reduced[axis] = true;
    struct pbitc_shape shape =
        reduced_shape(input, reduced, pbitc_node_int(evaluation->node, "keepdims", 1) != 0);
    pbitc_set_output(evaluation, 0, PBITC_INT64, &shape);
    return PBIT_OK;
}

#define FIND_EXTREME(type, element, modular)                                                                 \
    case type:                                                                                               \
        for (int64_t o = 0; o < outer * inner; o++) {                                                        \
            const element *line =                                                                            \
                (const element *)evaluation->inputs[0]->data + o / inner * count * inner + o % inner;        \
            int64_t best = 0;                                                                                \
            for (int64_t i = 1; i < count; i++) {                                                            \
                const element x = line[i * inner], y = line[best * inner];                                   \
                if ((largest ? x > y : x < y) || (last && x == y))                                           \
                    best = i;                                                                                \
            }                                                                                                \
            output[o] = best;                                                                                \
        }                                                                                                    \
        break;

enum pbit_status evaluate_arg(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_shape *shape = &evaluation->inputs[0]->shape;
    int axis = 0;
    enum pbit_status status = pbitc_axis_attribute(evaluation, 0, shape->rank, &axis);
    bool largest = pbitc_node_is(evaluation->node, PBITC_OP_ArgMax);
    bool last = pbitc_node_int(evaluation->node, "select_last_index", 0) != 0;
    int64_t outer = pbitc_extent(shape, 0, axis), inner = pbitc_extent(shape, axis + 1, shape->rank);
    int64_t count = shape->dims[axis], *output = evaluation->outputs[0].data;
    switch (evaluation->inputs[0]->type) {
        PBITC_FOR_NUMERIC_TYPES(FIND_EXTREME)
    default:
        break;
    }
    return status;
}

/// CumSum: input 1 is the axis.
enum pbit_status infer_cumulative(struct pbitc_evaluation *evaluation)
{
    int axis;
    enum pbit_status status = pbitc_require_scalar(evaluation, 1);
    if (!status)
        status = pbitc_require_parameter(evaluation, 1, "axis", PBITC_TYPES_INDEX);
    if (!status)
        status = pbitc_axis(evaluation, pbitc_integer_at(evaluation->inputs[1], 0),
                            evaluation->inputs[0]->shape.rank, &axis);
    return status ? status : infer_numeric(evaluation);
}

#define CUMULATE(type, element, sum)                                                                         \
    case type:                                                                                               \
        for (int64_t o = 0; o < outer * inner; o++) {                                                        \
            int64_t start = (o / inner * count + (reverse ? count - 1 : 0)) * inner + o % inner;             \
            const element *from = (const element *)evaluation->inputs[0]->data + start;                      \
            element *to = (element *)evaluation->outputs[0].data + start;                                    \
            sum total = 0;                                                                                   \
            for (int64_t i = 0; i < count; i++, from += step, to += step) {                                  \
                if (exclusive)                                                                               \
                    *to = (element)total;                                                                    \
                total = (sum)(element)(total + (sum)*from);                                                  \
                if (!exclusive)                                                                              \
                    *to = (element)total;                                                                    \
            }                                                                                                \
        }                                                                                                    \
        break;

enum pbit_status evaluate_cumulative_sum(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_shape *shape = &evaluation->inputs[0]->shape;
    bool exclusive = pbitc_node_int(evaluation->node, "exclusive", 0) != 0;
    bool reverse = pbitc_node_int(evaluation->node, "reverse", 0) != 0;
    int axis = 0;
    enum pbit_status status =
        pbitc_axis(evaluation, pbitc_integer_at(evaluation->inputs[1], 0), shape->rank, &axis);
    int64_t outer = pbitc_extent(shape, 0, axis), inner = pbitc_extent(shape, axis + 1, shape->rank);
    int64_t count = shape->dims[axis], step = reverse ? -inner : inner;
    if (status || count == 0)
        return status;
    switch (evaluation->inputs[0]->type) {
        PBITC_FOR_NUMERIC_TYPES(CUMULATE)
    default:
        break;
    }
    return status;
}
