// Element by element: arithmetic, comparison and logic with multidirectional broadcasting.
#include "passes/operators/elementwise.h"

#include <string.h>
#include <tgmath.h>

enum pbit_status infer_same(struct pbitc_evaluation *evaluation)
{
    pbitc_set_output(evaluation, 0, evaluation->inputs[0]->type, &evaluation->inputs[0]->shape);
    return PBIT_OK;
}

enum pbit_status pbitc_infer_same(struct pbitc_evaluation *evaluation, unsigned types)
{
    enum pbit_status status = pbitc_require_type(evaluation, 0, types);
    return status ? status : infer_same(evaluation);
}

enum pbit_status infer_float(struct pbitc_evaluation *evaluation)
{
    return pbitc_infer_same(evaluation, PBITC_TYPES_FLOAT);
}

enum pbit_status infer_numeric(struct pbitc_evaluation *evaluation)
{
    return pbitc_infer_same(evaluation, PBITC_TYPES_NUMERIC);
}

enum pbit_status infer_signed(struct pbitc_evaluation *evaluation)
{
    return pbitc_infer_same(evaluation, PBITC_TYPES_FLOAT | PBITC_TYPES_SIGNED);
}

enum pbit_status pbitc_infer_broadcast(struct pbitc_evaluation *evaluation, unsigned types,
                                       enum pbitc_type result)
{
    enum pbit_status status = pbitc_require_type(evaluation, 0, types);
    if (!status)
        status = pbitc_require_same_type(evaluation);
    struct pbitc_shape shape = {.rank = 0};
    for (size_t i = 0; !status && i < evaluation->input_count; i++)
        status = pbitc_broadcast(evaluation, &shape, &evaluation->inputs[i]->shape);
    if (!status)
        pbitc_set_output(evaluation, 0, result ? result : evaluation->inputs[0]->type, &shape);
    return status;
}

enum pbit_status infer_arithmetic(struct pbitc_evaluation *evaluation)
{
    return pbitc_infer_broadcast(evaluation, PBITC_TYPES_NUMERIC, PBITC_TYPE_NONE);
}

enum pbit_status infer_mean(struct pbitc_evaluation *evaluation)
{
    return pbitc_infer_broadcast(evaluation, PBITC_TYPES_FLOAT, PBITC_TYPE_NONE);
}

enum pbit_status infer_comparison(struct pbitc_evaluation *evaluation)
{
    return pbitc_infer_broadcast(evaluation, PBITC_TYPES_NUMERIC | PBITC_TYPES_BOOL, PBITC_BOOL);
}

enum pbit_status infer_logical(struct pbitc_evaluation *evaluation)
{
    return pbitc_infer_broadcast(evaluation, PBITC_TYPES_BOOL, PBITC_BOOL);
}

enum pbit_status infer_mod(struct pbitc_evaluation *evaluation)
{
    bool like_c = pbitc_node_int(evaluation->node, "fmod", 0) != 0;
    if (!like_c && PBITC_TYPES_FLOAT >> evaluation->inputs[0]->type & 1)
        return PBITC_MALFORMED(evaluation, "fmod must be 1 for %s",
                               pbitc_type_name(evaluation->inputs[0]->type));
    return infer_arithmetic(evaluation);
}

#define ADD(type, element, modular) BINARY_CASE(type, element, element, (modular)x + (modular)y)
#define SUBTRACT(type, element, modular) BINARY_CASE(type, element, element, (modular)x - (modular)y)
#define MULTIPLY(type, element, modular) BINARY_CASE(type, element, element, (modular)x *(modular)y)
#define MINIMUM(type, element, modular) BINARY_CASE(type, element, element, x < y ? x : y)
#define MAXIMUM(type, element, modular) BINARY_CASE(type, element, element, x > y ? x : y)
BINARY_FUNCTION(add, PBITC_FOR_NUMERIC_TYPES(ADD))
BINARY_FUNCTION(subtract, PBITC_FOR_NUMERIC_TYPES(SUBTRACT))
BINARY_FUNCTION(multiply, PBITC_FOR_NUMERIC_TYPES(MULTIPLY))
BINARY_FUNCTION(minimum, PBITC_FOR_NUMERIC_TYPES(MINIMUM))
BINARY_FUNCTION(maximum, PBITC_FOR_NUMERIC_TYPES(MAXIMUM))

