// The operators on quantized tensors, beyond what the ONNX backend tests cover.
#include "tests/passes/operator_cases.h"
#include "tests/run_suite.h"

#include <math.h>

#define SHAPE(...)                                                                                           \
    (struct pbitc_shape)                                                                                     \
    {                                                                                                        \
        sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t),                                                  \
        {                                                                                                    \
            __VA_ARGS__                                                                                      \
        }                                                                                                    \
    }
static const struct pbitc_shape SCALAR = {.rank = 0};

#define FILL(pointer, type, ...)                                                                             \
    memcpy(pointer, ((const type[]){__VA_ARGS__}), sizeof((const type[]){__VA_ARGS__}))
#define EXPECT_FLOATS(tensor, ...)                                                                           \
    assert_floats(tensor, (const float[]){__VA_ARGS__}, sizeof((const float[]){__VA_ARGS__}) / sizeof(float))
#define EXPECT_INTEGERS(tensor, ...)                                                                         \
    assert_integers(tensor, (const int64_t[]){__VA_ARGS__},                                                  \
                    sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

static void scalar(struct node_case *c, float number)
{
    *(float *)case_constant(c, PBITC_FLOAT32, SCALAR) = number;
}

/// 16 bits, halves to even, both ends, infinities and NaN.
START_TEST(quantize_to_int16)
{
    struct node_case c = case_create("QuantizeLinear");
    FILL(case_input(&c, PBITC_FLOAT32, SHAPE(7)), float, 1.25f, 1.75f, -1e9f, 1e9f, INFINITY, -INFINITY, NAN);
    scalar(&c, 0.5f);
    *(int16_t *)case_constant(&c, PBITC_INT16, SCALAR) = 10;
    case_node(&c, 1);
    EXPECT_INTEGERS(case_run(&c), 12, 14, INT16_MIN, INT16_MAX, INT16_MAX, INT16_MIN, INT16_MIN);
    ck_assert_int_eq(case_output(&c, 0)->type, PBITC_INT16);
    case_destroy(&c);
}
END_TEST

START_TEST(quantize_to_what_output_dtype_says)
{
    struct node_case c = case_create("QuantizeLinear");
    FILL(case_input(&c, PBITC_FLOAT32, SHAPE(3)), float, -1, 0.5f, 3);
    scalar(&c, 0.5f);
    case_node(&c, 1);
    ck_assert(pbitc_node_set_int(c.graph, c.node, "output_dtype", PBITC_INT8));
    EXPECT_INTEGERS(case_run(&c), -2, 1, 6);
    ck_assert_int_eq(case_output(&c, 0)->type, PBITC_INT8);
    case_destroy(&c);
}
END_TEST

START_TEST(four_bits_are_refused)
{
    struct node_case c = case_create("QuantizeLinear");
    case_input(&c, PBITC_FLOAT32, SHAPE(3));
    scalar(&c, 0.5f);
    case_node(&c, 1);
    ck_assert(pbitc_node_set_int(c.graph, c.node, "output_dtype", 22)); // int4
    ck_assert_int_eq(case_try(&c, 1), PBIT_ERROR_UNSUPPORTED);
    ck_assert_str_eq(case_message(&c), "output_dtype = 22 is not supported");
    case_destroy(&c);
}
END_TEST

/// Two scales for five rows: rows 0..2 and 3..4.
START_TEST(blocks_along_an_axis)
{
    struct node_case c = case_create("DequantizeLinear");
    FILL(case_input(&c, PBITC_UINT8, SHAPE(5, 2)), uint8_t, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5);
    FILL(case_constant(&c, PBITC_FLOAT32, SHAPE(2, 2)), float, 1, 10, 100, 1000);
    FILL(case_constant(&c, PBITC_UINT8, SHAPE(2, 2)), uint8_t, 0, 1, 2, 3);
    case_node(&c, 1);
    ck_assert(pbitc_node_set_int(c.graph, c.node, "axis", 0));
    ck_assert(pbitc_node_set_int(c.graph, c.node, "block_size", 3));
    EXPECT_FLOATS(case_run(&c), 1, 0, 2, 10, 3, 20, 200, 1000, 300, 2000);
    case_destroy(&c);
}
END_TEST

START_TEST(bias_levels_of_32_bits_are_exact)
{
    struct node_case c = case_create("DequantizeLinear");
    FILL(case_input(&c, PBITC_INT32, SHAPE(2)), int32_t, 16777217, -5);
    FILL(case_constant(&c, PBITC_FLOAT64, SHAPE(1)), double, 1);
    case_node(&c, 1);
    ck_assert_int_eq(case_run(&c)->type, PBITC_FLOAT64);
    ck_assert_double_eq(((const double *)case_output(&c, 0)->data)[1], -5);
    case_destroy(&c);
}
END_TEST

/// A zero point for each row of A and each column of B.
START_TEST(integer_product_with_zero_points_per_slice)
{
    struct node_case c = case_create("MatMulInteger");
    FILL(case_input(&c, PBITC_UINT8, SHAPE(2, 2)), uint8_t, 255, 0, 3, 4);
    FILL(case_input(&c, PBITC_INT8, SHAPE(2, 2)), int8_t, -128, 1, 5, 6);
    FILL(case_constant(&c, PBITC_UINT8, SHAPE(2)), uint8_t, 0, 1);
    FILL(case_constant(&c, PBITC_INT8, SHAPE(2)), int8_t, 0, -1);
    case_node(&c, 1);
    EXPECT_INTEGERS(case_run(&c), 255 * -128, 255 * 2, 2 * -128 + 3 * 5, 2 * 2 + 3 * 7);
    ck_assert_int_eq(case_output(&c, 0)->type, PBITC_INT32);
    case_destroy(&c);
}
END_TEST

/// Padding stands for the zero point, and groups and scales per channel for what they do in Conv.
START_TEST(quantized_depthwise_convolution)
{
    struct node_case c = case_create("QLinearConv");
    FILL(case_input(&c, PBITC_UINT8, SHAPE(1, 2, 1, 3)), uint8_t, 10, 11, 12, 20, 19, 18);
    scalar(&c, 0.5f);
    *(uint8_t *)case_constant(&c, PBITC_UINT8, SCALAR) = 10;
    FILL(case_constant(&c, PBITC_INT8, SHAPE(2, 1, 1, 3)), int8_t, 1, 2, 3, 1, 0, -1);
    FILL(case_constant(&c, PBITC_FLOAT32, SHAPE(2)), float, 1, 2);
    *(int8_t *)case_constant(&c, PBITC_INT8, SCALAR) = 0;
    scalar(&c, 0.5f);
    *(int8_t *)case_constant(&c, PBITC_INT8, SCALAR) = 100;
    case_node(&c, 1);
    ck_assert(pbitc_node_set_int(c.graph, c.node, "group", 2));
    ck_assert(pbitc_node_set_ints(c.graph, c.node, "pads", (const int64_t[]){0, 1, 0, 1}, 4));
    // sums 3, 8, 5 and -9, 2, 9, times 1 and 2
    EXPECT_INTEGERS(case_run(&c), 103, 108, 105, 82, 104, 118);
    ck_assert_int_eq(case_output(&c, 0)->type, PBITC_INT8);
    case_destroy(&c);
}
END_TEST

static struct node_case quant(float bits, const char *rounding)
{
    struct node_case c = case_create("Quant");
    FILL(case_input(&c, PBITC_FLOAT32, SHAPE(6)), float, -9, -0.75f, -0.25f, 0.25f, 0.75f, 9);
    scalar(&c, 0.5f);
    scalar(&c, 0);
    scalar(&c, bits);
    case_node(&c, 1);
    ck_assert(pbitc_node_set_string(c.graph, c.node, "rounding_mode", rounding));
    return c;
}

START_TEST(quant_rounds_in_every_mode)
{
    static const struct {
        const char *mode;
        float low, half_low, half_high, high; ///< of -1.5, -0.5, 0.5, 1.5
    } modes[] = {
        {"ROUND", -2, 0, 0, 2}, {"CEIL", -1, 0, 1, 2},     {"floor", -2, -1, 0, 1},    {"UP", -2, -1, 1, 2},
        {"DOWN", -1, 0, 0, 1},  {"HALF_UP", -2, -1, 1, 2}, {"HALF_DOWN", -1, 0, 0, 1},
    };
    for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
        struct node_case c = quant(4, modes[i].mode);
        EXPECT_FLOATS(case_run(&c), -3.5f, modes[i].low / 2, modes[i].half_low / 2, modes[i].half_high / 2,
                      modes[i].high / 2, 3.5f);
        case_destroy(&c);
    }
    struct node_case c = quant(4, "SIDEWAYS");
    ck_assert_int_eq(case_try(&c, 1), PBIT_ERROR_UNSUPPORTED);
    ck_assert_str_eq(case_message(&c), "rounding_mode = \"SIDEWAYS\" is not defined");
    case_destroy(&c);
}
END_TEST

