// The graph (passes/ir/graph.h): making, changing, sorting, verifying, printing and copying it.
#include "passes/operators/operators.h"
#include "tests/failing_allocator.h"
#include "tests/run_suite.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/// x -> relu -> a -> sigmoid -> b; add(b, w) -> y.
struct example {
    struct pbitc_graph *graph;
    struct pbitc_value *x, *w, *a, *b, *y;
    struct pbitc_node *relu, *sigmoid, *add;
};

static const struct pbitc_shape unknown = {.rank = -1};
static const struct pbitc_shape row = {.rank = 2, .dims = {1, 4}};

static const struct pbitc_operator *find_operator(const char *name)
{
    const struct pbitc_operator *op = pbitc_operator_find("", name);
    ck_assert_ptr_nonnull(op);
    return op;
}

static struct pbitc_value *add_value(struct pbitc_graph *graph, const char *name)
{
    struct pbitc_value *value = pbitc_graph_add_value(graph, name, PBITC_TYPE_NONE, &unknown);
    ck_assert_ptr_nonnull(value);
    return value;
}

static struct pbitc_node *add_node(struct pbitc_graph *graph, const char *op, struct pbitc_value *input,
                                   struct pbitc_value *output)
{
    struct pbitc_node *node =
        pbitc_graph_insert_node(graph, NULL, op, find_operator(op), &input, 1, &output, 1);
    ck_assert_ptr_nonnull(node);
    return node;
}

static void set_ports(struct pbitc_graph *graph, struct pbitc_value *input, struct pbitc_value *output)
{
    graph->inputs = pbitc_arena_allocate(graph->arena, 2, sizeof(struct pbitc_value *));
    graph->outputs = pbitc_arena_allocate(graph->arena, 2, sizeof(struct pbitc_value *));
    graph->inputs[0] = input;
    graph->outputs[0] = output;
    graph->input_count = graph->output_count = 1;
}

static struct example make_example(void)
{
    struct example e = {.graph = pbitc_graph_create(NULL, "example")};
    ck_assert_ptr_nonnull(e.graph);
    e.x = pbitc_graph_add_value(e.graph, "x", PBITC_FLOAT32, &row);
    e.w = pbitc_graph_add_constant(e.graph, "w", PBITC_FLOAT32, &row);
    for (int i = 0; i < 4; i++)
        ((float *)e.w->constant->data)[i] = (float)i;
    e.a = add_value(e.graph, "a");
    e.b = add_value(e.graph, "b");
    e.y = add_value(e.graph, "y");
    e.relu = add_node(e.graph, "Relu", e.x, e.a);
    e.sigmoid = add_node(e.graph, "Sigmoid", e.a, e.b);
    struct pbitc_value *operands[] = {e.b, e.w};
    e.add = pbitc_graph_insert_node(e.graph, NULL, "Add", find_operator("Add"), operands, 2, &e.y, 1);
    set_ports(e.graph, e.x, e.y);
    return e;
}

/// The graph's text, malloc'ed.
static char *print_graph(const struct pbitc_graph *graph)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(stream);
    pbitc_graph_print(graph, stream);
    ck_assert_int_eq(fclose(stream), 0);
    return text;
}

/// The verifier finds exactly one violation, and its message holds `phrase`.
static void expect_violation(const struct pbitc_graph *graph, const char *phrase)
{
    struct pbitc_diagnostics *diagnostics = pbitc_diagnostics_create();
    ck_assert_int_eq(pbitc_graph_verify(graph, "some-pass", diagnostics), PBIT_ERROR_INTERNAL);
    ck_assert_uint_eq(pbitc_diagnostics_count(diagnostics), 1);
    const struct pbitc_problem *problem = pbitc_diagnostics_get(diagnostics, 0);
    ck_assert_msg(strstr(problem->message, phrase), "no '%s' in '%s'", phrase, problem->message);
    ck_assert_ptr_nonnull(strstr(problem->message, "after pass some-pass"));
    ck_assert_str_ne(problem->node, "");
    pbitc_diagnostics_destroy(diagnostics);
}