/// y is -1 of a signed type: x / y is -x, and x % y is 0, without the overflow of the smallest x.
#define MINUS_ONE(element, y) ((element)-1 < (element)1 && (y) == (element)-1)
#define DIVIDE_FLOAT(type, element, modular) BINARY_CASE(type, element, element, x / y)
#define DIVIDE_INTEGER(type, element, modular)                                                               \
    BINARY_CASE(type, element, element,                                                                      \
                MINUS_ONE(element, y) ? (element)((modular)0 - (modular)x) : (element)(x / y))
BINARY_FUNCTION(divide, PBITC_FOR_FLOAT_TYPES(DIVIDE_FLOAT) PBITC_FOR_INTEGER_TYPES(DIVIDE_INTEGER))

#define REMAINDER_FLOAT(type, element, modular) BINARY_CASE(type, element, element, fmod(x, y))
#define REMAINDER_INTEGER(type, element, modular)                                                            \
    BINARY_CASE(type, element, element, MINUS_ONE(element, y) ? (element)0 : (element)(x % y))
BINARY_FUNCTION(remainder_like_c,
                PBITC_FOR_FLOAT_TYPES(REMAINDER_FLOAT) PBITC_FOR_INTEGER_TYPES(REMAINDER_INTEGER))

/// The remainder has the sign of the divisor; x ^ y is negative (not above -1) where the signs differ.
#define REMAINDER_FLOORED(type, element, modular)                                                            \
    BINARY_CASE(type, element, element,                                                                      \
                MINUS_ONE(element, y)                                  ? (element)0                          \
                : (x % y != 0 && (x < (element)1) != (y < (element)1)) ? (element)(x % y + y)                \
                                                                       : (element)(x % y))
BINARY_FUNCTION(remainder_floored, PBITC_FOR_INTEGER_TYPES(REMAINDER_FLOORED))

#define EQUAL(type, element, modular) BINARY_CASE(type, element, uint8_t, x == y)
#define LESS(type, element, modular) BINARY_CASE(type, element, uint8_t, x < y)
#define LESS_OR_EQUAL(type, element, modular) BINARY_CASE(type, element, uint8_t, x <= y)
#define WITH_BOOL(X) PBITC_FOR_NUMERIC_TYPES(X) X(PBITC_BOOL, uint8_t, uint32_t)
BINARY_FUNCTION(equal, WITH_BOOL(EQUAL))
BINARY_FUNCTION(less, WITH_BOOL(LESS))
BINARY_FUNCTION(less_or_equal, WITH_BOOL(LESS_OR_EQUAL))

BINARY_FUNCTION(both, BINARY_CASE(PBITC_BOOL, uint8_t, uint8_t, x &&y))
BINARY_FUNCTION(either, BINARY_CASE(PBITC_BOOL, uint8_t, uint8_t, x || y))
BINARY_FUNCTION(one_of, BINARY_CASE(PBITC_BOOL, uint8_t, uint8_t, !x != !y))

BINARY_OPERATOR(add, add, 0, 1)
BINARY_OPERATOR(sub, subtract, 0, 1)
BINARY_OPERATOR(mul, multiply, 0, 1)
BINARY_OPERATOR(equal, equal, 0, 1)
BINARY_OPERATOR(less, less, 0, 1)
BINARY_OPERATOR(less_or_equal, less_or_equal, 0, 1)
BINARY_OPERATOR(greater, less, 1, 0)
BINARY_OPERATOR(greater_or_equal, less_or_equal, 1, 0)
BINARY_OPERATOR(and, both, 0, 1)
BINARY_OPERATOR(or, either, 0, 1)
BINARY_OPERATOR(xor, one_of, 0, 1)

