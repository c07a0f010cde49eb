// The registry of passes, and how one of them runs.
#include "passes/clock.h"
#include "passes/pass_support.h"

#include <string.h>

static const struct pbitc_pass passes[] = {
#define PBITC_PASS(name, function, optional, summary) {name, summary, function, optional},
#define PBITC_STEP(name, summary) {name, summary, NULL, true},
#include "passes/passes.def"
#undef PBITC_PASS
#undef PBITC_STEP
};

enum { PASS_COUNT = sizeof(passes) / sizeof(*passes) };
_Static_assert(PASS_COUNT <= 64, "pbitc_options.without has a bit for each");

const struct pbitc_pass *pbitc_passes(size_t *count)
{
    *count = PASS_COUNT;
    return passes;
}

const struct pbitc_pass *pbitc_pass_find(const char *name)
{
    for (size_t i = 0; i < PASS_COUNT; i++)
        if (strcmp(passes[i].name, name) == 0)
            return &passes[i];
    return NULL;
}

static uint64_t bit_of(const struct pbitc_pass *pass)
{
    return UINT64_C(1) << (pass - passes);
}

bool pbitc_leave_out(struct pbitc_options *options, const struct pbitc_pass *pass)
{
    if (pass->optional)
        options->without |= bit_of(pass);
    return pass->optional;
}

bool pbitc_is_left_out(const struct pbitc_context *context, const char *name)
{
    return context->options->without & bit_of(pbitc_pass_find(name));
}

static bool is_printed(const struct pbitc_options *options, const char *pass)
{
    return options->print_after &&
           (strcmp(options->print_after, "all") == 0 || strcmp(options->print_after, pass) == 0);
}

enum pbit_status pbitc_pass_run(const struct pbitc_pass *pass, struct pbitc_graph *graph,
                                struct pbitc_context *context, bool *changed)
{
    const struct pbitc_options *options = context->options;
    double start = pbitc_clock_seconds();
    *changed = false;
    enum pbit_status status = pass->run(graph, context, changed);
    if (status == PBIT_OK && *changed)
        status = pbitc_graph_verify(graph, pass->name, context->diagnostics);
    if (status == PBIT_OK && *changed)
        status = pbitc_infer_shapes(graph, 1, context->diagnostics);
    if (status != PBIT_OK)
        return status;
    if (options->timing)
        fprintf(options->talk, "timing: %-18s %8.3f s%s\n", pass->name, pbitc_clock_seconds() - start,
                *changed ? "" : " (no change)");
    if (is_printed(options, pass->name)) {
        fprintf(options->talk, "; after %s\n", pass->name);
        pbitc_graph_print(graph, options->talk);
    }
    return PBIT_OK;
}
