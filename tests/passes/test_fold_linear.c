// fold-linear: one form for dense layers; constant scales and shifts go into the layer before or after.
#include "tests/passes/pass_case.h"

static size_t arithmetic(const struct pass_case *c)
{
    return pass_count(c, "Add") + pass_count(c, "Sub") + pass_count(c, "Mul") + pass_count(c, "Div") +
           pass_count(c, "MatMul");
}

/// Every Gemm is Gemm(x, W, bias[outputs]) with transB = 1 and alpha = beta = 1.
static void expect_canonical(const struct pass_case *c)
{
    PBITC_FOR_EACH_NODE(node, c->graph)
    {
        if (!pbitc_node_is(node, PBITC_OP_Gemm))
            continue;
        ck_assert_int_eq(pbitc_node_int(node, "transB", 0), 1);
        ck_assert(pbitc_node_float(node, "alpha", 1) == 1 && pbitc_node_float(node, "beta", 1) == 1);
        ck_assert_uint_eq(node->input_count, 3);
        ck_assert_int_eq(node->inputs[2]->constant->shape.rank, 1);
        ck_assert_int_eq(node->inputs[2]->constant->shape.dims[0], node->inputs[1]->constant->shape.dims[0]);
    }
}

START_TEST(matmul_becomes_gemm)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_input(c, SHAPE(1, 4));
    struct pbitc_value *y = pass_node(c, "MatMul", x, pass_weights(c, SHAPE(4, 3)), NULL);
    pass_output(c, pass_node(c, "Add", y, pass_weights(c, SHAPE(3)), NULL));
    ck_assert(pass_preserves(c, "fold-linear"));
    ck_assert_uint_eq(arithmetic(c), 0);
    expect_canonical(c);
    pass_case_destroy(c);
}
END_TEST

START_TEST(every_form_of_gemm_becomes_one)
{
    static const float alphas[] = {1, 0.5f, -2}, betas[] = {1, 3, 0};
    for (int i = 0; i < 3 * 3 * 2 * 4; i++) {
        struct pass_case *c = pass_case_create();
        const struct pbitc_shape biases[] = {SHAPE(3), SHAPE(1, 3), SHAPE(1), {.rank = 0}};
        struct pbitc_value *x = pass_input(c, SHAPE(1, 4));
        int64_t turned = i / 9 % 2;
        struct pbitc_value *w = pass_weights(c, turned ? SHAPE(3, 4) : SHAPE(4, 3));
        pass_output(c, pass_node(c, "Gemm", x, w, pass_weights(c, biases[i / 18])));
        ck_assert(pbitc_node_set_int(c->graph, c->node, "transB", turned));
        ck_assert(pbitc_node_set_float(c->graph, c->node, "alpha", alphas[i % 3]));
        ck_assert(pbitc_node_set_float(c->graph, c->node, "beta", betas[i / 3 % 3]));
        pass_preserves(c, "fold-linear");
        expect_canonical(c);
        pass_case_destroy(c);
    }
}
END_TEST

static const char *const operators[] = {"Add", "Sub", "Mul", "Div"};

/// y = x op constant, or constant op x.
static struct pbitc_value *constant_operation(struct pass_case *c, int i, struct pbitc_value *x,
                                              struct pbitc_shape shape, bool first)
{
    struct pbitc_value *constant = pass_floats(c, shape, 0.5f, 2);
    return pass_node(c, operators[i], first ? constant : x, first ? x : constant, NULL);
}

START_TEST(constants_behind_a_conv_go_into_it)
{
    for (int i = 0; i < 4; i++)
        for (int first = 0; first <= (i != 3); first++) { // constant / x is not linear
            struct pass_case *c = pass_case_create();
            struct pbitc_value *x = pass_input(c, SHAPE(1, 2, 5, 5));
            struct pbitc_value *y = pass_conv(c, x, SHAPE(3, 2, 3, 3), 1, 1);
            y = constant_operation(c, i, y, SHAPE(3, 1, 1), first);
            pass_output(c, pass_node(c, "Relu", constant_operation(c, i, y, SHAPE(1), first), NULL, NULL));
            ck_assert(pass_preserves(c, "fold-linear"));
            ck_assert_uint_eq(arithmetic(c), 0);
            pass_case_destroy(c);
        }
}
END_TEST

