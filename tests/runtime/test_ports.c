// Float images in, float results out: pbit_input_quantize and pbit_output_float.
#include "tests/run_suite.h"
#include "tests/runtime/random_program.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

enum { HEIGHT = 2, WIDTH = 3, CHANNELS = 2, PIXELS = HEIGHT * WIDTH, ELEMENTS = PIXELS * CHANNELS };

static const float offsets[CHANNELS] = {-1, 10}, steps[CHANNELS] = {0.5f, 2};

/// Input -> 1 x 1 CONV that copies every channel -> output, of 2 x 3 x 2.
static struct test_file make_file(bool channels_last, float scale)
{
    struct pbitc_arena *arena = pbitc_arena_create(NULL);
    struct pbitc_program *program = pbitc_program_create(arena);
    static const int8_t ones[CHANNELS] = {1, 1};
    static const int32_t multipliers[CHANNELS] = {255, 255}, biases[CHANNELS] = {0, 0};
    struct pbit_tensor x = {"x", PBIT_LEVELS, 0, HEIGHT, WIDTH, CHANNELS, 0},
                       y = {"y", PBIT_FIXED, 0, HEIGHT, WIDTH, CHANNELS, 0};
    pbitc_program_add_tensor(program, &x);
    pbitc_program_add_tensor(program, &y);
    program->inputs[0] = (struct pbitc_program_input){3, channels_last, offsets, steps};
    program->outputs[0] = (struct pbitc_program_output){
        1, 3, PBIT_OUTPUT_SOFTMAX | (channels_last ? PBIT_OUTPUT_CHANNELS_LAST : 0), scale};
    program->input_count = program->output_count = program->draws = 1;
    program->samples = 4;
    program->sampler = PBIT_SAMPLER_IID;
    program->metadata = "{}";
    struct pbitc_program_operation *conv =
        pbitc_program_add_operation(program, PBIT_OPERATION_CONV, "copy", 0, 1);
    conv->fields.window = (struct pbit_window){1, 1, 1, 1, 0, 0, 1, 1};
    conv->fields.groups = CHANNELS;
    conv->fields.weight_bits = 2;
    conv->tables =
        (struct pbitc_program_tables){.weights = ones, .multipliers = multipliers, .biases = biases};
    uint8_t *bytes;
    size_t size;
    ck_assert_int_eq(pbitc_program_serialize(program, NULL, &bytes, &size), PBIT_OK);
    struct test_file file = test_file_copy(bytes, size);
    pbitc_arena_destroy(arena);
    return file;
}

static struct pbit_model open_file(const struct test_file *file)
{
    struct pbit_model model;
    ck_assert_int_eq(pbit_model_open(&model, file->bytes, file->size), PBIT_OK);
    return model;
}

START_TEST(ports_say_what_they_hold)
{
    struct test_file file = make_file(false, 0.125f), last = make_file(true, 0.125f);
    struct pbit_model model = open_file(&file), model_last = open_file(&last);
    struct pbit_port x = pbit_model_input(&model, 0), y = pbit_model_output(&model, 0);
    ck_assert_str_eq(x.name, "x");
    ck_assert_str_eq(y.name, "y");
    ck_assert_uint_eq(x.height, HEIGHT);
    ck_assert_uint_eq(x.width, WIDTH);
    ck_assert_uint_eq(x.channels, CHANNELS);
    ck_assert_uint_eq(x.elements, ELEMENTS);
    ck_assert_uint_eq(x.rank, 3);
    ck_assert(!x.channels_last && !y.channels_last && y.softmax);
    ck_assert(y.scale == 0.125f);
    ck_assert(pbit_model_input(&model_last, 0).channels_last);
    ck_assert(pbit_model_output(&model_last, 0).channels_last);
    size_t length;
    ck_assert_mem_eq(pbit_model_metadata(&model, &length), "{}", 2);
    ck_assert_uint_eq(length, 2);
    test_file_free(&file);
    test_file_free(&last);
}
END_TEST

START_TEST(an_output_ends_in_one_function_at_most)
{
    for (uint32_t flags = 0; flags <= 8; flags++) {
        struct test_file file = make_file(false, 1);
        struct pbit_model model;
        test_file_set(&file, test_file_word(&file, PBIT_HEADER_OUTPUTS) + 8, flags);
        test_file_seal(&file);
        bool softmax = flags & PBIT_OUTPUT_SOFTMAX, logarithm = flags & PBIT_OUTPUT_LOG_SOFTMAX;
        bool good = flags < 8 && !(softmax && logarithm);
        ck_assert_int_eq(pbit_model_open(&model, file.bytes, file.size), good ? PBIT_OK : PBIT_ERROR_FORMAT);
        if (good) {
            struct pbit_port y = pbit_model_output(&model, 0);
            ck_assert(y.softmax == softmax && y.log_softmax == logarithm);
            ck_assert(y.channels_last == ((flags & PBIT_OUTPUT_CHANNELS_LAST) != 0));
        }
        test_file_free(&file);
    }
}
END_TEST

