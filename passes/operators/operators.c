#include "passes/operators/operators.h"

#include "passes/operators/operator_support.h"

#include <string.h>

static const struct pbitc_operator table[PBITC_OPERATOR_COUNT] = {
#define PBITC_OPERATOR(identifier, domain, min_inputs, max_inputs, min_outputs, max_outputs, flags,          \
                       attributes, infer, evaluate)                                                          \
    {PBITC_OP_##identifier, #identifier, domain,     min_inputs, max_inputs, min_outputs,                    \
     max_outputs,           flags,       attributes, infer,      evaluate},
#include "passes/operators/operators.def"
#undef PBITC_OPERATOR
};

const struct pbitc_operator *pbitc_operator_get(enum pbitc_operator_id id)
{
    return &table[id];
}

const struct pbitc_operator *pbitc_operator_find(const char *domain, const char *name)
{
    for (size_t i = 0; i < PBITC_OPERATOR_COUNT; i++)
        if (strcmp(table[i].name, name) == 0 && strcmp(table[i].domain, domain) == 0)
            return &table[i];
    return NULL;
}

bool pbitc_node_is(const struct pbitc_node *node, enum pbitc_operator_id id)
{
    return node && node->op == &table[id];
}
