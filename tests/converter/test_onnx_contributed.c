// ONNX Runtime's own operators, which the importer reads as functions of standard ones.
#include "passes/operators/operator_support.h"
#include "tests/converter/onnx_run.h"
#include "tests/run_suite.h"

enum { FLOAT = 1, UINT8 = 2, INT8 = 3, INT32 = 6, BOOL = 9 };

#define DIMS(...) ((const int64_t[]){__VA_ARGS__, -1})
#define CONSTANT(builder, name, type, element, dims, ...)                                                    \
    builder_add_initializer(builder, name, type, dims, (const element[]){__VA_ARGS__},                       \
                            sizeof((const element[]){__VA_ARGS__}))

static struct builder start(const char *op, const char *inputs, Onnx__NodeProto **node)
{
    struct builder b = builder_start(17);
    builder_add_opset(&b, "com.microsoft", 1);
    *node = builder_add_node(&b, "contributed", op, inputs, "y");
    (*node)->domain = builder_text(&b, "com.microsoft");
    return b;
}

static void scalar(struct builder *b, const char *name, float number)
{
    CONSTANT(b, name, FLOAT, float, ((const int64_t[]){-1}), number);
}

static void zero_point(struct builder *b, const char *name, uint8_t level)
{
    CONSTANT(b, name, UINT8, uint8_t, ((const int64_t[]){-1}), level);
}

/// Imports and runs the model, whose inputs are all constants; the output must be what is expected.
static void expect(struct builder *b, int type, const double *expected, int64_t count)
{
    struct onnx_run run;
    builder_add_output(b, "y");
    const struct pbitc_tensor *y = onnx_run_start(&run, b, type, count);
    for (int64_t i = 0; i < count; i++)
        ck_assert_double_eq_tol(pbitc_real_at(y, i), expected[i], 1e-5);
    onnx_run_end(&run, b);
}
#define EXPECT(builder, type, ...)                                                                           \
    expect(builder, type, (const double[]){__VA_ARGS__},                                                     \
           sizeof((const double[]){__VA_ARGS__}) / sizeof(double))

static void expect_refused(struct builder *b)
{
    struct pbitc_diagnostics *diagnostics = pbitc_diagnostics_create();
    struct pbitc_graph *graph;
    size_t size;
    builder_add_output(b, "y");
    uint8_t *bytes = builder_pack(b, &size);
    ck_assert_int_eq(pbitc_onnx_import_bytes(bytes, size, NULL, NULL, diagnostics, &graph),
                     PBIT_ERROR_UNSUPPORTED);
    ck_assert_uint_eq(pbitc_diagnostics_count(diagnostics), 1);
    ck_assert_str_eq(pbitc_diagnostics_get(diagnostics, 0)->message, "the operator is not supported");
    pbitc_diagnostics_destroy(diagnostics);
    pbitc_arena_destroy(b->arena);
}

/// Two operands of a QLinear operator and the parameters of its result.
static struct builder start_binary(const char *op, const char *inputs, Onnx__NodeProto **node)
{
    struct builder b = start(op, inputs, node);
    CONSTANT(&b, "a", UINT8, uint8_t, DIMS(1, 1, 2, 2), 10, 12, 8, 255);
    CONSTANT(&b, "b", UINT8, uint8_t, DIMS(1, 1, 2, 2), 0, 4, 2, 2);
    scalar(&b, "as", 0.5f);
    zero_point(&b, "az", 10);
    scalar(&b, "bs", 1);
    zero_point(&b, "bz", 2);
    scalar(&b, "ys", 0.5f);
    zero_point(&b, "yz", 100);
    return b;
}

START_TEST(sums_and_products)
{
    Onnx__NodeProto *node;
    struct builder b = start_binary("QLinearAdd", "a,as,az,b,bs,bz,ys,yz", &node);
    EXPECT(&b, UINT8, 96, 106, 98, 255); // -2, 3, -1 and 122.5
    b = start_binary("QLinearMul", "a,as,az,b,bs,bz,ys,yz", &node);
    EXPECT(&b, UINT8, 100, 104, 100, 100); // 0, 2, 0, 0
    b = start_binary("QLinearAdd", "a,as,,b,bs,,ys,", &node);
    EXPECT(&b, UINT8, 10, 20, 12, 255); // omitted zero points are 0
}
END_TEST

START_TEST(choice)
{
    Onnx__NodeProto *node;
    struct builder b = start_binary("QLinearWhere", "c,a,as,az,b,bs,bz,ys,yz", &node);
    CONSTANT(&b, "c", BOOL, uint8_t, DIMS(1, 1, 2, 2), 1, 0, 0, 1);
    EXPECT(&b, UINT8, 100, 104, 100, 255); // 0, 2, 0 and 122.5
}
END_TEST

