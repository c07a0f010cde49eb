// Each kernel on bits against plain loops, on random shapes. tests/runtime/test_engine.c has them at work.
#include "runtime/engine.h"
#include "tests/run_suite.h"
#include "tests/runtime/random_program.h"

#include <stdlib.h>
#include <string.h>

enum { SHAPES = 150, GROUP = PBIT_BIT_GROUP };

static const struct pbit_bit_kernels *kernels_of(int cpu)
{
    const struct pbit_engine_kernels *kernels =
        cpu <= (int)pbit_cpu_present() ? pbit_engine_kernels((enum pbit_cpu)cpu) : NULL;
#ifdef __x86_64__
    if (kernels && kernels->bits == &pbit_bit_kernels_avx512 && !__builtin_cpu_supports("avx512vbmi"))
        return NULL;
#endif
    return kernels ? kernels->bits : NULL;
}

static void *make(size_t bytes)
{
    void *memory = aligned_alloc(64, (bytes / 64 + 1) * 64);
    ck_assert_ptr_nonnull(memory);
    memset(memory, 0, (bytes / 64 + 1) * 64);
    return memory;
}

/// A seed of 16 bytes: the sums of the weights that index bits select, each half by itself when there are
/// six.
static void fill_seed(const int *weights, uint32_t group, uint8_t *seed)
{
    uint32_t bits = group == 4 ? 4 : 3;
    for (uint32_t half = 0; half < group / bits; half++, weights += bits)
        for (uint32_t i = 0; i < 1u << bits; i++, seed++)
            for (uint32_t j = 0; j < bits;
                 j++) // without the negative ones: those that are not selected, instead
                *seed = (uint8_t)(*seed + (weights[j] > 0 ? (i >> j & 1) * (uint32_t)weights[j]
                                                          : (~i >> j & 1) * (uint32_t)-weights[j]));
}

START_TEST(sums_are_those_of_the_weights)
{
    const struct pbit_bit_kernels *kernels = kernels_of(_i);
    struct test_random random = {77};
    for (int shape = 0; kernels && shape < SHAPES; shape++) {
        uint32_t group = kernels->group,
                 steps = (uint32_t)random_range(&random, 1, 2 * kernels->part / 3 * 2),
                 columns = (uint32_t)random_range(&random, 1, 300);
        int reach = (int)random_range(&random, 1, 255 / (int)group); // one table fits in 8 bits
        size_t pitch = columns + PBIT_BIT_OVERRUN;
        int *weights = make((size_t)steps * group * GROUP * sizeof(*weights));
        uint8_t *seeds = make((size_t)steps * group * PBIT_BIT_SEED), *runs = make(steps),
                *planes = make(steps * pitch), *tables = make(PBIT_BIT_TABLES);
        uint32_t *offsets = make(steps * sizeof(*offsets)), run = (uint32_t)(255 / (reach * (int)group));
        uint16_t *sums = make(group * pitch * sizeof(*sums));
        run = run > 255 ? 255 : run;
        for (uint32_t s = 0; s < steps; s++) {
            offsets[s] = (uint32_t)(s * pitch);
            for (uint32_t c = 0; c < columns; c++)
                planes[s * pitch + c] = (uint8_t)random_range(&random, 0, (1 << group) - 1);
            for (uint32_t k = 0; k < group; k++) {
                int *at = weights + (s * group + k) * GROUP;
                for (uint32_t j = 0; j < group; j++)
                    at[j] = (int)random_range(&random, -reach, reach);
                fill_seed(at, group, seeds + (s * group + k) * PBIT_BIT_SEED);
            }
        }
        for (uint32_t part = 0; part < steps; part += kernels->part) {
            uint32_t length = steps - part < kernels->part ? steps - part : kernels->part;
            for (uint32_t done = 0, i = part; done < length; done += runs[i++])
                runs[i] = (uint8_t)(length - done < run ? length - done : run);
        }
        uint32_t channels = (uint32_t)random_range(&random, 1, 2 * group);
        const struct pbit_bit_conv conv = {group, channels, steps, seeds, runs};
        kernels->convolve(&conv, 0, offsets, planes, columns, tables, sums, pitch);
        for (uint32_t k = 0; k < group && k < channels; k++)
            for (uint32_t c = 0; c < columns; c++) {
                uint32_t sum = 0;
                for (uint32_t s = 0; s < steps; s++)
                    for (uint32_t j = 0; j < group; j++) {
                        int w = weights[(s * group + k) * GROUP + j], bit = planes[s * pitch + c] >> j & 1;
                        sum += (uint32_t)(bit * w + (w < 0 ? -w : 0));
                    }
                ck_assert_uint_eq(sums[k * pitch + c], sum & 65535);
            }
        free(weights), free(seeds), free(runs), free(planes), free(tables), free(offsets), free(sums);
    }
}
END_TEST

