// sink-activations: monotone activations go below the MaxPool they feed and above the Flatten they read.
#include "tests/passes/pass_case.h"

static struct pbitc_value *pool(struct pass_case *c, struct pbitc_value *x)
{
    struct pbitc_value *y = pass_node(c, "MaxPool", x, NULL, NULL);
    INTS(c, "kernel_shape", 2, 2);
    INTS(c, "strides", 2, 2);
    INTS(c, "pads", 1, 0, 0, 1);
    return y;
}

static struct pbitc_value *conv_input(struct pass_case *c)
{
    return pass_conv(c, pass_input(c, SHAPE(1, 2, 6, 6)), SHAPE(3, 2, 3, 3), 1, 1);
}

START_TEST(monotone_activations_sink)
{
    static const char *const names[] = {"Relu", "Sigmoid", "Tanh",     "LeakyRelu",
                                        "Elu",  "Selu",    "Softplus", "HardSigmoid"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        struct pass_case *c = pass_case_create();
        pass_output(c, pool(c, pass_node(c, names[i], conv_input(c), NULL, NULL)));
        ck_assert(pass_preserves(c, "sink-activations"));
        ck_assert_str_eq(c->graph->last->op->name, names[i]);
        pass_case_destroy(c);
    }
}
END_TEST

START_TEST(an_activation_sinks_below_a_chain_of_pools)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_node(c, "LeakyRelu", conv_input(c), NULL, NULL);
    ck_assert(pbitc_node_set_float(c->graph, c->node, "alpha", 0.3f));
    pass_output(c, pool(c, pool(c, x)));
    ck_assert(pass_preserves(c, "sink-activations"));
    ck_assert_str_eq(c->graph->last->op->name, "LeakyRelu");
    ck_assert(pbitc_node_float(c->graph->last, "alpha", 0) == 0.3f);
    pass_case_destroy(c);
}
END_TEST

START_TEST(clip_sinks_with_its_bounds)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *low = pass_floats(c, (struct pbitc_shape){.rank = 0}, 0, 0);
    struct pbitc_value *high = pass_floats(c, (struct pbitc_shape){.rank = 0}, 1.5f, 1.5f);
    pass_output(c, pool(c, pass_node(c, "Clip", conv_input(c), low, high)));
    ck_assert(pass_preserves(c, "sink-activations"));
    ck_assert_str_eq(c->graph->last->op->name, "Clip");
    pass_case_destroy(c);
}
END_TEST

START_TEST(functions_that_fall_stay)
{
    static const struct {
        const char *name, *attribute;
        float value;
    } cases[] = {{"Gelu", NULL, 0},          {"HardSwish", NULL, 0}, {"Mish", NULL, 0},
                 {"LeakyRelu", "alpha", -1}, {"Elu", "alpha", -1},   {"HardSigmoid", "alpha", -1},
                 {"Selu", "gamma", -1}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct pass_case *c = pass_case_create();
        struct pbitc_value *x = pass_node(c, cases[i].name, conv_input(c), NULL, NULL);
        if (cases[i].attribute)
            ck_assert(pbitc_node_set_float(c->graph, c->node, cases[i].attribute, cases[i].value));
        pass_output(c, pool(c, x));
        ck_assert(!pass_preserves(c, "sink-activations"));
        pass_case_destroy(c);
    }
}
END_TEST

START_TEST(an_activation_with_two_readers_stays)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_node(c, "Relu", conv_input(c), NULL, NULL);
    pass_output(c, pool(c, x));
    pass_output(c, x);
    ck_assert(!pass_preserves(c, "sink-activations"));
    pass_case_destroy(c);
}
END_TEST

START_TEST(an_activation_rises_above_movements)
{
    struct pass_case *c = pass_case_create();
    const int64_t shape[] = {0, 9, 12};
    struct pbitc_value *x = pass_node(c, "Flatten", conv_input(c), NULL, NULL);
    x = pass_node(c, "Reshape", x, pass_list(c, shape, 3), NULL);
    x = pass_node(c, "Transpose", x, NULL, NULL);
    INTS(c, "perm", 0, 2, 1);
    pass_output(c, pass_node(c, "Gelu", x, NULL, NULL));
    ck_assert(pass_preserves(c, "sink-activations"));
    ck_assert_ptr_eq(pass_find(c, "Gelu")->inputs[0]->producer, pass_find(c, "Conv"));
    pass_case_destroy(c);
}
END_TEST

START_TEST(a_movement_with_two_readers_stays)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_node(c, "Flatten", conv_input(c), NULL, NULL);
    pass_output(c, pass_node(c, "Add", x, pass_node(c, "Relu", x, NULL, NULL), NULL));
    ck_assert(!pass_preserves(c, "sink-activations"));
    pass_case_destroy(c);
}
END_TEST

START_TEST(a_slope_per_feature_does_not_rise_above_flatten)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_node(c, "Flatten", conv_input(c), NULL, NULL);
    pass_output(c, pass_node(c, "PRelu", x, pass_weights(c, SHAPE(108)), NULL));
    ck_assert(!pass_preserves(c, "sink-activations"));
    pass_case_destroy(c);
}
END_TEST

START_TEST(an_activation_of_the_flattened_input_stays)
{
    struct pass_case *c = pass_case_create();
    pass_output(c, pass_node(c, "Relu", pass_node(c, "Flatten", pass_input(c, SHAPE(1, 2, 3)), NULL, NULL),
                             NULL, NULL));
    ck_assert(!pass_preserves(c, "sink-activations"));
    pass_case_destroy(c);
}
END_TEST

PASS_MAIN("sink-activations", monotone_activations_sink, an_activation_sinks_below_a_chain_of_pools,
          clip_sinks_with_its_bounds, functions_that_fall_stay, an_activation_with_two_readers_stays,
          an_activation_rises_above_movements, a_movement_with_two_readers_stays,
          a_slope_per_feature_does_not_rise_above_flatten, an_activation_of_the_flattened_input_stays)
