// A progress bar on standard error, only when that is a terminal.
#ifndef PBITC_PROGRESS_H
#define PBITC_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

/// State; start from zero. `pbitc_progress_show` is a pbitc_progress_function (passes/pass.h) whose state
/// this is.
struct pbitc_progress {
    bool started, terminal, visible;
    double shown_at; ///< seconds
};

/// Draws the bar, at most ten times a second. Returns false once a signal asked to stop.
bool pbitc_progress_show(void *state, const char *stage, size_t done, size_t total);

/// Draws nothing, and returns false once a signal asked to stop.
bool pbitc_progress_watch(void *state, const char *stage, size_t done, size_t total);

/// Wipes the bar, before other text goes to standard error.
void pbitc_progress_clear(struct pbitc_progress *progress);

#endif
