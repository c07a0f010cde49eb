// A graph of one node, built and run in a few lines; and reproducible random numbers.
#ifndef PBITC_TESTS_OPERATOR_CASES_H
#define PBITC_TESTS_OPERATOR_CASES_H

#include "passes/interpreter/interpreter.h"
#include "passes/operators/operator_support.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { CASE_INPUTS = 8 };

struct node_case {
    struct pbitc_graph *graph;
    const struct pbitc_operator *op;
    struct pbitc_node *node;
    struct pbitc_value *values[CASE_INPUTS];
    size_t value_count;
    struct pbitc_tensor inputs[CASE_INPUTS]; ///< of the graph
    struct pbitc_interpreter *interpreter;
    struct pbitc_diagnostics *diagnostics;
};

static inline struct node_case case_create(const char *op)
{
    struct node_case c = {.graph = pbitc_graph_create(NULL, "case"),
                          .op = pbitc_operator_find("", op),
                          .diagnostics = pbitc_diagnostics_create()};
    if (!c.op)
        c.op = pbitc_operator_find("qonnx.custom_op.general", op);
    if (!c.op)
        c.op = pbitc_operator_find("ai.onnx.ml", op);
    ck_assert_ptr_nonnull(c.graph);
    ck_assert_ptr_nonnull(c.op);
    ck_assert_ptr_nonnull(c.diagnostics);
    c.graph->inputs = pbitc_arena_allocate(c.graph->arena, CASE_INPUTS, sizeof(struct pbitc_value *));
    return c;
}

/// Adds a graph input; its zeroed data is the caller's to fill.
static inline void *case_input(struct node_case *c, enum pbitc_type type, struct pbitc_shape shape)
{
    struct pbitc_value *value = pbitc_graph_add_value(c->graph, "input", type, &shape);
    size_t elements = (size_t)pbitc_shape_elements(&shape);
    void *data = pbitc_arena_allocate(c->graph->arena, elements, pbitc_type_bytes(type));
    c->inputs[c->graph->input_count] = (struct pbitc_tensor){type, shape, data};
    c->graph->inputs[c->graph->input_count++] = value;
    c->values[c->value_count++] = value;
    return data;
}

static inline void *case_constant(struct node_case *c, enum pbitc_type type, struct pbitc_shape shape)
{
    struct pbitc_value *value = pbitc_graph_add_constant(c->graph, "constant", type, &shape);
    c->values[c->value_count++] = value;
    return value->constant->data;
}

/// A constant list of int64, as shapes and axes are given.
static inline void case_list(struct node_case *c, const int64_t *numbers, int64_t count)
{
    memcpy(case_constant(c, PBITC_INT64, (struct pbitc_shape){1, {count}}), numbers,
           (size_t)count * sizeof(*numbers));
}

static inline void case_omit(struct node_case *c)
{
    c->values[c->value_count++] = NULL;
}

/// Makes the node, on the inputs given so far; attributes come after.
static inline void case_node(struct node_case *c, size_t outputs)
{
    static const struct pbitc_shape unknown = {.rank = -1};
    struct pbitc_value *results[CASE_INPUTS];
    for (size_t i = 0; i < outputs; i++)
        results[i] = pbitc_graph_add_value(c->graph, "output", PBITC_TYPE_NONE, &unknown);
    c->node =
        pbitc_graph_insert_node(c->graph, NULL, "node", c->op, c->values, c->value_count, results, outputs);
    ck_assert_ptr_nonnull(c->node);
    c->graph->outputs = c->node->outputs;
    c->graph->output_count = outputs;
}

static inline enum pbit_status case_try(struct node_case *c, int threads)
{
    if (!c->interpreter)
        ck_assert_int_eq(pbitc_interpreter_create(c->graph, threads, NULL, c->diagnostics, &c->interpreter),
                         PBIT_OK);
    return pbitc_interpreter_run(c->interpreter, c->inputs, NULL, c->diagnostics);
}

static inline const char *case_message(const struct node_case *c)
{
    size_t count = pbitc_diagnostics_count(c->diagnostics);
    return count ? pbitc_diagnostics_get(c->diagnostics, count - 1)->message : "";
}

static inline const struct pbitc_tensor *case_output(const struct node_case *c, size_t index)
{
    return pbitc_interpreter_value(c->interpreter, c->node->outputs[index]);
}

/// Runs, and returns output 0.
static inline const struct pbitc_tensor *case_run(struct node_case *c)
{
    enum pbit_status status = case_try(c, 2);
    ck_assert_msg(status == PBIT_OK, "%s: %s", c->op->name, case_message(c));
    return case_output(c, 0);
}

static inline void case_destroy(struct node_case *c)
{
    pbitc_interpreter_destroy(c->interpreter);
    pbitc_graph_destroy(c->graph);
    pbitc_diagnostics_destroy(c->diagnostics);
}

static inline void assert_shape(const struct pbitc_tensor *tensor, enum pbitc_type type,
                                struct pbitc_shape shape)
{
    ck_assert_str_eq(pbitc_type_name(tensor->type), pbitc_type_name(type));
    ck_assert_str_eq(pbitc_shape_format(&tensor->shape).text, pbitc_shape_format(&shape).text);
}

static inline void assert_floats(const struct pbitc_tensor *tensor, const float *expected, int64_t count)
{
    ck_assert_int_eq(tensor->type, PBITC_FLOAT32);
    ck_assert_int_eq(pbitc_shape_elements(&tensor->shape), count);
    for (int64_t i = 0; i < count; i++)
        ck_assert_float_eq_tol(((const float *)tensor->data)[i], expected[i], 1e-5f);
}

static inline void assert_integers(const struct pbitc_tensor *tensor, const int64_t *expected, int64_t count)
{
    ck_assert_int_eq(pbitc_shape_elements(&tensor->shape), count);
    for (int64_t i = 0; i < count; i++)
        ck_assert_int_eq((int64_t)pbitc_real_at(tensor, i), expected[i]);
}

static uint32_t random_state = 1;

static inline uint32_t random_word(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}

static inline int64_t random_between(int64_t low, int64_t high)
{
    return low + (int64_t)(random_word() % (uint32_t)(high - low + 1));
}

/// In -1..1.
static inline float random_float(void)
{
    return (float)random_word() / 2147483648.0f - 1;
}

static inline void fill_random(void *data, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        ((float *)data)[i] = random_float();
}

static inline struct pbitc_shape random_shape(int least_rank, int most_rank, int64_t most)
{
    struct pbitc_shape shape = {.rank = (int)random_between(least_rank, most_rank)};
    for (int i = 0; i < shape.rank; i++)
        shape.dims[i] = random_between(1, most);
    return shape;
}

#endif
