// QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear: per tensor, per slice of an axis, or in blocks
// along an axis (opset 21).
#include "passes/operators/quantization.h"

#include <math.h>
#include <string.h>

enum {
    LEVEL_TYPES = PBITC_TYPES_EIGHT_BIT | 1 << PBITC_UINT16 | 1 << PBITC_INT16,
    BLOCK = 256, ///< elements converted at a time
};

/// How the elements of a tensor share scales. The tensor is seen as outer x axis x inner.
struct grid {
    int64_t outer, axis, inner;
    int64_t block; ///< neighbours along the axis that share a scale; 0: one scale (slice) for each index
    bool whole;    ///< one scale for the whole tensor
};

struct pbitc_levels pbitc_levels_of(enum pbitc_type type)
{
    switch (type) {
    case PBITC_INT8:
        return (struct pbitc_levels){INT8_MIN, INT8_MAX};
    case PBITC_UINT16:
        return (struct pbitc_levels){0, UINT16_MAX};
    case PBITC_INT16:
        return (struct pbitc_levels){INT16_MIN, INT16_MAX};
    default:
        return (struct pbitc_levels){0, UINT8_MAX};
    }
}

float pbitc_quantize(float ratio, float zero_point, struct pbitc_levels levels)
{
    float level = rintf(ratio) + zero_point;
    return level >= (float)levels.high ? (float)levels.high
           : level > (float)levels.low ? level
                                       : (float)levels.low;
}

/// One scale for every `block_size` elements along the axis.
static enum pbit_status read_blocks(struct pbitc_evaluation *evaluation, int64_t block, struct grid *grid)
{
    const struct pbitc_shape *shape = &evaluation->inputs[0]->shape, *scales = &evaluation->inputs[1]->shape;
    int axis = 0;
    enum pbit_status status = pbitc_axis_attribute(evaluation, 1, shape->rank, &axis);
    if (status)
        return status;
    struct pbitc_shape expected = *shape;
    expected.dims[axis] = shape->dims[axis] / block + (shape->dims[axis] % block != 0);
    if (!pbitc_shape_equal(&expected, scales))
        return PBITC_MALFORMED(evaluation, "scale of shape %s, expected %s for block_size = %lld",
                               pbitc_shape_format(scales).text, pbitc_shape_format(&expected).text,
                               (long long)block);
    *grid = (struct grid){.outer = pbitc_extent(shape, 0, axis),
                          .axis = shape->dims[axis],
                          .inner = pbitc_extent(shape, axis + 1, shape->rank),
                          .block = block};
    return PBIT_OK;
}

static enum pbit_status read_grid(struct pbitc_evaluation *evaluation, struct grid *grid)
{
    const struct pbitc_shape *shape = &evaluation->inputs[0]->shape, *scales = &evaluation->inputs[1]->shape;
    int64_t block = pbitc_node_int(evaluation->node, "block_size", 0);
    int axis = 0;
    if (block < 0)
        return PBITC_MALFORMED(evaluation, "block_size = %lld", (long long)block);
    if (block > 0)
        return read_blocks(evaluation, block, grid);
    if (scales->rank <= 1 && pbitc_shape_elements(scales) == 1) {
        *grid = (struct grid){.outer = 1, .axis = 1, .inner = pbitc_shape_elements(shape), .whole = true};
        return PBIT_OK;
    }
    enum pbit_status status = pbitc_require_rank(evaluation, 1, 1, 1);
    if (!status)
        status = pbitc_axis_attribute(evaluation, 1, shape->rank, &axis);
    if (!status && scales->dims[0] != shape->dims[axis])
        status = PBITC_MALFORMED(evaluation, "%lld scales for an axis of %lld", (long long)scales->dims[0],
                                 (long long)shape->dims[axis]);
    if (!status)
        *grid = (struct grid){.outer = pbitc_extent(shape, 0, axis),
                              .axis = shape->dims[axis],
                              .inner = pbitc_extent(shape, axis + 1, shape->rank)};
    return status;
}

