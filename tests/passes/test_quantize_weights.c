// quantize-weights: integers in range, less error with more bits, and rounding that respects the inputs.
#include "passes/quantized.h"
#include "tests/passes/pass_case.h"

enum { IMAGES = 200, INPUTS = 70, HIDDEN = 20, OUTPUTS = 10, GROUP = 64 };

/// Images whose features depend on few hidden causes, as real ones do.
static void correlated_images(struct pass_case *c, size_t images, size_t elements)
{
    enum { CAUSES = 6 };
    pass_images(c, images, -1, 1);
    float *mixing = malloc(CAUSES * elements * sizeof(float));
    pass_fill(mixing, CAUSES * elements, -1, 1);
    for (size_t n = 0; n < images; n++) {
        float causes[CAUSES];
        pass_fill(causes, CAUSES, -1, 1);
        for (size_t i = 0; i < elements; i++) {
            float sum = 0.1f * c->images[n * elements + i];
            for (size_t k = 0; k < CAUSES; k++)
                sum += causes[k] * mixing[k * elements + i];
            c->images[n * elements + i] = sum;
        }
    }
    free(mixing);
}

/// x -> dense -> relu -> dense, up to swap-activations.
static struct pass_case *dense_net(void)
{
    pass_random_state = 7;
    struct pass_case *c = pass_case_create();
    c->options.draws = 16;
    struct pbitc_value *x = pass_dense(c, pass_input(c, SHAPE(1, INPUTS)), INPUTS, HIDDEN);
    pass_output(c, pass_dense(c, pass_node(c, "Relu", x, NULL, NULL), HIDDEN, OUTPUTS));
    pass_infer(c);
    correlated_images(c, IMAGES, INPUTS);
    pass_run(c, "calibrate");
    pass_run(c, "swap-activations");
    return c;
}

/// x -> conv (2 groups) -> tanh -> conv, up to swap-activations.
static struct pass_case *conv_net(void)
{
    pass_random_state = 7;
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_conv(c, pass_input(c, SHAPE(1, 4, 5, 5)), SHAPE(6, 2, 3, 3), 2, 1);
    pass_output(c, pass_conv(c, pass_node(c, "Tanh", x, NULL, NULL), SHAPE(3, 6, 3, 3), 1, 1));
    pass_infer(c);
    correlated_images(c, IMAGES, 100);
    pass_run(c, "calibrate");
    pass_run(c, "swap-activations");
    return c;
}

static double squared_error(const float *a, const float *b, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return sum / (double)count;
}

static bool widens;

/// Quantizes and returns the squared error of the output on the calibration images, p-bits giving their mean.
static double quantize(struct pass_case *c, int bits, int group)
{
    size_t count;
    c->options.weight_bits = bits;
    c->options.group = group;
    if (!widens)
        ck_assert(pbitc_leave_out(&c->options, pbitc_pass_find("widen-small")));
    // What the noise of draws asks for is no error of rounding.
    ck_assert(pbitc_leave_out(&c->options, pbitc_pass_find("refit-weights")));
    float *before = pass_evaluate(c, c->images, IMAGES, c->graph->outputs[0], NULL, &count);
    pass_infer(c);
    pass_run(c, "quantize-weights");
    ck_assert(c->changed);
    float *after = pass_evaluate(c, c->images, IMAGES, c->graph->outputs[0], NULL, NULL);
    double error = squared_error(before, after, count);
    free(before);
    free(after);
    pass_infer(c);
    pass_run(c, "quantize-weights");
    ck_assert(!c->changed);
    return error;
}

static void expect_in_range(const struct pbitc_node *layer, int bits, size_t group)
{
    const struct pbitc_quantized *q = layer->quantized;
    ck_assert_ptr_nonnull(q);
    ck_assert_int_eq(q->bits, bits);
    ck_assert_uint_eq(q->group, group < q->fan_in ? group : 0);
    ck_assert_int_eq(q->factors != NULL, q->group != 0);
    int least = bits == 1 ? -1 : -(1 << (bits - 1)), most = bits == 1 ? 1 : (1 << (bits - 1)) - 1;
    for (size_t i = 0; i < q->outputs * q->fan_in; i++) {
        ck_assert_int_ge(q->weights[i], least);
        ck_assert_int_le(q->weights[i], most);
        ck_assert(bits > 1 || q->weights[i] != 0);
    }
    for (size_t k = 0; k < q->outputs; k++)
        ck_assert(q->scale[k] > 0 && isfinite(q->scale[k]));
    size_t groups = q->group ? (q->fan_in + q->group - 1) / q->group : 0;
    for (size_t i = 0; i < q->outputs * groups; i++)
        ck_assert_uint_ge(q->factors[i], 1);
}

