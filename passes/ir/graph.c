#include "passes/ir/graph.h"

#include "passes/ir/name_table.h"

#include <string.h>

/// An empty graph in the arena; NULL when out of memory.
static struct pbitc_graph *create_in(struct pbitc_arena *arena, const char *name)
{
    struct pbitc_graph *graph = pbitc_arena_allocate(arena, 1, sizeof(*graph));
    const char *copied_name = pbitc_arena_copy_string(arena, name, strlen(name));
    struct pbitc_name_table *value_names = pbitc_name_table_create(arena);
    struct pbitc_name_table *node_names = pbitc_name_table_create(arena);
    if (!graph || !copied_name || !value_names || !node_names)
        return NULL;
    *graph = (struct pbitc_graph){
        .arena = arena,
        .name = copied_name,
        .producer = "",
        .value_names = value_names,
        .node_names = node_names,
    };
    return graph;
}

struct pbitc_graph *pbitc_graph_create(const struct pbitc_allocator *allocator, const char *name)
{
    struct pbitc_arena *arena = pbitc_arena_create(allocator);
    struct pbitc_graph *graph = arena ? create_in(arena, name) : NULL;
    if (!graph)
        pbitc_arena_destroy(arena);
    return graph;
}

struct pbitc_graph *pbitc_graph_create_inner(const struct pbitc_graph *outer, const char *name)
{
    struct pbitc_graph *graph = create_in(outer->arena, name);
    if (graph) {
        graph->inner = true;
        graph->opset = outer->opset;
        graph->ir_version = outer->ir_version;
    }
    return graph;
}

void pbitc_graph_destroy(struct pbitc_graph *graph)
{
    if (graph && !graph->inner)
        pbitc_arena_destroy(graph->arena);
}

/// Makes room for one more entry of graph->values.
static bool reserve_value(struct pbitc_graph *graph)
{
    if (graph->value_count < graph->value_capacity)
        return true;
    size_t capacity = graph->value_capacity ? graph->value_capacity * 2 : 64;
    struct pbitc_value **values = pbitc_arena_allocate(graph->arena, capacity, sizeof(*values));
    if (!values)
        return false;
    if (graph->value_count)
        memcpy(values, graph->values, graph->value_count * sizeof(*values));
    graph->values = values;
    graph->value_capacity = capacity;
    return true;
}

struct pbitc_value *pbitc_graph_add_value(struct pbitc_graph *graph, const char *name, enum pbitc_type type,
                                          const struct pbitc_shape *shape)
{
    struct pbitc_value *value = pbitc_arena_allocate(graph->arena, 1, sizeof(*value));
    const char *unique = pbitc_name_table_unique(graph->value_names, name);
    if (!value || !unique || !reserve_value(graph) ||
        !pbitc_name_table_add(graph->value_names, unique, value))
        return NULL;
    *value = (struct pbitc_value){.name = unique, .type = type, .shape = *shape, .index = graph->value_count};
    graph->values[graph->value_count++] = value;
    return value;
}

struct pbitc_value *pbitc_graph_add_constant(struct pbitc_graph *graph, const char *name,
                                             enum pbitc_type type, const struct pbitc_shape *shape)
{
    int64_t elements = pbitc_shape_elements(shape);
    struct pbitc_tensor *tensor = pbitc_arena_allocate(graph->arena, 1, sizeof(*tensor));
    if (!tensor || elements < 0 || (uint64_t)elements > SIZE_MAX)
        return NULL;
    *tensor = (struct pbitc_tensor){.type = type, .shape = *shape};
    tensor->data = pbitc_arena_allocate(graph->arena, (size_t)elements, pbitc_type_bytes(type));
    struct pbitc_value *value = tensor->data ? pbitc_graph_add_value(graph, name, type, shape) : NULL;
    if (value)
        value->constant = tensor;
    return value;
}

struct pbitc_value *pbitc_graph_find_value(const struct pbitc_graph *graph, const char *name)
{
    return pbitc_name_table_find(graph->value_names, name);
}

static void link_before(struct pbitc_graph *graph, struct pbitc_node *position, struct pbitc_node *node)
{
    node->next = position;
    node->previous = position ? position->previous : graph->last;
    *(node->previous ? &node->previous->next : &graph->first) = node;
    *(position ? &position->previous : &graph->last) = node;
}

