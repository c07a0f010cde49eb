// allocate-bits: the bytes are kept to and used, bits go where they take few bytes and matter much, recipes
// keep theirs.
#include "passes/quantized.h"
#include "runtime/format.h"
#include "tests/passes/pass_case.h"

enum { IMAGES = 48, WIDE = 64, NARROW = 8, LAYERS = 4, LEAST = PBITC_LEAST_SHARED_BITS };

static const int64_t sizes[LAYERS + 1] = {8, WIDE, WIDE, NARROW, 4};

static double bytes_of_layer(size_t layer, int bits)
{
    return (double)sizes[layer + 1] * (double)pbit_weight_row_bytes((uint64_t)sizes[layer], (uint32_t)bits);
}

/// Bytes beyond LEAST bits that all layers take with so many.
static double bytes_alike(int bits)
{
    double sum = 0;
    for (size_t i = 0; i < LAYERS; i++)
        sum += bytes_of_layer(i, bits) - bytes_of_layer(i, LEAST);
    return sum;
}

/// Dense 8 -> WIDE -> WIDE -> NARROW -> 4, swapped.
static struct pass_case *prepare(double spare, struct pbitc_layer_recipe *recipe)
{
    static const char *const neurons[] = {"Relu", "Tanh", "Sigmoid"};
    pass_random_state = 3;
    struct pass_case *c = pass_case_create();
    c->options.draws = 8;
    c->options.weight_bits = LEAST;
    c->options.shares_bytes = spare >= 0;
    c->options.spare_bytes = spare;
    c->options.recipe = recipe;
    c->options.recipe_count = recipe ? 1 : 0;
    struct pbitc_value *x = pass_input(c, SHAPE(1, 8));
    for (size_t i = 0; i < LAYERS; i++) {
        x = pass_dense(c, x, sizes[i], sizes[i + 1]);
        if (i < LAYERS - 1)
            x = pass_node(c, neurons[i], x, NULL, NULL);
    }
    pass_output(c, x);
    pass_infer(c);
    pass_images(c, IMAGES, -1, 1);
    pass_run(c, "calibrate");
    pass_run(c, "swap-activations");
    return c;
}

/// After quantize-weights.
static void find_bits(struct pass_case *c, int *bits)
{
    size_t count = 0;
    PBITC_FOR_EACH_NODE(node, c->graph)
    if (node->quantized)
        bits[count++] = node->quantized->bits;
    ck_assert_uint_eq(count, LAYERS);
}

static double extra_bytes(const int *bits)
{
    double sum = 0;
    for (size_t i = 0; i < LAYERS; i++)
        sum += bytes_of_layer(i, bits[i]) - bytes_of_layer(i, LEAST);
    return sum;
}

START_TEST(the_bytes_are_used_and_kept_to)
{
    for (int alike = LEAST; alike <= 4; alike++) {
        double spare = bytes_alike(alike) + 100;
        int bits[LAYERS];
        struct pass_case *c = prepare(spare, NULL);
        pass_expect_idle(c, "allocate-bits"); // copies were rounded
        pass_run(c, "quantize-weights");
        find_bits(c, bits);
        ck_assert(extra_bytes(bits) <= spare);
        // What is left does not buy the widest layer one more bit.
        ck_assert(spare - extra_bytes(bits) < bytes_of_layer(1, 3) - bytes_of_layer(1, 2));
        for (size_t i = 0; i < LAYERS; i++)
            ck_assert(bits[i] >= bits[1] && bits[i] <= 8);
        ck_assert_int_gt(bits[3], bits[1]); // NARROW x 4 weights against WIDE x WIDE
        pass_case_destroy(c);
    }
}
END_TEST

/// Squared error of the outputs with p-bits that give their mean.
static double output_error(struct pass_case *c)
{
    float *wanted = pass_evaluate(c, c->images, IMAGES, c->graph->outputs[0], NULL, NULL);
    pass_run(c, "quantize-weights");
    double error = pass_squared_error(c, wanted, NULL);
    free(wanted);
    return error;
}

START_TEST(outputs_come_nearer_to_the_float_network)
{
    struct pass_case *uniform = prepare(-1, NULL), *shared = prepare(bytes_alike(3), NULL);
    uniform->options.weight_bits = 3;
    pbitc_leave_out(&uniform->options, pbitc_pass_find("widen-small"));
    pass_run(uniform, "allocate-bits");
    ck_assert_ptr_null(uniform->context.layer_choices);
    pass_run(shared, "allocate-bits");
    double before = output_error(uniform), after = output_error(shared);
    ck_assert_msg(after < before, "squared error %g with 3 bits, %g with shared ones", before, after);
    pass_case_destroy(uniform);
    pass_case_destroy(shared);
}
END_TEST

START_TEST(a_recipe_keeps_its_bits)
{
    struct pass_case *c = prepare(-1, NULL);
    const char *name = NULL;
    PBITC_FOR_EACH_NODE(node, c->graph)
    if (!name && pbitc_node_is(node, PBITC_OP_Gemm))
        name = node->name;
    struct pbitc_layer_recipe recipe = {name, 5, -1, -1, -1, -1, false};
    struct pass_case *fixed = prepare(bytes_alike(3), &recipe);
    int bits[LAYERS];
    pass_run(fixed, "allocate-bits");
    for (const struct pbitc_layer_choice *choice = fixed->context.layer_choices; choice;
         choice = choice->next) {
        ck_assert(strcmp(choice->node, name) != 0);
        ck_assert(choice->relative_error > 0 && choice->relative_error < 1);
    }
    pass_run(fixed, "quantize-weights");
    find_bits(fixed, bits);
    ck_assert_int_eq(bits[0], 5);
    pass_case_destroy(fixed);
    pass_case_destroy(c);
}
END_TEST

PASS_MAIN("allocate-bits", the_bytes_are_used_and_kept_to, outputs_come_nearer_to_the_float_network,
          a_recipe_keeps_its_bits)
