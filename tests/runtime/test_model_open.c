// pbit_model_open rejects every file that breaks a rule of runtime/FORMAT.md, and whatever it lets through
// runs without touching memory that is not its own.
#include "tests/run_suite.h"
#include "tests/runtime/random_program.h"

#include <check.h>
#include <limits.h>
#include <stdlib.h>

enum {
    FILES = 3,
    LARGEST_RUN = 1 << 16, ///< bytes of workspace and of input: what damaged files may ask of this test
};

static void expect_refused(const struct test_file *file, enum pbit_status expected)
{
    struct pbit_model model;
    ck_assert_int_eq(pbit_model_open(&model, file->bytes, file->size), expected);
    ck_assert_str_ne(pbit_model_problem(file->bytes, file->size), "");
}

static size_t input_elements(const struct pbit_model *model)
{
    size_t elements = 0;
    for (uint32_t i = 0; i < model->input_count; i++)
        elements += pbit_model_input(model, i).elements;
    return elements;
}

/// Uses everything a caller can get at.
static void use(const struct test_file *file)
{
    struct test_buffers buffers = test_buffers_create(file, 1);
    const struct pbit_model *model = &buffers.model;
    for (uint32_t i = 0; i < model->operation_count; i++)
        ck_assert_uint_lt(strlen(pbit_model_layer(model, i).name), file->size);
    for (uint32_t i = 0; i < model->input_count; i++) {
        struct pbit_port port = pbit_model_input(model, i);
        float *values = calloc(port.elements, sizeof(float));
        ck_assert_uint_lt(strlen(port.name), file->size);
        pbit_input_quantize(model, i, values, buffers.inputs[i]);
        free(values);
    }
    struct pbit_options options = {.draws = pbit_model_max_draws(model), .samples = 2};
    for (int sampler = PBIT_SAMPLER_IID; sampler <= PBIT_SAMPLER_STRATIFIED; sampler++) {
        options.sampler = (enum pbit_sampler)sampler;
        ck_assert_int_eq(test_run(&buffers, &options), PBIT_OK);
    }
    for (uint32_t o = 0; o < model->output_count; o++) {
        struct pbit_port port = pbit_model_output(model, o);
        float *values = calloc(port.elements, sizeof(float));
        pbit_output_float(model, o, buffers.sums[o], 2, values);
        free(values);
    }
    size_t length;
    const char *metadata = pbit_model_metadata(model, &length);
    for (size_t i = 0; i < length; i++)
        ck_assert_int_le(metadata[i], CHAR_MAX);
    test_buffers_free(&buffers);
}

START_TEST(a_file_cut_anywhere_is_refused)
{
    for (uint32_t seed = 1; seed <= FILES; seed++) {
        struct test_file file = random_program(seed, 5);
        for (size_t size = 0; size < file.size; size++) {
            struct test_file cut = test_file_copy(file.bytes, size);
            expect_refused(&cut, PBIT_ERROR_FORMAT);
            if (size >= PBIT_HEADER_BYTES) { // as if it had been written so
                test_file_set(&cut, PBIT_HEADER_SIZE, (uint32_t)size);
                test_file_seal(&cut);
                struct pbit_model model;
                if (pbit_model_open(&model, cut.bytes, cut.size) == PBIT_OK)
                    use(&cut);
            }
            test_file_free(&cut);
        }
        test_file_free(&file);
    }
}
END_TEST

START_TEST(bytes_too_many_are_refused)
{
    struct test_file file = random_program(1, 5);
    struct test_file longer = test_file_copy(file.bytes, file.size);
    longer.bytes = realloc(longer.bytes, file.size + 4);
    longer.size = file.size + 4;
    memset(longer.bytes + file.size, 0, 4);
    expect_refused(&longer, PBIT_ERROR_FORMAT);
    test_file_free(&longer);
    test_file_free(&file);
}
END_TEST

START_TEST(a_damaged_byte_is_refused)
{
    for (uint32_t seed = 1; seed <= FILES; seed++) {
        struct test_file file = random_program(seed, 5);
        for (size_t at = 0; at < file.size; at++)
            for (int bit = 0; bit < 8; bit += 3) {
                file.bytes[at] ^= (uint8_t)(1 << bit);
                bool version = at / 4 * 4 == PBIT_HEADER_VERSION;
                expect_refused(&file, version ? PBIT_ERROR_UNSUPPORTED : PBIT_ERROR_FORMAT);
                file.bytes[at] ^= (uint8_t)(1 << bit);
            }
        test_file_free(&file);
    }
}
END_TEST

/// A file with a right checksum that nobody wrote: refused, or harmless.
static bool survive(struct test_file *file)
{
    struct pbit_model model;
    test_file_seal(file);
    if (pbit_model_open(&model, file->bytes, file->size) != PBIT_OK)
        return false;
    if (pbit_workspace_bytes(&model) <= LARGEST_RUN && input_elements(&model) <= LARGEST_RUN)
        use(file);
    return true;
}

