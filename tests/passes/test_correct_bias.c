// correct-bias, a step of quantize-weights: the mean of every layer's output is the float network's again.
#include "passes/quantized.h"
#include "tests/passes/pass_case.h"

enum { IMAGES = 64, HIDDEN = 24, OUTPUTS = 6 };

/// Distance of the outputs' means, over the calibration images, from `wanted`.
static double mean_distance(struct pass_case *c, const double *wanted)
{
    double sum[OUTPUTS] = {0}, distance = 0;
    enum { PASSES = 16 };
    for (uint32_t t = 0; t < PASSES; t++) {
        struct pbitc_sampling sampling = {.seed = 1, .sample = t, .draws = c->options.draws};
        float *y = pass_evaluate(c, c->images, IMAGES, c->graph->outputs[0], &sampling, NULL);
        for (size_t i = 0; i < IMAGES * OUTPUTS; i++)
            sum[i % OUTPUTS] += (double)y[i] / (IMAGES * PASSES);
        free(y);
    }
    for (size_t k = 0; k < OUTPUTS; k++)
        distance += fabs(sum[k] - wanted[k]);
    pass_infer(c);
    return distance;
}

/// x -> dense -> relu -> dense -> relu -> dense, quantized to 2 bits with or without the step.
static double distance_after(bool left_out)
{
    pass_random_state = 11;
    struct pass_case *c = pass_case_create();
    c->options.weight_bits = 2;
    if (left_out)
        ck_assert(pbitc_leave_out(&c->options, pbitc_pass_find("correct-bias")));
    struct pbitc_value *x = pass_dense(c, pass_input(c, SHAPE(1, 10)), 10, HIDDEN);
    x = pass_dense(c, pass_node(c, "Relu", x, NULL, NULL), HIDDEN, HIDDEN);
    pass_output(c, pass_dense(c, pass_node(c, "Relu", x, NULL, NULL), HIDDEN, OUTPUTS));
    pass_infer(c);
    pass_images(c, IMAGES, -1, 1);
    double wanted[OUTPUTS] = {0};
    float *y = pass_evaluate(c, c->images, IMAGES, c->graph->outputs[0], NULL, NULL);
    for (size_t i = 0; i < IMAGES * OUTPUTS; i++)
        wanted[i % OUTPUTS] += (double)y[i] / IMAGES;
    free(y);
    pass_infer(c);
    pass_run(c, "calibrate");
    pass_run(c, "swap-activations");
    pass_run(c, "quantize-weights");
    ck_assert(c->changed);
    double distance = mean_distance(c, wanted);
    pass_case_destroy(c);
    return distance;
}

START_TEST(means_come_back)
{
    ck_assert_double_lt(distance_after(false), distance_after(true) / 3);
}
END_TEST

PASS_MAIN("correct-bias", means_come_back)
