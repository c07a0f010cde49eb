// symbolic-batch: a graph that spells a batch of 1 runs at any batch afterwards.
#include "tests/passes/pass_case.h"

/// x[1,2,3] -> Reshape to [1, 6] -> Gemm, with a fixed batch.
static struct pass_case *fixed_batch(const int64_t *shape, int64_t rank)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_input(c, SHAPE(1, 2, 3));
    x->dim_names[0] = NULL;
    pass_output(c, pass_dense(c, pass_node(c, "Reshape", x, pass_list(c, shape, rank), NULL), 6, 4));
    pass_infer(c);
    return c;
}

START_TEST(a_reshape_that_spells_one_image_follows_the_batch)
{
    static const int64_t shapes[][2] = {{1, 6}, {1, -1}, {-1, 6}};
    for (int i = 0; i < 3; i++) {
        struct pass_case *c = fixed_batch(shapes[i], 2);
        ck_assert(pass_check(c, "symbolic-batch", 0, 1));
        ck_assert_str_eq(c->graph->inputs[0]->dim_names[0], "N");
        float x[12], *both, *first, *second;
        pass_fill(x, 12, -1, 1);
        both = pass_evaluate(c, x, 2, c->graph->outputs[0], NULL, NULL);
        first = pass_evaluate(c, x, 1, c->graph->outputs[0], NULL, NULL);
        second = pass_evaluate(c, x + 6, 1, c->graph->outputs[0], NULL, NULL);
        pass_expect_close(both, first, 4, 1e-6f);
        pass_expect_close(both + 4, second, 4, 1e-6f);
        free(both);
        free(first);
        free(second);
        pass_case_destroy(c);
    }
}
END_TEST

START_TEST(a_reshape_from_shape_follows_the_batch)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_input(c, SHAPE(1, 2, 3)), *parts;
    const int64_t zero[] = {0}, rest[] = {-1};
    struct pbitc_value *batch =
        pass_node(c, "Gather", pass_node(c, "Shape", x, NULL, NULL), pass_list(c, zero, 1), NULL);
    parts = pass_node(c, "Concat", batch, pass_list(c, rest, 1), NULL);
    ck_assert(pbitc_node_set_int(c->graph, c->node, "axis", 0));
    pass_output(c, pass_node(c, "Relu", pass_node(c, "Reshape", x, parts, NULL), NULL, NULL));
    ck_assert(pass_preserves(c, "symbolic-batch"));
    ck_assert_uint_eq(pass_count(c, "Shape") + pass_count(c, "Gather") + pass_count(c, "Concat"), 0);
    pass_case_destroy(c);
}
END_TEST

START_TEST(a_symbolic_graph_stays)
{
    struct pass_case *c = pass_case_create();
    const int64_t shape[] = {0, -1};
    struct pbitc_value *x = pass_input(c, SHAPE(1, 2, 3));
    pass_output(c, pass_node(c, "Reshape", x, pass_list(c, shape, 2), NULL));
    ck_assert(!pass_preserves(c, "symbolic-batch"));
    pass_case_destroy(c);
}
END_TEST

PASS_MAIN("symbolic-batch", a_reshape_that_spells_one_image_follows_the_batch,
          a_reshape_from_shape_follows_the_batch, a_symbolic_graph_stays)
