// If, Loop and Scan with their inner graphs, and the model's functions: imported from a file and run; and
// what must be refused.
#include "converter/onnx/onnx_import.h"
#include "passes/interpreter/interpreter.h"
#include "passes/operators/operators.h"
#include "tests/converter/onnx_builder.h"
#include "tests/failing_allocator.h"
#include "tests/run_suite.h"

#include <check.h>

enum { FLOAT = 1, INT = 2, GRAPH = 5, INT64 = 7, BOOL = 9 };

/// A model that is imported, run and compared.
struct inner_case {
    struct builder b;
    struct pbitc_diagnostics *diagnostics;
    struct pbitc_graph *graph;
    struct pbitc_interpreter *interpreter;
};

static Onnx__ValueInfoProto *add_port(struct builder *b, Onnx__ValueInfoProto **list, size_t *count,
                                      const char *name, int type, const char *shape)
{
    Onnx__ValueInfoProto *port = builder_make_port(b, name, shape);
    port->type->tensor_type->elem_type = type;
    return list[(*count)++] = port;
}

/// Nodes and ports go into a new inner graph from here on, until end_inner.
static Onnx__GraphProto *begin_inner(struct builder *b, const char *name, const char *inputs)
{
    Onnx__GraphProto *outer = b->graph;
    size_t count;
    char **names = builder_names(b, inputs, &count);
    b->graph = BUILDER_NEW(b, Onnx__GraphProto, ONNX__GRAPH_PROTO__INIT);
    b->graph->name = builder_text(b, name);
    b->graph->node = builder_list(b);
    b->graph->initializer = builder_list(b);
    b->graph->input = builder_list(b);
    b->graph->output = builder_list(b);
    for (size_t i = 0; i < count; i++) // names alone, without types
        b->graph->input[b->graph->n_input++] =
            BUILDER_NEW(b, Onnx__ValueInfoProto, ONNX__VALUE_INFO_PROTO__INIT);
    for (size_t i = 0; i < count; i++)
        b->graph->input[i]->name = names[i];
    return outer;
}

/// Packs the inner graph into an attribute of `node`, a node of the graph around it.
static void end_inner(struct builder *b, Onnx__GraphProto *outer, Onnx__NodeProto *node,
                      const char *attribute)
{
    Onnx__AttributeProto *proto = builder_add_attribute(b, node, attribute, GRAPH);
    size_t size = onnx__graph_proto__get_packed_size(b->graph);
    proto->has_g = 1;
    proto->g.data = pbitc_arena_allocate(b->arena, size, 1);
    proto->g.len = onnx__graph_proto__pack(b->graph, proto->g.data);
    b->graph = outer;
}

static void inner_output(struct builder *b, const char *name, int type, const char *shape)
{
    add_port(b, b->graph->output, &b->graph->n_output, name, type, shape);
}

static enum pbit_status import_case(struct inner_case *c, const struct pbitc_allocator *allocator)
{
    size_t size;
    const uint8_t *bytes = builder_pack(&c->b, &size);
    return pbitc_onnx_import_bytes(bytes, size, NULL, allocator, c->diagnostics, &c->graph);
}

static struct inner_case start_case(struct builder b)
{
    struct inner_case c = {.b = b, .diagnostics = pbitc_diagnostics_create()};
    enum pbit_status status = import_case(&c, NULL);
    if (status)
        pbitc_diagnostics_print(c.diagnostics, stderr);
    ck_assert_int_eq(status, PBIT_OK);
    ck_assert_int_eq(pbitc_interpreter_create(c.graph, 2, NULL, c.diagnostics, &c.interpreter), PBIT_OK);
    return c;
}

static void end_case(struct inner_case *c)
{
    pbitc_interpreter_destroy(c->interpreter);
    pbitc_graph_destroy(c->graph);
    pbitc_diagnostics_destroy(c->diagnostics);
    builder_end(&c->b);
}

static enum pbit_status try_floats(struct inner_case *c, float *data, int64_t count)
{
    struct pbitc_tensor input = {PBITC_FLOAT32, {1, {count}}, data};
    return pbitc_interpreter_run(c->interpreter, &input, NULL, c->diagnostics);
}

