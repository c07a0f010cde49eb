// The invariants of a graph, in the order in which graph.h lists them. A violation is a bug of whoever made
// or changed the graph, never of the user's model: the importer reports those itself.
#include "passes/ir/name_table.h"
#include "passes/ir/signature.h"

#include <stdarg.h>
#include <string.h>

struct verifier {
    const struct pbitc_graph *graph;
    const char *after;
    struct pbitc_diagnostics *diagnostics;
    enum pbit_status status;
};

/// What `mark` says of a value while the nodes are walked.
enum { NOT_AVAILABLE, AVAILABLE };

__attribute__((format(printf, 4, 5))) static void violation(struct verifier *verifier, const char *where,
                                                            const struct pbitc_node *node, const char *format,
                                                            ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);

    const char *remedy = "this is a bug in pbitc, please report it";
    const char *pass = verifier->after ? verifier->after : "",
               *blame = verifier->after ? ": after pass " : "";
    verifier->status = node ? pbitc_report_node(verifier->diagnostics, PBIT_ERROR_INTERNAL, node, remedy,
                                                "invalid graph%s%s: %s", blame, pass, text)
                            : pbitc_report(verifier->diagnostics, PBIT_ERROR_INTERNAL, where, NULL, 0, remedy,
                                           "invalid graph%s%s: %s", blame, pass, text);
}

/// Names come from the model and may be long; messages hold their beginning.
#define NAME "'%.100s'"

static bool belongs(const struct verifier *verifier, const struct pbitc_value *value)
{
    return value->index < verifier->graph->value_count && verifier->graph->values[value->index] == value;
}

static bool valid_shape(const struct pbitc_shape *shape)
{
    if (shape->rank < -1 || shape->rank > PBITC_MAX_RANK)
        return false;
    for (int i = 0; i < shape->rank; i++)
        if (shape->dims[i] < -1)
            return false;
    return true;
}

static void verify_constant(struct verifier *verifier, const struct pbitc_value *value)
{
    const struct pbitc_tensor *tensor = value->constant;
    if (value->producer)
        violation(verifier, value->name, NULL, "constant has a producer " NAME, value->producer->name);
    if (tensor->type != value->type || !pbitc_shape_equal(&tensor->shape, &value->shape))
        violation(verifier, value->name, NULL, "constant differs from its value in type or shape");
    if (!tensor->data || !pbitc_type_bytes(tensor->type) || pbitc_shape_elements(&tensor->shape) < 0)
        violation(verifier, value->name, NULL, "constant without data, type or fixed shape");
}

static void verify_values(struct verifier *verifier)
{
    const struct pbitc_graph *graph = verifier->graph;
    for (size_t i = 0; i < graph->value_count; i++) {
        struct pbitc_value *value = graph->values[i];
        value->mark = value->constant ? AVAILABLE : NOT_AVAILABLE;
        if (value->index != i)
            violation(verifier, value->name, NULL, "value has index %zu but stands at %zu", value->index, i);
        if (pbitc_graph_find_value(graph, value->name) != value)
            violation(verifier, value->name, NULL,
                      "value cannot be found by its name or shares it with another");
        if (!valid_shape(&value->shape))
            violation(verifier, value->name, NULL, "value has an impossible shape");
        if (value->constant)
            verify_constant(verifier, value);
    }
}

static void verify_inputs(struct verifier *verifier)
{
    for (size_t i = 0; i < verifier->graph->input_count; i++) {
        struct pbitc_value *input = verifier->graph->inputs[i];
        if (!belongs(verifier, input)) {
            violation(verifier, input->name, NULL, "graph input is a value of another graph");
            continue;
        }
        if (input->constant || input->producer)
            violation(verifier, input->name, NULL, "graph input is a constant or has a producer");
        else if (input->mark == AVAILABLE)
            violation(verifier, input->name, NULL, "graph input is listed twice");
        if (!verifier->graph->inner && (!pbitc_type_bytes(input->type) || input->shape.rank < 0))
            violation(verifier, input->name, NULL, "graph input without type or rank");
        if (input->dim_names[0] && (input->shape.rank < 1))
            violation(verifier, input->name, NULL, "graph input has a symbolic batch but no dimension");
        for (int d = 0; d < input->shape.rank && d < PBITC_MAX_RANK; d++)
            if (input->shape.dims[d] < 0 && !input->dim_names[d])
                violation(verifier, input->name, NULL, "graph input has no size in dimension %d", d);
        input->mark = AVAILABLE;
    }
}

static void verify_node_inputs(struct verifier *verifier, const struct pbitc_node *node)
{
    for (size_t i = 0; i < node->input_count; i++) {
        const struct pbitc_value *input = node->inputs[i];
        if (!input)
            continue;
        if (!belongs(verifier, input))
            violation(verifier, NULL, node, "input %zu " NAME " is a value of another graph", i, input->name);
        else if (input->mark != AVAILABLE && input->producer)
            violation(verifier, NULL, node, "input %zu " NAME " is produced later or by a removed node", i,
                      input->name);
        else if (input->mark != AVAILABLE)
            violation(verifier, NULL, node, "nothing produces input %zu " NAME, i, input->name);
    }
}

