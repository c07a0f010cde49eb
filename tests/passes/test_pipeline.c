// The whole pipeline: what it refuses, how it bears a lack of memory, that it always does the same.
#include "tests/failing_allocator.h"
#include "tests/passes/pass_case.h"

enum { IMAGES = 6 };
/// Draws per synapse, where the default m is 1 or 4: what allocate-draws gives out.
static const double BUDGET = 4.6;
/// Beside weights of 2 bits: what allocate-bits gives out.
static const double SPARE_BYTES = 40;

/// conv, batch norm, pool, residual sum, average, dense: every pass has something to do.
static void build(struct pass_case *c)
{
    struct pbitc_value *x = pass_conv(c, pass_input(c, SHAPE(1, 2, 6, 6)), SHAPE(4, 2, 3, 3), 1, 1), *y;
    x = pass_node(c, "Mul", x, pass_weights(c, SHAPE(4, 1, 1)), NULL);
    x = pass_node(c, "Identity", pass_node(c, "Relu", x, NULL, NULL), NULL, NULL);
    x = pass_node(c, "MaxPool", x, NULL, NULL);
    INTS(c, "kernel_shape", 2, 2);
    INTS(c, "strides", 2, 2);
    y = pass_node(c, "Tanh", pass_conv(c, x, SHAPE(4, 4, 3, 3), 1, 1), NULL, NULL);
    x = pass_node(c, "Relu", pass_node(c, "Add", pass_conv(c, y, SHAPE(4, 4, 1, 1), 1, 0), x, NULL), NULL,
                  NULL);
    x = pass_node(c, "Flatten", pass_node(c, "GlobalAveragePool", x, NULL, NULL), NULL, NULL);
    pass_output(c, pass_node(c, "MatMul", x, pass_weights(c, SHAPE(4, 3)), NULL));
}

static struct pass_case *prepare(const struct pbitc_allocator *allocator)
{
    pass_random_state = 5;
    struct pass_case *c = pass_case_allocate(allocator);
    ck_assert_ptr_nonnull(c->graph);
    build(c);
    pass_images(c, IMAGES, -1, 1);
    return c;
}

START_TEST(the_same_text_and_bytes_every_time)
{
    char *text[2] = {NULL, NULL};
    uint8_t *bytes[2];
    size_t size[2], file_size[2];
    for (int i = 0; i < 2; i++) {
        struct pass_case *c = prepare(NULL);
        c->options.print_after = "all";
        c->options.threads = 1 + i;
        c->options.talk = open_memstream(&text[i], &size[i]);
        ck_assert_int_eq(pbitc_pipeline_run(c->graph, &c->context), PBIT_OK);
        fclose(c->options.talk);
        file_size[i] = c->context.file_bytes;
        bytes[i] = malloc(file_size[i]);
        memcpy(bytes[i], c->context.file, file_size[i]);
        pass_case_destroy(c);
    }
    ck_assert_str_eq(text[0], text[1]);
    ck_assert_uint_eq(file_size[0], file_size[1]);
    ck_assert_mem_eq(bytes[0], bytes[1], file_size[0]);
    size_t count;
    const struct pbitc_pass *passes = pbitc_passes(&count);
    for (size_t i = 0; i < count; i++)
        ck_assert(!passes[i].run || strstr(text[0], passes[i].name));
    for (int i = 0; i < 2; i++) {
        free(text[i]);
        free(bytes[i]);
    }
}
END_TEST

START_TEST(one_pass_is_printed_on_request)
{
    struct pass_case *c = prepare(NULL);
    char *text = NULL;
    size_t size;
    c->options.print_after = "fold-linear";
    c->options.talk = open_memstream(&text, &size);
    ck_assert_int_eq(pbitc_pipeline_run(c->graph, &c->context), PBIT_OK);
    fclose(c->options.talk);
    ck_assert_int_eq(strncmp(text, "; after fold-linear\ngraph ", 26), 0);
    ck_assert_ptr_null(strstr(text + 1, "; after"));
    ck_assert_ptr_null(strstr(text, "MatMul("));
    free(text);
    pass_case_destroy(c);
}
END_TEST