static void unlink_node(struct pbitc_graph *graph, struct pbitc_node *node)
{
    *(node->previous ? &node->previous->next : &graph->first) = node->next;
    *(node->next ? &node->next->previous : &graph->last) = node->previous;
    node->previous = node->next = NULL;
}

static struct pbitc_value **copy_values(struct pbitc_graph *graph, struct pbitc_value *const *values,
                                        size_t count, size_t capacity)
{
    struct pbitc_value **copy = pbitc_arena_allocate(graph->arena, capacity, sizeof(struct pbitc_value *));
    if (copy && count)
        memcpy(copy, values, count * sizeof(struct pbitc_value *));
    return copy;
}

struct pbitc_node *pbitc_graph_insert_node(struct pbitc_graph *graph, struct pbitc_node *position,
                                           const char *name, const struct pbitc_operator *op,
                                           struct pbitc_value *const *inputs, size_t input_count,
                                           struct pbitc_value *const *outputs, size_t output_count)
{
    struct pbitc_node *node = pbitc_arena_allocate(graph->arena, 1, sizeof(*node));
    if (!node)
        return NULL;
    *node = (struct pbitc_node){
        .name = pbitc_name_table_unique(graph->node_names, name),
        .op = op,
        .input_count = input_count,
        .inputs = copy_values(graph, inputs, input_count, input_count),
        .output_count = output_count,
        .outputs = copy_values(graph, outputs, output_count, output_count),
    };
    if (!node->name || !node->inputs || !node->outputs ||
        !pbitc_name_table_add(graph->node_names, node->name, node))
        return NULL;
    for (size_t i = 0; i < output_count; i++)
        if (outputs[i])
            outputs[i]->producer = node;
    link_before(graph, position, node);
    return node;
}

bool pbitc_node_set_input(struct pbitc_graph *graph, struct pbitc_node *node, size_t index,
                          struct pbitc_value *value)
{
    if (index >= node->input_count) {
        struct pbitc_value **inputs = copy_values(graph, node->inputs, node->input_count, index + 1);
        if (!inputs)
            return false;
        node->inputs = inputs;
        node->input_count = index + 1;
    }
    node->inputs[index] = value;
    return true;
}

void pbitc_graph_remove_node(struct pbitc_graph *graph, struct pbitc_node *node)
{
    // An output may already have been given to another node; that one keeps it.
    for (size_t i = 0; i < node->output_count; i++)
        if (node->outputs[i] && node->outputs[i]->producer == node)
            node->outputs[i]->producer = NULL;
    pbitc_name_table_remove(graph->node_names, node->name);
    unlink_node(graph, node);
}

static bool lists(struct pbitc_value *const *values, size_t count, const struct pbitc_value *value)
{
    for (size_t i = 0; i < count; i++)
        if (values[i] == value)
            return true;
    return false;
}

static void swap_names(struct pbitc_graph *graph, struct pbitc_value *a, struct pbitc_value *b)
{
    pbitc_name_table_swap(graph->value_names, a->name, b->name);
    const char *name = a->name;
    a->name = b->name;
    b->name = name;
}

void pbitc_graph_replace_uses(struct pbitc_graph *graph, struct pbitc_value *old,
                              struct pbitc_value *replacement)
{
    if (old == replacement)
        return;
    PBITC_FOR_EACH_NODE(node, graph)
    for (size_t i = 0; i < node->input_count; i++)
        if (node->inputs[i] == old)
            node->inputs[i] = replacement;

    if (!lists(graph->outputs, graph->output_count, old) ||
        lists(graph->outputs, graph->output_count, replacement) ||
        lists(graph->inputs, graph->input_count, replacement))
        return;
    for (size_t i = 0; i < graph->output_count; i++)
        if (graph->outputs[i] == old)
            graph->outputs[i] = replacement;
    swap_names(graph, old, replacement);
}

static bool is_dead(const struct pbitc_node *node)
{
    for (size_t i = 0; i < node->output_count; i++)
        if (node->outputs[i] && node->outputs[i]->mark)
            return false;
    return true;
}

/// Sets every value's mark to the number of its uses.
static void count_uses(struct pbitc_graph *graph)
{
    for (size_t i = 0; i < graph->value_count; i++)
        graph->values[i]->mark = 0;
    for (size_t i = 0; i < graph->output_count; i++)
        graph->outputs[i]->mark++;
    PBITC_FOR_EACH_NODE(node, graph)
    for (size_t i = 0; i < node->input_count; i++)
        if (node->inputs[i])
            node->inputs[i]->mark++;
}

