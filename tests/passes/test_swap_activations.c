// swap-activations: every activation becomes a p-bit whose mean is the activation.
#include "passes/neuron_function.h"
#include "passes/node_role.h"
#include "tests/passes/pass_case.h"

enum { IMAGES = 40, CHANNELS = 3 };

static const struct {
    const char *op, *attribute, *text, *function;
    float value;
} functions[] = {
    {"Relu", NULL, NULL, "linear", 0},
    {"Sigmoid", NULL, NULL, "sigmoid", 0},
    {"Tanh", NULL, NULL, "tanh", 0},
    {"Sign", NULL, NULL, "sign", 0},
    {"HardSigmoid", NULL, NULL, "hard-sigmoid", 0},
    {"HardSigmoid", "alpha", NULL, "hard-sigmoid", 0.4f},
    {"LeakyRelu", NULL, NULL, "leaky-relu", 0},
    {"LeakyRelu", "alpha", NULL, "leaky-relu", 0.3f},
    {"Elu", NULL, NULL, "elu", 0},
    {"Elu", "alpha", NULL, "elu", 0.5f},
    {"Selu", NULL, NULL, "elu", 0},
    {"Celu", NULL, NULL, "celu", 0},
    {"Celu", "alpha", NULL, "celu", 0.5f},
    {"ThresholdedRelu", "alpha", NULL, "thresholded-relu", 0.25f},
    {"Softplus", NULL, NULL, "softplus", 0},
    {"Softsign", NULL, NULL, "softsign", 0},
    {"Gelu", NULL, NULL, "gelu", 0},
    {"Gelu", "approximate", "tanh", "gelu-tanh", 0},
    {"Swish", NULL, NULL, "silu", 0},
    {"Swish", "alpha", NULL, "silu", 1.7f},
    {"HardSwish", NULL, NULL, "hard-swish", 0},
    {"Mish", NULL, NULL, "mish", 0},
};
enum { FUNCTIONS = sizeof(functions) / sizeof(*functions) };

static struct pass_case *net_of(const char *op)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_conv(c, pass_input(c, SHAPE(1, 2, 4, 4)), SHAPE(CHANNELS, 2, 3, 3), 1, 1);
    pass_output(c, pass_node(c, op, x, NULL, NULL));
    return c;
}

static void finish(struct pass_case *c)
{
    pass_infer(c);
    pass_images(c, IMAGES, -1, 1);
    pass_run(c, "calibrate");
}

static float clip(float value, float low, float high)
{
    return fminf(fmaxf(value, low), high);
}

/// y before the swap, after it the mean, and the mean over T passes of one draw.
START_TEST(the_mean_is_the_activation)
{
    enum { T = 256 };
    for (int i = 0; i < FUNCTIONS; i++) {
        struct pass_case *c = net_of(functions[i].op);
        if (functions[i].text)
            ck_assert(pbitc_node_set_string(c->graph, c->node, functions[i].attribute, functions[i].text));
        else if (functions[i].attribute)
            ck_assert(pbitc_node_set_float(c->graph, c->node, functions[i].attribute, functions[i].value));
        finish(c);
        const struct pbitc_value *y = c->graph->outputs[0];
        const struct pbitc_range *range = pbitc_find_range(&c->context, y);
        size_t count;
        float *before = pass_evaluate(c, c->images, IMAGES, y, NULL, &count),
              *sum = calloc(count, sizeof(float));
        pass_infer(c);
        pass_run(c, "swap-activations");
        ck_assert(c->changed);
        ck_assert_uint_eq(pass_count(c, functions[i].op), 0);
        ck_assert_str_eq(pbitc_node_string(pass_find(c, "PBit"), "function", ""), functions[i].function);
        float *mean = pass_evaluate(c, c->images, IMAGES, y, NULL, NULL);
        for (uint32_t t = 0; t < T; t++) {
            struct pbitc_sampling sampling = {.seed = 3, .sample = t, .draws = 1};
            float *drawn = pass_evaluate(c, c->images, IMAGES, y, &sampling, NULL);
            for (size_t k = 0; k < count; k++)
                sum[k] += drawn[k];
            free(drawn);
        }
        for (size_t k = 0; k < count; k++) {
            size_t r = range->count == 1 ? 0 : k / 16 % CHANNELS;
            float width = range->high[r] - range->low[r];
            ck_assert_float_eq_tol(mean[k], clip(before[k], range->low[r], range->high[r]),
                                   1e-5f * width + 1e-6f);
            // Stratified: less than one of the T counts is left to chance.
            ck_assert_float_eq_tol(sum[k] / T, mean[k], 1.01f * width / T);
        }
        free(before);
        free(sum);
        free(mean);
        pass_infer(c);
        pass_run(c, "swap-activations");
        ck_assert(!c->changed);
        pass_case_destroy(c);
    }
}
END_TEST

