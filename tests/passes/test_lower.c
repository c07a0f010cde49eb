// lower: libpbit runs the file as the interpreter runs the graph, draw by draw.
#include "tests/passes/pass_case.h"

enum { IMAGES = 24, SAMPLES = 16, DRAWS = 4 };

static const float pixel_offset = -1, pixel_step = 2 / 255.0f;

typedef struct pbitc_value *build_function(struct pass_case *c);

static struct pbitc_value *unary(struct pass_case *c, const char *op, struct pbitc_value *x)
{
    return pass_node(c, op, x, NULL, NULL);
}

static struct pbitc_value *flat_dense(struct pass_case *c, struct pbitc_value *x, int64_t inputs)
{
    return pass_dense(c, unary(c, "Flatten", x), inputs, 5);
}

static struct pbitc_value *dense_relu(struct pass_case *c)
{
    struct pbitc_value *x = pass_dense(c, pass_input(c, SHAPE(1, 12)), 12, 16);
    return pass_dense(c, unary(c, "Relu", x), 16, 5);
}

static struct pbitc_value *dense_sigmoid(struct pass_case *c)
{
    struct pbitc_value *x = pass_dense(c, pass_input(c, SHAPE(1, 12)), 12, 16);
    x = pass_dense(c, unary(c, "Sigmoid", x), 16, 16);
    return pass_dense(c, unary(c, "Gelu", x), 16, 5);
}

/// Zero points on padding.
static struct pbitc_value *padded_tanh(struct pass_case *c)
{
    struct pbitc_value *x = pass_conv(c, pass_input(c, SHAPE(1, 2, 6, 6)), SHAPE(4, 2, 3, 3), 1, 1);
    x = pass_conv(c, unary(c, "Tanh", x), SHAPE(4, 4, 3, 3), 1, 1);
    x = pass_conv(c, unary(c, "LeakyRelu", x), SHAPE(6, 2, 3, 3), 2, 1);
    INTS(c, "strides", 2, 2);
    return flat_dense(c, unary(c, "Relu", x), 54);
}

static struct pbitc_value *max_pool(struct pass_case *c)
{
    struct pbitc_value *x = pass_conv(c, pass_input(c, SHAPE(1, 2, 6, 6)), SHAPE(4, 2, 3, 3), 1, 0);
    x = unary(c, "MaxPool", unary(c, "Relu", x));
    INTS(c, "kernel_shape", 2, 2);
    INTS(c, "strides", 2, 2);
    return flat_dense(c, x, 16);
}

static struct pbitc_value *residual(struct pass_case *c)
{
    struct pbitc_value *x = pass_conv(c, pass_input(c, SHAPE(1, 2, 6, 6)), SHAPE(4, 2, 3, 3), 1, 1);
    struct pbitc_value *skip = unary(c, "Relu", x), *y = pass_conv(c, skip, SHAPE(4, 4, 3, 3), 1, 1);
    y = pass_conv(c, unary(c, "Relu", y), SHAPE(4, 4, 1, 1), 1, 0);
    y = unary(c, "Relu", pass_node(c, "Add", y, skip, NULL));
    return flat_dense(c, unary(c, "GlobalAveragePool", y), 4);
}

static struct pbitc_value *sum_of_convs(struct pass_case *c)
{
    struct pbitc_value *x = pass_input(c, SHAPE(1, 2, 6, 6));
    struct pbitc_value *a = pass_conv(c, x, SHAPE(4, 2, 3, 3), 1, 1),
                       *b = pass_conv(c, x, SHAPE(4, 2, 1, 1), 1, 0);
    return flat_dense(c, unary(c, "Relu", pass_node(c, "Add", a, b, NULL)), 144);
}

static struct pbitc_value *concat(struct pass_case *c)
{
    struct pbitc_value *x = pass_input(c, SHAPE(1, 2, 6, 6));
    struct pbitc_value *a = unary(c, "Relu", pass_conv(c, x, SHAPE(3, 2, 3, 3), 1, 1));
    struct pbitc_value *b = unary(c, "Tanh", pass_conv(c, x, SHAPE(2, 2, 1, 1), 1, 0));
    x = pass_node(c, "Concat", a, b, NULL);
    ck_assert(pbitc_node_set_int(c->graph, c->node, "axis", 1));
    x = unary(c, "Relu", pass_conv(c, x, SHAPE(4, 5, 3, 3), 1, 1));
    return flat_dense(c, x, 144);
}

