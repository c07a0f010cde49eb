// converter/energy against numbers computed by hand from the equations, and against the paper's.
#include "tests/passes/pass_case.h"

#include "converter/energy/energy_network.h"
#include "converter/report/report_layers.h"

/// Easy to follow in a sum: every constant has its own decimal.
static const struct pbitc_energy_constants round_numbers = {.name = "test",
                                                            .source = "",
                                                            .weight_memory = 1000,
                                                            .memory = 1,
                                                            .multiply = 1024,
                                                            .add = 32,
                                                            .activation = 100,
                                                            .random = 10,
                                                            .compare = 5};

#define expect_near(value, expected)                                                                         \
    ck_assert_msg(fabs((value) - (expected)) <= 1e-9 * fabs(expected), "%s is %.12g, not %.12g", #value,     \
                  (double)(value), (double)(expected))

/// Within a share of a figure of the paper.
#define expect_within(value, figure, share)                                                                  \
    ck_assert_msg(fabs((value) / (figure)-1) <= (share), "%s is %.8g, the paper has %.8g", #value,           \
                  (double)(value), (double)(figure))

/// One layer with 100 sums of fan-in 64 and 4-bit weights over p-bits, and its 100 neurons.
static struct pbitc_energy_network small_network(struct pbitc_energy_layer layers[2])
{
    layers[0] = (struct pbitc_energy_layer){.kind = PBITC_ENERGY_SYNAPSES,
                                            .random = true,
                                            .weights = 6500,
                                            .memory_bits = 30000,
                                            .weight_bits = 4,
                                            .macs = 6400,
                                            .fan_in = 64,
                                            .input_bits = PBITC_ENERGY_PBITS,
                                            .draw_factor = 256,
                                            .activity = 0.25};
    layers[1] = (struct pbitc_energy_layer){.kind = PBITC_ENERGY_NEURONS,
                                            .random = true,
                                            .neurons = 100,
                                            .output_bits = PBITC_ENERGY_PBITS,
                                            .draw_factor = 256};
    return (struct pbitc_energy_network){
        .convention = PBITC_ENERGY_EXACT, .layer_count = 2, .layers = layers};
}

START_TEST(pbits_cost_reads_and_the_additions_of_their_ones)
{
    struct pbitc_energy_layer layers[2];
    struct pbitc_energy_network network = small_network(layers);
    struct pbitc_energy one = pbitc_energy_of_pbits(&network, &round_numbers, 1);
    // A sum of 64 weights of 4 bits has 4 + 6 bits: an addition costs 32 * 10/32 = 10 pJ, 1 in 4 happens.
    double synapses = 6400 * (1 + 0.25 * 10), neurons = 100 * (100 + 10 + 5 + 1);
    expect_near(one.weights, 30000 * 1000.0 / 1000);
    expect_near(one.further, (synapses + neurons) / 1000);
    expect_near(one.first, one.weights + one.further);
    expect_near(pbitc_energy_total(one, 3), one.first + 2 * one.further);
    // Four draws: four reads, and sums of 256 weights, so 4 + 8 bits; the activation is computed once.
    struct pbitc_energy four = pbitc_energy_of_pbits(&network, &round_numbers, 4);
    expect_near(four.further, (6400 * 4 * (1 + 0.25 * 12) + 100 * (100 + 4 * 16)) / 1000.0);
}
END_TEST

START_TEST(draw_factors_round_as_the_runtime_does)
{
    struct pbitc_energy_layer layers[2];
    struct pbitc_energy_network network = small_network(layers);
    layers[1].draw_factor = 128; // half of 3 draws, rounded up: 2; of 1: at least 1
    struct pbitc_energy three = pbitc_energy_of_layer(&network, &layers[1], &round_numbers, 3);
    expect_near(three.further, 100 * (100 + 2 * 16) / 1000.0);
    struct pbitc_energy one = pbitc_energy_of_layer(&network, &layers[1], &round_numbers, 1);
    expect_near(one.further, 100 * (100 + 16) / 1000.0);
}
END_TEST

