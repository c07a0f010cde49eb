// Images are run together only where none has a say in what another one gives.
#include "converter/float_model.h"
#include "converter/onnx/onnx_import.h"
#include "tests/converter/onnx_builder.h"
#include "tests/run_suite.h"

#include <check.h>

enum { FLOAT = 1, INT64 = 7, BATCH = 3, ELEMENTS = 4 };

struct opened {
    struct pbitc_diagnostics *diagnostics;
    struct pbitc_graph *graph;
    struct pbitc_float_model model;
};

static struct opened open_model(struct builder b)
{
    struct opened o = {.diagnostics = pbitc_diagnostics_create()};
    size_t size;
    builder_add_output(&b, "y");
    const uint8_t *bytes = builder_pack(&b, &size);
    ck_assert_int_eq(pbitc_onnx_import_bytes(bytes, size, NULL, NULL, o.diagnostics, &o.graph), PBIT_OK);
    enum pbit_status status = pbitc_float_model_open_images(&o.model, o.graph, BATCH, 1, o.diagnostics);
    pbitc_diagnostics_print(o.diagnostics, stderr);
    ck_assert_int_eq(status, PBIT_OK);
    builder_end(&b);
    return o;
}

static void close_model(struct opened *o)
{
    pbitc_float_model_close(&o->model);
    pbitc_graph_destroy(o->graph);
    pbitc_diagnostics_destroy(o->diagnostics);
}

static void run_rows(struct opened *o, const float *x, int64_t rows, float *y)
{
    struct pbitc_tensor input = {PBITC_FLOAT32, o->model.graph->inputs[0]->shape, (void *)x};
    input.shape.dims[0] = rows;
    ck_assert_int_eq(pbitc_interpreter_run(o->model.interpreter, &input, NULL, o->diagnostics), PBIT_OK);
    const struct pbitc_tensor *output =
        pbitc_interpreter_value(o->model.interpreter, o->model.graph->outputs[0]);
    ck_assert_int_eq(pbitc_shape_elements(&output->shape), rows * 2);
    memcpy(y, output->data, (size_t)(rows * 2) * sizeof(*y));
}

/// Relu, a Reshape to the given shape, a product with a matrix of two columns, and what else `op` is.
static struct builder make_model(const char *shape, const int64_t *wanted, const char *op, int64_t axis)
{
    static const float weights[ELEMENTS][2] = {{1, -1}, {0.5f, 2}, {-0.25f, 1}, {3, 0}};
    struct builder b = builder_start(17);
    builder_add_input(&b, "x", shape);
    builder_add_initializer(&b, "s", INT64, (int64_t[]){2, -1}, wanted, 2 * sizeof(int64_t));
    builder_add_initializer(&b, "w", FLOAT, (int64_t[]){ELEMENTS, 2, -1}, weights, sizeof(weights));
    builder_add_node(&b, "relu", "Relu", "x", "a");
    builder_add_node(&b, "reshape", "Reshape", "a,s", "r");
    builder_add_node(&b, "product", "MatMul", "r,w", "p");
    builder_set_int(&b, builder_add_node(&b, "last", op, "p", "y"), "axis", axis);
    return b;
}

START_TEST(batches_where_rows_are_independent)
{
    static const struct {
        const char *shape;
        int64_t wanted[2];
    } cases[] = {
        {"N,2,2", {-1, 4}}, {"1,2,2", {1, 4}}, {"N,2,2", {1, -1}}, {"1,2,2", {1, -1}}, {"1,2,2", {0, 4}}};
    const float x[BATCH][ELEMENTS] = {{1, -2, 3, 4}, {0.5f, 1, -1, 2}, {-3, 2, 1, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct opened o = open_model(make_model(cases[i].shape, cases[i].wanted, "Softmax", 1));
        ck_assert_uint_eq(o.model.batch, BATCH);
        ck_assert(!o.model.fixed);
        ck_assert((o.model.own != NULL) == (i > 0));
        float whole[BATCH][2], row[2];
        run_rows(&o, &x[0][0], BATCH, &whole[0][0]);
        for (int r = 0; r < BATCH; r++) {
            run_rows(&o, x[r], 1, row);
            ck_assert_mem_eq(row, whole[r], sizeof(row));
        }
        close_model(&o);
    }
}
END_TEST

START_TEST(one_by_one_where_they_are_not)
{
    struct opened o = open_model(make_model("N,2,2", (int64_t[]){-1, 4}, "Softmax", 0));
    ck_assert_uint_eq(o.model.batch, 1);
    ck_assert(!o.model.fixed);
    close_model(&o);
    o = open_model(make_model("1,2,2", (int64_t[]){1, 4}, "Softmax", 0));
    ck_assert_uint_eq(o.model.batch, 1);
    ck_assert(o.model.fixed);
    close_model(&o);
    o = open_model(make_model("2,2,2", (int64_t[]){2, 4}, "Softmax", 1)); // the model's own batch
    ck_assert_uint_eq(o.model.batch, 2);
    ck_assert(o.model.fixed);
    close_model(&o);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("float_model");
    TCase *tcase = tcase_create("float model");
    tcase_add_test(tcase, batches_where_rows_are_independent);
    tcase_add_test(tcase, one_by_one_where_they_are_not);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
