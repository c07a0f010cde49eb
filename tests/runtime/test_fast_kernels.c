// The kernels of fast_kernels.h against the scalar ones, or against what they stand for.
#include "runtime/engine.h"
#include "tests/run_suite.h"
#include "tests/runtime/random_program.h"

#include <stdlib.h>
#include <string.h>

static void *make(size_t bytes)
{
    void *memory = aligned_alloc(64, (bytes / 64 + 1) * 64);
    ck_assert_ptr_nonnull(memory);
    memset(memory, 0, (bytes / 64 + 1) * 64);
    return memory;
}

enum {
    DENSE_INPUTS = PBIT_DENSE_INPUTS,
    DENSE_OUTPUTS = 300,
    DENSE_BLOCKS = 3,
    DENSE_STRIDE = DENSE_INPUTS + 64
};

/// A layer of random weights: in rows as the kernels want them, and by itself.
struct dense_layer {
    int8_t weights[DENSE_OUTPUTS][DENSE_INPUTS];
    uint8_t levels[PBIT_DENSE_PASSES * DENSE_STRIDE];
    uint64_t masks[PBIT_DENSE_NODES * (DENSE_INPUTS + 63) / 64];
    uint32_t listed[PBIT_DENSE_PASSES * DENSE_INPUTS + 3 * PBIT_DENSE_STEP * PBIT_DENSE_NODES];
    uint8_t rows[DENSE_BLOCKS * DENSE_INPUTS * PBIT_DENSE_ROW];
    int16_t totals[DENSE_BLOCKS * PBIT_DENSE_BLOCK];
    int32_t multipliers[DENSE_OUTPUTS + 16], out[PBIT_DENSE_PASSES][DENSE_OUTPUTS];
    int64_t constants[DENSE_OUTPUTS + 16];
};

static void fill_dense(struct dense_layer *layer, struct test_random *random, uint32_t inputs,
                       uint32_t outputs, uint32_t passes)
{
    uint32_t ones = random_word(random) % 101, alike = random_word(random) % 101;
    memset(layer, 0, sizeof(*layer));
    memset(layer->levels, 1, sizeof(layer->levels)); // beyond the inputs, what nothing may see
    for (uint32_t k = 0; k < inputs; k++) {
        uint8_t all = random_word(random) % 100 < ones;
        for (uint32_t pass = 0; pass < passes; pass++)
            layer->levels[pass * DENSE_STRIDE + k] =
                random_word(random) % 100 < alike ? all : random_word(random) % 100 < ones;
    }
    for (uint32_t output = 0; output < outputs; output++) {
        uint32_t at = output % 128;
        uint8_t *row = layer->rows + output / 128 * (size_t)inputs * 64 + at % 32 * 2 + at / 32 % 2;
        uint32_t least = random_word(random) % 8 ? 0 : random_word(random) % 16; // some far from 0
        for (uint32_t k = 0; k < inputs; k++, row += 64) {
            int32_t weight = (int32_t)(least + (random_word(random) >> 28) % (16 - least)) - 8;
            layer->weights[output][k] = (int8_t)weight;
            layer->totals[output] = (int16_t)(layer->totals[output] + weight);
            *row |= (uint8_t)((weight + 8) << (at < 64 ? 0 : 4));
        }
        layer->multipliers[output] = (int32_t)(random_word(random) >> 1);
        layer->constants[output] = (int64_t)(int32_t)random_word(random) * (random_word(random) % 4);
    }
}

