// Plain functions of one element.
#include "passes/operators/elementwise.h"

#include <tgmath.h>

FLOAT_OPERATOR(sqrt, sqrt(x))
FLOAT_OPERATOR(exp, exp(x))
FLOAT_OPERATOR(log, log(x))
FLOAT_OPERATOR(erf, erf(x))
FLOAT_OPERATOR(sin, sin(x))
FLOAT_OPERATOR(cos, cos(x))
FLOAT_OPERATOR(floor, floor(x))
FLOAT_OPERATOR(ceil, ceil(x))
FLOAT_OPERATOR(round, rint(x)) // halves go to the even neighbour
FLOAT_OPERATOR(reciprocal, 1 / x)

#define NEGATE(type, element, modular) UNARY_CASE(type, element, (modular)0 - (modular)x)
#define NEGATE_FLOAT(type, element, modular) UNARY_CASE(type, element, -x)
UNARY_OPERATOR(neg, PBITC_FOR_FLOAT_TYPES(NEGATE_FLOAT) PBITC_FOR_INTEGER_TYPES(NEGATE))

#define MAGNITUDE(type, element, modular)                                                                    \
    UNARY_CASE(type, element, x > (element)0 ? (modular)x : (modular)0 - (modular)x)
#define MAGNITUDE_FLOAT(type, element, modular) UNARY_CASE(type, element, fabs(x))
UNARY_OPERATOR(abs, PBITC_FOR_FLOAT_TYPES(MAGNITUDE_FLOAT) PBITC_FOR_INTEGER_TYPES(MAGNITUDE))

UNARY_OPERATOR(not, UNARY_CASE(PBITC_BOOL, uint8_t, !x))

FLOAT_OPERATOR(tan, tan(x))
FLOAT_OPERATOR(asin, asin(x))
FLOAT_OPERATOR(acos, acos(x))
FLOAT_OPERATOR(atan, atan(x))
FLOAT_OPERATOR(sinh, sinh(x))
FLOAT_OPERATOR(cosh, cosh(x))
FLOAT_OPERATOR(asinh, asinh(x))
FLOAT_OPERATOR(acosh, acosh(x))
FLOAT_OPERATOR(atanh, atanh(x))

#define COMPLEMENT(type, element, modular) UNARY_CASE(type, element, ~(modular)x)
UNARY_OPERATOR(bitwise_not, PBITC_FOR_INTEGER_TYPES(COMPLEMENT))

enum pbit_status infer_bitwise_not(struct pbitc_evaluation *evaluation)
{
    return pbitc_infer_same(evaluation, PBITC_TYPES_SIGNED | PBITC_TYPES_UNSIGNED);
}

enum pbit_status infer_test(struct pbitc_evaluation *evaluation)
{
    enum pbit_status status = pbitc_require_type(evaluation, 0, PBITC_TYPES_FLOAT);
    pbitc_set_output(evaluation, 0, PBITC_BOOL, &evaluation->inputs[0]->shape);
    return status;
}

#define TEST_LOOP(element, expression)                                                                       \
    for (int64_t i = 0; i < count; i++) {                                                                    \
        const element x = ((const element *)evaluation->inputs[0]->data)[i];                                 \
        output[i] = (expression);                                                                            \
    }

#define TEST_OPERATOR(name, attributes, expression)                                                          \
    enum pbit_status evaluate_##name(struct pbitc_evaluation *evaluation)                                    \
    {                                                                                                        \
        int64_t count = pbitc_shape_elements(&evaluation->outputs[0].shape);                                 \
        uint8_t *output = evaluation->outputs[0].data;                                                       \
        attributes;                                                                                          \
        if (evaluation->inputs[0]->type == PBITC_FLOAT32)                                                    \
            TEST_LOOP(float, expression)                                                                     \
        else                                                                                                 \
            TEST_LOOP(double, expression)                                                                    \
        return PBIT_OK;                                                                                      \
    }

TEST_OPERATOR(is_nan, (void)0, isnan(x))
TEST_OPERATOR(is_inf, const bool negative = pbitc_node_int(evaluation->node, "detect_negative", 1) != 0;
              const bool positive = pbitc_node_int(evaluation->node, "detect_positive", 1) != 0,
              isinf(x) && (x > 0 ? positive : negative))
