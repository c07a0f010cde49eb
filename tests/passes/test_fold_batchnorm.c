// fold-batchnorm: into Conv or Gemm, or to Mul and Add where neither is before it.
#include "tests/passes/pass_case.h"

static struct pbitc_value *batchnorm(struct pass_case *c, struct pbitc_value *x, int64_t channels)
{
    struct pbitc_value *inputs[] = {x, pass_weights(c, SHAPE(channels)), pass_weights(c, SHAPE(channels)),
                                    pass_weights(c, SHAPE(channels)),
                                    pass_floats(c, SHAPE(channels), 0.1f, 2)};
    struct pbitc_value *y =
        pbitc_graph_add_value(c->graph, "normed", PBITC_TYPE_NONE, &(struct pbitc_shape){.rank = -1});
    c->node = pbitc_graph_insert_node(c->graph, NULL, "bn", pbitc_operator_get(PBITC_OP_BatchNormalization),
                                      inputs, 5, &y, 1);
    ck_assert(pbitc_node_set_float(c->graph, c->node, "epsilon", 0.01f));
    return y;
}

START_TEST(into_a_conv_with_bias)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_input(c, SHAPE(1, 2, 5, 5));
    struct pbitc_value *y = batchnorm(c, pass_conv(c, x, SHAPE(3, 2, 3, 3), 1, 1), 3);
    pass_output(c, pass_node(c, "Relu", y, NULL, NULL));
    ck_assert(pass_preserves(c, "fold-batchnorm"));
    ck_assert_uint_eq(pass_count(c, "BatchNormalization") + pass_count(c, "Mul") + pass_count(c, "Add"), 0);
    pass_case_destroy(c);
}
END_TEST

START_TEST(into_a_grouped_conv_without_bias_that_is_the_output)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_input(c, SHAPE(1, 4, 5));
    struct pbitc_value *y = pass_node(c, "Conv", x, pass_weights(c, SHAPE(6, 2, 3)), NULL);
    ck_assert(pbitc_node_set_int(c->graph, c->node, "group", 2));
    pass_output(c, batchnorm(c, y, 6));
    ck_assert(pass_preserves(c, "fold-batchnorm"));
    ck_assert_uint_eq(pass_count(c, "BatchNormalization"), 0);
    ck_assert_str_eq(c->graph->outputs[0]->name, "normed");
    pass_case_destroy(c);
}
END_TEST

START_TEST(into_a_gemm)
{
    for (int64_t turned = 0; turned <= 1; turned++)
        for (int bias = 0; bias <= 2; bias++) {
            struct pass_case *c = pass_case_create();
            struct pbitc_value *x = pass_input(c, SHAPE(1, 4));
            struct pbitc_value *w = pass_weights(c, turned ? SHAPE(3, 4) : SHAPE(4, 3));
            struct pbitc_value *b = bias == 0 ? NULL : pass_weights(c, bias == 1 ? SHAPE(3) : SHAPE(1, 3));
            struct pbitc_value *y = pass_node(c, "Gemm", x, w, b);
            ck_assert(pbitc_node_set_int(c->graph, c->node, "transB", turned));
            ck_assert(pbitc_node_set_float(c->graph, c->node, "alpha", 0.5f));
            ck_assert(pbitc_node_set_float(c->graph, c->node, "beta", 3));
            pass_output(c, pass_node(c, "Tanh", batchnorm(c, y, 3), NULL, NULL));
            ck_assert(pass_preserves(c, "fold-batchnorm"));
            ck_assert_uint_eq(pass_count(c, "BatchNormalization") + pass_count(c, "Mul"), 0);
            pass_case_destroy(c);
        }
}
END_TEST

START_TEST(without_a_layer_it_becomes_a_scale_and_a_shift)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_input(c, SHAPE(1, 3, 4, 2));
    pass_output(c, batchnorm(c, pass_node(c, "Relu", x, NULL, NULL), 3));
    ck_assert(pass_preserves(c, "fold-batchnorm"));
    ck_assert_uint_eq(pass_count(c, "BatchNormalization"), 0);
    ck_assert_uint_eq(pass_count(c, "Mul"), 1);
    ck_assert_uint_eq(pass_count(c, "Add"), 1);
    ck_assert_str_eq(c->graph->outputs[0]->name, "normed");
    pass_case_destroy(c);
}
END_TEST

START_TEST(a_layer_with_another_reader_is_not_changed)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_input(c, SHAPE(1, 2, 5, 5));
    struct pbitc_value *y = pass_conv(c, x, SHAPE(3, 2, 3, 3), 1, 0);
    pass_output(c, pass_node(c, "Add", y, batchnorm(c, y, 3), NULL));
    ck_assert(pass_preserves(c, "fold-batchnorm"));
    ck_assert_uint_eq(pass_count(c, "Mul"), 1);
    pass_case_destroy(c);
}
END_TEST

START_TEST(weights_that_two_layers_share_are_scaled_for_one)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_input(c, SHAPE(1, 2, 5, 5)), *w = pass_weights(c, SHAPE(3, 2, 1, 1));
    struct pbitc_value *a = batchnorm(c, pass_node(c, "Conv", x, w, NULL), 3);
    pass_output(c, pass_node(c, "Add", a, pass_node(c, "Conv", x, w, NULL), NULL));
    ck_assert(pass_preserves(c, "fold-batchnorm"));
    pass_case_destroy(c);
}
END_TEST

START_TEST(parameters_that_are_not_constant_stay)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_input(c, SHAPE(1, 3, 4, 2));
    pass_output(c, batchnorm(c, x, 3));
    struct pbitc_value *scale = pass_node(c, "Relu", c->node->inputs[1], NULL, NULL);
    ck_assert(pbitc_node_set_input(c->graph, pass_find(c, "BatchNormalization"), 1, scale));
    ck_assert(pbitc_graph_sort(c->graph));
    ck_assert(!pass_preserves(c, "fold-batchnorm"));
    ck_assert_uint_eq(pass_count(c, "BatchNormalization"), 1);
    pass_case_destroy(c);
}
END_TEST

PASS_MAIN("fold-batchnorm", into_a_conv_with_bias, into_a_grouped_conv_without_bias_that_is_the_output,
          into_a_gemm, without_a_layer_it_becomes_a_scale_and_a_shift,
          a_layer_with_another_reader_is_not_changed, weights_that_two_layers_share_are_scaled_for_one,
          parameters_that_are_not_constant_stay)