START_TEST(a_forged_byte_does_no_harm)
{
    static const uint8_t changes[] = {0x01, 0x80, 0xFF};
    int refused = 0, accepted = 0;
    for (uint32_t seed = 1; seed <= FILES; seed++) {
        struct test_file file = random_program(seed, 5);
        for (size_t at = 0; at < file.size; at++)
            for (size_t i = 0; i < sizeof(changes); i++) {
                file.bytes[at] ^= changes[i];
                bool survived = survive(&file);
                accepted += survived;
                refused += !survived;
                file.bytes[at] ^= changes[i];
            }
        test_file_free(&file);
    }
    ck_assert_int_gt(refused, 500);
    ck_assert_int_gt(accepted, 500); // weights, biases and names
}
END_TEST

START_TEST(forged_words_do_no_harm)
{
    struct test_random random = {77};
    for (uint32_t seed = 1; seed <= 100; seed++) {
        struct test_file file = random_program(seed, 6);
        for (int i = 0; i < 40; i++) {
            size_t first = (size_t)random_range(&random, 4, (int64_t)file.size / 4 - 1) * 4;
            uint32_t old = test_file_word(&file, first);
            uint32_t word =
                random_chance(&random, 50) ? (uint32_t)random_range(&random, 0, 300) : random_word(&random);
            test_file_set(&file, first, word);
            survive(&file);
            test_file_set(&file, first, old);
        }
        test_file_free(&file);
    }
}
END_TEST

// ---- one rule broken by hand

/// The first operation of `kind` whose word `w` is `value` (w = 0: any); UINT32_MAX: there is none.
static uint32_t find_operation(const struct test_file *file, enum pbit_operation_kind kind, uint32_t w,
                               uint32_t value)
{
    for (uint32_t i = 0; i < test_file_word(file, PBIT_HEADER_OPERATION_COUNT); i++)
        if (test_file_word(file, test_file_operation(file, i, 0)) == kind &&
            (w == 0 || test_file_word(file, test_file_operation(file, i, w)) == value))
            return i;
    return UINT32_MAX;
}

/// A valid file that has such an operation.
static struct test_file file_with(enum pbit_operation_kind kind, uint32_t w, uint32_t value,
                                  uint32_t *operation)
{
    for (uint32_t seed = 1; seed < 3000; seed++) {
        struct test_file file = random_program(seed, 6);
        *operation = find_operation(&file, kind, w, value);
        if (*operation != UINT32_MAX)
            return file;
        test_file_free(&file);
    }
    ck_abort_msg("no program with operation %d, word %u = %u", kind, w, value);
}

static void expect_problem(struct test_file *file, const char *phrase)
{
    test_file_seal(file);
    expect_refused(file, PBIT_ERROR_FORMAT);
    const char *problem = pbit_model_problem(file->bytes, file->size);
    ck_assert_msg(strstr(problem, phrase), "'%s' instead of '%s'", problem, phrase);
}

static const struct {
    size_t field;
    uint32_t word;
    const char *phrase;
} header_rules[] = {
    {PBIT_HEADER_MAGIC, 0x54494251, "does not begin with PBIT"},
    {PBIT_HEADER_SIZE, 80, "truncated"},
    {PBIT_HEADER_TENSOR_COUNT, 0, "number of tensors"},
    {PBIT_HEADER_TENSOR_COUNT, 4097, "number of tensors"},
    {PBIT_HEADER_OPERATION_COUNT, 0, "number of operations"},
    {PBIT_HEADER_OPERATION_COUNT, 4097, "number of operations"},
    {PBIT_HEADER_INPUT_COUNT, 0, "number of inputs"},
    {PBIT_HEADER_INPUT_COUNT, 17, "number of inputs"},
    {PBIT_HEADER_OUTPUT_COUNT, 0, "number of outputs"},
    {PBIT_HEADER_OUTPUT_COUNT, 17, "number of outputs"},
    {PBIT_HEADER_TENSORS, 81, "table lies outside"},
    {PBIT_HEADER_TENSORS, 76, "table lies outside"},
    {PBIT_HEADER_TENSORS, 0, "table lies outside"},
    {PBIT_HEADER_TENSORS, 0xFFFFFFFC, "table lies outside"},
    {PBIT_HEADER_OPERATIONS, 0x7FFFFFF0, "table lies outside"},
    {PBIT_HEADER_INPUTS, 82, "table lies outside"},
    {PBIT_HEADER_OUTPUTS, 0xFFFFFFF0, "table lies outside"},
    {PBIT_HEADER_METADATA, 0xFFFFFFF0, "table lies outside"},
    {PBIT_HEADER_METADATA_BYTES, 0xFFFFFFFF, "table lies outside"},
    {PBIT_HEADER_WORKSPACE, 0, "outside the workspace"},
    {PBIT_HEADER_MAX_DRAWS, 0, "number of draws"},
    {PBIT_HEADER_MAX_DRAWS, 256, "number of draws"},
    {PBIT_HEADER_DRAWS, 0, "number of draws"},
    {PBIT_HEADER_DRAWS, 256, "number of draws"},
    {PBIT_HEADER_MAX_SAMPLES, 0, "number of samples"},
    {PBIT_HEADER_MAX_SAMPLES, 65536, "number of samples"},
    {PBIT_HEADER_SAMPLES, 0, "number of samples"},
    {PBIT_HEADER_SAMPLES, 65536, "number of samples"},
    {PBIT_HEADER_SAMPLER, 0, "unknown sampler"},
    {PBIT_HEADER_SAMPLER, 3, "unknown sampler"},
};
enum { HEADER_RULES = sizeof(header_rules) / sizeof(*header_rules) };

