// What the names in a graph, an inner graph or a function body of the file mean.
#include "converter/onnx/onnx_importer.h"
#include "passes/ir/name_table.h"

#include <string.h>

const struct pbitc_shape pbitc_onnx_unknown_shape = {.rank = -1};

struct pbitc_value pbitc_onnx_omitted = {.name = ""};

struct pbitc_onnx_scope *pbitc_onnx_enter(struct pbitc_onnx_importer *importer, struct pbitc_graph *graph,
                                          const char *prefix)
{
    struct pbitc_arena *arena = graph->arena;
    struct pbitc_onnx_scope *scope = pbitc_arena_allocate(arena, 1, sizeof(*scope));
    struct pbitc_onnx_scope *parent = importer->scope;
    if (!scope)
        return NULL;
    *scope = (struct pbitc_onnx_scope){
        .parent = parent,
        .depth = parent ? parent->depth + 1 : 0,
        .graph = graph,
        .prefix = prefix,
        .values = pbitc_name_table_create(arena),
        .promised = pbitc_name_table_create(arena),
        .captured = pbitc_name_table_create(arena),
        .opsets = parent ? parent->opsets : importer->model->opset_import,
        .opset_count = parent ? parent->opset_count : importer->model->n_opset_import,
    };
    if (!scope->values || !scope->promised || !scope->captured)
        return NULL;
    importer->scope = scope;
    importer->graph = graph;
    return scope;
}

void pbitc_onnx_leave(struct pbitc_onnx_importer *importer)
{
    importer->scope = importer->scope->parent;
    importer->graph = importer->scope->graph;
}

bool pbitc_onnx_may_enter(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place)
{
    if (importer->scope->depth + 1 < PBITC_ONNX_MAX_DEPTH)
        return true;
    importer->over_limit = true;
    PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_UNSUPPORTED, place, NULL,
                       "inner graphs and functions are nested more than %d deep", PBITC_ONNX_MAX_DEPTH);
    return false;
}

const char *pbitc_onnx_graph_name(struct pbitc_onnx_importer *importer, const char *name)
{
    const char *prefix = importer->scope->prefix;
    return *prefix ? pbitc_arena_format(importer->graph->arena, "%s%s", prefix, name) : name;
}

bool pbitc_onnx_bind(struct pbitc_onnx_importer *importer, const char *name, struct pbitc_value *value)
{
    return pbitc_name_table_add(importer->scope->values, name, value);
}

struct pbitc_value *pbitc_onnx_find_own(const struct pbitc_onnx_importer *importer, const char *name)
{
    return pbitc_name_table_find(importer->scope->values, name);
}

struct pbitc_value *pbitc_onnx_add_value(struct pbitc_onnx_importer *importer, const char *name)
{
    const char *given = pbitc_onnx_graph_name(importer, name);
    return given ? pbitc_graph_add_value(importer->graph, given, PBITC_TYPE_NONE, &pbitc_onnx_unknown_shape)
                 : NULL;
}

bool pbitc_onnx_add_placeholder(struct pbitc_onnx_importer *importer, const char *name)
{
    struct pbitc_value *value = pbitc_onnx_add_value(importer, name);
    return value && pbitc_onnx_bind(importer, name, value);
}

bool pbitc_onnx_check_name(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                           const char *kind, const char *name)
{
    if (!name || !*name)
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, place, NULL, "%s without a name", kind);
    else if (pbitc_onnx_find_own(importer, name))
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, place, NULL,
                           "%s '%s' has the name of another value; names must be unique", kind, name);
    else
        return true;
    return false;
}

