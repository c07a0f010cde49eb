// choose-amplitude: one rho for the stratified p-bits whose recipe leaves it open.
#include "tests/passes/pass_case.h"

enum { IMAGES = 48 };

static struct pass_case *prepare(enum pbit_sampler sampler, struct pbitc_layer_recipe *recipe)
{
    pass_random_state = 3;
    struct pass_case *c = pass_case_create();
    c->options.sampler = sampler;
    c->options.recipe = recipe;
    c->options.recipe_count = recipe ? 1 : 0;
    struct pbitc_value *x = pass_dense(c, pass_input(c, SHAPE(1, 8)), 8, 20);
    x = pass_dense(c, pass_node(c, "Relu", x, NULL, NULL), 20, 20);
    pass_output(c, pass_dense(c, pass_node(c, "Tanh", x, NULL, NULL), 20, 4));
    pass_infer(c);
    pass_images(c, IMAGES, -1, 1);
    pass_run(c, "calibrate");
    pass_run(c, "swap-activations");
    pass_run(c, "quantize-weights");
    pass_run(c, "choose-amplitude");
    return c;
}

START_TEST(stratified_neurons_share_one_amplitude)
{
    struct pass_case *c = prepare(PBIT_SAMPLER_STRATIFIED, NULL);
    ck_assert(c->changed);
    float first = -1;
    PBITC_FOR_EACH_NODE(node, c->graph)
    {
        if (!pbitc_node_is(node, PBITC_OP_PBit))
            continue;
        float rho = pbitc_node_float(node, "rho", -1);
        ck_assert(rho > 0 && rho <= 1);
        ck_assert(first < 0 || rho == first);
        first = rho;
    }
    pass_expect_idle(c, "choose-amplitude");
    pass_case_destroy(c);
}
END_TEST

START_TEST(a_recipe_keeps_its_amplitude)
{
    struct pbitc_layer_recipe recipe = {"Tanh", -1, -1, -1, -1, 0.125f, false};
    struct pass_case *c = prepare(PBIT_SAMPLER_STRATIFIED, &recipe);
    ck_assert(c->changed);
    PBITC_FOR_EACH_NODE(node, c->graph)
    if (pbitc_node_is(node, PBITC_OP_PBit))
        ck_assert_int_eq(pbitc_node_float(node, "rho", -1) == 0.125f, strcmp(node->name, "Tanh") == 0);
    pass_expect_idle(c, "choose-amplitude");
    pass_case_destroy(c);
}
END_TEST

START_TEST(independent_draws_have_no_amplitude)
{
    struct pass_case *c = prepare(PBIT_SAMPLER_IID, NULL);
    ck_assert(!c->changed);
    PBITC_FOR_EACH_NODE(node, c->graph)
    ck_assert_ptr_null(pbitc_node_attribute(node, "rho"));
    pass_case_destroy(c);
}
END_TEST

PASS_MAIN("choose-amplitude", stratified_neurons_share_one_amplitude, a_recipe_keeps_its_amplitude,
          independent_draws_have_no_amplitude)