START_TEST(pixels_take_the_files_order)
{
    for (int channels_last = 0; channels_last <= 1; channels_last++) {
        struct test_file file = make_file(channels_last, 1);
        struct pbit_model model = open_file(&file);
        float values[ELEMENTS];
        uint8_t pixels[ELEMENTS];
        for (int p = 0; p < PIXELS; p++)
            for (int c = 0; c < CHANNELS; c++) {
                int level = 20 * p + c;
                values[channels_last ? p * CHANNELS + c : c * PIXELS + p] =
                    offsets[c] + steps[c] * (float)level;
            }
        pbit_input_quantize(&model, 0, values, pixels);
        for (int p = 0; p < PIXELS; p++)
            for (int c = 0; c < CHANNELS; c++)
                ck_assert_int_eq(pixels[p * CHANNELS + c], 20 * p + c);
        test_file_free(&file);
    }
}
END_TEST

START_TEST(pixels_are_rounded_and_clamped)
{
    static const struct {
        float level;
        int pixel;
    } cases[] = {{0.49f, 0},     {0.51f, 1}, {1.5f, 2}, {254.4f, 254}, {254.6f, 255},   {255.4f, 255},
                 {300, 255},     {-0.4f, 0}, {-3, 0},   {1e30f, 255},  {-1e30f, 0},     {INFINITY, 255},
                 {-INFINITY, 0}, {NAN, 0},   {-NAN, 0}, {0.5f, 1},     {0.49999997f, 0}};
    struct test_file file = make_file(false, 1);
    struct pbit_model model = open_file(&file);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        // Offset 0 and step 1, so that the level is exact.
        size_t record = test_file_word(&file, PBIT_HEADER_INPUTS);
        test_file_set(&file, test_file_word(&file, record + 8), 0);
        test_file_set(&file, test_file_word(&file, record + 12), 0x3F800000);
        float values[ELEMENTS] = {cases[i].level};
        uint8_t pixels[ELEMENTS];
        pbit_input_quantize(&model, 0, values, pixels);
        ck_assert_msg(pixels[0] == cases[i].pixel, "%.9g became %d", (double)cases[i].level, pixels[0]);
    }
    test_file_free(&file);
}
END_TEST

START_TEST(means_take_the_models_order)
{
    enum { SAMPLES = 4 };
    for (int channels_last = 0; channels_last <= 1; channels_last++) {
        struct test_file file = make_file(channels_last, 0.5f);
        struct test_buffers buffers = test_buffers_create(&file, 3);
        float values[ELEMENTS];
        ck_assert_int_eq(test_run(&buffers, &(struct pbit_options){.seed = 1}), PBIT_OK);
        pbit_output_float(&buffers.model, 0, buffers.sums[0], SAMPLES, values);
        for (int p = 0; p < PIXELS; p++)
            for (int c = 0; c < CHANNELS; c++) {
                int64_t sum = buffers.sums[0][p * CHANNELS + c];
                ck_assert_int_eq(sum,
                                 SAMPLES * buffers.inputs[0][p * CHANNELS + c]); // the same in every pass
                ck_assert_float_eq(values[channels_last ? p * CHANNELS + c : c * PIXELS + p],
                                   (float)sum * 0.5f / SAMPLES / 65536);
            }
        test_buffers_free(&buffers);
        test_file_free(&file);
    }
}
END_TEST

START_TEST(layers_are_described)
{
    struct test_file file = one_layer_program(20, 128, 512, PBIT_SAMPLER_IID);
    struct pbit_model model = open_file(&file);
    struct pbit_layer first = pbit_model_layer(&model, 0), neuron = pbit_model_layer(&model, 1),
                      second = pbit_model_layer(&model, 2);
    ck_assert_str_eq(first.name, "dense");
    ck_assert_int_eq(first.kind, PBIT_OPERATION_CONV);
    ck_assert(!first.random && neuron.random && second.random);
    ck_assert_uint_eq(first.fan_in, 1);
    ck_assert_uint_eq(first.weights, 20);
    ck_assert_uint_eq(second.fan_in, 20);
    ck_assert_uint_eq(second.weights, 400);
    ck_assert_uint_eq(second.synapses, 400);
    ck_assert_uint_eq(second.weight_bits, 2);
    ck_assert_int_eq(neuron.kind, PBIT_OPERATION_NEURON);
    ck_assert(neuron.draws && !neuron.multibit);
    ck_assert_uint_eq(neuron.draw_factor, 512);
    ck_assert_uint_eq(neuron.amplitude, 128);
    ck_assert_uint_eq(neuron.channels, 20);
    test_file_free(&file);
}
END_TEST

START_TEST(every_status_has_a_text)
{
    for (int status = -1; status < 12; status++)
        ck_assert_str_ne(pbit_status_text((enum pbit_status)status), "");
    ck_assert_str_eq(pbit_status_text(PBIT_ERROR_MEMORY), "out of memory");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ports");
    TCase *ports = tcase_create("ports");
    tcase_add_test(ports, ports_say_what_they_hold);
    tcase_add_test(ports, an_output_ends_in_one_function_at_most);
    tcase_add_test(ports, pixels_take_the_files_order);
    tcase_add_test(ports, pixels_are_rounded_and_clamped);
    tcase_add_test(ports, means_take_the_models_order);
    tcase_add_test(ports, layers_are_described);
    tcase_add_test(ports, every_status_has_a_text);
    suite_add_tcase(suite, ports);
    return run_suite(suite);
}
