// Shape inference and the float executor: chains of shapes, views, watched values, changing batches, errors,
// memory.
#include "passes/interpreter/memory_plan.h"
#include "tests/failing_allocator.h"
#include "tests/passes/operator_cases.h"
#include "tests/run_suite.h"

static const struct pbitc_shape unknown = {.rank = -1};

/// A graph under construction: values by name, nodes in order.
static struct pbitc_graph *graph_create(void)
{
    struct pbitc_graph *graph = pbitc_graph_create(NULL, "test");
    ck_assert_ptr_nonnull(graph);
    graph->inputs = pbitc_arena_allocate(graph->arena, 4, sizeof(struct pbitc_value *));
    graph->outputs = pbitc_arena_allocate(graph->arena, 4, sizeof(struct pbitc_value *));
    return graph;
}

static struct pbitc_value *add_input(struct pbitc_graph *graph, const char *name, struct pbitc_shape shape,
                                     const char *batch_name)
{
    struct pbitc_value *value = pbitc_graph_add_value(graph, name, PBITC_FLOAT32, &shape);
    value->dim_names[0] = batch_name;
    graph->inputs[graph->input_count++] = value;
    return value;
}

static struct pbitc_value *add_list(struct pbitc_graph *graph, const int64_t *numbers, int64_t count)
{
    struct pbitc_value *value =
        pbitc_graph_add_constant(graph, "list", PBITC_INT64, &(struct pbitc_shape){1, {count}});
    memcpy(value->constant->data, numbers, (size_t)count * sizeof(*numbers));
    return value;
}

static struct pbitc_value *add_node(struct pbitc_graph *graph, const char *op, struct pbitc_value *a,
                                    struct pbitc_value *b)
{
    struct pbitc_value *inputs[] = {a, b},
                       *output = pbitc_graph_add_value(graph, op, PBITC_TYPE_NONE, &unknown);
    ck_assert_ptr_nonnull(
        pbitc_graph_insert_node(graph, NULL, op, pbitc_operator_find("", op), inputs, b ? 2 : 1, &output, 1));
    return output;
}

static void add_output(struct pbitc_graph *graph, struct pbitc_value *value)
{
    graph->outputs[graph->output_count++] = value;
}

/// y = Relu(Reshape(x, [Shape(x)[0], -1])): as exporters write a flatten.
static struct pbitc_graph *flatten_by_shape(void)
{
    struct pbitc_graph *graph = graph_create();
    struct pbitc_value *x = add_input(graph, "x", (struct pbitc_shape){3, {1, 2, 3}}, "N");
    struct pbitc_value *batch = add_node(graph, "Gather", add_node(graph, "Shape", x, NULL),
                                         add_list(graph, (const int64_t[]){0}, 1));
    struct pbitc_value *shape = add_node(graph, "Concat", batch, add_list(graph, (const int64_t[]){-1}, 1));
    ck_assert(pbitc_node_set_int(graph, graph->last, "axis", 0));
    add_output(graph, add_node(graph, "Relu", add_node(graph, "Reshape", x, shape), NULL));
    return graph;
}

static enum pbit_status run_floats(struct pbitc_interpreter *interpreter, float *data,
                                   struct pbitc_shape shape, struct pbitc_diagnostics *diagnostics)
{
    struct pbitc_tensor input = {PBITC_FLOAT32, shape, data};
    return pbitc_interpreter_run(interpreter, &input, NULL, diagnostics);
}

static struct pbitc_interpreter *interpreter_of(const struct pbitc_graph *graph)
{
    struct pbitc_interpreter *interpreter;
    ck_assert_int_eq(pbitc_interpreter_create(graph, 1, NULL, NULL, &interpreter), PBIT_OK);
    return interpreter;
}

START_TEST(shapes_follow_the_batch)
{
    struct pbitc_graph *graph = flatten_by_shape();
    size_t values = graph->value_count;
    for (int64_t batch = 1; batch <= 3; batch++) {
        ck_assert_int_eq(pbitc_infer_shapes(graph, batch, NULL), PBIT_OK);
        const struct pbitc_shape expected = {2, {batch, 6}};
        ck_assert(pbitc_shape_equal(&graph->outputs[0]->shape, &expected));
        ck_assert_int_eq(graph->outputs[0]->type, PBITC_FLOAT32);
        ck_assert_int_eq(graph->inputs[0]->shape.dims[0], batch);
    }
    ck_assert_uint_eq(graph->value_count, values); // what was known on the way did not become constants
    for (size_t i = 0; i < values; i++)
        ck_assert(!graph->values[i]->constant || !graph->values[i]->producer);
    pbitc_graph_destroy(graph);
}
END_TEST