START_TEST(the_image_layer_is_computed_once)
{
    struct pbitc_energy_layer layers[2];
    struct pbitc_energy_network network = small_network(layers);
    layers[0].random = false;
    layers[0].input_bits = PBITC_ENERGY_IMAGE_BITS;
    layers[1].recalled = true;
    struct pbitc_energy energy = pbitc_energy_of_pbits(&network, &round_numbers, 1);
    // 8 x 4 bits: 1024 * 32/1024 = 32 pJ a product, whose sum has 12 + 6 bits.
    double image = 6400 * (8 + 32 + 18), neurons = 100 * 116, word = 100 * 32;
    expect_near(energy.first, energy.weights + (image + neurons + word) / 1000);
    expect_near(energy.further, (neurons + word) / 1000);
}
END_TEST

START_TEST(twins_multiply_by_their_bits)
{
    struct pbitc_energy_layer layers[2];
    struct pbitc_energy_network network = small_network(layers);
    double weights = 30000 * 1000.0;
    // 3 x 4 bits: 12 pJ a product, sums of 7 + 6 bits.
    expect_near(pbitc_energy_of_twin(&network, &round_numbers, 3),
                (weights + 6400 * (3 + 12 + 13) + 100 * (100 + 3)) / 1000);
    // 32 bits: the constants as they are, and weights of 32 bits.
    expect_near(pbitc_energy_of_twin(&network, &round_numbers, 32),
                (6500 * 32 * 1000.0 + 6400 * (32 + 1024 + 32) + 100 * (100 + 32)) / 1000);
    // One bit selects: no product; what p-bits cost but for random number and comparison.
    expect_near(pbitc_energy_of_twin(&network, &round_numbers, 1),
                (weights + 6400 * (1 + 0.25 * 10) + 100 * (100 + 1)) / 1000);
}
END_TEST

START_TEST(noise_and_exact_neurons_have_8_bits)
{
    struct pbitc_energy_layer layers[2];
    struct pbitc_energy_network network = small_network(layers);
    layers[0].input_bits = layers[1].output_bits = PBITC_ENERGY_IMAGE_BITS;
    double synapses = 6400 * (8 + 32 + 18);
    struct pbitc_energy exact = pbitc_energy_of_pbits(&network, &round_numbers, 5);
    expect_near(exact.further, (synapses + 100 * (100 + 8)) / 1000);
    layers[1].noisy = true; // a random number and an 8-bit addition
    struct pbitc_energy noisy = pbitc_energy_of_pbits(&network, &round_numbers, 5);
    expect_near(noisy.further, (synapses + 100 * (100 + 8 + 10 + 8)) / 1000);
}
END_TEST

/// The paper's VGG5 with untrained weights.
static struct pass_case *make_vgg5(void)
{
    static const int64_t channels[] = {3, 32, 64, 128};
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_input(c, SHAPE(1, 3, 32, 32));
    for (int i = 0; i < 3; i++) {
        int64_t n = channels[i + 1];
        x = pass_conv(c, x, SHAPE(n, channels[i], 3, 3), 1, 1);
        struct pbitc_value *inputs[] = {x, pass_floats(c, SHAPE(n), 1, 2), pass_floats(c, SHAPE(n), -1, 1),
                                        pass_floats(c, SHAPE(n), -1, 1), pass_floats(c, SHAPE(n), 1, 2)};
        x = pbitc_graph_add_value(c->graph, "bn", PBITC_TYPE_NONE, &(struct pbitc_shape){.rank = -1});
        pbitc_graph_insert_node(c->graph, NULL, "bn", pbitc_operator_find("", "BatchNormalization"), inputs,
                                5, &x, 1);
        x = pass_node(c, "Sigmoid", x, NULL, NULL);
        x = pass_node(c, "MaxPool", x, NULL, NULL);
        INTS(c, "kernel_shape", 2, 2);
        INTS(c, "strides", 2, 2);
    }
    x = pass_node(c, "Flatten", x, NULL, NULL);
    x = pass_dense(c, x, 2048, 1024);
    x = pass_node(c, "Sigmoid", x, NULL, NULL);
    pass_output(c, pass_dense(c, x, 1024, 10));
    return c;
}