START_TEST(constants_in_front_of_a_grouped_conv_go_into_it)
{
    for (int i = 0; i < 4; i++) {
        struct pass_case *c = pass_case_create();
        struct pbitc_value *x = pass_input(c, SHAPE(1, 4, 5, 5));
        struct pbitc_value *y =
            constant_operation(c, i, pass_node(c, "Relu", x, NULL, NULL), SHAPE(1, 4, 1, 1), false);
        pass_output(c, pass_conv(c, y, SHAPE(6, 2, 3, 3), 2, 0));
        ck_assert(pass_preserves(c, "fold-linear"));
        ck_assert_uint_eq(arithmetic(c), 0);
        pass_case_destroy(c);
    }
}
END_TEST

START_TEST(constants_in_front_of_a_dense_layer_go_into_it)
{
    for (int i = 0; i < 4; i++)
        for (int flatten = 0; flatten <= 1; flatten++) {
            struct pass_case *c = pass_case_create();
            struct pbitc_value *x = pass_input(c, SHAPE(1, 2, 2, 3));
            struct pbitc_value *y =
                constant_operation(c, i, pass_node(c, "Relu", x, NULL, NULL), SHAPE(2, 1, 1), false);
            y = pass_node(c, "Flatten", y, NULL, NULL);
            pass_output(c, flatten ? pass_dense(c, y, 12, 3)
                                   : pass_node(c, "MatMul", y, pass_weights(c, SHAPE(12, 3)), NULL));
            ck_assert(pass_preserves(c, "fold-linear"));
            ck_assert_uint_eq(arithmetic(c), 0);
            expect_canonical(c);
            pass_case_destroy(c);
        }
}
END_TEST

START_TEST(a_shift_goes_into_a_scaled_dense_layer)
{
    for (int i = 0; i < 4; i++) {
        struct pass_case *c = pass_case_create();
        struct pbitc_value *x = pass_node(c, "Relu", pass_input(c, SHAPE(1, 4)), NULL, NULL);
        pass_output(c, pass_dense(c, constant_operation(c, i, x, SHAPE(4), false), 4, 3));
        ck_assert(pbitc_node_set_float(c->graph, c->node, "alpha", 2));
        ck_assert(pbitc_node_set_float(c->graph, c->node, "beta", 0.5f));
        ck_assert(pass_preserves(c, "fold-linear"));
        ck_assert_uint_eq(arithmetic(c), 0);
        expect_canonical(c);
        pass_case_destroy(c);
    }
}
END_TEST

START_TEST(a_shift_does_not_go_into_a_padded_conv)
{
    for (int i = 0; i < 4; i++) {
        struct pass_case *c = pass_case_create();
        struct pbitc_value *x = pass_node(c, "Relu", pass_input(c, SHAPE(1, 4, 5, 5)), NULL, NULL);
        pass_output(
            c, pass_conv(c, constant_operation(c, i, x, SHAPE(4, 1, 1), false), SHAPE(6, 4, 3, 3), 1, 1));
        bool scales = i >= 2;
        ck_assert_int_eq(pass_preserves(c, "fold-linear"), scales);
        ck_assert_uint_eq(arithmetic(c), scales ? 0 : 1);
        pass_case_destroy(c);
    }
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_node(c, "Relu", pass_input(c, SHAPE(1, 4, 5, 5)), NULL, NULL);
    pass_output(c, pass_conv(c, constant_operation(c, 0, x, SHAPE(4, 1, 1), false), SHAPE(6, 4, 3, 3), 1, 0));
    ck_assert(pbitc_node_set_string(c->graph, c->node, "auto_pad", "SAME_UPPER"));
    ck_assert(!pass_preserves(c, "fold-linear"));
    pass_case_destroy(c);
}
END_TEST