static struct pbitc_value *average_pool(struct pass_case *c)
{
    struct pbitc_value *x = pass_conv(c, pass_input(c, SHAPE(1, 2, 6, 6)), SHAPE(4, 2, 3, 3), 1, 1);
    x = unary(c, "AveragePool", unary(c, "Tanh", x));
    INTS(c, "kernel_shape", 2, 2);
    INTS(c, "strides", 2, 2);
    INTS(c, "pads", 1, 1, 1, 1);
    ck_assert(pbitc_node_set_int(c->graph, c->node, "count_include_pad", 1));
    return flat_dense(c, unary(c, "Sigmoid", x), 64);
}

static struct pbitc_value *average_of_sums(struct pass_case *c)
{
    struct pbitc_value *x = pass_conv(c, pass_input(c, SHAPE(1, 2, 6, 6)), SHAPE(4, 2, 3, 3), 1, 1);
    x = unary(c, "AveragePool", x);
    INTS(c, "kernel_shape", 3, 3);
    INTS(c, "strides", 3, 3);
    return flat_dense(c, unary(c, "Relu", x), 16);
}

static struct pbitc_value *movements(struct pass_case *c)
{
    const int64_t shape[] = {0, 6, 4, 6};
    struct pbitc_value *x =
        unary(c, "Tanh", pass_conv(c, pass_input(c, SHAPE(1, 2, 6, 6)), SHAPE(4, 2, 3, 3), 1, 1));
    x = unary(c, "Transpose", x);
    INTS(c, "perm", 0, 2, 1, 3);
    x = pass_node(c, "Reshape", x, pass_list(c, shape, 4), NULL);
    x = unary(c, "Relu", pass_conv(c, x, SHAPE(3, 6, 1, 1), 1, 0));
    x = unary(c, "Transpose", x);
    INTS(c, "perm", 0, 3, 1, 2);
    return flat_dense(c, x, 72);
}

static struct pbitc_value *channels_last(struct pass_case *c)
{
    struct pbitc_value *x = unary(c, "Transpose", pass_input(c, SHAPE(1, 5, 6, 3)));
    INTS(c, "perm", 0, 3, 1, 2);
    x = unary(c, "Relu", pass_conv(c, x, SHAPE(4, 3, 3, 3), 1, 1));
    return flat_dense(c, x, 120);
}

static struct pbitc_value *bottleneck(struct pass_case *c)
{
    struct pbitc_value *x =
        unary(c, "Relu", pass_conv(c, pass_input(c, SHAPE(1, 2, 6, 6)), SHAPE(4, 2, 3, 3), 1, 1));
    x = pass_conv(c, x, SHAPE(2, 4, 1, 1), 1, 0);
    x = unary(c, "Relu", pass_conv(c, x, SHAPE(4, 2, 3, 3), 1, 1));
    return unary(c, "Softmax", flat_dense(c, x, 144));
}

static struct pbitc_value *one_dimension(struct pass_case *c)
{
    struct pbitc_value *x = pass_input(c, SHAPE(1, 3, 9)), *w = pass_weights(c, SHAPE(4, 3, 3));
    x = unary(c, "Tanh", pass_node(c, "Conv", x, w, pass_weights(c, SHAPE(4))));
    return flat_dense(c, x, 28);
}

static struct pbitc_value *odd_bias(struct pass_case *c)
{
    struct pbitc_value *x = pass_dense(c, pass_input(c, SHAPE(1, 12)), 12, 16);
    x = unary(c, "Relu", x);
    struct pbitc_value *y = pass_node(c, "Gemm", x, pass_weights(c, SHAPE(5, 16)), pass_weights(c, SHAPE(1)));
    ck_assert(pbitc_node_set_int(c->graph, c->node, "transB", 1));
    return y;
}

/// The last windows reach beyond the image.
static struct pbitc_value *ceiled_pools(struct pass_case *c)
{
    struct pbitc_value *x = pass_conv(c, pass_input(c, SHAPE(1, 2, 6, 6)), SHAPE(4, 2, 3, 3), 1, 1);
    x = unary(c, "MaxPool", unary(c, "Gelu", x));
    INTS(c, "kernel_shape", 3, 3);
    INTS(c, "strides", 2, 2);
    ck_assert(pbitc_node_set_int(c->graph, c->node, "ceil_mode", 1));
    return flat_dense(c, x, 36);
}

static struct pbitc_value *drawn_output(struct pass_case *c)
{
    return unary(c, "Tanh", pass_dense(c, pass_input(c, SHAPE(1, 12)), 12, 5));
}

static struct pbitc_value *log_probabilities(struct pass_case *c)
{
    return unary(c, "LogSoftmax", dense_relu(c));
}

