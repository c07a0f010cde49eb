#include "passes/row_rules.h"

#include "passes/operators/operator_support.h"

#include <string.h>

static const struct pbitc_tensor *at_two(const struct pbitc_row_analysis *analysis,
                                         const struct pbitc_value *value)
{
    return &analysis->two.tensors[value->index];
}

int pbitc_growing_axis(const struct pbitc_row_analysis *analysis, const struct pbitc_value *value)
{
    const struct pbitc_shape *two = &at_two(analysis, value)->shape;
    const struct pbitc_shape *three = &analysis->three.tensors[value->index].shape;
    int axis = PBITC_ROWS_SAME;
    if (two->rank < 0 || two->rank != three->rank)
        return PBITC_ROWS_MIXED;
    for (int d = 0; d < two->rank; d++) {
        if (two->dims[d] == three->dims[d])
            continue;
        if (axis != PBITC_ROWS_SAME || two->dims[d] % 2 || two->dims[d] / 2 * 3 != three->dims[d])
            return PBITC_ROWS_MIXED;
        axis = d;
    }
    return axis;
}

static int64_t before(const struct pbitc_shape *shape, int axis)
{
    return pbitc_extent(shape, 0, axis);
}

static int input_axis(const struct pbitc_row_analysis *analysis, const struct pbitc_node *node, size_t index)
{
    if (index >= node->input_count || !node->inputs[index])
        return PBITC_ROWS_SAME;
    return analysis->axes[node->inputs[index]->index];
}

static int rank_of(const struct pbitc_row_analysis *analysis, const struct pbitc_node *node, size_t index)
{
    return at_two(analysis, node->inputs[index])->shape.rank;
}

static bool others_same(const struct pbitc_row_analysis *analysis, const struct pbitc_node *node,
                        size_t first)
{
    for (size_t i = first; i < node->input_count; i++)
        if (input_axis(analysis, node, i) != PBITC_ROWS_SAME)
            return false;
    return true;
}

/// Inputs that are broadcast together: counted from the last axis, all rows lie on one axis, and what is the
/// same for all rows has no extent there.
static int broadcast_axis(const struct pbitc_row_analysis *analysis, const struct pbitc_node *node,
                          int output_rank)
{
    int from_end = 0; // 1: the last axis
    for (size_t i = 0; i < node->input_count; i++) {
        int axis = input_axis(analysis, node, i);
        if (axis == PBITC_ROWS_MIXED)
            return PBITC_ROWS_MIXED;
        if (axis == PBITC_ROWS_SAME)
            continue;
        int place = rank_of(analysis, node, i) - axis;
        if (from_end && place != from_end)
            return PBITC_ROWS_MIXED;
        from_end = place;
    }
    for (size_t i = 0; i < node->input_count; i++) {
        if (!node->inputs[i] || input_axis(analysis, node, i) != PBITC_ROWS_SAME)
            continue;
        const struct pbitc_shape *shape = &at_two(analysis, node->inputs[i])->shape;
        if (from_end <= shape->rank && shape->dims[shape->rank - from_end] != 1)
            return PBITC_ROWS_MIXED;
    }
    return from_end ? output_rank - from_end : PBITC_ROWS_MIXED;
}

/// The axis of a product's rows: any but the one that is summed over.
static int product_axis(const struct pbitc_row_analysis *analysis, const struct pbitc_node *node)
{
    int left = input_axis(analysis, node, 0), right = input_axis(analysis, node, 1);
    int ranks[] = {rank_of(analysis, node, 0), rank_of(analysis, node, 1)};
    int from_end = ranks[0] - left, largest = ranks[0] > ranks[1] ? ranks[0] : ranks[1];
    if (left < 0 || ranks[0] < 2 || ranks[1] < 2 || from_end < 2 || !others_same(analysis, node, 2))
        return PBITC_ROWS_MIXED;
    if (right == PBITC_ROWS_SAME) {
        const struct pbitc_shape *shape = &at_two(analysis, node->inputs[1])->shape;
        bool wide = from_end > 2 && from_end <= shape->rank && shape->dims[shape->rank - from_end] != 1;
        return wide ? PBITC_ROWS_MIXED : largest - from_end;
    }
    return from_end > 2 && ranks[1] - right == from_end ? largest - from_end : PBITC_ROWS_MIXED;
}

