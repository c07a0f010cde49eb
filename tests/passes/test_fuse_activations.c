// fuse-activations: whatever way exporters write an activation, it becomes the operator that computes it.
#include "passes/activation_match.h"
#include "passes/node_role.h"
#include "tests/passes/pass_case.h"

static struct pbitc_value *number(struct pass_case *c, float value)
{
    struct pbitc_value *constant =
        pbitc_graph_add_constant(c->graph, "c", PBITC_FLOAT32, &(struct pbitc_shape){0});
    *(float *)constant->constant->data = value;
    return constant;
}

static struct pbitc_value *unary(struct pass_case *c, const char *op, struct pbitc_value *x)
{
    return pass_node(c, op, x, NULL, NULL);
}

static struct pbitc_value *binary(struct pass_case *c, const char *op, struct pbitc_value *x,
                                  struct pbitc_value *y)
{
    return pass_node(c, op, x, y, NULL);
}

static struct pbitc_value *scaled(struct pass_case *c, const char *op, struct pbitc_value *x, float factor)
{
    return binary(c, op, x, number(c, factor));
}

typedef struct pbitc_value *spelling(struct pass_case *c, struct pbitc_value *x);

static struct pbitc_value *silu(struct pass_case *c, struct pbitc_value *x)
{
    return binary(c, "Mul", x, unary(c, "Sigmoid", x));
}

static struct pbitc_value *quick_gelu(struct pass_case *c, struct pbitc_value *x)
{
    return binary(c, "Mul", unary(c, "Sigmoid", scaled(c, "Mul", x, 1.702f)), x);
}

/// torch.onnx: x / 1.4142 -> Erf -> + 1 -> x * -> * 0.5.
static struct pbitc_value *gelu_of_torch(struct pass_case *c, struct pbitc_value *x)
{
    struct pbitc_value *erf = unary(c, "Erf", scaled(c, "Div", x, 1.41421354f));
    return scaled(c, "Mul", binary(c, "Mul", x, scaled(c, "Add", erf, 1)), 0.5f);
}

/// torch.onnx, dynamo: the half belongs to the gate.
static struct pbitc_value *gelu_of_new_torch(struct pass_case *c, struct pbitc_value *x)
{
    struct pbitc_value *erf = unary(c, "Erf", scaled(c, "Div", x, 1.41421354f));
    return binary(c, "Mul", x, scaled(c, "Mul", scaled(c, "Add", erf, 1), 0.5f));
}

/// TensorFlow: 0.5 x (1 + Erf(x / Sqrt(2))), with a square root of a constant in the graph.
static struct pbitc_value *gelu_of_tensorflow(struct pass_case *c, struct pbitc_value *x)
{
    struct pbitc_value *erf = unary(c, "Erf", binary(c, "Div", x, unary(c, "Sqrt", number(c, 2))));
    return binary(c, "Mul", scaled(c, "Mul", x, 0.5f), binary(c, "Add", number(c, 1), erf));
}

static struct pbitc_value *gelu_by_tanh(struct pass_case *c, struct pbitc_value *x)
{
    struct pbitc_value *cube = scaled(c, "Mul", scaled(c, "Pow", x, 3), 0.044715f);
    struct pbitc_value *inner = scaled(c, "Mul", binary(c, "Add", x, cube), 0.797884583f);
    struct pbitc_value *outer = scaled(c, "Add", unary(c, "Tanh", inner), 1);
    return binary(c, "Mul", scaled(c, "Mul", x, 0.5f), outer);
}

static struct pbitc_value *relu6(struct pass_case *c, struct pbitc_value *x)
{
    return scaled(c, "Min", scaled(c, "Max", x, 0), 6);
}

/// PaddlePaddle: x * Clip(x + 3, 0, 6) / 6.
static struct pbitc_value *hard_swish(struct pass_case *c, struct pbitc_value *x)
{
    return scaled(c, "Div", binary(c, "Mul", x, relu6(c, scaled(c, "Add", x, 3))), 6);
}

static struct pbitc_value *hard_swish_by_hard_sigmoid(struct pass_case *c, struct pbitc_value *x)
{
    struct pbitc_value *gate = unary(c, "HardSigmoid", x);
    ck_assert(pbitc_node_set_float(c->graph, c->node, "alpha", 1 / 6.0f));
    return binary(c, "Mul", gate, x);
}

static struct pbitc_value *hard_sigmoid(struct pass_case *c, struct pbitc_value *x)
{
    return scaled(c, "Div", relu6(c, scaled(c, "Add", x, 3)), 6);
}

static struct pbitc_value *mish(struct pass_case *c, struct pbitc_value *x)
{
    return binary(c, "Mul", x, unary(c, "Tanh", unary(c, "Softplus", x)));
}

static struct pbitc_value *softplus(struct pass_case *c, struct pbitc_value *x)
{
    return unary(c, "Log", scaled(c, "Add", unary(c, "Exp", x), 1));
}

static struct pbitc_value *sigmoid(struct pass_case *c, struct pbitc_value *x)
{
    return unary(c, "Reciprocal", scaled(c, "Add", unary(c, "Exp", unary(c, "Neg", x)), 1));
}

static struct pbitc_value *relu(struct pass_case *c, struct pbitc_value *x)
{
    return scaled(c, "Max", x, 0);
}

static struct pbitc_value *leaky_relu(struct pass_case *c, struct pbitc_value *x)
{
    return binary(c, "Max", x, scaled(c, "Mul", x, 0.1f));
}