/// Budgets for all layers; allocate-bits leaves nothing to widen.
static struct pass_case *prepare_budgets(bool shares_bytes)
{
    struct pass_case *c = prepare(NULL);
    c->options.weight_bits = 3;
    c->options.draws = 4;
    c->options.budget.mean = BUDGET;
    c->options.shares_bytes = shares_bytes;
    c->options.spare_bytes = SPARE_BYTES;
    return c;
}

/// Every pass and step that can be left out changes the file, and a pass that is left out does not run.
START_TEST(what_is_left_out_is_missed)
{
    size_t count, size;
    const struct pbitc_pass *passes = pbitc_passes(&count);
    struct pass_case *complete[] = {prepare_budgets(false), prepare_budgets(true)};
    for (size_t i = 0; i < 2; i++)
        ck_assert_int_eq(pbitc_pipeline_run(complete[i]->graph, &complete[i]->context), PBIT_OK);
    for (size_t i = 0; i < count; i++) {
        bool shares_bytes = strcmp(passes[i].name, "allocate-bits") == 0;
        struct pass_case *all = complete[shares_bytes], *c = prepare_budgets(shares_bytes);
        char *text = NULL;
        c->options.print_after = "all";
        c->options.talk = open_memstream(&text, &size);
        ck_assert_int_eq(pbitc_leave_out(&c->options, &passes[i]), passes[i].optional);
        ck_assert_int_eq(pbitc_pipeline_run(c->graph, &c->context), PBIT_OK);
        fclose(c->options.talk);
        bool same = c->context.file_bytes == all->context.file_bytes &&
                    memcmp(c->context.file, all->context.file, all->context.file_bytes) == 0;
        ck_assert_msg(same == !passes[i].optional, "%s", passes[i].name);
        char *heading = malloc(strlen(passes[i].name) + 16);
        sprintf(heading, "; after %s\n", passes[i].name);
        ck_assert_msg(!strstr(text, heading) == (passes[i].optional || !passes[i].run), "%s", passes[i].name);
        free(heading);
        free(text);
        pass_case_destroy(c);
    }
    pass_case_destroy(complete[0]);
    pass_case_destroy(complete[1]);
}
END_TEST

START_TEST(every_failed_allocation_is_survived)
{
    size_t calls = 0;
    for (bool done = false; !done; calls++) {
        struct failing_allocator failing;
        failing_allocator_start(&failing, SIZE_MAX);
        struct pass_case *c = prepare(&failing.allocator);
        c->options.budget.mean = BUDGET;
        c->options.shares_bytes = true;
        c->options.spare_bytes = SPARE_BYTES;
        failing.calls_left = calls;
        enum pbit_status status = pbitc_pipeline_run(c->graph, &c->context);
        done = status == PBIT_OK;
        if (!done) {
            ck_assert_int_eq(status, PBIT_ERROR_MEMORY);
            ck_assert_uint_ge(pbitc_diagnostics_count(c->diagnostics), 1);
            ck_assert_ptr_null(c->context.file);
        }
        pass_case_destroy(c);
        ck_assert_uint_eq(failing.allocations, failing.releases);
    }
    ck_assert_uint_gt(calls, 10);
}
END_TEST

// ---- refusals

static void expect_problems(struct pass_case *c, size_t count)
{
    enum pbit_status status = pbitc_pipeline_run(c->graph, &c->context);
    if (pbitc_diagnostics_count(c->diagnostics) != count)
        pbitc_diagnostics_print(c->diagnostics, stderr);
    ck_assert_int_eq(status, PBIT_ERROR_UNSUPPORTED);
    ck_assert_uint_eq(pbitc_diagnostics_count(c->diagnostics), count);
    ck_assert_ptr_null(c->context.file);
    pass_case_destroy(c);
}

START_TEST(every_unsupported_operator_is_listed)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_dense(c, pass_input(c, SHAPE(1, 4)), 4, 4);
    x = pass_dense(c, pass_node(c, "Exp", x, NULL, NULL), 4, 4);
    x = pass_node(c, "PRelu", x, pass_weights(c, SHAPE(4)), NULL);
    pass_output(c, pass_dense(c, pass_node(c, "Shrink", x, NULL, NULL), 4, 4));
    pass_images(c, IMAGES, -1, 1);
    expect_problems(c, 3);
}
END_TEST