static void expect_clean(const struct pbitc_graph *graph)
{
    struct pbitc_diagnostics *diagnostics = pbitc_diagnostics_create();
    enum pbit_status status = pbitc_graph_verify(graph, NULL, diagnostics);
    if (status != PBIT_OK)
        pbitc_diagnostics_print(diagnostics, stderr);
    ck_assert_int_eq(status, PBIT_OK);
    pbitc_diagnostics_destroy(diagnostics);
}

START_TEST(elements_of_shapes)
{
    struct pbitc_shape shape = {.rank = 0};
    ck_assert_int_eq(pbitc_shape_elements(&shape), 1);
    shape = (struct pbitc_shape){.rank = 3, .dims = {2, 3, 4}};
    ck_assert_int_eq(pbitc_shape_elements(&shape), 24);
    shape.dims[1] = -1;
    ck_assert_int_eq(pbitc_shape_elements(&shape), -1);
    shape = (struct pbitc_shape){.rank = 3, .dims = {INT64_MAX, 5, 0}};
    ck_assert_int_eq(pbitc_shape_elements(&shape), -1); // strides would overflow, though nothing is in it
    shape.dims[1] = 1;
    ck_assert_int_eq(pbitc_shape_elements(&shape), 0);
    ck_assert_int_eq(pbitc_shape_elements(&unknown), -1);
}
END_TEST

START_TEST(types_have_sizes_and_names)
{
    ck_assert_uint_eq(pbitc_type_bytes(PBITC_FLOAT64), 8);
    ck_assert_uint_eq(pbitc_type_bytes(PBITC_BFLOAT16), 2);
    ck_assert_uint_eq(pbitc_type_bytes((enum pbitc_type)8), 0); // ONNX strings
    ck_assert_uint_eq(pbitc_type_bytes((enum pbitc_type)99), 0);
    ck_assert_str_eq(pbitc_type_name(PBITC_INT64), "int64");
}
END_TEST

START_TEST(taken_names_get_a_suffix)
{
    struct example e = make_example();
    ck_assert_str_eq(add_value(e.graph, "x")->name, "x_1");
    ck_assert_str_eq(add_value(e.graph, "x")->name, "x_2");
    ck_assert_str_eq(add_node(e.graph, "Relu", e.x, add_value(e.graph, "z"))->name, "Relu_1");
    ck_assert_ptr_eq(pbitc_graph_find_value(e.graph, "b"), e.b);
    ck_assert_ptr_null(pbitc_graph_find_value(e.graph, "nobody"));
    pbitc_graph_destroy(e.graph);
}
END_TEST

START_TEST(equal_names_take_linear_time)
{
    enum { VALUES = 100000 };
    struct example e = make_example();
    for (int i = 0; i < VALUES; i++)
        add_value(e.graph, "same");
    ck_assert_ptr_nonnull(pbitc_graph_find_value(e.graph, "same_99999"));
    pbitc_graph_destroy(e.graph);
}
END_TEST

START_TEST(many_values_are_found)
{
    struct example e = make_example();
    char name[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "value%d", i);
        add_value(e.graph, name);
    }
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "value%d", i);
        ck_assert_str_eq(pbitc_graph_find_value(e.graph, name)->name, name);
    }
    expect_clean(e.graph);
    pbitc_graph_destroy(e.graph);
}
END_TEST

START_TEST(insert_and_remove_keep_the_list)
{
    struct example e = make_example();
    struct pbitc_value *c = add_value(e.graph, "c");
    struct pbitc_node *tanh =
        pbitc_graph_insert_node(e.graph, e.add, "tanh", find_operator("Tanh"), &e.b, 1, &c, 1);
    ck_assert_ptr_eq(c->producer, tanh);
    ck_assert_ptr_eq(e.sigmoid->next, tanh);
    ck_assert_ptr_eq(e.add->previous, tanh);
    ck_assert(pbitc_node_set_input(e.graph, e.add, 0, c));
    expect_clean(e.graph);

    pbitc_node_set_input(e.graph, e.add, 0, e.b);
    pbitc_graph_remove_node(e.graph, tanh);
    ck_assert_ptr_null(c->producer);
    ck_assert_ptr_eq(e.sigmoid->next, e.add);
    expect_clean(e.graph);
    // The name is free again.
    struct pbitc_node *again =
        pbitc_graph_insert_node(e.graph, e.relu, "tanh", find_operator("Tanh"), &e.x, 1, &c, 1);
    ck_assert_str_eq(again->name, "tanh");
    ck_assert_ptr_eq(e.graph->first, again);
    expect_clean(e.graph);
    pbitc_graph_destroy(e.graph);
}
END_TEST

