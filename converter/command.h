// The subcommands of pbitc and the one place where results become exit codes.
#ifndef PBITC_COMMAND_H
#define PBITC_COMMAND_H

#include "passes/diagnostics.h"

enum pbitc_exit {
    PBITC_EXIT_DONE = 0,
    PBITC_EXIT_GATE = 1,     ///< a gate of the user's failed
    PBITC_EXIT_USAGE = 2,    ///< the command line is wrong
    PBITC_EXIT_INPUT = 3,    ///< bad or unsupported input, or a file that cannot be read or written
    PBITC_EXIT_INTERNAL = 4, ///< out of memory, or a bug of ours
    PBITC_EXIT_SIGNAL = 128, ///< plus the number of the signal that stopped the work
};

int pbitc_exit_code(enum pbit_status status);

/// argv[0] is the command's own name. Problems go to `diagnostics`, which main prints; returns the exit code.
typedef int pbitc_command_function(int argc, char **argv, struct pbitc_diagnostics *diagnostics);

pbitc_command_function pbitc_cmd_bench;
pbitc_command_function pbitc_cmd_convert;
pbitc_command_function pbitc_cmd_energy;
pbitc_command_function pbitc_cmd_eval;
pbitc_command_function pbitc_cmd_export;
pbitc_command_function pbitc_cmd_inspect;
pbitc_command_function pbitc_cmd_report;
pbitc_command_function pbitc_cmd_report_diff; ///< of pbitc_cmd_report
pbitc_command_function pbitc_cmd_run;

#endif
