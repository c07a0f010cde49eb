// Reading of DATA. The files are made here, in a directory of the test's own.
#include "converter/data/dataset.h"
#include "converter/data/npy.h"
#include "converter/file.h"
#include "tests/run_suite.h"

#include <check.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

enum { SIDE = 32, CIFAR_PIXELS = 3 * SIDE * SIDE, CIFAR_RECORD = 1 + CIFAR_PIXELS };

static struct pbitc_diagnostics *diagnostics;
static char directory[] = "test_dataset-XXXXXX";

static void write_file(const char *name, const void *bytes, size_t size)
{
    char path[200];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    struct pbitc_file file = {path, bytes, size};
    ck_assert_int_eq(pbitc_files_write(&file, 1, diagnostics), PBIT_OK);
}

static void write_gzip(const char *name, const void *bytes, unsigned size)
{
    char path[200];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    gzFile file = gzopen(path, "wb");
    ck_assert_int_eq(gzwrite(file, bytes, size), (int)size);
    ck_assert_int_eq(gzclose(file), Z_OK);
}

/// 3 images of 2 x 2 with the pixels 0, 1, 2, ..., 11, and their labels.
static const uint8_t idx_images[] = {0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2, 0,  0,
                                     0, 2, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
static const uint8_t idx_labels[] = {0, 0, 8, 1, 0, 0, 0, 3, 4, 0, 9};

static void write_array(const char *name, enum pbitc_type type, struct pbitc_shape shape, const void *data)
{
    struct pbitc_tensor tensor = {type, shape, (void *)data};
    size_t size;
    uint8_t *bytes = pbitc_npy_encode(&tensor, &size);
    write_file(name, bytes, size);
    free(bytes);
}

static void write_cifar(const char *name)
{
    static uint8_t records[2 * CIFAR_RECORD];
    for (int i = 0; i < 2; i++) {
        uint8_t *record = records + i * CIFAR_RECORD;
        record[0] = (uint8_t)(3 + i);
        for (int c = 0; c < 3; c++)
            memset(record + 1 + c * SIDE * SIDE, 100 * i + 10 * (c + 1), SIDE * SIDE);
    }
    write_file(name, records, sizeof(records));
}

static void set_up(void)
{
    diagnostics = pbitc_diagnostics_create();
    strcpy(directory + strlen(directory) - 6, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    write_file("train-images-idx3-ubyte", idx_images, sizeof(idx_images));
    write_file("train-labels-idx1-ubyte", idx_labels, sizeof(idx_labels));
    write_gzip("t10k-images-idx3-ubyte.gz", idx_images, sizeof(idx_images));
    write_gzip("t10k-labels-idx1-ubyte.gz", idx_labels, sizeof(idx_labels));
}

static void remove_tree(const char *path)
{
    DIR *stream = opendir(path);
    for (struct dirent *entry; stream && (entry = readdir(stream));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        char *inner = pbitc_path_join(path, entry->d_name);
        remove_tree(inner);
        free(inner);
    }
    if (stream)
        closedir(stream);
    remove(path);
}

static void tear_down(void)
{
    pbitc_diagnostics_destroy(diagnostics);
    remove_tree(directory);
}

/// '@' in `text` stands for the directory.
static enum pbit_status load(const char *text, struct pbitc_data_request request,
                             struct pbitc_dataset **dataset)
{
    char full[600] = "";
    for (const char *c = text; *c; c++) {
        size_t length = strlen(full);
        snprintf(full + length, sizeof(full) - length, *c == '@' ? "%s" : "%.1s", *c == '@' ? directory : c);
    }
    request.text = full;
    request.split = request.split ? request.split : "test";
    return pbitc_dataset_load(&request, diagnostics, dataset);
}

static struct pbitc_dataset *load_labelled(const char *text)
{
    struct pbitc_dataset *dataset;
    ck_assert_msg(load(text, (struct pbitc_data_request){.labels = true}, &dataset) == PBIT_OK, "%s", text);
    return dataset;
}

static void expect_image(const struct pbitc_dataset *dataset, size_t index, const float *expected)
{
    float values[CIFAR_PIXELS];
    pbitc_dataset_image(dataset, index, values);
    for (size_t i = 0; i < dataset->elements; i++)
        ck_assert_float_eq_tol(values[i], expected[i], 1e-6f);
}

START_TEST(idx_is_read_plain_and_packed_by_name_and_by_directory)
{
    static const char *const texts[] = {"idx:@", "idx:@,split=train",
                                        "idx:@/train-images-idx3-ubyte,labels=@/train-labels-idx1-ubyte",
                                        "idx:@/t10k-images-idx3-ubyte.gz,labels=@/train-labels-idx1-ubyte"};
    static const float second[] = {4, 5, 6, 7};
    uint64_t hash = 0;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct pbitc_dataset *dataset = load_labelled(texts[i]);
        ck_assert_uint_eq(dataset->images, 3);
        ck_assert_uint_eq(dataset->elements, 4);
        ck_assert_int_eq(dataset->labels[0], 4);
        ck_assert_int_eq(dataset->labels[2], 9);
        expect_image(dataset, 1, second);
        ck_assert(i == 0 || dataset->hash == hash);
        hash = dataset->hash;
        pbitc_dataset_destroy(dataset);
    }
}
END_TEST

START_TEST(labels_are_read_only_when_asked_for)
{
    struct pbitc_dataset *dataset;
    ck_assert_int_eq(
        load("idx:@/train-images-idx3-ubyte", (struct pbitc_data_request){.labels = false}, &dataset),
        PBIT_OK);
    ck_assert_ptr_null(dataset->labels);
    pbitc_dataset_destroy(dataset);
    ck_assert_int_eq(
        load("idx:@/train-images-idx3-ubyte", (struct pbitc_data_request){.labels = true}, &dataset),
        PBIT_ERROR_FORMAT);
    ck_assert_ptr_null(dataset);
}
END_TEST

START_TEST(preprocessing_is_scaled_then_shifted_then_divided)
{
    struct pbitc_dataset *dataset = load_labelled("idx:@,scale=0.5,mean=1,std=0.25");
    static const float second[] = {4, 6, 8, 10};
    expect_image(dataset, 1, second);
    ck_assert_float_eq(dataset->offset[0], -4);
    ck_assert_float_eq(dataset->step[0], 2);
    pbitc_dataset_destroy(dataset);
}
END_TEST

START_TEST(remembered_keys_hold_where_none_are_given)
{
    struct pbitc_data_keys remembered = {.values = {[PBITC_DATA_SCALE] = "2", [PBITC_DATA_MEAN] = "3"}};
    struct pbitc_data_request request = {.remembered = &remembered};
    struct pbitc_dataset *dataset;
    static const float first[] = {-3, -1, 1, 3}, first_without_mean[] = {0, 2, 4, 6};
    ck_assert_int_eq(load("idx:@", request, &dataset), PBIT_OK);
    expect_image(dataset, 0, first);
    pbitc_dataset_destroy(dataset);
    ck_assert_int_eq(load("idx:@,mean=0", request, &dataset), PBIT_OK);
    expect_image(dataset, 0, first_without_mean);
    pbitc_dataset_destroy(dataset);
}
END_TEST

START_TEST(range_and_limit_choose_images)
{
    struct pbitc_dataset *dataset = load_labelled("idx:@,range=1:2");
    static const float second[] = {4, 5, 6, 7};
    ck_assert_uint_eq(dataset->images, 2);
    ck_assert_uint_eq(dataset->first, 1);
    ck_assert_int_eq(dataset->labels[1], 9);
    expect_image(dataset, 0, second);
    pbitc_dataset_destroy(dataset);
    struct pbitc_data_request request = {.limit = 1};
    ck_assert_int_eq(load("idx:@,range=1:2", request, &dataset), PBIT_OK);
    ck_assert_uint_eq(dataset->images, 1);
    pbitc_dataset_destroy(dataset);
    request.limit_without_range = true;
    ck_assert_int_eq(load("idx:@,range=1:2", request, &dataset), PBIT_OK);
    ck_assert_uint_eq(dataset->images, 2);
    pbitc_dataset_destroy(dataset);
}
END_TEST

START_TEST(cifar10_is_read_in_both_layouts_and_in_gray)
{
    write_cifar("data_batch_1.bin");
    write_cifar("data_batch_2.bin");
    struct pbitc_dataset *dataset = load_labelled("cifar10:@,split=train,mean=10:20:30");
    float image[CIFAR_PIXELS];
    ck_assert_uint_eq(dataset->images, 4);
    ck_assert_uint_eq(dataset->normalized_channels, 3);
    ck_assert_int_eq(dataset->labels[3], 4);
    pbitc_dataset_image(dataset, 1, image);
    ck_assert(image[0] == 100 && image[SIDE * SIDE] == 100 && image[CIFAR_PIXELS - 1] == 100);
    pbitc_dataset_destroy(dataset);
    dataset = load_labelled("cifar10:@,split=train,layout=nhwc");
    pbitc_dataset_image(dataset, 1, image);
    ck_assert(image[0] == 110 && image[1] == 120 && image[2] == 130 && image[3] == 110);
    pbitc_dataset_destroy(dataset);
    dataset = load_labelled("cifar10:@,split=train,gray,size=32x32");
    ck_assert_uint_eq(dataset->elements, SIDE * SIDE);
    pbitc_dataset_image(dataset, 0, image);
    ck_assert_float_eq(image[0], 18); // 0.299 * 10 + 0.587 * 20 + 0.114 * 30 = 18.15
    pbitc_dataset_destroy(dataset);
}
END_TEST

START_TEST(npy_is_read_as_pixels_and_as_numbers)
{
    static const uint8_t pixels[2 * 3 * 2] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    static const double numbers[4] = {0.5, 1.5, -2, 1000};
    static const int64_t labels[2] = {1, 0};
    write_array("pixels.npy", PBITC_UINT8, (struct pbitc_shape){4, {2, 3, 1, 2}}, pixels);
    write_array("numbers.npy", PBITC_FLOAT64, (struct pbitc_shape){2, {2, 2}}, numbers);
    write_array("labels.npy", PBITC_INT64, (struct pbitc_shape){1, {2}}, labels);
    struct pbitc_dataset *dataset = load_labelled("npy:@/pixels.npy,labels=@/labels.npy,scale=1:10:100");
    static const float second[] = {6, 7, 80, 90, 1000, 1100};
    ck_assert_ptr_nonnull(dataset->pixels);
    expect_image(dataset, 1, second);
    pbitc_dataset_destroy(dataset);
    dataset = load_labelled("npy:@/numbers.npy,labels=@/labels.npy,mean=0.5");
    static const float last[] = {-2.5f, 999.5f};
    ck_assert_ptr_null(dataset->pixels);
    expect_image(dataset, 1, last);
    ck_assert_int_eq(dataset->labels[0], 1);
    pbitc_dataset_destroy(dataset);
}
END_TEST

static void make_folder(const char *name)
{
    char path[200];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    ck_assert_int_eq(pbitc_directory_make(path, diagnostics), PBIT_OK);
}

/// Three classes with one, two and no images of 1 x 2 in color.
static void write_classes(const char *root)
{
    static const char *const classes[] = {"ant", "bee", "cow"};
    for (size_t i = 0; i < 3; i++) {
        char path[100];
        snprintf(path, sizeof(path), "%s/%s", root, classes[i]);
        make_folder(path);
    }
    static const char *const files[] = {"ant/1.ppm", "bee/a.ppm", "bee/b.ppm", "ant/.hidden", "readme.txt"};
    for (size_t i = 0; i < 5; i++) {
        char path[100], image[18];
        snprintf(path, sizeof(path), "%s/%s", root, files[i]);
        snprintf(image, sizeof(image), "P6 2 1 255\n%c12345", (char)('0' + i));
        write_file(path, image, 17);
    }
}

START_TEST(image_folders_are_read_class_by_class)
{
    write_classes("plain");
    write_classes("split/test");
    static const char *const texts[] = {"folder:@/plain", "folder:@/split"};
    static const float third[] = {'2', '3', '1', '4', '2', '5'};
    for (size_t i = 0; i < 2; i++) {
        struct pbitc_dataset *dataset = load_labelled(texts[i]);
        ck_assert_uint_eq(dataset->images, 3);
        ck_assert_int_eq(dataset->labels[0], 0);
        ck_assert_int_eq(dataset->labels[2], 1);
        expect_image(dataset, 2, third);
        pbitc_dataset_destroy(dataset);
    }
    struct pbitc_dataset *dataset = load_labelled("folder:@/plain,layout=nhwc");
    static const float third_last[] = {'2', '1', '2', '3', '4', '5'};
    expect_image(dataset, 2, third_last);
    pbitc_dataset_destroy(dataset);
    struct pbitc_data_request train = {.split = "train"};
    ck_assert_int_eq(load("folder:@/split", train, &dataset), PBIT_ERROR_IO);
}
END_TEST

START_TEST(every_image_that_does_not_fit_is_reported)
{
    static const struct {
        const char *name, *bytes;
        size_t size;
    } files[] = {
        {"a/gray.pgm", "P5 2 1 255\n12", 13},           {"a/noise.png", "no image", 8},
        {"a/small.ppm", "P6 1 1 255\n123", 14},         {"b/deep.ppm", "P6 1 1 65535\n112233", 19},
        {"b/cut.ppm", "P6 9999999 9999999 255\n1", 24}, {"a/0.ppm", "P6 2 1 255\n123456", 17},
    };
    make_folder("bad/a");
    make_folder("bad/b");
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        char path[100];
        snprintf(path, sizeof(path), "bad/%s", files[i].name);
        write_file(path, files[i].bytes, files[i].size);
    }
    struct pbitc_dataset *dataset;
    ck_assert_int_eq(load("folder:@/bad", (struct pbitc_data_request){.labels = true}, &dataset),
                     PBIT_ERROR_UNSUPPORTED);
    ck_assert_ptr_null(dataset);
    ck_assert_uint_eq(pbitc_diagnostics_count(diagnostics), 5);
}
END_TEST