START_TEST(inputs_grow)
{
    struct example e = make_example();
    ck_assert(pbitc_node_set_input(e.graph, e.relu, 2, e.w));
    ck_assert_uint_eq(e.relu->input_count, 3);
    ck_assert_ptr_eq(e.relu->inputs[0], e.x);
    ck_assert_ptr_null(e.relu->inputs[1]);
    ck_assert_ptr_eq(e.relu->inputs[2], e.w);
    pbitc_graph_destroy(e.graph);
}
END_TEST

START_TEST(replacing_an_inner_value)
{
    struct example e = make_example();
    pbitc_graph_replace_uses(e.graph, e.b, e.a);
    ck_assert_ptr_eq(e.add->inputs[0], e.a);
    ck_assert_uint_eq(pbitc_graph_use_count(e.graph, e.b), 0);
    ck_assert_str_eq(e.a->name, "a");
    ck_assert_uint_eq(pbitc_graph_remove_dead_nodes(e.graph), 1);
    expect_clean(e.graph);
    pbitc_graph_destroy(e.graph);
}
END_TEST

START_TEST(replacing_an_output_keeps_its_name)
{
    struct example e = make_example();
    pbitc_graph_replace_uses(e.graph, e.y, e.b);
    ck_assert_ptr_eq(e.graph->outputs[0], e.b);
    ck_assert_str_eq(e.b->name, "y");
    ck_assert_str_eq(e.y->name, "b");
    ck_assert_ptr_eq(pbitc_graph_find_value(e.graph, "y"), e.b);
    expect_clean(e.graph);
    pbitc_graph_destroy(e.graph);
}
END_TEST

START_TEST(inputs_and_outputs_do_not_take_an_outputs_name)
{
    struct example e = make_example();
    pbitc_graph_replace_uses(e.graph, e.y, e.x);
    ck_assert_ptr_eq(e.graph->outputs[0], e.y);
    ck_assert_str_eq(e.x->name, "x");
    e.graph->outputs[e.graph->output_count++] = e.b;
    pbitc_graph_replace_uses(e.graph, e.y, e.b);
    ck_assert_ptr_eq(e.graph->outputs[0], e.y);
    expect_clean(e.graph);
    pbitc_graph_destroy(e.graph);
}
END_TEST

START_TEST(dead_chains_go_at_once)
{
    struct example e = make_example();
    struct pbitc_value *c = add_value(e.graph, "c"), *d = add_value(e.graph, "d");
    add_node(e.graph, "Tanh", e.b, c);
    add_node(e.graph, "Exp", c, d);
    ck_assert_uint_eq(pbitc_graph_remove_dead_nodes(e.graph), 2);
    ck_assert_uint_eq(pbitc_graph_remove_dead_nodes(e.graph), 0);
    ck_assert_ptr_eq(e.graph->last, e.add);
    expect_clean(e.graph);
    pbitc_graph_destroy(e.graph);
}
END_TEST

START_TEST(only_consumers)
{
    struct example e = make_example();
    ck_assert_ptr_eq(pbitc_graph_only_consumer(e.graph, e.a), e.sigmoid);
    ck_assert_ptr_null(pbitc_graph_only_consumer(e.graph, e.y)); // a graph output
    pbitc_node_set_input(e.graph, e.add, 1, e.a);
    ck_assert_ptr_null(pbitc_graph_only_consumer(e.graph, e.a)); // read twice
    ck_assert_uint_eq(pbitc_graph_use_count(e.graph, e.a), 2);
    ck_assert_uint_eq(pbitc_graph_use_count(e.graph, e.y), 1);
    pbitc_graph_destroy(e.graph);
}
END_TEST