static int gemm_axis(const struct pbitc_row_analysis *analysis, const struct pbitc_node *node)
{
    bool bias = node->input_count > 2 && node->inputs[2];
    const struct pbitc_shape *shape = bias ? &at_two(analysis, node->inputs[2])->shape : NULL;
    bool narrow = !bias || shape->rank < 2 || shape->dims[shape->rank - 2] == 1;
    return input_axis(analysis, node, 0) == 0 && !pbitc_node_int(node, "transA", 0) && narrow &&
                   others_same(analysis, node, 1)
               ? 0
               : PBITC_ROWS_MIXED;
}

/// An axis attribute in 0..rank-1.
static int named_axis(const struct pbitc_row_analysis *analysis, const struct pbitc_node *node, int fallback)
{
    int rank = rank_of(analysis, node, 0), axis = (int)pbitc_node_int(node, "axis", fallback);
    return axis < 0 ? axis + rank : axis;
}

/// Works along the axis that the attribute names; `onwards`: and along those after it.
static int along_axis(const struct pbitc_row_analysis *analysis, const struct pbitc_node *node, int fallback,
                      bool onwards)
{
    int rows = input_axis(analysis, node, 0), axis = named_axis(analysis, node, fallback);
    if (rows < 0 || !others_same(analysis, node, 1))
        return PBITC_ROWS_MIXED;
    return onwards ? (rows < axis ? rows : PBITC_ROWS_MIXED) : (rows != axis ? rows : PBITC_ROWS_MIXED);
}

/// Axes as a list of int64 that is known; false: not known.
static bool read_axes(const struct pbitc_row_analysis *analysis, const struct pbitc_node *node, size_t index,
                      int rank, bool chosen[PBITC_MAX_RANK])
{
    memset(chosen, 0, PBITC_MAX_RANK * sizeof(*chosen));
    if (index >= node->input_count || !node->inputs[index])
        return false;
    const struct pbitc_tensor *axes = at_two(analysis, node->inputs[index]);
    if (!axes->data || input_axis(analysis, node, index) != PBITC_ROWS_SAME ||
        (axes->type != PBITC_INT64 && axes->type != PBITC_INT32))
        return false;
    for (int64_t i = 0; i < pbitc_shape_elements(&axes->shape); i++) {
        int64_t axis = pbitc_integer_at(axes, i);
        axis += axis < 0 ? rank : 0;
        if (axis < 0 || axis >= rank)
            return false;
        chosen[axis] = true;
    }
    return true;
}

static int reduction_axis(const struct pbitc_row_analysis *analysis, const struct pbitc_node *node)
{
    int rows = input_axis(analysis, node, 0), rank = rank_of(analysis, node, 0), left_out = 0;
    bool chosen[PBITC_MAX_RANK];
    bool keep = pbitc_node_int(node, "keepdims", 1) != 0;
    if (pbitc_node_is(node, PBITC_OP_ArgMax) || pbitc_node_is(node, PBITC_OP_ArgMin)) {
        memset(chosen, 0, sizeof(chosen));
        chosen[named_axis(analysis, node, 0)] = true;
    } else if (!read_axes(analysis, node, 1, rank, chosen))
        return PBITC_ROWS_MIXED;
    if (rows < 0 || chosen[rows])
        return PBITC_ROWS_MIXED;
    for (int d = 0; d < rows; d++)
        left_out += chosen[d] && !keep;
    return rows - left_out;
}

/// Reshape, Flatten, Squeeze, Unsqueeze: rows that are contiguous inside as many blocks as before.
static int view_axis(const struct pbitc_row_analysis *analysis, const struct pbitc_node *node, size_t output)
{
    int rows = input_axis(analysis, node, 0), axis = pbitc_growing_axis(analysis, node->outputs[output]);
    if (rows < 0 || axis < 0)
        return PBITC_ROWS_MIXED;
    const struct pbitc_shape *input = &at_two(analysis, node->inputs[0])->shape;
    const struct pbitc_shape *result = &at_two(analysis, node->outputs[output])->shape;
    return before(input, rows) == before(result, axis) ? axis : PBITC_ROWS_MIXED;
}