static struct pbitc_value *leaky_relu_by_where(struct pass_case *c, struct pbitc_value *x)
{
    return pass_node(c, "Where", scaled(c, "Greater", x, 0), x, scaled(c, "Mul", x, 0.1f));
}

static struct pbitc_value *softsign(struct pass_case *c, struct pbitc_value *x)
{
    return binary(c, "Div", x, scaled(c, "Add", unary(c, "Abs", x), 1));
}

static const struct {
    spelling *spell;
    const char *op;
} spellings[] = {
    {silu, "Swish"},
    {quick_gelu, "Swish"},
    {gelu_of_torch, "Gelu"},
    {gelu_of_tensorflow, "Gelu"},
    {gelu_by_tanh, "Gelu"},
    {relu6, "Clip"},
    {hard_swish, "HardSwish"},
    {hard_swish_by_hard_sigmoid, "HardSwish"},
    {mish, "Mish"},
    {hard_sigmoid, "HardSigmoid"},
    {softplus, "Softplus"},
    {sigmoid, "Sigmoid"},
    {relu, "Relu"},
    {leaky_relu, "LeakyRelu"},
    {gelu_of_new_torch, "Gelu"},
    {softsign, "Softsign"},
    {leaky_relu_by_where, "LeakyRelu"},
};
enum { SPELLINGS = sizeof(spellings) / sizeof(*spellings) };

/// Behind a convolution, and scaled afterwards: neither is part of the activation.
static struct pass_case *net_of(spelling *spell)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_conv(c, pass_input(c, SHAPE(1, 2, 4, 4)), SHAPE(3, 2, 3, 3), 1, 1);
    pass_output(c, scaled(c, "Mul", spell(c, x), 0.3f));
    return c;
}

START_TEST(spellings_are_recognized)
{
    for (int i = 0; i < SPELLINGS; i++) {
        struct pass_case *c = net_of(spellings[i].spell);
        ck_assert_msg(pass_preserves(c, "fuse-activations"), "spelling %d of %s", i, spellings[i].op);
        ck_assert_msg(pass_count(c, spellings[i].op) == 1, "spelling %d is not %s", i, spellings[i].op);
        ck_assert_ptr_eq(c->graph->first->next->next, c->graph->last);
        pass_case_destroy(c);
    }
}
END_TEST

START_TEST(gelu_and_its_approximation_are_told_apart)
{
    struct pass_case *c = net_of(gelu_by_tanh);
    ck_assert(pass_preserves(c, "fuse-activations"));
    ck_assert_str_eq(pbitc_node_string(pass_find(c, "Gelu"), "approximate", "none"), "tanh");
    pass_case_destroy(c);
    c = net_of(gelu_of_torch);
    ck_assert(pass_preserves(c, "fuse-activations"));
    ck_assert_str_eq(pbitc_node_string(pass_find(c, "Gelu"), "approximate", "none"), "none");
    pass_case_destroy(c);
}
END_TEST

/// What is inside has another reader, factors are not one number, or the function is none of ours.
START_TEST(what_is_no_activation_stays)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_input(c, SHAPE(1, 4)), *gate = unary(c, "Sigmoid", x);
    pass_output(c, binary(c, "Mul", x, gate));
    pass_output(c, gate);
    ck_assert(!pass_preserves(c, "fuse-activations"));
    pass_case_destroy(c);

    c = pass_case_create();
    x = pass_input(c, SHAPE(1, 4));
    pass_output(c, binary(c, "Mul", x, unary(c, "Sigmoid", binary(c, "Mul", x, pass_weights(c, SHAPE(4))))));
    ck_assert(!pass_preserves(c, "fuse-activations"));
    pass_case_destroy(c);

    c = pass_case_create();
    x = pass_input(c, SHAPE(1, 4));
    pass_output(c, binary(c, "Mul", x, unary(c, "Tanh", x)));
    pass_output(c, scaled(c, "Mul", x, 0.5f)); // Swish of slope 0
    pass_output(c, scaled(c, "Mul", x, 1));    // LeakyRelu of slope 1
    pass_output(c, unary(c, "Relu", scaled(c, "Add", x, 0.25f)));
    ck_assert(!pass_preserves(c, "fuse-activations"));
    pass_case_destroy(c);
}
END_TEST

/// `pbitc inspect` tells before the pass what will become of the nodes.
START_TEST(roles_follow_the_match)
{
    struct pass_case *c = net_of(gelu_of_new_torch);
    pass_infer(c);
    size_t neurons = 0, nothing = 0, integers = 0;
    PBITC_FOR_EACH_NODE(node, c->graph)
    {
        const char *reason;
        enum pbitc_role role = pbitc_node_role(c->graph, node, &reason);
        neurons += role == PBITC_ROLE_NEURON;
        nothing += role == PBITC_ROLE_NOTHING;
        integers += role == PBITC_ROLE_INTEGERS;
        ck_assert_ptr_null(reason);
    }
    ck_assert_uint_eq(neurons, 1);
    ck_assert_uint_eq(nothing, 4);
    ck_assert_uint_eq(integers, 2);
    pass_case_destroy(c);
}
END_TEST

PASS_MAIN("fuse-activations", spellings_are_recognized, gelu_and_its_approximation_are_told_apart,
          what_is_no_activation_stays, roles_follow_the_match)