START_TEST(sort_orders_and_is_stable)
{
    // Made in the order 0, 1, 2, ...; node i > 0 reads the output of node (i * 7) % i: already sorted.
    enum { NODES = 50 };
    struct pbitc_graph *graph = pbitc_graph_create(NULL, "sort");
    struct pbitc_value *values[NODES + 1] = {pbitc_graph_add_value(graph, "x", PBITC_FLOAT32, &row)};
    struct pbitc_node *nodes[NODES];
    for (int i = 0; i < NODES; i++) {
        values[i + 1] = add_value(graph, "v");
        nodes[i] = add_node(graph, "Relu", values[i ? i * 7 % i : 0], values[i + 1]);
    }
    set_ports(graph, values[0], values[NODES]);
    ck_assert(pbitc_graph_sort(graph));
    int place = 0;
    PBITC_FOR_EACH_NODE(node, graph)
    ck_assert_ptr_eq(node, nodes[place++]);
    ck_assert_int_eq(place, NODES);
    pbitc_graph_destroy(graph);
}
END_TEST

START_TEST(sort_turns_a_deep_reversed_chain)
{
    enum { NODES = 100000 }; // a recursive walk would overflow the stack
    struct pbitc_graph *graph = pbitc_graph_create(NULL, "deep");
    const struct pbitc_operator *relu = find_operator("Relu");
    struct pbitc_value *input = pbitc_graph_add_value(graph, "x", PBITC_FLOAT32, &row), *value = input;
    char name[32];
    for (int i = 0; i < NODES; i++) {
        snprintf(name, sizeof(name), "%d", i);
        struct pbitc_value *output = add_value(graph, name);
        ck_assert_ptr_nonnull(
            pbitc_graph_insert_node(graph, graph->first, name, relu, &value, 1, &output, 1));
        value = output;
    }
    set_ports(graph, input, value);
    ck_assert_int_eq(pbitc_graph_verify(graph, NULL, NULL), PBIT_ERROR_INTERNAL);
    ck_assert(pbitc_graph_sort(graph));
    expect_clean(graph);
    pbitc_graph_destroy(graph);
}
END_TEST

START_TEST(sort_finds_the_cycle)
{
    struct example e = make_example();
    struct pbitc_value *c = add_value(e.graph, "c");
    struct pbitc_node *tanh = add_node(e.graph, "Tanh", e.b, c);
    pbitc_node_set_input(e.graph, e.sigmoid, 0, c);
    ck_assert(!pbitc_graph_sort(e.graph));
    ck_assert(tanh->sort.on_cycle && e.sigmoid->sort.on_cycle);
    ck_assert(!e.relu->sort.on_cycle && !e.add->sort.on_cycle);

    pbitc_node_set_input(e.graph, e.sigmoid, 0, e.b); // reads itself
    ck_assert(!pbitc_graph_sort(e.graph));
    ck_assert(e.sigmoid->sort.on_cycle && !tanh->sort.on_cycle);
    pbitc_graph_destroy(e.graph);
}
END_TEST

START_TEST(attributes_set_replaced_and_removed)
{
    struct example e = make_example();
    const int64_t ints[] = {1, -2, 3};
    const float floats[] = {0.5f, 1.5f};
    const char *const strings[] = {"one", "two"};
    size_t count;
    ck_assert(pbitc_node_set_int(e.graph, e.add, "n", 7));
    ck_assert(pbitc_node_set_float(e.graph, e.add, "f", 0.25f));
    ck_assert(pbitc_node_set_string(e.graph, e.add, "s", "text"));
    ck_assert(pbitc_node_set_ints(e.graph, e.add, "I", ints, 3));
    ck_assert(pbitc_node_set_floats(e.graph, e.add, "F", floats, 2));
    ck_assert(pbitc_node_set_strings(e.graph, e.add, "S", strings, 2));
    ck_assert(pbitc_node_set_int(e.graph, e.add, "n", 8));

    ck_assert_int_eq(pbitc_node_int(e.add, "n", 0), 8);
    ck_assert_int_eq(pbitc_node_int(e.add, "f", -1), -1); // another kind
    ck_assert(pbitc_node_float(e.add, "f", 0) == 0.25f);
    ck_assert_str_eq(pbitc_node_string(e.add, "s", ""), "text");
    ck_assert_int_eq(pbitc_node_ints(e.add, "I", &count)[1], -2);
    ck_assert_uint_eq(count, 3);
    ck_assert(pbitc_node_floats(e.add, "F", &count)[1] == 1.5f);
    ck_assert_uint_eq(count, 2);
    ck_assert_str_eq(pbitc_node_attribute(e.add, "S")->strings[1], "two");
    ck_assert_ptr_null(pbitc_node_ints(e.add, "none", &count));
    ck_assert_uint_eq(count, 0);

    pbitc_node_remove_attribute(e.add, "n");
    pbitc_node_remove_attribute(e.add, "n");
    ck_assert_int_eq(pbitc_node_int(e.add, "n", 5), 5);
    pbitc_graph_destroy(e.graph);
}
END_TEST

