// Rows may be worked through in pieces only where that is proved; what is proved is also tried.
#include "passes/row_independence.h"
#include "tests/passes/pass_case.h"

typedef struct pbitc_value *network(struct pass_case *c, struct pbitc_value *x);

static struct pbitc_value *with_axis(struct pass_case *c, struct pbitc_value *y, int64_t axis)
{
    ck_assert(pbitc_node_set_int(c->graph, c->node, "axis", axis));
    return y;
}

static struct pbitc_value *list(struct pass_case *c, int64_t first, int64_t second)
{
    return pass_list(c, (int64_t[]){first, second}, 2);
}

static struct pbitc_value *transposed(struct pass_case *c, struct pbitc_value *x, const int64_t *order,
                                      size_t rank)
{
    struct pbitc_value *y = pass_node(c, "Transpose", x, NULL, NULL);
    pass_set_ints(c, "perm", order, rank);
    return y;
}

/// [batch] of x, as a list of one number.
static struct pbitc_value *batch_of(struct pass_case *c, struct pbitc_value *x)
{
    return pass_node(c, "Gather", pass_node(c, "Shape", x, NULL, NULL), pass_list(c, (int64_t[]){0}, 1),
                     NULL);
}

static struct pbitc_value *joined(struct pass_case *c, struct pbitc_value *a, struct pbitc_value *b,
                                  int64_t axis)
{
    return with_axis(c, pass_node(c, "Concat", a, b, NULL), axis);
}

// ---- independent; x is [N, 4, 6]

static struct pbitc_value *dense(struct pass_case *c, struct pbitc_value *x)
{
    struct pbitc_value *flat = with_axis(c, pass_node(c, "Flatten", x, NULL, NULL), 1);
    return with_axis(c, pass_node(c, "Softmax", pass_dense(c, flat, 24, 5), NULL, NULL), -1);
}

static struct pbitc_value *convolution(struct pass_case *c, struct pbitc_value *x)
{
    struct pbitc_value *y = pass_node(c, "Relu", pass_conv(c, x, SHAPE(3, 4, 3), 1, 0), NULL, NULL);
    return pass_node(c, "ReduceMean", pass_node(c, "Add", y, pass_weights(c, SHAPE(1, 3, 1)), NULL),
                     pass_list(c, (int64_t[]){2}, 1), NULL);
}

/// Tokens of all rows behind each other, as transformers compute their layers, and apart again for attention.
static struct pbitc_value *attention(struct pass_case *c, struct pbitc_value *x)
{
    struct pbitc_value *tokens = pass_node(c, "Reshape", x, list(c, -1, 6), NULL);
    struct pbitc_value *q = pass_dense(c, tokens, 6, 6);
    struct pbitc_value *shape = joined(c, batch_of(c, x), pass_list(c, (int64_t[]){4, 6}, 2), 0);
    q = pass_node(c, "Reshape", q, shape, NULL);
    struct pbitc_value *scores = pass_node(c, "MatMul", q, transposed(c, x, (int64_t[]){0, 2, 1}, 3), NULL);
    return pass_node(c, "MatMul", with_axis(c, pass_node(c, "Softmax", scores, NULL, NULL), -1), x, NULL);
}

/// A class token, made as large as the batch, before the others.
static struct pbitc_value *class_token(struct pass_case *c, struct pbitc_value *x)
{
    struct pbitc_value *shape = joined(c, batch_of(c, x), list(c, 1, 6), 0);
    struct pbitc_value *token = pass_node(c, "Expand", pass_weights(c, SHAPE(1, 1, 6)), shape, NULL);
    return joined(c, token, x, 1);
}

/// Time first, with a state of zeros as large as the batch.
static struct pbitc_value *recurrent(struct pass_case *c, struct pbitc_value *x)
{
    static const struct pbitc_shape unknown = {.rank = -1};
    struct pbitc_value *shape = joined(c, joined(c, pass_list(c, (int64_t[]){1}, 1), batch_of(c, x), 0),
                                       pass_list(c, (int64_t[]){3}, 1), 0);
    struct pbitc_value *state = pass_node(c, "ConstantOfShape", shape, NULL, NULL);
    struct pbitc_value *inputs[] = {transposed(c, x, (int64_t[]){1, 0, 2}, 3),
                                    pass_weights(c, SHAPE(1, 9, 6)),
                                    pass_weights(c, SHAPE(1, 9, 3)),
                                    NULL,
                                    NULL,
                                    state};
    struct pbitc_value *outputs[] = {NULL, pbitc_graph_add_value(c->graph, "h", PBITC_TYPE_NONE, &unknown)};
    c->node = pbitc_graph_insert_node(c->graph, NULL, "gru", pbitc_operator_get(PBITC_OP_GRU), inputs, 6,
                                      outputs, 2);
    ck_assert(pbitc_node_set_int(c->graph, c->node, "hidden_size", 3));
    return pass_node(c, "Squeeze", outputs[1], pass_list(c, (int64_t[]){0}, 1), NULL);
}

