// Operations on the bits of integers, with multidirectional broadcasting.
#include "passes/operators/elementwise.h"

#include <string.h>

#define AND(type, element, modular) BINARY_CASE(type, element, element, x &y)
#define OR(type, element, modular) BINARY_CASE(type, element, element, x | y)
#define XOR(type, element, modular) BINARY_CASE(type, element, element, x ^ y)
BINARY_FUNCTION(bits_of_both, PBITC_FOR_INTEGER_TYPES(AND))
BINARY_FUNCTION(bits_of_either, PBITC_FOR_INTEGER_TYPES(OR))
BINARY_FUNCTION(bits_of_one, PBITC_FOR_INTEGER_TYPES(XOR))
BINARY_OPERATOR(bitwise_and, bits_of_both, 0, 1)
BINARY_OPERATOR(bitwise_or, bits_of_either, 0, 1)
BINARY_OPERATOR(bitwise_xor, bits_of_one, 0, 1)

enum pbit_status infer_bitwise(struct pbitc_evaluation *evaluation)
{
    return pbitc_infer_broadcast(evaluation, PBITC_TYPES_SIGNED | PBITC_TYPES_UNSIGNED, PBITC_TYPE_NONE);
}

/// BitShift: nothing is left of a number shifted by its width or more.
#define SHIFT_LEFT(type, element, modular)                                                                   \
    BINARY_CASE(type, element, element, y < (element)(8 * sizeof(element)) ? (modular)x << y : 0)
#define SHIFT_RIGHT(type, element, modular)                                                                  \
    BINARY_CASE(type, element, element, y < (element)(8 * sizeof(element)) ? (modular)x >> y : 0)
#define FOR_UNSIGNED_TYPES(X)                                                                                \
    X(PBITC_UINT8, uint8_t, uint32_t)                                                                        \
    X(PBITC_UINT16, uint16_t, uint32_t)                                                                      \
    X(PBITC_UINT32, uint32_t, uint32_t)                                                                      \
    X(PBITC_UINT64, uint64_t, uint64_t)
BINARY_FUNCTION(shift_left, FOR_UNSIGNED_TYPES(SHIFT_LEFT))
BINARY_FUNCTION(shift_right, FOR_UNSIGNED_TYPES(SHIFT_RIGHT))

static bool shifts_left(const struct pbitc_evaluation *evaluation)
{
    return strcmp(pbitc_node_string(evaluation->node, "direction", ""), "LEFT") == 0;
}

enum pbit_status infer_bit_shift(struct pbitc_evaluation *evaluation)
{
    const char *direction = pbitc_node_string(evaluation->node, "direction", "");
    if (strcmp(direction, "LEFT") != 0 && strcmp(direction, "RIGHT") != 0)
        return PBITC_MALFORMED(evaluation, "direction = \"%s\" is neither \"LEFT\" nor \"RIGHT\"", direction);
    return pbitc_infer_broadcast(evaluation, PBITC_TYPES_UNSIGNED, PBITC_TYPE_NONE);
}

enum pbit_status evaluate_bit_shift(struct pbitc_evaluation *evaluation)
{
    binary_function *function = shifts_left(evaluation) ? shift_left : shift_right;
    function(evaluation->inputs[0], evaluation->inputs[1], &evaluation->outputs[0]);
    return PBIT_OK;
}