START_TEST(a_broken_header_is_refused)
{
    struct test_file file = random_program(3, 5);
    test_file_set(&file, header_rules[_i].field, header_rules[_i].word);
    expect_problem(&file, header_rules[_i].phrase);
    test_file_free(&file);
}
END_TEST

START_TEST(another_version_is_unsupported)
{
    struct test_file file = random_program(3, 5);
    test_file_set(&file, PBIT_HEADER_VERSION, 2);
    test_file_seal(&file);
    expect_refused(&file, PBIT_ERROR_UNSUPPORTED);
    test_file_free(&file);
}
END_TEST

START_TEST(a_workspace_is_a_multiple_of_16)
{
    struct test_file file = random_program(3, 5);
    test_file_set(&file, PBIT_HEADER_WORKSPACE, test_file_word(&file, PBIT_HEADER_WORKSPACE) + 4);
    expect_problem(&file, "multiple of 16");
    test_file_free(&file);
}
END_TEST

enum { INPUT = 0, LEVELS = 2, FIXED = 1 }; ///< tensors of one_layer_program

static const struct {
    uint32_t tensor, field, word;
    const char *phrase;
} tensor_rules[] = {
    {LEVELS, 0, 0, "name"},
    {LEVELS, 0, 0x10000000, "name"},
    {LEVELS, 4, 2, "kind of tensor"},
    {LEVELS, 8, 65536, "draw factor"},
    {FIXED, 8, 1, "draw factor"},
    {FIXED, 12, 0, "dimension"},
    {FIXED, 16, 0, "dimension"},
    {FIXED, 20, 0, "dimension"},
    {FIXED, 12, (1 << 24) + 1, "dimension"},
    {FIXED, 16, 1 << 24, "too large"},
    {FIXED, 16, 1 << 20, "outside the workspace"},
    {FIXED, 24, 8, "outside the workspace"},
    {FIXED, 24, 0xFFFFFFF0, "outside the workspace"},
    {FIXED, 28, 1, "reserved"},
    {INPUT, 4, 1, "not 8-bit levels"},
    {INPUT, 8, 256, "not 8-bit levels"},
    {INPUT, 24, 16, "reserved"},
};
enum { TENSOR_RULES = sizeof(tensor_rules) / sizeof(*tensor_rules) };

START_TEST(a_broken_tensor_is_refused)
{
    struct test_file file = one_layer_program(20, 256, 256, PBIT_SAMPLER_IID);
    test_file_set(&file, test_file_tensor(&file, tensor_rules[_i].tensor, tensor_rules[_i].field),
                  tensor_rules[_i].word);
    expect_problem(&file, tensor_rules[_i].phrase);
    test_file_free(&file);
}
END_TEST

static const struct {
    size_t table;
    uint32_t word, value;
    const char *phrase;
} port_rules[] = {
    {PBIT_HEADER_INPUTS, 0, 0, "rank"},
    {PBIT_HEADER_INPUTS, 0, 4, "rank"},
    {PBIT_HEADER_INPUTS, 1, 2, "reserved"},
    {PBIT_HEADER_INPUTS, 2, 0, "scale"},
    {PBIT_HEADER_INPUTS, 3, 0xFFFFFFF0, "scale"},
    {PBIT_HEADER_OUTPUTS, 0, LEVELS, "fixed-point"},
    {PBIT_HEADER_OUTPUTS, 0, 4, "fixed-point"},
    {PBIT_HEADER_OUTPUTS, 1, 0, "rank"},
    {PBIT_HEADER_OUTPUTS, 1, 4, "rank"},
    {PBIT_HEADER_OUTPUTS, 2, 8, "reserved"},
    {PBIT_HEADER_OUTPUTS, 2, 5, "Softmax and LogSoftmax"},
};
enum { PORT_RULES = sizeof(port_rules) / sizeof(*port_rules) };

START_TEST(a_broken_port_is_refused)
{
    struct test_file file = one_layer_program(20, 256, 256, PBIT_SAMPLER_IID);
    test_file_set(&file, test_file_word(&file, port_rules[_i].table) + 4 * port_rules[_i].word,
                  port_rules[_i].value);
    expect_problem(&file, port_rules[_i].phrase);
    test_file_free(&file);
}
END_TEST

