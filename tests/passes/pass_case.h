// A small graph, one pass over it, and the checks that every pass owes: outputs before and after agree, the
// verifier is clean, a second run changes nothing.
#ifndef PBITC_TESTS_PASS_CASE_H
#define PBITC_TESTS_PASS_CASE_H

#include "passes/pass_support.h"
#include "tests/run_suite.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SHAPE(...)                                                                                           \
    (struct pbitc_shape)                                                                                     \
    {                                                                                                        \
        sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t),                                                  \
        {                                                                                                    \
            __VA_ARGS__                                                                                      \
        }                                                                                                    \
    }
#define INTS(node_case, name, ...)                                                                           \
    pass_set_ints(node_case, name, (int64_t[]){__VA_ARGS__},                                                 \
                  sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

struct pass_case {
    struct pbitc_graph *graph;
    struct pbitc_node *node; ///< the last one added
    struct pbitc_diagnostics *diagnostics;
    struct pbitc_options options;
    struct pbitc_calibration calibration;
    struct pbitc_context context;
    float *images; ///< of the calibration
    bool changed;  ///< by the last pass
};

static uint32_t pass_random_state = 1;

/// In -1..1.
static inline float pass_random(void)
{
    pass_random_state ^= pass_random_state << 13;
    pass_random_state ^= pass_random_state >> 17;
    pass_random_state ^= pass_random_state << 5;
    return (float)pass_random_state / 2147483648.0f - 1;
}

static inline void pass_fill(float *data, size_t count, float low, float high)
{
    for (size_t i = 0; i < count; i++)
        data[i] = low + (high - low) * (pass_random() + 1) / 2;
}

/// On the heap, so that the context may point into it. `allocator` may be NULL.
static inline struct pass_case *pass_case_allocate(const struct pbitc_allocator *allocator)
{
    struct pass_case *c = calloc(1, sizeof(*c));
    c->graph = pbitc_graph_create(allocator, "case");
    c->diagnostics = pbitc_diagnostics_create();
    c->options = (struct pbitc_options){.weight_bits = 8,
                                        .draws = 1,
                                        .samples = 1,
                                        .sampler = PBIT_SAMPLER_STRATIFIED,
                                        .threads = 1,
                                        .talk = stderr};
    c->context = (struct pbitc_context){
        .options = &c->options, .calibration = &c->calibration, .diagnostics = c->diagnostics};
    if (c->graph) {
        c->graph->inputs = pbitc_arena_allocate(c->graph->arena, 4, sizeof(struct pbitc_value *));
        c->graph->outputs = pbitc_arena_allocate(c->graph->arena, 4, sizeof(struct pbitc_value *));
    }
    return c;
}

static inline struct pass_case *pass_case_create(void)
{
    struct pass_case *c = pass_case_allocate(NULL);
    ck_assert_ptr_nonnull(c->graph);
    return c;
}

static inline void pass_case_destroy(struct pass_case *c)
{
    pbitc_graph_destroy(c->graph);
    pbitc_diagnostics_destroy(c->diagnostics);
    free(c->images);
    free(c);
}

/// A float32 graph input for any batch; shape for one image.
static inline struct pbitc_value *pass_input(struct pass_case *c, struct pbitc_shape shape)
{
    struct pbitc_value *value = pbitc_graph_add_value(c->graph, "x", PBITC_FLOAT32, &shape);
    value->dim_names[0] = "N";
    return c->graph->inputs[c->graph->input_count++] = value;
}

static inline struct pbitc_value *pass_floats(struct pass_case *c, struct pbitc_shape shape, float low,
                                              float high)
{
    struct pbitc_value *value = pbitc_graph_add_constant(c->graph, "w", PBITC_FLOAT32, &shape);
    pass_fill(value->constant->data, (size_t)pbitc_shape_elements(&shape), low, high);
    return value;
}

/// Random weights in -1..1.
static inline struct pbitc_value *pass_weights(struct pass_case *c, struct pbitc_shape shape)
{
    return pass_floats(c, shape, -1, 1);
}

static inline struct pbitc_value *pass_list(struct pass_case *c, const int64_t *numbers, int64_t count)
{
    struct pbitc_value *value = pbitc_graph_add_constant(c->graph, "list", PBITC_INT64, &SHAPE(count));
    memcpy(value->constant->data, numbers, (size_t)count * sizeof(*numbers));
    return value;
}

/// A node at the end of the graph, of one output; trailing inputs may be NULL.
static inline struct pbitc_value *pass_node(struct pass_case *c, const char *op, struct pbitc_value *first,
                                            struct pbitc_value *second, struct pbitc_value *third)
{
    static const struct pbitc_shape unknown = {.rank = -1};
    struct pbitc_value *inputs[] = {first, second, third};
    struct pbitc_value *output = pbitc_graph_add_value(c->graph, op, PBITC_TYPE_NONE, &unknown);
    const struct pbitc_operator *found = pbitc_operator_find("", op);
    if (!found)
        found = pbitc_operator_find("qonnx.custom_op.general", op);
    ck_assert_msg(found, "no operator %s", op);
    c->node = pbitc_graph_insert_node(c->graph, NULL, op, found, inputs,
                                      third    ? 3
                                      : second ? 2
                                               : 1,
                                      &output, 1);
    ck_assert_ptr_nonnull(c->node);
    return output;
}

static inline void pass_set_ints(struct pass_case *c, const char *name, const int64_t *numbers, size_t count)
{
    ck_assert(pbitc_node_set_ints(c->graph, c->node, name, numbers, count));
}

static inline struct pbitc_value *pass_conv(struct pass_case *c, struct pbitc_value *x,
                                            struct pbitc_shape weights, int64_t group, int64_t pad)
{
    struct pbitc_value *w = pass_weights(c, weights), *b = pass_weights(c, SHAPE(weights.dims[0]));
    struct pbitc_value *y = pass_node(c, "Conv", x, w, b);
    if (pad)
        INTS(c, "pads", pad, pad, pad, pad);
    ck_assert(pbitc_node_set_int(c->graph, c->node, "group", group));
    return y;
}

/// Gemm with transB = 1.
static inline struct pbitc_value *pass_dense(struct pass_case *c, struct pbitc_value *x, int64_t inputs,
                                             int64_t outputs)
{
    struct pbitc_value *w = pass_weights(c, SHAPE(outputs, inputs)), *b = pass_weights(c, SHAPE(outputs));
    struct pbitc_value *y = pass_node(c, "Gemm", x, w, b);
    ck_assert(pbitc_node_set_int(c->graph, c->node, "transB", 1));
    return y;
}

static inline void pass_output(struct pass_case *c, struct pbitc_value *value)
{
    c->graph->outputs[c->graph->output_count++] = value;
}

static inline void pass_infer(struct pass_case *c)
{
    enum pbit_status status = pbitc_infer_shapes(c->graph, 1, c->diagnostics);
    if (status != PBIT_OK)
        pbitc_diagnostics_print(c->diagnostics, stderr);
    ck_assert_int_eq(status, PBIT_OK);
}

/// Random calibration images in low..high.
static inline void pass_images(struct pass_case *c, size_t images, float low, float high)
{
    size_t elements = (size_t)pbitc_shape_elements(&c->graph->inputs[0]->shape);
    c->images = malloc(images * elements * sizeof(float));
    pass_fill(c->images, images * elements, low, high);
    c->calibration = (struct pbitc_calibration){.images = images, .values = c->images};
}

static inline size_t pass_count(const struct pass_case *c, const char *op)
{
    size_t count = 0;
    PBITC_FOR_EACH_NODE(node, c->graph)
    count += strcmp(node->op->name, op) == 0;
    return count;
}

static inline struct pbitc_node *pass_find(const struct pass_case *c, const char *op)
{
    PBITC_FOR_EACH_NODE(node, c->graph)
    if (strcmp(node->op->name, op) == 0)
        return node;
    ck_abort_msg("no node %s", op);
}

static inline char *pass_text(const struct pass_case *c)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    pbitc_graph_print(c->graph, stream);
    fclose(stream);
    return text;
}