static struct pbitc_energy_network network_of(struct pass_case *c, enum pbitc_energy_convention convention)
{
    struct pbitc_energy_network network;
    enum pbit_status status =
        pbitc_energy_network_of_graph(c->graph, convention, PBITC_ENERGY_ACTIVITY, c->diagnostics, &network);
    if (status != PBIT_OK)
        pbitc_diagnostics_print(c->diagnostics, stderr);
    ck_assert_int_eq(status, PBIT_OK);
    return network;
}

static uint64_t count_weights(const struct pbitc_energy_network *network)
{
    uint64_t weights = 0;
    for (size_t i = 0; i < network->layer_count; i++)
        weights += network->layers[i].weights;
    return weights;
}

START_TEST(the_paper_convention_gives_the_figures_of_the_paper)
{
    struct pass_case *c = make_vgg5();
    struct pbitc_energy_network network = network_of(c, PBITC_ENERGY_PAPER);
    const struct pbitc_energy_constants *sram = pbitc_energy_preset(0), *dram = pbitc_energy_preset(1);
    struct pbitc_energy in_sram = pbitc_energy_of_pbits(&network, sram, 1);
    struct pbitc_energy in_dram = pbitc_energy_of_pbits(&network, dram, 1);
    ck_assert_uint_eq(count_weights(&network), 2202122);
    expect_within(in_dram.weights, 279757.6, 1e-6);
    expect_within(in_dram.first, 281795.6, 0.03);
    expect_within(in_sram.first, 4743.98, 0.03);
    expect_within(in_sram.further, 2038.02, 0.03);
    expect_near(in_dram.further, in_sram.further);
    double sram_32 = pbitc_energy_of_twin(&network, sram, 32),
           dram_32 = pbitc_energy_of_twin(&network, dram, 32);
    expect_within(sram_32 / in_sram.first, 28.51, 0.03);
    expect_within(dram_32 / in_dram.first, 1.46, 0.03);
    expect_within(sram_32 / pbitc_energy_total(in_sram, 10), 5.86, 0.03);
    pass_case_destroy(c);
}
END_TEST

START_TEST(the_exact_convention_counts_the_network_that_runs)
{
    struct pass_case *c = make_vgg5();
    struct pbitc_energy_network network = network_of(c, PBITC_ENERGY_EXACT);
    // Batch normalization is folded away, and p-bits are drawn behind the pools.
    static const struct {
        enum pbitc_energy_kind kind;
        uint64_t macs, fan_in, neurons;
    } expected[] = {{PBITC_ENERGY_SYNAPSES, 884736, 27, 0},    {PBITC_ENERGY_NEURONS, 0, 0, 8192},
                    {PBITC_ENERGY_SYNAPSES, 4718592, 288, 0},  {PBITC_ENERGY_NEURONS, 0, 0, 4096},
                    {PBITC_ENERGY_SYNAPSES, 4718592, 576, 0},  {PBITC_ENERGY_NEURONS, 0, 0, 2048},
                    {PBITC_ENERGY_SYNAPSES, 2097152, 2048, 0}, {PBITC_ENERGY_NEURONS, 0, 0, 1024},
                    {PBITC_ENERGY_SYNAPSES, 10240, 1024, 0},   {PBITC_ENERGY_OUTPUTS, 0, 0, 10}};
    ck_assert_uint_eq(network.layer_count, 10);
    for (size_t i = 0; i < 10; i++) {
        const struct pbitc_energy_layer *layer = &network.layers[i];
        ck_assert_int_eq(layer->kind, expected[i].kind);
        ck_assert_uint_eq(layer->macs, expected[i].macs);
        ck_assert_uint_eq(layer->fan_in, expected[i].fan_in);
        ck_assert_uint_eq(layer->neurons, expected[i].neurons);
        ck_assert(layer->random == (i > 0));
        ck_assert(layer->recalled == (i == 1));
        if (layer->kind == PBITC_ENERGY_SYNAPSES)
            ck_assert_uint_eq(layer->input_bits, i == 0 ? 8 : 0);
    }
    ck_assert_uint_eq(count_weights(&network), 2202122 - 448);
    pass_case_destroy(c);
}
END_TEST

