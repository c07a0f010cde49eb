// absorb-quantization: the roundings of a quantized model go, the ranges that they tell stay.
#include "tests/passes/quantized_case.h"

static const float FINE = 1.0f / 64; // of a step: 0..4 for zero point 0, -2..2 for 128

/// Nothing but rounding changes, and no quantization is left.
static void expect_absorbed(struct pass_case *c)
{
    pass_infer(c);
    ck_assert(pass_check(c, "absorb-quantization", 0.1f, 1));
    ck_assert_uint_eq(pass_count(c, "QuantizeLinear"), 0);
    ck_assert_uint_eq(pass_count(c, "DequantizeLinear"), 0);
    ck_assert_uint_eq(pass_count(c, "Quant"), 0);
}

static void expect_clip(const struct pbitc_node *clip, float low, float high)
{
    ck_assert_float_eq(*(const float *)clip->inputs[1]->constant->data, low);
    ck_assert_float_eq(*(const float *)clip->inputs[2]->constant->data, high);
}

static struct pbitc_value *conv(struct pass_case *c, struct pbitc_value *x)
{
    return pass_conv(c, x, SHAPE(2, 2, 1, 1), 1, 0);
}

START_TEST(the_input_tells_its_range)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_input(c, SHAPE(1, 2, 3, 3));
    pass_output(c, conv(c, pass_round_trip(c, x, FINE, 128)));
    expect_absorbed(c);
    const struct pbitc_range *range = pbitc_find_range(&c->context, c->graph->inputs[0]);
    ck_assert_ptr_nonnull(range);
    ck_assert_float_eq(range->low[0], -2);
    ck_assert_float_eq(range->high[0], 127 * FINE);
    ck_assert_ptr_eq(pass_find(c, "Conv")->inputs[0], c->graph->inputs[0]);
    pass_case_destroy(c);
}
END_TEST

START_TEST(a_relu_gets_an_upper_bound)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = conv(c, pass_input(c, SHAPE(1, 2, 3, 3)));
    x = pass_node(c, "Relu", x, NULL, NULL);
    pass_output(c, conv(c, pass_round_trip(c, x, FINE, 0)));
    expect_absorbed(c);
    ck_assert_uint_eq(pass_count(c, "Relu"), 0);
    expect_clip(pass_find(c, "Clip"), 0, 255 * FINE);
    ck_assert_str_eq(pass_find(c, "Clip")->name, "Relu"); // a recipe can still name it
    pass_case_destroy(c);
}
END_TEST

START_TEST(the_lowest_level_was_the_relu)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = conv(c, pass_input(c, SHAPE(1, 2, 3, 3)));
    pass_output(c, conv(c, pass_round_trip(c, x, FINE, 0)));
    expect_absorbed(c);
    expect_clip(pass_find(c, "Clip"), 0, 255 * FINE);
    pass_case_destroy(c);
}
END_TEST

START_TEST(a_second_rounding_of_the_same_values_leaves_nothing)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_round_trip(c, conv(c, pass_input(c, SHAPE(1, 2, 4, 4))), FINE, 0);
    x = pass_node(c, "MaxPool", x, NULL, NULL);
    INTS(c, "kernel_shape", 2, 2);
    pass_output(c, conv(c, pass_round_trip(c, x, FINE, 0)));
    expect_absorbed(c);
    ck_assert_uint_eq(pass_count(c, "Clip"), 1);
    ck_assert_uint_eq(pass_count(c, "PBit"), 0);
    pass_case_destroy(c);
}
END_TEST

START_TEST(a_relu_gets_its_bound_from_behind_the_pool)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_node(c, "Relu", conv(c, pass_input(c, SHAPE(1, 2, 4, 4))), NULL, NULL);
    x = pass_node(c, "MaxPool", x, NULL, NULL);
    INTS(c, "kernel_shape", 2, 2);
    pass_output(c, conv(c, pass_round_trip(c, x, FINE, 0)));
    expect_absorbed(c);
    ck_assert_uint_eq(pass_count(c, "Relu"), 0);
    expect_clip(pass_find(c, "Clip"), 0, 255 * FINE);
    pass_case_destroy(c);
}
END_TEST

/// LeakyRelu has no Clip to carry its range; sink-activations takes it along.
START_TEST(a_range_follows_its_activation)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_round_trip(c, pass_input(c, SHAPE(1, 2, 4, 4)), FINE, 128);
    x = pass_node(c, "LeakyRelu", conv(c, x), NULL, NULL);
    x = pass_node(c, "MaxPool", pass_round_trip(c, x, FINE, 128), NULL, NULL);
    INTS(c, "kernel_shape", 2, 2);
    pass_output(c, conv(c, x));
    c->context.metadata = "{}";
    ck_assert_int_eq(pbitc_pipeline_run(c->graph, &c->context), PBIT_OK);
    const struct pbitc_node *neuron = pass_find(c, "PBit");
    size_t count;
    ck_assert_float_eq(*pbitc_node_floats(neuron, "low", &count), -2);
    ck_assert_float_eq(*pbitc_node_floats(neuron, "high", &count), 127 * FINE);
    pass_case_destroy(c);
}
END_TEST

