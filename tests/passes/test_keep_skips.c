// keep-skips: sums read the 8-bit value of an activation that layers read as draws.
#include "tests/passes/pass_case.h"

/// conv -> f -> (conv, skip) -> add -> f -> conv
static struct pass_case *residual(const char *function)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_conv(c, pass_input(c, SHAPE(1, 2, 5, 5)), SHAPE(4, 2, 3, 3), 1, 1), *y;
    x = pass_node(c, function, x, NULL, NULL);
    y = pass_node(c, "Add", pass_conv(c, x, SHAPE(4, 4, 3, 3), 1, 1), x, NULL);
    pass_output(c, pass_conv(c, pass_node(c, function, y, NULL, NULL), SHAPE(2, 4, 1, 1), 1, 0));
    return c;
}

START_TEST(a_skip_is_kept)
{
    struct pass_case *c = residual("Relu");
    ck_assert(pass_preserves(c, "keep-skips"));
    const struct pbitc_node *keeper = pass_find(c, "PBit"), *add = pass_find(c, "Add"),
                            *activation = pass_find(c, "Relu");
    ck_assert_str_eq(keeper->name, "keep Relu");
    ck_assert_str_eq(pbitc_node_string(keeper, "kind", ""), "exact");
    ck_assert_uint_eq(pass_count(c, "PBit"), 1);
    ck_assert_ptr_eq(add->inputs[1], keeper->outputs[0]);
    ck_assert_ptr_eq(activation->inputs[0], keeper->outputs[0]);
    ck_assert_ptr_eq(add->inputs[0]->producer->inputs[0], activation->outputs[0]);
    pass_case_destroy(c);
}
END_TEST

START_TEST(others_stay)
{
    struct pass_case *c = residual("Tanh"); // tanh(tanh(z)) is another function
    ck_assert(!pass_preserves(c, "keep-skips"));
    pass_case_destroy(c);
    c = pass_case_create();
    struct pbitc_value *x = pass_node(c, "Relu", pass_dense(c, pass_input(c, SHAPE(1, 4)), 4, 4), NULL, NULL);
    pass_output(c, pass_dense(c, x, 4, 2)); // no sum
    ck_assert(!pass_preserves(c, "keep-skips"));
    pass_case_destroy(c);
    c = pass_case_create();
    x = pass_node(c, "Relu", pass_dense(c, pass_input(c, SHAPE(1, 4)), 4, 4), NULL, NULL);
    pass_output(c, pass_node(c, "Add", x, pass_node(c, "Identity", x, NULL, NULL), NULL)); // no layer
    ck_assert(!pass_preserves(c, "keep-skips"));
    pass_case_destroy(c);
}
END_TEST

/// Mean squared distance of the output from the float network's, skips kept or not, mean over seeds.
static double error_with(bool kept)
{
    enum { IMAGES = 32, SEEDS = 8, DRAWS = 4 };
    pass_random_state = 5;
    struct pass_case *c = residual("Relu");
    pass_images(c, IMAGES, -1, 1);
    c->options.draws = DRAWS;
    pass_infer(c);
    size_t count;
    float *wanted = pass_evaluate(c, c->images, IMAGES, c->graph->outputs[0], NULL, &count);
    pass_infer(c);
    if (kept)
        pass_run(c, "keep-skips");
    pass_run(c, "calibrate");
    pass_run(c, "swap-activations");
    double sum = 0;
    for (uint32_t seed = 0; seed < SEEDS; seed++) {
        struct pbitc_sampling sampling = {.seed = seed, .draws = DRAWS};
        float *y = pass_evaluate(c, c->images, IMAGES, c->graph->outputs[0], &sampling, NULL);
        for (size_t i = 0; i < count; i++)
            sum += ((double)y[i] - wanted[i]) * ((double)y[i] - wanted[i]);
        free(y);
    }
    free(wanted);
    pass_case_destroy(c);
    return sum;
}

START_TEST(kept_skips_carry_less_noise)
{
    ck_assert_double_lt(error_with(true), 0.9 * error_with(false));
}
END_TEST

PASS_MAIN("keep-skips", a_skip_is_kept, others_stay, kept_skips_carry_less_noise)
