// allocate-draws: the budget is kept to, draws go where they cost little and matter much, recipes and joined
// layers keep their draws.
#include "tests/passes/pass_case.h"

enum { IMAGES = 48, WIDE = 40, NARROW = 8, MEAN = 4 };

/// Dense 8 -> WIDE -> WIDE -> NARROW -> 4: "Relu" is read by WIDE * WIDE synapses, "Tanh" by WIDE * NARROW,
/// "Sigmoid" by NARROW * 4.
static struct pass_case *prepare(double budget, struct pbitc_layer_recipe *recipe)
{
    pass_random_state = 3;
    struct pass_case *c = pass_case_create();
    c->options.draws = MEAN;
    c->options.budget.mean = budget;
    c->options.recipe = recipe;
    c->options.recipe_count = recipe ? 1 : 0;
    struct pbitc_value *x = pass_dense(c, pass_input(c, SHAPE(1, 8)), 8, WIDE);
    x = pass_dense(c, pass_node(c, "Relu", x, NULL, NULL), WIDE, WIDE);
    x = pass_dense(c, pass_node(c, "Tanh", x, NULL, NULL), WIDE, NARROW);
    pass_output(c, pass_dense(c, pass_node(c, "Sigmoid", x, NULL, NULL), NARROW, 4));
    pass_infer(c);
    pass_images(c, IMAGES, -1, 1);
    return c;
}

static double draws_of(const struct pass_case *c, const char *node)
{
    return (double)pbitc_draw_factor(&c->context, node) * c->options.draws;
}

static double mean_draws(const struct pass_case *c)
{
    double relu = WIDE * WIDE, tanh = WIDE * NARROW, sigmoid = NARROW * 4;
    return (relu * draws_of(c, "Relu") + tanh * draws_of(c, "Tanh") + sigmoid * draws_of(c, "Sigmoid")) /
           (relu + tanh + sigmoid);
}

START_TEST(the_budget_is_used_and_kept_to)
{
    struct pass_case *c = prepare(MEAN, NULL);
    pass_expect_idle(c, "allocate-draws"); // it was a copy that got p-bits
    // What is left does not buy the widest layer one more draw.
    ck_assert(mean_draws(c) <= MEAN + 1e-6);
    ck_assert(mean_draws(c) > MEAN - 1);
    // Whole numbers of draws, and more of them where they are cheap.
    ck_assert(draws_of(c, "Relu") == floor(draws_of(c, "Relu")));
    ck_assert(draws_of(c, "Relu") >= MEAN / 2.0); // fewer were not measured
    ck_assert(draws_of(c, "Sigmoid") > draws_of(c, "Relu"));
    ck_assert(draws_of(c, "Sigmoid") <= 4 * MEAN);
    pass_case_destroy(c);
}
END_TEST

/// Squared error of the outputs, p-bits drawn, against the float network.
static double output_error(struct pass_case *c)
{
    float *wanted = pass_evaluate(c, c->images, IMAGES, c->graph->outputs[0], NULL, NULL);
    pass_run(c, "calibrate");
    pass_run(c, "swap-activations");
    double error = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct pbitc_sampling sampling = {seed, 0, 0, c->options.draws};
        error += pass_squared_error(c, wanted, &sampling);
    }
    free(wanted);
    return error;
}

START_TEST(outputs_come_nearer_to_the_float_network)
{
    struct pass_case *uniform = prepare(0, NULL), *shared = prepare(MEAN, NULL);
    pass_run(uniform, "allocate-draws");
    ck_assert_ptr_null(uniform->context.layer_choices); // no budget, nothing to share out
    pass_run(shared, "allocate-draws");
    double before = output_error(uniform), after = output_error(shared);
    ck_assert_msg(after < before, "squared error %g with uniform draws, %g with shared ones", before, after);
    pass_case_destroy(uniform);
    pass_case_destroy(shared);
}
END_TEST

START_TEST(a_recipe_keeps_its_draws)
{
    struct pbitc_layer_recipe recipe = {"Tanh", -1, -1, -1, 2.5f, -1, false};
    struct pass_case *c = prepare(1.15 * MEAN, &recipe);
    pass_run(c, "allocate-draws");
    ck_assert(draws_of(c, "Tanh") == 2.5 * MEAN);
    ck_assert(draws_of(c, "Sigmoid") > draws_of(c, "Relu"));
    pass_case_destroy(c);
}
END_TEST