static build_function *const nets[] = {
    dense_relu,    dense_sigmoid, padded_tanh,     max_pool,     residual,         sum_of_convs,
    concat,        average_pool,  average_of_sums, movements,    channels_last,    bottleneck,
    one_dimension, odd_bias,      ceiled_pools,    drawn_output, log_probabilities};
enum { NETS = sizeof(nets) / sizeof(*nets) };

static struct pass_case *convert(build_function *build, enum pbitc_neuron neuron, int bits,
                                 enum pbit_sampler sampler)
{
    pass_random_state = 11;
    struct pass_case *c = pass_case_create();
    c->options.neuron = neuron;
    c->options.weight_bits = bits;
    c->options.group = bits == 4 ? 16 : 0;
    c->options.sampler = sampler;
    c->options.draws = DRAWS;
    c->options.samples = SAMPLES;
    pass_output(c, build(c));
    pass_infer(c);
    pass_images(c, IMAGES, -1, 1);
    c->calibration.channels = 1;
    c->calibration.pixel_offset = &pixel_offset;
    c->calibration.pixel_step = &pixel_step;
    c->context.metadata = "{\"test\": true}";
    enum pbit_status status = pbitc_pipeline_run(c->graph, &c->context);
    if (status != PBIT_OK)
        pbitc_diagnostics_print(c->diagnostics, stderr);
    ck_assert_int_eq(status, PBIT_OK);
    ck_assert_ptr_nonnull(c->context.file);
    return c;
}

/// What libpbit makes of the image: mean outputs, before Softmax.
struct runner {
    struct pbit_model model;
    uint8_t *pixels;
    int64_t *sums;
    void *workspace;
    size_t inputs, outputs;
};

static struct runner runner_create(const struct pass_case *c)
{
    struct runner r = {.pixels = NULL};
    ck_assert_int_eq(pbit_model_open(&r.model, c->context.file, c->context.file_bytes), PBIT_OK);
    r.inputs = pbit_model_input(&r.model, 0).elements;
    r.outputs = pbit_model_output(&r.model, 0).elements;
    r.pixels = malloc(r.inputs);
    r.sums = malloc(r.outputs * sizeof(int64_t));
    r.workspace = aligned_alloc(16, pbit_workspace_bytes(&r.model));
    return r;
}

static void runner_destroy(struct runner *r)
{
    free(r->pixels);
    free(r->sums);
    free(r->workspace);
}

static void run_file(struct runner *r, const float *x, uint64_t image, float *y)
{
    struct pbit_options options = {.seed = 42, .image = image};
    const uint8_t *inputs[] = {r->pixels};
    int64_t *sums[] = {r->sums};
    pbit_input_quantize(&r->model, 0, x, r->pixels);
    ck_assert_int_eq(
        pbit_run(&r->model, &options, inputs, sums, r->workspace, pbit_workspace_bytes(&r->model)), PBIT_OK);
    pbit_output_float(&r->model, 0, r->sums, SAMPLES, y);
}

/// The mean of the graph's logits over T passes, drawn with the same random numbers.
static void run_graph(struct pass_case *c, const float *x, uint64_t image, size_t outputs, float *y)
{
    const struct pbitc_value *logits = pbitc_before_softmax(c->graph->outputs[0]);
    memset(y, 0, outputs * sizeof(float));
    for (uint32_t t = 0; t < SAMPLES; t++) {
        struct pbitc_sampling sampling = {42, image, t, DRAWS};
        float *pass = pass_evaluate(c, x, 1, logits, &sampling, NULL);
        for (size_t i = 0; i < outputs; i++)
            y[i] += pass[i] / SAMPLES;
        free(pass);
    }
}

static size_t largest_at(const float *y, size_t count)
{
    size_t best = 0;
    for (size_t i = 1; i < count; i++)
        best = y[i] > y[best] ? i : best;
    return best;
}

/// How far the two may be apart, as a share of the outputs' spread. Fixed point moves a probability by a few
/// 2^-16 (rounding of bias, multiplier and P; theta tables are straight between 257 points: up to 2^-9 in the
/// tails), so a count of m = 4 draws differs by one in at most 4 * 2^-9 of the neurons, and the mean over 16
/// passes and all inputs of an output by less than 1 / 100 of what one level is worth, which is below the
/// spread. A wrong offset, order or zero point moves outputs by the spread itself.
static const float BOUND = 0.02f;

