#include "converter/progress.h"

#include "converter/interrupt.h"
#include "passes/clock.h"

#include <stdio.h>
#include <unistd.h>

static const char bar[] = "########################################";
enum { BAR_WIDTH = sizeof(bar) - 1 };
static const double seconds_between = 0.1;

bool pbitc_progress_show(void *state, const char *stage, size_t done, size_t total)
{
    struct pbitc_progress *progress = state;
    if (!progress->started) {
        progress->started = true;
        progress->terminal = isatty(STDERR_FILENO);
    }
    if (progress->terminal && total > 0 && pbitc_clock_seconds() - progress->shown_at >= seconds_between) {
        double fraction = (double)done / (double)total;
        fprintf(stderr, "\r%-20s [%-*.*s] %3.0f %%", stage, BAR_WIDTH, (int)(fraction * BAR_WIDTH), bar,
                100 * fraction);
        progress->shown_at = pbitc_clock_seconds();
        progress->visible = true;
    }
    return !pbitc_interrupted();
}

bool pbitc_progress_watch(void *state, const char *stage, size_t done, size_t total)
{
    (void)state, (void)stage, (void)done, (void)total;
    return !pbitc_interrupted();
}

void pbitc_progress_clear(struct pbitc_progress *progress)
{
    if (progress->visible)
        fputs("\r\033[K", stderr);
    progress->visible = false;
}