START_TEST(bits_and_levels_are_the_exact_ones)
{
    const struct pbit_bit_kernels *kernels = kernels_of(_i);
    struct test_random random = {5};
    for (int shape = 0; kernels && shape < SHAPES; shape++) {
        enum { MOST = 200 };
        uint16_t numbers[MOST + PBIT_BIT_OVERRUN] = {0}, first[MOST + PBIT_BIT_OVERRUN] = {0},
                                second[MOST + PBIT_BIT_OVERRUN] = {0};
        int32_t z[MOST + PBIT_BIT_OVERRUN] = {0};
        uint8_t before[MOST + PBIT_BIT_OVERRUN] = {0}, plane[MOST + PBIT_BIT_OVERRUN] = {0};
        struct pbit_bit_draw draw = {.count = (size_t)random_range(&random, 1, MOST),
                                     .random = numbers,
                                     .order = (uint32_t)random_range(&random, 0, 65535),
                                     .rho = (uint32_t)random_range(&random, 0, 256),
                                     .bit = random_range(&random, 0, 2) ? 4 : 0};
        draw.amplitude = (float)draw.rho / 256;
        draw.margin = 4; // three roundings of 0.5, one of v', floats
        for (size_t i = 0; i < draw.count; i++) {
            numbers[i] = (uint16_t)random_word(&random);
            first[i] = (uint16_t)random_range(&random, 0, 500);
            second[i] = (uint16_t)random_range(&random, 0, 500);
            z[i] = (int32_t)random_range(&random, -20000, 90000);
            before[i] = (uint8_t)random_range(&random, 0, 255);
        }
        const uint16_t *sums[] = {first, second};
        int kind = (int)random_range(&random, 0, 4); // z, one term, two, one and a residual, a residual
        draw.z = kind == 0 ? z : NULL;
        for (draw.terms = 0; draw.terms < (uint32_t)(kind == 2 ? 2 : kind == 1 || kind == 3); draw.terms++) {
            struct pbit_bit_term term = {sums[draw.terms],
                                         0,
                                         -250,
                                         (int32_t)random_range(&random, 0, 1 << 18),
                                         10,
                                         (int32_t)random_range(&random, -9999, 40000)};
            term.scale = (float)term.multiplier / 1024;
            draw.offset += (float)(term.bias + term.least * (term.multiplier / 1024.0));
            draw.term[draw.terms] = term;
        }
        if (kind >= 3) {
            int bit = random_range(&random, 0, 1) != 0;
            draw.residual = (struct pbit_bit_residual){.plane = before,
                                                       .mask = bit ? 8 : 255,
                                                       .unit = bit ? 8 : 1,
                                                       .weight = bit ? 7 * 255 : 7,
                                                       .multiplier = (int32_t)random_range(&random, 0, 900),
                                                       .shift = 4,
                                                       .bias = 100};
            draw.residual.scale = (float)draw.residual.multiplier * (float)draw.residual.weight / 16 /
                                  (float)draw.residual.unit;
            draw.offset += 100;
        }
        kernels->draw(&draw, plane);
        for (size_t i = 0; i < draw.count; i++)
            ck_assert_int_eq(plane[i],
                             draw.bit ? pbit_bit_exact(&draw, i) * draw.bit : pbit_bit_exact(&draw, i));
        ck_assert_int_eq(plane[draw.count], 0);
    }
}
END_TEST

START_TEST(random_numbers_are_those_of_the_lanes)
{
    const struct pbit_bit_kernels *kernels = kernels_of(_i);
    struct pbit_lanes lanes, same;
    uint16_t numbers[PBIT_LANES * 5];
    pbit_lanes_seed(&lanes, 1, 2, 3, 0);
    same = lanes;
    if (!kernels)
        return;
    kernels->random(&lanes, PBIT_LANES * 4 + 1, numbers);
    for (uint32_t i = 0; i < PBIT_LANES * 5; i++)
        ck_assert_uint_eq(numbers[i], pbit_lanes_next(&same, i % PBIT_LANES));
}
END_TEST

START_TEST(pools_take_the_largest)
{
    const struct pbit_bit_kernels *kernels = kernels_of(_i);
    struct test_random random = {9};
    for (uint32_t width = 1; kernels && width <= 40; width++) {
        enum { ROWS = 3, PITCH = 90 };
        uint16_t in[2 * ROWS * PITCH + PBIT_BIT_OVERRUN], out[ROWS * 50 + PBIT_BIT_OVERRUN];
        for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); i++)
            in[i] = (uint16_t)random_word(&random);
        kernels->pool(in, PITCH, ROWS, width, out, 50);
        for (uint32_t y = 0; y < ROWS; y++)
            for (uint32_t x = 0; x < width; x++) {
                const uint16_t *at = in + (size_t)2 * y * PITCH + 2 * (size_t)x;
                uint16_t above = at[0] > at[1] ? at[0] : at[1],
                         below = at[PITCH] > at[PITCH + 1] ? at[PITCH] : at[PITCH + 1];
                ck_assert_uint_eq(out[y * 50 + x], above > below ? above : below);
            }
    }
}
END_TEST

