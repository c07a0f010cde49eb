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
    enum { MOST_SHOWN = 3, BYTES = MOST_SHOWN * MOST + PBIT_BIT_OVERRUN };
    const struct pbit_bit_kernels *kernels = kernels_of(_i);
    struct test_random random = {3};
    for (int shape = 0; kernels && shape < SHAPES; shape++) {
        uint8_t in[BYTES], mask[BYTES], out[BYTES], before[BYTES], map[PBIT_BIT_TABLE];
        int masked = shape % 2, mapped = shape / 2 % 2;
        struct pbit_bit_shown shown = {.mask = masked ? mask : NULL,
                                       .map = mapped ? map : NULL,
                                       .instances = (size_t)random_range(&random, 1, MOST_SHOWN),
                                       .in_pitch = (size_t)random_range(&random, 1, MOST),
                                       .out_pitch = (size_t)random_range(&random, 1, MOST)};
        shown.count = masked ? (size_t)random_range(&random, 0, (int)shown.out_pitch) : shown.out_pitch;
        for (size_t i = 0; i < BYTES; i++) {
            in[i] = (uint8_t)random_range(&random, 0, (1 << kernels->group) - 1);
            // Beyond the count nothing is added, which the next instance would have
            mask[i] = i < shown.count && random_range(&random, 0, 1) ? 255 : 0;
            out[i] = before[i] = (uint8_t)random_word(&random);
        }
        for (size_t i = 0; i < sizeof(map); i++)
            map[i] = (uint8_t)random_word(&random);
        if (mapped && !masked)
            shown.instances = 1;
        kernels->show(&shown, in, out);
        for (size_t i = 0; i < shown.instances * shown.out_pitch; i++) {
            size_t at = i % shown.out_pitch;
            uint8_t byte = in[i / shown.out_pitch * shown.in_pitch + at], seen = masked && !mask[at] ? 0
                                                                                 : mapped ? map[byte]
                                                                                          : byte;
            if (at < shown.count)
                ck_assert_uint_eq(out[i], mapped ? (uint8_t)(before[i] + seen) : seen);
            else if (!mapped)
                ck_assert_uint_eq(out[i], 0);
        }
    }
}
END_TEST

/// Numbers for some channels in INSTANCES instances of MOST columns at most.
enum { INSTANCES = 5, STRIDE = INSTANCES * MOST, NUMBERS = GROUP * STRIDE + PBIT_BIT_OVERRUN };
struct drawn {
    uint16_t random[INSTANCES * NUMBERS], sums[PBIT_BIT_TERMS][NUMBERS];
    int32_t wide[PBIT_BIT_TERMS][NUMBERS], z[NUMBERS];
    uint8_t before[NUMBERS], planes[NUMBERS];
    uint32_t order[INSTANCES];
    struct pbit_bit_channel channel[PBIT_BIT_TERMS + 1][GROUP];
    struct pbit_bit_words words[GROUP];
    int32_t theta[PBIT_THETA_ENTRIES];
    struct pbit_bit_theta pieces;
    struct pbit_neuron_pieces limits;
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
        channel->reach = 500;
        if (!wide)
            channel->product = pbit_bit_describe_product(channel->multiplier, 10, channel->least, 500);
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
        channel->reach = levels ? 255 : 1u << k;
        channel->multiplier = (int32_t)random_range(random, 0, 900);
        channel->bias = 100;
        if (levels)
            channel->product = pbit_bit_describe_product(channel->multiplier * 7, 4, 0, 255);
        channel->step = channel->multiplier * channel->weight / 16.0 / (levels ? 1 : 1 << k);
        channel->scale = (float)channel->step;
        channel->offset = 100;
        channel->margin = 1;
    }
}

/// As the engine does, where sums have 16 bits.
static void fill_words(struct drawn *drawn)
{
    struct pbit_bit_draw *draw = &drawn->draw;
    struct pbit_engine_operation operations[PBIT_BIT_TERMS + 1] = {{.fused = PBIT_ENGINE_NONE}},
                                                             neuron = {
                                                                 .output = {.channels = draw->channels}};
    static const uint8_t factors[1];
    uint32_t count = draw->terms;
    for (uint32_t t = 0; t < draw->terms; t++) {
        operations[t].bits.channel = draw->term[t].channel;
        operations[t].bits.conv.factors = draw->term[t].wide ? factors : NULL;
    }
    if (draw->residual.planes) {
        operations[count].bits.channel = draw->residual.channel;
        operations[count++].bits.identity = 1;
    }
    neuron.bits.terms = count;
    for (uint32_t t = 0; t < count; t++)
        neuron.bits.term[t] = t;
    if (pbit_bit_fill_words(operations, &neuron, drawn->words))
        draw->words = drawn->words;
}

/// With steep and flat stretches, or bent as that of a sigmoid.
static void pick_theta(struct test_random *random, struct drawn *drawn)
{
    int32_t steep = (int32_t)random_range(random, 100, 400), rough = random_chance(random, 50),
            theta = (int32_t)random_range(random, 0, 60000) - 128 * steep - (rough ? 0 : 90000);
    for (int i = 0; i < PBIT_THETA_ENTRIES; i++) {
        drawn->theta[i] = theta;
        steep = rough && random_chance(random, 5) ? (int32_t)random_range(random, 0, 1500) : steep;
        theta += rough ? (int32_t)random_range(random, steep / 2, steep) : steep + (i - 128) * (i - 128) / 8;
    }
    pbit_bit_fill_theta(drawn->theta, &drawn->pieces);
}

/// z, one term, two, one and a residual, or a residual.
static void fill_draw(struct test_random *random, const struct pbit_bit_kernels *kernels, struct drawn *drawn)
{
    struct pbit_bit_draw *draw = &drawn->draw;
    int kind = (int)random_range(random, 0, 6) % 5; // the first two in more ways than others
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
                                   .rho = random_chance(random, 20) ? 256
                                                                    : (uint32_t)random_range(random, 0, 255)};
    if (random_range(random, 0, 1)) {
        pick_theta(random, drawn);
        draw->pieces = &drawn->pieces;
        draw->limits = pbit_neuron_fill_pieces(&drawn->limits, drawn->theta) ? &drawn->limits : NULL;
        draw->theta = drawn->theta;
        draw->margin = 0;
    }
    draw->amplitude = (float)draw->rho / 256;
    draw->terms = kind == 2 ? 2 : kind == 1 || kind == 3;
    for (uint32_t t = 0; t < draw->terms; t++)
        pick_term(random, drawn, t);
    if (kind >= 3)
        pick_residual(random, drawn);
    if (!draw->pieces && random_range(random, 0, 3) != 0)
        fill_words(drawn);
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
    int in_words = 0, in_limits = 0, products = 0;
    for (int shape = 0; kernels && shape < 4 * SHAPES; shape++) {
        const struct pbit_bit_draw *draw = &drawn.draw;
        memset(&drawn, 0, sizeof(drawn));
        fill_draw(&random, kernels, &drawn);
        in_words += draw->words && !draw->levels;
        products += draw->levels && draw->residual.planes && draw->residual.channel->product.shift;
        in_limits += draw->limits && draw->z && !draw->levels && draw->instances > 2;
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
    ck_assert(!kernels || (in_words > SHAPES / 4 && products > SHAPES / 16));
    ck_assert(!kernels || in_limits > 3);
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
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