START_TEST(every_misfit_is_reported_and_downstream_stays_unknown)
{
    struct pbitc_graph *graph = graph_create();
    struct pbitc_value *x = add_input(graph, "x", (struct pbitc_shape){2, {1, 5}}, "N");
    struct pbitc_value *w = add_list(graph, (const int64_t[]){1, 2}, 2);
    struct pbitc_value *wrong = add_node(graph, "MatMul", x, w),
                       *after = add_node(graph, "Relu", wrong, NULL);
    struct pbitc_value *worse = add_node(graph, "Reshape", x, w), *fine = add_node(graph, "Relu", x, NULL);
    struct pbitc_diagnostics *diagnostics = pbitc_diagnostics_create();
    ck_assert_int_eq(pbitc_infer_shapes(graph, 1, diagnostics), PBIT_ERROR_FORMAT);
    ck_assert_uint_eq(pbitc_diagnostics_count(diagnostics), 2);
    ck_assert_str_eq(pbitc_diagnostics_get(diagnostics, 0)->op, "MatMul");
    ck_assert_str_eq(pbitc_diagnostics_get(diagnostics, 0)->message,
                     "input 1 is int64 but input 0 is float32");
    ck_assert_str_eq(pbitc_diagnostics_get(diagnostics, 1)->message, "1x5 cannot be reshaped to 1x2");
    ck_assert_int_eq(wrong->shape.rank, -1);
    ck_assert_int_eq(after->shape.rank, -1);
    ck_assert_int_eq(worse->shape.rank, -1);
    ck_assert_int_eq(fine->shape.rank, 2);
    pbitc_diagnostics_destroy(diagnostics);
    pbitc_graph_destroy(graph);
}
END_TEST

START_TEST(fixed_batch_is_not_changed)
{
    struct pbitc_graph *graph = graph_create();
    add_output(graph,
               add_node(graph, "Relu", add_input(graph, "x", (struct pbitc_shape){2, {1, 5}}, NULL), NULL));
    struct pbitc_diagnostics *diagnostics = pbitc_diagnostics_create();
    ck_assert_int_eq(pbitc_infer_shapes(graph, 1, diagnostics), PBIT_OK);
    ck_assert_int_eq(pbitc_infer_shapes(graph, 4, diagnostics), PBIT_ERROR_UNSUPPORTED);
    ck_assert_str_eq(pbitc_diagnostics_get(diagnostics, 0)->message,
                     "the input's first dimension is fixed to 1, the batch is 4");
    pbitc_diagnostics_destroy(diagnostics);
    pbitc_graph_destroy(graph);
}
END_TEST

START_TEST(runs_at_any_batch)
{
    struct pbitc_graph *graph = flatten_by_shape();
    struct pbitc_interpreter *interpreter = interpreter_of(graph);
    static const int64_t batches[] = {2, 2, 1, 3};
    float data[18];
    for (int i = 0; i < 18; i++)
        data[i] = (float)(i - 9);
    for (size_t b = 0; b < 4; b++) {
        struct pbitc_shape shape = {3, {batches[b], 2, 3}};
        ck_assert_int_eq(run_floats(interpreter, data, shape, NULL), PBIT_OK);
        const struct pbitc_tensor *y = pbitc_interpreter_value(interpreter, graph->outputs[0]);
        assert_shape(y, PBITC_FLOAT32, (struct pbitc_shape){2, {batches[b], 6}});
        for (int64_t i = 0; i < 6 * batches[b]; i++)
            ck_assert_float_eq(((const float *)y->data)[i], i > 9 ? (float)(i - 9) : 0);
    }
    pbitc_interpreter_destroy(interpreter);
    pbitc_graph_destroy(graph);
}
END_TEST

