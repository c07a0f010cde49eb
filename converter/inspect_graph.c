#include "converter/inspect_graph.h"

#include "converter/graph_facts.h"
#include "converter/terminal.h"
#include "passes/node_role.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { OPERATOR_NAME = 128, SHAPE_TEXT = 320, NAME_WIDTH_LIMIT = 48, INDENT = 2 };

/// How the listing, JSON and the targets call a role. The host runs everything that can be imported.
static const struct {
    const char *name, *key;
    bool firmware, hardware; ///< c99, verilog
} roles[] = {
    [PBITC_ROLE_NEURON] = {"p-bits", "p-bits", true, true},
    [PBITC_ROLE_INTEGERS] = {"integers", "integers", true, true},
    [PBITC_ROLE_NOTHING] = {"", "nothing", true, true},
    [PBITC_ROLE_FLOAT] = {"float island, host only", "float", false, false},
    [PBITC_ROLE_REFUSED] = {"refused", "refused", false, false},
};
enum { ROLE_COUNT = sizeof(roles) / sizeof(roles[0]) };

/// "Nx3xheightx?"; open dimensions by their names (NULL: there are none).
static void format_shape(char *text, size_t size, const struct pbitc_shape *shape, const char *const *names)
{
    size_t length = 0;
    snprintf(text, size, shape->rank < 0 ? "?" : "scalar");
    for (int axis = 0; axis < shape->rank && length < size; axis++) {
        const char *join = axis ? "x" : "";
        if (names && names[axis])
            length += (size_t)snprintf(text + length, size - length, "%s%.60s", join, names[axis]);
        else if (shape->dims[axis] < 0)
            length += (size_t)snprintf(text + length, size - length, "%s?", join);
        else
            length += (size_t)snprintf(text + length, size - length, "%s%" PRId64, join, shape->dims[axis]);
    }
}

static const struct pbitc_shape *node_shape(const struct pbitc_node *node)
{
    static const struct pbitc_shape unknown = {.rank = -1};
    return node->output_count && node->outputs[0] ? &node->outputs[0]->shape : &unknown;
}

// ---- sums over the nodes

struct totals {
    uint64_t macs;
    uint64_t roles[ROLE_COUNT];
    uint64_t operators[PBITC_OPERATOR_COUNT]; ///< those of inner graphs too
};

/// `roles` of the outermost graph only: what is inside goes with the node around it.
static void sum_up(const struct pbitc_graph *graph, struct totals *totals)
{
    PBITC_FOR_EACH_NODE(node, graph)
    {
        const char *reason;
        totals->macs += pbitc_node_macs(node);
        totals->operators[node->op->id]++;
        if (!graph->inner)
            totals->roles[pbitc_node_role(graph, node, &reason)]++;
        for (const struct pbitc_attribute *a = node->attributes; a; a = a->next)
            if (a->kind == PBITC_ATTRIBUTE_GRAPH)
                sum_up(a->graph, totals);
    }
}

/// The next operator after `last` by falling count, those of one count in the order of the table; -1: none.
static int next_operator(const struct totals *totals, int last)
{
    int next = -1;
    for (int id = 0; id < PBITC_OPERATOR_COUNT; id++) {
        uint64_t count = totals->operators[id];
        bool after =
            last < 0 || count < totals->operators[last] || (count == totals->operators[last] && id > last);
        if (count && after && (next < 0 || count > totals->operators[next]))
            next = id;
    }
    return next;
}

static const char *operator_name(int id, char *buffer, size_t size)
{
    const struct pbitc_operator *op = pbitc_operator_get((enum pbitc_operator_id)id);
    snprintf(buffer, size, "%s%s%s", op->domain, *op->domain ? "." : "", op->name);
    return buffer;
}

// ---- the terminal

static const char *type_name(enum pbitc_type type)
{
    return pbitc_type_bytes(type) ? pbitc_type_name(type) : NULL;
}

typedef enum pbitc_type type_function(const struct pbitc_graph *graph, size_t index);

static void print_ports(const char *what, const struct pbitc_graph *graph, struct pbitc_value *const *values,
                        size_t count, type_function *type_of)
{
    for (size_t i = 0; i < count; i++) {
        char shape[SHAPE_TEXT];
        format_shape(shape, sizeof(shape), &values[i]->shape, values[i]->dim_names);
        printf("%-12s", what);
        pbitc_terminal_name(stdout, values[i]->name, 0);
        const char *type = type_name(type_of(graph, i));
        printf(": %s ", type ? type : "?");
        pbitc_terminal_name(stdout, shape, 0);
        putchar('\n');
    }
}

static size_t name_width(const struct pbitc_graph *graph, size_t indent, size_t width)
{
    PBITC_FOR_EACH_NODE(node, graph)
    {
        size_t length = indent + strlen(node->name);
        width = length > width ? length : width;
        for (const struct pbitc_attribute *a = node->attributes; a; a = a->next)
            if (a->kind == PBITC_ATTRIBUTE_GRAPH)
                width = name_width(a->graph, indent + INDENT, width);
    }
    return width < NAME_WIDTH_LIMIT ? width : NAME_WIDTH_LIMIT;
}