/// Over all elements, over some axes, over the channels alone.
START_TEST(a_constant_per_element_goes_into_a_dense_layer)
{
    const struct pbitc_shape shapes[] = {SHAPE(1, 2, 2, 3), SHAPE(2, 1, 3), SHAPE(2, 3), SHAPE(3),
                                         SHAPE(2, 1, 1)};
    for (int i = 0; i < 4 * 5; i++) {
        struct pass_case *c = pass_case_create();
        struct pbitc_value *x = pass_node(c, "Relu", pass_input(c, SHAPE(1, 2, 2, 3)), NULL, NULL);
        x = pass_node(c, "Flatten", constant_operation(c, i % 4, x, shapes[i / 4], false), NULL, NULL);
        pass_output(c, pass_node(c, "MatMul", x, pass_weights(c, SHAPE(12, 3)), NULL));
        ck_assert(pass_preserves(c, "fold-linear"));
        ck_assert_uint_eq(arithmetic(c), 0);
        pass_case_destroy(c);
    }
}
END_TEST

START_TEST(a_constant_behind_a_transpose_goes_into_the_layer_before)
{
    for (int i = 0; i < 4; i++)
        for (int first = 0; first <= (i != 3); first++) {
            struct pass_case *c = pass_case_create();
            struct pbitc_value *y = pass_conv(c, pass_input(c, SHAPE(1, 2, 5, 4)), SHAPE(3, 2, 3, 3), 1, 1);
            y = pass_node(c, "Transpose", y, NULL, NULL);
            INTS(c, "perm", 0, 2, 3, 1);
            y = constant_operation(c, i, constant_operation(c, i, y, SHAPE(1, 1, 3), first), SHAPE(1), first);
            pass_output(c, pass_node(c, "Relu", y, NULL, NULL));
            ck_assert(pass_preserves(c, "fold-linear"));
            ck_assert_uint_eq(arithmetic(c), 0);
            pass_case_destroy(c);
        }
}
END_TEST

START_TEST(a_constant_along_the_pixels_stays_behind_a_transpose)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *y = pass_conv(c, pass_input(c, SHAPE(1, 2, 5, 4)), SHAPE(3, 2, 3, 3), 1, 1);
    y = pass_node(c, "Transpose", y, NULL, NULL);
    INTS(c, "perm", 0, 2, 3, 1);
    pass_output(c, constant_operation(c, 0, y, SHAPE(4, 1), false));
    ck_assert(!pass_preserves(c, "fold-linear"));
    pass_case_destroy(c);
}
END_TEST

START_TEST(a_value_with_two_readers_keeps_its_constant)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *y = pass_conv(c, pass_input(c, SHAPE(1, 2, 5, 5)), SHAPE(3, 2, 3, 3), 1, 1);
    pass_output(c, pass_node(c, "Add", y, constant_operation(c, 2, y, SHAPE(3, 1, 1), false), NULL));
    ck_assert(!pass_preserves(c, "fold-linear"));
    ck_assert_uint_eq(pass_count(c, "Mul"), 1);
    pass_case_destroy(c);
}
END_TEST

START_TEST(a_constant_that_varies_with_the_pixel_stays)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *y = pass_conv(c, pass_input(c, SHAPE(1, 2, 5, 5)), SHAPE(3, 2, 3, 3), 1, 1);
    pass_output(c, constant_operation(c, 2, y, SHAPE(5, 1), false));
    ck_assert(!pass_preserves(c, "fold-linear"));
    pass_case_destroy(c);
}
END_TEST

START_TEST(a_constant_divided_by_a_value_stays)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_node(c, "Sigmoid", pass_input(c, SHAPE(1, 4)), NULL, NULL);
    pass_output(c, pass_dense(c, constant_operation(c, 3, x, SHAPE(4), true), 4, 2));
    ck_assert(!pass_preserves(c, "fold-linear"));
    ck_assert_uint_eq(pass_count(c, "Div"), 1);
    pass_case_destroy(c);
}
END_TEST

PASS_MAIN("fold-linear", matmul_becomes_gemm, every_form_of_gemm_becomes_one,
          constants_behind_a_conv_go_into_it, constants_in_front_of_a_grouped_conv_go_into_it,
          constants_in_front_of_a_dense_layer_go_into_it, a_shift_goes_into_a_scaled_dense_layer,
          a_shift_does_not_go_into_a_padded_conv, a_constant_per_element_goes_into_a_dense_layer,
          a_constant_behind_a_transpose_goes_into_the_layer_before,
          a_constant_along_the_pixels_stays_behind_a_transpose, a_value_with_two_readers_keeps_its_constant,
          a_constant_that_varies_with_the_pixel_stays, a_constant_divided_by_a_value_stays)