START_TEST(every_node_that_lower_cannot_place_is_listed)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_input(c, SHAPE(1, 2, 3, 4, 5)); // three spatial dimensions
    struct pbitc_value *w = pass_weights(c, SHAPE(3, 2, 1, 1, 1));
    pass_output(c, pass_node(c, "Relu", pass_node(c, "Conv", x, w, NULL), NULL, NULL));
    pass_images(c, IMAGES, -1, 1);
    ck_assert_int_eq(pbitc_pipeline_run(c->graph, &c->context), PBIT_ERROR_UNSUPPORTED);
    ck_assert_uint_ge(pbitc_diagnostics_count(c->diagnostics), 1);
    pass_case_destroy(c);
}
END_TEST

START_TEST(sums_and_products_of_values_are_listed)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_node(c, "Relu", pass_dense(c, pass_input(c, SHAPE(1, 4)), 4, 4), NULL, NULL);
    struct pbitc_value *a = pass_node(c, "Mul", pass_dense(c, x, 4, 4), pass_dense(c, x, 4, 4), NULL);
    struct pbitc_value *b = pass_node(c, "Sub", pass_dense(c, x, 4, 4), pass_dense(c, x, 4, 4), NULL);
    pass_output(c, a);
    pass_output(c, b);
    pass_images(c, IMAGES, -1, 1);
    ck_assert_int_eq(pbitc_pipeline_run(c->graph, &c->context), PBIT_ERROR_UNSUPPORTED);
    size_t named = 0;
    for (size_t i = 0; i < pbitc_diagnostics_count(c->diagnostics); i++) {
        const char *op = pbitc_diagnostics_get(c->diagnostics, i)->op;
        named += strcmp(op, "Mul") == 0 || strcmp(op, "Sub") == 0;
    }
    ck_assert_uint_eq(named, 2);
    pass_case_destroy(c);
}
END_TEST

/// Seen before any work, on a copy: the graph is as it was.
START_TEST(a_constant_that_no_layer_can_take_is_listed)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_conv(c, pass_input(c, SHAPE(1, 2, 5, 4)), SHAPE(3, 2, 3, 3), 1, 1);
    x = pass_node(c, "Mul", x, pass_weights(c, SHAPE(3, 1, 1)), NULL);
    pass_node(c, "Add", x, pass_weights(c, SHAPE(5, 4)), NULL);
    const char *name = c->node->name;
    pass_output(c, pass_node(c, "Relu", c->node->outputs[0], NULL, NULL));
    pass_infer(c);
    char *before = pass_text(c);
    ck_assert_int_eq(pbitc_check_convertible(c->graph, c->diagnostics), PBIT_ERROR_UNSUPPORTED);
    ck_assert_uint_eq(pbitc_diagnostics_count(c->diagnostics), 1);
    ck_assert_str_eq(pbitc_diagnostics_get(c->diagnostics, 0)->node, name);
    char *after = pass_text(c);
    ck_assert_str_eq(before, after);
    free(before);
    free(after);
    pass_case_destroy(c);
}
END_TEST

/// The one node that cannot be converted, of a graph that ends in `value`.
static void expect_the_problem(struct pass_case *c, struct pbitc_value *value, const char *op,
                               const char *phrase)
{
    pass_output(c, value);
    pass_infer(c);
    ck_assert_int_eq(pbitc_check_convertible(c->graph, c->diagnostics), PBIT_ERROR_UNSUPPORTED);
    ck_assert_uint_eq(pbitc_diagnostics_count(c->diagnostics), 1);
    const struct pbitc_problem *problem = pbitc_diagnostics_get(c->diagnostics, 0);
    ck_assert_str_eq(problem->op, op);
    ck_assert_msg(strstr(problem->message, phrase), "%s", problem->message);
    pass_case_destroy(c);
}

