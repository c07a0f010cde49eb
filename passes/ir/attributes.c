#include "passes/ir/graph.h"

#include <string.h>

const struct pbitc_attribute *pbitc_node_attribute(const struct pbitc_node *node, const char *name)
{
    const struct pbitc_attribute *attribute = node->attributes;
    while (attribute && strcmp(attribute->name, name) != 0)
        attribute = attribute->next;
    return attribute;
}

static const struct pbitc_attribute *find_kind(const struct pbitc_node *node, const char *name,
                                               enum pbitc_attribute_kind kind)
{
    const struct pbitc_attribute *attribute = pbitc_node_attribute(node, name);
    return attribute && attribute->kind == kind ? attribute : NULL;
}

int64_t pbitc_node_int(const struct pbitc_node *node, const char *name, int64_t fallback)
{
    const struct pbitc_attribute *attribute = find_kind(node, name, PBITC_ATTRIBUTE_INT);
    return attribute ? attribute->integer : fallback;
}

float pbitc_node_float(const struct pbitc_node *node, const char *name, float fallback)
{
    const struct pbitc_attribute *attribute = find_kind(node, name, PBITC_ATTRIBUTE_FLOAT);
    return attribute ? attribute->real : fallback;
}

const char *pbitc_node_string(const struct pbitc_node *node, const char *name, const char *fallback)
{
    const struct pbitc_attribute *attribute = find_kind(node, name, PBITC_ATTRIBUTE_STRING);
    return attribute ? attribute->string : fallback;
}

const int64_t *pbitc_node_ints(const struct pbitc_node *node, const char *name, size_t *count)
{
    const struct pbitc_attribute *attribute = find_kind(node, name, PBITC_ATTRIBUTE_INTS);
    *count = attribute ? attribute->count : 0;
    return attribute ? attribute->integers : NULL;
}

const float *pbitc_node_floats(const struct pbitc_node *node, const char *name, size_t *count)
{
    const struct pbitc_attribute *attribute = find_kind(node, name, PBITC_ATTRIBUTE_FLOATS);
    *count = attribute ? attribute->count : 0;
    return attribute ? attribute->reals : NULL;
}

struct pbitc_graph *pbitc_node_graph(const struct pbitc_node *node, const char *name)
{
    const struct pbitc_attribute *attribute = find_kind(node, name, PBITC_ATTRIBUTE_GRAPH);
    return attribute ? attribute->graph : NULL;
}

void pbitc_node_remove_attribute(struct pbitc_node *node, const char *name)
{
    for (struct pbitc_attribute **link = &node->attributes; *link; link = &(*link)->next) {
        if (strcmp((*link)->name, name) == 0) {
            *link = (*link)->next;
            return;
        }
    }
}

/// Copies `attribute` (whose payload is in the arena already) into the node in place of one of the same name.
static bool set(struct pbitc_graph *graph, struct pbitc_node *node, const char *name,
                struct pbitc_attribute attribute)
{
    struct pbitc_attribute *copy = pbitc_arena_allocate(graph->arena, 1, sizeof(*copy));
    const char *copied_name = pbitc_arena_copy_string(graph->arena, name, strlen(name));
    if (!copy || !copied_name)
        return false;
    pbitc_node_remove_attribute(node, name);
    *copy = attribute;
    copy->name = copied_name;
    copy->next = node->attributes;
    node->attributes = copy;
    return true;
}

bool pbitc_node_set_int(struct pbitc_graph *graph, struct pbitc_node *node, const char *name, int64_t value)
{
    return set(graph, node, name, (struct pbitc_attribute){.kind = PBITC_ATTRIBUTE_INT, .integer = value});
}

bool pbitc_node_set_float(struct pbitc_graph *graph, struct pbitc_node *node, const char *name, float value)
{
    return set(graph, node, name, (struct pbitc_attribute){.kind = PBITC_ATTRIBUTE_FLOAT, .real = value});
}

bool pbitc_node_set_string(struct pbitc_graph *graph, struct pbitc_node *node, const char *name,
                           const char *value)
{
    const char *copy = pbitc_arena_copy_string(graph->arena, value, strlen(value));
    return copy &&
           set(graph, node, name, (struct pbitc_attribute){.kind = PBITC_ATTRIBUTE_STRING, .string = copy});
}

/// `count` elements of `size` bytes copied into the arena; NULL when out of memory.
static void *copy_array(struct pbitc_graph *graph, const void *values, size_t count, size_t size)
{
    void *copy = pbitc_arena_allocate(graph->arena, count, size);
    if (copy && count)
        memcpy(copy, values, count * size);
    return copy;
}

bool pbitc_node_set_ints(struct pbitc_graph *graph, struct pbitc_node *node, const char *name,
                         const int64_t *values, size_t count)
{
    const int64_t *copy = copy_array(graph, values, count, sizeof(*values));
    struct pbitc_attribute attribute = {.kind = PBITC_ATTRIBUTE_INTS, .count = count, .integers = copy};
    return copy && set(graph, node, name, attribute);
}

bool pbitc_node_set_floats(struct pbitc_graph *graph, struct pbitc_node *node, const char *name,
                           const float *values, size_t count)
{
    const float *copy = copy_array(graph, values, count, sizeof(*values));
    struct pbitc_attribute attribute = {.kind = PBITC_ATTRIBUTE_FLOATS, .count = count, .reals = copy};
    return copy && set(graph, node, name, attribute);
}

bool pbitc_node_set_strings(struct pbitc_graph *graph, struct pbitc_node *node, const char *name,
                            const char *const *values, size_t count)
{
    const char **copy = pbitc_arena_allocate(graph->arena, count, sizeof(*copy));
    for (size_t i = 0; copy && i < count; i++) {
        copy[i] = pbitc_arena_copy_string(graph->arena, values[i], strlen(values[i]));
        if (!copy[i])
            return false;
    }
    struct pbitc_attribute attribute = {.kind = PBITC_ATTRIBUTE_STRINGS, .count = count, .strings = copy};
    return copy && set(graph, node, name, attribute);
}

bool pbitc_node_set_tensor(struct pbitc_graph *graph, struct pbitc_node *node, const char *name,
                           const struct pbitc_tensor *tensor)
{
    return set(graph, node, name, (struct pbitc_attribute){.kind = PBITC_ATTRIBUTE_TENSOR, .tensor = tensor});
}

bool pbitc_node_set_graph(struct pbitc_graph *graph, struct pbitc_node *node, const char *name,
                          struct pbitc_graph *inner)
{
    return set(graph, node, name, (struct pbitc_attribute){.kind = PBITC_ATTRIBUTE_GRAPH, .graph = inner});
}