/// Word `word` of the first operation of `kind` whose word `where` is `is` becomes `value`.
static const struct {
    enum pbit_operation_kind kind;
    uint32_t where, is, word, value;
    const char *phrase;
} operation_rules[] = {
    {PBIT_OPERATION_CONV, 0, 0, 0, 0, "unknown operation"},
    {PBIT_OPERATION_CONV, 0, 0, 0, 8, "unknown operation"},
    {PBIT_OPERATION_CONV, 0, 0, 1, 0x10000000, "name"},
    {PBIT_OPERATION_CONV, 0, 0, 2, 0, "inputs lie outside"},
    {PBIT_OPERATION_CONV, 0, 0, 2, 256, "inputs lie outside"},
    {PBIT_OPERATION_CONV, 0, 0, 3, 0, "inputs lie outside"},
    {PBIT_OPERATION_CONV, 0, 0, 4, 0, "writes an input"},
    {PBIT_OPERATION_CONV, 0, 0, 4, 4096, "writes an input"},
    {PBIT_OPERATION_CONV, 0, 0, 5, 0, "window"},
    {PBIT_OPERATION_CONV, 0, 0, 6, 0x80000000, "window"},
    {PBIT_OPERATION_CONV, 0, 0, 7, 0, "window"},
    {PBIT_OPERATION_CONV, 0, 0, 8, 0, "window"},
    {PBIT_OPERATION_CONV, 0, 0, 9, 0xFFFFFFFF, "window"},
    {PBIT_OPERATION_CONV, 0, 0, 10, 0xFFFFFFFF, "window"},
    {PBIT_OPERATION_CONV, 0, 0, 11, 0, "window"},
    {PBIT_OPERATION_CONV, 0, 0, 12, 0, "window"},
    {PBIT_OPERATION_CONV, 0, 0, 13, 0, "groups"},
    {PBIT_OPERATION_CONV, 0, 0, 13, 4093, "groups"},
    {PBIT_OPERATION_CONV, 0, 0, 14, 0, "weight bits"},
    {PBIT_OPERATION_CONV, 0, 0, 14, 9, "weight bits"},
    {PBIT_OPERATION_CONV, 17, 0, 15, 1, "group factors"},
    {PBIT_OPERATION_CONV, 0, 0, 16, 0, "tables lie outside"},
    {PBIT_OPERATION_CONV, 0, 0, 16, 0xFFFFFFFC, "tables lie outside"},
    {PBIT_OPERATION_CONV, 0, 0, 18, 0, "tables lie outside"},
    {PBIT_OPERATION_CONV, 0, 0, 19, 2, "tables lie outside"},
    {PBIT_OPERATION_CONV, 0, 0, 20, 55, "shift"},
    {PBIT_OPERATION_CONV, 0, 0, 21, 0xFFFFFFFC, "zero points lie outside"},
    {PBIT_OPERATION_CONV, 0, 0, 22, 1, "reserved"},
    {PBIT_OPERATION_CONV, 0, 0, 23, 1, "reserved"},
    {PBIT_OPERATION_NEURON, 0, 0, 5, 2, "unknown neuron"},
    {PBIT_OPERATION_NEURON, 5, 0, 5, 1, "levels do not fit"},
    {PBIT_OPERATION_NEURON, 5, 1, 5, 0, "levels do not fit"},
    {PBIT_OPERATION_NEURON, 0, 0, 6, 3, "unknown neuron"},
    {PBIT_OPERATION_NEURON, 6, 1, 7, 0, "theta table lies outside"},
    {PBIT_OPERATION_NEURON, 6, 2, 7, 0, "curve lies outside"},
    {PBIT_OPERATION_NEURON, 5, 0, 9, 257, "amplitude"},
    {PBIT_OPERATION_NEURON, 5, 1, 9, 65537, "amplitude"},
    {PBIT_OPERATION_NEURON, 6, 2, 10, 25, "curve's size"},
    {PBIT_OPERATION_NEURON, 6, 2, 11, 0, "curve's size"},
    {PBIT_OPERATION_NEURON, 6, 2, 11, 4097, "curve's size"},
    {PBIT_OPERATION_NEURON, 6, 0, 10, 1, "reserved"},
    {PBIT_OPERATION_NEURON, 6, 1, 12, 1, "reserved"},
    {PBIT_OPERATION_NEURON, 6, 0, 7, 80, "reserved"},
    {PBIT_OPERATION_NEURON, 0, 0, 13, 1, "reserved"},
    {PBIT_OPERATION_MAXPOOL, 0, 0, 5, 0, "window"},
    {PBIT_OPERATION_MAXPOOL, 0, 0, 9, 32768, "without an input"},
    {PBIT_OPERATION_MAXPOOL, 0, 0, 10, 32768, "without an input"},
    {PBIT_OPERATION_MAXPOOL, 0, 0, 13, 1, "reserved"},
    {PBIT_OPERATION_MAXPOOL, 0, 0, 18, 1, "reserved"},
    {PBIT_OPERATION_SUMPOOL, 0, 0, 18, 0x80000000, "SUMPOOL is out of range"},
    {PBIT_OPERATION_SUMPOOL, 0, 0, 20, 63, "SUMPOOL is out of range"},
    {PBIT_OPERATION_SUMPOOL, 0, 0, 14, 1, "reserved"},
    {PBIT_OPERATION_ADD, 0, 0, 2, 1, "number of inputs"},
    {PBIT_OPERATION_ADD, 0, 0, 5, 1, "reserved"},
    {PBIT_OPERATION_CONCAT, 2, 2, 2, 1, "channels do not add up"},
    {PBIT_OPERATION_CONCAT, 0, 0, 5, 1, "reserved"},
    {PBIT_OPERATION_PERMUTE, 0, 0, 5, 0xFFFFFFFC, "PERMUTE's table"},
    {PBIT_OPERATION_PERMUTE, 0, 0, 6, 1, "reserved"},
};
enum { OPERATION_RULES = sizeof(operation_rules) / sizeof(*operation_rules) };

