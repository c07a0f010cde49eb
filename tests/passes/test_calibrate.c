// calibrate: the ranges of neurons, outputs and inputs.
#include "tests/passes/pass_case.h"

enum { IMAGES = 100, CHANNELS = 4 };

static struct pbitc_value *conv(struct pass_case *c)
{
    return pass_conv(c, pass_input(c, SHAPE(1, 2, 5, 5)), SHAPE(CHANNELS, 2, 3, 3), 1, 1);
}

/// conv -> activation -> dense, calibrated; the range of the activation.
static const struct pbitc_range *calibrated(struct pass_case *c, struct pbitc_value *activated)
{
    pass_output(c, pass_dense(c, pass_node(c, "Flatten", activated, NULL, NULL), 25 * CHANNELS, 3));
    pass_infer(c);
    pass_images(c, IMAGES, -2, 2);
    ck_assert(pass_check(c, "calibrate", 0, 3));
    const struct pbitc_range *range = pbitc_find_range(&c->context, activated);
    ck_assert_ptr_nonnull(range);
    for (size_t i = 0; i < range->count; i++) {
        ck_assert(isfinite(range->low[i]) && isfinite(range->high[i]));
        ck_assert(range->low[i] < range->high[i] && range->low[i] <= 0);
    }
    return range;
}

START_TEST(ranges_hold_what_relu_gives)
{
    struct pass_case *c = pass_case_create();
    c->options.neuron = PBITC_NEURON_EXACT; // 255 levels: nothing gained by clipping much
    struct pbitc_value *y = pass_node(c, "Relu", conv(c), NULL, NULL);
    const struct pbitc_range *range = calibrated(c, y);
    ck_assert_uint_eq(range->count, CHANNELS);
    size_t outside = 0, count;
    float *values = pass_evaluate(c, c->images, IMAGES, y, NULL, &count);
    for (size_t i = 0; i < count; i++) {
        size_t channel = i / 25 % CHANNELS;
        ck_assert(range->low[channel] == 0);
        outside += values[i] > range->high[channel];
    }
    ck_assert_uint_lt(outside, count / 50);
    for (size_t channel = 0; channel < CHANNELS; channel++) {
        float largest = 0;
        for (size_t i = 0; i < count; i++)
            if (i / 25 % CHANNELS == channel)
                largest = fmaxf(largest, values[i]);
        ck_assert_float_le(range->high[channel], largest);
    }
    free(values);
    pass_case_destroy(c);
}
END_TEST

START_TEST(fewer_draws_take_a_narrower_range)
{
    float widths[2];
    for (int i = 0; i < 2; i++) {
        pass_random_state = 99;
        struct pass_case *c = pass_case_create();
        c->options.draws = i ? 64 : 1;
        const struct pbitc_range *range = calibrated(c, pass_node(c, "Relu", conv(c), NULL, NULL));
        widths[i] = range->high[0];
        pass_case_destroy(c);
    }
    ck_assert_float_lt(widths[0], widths[1]);
}
END_TEST

START_TEST(a_dead_channel_gets_a_range)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = conv(c);
    memset(c->node->inputs[1]->constant->data, 0, 18 * sizeof(float));
    ((float *)c->node->inputs[2]->constant->data)[0] = -1;
    const struct pbitc_range *range = calibrated(c, pass_node(c, "Relu", x, NULL, NULL));
    ck_assert(range->low[0] == 0);
    ck_assert_float_gt(range->high[0], 0.001f);
    pass_case_destroy(c);
}
END_TEST

START_TEST(zero_lies_on_the_zero_point_grid)
{
    static const char *const names[] = {"LeakyRelu", "Elu", "Gelu", "HardSwish", "Swish", "Mish"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        struct pass_case *c = pass_case_create();
        const struct pbitc_range *range = calibrated(c, pass_node(c, names[i], conv(c), NULL, NULL));
        ck_assert_uint_eq(range->count, 1); // a table is shared by all channels
        double zero = -256.0 * range->low[0] / ((double)range->high[0] - range->low[0]);
        ck_assert_double_eq_tol(zero, round(zero), 1e-3);
        ck_assert_double_gt(zero, 0.5);
        pass_case_destroy(c);
    }
}
END_TEST

