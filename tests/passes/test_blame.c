// --blame: the layer that spoils the output stands first, with a hint.
#include "tests/passes/pass_case.h"

enum { IMAGES = 40 };

/// Dense 6 -> 16 -> 16 -> 4 with a Sigmoid and a Tanh; 8-bit weights, 64 draws. The talk goes to *text.
static struct pass_case *prepare(struct pbitc_layer_recipe *recipe, char **text)
{
    static size_t size;
    pass_random_state = 7;
    struct pass_case *c = pass_case_create();
    c->options.draws = 64;
    c->options.blame = true;
    c->options.recipe = recipe;
    c->options.recipe_count = recipe ? 1 : 0;
    c->options.talk = open_memstream(text, &size);
    struct pbitc_value *x = pass_dense(c, pass_input(c, SHAPE(1, 6)), 6, 16);
    x = pass_dense(c, pass_node(c, "Sigmoid", x, NULL, NULL), 16, 16);
    pass_output(c, pass_dense(c, pass_node(c, "Tanh", x, NULL, NULL), 16, 4));
    pass_images(c, IMAGES, -1, 1);
    return c;
}

/// Runs the pipeline and returns the first line about a layer.
static const struct pbitc_blame_line *find_worst(struct pass_case *c)
{
    ck_assert_int_eq(pbitc_pipeline_run(c->graph, &c->context), PBIT_OK);
    fclose(c->options.talk);
    const struct pbitc_blame_line *line = c->context.blame;
    while (line && strcmp(line->cause, "pass") == 0)
        line = line->next;
    ck_assert_ptr_nonnull(line);
    return line;
}

static void finish(struct pass_case *c, char *text)
{
    free(text);
    pass_case_destroy(c);
}

START_TEST(few_draws_are_blamed)
{
    struct pbitc_layer_recipe recipe = {"Tanh", -1, -1, -1, 1.0f / 32, -1, false};
    char *text = NULL;
    struct pass_case *c = prepare(&recipe, &text);
    const struct pbitc_blame_line *worst = find_worst(c);
    ck_assert_str_eq(worst->cause, "draws");
    ck_assert_str_eq(worst->name, "Tanh");
    ck_assert_str_eq(worst->hint, "\"draws\": 0.0625 halves it, \"neuron\": \"exact\" ends it");
    ck_assert_ptr_nonnull(strstr(text, "blame: draws   Tanh "));
    finish(c, text);
}
END_TEST

START_TEST(few_bits_are_blamed)
{
    char *text = NULL;
    struct pass_case *named = prepare(NULL, &text);
    const char *middle = named->graph->first->next->next->name; // the second Gemm
    struct pbitc_layer_recipe recipe = {middle, 2, -1, -1, -1, -1, false};
    fclose(named->options.talk);
    free(text);
    struct pass_case *c = prepare(&recipe, &text);
    const struct pbitc_blame_line *worst = find_worst(c);
    ck_assert_str_eq(worst->cause, "weights");
    ck_assert_str_eq(worst->name, middle);
    ck_assert_str_eq(worst->hint, "\"weights\": 4, or \"group\": 64");
    finish(c, text);
    pass_case_destroy(named);
}
END_TEST

START_TEST(every_layer_has_its_line_worst_first)
{
    char *text = NULL;
    struct pass_case *c = prepare(NULL, &text);
    double before = INFINITY;
    size_t layers = 0;
    for (const struct pbitc_blame_line *line = find_worst(c); line; line = line->next, layers++) {
        ck_assert(line->relative_error <= before);
        ck_assert(line->relative_error >= 0 && line->relative_error < 0.1);
        ck_assert(line->agreement >= 0.8 && line->agreement <= 1);
        before = line->relative_error;
    }
    ck_assert_uint_eq(layers, 5); // 3 of weights, 2 of draws
    const struct pbitc_blame_line *pass = c->context.blame;
    ck_assert_str_eq(pass->name, "fold-batchnorm");
    ck_assert(pass->relative_error < 1e-6 && pass->agreement == 1);
    finish(c, text);
}
END_TEST

START_TEST(blame_leaves_the_file_as_it_is)
{
    char *text[2];
    struct pass_case *c[2];
    for (int i = 0; i < 2; i++) {
        c[i] = prepare(NULL, &text[i]);
        c[i]->options.blame = i;
        ck_assert_int_eq(pbitc_pipeline_run(c[i]->graph, &c[i]->context), PBIT_OK);
        fclose(c[i]->options.talk);
    }
    ck_assert_uint_eq(c[0]->context.file_bytes, c[1]->context.file_bytes);
    ck_assert_mem_eq(c[0]->context.file, c[1]->context.file, c[0]->context.file_bytes);
    ck_assert_str_eq(text[0], "");
    for (int i = 0; i < 2; i++)
        finish(c[i], text[i]);
}
END_TEST

PASS_MAIN("blame", few_draws_are_blamed, few_bits_are_blamed, every_layer_has_its_line_worst_first,
          blame_leaves_the_file_as_it_is)
