// refit-weights, a step of quantize-weights: a layer makes up for the errors of its inputs.
#include "passes/quantized.h"
#include "tests/passes/pass_case.h"

enum { INPUTS = 10, IMAGES = 256, HIDDEN = 24, OUTPUTS = 6, BITS = 3, DRAWS = 4 };

static struct pass_case *prepare(bool left_out)
{
    pass_random_state = 11;
    struct pass_case *c = pass_case_create();
    c->options.weight_bits = BITS;
    c->options.draws = DRAWS;
    if (left_out)
        ck_assert(pbitc_leave_out(&c->options, pbitc_pass_find("refit-weights")));
    struct pbitc_value *x = pass_dense(c, pass_input(c, SHAPE(1, INPUTS)), INPUTS, HIDDEN);
    x = pass_dense(c, pass_node(c, "Relu", x, NULL, NULL), HIDDEN, HIDDEN);
    pass_output(c, pass_dense(c, pass_node(c, "Relu", x, NULL, NULL), HIDDEN, OUTPUTS));
    pass_infer(c);
    pass_images(c, IMAGES, -1, 1);
    return c;
}

/// Mean squared distance from the float network's outputs, on other images than those of the calibration, as
/// a share of what those vary by.
static double output_error(bool left_out)
{
    struct pass_case *c = prepare(left_out);
    static float images[IMAGES * INPUTS];
    for (int i = 0; i < IMAGES * INPUTS; i++)
        images[i] = pass_random();
    float *x = pass_evaluate(c, images, IMAGES, c->graph->outputs[0], NULL, NULL);
    pass_infer(c);
    pass_run(c, "calibrate");
    pass_run(c, "swap-activations");
    pass_run(c, "quantize-weights");
    struct pbitc_sampling sampling = {.draws = DRAWS};
    float *y = pass_evaluate(c, images, IMAGES, c->graph->outputs[0], &sampling, NULL);
    double error = 0, variance = 0, mean[OUTPUTS] = {0};
    for (int i = 0; i < IMAGES * OUTPUTS; i++)
        mean[i % OUTPUTS] += x[i] / IMAGES;
    for (int i = 0; i < IMAGES * OUTPUTS; i++) {
        error += (x[i] - y[i]) * (x[i] - y[i]);
        variance += (x[i] - mean[i % OUTPUTS]) * (x[i] - mean[i % OUTPUTS]);
    }
    free(x);
    free(y);
    pass_case_destroy(c);
    return error / variance;
}

START_TEST(layers_make_up_for_those_before)
{
    ck_assert_double_lt(output_error(false), 0.9 * output_error(true));
}
END_TEST

START_TEST(scales_stay_those_of_the_rounded_weights)
{
    struct pass_case *c = prepare(false);
    pass_run(c, "calibrate");
    pass_run(c, "swap-activations");
    pass_run(c, "quantize-weights");
    const struct pbitc_node *layer = c->graph->last; // its inputs share a range per channel
    const struct pbitc_quantized *quantized = layer->quantized;
    size_t count;
    const float *high = pbitc_node_floats(layer->inputs[0]->producer, "high", &count);
    ck_assert_uint_eq(count, HIDDEN);
    const float *rounded = layer->inputs[1]->constant->data;
    for (size_t k = 0; k < OUTPUTS; k++)
        for (size_t i = 0; i < HIDDEN; i++) {
            float weight = quantized->scale[k] * quantized->weights[k * HIDDEN + i];
            ck_assert_float_eq_tol(rounded[k * HIDDEN + i] * high[i], weight, 1e-5f * fabsf(weight) + 1e-7f);
        }
    pass_case_destroy(c);
}
END_TEST

PASS_MAIN("refit-weights", layers_make_up_for_those_before, scales_stay_those_of_the_rounded_weights)