START_TEST(a_broken_operation_is_refused)
{
    uint32_t operation;
    struct test_file file =
        file_with(operation_rules[_i].kind, operation_rules[_i].where, operation_rules[_i].is, &operation);
    test_file_set(&file, test_file_operation(&file, operation, operation_rules[_i].word),
                  operation_rules[_i].value);
    expect_problem(&file, operation_rules[_i].phrase);
    test_file_free(&file);
}
END_TEST

/// Entry `entry` of the table that word `word` of an operation points to becomes `value`.
static const struct {
    enum pbit_operation_kind kind;
    uint32_t where, is, word, entry, value;
    const char *phrase;
} table_rules[] = {
    {PBIT_OPERATION_CONV, 0, 0, 3, 0, 4096, "not written yet"},
    {PBIT_OPERATION_CONV, 0, 0, 18, 0, 0x80000000, "multiplier is negative"},
    {PBIT_OPERATION_NEURON, 6, 1, 7, 0, 0x7FFFFFFF, "decreases"},
    {PBIT_OPERATION_NEURON, 6, 1, 7, 256, 0x80000000, "decreases"},
    {PBIT_OPERATION_NEURON, 6, 2, 7, 1, 65537, "leaves 0..1"},
    {PBIT_OPERATION_NEURON, 6, 2, 7, 0, 0xFFFFFFFF, "leaves 0..1"},
    {PBIT_OPERATION_PERMUTE, 0, 0, 5, 0, 1 << 20, "index is out of range"},
};
enum { TABLE_RULES = sizeof(table_rules) / sizeof(*table_rules) };

START_TEST(a_broken_table_is_refused)
{
    uint32_t operation;
    struct test_file file =
        file_with(table_rules[_i].kind, table_rules[_i].where, table_rules[_i].is, &operation);
    size_t table = test_file_word(&file, test_file_operation(&file, operation, table_rules[_i].word));
    test_file_set(&file, table + 4 * table_rules[_i].entry, table_rules[_i].value);
    expect_problem(&file, table_rules[_i].phrase);
    test_file_free(&file);
}
END_TEST

START_TEST(a_zero_point_above_1_is_refused)
{
    for (uint32_t seed = 1;; seed++) {
        struct test_file file = random_program(seed, 6);
        uint32_t conv = find_operation(&file, PBIT_OPERATION_CONV, 0, 0);
        uint32_t zeros = conv == UINT32_MAX ? 0 : test_file_word(&file, test_file_operation(&file, conv, 21));
        if (zeros) {
            file.bytes[zeros] = 1;
            file.bytes[zeros + 1] = 1;
            expect_problem(&file, "zero point is out of range");
            test_file_free(&file);
            return;
        }
        test_file_free(&file);
    }
}
END_TEST

START_TEST(a_largest_m_that_does_not_fit_is_refused)
{
    // 300 inputs x 128 x factor 255: only L <= 219 keeps the sum below 2^31.
    struct pbitc_arena *arena = pbitc_arena_create(NULL);
    struct pbitc_program *program = pbitc_program_create(arena);
    enum { FAN_IN = 300 };
    static int8_t weights[FAN_IN];
    static const uint8_t factors[1] = {255};
    static const int32_t one[1] = {1};
    static float offset[FAN_IN], step[FAN_IN];
    struct pbit_tensor tensors[] = {{"x", PBIT_LEVELS, 0, 1, 1, 1, 0},
                                    {"z", PBIT_FIXED, 0, 1, 1, FAN_IN, 0},
                                    {"c", PBIT_LEVELS, 256, 1, 1, FAN_IN, 0},
                                    {"y", PBIT_FIXED, 0, 1, 1, 1, 0}};
    for (int i = 0; i < 4; i++)
        pbitc_program_add_tensor(program, &tensors[i]);
    static int32_t zeros[FAN_IN];
    program->inputs[0] = (struct pbitc_program_input){1, false, offset, step};
    program->outputs[0] = (struct pbitc_program_output){3, 1, 0, 1};
    program->input_count = program->output_count = program->draws = program->samples = 1;
    program->sampler = PBIT_SAMPLER_IID;
    program->metadata = "";
    struct pbitc_program_operation *spread =
        pbitc_program_add_operation(program, PBIT_OPERATION_CONV, "spread", 0, 1);
    spread->fields.window = (struct pbit_window){1, 1, 1, 1, 0, 0, 1, 1};
    spread->fields.groups = 1;
    spread->fields.weight_bits = 8;
    spread->tables = (struct pbitc_program_tables){.weights = weights, .multipliers = zeros, .biases = zeros};
    pbitc_program_add_operation(program, PBIT_OPERATION_NEURON, "neuron", 1, 2)->fields.amplitude = 256;
    struct pbitc_program_operation *sum =
        pbitc_program_add_operation(program, PBIT_OPERATION_CONV, "sum", 2, 3);
    sum->fields = spread->fields;
    sum->fields.weight_group = FAN_IN;
    sum->tables = (struct pbitc_program_tables){
        .weights = weights, .factors = factors, .multipliers = one, .biases = zeros};
    uint8_t *bytes;
    size_t size;
    ck_assert_int_eq(pbitc_program_serialize(program, NULL, &bytes, &size), PBIT_OK);
    struct test_file file = test_file_copy(bytes, size);
    ck_assert_uint_eq(test_file_word(&file, PBIT_HEADER_MAX_DRAWS), 219);
    test_file_set(&file, PBIT_HEADER_MAX_DRAWS, 220);
    expect_problem(&file, "accumulator can overflow");
    program->draws = 220;
    ck_assert_int_eq(pbitc_program_serialize(program, NULL, &bytes, &size), PBIT_ERROR_UNSUPPORTED);
    test_file_free(&file);
    pbitc_arena_destroy(arena);
}
END_TEST

