// 16-bit floats are computed in float32, from the inputs of the model to its outputs: constants keep the
// values that they have, only a Cast that the model itself makes rounds to 16 bits, and whoever runs the
// graph converts at its inputs and outputs (graph->input_types, output_types). That is more exact than
// rounding after every node, and what runtimes do that have no arithmetic in 16 bits.
#include "converter/onnx/onnx_importer.h"
#include "passes/operators/operator_support.h"

#include <string.h>

static bool is_half(int64_t type)
{
    return type == PBITC_FLOAT16 || type == PBITC_BFLOAT16;
}

static struct pbitc_tensor *widen_tensor(struct pbitc_arena *arena, const struct pbitc_tensor *half)
{
    int64_t elements = pbitc_shape_elements(&half->shape);
    struct pbitc_tensor *wide = pbitc_arena_allocate(arena, 1, sizeof(*wide));
    void *data = pbitc_arena_allocate(arena, (size_t)elements, sizeof(float));
    if (!wide || !data)
        return NULL;
    *wide = (struct pbitc_tensor){PBITC_FLOAT32, half->shape, data};
    pbitc_convert(PBITC_FLOAT32, data, half->type, half->data, elements);
    return wide;
}

/// Types and tensors among the attributes; what Cast makes is the model's own rounding.
static bool widen_attributes(struct pbitc_graph *graph, struct pbitc_node *node)
{
    static const char *const types[] = {"dtype", "output_datatype", "output_dtype"};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (is_half(pbitc_node_int(node, types[i], PBITC_TYPE_NONE)) &&
            !pbitc_node_set_int(graph, node, types[i], PBITC_FLOAT32))
            return false;
    for (struct pbitc_attribute *a = node->attributes; a; a = a->next)
        if (a->kind == PBITC_ATTRIBUTE_TENSOR && is_half(a->tensor->type) &&
            !(a->tensor = widen_tensor(graph->arena, a->tensor)))
            return false;
    return true;
}

/// CastLike to the 16-bit floats of an input or a constant is a Cast.
static bool name_type(struct pbitc_graph *graph, struct pbitc_node *node)
{
    if (!pbitc_node_is(node, PBITC_OP_CastLike) || node->input_count != 2 || !node->inputs[1] ||
        !is_half(node->inputs[1]->type))
        return true;
    node->op = pbitc_operator_get(PBITC_OP_Cast);
    node->input_count = 1;
    return pbitc_node_set_int(graph, node, "to", node->inputs[1]->type);
}

/// A Cast to 16 bits is followed by one back.
static bool widen_result(struct pbitc_onnx_importer *importer, struct pbitc_node *node)
{
    struct pbitc_graph *graph = importer->graph;
    if (!pbitc_node_is(node, PBITC_OP_Cast) || !is_half(pbitc_node_int(node, "to", PBITC_TYPE_NONE)) ||
        node->output_count != 1 || !node->outputs[0])
        return true;
    struct pbitc_value *wide = node->outputs[0];
    struct pbitc_value *half = pbitc_onnx_add_value(importer, wide->name);
    if (!half)
        return false;
    node->outputs[0] = half;
    half->producer = node;
    struct pbitc_node *back = pbitc_graph_insert_node(graph, node->next, node->name,
                                                      pbitc_operator_get(PBITC_OP_Cast), &half, 1, &wide, 1);
    if (!back)
        return false;
    back->opset = node->opset;
    return pbitc_node_set_int(graph, back, "to", PBITC_FLOAT32);
}

static bool widen_values(struct pbitc_graph *graph)
{
    for (size_t i = 0; i < graph->value_count; i++) {
        struct pbitc_value *value = graph->values[i];
        if (!is_half(value->type))
            continue;
        if (value->constant && !(value->constant = widen_tensor(graph->arena, value->constant)))
            return false;
        value->type = PBITC_FLOAT32;
    }
    return true;
}

bool pbitc_onnx_widen_floats(struct pbitc_onnx_importer *importer)
{
    for (struct pbitc_node *node = importer->graph->first, *next; node; node = next) {
        next = node->next;
        if (node->op && !(name_type(importer->graph, node) && widen_attributes(importer->graph, node) &&
                          widen_result(importer, node)))
            return false;
    }
    return widen_values(importer->graph);
}
