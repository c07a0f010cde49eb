// requantize: an exact 8-bit neuron wherever a layer would read a fixed-point value.
#include "tests/passes/pass_case.h"

static struct pbitc_value *relu(struct pass_case *c, struct pbitc_value *x)
{
    return pass_node(c, "Relu", x, NULL, NULL);
}

/// The graph has `neurons` PBits afterwards, all exact and linear; outputs stay, since none has a range yet.
static void expect_neurons(struct pass_case *c, size_t neurons)
{
    ck_assert_int_eq(pass_preserves(c, "requantize"), neurons > 0);
    ck_assert_uint_eq(pass_count(c, "PBit"), neurons);
    PBITC_FOR_EACH_NODE(node, c->graph)
    {
        if (!pbitc_node_is(node, PBITC_OP_PBit))
            continue;
        ck_assert_str_eq(pbitc_node_string(node, "kind", ""), "exact");
        ck_assert_str_eq(pbitc_node_string(node, "function", ""), "linear");
    }
    pass_case_destroy(c);
}

START_TEST(a_linear_bottleneck)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_conv(c, pass_input(c, SHAPE(1, 2, 5, 5)), SHAPE(3, 2, 3, 3), 1, 1);
    pass_output(c, pass_conv(c, x, SHAPE(4, 3, 1, 1), 1, 0));
    expect_neurons(c, 1);
}
END_TEST

START_TEST(a_sum_that_two_nodes_read)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_conv(c, pass_input(c, SHAPE(1, 2, 5, 5)), SHAPE(3, 2, 3, 3), 1, 1);
    struct pbitc_value *branch = pass_conv(c, relu(c, x), SHAPE(3, 3, 3, 3), 1, 1);
    pass_output(c, relu(c, pass_node(c, "Add", branch, x, NULL)));
    expect_neurons(c, 1);
}
END_TEST

START_TEST(an_average_before_a_dense_layer)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = relu(c, pass_conv(c, pass_input(c, SHAPE(1, 2, 5, 5)), SHAPE(3, 2, 3, 3), 1, 1));
    x = pass_node(c, "Flatten", pass_node(c, "GlobalAveragePool", x, NULL, NULL), NULL, NULL);
    pass_output(c, pass_dense(c, x, 3, 2));
    pass_infer(c);
    pass_run(c, "requantize");
    ck_assert_ptr_eq(pass_find(c, "PBit")->inputs[0]->producer,
                     pass_find(c, "GlobalAveragePool")); // not behind Flatten
    pass_case_destroy(c);
}
END_TEST

START_TEST(the_fixed_part_of_a_mixed_concat)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_input(c, SHAPE(1, 2, 5, 5));
    struct pbitc_value *sum = pass_conv(c, x, SHAPE(3, 2, 1, 1), 1, 0);
    struct pbitc_value *drawn = relu(c, pass_conv(c, x, SHAPE(2, 2, 1, 1), 1, 0));
    struct pbitc_value *both = pass_node(c, "Concat", sum, drawn, NULL);
    ck_assert(pbitc_node_set_int(c->graph, c->node, "axis", 1));
    pass_output(c, pass_conv(c, both, SHAPE(2, 5, 1, 1), 1, 0));
    expect_neurons(c, 1);
}
END_TEST

START_TEST(a_pooled_sum_before_a_layer)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_conv(c, pass_input(c, SHAPE(1, 2, 6, 6)), SHAPE(3, 2, 1, 1), 1, 0);
    x = pass_node(c, "MaxPool", x, NULL, NULL);
    INTS(c, "kernel_shape", 2, 2);
    pass_output(c, pass_conv(c, x, SHAPE(2, 3, 1, 1), 1, 0));
    expect_neurons(c, 1);
}
END_TEST

START_TEST(an_output_that_a_layer_reads_stays_exact)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_conv(c, pass_input(c, SHAPE(1, 2, 5, 5)), SHAPE(3, 2, 1, 1), 1, 0);
    pass_output(c, x);
    pass_output(c, pass_conv(c, x, SHAPE(2, 3, 1, 1), 1, 0));
    ck_assert(pass_preserves(c, "requantize"));
    ck_assert_ptr_eq(c->graph->outputs[0], x);
    ck_assert_ptr_eq(c->graph->outputs[1]->producer->inputs[0]->producer, pass_find(c, "PBit"));
    pass_case_destroy(c);
}
END_TEST

START_TEST(activations_need_none)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = relu(c, pass_conv(c, pass_input(c, SHAPE(1, 2, 5, 5)), SHAPE(3, 2, 3, 3), 1, 1));
    struct pbitc_value *branch = pass_conv(c, x, SHAPE(3, 3, 3, 3), 1, 1);
    x = relu(c, pass_node(c, "Add", branch, x, NULL));
    pass_output(c, pass_dense(c, pass_node(c, "Flatten", x, NULL, NULL), 75, 2));
    expect_neurons(c, 0);
}
END_TEST

PASS_MAIN("requantize", a_linear_bottleneck, a_sum_that_two_nodes_read, an_average_before_a_dense_layer,
          the_fixed_part_of_a_mixed_concat, a_pooled_sum_before_a_layer,
          an_output_that_a_layer_reads_stays_exact, activations_need_none)