START_TEST(dense_layers_add_up_their_weights)
{
    enum pbit_cpu cpu = (enum pbit_cpu)_i;
    if (cpu > pbit_cpu_present() || !pbit_engine_kernels(cpu)->name)
        return;
    static struct dense_layer layer;
    struct test_random random = {11};
    for (int round = 0; round < 80; round++) {
        uint32_t inputs = 1 + random_word(&random) % (round % 8 ? 300 : DENSE_INPUTS),
                 outputs = 1 + random_word(&random) % DENSE_OUTPUTS, shift = random_word(&random) % 40,
                 passes = 1 + random_word(&random) % PBIT_DENSE_PASSES;
        fill_dense(&layer, &random, inputs, outputs, passes);
        const struct pbit_dense_rows dense = {inputs, outputs, layer.rows, layer.totals};
        struct pbit_dense_listed listed;
        pbit_engine_kernels(cpu)->list(inputs, layer.levels, DENSE_STRIDE, passes, layer.masks, layer.listed,
                                       &listed);
        for (uint32_t pair = 0; 2 * pair * PBIT_DENSE_BLOCK < outputs; pair++)
            pbit_engine_kernels(cpu)->dense(&dense, pair, &listed, layer.multipliers, shift, layer.constants,
                                            layer.out[0], DENSE_OUTPUTS);
        for (uint32_t pass = 0; pass < passes; pass++)
            for (uint32_t output = 0; output < outputs; output++) {
                int64_t sum = 0;
                for (uint32_t k = 0; k < inputs; k++)
                    sum += layer.levels[pass * DENSE_STRIDE + k] * layer.weights[output][k];
                ck_assert_int_eq(layer.out[pass][output],
                                 pbit_saturate(pbit_round_shift(sum * layer.multipliers[output], shift) +
                                               layer.constants[output]));
            }
    }
}
END_TEST

/// theta of nearly a sigmoid, stretched by `scale`; now and then with a jump.
static void fill_theta(uint8_t *bytes, struct test_random *random, double scale)
{
    int32_t jump = random_range(random, 0, 4) ? 0 : (int32_t)random_range(random, 1, 300000);
    for (int h = 0; h < PBIT_THETA_ENTRIES; h++) {
        double y = h / 128.0 - 1, power = y, logit = 0; // 2 atanh(y)
        for (int k = 1; k < 120; k += 2, power *= y * y)
            logit += 2 * power / k;
        int32_t theta = (int32_t)(logit * scale) + (h > 100 ? jump : 0);
        for (int i = 0; i < 4; i++)
            bytes[4 * h + i] = (uint8_t)((uint32_t)theta >> 8 * i);
    }
}

static int32_t dense_sum(const struct dense_layer *layer, uint32_t inputs, uint32_t pass, uint32_t output)
{
    int32_t sum = 0;
    for (uint32_t k = 0; k < inputs; k++)
        sum += layer->levels[pass * DENSE_STRIDE + k] * layer->weights[output][k];
    return sum;
}

static void clear_weights(struct dense_layer *layer, uint32_t inputs, uint32_t output)
{
    uint32_t at = output % 128;
    uint8_t *row = layer->rows + output / 128 * (size_t)inputs * 64 + at % 32 * 2 + at / 32 % 2;
    for (uint32_t k = 0; k < inputs; k++, row += 64) {
        *row = (uint8_t)((*row & (at < 64 ? 0xF0 : 0x0F)) | (at < 64 ? 8 : 0x80));
        layer->weights[output][k] = 0;
    }
    layer->totals[output] = 0;
}

/// Weights of random size, z of the first pass near to where its p-bits turn.
static void scale_dense(struct dense_layer *layer, struct test_random *random, uint32_t inputs,
                        uint32_t outputs, uint32_t shift, int64_t reach)
{
    for (uint32_t output = 0; output < outputs; output++) {
        if (random_range(random, 0, 12) == 0)
            clear_weights(layer, inputs, output);
        layer->multipliers[output] =
            (int32_t)((reach >> random_range(random, 2, 9)) * (1 << shift) + (random_word(random) >> 16));
        layer->constants[output] =
            random_range(random, -reach, reach) -
            pbit_round_shift((int64_t)dense_sum(layer, inputs, 0, output) * layer->multipliers[output],
                             shift);
    }
}

