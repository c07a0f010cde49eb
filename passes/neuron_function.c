#include "passes/neuron_function.h"

#include <math.h>
#include <string.h>

static float identity(float z, float alpha, float beta)
{
    return fminf(fmaxf(z, alpha), beta);
}

static float sigmoid(float z, float alpha, float beta)
{
    (void)alpha, (void)beta;
    return 1 / (1 + expf(-z));
}

static float hyperbolic_tangent(float z, float alpha, float beta)
{
    (void)alpha, (void)beta;
    return tanhf(z);
}

static float sign(float z, float alpha, float beta)
{
    (void)alpha, (void)beta;
    return z > 0 ? 1 : z < 0 ? -1 : 0;
}

static float hard_sigmoid(float z, float alpha, float beta)
{
    return fminf(fmaxf(alpha * z + beta, 0), 1);
}

static float leaky_relu(float z, float alpha, float beta)
{
    (void)beta;
    return z < 0 ? alpha * z : z;
}

static float elu(float z, float alpha, float beta)
{
    return beta * (z < 0 ? alpha * expm1f(z) : z);
}

static float celu(float z, float alpha, float beta)
{
    (void)beta;
    return z < 0 ? alpha * expm1f(z / alpha) : z;
}

static float thresholded_relu(float z, float alpha, float beta)
{
    (void)beta;
    return z > alpha ? z : 0;
}

static float softplus(float z, float alpha, float beta)
{
    (void)alpha, (void)beta;
    return z > 20 ? z : log1pf(expf(z));
}

static float softsign(float z, float alpha, float beta)
{
    (void)alpha, (void)beta;
    return z / (1 + fabsf(z));
}

static float gelu(float z, float alpha, float beta)
{
    (void)alpha, (void)beta;
    return 0.5f * z * (1 + erff(z * 0.70710678f));
}

static float gelu_tanh(float z, float alpha, float beta)
{
    (void)alpha, (void)beta;
    return 0.5f * z * (1 + tanhf(0.79788456f * (z + 0.044715f * z * z * z)));
}

static float silu(float z, float alpha, float beta)
{
    (void)beta;
    return z / (1 + expf(-alpha * z));
}

static float hard_swish(float z, float alpha, float beta)
{
    (void)alpha, (void)beta;
    return z * fminf(fmaxf(z / 6 + 0.5f, 0), 1);
}

static float mish(float z, float alpha, float beta)
{
    return z * tanhf(softplus(z, alpha, beta));
}

enum {
    LINEAR,
    SIGMOID,
    TANH,
    SIGN,
    HARD_SIGMOID,
    LEAKY_RELU,
    ELU,
    CELU,
    THRESHOLDED_RELU,
    SOFTPLUS,
    SOFTSIGN,
    GELU,
    GELU_TANH,
    SILU,
    HARD_SWISH,
    MISH,
};

static const struct pbitc_activation activations[] = {
    [LINEAR] = {"linear", identity, true, true, PBITC_RANGE_BOTH, -INFINITY, INFINITY},
    [SIGMOID] = {"sigmoid", sigmoid, false, true, PBITC_RANGE_FIXED, 0, 1},
    [TANH] = {"tanh", hyperbolic_tangent, false, true, PBITC_RANGE_FIXED, -1, 1},
    [SIGN] = {"sign", sign, false, true, PBITC_RANGE_FIXED, -1, 1},
    [HARD_SIGMOID] = {"hard-sigmoid", hard_sigmoid, false, true, PBITC_RANGE_FIXED, 0, 1},
    [LEAKY_RELU] = {"leaky-relu", leaky_relu, false, true, PBITC_RANGE_BOTH, -INFINITY, INFINITY},
    [ELU] = {"elu", elu, false, true, PBITC_RANGE_BOTH, -INFINITY, INFINITY},
    [CELU] = {"celu", celu, false, true, PBITC_RANGE_BOTH, -INFINITY, INFINITY},
    [THRESHOLDED_RELU] = {"thresholded-relu", thresholded_relu, false, true, PBITC_RANGE_FROM_LOW, 0,
                          INFINITY},
    [SOFTPLUS] = {"softplus", softplus, false, true, PBITC_RANGE_FROM_LOW, 0, INFINITY},
    [SOFTSIGN] = {"softsign", softsign, false, true, PBITC_RANGE_FIXED, -1, 1},
    [GELU] = {"gelu", gelu, false, false, PBITC_RANGE_BOTH, -INFINITY, INFINITY},
    [GELU_TANH] = {"gelu-tanh", gelu_tanh, false, false, PBITC_RANGE_BOTH, -INFINITY, INFINITY},
    [SILU] = {"silu", silu, false, false, PBITC_RANGE_BOTH, -INFINITY, INFINITY},
    [HARD_SWISH] = {"hard-swish", hard_swish, false, false, PBITC_RANGE_BOTH, -INFINITY, INFINITY},
    [MISH] = {"mish", mish, false, false, PBITC_RANGE_BOTH, -INFINITY, INFINITY},
};

/// The scalar float32 constant at an input; `fallback` when the input is omitted. False: there, but not
/// constant.
static bool scalar_input(const struct pbitc_node *node, size_t index, float fallback, float *result)
{
    *result = fallback;
    if (index >= node->input_count || !node->inputs[index])
        return true;
    const struct pbitc_tensor *constant = node->inputs[index]->constant;
    if (!constant || constant->type != PBITC_FLOAT32 || pbitc_shape_elements(&constant->shape) != 1)
        return false;
    *result = *(const float *)constant->data;
    return true;
}

