// A graph of the file, the model's or an inner one, with its nodes; inner graphs and calls of functions lead
// back here.
#include "converter/onnx/onnx_importer.h"
#include "passes/ir/name_table.h"
#include "passes/ir/signature.h"

#include <string.h>

struct pbitc_onnx_decoded {
    Onnx__GraphProto *proto;
    struct pbitc_onnx_decoded *next;
};

/// No operator has more; keeps the search for repeated names short.
enum { MAX_ATTRIBUTES = 64 };

// ---- one node

/// The nodes of one graph or function body, with the names that they get.
struct body {
    Onnx__NodeProto *const *protos;
    size_t count;
    const char **names;
};

static bool is_constant_node(const Onnx__NodeProto *node)
{
    return node->op_type && strcmp(node->op_type, "Constant") == 0 && pbitc_onnx_is_default_domain(node);
}

static bool collect_given_names(const struct body *body, struct pbitc_name_table *given)
{
    for (size_t i = 0; i < body->count; i++) {
        char *name = body->protos[i]->name;
        if (name && *name && !pbitc_name_table_find(given, name) && !pbitc_name_table_add(given, name, name))
            return false;
    }
    return true;
}

/// Sets the name of each node: its own, or one such as "Conv_12", from operator and place, that no other node
/// has; with the scope's prefix.
static bool name_nodes(struct pbitc_onnx_importer *importer, struct body *body)
{
    struct pbitc_arena *arena = importer->graph->arena;
    struct pbitc_name_table *given = pbitc_name_table_create(arena);
    body->names = pbitc_arena_allocate(arena, body->count, sizeof(char *));
    if (!given || !body->names || !collect_given_names(body, given))
        return false;
    for (size_t i = 0; i < body->count; i++) {
        const Onnx__NodeProto *node = body->protos[i];
        const char *name = node->name;
        if (!name || !*name) {
            const char *invented = pbitc_arena_format(arena, "%s_%zu", pbitc_onnx_text(node->op_type), i);
            name = invented ? pbitc_name_table_unique(given, invented) : NULL;
        }
        body->names[i] = name ? pbitc_onnx_graph_name(importer, name) : NULL;
        if (!body->names[i])
            return false;
    }
    return true;
}

static bool import_constant(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                            const Onnx__NodeProto *proto)
{
    struct pbitc_value *value = NULL;
    const char *output = proto->n_output ? proto->output[0] : "";
    if (proto->n_output && !pbitc_onnx_check_name(importer, place, "output", output))
        return true;
    const char *name = pbitc_onnx_graph_name(importer, output);
    if (!name || !pbitc_onnx_import_constant_node(importer, place, proto, name, &value))
        return false;
    if (!value)
        return !proto->n_output || pbitc_onnx_add_placeholder(importer, output);
    return pbitc_onnx_bind(importer, output, value);
}

/// Makes the values that a node produces. All of them stand before any node is made: the file need not be
/// sorted.
static bool import_products(struct pbitc_onnx_importer *importer, const struct body *body, size_t index)
{
    const Onnx__NodeProto *proto = body->protos[index];
    struct pbitc_onnx_place place = {
        .name = body->names[index], .op = proto->op_type, .opset = pbitc_onnx_find_opset(importer, "")};
    if (is_constant_node(proto))
        return import_constant(importer, &place, proto);
    for (size_t i = 0; i < proto->n_output; i++) {
        const char *name = proto->output[i];
        if (!*name || !pbitc_onnx_check_name(importer, &place, "output", name))
            continue;
        struct pbitc_value *value = pbitc_name_table_find(importer->scope->promised, name);
        if (!value)
            value = pbitc_onnx_add_value(importer, name);
        if (!value || !pbitc_onnx_bind(importer, name, value))
            return false;
    }
    return true;
}