START_TEST(falling_slopes_are_not_swapped_as_monotone)
{
    static const char *const names[] = {"LeakyRelu", "Elu", "Celu", "HardSigmoid", "ThresholdedRelu"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        struct pass_case *c = net_of(names[i]);
        struct pbitc_function function;
        ck_assert(pbitc_node_set_float(c->graph, c->node, "alpha", -0.5f));
        ck_assert(!pbitc_function_of_node(c->node, &function) || !function.activation->monotone);
        pass_case_destroy(c);
    }
}
END_TEST

START_TEST(inverses_are_right)
{
    static const char *const names[] = {"Sigmoid", "Tanh", "HardSigmoid", "LeakyRelu",
                                        "Elu",     "Selu", "Celu",        "Softplus"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        struct pass_case *c = net_of(names[i]);
        struct pbitc_function function;
        ck_assert(pbitc_function_of_node(c->node, &function));
        for (float z = -2; z <= 2; z += 0.25f) {
            double back = pbitc_function_inverse(&function, pbitc_function_value(&function, z), 100);
            ck_assert_double_eq_tol(pbitc_function_value(&function, (float)back),
                                    pbitc_function_value(&function, z), 1e-6);
            ck_assert_double_le(back, (double)z + 1e-3);
        }
        pass_case_destroy(c);
    }
}
END_TEST

/// One table for a layer: channels may not have slopes of their own, but a vector of equal ones is one slope.
START_TEST(prelu_needs_one_slope)
{
    for (int equal = 0; equal <= 1; equal++) {
        struct pass_case *c = pass_case_create();
        struct pbitc_value *x = pass_conv(c, pass_input(c, SHAPE(1, 2, 4, 4)), SHAPE(3, 2, 3, 3), 1, 1);
        struct pbitc_value *slopes = pass_weights(c, SHAPE(3, 1, 1));
        for (int i = 0; i < 3; i++)
            ((float *)slopes->constant->data)[i] = equal ? 0.25f : 0.1f * (float)i;
        pass_output(c, pass_node(c, "PRelu", x, slopes, NULL));
        pass_infer(c);
        struct pbitc_function function;
        const char *reason;
        ck_assert_int_eq(pbitc_function_of_node(c->node, &function), equal);
        enum pbitc_role role = pbitc_node_role(c->graph, c->node, &reason);
        ck_assert_int_eq(role, equal ? PBITC_ROLE_NEURON : PBITC_ROLE_REFUSED);
        ck_assert(equal ? !reason : strstr(reason, "slopes must be constants") != NULL);
        pass_case_destroy(c);
    }
}
END_TEST

START_TEST(every_neuron_draws_from_its_own_bank)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_conv(c, pass_input(c, SHAPE(1, 2, 4, 4)), SHAPE(3, 2, 3, 3), 1, 1);
    x = pass_conv(c, pass_node(c, "Relu", x, NULL, NULL), SHAPE(3, 3, 1, 1), 1, 0);
    x = pass_conv(c, x, SHAPE(3, 3, 1, 1), 1, 0); // a bottleneck before it
    pass_output(c, pass_node(c, "Tanh", x, NULL, NULL));
    pass_infer(c);
    pass_images(c, IMAGES, -1, 1);
    pass_run(c, "requantize");
    pass_run(c, "calibrate");
    pass_run(c, "swap-activations");
    int64_t layer = 0;
    PBITC_FOR_EACH_NODE(node, c->graph)
    if (pbitc_node_is(node, PBITC_OP_PBit))
        ck_assert_int_eq(pbitc_node_int(node, "layer", -1), layer++);
    ck_assert_int_eq(layer, 3);
    pass_case_destroy(c);
}
END_TEST

START_TEST(options_and_recipe_choose_the_kind)
{
    struct pbitc_layer_recipe recipe = {"Relu", -1, -1, PBITC_NEURON_PBIT, 2, 0.5f, false};
    for (int with = 0; with <= 1; with++) {
        struct pass_case *c = net_of("Relu");
        c->options.neuron = PBITC_NEURON_NOISY;
        c->options.sampler = PBIT_SAMPLER_IID;
        c->options.recipe = &recipe;
        c->options.recipe_count = (size_t)with;
        finish(c);
        pass_run(c, "swap-activations");
        const struct pbitc_node *pbit = pass_find(c, "PBit");
        ck_assert_str_eq(pbitc_node_string(pbit, "kind", ""), with ? "pbit" : "noisy");
        ck_assert_str_eq(pbitc_node_string(pbit, "sampler", ""), "iid");
        ck_assert(pbitc_node_float(pbit, "draws", 1) == (with ? 2 : 1));
        ck_assert(pbitc_node_float(pbit, "rho", 1) == (with ? 0.5f : 1));
        ck_assert_int_eq(recipe.used, with);
        pass_case_destroy(c);
    }
}
END_TEST

PASS_MAIN("swap-activations", the_mean_is_the_activation, falling_slopes_are_not_swapped_as_monotone,
          inverses_are_right, prelu_needs_one_slope, every_neuron_draws_from_its_own_bank,
          options_and_recipe_choose_the_kind)