enum { DEAR = 1000, SPARE = DEAR + DEAR / 2 };

/// Draws of "Sigmoid" are dear, those of the others next to nothing.
static double price_by_name(const void *state, const char *layer, uint32_t draws)
{
    (void)state;
    double price = strcmp(layer, "Sigmoid") == 0                              ? DEAR
                   : strcmp(layer, "Relu") == 0 || strcmp(layer, "Tanh") == 0 ? 1
                                                                              : 0;
    return price * draws;
}

START_TEST(draws_follow_their_price)
{
    struct pass_case *c = prepare(MEAN, NULL);
    c->options.budget.price = price_by_name;
    pass_run(c, "allocate-draws");
    double spent = DEAR * draws_of(c, "Sigmoid") + draws_of(c, "Relu") + draws_of(c, "Tanh");
    ck_assert(spent <= (DEAR + 2) * MEAN + 1e-3);
    ck_assert(draws_of(c, "Relu") > MEAN);
    ck_assert(draws_of(c, "Tanh") > MEAN);
    pass_case_destroy(c);
}
END_TEST

START_TEST(what_is_spare_is_spent_and_no_more)
{
    struct pass_case *c = prepare(MEAN, NULL);
    c->options.budget.price = price_by_name;
    c->options.budget.spare = SPARE;
    pass_run(c, "allocate-draws");
    double spent = DEAR * draws_of(c, "Sigmoid") + draws_of(c, "Relu") + draws_of(c, "Tanh");
    ck_assert(spent <= (DEAR + 2) * MEAN + SPARE + 1e-3);
    ck_assert(draws_of(c, "Sigmoid") > MEAN);
    pass_case_destroy(c);
}
END_TEST

START_TEST(errors_that_are_expected_fall_with_the_budget)
{
    double before = 1e9;
    for (int times = 1; times <= 4; times *= 2) {
        struct pass_case *c = prepare(times * MEAN, NULL);
        pass_run(c, "allocate-draws");
        double sum = 0;
        for (const struct pbitc_layer_choice *draws = c->context.layer_choices; draws; draws = draws->next) {
            ck_assert(draws->relative_error > 0 && draws->relative_error < 1);
            sum += draws->relative_error * draws->relative_error;
        }
        ck_assert(sum < before);
        before = sum;
        pass_case_destroy(c);
    }
}
END_TEST

START_TEST(layers_that_a_concat_joins_draw_alike)
{
    pass_random_state = 3;
    struct pass_case *c = pass_case_create();
    c->options.draws = MEAN;
    c->options.budget.mean = 1.15 * MEAN;
    struct pbitc_value *x = pass_input(c, SHAPE(1, 2, 6, 6));
    struct pbitc_value *a = pass_node(c, "Relu", pass_conv(c, x, SHAPE(3, 2, 3, 3), 1, 1), NULL, NULL);
    struct pbitc_value *b = pass_node(c, "Sigmoid", pass_conv(c, x, SHAPE(2, 2, 3, 3), 1, 1), NULL, NULL);
    struct pbitc_value *both = pass_node(c, "Concat", a, b, NULL);
    ck_assert(pbitc_node_set_int(c->graph, c->node, "axis", 1));
    both = pass_node(c, "MaxPool", both, NULL, NULL);
    INTS(c, "kernel_shape", 2, 2);
    INTS(c, "strides", 2, 2);
    x = pass_node(c, "Tanh", pass_conv(c, both, SHAPE(4, 5, 3, 3), 1, 1), NULL, NULL);
    x = pass_node(c, "Flatten", x, NULL, NULL);
    pass_output(c, pass_dense(c, x, 36, 3));
    pass_infer(c);
    pass_images(c, IMAGES, -1, 1);
    pass_run(c, "allocate-draws");
    ck_assert(draws_of(c, "Relu") == draws_of(c, "Sigmoid"));
    ck_assert(draws_of(c, "Tanh") > draws_of(c, "Relu")); // 108 synapses against 1620
    pass_case_destroy(c);
}
END_TEST

PASS_MAIN("allocate-draws", the_budget_is_used_and_kept_to, outputs_come_nearer_to_the_float_network,
          a_recipe_keeps_its_draws, draws_follow_their_price, what_is_spare_is_spent_and_no_more,
          errors_that_are_expected_fall_with_the_budget, layers_that_a_concat_joins_draw_alike)