/// Scale and zero point have one shape, and room for float copies of both is in the scratch memory.
static enum pbit_status infer_parameters(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_tensor *scale = evaluation->inputs[1], *zero_point = pbitc_input(evaluation, 2);
    struct grid grid;
    enum pbit_status status = pbitc_require_type(evaluation, 1, PBITC_TYPES_FLOAT);
    if (!status)
        status = read_grid(evaluation, &grid);
    int64_t count = pbitc_shape_elements(&scale->shape);
    if (!status && zero_point && pbitc_shape_elements(&zero_point->shape) != count)
        status = PBITC_MALFORMED(evaluation, "zero point of shape %s, scale of shape %s",
                                 pbitc_shape_format(&zero_point->shape).text,
                                 pbitc_shape_format(&scale->shape).text);
    if (!status && !(pbitc_add_scratch(evaluation, count, sizeof(float)) &&
                     pbitc_add_scratch(evaluation, count, sizeof(float))))
        status = PBITC_REFUSE(evaluation, NULL, "the scales are too many");
    return status;
}

enum pbit_status infer_quantize_linear(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_tensor *zero_point = pbitc_input(evaluation, 2);
    int64_t asked = pbitc_node_int(evaluation->node, "output_dtype", PBITC_TYPE_NONE);
    enum pbitc_type type = zero_point ? zero_point->type : PBITC_UINT8;
    enum pbit_status status = pbitc_require_type(evaluation, 0, PBITC_TYPES_FLOAT | 1 << PBITC_INT32);
    if (!status)
        status = pbitc_require_type(evaluation, 2, LEVEL_TYPES);
    if (status)
        return status;
    if (asked != PBITC_TYPE_NONE && zero_point && asked != (int64_t)type)
        return PBITC_MALFORMED(evaluation, "output_dtype = %lld with a zero point of type %s",
                               (long long)asked, pbitc_type_name(type));
    if (asked < 0 || asked > PBITC_BFLOAT16 || (asked && !(LEVEL_TYPES >> asked & 1)))
        return PBITC_REFUSE(evaluation, "quantize to 8 or 16 bits", "output_dtype = %lld is not supported",
                            (long long)asked);
    pbitc_set_output(evaluation, 0, asked ? (enum pbitc_type)asked : type, &evaluation->inputs[0]->shape);
    return infer_parameters(evaluation);
}

enum pbit_status infer_dequantize_linear(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_tensor *levels = evaluation->inputs[0], *zero_point = pbitc_input(evaluation, 2);
    int64_t asked = pbitc_node_int(evaluation->node, "output_dtype", PBITC_TYPE_NONE);
    enum pbitc_type type = evaluation->inputs[1]->type;
    enum pbit_status status = pbitc_require_type(evaluation, 0, LEVEL_TYPES | 1 << PBITC_INT32);
    if (!status && zero_point && zero_point->type != levels->type)
        status = PBITC_MALFORMED(evaluation, "the zero point is %s but input 0 is %s",
                                 pbitc_type_name(zero_point->type), pbitc_type_name(levels->type));
    if (!status && asked != PBITC_TYPE_NONE && asked != PBITC_FLOAT32)
        status = PBITC_REFUSE(evaluation, NULL, "output_dtype = %lld is not supported", (long long)asked);
    pbitc_set_output(evaluation, 0, asked ? (enum pbitc_type)asked : type, &levels->shape);
    return status ? status : infer_parameters(evaluation);
}

/// A run of elements, with the scales of its first element and how far the next element's are.
struct run {
    const float *scales, *zero_points;
    int64_t step;
};

static void quantize_run(const struct run *run, const struct pbitc_tensor *input, int64_t start,
                         int64_t count, struct pbitc_tensor *output)
{
    float reals[BLOCK];
    struct pbitc_levels levels = pbitc_levels_of(output->type);
    size_t from = pbitc_type_bytes(input->type), to = pbitc_type_bytes(output->type);
    for (int64_t done = 0; done < count; done += BLOCK) {
        int64_t length = count - done < BLOCK ? count - done : BLOCK;
        size_t at = (size_t)(start + done);
        pbitc_convert(PBITC_FLOAT32, reals, input->type, (const unsigned char *)input->data + at * from,
                      length);
        for (int64_t i = 0; i < length; i++) {
            int64_t parameter = (done + i) * run->step;
            reals[i] = pbitc_quantize(reals[i] / run->scales[parameter], run->zero_points[parameter], levels);
        }
        pbitc_convert(output->type, (unsigned char *)output->data + at * to, PBITC_FLOAT32, reals, length);
    }
}

