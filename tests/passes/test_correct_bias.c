// correct-bias: the mean of every layer's output is the float network's again.
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

START_TEST(means_come_back)
{
    struct pass_case *c = pass_case_create();
    c->options.weight_bits = 2;
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
    double before = mean_distance(c, wanted);
    pass_run(c, "correct-bias");
    ck_assert(c->changed);
    ck_assert_double_lt(mean_distance(c, wanted), before / 3);
    pass_run(c, "correct-bias");
    ck_assert(!c->changed);
    pass_case_destroy(c);
}
END_TEST

START_TEST(nothing_quantized_nothing_corrected)
{
    struct pass_case *c = pass_case_create();
    pass_output(c, pass_dense(c, pass_input(c, SHAPE(1, 4)), 4, 3));
    pass_infer(c);
    pass_images(c, IMAGES, -1, 1);
    pass_run(c, "calibrate");
    pass_run(c, "correct-bias");
    ck_assert(!c->changed);
    pass_case_destroy(c);
}
END_TEST

PASS_MAIN("correct-bias", means_come_back, nothing_quantized_nothing_corrected)