START_TEST(inputs_that_do_not_fit_are_explained)
{
    struct pbitc_graph *graph = flatten_by_shape();
    struct pbitc_interpreter *interpreter = interpreter_of(graph);
    struct pbitc_diagnostics *diagnostics = pbitc_diagnostics_create();
    float data[8] = {0};
    ck_assert_int_eq(run_floats(interpreter, data, (struct pbitc_shape){3, {1, 2, 4}}, diagnostics),
                     PBIT_ERROR_ARGUMENT);
    struct pbitc_tensor wrong_type = {PBITC_INT64, {3, {1, 2, 3}}, data};
    ck_assert_int_eq(pbitc_interpreter_run(interpreter, &wrong_type, NULL, diagnostics), PBIT_ERROR_ARGUMENT);
    ck_assert_str_eq(pbitc_diagnostics_get(diagnostics, 0)->node, "x");
    ck_assert_str_eq(pbitc_diagnostics_get(diagnostics, 0)->message,
                     "this input takes float32 Nx2x3, but was given float32 1x2x4");
    ck_assert_str_eq(pbitc_diagnostics_get(diagnostics, 1)->message,
                     "this input takes float32 Nx2x3, but was given int64 1x2x3");
    pbitc_diagnostics_destroy(diagnostics);
    pbitc_interpreter_destroy(interpreter);
    pbitc_graph_destroy(graph);
}
END_TEST

/// Three additions in a row: a = x + x, b = a + a, c = b + b.
struct chain {
    struct pbitc_graph *graph;
    struct pbitc_value *x, *a, *b, *c;
};

static struct chain chain_create(void)
{
    struct chain chain = {.graph = graph_create()};
    chain.x = add_input(chain.graph, "x", (struct pbitc_shape){1, {4}}, NULL);
    chain.a = add_node(chain.graph, "Add", chain.x, chain.x);
    chain.b = add_node(chain.graph, "Add", chain.a, chain.a);
    chain.c = add_node(chain.graph, "Add", chain.b, chain.b);
    add_output(chain.graph, chain.c);
    return chain;
}

START_TEST(watched_values_stay)
{
    struct chain chain = chain_create();
    struct pbitc_interpreter *interpreter = interpreter_of(chain.graph);
    float data[] = {1, 2, 3, 4};
    const struct pbitc_shape shape = {1, {4}};
    ck_assert_int_eq(run_floats(interpreter, data, shape, NULL), PBIT_OK);
    ck_assert_int_eq(pbitc_interpreter_watch(interpreter, chain.a), PBIT_OK);
    ck_assert_int_eq(pbitc_interpreter_watch(interpreter, chain.x), PBIT_OK);
    ck_assert_int_eq(run_floats(interpreter, data, shape, NULL), PBIT_OK);
    assert_floats(pbitc_interpreter_value(interpreter, chain.a), (const float[]){2, 4, 6, 8}, 4);
    assert_floats(pbitc_interpreter_value(interpreter, chain.c), (const float[]){8, 16, 24, 32}, 4);
    ck_assert_ptr_eq(pbitc_interpreter_value(interpreter, chain.x)->data, data); // read where it lies
    struct chain other = chain_create();
    ck_assert_int_eq(pbitc_interpreter_watch(interpreter, other.a), PBIT_ERROR_ARGUMENT);
    pbitc_interpreter_destroy(interpreter);
    pbitc_graph_destroy(chain.graph);
    pbitc_graph_destroy(other.graph);
}
END_TEST

START_TEST(views_share_memory_but_not_the_callers)
{
    struct pbitc_graph *graph = graph_create();
    struct pbitc_value *x = add_input(graph, "x", (struct pbitc_shape){2, {2, 2}}, NULL);
    struct pbitc_value *relu = add_node(graph, "Relu", x, NULL);
    struct pbitc_value *view = add_node(graph, "Flatten", relu, NULL),
                       *direct = add_node(graph, "Identity", x, NULL);
    add_output(graph, view);
    add_output(graph, direct);
    struct pbitc_interpreter *interpreter = interpreter_of(graph);
    ck_assert_int_eq(pbitc_interpreter_watch(interpreter, relu), PBIT_OK);
    float data[] = {-1, 2, -3, 4};
    ck_assert_int_eq(run_floats(interpreter, data, x->shape, NULL), PBIT_OK);
    ck_assert_ptr_eq(pbitc_interpreter_value(interpreter, view)->data,
                     pbitc_interpreter_value(interpreter, relu)->data);
    ck_assert_ptr_ne(pbitc_interpreter_value(interpreter, direct)->data, data);
    data[0] = 9;
    assert_floats(pbitc_interpreter_value(interpreter, direct), (const float[]){-1, 2, -3, 4}, 4);
    pbitc_interpreter_destroy(interpreter);
    pbitc_graph_destroy(graph);
}
END_TEST