START_TEST(bounded_functions_keep_their_bounds)
{
    static const struct {
        const char *name;
        float low, high;
    } cases[] = {{"Sigmoid", 0, 1}, {"Tanh", -1, 1}, {"HardSigmoid", 0, 1}, {"Sign", -1, 1}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct pass_case *c = pass_case_create();
        const struct pbitc_range *range = calibrated(c, pass_node(c, cases[i].name, conv(c), NULL, NULL));
        ck_assert(range->low[0] == cases[i].low && range->high[0] == cases[i].high);
        pass_case_destroy(c);
    }
}
END_TEST

START_TEST(clip_stays_inside_its_bounds)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *low = pass_floats(c, (struct pbitc_shape){.rank = 0}, 0, 0);
    struct pbitc_value *high = pass_floats(c, (struct pbitc_shape){.rank = 0}, 1, 1);
    const struct pbitc_range *range = calibrated(c, pass_node(c, "Clip", conv(c), low, high));
    for (size_t i = 0; i < range->count; i++)
        ck_assert(range->low[i] == 0 && range->high[i] <= 1);
    pass_case_destroy(c);
}
END_TEST

START_TEST(outputs_and_inputs_have_their_extremes)
{
    struct pass_case *c = pass_case_create();
    calibrated(c, pass_node(c, "Relu", conv(c), NULL, NULL));
    const struct pbitc_value *watched[] = {c->graph->outputs[0], c->graph->inputs[0]};
    for (int i = 0; i < 2; i++) {
        const struct pbitc_range *range = pbitc_find_range(&c->context, watched[i]);
        size_t count;
        float *values = pass_evaluate(c, c->images, IMAGES, watched[i], NULL, &count);
        size_t pixels = count / IMAGES / range->count;
        for (size_t k = 0; k < count; k++)
            ck_assert(values[k] >= range->low[k / pixels % range->count] &&
                      values[k] <= range->high[k / pixels % range->count]);
        free(values);
    }
    pass_case_destroy(c);
}
END_TEST

START_TEST(an_input_of_pixels_needs_no_range)
{
    static const float offset = -2, step = 4 / 255.0f;
    struct pass_case *c = pass_case_create();
    pass_output(c, pass_dense(c, pass_node(c, "Flatten", conv(c), NULL, NULL), 25 * CHANNELS, 3));
    pass_infer(c);
    pass_images(c, IMAGES, -2, 2);
    c->calibration.channels = 1;
    c->calibration.pixel_offset = &offset;
    c->calibration.pixel_step = &step;
    pass_run(c, "calibrate");
    ck_assert_ptr_null(pbitc_find_range(&c->context, c->graph->inputs[0]));
    ck_assert_ptr_nonnull(pbitc_find_range(&c->context, c->graph->outputs[0]));
    pass_case_destroy(c);
}
END_TEST

START_TEST(a_requantizer_gets_its_range_as_attributes)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = conv(c);
    pass_output(c, pass_conv(c, x, SHAPE(2, CHANNELS, 1, 1), 1, 0));
    pass_infer(c);
    pass_images(c, IMAGES, -2, 2);
    pass_run(c, "requantize");
    pass_run(c, "calibrate");
    size_t low, high;
    ck_assert_ptr_nonnull(pbitc_node_floats(pass_find(c, "PBit"), "low", &low));
    ck_assert_ptr_nonnull(pbitc_node_floats(pass_find(c, "PBit"), "high", &high));
    ck_assert_uint_eq(low, CHANNELS);
    ck_assert_uint_eq(high, CHANNELS);
    pass_case_destroy(c);
}
END_TEST

static bool refuse_to_go_on(void *state, const char *stage, size_t done, size_t total)
{
    (void)state, (void)stage, (void)total;
    return done == 0;
}

START_TEST(a_request_to_stop_is_heard)
{
    struct pass_case *c = pass_case_create();
    pass_output(c, pass_node(c, "Relu", conv(c), NULL, NULL));
    pass_infer(c);
    pass_images(c, IMAGES, -2, 2);
    c->context.progress = refuse_to_go_on;
    ck_assert_int_eq(pbitc_pass_run(pbitc_pass_find("calibrate"), c->graph, &c->context, &c->changed),
                     PBIT_ERROR_STOPPED);
    pass_case_destroy(c);
}
END_TEST

PASS_MAIN("calibrate", ranges_hold_what_relu_gives, fewer_draws_take_a_narrower_range,
          a_dead_channel_gets_a_range, zero_lies_on_the_zero_point_grid, bounded_functions_keep_their_bounds,
          clip_stays_inside_its_bounds, outputs_and_inputs_have_their_extremes,
          an_input_of_pixels_needs_no_range, a_requantizer_gets_its_range_as_attributes,
          a_request_to_stop_is_heard)