static int transpose_axis(const struct pbitc_row_analysis *analysis, const struct pbitc_node *node)
{
    size_t count;
    const int64_t *order = pbitc_node_ints(node, "perm", &count);
    int rows = input_axis(analysis, node, 0), rank = rank_of(analysis, node, 0);
    if (rows < 0 || !order)
        return rows < 0 ? PBITC_ROWS_MIXED : rank - 1 - rows;
    for (size_t i = 0; i < count; i++)
        if (order[i] == rows)
            return (int)i;
    return PBITC_ROWS_MIXED;
}

static int concat_axis(const struct pbitc_row_analysis *analysis, const struct pbitc_node *node)
{
    int rows = input_axis(analysis, node, 0);
    for (size_t i = 1; i < node->input_count; i++)
        if (input_axis(analysis, node, i) != rows)
            return PBITC_ROWS_MIXED;
    return rows >= 0 && rows != named_axis(analysis, node, 0) ? rows : PBITC_ROWS_MIXED;
}

static int gather_axis(const struct pbitc_row_analysis *analysis, const struct pbitc_node *node)
{
    int data = input_axis(analysis, node, 0), indices = input_axis(analysis, node, 1);
    int axis = named_axis(analysis, node, 0), rank = rank_of(analysis, node, 1);
    if (data == PBITC_ROWS_SAME && indices >= 0)
        return axis + indices;
    if (data < 0 || indices != PBITC_ROWS_SAME || data == axis)
        return PBITC_ROWS_MIXED;
    return data < axis ? data : data + rank - 1;
}

/// Slice names its axes; Pad, Tile, Expand, Resize and CenterCropPad must leave the axis of the rows as it
/// is.
static int reshaping_axis(const struct pbitc_row_analysis *analysis, const struct pbitc_node *node)
{
    int rows = input_axis(analysis, node, 0), axis = pbitc_growing_axis(analysis, node->outputs[0]);
    const struct pbitc_tensor *input = at_two(analysis, node->inputs[0]);
    const struct pbitc_tensor *output = at_two(analysis, node->outputs[0]);
    if (pbitc_node_is(node, PBITC_OP_Expand) && axis >= 0) {
        int place = input->shape.rank - (output->shape.rank - axis); // in the input, if it reaches that far
        if (rows == PBITC_ROWS_SAME)
            return place < 0 || input->shape.dims[place] == 1 ? axis : PBITC_ROWS_MIXED;
        return rows == place && input->shape.dims[place] == output->shape.dims[axis] ? axis
                                                                                     : PBITC_ROWS_MIXED;
    }
    if (rows < 0 || axis != rows || input->shape.dims[rows] != output->shape.dims[rows])
        return PBITC_ROWS_MIXED;
    bool shaped = pbitc_node_is(node, PBITC_OP_Tile) || pbitc_node_is(node, PBITC_OP_Expand);
    if (!shaped && (input_axis(analysis, node, 1) != PBITC_ROWS_SAME ||
                    input_axis(analysis, node, 2) == PBITC_ROWS_MIXED))
        return PBITC_ROWS_MIXED;
    if (pbitc_node_is(node, PBITC_OP_Slice)) {
        bool chosen[PBITC_MAX_RANK];
        return read_axes(analysis, node, 3, input->shape.rank, chosen) && !chosen[rows] ? rows
                                                                                        : PBITC_ROWS_MIXED;
    }
    if (pbitc_node_is(node, PBITC_OP_Pad)) { // as much cut off at one end as added at the other
        const struct pbitc_tensor *pads = at_two(analysis, node->inputs[1]);
        bool whole = pads->data && pbitc_shape_elements(&pads->shape) == 2 * input->shape.rank &&
                     (node->input_count < 4 || !node->inputs[3]);
        return whole && pbitc_integer_at(pads, rows) == 0 ? rows : PBITC_ROWS_MIXED;
    }
    return rows;
}

static int one_hot_axis(const struct pbitc_row_analysis *analysis, const struct pbitc_node *node)
{
    int rows = input_axis(analysis, node, 0), rank = rank_of(analysis, node, 0);
    int64_t axis = pbitc_node_int(node, "axis", -1);
    axis += axis < 0 ? rank + 1 : 0;
    return rows < 0 || !others_same(analysis, node, 1) ? PBITC_ROWS_MIXED : rows < axis ? rows : rows + 1;
}

