// Quantized values in the small graphs of pass_case.h.
#ifndef PBITC_TESTS_QUANTIZED_CASE_H
#define PBITC_TESTS_QUANTIZED_CASE_H

#include "tests/passes/pass_case.h"

static inline struct pbitc_value *pass_scalar(struct pass_case *c, float number)
{
    return pass_floats(c, (struct pbitc_shape){.rank = 0}, number, number);
}

/// A zero point of type uint8 or int8.
static inline struct pbitc_value *pass_zero_point(struct pass_case *c, enum pbitc_type type, int level)
{
    struct pbitc_value *value =
        pbitc_graph_add_constant(c->graph, "zero", type, &(struct pbitc_shape){.rank = 0});
    *(uint8_t *)value->constant->data = (uint8_t)level;
    return value;
}

/// QuantizeLinear and DequantizeLinear of x, uint8.
static inline struct pbitc_value *pass_round_trip(struct pass_case *c, struct pbitc_value *x, float scale,
                                                  int zero_point)
{
    struct pbitc_value *s = pass_scalar(c, scale), *z = pass_zero_point(c, PBITC_UINT8, zero_point);
    return pass_node(c, "DequantizeLinear", pass_node(c, "QuantizeLinear", x, s, z), s, z);
}

#endif
