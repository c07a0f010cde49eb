// Runs the ONNX backend tests, each in a process of its own, and compares with the table of results.
#define _DEFAULT_SOURCE // MAP_ANONYMOUS

#include "tests/onnx_backend/backend_table.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SECONDS_PER_TEST = 60, MAX_PATH = 1024, MAX_JOBS = 64 };

static const char help[] =
    "Usage: onnx_backend [OPTION...]\n"
    "Runs the tests of Debian's libonnx-testdata on the float interpreter and compares the results with the "
    "table\n"
    "under version control (RESULTS.md, results.tsv). Exit code 0: no difference; 1: some; 2: wrong usage.\n"
    "\n"
    "      --filter TEXT   only tests whose name (folder/test_name) holds TEXT\n"
    "      --verbose       a line for each test: its outcome, and the mismatch or the reason of the refusal\n"
    "      --update        write the results to the table instead of comparing\n"
    "      --data DIR      the tests (" DATA_FOLDER ")\n"
    "      --table DIR     the folder of the table (tests/onnx_backend of the source tree)\n"
    "  -j, --jobs N        tests at a time (all processors)\n"
    "      --help          this text\n";

struct arguments {
    const char *data, *table, *filter;
    long jobs;
    bool verbose, update;
};

/// The outcome of a process that has ended; what it wrote into `result` itself stands if it ended well.
static void conclude(struct backend_result *result, int status)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return;
    *result = (struct backend_result){.outcome = BACKEND_CRASH};
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        snprintf(result->reason, sizeof(result->reason), "not done after %d seconds", SECONDS_PER_TEST);
    else if (WIFSIGNALED(status))
        snprintf(result->reason, sizeof(result->reason), "signal %d", WTERMSIG(status));
    else
        snprintf(result->reason, sizeof(result->reason), "exit code %d", WEXITSTATUS(status));
}

/// Starts test `index`; its result goes into shared memory. False: no process can be had.
static bool start_test(const struct arguments *arguments, const struct backend_test *test,
                       struct backend_result *result, pid_t *process)
{
    *process = fork();
    if (*process > 0)
        return true;
    if (*process < 0) {
        fprintf(stderr, "onnx_backend: cannot start a process: %s\n", strerror(errno));
        return false;
    }
    char folder[MAX_PATH];
    snprintf(folder, sizeof(folder), "%s/%s", arguments->data, test->name);
    alarm(SECONDS_PER_TEST);
    backend_case_run(folder, result);
    _exit(0);
}

static void wait_for_one(pid_t *processes, struct backend_result *results, size_t count)
{
    int status;
    pid_t ended = wait(&status);
    for (size_t i = 0; i < count; i++)
        if (processes[i] == ended) {
            processes[i] = 0;
            conclude(&results[i], status);
        }
}

static bool run_tests(const struct arguments *arguments, struct backend_tests *tests)
{
    size_t bytes = tests->count * sizeof(struct backend_result);
    struct backend_result *results =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t *processes = calloc(tests->count, sizeof(*processes));
    bool good = results != MAP_FAILED && processes;
    long running = 0;
    size_t started = 0;
    while (good && started < tests->count) {
        if (running == arguments->jobs) {
            wait_for_one(processes, results, started);
            running--;
        }
        good = start_test(arguments, &tests->tests[started], &results[started], &processes[started]);
        started += good;
        running += good;
    }
    for (; running > 0; running--)
        wait_for_one(processes, results, started);
    for (size_t i = 0; good && i < tests->count; i++)
        tests->tests[i].result = results[i];
    free(processes);
    if (results != MAP_FAILED)
        munmap(results, bytes);
    return good;
}

static int run_and_compare(const struct arguments *arguments, struct backend_tests *tests)
{
    struct backend_tests table = {0};
    if (!run_tests(arguments, tests))
        return EXIT_FAILURE;
    backend_tests_print(tests, arguments->verbose);
    if (arguments->update)
        return backend_table_write(arguments->table, tests) ? EXIT_SUCCESS : EXIT_FAILURE;
    bool same = backend_table_read(arguments->table, &table) &&
                backend_table_compare(tests, &table, !arguments->filter) == 0;
    backend_tests_free(&table);
    return same ? EXIT_SUCCESS : EXIT_FAILURE;
}

/// False: wrong usage.
static bool parse_arguments(int count, char **texts, struct arguments *arguments)
{
    static const struct option options[] = {
        {"filter", required_argument, NULL, 'f'}, {"verbose", no_argument, NULL, 'v'},
        {"update", no_argument, NULL, 'u'},       {"data", required_argument, NULL, 'd'},
        {"table", required_argument, NULL, 't'},  {"jobs", required_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    for (int option; (option = getopt_long(count, texts, "j:", options, NULL)) != -1;) {
        if (option == 'f')
            arguments->filter = optarg;
        else if (option == 'v')
            arguments->verbose = true;
        else if (option == 'u')
            arguments->update = true;
        else if (option == 'd')
            arguments->data = optarg;
        else if (option == 't')
            arguments->table = optarg;
        else if (option == 'j')
            arguments->jobs = strtol(optarg, NULL, 10);
        else if (option == 'h')
            exit(fputs(help, stdout) < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
        else
            return false;
    }
    if (arguments->update && arguments->filter)
        fprintf(stderr, "onnx_backend: --update writes the whole table; leave --filter out\n");
    return optind == count && arguments->jobs > 0 && arguments->jobs <= MAX_JOBS &&
           !(arguments->update && arguments->filter);
}

int main(int count, char **texts)
{
    struct arguments arguments = {
        .data = DATA_FOLDER, .table = TABLE_FOLDER, .jobs = sysconf(_SC_NPROCESSORS_ONLN)};
    struct backend_tests tests;
    if (!parse_arguments(count, texts, &arguments)) {
        fputs("Try onnx_backend --help\n", stderr);
        return 2;
    }
    bool found = backend_tests_find(arguments.data, arguments.filter, &tests);
    int code = found ? run_and_compare(&arguments, &tests) : EXIT_FAILURE;
    backend_tests_free(&tests);
    return code;
}