static void fill_thresholds(struct pbit_dense_thresholds *thresholds, const struct dense_layer *layer,
                            uint32_t inputs, uint32_t outputs)
{
    static struct {
        uint16_t largest[DENSE_BLOCKS * PBIT_DENSE_BLOCK], rise[DENSE_BLOCKS * PBIT_DENSE_BLOCK],
            shift[DENSE_BLOCKS * PBIT_DENSE_BLOCK];
        int16_t middle[DENSE_BLOCKS * PBIT_DENSE_BLOCK], start[DENSE_BLOCKS * PBIT_DENSE_BLOCK];
    } arrays;
    memset(&arrays, 0, sizeof(arrays));
    *thresholds = (struct pbit_dense_thresholds){.largest = arrays.largest,
                                                 .middle = arrays.middle,
                                                 .start = arrays.start,
                                                 .rise = arrays.rise,
                                                 .shift = arrays.shift};
    for (uint32_t output = 0; output < outputs; output++)
        for (uint32_t k = 0; k < inputs; k++)
            arrays.largest[output] += (uint16_t)abs(layer->weights[output][k]);
}

/// Dense layers with the p-bits after them against one after the other.
START_TEST(dense_layers_draw_the_exact_bits)
{
    enum pbit_cpu cpu = (enum pbit_cpu)_i;
    enum { FIRST = 3, SHIFT = 12, FEW_INPUTS = 300 };
    if (cpu > pbit_cpu_present() || !pbit_engine_kernels(cpu)->name || !pbit_engine_kernels(cpu)->draw_dense)
        return;
    const struct pbit_engine_kernels *kernels = pbit_engine_kernels(cpu);
    static struct dense_layer layer;
    static uint8_t out[PBIT_DENSE_PASSES][DENSE_OUTPUTS];
    struct test_random random = {41};
    uint32_t compared = 0, ones = 0;
    for (int round = 0; round < 200; round++) {
        uint32_t inputs = (uint32_t)random_range(&random, 1, FEW_INPUTS),
                 outputs = (uint32_t)random_range(&random, 1, DENSE_OUTPUTS),
                 passes = (uint32_t)random_range(&random, 1, PBIT_DENSE_PASSES),
                 rho = (uint32_t)random_range(&random, 64, 256), order[PBIT_DENSE_PASSES];
        int linear = round % 2;
        double scale = (double)random_range(&random, 2000, 60000);
        uint8_t bytes[4 * PBIT_THETA_ENTRIES];
        int32_t theta[PBIT_THETA_ENTRIES];
        fill_theta(bytes, &random, scale);
        for (int h = 0; h < PBIT_THETA_ENTRIES; h++)
            theta[h] = pbit_load_i32(bytes + 4 * h);
        fill_dense(&layer, &random, inputs, outputs, passes);
        scale_dense(&layer, &random, inputs, outputs, SHIFT, linear ? 65536 : (int64_t)(3 * scale));
        const struct pbit_dense_rows dense = {inputs, outputs, layer.rows, layer.totals};
        const struct pbit_engine_operation conv = {.operation = {.shift = SHIFT},
                                                   .conv = {.multipliers =
                                                                (const uint32_t *)layer.multipliers,
                                                            .constants = layer.constants},
                                                   .dense = dense},
                                           neuron = {.operation = {.amplitude = rho},
                                                     .neuron = {.table = linear ? NULL : theta}};
        struct pbit_dense_thresholds thresholds;
        fill_thresholds(&thresholds, &layer, inputs, outputs);
        if (!pbit_fill_thresholds(&thresholds, &conv, &neuron))
            continue;
        struct pbit_dense_listed listed;
        kernels->list(inputs, layer.levels, DENSE_STRIDE, passes, layer.masks, layer.listed, &listed);
        for (uint32_t pass = 0; pass < passes; pass++)
            order[pass] = pbit_sample_order(FIRST + pass);
        for (uint32_t pair = 0; 2 * pair * PBIT_DENSE_BLOCK < outputs; pair++) {
            uint16_t numbers[2 * PBIT_DENSE_BLOCK];
            for (int i = 0; i < 2 * PBIT_DENSE_BLOCK; i++)
                numbers[i] = (uint16_t)(random_word(&random) >> 16);
            const struct pbit_neuron_run run = {.levels = 1,
                                                .rho = rho,
                                                .passes = passes,
                                                .order = order,
                                                .random = numbers,
                                                .out = out[0],
                                                .out_stride = DENSE_OUTPUTS};
            kernels->draw_dense(&dense, pair, &listed, layer.multipliers, SHIFT, layer.constants, &thresholds,
                                &run);
            for (uint32_t pass = 0; pass < passes; pass++)
                for (uint32_t output = 2 * pair * PBIT_DENSE_BLOCK;
                     output < outputs && output < 2 * (pair + 1) * PBIT_DENSE_BLOCK; output++) {
                    int64_t sum = dense_sum(&layer, inputs, pass, output);
                    int32_t z = pbit_saturate(pbit_round_shift(sum * layer.multipliers[output], SHIFT) +
                                              layer.constants[output]);
                    int64_t probability = linear ? z : (int64_t)pbit_theta_count_below(theta, z),
                            offset = pbit_stratified_offset(order[pass], rho,
                                                            numbers[output % (2 * PBIT_DENSE_BLOCK)]);
                    ck_assert_msg(out[pass][output] == (offset < probability),
                                  "round %d: linear %d, rho %u, pass %u, output %u, z %d", round, linear, rho,
                                  pass, output, z);
                    ones += out[pass][output];
                    compared++;
                }
        }
    }
    ck_assert_uint_gt(compared, 20000);
    ck_assert_uint_gt(ones, compared / 8);
    ck_assert_uint_lt(ones, compared - compared / 8);
}
END_TEST