static struct pbitc_value *moved_and_back(struct pass_case *c, struct pbitc_value *x)
{
    struct pbitc_value *y = transposed(c, x, (int64_t[]){2, 0, 1}, 3);
    y = pass_node(c, "Mul", with_axis(c, pass_node(c, "Softmax", y, NULL, NULL), 0),
                  pass_weights(c, SHAPE(6, 1, 4)), NULL);
    return transposed(c, y, (int64_t[]){1, 2, 0}, 3);
}

// ---- not independent

static struct pbitc_value *softmax_over_rows(struct pass_case *c, struct pbitc_value *x)
{
    return with_axis(c, pass_node(c, "Softmax", x, NULL, NULL), 0);
}

static struct pbitc_value *mean_of_rows(struct pass_case *c, struct pbitc_value *x)
{
    return pass_node(c, "Sub", x, pass_node(c, "ReduceMean", x, pass_list(c, (int64_t[]){0}, 1), NULL), NULL);
}

static struct pbitc_value *largest_of_all(struct pass_case *c, struct pbitc_value *x)
{
    return pass_node(c, "Div", x, pass_node(c, "ReduceMax", x, NULL, NULL), NULL);
}

/// Looks right by its shape: [N, 4, 6], but the rows are mixed.
static struct pbitc_value *rows_as_columns(struct pass_case *c, struct pbitc_value *x)
{
    struct pbitc_value *y = transposed(c, x, (int64_t[]){1, 0, 2}, 3);
    struct pbitc_value *shape = joined(c, batch_of(c, x), pass_list(c, (int64_t[]){4, 6}, 2), 0);
    return pass_node(c, "Reshape", y, shape, NULL);
}

static struct pbitc_value *running_sum(struct pass_case *c, struct pbitc_value *x)
{
    return pass_node(c, "CumSum", x, pass_list(c, (int64_t[]){0}, 1), NULL);
}

/// Every row of the batch is multiplied by how many there are.
static struct pbitc_value *count_of_rows(struct pass_case *c, struct pbitc_value *x)
{
    struct pbitc_value *count = pass_node(c, "Cast", batch_of(c, x), NULL, NULL);
    ck_assert(pbitc_node_set_int(c->graph, c->node, "to", PBITC_FLOAT32));
    return pass_node(c, "Mul", x, count, NULL);
}

static struct pbitc_value *turned_round(struct pass_case *c, struct pbitc_value *x)
{
    static const struct pbitc_shape unknown = {.rank = -1};
    struct pbitc_value *inputs[] = {x, pass_list(c, (int64_t[]){-1}, 1),
                                    pass_list(c, (int64_t[]){INT64_MIN}, 1), pass_list(c, (int64_t[]){0}, 1),
                                    pass_list(c, (int64_t[]){-1}, 1)};
    struct pbitc_value *y = pbitc_graph_add_value(c->graph, "y", PBITC_TYPE_NONE, &unknown);
    pbitc_graph_insert_node(c->graph, NULL, "slice", pbitc_operator_get(PBITC_OP_Slice), inputs, 5, &y, 1);
    return y;
}

static struct pass_case *case_of(network *make)
{
    struct pass_case *c = pass_case_create();
    pass_output(c, make(c, pass_input(c, SHAPE(1, 4, 6))));
    pass_infer(c);
    return c;
}

/// How far the rows of one run are from those of three, relative to 1 + |y|.
static float distance(struct pass_case *c)
{
    float x[3 * 24], *whole, largest = 0;
    size_t count;
    pass_fill(x, 3 * 24, -1, 1);
    whole = pass_evaluate(c, x, 3, c->graph->outputs[0], NULL, &count);
    for (size_t row = 0; row < 3; row++) {
        float *part = pass_evaluate(c, x + row * 24, 1, c->graph->outputs[0], NULL, NULL);
        for (size_t i = 0; i < count / 3; i++)
            largest = fmaxf(largest, fabsf(part[i] - whole[row * count / 3 + i]) / (1 + fabsf(part[i])));
        free(part);
    }
    free(whole);
    return largest;
}

START_TEST(independent_rows_are_proved)
{
    network *const networks[] = {dense, convolution, attention, class_token, recurrent, moved_and_back};
    for (size_t i = 0; i < sizeof(networks) / sizeof(*networks); i++) {
        struct pass_case *c = case_of(networks[i]);
        ck_assert_msg(pbitc_rows_are_independent(c->graph, &c->graph->inputs[0]->shape), "network %zu", i);
        ck_assert_float_le(distance(c), 1e-6f);
        pass_case_destroy(c);
    }
}
END_TEST

START_TEST(rows_that_know_of_each_other_are_not)
{
    network *const networks[] = {softmax_over_rows, mean_of_rows,  largest_of_all, rows_as_columns,
                                 running_sum,       count_of_rows, turned_round};
    for (size_t i = 0; i < sizeof(networks) / sizeof(*networks); i++) {
        struct pass_case *c = case_of(networks[i]);
        ck_assert_msg(!pbitc_rows_are_independent(c->graph, &c->graph->inputs[0]->shape), "network %zu", i);
        ck_assert_msg(distance(c) > 1e-2f, "network %zu", i);
        pass_case_destroy(c);
    }
}
END_TEST

PASS_MAIN("row-independence", independent_rows_are_proved, rows_that_know_of_each_other_are_not)
