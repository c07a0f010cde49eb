// The operators of QONNX (Brevitas, qkeras), which quantize but keep float tensors: Quant, BipolarQuant,
// Trunc. Source: the operator documents of qonnx.custom_op.general.
#include "passes/operators/operator_support.h"

#include <math.h>
#include <string.h>
#include <strings.h>

typedef float rounding_function(float value);

static float round_up(float x)
{
    return copysignf(ceilf(fabsf(x)), x);
}

static float round_half_up(float x)
{
    return copysignf(floorf(fabsf(x) + 0.5f), x);
}

static float round_half_down(float x)
{
    return copysignf(ceilf(fabsf(x) - 0.5f), x);
}

static const struct {
    const char *name; ///< in any case
    rounding_function *function;
} roundings[] = {
    {"ROUND", rintf},           {"CEIL", ceilf},
    {"FLOOR", floorf},          {"UP", round_up},
    {"DOWN", truncf},           {"ROUND_TO_ZERO", truncf},
    {"HALF_UP", round_half_up}, {"HALF_DOWN", round_half_down},
    {"HALF_EVEN", rintf},
};

/// NULL after a report.
static rounding_function *find_rounding(struct pbitc_evaluation *evaluation, const char *fallback)
{
    const char *mode = pbitc_node_string(evaluation->node, "rounding_mode", fallback);
    for (size_t i = 0; i < sizeof(roundings) / sizeof(roundings[0]); i++)
        if (strcasecmp(mode, roundings[i].name) == 0)
            return roundings[i].function;
    PBITC_REFUSE(evaluation, NULL, "rounding_mode = \"%s\" is not defined", mode);
    return NULL;
}

/// Parameters must not make the result larger than the input.
static enum pbit_status infer_quantizer(struct pbitc_evaluation *evaluation, size_t parameters,
                                        size_t scalars)
{
    struct pbitc_shape shape = evaluation->inputs[0]->shape;
    enum pbit_status status = PBIT_OK;
    for (size_t i = 0; !status && i < parameters + scalars; i++)
        status = pbitc_require_type(evaluation, i, 1 << PBITC_FLOAT32);
    for (size_t i = 1; !status && i < parameters; i++)
        status = pbitc_broadcast(evaluation, &shape, &evaluation->inputs[i]->shape);
    for (size_t i = parameters; !status && i < parameters + scalars; i++)
        status = pbitc_require_scalar(evaluation, i);
    if (!status && !pbitc_shape_equal(&shape, &evaluation->inputs[0]->shape))
        status = PBITC_MALFORMED(evaluation, "the parameters do not broadcast to the input's shape %s",
                                 pbitc_shape_format(&evaluation->inputs[0]->shape).text);
    if (!status)
        pbitc_set_output(evaluation, 0, PBITC_FLOAT32, &shape);
    return status;
}

enum pbit_status infer_quant(struct pbitc_evaluation *evaluation)
{
    enum pbit_status status = infer_quantizer(evaluation, 3, 1);
    return status || find_rounding(evaluation, "ROUND") ? status : PBIT_ERROR_UNSUPPORTED;
}

/// The levels of Quant.
struct quantizer {
    rounding_function *round;
    float low, high;
    bool bipolar; ///< one signed bit: -1 and 1
};

static struct quantizer quantizer_read(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_node *node = evaluation->node;
    float bits = ((const float *)evaluation->inputs[3]->data)[0];
    float narrow = pbitc_node_int(node, "narrow", 1) ? 1 : 0;
    bool is_signed = pbitc_node_int(node, "signed", 1) != 0;
    return (struct quantizer){.round = find_rounding(evaluation, "ROUND"),
                              .low = is_signed ? narrow - exp2f(bits - 1) : 0,
                              .high = is_signed ? exp2f(bits - 1) - 1 : exp2f(bits) - 1 - narrow,
                              .bipolar = is_signed && bits == 1};
}

static float quantize(const struct quantizer *quantizer, float x, float scale, float zero_point)
{
    float level = x / scale + zero_point;
    if (quantizer->bipolar) {
        level = level >= 0 ? 1 : -1;
    } else {
        level = level > quantizer->high ? quantizer->high : level < quantizer->low ? quantizer->low : level;
        level = quantizer->round(level);
    }
    return (level - zero_point) * scale;
}

static struct pbitc_walk walk_operands(const struct pbitc_evaluation *evaluation, int operands)
{
    struct pbitc_walk walk;
    const struct pbitc_shape *shapes[PBITC_WALK_OPERANDS];
    for (int i = 0; i < operands; i++)
        shapes[i] = &evaluation->inputs[i]->shape;
    pbitc_walk_broadcast(&walk, &evaluation->outputs[0].shape, operands, shapes);
    return walk;
}

static float operand_at(const struct pbitc_evaluation *evaluation, const struct pbitc_walk *walk, int operand,
                        int64_t i)
{
    return (
        (const float *)evaluation->inputs[operand]->data)[walk->offset[operand] + i * walk->step[operand]];
}

enum pbit_status evaluate_quant(struct pbitc_evaluation *evaluation)
{
    struct quantizer quantizer = quantizer_read(evaluation);
    struct pbitc_walk walk = walk_operands(evaluation, 3);
    for (float *output = evaluation->outputs[0].data; !walk.done; pbitc_walk_next(&walk))
        for (int64_t i = 0; i < walk.length; i++)
            output[walk.position + i] =
                quantize(&quantizer, operand_at(evaluation, &walk, 0, i), operand_at(evaluation, &walk, 1, i),
                         operand_at(evaluation, &walk, 2, i));
    return PBIT_OK;
}

enum pbit_status infer_bipolar_quant(struct pbitc_evaluation *evaluation)
{
    return infer_quantizer(evaluation, 2, 0);
}

enum pbit_status evaluate_bipolar_quant(struct pbitc_evaluation *evaluation)
{
    struct pbitc_walk walk = walk_operands(evaluation, 2);
    for (float *output = evaluation->outputs[0].data; !walk.done; pbitc_walk_next(&walk))
        for (int64_t i = 0; i < walk.length; i++) {
            float scale = operand_at(evaluation, &walk, 1, i);
            output[walk.position + i] = operand_at(evaluation, &walk, 0, i) >= 0 ? scale : -scale;
        }
    return PBIT_OK;
}

/// Inputs: x, scale, zero point, bits before, bits after.
enum pbit_status infer_trunc(struct pbitc_evaluation *evaluation)
{
    enum pbit_status status = infer_quantizer(evaluation, 3, 2);
    return status || find_rounding(evaluation, "FLOOR") ? status : PBIT_ERROR_UNSUPPORTED;
}

/// The level loses its lowest bits; what remains counts in units of `scale` again.
enum pbit_status evaluate_trunc(struct pbitc_evaluation *evaluation)
{
    rounding_function *round = find_rounding(evaluation, "FLOOR");
    float before = ((const float *)evaluation->inputs[3]->data)[0],
          after = ((const float *)evaluation->inputs[4]->data)[0], unit = exp2f(before - after);
    struct pbitc_walk walk = walk_operands(evaluation, 3);
    for (float *output = evaluation->outputs[0].data; !walk.done; pbitc_walk_next(&walk))
        for (int64_t i = 0; i < walk.length; i++) {
            float scale = operand_at(evaluation, &walk, 1, i), zero = operand_at(evaluation, &walk, 2, i);
            float level = rintf(operand_at(evaluation, &walk, 0, i) / scale + zero);
            output[walk.position + i] = (round(level / unit) - zero) * scale;
        }
    return PBIT_OK;
}