/// The value of the inner graph that stands for one of the graph around it.
static bool capture(struct pbitc_onnx_scope *scope, const char *name, struct pbitc_value *outer,
                    struct pbitc_value **value)
{
    *value = pbitc_name_table_find(scope->captured, outer->name);
    if (*value)
        return true;
    *value = pbitc_graph_add_value(scope->graph, name, outer->constant ? outer->type : PBITC_TYPE_NONE,
                                   outer->constant ? &outer->shape : &pbitc_onnx_unknown_shape);
    if (!*value || !pbitc_name_table_add(scope->captured, outer->name, *value))
        return false;
    outer->mark = 1;
    if (outer->constant) { // no need to hand it in
        (*value)->constant = outer->constant;
        return true;
    }
    struct pbitc_onnx_capture *entry = pbitc_arena_allocate(scope->graph->arena, 1, sizeof(*entry));
    if (!entry)
        return false;
    entry->outer = outer;
    *(scope->last_capture ? &scope->last_capture->next : &scope->captures) = entry;
    scope->last_capture = entry;
    return true;
}

static bool find_from(struct pbitc_onnx_scope *scope, const char *name, struct pbitc_value **value)
{
    *value = pbitc_name_table_find(scope->values, name);
    if (*value || scope->function || !scope->parent)
        return true;
    struct pbitc_value *outer;
    if (!find_from(scope->parent, name, &outer))
        return false;
    if (!outer || outer == &pbitc_onnx_omitted) {
        *value = outer;
        return true;
    }
    return capture(scope, name, outer, value) && pbitc_name_table_add(scope->values, name, *value);
}

bool pbitc_onnx_find(struct pbitc_onnx_importer *importer, const char *name, struct pbitc_value **value)
{
    return find_from(importer->scope, name, value);
}

/// The captures of every inner graph become inputs of the node.
static bool add_node_inputs(struct pbitc_onnx_scope *scope, struct pbitc_node *node, size_t declared)
{
    struct pbitc_name_table *seen = pbitc_name_table_create(scope->graph->arena);
    size_t count = declared;
    if (!seen)
        return false;
    for (const struct pbitc_onnx_scope *inner = scope->opened; inner; inner = inner->sibling) {
        for (const struct pbitc_onnx_capture *entry = inner->captures; entry; entry = entry->next) {
            if (pbitc_name_table_find(seen, entry->outer->name))
                continue;
            if (!pbitc_name_table_add(seen, entry->outer->name, entry->outer) ||
                !pbitc_node_set_input(scope->graph, node, count++, entry->outer))
                return false;
        }
    }
    return true;
}

/// The node's inputs from `declared` on become the last inputs of the inner graph, whether it reads them or
/// not.
static bool add_graph_inputs(const struct pbitc_onnx_scope *inner, const struct pbitc_node *node,
                             size_t declared)
{
    struct pbitc_graph *graph = inner->graph;
    size_t captures = node->input_count > declared ? node->input_count - declared : 0;
    struct pbitc_value **inputs =
        pbitc_arena_allocate(graph->arena, graph->input_count + captures, sizeof(*inputs));
    if (!inputs)
        return false;
    if (graph->input_count)
        memcpy(inputs, graph->inputs, graph->input_count * sizeof(*inputs));
    for (size_t i = 0; i < captures; i++) {
        const struct pbitc_value *outer = node->inputs[declared + i];
        struct pbitc_value *value = pbitc_name_table_find(inner->captured, outer->name);
        if (!value)
            value = pbitc_graph_add_value(graph, outer->name, PBITC_TYPE_NONE, &pbitc_onnx_unknown_shape);
        if (!value)
            return false;
        inputs[graph->input_count + i] = value;
    }
    graph->inputs = inputs;
    graph->input_count += captures;
    graph->capture_count = captures;
    return true;
}

bool pbitc_onnx_close_captures(struct pbitc_onnx_importer *importer, struct pbitc_node *node, size_t declared)
{
    struct pbitc_onnx_scope *scope = importer->scope;
    if (!scope->opened)
        return true;
    bool good = add_node_inputs(scope, node, declared);
    for (const struct pbitc_onnx_scope *inner = scope->opened; good && inner; inner = inner->sibling)
        good = add_graph_inputs(inner, node, declared);
    scope->opened = NULL;
    return good;
}