START_TEST(integers_fit_their_bits)
{
    static const int groups[] = {0, GROUP, 9};
    for (int bits = 1; bits <= 8; bits++)
        for (int g = 0; g < 3; g++)
            for (int conv = 0; conv <= 1; conv++) {
                struct pass_case *c = conv ? conv_net() : dense_net();
                quantize(c, bits, groups[g]);
                PBITC_FOR_EACH_NODE(node, c->graph)
                if (pbitc_is_linear_layer(node))
                    expect_in_range(node, bits, (size_t)groups[g]);
                pass_case_destroy(c);
            }
}
END_TEST

START_TEST(more_bits_less_error)
{
    for (int conv = 0; conv <= 1; conv++)
        for (int group = 0; group <= 9; group += 9) {
            double previous = INFINITY, first = 0;
            for (int bits = 1; bits <= 8; bits++) {
                struct pass_case *c = conv ? conv_net() : dense_net();
                double error = quantize(c, bits, group);
                // From 1 to 2 bits the levels are different in kind (-1, 1 against -2..1).
                if (bits > 2)
                    ck_assert_double_lt(error, previous);
                first = bits == 1 ? error : first;
                previous = error;
                pass_case_destroy(c);
            }
            ck_assert_double_lt(previous, first / 1000); // 2^-14 of the squares, with a margin
        }
}
END_TEST

START_TEST(the_rounded_layer_computes_what_the_integers_say)
{
    struct pass_case *c = dense_net();
    quantize(c, 4, 9);
    const struct pbitc_node *layer = pass_find(c, "Gemm"); // reads the input: one feature, one range
    const struct pbitc_quantized *q = layer->quantized;
    const struct pbitc_range *range = pbitc_find_range(&c->context, c->graph->inputs[0]);
    const float *rounded = layer->inputs[1]->constant->data;
    for (size_t k = 0; k < HIDDEN; k++)
        for (size_t i = 0; i < INPUTS; i++) {
            float width = range->high[i] - range->low[i];
            float weight =
                q->scale[k] * q->factors[k * ((INPUTS + 8) / 9) + i / 9] * q->weights[k * INPUTS + i];
            ck_assert_float_eq_tol(rounded[k * INPUTS + i] * width, weight, 1e-4f * fabsf(weight) + 1e-6f);
        }
    pass_case_destroy(c);
}
END_TEST

/// Squared error of the first layer's output, mean taken off, when weights become `rounded`.
static double output_error(const struct pass_case *c, const float *exact, const float *rounded)
{
    double sum = 0;
    for (size_t k = 0; k < HIDDEN; k++) {
        double first = 0, second = 0;
        for (size_t n = 0; n < IMAGES; n++) {
            double off = 0;
            for (size_t i = 0; i < INPUTS; i++)
                off += (double)(exact[k * INPUTS + i] - rounded[k * INPUTS + i]) * c->images[n * INPUTS + i];
            first += off;
            second += off * off;
        }
        sum += second / IMAGES - first / IMAGES * (first / IMAGES);
    }
    return sum;
}

START_TEST(compensated_rounding_beats_rounding_to_the_nearest)
{
    static float exact[HIDDEN * INPUTS], nearest[HIDDEN * INPUTS];
    for (int bits = 2; bits <= 6; bits++)
        for (int group = 0; group <= 9; group += 9) {
            struct pass_case *c = dense_net();
            struct pbitc_node *layer = pass_find(c, "Gemm");
            memcpy(exact, layer->inputs[1]->constant->data, sizeof(exact));
            quantize(c, bits, group);
            const struct pbitc_quantized *q = layer->quantized;
            const struct pbitc_range *range = pbitc_find_range(&c->context, c->graph->inputs[0]);
            for (size_t k = 0; k < HIDDEN; k++)
                for (size_t i = 0; i < INPUTS; i++) {
                    float step = q->scale[k] / (range->high[i] - range->low[i]);
                    step *= group ? q->factors[k * ((INPUTS + 8) / 9) + i / 9] : 1;
                    float level = rintf(exact[k * INPUTS + i] / step), most = (float)(1 << (bits - 1));
                    nearest[k * INPUTS + i] = step * fminf(fmaxf(level, -most), most - 1);
                }
            ck_assert_double_le(output_error(c, exact, layer->inputs[1]->constant->data),
                                output_error(c, exact, nearest));
            pass_case_destroy(c);
        }
}
END_TEST

