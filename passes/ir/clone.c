#include "passes/ir/graph.h"

#include <string.h>

static struct pbitc_tensor *clone_tensor(struct pbitc_arena *arena, const struct pbitc_tensor *tensor)
{
    size_t elements = (size_t)pbitc_shape_elements(&tensor->shape), size = pbitc_type_bytes(tensor->type);
    struct pbitc_tensor *copy = pbitc_arena_allocate(arena, 1, sizeof(*copy));
    void *data = pbitc_arena_allocate(arena, elements, size);
    if (!copy || !data)
        return NULL;
    *copy = *tensor;
    copy->data = memcpy(data, tensor->data, elements * size);
    return copy;
}

/// The values keep their places, so that a value's index finds its copy.
static bool clone_values(struct pbitc_graph *copy, const struct pbitc_graph *graph)
{
    for (size_t i = 0; i < graph->value_count; i++) {
        const struct pbitc_value *value = graph->values[i];
        struct pbitc_value *twin = pbitc_graph_add_value(copy, value->name, value->type, &value->shape);
        if (!twin)
            return false;
        if (value->constant && !(twin->constant = clone_tensor(copy->arena, value->constant)))
            return false;
        for (int d = 0; d < PBITC_MAX_RANK; d++)
            if (value->dim_names[d] && !(twin->dim_names[d] = pbitc_arena_copy_string(
                                             copy->arena, value->dim_names[d], strlen(value->dim_names[d]))))
                return false;
    }
    return true;
}

/// The copies of `count` values; NULL when out of memory.
static struct pbitc_value **find_twins(struct pbitc_graph *copy, struct pbitc_value *const *values,
                                       size_t count)
{
    struct pbitc_value **twins = pbitc_arena_allocate(copy->arena, count, sizeof(struct pbitc_value *));
    for (size_t i = 0; twins && i < count; i++)
        twins[i] = values[i] ? copy->values[values[i]->index] : NULL;
    return twins;
}

static bool clone_into(struct pbitc_graph *copy, const struct pbitc_graph *graph);

static bool clone_inner(struct pbitc_graph *copy, struct pbitc_node *node, const struct pbitc_attribute *from)
{
    struct pbitc_graph *inner = pbitc_graph_create_inner(copy, from->graph->name);
    return inner && clone_into(inner, from->graph) && pbitc_node_set_graph(copy, node, from->name, inner);
}

static bool clone_attribute(struct pbitc_graph *copy, struct pbitc_node *node,
                            const struct pbitc_attribute *from)
{
    switch (from->kind) {
    case PBITC_ATTRIBUTE_INT:
        return pbitc_node_set_int(copy, node, from->name, from->integer);
    case PBITC_ATTRIBUTE_FLOAT:
        return pbitc_node_set_float(copy, node, from->name, from->real);
    case PBITC_ATTRIBUTE_STRING:
        return pbitc_node_set_string(copy, node, from->name, from->string);
    case PBITC_ATTRIBUTE_INTS:
        return pbitc_node_set_ints(copy, node, from->name, from->integers, from->count);
    case PBITC_ATTRIBUTE_FLOATS:
        return pbitc_node_set_floats(copy, node, from->name, from->reals, from->count);
    case PBITC_ATTRIBUTE_STRINGS:
        return pbitc_node_set_strings(copy, node, from->name, from->strings, from->count);
    case PBITC_ATTRIBUTE_TENSOR: {
        const struct pbitc_tensor *tensor = clone_tensor(copy->arena, from->tensor);
        return tensor && pbitc_node_set_tensor(copy, node, from->name, tensor);
    }
    case PBITC_ATTRIBUTE_GRAPH:
        return clone_inner(copy, node, from);
    }
    return false;
}

static bool clone_node(struct pbitc_graph *copy, const struct pbitc_node *node)
{
    struct pbitc_value **inputs = find_twins(copy, node->inputs, node->input_count);
    struct pbitc_value **outputs = find_twins(copy, node->outputs, node->output_count);
    if (!inputs || !outputs)
        return false;
    struct pbitc_node *twin = pbitc_graph_insert_node(copy, NULL, node->name, node->op, inputs,
                                                      node->input_count, outputs, node->output_count);
    if (!twin)
        return false;
    twin->opset = node->opset;
    twin->quantized = node->quantized;
    for (const struct pbitc_attribute *attribute = node->attributes; attribute; attribute = attribute->next)
        if (!clone_attribute(copy, twin, attribute))
            return false;
    return true;
}

static bool clone_nodes(struct pbitc_graph *copy, const struct pbitc_graph *graph)
{
    PBITC_FOR_EACH_NODE(node, graph)
    if (!clone_node(copy, node))
        return false;
    return true;
}

/// NULL stays NULL; false: out of memory.
static bool clone_types(struct pbitc_arena *arena, const enum pbitc_type *types, size_t count,
                        enum pbitc_type **copy)
{
    *copy = types ? pbitc_arena_allocate(arena, count, sizeof(*types)) : NULL;
    if (*copy)
        memcpy(*copy, types, count * sizeof(*types));
    return *copy || !types;
}

static bool clone_header(struct pbitc_graph *copy, const struct pbitc_graph *graph)
{
    copy->producer = pbitc_arena_copy_string(copy->arena, graph->producer, strlen(graph->producer));
    copy->ir_version = graph->ir_version;
    copy->opset = graph->opset;
    copy->capture_count = graph->capture_count;
    copy->inputs = find_twins(copy, graph->inputs, graph->input_count);
    copy->input_count = graph->input_count;
    copy->outputs = find_twins(copy, graph->outputs, graph->output_count);
    copy->output_count = graph->output_count;
    return copy->producer && copy->inputs && copy->outputs &&
           clone_types(copy->arena, graph->input_types, graph->input_count, &copy->input_types) &&
           clone_types(copy->arena, graph->output_types, graph->output_count, &copy->output_types);
}

/// `copy` is empty.
static bool clone_into(struct pbitc_graph *copy, const struct pbitc_graph *graph)
{
    return clone_values(copy, graph) && clone_header(copy, graph) && clone_nodes(copy, graph);
}

struct pbitc_graph *pbitc_graph_clone(const struct pbitc_graph *graph)
{
    struct pbitc_graph *copy = pbitc_graph_create(pbitc_arena_allocator(graph->arena), graph->name);
    if (!copy)
        return NULL;
    if (clone_into(copy, graph))
        return copy;
    pbitc_graph_destroy(copy);
    return NULL;
}