static void print_nodes(const struct pbitc_graph *graph, size_t indent, size_t width)
{
    PBITC_FOR_EACH_NODE(node, graph)
    {
        char shape[SHAPE_TEXT], op[OPERATOR_NAME];
        const char *reason;
        const char *becomes = graph->inner ? "" : roles[pbitc_node_role(graph, node, &reason)].name;
        format_shape(shape, sizeof(shape), node_shape(node), NULL);
        printf("%*s", (int)indent, "");
        pbitc_terminal_name(stdout, node->name, width > indent ? width - indent : 0);
        printf("  %-18s %-18s %11" PRIu64 " %13" PRIu64 "%s%s\n",
               pbitc_node_operator_name(node, op, sizeof(op)), shape, pbitc_node_parameters(node),
               pbitc_node_macs(node), *becomes ? "  " : "", becomes);
        for (const struct pbitc_attribute *a = node->attributes; a; a = a->next) {
            if (a->kind != PBITC_ATTRIBUTE_GRAPH)
                continue;
            printf("%*s%s:\n", (int)(indent + INDENT), "", a->name);
            print_nodes(a->graph, indent + 2 * INDENT, width);
        }
    }
}

static void print_operators(const struct totals *totals)
{
    printf("operators  ");
    for (int id = next_operator(totals, -1); id >= 0; id = next_operator(totals, id)) {
        char name[OPERATOR_NAME];
        printf(" %s:%" PRIu64, operator_name(id, name, sizeof(name)), totals->operators[id]);
    }
    putchar('\n');
}

static void print_target(const char *name, bool fits, uint64_t islands)
{
    const char *answer = !fits ? "no, see below" : islands ? "yes, without the float islands" : "yes";
    printf("%-12s%s\n", name, answer);
}

void pbitc_inspect_graph_print(const struct pbitc_graph *graph, const struct pbitc_diagnostics *problems)
{
    struct totals totals = {.macs = 0};
    sum_up(graph, &totals);
    printf("%-12s", "producer");
    pbitc_terminal_name(stdout, graph->producer ? graph->producer : "", 0);
    printf("\n%-12s%d (IR %" PRId64 ")\n", "opset", graph->opset, graph->ir_version);
    print_ports("input", graph, graph->inputs, graph->input_count, pbitc_graph_input_type);
    print_ports("output", graph, graph->outputs, graph->output_count, pbitc_graph_output_type);
    print_operators(&totals);
    bool fits = pbitc_diagnostics_count(problems) == 0;
    print_target("host", true, 0);
    print_target("c99", fits, totals.roles[PBITC_ROLE_FLOAT]);
    print_target("verilog", fits, totals.roles[PBITC_ROLE_FLOAT]);
    size_t width = name_width(graph, 0, sizeof("node") - 1);
    printf("\n%-*s  %-18s %-18s %11s %13s  %s\n", (int)width, "node", "operator", "output", "parameters",
           "MACs", "becomes");
    print_nodes(graph, 0, width);
    printf("\n%" PRIu64 " parameters, %" PRIu64 " MACs for ", pbitc_graph_parameters(graph), totals.macs);
    int64_t images = graph->input_count ? pbitc_fixed_batch(graph->inputs[0]) : 1;
    if (images > 1)
        printf("%" PRId64 " images", images);
    else
        fputs("one image", stdout);
    printf(", %" PRIu64 " activations that become p-bits\n", totals.roles[PBITC_ROLE_NEURON]);
    PBITC_FOR_EACH_NODE(node, graph)
    {
        const char *reason;
        if (pbitc_node_role(graph, node, &reason) != PBITC_ROLE_FLOAT)
            continue;
        printf("float island '");
        pbitc_terminal_name(stdout, node->name, 0);
        printf("' (%s): %s\n", node->op->name, reason);
    }
    if (!fits) {
        puts("\nwhat convert cannot handle:");
        pbitc_diagnostics_print(problems, stdout);
    }
}

// ---- JSON

static void write_shape(struct pbitc_json *json, const struct pbitc_shape *shape, const char *const *names)
{
    if (shape->rank < 0) {
        pbitc_json_null(json, "shape");
        return;
    }
    pbitc_json_open_array(json, "shape");
    for (int axis = 0; axis < shape->rank; axis++) {
        if (shape->dims[axis] < 0 || (names && names[axis]))
            pbitc_json_null(json, NULL);
        else
            pbitc_json_integer(json, NULL, shape->dims[axis]);
    }
    pbitc_json_close_array(json);
}

static void write_ports(struct pbitc_json *json, const char *key, const struct pbitc_graph *graph,
                        struct pbitc_value *const *values, size_t count, type_function *type_of)
{
    pbitc_json_open_array(json, key);
    for (size_t i = 0; i < count; i++) {
        bool open = false;
        pbitc_json_open_object(json, NULL);
        pbitc_json_string(json, "name", values[i]->name);
        pbitc_json_string(json, "type", type_name(type_of(graph, i)));
        write_shape(json, &values[i]->shape, values[i]->dim_names);
        for (int d = 0; d < values[i]->shape.rank; d++)
            open = open || values[i]->dim_names[d];
        if (open) {
            pbitc_json_open_array(json, "symbols");
            for (int d = 0; d < values[i]->shape.rank; d++)
                pbitc_json_string(json, NULL, values[i]->dim_names[d]);
            pbitc_json_close_array(json);
        }
        pbitc_json_close_object(json);
    }
    pbitc_json_close_array(json);
}

