// match-gains, a step of quantize-weights: each output channel of the p-bit network follows the float
// network's with slope 1.
#include "passes/quantized.h"
#include "tests/passes/pass_case.h"

enum { IMAGES = 256, HIDDEN = 24, OUTPUTS = 6, BITS = 3, DRAWS = 4 };

static struct pass_case *prepare(bool left_out)
{
    pass_random_state = 11;
    struct pass_case *c = pass_case_create();
    c->options.weight_bits = BITS;
    c->options.draws = DRAWS;
    if (left_out)
        ck_assert(pbitc_leave_out(&c->options, pbitc_pass_find("match-gains")));
    struct pbitc_value *x = pass_dense(c, pass_input(c, SHAPE(1, 10)), 10, HIDDEN);
    x = pass_dense(c, pass_node(c, "Relu", x, NULL, NULL), HIDDEN, HIDDEN);
    pass_output(c, pass_dense(c, pass_node(c, "Relu", x, NULL, NULL), HIDDEN, OUTPUTS));
    pass_infer(c);
    pass_images(c, IMAGES, -1, 1);
    return c;
}

/// Largest distance from 1 of the slope of an output channel against the float network's, on the calibration
/// images.
static double worst_slope(bool left_out)
{
    struct pass_case *c = prepare(left_out);
    float *x = pass_evaluate(c, c->images, IMAGES, c->graph->outputs[0], NULL, NULL);
    pass_infer(c);
    pass_run(c, "calibrate");
    pass_run(c, "swap-activations");
    pass_run(c, "quantize-weights");
    struct pbitc_sampling sampling = {.draws = DRAWS};
    float *y = pass_evaluate(c, c->images, IMAGES, c->graph->outputs[0], &sampling, NULL);
    double worst = 0;
    for (size_t k = 0; k < OUTPUTS; k++) {
        double mean_x = 0, mean_y = 0, xx = 0, xy = 0;
        for (size_t n = 0; n < IMAGES; n++) {
            mean_x += x[n * OUTPUTS + k] / IMAGES;
            mean_y += y[n * OUTPUTS + k] / IMAGES;
        }
        for (size_t n = 0; n < IMAGES; n++) {
            xx += (x[n * OUTPUTS + k] - mean_x) * (x[n * OUTPUTS + k] - mean_x);
            xy += (x[n * OUTPUTS + k] - mean_x) * (y[n * OUTPUTS + k] - mean_y);
        }
        worst = fmax(worst, fabs(xy / xx - 1));
    }
    free(x);
    free(y);
    pass_case_destroy(c);
    return worst;
}

START_TEST(slopes_become_one)
{
    ck_assert_double_gt(worst_slope(true), 0.1);
    ck_assert_double_lt(worst_slope(false), 1e-3);
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

PASS_MAIN("match-gains", slopes_become_one, scales_stay_those_of_the_rounded_weights)
