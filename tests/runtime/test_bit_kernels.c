// Each kernel on bits against plain loops, on random shapes. tests/runtime/test_engine.c has them at work.
#include "runtime/engine.h"
#include "tests/run_suite.h"
#include "tests/runtime/random_program.h"

#include <stdlib.h>
#include <string.h>

enum { SHAPES = 150, GROUP = PBIT_BIT_GROUP, MOST = 200 };

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

/// A layer of random weights, whose steps have planes of their own.
struct layer {
    struct pbit_bit_conv conv;
    uint32_t run; ///< length
    int *weights; ///< [step][channel][GROUP]
    uint8_t *seeds, *runs, *factors, *factor_of_step;
};

static struct layer make_layer(const struct pbit_bit_kernels *kernels, struct test_random *random)
{
    uint32_t group = kernels->group, steps = (uint32_t)random_range(random, 1, 2 * kernels->part / 3 * 2);
    int reach = (int)random_range(random, 1, 255 / (int)group); // one table fits in 8 bits
    struct layer layer = {.run = (uint32_t)(255 / (reach * (int)group)),
                          .weights = make((size_t)steps * group * GROUP * sizeof(int)),
                          .seeds = make((size_t)steps * group * PBIT_BIT_SEED),
                          .runs = make(steps),
                          .factors = make(steps * group),
                          .factor_of_step = make(steps * group)};
    for (uint32_t i = 0; i < steps * group; i++) {
        for (uint32_t j = 0; j < group; j++)
            layer.weights[i * GROUP + j] = (int)random_range(random, -reach, reach);
        fill_seed(layer.weights + i * GROUP, group, layer.seeds + i * PBIT_BIT_SEED);
        layer.factors[i] = (uint8_t)random_word(random);
    }
    for (uint32_t part = 0; part < steps; part += kernels->part) {
        uint32_t length = steps - part < kernels->part ? steps - part : kernels->part;
        for (uint32_t done = 0, i = part; done < length; done += layer.runs[i++]) {
            layer.runs[i] = (uint8_t)(length - done < layer.run ? length - done : layer.run);
            for (uint32_t s = 0; s < layer.runs[i]; s++)
                memcpy(layer.factor_of_step + (part + done + s) * group, layer.factors + i * group, group);
        }
    }
    uint32_t channels = (uint32_t)random_range(random, 1, 2 * group);
    layer.conv = (struct pbit_bit_conv){
        group, channels, steps, layer.seeds, layer.runs, random_range(random, 0, 1) ? layer.factors : NULL};
    return layer;
}

static uint32_t sum_of(const struct layer *layer, uint32_t k, const uint8_t *planes, const uint32_t *offsets,
                       size_t column)
{
    uint32_t sum = 0;
    for (uint32_t s = 0; s < layer->conv.steps; s++)
        for (uint32_t j = 0; j < layer->conv.group; j++) {
            uint32_t i = s * layer->conv.group + k, factor = layer->factor_of_step[i];
            int w = layer->weights[i * GROUP + j], bit = planes[offsets[s] + column] >> j & 1;
            sum += (uint32_t)(bit * w + (w < 0 ? -w : 0)) * (layer->conv.factors ? factor : 1);
        }
    return sum;
}