static void run_floats(struct inner_case *c, const float *data, int64_t count)
{
    float copy[16];
    memcpy(copy, data, (size_t)count * sizeof(float));
    enum pbit_status status = try_floats(c, copy, count);
    if (status)
        pbitc_diagnostics_print(c->diagnostics, stderr);
    ck_assert_int_eq(status, PBIT_OK);
}

static void expect_floats(const struct inner_case *c, size_t output, struct pbitc_shape shape,
                          const float *expected)
{
    const struct pbitc_tensor *tensor = pbitc_interpreter_value(c->interpreter, c->graph->outputs[output]);
    ck_assert_int_eq(tensor->type, PBITC_FLOAT32);
    ck_assert(pbitc_shape_equal(&tensor->shape, &shape));
    for (int64_t i = 0; i < pbitc_shape_elements(&shape); i++)
        ck_assert_float_eq_tol(((const float *)tensor->data)[i], expected[i], 1e-6f);
}

#define FLOATS(...) ((const float[]){__VA_ARGS__})
#define LENGTH(n) ((struct pbitc_shape){1, {n}})

static const struct {
    float one;
    int64_t zero, two, three;
    uint8_t yes;
} numbers = {1, 0, 2, 3, 1};

/// Initializers "one" (float), "zero", "two", "three" (int64) and "yes" (bool), all scalars.
static void add_numbers(struct builder *b)
{
    const int64_t scalar[] = {-1};
    builder_add_initializer(b, "one", FLOAT, scalar, &numbers.one, sizeof(float));
    builder_add_initializer(b, "zero", INT64, scalar, &numbers.zero, sizeof(int64_t));
    builder_add_initializer(b, "two", INT64, scalar, &numbers.two, sizeof(int64_t));
    builder_add_initializer(b, "three", INT64, scalar, &numbers.three, sizeof(int64_t));
    builder_add_initializer(b, "yes", BOOL, scalar, &numbers.yes, 1);
}

/// x (N), s = sum of x.
static struct builder start_sum(void)
{
    struct builder b = builder_start(13);
    builder_add_input(&b, "x", "N");
    add_numbers(&b);
    builder_set_int(&b, builder_add_node(&b, "sum", "ReduceSum", "x", "s"), "keepdims", 0);
    return b;
}

/// y = s > 1 ? x + 1 : [x, x]: constants and values captured, branches of different shapes.
static struct builder build_if(void)
{
    struct builder b = start_sum();
    builder_add_output(&b, "y");
    builder_add_node(&b, "greater", "Greater", "s,one", "condition");
    Onnx__NodeProto *node = builder_add_node(&b, "if", "If", "condition", "y");
    Onnx__GraphProto *outer = begin_inner(&b, "then", "");
    builder_add_node(&b, "add", "Add", "x,one", "t");
    inner_output(&b, "t", FLOAT, "N");
    end_inner(&b, outer, node, "then_branch");
    outer = begin_inner(&b, "else", "");
    builder_set_int(&b, builder_add_node(&b, "twice", "Concat", "x,x", "e"), "axis", 0);
    inner_output(&b, "e", FLOAT, "M");
    end_inner(&b, outer, node, "else_branch");
    return b;
}

START_TEST(if_runs_the_branch_that_the_data_chooses)
{
    struct inner_case c = start_case(build_if());
    const struct pbitc_node *node = c.graph->outputs[0]->producer;
    ck_assert_uint_eq(node->input_count, 2); // the condition and x: constants are not handed in
    run_floats(&c, FLOATS(1, 2), 2);
    expect_floats(&c, 0, LENGTH(2), FLOATS(2, 3));
    run_floats(&c, FLOATS(-1, 1, 1), 3);
    expect_floats(&c, 0, LENGTH(6), FLOATS(-1, 1, 1, -1, 1, 1));
    run_floats(&c, FLOATS(5), 1);
    expect_floats(&c, 0, LENGTH(1), FLOATS(6));
    end_case(&c);
}
END_TEST