START_TEST(what_no_file_can_hold_is_known_before_any_work)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_dense(c, pass_input(c, SHAPE(1, 4)), 4, 3);
    expect_the_problem(c, pass_node(c, "ArgMax", x, NULL, NULL), "ArgMax", "picks the largest");
    c = pass_case_create();
    x = pass_dense(c, pass_input(c, SHAPE(1, 4)), 4, 3);
    pass_output(c, x);
    expect_the_problem(c, pass_node(c, "Softmax", x, NULL, NULL), "Softmax", "may read it or its input");
    c = pass_case_create();
    x = pass_node(c, "Relu", pass_conv(c, pass_input(c, SHAPE(1, 2, 4, 4)), SHAPE(3, 2, 1, 1), 1, 0), NULL,
                  NULL);
    x = pass_node(c, "Concat", x, x, NULL);
    ck_assert(pbitc_node_set_int(c->graph, c->node, "axis", 2));
    expect_the_problem(c, x, "Concat", "channels");
    c = pass_case_create();
    x = pass_node(c, "Conv", pass_input(c, SHAPE(1, 2, 3, 4, 5)), pass_weights(c, SHAPE(3, 2, 1, 1, 1)),
                  NULL);
    expect_the_problem(c, x, "Conv", "holds tensors");
    c = pass_case_create();
    x = pass_conv(c, pass_input(c, SHAPE(1, 2, 4, 4)), SHAPE(3, 2, 1, 1), 1, 0);
    expect_the_problem(c, pass_node(c, "Add", x, pass_node(c, "GlobalAveragePool", x, NULL, NULL), NULL),
                       "Add", "same shape");
    c = pass_case_create();
    x = pass_input(c, SHAPE(1, 4));
    x = pass_node(c, "Gemm", x, x, NULL);
    ck_assert(pbitc_node_set_int(c->graph, c->node, "transB", 1));
    expect_the_problem(c, x, "Gemm", "must be constants");
}
END_TEST

START_TEST(a_concat_of_different_draws_is_refused)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_input(c, SHAPE(1, 2, 5, 5));
    struct pbitc_value *sum = pass_conv(c, x, SHAPE(3, 2, 1, 1), 1, 0);
    struct pbitc_value *drawn = pass_node(c, "Relu", pass_conv(c, x, SHAPE(2, 2, 1, 1), 1, 0), NULL, NULL);
    struct pbitc_value *both = pass_node(c, "Concat", sum, drawn, NULL);
    ck_assert(pbitc_node_set_int(c->graph, c->node, "axis", 1));
    pass_output(c, pass_conv(c, both, SHAPE(2, 5, 1, 1), 1, 0));
    pass_images(c, IMAGES, -1, 1);
    ck_assert_int_eq(pbitc_pipeline_run(c->graph, &c->context), PBIT_ERROR_UNSUPPORTED);
    ck_assert_str_eq(pbitc_diagnostics_get(c->diagnostics, 0)->op, "Concat");
    pass_case_destroy(c);
}
END_TEST

START_TEST(two_inputs_are_refused)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_input(c, SHAPE(1, 4)), *y = pass_input(c, SHAPE(1, 4));
    pass_output(c, pass_node(c, "Add", pass_dense(c, x, 4, 3), pass_dense(c, y, 4, 3), NULL));
    pass_images(c, IMAGES, -1, 1);
    enum pbit_status status = pbitc_pipeline_run(c->graph, &c->context);
    ck_assert_int_eq(status, PBIT_ERROR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(pbitc_diagnostics_get(c->diagnostics, 0)->message, "2 inputs"));
    pass_case_destroy(c);
}
END_TEST

START_TEST(a_batch_above_one_is_listed_with_the_operators)
{
    for (int64_t batch = 1; batch <= 2; batch++) {
        struct pass_case *c = pass_case_create();
        struct pbitc_value *x = pass_input(c, SHAPE(batch, 4));
        x->dim_names[0] = NULL;
        pass_output(c, pass_node(c, "Exp", pass_dense(c, x, 4, 3), NULL, NULL));
        pass_images(c, IMAGES, -1, 1);
        expect_problems(c, (size_t)batch);
    }
}
END_TEST

