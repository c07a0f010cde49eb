// choose-noise: one amplitude for the noisy neurons whose recipe leaves it open.
#include "passes/calibration_run.h"
#include "tests/passes/pass_case.h"

enum { IMAGES = 48 };

static void run_passes(struct pass_case *c)
{
    pass_infer(c);
    pass_images(c, IMAGES, -1, 1);
    pass_run(c, "calibrate");
    pass_run(c, "swap-activations");
    pass_run(c, "quantize-weights");
    pass_run(c, "choose-noise");
}

static struct pass_case *prepare(enum pbitc_neuron kind, struct pbitc_layer_recipe *recipe)
{
    pass_random_state = 3;
    struct pass_case *c = pass_case_create();
    c->options.neuron = kind;
    c->options.weight_bits = 3;
    c->options.recipe = recipe;
    c->options.recipe_count = recipe ? 1 : 0;
    struct pbitc_value *x = pass_dense(c, pass_input(c, SHAPE(1, 8)), 8, 20);
    x = pass_dense(c, pass_node(c, "Sigmoid", x, NULL, NULL), 20, 20);
    pass_output(c, pass_dense(c, pass_node(c, "Tanh", x, NULL, NULL), 20, 4));
    run_passes(c);
    return c;
}

static struct pbitc_node *find_neuron(const struct pass_case *c, const char *name)
{
    PBITC_FOR_EACH_NODE(node, c->graph)
    if (pbitc_node_is(node, PBITC_OP_PBit) && (!name || strcmp(node->name, name) == 0))
        return node;
    return NULL;
}

/// With all neurons at this noise.
static double error_at(struct pass_case *c, float noise)
{
    double error;
    PBITC_FOR_EACH_NODE(node, c->graph)
    if (pbitc_node_is(node, PBITC_OP_PBit))
        ck_assert(pbitc_node_set_float(c->graph, node, "noise", noise));
    ck_assert_int_eq(pbitc_calibration_error(c->graph, &c->context, "test", IMAGES, 1, 8, &error), PBIT_OK);
    return error;
}

START_TEST(noise_is_the_largest_that_averages_away)
{
    struct pass_case *c = prepare(PBITC_NEURON_NOISY, NULL);
    float noise = pbitc_node_float(find_neuron(c, "Sigmoid"), "noise", -1);
    ck_assert_float_eq(pbitc_node_float(find_neuron(c, "Tanh"), "noise", -1), noise);
    ck_assert(noise >= 1.0f / PBITC_LEAST_NOISE && noise <= 1.0f / 8);
    pass_expect_idle(c, "choose-noise");
    double without = error_at(c, 0);
    ck_assert(error_at(c, noise) <= without || noise == 1.0f / PBITC_LEAST_NOISE);
    ck_assert(noise == 1.0f / 8 || error_at(c, 2 * noise) > without);
    pass_case_destroy(c);
}
END_TEST

/// What piles up at 0 only gets larger by noise.
START_TEST(values_at_an_end_of_the_range_take_the_least)
{
    pass_random_state = 3;
    struct pass_case *c = pass_case_create();
    c->options.neuron = PBITC_NEURON_NOISY;
    c->options.weight_bits = 8;
    struct pbitc_value *x = pass_dense(c, pass_input(c, SHAPE(1, 8)), 8, 40);
    pass_output(c, pass_dense(c, pass_node(c, "Relu", x, NULL, NULL), 40, 4));
    run_passes(c);
    ck_assert_float_le(pbitc_node_float(find_neuron(c, "Relu"), "noise", -1), 1.0f / 256);
    pass_case_destroy(c);
}
END_TEST

START_TEST(a_recipe_keeps_its_noise)
{
    struct pbitc_layer_recipe recipe = {"Tanh", -1, -1, -1, -1, 0.3f, false};
    struct pass_case *c = prepare(PBITC_NEURON_NOISY, &recipe);
    ck_assert_float_eq(pbitc_node_float(find_neuron(c, "Tanh"), "noise", -1), 0.3f);
    ck_assert_float_lt(pbitc_node_float(find_neuron(c, "Sigmoid"), "noise", -1), 0.3f);
    pass_expect_idle(c, "choose-noise");
    pass_case_destroy(c);
}
END_TEST

START_TEST(p_bits_and_exact_neurons_have_no_noise)
{
    static const enum pbitc_neuron kinds[] = {PBITC_NEURON_PBIT, PBITC_NEURON_EXACT};
    for (int i = 0; i < 2; i++) {
        struct pass_case *c = prepare(kinds[i], NULL);
        ck_assert(!c->changed);
        ck_assert_ptr_null(pbitc_node_attribute(find_neuron(c, NULL), "noise"));
        pass_case_destroy(c);
    }
}
END_TEST

PASS_MAIN("choose-noise", noise_is_the_largest_that_averages_away,
          values_at_an_end_of_the_range_take_the_least, a_recipe_keeps_its_noise,
          p_bits_and_exact_neurons_have_no_noise)