START_TEST(sums_are_those_of_the_weights)
{
    const struct pbit_bit_kernels *kernels = kernels_of(_i);
    struct test_random random = {77};
    for (int shape = 0; kernels && shape < SHAPES; shape++) {
        struct layer layer = make_layer(kernels, &random);
        uint32_t group = kernels->group, steps = layer.conv.steps;
        struct pbit_bit_columns columns = {.pieces = (size_t)random_range(&random, 1, 3),
                                           .length = (size_t)random_range(&random, 1, 300)};
        columns.paired = !layer.conv.factors && random_chance(&random, 50);
        columns.length += columns.paired * columns.length % 2;
        columns.in_pitch = columns.length + (size_t)random_range(&random, 0, 40);
        columns.out_pitch = (columns.length + PBIT_BIT_OVERRUN) / 64 * 64;
        size_t pitch = columns.pieces * columns.in_pitch + PBIT_BIT_OVERRUN,
               stride = columns.pieces * columns.out_pitch + PBIT_BIT_OVERRUN;
        uint8_t *planes = make(steps * pitch), *scratch = make(PBIT_BIT_SCRATCH);
        uint32_t *offsets = make(steps * sizeof(*offsets)), *sums = make(group * stride * sizeof(*sums));
        for (uint32_t s = 0; s < steps; s++)
            offsets[s] = (uint32_t)(s * pitch);
        for (size_t c = 0; c < steps * pitch; c++)
            planes[c] = (uint8_t)random_range(&random, 0, (1 << group) - 1);
        kernels->convolve(&layer.conv, 0, offsets, planes, &columns, scratch, sums, stride);
        for (uint32_t k = 0, before = 0; k < group && k < layer.conv.channels; k++)
            for (size_t c = 0; c < columns.pieces * columns.length; c++) {
                size_t piece = c / columns.length, column = c % columns.length,
                       out = piece * columns.out_pitch + column;
                uint32_t sum = sum_of(&layer, k, planes, offsets, piece * columns.in_pitch + column);
                if (layer.conv.factors)
                    ck_assert_uint_eq(sums[k * stride + out], sum);
                else if (!columns.paired)
                    ck_assert_uint_eq(((uint16_t *)sums)[k * stride + out], sum & 65535);
                else if (column % 2)
                    ck_assert_uint_eq(((uint16_t *)sums)[k * stride + out / 2],
                                      (sum & 65535) > before ? sum & 65535 : before);
                before = sum & 65535;
            }
        free(layer.weights), free(layer.seeds), free(layer.runs), free(layer.factors);
        free(layer.factor_of_step), free(planes), free(scratch), free(offsets), free(sums);
    }
}
END_TEST

START_TEST(shown_bytes_are_masked_and_mapped)
{
    const struct pbit_bit_kernels *kernels = kernels_of(_i);
    struct test_random random = {3};
    for (int shape = 0; kernels && shape < SHAPES; shape++) {
        uint8_t in[MOST + PBIT_BIT_OVERRUN], mask[MOST + PBIT_BIT_OVERRUN], out[MOST + PBIT_BIT_OVERRUN],
            before[MOST + PBIT_BIT_OVERRUN], map[PBIT_BIT_TABLE];
        size_t count = (size_t)random_range(&random, 1, MOST);
        int masked = shape % 2, mapped = shape / 2 % 2;
        for (size_t i = 0; i < sizeof(in); i++) {
            in[i] = (uint8_t)random_range(&random, 0, (1 << kernels->group) - 1);
            mask[i] = random_range(&random, 0, 1) ? 255 : 0;
            out[i] = before[i] = (uint8_t)random_word(&random);
        }
        for (size_t i = 0; i < sizeof(map); i++)
            map[i] = (uint8_t)random_word(&random);
        kernels->show(in, masked ? mask : NULL, mapped ? map : NULL, count, out);
        for (size_t i = 0; i < count; i++) {
            uint8_t seen = masked && !mask[i] ? 0 : mapped ? map[in[i]] : in[i];
            ck_assert_uint_eq(out[i], mapped ? (uint8_t)(before[i] + seen) : seen);
        }
    }
}
END_TEST

/// Numbers for some channels in INSTANCES instances of MOST columns at most.
enum { INSTANCES = 3, STRIDE = INSTANCES * MOST, NUMBERS = GROUP * STRIDE + PBIT_BIT_OVERRUN };
struct drawn {
    uint16_t random[INSTANCES * NUMBERS], sums[PBIT_BIT_TERMS][NUMBERS];
    int32_t wide[PBIT_BIT_TERMS][NUMBERS], z[NUMBERS];
    uint8_t before[NUMBERS], planes[NUMBERS];
    uint32_t order[INSTANCES];
    struct pbit_bit_channel channel[PBIT_BIT_TERMS + 1][GROUP];
    struct pbit_bit_draw draw;
};