static void expect_equal_runs(struct pass_case *c, int net)
{
    struct runner r = runner_create(c);
    float file[16], graph[16], low = INFINITY, high = -INFINITY, largest = 0;
    float *x = malloc(r.inputs * sizeof(float));
    size_t undecided = 0;
    float margins[IMAGES];
    bool agree[IMAGES];
    for (uint64_t image = 0; image < IMAGES; image++) {
        for (size_t i = 0; i < r.inputs; i++) // what a pixel can say
            x[i] = pixel_offset +
                   pixel_step * rintf((c->images[image * r.inputs + i] - pixel_offset) / pixel_step);
        run_file(&r, x, image, file);
        run_graph(c, x, image, r.outputs, graph);
        size_t best = largest_at(graph, r.outputs);
        agree[image] = best == largest_at(file, r.outputs);
        margins[image] = INFINITY;
        for (size_t i = 0; i < r.outputs; i++) {
            largest = fmaxf(largest, fabsf(file[i] - graph[i]));
            low = fminf(low, graph[i]);
            high = fmaxf(high, graph[i]);
            if (i != best)
                margins[image] = fminf(margins[image], graph[best] - graph[i]);
        }
    }
    ck_assert_float_gt(high - low, 0.1f);
    ck_assert_msg(largest <= BOUND * (high - low), "net %d: off by %g of %g", net, (double)largest,
                  (double)(high - low));
    for (size_t i = 0; i < IMAGES; i++) {
        bool decided = margins[i] > 2 * BOUND * (high - low);
        undecided += !decided;
        ck_assert_msg(agree[i] || !decided, "net %d decides image %zu otherwise", net, i);
    }
    ck_assert_uint_lt(undecided, IMAGES * 3 / 4);
    free(x);
    runner_destroy(&r);
}

START_TEST(the_file_draws_what_the_graph_draws)
{
    for (int i = 0; i < NETS; i++)
        for (int sampler = PBIT_SAMPLER_IID; sampler <= PBIT_SAMPLER_STRATIFIED; sampler++)
            for (int bits = 4; bits <= 8; bits += 4) {
                struct pass_case *c = convert(nets[i], PBITC_NEURON_PBIT, bits, (enum pbit_sampler)sampler);
                expect_equal_runs(c, i);
                pass_case_destroy(c);
            }
}
END_TEST

START_TEST(noisy_and_exact_neurons_agree)
{
    for (int i = 0; i < NETS; i++)
        for (int neuron = PBITC_NEURON_NOISY; neuron <= PBITC_NEURON_EXACT; neuron++) {
            struct pass_case *c = convert(nets[i], (enum pbitc_neuron)neuron, 8, PBIT_SAMPLER_STRATIFIED);
            expect_equal_runs(c, i);
            pass_case_destroy(c);
        }
}
END_TEST

/// 8-bit weights and neurons that draw nothing: the float network but for rounding.
START_TEST(an_exact_file_is_the_float_network)
{
    for (int i = 0; i < NETS; i++) {
        pass_random_state = 11;
        struct pass_case *original = pass_case_create(), *c;
        pass_output(original, nets[i](original));
        pass_infer(original);
        c = convert(nets[i], PBITC_NEURON_EXACT, 8, PBIT_SAMPLER_STRATIFIED);
        const struct pbitc_value *logits = pbitc_before_softmax(original->graph->outputs[0]);
        struct runner r = runner_create(c);
        float file[16], low = INFINITY, high = -INFINITY, largest = 0;
        for (uint64_t image = 0; image < IMAGES; image++) {
            const float *x = c->images + image * r.inputs;
            float *truth = pass_evaluate(original, x, 1, logits, NULL, NULL);
            run_file(&r, x, image, file);
            for (size_t k = 0; k < r.outputs; k++) {
                largest = fmaxf(largest, fabsf(file[k] - truth[k]));
                low = fminf(low, truth[k]);
                high = fmaxf(high, truth[k]);
            }
            free(truth);
        }
        // Inputs, weights and activations of 8 bits: errors of 2^-9 of each range add up at random.
        ck_assert_msg(largest <= 0.06f * (high - low), "net %d: off by %g of %g", i, (double)largest,
                      (double)(high - low));
        runner_destroy(&r);
        pass_case_destroy(c);
        pass_case_destroy(original);
    }
}
END_TEST