static void verify_node_outputs(struct verifier *verifier, const struct pbitc_node *node)
{
    for (size_t i = 0; i < node->output_count; i++) {
        struct pbitc_value *output = node->outputs[i];
        if (!output)
            continue;
        if (!belongs(verifier, output)) {
            violation(verifier, NULL, node, "output %zu " NAME " is a value of another graph", i,
                      output->name);
            continue;
        }
        if (output->mark == AVAILABLE)
            violation(verifier, NULL, node,
                      "output %zu " NAME " has another producer, or is an input or constant", i,
                      output->name);
        else if (output->producer != node)
            violation(verifier, NULL, node, "output %zu " NAME " does not name this node as producer", i,
                      output->name);
        output->mark = AVAILABLE;
    }
}

static void verify_inner_graph(struct verifier *verifier, const struct pbitc_node *node,
                               const struct pbitc_attribute *attribute)
{
    const struct pbitc_graph *inner = attribute->graph;
    if (!inner->inner || inner->arena != verifier->graph->arena)
        violation(verifier, NULL, node, "attribute " NAME " is not a graph inside this one", attribute->name);
    if (inner->input_count + pbitc_signature_own_inputs(node) != node->input_count)
        violation(verifier, NULL, node, "attribute " NAME " has %zu inputs, the node %zu", attribute->name,
                  inner->input_count, node->input_count);
    enum pbit_status status = pbitc_graph_verify(inner, verifier->after, verifier->diagnostics);
    verifier->status = status ? status : verifier->status;
}

static void verify_signature(struct verifier *verifier, const struct pbitc_node *node)
{
    char problem[256];
    if (pbitc_signature_arity_problem(node, problem, sizeof(problem)))
        violation(verifier, NULL, node, "%s", problem);
    for (const struct pbitc_attribute *attribute = node->attributes; attribute; attribute = attribute->next) {
        char letter = pbitc_signature_attribute(node->op, attribute->name);
        if (!letter)
            violation(verifier, NULL, node, "unknown attribute " NAME, attribute->name);
        else if (letter != pbitc_attribute_letter(attribute->kind))
            violation(verifier, NULL, node, "attribute " NAME " is of kind %c instead of %c", attribute->name,
                      pbitc_attribute_letter(attribute->kind), letter);
        if (pbitc_node_attribute(node, attribute->name) != attribute)
            violation(verifier, NULL, node, "attribute " NAME " is there twice", attribute->name);
        if (attribute->kind == PBITC_ATTRIBUTE_GRAPH)
            verify_inner_graph(verifier, node, attribute);
    }
}

static void verify_nodes(struct verifier *verifier)
{
    const struct pbitc_node *previous = NULL;
    PBITC_FOR_EACH_NODE(node, verifier->graph)
    {
        if (node->previous != previous)
            violation(verifier, NULL, node, "the list of nodes is broken before this node");
        if (pbitc_name_table_find(verifier->graph->node_names, node->name) != node)
            violation(verifier, NULL, node, "node cannot be found by its name or shares it with another");
        verify_node_inputs(verifier, node);
        verify_node_outputs(verifier, node);
        if (node->op)
            verify_signature(verifier, node);
        else
            violation(verifier, NULL, node, "node without operator");
        previous = node;
    }
    if (verifier->graph->last != previous)
        violation(verifier, verifier->graph->name, NULL, "the list of nodes does not end at its last node");
}

/// A producer that the walk over the nodes has not met is no longer in the graph.
static void verify_producers(struct verifier *verifier)
{
    for (size_t i = 0; i < verifier->graph->value_count; i++) {
        const struct pbitc_value *value = verifier->graph->values[i];
        if (value->producer && value->mark != AVAILABLE)
            violation(verifier, value->name, NULL,
                      "the value's producer is not in the graph or does not list it");
    }
}

/// Resets the marks of outputs on the way, to notice one that is listed twice.
static void verify_outputs(struct verifier *verifier)
{
    for (size_t i = 0; i < verifier->graph->output_count; i++) {
        struct pbitc_value *output = verifier->graph->outputs[i];
        if (!belongs(verifier, output)) {
            violation(verifier, output->name, NULL, "graph output is a value of another graph");
            continue;
        }
        if (output->mark != AVAILABLE)
            violation(verifier, output->name, NULL, "graph output that nothing produces, or listed twice");
        output->mark = NOT_AVAILABLE;
    }
    if (verifier->graph->output_count == 0)
        violation(verifier, verifier->graph->name, NULL, "graph without outputs");
}

enum pbit_status pbitc_graph_verify(const struct pbitc_graph *graph, const char *after,
                                    struct pbitc_diagnostics *diagnostics)
{
    struct verifier verifier = {
        .graph = graph, .after = after, .diagnostics = diagnostics, .status = PBIT_OK};
    verify_values(&verifier);
    verify_inputs(&verifier);
    verify_nodes(&verifier);
    verify_producers(&verifier);
    verify_outputs(&verifier);
    return verifier.status;
}
