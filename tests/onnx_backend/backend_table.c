#include "tests/onnx_backend/backend_table.h"

#include "converter/file.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const folders[] = {"node", "pytorch-converted", "pytorch-operator", "simple"};
enum { FOLDER_COUNT = sizeof(folders) / sizeof(folders[0]), MAX_PATH = 1024 };

const char *backend_outcome_name(enum backend_outcome outcome)
{
    static const char *const names[] = {[BACKEND_CRASH] = "crash",
                                        [BACKEND_WRONG] = "wrong",
                                        [BACKEND_REFUSED] = "refused",
                                        [BACKEND_PASS] = "pass"};
    return names[outcome];
}

static bool out_of_memory(void)
{
    fprintf(stderr, "onnx_backend: out of memory\n");
    return false;
}

static bool add_test(struct backend_tests *tests, const char *name, const struct backend_result *result)
{
    struct backend_test *grown = realloc(tests->tests, (tests->count + 1) * sizeof(*grown));
    if (!grown)
        return out_of_memory();
    tests->tests = grown;
    struct backend_test *test = &grown[tests->count];
    *test = (struct backend_test){.name = strdup(name)};
    if (!test->name)
        return out_of_memory();
    if (result)
        test->result = *result;
    tests->count++;
    return true;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct backend_test *)a)->name, ((const struct backend_test *)b)->name);
}

static void sort_tests(struct backend_tests *tests)
{
    if (tests->count)
        qsort(tests->tests, tests->count, sizeof(*tests->tests), compare_names);
}