START_TEST(verify_accepts_the_example)
{
    struct example e = make_example();
    expect_clean(e.graph);
    pbitc_graph_destroy(e.graph);
}
END_TEST

/// One rule of the verifier broken, and what it then says.
typedef void break_function(struct example *e);

static void break_order(struct example *e)
{
    pbitc_node_set_input(e->graph, e->relu, 0, e->b);
}
static void break_dangling_input(struct example *e)
{
    pbitc_node_set_input(e->graph, e->relu, 0, add_value(e->graph, "nothing"));
}
static void break_foreign_value(struct example *e)
{
    static struct pbitc_value foreign = {.name = "foreign", .type = PBITC_FLOAT32, .index = 0};
    e->relu->inputs[0] = &foreign;
}
static void break_second_producer(struct example *e)
{
    e->sigmoid->outputs[0] = e->a;
    e->add->inputs[0] = e->a;
    e->b->producer = NULL;
}
static void break_producer_link(struct example *e)
{
    e->b->producer = e->relu;
}
static void break_removed_producer(struct example *e)
{
    struct pbitc_value *c = add_value(e->graph, "c");
    c->producer = e->relu;
}
static void break_output_is_constant(struct example *e)
{
    struct pbitc_value *c = pbitc_graph_add_constant(e->graph, "c", PBITC_FLOAT32, &row);
    e->sigmoid->outputs[0] = c;
    e->add->inputs[0] = c;
    e->b->producer = NULL;
}
static void break_input_count(struct example *e)
{
    pbitc_node_set_input(e->graph, e->relu, 1, e->w);
}
static void break_required_input(struct example *e)
{
    e->add->inputs[1] = NULL;
}
static void break_output_count(struct example *e)
{
    e->add->output_count = 0;
    e->y->producer = NULL;
    e->graph->outputs[0] = e->b;
}
static void break_attribute_name(struct example *e)
{
    pbitc_node_set_int(e->graph, e->add, "axis", 1);
}
static void break_attribute_kind(struct example *e)
{
    e->relu->op = find_operator("LeakyRelu");
    pbitc_node_set_int(e->graph, e->relu, "alpha", 1);
}
static void break_attribute_twice(struct example *e)
{
    e->relu->op = find_operator("LeakyRelu");
    pbitc_node_set_float(e->graph, e->relu, "alpha", 1);
    static struct pbitc_attribute second;
    second = *e->relu->attributes;
    second.next = NULL;
    e->relu->attributes->next = &second;
}
static void break_operator(struct example *e)
{
    e->relu->op = NULL;
}
static void break_value_name(struct example *e)
{
    e->a->name = "b";
}
static void break_node_name(struct example *e)
{
    e->relu->name = "Sigmoid";
}
static void break_list(struct example *e)
{
    e->sigmoid->previous = NULL;
}
static void break_list_end(struct example *e)
{
    e->graph->last = e->relu;
}
static void break_constant_data(struct example *e)
{
    e->w->constant->data = NULL;
}
static void break_constant_type(struct example *e)
{
    e->w->type = PBITC_INT32;
}
static void break_constant_producer(struct example *e)
{
    e->x->mark = 0;
    e->w->producer = e->relu;
}
static void break_shape(struct example *e)
{
    e->a->shape = (struct pbitc_shape){.rank = PBITC_MAX_RANK + 1};
}
static void break_input_type(struct example *e)
{
    e->x->type = PBITC_TYPE_NONE;
}
static void break_input_size(struct example *e)
{
    e->x->shape.dims[0] = -1; // without batch_name
}
static void break_input_batch(struct example *e)
{
    e->x->shape.rank = 0;
    e->x->dim_names[0] = "N";
}
static void break_input_twice(struct example *e)
{
    e->graph->inputs[e->graph->input_count++] = e->x;
}
static void break_input_constant(struct example *e)
{
    e->graph->inputs[e->graph->input_count++] = e->w;
}
static void break_output_unproduced(struct example *e)
{
    e->graph->outputs[e->graph->output_count++] = add_value(e->graph, "nothing");
}
static void break_output_twice(struct example *e)
{
    e->graph->outputs[e->graph->output_count++] = e->y;
}
static void break_outputs(struct example *e)
{
    e->graph->output_count = 0;
}