/// Integer division by zero has no value in ONNX and stops a processor.
static enum pbit_status require_divisor(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_tensor *divisor = evaluation->inputs[1];
    if (PBITC_TYPES_FLOAT >> divisor->type & 1)
        return PBIT_OK;
    int64_t count = pbitc_shape_elements(&divisor->shape);
    for (int64_t i = 0; i < count; i++)
        if (pbitc_real_at(divisor, i) == 0)
            return PBITC_MALFORMED(evaluation, "division of integers by zero");
    return PBIT_OK;
}

enum pbit_status evaluate_div(struct pbitc_evaluation *evaluation)
{
    enum pbit_status status = require_divisor(evaluation);
    if (!status)
        divide(evaluation->inputs[0], evaluation->inputs[1], &evaluation->outputs[0]);
    return status;
}

enum pbit_status evaluate_mod(struct pbitc_evaluation *evaluation)
{
    enum pbit_status status = require_divisor(evaluation);
    binary_function *function =
        pbitc_node_int(evaluation->node, "fmod", 0) ? remainder_like_c : remainder_floored;
    if (!status)
        function(evaluation->inputs[0], evaluation->inputs[1], &evaluation->outputs[0]);
    return status;
}

static void copy_broadcast(const struct pbitc_tensor *input, struct pbitc_tensor *output)
{
    struct pbitc_walk walk;
    pbitc_walk_broadcast(&walk, &output->shape, 1, (const struct pbitc_shape *const[]){&input->shape});
    pbitc_walk_copy(&walk, output->data, input->data, pbitc_type_bytes(input->type));
}

/// Min, Max, Sum: any number of inputs, from the left.
static enum pbit_status accumulate(struct pbitc_evaluation *evaluation, binary_function *function)
{
    struct pbitc_tensor *output = &evaluation->outputs[0];
    copy_broadcast(evaluation->inputs[0], output);
    for (size_t i = 1; i < evaluation->input_count; i++)
        function(output, evaluation->inputs[i], output);
    return PBIT_OK;
}

enum pbit_status evaluate_min(struct pbitc_evaluation *evaluation)
{
    return accumulate(evaluation, minimum);
}

enum pbit_status evaluate_max(struct pbitc_evaluation *evaluation)
{
    return accumulate(evaluation, maximum);
}

enum pbit_status evaluate_sum(struct pbitc_evaluation *evaluation)
{
    return accumulate(evaluation, add);
}

enum pbit_status evaluate_mean(struct pbitc_evaluation *evaluation)
{
    struct pbitc_tensor *output = &evaluation->outputs[0];
    float single = (float)evaluation->input_count;
    double twice = (double)evaluation->input_count;
    struct pbitc_tensor count = {.type = output->type,
                                 .data = output->type == PBITC_FLOAT32 ? (void *)&single : &twice};
    accumulate(evaluation, add);
    divide(output, &count, output);
    return PBIT_OK;
}

/// Pow: the exponent may have another type; the result has that of the base.
enum pbit_status infer_pow(struct pbitc_evaluation *evaluation)
{
    enum pbit_status status = pbitc_require_type(evaluation, 0, PBITC_TYPES_FLOAT | PBITC_TYPES_INDEX);
    if (!status)
        status = pbitc_require_type(evaluation, 1, PBITC_TYPES_NUMERIC);
    struct pbitc_shape shape = evaluation->inputs[0]->shape;
    if (!status)
        status = pbitc_broadcast(evaluation, &shape, &evaluation->inputs[1]->shape);
    if (!status)
        pbitc_set_output(evaluation, 0, evaluation->inputs[0]->type, &shape);
    return status;
}

/// Modulo 2^64, as integer multiplication wraps; 1 / base^n truncates to 0 except for base 1 and -1.
static int64_t integer_power(int64_t base, int64_t exponent)
{
    if (exponent < 0)
        return base == 1 ? 1 : base == -1 ? (exponent % 2 ? -1 : 1) : 0;
    uint64_t result = 1, square = (uint64_t)base;
    for (; exponent; exponent >>= 1, square *= square)
        if (exponent & 1)
            result *= square;
    return (int64_t)result;
}