/// The operator of a node; NULL, and collected or noted, when we do not have it. False: out of memory.
static bool find_operator(struct pbitc_onnx_importer *importer, const Onnx__NodeProto *proto,
                          const char *name, int *opset, const struct pbitc_operator **op)
{
    const char *domain = pbitc_onnx_plain_domain(proto->domain), *op_type = pbitc_onnx_text(proto->op_type);
    struct pbitc_onnx_place place = {.name = name, .op = op_type};
    *op = NULL;
    *opset = pbitc_onnx_find_opset(importer, domain);
    if (!*op_type) {
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, &place, NULL, "node without an operator");
        return true;
    }
    if (!*opset && *domain)
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, &place, NULL,
                           "the model does not declare the operator's domain '%s'", domain);
    // Ours are for the passes alone, which know what they put in.
    if (strcmp(domain, "pbitc") != 0)
        *op = pbitc_operator_find(domain, *domain ? op_type : pbitc_onnx_newest_name(op_type));
    return *op || pbitc_onnx_add_unknown(importer, domain, op_type, *opset, name);
}

/// What stands for inputs that nothing produces; no value of a file has an empty name.
static struct pbitc_value *find_missing(struct pbitc_onnx_importer *importer)
{
    struct pbitc_value *missing = pbitc_graph_find_value(importer->graph, "");
    return missing ? missing
                   : pbitc_graph_add_value(importer->graph, "", PBITC_TYPE_NONE, &pbitc_onnx_unknown_shape);
}

/// The values of the node's inputs; NULL for omitted ones. False: out of memory.
static bool find_inputs(struct pbitc_onnx_importer *importer, const Onnx__NodeProto *proto,
                        const struct pbitc_onnx_place *place, struct pbitc_value **inputs)
{
    for (size_t i = 0; i < proto->n_input; i++) {
        if (!*proto->input[i])
            continue;
        if (!pbitc_onnx_find(importer, proto->input[i], &inputs[i]))
            return false;
        if (inputs[i] == &pbitc_onnx_omitted) {
            inputs[i] = NULL;
            continue;
        }
        if (!inputs[i]) {
            PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, place, NULL,
                               "input %zu is '%s', which nothing produces", i, proto->input[i]);
            inputs[i] = find_missing(importer);
        }
        if (!inputs[i])
            return false;
        inputs[i]->mark = 1;
    }
    return true;
}

/// The values of the node's outputs; NULL for omitted ones. False: out of memory.
static bool find_outputs(struct pbitc_onnx_importer *importer, const Onnx__NodeProto *proto,
                         struct pbitc_value **outputs)
{
    for (size_t i = 0; i < proto->n_output; i++) {
        if (!*proto->output[i])
            continue;
        outputs[i] = pbitc_onnx_find_own(importer, proto->output[i]);
        // The name belongs to another value, which was noted; what follows is spared the consequences.
        if (!outputs[i] || outputs[i]->producer || outputs[i]->type != PBITC_TYPE_NONE)
            outputs[i] = pbitc_onnx_add_value(importer, proto->output[i]);
        if (!outputs[i])
            return false;
    }
    return true;
}

static size_t count_given(struct pbitc_value *const *values, size_t count)
{
    while (count && !values[count - 1])
        count--;
    return count;
}

/// The inputs of a node with inner graphs must be theirs, one by one, before captures are added to both.
static void check_inner_inputs(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                               const struct pbitc_node *node, size_t declared)
{
    size_t own = pbitc_signature_own_inputs(node);
    for (const struct pbitc_onnx_scope *inner = importer->scope->opened; inner; inner = inner->sibling)
        if (inner->graph->input_count + own != declared)
            PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, place, NULL,
                               "the inner graph '%s' has %zu inputs, the node gives it %zu",
                               inner->graph->name, inner->graph->input_count,
                               declared > own ? declared - own : 0);
}

/// Checks the inner graphs of a node, and hands in what they have captured.
static bool finish_control_flow(struct pbitc_onnx_importer *importer, const Onnx__NodeProto *proto,
                                const struct pbitc_onnx_place *place, struct pbitc_node *node)
{
    check_inner_inputs(importer, place, node, proto->n_input);
    for (const char *entry = node->op->attributes; *entry;
         entry += strcspn(entry, " "), entry += *entry == ' ') {
        const char *colon = strchr(entry, ':');
        const char *name = pbitc_arena_copy_string(importer->graph->arena, entry, (size_t)(colon - entry));
        if (!name)
            return false;
        if (colon[1] == 'g' && !pbitc_node_graph(node, name))
            PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, place, NULL, "the node has no inner graph '%s'",
                               name);
    }
    return pbitc_onnx_close_captures(importer, node, proto->n_input);
}

