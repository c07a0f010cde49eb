#include "converter/data/npy.h"
#include "tests/run_suite.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct pbitc_diagnostics *diagnostics;

static void set_up(void)
{
    diagnostics = pbitc_diagnostics_create();
    ck_assert_ptr_nonnull(diagnostics);
}

static void tear_down(void)
{
    pbitc_diagnostics_destroy(diagnostics);
}

/// A file of format version 1 with this dictionary and these elements; malloc'ed.
static uint8_t *make_file(const char *dictionary, const void *elements, size_t bytes, size_t *size)
{
    size_t length = strlen(dictionary);
    *size = 10 + length + bytes;
    uint8_t *file = malloc(*size);
    ck_assert_ptr_nonnull(file);
    memcpy(file, "\x93NUMPY\x01\x00", 8);
    file[8] = (uint8_t)length;
    file[9] = (uint8_t)(length >> 8);
    memcpy(file + 10, dictionary, length);
    if (bytes)
        memcpy(file + 10 + length, elements, bytes);
    return file;
}

static enum pbit_status decode(const char *dictionary, const void *elements, size_t bytes,
                               struct pbitc_tensor *tensor)
{
    size_t size;
    uint8_t *file = make_file(dictionary, elements, bytes, &size);
    enum pbit_status status = pbitc_npy_decode(file, size, "x.npy", diagnostics, tensor);
    free(file);
    return status;
}

START_TEST(every_type_survives_a_round_trip)
{
    static const enum pbitc_type types[] = {PBITC_FLOAT32, PBITC_FLOAT64, PBITC_FLOAT16, PBITC_UINT8,
                                            PBITC_INT8,    PBITC_UINT16,  PBITC_INT16,   PBITC_UINT32,
                                            PBITC_INT32,   PBITC_UINT64,  PBITC_INT64,   PBITC_BOOL};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        uint8_t data[6 * 8];
        for (size_t b = 0; b < sizeof(data); b++)
            data[b] = (uint8_t)(17 * b + 1);
        struct pbitc_tensor tensor = {types[i], {.rank = 3, .dims = {1, 2, 3}}, data}, copy;
        size_t size;
        uint8_t *file = pbitc_npy_encode(&tensor, &size);
        ck_assert_ptr_nonnull(file);
        ck_assert_uint_eq((size - 6 * pbitc_type_bytes(types[i])) % 64, 0);
        ck_assert_int_eq(pbitc_npy_decode(file, size, "x.npy", diagnostics, &copy), PBIT_OK);
        ck_assert_int_eq(copy.type, types[i]);
        ck_assert(pbitc_shape_equal(&copy.shape, &tensor.shape));
        ck_assert_mem_eq(copy.data, data, 6 * pbitc_type_bytes(types[i]));
        free(copy.data);
        free(file);
    }
}
END_TEST

START_TEST(header_is_the_one_numpy_writes)
{
    float data[2] = {1, 2};
    struct pbitc_tensor tensor = {PBITC_FLOAT32, {.rank = 1, .dims = {2}}, data};
    size_t size;
    uint8_t *file = pbitc_npy_encode(&tensor, &size);
    static const char header[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
    ck_assert_uint_eq(size, 128 + sizeof(data));
    ck_assert_mem_eq(file, "\x93NUMPY\x01\x00\x76\x00", 10);
    ck_assert_mem_eq(file + 10, header, sizeof(header) - 1);
    ck_assert_int_eq(file[127], '\n');
    free(file);
}
END_TEST

START_TEST(scalars_and_empty_arrays_are_arrays_too)
{
    static const struct pbitc_shape shapes[] = {{.rank = 0}, {.rank = 2, .dims = {0, 3}}};
    float value = 5;
    for (size_t i = 0; i < 2; i++) {
        struct pbitc_tensor tensor = {PBITC_FLOAT32, shapes[i], &value}, copy;
        size_t size;
        uint8_t *file = pbitc_npy_encode(&tensor, &size);
        ck_assert_int_eq(pbitc_npy_decode(file, size, "x.npy", diagnostics, &copy), PBIT_OK);
        ck_assert(pbitc_shape_equal(&copy.shape, &shapes[i]));
        free(copy.data);
        free(file);
    }
}
END_TEST

START_TEST(fortran_order_is_turned_round)
{
    static const uint8_t columns[6] = {1, 4, 2, 5, 3, 6}, rows[6] = {1, 2, 3, 4, 5, 6};
    struct pbitc_tensor tensor;
    ck_assert_int_eq(
        decode("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }", columns, 6, &tensor), PBIT_OK);
    ck_assert_mem_eq(tensor.data, rows, 6);
    free(tensor.data);
}
END_TEST

START_TEST(version_2_has_a_longer_length_field)
{
    static const char file[] = "\x93NUMPY\x02\x00\x3a\x00\x00\x00"
                               "{'descr': '|u1', 'fortran_order': False, 'shape': (1,), }\n\x07";
    struct pbitc_tensor tensor;
    ck_assert_int_eq(pbitc_npy_decode((const uint8_t *)file, sizeof(file) - 1, "x.npy", diagnostics, &tensor),
                     PBIT_OK);
    ck_assert_int_eq(*(uint8_t *)tensor.data, 7);
    free(tensor.data);
}
END_TEST

START_TEST(what_is_wrong_is_refused)
{
    static const struct {
        const char *dictionary;
        enum pbit_status status;
    } cases[] = {
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }", PBIT_ERROR_UNSUPPORTED},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", PBIT_ERROR_UNSUPPORTED},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", PBIT_ERROR_FORMAT},
        {"{'fortran_order': False, 'shape': (1,), }", PBIT_ERROR_FORMAT},
        {"{'descr': '<f4', 'shape': (1,), }", PBIT_ERROR_FORMAT},
        {"{'descr': '<f4', 'fortran_order': False, }", PBIT_ERROR_FORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", PBIT_ERROR_FORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", PBIT_ERROR_FORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1", PBIT_ERROR_FORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", PBIT_ERROR_FORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 4), }",
         PBIT_ERROR_FORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (999999999999999, 9223), }", PBIT_ERROR_FORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1), }", PBIT_ERROR_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pbitc_tensor tensor;
        float value = 1;
        size_t before = pbitc_diagnostics_count(diagnostics);
        ck_assert_msg(decode(cases[i].dictionary, &value, sizeof(value), &tensor) == cases[i].status, "%s",
                      cases[i].dictionary);
        ck_assert_ptr_null(tensor.data);
        ck_assert_uint_eq(pbitc_diagnostics_count(diagnostics), before + 1);
    }
}
END_TEST

