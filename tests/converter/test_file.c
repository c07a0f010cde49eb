// Files are written whole or not at all.
#include "converter/file.h"
#include "converter/interrupt.h"
#include "tests/run_suite.h"

#include <check.h>
#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct pbitc_diagnostics *diagnostics;
static char directory[] = "test_file-XXXXXX";
static char path_a[64], path_b[64];

static void set_up(void)
{
    diagnostics = pbitc_diagnostics_create();
    strcpy(directory + strlen(directory) - 6, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path_a, sizeof(path_a), "%s/a", directory);
    snprintf(path_b, sizeof(path_b), "%s/b", directory);
}

static void tear_down(void)
{
    pbitc_diagnostics_destroy(diagnostics);
    unlink(path_a);
    unlink(path_b);
    rmdir(directory);
}

static size_t count_entries(void)
{
    DIR *stream = opendir(directory);
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(stream));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(stream);
    return count;
}

static void expect_content(const char *path, const char *text)
{
    uint8_t *bytes;
    size_t size;
    ck_assert_int_eq(pbitc_file_read(path, &bytes, &size, diagnostics), PBIT_OK);
    ck_assert_uint_eq(size, strlen(text));
    ck_assert_str_eq((char *)bytes, text); // the NUL behind the bytes
    free(bytes);
}

START_TEST(files_are_written_and_replaced)
{
    struct pbitc_file files[] = {{path_a, "one", 3}, {path_b, "", 0}};
    ck_assert_int_eq(pbitc_files_write(files, 2, diagnostics), PBIT_OK);
    expect_content(path_a, "one");
    expect_content(path_b, "");
    files[0].bytes = "two!";
    files[0].size = 4;
    ck_assert_int_eq(pbitc_files_write(files, 1, diagnostics), PBIT_OK);
    expect_content(path_a, "two!");
    ck_assert_uint_eq(count_entries(), 2);
}
END_TEST

START_TEST(new_files_have_the_usual_permissions)
{
    umask(027);
    struct pbitc_file file = {path_a, "x", 1};
    struct stat status;
    ck_assert_int_eq(pbitc_files_write(&file, 1, diagnostics), PBIT_OK);
    ck_assert_int_eq(stat(path_a, &status), 0);
    ck_assert_uint_eq(status.st_mode & 0777, 0640);
}
END_TEST

START_TEST(a_failure_leaves_all_files_as_they_were)
{
    char nowhere[100];
    snprintf(nowhere, sizeof(nowhere), "%s/none/c", directory);
    struct pbitc_file files[] = {{path_a, "one", 3}, {nowhere, "two", 3}};
    ck_assert_int_eq(pbitc_files_write(files, 2, diagnostics), PBIT_ERROR_IO);
    ck_assert_uint_eq(count_entries(), 0);
    ck_assert_uint_eq(pbitc_diagnostics_count(diagnostics), 1);
}
END_TEST

/// A limit on the size of files fails a write in the middle, as a full disk does.
START_TEST(a_full_disk_leaves_the_old_file)
{
    struct pbitc_file file = {path_a, "old", 3};
    ck_assert_int_eq(pbitc_files_write(&file, 1, diagnostics), PBIT_OK);
    char *large = calloc(1, 1 << 20);
    struct rlimit limit = {.rlim_cur = 4096, .rlim_max = 4096};
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    file.bytes = large;
    file.size = 1 << 20;
    ck_assert_int_eq(pbitc_files_write(&file, 1, diagnostics), PBIT_ERROR_IO);
    ck_assert_uint_eq(count_entries(), 1);
    expect_content(path_a, "old");
    free(large);
}
END_TEST

START_TEST(an_interruption_leaves_the_old_file)
{
    struct pbitc_file file = {path_a, "old", 3};
    ck_assert_int_eq(pbitc_files_write(&file, 1, diagnostics), PBIT_OK);
    pbitc_interrupt_catch();
    raise(SIGINT);
    file.bytes = "new";
    ck_assert_int_eq(pbitc_files_write(&file, 1, diagnostics), PBIT_ERROR_STOPPED);
    ck_assert_uint_eq(count_entries(), 1);
    char content[4] = "";
    FILE *stream = fopen(path_a, "rb");
    ck_assert_uint_eq(fread(content, 1, 3, stream), 3);
    fclose(stream);
    ck_assert_str_eq(content, "old");
}
END_TEST