static void pick_term(struct test_random *random, struct drawn *drawn, uint32_t t)
{
    struct pbit_bit_channel *channel = drawn->channel[t];
    int wide = random_range(random, 0, 1) != 0;
    drawn->draw.term[t] =
        (struct pbit_bit_term){.sums = wide ? (const void *)drawn->wide[t] : drawn->sums[t],
                               .stride = STRIDE,
                               .pitch = (size_t)random_range(random, (int)drawn->draw.count, MOST),
                               .wide = wide,
                               .shift = 10,
                               .channel = channel};
    for (uint32_t k = 0; k < drawn->draw.channels; k++, channel++) {
        channel->least = -(int32_t)random_range(random, 0, 500);
        channel->multiplier = (int32_t)random_range(random, 0, 1 << 18);
        channel->bias = (int32_t)random_range(random, -9999, 40000);
        channel->step = channel->multiplier / 1024.0;
        channel->scale = (float)channel->step;
        channel->offset = (float)(channel->bias + channel->least * channel->step);
        channel->margin = 1; // a rounding of 0.5, and floats
    }
}

static void pick_residual(struct test_random *random, struct drawn *drawn)
{
    struct pbit_bit_channel *channel = drawn->channel[PBIT_BIT_TERMS];
    int levels = random_range(random, 0, 1) != 0;
    drawn->draw.residual = (struct pbit_bit_residual){
        .planes = drawn->before, .stride = STRIDE, .levels = levels, .shift = 4, .channel = channel};
    for (uint32_t k = 0; k < drawn->draw.channels; k++, channel++) {
        channel->weight = levels ? 7 : 7 * 255;
        channel->multiplier = (int32_t)random_range(random, 0, 900);
        channel->bias = 100;
        channel->step = channel->multiplier * channel->weight / 16.0 / (levels ? 1 : 1 << k);
        channel->scale = (float)channel->step;
        channel->offset = 100;
        channel->margin = 1;
    }
}

/// z, one term, two, one and a residual, or a residual.
static void fill_draw(struct test_random *random, const struct pbit_bit_kernels *kernels, struct drawn *drawn)
{
    struct pbit_bit_draw *draw = &drawn->draw;
    int kind = (int)random_range(random, 0, 4);
    *draw = (struct pbit_bit_draw){.instances = (size_t)random_range(random, 1, INSTANCES),
                                   .count = (size_t)random_range(random, 1, MOST),
                                   .channels = (uint32_t)random_range(random, 1, (int)kernels->group),
                                   .z = kind == 0 ? drawn->z : NULL,
                                   .stride = STRIDE,
                                   .levels = random_range(random, 0, 2) == 0,
                                   .plane_stride = STRIDE,
                                   .margin = 1, // v' is rounded
                                   .random = drawn->random,
                                   .random_shared = (size_t)random_range(random, 1, INSTANCES),
                                   .random_pitch = NUMBERS,
                                   .order = drawn->order,
                                   .rho = (uint32_t)random_range(random, 0, 256)};
    draw->amplitude = (float)draw->rho / 256;
    draw->terms = kind == 2 ? 2 : kind == 1 || kind == 3;
    for (uint32_t t = 0; t < draw->terms; t++)
        pick_term(random, drawn, t);
    if (kind >= 3)
        pick_residual(random, drawn);
    for (size_t i = 0; i < INSTANCES * NUMBERS; i++)
        drawn->random[i] = (uint16_t)random_word(random);
    for (size_t i = 0; i < NUMBERS; i++) {
        for (int t = 0; t < PBIT_BIT_TERMS; t++)
            drawn->wide[t][i] = drawn->sums[t][i] = (uint16_t)random_range(random, 0, 500);
        drawn->z[i] = (int32_t)random_range(random, -20000, 90000);
        drawn->before[i] = (uint8_t)random_range(random, 0, 255);
    }
    for (size_t i = 0; i < INSTANCES; i++)
        drawn->order[i] = (uint32_t)random_range(random, 0, 65535);
}