// ---- order, lives and layers

/// Exchanges operation records a and b.
static void swap_operations(struct test_file *file, uint32_t a, uint32_t b)
{
    for (uint32_t w = 0; w < 24; w++) {
        uint32_t word = test_file_word(file, test_file_operation(file, a, w));
        test_file_set(file, test_file_operation(file, a, w),
                      test_file_word(file, test_file_operation(file, b, w)));
        test_file_set(file, test_file_operation(file, b, w), word);
    }
}

START_TEST(an_operation_before_its_input_is_refused)
{
    struct test_file file = one_layer_program(20, 256, 256, PBIT_SAMPLER_IID);
    swap_operations(&file, 0, 1);
    expect_problem(&file, "not written yet");
    test_file_free(&file);
}
END_TEST

START_TEST(two_writers_of_a_tensor_are_refused)
{
    struct test_file file = one_layer_program(20, 256, 256, PBIT_SAMPLER_IID);
    test_file_set(&file, test_file_operation(&file, 2, 4), FIXED);
    expect_problem(&file, "written already");
    test_file_free(&file);
}
END_TEST

START_TEST(a_tensor_nobody_writes_is_refused)
{
    struct test_file file = one_layer_program(20, 256, 256, PBIT_SAMPLER_IID);
    test_file_set(&file, PBIT_HEADER_OPERATION_COUNT, 2);
    expect_problem(&file, "never written");
    test_file_free(&file);
}
END_TEST

START_TEST(tensors_that_live_together_do_not_share_bytes)
{
    struct test_file file = one_layer_program(20, 256, 256, PBIT_SAMPLER_IID);
    size_t levels = test_file_tensor(&file, LEVELS, 24);
    test_file_set(&file, levels, test_file_word(&file, test_file_tensor(&file, FIXED, 24)));
    expect_problem(&file, "share workspace");
    test_file_free(&file);
}
END_TEST

/// input -> conv -> a (output), input -> conv -> b (nobody reads it).
static struct test_file file_with_a_dead_tensor(void)
{
    struct test_file file = {NULL, 0};
    for (uint32_t seed = 1; seed < 3000; seed++) {
        file = random_program(seed, 2);
        if (test_file_word(&file, PBIT_HEADER_OPERATION_COUNT) == 2 &&
            test_file_word(&file, PBIT_HEADER_OUTPUT_COUNT) == 1 &&
            find_operation(&file, PBIT_OPERATION_NEURON, 0, 0) == UINT32_MAX &&
            test_file_word(&file, test_file_word(&file, test_file_operation(&file, 1, 3))) <
                test_file_word(&file, PBIT_HEADER_INPUT_COUNT) &&
            test_file_word(&file, test_file_word(&file, PBIT_HEADER_OUTPUTS)) ==
                test_file_word(&file, test_file_operation(&file, 1, 4)))
            return file;
        test_file_free(&file);
    }
    ck_abort_msg("no program with a tensor that nobody reads");
}

START_TEST(a_tensor_nobody_reads_does_not_overwrite_another)
{
    struct test_file file = file_with_a_dead_tensor();
    swap_operations(&file, 0, 1); // now the output is written first and the dead tensor after it
    uint32_t output = test_file_word(&file, test_file_operation(&file, 0, 4));
    uint32_t dead = test_file_word(&file, test_file_operation(&file, 1, 4));
    test_file_set(&file, test_file_tensor(&file, dead, 24),
                  test_file_word(&file, test_file_tensor(&file, output, 24)));
    expect_problem(&file, "share workspace");
    test_file_free(&file);
}
END_TEST

START_TEST(two_neurons_with_one_layer_number_are_refused)
{
    for (uint32_t seed = 1; seed < 3000; seed++) {
        struct test_file file = random_program(seed, 6);
        uint32_t first = find_operation(&file, PBIT_OPERATION_NEURON, 0, 0), second = first;
        while (first != UINT32_MAX && ++second < test_file_word(&file, PBIT_HEADER_OPERATION_COUNT))
            if (test_file_word(&file, test_file_operation(&file, second, 0)) == PBIT_OPERATION_NEURON)
                break;
        if (first != UINT32_MAX && second < test_file_word(&file, PBIT_HEADER_OPERATION_COUNT)) {
            test_file_set(&file, test_file_operation(&file, second, 8),
                          test_file_word(&file, test_file_operation(&file, first, 8)));
            expect_problem(&file, "layer number");
            test_file_free(&file);
            return;
        }
        test_file_free(&file);
    }
    ck_abort_msg("no program with two neurons");
}
END_TEST