START_TEST(memory_is_used_again_but_never_twice_at_once)
{
    enum { TENSORS = 60 };
    for (int round = 0; round < 50; round++) {
        struct pbitc_placement placements[TENSORS];
        size_t order[TENSORS], bytes, sum = 0;
        for (int i = 0; i < TENSORS; i++) {
            size_t first = (size_t)random_between(0, 50);
            placements[i] = (struct pbitc_placement){.bytes = (size_t)random_between(0, 4000),
                                                     .first = first,
                                                     .last = first + (size_t)random_between(0, 5)};
            sum += placements[i].bytes;
        }
        ck_assert(pbitc_memory_plan(placements, TENSORS, order, &bytes));
        ck_assert_uint_lt(bytes, sum);
        for (int i = 0; i < TENSORS; i++)
            for (int j = 0; j < i; j++) {
                const struct pbitc_placement *a = &placements[i], *b = &placements[j];
                bool apart = a->offset + a->bytes <= b->offset || b->offset + b->bytes <= a->offset;
                ck_assert(apart || a->last < b->first || b->last < a->first || !a->bytes || !b->bytes);
                ck_assert(a->offset % 64 == 0 && a->offset + a->bytes <= bytes);
            }
    }
    struct pbitc_placement huge[] = {{.bytes = SIZE_MAX / 2}};
    size_t order[1], bytes;
    ck_assert(!pbitc_memory_plan(huge, 1, order, &bytes));
}
END_TEST

START_TEST(constants_are_evaluated)
{
    struct pbitc_graph *graph = graph_create();
    struct pbitc_value *a = add_list(graph, (const int64_t[]){1, 2, 3}, 3);
    add_node(graph, "Mul", a, add_list(graph, (const int64_t[]){10}, 1));
    struct pbitc_tensor *outputs[1];
    ck_assert_int_eq(pbitc_evaluate_constant_node(graph, graph->last, NULL, outputs), PBIT_OK);
    assert_integers(outputs[0], (const int64_t[]){10, 20, 30}, 3);
    add_node(graph, "Identity", a, NULL); // views get bytes of their own
    ck_assert_int_eq(pbitc_evaluate_constant_node(graph, graph->last, NULL, outputs), PBIT_OK);
    ck_assert_ptr_ne(outputs[0]->data, a->constant->data);
    assert_integers(outputs[0], (const int64_t[]){1, 2, 3}, 3);
    pbitc_graph_destroy(graph);
}
END_TEST

START_TEST(any_allocation_may_fail)
{
    struct pbitc_graph *graph = flatten_by_shape();
    float data[6] = {0};
    enum pbit_status status = PBIT_ERROR_MEMORY;
    size_t calls = 0;
    for (; status != PBIT_OK; calls++) {
        struct failing_allocator allocator;
        failing_allocator_start(&allocator, calls);
        struct pbitc_interpreter *interpreter;
        status = pbitc_interpreter_create(graph, 1, &allocator.allocator, NULL, &interpreter);
        if (!status)
            status = run_floats(interpreter, data, (struct pbitc_shape){3, {1, 2, 3}}, NULL);
        ck_assert(status == PBIT_OK || status == PBIT_ERROR_MEMORY);
        pbitc_interpreter_destroy(interpreter);
        ck_assert_uint_eq(allocator.allocations, allocator.releases);
        ck_assert_uint_lt(calls, 1000);
    }
    ck_assert_uint_gt(calls, 2);
    pbitc_graph_destroy(graph);
}
END_TEST

/// y = Relu(Reshape(x, Cast(s))), z = Relu(x): the shape of y is what the second input says.
static struct pbitc_graph *reshape_by_data(void)
{
    struct pbitc_graph *graph = graph_create();
    struct pbitc_value *x = add_input(graph, "x", (struct pbitc_shape){1, {6}}, NULL);
    struct pbitc_value *s = add_input(graph, "s", (struct pbitc_shape){1, {2}}, NULL);
    struct pbitc_value *shape = add_node(graph, "Cast", s, NULL);
    ck_assert(pbitc_node_set_int(graph, graph->last, "to", PBITC_INT64));
    add_output(graph, add_node(graph, "Relu", add_node(graph, "Reshape", x, shape), NULL));
    add_output(graph, add_node(graph, "Relu", x, NULL));
    return graph;
}