START_TEST(wrong_requests_are_refused)
{
    static const struct {
        const char *text;
        enum pbit_status status;
        size_t problems;
    } cases[] = {
        {"mnist", PBIT_ERROR_FORMAT, 1},
        {"idy:@", PBIT_ERROR_FORMAT, 1},
        {"idx:", PBIT_ERROR_FORMAT, 1},
        {"idx:@,colour=3,scale,layout=chw,split=dev", PBIT_ERROR_FORMAT, 4},
        {"idx:@/missing,labels=x", PBIT_ERROR_IO, 1},
        {"idx:@/missing/", PBIT_ERROR_IO, 1},
        {"idx:@,range=2", PBIT_ERROR_FORMAT, 1},
        {"idx:@,range=2:2", PBIT_ERROR_RANGE, 1},
        {"idx:@,range=18446744073709551615:2", PBIT_ERROR_RANGE, 1},
        {"idx:@,range=3:0", PBIT_ERROR_FORMAT, 1},
        {"idx:@,size=3x3", PBIT_ERROR_FORMAT, 1},
        {"idx:@,size=3", PBIT_ERROR_FORMAT, 1},
        {"idx:@,std=0,mean=a,scale=1:2", PBIT_ERROR_FORMAT, 3},
        {"cifar10:@", PBIT_ERROR_IO, 1},
        {"folder:@", PBIT_ERROR_IO, 1},
        {"folder:@/missing", PBIT_ERROR_IO, 1},
        {"npy:@/train-images-idx3-ubyte", PBIT_ERROR_FORMAT, 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pbitc_dataset *dataset;
        size_t before = pbitc_diagnostics_count(diagnostics);
        enum pbit_status status = load(cases[i].text, (struct pbitc_data_request){.labels = true}, &dataset);
        ck_assert_msg(status == cases[i].status, "%s: %s", cases[i].text, pbit_status_text(status));
        ck_assert_ptr_null(dataset);
        ck_assert_msg(pbitc_diagnostics_count(diagnostics) == before + cases[i].problems, "%s",
                      cases[i].text);
    }
}
END_TEST

START_TEST(damaged_idx_files_are_refused)
{
    struct pbitc_data_request request = {.labels = false};
    struct pbitc_dataset *dataset;
    for (size_t size = 0; size < sizeof(idx_images); size++) {
        write_file("cut", idx_images, size);
        ck_assert_int_ne(load("idx:@/cut", request, &dataset), PBIT_OK);
    }
    uint8_t longer[sizeof(idx_images) + 1] = {0};
    memcpy(longer, idx_images, sizeof(idx_images));
    write_file("cut", longer, sizeof(longer));
    ck_assert_int_eq(load("idx:@/cut", request, &dataset), PBIT_ERROR_FORMAT);
    memset(longer + 4, 0xff, 12); // 2^96 pixels
    write_file("cut", longer, sizeof(idx_images));
    ck_assert_int_eq(load("idx:@/cut", request, &dataset), PBIT_ERROR_FORMAT);
}
END_TEST

START_TEST(cut_gzip_files_are_refused)
{
    char path[200];
    snprintf(path, sizeof(path), "%s/t10k-images-idx3-ubyte.gz", directory);
    struct pbitc_dataset *dataset;
    for (off_t size = 20; size > 10; size--) {
        ck_assert_int_eq(truncate(path, size), 0);
        ck_assert_int_eq(load("idx:@", (struct pbitc_data_request){.labels = false}, &dataset),
                         PBIT_ERROR_FORMAT);
    }
}
END_TEST

START_TEST(labels_must_fit_images_and_be_whole)
{
    static const uint8_t pixels[4] = {0};
    static const float labels[3] = {0, 1.5f, 2};
    write_array("x.npy", PBITC_UINT8, (struct pbitc_shape){2, {2, 2}}, pixels);
    write_array("y2.npy", PBITC_FLOAT32, (struct pbitc_shape){1, {2}}, labels);
    write_array("y3.npy", PBITC_FLOAT32, (struct pbitc_shape){1, {3}}, labels);
    struct pbitc_dataset *dataset;
    struct pbitc_data_request request = {.labels = true};
    ck_assert_int_eq(load("npy:@/x.npy,labels=@/y2.npy", request, &dataset), PBIT_ERROR_FORMAT);
    ck_assert_int_eq(load("npy:@/x.npy,labels=@/y3.npy", request, &dataset), PBIT_ERROR_FORMAT);
    ck_assert_int_eq(load("npy:@/x.npy", request, &dataset), PBIT_ERROR_FORMAT);
}
END_TEST

START_TEST(model_and_data_must_fit)
{
    struct pbitc_dataset *dataset = load_labelled("idx:@");
    ck_assert_int_eq(pbitc_dataset_check_input(dataset, "x", 4, diagnostics), PBIT_OK);
    ck_assert_int_eq(pbitc_dataset_check_input(dataset, "x", 5, diagnostics), PBIT_ERROR_FORMAT);
    ck_assert_int_eq(pbitc_dataset_check_labels(dataset, 10, diagnostics), PBIT_OK);
    ck_assert_int_eq(pbitc_dataset_check_labels(dataset, 9, diagnostics), PBIT_ERROR_RANGE);
    pbitc_dataset_destroy(dataset);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("dataset");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, idx_is_read_plain_and_packed_by_name_and_by_directory);
    tcase_add_test(tests, labels_are_read_only_when_asked_for);
    tcase_add_test(tests, preprocessing_is_scaled_then_shifted_then_divided);
    tcase_add_test(tests, remembered_keys_hold_where_none_are_given);
    tcase_add_test(tests, range_and_limit_choose_images);
    tcase_add_test(tests, cifar10_is_read_in_both_layouts_and_in_gray);
    tcase_add_test(tests, npy_is_read_as_pixels_and_as_numbers);
    tcase_add_test(tests, image_folders_are_read_class_by_class);
    tcase_add_test(tests, every_image_that_does_not_fit_is_reported);
    tcase_add_test(tests, wrong_requests_are_refused);
    tcase_add_test(tests, damaged_idx_files_are_refused);
    tcase_add_test(tests, cut_gzip_files_are_refused);
    tcase_add_test(tests, labels_must_fit_images_and_be_whole);
    tcase_add_test(tests, model_and_data_must_fit);
    Suite *suite = suite_create("dataset");
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