START_TEST(inner_graphs_are_cloned_and_printed)
{
    struct inner_case c = start_case(build_if());
    struct pbitc_graph *copy = pbitc_graph_clone(c.graph);
    ck_assert_int_eq(pbitc_graph_verify(copy, NULL, c.diagnostics), PBIT_OK);
    char *texts[2];
    size_t sizes[2];
    for (int i = 0; i < 2; i++) {
        FILE *stream = open_memstream(&texts[i], &sizes[i]);
        pbitc_graph_print(i ? copy : c.graph, stream);
        fclose(stream);
    }
    ck_assert_str_eq(texts[0], texts[1]);
    ck_assert_ptr_nonnull(strstr(texts[0], "    graph \"then\"\n    input x: ?[...]\n"));
    ck_assert_ptr_nonnull(strstr(texts[0], "then_branch = graph \"then\""));
    // The copy does not need the original.
    pbitc_interpreter_destroy(c.interpreter);
    pbitc_graph_destroy(c.graph);
    c.graph = copy;
    ck_assert_int_eq(pbitc_interpreter_create(c.graph, 1, NULL, c.diagnostics, &c.interpreter), PBIT_OK);
    run_floats(&c, FLOATS(1, 2), 2);
    expect_floats(&c, 0, LENGTH(2), FLOATS(2, 3));
    free(texts[0]);
    free(texts[1]);
    end_case(&c);
}
END_TEST

/// A node that refers to x, two graphs around it: (v, a) swap places each turn, v grows by x.
static struct builder build_loop(const char *turns)
{
    struct builder b = start_sum();
    builder_add_output(&b, "last");
    builder_add_output(&b, "other");
    builder_add_output(&b, "all");
    char inputs[64];
    snprintf(inputs, sizeof(inputs), "%s,yes,x,x", turns);
    Onnx__NodeProto *node = builder_add_node(&b, "loop", "Loop", inputs, "last,other,all");
    Onnx__GraphProto *outer = begin_inner(&b, "body", "i,go,v,a");
    Onnx__NodeProto *nested = builder_add_node(&b, "nested", "If", "go", "grown");
    for (int branch = 0; branch < 2; branch++) {
        Onnx__GraphProto *body = begin_inner(&b, "branch", "");
        builder_add_node(&b, "grow", branch ? "Sub" : "Add", "v,x", "g");
        inner_output(&b, "g", FLOAT, "N");
        end_inner(&b, body, nested, branch ? "else_branch" : "then_branch");
    }
    builder_add_node(&b, "keep", "Identity", "go", "go_on");
    inner_output(&b, "go_on", BOOL, "");
    inner_output(&b, "a", FLOAT, "N");
    inner_output(&b, "grown", FLOAT, "N");
    inner_output(&b, "grown", FLOAT, "2"); // once more, collected
    end_inner(&b, outer, node, "body");
    return b;
}

START_TEST(loop_carries_states_and_collects)
{
    struct inner_case c = start_case(build_loop("three"));
    run_floats(&c, FLOATS(1, 10), 2);
    expect_floats(&c, 0, LENGTH(2), FLOATS(2, 20));
    expect_floats(&c, 1, LENGTH(2), FLOATS(3, 30));
    expect_floats(&c, 2, (struct pbitc_shape){2, {3, 2}}, FLOATS(2, 20, 2, 20, 3, 30));
    run_floats(&c, FLOATS(1), 1);
    expect_floats(&c, 2, (struct pbitc_shape){2, {3, 1}}, FLOATS(2, 2, 3));
    end_case(&c);
}
END_TEST

START_TEST(loop_without_a_turn_gives_what_it_was_given)
{
    struct inner_case c = start_case(build_loop("zero"));
    run_floats(&c, FLOATS(1, 10), 2);
    expect_floats(&c, 0, LENGTH(2), FLOATS(1, 10));
    expect_floats(&c, 2, (struct pbitc_shape){2, {0, 2}}, FLOATS(0));
    end_case(&c);
}
END_TEST

START_TEST(loop_without_end_is_refused)
{
    struct inner_case c = start_case(build_loop("")); // no limit, and the condition stays true
    c.graph->outputs[2]->producer->outputs[2] = NULL; // what is collected would fill the memory first
    float x = 1;
    ck_assert_int_eq(try_floats(&c, &x, 1), PBIT_ERROR_UNSUPPORTED);
    const struct pbitc_problem *problem = pbitc_diagnostics_get(c.diagnostics, 0);
    ck_assert_ptr_nonnull(strstr(problem->message, "inner graphs have run 1000000 times"));
    ck_assert_str_eq(problem->remedy, "check that the loop ends");
    end_case(&c);
}
END_TEST