size_t pbitc_graph_remove_dead_nodes(struct pbitc_graph *graph)
{
    size_t removed = 0;
    count_uses(graph);
    // Backwards, so that whatever a dead node alone has used is dead when its turn comes.
    for (struct pbitc_node *node = graph->last, *previous; node; node = previous) {
        previous = node->previous;
        if (!is_dead(node))
            continue;
        for (size_t i = 0; i < node->input_count; i++)
            if (node->inputs[i])
                node->inputs[i]->mark--;
        pbitc_graph_remove_node(graph, node);
        removed++;
    }
    return removed;
}

size_t pbitc_graph_node_count(const struct pbitc_graph *graph)
{
    size_t count = 0;
    PBITC_FOR_EACH_NODE(node, graph) count++;
    return count;
}

size_t pbitc_graph_use_count(const struct pbitc_graph *graph, const struct pbitc_value *value)
{
    size_t uses = 0;
    for (size_t i = 0; i < graph->output_count; i++)
        uses += graph->outputs[i] == value;
    PBITC_FOR_EACH_NODE(node, graph)
    for (size_t i = 0; i < node->input_count; i++)
        uses += node->inputs[i] == value;
    return uses;
}

static enum pbitc_type declared_type(const enum pbitc_type *types, size_t index,
                                     const struct pbitc_value *value)
{
    bool half = types && (types[index] == PBITC_FLOAT16 || types[index] == PBITC_BFLOAT16);
    return half ? types[index] : value->type;
}

enum pbitc_type pbitc_graph_input_type(const struct pbitc_graph *graph, size_t index)
{
    return declared_type(graph->input_types, index, graph->inputs[index]);
}

enum pbitc_type pbitc_graph_output_type(const struct pbitc_graph *graph, size_t index)
{
    return declared_type(graph->output_types, index, graph->outputs[index]);
}

int64_t pbitc_fixed_batch(const struct pbitc_value *input)
{
    return input->shape.rank > 0 && !input->dim_names[0] && input->shape.dims[0] >= 0 ? input->shape.dims[0]
                                                                                      : -1;
}

struct pbitc_node *pbitc_graph_only_consumer(const struct pbitc_graph *graph, const struct pbitc_value *value)
{
    struct pbitc_node *consumer = NULL;
    if (lists(graph->outputs, graph->output_count, value))
        return NULL;
    PBITC_FOR_EACH_NODE(node, graph)
    {
        for (size_t i = 0; i < node->input_count; i++) {
            if (node->inputs[i] != value)
                continue;
            if (consumer)
                return NULL;
            consumer = node;
        }
    }
    return consumer;
}

enum { UNVISITED = 0 };
static const size_t DONE = SIZE_MAX;

/// Marks the nodes from `node` up its chain of readers to `end`: they form a cycle.
static void mark_cycle(struct pbitc_node *node, const struct pbitc_node *end)
{
    for (; node != end; node = node->sort.reader)
        node->sort.on_cycle = true;
    node->sort.on_cycle = true;
}

/// Moves whatever `root` depends on, and is not placed yet, in front of it: a depth-first walk along the
/// inputs that keeps its stack in the nodes, because the graph may be deep. False: a cycle.
static bool place(struct pbitc_graph *graph, struct pbitc_node *root)
{
    root->sort.reader = NULL;
    root->sort.next_input = 1;
    for (struct pbitc_node *node = root; node;) {
        if (node->sort.next_input > node->input_count) {
            node->sort.next_input = DONE;
            if (node != root) {
                unlink_node(graph, node);
                link_before(graph, root, node);
            }
            node = node->sort.reader;
            continue;
        }
        const struct pbitc_value *input = node->inputs[node->sort.next_input++ - 1];
        struct pbitc_node *producer = input ? input->producer : NULL;
        if (!producer || producer->sort.next_input == DONE)
            continue;
        if (producer->sort.next_input != UNVISITED) {
            mark_cycle(node, producer);
            return false;
        }
        producer->sort.reader = node;
        producer->sort.next_input = 1;
        node = producer;
    }
    return true;
}

bool pbitc_graph_sort(struct pbitc_graph *graph)
{
    PBITC_FOR_EACH_NODE(node, graph)
    {
        node->sort.next_input = UNVISITED;
        node->sort.on_cycle = false;
    }
    PBITC_FOR_EACH_NODE(node, graph)
    if (node->sort.next_input == UNVISITED && !place(graph, node))
        return false;
    return true;
}