START_TEST(a_sum_that_a_layer_reads_keeps_its_levels)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = conv(c, pass_input(c, SHAPE(1, 2, 3, 3)));
    pass_output(c, conv(c, pass_round_trip(c, x, 4 * FINE, 128)));
    expect_absorbed(c);
    const struct pbitc_node *neuron = pass_find(c, "PBit");
    size_t count;
    ck_assert_str_eq(pbitc_node_string(neuron, "kind", ""), "exact");
    ck_assert_float_eq(*pbitc_node_floats(neuron, "low", &count), -8);
    ck_assert_float_eq(*pbitc_node_floats(neuron, "high", &count), 127 * 4 * FINE);
    pass_case_destroy(c);
}
END_TEST

START_TEST(around_an_addition_nothing_stays)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_input(c, SHAPE(1, 2, 3, 3));
    struct pbitc_value *a = pass_round_trip(c, conv(c, x), 4 * FINE, 128);
    struct pbitc_value *b = pass_round_trip(c, conv(c, x), 4 * FINE, 128);
    struct pbitc_value *sum = pass_round_trip(c, pass_node(c, "Add", a, b, NULL), 8 * FINE, 128);
    pass_output(c, pass_node(c, "Tanh", sum, NULL, NULL));
    expect_absorbed(c);
    ck_assert_uint_eq(pass_count(c, "PBit") + pass_count(c, "Clip"), 0);
    pass_case_destroy(c);
}
END_TEST

START_TEST(an_output_keeps_its_name)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *y = pass_round_trip(c, conv(c, pass_input(c, SHAPE(1, 2, 3, 3))), 4 * FINE, 128);
    const char *name = y->name;
    pass_output(c, y);
    expect_absorbed(c);
    ck_assert_str_eq(c->graph->outputs[0]->name, name);
    ck_assert_str_eq(c->graph->last->op->name, "Conv");
    pass_case_destroy(c);
}
END_TEST

START_TEST(quant_of_qonnx)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_node(c, "Relu", conv(c, pass_input(c, SHAPE(1, 2, 3, 3))), NULL, NULL);
    x = pass_node(c, "Quant", x, pass_scalar(c, FINE), pass_scalar(c, 0));
    ck_assert(pbitc_node_set_input(c->graph, c->node, 3, pass_scalar(c, 8)));
    ck_assert(pbitc_node_set_int(c->graph, c->node, "signed", 0));
    ck_assert(pbitc_node_set_int(c->graph, c->node, "narrow", 0));
    pass_output(c, conv(c, x));
    expect_absorbed(c);
    expect_clip(pass_find(c, "Clip"), 0, 255 * FINE);
    pass_case_destroy(c);
}
END_TEST

START_TEST(other_parameters_on_the_way_back_are_another_function)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = conv(c, pass_input(c, SHAPE(1, 2, 3, 3)));
    struct pbitc_value *zero = pass_zero_point(c, PBITC_UINT8, 0);
    x = pass_node(c, "QuantizeLinear", x, pass_scalar(c, FINE), zero);
    pass_output(c, pass_node(c, "DequantizeLinear", x, pass_scalar(c, 2 * FINE), zero));
    pass_infer(c);
    ck_assert(!pass_check(c, "absorb-quantization", 0, 1));
    pass_case_destroy(c);
}
END_TEST

/// Input and Relu have scales; so no image is needed from here to the file.
START_TEST(a_quantized_model_needs_no_images)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_round_trip(c, pass_input(c, SHAPE(1, 2, 3, 3)), FINE, 128);
    x = pass_round_trip(c, conv(c, x), 2 * FINE, 0);
    pass_output(c, pass_round_trip(c, conv(c, x), 8 * FINE, 128));
    c->context.metadata = "{}";
    enum pbit_status status = pbitc_pipeline_run(c->graph, &c->context);
    pbitc_diagnostics_print(c->diagnostics, stderr);
    ck_assert_int_eq(status, PBIT_OK);
    struct pbit_model model;
    ck_assert_int_eq(pbit_model_open(&model, c->context.file, c->context.file_bytes), PBIT_OK);
    pass_case_destroy(c);
}
END_TEST

START_TEST(what_has_no_scale_is_named)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_input(c, SHAPE(1, 2, 3, 3));
    x = pass_node(c, "Relu", conv(c, x), NULL, NULL);
    x = pass_node(c, "LeakyRelu", conv(c, x), NULL, NULL);
    pass_output(c, pass_round_trip(c, conv(c, x), FINE, 128));
    ck_assert_int_eq(pbitc_pipeline_run(c->graph, &c->context), PBIT_ERROR_UNSUPPORTED);
    ck_assert_uint_eq(pbitc_diagnostics_count(c->diagnostics), 3);
    ck_assert_str_eq(pbitc_diagnostics_get(c->diagnostics, 0)->node, "Relu");
    ck_assert_str_eq(pbitc_diagnostics_get(c->diagnostics, 1)->node, "LeakyRelu");
    ck_assert_str_eq(pbitc_diagnostics_get(c->diagnostics, 2)->node, "x");
    pass_case_destroy(c);
}
END_TEST

PASS_MAIN("absorb-quantization", the_input_tells_its_range, a_relu_gets_an_upper_bound,
          the_lowest_level_was_the_relu, a_second_rounding_of_the_same_values_leaves_nothing,
          a_relu_gets_its_bound_from_behind_the_pool, a_range_follows_its_activation,
          a_sum_that_a_layer_reads_keeps_its_levels, around_an_addition_nothing_stays,
          an_output_keeps_its_name, quant_of_qonnx, other_parameters_on_the_way_back_are_another_function,
          a_quantized_model_needs_no_images, what_has_no_scale_is_named)