START_TEST(ports_are_the_models)
{
    struct pass_case *c = convert(channels_last, PBITC_NEURON_PBIT, 8, PBIT_SAMPLER_IID);
    struct runner r = runner_create(c);
    struct pbit_port x = pbit_model_input(&r.model, 0);
    ck_assert(x.channels_last);
    ck_assert_uint_eq(x.height, 5);
    ck_assert_uint_eq(x.width, 6);
    ck_assert_uint_eq(x.channels, 3);
    ck_assert_uint_eq(pbit_model_default_draws(&r.model), DRAWS);
    ck_assert_uint_eq(pbit_model_default_samples(&r.model), SAMPLES);
    ck_assert_int_eq(pbit_model_sampler(&r.model), PBIT_SAMPLER_IID);
    ck_assert_str_eq(pbit_model_output(&r.model, 0).name, c->graph->outputs[0]->name);
    size_t length;
    ck_assert_mem_eq(pbit_model_metadata(&r.model, &length), "{\"test\": true}", 14);
    runner_destroy(&r);
    pass_case_destroy(c);
    c = convert(bottleneck, PBITC_NEURON_PBIT, 8, PBIT_SAMPLER_IID);
    r = runner_create(c);
    ck_assert(pbit_model_output(&r.model, 0).softmax && !pbit_model_output(&r.model, 0).log_softmax);
    runner_destroy(&r);
    pass_case_destroy(c);
    c = convert(log_probabilities, PBITC_NEURON_PBIT, 8, PBIT_SAMPLER_IID);
    r = runner_create(c);
    ck_assert(!pbit_model_output(&r.model, 0).softmax && pbit_model_output(&r.model, 0).log_softmax);
    runner_destroy(&r);
    pass_case_destroy(c);
}
END_TEST

/// Converts a net that a .pbit file cannot hold; the problem holds `phrase`.
static void expect_refusal(build_function *build, float offset, const char *phrase)
{
    struct pass_case *c = pass_case_create();
    c->options.draws = DRAWS;
    pass_output(c, build(c));
    pass_infer(c);
    pass_images(c, IMAGES, -1, 1);
    c->calibration.channels = 1;
    c->calibration.pixel_offset = &offset;
    c->calibration.pixel_step = &pixel_step;
    ck_assert_int_eq(pbitc_pipeline_run(c->graph, &c->context), PBIT_ERROR_UNSUPPORTED);
    ck_assert_uint_ge(pbitc_diagnostics_count(c->diagnostics), 1);
    const char *message = pbitc_diagnostics_get(c->diagnostics, 0)->message;
    ck_assert_msg(strstr(message, phrase), "'%s' instead of '%s'", message, phrase);
    ck_assert_ptr_null(c->context.file);
    pass_case_destroy(c);
}

START_TEST(padding_of_an_input_without_0_is_refused)
{
    expect_refusal(padded_tanh, 0.5f, "padding");
    expect_refusal(padded_tanh, -3, "padding");
}
END_TEST

static struct pbitc_value *ceiled_average(struct pass_case *c)
{
    struct pbitc_value *x = pass_conv(c, pass_input(c, SHAPE(1, 2, 6, 6)), SHAPE(4, 2, 3, 3), 1, 1);
    x = unary(c, "AveragePool", unary(c, "Tanh", x));
    INTS(c, "kernel_shape", 3, 3);
    INTS(c, "strides", 2, 2);
    ck_assert(pbitc_node_set_int(c->graph, c->node, "ceil_mode", 1));
    ck_assert(pbitc_node_set_int(c->graph, c->node, "count_include_pad", 1));
    return flat_dense(c, x, 36);
}

static struct pbitc_value *average_without_padding(struct pass_case *c)
{
    struct pbitc_value *y = average_pool(c);
    pbitc_node_remove_attribute(pass_find(c, "AveragePool"), "count_include_pad");
    return y;
}

START_TEST(averages_over_windows_of_different_sizes_are_refused)
{
    expect_refusal(ceiled_average, pixel_offset, "different sizes");
    expect_refusal(average_without_padding, pixel_offset, "different sizes");
}
END_TEST

static struct pbitc_value *output_inside(struct pass_case *c)
{
    struct pbitc_value *x = pass_dense(c, pass_input(c, SHAPE(1, 12)), 12, 16);
    pass_output(c, x);
    return pass_dense(c, unary(c, "Sigmoid", x), 16, 5);
}

START_TEST(two_units_for_one_value_are_refused)
{
    expect_refusal(output_inside, pixel_offset, "different units");
}
END_TEST

PASS_MAIN("lower", the_file_draws_what_the_graph_draws, noisy_and_exact_neurons_agree,
          an_exact_file_is_the_float_network, ports_are_the_models, padding_of_an_input_without_0_is_refused,
          averages_over_windows_of_different_sizes_are_refused, two_units_for_one_value_are_refused)