/// Neurons in some passes of an image against the scalar ones.
START_TEST(neurons_draw_the_exact_levels)
{
    enum pbit_cpu cpu = (enum pbit_cpu)_i;
    enum { MOST = 300, PASSES = 8, STRIDE = MOST + 20 };
    if (cpu > pbit_cpu_present() || !pbit_engine_kernels(cpu)->name)
        return;
    struct test_random random = {31};
    const struct pbit_engine_kernels *kernels = pbit_engine_kernels(cpu);
    uint32_t in_pieces = 0;
    for (int round = 0; round < 400; round++) {
        uint8_t table[4 * PBIT_THETA_ENTRIES], out[PASSES * STRIDE], expected[STRIDE];
        int32_t z[PASSES * STRIDE];
        uint32_t count = (uint32_t)random_range(&random, 1, MOST),
                 passes = (uint32_t)random_range(&random, 1, PASSES),
                 levels = round % 2 ? 1 : (uint32_t)random_range(&random, 1, 255), order[PASSES];
        int same = (int)random_range(&random, 0, 1);
        double scale = (double)(1 << random_range(&random, 0, 16)) * (double)random_range(&random, 1, 7);
        fill_theta(table, &random, scale);
        struct pbit_model model = {.bytes = table};
        struct pbit_engine_operation operation = {
            .operation = {.kind = PBIT_OPERATION_NEURON,
                          .function = round % 3 ? PBIT_FUNCTION_THETA : PBIT_FUNCTION_LINEAR,
                          .layer = 3,
                          .amplitude =
                              random_range(&random, 0, 3) ? (uint32_t)random_range(&random, 0, 256) : 256}};
        struct pbit_engine_memory memory = {NULL, 0};
        pbit_pack_neuron(&memory, &model, &operation);
        void *base = make(memory.used);
        memory = (struct pbit_engine_memory){base, 0};
        pbit_pack_neuron(&memory, &model, &operation);
        in_pieces += operation.neuron.pieces != NULL;
        int64_t reach =
            operation.operation.function == PBIT_FUNCTION_LINEAR ? 40000 : (int64_t)(scale * 8) + 2;
        for (uint32_t i = 0; i < PASSES * STRIDE; i++)
            z[i] = random_range(&random, 0, 20) ? (int32_t)random_range(&random, -reach, 2 * reach)
                                                : (int32_t)random_word(&random);
        struct pbit_draw draw = {.seed = 1, .image = 2, .levels = levels, .sampler = PBIT_SAMPLER_STRATIFIED};
        struct pbit_lanes lanes;
        uint16_t numbers[MOST + PBIT_LANES];
        kernels->seed(&lanes, pbit_hash_image(draw.seed, draw.image), 3, 0);
        kernels->random(&lanes, count, numbers);
        for (uint32_t pass = 0; pass < passes; pass++)
            order[pass] = pbit_sample_order(5 + pass);
        for (uint32_t i = 0; i < passes * STRIDE; i++) // near to where a p-bit turns
            if (operation.neuron.table && i % STRIDE < count && random_range(&random, 0, 3) == 0) {
                uint32_t u = pbit_stratified_offset(order[i / STRIDE], operation.operation.amplitude,
                                                    numbers[i % STRIDE]);
                const int32_t *theta = operation.neuron.table + (u >> 8);
                z[i] = theta[0] + (int32_t)(((int64_t)theta[1] - theta[0]) * (u & 255) >> 8) +
                       (int32_t)random_range(&random, -2, 3) * (1 + (int32_t)scale / 2000);
            }
        const struct pbit_neuron_run run = {.levels = levels,
                                            .rho = operation.operation.amplitude,
                                            .passes = passes,
                                            .order = order,
                                            .random = numbers,
                                            .count = count,
                                            .in = z,
                                            .in_stride = same ? 0 : STRIDE,
                                            .out = out,
                                            .out_stride = STRIDE};
        kernels->draw(&operation.neuron, &operation.operation, &run);
        const struct pbit_tensor output = {.height = 1, .width = 1, .channels = count};
        for (uint32_t pass = 0; pass < passes; pass++) {
            draw.sample = 5 + pass;
            pbit_neuron(&model, &operation.operation, &output, &draw, z + (same ? 0 : pass * STRIDE),
                        expected);
            ck_assert_msg(memcmp(out + pass * STRIDE, expected, count) == 0,
                          "round %d: function %u, L %u, rho %u, pass %u of %u, %u neurons, scale %g", round,
                          operation.operation.function, levels, run.rho, pass, passes, count, scale);
        }
        free(base);
    }
    ck_assert_uint_gt(in_pieces, 50);
}
END_TEST

