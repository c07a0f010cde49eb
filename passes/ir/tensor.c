// Element types and shapes.
#include "passes/ir/graph.h"

static const struct {
    const char *name;
    size_t bytes;
} types[] = {
    [PBITC_TYPE_NONE] = {"none", 0},  [PBITC_FLOAT32] = {"float32", 4},   [PBITC_UINT8] = {"uint8", 1},
    [PBITC_INT8] = {"int8", 1},       [PBITC_UINT16] = {"uint16", 2},     [PBITC_INT16] = {"int16", 2},
    [PBITC_INT32] = {"int32", 4},     [PBITC_INT64] = {"int64", 8},       [PBITC_BOOL] = {"bool", 1},
    [PBITC_FLOAT16] = {"float16", 2}, [PBITC_FLOAT64] = {"float64", 8},   [PBITC_UINT32] = {"uint32", 4},
    [PBITC_UINT64] = {"uint64", 8},   [PBITC_BFLOAT16] = {"bfloat16", 2},
};

enum { TYPE_COUNT = sizeof(types) / sizeof(types[0]) };

size_t pbitc_type_bytes(enum pbitc_type type)
{
    return (unsigned)type < TYPE_COUNT ? types[type].bytes : 0;
}

const char *pbitc_type_name(enum pbitc_type type)
{
    return pbitc_type_bytes(type) ? types[type].name : types[PBITC_TYPE_NONE].name;
}

int64_t pbitc_shape_elements(const struct pbitc_shape *shape)
{
    if (shape->rank < 0 || shape->rank > PBITC_MAX_RANK)
        return -1;
    int64_t elements = 1;
    bool empty = false;
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dims[i] < 0)
            return -1;
        if (shape->dims[i] == 0)
            empty = true;
        else if (__builtin_mul_overflow(elements, shape->dims[i], &elements))
            return -1;
    }
    return empty ? 0 : elements;
}

bool pbitc_shape_equal(const struct pbitc_shape *a, const struct pbitc_shape *b)
{
    if (a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dims[i] != b->dims[i])
            return false;
    return true;
}