enum { DENSE_INPUTS = 9000, DENSE_OUTPUTS = 300, DENSE_BLOCKS = 3 };

/// A layer of random weights: in rows as the kernels want them, and by itself.
struct dense_layer {
    int8_t weights[DENSE_OUTPUTS][DENSE_INPUTS];
    uint8_t levels[DENSE_INPUTS];
    uint32_t listed[DENSE_INPUTS + PBIT_DENSE_STEP];
    uint8_t rows[DENSE_BLOCKS * (DENSE_INPUTS + 1) * PBIT_DENSE_BLOCK / 2];
    int32_t totals[DENSE_BLOCKS * PBIT_DENSE_BLOCK], multipliers[DENSE_OUTPUTS], out[DENSE_OUTPUTS];
    int64_t constants[DENSE_OUTPUTS];
};

static void fill_dense(struct dense_layer *layer, struct test_random *random, uint32_t inputs,
                       uint32_t outputs, uint32_t ones)
{
    memset(layer, 0, sizeof(*layer));
    for (uint32_t k = 0; k < inputs; k++)
        layer->levels[k] = random_word(random) % 100 < ones;
    for (uint32_t output = 0; output < outputs; output++) {
        uint32_t at = output % 128;
        uint8_t *row = layer->rows + output / 128 * ((size_t)inputs + 1) * 64 + at % 32 * 2 + at / 32 % 2;
        for (uint32_t k = 0; k < inputs; k++, row += 64) {
            int32_t weight = (int32_t)(random_word(random) >> 28) - 8;
            layer->weights[output][k] = (int8_t)weight;
            layer->totals[output] += weight;
            *row |= (uint8_t)((weight + 8) << (at < 64 ? 0 : 4));
        }
        layer->multipliers[output] = (int32_t)(random_word(random) >> 1);
        layer->constants[output] = (int64_t)(int32_t)random_word(random) * 4;
    }
}

START_TEST(dense_layers_add_up_their_weights)
{
    enum pbit_cpu cpu = (enum pbit_cpu)_i;
    if (cpu > pbit_cpu_present() || !pbit_engine_kernels(cpu)->name)
        return;
    static struct dense_layer layer;
    struct test_random random = {11};
    for (int round = 0; round < 40; round++) {
        uint32_t inputs = 1 + random_word(&random) % (round % 4 ? 300 : DENSE_INPUTS),
                 outputs = 1 + random_word(&random) % DENSE_OUTPUTS, shift = random_word(&random) % 40;
        fill_dense(&layer, &random, inputs, outputs, random_word(&random) % 101);
        const struct pbit_dense_rows dense = {inputs, outputs, layer.rows, layer.totals};
        for (uint8_t level = 0; level < 2; level++) {
            uint32_t count = pbit_engine_kernels(cpu)->list(layer.levels, inputs, level, layer.listed);
            const struct pbit_dense_listed listed = {layer.listed, count, level};
            for (uint32_t b = 0; b * PBIT_DENSE_BLOCK < outputs; b++)
                pbit_engine_kernels(cpu)->dense(&dense, b, &listed, layer.multipliers, shift, layer.constants,
                                                layer.out);
            for (uint32_t output = 0; output < outputs; output++) {
                int64_t sum = 0;
                for (uint32_t k = 0; k < inputs; k++)
                    sum += layer.levels[k] * layer.weights[output][k];
                ck_assert_int_eq(layer.out[output],
                                 pbit_saturate(pbit_round_shift(sum * layer.multipliers[output], shift) +
                                               layer.constants[output]));
            }
        }
    }
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
                                            .shift = random_word(&random) % 33};
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
    Suite *suite = suite_create("bit_kernels");
    TCase *tests = tcase_create("bit_kernels");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, sums_are_those_of_the_weights, PBIT_CPU_AVX2, PBIT_CPU_AVX512 + 1);
    tcase_add_loop_test(tests, bits_and_levels_are_the_exact_ones, PBIT_CPU_AVX2, PBIT_CPU_AVX512 + 1);
    tcase_add_loop_test(tests, random_numbers_are_those_of_the_lanes, PBIT_CPU_AVX2, PBIT_CPU_AVX512 + 1);
    tcase_add_loop_test(tests, pools_take_the_largest, PBIT_CPU_AVX2, PBIT_CPU_AVX512 + 1);
    tcase_add_loop_test(tests, dense_layers_add_up_their_weights, PBIT_CPU_AVX2, PBIT_CPU_NEON + 1);
    tcase_add_loop_test(tests, single_taps_are_scaled, PBIT_CPU_AVX2, PBIT_CPU_NEON + 1);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