/// Running sums along axis `axis` of x (2 x 3), of the columns or rows, from the end when reversed.
static struct builder build_scan(int64_t axis, int64_t reversed, int64_t output_axis, int64_t output_reversed)
{
    struct builder b = builder_start(13);
    builder_add_input(&b, "x", "2,3");
    builder_add_output(&b, "sum");
    builder_add_output(&b, "sums");
    int64_t length[] = {axis == 0 ? 3 : 2, -1};
    static const float zeros[3] = {0};
    builder_add_initializer(&b, "start", FLOAT, length, zeros, (size_t)length[0] * sizeof(float));
    Onnx__NodeProto *node = builder_add_node(&b, "scan", "Scan", "start,x", "sum,sums");
    builder_set_int(&b, node, "num_scan_inputs", 1);
    builder_set_ints(&b, node, "scan_input_axes", &axis, 1);
    builder_set_ints(&b, node, "scan_input_directions", &reversed, 1);
    builder_set_ints(&b, node, "scan_output_axes", &output_axis, 1);
    builder_set_ints(&b, node, "scan_output_directions", &output_reversed, 1);
    Onnx__GraphProto *outer = begin_inner(&b, "body", "so_far,part");
    builder_add_node(&b, "add", "Add", "so_far,part", "t");
    inner_output(&b, "t", FLOAT, "M");
    inner_output(&b, "t", FLOAT, "M");
    end_inner(&b, outer, node, "body");
    return b;
}

START_TEST(scan_along_every_axis_and_direction)
{
    static const struct {
        int64_t axis, reversed, output_axis, output_reversed;
        struct pbitc_shape shape;
        float sums[6];
    } cases[] = {
        {0, 0, 0, 0, {2, {2, 3}}, {1, 2, 3, 5, 7, 9}},  {0, 1, 0, 0, {2, {2, 3}}, {4, 5, 6, 5, 7, 9}},
        {0, 0, 1, 0, {2, {3, 2}}, {1, 5, 2, 7, 3, 9}},  {0, 0, -1, 1, {2, {3, 2}}, {5, 1, 7, 2, 9, 3}},
        {1, 0, 0, 0, {2, {3, 2}}, {1, 4, 3, 9, 6, 15}}, {-1, 1, 1, 1, {2, {2, 3}}, {6, 5, 3, 15, 11, 6}}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct inner_case c = start_case(
            build_scan(cases[i].axis, cases[i].reversed, cases[i].output_axis, cases[i].output_reversed));
        float x[] = {1, 2, 3, 4, 5, 6};
        struct pbitc_tensor input = {PBITC_FLOAT32, {2, {2, 3}}, x};
        ck_assert_int_eq(pbitc_interpreter_run(c.interpreter, &input, NULL, c.diagnostics), PBIT_OK);
        if (cases[i].axis == 0)
            expect_floats(&c, 0, LENGTH(3), FLOATS(5, 7, 9));
        else
            expect_floats(&c, 0, LENGTH(2), FLOATS(6, 15));
        expect_floats(&c, 1, cases[i].shape, cases[i].sums);
        end_case(&c);
    }
}
END_TEST

START_TEST(any_allocation_may_fail)
{
    enum pbit_status status = PBIT_ERROR_MEMORY;
    for (size_t calls = 0; status != PBIT_OK; calls++) {
        struct failing_allocator allocator;
        failing_allocator_start(&allocator, calls);
        struct inner_case c = {.b = build_loop("three")};
        status = import_case(&c, &allocator.allocator);
        if (!status)
            status = pbitc_interpreter_create(c.graph, 1, &allocator.allocator, NULL, &c.interpreter);
        float x[] = {1, 10};
        if (!status)
            status = try_floats(&c, x, 2);
        ck_assert(status == PBIT_OK || status == PBIT_ERROR_MEMORY);
        pbitc_interpreter_destroy(c.interpreter);
        pbitc_graph_destroy(c.graph);
        builder_end(&c.b);
        ck_assert_uint_eq(allocator.allocations, allocator.releases);
        ck_assert_uint_lt(calls, 5000);
    }
}
END_TEST

// ---- functions