// ---- after the nodes

static bool upgrade_nodes(struct pbitc_onnx_importer *importer)
{
    PBITC_FOR_EACH_NODE(node, importer->graph)
    if (node->op && !pbitc_onnx_upgrade_node(importer, node))
        return false;
    return true;
}

/// "'a', 'b'": the nodes of the cycle that the sort has found. NULL when out of memory.
static const char *name_cycle(const struct pbitc_graph *graph)
{
    size_t length = 0;
    PBITC_FOR_EACH_NODE(node, graph)
    length += node->sort.on_cycle ? strlen(node->name) + strlen("'', ") : 0;
    char *text = pbitc_arena_allocate(graph->arena, length + 1, 1), *end = text;
    PBITC_FOR_EACH_NODE(node, graph)
    if (text && node->sort.on_cycle)
        end += sprintf(end, "%s'%s'", end == text ? "" : ", ", node->name);
    return text;
}

static bool sort_nodes(struct pbitc_onnx_importer *importer)
{
    const struct pbitc_onnx_place model = {0};
    if (pbitc_graph_sort(importer->graph))
        return true;
    const char *names = name_cycle(importer->graph);
    if (names)
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, &model, NULL,
                           "the graph is not acyclic: these nodes wait for each other: %s", names);
    return names;
}

bool pbitc_onnx_finish_graph(struct pbitc_onnx_importer *importer)
{
    return upgrade_nodes(importer) && pbitc_onnx_widen_floats(importer) && sort_nodes(importer);
}

// ---- graphs

static bool import_nodes(struct pbitc_onnx_importer *importer, Onnx__NodeProto *const *protos, size_t count);

bool pbitc_onnx_import_graph(struct pbitc_onnx_importer *importer, const Onnx__GraphProto *proto)
{
    size_t values = proto->n_input + proto->n_output + proto->n_initializer + proto->n_sparse_initializer;
    return pbitc_onnx_count(importer, 0, values) && pbitc_onnx_import_initializers(importer, proto) &&
           pbitc_onnx_import_inputs(importer, proto) && import_nodes(importer, proto->node, proto->n_node) &&
           pbitc_onnx_import_outputs(importer, proto);
}

/// Decodes an inner graph; the names in it live as long as the importer. *proto is NULL when it was refused.
static bool decode_inner(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                         const Onnx__AttributeProto *attribute, Onnx__GraphProto **proto)
{
    struct pbitc_onnx_decoded *decoded = pbitc_arena_allocate(importer->graph->arena, 1, sizeof(*decoded));
    *proto = NULL;
    if (!decoded)
        return false;
    enum pbit_status status =
        pbitc_onnx_unpack_graph(attribute->g.data, attribute->g.len, importer->memory, proto);
    if (status == PBIT_ERROR_MEMORY)
        return false;
    if (!*proto) {
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, place, NULL,
                           "attribute '%s' is an inner graph whose encoding is damaged", attribute->name);
        return true;
    }
    *decoded = (struct pbitc_onnx_decoded){*proto, importer->decoded};
    importer->decoded = decoded;
    return true;
}

void pbitc_onnx_free_decoded(struct pbitc_onnx_importer *importer)
{
    for (struct pbitc_onnx_decoded *decoded = importer->decoded; decoded; decoded = decoded->next)
        pbitc_onnx_free_graph(decoded->proto, importer->memory);
    importer->decoded = NULL;
}

static bool import_inner(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                         const Onnx__AttributeProto *attribute, struct pbitc_node *node)
{
    struct pbitc_graph *outer = importer->graph;
    struct pbitc_onnx_scope *parent = importer->scope;
    Onnx__GraphProto *proto;
    if (!pbitc_onnx_may_enter(importer, place) || !decode_inner(importer, place, attribute, &proto))
        return false;
    if (!proto)
        return true;
    const char *prefix = pbitc_arena_format(outer->arena, "%.200s/", node->name);
    struct pbitc_graph *graph = pbitc_graph_create_inner(outer, pbitc_onnx_text(proto->name));
    struct pbitc_onnx_scope *scope = prefix && graph ? pbitc_onnx_enter(importer, graph, prefix) : NULL;
    if (!scope)
        return false;
    scope->sibling = parent->opened;
    parent->opened = scope;
    bool good = pbitc_onnx_import_graph(importer, proto) && pbitc_onnx_finish_graph(importer);
    pbitc_onnx_leave(importer);
    return good && pbitc_node_set_graph(outer, node, attribute->name, graph);
}