START_TEST(weights_that_are_not_constant_are_refused)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_input(c, SHAPE(1, 4, 4));
    x->shape = SHAPE(1, 4);
    struct pbitc_value *h = pass_node(c, "Relu", pass_dense(c, x, 4, 16), NULL, NULL);
    const int64_t square[] = {4, 4};
    struct pbitc_value *w = pass_node(c, "Reshape", h, pass_list(c, square, 2), NULL);
    pass_output(c, pass_node(c, "MatMul", x, w, NULL));
    pass_images(c, IMAGES, -1, 1);
    ck_assert_int_ne(pbitc_pipeline_run(c->graph, &c->context), PBIT_OK);
    ck_assert_uint_ge(pbitc_diagnostics_count(c->diagnostics), 1);
    ck_assert_ptr_null(c->context.file);
    pass_case_destroy(c);
}
END_TEST

START_TEST(no_images_and_unknown_layers_are_refused)
{
    struct pass_case *c = prepare(NULL);
    c->calibration.images = 0;
    ck_assert_int_eq(pbitc_pipeline_run(c->graph, &c->context), PBIT_ERROR_FORMAT);
    pass_case_destroy(c);
    c = prepare(NULL);
    struct pbitc_layer_recipe recipe[] = {{"nobody", -1, -1, -1, -1, -1, false},
                                          {"no one", 4, -1, -1, -1, -1, false}};
    c->options.recipe = recipe;
    c->options.recipe_count = 2;
    expect_problems(c, 2);
}
END_TEST

START_TEST(more_draws_than_a_sum_can_hold_are_refused)
{
    // 40000 weights of 8 bits, times group factors, times 255 levels: beyond 2^31.
    enum { FAN_IN = 40000 };
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x =
        pass_node(c, "Relu", pass_dense(c, pass_input(c, SHAPE(1, 1)), 1, FAN_IN), NULL, NULL);
    pass_output(c, pass_dense(c, x, FAN_IN, 1));
    c->options.draws = 255;
    c->options.group = 64;
    pass_images(c, 2, -1, 1);
    ck_assert_int_eq(pbitc_pipeline_run(c->graph, &c->context), PBIT_ERROR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(pbitc_diagnostics_get(c->diagnostics, 0)->message, "can overflow"));
    pass_case_destroy(c);
}
END_TEST

static bool count_down(void *state, const char *stage, size_t done, size_t total)
{
    size_t *left = state;
    ck_assert_str_ne(stage, "");
    ck_assert_uint_le(done, total);
    return (*left)-- > 0;
}

START_TEST(a_request_to_stop_is_heard_at_every_step)
{
    size_t calls = 0;
    for (bool done = false; !done; calls++) {
        struct pass_case *c = prepare(NULL);
        size_t left = calls;
        c->context.progress = count_down;
        c->context.progress_state = &left;
        enum pbit_status status = pbitc_pipeline_run(c->graph, &c->context);
        done = status == PBIT_OK;
        ck_assert(done || status == PBIT_ERROR_STOPPED);
        ck_assert_int_eq(done, c->context.file != NULL);
        pass_case_destroy(c);
    }
    ck_assert_uint_gt(calls, 3); // calibration, quantization and the correction of each layer at least
}
END_TEST

PASS_MAIN("pipeline", the_same_text_and_bytes_every_time, one_pass_is_printed_on_request,
          what_is_left_out_is_missed, every_failed_allocation_is_survived,
          every_unsupported_operator_is_listed, every_node_that_lower_cannot_place_is_listed,
          sums_and_products_of_values_are_listed, a_constant_that_no_layer_can_take_is_listed,
          what_no_file_can_hold_is_known_before_any_work, a_concat_of_different_draws_is_refused,
          two_inputs_are_refused, a_batch_above_one_is_listed_with_the_operators,
          weights_that_are_not_constant_are_refused, no_images_and_unknown_layers_are_refused,
          more_draws_than_a_sum_can_hold_are_refused, a_request_to_stop_is_heard_at_every_step)