/// Base and exponent of different types, or integers: element by element, in the wider arithmetic.
static void power_mixed(const struct pbitc_tensor *base, const struct pbitc_tensor *exponent, int64_t b,
                        int64_t e, struct pbitc_tensor *output, int64_t position)
{
    unsigned char *out = (unsigned char *)output->data + (size_t)position * pbitc_type_bytes(output->type);
    if (PBITC_TYPES_INDEX >> base->type & 1 && PBITC_TYPES_INDEX >> exponent->type & 1) {
        int64_t power = integer_power(pbitc_integer_at(base, b), pbitc_integer_at(exponent, e));
        pbitc_convert(output->type, out, PBITC_INT64, &power, 1);
    } else {
        double power = pow(pbitc_real_at(base, b), pbitc_real_at(exponent, e));
        pbitc_convert(output->type, out, PBITC_FLOAT64, &power, 1);
    }
}

#define POWER(type, element, modular) BINARY_CASE(type, element, element, y == 2 ? x * x : pow(x, y))
BINARY_FUNCTION(power_float, PBITC_FOR_FLOAT_TYPES(POWER))

enum pbit_status evaluate_pow(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_tensor *base = evaluation->inputs[0], *exponent = evaluation->inputs[1];
    struct pbitc_tensor *output = &evaluation->outputs[0];
    if (base->type == exponent->type && PBITC_TYPES_FLOAT >> base->type & 1) {
        power_float(base, exponent, output);
        return PBIT_OK;
    }
    struct pbitc_walk walk;
    pbitc_walk_broadcast(&walk, &output->shape, 2,
                         (const struct pbitc_shape *const[]){&base->shape, &exponent->shape});
    for (; !walk.done; pbitc_walk_next(&walk))
        for (int64_t i = 0; i < walk.length; i++)
            power_mixed(base, exponent, walk.offset[0] + i * walk.step[0], walk.offset[1] + i * walk.step[1],
                        output, walk.position + i);
    return PBIT_OK;
}

enum pbit_status infer_where(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_tensor *yes = evaluation->inputs[1], *no = evaluation->inputs[2];
    enum pbit_status status = pbitc_require_type(evaluation, 0, PBITC_TYPES_BOOL);
    if (!status && yes->type != no->type)
        status = PBITC_MALFORMED(evaluation, "inputs 1 and 2 are %s and %s", pbitc_type_name(yes->type),
                                 pbitc_type_name(no->type));
    struct pbitc_shape shape = evaluation->inputs[0]->shape;
    for (size_t i = 1; !status && i < 3; i++)
        status = pbitc_broadcast(evaluation, &shape, &evaluation->inputs[i]->shape);
    if (!status)
        pbitc_set_output(evaluation, 0, yes->type, &shape);
    return status;
}

#define SELECT_RUNS(element)                                                                                 \
    for (; !walk.done; pbitc_walk_next(&walk)) {                                                             \
        const uint8_t *condition = (const uint8_t *)evaluation->inputs[0]->data + walk.offset[0];            \
        const element *yes = (const element *)evaluation->inputs[1]->data + walk.offset[1];                  \
        const element *no = (const element *)evaluation->inputs[2]->data + walk.offset[2];                   \
        element *out = (element *)output->data + walk.position;                                              \
        for (int64_t i = 0; i < walk.length; i++)                                                            \
            out[i] = condition[i * walk.step[0]] ? yes[i * walk.step[1]] : no[i * walk.step[2]];             \
    }

enum pbit_status evaluate_where(struct pbitc_evaluation *evaluation)
{
    struct pbitc_tensor *output = &evaluation->outputs[0];
    struct pbitc_walk walk;
    pbitc_walk_broadcast(&walk, &output->shape, 3,
                         (const struct pbitc_shape *const[]){&evaluation->inputs[0]->shape,
                                                             &evaluation->inputs[1]->shape,
                                                             &evaluation->inputs[2]->shape});
    switch (pbitc_type_bytes(output->type)) {
    case 1:
        SELECT_RUNS(uint8_t)
        break;
    case 2:
        SELECT_RUNS(uint16_t)
        break;
    case 4:
        SELECT_RUNS(uint32_t)
        break;
    default:
        SELECT_RUNS(uint64_t)
    }
    return PBIT_OK;
}
