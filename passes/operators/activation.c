// Activations: what swap-activations turns into p-bits, in their float form.
#include "passes/operators/float_functions.h"
#include "passes/operators/operator_support.h"

#include <string.h>
#include <tgmath.h>

#define FLOAT_LOOP(element, expression)                                                                      \
    {                                                                                                        \
        typedef element real;                                                                                \
        const real *xs = evaluation->inputs[0]->data;                                                        \
        real *out = evaluation->outputs[0].data;                                                             \
        for (int64_t i = 0; i < count; i++) {                                                                \
            const real x = xs[i];                                                                            \
            out[i] = (real)(expression);                                                                     \
        }                                                                                                    \
    }

/// evaluate_<name>: `expression` of x, both of type `real` (float or double), for every element. `attributes`
/// declares what else the expression reads.
#define ACTIVATION(name, attributes, expression)                                                             \
    enum pbit_status evaluate_##name(struct pbitc_evaluation *evaluation)                                    \
    {                                                                                                        \
        attributes;                                                                                          \
        int64_t count = pbitc_shape_elements(&evaluation->outputs[0].shape);                                 \
        if (evaluation->outputs[0].type == PBITC_FLOAT32)                                                    \
            FLOAT_LOOP(float, expression)                                                                    \
        else                                                                                                 \
            FLOAT_LOOP(double, expression)                                                                   \
        return PBIT_OK;                                                                                      \
    }

#define ATTRIBUTE(name, fallback) const float name = pbitc_node_float(evaluation->node, #name, fallback)
#define NO_ATTRIBUTES (void)0

/// log(1 + exp(x)) without overflow.
#define SOFTPLUS(x) ((x) > 0 ? (x) + log1p(exp(-(x))) : log1p(exp(x)))
#define SIGMOID(x) (1 / (1 + exp(-(x))))
/// x limited to 0..1; a NaN stays one.
#define UNIT(x) ((x) < 0 ? 0 : (x) > 1 ? 1 : (x))

static ACTIVATION(sigmoid_any, NO_ATTRIBUTES, SIGMOID(x)) static ACTIVATION(tanh_any, NO_ATTRIBUTES, tanh(x))
    ACTIVATION(leaky_relu, ATTRIBUTE(alpha, 0.01f),
               x < 0 ? alpha * x : x) ACTIVATION(elu, ATTRIBUTE(alpha, 1.0f), x < 0 ? alpha * expm1(x) : x)
        ACTIVATION(celu, ATTRIBUTE(alpha, 1.0f), x < 0 ? alpha * expm1(x / alpha) : x) ACTIVATION(
            selu, ATTRIBUTE(alpha, 1.67326319217681884765625f);
            ATTRIBUTE(gamma, 1.05070102214813232421875f), x > 0 ? gamma * x : gamma * alpha * expm1(x))
            ACTIVATION(softplus, NO_ATTRIBUTES, SOFTPLUS(x)) ACTIVATION(softsign, NO_ATTRIBUTES,
                                                                        x / (1 + fabs(x)))
                ACTIVATION(hard_sigmoid, ATTRIBUTE(alpha, 0.2f); ATTRIBUTE(beta, 0.5f), UNIT(alpha *x + beta))
                    ACTIVATION(hard_swish, NO_ATTRIBUTES, x *UNIT(x / 6 + (real)0.5))
                        ACTIVATION(swish, ATTRIBUTE(alpha, 1.0f),
                                   x *SIGMOID(alpha *x)) ACTIVATION(mish, NO_ATTRIBUTES, x *tanh(SOFTPLUS(x)))
                            ACTIVATION(shrink, ATTRIBUTE(bias, 0.0f);
                                       ATTRIBUTE(lambd, 0.5f), x<-lambd ? x + bias : x> lambd ? x - bias : 0)
                                ACTIVATION(thresholded_relu, ATTRIBUTE(alpha, 1.0f), x > alpha ? x : 0)

/// float32 by `floats`, which is faster; other types by the general form.
#define FLOATS_FIRST(name, floats)                                                                           \
    enum pbit_status evaluate_##name(struct pbitc_evaluation *evaluation)                                    \
    {                                                                                                        \
        const struct pbitc_tensor *input = evaluation->inputs[0];                                            \
        if (input->type != PBITC_FLOAT32)                                                                    \
            return evaluate_##name##_any(evaluation);                                                        \
        floats(pbitc_shape_elements(&input->shape), input->data, evaluation->outputs[0].data);               \
        return PBIT_OK;                                                                                      \
    }

                                    FLOATS_FIRST(sigmoid, pbitc_sigmoid_floats)
                                        FLOATS_FIRST(tanh, pbitc_tanh_floats)

                                            enum pbit_status infer_gelu(struct pbitc_evaluation *evaluation)
{
    const char *approximate = pbitc_node_string(evaluation->node, "approximate", "none");
    if (strcmp(approximate, "none") != 0 && strcmp(approximate, "tanh") != 0)
        return PBITC_REFUSE(evaluation, NULL, "approximate = \"%s\" is neither \"none\" nor \"tanh\"",
                            approximate);
    return infer_float(evaluation);
}

/// Gelu: x * Phi(x), Phi the normal distribution function or its tanh approximation.
#define SQRT_HALF 0.70710678118654752440
#define SQRT_2_OVER_PI 0.79788456080286535588
// clang-format off
static ACTIVATION(gelu_exact, NO_ATTRIBUTES, (real)0.5 * x * (1 + erf(x * (real)SQRT_HALF)))
static ACTIVATION(gelu_tanh, NO_ATTRIBUTES,
                  (real)0.5 * x * (1 + tanh((real)SQRT_2_OVER_PI * (x + (real)0.044715 * x * x * x))))