static const struct {
    break_function *breaks;
    const char *phrase;
} rules[] = {
    {break_order, "produced later"},
    {break_dangling_input, "nothing produces input 0 'nothing'"},
    {break_foreign_value, "value of another graph"},
    {break_second_producer, "has another producer"},
    {break_producer_link, "does not name this node as producer"},
    {break_removed_producer, "producer is not in the graph"},
    {break_output_is_constant, "is an input or constant"},
    {break_input_count, "has 2 inputs where the operator has 1 input"},
    {break_required_input, "required input 1 is missing"},
    {break_output_count, "has 0 outputs where the operator has 1 output"},
    {break_attribute_name, "unknown attribute 'axis'"},
    {break_attribute_kind, "is of kind i instead of f"},
    {break_attribute_twice, "is there twice"},
    {break_operator, "node without operator"},
    {break_value_name, "shares it with another"},
    {break_node_name, "shares it with another"},
    {break_list, "list of nodes is broken"},
    {break_list_end, "does not end at its last node"},
    {break_constant_data, "constant without data"},
    {break_constant_type, "differs from its value in type or shape"},
    {break_constant_producer, "constant has a producer"},
    {break_shape, "impossible shape"},
    {break_input_type, "without type or rank"},
    {break_input_size, "no size in dimension 0"},
    {break_input_batch, "symbolic batch but no dimension"},
    {break_input_twice, "graph input is listed twice"},
    {break_input_constant, "graph input is a constant"},
    {break_output_unproduced, "graph output that nothing produces"},
    {break_output_twice, "listed twice"},
    {break_outputs, "graph without outputs"},
};

enum { RULE_COUNT = sizeof(rules) / sizeof(rules[0]) };

START_TEST(verify_finds_a_broken_rule)
{
    struct example e = make_example();
    rules[_i].breaks(&e);
    expect_violation(e.graph, rules[_i].phrase);
    pbitc_graph_destroy(e.graph);
}
END_TEST

START_TEST(verify_reports_every_violation)
{
    struct example e = make_example();
    struct pbitc_diagnostics *diagnostics = pbitc_diagnostics_create();
    break_attribute_name(&e);
    break_input_count(&e);
    break_input_size(&e);
    ck_assert_int_eq(pbitc_graph_verify(e.graph, NULL, diagnostics), PBIT_ERROR_INTERNAL);
    ck_assert_uint_eq(pbitc_diagnostics_count(diagnostics), 3);
    pbitc_diagnostics_destroy(diagnostics);
    pbitc_graph_destroy(e.graph);
}
END_TEST