START_TEST(random_operations_stand_last)
{
    for (uint32_t seed = 1; seed < 3000; seed++) {
        struct test_file file = random_program(seed, 6);
        struct pbit_model model;
        ck_assert_int_eq(pbit_model_open(&model, file.bytes, file.size), PBIT_OK);
        uint32_t first = model.first_random;
        // A constant branch whose last operation nobody random reads, just before the first random one.
        bool apart = first > 0 && first < model.operation_count;
        for (uint32_t i = 0; apart && i < pbit_model_operation(&model, first).input_count; i++) {
            struct pbit_operation operation = pbit_model_operation(&model, first);
            apart =
                pbit_operation_input(&model, &operation, i) != pbit_model_operation(&model, first - 1).output;
        }
        if (apart) {
            swap_operations(&file, first - 1, first);
            expect_problem(&file, "not random follows a random one");
            test_file_free(&file);
            return;
        }
        test_file_free(&file);
    }
    ck_abort_msg("no program with a constant branch");
}
END_TEST

// ---- the contract of the functions

START_TEST(null_is_an_argument_error)
{
    struct test_file file = random_program(1, 5);
    struct test_buffers b = test_buffers_create(&file, 1);
    struct pbit_options options = {.draws = 1, .samples = 1};
    const uint8_t *const *inputs = (const uint8_t *const *)b.inputs;
    ck_assert_int_eq(pbit_model_open(NULL, file.bytes, file.size), PBIT_ERROR_ARGUMENT);
    ck_assert_int_eq(pbit_model_open(&b.model, NULL, 0), PBIT_ERROR_ARGUMENT);
    ck_assert_str_ne(pbit_model_problem(NULL, 0), "");
    ck_assert_int_eq(pbit_model_open(&b.model, file.bytes, file.size), PBIT_OK);
    ck_assert_str_eq(pbit_model_problem(file.bytes, file.size), "");
    ck_assert_int_eq(pbit_run(NULL, &options, inputs, b.sums, b.workspace, b.workspace_bytes),
                     PBIT_ERROR_ARGUMENT);
    ck_assert_int_eq(pbit_run(&b.model, NULL, inputs, b.sums, b.workspace, b.workspace_bytes),
                     PBIT_ERROR_ARGUMENT);
    ck_assert_int_eq(pbit_run(&b.model, &options, NULL, b.sums, b.workspace, b.workspace_bytes),
                     PBIT_ERROR_ARGUMENT);
    ck_assert_int_eq(pbit_run(&b.model, &options, inputs, NULL, b.workspace, b.workspace_bytes),
                     PBIT_ERROR_ARGUMENT);
    ck_assert_int_eq(pbit_run(&b.model, &options, inputs, b.sums, NULL, b.workspace_bytes),
                     PBIT_ERROR_ARGUMENT);
    uint8_t *no_input[PBIT_PORTS_LIMIT] = {NULL};
    int64_t *no_sums[PBIT_PORTS_LIMIT] = {NULL};
    ck_assert_int_eq(pbit_run(&b.model, &options, (const uint8_t *const *)no_input, b.sums, b.workspace,
                              b.workspace_bytes),
                     PBIT_ERROR_ARGUMENT);
    ck_assert_int_eq(pbit_run(&b.model, &options, inputs, no_sums, b.workspace, b.workspace_bytes),
                     PBIT_ERROR_ARGUMENT);
    test_buffers_free(&b);
    test_file_free(&file);
}
END_TEST

START_TEST(options_out_of_range_are_refused)
{
    struct test_file file = one_layer_program(20, 256, 256, PBIT_SAMPLER_IID);
    test_file_set(&file, PBIT_HEADER_MAX_DRAWS, 9);
    test_file_set(&file, PBIT_HEADER_MAX_SAMPLES, 100);
    test_file_seal(&file);
    struct test_buffers b = test_buffers_create(&file, 1);
    ck_assert_int_eq(test_run(&b, &(struct pbit_options){.draws = 9, .samples = 100}), PBIT_OK);
    ck_assert_int_eq(test_run(&b, &(struct pbit_options){.draws = 10, .samples = 1}), PBIT_ERROR_RANGE);
    ck_assert_int_eq(test_run(&b, &(struct pbit_options){.draws = UINT32_MAX, .samples = 1}),
                     PBIT_ERROR_RANGE);
    ck_assert_int_eq(test_run(&b, &(struct pbit_options){.draws = 1, .samples = 101}), PBIT_ERROR_RANGE);
    ck_assert_int_eq(test_run(&b, &(struct pbit_options){.sampler = (enum pbit_sampler)4}),
                     PBIT_ERROR_ARGUMENT);
    test_buffers_free(&b);
    test_file_free(&file);
}
END_TEST