START_TEST(bits_and_levels_are_the_exact_ones)
{
    const struct pbit_bit_kernels *kernels = kernels_of(_i);
    struct test_random random = {5};
    static struct drawn drawn;
    for (int shape = 0; kernels && shape < SHAPES; shape++) {
        const struct pbit_bit_draw *draw = &drawn.draw;
        memset(&drawn, 0, sizeof(drawn));
        fill_draw(&random, kernels, &drawn);
        kernels->draw(draw, drawn.planes);
        for (size_t i = 0; i < draw->instances * draw->count; i++) {
            uint8_t bits = 0;
            for (uint32_t k = 0; k < draw->channels; k++) {
                uint8_t exact = pbit_bit_exact(draw, k, i / draw->count, i % draw->count);
                bits = (uint8_t)(bits | exact << k);
                if (draw->levels)
                    ck_assert_int_eq(drawn.planes[k * STRIDE + i], exact);
            }
            if (!draw->levels)
                ck_assert_int_eq(drawn.planes[i], bits);
        }
        if (draw->instances * draw->count < STRIDE)
            ck_assert_int_eq(drawn.planes[draw->instances * draw->count], 0);
    }
}
END_TEST

/// Step by step, as the engine does not.
static void find_jump(size_t steps, uint32_t jump[32])
{
    struct pbit_lanes lanes;
    for (uint32_t bit = 0; bit < 32; bit++)
        lanes.state[bit] = 1u << bit;
    for (size_t i = 0; i < steps; i++)
        for (uint32_t bit = 0; bit < 32; bit++)
            pbit_lanes_next(&lanes, bit);
    memcpy(jump, lanes.state, 32 * sizeof(*jump));
}

START_TEST(random_numbers_are_those_of_the_lanes)
{
    const struct pbit_bit_kernels *kernels = kernels_of(_i);
    for (uint32_t channels = 1; kernels && channels < 50; channels++) {
        size_t pixels = 16 + channels * 37 % 300;
        uint32_t jump[32];
        struct pbit_bit_random layer = {
            .pixels = pixels,
            .part = (pixels / kernels->streams / PBIT_BIT_PIXELS + 1) * PBIT_BIT_PIXELS,
            .stride = (pixels + PBIT_BIT_PIXELS - 1) / PBIT_BIT_PIXELS * PBIT_BIT_PIXELS,
            .first_channel = channels * 5 % 7 % channels,
            .end_channel = channels - (channels > 20 ? channels * 3 % 5 : 0),
            .channels = channels,
            .buffer = make((kernels->streams * PBIT_BIT_PIXELS * channels + PBIT_BIT_OVERRUN) * 4),
            .jump = jump};
        uint16_t *numbers = make(channels * layer.stride * sizeof(*numbers));
        struct pbit_lanes lanes;
        pbit_lanes_seed(&lanes, 1, 2, channels, 0);
        find_jump(layer.part / PBIT_LANES * channels, jump);
        kernels->random(&layer, &lanes, numbers);
        for (uint32_t i = 0; i < pixels * channels; i++) {
            uint32_t number = pbit_lanes_next(&lanes, i % PBIT_LANES);
            if (i % channels >= layer.first_channel && i % channels < layer.end_channel)
                ck_assert_uint_eq(numbers[i % channels * layer.stride + i / channels], number);
        }
        free(layer.buffer), free(numbers);
    }
}
END_TEST

START_TEST(bits_become_bytes)
{
    const struct pbit_bit_kernels *kernels = kernels_of(_i);
    struct test_random random = {10};
    for (uint32_t shape = 0; kernels && shape < SHAPES; shape++) {
        enum { END = 0xEE };
        size_t pixels = (size_t)random_range(&random, 1, 40),
               channels = (size_t)random_range(&random, 1, shape % 2 ? 150 : 64), group = kernels->group,
               planes = (channels + group - 1) / group, count = pixels * channels;
        uint8_t *in = make(planes * pixels + PBIT_BIT_OVERRUN), *out = make(count + 1);
        for (size_t i = 0; i < planes * pixels; i++) {
            size_t left = channels - i / pixels * group;
            in[i] = (uint8_t)(random_word(&random) & ((1u << (left < group ? left : group)) - 1));
        }
        out[count] = END;
        kernels->spread(in, pixels, pixels, (uint32_t)channels, (uint32_t)group, out);
        for (size_t i = 0; i < count; i++) {
            size_t k = i % channels;
            ck_assert_uint_eq(out[i], in[k / group * pixels + i / channels] >> k % group & 1);
        }
        ck_assert_uint_eq(out[count], END);
        free(in), free(out);
    }
}
END_TEST