START_TEST(print_is_exact)
{
    struct example e = make_example();
    e.x->dim_names[0] = "batch";
    e.x->shape.dims[0] = -1;
    e.graph->opset = 13;
    e.graph->ir_version = 7;
    e.graph->producer = "a \"producer\"\n";
    pbitc_node_set_int(e.graph, e.add, "z", 1);
    pbitc_node_set_float(e.graph, e.add, "alpha", 0.1f);
    pbitc_node_set_ints(e.graph, e.add, "pads", (int64_t[]){1, 2}, 2);
    pbitc_node_set_ints(e.graph, e.add, "empty", NULL, 0);
    pbitc_node_set_string(e.graph, e.add, "mode", "valid");
    pbitc_node_set_tensor(e.graph, e.add, "value", e.w->constant);
    pbitc_graph_add_constant(e.graph, "unused", PBITC_FLOAT32, &row);
    char *text = print_graph(e.graph);
    ck_assert_str_eq(text,
                     "graph \"example\" opset 13 ir 7 producer \"a \\x22producer\\x22\\x0a\"\n"
                     "input x: float32[batch, 4]\n"
                     "constant w: float32[1, 4] fnv1a:62552b9ea71e5908\n"
                     "nodes\n"
                     "  a = Relu(x) \"Relu\"\n"
                     "  b = Sigmoid(a) \"Sigmoid\"\n"
                     "  y = Add(b, w) {alpha = 0.100000001, empty = [], mode = \"valid\", pads = [1, 2], "
                     "value = float32[1, 4] fnv1a:62552b9ea71e5908, z = 1} \"Add\"\n"
                     "output y\n");
    free(text);
    pbitc_graph_destroy(e.graph);
}
END_TEST

static struct example make_rich_example(void)
{
    struct example e = make_example();
    e.x->dim_names[0] = "batch";
    pbitc_node_set_int(e.graph, e.add, "z", 1);
    pbitc_node_set_float(e.graph, e.add, "alpha", 0.1f);
    pbitc_node_set_string(e.graph, e.add, "mode", "valid");
    pbitc_node_set_ints(e.graph, e.add, "pads", (int64_t[]){1, 2}, 2);
    pbitc_node_set_floats(e.graph, e.add, "scales", (float[]){1, 2}, 2);
    pbitc_node_set_strings(e.graph, e.add, "words", (const char *const[]){"a", "b"}, 2);
    pbitc_node_set_tensor(e.graph, e.add, "value", e.w->constant);
    pbitc_node_set_input(e.graph, e.add, 3, e.a); // with an omitted input before it
    e.add->opset = 9;
    return e;
}

START_TEST(clone_is_equal_and_apart)
{
    struct example e = make_rich_example();
    struct pbitc_graph *copy = pbitc_graph_clone(e.graph);
    ck_assert_ptr_nonnull(copy);
    char *before = print_graph(e.graph);
    pbitc_graph_destroy(e.graph);
    char *after = print_graph(copy);
    ck_assert_str_eq(before, after);
    ck_assert_int_eq(copy->last->opset, 9);
    free(before);
    free(after);
    pbitc_graph_destroy(copy);
}
END_TEST

/// Creates a graph with a large constant (a block of its own) and clones it. False: out of memory.
static bool create_and_clone(const struct pbitc_allocator *allocator)
{
    struct pbitc_shape large = {.rank = 1, .dims = {100000}};
    struct pbitc_graph *graph = pbitc_graph_create(allocator, "large"), *copy = NULL;
    struct pbitc_value *constant =
        graph ? pbitc_graph_add_constant(graph, "constant", PBITC_FLOAT32, &large) : NULL;
    if (constant)
        copy = pbitc_graph_clone(graph);
    bool done = copy;
    pbitc_graph_destroy(copy);
    pbitc_graph_destroy(graph);
    return done;
}

START_TEST(clone_survives_every_failed_allocation)
{
    struct failing_allocator failing;
    for (size_t calls = 0, done = 0; !done; calls++) {
        failing_allocator_start(&failing, calls);
        done = create_and_clone(&failing.allocator);
        ck_assert_uint_eq(failing.allocations, failing.releases);
        ck_assert(done || failing.calls_left == 0);
        ck_assert_uint_ge(calls, done ? 6 : 0); // two graphs of three blocks each
    }
}
END_TEST