static Onnx__FunctionProto *begin_function(struct builder *b, const char *name, const char *inputs,
                                           const char *outputs, Onnx__GraphProto **outer)
{
    Onnx__FunctionProto *function = BUILDER_NEW(b, Onnx__FunctionProto, ONNX__FUNCTION_PROTO__INIT);
    function->name = builder_text(b, name);
    function->domain = builder_text(b, "test");
    function->input = builder_names(b, inputs, &function->n_input);
    function->output = builder_names(b, outputs, &function->n_output);
    function->attribute_proto = builder_list(b);
    function->opset_import = b->model->opset_import;
    function->n_opset_import = b->model->n_opset_import;
    *outer = begin_inner(b, name, "");
    if (!b->model->functions)
        b->model->functions = builder_list(b);
    b->model->functions[b->model->n_functions++] = function;
    return function;
}

static void end_function(struct builder *b, Onnx__FunctionProto *function, Onnx__GraphProto *outer)
{
    function->node = b->graph->node;
    function->n_node = b->graph->n_node;
    b->graph = outer;
}

static Onnx__NodeProto *add_call(struct builder *b, const char *name, const char *function,
                                 const char *inputs, const char *outputs)
{
    Onnx__NodeProto *node = builder_add_node(b, name, function, inputs, outputs);
    node->domain = builder_text(b, "test");
    return node;
}

static void refer(struct builder *b, Onnx__NodeProto *node, const char *attribute, int type, const char *to)
{
    builder_add_attribute(b, node, attribute, type)->ref_attr_name = builder_text(b, to);
}

static struct builder start_functions(void)
{
    struct builder b = builder_start(13);
    builder_add_opset(&b, "test", 1);
    builder_add_input(&b, "x", "N");
    return b;
}

/// Leaky(a; slope = 0.5) -> (LeakyRelu(a), a, 1.0); Twice(a, b; slope) = Leaky(Leaky(a)) + b?
static struct builder build_functions(void)
{
    struct builder b = start_functions();
    Onnx__GraphProto *outer;
    Onnx__FunctionProto *leaky = begin_function(&b, "Leaky", "a,unused", "r,a,number", &outer);
    refer(&b, builder_add_node(&b, "relu", "LeakyRelu", "a", "r"), "alpha", FLOAT, "slope");
    Onnx__AttributeProto *value = builder_add_attribute(
        &b, builder_add_node(&b, "one", "Constant", "", "number"), "value_float", FLOAT);
    value->has_f = 1;
    value->f = 1;
    end_function(&b, leaky, outer);
    Onnx__AttributeProto *fallback = BUILDER_NEW(&b, Onnx__AttributeProto, ONNX__ATTRIBUTE_PROTO__INIT);
    *fallback = *value;
    fallback->name = builder_text(&b, "slope");
    fallback->f = 0.5f;
    leaky->attribute_proto[leaky->n_attribute_proto++] = fallback;

    Onnx__FunctionProto *twice = begin_function(&b, "Twice", "a", "r", &outer);
    refer(&b, add_call(&b, "first", "Leaky", "a", "h"), "slope", FLOAT, "slope");
    refer(&b, add_call(&b, "second", "Leaky", "h,", "h2,h1,"), "slope", FLOAT, "slope");
    builder_add_node(&b, "sum", "Add", "h2,h1", "r");
    end_function(&b, twice, outer);
    return b;
}

START_TEST(functions_take_the_place_of_their_calls)
{
    struct builder b = build_functions();
    builder_add_output(&b, "p");
    builder_add_output(&b, "q");
    builder_add_output(&b, "number");
    builder_set_float(&b, add_call(&b, "call", "Twice", "x", "p"), "slope", 0.1f);
    add_call(&b, "plain", "Leaky", "x", "q,,number"); // the function's own slope, an output left out
    struct inner_case c = start_case(b);
    run_floats(&c, FLOATS(-10, 2), 2);
    expect_floats(&c, 0, LENGTH(2), FLOATS(-1.1f, 4));
    expect_floats(&c, 1, LENGTH(2), FLOATS(-5, 2));
    expect_floats(&c, 2, (struct pbitc_shape){0, {0}}, FLOATS(1));
    // What the bodies name is found under the calls' names; their outputs are the callers' own values.
    ck_assert_ptr_nonnull(pbitc_graph_find_value(c.graph, "call/h"));
    ck_assert_ptr_null(pbitc_graph_find_value(c.graph, "call/first/r"));
    end_case(&c);
}
END_TEST