START_TEST(a_file_counts_with_its_own_bits_and_activity)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_conv(c, pass_input(c, SHAPE(1, 1, 8, 8)), SHAPE(4, 1, 3, 3), 1, 1);
    x = pass_node(c, "MaxPool", pass_node(c, "Sigmoid", x, NULL, NULL), NULL, NULL);
    INTS(c, "kernel_shape", 2, 2);
    INTS(c, "strides", 2, 2);
    x = pass_dense(c, pass_node(c, "Flatten", x, NULL, NULL), 64, 10);
    pass_output(c, x);
    pass_infer(c);
    pass_images(c, 4, -1, 1);
    c->options.weight_bits = 3;
    ck_assert(pbitc_leave_out(&c->options, pbitc_pass_find("widen-small")));
    c->options.group = 16;
    enum pbit_status status = pbitc_pipeline_run(c->graph, &c->context);
    if (status != PBIT_OK)
        pbitc_diagnostics_print(c->diagnostics, stderr);
    ck_assert_int_eq(status, PBIT_OK);
    struct pbit_model model;
    ck_assert_int_eq(pbit_model_open(&model, c->context.file, c->context.file_bytes), PBIT_OK);
    size_t count;
    struct pbitc_report_layer *layers = pbitc_report_layers_describe(c->graph->arena, &model, &count);
    ck_assert_ptr_nonnull(layers);
    for (size_t i = 0; i < count; i++) {
        layers[i].has_levels = layers[i].draws;
        layers[i].elements = 1;
        layers[i].activity = 0.125;
    }
    struct pbitc_energy_network network;
    ck_assert(
        pbitc_energy_network_of_layers(layers, count, PBITC_ENERGY_EXACT, 0.5, c->graph->arena, &network));
    ck_assert_uint_eq(network.layer_count, 4);
    const struct pbitc_energy_layer *image = &network.layers[0], *pbits = &network.layers[1],
                                    *dense = &network.layers[2], *output = &network.layers[3];
    ck_assert(!image->random && image->input_bits == 8 && image->macs == 64 * 4 * 9);
    ck_assert_uint_eq(image->memory_bits, 36 * 3 + 4 * 64); // 9 weights are less than a group
    ck_assert(pbits->random && pbits->recalled && pbits->neurons == 64 && pbits->output_bits == 0);
    ck_assert(dense->random && dense->input_bits == 0 && dense->macs == 640 && dense->weight_bits == 3);
    ck_assert_uint_eq(dense->memory_bits, 640 * 3 + 10 * (64 + 4 * 8));
    ck_assert_uint_eq(dense->weights, 650);
    expect_near(dense->activity, 0.125);
    ck_assert(output->kind == PBITC_ENERGY_OUTPUTS && output->neurons == 10);
    // By the paper's convention: 256 + 10 neurons of the mean fan-in, (2304 + 640) / 266 = 11.07.
    ck_assert(
        pbitc_energy_network_of_layers(layers, count, PBITC_ENERGY_PAPER, 0.5, c->graph->arena, &network));
    ck_assert_uint_eq(network.layer_count, 4);
    ck_assert_uint_eq(network.layers[0].macs, 11 * 256);
    ck_assert_uint_eq(network.layers[2].macs, 11 * 10);
    ck_assert_uint_eq(network.layers[0].memory_bits, 40 * 3);
    pass_case_destroy(c);
}
END_TEST

PASS_MAIN("energy", pbits_cost_reads_and_the_additions_of_their_ones, draw_factors_round_as_the_runtime_does,
          the_image_layer_is_computed_once, twins_multiply_by_their_bits, noise_and_exact_neurons_have_8_bits,
          the_paper_convention_gives_the_figures_of_the_paper,
          the_exact_convention_counts_the_network_that_runs, a_file_counts_with_its_own_bits_and_activity)