START_TEST(quant_with_and_without_sign_and_narrow)
{
    static const struct {
        int is_signed, narrow;
        float low, high;
    } kinds[] = {{1, 1, -3, 3}, {1, 0, -4, 3}, {0, 0, 0, 7}, {0, 1, 0, 6}};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        struct node_case c = quant(3, "ROUND");
        ck_assert(pbitc_node_set_int(c.graph, c.node, "signed", kinds[i].is_signed));
        ck_assert(pbitc_node_set_int(c.graph, c.node, "narrow", kinds[i].narrow));
        const float *y = case_run(&c)->data;
        ck_assert_float_eq(y[0], kinds[i].low / 2);
        ck_assert_float_eq(y[5], kinds[i].high / 2);
        case_destroy(&c);
    }
    struct node_case c = quant(1, "ROUND"); // one signed bit has the levels -1 and 1
    EXPECT_FLOATS(case_run(&c), -0.5f, -0.5f, -0.5f, 0.5f, 0.5f, 0.5f);
    case_destroy(&c);
}
END_TEST

START_TEST(signs_and_truncation)
{
    struct node_case c = case_create("BipolarQuant");
    FILL(case_input(&c, PBITC_FLOAT32, SHAPE(1, 2, 2)), float, -3, 0, 2, -0.5f);
    FILL(case_constant(&c, PBITC_FLOAT32, SHAPE(2, 1)), float, 0.5f, 2);
    case_node(&c, 1);
    EXPECT_FLOATS(case_run(&c), -0.5f, 0.5f, 2, -2);
    case_destroy(&c);
    c = case_create("Trunc");
    FILL(case_input(&c, PBITC_FLOAT32, SHAPE(3)), float, 5.5f, -1.5f, 7.9f);
    scalar(&c, 0.5f);
    scalar(&c, 0);
    scalar(&c, 6);
    scalar(&c, 4);
    case_node(&c, 1);
    EXPECT_FLOATS(case_run(&c), 1, -0.5f, 2); // 11, -3 and 16 quarters of two bits: 2, -1, 4
    case_destroy(&c);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("quantization");
    TCase *tcase = tcase_create("quantization");
    const TTest *tests[] = {quantize_to_int16,
                            quantize_to_what_output_dtype_says,
                            four_bits_are_refused,
                            blocks_along_an_axis,
                            bias_levels_of_32_bits_are_exact,
                            integer_product_with_zero_points_per_slice,
                            quantized_depthwise_convolution,
                            quant_rounds_in_every_mode,
                            quant_with_and_without_sign_and_narrow,
                            signs_and_truncation};
    for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