START_TEST(a_workspace_is_large_and_aligned)
{
    struct test_file file = random_program(2, 5);
    struct test_buffers b = test_buffers_create(&file, 1);
    struct pbit_options options = {.draws = 1, .samples = 1};
    uint8_t *room = aligned_alloc(16, b.workspace_bytes + 16);
    const uint8_t *const *inputs = (const uint8_t *const *)b.inputs;
    ck_assert_int_eq(pbit_run(&b.model, &options, inputs, b.sums, room, b.workspace_bytes - 1),
                     PBIT_ERROR_WORKSPACE);
    ck_assert_int_eq(pbit_run(&b.model, &options, inputs, b.sums, room + 8, b.workspace_bytes),
                     PBIT_ERROR_ARGUMENT);
    ck_assert_int_eq(pbit_run(&b.model, &options, inputs, b.sums, room + 16, b.workspace_bytes), PBIT_OK);
    free(room);
    test_buffers_free(&b);
    test_file_free(&file);
}
END_TEST

START_TEST(file_bytes_need_no_alignment)
{
    for (uint32_t seed = 1; seed <= 40; seed++) {
        struct test_file file = random_program(seed, 7);
        uint8_t *room = malloc(file.size + 1);
        memcpy(room + 1, file.bytes, file.size);
        struct test_buffers a = test_buffers_create(&file, seed), b = test_buffers_create(&file, seed);
        ck_assert_int_eq(pbit_model_open(&b.model, room + 1, file.size), PBIT_OK);
        struct pbit_options options = {.seed = seed, .draws = 1, .samples = 2};
        ck_assert_int_eq(test_run(&a, &options), PBIT_OK);
        ck_assert_int_eq(test_run(&b, &options), PBIT_OK);
        for (uint32_t o = 0; o < a.model.output_count; o++)
            ck_assert_mem_eq(a.sums[o], b.sums[o], pbit_model_output(&a.model, o).elements * sizeof(int64_t));
        test_buffers_free(&a);
        test_buffers_free(&b);
        free(room);
        test_file_free(&file);
    }
}
END_TEST

START_TEST(zero_options_are_the_files_defaults)
{
    struct test_file file = one_layer_program(20, 256, 256, PBIT_SAMPLER_STRATIFIED);
    test_file_set(&file, PBIT_HEADER_DRAWS, 3);
    test_file_set(&file, PBIT_HEADER_SAMPLES, 5);
    test_file_seal(&file);
    struct test_buffers a = test_buffers_create(&file, 1), b = test_buffers_create(&file, 1);
    ck_assert_int_eq(test_run(&a, &(struct pbit_options){.seed = 4}), PBIT_OK);
    ck_assert_int_eq(test_run(&b,
                              &(struct pbit_options){
                                  .seed = 4, .draws = 3, .samples = 5, .sampler = PBIT_SAMPLER_STRATIFIED}),
                     PBIT_OK);
    ck_assert_mem_eq(a.sums[0], b.sums[0], 20 * sizeof(int64_t));
    test_buffers_free(&a);
    test_buffers_free(&b);
    test_file_free(&file);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("model_open");
    TCase *damage = tcase_create("damage");
    tcase_set_timeout(damage, 120);
    tcase_add_test(damage, a_file_cut_anywhere_is_refused);
    tcase_add_test(damage, bytes_too_many_are_refused);
    tcase_add_test(damage, a_damaged_byte_is_refused);
    tcase_add_test(damage, a_forged_byte_does_no_harm);
    tcase_add_test(damage, forged_words_do_no_harm);
    suite_add_tcase(suite, damage);
    TCase *rules = tcase_create("rules");
    tcase_set_timeout(rules, 60);
    tcase_add_loop_test(rules, a_broken_header_is_refused, 0, HEADER_RULES);
    tcase_add_test(rules, another_version_is_unsupported);
    tcase_add_test(rules, a_workspace_is_a_multiple_of_16);
    tcase_add_loop_test(rules, a_broken_tensor_is_refused, 0, TENSOR_RULES);
    tcase_add_loop_test(rules, a_broken_port_is_refused, 0, PORT_RULES);
    tcase_add_loop_test(rules, a_broken_operation_is_refused, 0, OPERATION_RULES);
    tcase_add_loop_test(rules, a_broken_table_is_refused, 0, TABLE_RULES);
    tcase_add_test(rules, a_zero_point_above_1_is_refused);
    tcase_add_test(rules, a_largest_m_that_does_not_fit_is_refused);
    tcase_add_test(rules, an_operation_before_its_input_is_refused);
    tcase_add_test(rules, two_writers_of_a_tensor_are_refused);
    tcase_add_test(rules, a_tensor_nobody_writes_is_refused);
    tcase_add_test(rules, tensors_that_live_together_do_not_share_bytes);
    tcase_add_test(rules, a_tensor_nobody_reads_does_not_overwrite_another);
    tcase_add_test(rules, two_neurons_with_one_layer_number_are_refused);
    tcase_add_test(rules, random_operations_stand_last);
    suite_add_tcase(suite, rules);
    TCase *contract = tcase_create("contract");
    tcase_add_test(contract, null_is_an_argument_error);
    tcase_add_test(contract, options_out_of_range_are_refused);
    tcase_add_test(contract, a_workspace_is_large_and_aligned);
    tcase_add_test(contract, file_bytes_need_no_alignment);
    tcase_add_test(contract, zero_options_are_the_files_defaults);
    suite_add_tcase(suite, contract);
    return run_suite(suite);
}