/// Every prefix of a file, and every file with one byte changed, is decoded or refused without harm.
START_TEST(damage_does_no_harm)
{
    static const float data[4] = {1, 2, 3, 4};
    size_t size;
    uint8_t *file =
        make_file("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2), }", data, sizeof(data), &size);
    struct pbitc_tensor tensor;
    for (size_t length = 0; length < size; length++) {
        uint8_t *prefix = malloc(length + 1); // of its own, so that sanitizers see reads behind it
        memcpy(prefix, file, length);
        ck_assert_int_ne(pbitc_npy_decode(prefix, length, "x.npy", NULL, &tensor), PBIT_OK);
        free(prefix);
    }
    for (size_t i = 0; i < size; i++) {
        for (int byte = 0; byte < 256; byte++) {
            uint8_t original = file[i];
            file[i] = (uint8_t)byte;
            pbitc_npy_decode(file, size, "x.npy", NULL, &tensor);
            free(tensor.data);
            file[i] = original;
        }
    }
    free(file);
}
END_TEST

START_TEST(elements_are_read_by_their_type)
{
    static const struct {
        enum pbitc_type type;
        uint8_t bytes[8];
        double value;
    } cases[] = {
        {PBITC_FLOAT32, {0, 0, 0xc0, 0x3f}, 1.5},
        {PBITC_FLOAT64, {0, 0, 0, 0, 0, 0, 0xf8, 0xbf}, -1.5},
        {PBITC_FLOAT16, {0, 0x3e}, 1.5},
        {PBITC_FLOAT16, {1, 0x80}, -5.9604644775390625e-08},
        {PBITC_INT8, {0xff}, -1},
        {PBITC_UINT8, {0xff}, 255},
        {PBITC_INT16, {0xfe, 0xff}, -2},
        {PBITC_UINT16, {0xfe, 0xff}, 65534},
        {PBITC_INT32, {0xfe, 0xff, 0xff, 0xff}, -2},
        {PBITC_UINT32, {0xfe, 0xff, 0xff, 0xff}, 4294967294.0},
        {PBITC_INT64, {0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, -3},
        {PBITC_UINT64, {3}, 3},
        {PBITC_BOOL, {1}, 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t aligned;
        memcpy(&aligned, cases[i].bytes, 8);
        struct pbitc_tensor tensor = {cases[i].type, {.rank = 0}, &aligned};
        double value;
        ck_assert(pbitc_tensor_element(&tensor, 0, &value));
        ck_assert_double_eq(value, cases[i].value);
    }
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("npy");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, every_type_survives_a_round_trip);
    tcase_add_test(tests, header_is_the_one_numpy_writes);
    tcase_add_test(tests, scalars_and_empty_arrays_are_arrays_too);
    tcase_add_test(tests, fortran_order_is_turned_round);
    tcase_add_test(tests, version_2_has_a_longer_length_field);
    tcase_add_test(tests, what_is_wrong_is_refused);
    tcase_add_test(tests, damage_does_no_harm);
    tcase_add_test(tests, elements_are_read_by_their_type);
    Suite *suite = suite_create("npy");
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