START_TEST(operators_of_one_operand)
{
    Onnx__NodeProto *node;
    struct builder b = start_binary("QLinearLeakyRelu", "b,bs,bz,ys,yz", &node);
    builder_set_float(&b, node, "alpha", 0.25f);
    EXPECT(&b, UINT8, 99, 104, 100, 100);
    b = start_binary("QLinearSigmoid", "b,bs,bz,ys,yz", &node);
    EXPECT(&b, UINT8, 100, 102, 101, 101); // 0.12, 0.88, 0.5, 0.5; steps of 0.5
    b = start_binary("QLinearSoftmax", "b,bs,bz,ys,yz", &node);
    builder_set_int(&b, node, "opset", 13);
    EXPECT(&b, UINT8, 100, 102, 101, 101); // 0.02, 0.98, 0.5, 0.5
    b = start_binary("QLinearSoftmax", "b,bs,bz,ys,yz", &node);
    builder_set_int(&b, node, "opset", 11);
    builder_set_int(&b, node, "axis", 1);
    expect_refused(&b);
    b = start_binary("QLinearGlobalAveragePool", "a,as,az,ys,yz", &node);
    builder_set_int(&b, node, "channels_last", 0);
    EXPECT(&b, UINT8, 161);
    b = start_binary("QLinearAveragePool", "a,as,az,ys,yz", &node);
    builder_set_ints(&b, node, "kernel_shape", (const int64_t[]){1, 2}, 2);
    EXPECT(&b, UINT8, 101, 222); // 1 / 2 and 243 / 2, halves to even
    b = start_binary("QLinearGlobalAveragePool", "a,as,az,ys,yz", &node);
    builder_set_int(&b, node, "channels_last", 1);
    expect_refused(&b);
}
END_TEST

START_TEST(concatenation)
{
    Onnx__NodeProto *node;
    struct builder b = start_binary("QLinearConcat", "ys,yz,a,as,az,b,bs,bz", &node);
    builder_set_int(&b, node, "axis", 2);
    EXPECT(&b, UINT8, 100, 102, 98, 255, 96, 104, 100, 100);
    b = start_binary("QLinearConcat", "ys,yz,a,as", &node);
    expect_refused(&b);
}
END_TEST

static struct builder start_gemm(const char *inputs, Onnx__NodeProto **node)
{
    struct builder b = start("QGemm", inputs, node);
    CONSTANT(&b, "a", UINT8, uint8_t, DIMS(1, 2), 12, 9);
    scalar(&b, "as", 0.5f);
    zero_point(&b, "az", 10);
    CONSTANT(&b, "w", INT8, int8_t, DIMS(2, 2), 1, 2, 3, 4);
    CONSTANT(&b, "ws", FLOAT, float, DIMS(2), 1, 10);
    CONSTANT(&b, "wz", INT8, int8_t, DIMS(2), 0, 1);
    CONSTANT(&b, "c", INT32, int32_t, DIMS(2), 4, 8);
    scalar(&b, "ys", 1);
    zero_point(&b, "yz", 100);
    return b;
}

START_TEST(dense_layers)
{
    Onnx__NodeProto *node;
    struct builder b = start_gemm("a,as,az,w,ws,wz,,,", &node); // columns (1, 3) and (10, 30)
    EXPECT(&b, FLOAT, -0.5, -5);
    b = start_gemm("a,as,az,w,ws,wz,c", &node);
    EXPECT(&b, FLOAT, 1.5, 35);
    b = start_gemm("a,as,az,w,ws,wz,c,ys,yz", &node);
    EXPECT(&b, UINT8, 102, 135);
    b = start_gemm("a,as,az,w,ws,wz,,ys,yz", &node);
    EXPECT(&b, UINT8, 100, 95);
    b = start_gemm("a,as,az,w,ws,wz,", &node); // rows (1, 2) and (20, 30)
    builder_set_int(&b, node, "transB", 1);
    EXPECT(&b, FLOAT, 0, 5);
    b = start_gemm("a,as,az,w,ws,wz,", &node);
    builder_set_float(&b, node, "alpha", 2);
    expect_refused(&b);
}
END_TEST

static struct builder start_fused(const char *op, const char *activation, Onnx__NodeProto **node)
{
    struct builder b = start(op, strcmp(op, "FusedConv") == 0 ? "x,w,,z" : "g,h,", node);
    CONSTANT(&b, "x", FLOAT, float, DIMS(1, 1, 3), -2, 0, 3);
    CONSTANT(&b, "w", FLOAT, float, DIMS(1, 1, 1), 2);
    CONSTANT(&b, "z", FLOAT, float, DIMS(1, 1, 3), 1, 1, 1);
    CONSTANT(&b, "g", FLOAT, float, DIMS(1, 1), 2);
    CONSTANT(&b, "h", FLOAT, float, DIMS(1, 3), -2, 1, 3);
    if (activation)
        builder_set_string(&b, *node, "activation", activation);
    return b;
}

static void set_floats(struct builder *b, Onnx__NodeProto *node, const char *name, float first, float second)
{
    Onnx__AttributeProto *attribute = builder_add_attribute(b, node, name, 6);
    attribute->floats = pbitc_arena_allocate(b->arena, 2, sizeof(float));
    attribute->n_floats = 2;
    attribute->floats[0] = first;
    attribute->floats[1] = second;
}

