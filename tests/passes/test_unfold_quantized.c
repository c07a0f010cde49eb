// unfold-quantized: QLinear operators as float operators between roundings.
#include "tests/passes/quantized_case.h"

static struct pbitc_value *levels(struct pass_case *c, struct pbitc_shape shape)
{
    struct pbitc_value *value = pbitc_graph_add_constant(c->graph, "levels", PBITC_INT8, &shape);
    for (int64_t i = 0; i < pbitc_shape_elements(&shape); i++)
        ((int8_t *)value->constant->data)[i] = (int8_t)lrintf(100 * pass_random());
    return value;
}

/// QLinearConv or QLinearMatMul of x, which is uint8 with step 1/32 and zero point 128.
static struct pbitc_value *product(struct pass_case *c, const char *op, struct pbitc_value *x,
                                   struct pbitc_value *weights, struct pbitc_value *scales,
                                   struct pbitc_value *bias)
{
    struct pbitc_value *zero = pass_zero_point(c, PBITC_UINT8, 128);
    struct pbitc_value *weight_zero =
        pbitc_graph_add_constant(c->graph, "weight zero", PBITC_INT8, &scales->shape);
    struct pbitc_value *inputs[] = {x,           pass_scalar(c, 1.0f / 32), zero, weights, scales,
                                    weight_zero, pass_scalar(c, 1.0f / 8),  zero, bias};
    struct pbitc_value *output = pass_node(c, op, inputs[0], inputs[1], inputs[2]);
    for (size_t i = 3; i < 9; i++)
        if (inputs[i])
            ck_assert(pbitc_node_set_input(c->graph, c->node, i, inputs[i]));
    return output;
}

static struct pbitc_value *quantize(struct pass_case *c, struct pbitc_value *x)
{
    return pass_node(c, "QuantizeLinear", x, pass_scalar(c, 1.0f / 32), pass_zero_point(c, PBITC_UINT8, 128));
}

static struct pbitc_value *dequantize(struct pass_case *c, struct pbitc_value *x)
{
    return pass_node(c, "DequantizeLinear", x, pass_scalar(c, 1.0f / 8),
                     pass_zero_point(c, PBITC_UINT8, 128));
}

/// The results may differ by one step of 1/8, where the float sum falls on the other side of a half.
static void expect_unfolded(struct pass_case *c, const char *op)
{
    pass_infer(c);
    ck_assert(pass_check(c, "unfold-quantized", 0.126f, 1));
    ck_assert_uint_eq(pass_count(c, op), 1);
}

START_TEST(a_convolution_with_bias_and_a_scale_per_channel)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *bias = pbitc_graph_add_constant(c->graph, "bias", PBITC_INT32, &SHAPE(3));
    memcpy(bias->constant->data, (const int32_t[]){1000, -2000, 0}, 3 * sizeof(int32_t));
    struct pbitc_value *scales = pass_floats(c, SHAPE(3), 0.002f, 0.01f);
    struct pbitc_value *weights = levels(c, SHAPE(3, 2, 3, 3)),
                       *x = quantize(c, pass_input(c, SHAPE(1, 2, 6, 6)));
    struct pbitc_value *y = product(c, "QLinearConv", x, weights, scales, bias);
    INTS(c, "pads", 1, 1, 1, 1);
    pass_output(c, dequantize(c, y));
    expect_unfolded(c, "Conv");
    pass_case_destroy(c);
}
END_TEST

START_TEST(a_product_of_matrices)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *weights = levels(c, SHAPE(5, 4)), *x = quantize(c, pass_input(c, SHAPE(1, 5)));
    pass_output(c, dequantize(c, product(c, "QLinearMatMul", x, weights, pass_scalar(c, 0.01f), NULL)));
    expect_unfolded(c, "MatMul");
    pass_case_destroy(c);
}
END_TEST

START_TEST(dequantization_rises_above_what_only_moves)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = quantize(c, pass_input(c, SHAPE(1, 2, 4, 4)));
    x = pass_node(c, "MaxPool", x, NULL, NULL);
    INTS(c, "kernel_shape", 2, 2);
    x = pass_node(c, "Flatten", x, NULL, NULL);
    pass_output(c, pass_node(c, "DequantizeLinear", x, pass_scalar(c, 1.0f / 32),
                             pass_zero_point(c, PBITC_UINT8, 128)));
    pass_infer(c);
    ck_assert(pass_check(c, "unfold-quantized", 0, 1));
    ck_assert_str_eq(pass_find(c, "QuantizeLinear")->next->op->name, "DequantizeLinear");
    ck_assert_str_eq(c->graph->last->op->name, "Flatten");
    pass_case_destroy(c);
}
END_TEST

START_TEST(signs_of_qonnx)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_input(c, SHAPE(1, 2, 4, 4));
    pass_output(c, pass_node(c, "BipolarQuant", x, pass_scalar(c, 0.25f), NULL));
    pass_infer(c);
    ck_assert(pass_check(c, "unfold-quantized", 0, 1));
    ck_assert_uint_eq(pass_count(c, "Sign"), 1);
    pass_case_destroy(c);
}
END_TEST

START_TEST(weights_that_are_not_constant_stay)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = quantize(c, pass_input(c, SHAPE(1, 5)));
    struct pbitc_value *y =
        product(c, "QLinearMatMul", x, levels(c, SHAPE(5, 4)), pass_scalar(c, 0.01f), NULL);
    struct pbitc_value *scale = pass_node(c, "ReduceMax", c->graph->inputs[0], NULL, NULL);
    ck_assert(pbitc_node_set_int(c->graph, c->node, "keepdims", 0));
    struct pbitc_node *reduce = c->node, *product = reduce->previous;
    ck_assert(pbitc_node_set_input(c->graph, product, 4, scale));
    ck_assert(pbitc_graph_sort(c->graph));
    pass_output(c, dequantize(c, y));
    pass_infer(c);
    ck_assert(!pass_check(c, "unfold-quantized", 0, 1));
    pass_case_destroy(c);
}
END_TEST

PASS_MAIN("unfold-quantized", a_convolution_with_bias_and_a_scale_per_channel, a_product_of_matrices,
          dequantization_rises_above_what_only_moves, signs_of_qonnx, weights_that_are_not_constant_stay)