START_TEST(single_taps_are_scaled)
{
    enum { CHANNELS = 40, PIXELS = 6 };
    enum pbit_cpu cpu = (enum pbit_cpu)_i;
    if (cpu > pbit_cpu_present() || !pbit_engine_kernels(cpu)->name)
        return;
    struct test_random random = {21};
    for (uint32_t round = 0; round < 200; round++) {
        uint32_t channels = round % 2 ? 8 + round % 5 * 8 : (uint32_t)random_range(&random, 1, CHANNELS);
        int16_t weights[CHANNELS];
        int32_t multipliers[CHANNELS], biases[CHANNELS], out[CHANNELS * PIXELS];
        uint8_t in[CHANNELS * PIXELS];
        for (uint32_t k = 0; k < channels; k++) {
            weights[k] = (int16_t)random_word(&random);
            multipliers[k] = (int32_t)(random_word(&random) >> 1);
            biases[k] = (int32_t)random_word(&random);
        }
        for (uint32_t i = 0; i < channels * PIXELS; i++)
            in[i] = (uint8_t)random_word(&random);
        const struct pbit_depthwise packed = {.weights = weights, .biases = biases};
        const struct pbit_operation conv = {.window = {1, 1, 1, 1, 0, 0, 1, 1},
                                            .shift = random_word(&random) % 56};
        const struct pbit_tensor output = {.height = 2, .width = PIXELS / 2, .channels = channels};
        pbit_engine_kernels(cpu)->depthwise(&packed, multipliers, &conv, &output, PIXELS / 2 * channels, in,
                                            out);
        for (uint32_t i = 0; i < channels * PIXELS; i++) {
            uint32_t k = i % channels;
            int64_t product = (int64_t)in[i] * weights[k] * multipliers[k];
            ck_assert_int_eq(out[i], pbit_saturate(pbit_round_shift(product, conv.shift) + biases[k]));
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fast_kernels");
    TCase *tests = tcase_create("fast_kernels");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, dense_layers_add_up_their_weights, PBIT_CPU_AVX2, PBIT_CPU_NEON + 1);
    tcase_add_loop_test(tests, dense_layers_draw_the_exact_bits, PBIT_CPU_AVX2, PBIT_CPU_NEON + 1);
    tcase_add_loop_test(tests, neurons_draw_the_exact_levels, PBIT_CPU_AVX2, PBIT_CPU_NEON + 1);
    tcase_add_loop_test(tests, single_taps_are_scaled, PBIT_CPU_AVX2, PBIT_CPU_NEON + 1);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