static bool import_call(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                        const Onnx__NodeProto *proto, const Onnx__FunctionProto *function)
{
    bool entered;
    if (!pbitc_onnx_enter_call(importer, place, proto, function, &entered))
        return false;
    return !entered || (import_nodes(importer, function->node, function->n_node) &&
                        pbitc_onnx_leave_call(importer, place));
}

static bool import_attributes(struct pbitc_onnx_importer *importer, const Onnx__NodeProto *proto,
                              const struct pbitc_onnx_place *place, struct pbitc_node *node)
{
    importer->scope->opened = NULL;
    if (proto->n_attribute > MAX_ATTRIBUTES) {
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, place, NULL,
                           "%zu attributes; no operator has more than %d", proto->n_attribute,
                           MAX_ATTRIBUTES);
        return true;
    }
    for (size_t i = 0; i < proto->n_attribute; i++) {
        const Onnx__AttributeProto *inner;
        if (!pbitc_onnx_import_attribute(importer, place, proto->attribute[i], node, &inner) ||
            (inner && !import_inner(importer, place, inner, node)))
            return false;
    }
    return !(node->op->flags & PBITC_OPERATOR_CONTROL_FLOW) ||
           finish_control_flow(importer, proto, place, node);
}

static bool import_node(struct pbitc_onnx_importer *importer, const struct body *body, size_t index)
{
    struct pbitc_graph *graph = importer->graph;
    const Onnx__NodeProto *proto = body->protos[index];
    const char *name = body->names[index];
    struct pbitc_value **inputs = pbitc_arena_allocate(graph->arena, proto->n_input, sizeof(*inputs));
    struct pbitc_value **outputs = pbitc_arena_allocate(graph->arena, proto->n_output, sizeof(*outputs));
    const struct pbitc_operator *op;
    int opset;
    const Onnx__FunctionProto *function = pbitc_onnx_find_function(importer, proto->domain, proto->op_type);
    struct pbitc_onnx_place place = {.name = name, .op = proto->op_type};
    if (!function && !pbitc_onnx_find_contributed(importer, proto, &function))
        return false;
    if (!function && !pbitc_onnx_find_attention(importer, proto, &function))
        return false;
    Onnx__NodeProto gradient = ONNX__NODE_PROTO__INIT;
    const Onnx__NodeProto *call = function ? proto : &gradient;
    if (!function &&
        !pbitc_onnx_find_gradient(importer, body->protos, body->count, proto, &gradient, &function))
        return false;
    if (function)
        return import_call(importer, &place, call, function);
    if (!inputs || !outputs || !find_operator(importer, proto, name, &opset, &op))
        return false;
    place.opset = opset;
    if (!find_inputs(importer, proto, &place, inputs) || !find_outputs(importer, proto, outputs))
        return false;
    struct pbitc_node *node = pbitc_graph_insert_node(
        graph, NULL, name, op, inputs, count_given(inputs, proto->n_input), outputs, proto->n_output);
    if (!node)
        return false;
    node->opset = opset;
    place.name = node->name;
    return !op || import_attributes(importer, proto, &place, node);
}

static bool import_nodes(struct pbitc_onnx_importer *importer, Onnx__NodeProto *const *protos, size_t count)
{
    struct body body = {.protos = protos, .count = count};
    size_t values = 0;
    for (size_t i = 0; i < count; i++)
        values += protos[i]->n_input + protos[i]->n_output;
    if (!pbitc_onnx_count(importer, count, values) || !name_nodes(importer, &body))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!import_products(importer, &body, i))
            return false;
    for (size_t i = 0; i < count; i++)
        if (!is_constant_node(protos[i]) && !import_node(importer, &body, i))
            return false;
    return true;
}