static void write_nodes(struct pbitc_json *json, const char *key, const struct pbitc_graph *graph);

static void write_role(struct pbitc_json *json, const struct pbitc_graph *graph,
                       const struct pbitc_node *node)
{
    const char *reason;
    enum pbitc_role role = pbitc_node_role(graph, node, &reason);
    pbitc_json_bool(json, "swapped", role == PBITC_ROLE_NEURON);
    pbitc_json_string(json, "becomes", roles[role].key);
    if (reason)
        pbitc_json_string(json, "reason", reason);
    pbitc_json_open_object(json, "targets");
    pbitc_json_bool(json, "host", true);
    pbitc_json_bool(json, "c99", roles[role].firmware);
    pbitc_json_bool(json, "verilog", roles[role].hardware);
    pbitc_json_close_object(json);
}

static void write_node(struct pbitc_json *json, const struct pbitc_graph *graph,
                       const struct pbitc_node *node)
{
    char op[OPERATOR_NAME];
    pbitc_json_open_object(json, NULL);
    pbitc_json_string(json, "name", node->name);
    pbitc_json_string(json, "op", pbitc_node_operator_name(node, op, sizeof(op)));
    write_shape(json, node_shape(node), NULL);
    pbitc_json_integer(json, "parameters", (int64_t)pbitc_node_parameters(node));
    pbitc_json_integer(json, "macs", (int64_t)pbitc_node_macs(node));
    if (!graph->inner)
        write_role(json, graph, node);
    for (const struct pbitc_attribute *a = node->attributes; a; a = a->next)
        if (a->kind == PBITC_ATTRIBUTE_GRAPH)
            write_nodes(json, a->name, a->graph);
    pbitc_json_close_object(json);
}

static void write_nodes(struct pbitc_json *json, const char *key, const struct pbitc_graph *graph)
{
    pbitc_json_open_array(json, key);
    PBITC_FOR_EACH_NODE(node, graph)
    write_node(json, graph, node);
    pbitc_json_close_array(json);
}

static void write_problems(struct pbitc_json *json, const struct pbitc_diagnostics *problems)
{
    pbitc_json_open_array(json, "problems");
    for (size_t i = 0; i < pbitc_diagnostics_count(problems); i++) {
        const struct pbitc_problem *problem = pbitc_diagnostics_get(problems, i);
        pbitc_json_open_object(json, NULL);
        pbitc_json_string(json, "node", problem->node);
        pbitc_json_string(json, "op", problem->op);
        pbitc_json_integer(json, "opset", problem->opset);
        pbitc_json_string(json, "message", problem->message);
        pbitc_json_string(json, "remedy", problem->remedy);
        pbitc_json_close_object(json);
    }
    pbitc_json_close_array(json);
}

static void write_operators(struct pbitc_json *json, const struct totals *totals)
{
    pbitc_json_open_array(json, "operators");
    for (int id = next_operator(totals, -1); id >= 0; id = next_operator(totals, id)) {
        char name[OPERATOR_NAME];
        pbitc_json_open_object(json, NULL);
        pbitc_json_string(json, "op", operator_name(id, name, sizeof(name)));
        pbitc_json_integer(json, "count", (int64_t)totals->operators[id]);
        pbitc_json_close_object(json);
    }
    pbitc_json_close_array(json);
}

void pbitc_inspect_graph_write(struct pbitc_json *json, const struct pbitc_graph *graph,
                               const struct pbitc_diagnostics *problems)
{
    struct totals totals = {.macs = 0};
    sum_up(graph, &totals);
    bool fits = pbitc_diagnostics_count(problems) == 0;
    pbitc_json_string(json, "producer", graph->producer);
    pbitc_json_integer(json, "opset", graph->opset);
    pbitc_json_integer(json, "ir_version", graph->ir_version);
    write_ports(json, "inputs", graph, graph->inputs, graph->input_count, pbitc_graph_input_type);
    write_ports(json, "outputs", graph, graph->outputs, graph->output_count, pbitc_graph_output_type);
    write_operators(json, &totals);
    pbitc_json_open_object(json, "targets");
    pbitc_json_bool(json, "host", true);
    pbitc_json_bool(json, "c99", fits);
    pbitc_json_bool(json, "verilog", fits);
    pbitc_json_close_object(json);
    write_nodes(json, "nodes", graph);
    pbitc_json_integer(json, "parameters", (int64_t)pbitc_graph_parameters(graph));
    pbitc_json_integer(json, "macs", (int64_t)totals.macs);
    pbitc_json_integer(json, "activations", (int64_t)totals.roles[PBITC_ROLE_NEURON]);
    pbitc_json_integer(json, "float_islands", (int64_t)totals.roles[PBITC_ROLE_FLOAT]);
    write_problems(json, problems);
}
