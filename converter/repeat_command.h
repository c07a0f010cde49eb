// The command line that repeats a measurement: what decides the result, and nothing of threads, shards or
// where the report goes.
#ifndef PBITC_REPEAT_COMMAND_H
#define PBITC_REPEAT_COMMAND_H

#include "converter/eval_run.h"

/// Without the gates, which are judged on the whole. In the arena; NULL when out of memory.
const char *pbitc_repeat_command(const struct pbitc_eval_arguments *arguments, bool is_pbit,
                                 struct pbitc_arena *arena);

/// `command` with the gates' options behind it. In the arena; NULL when out of memory.
const char *pbitc_repeat_with_gates(const char *command, const struct pbitc_gates *gates,
                                    struct pbitc_arena *arena);

#endif