/// Scales and zero points are one for all, or lie along another axis.
static int quantization_axis(const struct pbitc_row_analysis *analysis, const struct pbitc_node *node)
{
    int rows = input_axis(analysis, node, 0);
    bool single = pbitc_shape_elements(&at_two(analysis, node->inputs[1])->shape) == 1;
    if (rows < 0 || !others_same(analysis, node, 1) || pbitc_node_int(node, "block_size", 0))
        return PBITC_ROWS_MIXED;
    return single || named_axis(analysis, node, 1) != rows ? rows : PBITC_ROWS_MIXED;
}

/// X is [time, rows, inputs], states [directions, rows, units].
static int recurrent_axis(const struct pbitc_row_analysis *analysis, const struct pbitc_node *node,
                          size_t output)
{
    if (pbitc_node_int(node, "layout", 0) || input_axis(analysis, node, 0) != 1 ||
        input_axis(analysis, node, 4) != PBITC_ROWS_SAME)
        return PBITC_ROWS_MIXED;
    for (size_t i = 1; i < node->input_count; i++) {
        bool state = i == 5 || i == 6;
        if (node->inputs[i] && input_axis(analysis, node, i) != (state ? 1 : PBITC_ROWS_SAME))
            return PBITC_ROWS_MIXED;
    }
    return output == 0 ? 2 : 1;
}

/// Input 0 holds one image per position of axis 0, the others are parameters.
static int image_axis(const struct pbitc_row_analysis *analysis, const struct pbitc_node *node)
{
    return input_axis(analysis, node, 0) == 0 && others_same(analysis, node, 1) ? 0 : PBITC_ROWS_MIXED;
}

static bool is_elementwise(const struct pbitc_node *node)
{
    switch ((int)node->op->id) {
    case PBITC_OP_Add:
    case PBITC_OP_Sub:
    case PBITC_OP_Mul:
    case PBITC_OP_Div:
    case PBITC_OP_Mod:
    case PBITC_OP_Pow:
    case PBITC_OP_Min:
    case PBITC_OP_Max:
    case PBITC_OP_Sum:
    case PBITC_OP_Mean:
    case PBITC_OP_Equal:
    case PBITC_OP_Less:
    case PBITC_OP_LessOrEqual:
    case PBITC_OP_Greater:
    case PBITC_OP_GreaterOrEqual:
    case PBITC_OP_And:
    case PBITC_OP_Or:
    case PBITC_OP_Xor:
    case PBITC_OP_Where:
    case PBITC_OP_Not:
    case PBITC_OP_Abs:
    case PBITC_OP_Neg:
    case PBITC_OP_Sqrt:
    case PBITC_OP_Exp:
    case PBITC_OP_Log:
    case PBITC_OP_Erf:
    case PBITC_OP_Sin:
    case PBITC_OP_Cos:
    case PBITC_OP_Floor:
    case PBITC_OP_Ceil:
    case PBITC_OP_Round:
    case PBITC_OP_Reciprocal:
    case PBITC_OP_Shrink:
    case PBITC_OP_IsNaN:
    case PBITC_OP_IsInf:
    case PBITC_OP_Identity:
    case PBITC_OP_Dropout:
    case PBITC_OP_Cast:
    case PBITC_OP_Quant:
    case PBITC_OP_BipolarQuant:
    case PBITC_OP_Trunc:
    case PBITC_OP_Binarizer:
    case PBITC_OP_LabelEncoder:
        return true;
    default:
        return node->op->flags & PBITC_OPERATOR_ACTIVATION;
    }
}

/// Types and shapes of all inputs are known.
static bool inputs_known(const struct pbitc_row_analysis *analysis, const struct pbitc_node *node)
{
    for (size_t i = 0; i < node->input_count; i++)
        if (node->inputs[i] && at_two(analysis, node->inputs[i])->shape.rank < 0)
            return false;
    return true;
}