/// The slope that all channels share.
static bool single_slope(const struct pbitc_tensor *slopes, float *slope)
{
    int64_t count = pbitc_shape_elements(&slopes->shape);
    if (slopes->type != PBITC_FLOAT32 || count < 1)
        return false;
    *slope = *(const float *)slopes->data;
    for (int64_t i = 1; i < count; i++)
        if (((const float *)slopes->data)[i] != *slope)
            return false;
    return true;
}

static void set(struct pbitc_function *function, int index, float alpha, float beta)
{
    *function = (struct pbitc_function){&activations[index], alpha, beta};
}

// A slope below 0 would make a function fall that the table says is monotone.
bool pbitc_function_of_node(const struct pbitc_node *node, struct pbitc_function *function)
{
    float low, high;
    switch ((int)node->op->id) {
    case PBITC_OP_Relu:
        return set(function, LINEAR, 0, INFINITY), true;
    case PBITC_OP_Clip:
        if (!scalar_input(node, 1, -INFINITY, &low) || !scalar_input(node, 2, INFINITY, &high))
            return false;
        return set(function, LINEAR, low, high), low < high;
    case PBITC_OP_Sigmoid:
        return set(function, SIGMOID, 0, 0), true;
    case PBITC_OP_Tanh:
        return set(function, TANH, 0, 0), true;
    case PBITC_OP_Sign:
        return set(function, SIGN, 0, 0), true;
    case PBITC_OP_HardSigmoid:
        return set(function, HARD_SIGMOID, pbitc_node_float(node, "alpha", 0.2f),
                   pbitc_node_float(node, "beta", 0.5f)),
               function->alpha > 0;
    case PBITC_OP_LeakyRelu:
        return set(function, LEAKY_RELU, pbitc_node_float(node, "alpha", 0.01f), 0), function->alpha >= 0;
    case PBITC_OP_PRelu: // with one slope: a table per channel would be one theta per neuron
        if (!node->inputs[1] || !node->inputs[1]->constant || !single_slope(node->inputs[1]->constant, &low))
            return false;
        return set(function, LEAKY_RELU, low, 0), function->alpha >= 0;
    case PBITC_OP_Softsign:
        return set(function, SOFTSIGN, 0, 0), true;
    case PBITC_OP_Elu:
        return set(function, ELU, pbitc_node_float(node, "alpha", 1), 1), function->alpha >= 0;
    case PBITC_OP_Selu:
        return set(function, ELU, pbitc_node_float(node, "alpha", 1.67326319217681884765625f),
                   pbitc_node_float(node, "gamma", 1.05070102214813232421875f)),
               function->alpha >= 0 && function->beta > 0;
    case PBITC_OP_Celu:
        return set(function, CELU, pbitc_node_float(node, "alpha", 1), 0), function->alpha > 0;
    case PBITC_OP_ThresholdedRelu: // below 0 it would jump down
        return set(function, THRESHOLDED_RELU, pbitc_node_float(node, "alpha", 1), 0), function->alpha >= 0;
    case PBITC_OP_Softplus:
        return set(function, SOFTPLUS, 0, 0), true;
    case PBITC_OP_Gelu:
        return set(function,
                   strcmp(pbitc_node_string(node, "approximate", "none"), "tanh") == 0 ? GELU_TANH : GELU, 0,
                   0),
               true;
    case PBITC_OP_Swish:
        return set(function, SILU, pbitc_node_float(node, "alpha", 1), 0), true;
    case PBITC_OP_HardSwish:
        return set(function, HARD_SWISH, 0, 0), true;
    case PBITC_OP_Mish:
        return set(function, MISH, 0, 0), true;
    default:
        return false;
    }
}

bool pbitc_function_by_name(const char *name, float alpha, float beta, struct pbitc_function *function)
{
    for (int i = 0; i < (int)(sizeof(activations) / sizeof(*activations)); i++)
        if (strcmp(activations[i].name, name) == 0)
            return set(function, i, alpha, beta), true;
    return false;
}

struct pbitc_function pbitc_function_of_pbit(const struct pbitc_node *pbit)
{
    struct pbitc_function function;
    float alpha = pbitc_node_float(pbit, "alpha", -INFINITY), beta = pbitc_node_float(pbit, "beta", INFINITY);
    if (!pbitc_function_by_name(pbitc_node_string(pbit, "function", "linear"), alpha, beta, &function))
        set(&function, LINEAR, alpha, beta);
    return function;
}

float pbitc_function_value(const struct pbitc_function *function, float z)
{
    return function->activation->value(z, function->alpha, function->beta);
}

void pbitc_function_bounds(const struct pbitc_function *function, float *low, float *high)
{
    *low = function->activation->linear ? function->alpha : function->activation->low;
    *high = function->activation->linear ? function->beta : function->activation->high;
}

double pbitc_function_inverse(const struct pbitc_function *function, double y, double limit)
{
    double below = -limit, above = limit;
    if (pbitc_function_value(function, (float)below) >= y)
        return below;
    for (int step = 0; step < 60 && above - below > 1e-9; step++) {
        double middle = (below + above) / 2;
        if (pbitc_function_value(function, (float)middle) >= y)
            above = middle;
        else
            below = middle;
    }
    return above;
}