START_TEST(devices_are_written_to_not_replaced)
{
    struct pbitc_file file = {"/dev/null", "x", 1};
    struct stat status;
    ck_assert_int_eq(pbitc_files_write(&file, 1, diagnostics), PBIT_OK);
    ck_assert_int_eq(stat("/dev/null", &status), 0);
    ck_assert(S_ISCHR(status.st_mode));
}
END_TEST

START_TEST(what_cannot_be_read_is_reported)
{
    uint8_t *bytes;
    size_t size;
    ck_assert_int_eq(pbitc_file_read(path_a, &bytes, &size, diagnostics), PBIT_ERROR_IO);
    ck_assert_ptr_null(bytes);
    ck_assert_int_eq(pbitc_file_read(directory, &bytes, &size, diagnostics), PBIT_ERROR_IO);
    ck_assert_ptr_null(bytes);
    ck_assert_uint_eq(pbitc_diagnostics_count(diagnostics), 2);
}
END_TEST

START_TEST(plain_files_are_mapped)
{
    struct pbitc_file files[] = {{path_a, "some bytes", 10}, {path_b, "", 0}};
    uint8_t *bytes;
    size_t size;
    ck_assert_int_eq(pbitc_files_write(files, 2, diagnostics), PBIT_OK);
    ck_assert(pbitc_file_map(path_a, &bytes, &size));
    ck_assert_uint_eq(size, 10);
    ck_assert_int_eq(pbitc_files_write(&(struct pbitc_file){path_a, "others", 6}, 1, diagnostics), PBIT_OK);
    ck_assert_mem_eq(bytes, "some bytes", size);
    pbitc_file_unmap(bytes, size);
    ck_assert(!pbitc_file_map(path_b, &bytes, &size)); // empty
    ck_assert(!pbitc_file_map("no such file", &bytes, &size));
    ck_assert(!pbitc_file_map(directory, &bytes, &size));
    ck_assert(!pbitc_file_map("/dev/null", &bytes, &size));
}
END_TEST

START_TEST(directories_are_made_with_those_above)
{
    char inner[100];
    snprintf(inner, sizeof(inner), "%s/a/b", directory);
    ck_assert_int_eq(pbitc_directory_make(inner, diagnostics), PBIT_OK);
    ck_assert(pbitc_is_directory(inner));
    ck_assert_int_eq(pbitc_directory_make(inner, diagnostics), PBIT_OK);
    rmdir(inner);
    rmdir(path_a);
    struct pbitc_file file = {path_a, "x", 1};
    ck_assert_int_eq(pbitc_files_write(&file, 1, diagnostics), PBIT_OK);
    ck_assert_int_eq(pbitc_directory_make(inner, diagnostics), PBIT_ERROR_IO);
}
END_TEST

/// Test vectors of the FNV-1a reference.
START_TEST(hash_is_fnv1a)
{
    char text[PBITC_HASH_TEXT];
    ck_assert_str_eq(pbitc_hash_text(pbitc_hash(PBITC_HASH_START, "", 0), text), "fnv1a64:cbf29ce484222325");
    ck_assert_str_eq(pbitc_hash_text(pbitc_hash(PBITC_HASH_START, "a", 1), text), "fnv1a64:af63dc4c8601ec8c");
    uint64_t chained = pbitc_hash(pbitc_hash(PBITC_HASH_START, "foo", 3), "bar", 3);
    ck_assert_str_eq(pbitc_hash_text(chained, text), "fnv1a64:85944171f73967e8");
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("file");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, files_are_written_and_replaced);
    tcase_add_test(tests, new_files_have_the_usual_permissions);
    tcase_add_test(tests, a_failure_leaves_all_files_as_they_were);
    tcase_add_test(tests, a_full_disk_leaves_the_old_file);
    tcase_add_test(tests, an_interruption_leaves_the_old_file);
    tcase_add_test(tests, devices_are_written_to_not_replaced);
    tcase_add_test(tests, what_cannot_be_read_is_reported);
    tcase_add_test(tests, plain_files_are_mapped);
    tcase_add_test(tests, directories_are_made_with_those_above);
    tcase_add_test(tests, hash_is_fnv1a);
    Suite *suite = suite_create("file");
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