/// The import fails with this status; the first problem says `phrase`.
static void expect_refused(struct builder b, enum pbit_status expected, const char *phrase)
{
    struct inner_case c = {.b = b, .diagnostics = pbitc_diagnostics_create()};
    ck_assert_int_eq(import_case(&c, NULL), expected);
    ck_assert_ptr_null(c.graph);
    ck_assert_uint_gt(pbitc_diagnostics_count(c.diagnostics), 0);
    const char *message = pbitc_diagnostics_get(c.diagnostics, 0)->message;
    ck_assert_msg(strstr(message, phrase) != NULL, "'%s' instead of '%s'", message, phrase);
    pbitc_diagnostics_destroy(c.diagnostics);
    builder_end(&c.b);
}

START_TEST(functions_that_are_refused)
{
    Onnx__GraphProto *outer;
    struct builder b = start_functions();
    builder_add_output(&b, "y");
    Onnx__FunctionProto *ping = begin_function(&b, "Ping", "a", "r", &outer);
    add_call(&b, "there", "Pong", "a", "r");
    end_function(&b, ping, outer);
    Onnx__FunctionProto *pong = begin_function(&b, "Pong", "a", "r", &outer);
    add_call(&b, "back", "Ping", "a", "r");
    end_function(&b, pong, outer);
    add_call(&b, "call", "Ping", "x", "y");
    expect_refused(b, PBIT_ERROR_FORMAT, "the function calls itself");

    b = build_functions();
    builder_add_output(&b, "y");
    add_call(&b, "call", "Twice", "x,x", "y");
    expect_refused(b, PBIT_ERROR_FORMAT, "the function has 1 inputs and 1 outputs, its call 2 and 1");

    b = build_functions();
    builder_add_output(&b, "y");
    Onnx__FunctionProto *again = begin_function(&b, "Leaky", "a", "r", &outer);
    end_function(&b, again, outer);
    add_call(&b, "call", "Twice", "x", "y");
    expect_refused(b, PBIT_ERROR_FORMAT, "two functions of this name");

    b = start_functions();
    builder_add_output(&b, "y");
    Onnx__FunctionProto *empty = begin_function(&b, "Empty", "a", "r", &outer);
    end_function(&b, empty, outer);
    add_call(&b, "call", "Empty", "x", "y");
    expect_refused(b, PBIT_ERROR_FORMAT, "nothing in the function produces its output 'r'");
}
END_TEST

/// Each function calls the next one twice.
START_TEST(functions_must_not_explode)
{
    enum { COUNT = 40 };
    struct builder b = start_functions();
    builder_add_output(&b, "y");
    for (int i = 0; i < COUNT; i++) {
        Onnx__GraphProto *outer;
        char name[16], next[16];
        snprintf(name, sizeof(name), "F%d", i);
        snprintf(next, sizeof(next), "F%d", i + 1);
        Onnx__FunctionProto *function = begin_function(&b, name, "a", "r", &outer);
        if (i + 1 < COUNT) {
            add_call(&b, "one", next, "a", "h");
            add_call(&b, "two", next, "h", "r");
        } else {
            builder_add_node(&b, "relu", "Relu", "a", "r");
        }
        end_function(&b, function, outer);
    }
    add_call(&b, "call", "F0", "x", "y");
    expect_refused(b, PBIT_ERROR_UNSUPPORTED, "nodes; at most 100000 are supported");
}
END_TEST

// ---- hostile inner graphs

/// If inside If inside ..., `depth` deep.
static void add_nested_ifs(struct builder *b, int depth)
{
    Onnx__NodeProto *node = builder_add_node(b, "if", "If", "yes", "y");
    static const char *const branches[] = {"then_branch", "else_branch"};
    for (int i = 0; i < 2; i++) {
        Onnx__GraphProto *outer = begin_inner(b, "g", "");
        if (depth > 1 && i == 0)
            add_nested_ifs(b, depth - 1);
        else
            builder_add_node(b, "relu", "Relu", "x", "y");
        inner_output(b, "y", FLOAT, "N");
        end_inner(b, outer, node, branches[i]);
    }
}

