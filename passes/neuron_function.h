// The activations that p-bits replace (design: "Neurons"): one table of functions f for the interpreter's
// PBit operator, for swap-activations and for the theta tables that `lower` writes.
#ifndef PBITC_NEURON_FUNCTION_H
#define PBITC_NEURON_FUNCTION_H

#include "passes/operators/operators.h"

struct pbitc_activation;

/// f with its parameters. `function` NULL: none.
struct pbitc_function {
    const struct pbitc_activation *activation;
    float alpha, beta;
};

/// How the values [low, high] of the swapped neuron are chosen.
enum pbitc_range_rule {
    PBITC_RANGE_FIXED,    ///< the function's own bounds (Sigmoid, Tanh)
    PBITC_RANGE_FROM_LOW, ///< from the function's lower bound to a calibrated high (Relu)
    PBITC_RANGE_BOTH,     ///< both ends calibrated (LeakyRelu, Gelu)
};

struct pbitc_activation {
    const char *name; ///< value of PBit's `function` attribute
    float (*value)(float z, float alpha, float beta);
    bool linear;   ///< f(z) = z between low and high: P needs no table
    bool monotone; ///< P by theta; else by a curve
    enum pbitc_range_rule rule;
    float low, high; ///< bounds of f; +-INFINITY where there are none
};

/// f of an activation node of the IR; false when it is none that can be swapped (Clip: bounds not constant).
bool pbitc_function_of_node(const struct pbitc_node *node, struct pbitc_function *function);

/// f by the name of its activation; false: there is none of that name.
bool pbitc_function_by_name(const char *name, float alpha, float beta, struct pbitc_function *function);

/// f of a PBit node.
struct pbitc_function pbitc_function_of_pbit(const struct pbitc_node *pbit);

/// f(z).
float pbitc_function_value(const struct pbitc_function *function, float z);

/// Bounds of f, taking Clip's own into account.
void pbitc_function_bounds(const struct pbitc_function *function, float *low, float *high);

/// The smallest z in [-limit, limit] with f(z) >= y, for a monotone f; limit when there is none.
double pbitc_function_inverse(const struct pbitc_function *function, double y, double limit);

#endif