START_TEST(few_bits_are_refined)
{
    static float exact[HIDDEN * INPUTS];
    for (int bits = 1; bits <= 3; bits++)
        for (int group = 0; group <= 9; group += 9) {
            double errors[2];
            for (int left_out = 0; left_out <= 1; left_out++) {
                struct pass_case *c = dense_net();
                struct pbitc_node *layer = pass_find(c, "Gemm");
                memcpy(exact, layer->inputs[1]->constant->data, sizeof(exact));
                if (left_out)
                    ck_assert(pbitc_leave_out(&c->options, pbitc_pass_find("refine-rounding")));
                quantize(c, bits, group);
                errors[left_out] = output_error(c, exact, layer->inputs[1]->constant->data);
                pass_case_destroy(c);
            }
            ck_assert_double_lt(errors[0], 0.9 * errors[1]);
        }
}
END_TEST

START_TEST(a_recipe_chooses_bits_and_group)
{
    struct pass_case *c = dense_net();
    struct pbitc_node *layer = pass_find(c, "Gemm");
    struct pbitc_layer_recipe recipe = {layer->name, 2, 10, -1, -1, -1, false};
    c->options.recipe = &recipe;
    c->options.recipe_count = 1;
    quantize(c, 8, 0);
    ck_assert(recipe.used);
    expect_in_range(layer, 2, 10);
    expect_in_range(c->graph->last, 8, 0);
    pass_case_destroy(c);
}
END_TEST

START_TEST(first_last_and_small_layers_have_four_bits_at_least)
{
    widens = true; // this test is a process of its own
    for (int bits = 2; bits <= 6; bits += 4) {
        struct pass_case *c = pass_case_create();
        struct pbitc_value *x = pass_dense(c, pass_input(c, SHAPE(1, INPUTS)), INPUTS, HIDDEN);
        x = pass_dense(c, pass_node(c, "Relu", x, NULL, NULL), HIDDEN, HIDDEN);
        x = pass_dense(c, pass_node(c, "Relu", x, NULL, NULL), HIDDEN, 1); // small
        x = pass_dense(c, pass_node(c, "Relu", x, NULL, NULL), 1, OUTPUTS);
        pass_output(c, pass_node(c, "Softmax", pass_node(c, "Identity", x, NULL, NULL), NULL, NULL));
        pass_infer(c);
        pass_images(c, IMAGES, -1, 1);
        pass_run(c, "calibrate");
        pass_run(c, "swap-activations");
        quantize(c, bits, 0);
        int layer = 0;
        PBITC_FOR_EACH_NODE(node, c->graph)
        if (pbitc_is_linear_layer(node))
            expect_in_range(node, layer++ == 1 || bits > 4 ? bits : 4, 0);
        ck_assert_int_eq(layer, 4);
        pass_case_destroy(c);
    }
}
END_TEST

START_TEST(a_row_of_zeros_stays_zero)
{
    struct pass_case *c = dense_net();
    memset(pass_find(c, "Gemm")->inputs[1]->constant->data, 0, INPUTS * sizeof(float));
    quantize(c, 4, 0);
    const struct pbitc_quantized *q = pass_find(c, "Gemm")->quantized;
    for (size_t i = 0; i < INPUTS; i++)
        ck_assert_int_eq(q->weights[i], 0);
    expect_in_range(pass_find(c, "Gemm"), 4, 0);
    pass_case_destroy(c);
}
END_TEST

PASS_MAIN("quantize-weights", integers_fit_their_bits, more_bits_less_error,
          the_rounded_layer_computes_what_the_integers_say,
          compensated_rounding_beats_rounding_to_the_nearest, few_bits_are_refined,
          a_recipe_chooses_bits_and_group, first_last_and_small_layers_have_four_bits_at_least,
          a_row_of_zeros_stays_zero)