/// `value` for x, float[batch][...]; malloc'ed. `count` may be NULL.
static inline float *pass_evaluate(struct pass_case *c, const float *x, int64_t batch,
                                   const struct pbitc_value *value, const struct pbitc_sampling *sampling,
                                   size_t *count)
{
    struct pbitc_interpreter *interpreter = NULL;
    struct pbitc_tensor input = {PBITC_FLOAT32, c->graph->inputs[0]->shape, (void *)x};
    input.shape.dims[0] = batch;
    ck_assert_int_eq(pbitc_interpreter_create(c->graph, 1, NULL, c->diagnostics, &interpreter), PBIT_OK);
    ck_assert_int_eq(pbitc_interpreter_watch(interpreter, value), PBIT_OK);
    enum pbit_status status = pbitc_interpreter_run(interpreter, &input, sampling, c->diagnostics);
    if (status != PBIT_OK)
        pbitc_diagnostics_print(c->diagnostics, stderr);
    ck_assert_int_eq(status, PBIT_OK);
    const struct pbitc_tensor *tensor = pbitc_interpreter_value(interpreter, value);
    size_t elements = (size_t)pbitc_shape_elements(&tensor->shape);
    float *copy = malloc(elements * sizeof(float) + 1);
    memcpy(copy, tensor->data, elements * sizeof(float));
    if (count)
        *count = elements;
    pbitc_interpreter_destroy(interpreter);
    return copy;
}