enum pbit_status evaluate_gelu(struct pbitc_evaluation *evaluation)
{
    bool approximate = strcmp(pbitc_node_string(evaluation->node, "approximate", "none"), "tanh") == 0;
    return approximate ? evaluate_gelu_tanh(evaluation) : evaluate_gelu_exact(evaluation);
}
// clang-format on

#define RELU(type, element, modular)                                                                         \
    case type: {                                                                                             \
        const element *xs = evaluation->inputs[0]->data, zero = 0;                                           \
        element *out = evaluation->outputs[0].data;                                                          \
        for (int64_t i = 0; i < count; i++)                                                                  \
            out[i] = xs[i] < zero ? zero : xs[i];                                                            \
        break;                                                                                               \
    }

enum pbit_status evaluate_relu(struct pbitc_evaluation *evaluation)
{
    int64_t count = pbitc_shape_elements(&evaluation->outputs[0].shape);
    switch (evaluation->inputs[0]->type) {
        PBITC_FOR_NUMERIC_TYPES(RELU)
    default:
        break;
    }
    return PBIT_OK;
}

#define SIGN(type, element, modular)                                                                         \
    case type: {                                                                                             \
        const element *xs = evaluation->inputs[0]->data, zero = 0;                                           \
        element *out = evaluation->outputs[0].data;                                                          \
        for (int64_t i = 0; i < count; i++)                                                                  \
            out[i] = (element)((xs[i] > zero) - (xs[i] < zero));                                             \
        break;                                                                                               \
    }

enum pbit_status evaluate_sign(struct pbitc_evaluation *evaluation)
{
    int64_t count = pbitc_shape_elements(&evaluation->outputs[0].shape);
    switch (evaluation->inputs[0]->type) {
        PBITC_FOR_NUMERIC_TYPES(SIGN)
    default:
        break;
    }
    return PBIT_OK;
}

enum pbit_status infer_clip(struct pbitc_evaluation *evaluation)
{
    enum pbit_status status = pbitc_require_same_type(evaluation);
    for (size_t i = 1; !status && i < 3; i++)
        status = pbitc_require_scalar(evaluation, i);
    return status ? status : infer_numeric(evaluation);
}

/// The lower bound first: with min > max every element becomes max.
#define CLIP(type, element, modular)                                                                         \
    case type: {                                                                                             \
        const element *xs = evaluation->inputs[0]->data;                                                     \
        const element *low = least ? least->data : NULL, *high = most ? most->data : NULL;                   \
        element *out = evaluation->outputs[0].data;                                                          \
        for (int64_t i = 0; i < count; i++) {                                                                \
            element x = xs[i];                                                                               \
            x = low && x < *low ? *low : x;                                                                  \
            out[i] = high && x > *high ? *high : x;                                                          \
        }                                                                                                    \
        break;                                                                                               \
    }

enum pbit_status evaluate_clip(struct pbitc_evaluation *evaluation)
{
    int64_t count = pbitc_shape_elements(&evaluation->outputs[0].shape);
    const struct pbitc_tensor *least = pbitc_input(evaluation, 1), *most = pbitc_input(evaluation, 2);
    switch (evaluation->inputs[0]->type) {
        PBITC_FOR_NUMERIC_TYPES(CLIP)
    default:
        break;
    }
    return PBIT_OK;
}

/// PRelu: the slope broadcasts to x, not x to the slope.
enum pbit_status infer_prelu(struct pbitc_evaluation *evaluation)
{
    struct pbitc_shape shape = evaluation->inputs[0]->shape;
    enum pbit_status status = pbitc_require_same_type(evaluation);
    if (!status)
        status = pbitc_broadcast(evaluation, &shape, &evaluation->inputs[1]->shape);
    if (!status && !pbitc_shape_equal(&shape, &evaluation->inputs[0]->shape))
        status = PBITC_MALFORMED(evaluation, "slope of shape %s does not broadcast to %s",
                                 pbitc_shape_format(&evaluation->inputs[1]->shape).text,
                                 pbitc_shape_format(&evaluation->inputs[0]->shape).text);
    return status ? status : infer_float(evaluation);
}

#define PRELU_RUNS(element)                                                                                  \
    for (; !walk.done; pbitc_walk_next(&walk)) {                                                             \
        const element *xs = (const element *)x->data + walk.offset[0];                                       \
        const element *slopes = (const element *)slope->data + walk.offset[1];                               \
        element *out = (element *)evaluation->outputs[0].data + walk.position;                               \
        for (int64_t i = 0; i < walk.length; i++) {                                                          \
            const element value = xs[i * walk.step[0]];                                                      \
            out[i] = value < 0 ? value * slopes[i * walk.step[1]] : value;                                   \
        }                                                                                                    \
    }

enum pbit_status evaluate_prelu(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_tensor *x = evaluation->inputs[0], *slope = evaluation->inputs[1];
    struct pbitc_walk walk;
    pbitc_walk_broadcast(&walk, &evaluation->outputs[0].shape, 2,
                         (const struct pbitc_shape *const[]){&x->shape, &slope->shape});
    if (x->type == PBITC_FLOAT32)
        PRELU_RUNS(float)
    else
        PRELU_RUNS(double)
    return PBIT_OK;
}