START_TEST(problems_print_one_line_each)
{
    struct example e = make_example();
    struct pbitc_diagnostics *diagnostics = pbitc_diagnostics_create();
    char *text = NULL;
    size_t size;
    e.relu->opset = 13;
    ck_assert_int_eq(
        pbitc_report_node(diagnostics, PBIT_ERROR_FORMAT, e.relu, "do %this", "bad %s", "luck\n\x1b[1m"),
        PBIT_ERROR_FORMAT);
    pbitc_report(diagnostics, PBIT_ERROR_IO, "model.onnx", NULL, 0, NULL, "cannot open");
    pbitc_report(diagnostics, PBIT_ERROR_MEMORY, NULL, NULL, 0, NULL, "%d", 7);
    ck_assert_int_eq(pbitc_report(NULL, PBIT_ERROR_IO, NULL, NULL, 0, NULL, "unheard"), PBIT_ERROR_IO);
    ck_assert_uint_eq(pbitc_diagnostics_count(diagnostics), 3);
    ck_assert_str_eq(pbitc_diagnostics_get(diagnostics, 1)->remedy, "");
    FILE *stream = open_memstream(&text, &size);
    pbitc_diagnostics_print(diagnostics, stream);
    ck_assert_int_eq(fclose(stream), 0);
    ck_assert_str_eq(text, "error: node 'Relu' (Relu, opset 13): bad luck\\x0a\\x1b[1m; do %this\n"
                           "error: 'model.onnx': cannot open\n"
                           "error: 7\n");
    free(text);
    pbitc_diagnostics_destroy(diagnostics);
    pbitc_graph_destroy(e.graph);
}
END_TEST

START_TEST(problems_beyond_the_limit_are_counted_as_one)
{
    enum { LIMIT = 10000 };
    struct pbitc_diagnostics *diagnostics = pbitc_diagnostics_create();
    for (int i = 0; i < LIMIT + 5; i++)
        pbitc_report(diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0, NULL, "problem %d", i);
    ck_assert_uint_eq(pbitc_diagnostics_count(diagnostics), LIMIT + 1);
    const struct pbitc_problem *last = pbitc_diagnostics_get(diagnostics, LIMIT);
    ck_assert_ptr_nonnull(strstr(last->message, "more problems than could be listed"));
    pbitc_diagnostics_destroy(diagnostics);
}
END_TEST

static Suite *graph_suite(void)
{
    Suite *suite = suite_create("graph");
    TCase *building = tcase_create("make and change");
    tcase_add_test(building, elements_of_shapes);
    tcase_add_test(building, types_have_sizes_and_names);
    tcase_add_test(building, taken_names_get_a_suffix);
    tcase_add_test(building, equal_names_take_linear_time);
    tcase_add_test(building, many_values_are_found);
    tcase_add_test(building, insert_and_remove_keep_the_list);
    tcase_add_test(building, inputs_grow);
    tcase_add_test(building, replacing_an_inner_value);
    tcase_add_test(building, replacing_an_output_keeps_its_name);
    tcase_add_test(building, inputs_and_outputs_do_not_take_an_outputs_name);
    tcase_add_test(building, dead_chains_go_at_once);
    tcase_add_test(building, only_consumers);
    tcase_add_test(building, attributes_set_replaced_and_removed);
    suite_add_tcase(suite, building);
    TCase *sorting = tcase_create("sort");
    tcase_set_timeout(sorting, 60);
    tcase_add_test(sorting, sort_orders_and_is_stable);
    tcase_add_test(sorting, sort_turns_a_deep_reversed_chain);
    tcase_add_test(sorting, sort_finds_the_cycle);
    suite_add_tcase(suite, sorting);
    TCase *verifying = tcase_create("verify");
    tcase_add_test(verifying, verify_accepts_the_example);
    tcase_add_loop_test(verifying, verify_finds_a_broken_rule, 0, RULE_COUNT);
    tcase_add_test(verifying, verify_reports_every_violation);
    suite_add_tcase(suite, verifying);
    TCase *copying = tcase_create("print and clone");
    tcase_add_test(copying, print_is_exact);
    tcase_add_test(copying, clone_is_equal_and_apart);
    tcase_add_test(copying, clone_survives_every_failed_allocation);
    tcase_add_test(copying, problems_print_one_line_each);
    tcase_add_test(copying, problems_beyond_the_limit_are_counted_as_one);
    suite_add_tcase(suite, copying);
    return suite;
}

int main(void)
{
    return run_suite(graph_suite());
}
