// Runs the simulators of an exported folder.
#include "converter/export/verilog/export_verilog.h"
#include "converter/file.h"
#include "converter/interrupt.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/// Whether a program of that name stands in a folder of PATH.
static bool is_installed(const char *program)
{
    const char *path = getenv("PATH");
    char *folders = path ? strdup(path) : NULL, *rest;
    bool found = false;
    for (char *folder = folders ? strtok_r(folders, ":", &rest) : NULL; folder && !found;
         folder = strtok_r(NULL, ":", &rest)) {
        char *file = pbitc_path_join(folder, program);
        found = file && access(file, X_OK) == 0;
        free(file);
    }
    free(folders);
    return found;
}

/// Runs `sh PATH/simulate WHAT` with its output on standard error; whether it ended well.
static bool simulate(const char *path, const char *what)
{
    char *script = pbitc_path_join(path, "simulate");
    bool good = false;
    fflush(NULL);
    pid_t child = script ? fork() : -1;
    if (child == 0) {
        if (dup2(STDERR_FILENO, STDOUT_FILENO) >= 0)
            execl("/bin/sh", "sh", script, what, (char *)NULL);
        _exit(127);
    }
    if (child > 0) {
        int ended = 0;
        good = waitpid(child, &ended, 0) == child && WIFEXITED(ended) && WEXITSTATUS(ended) == 0;
    }
    free(script);
    return good;
}

enum pbit_status pbitc_verilog_verify(const char *path, int *passed, int *failed,
                                      struct pbitc_diagnostics *diagnostics)
{
    static const char *const runs[][2] = {
        {"verilator", "lint"}, {"verilator", "verilator"}, {"iverilog", "iverilog"}};
    *passed = *failed = 0;
    for (size_t i = 0; i < sizeof(runs) / sizeof(*runs); i++) {
        if (pbitc_interrupted())
            return PBIT_ERROR_STOPPED;
        if (!is_installed(runs[i][0]))
            continue;
        fprintf(stderr, "%s:\n", runs[i][1]);
        ++*(simulate(path, runs[i][1]) ? passed : failed);
    }
    if (*passed + *failed == 0)
        return pbitc_report(diagnostics, PBIT_ERROR_IO, NULL, NULL, 0, "install verilator or iverilog",
                            "--verify: no simulator is installed");
    return PBIT_OK;
}