static bool find_in_folder(const char *data, const char *folder, const char *filter,
                           struct backend_tests *tests)
{
    char path[MAX_PATH], name[MAX_PATH];
    snprintf(path, sizeof(path), "%s/%s", data, folder);
    DIR *directory = opendir(path);
    bool done = true;
    for (const struct dirent *entry; directory && done && (entry = readdir(directory));) {
        snprintf(name, sizeof(name), "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.' && (!filter || strstr(name, filter)))
            done = add_test(tests, name, NULL);
    }
    if (directory)
        closedir(directory);
    return done;
}

bool backend_tests_find(const char *data, const char *filter, struct backend_tests *tests)
{
    *tests = (struct backend_tests){0};
    for (size_t i = 0; i < FOLDER_COUNT; i++)
        if (!find_in_folder(data, folders[i], filter, tests))
            return false;
    if (tests->count == 0)
        fprintf(stderr, "onnx_backend: no tests below %s; samples/setup build installs them\n", data);
    sort_tests(tests);
    return tests->count;
}

void backend_tests_free(struct backend_tests *tests)
{
    for (size_t i = 0; i < tests->count; i++)
        free(tests->tests[i].name);
    free(tests->tests);
    *tests = (struct backend_tests){0};
}

/// "node/test_abs" is in "node".
static bool is_in(const struct backend_test *test, const char *folder)
{
    size_t length = strlen(folder);
    return strncmp(test->name, folder, length) == 0 && test->name[length] == '/';
}

/// counts[BACKEND_OUTCOME_COUNT] is their sum.
static void count_outcomes(const struct backend_tests *tests, const char *folder,
                           size_t counts[BACKEND_OUTCOME_COUNT + 1])
{
    memset(counts, 0, (BACKEND_OUTCOME_COUNT + 1) * sizeof(*counts));
    for (size_t i = 0; i < tests->count; i++)
        if (is_in(&tests->tests[i], folder)) {
            counts[tests->tests[i].result.outcome]++;
            counts[BACKEND_OUTCOME_COUNT]++;
        }
}

void backend_tests_print(const struct backend_tests *tests, bool verbose)
{
    size_t counts[BACKEND_OUTCOME_COUNT + 1];
    for (size_t i = 0; verbose && i < tests->count; i++)
        printf("%-8s%s%s%s\n", backend_outcome_name(tests->tests[i].result.outcome), tests->tests[i].name,
               *tests->tests[i].result.reason ? ": " : "", tests->tests[i].result.reason);
    for (size_t i = 0; i < FOLDER_COUNT; i++) {
        count_outcomes(tests, folders[i], counts);
        printf("%s: %zu tests, %zu pass, %zu refused, %zu wrong, %zu crash\n", folders[i],
               counts[BACKEND_OUTCOME_COUNT], counts[BACKEND_PASS], counts[BACKEND_REFUSED],
               counts[BACKEND_WRONG], counts[BACKEND_CRASH]);
    }
}

/// A line of results.tsv: name, outcome, reason. False: it is none.
static bool parse_line(char *line, struct backend_tests *table)
{
    struct backend_result result = {0};
    char *outcome = strchr(line, '\t'), *reason = outcome ? strchr(outcome + 1, '\t') : NULL;
    if (!reason)
        return false;
    *outcome++ = *reason++ = '\0';
    int known = 0;
    while (known < BACKEND_OUTCOME_COUNT &&
           strcmp(outcome, backend_outcome_name((enum backend_outcome)known)) != 0)
        known++;
    if (known == BACKEND_OUTCOME_COUNT)
        return false;
    result.outcome = (enum backend_outcome)known;
    snprintf(result.reason, sizeof(result.reason), "%s", reason);
    return add_test(table, line, &result);
}

bool backend_table_read(const char *folder, struct backend_tests *table)
{
    char path[MAX_PATH], line[MAX_PATH];
    *table = (struct backend_tests){0};
    snprintf(path, sizeof(path), "%s/results.tsv", folder);
    FILE *file = fopen(path, "r");
    bool good = file;
    while (good && fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        good = line[0] == '#' || parse_line(line, table);
    }
    if (file)
        fclose(file);
    if (!good)
        fprintf(stderr, "onnx_backend: cannot read %s\n", path);
    sort_tests(table);
    return good;
}

static void print_machine_table(FILE *stream, const struct backend_tests *tests)
{
    fprintf(stream, "# Made by tests/onnx_backend --update: test, outcome, reason.\n");
    for (size_t i = 0; i < tests->count; i++)
        fprintf(stream, "%s\t%s\t%s\n", tests->tests[i].name,
                backend_outcome_name(tests->tests[i].result.outcome), tests->tests[i].result.reason);
}

/// Text of a reason in a Markdown cell.
static void print_cell(FILE *stream, const char *text)
{
    for (; *text; text++) {
        if (strchr("|<>*_`\\", *text))
            putc('\\', stream);
        putc(*text, stream);
    }
}

static void print_readable_table(FILE *stream, const struct backend_tests *tests)
{
    size_t counts[BACKEND_OUTCOME_COUNT + 1];
    fprintf(stream,
            "# The ONNX backend tests\n\n"
            "What pbitc's float interpreter makes of the tests in Debian's libonnx-testdata: outputs "
            "within a relative 1e-3 and an\nabsolute 1e-7, types and shapes exactly, as in onnx's own "
            "runner. Made by `build/tests/onnx_backend --update`;\n`results.tsv` is the same for "
            "programs, and `tests/run` compares with it.\n\n"
            "| folder | tests | pass | refused | wrong | crash |\n|---|--:|--:|--:|--:|--:|\n");
    for (size_t i = 0; i < FOLDER_COUNT; i++) {
        count_outcomes(tests, folders[i], counts);
        fprintf(stream, "| %s | %zu | %zu | %zu | %zu | %zu |\n", folders[i], counts[BACKEND_OUTCOME_COUNT],
                counts[BACKEND_PASS], counts[BACKEND_REFUSED], counts[BACKEND_WRONG], counts[BACKEND_CRASH]);
    }
    fprintf(stream, "\n## Those that do not pass\n| test | outcome | reason |\n|---|---|---|\n");
    for (size_t i = 0; i < tests->count; i++) {
        const struct backend_test *test = &tests->tests[i];
        if (test->result.outcome == BACKEND_PASS)
            continue;
        fprintf(stream, "| `%s` | %s | ", test->name, backend_outcome_name(test->result.outcome));
        print_cell(stream, test->result.reason);
        fprintf(stream, " |\n");
    }
}

bool backend_table_write(const char *folder, const struct backend_tests *tests)
{
    static void (*const print[])(FILE *, const struct backend_tests *) = {print_machine_table,
                                                                          print_readable_table};
    static const char *const names[] = {"results.tsv", "RESULTS.md"};
    char paths[2][MAX_PATH], *texts[2] = {NULL, NULL};
    size_t sizes[2];
    struct pbitc_file files[2];
    bool made = true;
    for (int i = 0; made && i < 2; i++) {
        snprintf(paths[i], sizeof(paths[i]), "%s/%s", folder, names[i]);
        FILE *stream = open_memstream(&texts[i], &sizes[i]);
        if (stream)
            print[i](stream, tests);
        made = stream && fclose(stream) == 0;
        if (made)
            files[i] = (struct pbitc_file){.path = paths[i], .bytes = texts[i], .size = sizes[i]};
    }
    struct pbitc_diagnostics *diagnostics = pbitc_diagnostics_create();
    bool written = made && pbitc_files_write(files, 2, diagnostics) == PBIT_OK;
    if (!written)
        pbitc_diagnostics_print(diagnostics, stderr);
    pbitc_diagnostics_destroy(diagnostics);
    free(texts[0]);
    free(texts[1]);
    return written;
}

static const struct backend_test *find_test(const struct backend_tests *tests, const char *name)
{
    const struct backend_test wanted = {.name = (char *)(uintptr_t)name};
    return tests->count ? bsearch(&wanted, tests->tests, tests->count, sizeof(wanted), compare_names) : NULL;
}

static void print_difference(const struct backend_test *test, const struct backend_test *known)
{
    fprintf(stderr, "onnx_backend: %s: %s%s%s, the table has %s%s%s\n", test->name,
            backend_outcome_name(test->result.outcome), *test->result.reason ? ": " : "", test->result.reason,
            known ? backend_outcome_name(known->result.outcome) : "nothing",
            known && *known->result.reason ? ": " : "", known ? known->result.reason : "");
}

/// True when both hold the same tests, or the table at least all of a part of them.
static bool same_suite(const struct backend_tests *tests, const struct backend_tests *table, bool whole)
{
    for (size_t i = 0; i < tests->count; i++)
        if (!find_test(table, tests->tests[i].name))
            return false;
    return !whole || tests->count == table->count;
}

/// The outputs that onnx 1.17 expects here contradict the specification (levels that wrap around instead of
/// saturating, a window that counts cells beyond the padding), and later versions expect what pbitc computes;
/// or they are rounding noise above the absolute tolerance, where the exact result is 0 (DFT).
static const char *const mistaken[] = {
    "node/test_averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_True",
    "node/test_dft_inverse",
    "node/test_dft_inverse_opset19",
    "node/test_qlinearmatmul_2D_int8_float16",
    "node/test_qlinearmatmul_2D_int8_float32",
    "node/test_qlinearmatmul_3D_int8_float16",
    "node/test_qlinearmatmul_3D_int8_float32",
};

static bool is_mistaken(const char *name)
{
    for (size_t i = 0; i < sizeof(mistaken) / sizeof(mistaken[0]); i++)
        if (strcmp(name, mistaken[i]) == 0)
            return true;
    return false;
}

size_t backend_table_compare(const struct backend_tests *tests, const struct backend_tests *table, bool whole)
{
    enum { MAX_PRINTED = 40 };
    bool exact = same_suite(tests, table, whole);
    size_t differences = 0;
    for (size_t i = 0; i < tests->count; i++) {
        const struct backend_test *test = &tests->tests[i], *known = find_test(table, test->name);
        enum backend_outcome outcome = test->result.outcome;
        bool must_pass = known && known->result.outcome == BACKEND_PASS;
        bool good =
            exact ? outcome == known->result.outcome && strcmp(test->result.reason, known->result.reason) == 0
                  : outcome == BACKEND_PASS || (outcome == BACKEND_REFUSED && !must_pass) ||
                        (outcome == BACKEND_WRONG && is_mistaken(test->name));
        differences += !good;
        if (!good && differences <= MAX_PRINTED)
            print_difference(test, known);
    }
    if (differences > MAX_PRINTED)
        fprintf(stderr, "onnx_backend: and %zu more differences\n", differences - MAX_PRINTED);
    return differences;
}