int pbitc_row_axis(const struct pbitc_row_analysis *analysis, const struct pbitc_node *node, size_t output)
{
    if (!inputs_known(analysis, node))
        return PBITC_ROWS_MIXED;
    const struct pbitc_shape *shape = &at_two(analysis, node->outputs[output])->shape;
    if (is_elementwise(node))
        return broadcast_axis(analysis, node, shape->rank);
    switch ((int)node->op->id) {
    case PBITC_OP_Conv:
    case PBITC_OP_ConvTranspose:
    case PBITC_OP_ConvInteger:
    case PBITC_OP_QLinearConv:
    case PBITC_OP_MaxPool:
    case PBITC_OP_AveragePool:
    case PBITC_OP_LpPool:
    case PBITC_OP_GlobalAveragePool:
    case PBITC_OP_GlobalMaxPool:
    case PBITC_OP_GlobalLpPool:
    case PBITC_OP_InstanceNormalization:
    case PBITC_OP_GroupNormalization:
    case PBITC_OP_LRN:
    case PBITC_OP_DepthToSpace:
    case PBITC_OP_SpaceToDepth:
    case PBITC_OP_LinearClassifier:
    case PBITC_OP_LinearRegressor:
    case PBITC_OP_SVMRegressor:
    case PBITC_OP_TreeEnsembleClassifier:
    case PBITC_OP_TreeEnsembleRegressor:
    case PBITC_OP_Scaler:
    case PBITC_OP_Normalizer:
    case PBITC_OP_Imputer:
    case PBITC_OP_OneHotEncoder:
    case PBITC_OP_ZipMap:
        return output == 0 || !pbitc_node_is(node, PBITC_OP_MaxPool) ? image_axis(analysis, node)
                                                                     : PBITC_ROWS_MIXED;
    case PBITC_OP_BatchNormalization:
        return output == 0 && !pbitc_node_int(node, "training_mode", 0) ? image_axis(analysis, node)
                                                                        : PBITC_ROWS_MIXED;
    case PBITC_OP_Gemm:
        return gemm_axis(analysis, node);
    case PBITC_OP_MatMul:
    case PBITC_OP_MatMulInteger:
        return product_axis(analysis, node);
    case PBITC_OP_Softmax:
    case PBITC_OP_LogSoftmax:
    case PBITC_OP_Hardmax:
        return along_axis(analysis, node, -1, pbitc_node_int(node, "legacy", 0));
    case PBITC_OP_LpNormalization:
    case PBITC_OP_TopK:
        return along_axis(analysis, node, -1, false);
    case PBITC_OP_Split:
        return along_axis(analysis, node, 0, false);
    case PBITC_OP_LayerNormalization:
    case PBITC_OP_RMSNormalization:
        return along_axis(analysis, node, -1, true);
    case PBITC_OP_ReduceMean:
    case PBITC_OP_ReduceSum:
    case PBITC_OP_ReduceMax:
    case PBITC_OP_ReduceMin:
    case PBITC_OP_ReduceProd:
    case PBITC_OP_ReduceSumSquare:
    case PBITC_OP_ReduceLogSum:
    case PBITC_OP_ReduceLogSumExp:
    case PBITC_OP_ArgMax:
    case PBITC_OP_ArgMin:
        return reduction_axis(analysis, node);
    case PBITC_OP_Reshape:
    case PBITC_OP_Flatten:
    case PBITC_OP_Squeeze:
    case PBITC_OP_Unsqueeze:
        return view_axis(analysis, node, output);
    case PBITC_OP_Transpose:
        return transpose_axis(analysis, node);
    case PBITC_OP_Concat:
        return concat_axis(analysis, node);
    case PBITC_OP_Gather:
        return gather_axis(analysis, node);
    case PBITC_OP_Slice:
    case PBITC_OP_Pad:
    case PBITC_OP_Tile:
    case PBITC_OP_Expand:
    case PBITC_OP_Resize:
        return reshaping_axis(analysis, node);
    case PBITC_OP_OneHot:
        return one_hot_axis(analysis, node);
    case PBITC_OP_QuantizeLinear:
    case PBITC_OP_DequantizeLinear:
        return quantization_axis(analysis, node);
    case PBITC_OP_LSTM:
    case PBITC_OP_GRU:
    case PBITC_OP_RNN:
        return recurrent_axis(analysis, node, output);
    case PBITC_OP_ConstantOfShape:
        return pbitc_growing_axis(analysis, node->outputs[output]);
    default:
        return PBITC_ROWS_MIXED;
    }
}