static inline void pass_expect_close(const float *a, const float *b, size_t count, float tolerance)
{
    for (size_t i = 0; i < count; i++)
        ck_assert_msg(fabsf(a[i] - b[i]) <= tolerance * (1 + fabsf(a[i])), "output %zu: %g before, %g after",
                      i, (double)a[i], (double)b[i]);
}

/// Squared distance of output 0 from wanted[...], over all calibration images.
static inline double pass_squared_error(struct pass_case *c, const float *wanted,
                                        const struct pbitc_sampling *sampling)
{
    size_t count;
    float *now =
        pass_evaluate(c, c->images, (int64_t)c->calibration.images, c->graph->outputs[0], sampling, &count);
    double error = 0;
    for (size_t i = 0; i < count; i++)
        error += (double)(now[i] - wanted[i]) * (now[i] - wanted[i]);
    free(now);
    return error;
}

/// Runs a pass that must succeed, without looking at what it does.
static inline void pass_run(struct pass_case *c, const char *name)
{
    const struct pbitc_pass *pass = pbitc_pass_find(name);
    ck_assert_msg(pass, "no pass %s", name);
    enum pbit_status status = pbitc_pass_run(pass, c->graph, &c->context, &c->changed);
    if (status != PBIT_OK)
        pbitc_diagnostics_print(c->diagnostics, stderr);
    ck_assert_int_eq(status, PBIT_OK);
    ck_assert_int_eq(pbitc_graph_verify(c->graph, name, c->diagnostics), PBIT_OK);
}

/// Runs a pass that finds nothing to do.
static inline void pass_expect_idle(struct pass_case *c, const char *name)
{
    char *before = pass_text(c);
    pass_run(c, name);
    char *after = pass_text(c);
    ck_assert_str_eq(before, after);
    ck_assert(!c->changed);
    free(before);
    free(after);
}

/// Runs a pass; every output agrees within `tolerance` (relative to 1 + |y|) at the given batches before and
/// after. Returns whether it changed the graph.
static inline bool pass_check(struct pass_case *c, const char *name, float tolerance, int64_t largest_batch)
{
    enum { BATCH = 3 };
    float *before[4][BATCH + 1], *x;
    size_t elements = (size_t)pbitc_shape_elements(&c->graph->inputs[0]->shape), count;
    x = malloc(BATCH * elements * sizeof(float));
    pass_fill(x, BATCH * elements, -2, 2);
    for (size_t o = 0; o < c->graph->output_count; o++)
        for (int64_t batch = 1; batch <= largest_batch; batch += 2)
            before[o][batch] = pass_evaluate(c, x, batch, c->graph->outputs[o], NULL, NULL);
    pass_infer(c); // at batch 1 again
    pass_run(c, name);
    bool changed = c->changed;
    for (size_t o = 0; o < c->graph->output_count; o++)
        for (int64_t batch = 1; batch <= largest_batch; batch += 2) {
            float *after = pass_evaluate(c, x, batch, c->graph->outputs[o], NULL, &count);
            pass_expect_close(before[o][batch], after, count, tolerance);
            free(before[o][batch]);
            free(after);
        }
    free(x);
    pass_infer(c);
    pass_expect_idle(c, name);
    return changed;
}

/// A pass that keeps the float outputs, at batches 1 and 3.
static inline bool pass_preserves(struct pass_case *c, const char *name)
{
    pass_infer(c);
    return pass_check(c, name, 2e-5f, 3);
}

static inline int pass_suite(const char *name, const TTest *const *tests, size_t count)
{
    Suite *suite = suite_create(name);
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, 60);
    for (size_t i = 0; i < count; i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}

/// The last lines of a test program.
#define PASS_MAIN(name, ...)                                                                                 \
    int main(void)                                                                                           \
    {                                                                                                        \
        const TTest *tests[] = {__VA_ARGS__};                                                                \
        return pass_suite(name, tests, sizeof(tests) / sizeof(*tests));                                      \
    }

#endif
