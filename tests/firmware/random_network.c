// Writes the random program of libpbit's own tests with that seed: random_network OUT.pbit SEED
#include "tests/runtime/random_program.h"

#include <check.h>
#include <stdlib.h>

enum { OPERATIONS = 14 };

static char **arguments;

START_TEST(write_network)
{
    struct test_file program = random_program((uint32_t)atoi(arguments[2]), OPERATIONS);
    FILE *file = fopen(arguments[1], "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(program.bytes, 1, program.size, file), program.size);
    ck_assert_int_eq(fclose(file), 0);
    test_file_free(&program);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    arguments = argv;
    Suite *suite = suite_create("random_network"); // the generator reports with Check's assertions
    TCase *tcase = tcase_create("write");
    tcase_add_test(tcase, write_network);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_SILENT);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 3 : 0;
}