static enum pbit_status run_reshape(struct pbitc_interpreter *interpreter, float rows, float columns,
                                    struct pbitc_diagnostics *diagnostics)
{
    float x[] = {1, -2, 3, -4, 5, 6}, s[] = {rows, columns};
    struct pbitc_tensor inputs[] = {{PBITC_FLOAT32, {1, {6}}, x}, {PBITC_FLOAT32, {1, {2}}, s}};
    return pbitc_interpreter_run(interpreter, inputs, NULL, diagnostics);
}

START_TEST(shapes_may_depend_on_data)
{
    struct pbitc_graph *graph = reshape_by_data();
    struct pbitc_diagnostics *diagnostics = pbitc_diagnostics_create();
    ck_assert_int_eq(pbitc_infer_shapes(graph, 1, diagnostics), PBIT_ERROR_UNSUPPORTED);
    ck_assert_uint_eq(pbitc_diagnostics_count(diagnostics), 1);
    ck_assert_str_eq(pbitc_diagnostics_get(diagnostics, 0)->op, "Reshape");
    ck_assert_int_eq(pbitc_infer_known_shapes(graph, 1, diagnostics), PBIT_OK);
    ck_assert_int_eq(graph->outputs[0]->shape.rank, -1);
    ck_assert_int_eq(graph->outputs[1]->shape.rank, 1);
    struct pbitc_interpreter *interpreter = interpreter_of(graph);
    for (int rows = 1; rows <= 3; rows++) {
        ck_assert_int_eq(run_reshape(interpreter, (float)rows, (float)(6 / rows), diagnostics), PBIT_OK);
        const struct pbitc_tensor *y = pbitc_interpreter_value(interpreter, graph->outputs[0]);
        const struct pbitc_tensor *z = pbitc_interpreter_value(interpreter, graph->outputs[1]);
        const struct pbitc_shape expected = {2, {rows, 6 / rows}};
        ck_assert(pbitc_shape_equal(&y->shape, &expected));
        ck_assert_mem_eq(y->data, ((float[]){1, 0, 3, 0, 5, 6}), 6 * sizeof(float));
        ck_assert_mem_eq(z->data, y->data, 6 * sizeof(float));
    }
    ck_assert_int_eq(run_reshape(interpreter, 4, 2, diagnostics), PBIT_ERROR_FORMAT);
    ck_assert_uint_eq(pbitc_diagnostics_count(diagnostics), 2);
    ck_assert_int_eq(run_reshape(interpreter, 2, 3, diagnostics), PBIT_OK); // none the worse for it
    pbitc_interpreter_destroy(interpreter);
    pbitc_diagnostics_destroy(diagnostics);
    pbitc_graph_destroy(graph);
}
END_TEST

START_TEST(any_allocation_may_fail_where_shapes_depend_on_data)
{
    struct pbitc_graph *graph = reshape_by_data();
    enum pbit_status status = PBIT_ERROR_MEMORY;
    for (size_t calls = 0; status != PBIT_OK; calls++) {
        struct failing_allocator allocator;
        failing_allocator_start(&allocator, calls);
        struct pbitc_interpreter *interpreter;
        status = pbitc_interpreter_create(graph, 1, &allocator.allocator, NULL, &interpreter);
        if (!status)
            status = run_reshape(interpreter, 2, 3, NULL);
        ck_assert(status == PBIT_OK || status == PBIT_ERROR_MEMORY);
        pbitc_interpreter_destroy(interpreter);
        ck_assert_uint_eq(allocator.allocations, allocator.releases);
        ck_assert_uint_lt(calls, 1000);
    }
    pbitc_graph_destroy(graph);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("interpreter");
    TCase *tcase = tcase_create("interpreter");
    tcase_add_test(tcase, shapes_follow_the_batch);
    tcase_add_test(tcase, every_misfit_is_reported_and_downstream_stays_unknown);
    tcase_add_test(tcase, fixed_batch_is_not_changed);
    tcase_add_test(tcase, runs_at_any_batch);
    tcase_add_test(tcase, inputs_that_do_not_fit_are_explained);
    tcase_add_test(tcase, watched_values_stay);
    tcase_add_test(tcase, views_share_memory_but_not_the_callers);
    tcase_add_test(tcase, memory_is_used_again_but_never_twice_at_once);
    tcase_add_test(tcase, constants_are_evaluated);
    tcase_add_test(tcase, any_allocation_may_fail);
    tcase_add_test(tcase, shapes_may_depend_on_data);
    tcase_add_test(tcase, any_allocation_may_fail_where_shapes_depend_on_data);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