START_TEST(fused_layers)
{
    Onnx__NodeProto *node;
    struct builder b = start_fused("FusedConv", NULL, &node);
    EXPECT(&b, FLOAT, -3, 1, 7);
    b = start_fused("FusedConv", "Relu", &node);
    EXPECT(&b, FLOAT, 0, 1, 7);
    b = start_fused("FusedConv", "Clip", &node);
    set_floats(&b, node, "activation_params", -1, 6.5f);
    EXPECT(&b, FLOAT, -1, 1, 6.5);
    b = start_fused("FusedConv", "HardSigmoid", &node);
    set_floats(&b, node, "activation_params", 0.1f, 0.25f);
    EXPECT(&b, FLOAT, 0, 0.35, 0.95);
    b = start_fused("FusedGemm", "LeakyRelu", &node);
    builder_set_float(&b, node, "activation_alpha", 0.5f);
    EXPECT(&b, FLOAT, -2, 2, 6);
    b = start_fused("FusedConv", "Softsign", &node);
    expect_refused(&b);
    b = start_fused("FusedGemm", NULL, &node);
    expect_refused(&b);
}
END_TEST

START_TEST(activations)
{
    Onnx__NodeProto *node;
    struct builder b = start_fused("FusedConv", NULL, &node);
    node->op_type = builder_text(&b, "QuickGelu");
    node->n_input = 1;
    EXPECT(&b, FLOAT, -0.0643496, 0, 2.9819306);
    b = start_fused("FusedConv", NULL, &node);
    node->op_type = builder_text(&b, "BiasGelu");
    node->input[1] = builder_text(&b, "z");
    node->n_input = 2;
    EXPECT(&b, FLOAT, -0.1586553, 0.8413447, 3.9998733);
}
END_TEST

/// d = op(a, b) and e = d - exp(a), with the gradient of e by a, b and what it does not depend on.
static struct builder start_gradient(const char *op, Onnx__NodeProto **node)
{
    static const char *const variables[] = {"a", "b", "f"};
    struct builder b = start("Gradient", "a,b,f", node);
    builder_add_opset(&b, "ai.onnx.preview.training", 1);
    (*node)->domain = builder_text(&b, "ai.onnx.preview.training");
    (*node)->output = builder_names(&b, "y,by_b,by_f", &(*node)->n_output);
    CONSTANT(&b, "a", FLOAT, float, DIMS(2), 0, 2);
    CONSTANT(&b, "b", FLOAT, float, DIMS(2), 4, 5);
    CONSTANT(&b, "f", FLOAT, float, DIMS(1), 3);
    b.graph->n_node = 0;
    builder_add_node(&b, "first", op, "a,b", "d");
    builder_add_node(&b, "second", "Exp", "a", "c");
    builder_add_node(&b, "third", "Sub", "d,c", "e");
    b.graph->node[b.graph->n_node++] = *node;
    builder_set_string(&b, *node, "y", "e");
    Onnx__AttributeProto *xs = builder_add_attribute(&b, *node, "xs", 8);
    xs->strings = pbitc_arena_allocate(b.arena, 3, sizeof(*xs->strings));
    xs->n_strings = 3;
    for (size_t i = 0; i < xs->n_strings; i++)
        xs->strings[i] = (ProtobufCBinaryData){1, (uint8_t *)builder_text(&b, variables[i])};
    return b;
}

START_TEST(gradients)
{
    static const char *const operators[] = {"Add", "Mul", "Div"};
    const double at_two = -7.3890561, expected[][3][2] = {
                                          {{0, 1 + at_two}, {1, 1}, {0, 0}},
                                          {{3, 5 + at_two}, {0, 2}, {0, 0}},
                                          {{0.25 - 1, 0.2 + at_two}, {0, -0.08}, {0, 0}},
                                      };
    for (size_t i = 0; i < 3; i++)
        for (size_t k = 0; k < 3; k++) {
            Onnx__NodeProto *node;
            struct builder b = start_gradient(operators[i], &node);
            Onnx__AttributeProto *xs = node->attribute[1]; // the variable that is looked at comes first
            ProtobufCBinaryData variable = xs->strings[0];
            xs->strings[0] = xs->strings[k];
            xs->strings[k] = variable;
            expect(&b, FLOAT, expected[i][k], k == 2 ? 1 : 2);
        }
    Onnx__NodeProto *node;
    struct builder b = start_gradient("Max", &node);
    expect_refused(&b);
}
END_TEST

START_TEST(the_same_names_elsewhere_are_other_operators)
{
    Onnx__NodeProto *node;
    struct builder b = start_binary("QLinearAdd", "a,as,az,b,bs,bz,ys,yz", &node);
    builder_add_opset(&b, "com.example", 1);
    node->domain = builder_text(&b, "com.example");
    expect_refused(&b);
    b = start_binary("QLinearSubtract", "a,as,az,b,bs,bz,ys,yz", &node);
    expect_refused(&b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("onnx_contributed");
    TCase *tcase = tcase_create("contributed");
    const TTest *tests[] = {sums_and_products,
                            gradients,
                            choice,
                            operators_of_one_operand,
                            concatenation,
                            dense_layers,
                            fused_layers,
                            activations,
                            the_same_names_elsewhere_are_other_operators};
    for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