START_TEST(nesting_is_limited)
{
    struct builder b = start_sum();
    builder_add_output(&b, "y");
    add_nested_ifs(&b, 20);
    struct inner_case c = start_case(b);
    run_floats(&c, FLOATS(-1, 2), 2);
    expect_floats(&c, 0, LENGTH(2), FLOATS(0, 2));
    end_case(&c);

    b = start_sum();
    builder_add_output(&b, "y");
    add_nested_ifs(&b, 70);
    expect_refused(b, PBIT_ERROR_UNSUPPORTED, "nested more than 64 deep");
}
END_TEST

START_TEST(inner_graphs_that_are_refused)
{
    struct builder b = start_sum();
    builder_add_output(&b, "y");
    builder_add_node(&b, "if", "If", "yes", "y");
    expect_refused(b, PBIT_ERROR_FORMAT, "has no inner graph 'else_branch'");

    b = start_sum();
    builder_add_output(&b, "y");
    Onnx__NodeProto *node = builder_add_node(&b, "loop", "Loop", "three,yes,x", "y");
    Onnx__GraphProto *outer = begin_inner(&b, "body", "i,go");
    inner_output(&b, "go", BOOL, "");
    end_inner(&b, outer, node, "body");
    expect_refused(b, PBIT_ERROR_FORMAT, "'body' has 2 inputs, the node gives it 3");

    b = start_sum();
    builder_add_output(&b, "y");
    node = builder_add_node(&b, "loop", "Loop", "three,yes,x", "y");
    outer = begin_inner(&b, "body", "i,go,v");
    inner_output(&b, "go", BOOL, "");
    inner_output(&b, "nothing", FLOAT, "");
    end_inner(&b, outer, node, "body");
    expect_refused(b, PBIT_ERROR_FORMAT, "nothing produces this output");

    b = start_sum();
    builder_add_output(&b, "y");
    node = builder_add_node(&b, "loop", "Loop", "three,yes,x", "y");
    Onnx__AttributeProto *body = builder_add_attribute(&b, node, "body", GRAPH);
    body->has_g = 1;
    body->g.data = (uint8_t *)builder_text(&b, "\xff\xff\xff");
    body->g.len = 3;
    expect_refused(b, PBIT_ERROR_FORMAT, "encoding is damaged");
}
END_TEST

START_TEST(bodies_that_do_not_fit_are_refused_when_they_run)
{
    struct builder b = start_sum();
    builder_add_output(&b, "y");
    Onnx__NodeProto *node = builder_add_node(&b, "loop", "Loop", "three,yes,x", "y");
    Onnx__GraphProto *outer = begin_inner(&b, "body", "i,go,v");
    builder_set_int(&b, builder_add_node(&b, "cast", "Cast", "v", "w"), "to", INT64);
    inner_output(&b, "go", BOOL, "");
    inner_output(&b, "w", INT64, "N");
    end_inner(&b, outer, node, "body");
    struct inner_case c = start_case(b);
    float x[] = {1, 2};
    ck_assert_int_eq(try_floats(&c, x, 2), PBIT_ERROR_FORMAT);
    ck_assert_str_eq(pbitc_diagnostics_get(c.diagnostics, 0)->message,
                     "state 0 changes from float32 to int64");
    end_case(&c);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("onnx_inner");
    TCase *tcase = tcase_create("inner graphs and functions");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, if_runs_the_branch_that_the_data_chooses);
    tcase_add_test(tcase, inner_graphs_are_cloned_and_printed);
    tcase_add_test(tcase, loop_carries_states_and_collects);
    tcase_add_test(tcase, loop_without_a_turn_gives_what_it_was_given);
    tcase_add_test(tcase, loop_without_end_is_refused);
    tcase_add_test(tcase, scan_along_every_axis_and_direction);
    tcase_add_test(tcase, any_allocation_may_fail);
    tcase_add_test(tcase, functions_take_the_place_of_their_calls);
    tcase_add_test(tcase, functions_that_are_refused);
    tcase_add_test(tcase, functions_must_not_explode);
    tcase_add_test(tcase, nesting_is_limited);
    tcase_add_test(tcase, inner_graphs_that_are_refused);
    tcase_add_test(tcase, bodies_that_do_not_fit_are_refused_when_they_run);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