START_TEST(pools_take_the_largest)
{
    const struct pbit_bit_kernels *kernels = kernels_of(_i);
    struct test_random random = {9};
    for (uint32_t shape = 2; kernels && shape < 80; shape++) {
        enum { ROWS = 3, IMAGES = 2, MAP = 2 * ROWS * 90, OUT = IMAGES * ROWS * 40 + PBIT_BIT_OVERRUN };
        uint16_t in[IMAGES * MAP + PBIT_BIT_OVERRUN], out[OUT], of_pairs[OUT];
        int32_t wide_in[IMAGES * MAP + PBIT_BIT_OVERRUN], wide_out[OUT];
        struct pbit_bit_pool pool = {
            .sums = in, .instances = IMAGES, .pitch = MAP, .height = ROWS, .width = shape / 2};
        pool.line = shape % 2 ? 2 * pool.width : 80;
        struct pbit_bit_pool pairs = pool;
        pairs.paired = 1;
        pairs.line = pool.width;
        for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); i++) {
            in[i] = (uint16_t)random_word(&random);
            wide_in[i] = (int32_t)random_word(&random);
        }
        kernels->pool(&pairs, of_pairs);
        kernels->pool(&pool, out);
        pool.wide = 1;
        pool.sums = wide_in;
        kernels->pool(&pool, wide_out);
        for (size_t i = 0; i < (size_t)IMAGES * ROWS * pool.width; i++) {
            size_t line = i / pool.width,
                   first = line / ROWS * MAP + 2 * (line % ROWS) * pool.line + 2 * (i % pool.width);
            uint16_t largest = 0;
            int32_t wide_largest = INT32_MIN;
            for (size_t corner = 0; corner < 4; corner++) {
                size_t at = first + corner / 2 * pool.line + corner % 2;
                largest = in[at] > largest ? in[at] : largest;
                wide_largest = wide_in[at] > wide_largest ? wide_in[at] : wide_largest;
            }
            size_t upper = line / ROWS * MAP + 2 * (line % ROWS) * pairs.line + i % pool.width,
                   lower = upper + pairs.line;
            ck_assert_uint_eq(out[i], largest);
            ck_assert_uint_eq(of_pairs[i], in[upper] > in[lower] ? in[upper] : in[lower]);
            ck_assert_int_eq(wide_out[i], wide_largest);
        }
    }
}
END_TEST

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
        kernels->seed(&lanes, draw.seed, draw.image, 3, 0);
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
    Suite *suite = suite_create("bit_kernels");
    TCase *tests = tcase_create("bit_kernels");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, sums_are_those_of_the_weights, PBIT_CPU_AVX2, PBIT_CPU_AVX512 + 1);
    tcase_add_loop_test(tests, shown_bytes_are_masked_and_mapped, PBIT_CPU_AVX2, PBIT_CPU_AVX512 + 1);
    tcase_add_loop_test(tests, bits_and_levels_are_the_exact_ones, PBIT_CPU_AVX2, PBIT_CPU_AVX512 + 1);
    tcase_add_loop_test(tests, random_numbers_are_those_of_the_lanes, PBIT_CPU_AVX2, PBIT_CPU_AVX512 + 1);
    tcase_add_loop_test(tests, bits_become_bytes, PBIT_CPU_AVX2, PBIT_CPU_AVX512 + 1);
    tcase_add_loop_test(tests, pools_take_the_largest, PBIT_CPU_AVX2, PBIT_CPU_AVX512 + 1);
    tcase_add_loop_test(tests, dense_layers_add_up_their_weights, PBIT_CPU_AVX2, PBIT_CPU_NEON + 1);
    tcase_add_loop_test(tests, dense_layers_draw_the_exact_bits, PBIT_CPU_AVX2, PBIT_CPU_NEON + 1);
    tcase_add_loop_test(tests, neurons_draw_the_exact_levels, PBIT_CPU_AVX2, PBIT_CPU_NEON + 1);
    tcase_add_loop_test(tests, single_taps_are_scaled, PBIT_CPU_AVX2, PBIT_CPU_NEON + 1);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