static void dequantize_run(const struct run *run, const struct pbitc_tensor *input, int64_t start,
                           int64_t count, struct pbitc_tensor *output)
{
    float reals[BLOCK];
    double levels[BLOCK]; // holds an int32 exactly
    size_t from = pbitc_type_bytes(input->type), to = pbitc_type_bytes(output->type);
    for (int64_t done = 0; done < count; done += BLOCK) {
        int64_t length = count - done < BLOCK ? count - done : BLOCK;
        size_t at = (size_t)(start + done);
        pbitc_convert(PBITC_FLOAT64, levels, input->type, (const unsigned char *)input->data + at * from,
                      length);
        for (int64_t i = 0; i < length; i++) {
            int64_t parameter = (done + i) * run->step;
            reals[i] = (float)(levels[i] - (double)run->zero_points[parameter]) * run->scales[parameter];
        }
        pbitc_convert(output->type, (unsigned char *)output->data + at * to, PBITC_FLOAT32, reals, length);
    }
}

typedef void run_function(const struct run *run, const struct pbitc_tensor *input, int64_t start,
                          int64_t count, struct pbitc_tensor *output);

/// Scales and zero points (0 when omitted) as float, in the scratch memory.
static void read_parameters(struct pbitc_evaluation *evaluation, float **scales, float **zero_points)
{
    const struct pbitc_tensor *scale = evaluation->inputs[1], *zero_point = pbitc_input(evaluation, 2);
    int64_t count = pbitc_shape_elements(&scale->shape);
    *scales = evaluation->scratch;
    *zero_points = *scales + ((count + 15) & ~(int64_t)15);
    pbitc_convert(PBITC_FLOAT32, *scales, scale->type, scale->data, count);
    if (zero_point)
        pbitc_convert(PBITC_FLOAT32, *zero_points, zero_point->type, zero_point->data, count);
    else
        memset(*zero_points, 0, (size_t)count * sizeof(float));
}

static enum pbit_status evaluate_runs(struct pbitc_evaluation *evaluation, run_function *function)
{
    struct grid grid;
    float *scales, *zero_points;
    enum pbit_status status = read_grid(evaluation, &grid);
    if (status)
        return status;
    read_parameters(evaluation, &scales, &zero_points);
    int64_t blocks = grid.block ? (grid.axis + grid.block - 1) / grid.block : 0;
    for (int64_t o = 0; o < grid.outer; o++)
        for (int64_t a = 0; a < grid.axis; a++) {
            int64_t first = grid.block ? (o * blocks + a / grid.block) * grid.inner : grid.whole ? 0 : a;
            struct run run = {scales + first, zero_points + first, grid.block ? 1 : 0};
            function(&run, evaluation->inputs[0], (o * grid.axis + a) * grid.inner, grid.inner,
                     &evaluation->outputs[0]);
        }
    return PBIT_OK;
}

enum pbit_status evaluate_quantize_linear(struct pbitc_evaluation *evaluation)
{
    return evaluate_runs(evaluation, quantize_run);
}

enum pbit_status evaluate_dequantize_linear(struct pbitc_evaluation *evaluation)
{
    return evaluate_runs(evaluation, dequantize_run);
}

enum pbit_status infer_dynamic_quantize_linear(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_shape scalar = {.rank = 0};
    enum pbit_status status = pbitc_require_type(evaluation, 0, 1 << PBITC_FLOAT32);
    pbitc_set_output(evaluation, 0, PBITC_UINT8, &evaluation->inputs[0]->shape);
    pbitc_set_output(evaluation, 1, PBITC_FLOAT32, &scalar);
    pbitc_set_output(evaluation, 2, PBITC_UINT8, &scalar);
    return status;
}

/// The range of the values, which must hold 0, becomes 0..255.
enum pbit_status evaluate_dynamic_quantize_linear(struct pbitc_evaluation *evaluation)
{
    const float *values = evaluation->inputs[0]->data;
    int64_t count = pbitc_shape_elements(&evaluation->inputs[0]->shape);
    const struct pbitc_levels levels = pbitc_levels_of(PBITC_UINT8);
    float low = 0, high = 0;
    for (int64_t i = 0; i < count; i++) {
        low = values[i] < low ? values[i] : low;
        high = values[i] > high ? values[i] : high;
    }
    float scale = (high - low) / (float)levels.high;
    if (scale == 0)
        scale = 1; // all values are 0
    float zero_point = pbitc_quantize(-low / scale, 0, levels);
    struct run run = {&scale, &zero_point, 0};
    if (pbitc_output_used(evaluation, 0))
        quantize_run(&run, evaluation->inputs[0], 0, count, &evaluation->outputs[0]);
    if (pbitc_output_used(evaluation, 1))
        *(float *)evaluation->outputs[1].data = scale;
    if (pbitc_output_used(evaluation, 2))
        *(uint8_t *)evaluation->outputs[2].data = (uint8_t)zero_point;
    return PBIT_OK;
}
